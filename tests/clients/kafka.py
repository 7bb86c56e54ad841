"""kafka.py - a Kafka client in a few lines, so that every byte on the wire is the test's own.

A request is a dictionary, encoded by the field lists below: `Name:type=default@versions`, arrays as `Name[...]`. Tagged fields are
never sent, and skipped where they come.
"""
import re
import socket
import struct
import time

# name: (key, first flexible version, request, response)
APIS = {
    "Produce": (0, 9, "TransactionalId:s@3+ Acks:i16 TimeoutMs:i32=1000 Topics[Name:s Partitions[Index:i32 Records:by]]",
                "Topics[Name:s Partitions[Index:i32 ErrorCode:i16 BaseOffset:i64 LogAppendTimeMs:i64@2+ LogStartOffset:i64@5+ "
                "RecordErrors[BatchIndex:i32 Message:s]@8+ ErrorMessage:s@8+]] ThrottleTimeMs:i32@1+"),
    "Fetch": (1, 12, "ReplicaId:i32=-1 MaxWaitMs:i32 MinBytes:i32=1 MaxBytes:i32=52428800 IsolationLevel:i8 SessionId:i32@7+ "
              "SessionEpoch:i32=-1@7+ Topics[Name:s Partitions[Partition:i32 CurrentLeaderEpoch:i32=-1@9+ FetchOffset:i64 "
              "LastFetchedEpoch:i32=-1@12+ LogStartOffset:i64=-1@5+ MaxBytes:i32=1048576]] "
              "Forgotten[Name:s Partitions[i32]]@7+ RackId:s=@11+",
              "ThrottleTimeMs:i32 ErrorCode:i16@7+ SessionId:i32@7+ Topics[Name:s Partitions[Index:i32 ErrorCode:i16 "
              "HighWatermark:i64 LastStableOffset:i64 LogStartOffset:i64@5+ Aborted[ProducerId:i64 FirstOffset:i64] "
              "PreferredReadReplica:i32@11+ Records:by]]"),
    "ListOffsets": (2, 6, "ReplicaId:i32=-1 IsolationLevel:i8@2+ Topics[Name:s Partitions[Index:i32 LeaderEpoch:i32=-1@4+ "
                    "Timestamp:i64]]",
                    "ThrottleTimeMs:i32@2+ Topics[Name:s Partitions[Index:i32 ErrorCode:i16 Timestamp:i64 Offset:i64 "
                    "LeaderEpoch:i32@4+]]"),
    "Metadata": (3, 9, "Topics[TopicId:u@10+ Name:s] AllowAutoTopicCreation:b=1@4+ ClusterOperations:b@8-10 TopicOperations:b@8+",
                 "ThrottleTimeMs:i32@3+ Brokers[NodeId:i32 Host:s Port:i32 Rack:s@1+] ClusterId:s@2+ ControllerId:i32@1+ "
                 "Topics[ErrorCode:i16 Name:s TopicId:u@10+ IsInternal:b@1+ Partitions[ErrorCode:i16 Index:i32 LeaderId:i32 "
                 "LeaderEpoch:i32@7+ Replicas[i32] Isr[i32] Offline[i32]@5+] Operations:i32@8+] ClusterOperations:i32@8-10"),
    "OffsetCommit": (8, 8, "GroupId:s Generation:i32=-1 MemberId:s= InstanceId:s@7+ RetentionMs:i64=-1@-4 "
                     "Topics[Name:s Partitions[Index:i32 Offset:i64 LeaderEpoch:i32=-1@6+ Metadata:s]]",
                     "ThrottleTimeMs:i32@3+ Topics[Name:s Partitions[Index:i32 ErrorCode:i16]]"),
    "OffsetFetch": (9, 6, "GroupId:s@-7 Topics[Name:s Partitions[i32]]@-7 Groups[GroupId:s MemberId:s@9+ MemberEpoch:i32=-1@9+ "
                    "Topics[Name:s Partitions[i32]]]@8+ RequireStable:b@7+",
                    "ThrottleTimeMs:i32@3+ Topics[Name:s Partitions[Index:i32 Offset:i64 LeaderEpoch:i32@5+ Metadata:s "
                    "ErrorCode:i16]]@-7 ErrorCode:i16@2-7 Groups[GroupId:s Topics[Name:s Partitions[Index:i32 Offset:i64 "
                    "LeaderEpoch:i32 Metadata:s ErrorCode:i16]] ErrorCode:i16]@8+"),
    "FindCoordinator": (10, 3, "Key:s@-3 KeyType:i8@1+ Keys[s]@4+",
                        "ThrottleTimeMs:i32@1+ ErrorCode:i16@-3 ErrorMessage:s@1-3 NodeId:i32@-3 Host:s@-3 Port:i32@-3 "
                        "Coordinators[Key:s NodeId:i32 Host:s Port:i32 ErrorCode:i16 ErrorMessage:s]@4+"),
    "JoinGroup": (11, 6, "GroupId:s SessionTimeoutMs:i32=10000 RebalanceTimeoutMs:i32=10000@1+ MemberId:s= InstanceId:s@5+ "
                  "ProtocolType:s=consumer Protocols[Name:s Metadata:by] Reason:s@8+",
                  "ThrottleTimeMs:i32@2+ ErrorCode:i16 Generation:i32 ProtocolType:s@7+ ProtocolName:s Leader:s "
                  "SkipAssignment:b@9+ MemberId:s Members[MemberId:s InstanceId:s@5+ Metadata:by]"),
    "Heartbeat": (12, 4, "GroupId:s Generation:i32 MemberId:s InstanceId:s@3+", "ThrottleTimeMs:i32@1+ ErrorCode:i16"),
    "LeaveGroup": (13, 4, "GroupId:s MemberId:s@-2 Members[MemberId:s InstanceId:s Reason:s@5+]@3+",
                   "ThrottleTimeMs:i32@1+ ErrorCode:i16 Members[MemberId:s InstanceId:s ErrorCode:i16]@3+"),
    "SyncGroup": (14, 4, "GroupId:s Generation:i32 MemberId:s InstanceId:s@3+ ProtocolType:s@5+ ProtocolName:s@5+ "
                  "Assignments[MemberId:s Assignment:by]",
                  "ThrottleTimeMs:i32@1+ ErrorCode:i16 ProtocolType:s@5+ ProtocolName:s@5+ Assignment:by"),
    "DescribeGroups": (15, 5, "Groups[s] Operations:b@3+",
                       "ThrottleTimeMs:i32@1+ Groups[ErrorCode:i16 GroupId:s State:s ProtocolType:s ProtocolData:s "
                       "Members[MemberId:s InstanceId:s@4+ ClientId:s ClientHost:s Metadata:by Assignment:by] Operations:i32@3+]"),
    "ApiVersions": (18, 3, "Name:s=test@3+ Version:s=1@3+",
                    "ErrorCode:i16 Apis[Key:i16 Min:i16 Max:i16] ThrottleTimeMs:i32@1+"),
    "CreateTopics": (19, 5, "Topics[Name:s Partitions:i32=1 Replicas:i16=1 Assignments[Index:i32 Brokers[i32]] "
                     "Configs[Name:s Value:s]] TimeoutMs:i32=1000 ValidateOnly:b",
                     "ThrottleTimeMs:i32 Topics[Name:s TopicId:u@7+ ErrorCode:i16 ErrorMessage:s Partitions:i32@5+ "
                     "Replicas:i16@5+ Configs[Name:s Value:s ReadOnly:b Source:i8 Sensitive:b]@5+]"),
    "DeleteTopics": (20, 4, "Topics[Name:s TopicId:u]@6+ Names[s]@-5 TimeoutMs:i32=1000",
                     "ThrottleTimeMs:i32 Topics[Name:s TopicId:u@6+ ErrorCode:i16 ErrorMessage:s@5+]"),
    "DeleteRecords": (21, 2, "Topics[Name:s Partitions[Index:i32 Offset:i64]] TimeoutMs:i32=1000",
                      "ThrottleTimeMs:i32 Topics[Name:s Partitions[Index:i32 LowWatermark:i64 ErrorCode:i16]]"),
    "InitProducerId": (22, 2, "TransactionalId:s TimeoutMs:i32=60000 ProducerId:i64=-1@3+ ProducerEpoch:i16=-1@3+",
                       "ThrottleTimeMs:i32 ErrorCode:i16 ProducerId:i64 ProducerEpoch:i16"),
    "AddPartitionsToTxn": (24, 3, "TransactionalId:s ProducerId:i64 ProducerEpoch:i16 Topics[Name:s Partitions[i32]]",
                           "ThrottleTimeMs:i32 Topics[Name:s Partitions[Index:i32 ErrorCode:i16]]"),
    "AddOffsetsToTxn": (25, 3, "TransactionalId:s ProducerId:i64 ProducerEpoch:i16 GroupId:s", "ThrottleTimeMs:i32 ErrorCode:i16"),
    "EndTxn": (26, 3, "TransactionalId:s ProducerId:i64 ProducerEpoch:i16 Committed:b", "ThrottleTimeMs:i32 ErrorCode:i16"),
    "TxnOffsetCommit": (28, 3, "TransactionalId:s GroupId:s ProducerId:i64 ProducerEpoch:i16 Generation:i32=-1@3+ MemberId:s=@3+ "
                        "InstanceId:s@3+ Topics[Name:s Partitions[Index:i32 Offset:i64 LeaderEpoch:i32=-1@2+ Metadata:s]]",
                        "ThrottleTimeMs:i32 Topics[Name:s Partitions[Index:i32 ErrorCode:i16]]"),
    "CreatePartitions": (37, 2, "Topics[Name:s Count:i32 Assignments[Brokers[i32]]] TimeoutMs:i32=1000 ValidateOnly:b",
                         "ThrottleTimeMs:i32 Results[Name:s ErrorCode:i16 ErrorMessage:s]"),
}
NUMBERS = {"b": ">B", "i8": ">b", "i16": ">h", "i32": ">i", "i64": ">q"}


