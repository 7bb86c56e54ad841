#!/usr/bin/env python3
"""crash_test.py IO LEVEL - weir is killed again and again while producers write; what was acknowledged is there once, in order.

Each producer is idempotent and pipelines; after a crash it sends again, in order, what it has no answer to. The server is killed
(SIGKILL, now and then stopped with SIGTERM) at random moments and started on the same data with another number of cores. At the
end every topic is as answered, every partition holds each producer's numbers 0, 1, 2 ... without a gap and without a second copy, every answer's offset holds the
record it was given for, commits are where they were acknowledged, and no producer id was given out twice.

LEVEL is the topic's weir.durability: synced or written; the system lives on, so both lose nothing (memory would).

$WEIR_CRASHES is how often (12), $WEIR_SEED the seed of the moments.
"""
import collections
import os
import random
import sys
import tempfile
import threading
import time

from kafka import Client, batch, LATER
from server import Server

IO, LEVEL = sys.argv[1:]
CRASHES = int(os.environ.get("WEIR_CRASHES", 12))
SEED = int(os.environ.get("WEIR_SEED", time.time_ns() % 1000000))
CORES = (4, 1, 2)
PARTITIONS, PRODUCERS, IN_FLIGHT = 4, 4, 5
BROKEN = (OSError, ConnectionError, EOFError)


class State:
    """What all threads know."""

    def __init__(self):
        self.server = self.port = None
        self.ending = False
        self.failures = []
        self.lock = threading.Lock()
        self.producer_ids = []

    def fail(self, text):
        with self.lock:
            self.failures.append(text)
        self.ending = True


class Worker(threading.Thread):
    """Works over one connection, and over the next one when that breaks, until all ends."""

    def __init__(self, state, seed):
        super().__init__(daemon=True)
        self.state, self.random = state, random.Random(seed)

    def run(self):
        while not self.over():
            client = None
            try:
                client = Client(self.state.port)
                self.work(client)
            except BROKEN:
                time.sleep(0.01)
            except Exception as error:
                self.state.fail("%s: %r" % (type(self).__name__, error))
                raise
            finally:
                if client:
                    client.close()

    def over(self):
        return self.state.ending


class Producer(Worker):
    def __init__(self, state, seed, number, topic):
        super().__init__(state, seed)
        self.number, self.topic, self.id = number, topic, None
        self.next = [0] * PARTITIONS  # number of the next new record
        self.unanswered = [collections.deque() for _ in range(PARTITIONS)]  # (first number, values)
        self.answered = [[] for _ in range(PARTITIONS)]  # (base offset, first number, count)

    def over(self):
        return self.state.failures or (self.state.ending and not any(self.unanswered))

    def work(self, client):
        fresh = client.producer()
        with self.state.lock:
            self.state.producer_ids.append(fresh[0])
        self.id = self.id or fresh
        sent = collections.deque()  # partitions, in the order of their answers
        for partition in range(PARTITIONS):
            for waiting in self.unanswered[partition]:
                self.send(client, sent, partition, waiting)
                if not self.answered[partition]:
                    break
        while not self.over():
            while len(sent) < IN_FLIGHT * PARTITIONS and not self.state.ending:
                ready = [p for p in range(PARTITIONS) if len(self.unanswered[p]) < (IN_FLIGHT if self.answered[p] else 1)]
                if not ready:
                    break
                partition = self.random.choice(ready)
                first, count = self.next[partition], self.random.choice((1, 1, 2, 7, 30))
                size = self.random.choice((0, 10, 200))
                waiting = (first, [b"%d %d " % (self.number, first + i) + b"x" * size for i in range(count)])
                self.next[partition] += count
                self.unanswered[partition].append(waiting)
                self.send(client, sent, partition, waiting)
            if sent:
                self.receive(client, sent.popleft())
            elif not self.over():
                break

    def send(self, client, sent, partition, waiting):
        client.send("Produce", 7, Acks=-1, Topics=[{"Name": self.topic, "Partitions": [
            {"Index": partition, "Records": batch(waiting[1], self.id, waiting[0])}]}])
        sent.append(partition)

    def receive(self, client, partition):
        done = client.read()["Topics"][0]["Partitions"][0]
        if done["ErrorCode"] in LATER or done["ErrorCode"] == 3 and not self.answered[partition]:
            raise ConnectionError("later")  # all of it again, in order
        first, values = self.unanswered[partition][0]
        if done["ErrorCode"] != 0 or done["Index"] != partition:
            return self.state.fail("producer %d: error %d at %d of partition %d" % (self.number, done["ErrorCode"], first, partition))
        self.unanswered[partition].popleft()
        self.answered[partition].append((done["BaseOffset"], first, len(values)))


class Committer(Worker):
    def __init__(self, state, seed, topic):
        super().__init__(state, seed)
        self.topic, self.tried, self.done = topic, 0, 0

    def work(self, client):
        self.check(client)
        while not self.over():
            self.tried += 1
            error = client.commit("crash-group", self.topic, 1, self.tried)
            if error == 0:
                self.done = self.tried
            elif error not in LATER:
                self.state.fail("a commit: error %d" % error)

    def check(self, client):
        found = client.committed("crash-group", self.topic, 1)
        if not (self.done or -1) <= found <= self.tried:
            self.state.fail("committed is %d, not %d to %d" % (found, self.done, self.tried))


