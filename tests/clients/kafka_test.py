#!/usr/bin/env python3
"""kafka_test.py CORES IO - Kafka's requests against a running server: topics, produce, fetch, groups, restarts, and Redis beside it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import resp
from kafka import Client, batch, records
from server import Server

CORES, IO = int(sys.argv[1]), sys.argv[2]
CASES = []
TOO_EARLY_S = 0.35


def case(function):
    CASES.append(function)
    return function


def same(got, wanted):
    if got != wanted:
        raise AssertionError("got %.300r, not %.300r" % (got, wanted))


def values(found):
    return [record[3] for record in found]


def one_of(answer):
    """The only partition of the only topic."""
    topic, = answer["Topics"]
    partition, = topic["Partitions"]
    return partition


# ---- Topics -------------------------------------------------------------------------------------------------

@case
def metadata_creates_a_topic_that_is_ready(run):
    client = run.client()
    for version in range(13):
        name = "auto-%d" % version
        answer = client.call("Metadata", version, Topics=[{"Name": name}])
        topic, = answer["Topics"]
        same((topic["ErrorCode"], topic["Name"]), (0, name))
        same([(p["ErrorCode"], p["Index"], p["LeaderId"]) for p in topic["Partitions"]],
             [(0, 0, answer["Brokers"][0]["NodeId"])])
        same(answer["Brokers"][0]["Port"], run.server.kafka_port)
        same(client.produce(name, 0, batch([b"x"])), (0, 0))


@case
def metadata_creates_nothing_it_is_not_asked_to(run):
    client = run.client()
    answer = client.call("Metadata", 5, Topics=[{"Name": "absent"}], AllowAutoTopicCreation=0)
    same([(t["ErrorCode"], t["Partitions"]) for t in answer["Topics"]], [(3, [])])
    same(client.call("Metadata", 5, Topics=[{"Name": "a/b"}])["Topics"][0]["ErrorCode"], 17)
    same(client.call("Metadata", 5, Topics=[])["Topics"], [])
    client.topic("listed")
    assert "listed" in [t["Name"] for t in client.call("Metadata", 5, Topics=None)["Topics"]]


@case
def advertised_versions_hold_the_old_minimums(run):
    client = run.client()
    for version in range(5):
        answer = client.call("ApiVersions", version)
        found = {api["Key"]: (api["Min"], api["Max"]) for api in answer["Apis"]}
        same(answer["ErrorCode"], 0)
        same({key: found[key][0] for key in (0, 1, 2, 3, 10, 11, 12, 13, 14, 18, 22)},
             {0: 0, 1: 4, 2: 1, 3: 0, 10: 0, 11: 0, 12: 0, 13: 0, 14: 0, 18: 0, 22: 0})
        assert found[0][1] <= 11 and found[1][1] <= 12, "topic ids are not served"


@case
def the_page_says_what_is_served(run):
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/kafka.md")
    with open(page) as file:
        told = re.findall(r"^\| (\d+) \| \w+ \| (\d+)(?:-(\d+))?(.*)\|$", file.read(), re.M)
    served = run.client().call("ApiVersions", 2)["Apis"]
    same(sorted((int(key), int(first), int(last or first)) for key, first, last, more in told if "passwords" not in more),
         sorted((api["Key"], api["Min"], api["Max"]) for api in served))


@case
def a_topic_is_created_grown_and_deleted(run):
    client = run.client()
    same(len(client.topic("grows", 2)["Partitions"]), 2)
    again = client.call("CreateTopics", 4, Topics=[{"Name": "grows", "Partitions": 2}])
    same(again["Topics"][0]["ErrorCode"], 36)
    same(client.produce("grows", 1, batch([b"kept"])), (0, 0))
    same(client.produce("grows", 4, batch([b"x"]))[0], 3)
    same(client.call("CreatePartitions", 1, Topics=[{"Name": "grows", "Count": 2, "Assignments": None}])["Results"][0]["ErrorCode"], 37)
    same(client.call("CreatePartitions", 1, Topics=[{"Name": "grows", "Count": 5, "Assignments": None}])["Results"][0]["ErrorCode"], 0)
    same(len(client.topic("grows")["Partitions"]), 5)
    same(client.produce("grows", 4, batch([b"new"])), (0, 0))
    run.restart()
    client = run.client()
    same(len(client.topic("grows")["Partitions"]), 5)
    same(values(client.everything("grows", 1) + client.everything("grows", 4)), [b"kept", b"new"])
    same(client.call("DeleteTopics", 3, Names=["grows"])["Topics"][0]["ErrorCode"], 0)
    same(client.call("DeleteTopics", 3, Names=["grows"])["Topics"][0]["ErrorCode"], 3)
    same(client.call("Metadata", 5, Topics=[{"Name": "grows"}], AllowAutoTopicCreation=0)["Topics"][0]["ErrorCode"], 3)
    client.topic("grows")
    same(client.everything("grows", 0), [])
    run.restart()
    same(len(run.client().topic("grows")["Partitions"]), 1)


@case
def a_wait_on_a_topic_that_is_deleted_ends(run):
    client, other = run.client(), run.client()
    client.topic("goes")
    client.send("Fetch", 11, MaxWaitMs=20000, Topics=[{"Name": "goes", "Partitions": [{"Partition": 0, "FetchOffset": 0}]}])
    begin = time.monotonic()
    other.call("ListOffsets", 5, Topics=[{"Name": "goes", "Partitions": [{"Index": 0, "Timestamp": -1}]}])
    same(other.call("DeleteTopics", 3, Names=["goes"])["Topics"][0]["ErrorCode"], 0)
    same(one_of(client.read())["ErrorCode"], 3)
    assert time.monotonic() - begin < 10


# ---- Produce ---------------------------------------------------------------------------------------------

@case
def every_version_of_produce_and_fetch(run):
    client = run.client()
    client.topic("versions")
    for i, version in enumerate(range(3, 12)):
        same(client.produce("versions", 0, batch([b"%d" % version], keys=[b"k"], headers=[(b"h", b"v"), (b"n", None)]), version), (0, i))
    for version in range(4, 13):
        got = client.fetch("versions", 0, 3, version)
        same((got["ErrorCode"], got["HighWatermark"]), (0, 9))
        same([(r[0], r[2], r[3]) for r in records(got["Records"])], [(i, b"k", b"%d" % (i + 3)) for i in range(3, 9)])


@case
def produce_without_acks_is_not_answered(run):
    client = run.client()
    client.topic("quiet")
    for i in range(50):
        client.send("Produce", 7, answered=False, Acks=0,
                    Topics=[{"Name": "quiet", "Partitions": [{"Index": 0, "Records": batch([b"%d" % i])}]}])
    same(client.produce("quiet", 0, batch([b"last"])), (0, 50))
    same(values(client.everything("quiet", 0)), [b"%d" % i for i in range(50)] + [b"last"])


@case
def a_bad_batch_is_refused_and_nothing_kept(run):
    client = run.client()
    client.topic("bad")
    good = batch([b"value"])
    for at in (17, 30, len(good) - 1):
        same(client.produce("bad", 0, good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])[0], 2)
    same(client.produce("bad", 0, good + good)[0], 87)
    same(client.produce("bad", 0, good[:-3])[0], 2)
    same(client.produce("bad", 0, batch([bytes(1100000)]))[0], 10)
    same(client.produce("bad", 0, good, acks=2)[0], 21)
    same(client.everything("bad", 0), [])
    same(client.produce("bad", 0, good), (0, 0))


@case
def a_duplicate_is_answered_with_its_old_offset(run):
    client = run.client()
    client.topic("once")
    producer = client.producer()
    sent = [batch([b"%d" % i, b"+"], producer, 2 * i) for i in range(8)]
    for i in range(8):
        same(client.produce("once", 0, sent[i]), (0, 2 * i))
    for i in (7, 5, 3):
        same(client.produce("once", 0, sent[i]), (0, 2 * i))
    same(client.produce("once", 0, batch([b"gap"], producer, 20))[0], 45)
    run.restart()
    client = run.client()
    client.topic("once")
    for i in (7, 5, 3):
        same(client.produce("once", 0, sent[i]), (0, 2 * i))
    same(client.produce("once", 0, batch([b"gap"], producer, 20))[0], 45)
    same(client.produce("once", 0, batch([b"next"], producer, 16)), (0, 16))
    same(len(client.everything("once", 0)), 17)
    assert client.producer()[0] != producer[0]


class Transaction:
    def __init__(self, client, name, timeout_ms=60000):
        self.client, self.name, self.sequences = client, name, {}
        answer = client.call("InitProducerId", 1, TransactionalId=name, TimeoutMs=timeout_ms)
        self.error, self.id = answer["ErrorCode"], (answer["ProducerId"], answer["ProducerEpoch"])

    def call(self, api, version, **more):
        return self.client.call(api, version, TransactionalId=self.name, ProducerId=self.id[0], ProducerEpoch=self.id[1], **more)

    def add(self, topic, *partitions):
        answer = self.call("AddPartitionsToTxn", 2, Topics=[{"Name": topic, "Partitions": list(partitions)}])
        return [partition["ErrorCode"] for partition in answer["Topics"][0]["Partitions"]]

    def put(self, topic, partition, value):
        sequence = self.sequences.get((topic, partition), 0)
        sent = batch([value], self.id, sequence, attributes=16)
        answer = self.client.call("Produce", 7, TransactionalId=self.name, Acks=-1,
                                  Topics=[{"Name": topic, "Partitions": [{"Index": partition, "Records": sent}]}])
        error = answer["Topics"][0]["Partitions"][0]["ErrorCode"]
        self.sequences[topic, partition] = sequence + (error == 0)
        return error

    def end(self, committed):
        return self.call("EndTxn", 2, Committed=committed)["ErrorCode"]


@case
def a_transaction_is_seen_when_it_is_committed(run):
    client = run.client()
    client.topic("tx", 3)
    one = Transaction(client, "one")
    same(one.put("tx", 0, b"not added"), 48)
    same(one.end(True), 48)
    same(one.add("tx", 0, 1), [0, 0])
    same([one.put("tx", partition, b"x") for partition in range(3)], [0, 0, 48])
    got = client.fetch("tx", 0, 0, IsolationLevel=1)
    same((got["LastStableOffset"], got["HighWatermark"], records(got["Records"] or b"")), (0, 1, []))
    same((one.end(True), one.end(True), one.end(False)), (0, 0, 48))
    same([client.fetch("tx", n, 0, IsolationLevel=1)["LastStableOffset"] for n in range(3)], [2, 2, 0])
    same(one.put("tx", 0, b"ended"), 48)
    same(one.add("tx", 0), [0])
    same((one.put("tx", 0, b"y"), one.end(False)), (0, 0))
    got = client.fetch("tx", 0, 0, IsolationLevel=1)
    same((got["LastStableOffset"], got["Aborted"]), (4, [{"ProducerId": one.id[0], "FirstOffset": 2}]))


@case
def a_transaction_goes_on_after_a_restart_and_a_second_producer_fences(run):
    client = run.client()
    client.topic("txs")
    same(Transaction(client, "long", 15 * 60 * 1000 + 1).error, 50)
    one = Transaction(client, "same")
    same((one.add("txs", 0), one.put("txs", 0, b"x")), ([0], 0))
    run.restart()
    client = one.client = run.client()
    client.topic("txs")
    same(client.fetch("txs", 0, 0, IsolationLevel=1)["LastStableOffset"], 0)
    same((one.put("txs", 0, b"y"), one.end(True)), (0, 0))
    same(client.fetch("txs", 0, 0, IsolationLevel=1)["LastStableOffset"], 3)
    same((one.add("txs", 0), one.put("txs", 0, b"z")), ([0], 0))
    two = Transaction(client, "same")
    same(two.id, (one.id[0], one.id[1] + 1))
    same((one.end(True), one.add("txs", 0), one.put("txs", 0, b"w")), (90, [90], 47))
    same(client.fetch("txs", 0, 3, IsolationLevel=1)["Aborted"], [{"ProducerId": one.id[0], "FirstOffset": 3}])


@case
def an_older_epoch_is_fenced_and_a_new_producer_may_begin_anywhere(run):
    client = run.client()
    client.topic("epochs")
    producer = client.producer()
    same(client.produce("epochs", 0, batch([b"a"], producer, 7)), (0, 0))
    same(client.produce("epochs", 0, batch([b"b"], (producer[0], 1), 3))[0], 45)
    same(client.produce("epochs", 0, batch([b"b"], (producer[0], 1), 0)), (0, 1))
    same(client.produce("epochs", 0, batch([b"c"], producer, 8))[0], 47)


@case
def pipelined_producers_on_every_partition_keep_their_order(run):
    client = run.client()
    client.topic("order", 8)

    def write(number):
        mine = run.client()
        for i in range(320):
            mine.send("Produce", 7, Acks=-1, Topics=[{"Name": "order", "Partitions": [
                {"Index": p, "Records": batch([b"%d %d" % (number, i)])} for p in (i % 8, (i + 3) % 8)]}])
        for i in range(320):
            for done in mine.read()["Topics"][0]["Partitions"]:
                same(done["ErrorCode"], 0)

    writers = [threading.Thread(target=run.guarded, args=(write, i)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for partition in range(8):
        found = client.everything("order", partition)
        same([record[0] for record in found], list(range(320)))
        for number in range(4):
            same([int(v.split()[1]) for v in values(found) if v.startswith(b"%d " % number)],
                 [i for i in range(320) if partition in (i % 8, (i + 3) % 8)])


# ---- Fetch ------------------------------------------------------------------------------------------------

@case
def a_fetch_waits_until_there_is_enough(run):
    client, other = run.client(), run.client()
    client.topic("wait", 2)
    one = batch([bytes(100)])
    client.send("Fetch", 11, MaxWaitMs=20000, MinBytes=3 * len(one),
                Topics=[{"Name": "wait", "Partitions": [{"Partition": p, "FetchOffset": 0} for p in range(2)]}])
    begin = time.monotonic()
    same(other.produce("wait", 0, one), (0, 0))
    same(other.produce("wait", 1, one), (0, 0))
    client.socket.settimeout(TOO_EARLY_S)
    try:
        client.socket.recv(1)
        raise AssertionError("answered with too little")
    except TimeoutError:
        client.socket.settimeout(20)
        client.file = client.socket.makefile("rb")
    same(other.produce("wait", 1, one), (0, 1))
    got = client.read()["Topics"][0]["Partitions"]
    same(sorted((p["Index"], len(records(p["Records"]))) for p in got), [(0, 1), (1, 2)])
    assert time.monotonic() - begin < 10


@case
def a_fetch_with_nothing_ends_at_its_time(run):
    client = run.client()
    client.topic("empty")
    begin = time.monotonic()
    got = client.fetch("empty", 0, 0, wait_ms=400)
    same((got["ErrorCode"], got["Records"], got["HighWatermark"]), (0, b"", 0))
    assert 0.35 < time.monotonic() - begin < 5
    begin = time.monotonic()
    same(client.fetch("empty", 0, 1, wait_ms=20000)["ErrorCode"], 1)
    same(client.fetch("empty", 7, 0, wait_ms=20000)["ErrorCode"], 3)
    assert time.monotonic() - begin < 10


@case
def a_first_batch_comes_whole_however_small_the_limit(run):
    client = run.client()
    client.topic("large")
    for i in range(3):
        same(client.produce("large", 0, batch([bytes([i]) * 200000] * 2)), (0, 2 * i))
    got = client.fetch("large", 0, 3, MaxBytes=10)
    same([record[0] for record in records(got["Records"])], [2, 3])
    same(values(client.everything("large", 0)), [bytes([i // 2]) * 200000 for i in range(6)])


@case
def offsets_by_time(run):
    client = run.client()
    client.topic("times")
    for i in range(10):
        client.produce("times", 0, batch([b"a", b"b"], time_ms=1700000000000 + 1000 * i))
    for version in range(1, 10):
        for asked, wanted in ((-1, (20, -1)), (-2, (0, -1)), (1700000003000, (6, 1700000003000)), (1700000003001, (7, 1700000003001)),
                              (1700000003002, (8, 1700000004000)), (0, (0, 1700000000000)), (1800000000000, (-1, -1))):
            found = client.offset("times", 0, asked, version)
            same((asked, found["ErrorCode"], found["Offset"], found["Timestamp"]), (asked, 0, *wanted))
    same(client.offset("times", 0, -3, 7)["Offset"], 19)


@case
def deleted_records_do_not_come_back(run):
    client = run.client()
    client.topic("cut")
    for i in range(10):
        client.produce("cut", 0, batch([b"%d" % i]))

    def delete(offset):
        return one_of(client.call("DeleteRecords", 1, Topics=[{"Name": "cut", "Partitions": [{"Index": 0, "Offset": offset}]}]))

    same([delete(11)["ErrorCode"], delete(4)["LowWatermark"], delete(2)["LowWatermark"]], [1, 4, 4])
    same(client.fetch("cut", 0, 3)["ErrorCode"], 1)
    same(client.offset("cut", 0, -2)["Offset"], 4)
    run.restart()
    client = run.client()
    client.topic("cut")
    same(client.offset("cut", 0, -2)["Offset"], 4)
    same(values(client.everything("cut", 0, 4)), [b"%d" % i for i in range(4, 10)])
    same(delete(-1)["LowWatermark"], 10)
    same(client.produce("cut", 0, batch([b"on"])), (0, 10))


# ---- Groups ------------------------------------------------------------------------------------------------

def join(client, group, member="", version=5, **more):
    client.send("JoinGroup", version, GroupId=group, MemberId=member, Protocols=[{"Name": "range", "Metadata": b"subscribed"}], **more)


def joined(client, group):
    """Join with the id that is given out first."""
    join(client, group)
    first = client.read()
    same(first["ErrorCode"], 79)
    join(client, group, first["MemberId"])
    return first["MemberId"]


@case
def two_members_share_a_group(run):
    one, two = run.client(), run.client()
    one.topic("shared")
    same(one.call("FindCoordinator", 2, Key="pair")["Port"], run.server.kafka_port)
    first = joined(one, "pair")
    answer = one.read()
    same((answer["ErrorCode"], answer["Leader"], [m["MemberId"] for m in answer["Members"]]), (0, first, [first]))
    generation = answer["Generation"]
    got = one.call("SyncGroup", 3, GroupId="pair", Generation=generation, MemberId=first,
                   Assignments=[{"MemberId": first, "Assignment": b"all"}])
    same((got["ErrorCode"], got["Assignment"]), (0, b"all"))
    beat = dict(GroupId="pair", MemberId=first)
    same(one.call("Heartbeat", 3, Generation=generation, **beat)["ErrorCode"], 0)
    second = joined(two, "pair")
    while one.call("Heartbeat", 3, Generation=generation, **beat)["ErrorCode"] == 0:
        pass
    same(one.call("Heartbeat", 3, Generation=generation, **beat)["ErrorCode"], 27)
    join(one, "pair", first)
    answers = one.read(), two.read()
    same([(a["ErrorCode"], a["Generation"], a["Leader"], len(a["Members"])) for a in answers],
         [(0, generation + 1, first, 2), (0, generation + 1, first, 0)])
    generation += 1
    two.send("SyncGroup", 3, GroupId="pair", Generation=generation, MemberId=second)
    got = one.call("SyncGroup", 3, GroupId="pair", Generation=generation, MemberId=first,
                   Assignments=[{"MemberId": first, "Assignment": b"1"}, {"MemberId": second, "Assignment": b"2"}])
    same([got["Assignment"], two.read()["Assignment"]], [b"1", b"2"])
    same([one.commit("pair", "shared", 0, 5, generation, first), one.commit("pair", "shared", 0, 6, generation - 1, first),
          one.commit("pair", "shared", 0, 6, generation, "nobody")], [0, 22, 25])
    described, = one.call("DescribeGroups", 4, Groups=["pair"])["Groups"]
    same((described["State"], sorted(m["Assignment"] for m in described["Members"])), ("Stable", [b"1", b"2"]))
    same(one.call("LeaveGroup", 2, GroupId="pair", MemberId=first)["ErrorCode"], 0)
    same(two.call("Heartbeat", 3, GroupId="pair", Generation=generation, MemberId=second)["ErrorCode"], 27)
    join(two, "pair", second)
    answer = two.read()
    same((answer["ErrorCode"], answer["Leader"], answer["Generation"]), (0, second, generation + 1))
    same(two.call("LeaveGroup", 2, GroupId="pair", MemberId=second)["ErrorCode"], 0)
    same(two.call("Heartbeat", 3, GroupId="pair", Generation=generation, MemberId=second)["ErrorCode"], 25)
    same(two.committed("pair", "shared", 0), 5)


@case
def commits_survive_a_restart(run):
    client = run.client()
    client.topic("commits", 3)
    for version in range(2, 10):
        same(client.commit("keeps", "commits", 1, 100 + version, version=version), 0)
    for group in range(20):
        same(client.commit("keeps-%d" % group, "commits", 0, group), 0)
    run.restart()
    client = run.client()
    for version in range(2, 8):
        same(client.committed("keeps", "commits", 1, version), 109)
    same(client.committed("keeps", "commits", 2), -1)
    same([client.committed("keeps-%d" % group, "commits", 0) for group in range(20)], list(range(20)))
    found = client.call("OffsetFetch", 8, Groups=[{"GroupId": "keeps", "Topics": None}])["Groups"][0]
    same([(t["Name"], [(p["Index"], p["Offset"], p["Metadata"]) for p in t["Partitions"]]) for t in found["Topics"]],
         [("commits", [(1, 109, "m")])])


# ---- Redis beside it --------------------------------------------------------------------------------------

@case
def what_redis_publishes_kafka_reads(run):
    client, redis = run.client(), run.redis()
    client.topic("cross")
    client.send("Fetch", 11, MaxWaitMs=20000, Topics=[{"Name": "cross", "Partitions": [{"Partition": 0, "FetchOffset": 0}]}])
    same(redis.call("PUBLISH", "cross", "hello"), 0)
    same(values(records(one_of(client.read())["Records"])), [b"hello"])
    for i in range(100):
        redis.send("PUBLISH", "cross", i)
    same([redis.read() for _ in range(100)], [0] * 100)
    same(values(client.everything("cross", 0, 1)), [b"%d" % i for i in range(100)])


@case
def what_kafka_produces_redis_subscribers_get(run):
    client, subscriber = run.client(), run.redis()
    client.topic("feed", 2)
    same(client.produce("feed", 0, batch([b"before"])), (0, 0))
    same(subscriber.call("SUBSCRIBE", "feed"), [b"subscribe", b"feed", 1])
    for i in range(50):
        same(client.produce("feed", 0, batch([b"%d" % (2 * i), b"%d" % (2 * i + 1)]))[0], 0)
    same([subscriber.read() for _ in range(100)], [[b"message", b"feed", b"%d" % i] for i in range(100)])
    same(client.produce("feed", 1, batch([b"other"])), (0, 0))
    same(subscriber.read(), [b"message", b"feed", b"other"])


@case
def streams_are_topics(run):
    client, redis = run.client(), run.redis()
    ids = [redis.call("XADD", "stream", "*", "n", i, "word", "w%d" % i) for i in range(10)]
    assert ids == sorted(set(ids), key=lambda text: tuple(map(int, text.split(b"-")))), ids
    entries = [[ids[i], [b"n", b"%d" % i, b"word", b"w%d" % i]] for i in range(10)]
    same(redis.call("XLEN", "stream"), 10)
    same(redis.call("XRANGE", "stream", "-", "+"), entries)
    same(redis.call("XRANGE", "stream", ids[2], ids[4]), entries[2:5])
    same(redis.call("XRANGE", "stream", "(" + ids[2].decode(), "+", "COUNT", 2), entries[3:5])
    same(redis.call("XREVRANGE", "stream", "+", "-", "COUNT", 3), entries[:6:-1])
    same(redis.call("XREAD", "COUNT", 2, "STREAMS", "stream", ids[6]), [[b"stream", entries[7:9]]])
    same(redis.call("XREAD", "STREAMS", "stream", ids[9]), None)
    info = redis.call("XINFO", "STREAM", "stream")
    info = dict(zip(info[::2], info[1::2]))
    same((info[b"length"], info[b"last-generated-id"], info[b"first-entry"], info[b"last-entry"]), (10, ids[9], entries[0], entries[9]))
    same(len(client.everything("stream", 0)), 10)


@case
def a_blocked_xread_gets_what_comes(run):
    client, redis, other = run.client(), run.redis(), run.redis()
    client.topic("block")
    redis.send("XREAD", "BLOCK", 20000, "STREAMS", "block", "0")
    entry = other.call("XADD", "block", "*", "a", "b")
    got = redis.read()
    same(got, [[b"block", [[entry, [b"a", b"b"]]]]])
    redis.send("XREAD", "BLOCK", 20000, "STREAMS", "block", entry)
    same(client.produce("block", 0, batch([b"plain"]))[0], 0)
    same(redis.read()[0][1][0][1][-1], b"plain")
    begin = time.monotonic()
    same(redis.call("XREAD", "BLOCK", 300, "STREAMS", "block", "$"), None)
    assert 0.25 < time.monotonic() - begin < 5


@case
def a_stream_shows_what_was_committed(run):
    client, redis = run.client(), run.redis()
    client.topic("txstream")
    one = Transaction(client, "stream")
    same((one.add("txstream", 0), one.put("txstream", 0, b"a"), one.end(True)), ([0], 0, 0))  # 1-0, and its marker
    same((one.add("txstream", 0), one.put("txstream", 0, b"b"), one.end(False)), ([0], 0, 0))  # 3-0, aborted
    same((one.add("txstream", 0), one.put("txstream", 0, b"c")), ([0], 0))  # 5-0, open
    first, third = [b"1-0", [b"value", b"a"]], [b"5-0", [b"value", b"c"]]
    same(redis.call("XRANGE", "txstream", "-", "+"), [first])
    same(redis.call("XREVRANGE", "txstream", "+", "-", "COUNT", 1), [first])
    same(redis.call("XREAD", "STREAMS", "txstream", "0"), [[b"txstream", [first]]])
    same(one.end(True), 0)
    same(redis.call("XRANGE", "txstream", "-", "+"), [first, third])
    same(redis.call("XREVRANGE", "txstream", "+", "-", "COUNT", 1), [third])


@case
def an_id_above_the_end_waits_its_time(run):
    redis, other = run.redis(), run.redis()
    other.call("XADD", "low", "*", "value", "x")
    begin = time.monotonic()
    same(redis.call("XREAD", "BLOCK", 300, "STREAMS", "low", "absent", "1526919030474-0", "0"), None)
    assert 0.25 < time.monotonic() - begin < 5
    same(redis.call("XRANGE", "low", "-", "-"), [])


# ---- Ends ---------------------------------------------------------------------------------------------------

@case
def garbage_ends_its_own_connection_only(run):
    client = run.client()
    client.topic("calm")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
                    b"\0\0\0\x08\x03\xe7\0\0\0\0\0\1", b"\0\0\0\x0c\0\3\0\5\0\0\0\1\xff\xff\x7f\xff\xff\xff", bytes(100)):
        other = run.client()
        other.socket.sendall(garbage)
        try:
            while other.socket.recv(4096):
                pass
        except ConnectionError:
            pass
        other.close()
    same(client.produce("calm", 0, batch([b"x"])), (0, 0))


@case
def a_stop_does_not_wait_for_long_polls(run):
    clients = [run.client() for _ in range(8)]
    clients[0].topic("poll", 4)
    for i, client in enumerate(clients):
        client.send("Fetch", 11, MaxWaitMs=30000, Topics=[{"Name": "poll", "Partitions": [
            {"Partition": p, "FetchOffset": 0} for p in range(4)]}])
    redis = run.redis()
    redis.send("XREAD", "BLOCK", 0, "STREAMS", "poll", "$")
    same(run.client().topic("poll")["ErrorCode"], 0)
    begin = time.monotonic()
    run.restart()
    assert time.monotonic() - begin < 5, "it took %.1f s" % (time.monotonic() - begin)


@case
def a_folder_in_use_is_refused(run):
    second = subprocess.run([os.environ["WEIR"], "serve", "--cores", "1", "--redis-port", "0", "--kafka-port", "0", "--data", run.data],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    same(second.returncode, 1)
    assert run.data in second.stdout, second.stdout
    client = run.client()
    client.topic("mine")
    same(client.produce("mine", 0, batch([b"x"])), (0, 0))


@case
def kcat_produces_and_consumes(run):
    if not shutil.which("kcat"):
        return
    at = ["-b", "127.0.0.1:%d" % run.server.kafka_port, "-t", "kcat", "-p", "0"]
    text = "".join("line %d\n" % i for i in range(1000))
    for codec in ("none", "gzip", "lz4", "snappy", "zstd"):
        subprocess.run(["kcat", "-P", *at, "-z", codec, "-X", "enable.idempotence=true"], input=text, text=True, check=True, timeout=30)
    got = subprocess.run(["kcat", "-C", "-e", "-q", *at], capture_output=True, text=True, check=True, timeout=30)
    same(got.stdout, text * 5)


class Run:
    """A server that can be started again on the same data; the connections of a case end with it."""

    def __init__(self, data):
        self.data, self.clients, self.failures = data, [], []
        self.server = Server(CORES, IO, data=data)

    def client(self):
        client = Client(self.server.kafka_port)
        self.clients.append(client)
        client.topic("warm")  # a start is over
        return client

    def redis(self):
        client = resp.Client(self.server.port)
        self.clients.append(client)
        return client

    def restart(self):
        if self.server.stop() != 0:
            raise AssertionError("a stop failed:\n" + "".join(self.server.lines[-20:]))
        self.server = Server(CORES, IO, data=self.data)

    def guarded(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:
            self.failures.append(error)

    def end_case(self):
        for client in self.clients:
            client.close()
        failures, self.clients, self.failures = self.failures, [], []
        if failures:
            raise failures[0]


def main():
    failed = 0
    with tempfile.TemporaryDirectory(prefix="weir-kafka-") as data:
        run = Run(data)
        try:
            for function in CASES:
                begin = time.monotonic()
                try:
                    function(run)
                    run.end_case()
                except Exception as error:
                    failed += 1
                    line = error.__traceback__
                    while line.tb_next and line.tb_next.tb_frame.f_code.co_filename == __file__:
                        line = line.tb_next
                    print("FAILED %s, line %d: %r" % (function.__name__, line.tb_lineno, error))
                    run.clients, run.failures = [], []
                    if run.server.process.poll() is not None:
                        print("".join(run.server.lines[-40:]))
                        run.server = Server(CORES, IO, data=data)
                else:
                    print("ok %s %.2f s" % (function.__name__, time.monotonic() - begin))
            if run.server.stop() != 0:
                sys.exit("the last stop failed:\n" + "".join(run.server.lines[-20:]))
        finally:
            if run.server.process.poll() is None:
                run.server.kill()
    sys.exit(1 if failed else 0)


main()