# ---- Field lists ----------------------------------------------------------------------------------------

def parse(text):
    """[(name, type or list of fields, default, first version, last version)]"""
    stack = [[]]
    for token in re.finditer(r"(\w+)?(?::(\w+)(?:=([\w-]*))?|(\[)|\])(?:@(\d*)-(\d+)|@(\d+)\+)?", text):
        name, kind, default, opened, first, last, since = token.groups()
        versions = (int(since or first or 0), int(last or 99))
        if opened:
            stack.append([name])
        elif kind:
            default = int(default or 0) if kind in NUMBERS else default
            stack[-1].append((name, kind, default, *versions))
        else:
            array = stack.pop()
            stack[-1].append((array[0], [name] if name else array[1:], [], *versions))
    return stack[0]


SCHEMAS = {name: (key, flexible, parse(request), parse(response)) for name, (key, flexible, request, response) in APIS.items()}


def uvarint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(value):
    return uvarint(value << 1 if value >= 0 else (-value << 1) - 1)


def put_length(out, count, flexible, wide):
    if flexible:
        out += uvarint(0 if count is None else count + 1)
    else:
        out += struct.pack(">i" if wide else ">h", -1 if count is None else count)


def put(out, kind, value, version, flexible):
    if isinstance(kind, list):
        put_length(out, None if value is None else len(value), flexible, True)
        for item in value or ():
            if kind in (["i32"], ["s"]):
                put(out, kind[0], item, version, flexible)
            else:
                put_fields(out, kind, item, version, flexible)
    elif kind in NUMBERS:
        out += struct.pack(NUMBERS[kind], value or 0)
    elif kind == "u":
        out += value or bytes(16)
    else:
        value = value.encode() if isinstance(value, str) else value
        put_length(out, None if value is None else len(value), flexible, kind == "by")
        out += value or b""


