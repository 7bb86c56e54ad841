#!/usr/bin/env python3
"""golden.py - frames as Kafka's own schemas say, by an encoder that shares nothing with weir's.

    golden.py SCHEMAS OLDER_SCHEMAS > golden.inc
    golden.py SCHEMAS OLDER_SCHEMAS corpus      seeds for kafka_codec_fuzz.c

SCHEMAS and OLDER_SCHEMAS are the folders common/message of two releases of the Maven artifact org.apache.kafka:kafka-clients (4.4.0, and
3.9.0 for the versions of Produce that 4.0 dropped). Run by hand when the table of APIs grows; what it printed is committed.

Values are not stored: each is drawn from a hash of the seed and the field's path ("1.topics.0.name"), here and in kafka_fill.h. So a
field that weir takes for its neighbour, or calls by another name, gets other bytes. Seed 0 is the empty message.
"""
import json
import re
import struct
import sys
from pathlib import Path

APIS = {  # key: (versions, name)
    0: (0, 11, "Produce"), 1: (4, 12, "Fetch"), 2: (1, 9, "ListOffsets"), 3: (0, 12, "Metadata"),
    8: (2, 9, "OffsetCommit"), 9: (1, 9, "OffsetFetch"), 10: (0, 6, "FindCoordinator"), 11: (0, 9, "JoinGroup"),
    12: (0, 4, "Heartbeat"), 13: (0, 5, "LeaveGroup"), 14: (0, 5, "SyncGroup"), 15: (0, 5, "DescribeGroups"),
    16: (0, 5, "ListGroups"), 17: (0, 1, "SaslHandshake"), 18: (0, 4, "ApiVersions"), 19: (2, 7, "CreateTopics"),
    20: (1, 6, "DeleteTopics"), 21: (0, 2, "DeleteRecords"), 22: (0, 5, "InitProducerId"),
    23: (2, 4, "OffsetForLeaderEpoch"), 24: (0, 3, "AddPartitionsToTxn"), 25: (0, 3, "AddOffsetsToTxn"),
    26: (0, 4, "EndTxn"), 28: (0, 4, "TxnOffsetCommit"), 32: (1, 4, "DescribeConfigs"), 36: (0, 2, "SaslAuthenticate"),
    37: (0, 3, "CreatePartitions"), 42: (0, 2, "DeleteGroups"), 44: (0, 1, "IncrementalAlterConfigs"),
    47: (0, 0, "OffsetDelete"), 60: (0, 1, "DescribeCluster"), 68: (0, 1, "ConsumerGroupHeartbeat"),
    69: (0, 1, "ConsumerGroupDescribe"),
}
SEEDS = (0, 1, 2)
CORRELATION_ID = 0x01020304
CLIENT_ID = b"golden"
NEVER = 32767
INTEGERS = {"int8": ">b", "int16": ">h", "int32": ">i", "int64": ">q"}
FNV_START, FNV_PRIME, U64 = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def small_letters(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def versions(text):
    """"0-3", "4+", "5", "none" as (first, last)."""
    if text is None or text == "none":
        return NEVER, -1
    if text.endswith("+"):
        return int(text[:-1]), NEVER
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def within(version, text):
    first, last = versions(text)
    return first <= version <= last


class Schema:
    def __init__(self, path):
        text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)
        self.json = json.loads(text)
        self.commons = {common["name"]: common["fields"] for common in self.json.get("commonStructs", [])}
        self.fields = self.json["fields"]
        self.flexible_from = versions(self.json["flexibleVersions"])[0]

    def has(self, version):
        return within(version, self.json["validVersions"])

    def members(self, field):
        kind = field["type"].removeprefix("[]")
        return field.get("fields") or self.commons.get(kind)


# ---- values ----

def draw(path):
    value = FNV_START
    for byte in path.encode():
        value = (value ^ byte) * FNV_PRIME & U64
    return value ^ value >> 29


def long_or_short(number):
    return 130 + number % 70 if (number >> 40) % 16 == 0 else number % 12


def text_of(number):
    return bytes(ord("a") + (number >> i % 8) % 26 for i in range(long_or_short(number)))


def bytes_of(number, count):
    return bytes((number >> i % 8 * 8 ^ i) & 255 for i in range(count))


def default_of(field):
    """As a number; of strings, bytes and arrays 0 empty and 1 null."""
    kind, given = field["type"], field.get("default")
    if kind in INTEGERS:
        return int(str(given), 0) if given not in (None, "") else 0
    if kind == "bool":
        return int(str(given).lower() == "true")
    if kind == "uuid" or kind == "float64":
        assert given is None
        return 0
    assert given in (None, "", "null"), field
    return int(given == "null")


# ---- encoding ----