class Maker(Worker):
    """Makes and deletes topics; whatever was answered holds after a crash, and what was not is one or the other, for good."""

    def __init__(self, state, seed):
        super().__init__(state, seed)
        self.there = {"made-%d" % i: {False} for i in range(6)}  # what each may be

    def work(self, client):
        self.check(client)
        while not self.over():
            name = self.random.choice(sorted(self.there))
            make = self.there[name] == {False}
            self.there[name] = {True, False}
            if make:
                topics = [{"Name": name, "Partitions": self.random.choice((1, 5))}]
                error = client.call("CreateTopics", 4, Topics=topics)["Topics"][0]["ErrorCode"]
            else:
                client.produce(name, 0, batch([b"x"]))
                error = client.call("DeleteTopics", 3, Names=[name])["Topics"][0]["ErrorCode"]
            if error == 0:
                self.there[name] = {make}
            elif error in LATER:
                raise ConnectionError("later")
            else:
                return self.state.fail("%s of %s: error %d" % ("create" if make else "delete", name, error))

    def check(self, client):
        for name, allowed in self.there.items():
            error = client.call("Metadata", 5, Topics=[{"Name": name}], AllowAutoTopicCreation=0)["Topics"][0]["ErrorCode"]
            if error in LATER:
                raise ConnectionError("later")
            if error not in (0, 3) or (error == 0) not in allowed:
                self.state.fail("%s: Metadata says %d, not %r" % (name, error, allowed))
            self.there[name] = {error == 0}


def check_partition(client, topic, partition, producers):
    """Each producer's numbers in order, once; the answers' offsets true."""
    failures, by_offset, next_number = [], {}, [0] * PRODUCERS
    expected = 0
    for offset, _, _, value in client.everything(topic, partition):
        if offset != expected:
            failures.append("partition %d: offset %d follows %d" % (partition, offset, expected - 1))
        expected = offset + 1
        producer, number = map(int, value.split()[:2])
        by_offset[offset] = producer, number
        if number != next_number[producer]:
            failures.append("partition %d offset %d: producer %d has %d, not %d" % (partition, offset, producer, number,
                                                                                  next_number[producer]))
        next_number[producer] = number + 1
    for producer in producers:
        if next_number[producer.number] != producer.next[partition]:
            failures.append("partition %d: producer %d ends at %d, not %d" % (partition, producer.number,
                                                                             next_number[producer.number], producer.next[partition]))
        for base, first, count in producer.answered[partition]:
            if any(by_offset.get(base + i) != (producer.number, first + i) for i in range(count)):
                failures.append("partition %d: not what was acknowledged at %d" % (partition, base))
    return expected, failures[:5]


def crash_often(state, data, moments):
    server = Server(CORES[0], IO, data=data)
    state.port = server.kafka_port
    yield server
    for crash in range(CRASHES):
        end = time.monotonic() + moments.choice((0.05, 0.3, 1, 2)) * moments.random()
        while time.monotonic() < end and not state.ending:
            time.sleep(0.005)
        if crash % 4 == 3:
            status = server.stop()
            if status != 0:
                state.fail("a stop ended with %d:\n%s" % (status, "".join(server.lines[-20:])))
        else:
            server.kill()
        server = Server(CORES[(crash + 1) % len(CORES)], IO, data=data)
        state.port = server.kafka_port
        yield server


def write_through_crashes(state, data):
    moments = random.Random(SEED)
    runs = crash_often(state, data, moments)
    state.server = next(runs)
    client = Client(state.port)
    client.topic("crash", PARTITIONS, weir_durability=LEVEL)
    client.close()
    producers = [Producer(state, SEED + i, i, "crash") for i in range(PRODUCERS)]
    committer, maker = Committer(state, SEED, "crash"), Maker(state, SEED)
    workers = (*producers, committer, maker)
    for worker in workers:
        worker.start()
    for state.server in runs:
        if state.failures:
            break
    time.sleep(0.5)
    state.ending = True
    for worker in workers:
        worker.join(30)
        if worker.is_alive():
            state.fail("%s does not end" % type(worker).__name__)
    return producers, committer, maker


def check_all(state, producers, committer, maker):
    total, client = 0, Client(state.port)
    for partition in range(PARTITIONS):
        count, failures = check_partition(client, "crash", partition, producers)
        total += count
        state.failures += failures
    committer.check(client)
    maker.check(client)
    if len(set(state.producer_ids)) != len(state.producer_ids):
        state.fail("a producer id was given out twice: %r" % sorted(state.producer_ids))
    print("%d crashes, %d records, %d commits, %d producer ids" % (CRASHES, total, committer.done, len(state.producer_ids)))
    if total == 0 or committer.done == 0:
        state.fail("nothing was written")


def main():
    state = State()
    print("seed %d" % SEED, flush=True)
    with tempfile.TemporaryDirectory(prefix="weir-crash-") as data:
        try:
            check_all(state, *write_through_crashes(state, data))
            if state.server.stop() != 0:
                state.fail("the last stop failed")
        finally:
            if state.server and state.server.process.returncode is None:
                state.server.kill()
    if state.failures:
        sys.exit("".join(state.server.lines[-20:]) + "".join("FAILED %s\n" % failure for failure in state.failures))


main()