def put_fields(out, fields, values, version, flexible):
    for name, kind, default, first, last in fields:
        if first <= version <= last:
            put(out, kind, values.get(name, default), version, flexible)
    if flexible:
        out.append(0)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, kind):
        form = NUMBERS[kind]
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("the answer ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def varint(self):
        value = self.uvarint()
        return value >> 1 ^ -(value & 1)

    def length(self, flexible, wide):
        if flexible:
            return self.uvarint() - 1
        return self.number("i32" if wide else "i16")

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())

    def get(self, kind, version, flexible):
        if isinstance(kind, list):
            count = self.length(flexible, True)
            plain = kind in (["i32"], ["s"])
            return None if count < 0 else [self.get(kind[0], version, flexible) if plain else
                                           self.fields(kind, version, flexible) for _ in range(count)]
        if kind in NUMBERS:
            return self.number(kind)
        if kind == "u":
            return self.take(16)
        count = self.length(flexible, kind == "by")
        if count < 0:
            return None
        return self.take(count) if kind == "by" else self.take(count).decode()

    def fields(self, fields, version, flexible):
        values = {name: self.get(kind, version, flexible) for name, kind, _, first, last in fields if first <= version <= last}
        if flexible:
            self.tags()
        return values


# ---- Batches -----------------------------------------------------------------------------------------------