class Writer:
    def __init__(self, schema, version, seed):
        self.schema, self.version, self.seed = schema, version, seed
        self.flexible = version >= schema.flexible_from

    def uvarint(self, value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
        return bytes(out)

    def count(self, kind, value):
        """Of a string, bytes or an array; None is null."""
        if self.flexible:
            return self.uvarint(0 if value is None else value + 1)
        return struct.pack(">h" if kind == "string" else ">i", -1 if value is None else value)

    def members(self, fields, path):
        out = b"".join(self.field(field, f"{path}.{small_letters(field['name'])}") for field in fields
                       if within(self.version, field["versions"]) and not self.tagged(field))
        return out + (self.tags(fields, path) if self.flexible else b"")

    def tagged(self, field):
        return "tag" in field and within(self.version, field["taggedVersions"])

    def tags(self, fields, path):
        found = []
        for field in fields:
            if within(self.version, field["versions"]) and self.tagged(field):
                body = self.tag(field, f"{path}.{small_letters(field['name'])}")
                if body is not None:
                    found.append((field["tag"], body))
        return self.uvarint(len(found)) + b"".join(
            self.uvarint(tag) + self.uvarint(len(body)) + body for tag, body in sorted(found))

    def tag(self, field, path):
        """The bytes of a tagged field, None when it has its default and is left out."""
        number, kind = draw(path), field["type"]
        if self.seed == 0 or (number >> 36) % 3 == 0:
            return None
        if kind.startswith("[]") and (number >> 16) % 3 == 0:
            return None
        if kind == "string" and ((number >> 32) % 3 == 0 if default_of(field) else long_or_short(number) == 0):
            return None
        if kind == "bool" and number & 1 == default_of(field):
            return None
        return self.field(field, path)

    def field(self, field, path):
        number = draw(path) if self.seed else 0
        kind = field["type"]
        if within(self.version, field.get("nullableVersions")) and (number >> 32) % 3 == 0:
            if kind.startswith("[]") or kind in ("string", "bytes", "records"):
                return self.count(kind, None)
            return b"\xff"
        if kind.startswith("[]"):
            return self.array(field, path, number)
        if kind in INTEGERS or kind in ("bool", "uuid", "string", "bytes", "records"):
            return self.simple(kind, number)
        body = self.members(self.schema.members(field), path)
        return b"\x01" + body if "nullableVersions" in field and not self.tagged(field) else body

    def simple(self, kind, number):
        if kind in INTEGERS:
            size = struct.calcsize(INTEGERS[kind])
            return (number & (1 << 8 * size) - 1).to_bytes(size, "big")
        if kind == "bool":
            return bytes([number & 1])
        if kind == "uuid":
            return bytes_of(number, 16) if self.seed else bytes(16)
        value = (text_of(number) if kind == "string" else bytes_of(number, long_or_short(number))) if self.seed else b""
        return self.count(kind, len(value)) + value

    def array(self, field, path, number):
        count = (number >> 16) % 3
        kind = field["type"].removeprefix("[]")
        members = self.schema.members(field)
        out = self.count("array", count)
        for i in range(count):
            out += self.members(members, f"{path}.{i}") if members else self.simple(kind, draw(f"{path}.{i}"))
        return out

    def body(self):
        return self.members(self.schema.fields, str(self.seed))

    def frame(self, key, request):
        body = self.body()
        head = struct.pack(">i", CORRELATION_ID)
        if request:
            head = struct.pack(">hh", key, self.version) + head + struct.pack(">h", len(CLIENT_ID)) + CLIENT_ID
        if self.flexible and (request or key != 18):
            head += self.uvarint(0)
        return struct.pack(">i", len(head + body)) + head + body


# ---- printing ----

def print_defaults(schema, fields, key, side, first, last, path):
    for field in fields:
        field_first, field_last = versions(field["versions"])
        if field_first > last or field_last < first:
            continue
        here = path + small_letters(field["name"])
        members = schema.members(field)
        if not members or field["type"].startswith("[]"):
            print(f'DEFAULT({key}, {side}, "{here}", INT64_C({default_of(field)}))'.replace(
                "INT64_C(-2147483648)", "INT32_MIN"))
        if members:
            print_defaults(schema, members, key, side, max(first, field_first), min(last, field_last), here + ".")


def write_corpus(folder, corpus):
    """Of each API the first version and the last, both sides; before a body what kafka_codec_fuzz.c chooses by."""
    corpus.mkdir(exist_ok=True)
    for index, (key, (first, last, name)) in enumerate(APIS.items()):
        for side in ("Request", "Response"):
            schema = Schema(folder / f"{name}{side}.json")
            for version in {max(first, versions(schema.json["validVersions"])[0]), last}:
                choice = bytes([index, version - first, side == "Request"])
                (corpus / f"{small_letters(name + side)}_{version}").write_bytes(choice + Writer(schema, version, 7).body())


def main():
    folder, older = Path(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) > 3:
        return write_corpus(folder, Path(sys.argv[3]))
    print("/* Printed by golden.py from Kafka's schemas. FRAME(key, side, version, seed, bytes), DEFAULT(key, side, path, value),")
    print(" * FLEXIBLE(key, first version). */")
    for key, (first, last, name) in APIS.items():
        for side in ("REQUEST", "RESPONSE"):
            new = Schema(folder / f"{name}{side.capitalize()}.json")
            old = Schema(older / f"{name}{side.capitalize()}.json")
            if side == "REQUEST":
                print(f"FLEXIBLE({key}, {new.flexible_from})")
            print_defaults(new, new.fields, key, side, first, last, "")
            for version in range(first, last + 1):
                schema = new if new.has(version) else old
                assert schema.has(version), (name, version)
                for seed in SEEDS:
                    data = Writer(schema, version, seed).frame(key, side == "REQUEST")
                    print(f'FRAME({key}, {side}, {version}, {seed}, "{data.hex()}")')


if __name__ == "__main__":
    main()