def crc_table():
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


TABLE = tuple(crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def sized(value):
    return varint(-1) if value is None else varint(len(value)) + value


def batch(values, producer=(-1, -1), sequence=-1, time_ms=None, keys=None, headers=(), attributes=0):
    """One record batch of these values, each with the time of its place after `time_ms`."""
    time_ms = int(time.time() * 1000) if time_ms is None else time_ms
    records = b""
    for i, value in enumerate(values):
        body = b"\0" + varint(i) + varint(i) + sized(keys[i] if keys else None) + sized(value) + varint(len(headers))
        body += b"".join(sized(name) + sized(text) for name, text in headers)
        records += varint(len(body)) + body
    last = len(values) - 1
    checked = struct.pack(">hiqqqhii", attributes, last, time_ms, time_ms + last, producer[0], producer[1], sequence, len(values)) + records
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, 2, crc32c(checked)) + checked


def records(data):
    """[(offset, time in ms, key, value)] of whole, uncompressed batches; a batch that is cut off at the end is left out."""
    found, at = [], 0
    while at + 61 <= len(data):
        base, length, _, magic, crc = struct.unpack_from(">qiibI", data, at)
        if at + 12 + length > len(data):
            break
        assert magic == 2 and crc == crc32c(data[at + 21:at + 12 + length]), "a batch that is not whole at offset %d" % base
        count, = struct.unpack_from(">i", data, at + 57)
        first_ms, = struct.unpack_from(">q", data, at + 27)
        reader = Reader(data[at + 61:at + 12 + length])
        for _ in range(count):
            body = Reader(reader.take(reader.varint()))
            body.take(1)
            time_ms, offset = first_ms + body.varint(), base + body.varint()
            key, value = [None if n < 0 else body.take(n) for n in (body.varint(),)], None
            n = body.varint()
            value = None if n < 0 else body.take(n)
            found.append((offset, time_ms, key[0], value))
        at += 12 + length
    return found


# ---- A connection ----------------------------------------------------------------------------------------

LATER = (5, 6, 14, 15, 41)  # a start is not over


class Client:
    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.sent = 0
        self.waiting = []

    @staticmethod
    def encode(name, version, correlation, request):
        key, flexible_from, fields, _ = SCHEMAS[name]
        flexible = version >= flexible_from
        out = bytearray(struct.pack(">hhih", key, version, correlation, 4) + b"test")
        if flexible:
            out.append(0)
        put_fields(out, fields, request, version, flexible)
        return struct.pack(">i", len(out)) + bytes(out)

    def send(self, name, version, answered=True, **request):
        self.sent += 1
        if answered:
            self.waiting.append((name, version, self.sent))
        self.socket.sendall(self.encode(name, version, self.sent, request))

    def frame(self):
        head = self.file.read(4)
        data = self.file.read(struct.unpack(">i", head)[0]) if len(head) == 4 else b""
        if len(data) < 4:
            raise ConnectionError("closed")
        return data

    def read(self):
        name, version, correlation = self.waiting[0]
        reader = Reader(self.frame())
        self.waiting.pop(0)
        if reader.number("i32") != correlation:
            raise AssertionError("an answer to another request than %s" % name)
        flexible = version >= SCHEMAS[name][1]
        if flexible and name != "ApiVersions":
            reader.tags()
        answer = reader.fields(SCHEMAS[name][3], version, flexible)
        if reader.at != len(reader.data):
            raise AssertionError("%s v%d: %d bytes too many" % (name, version, len(reader.data) - reader.at))
        return answer

    def call(self, name, version, **request):
        self.send(name, version, **request)
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()

    # One partition at a time, in words of the tests.

    def topic(self, name, partitions=None, **configs):
        """Metadata's word on it, created if it must be, once a start is over."""
        while partitions:
            error = self.call("CreateTopics", 4, Topics=[{
                "Name": name, "Partitions": partitions,
                "Configs": [{"Name": key.replace("_", "."), "Value": value} for key, value in configs.items()]}])["Topics"][0]["ErrorCode"]
            if error not in LATER:
                assert error == 0, "CreateTopics: %d" % error
                break
            time.sleep(0.02)
        while True:
            topic = self.call("Metadata", 5, Topics=[{"Name": name}])["Topics"][0]
            if topic["ErrorCode"] not in LATER:
                return topic
            time.sleep(0.02)

    def produce(self, topic, partition, data, version=7, acks=-1):
        answer = self.call("Produce", version, Acks=acks,
                           Topics=[{"Name": topic, "Partitions": [{"Index": partition, "Records": data}]}])
        done = answer["Topics"][0]["Partitions"][0]
        return done["ErrorCode"], done["BaseOffset"]

    def fetch(self, topic, partition, offset, version=11, wait_ms=0, **more):
        answer = self.call("Fetch", version, MaxWaitMs=wait_ms, **more,
                           Topics=[{"Name": topic, "Partitions": [{"Partition": partition, "FetchOffset": offset}]}])
        return answer["Topics"][0]["Partitions"][0]

    def everything(self, topic, partition, offset=0):
        """All records from `offset` on."""
        found = []
        while True:
            got = self.fetch(topic, partition, offset)
            if got["ErrorCode"] in LATER:
                time.sleep(0.02)
                continue
            assert got["ErrorCode"] == 0, "Fetch at %d: %d" % (offset, got["ErrorCode"])
            part = [record for record in records(got["Records"]) if record[0] >= offset]
            if not part:
                assert offset == got["HighWatermark"], "nothing at %d of %d" % (offset, got["HighWatermark"])
                return found
            found += part
            offset = part[-1][0] + 1

    def offset(self, topic, partition, timestamp, version=5):
        found = self.call("ListOffsets", version,
                          Topics=[{"Name": topic, "Partitions": [{"Index": partition, "Timestamp": timestamp}]}])
        return found["Topics"][0]["Partitions"][0]

    def producer(self, version=1):
        while True:
            answer = self.call("InitProducerId", version)
            if answer["ErrorCode"] not in LATER:
                assert answer["ErrorCode"] == 0, "InitProducerId: %d" % answer["ErrorCode"]
                return answer["ProducerId"], answer["ProducerEpoch"]
            time.sleep(0.02)

    def commit(self, group, topic, partition, offset, generation=-1, member="", version=7):
        done = self.call("OffsetCommit", version, GroupId=group, Generation=generation, MemberId=member,
                         Topics=[{"Name": topic, "Partitions": [{"Index": partition, "Offset": offset, "Metadata": "m"}]}])
        return done["Topics"][0]["Partitions"][0]["ErrorCode"]

    def committed(self, group, topic, partition, version=5):
        while True:
            found = self.call("OffsetFetch", version, GroupId=group, Topics=[{"Name": topic, "Partitions": [partition]}])
            if found["ErrorCode"] not in LATER:
                return found["Topics"][0]["Partitions"][0]["Offset"]
            time.sleep(0.02)
