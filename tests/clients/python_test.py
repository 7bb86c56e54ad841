#!/usr/bin/env python3
"""python_test.py CORES IO - many raw connections at once: what a stepped test cannot show, with real threads of the server."""
import socket
import sys
import threading
import time

from resp import Client, Error, Push
from server import Server

CORES, IO = int(sys.argv[1]), sys.argv[2]
CASES = []


def case(function):
    CASES.append(function)
    return function


def same(got, wanted):
    if got != wanted:
        raise AssertionError("got %.200r, not %.200r" % (got, wanted))


@case
def every_subscriber_gets_every_message_in_order(port):
    subscribers = [Client(port) for _ in range(40)]
    publisher = Client(port)
    for subscriber in subscribers:
        same(subscriber.call("SUBSCRIBE", "order"), [b"subscribe", b"order", 1])
    publisher.socket.sendall(b"".join(Client.encode("PUBLISH", "order", i) for i in range(2000)))
    same([publisher.read() for _ in range(2000)], [40] * 2000)
    for subscriber in subscribers:
        same([subscriber.read()[2] for _ in range(2000)], [b"%d" % i for i in range(2000)])


@case
def a_confirmed_subscription_misses_nothing_anywhere(port):
    publishers = [Client(port) for _ in range(8)]
    for round_number in range(100):
        subscriber = Client(port)
        channel = "race-%d" % round_number
        subscriber.call("SUBSCRIBE", channel)
        for publisher in publishers:
            same(publisher.call("PUBLISH", channel, "x"), 1)
        same([subscriber.read()[2] for _ in publishers], [b"x"] * len(publishers))
        same(subscriber.call("UNSUBSCRIBE", channel), [b"unsubscribe", channel.encode(), 0])
        for publisher in publishers:
            same(publisher.call("PUBLISH", channel, "x"), 0)
        subscriber.close()


@case
def publishers_at_once_keep_each_its_order(port):
    subscriber = Client(port)
    subscriber.call("SUBSCRIBE", "many")

    def publish(number):
        client = Client(port)
        client.socket.sendall(b"".join(Client.encode("PUBLISH", "many", "%d:%d" % (number, i)) for i in range(3000)))
        same([client.read() for _ in range(3000)], [1] * 3000)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    seen = {number: 0 for number in range(4)}
    for _ in range(4 * 3000):
        number, i = map(int, subscriber.read()[2].split(b":"))
        same(i, seen[number])
        seen[number] += 1
    for thread in threads:
        thread.join()


@case
def large_and_binary_bodies_are_unchanged(port):
    subscriber, publisher = Client(port), Client(port)
    subscriber.call("SUBSCRIBE", b"\x00\xff bin")
    for size in (0, 1, 39, 40, 41, 4095, 16384, 65536, 1 << 20, 8 << 20):
        body = bytes(i * 31 & 255 for i in range(min(size, 4096))) * (size // 4096 + 1)
        body = body[:size]
        same(publisher.call("PUBLISH", b"\x00\xff bin", body), 1)
        same(subscriber.read()[2] == body, True)


@case
def a_client_that_vanishes_is_unsubscribed(port):
    gone, publisher = Client(port), Client(port)
    gone.call("SUBSCRIBE", "gone")
    gone.call("PSUBSCRIBE", "gon*")
    gone.close()
    deadline = time.monotonic() + 10
    while publisher.call("PUBLISH", "gone", "x") != 0:
        same(time.monotonic() < deadline, True)
    same(publisher.call("PUBSUB", "NUMSUB", "gone"), [b"gone", 0])


@case
def half_closed_input_is_still_answered(port):
    client = Client(port)
    client.socket.sendall(b"PING\r\nECHO bye\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    same(client.file.read(), b"+PONG\r\n$3\r\nbye\r\n")


@case
def an_event_that_was_counted_comes_before_the_unsubscribe_that_follows_it(port):
    """The publisher has its answer before the subscriber asks to leave: on whatever reactors, the event was first."""
    subscribers, publishers = [Client(port) for _ in range(4)], [Client(port) for _ in range(4)]
    for i in range(100):
        for subscriber in subscribers:
            subscriber.call("SUBSCRIBE", "causal")
            same(publishers[i % 4].call("PUBLISH", "causal", str(i)), 1)
            subscriber.send("UNSUBSCRIBE", "causal")
            same(subscriber.read()[0], b"message")
            same(subscriber.read()[0], b"unsubscribe")


@case
def who_never_reads_stops_nobody(port):
    idle, reader, publisher = Client(port, receive_bytes=4096), Client(port), Client(port)
    idle.send("SUBSCRIBE", "slow")
    reader.call("SUBSCRIBE", "slow")
    while publisher.call("PUBSUB", "NUMSUB", "slow")[1] < 2:
        pass
    body = b"x" * 65536
    for _ in range(300):
        publisher.call("PUBLISH", "slow", body)
        same(len(reader.read()[2]), len(body))
    lines = publisher.call("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()
    waiting = [int(line.split(" window=")[1].split()[0]) for line in lines]
    same(max(waiting) > 1 << 20, True)
    idle.close()


@case
def hostile_bytes_end_only_their_own_connection(port):
    for bad in (b"*1\r\n:5\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"*-2147483649\r\n",
                b"$" * 70000, b"*3\r\n$7\r\nPUBLISH\r\n$-1\r\n", b"\r\n" * 1000 + b"*1\r\n$4\r\nQUIT\r\n"):
        client = Client(port)
        try:
            client.socket.sendall(bad)
            client.socket.shutdown(socket.SHUT_WR)
            client.file.read()
        except ConnectionError:
            pass
        client.close()
    same(Client(port).call("PING"), "PONG")


@case
def a_resp3_client_hears_itself_before_its_count(port):
    client = Client(port, 3)
    same(client.call("SUBSCRIBE", "self"), Push([b"subscribe", b"self", 1]))
    for i in range(100):
        client.send("PUBLISH", "self", i)
        same([client.read(), client.read()], [[b"message", b"self", b"%d" % i], 1])


@case
def counters_of_all_reactors_are_shown(port):
    client = Client(port)
    info = dict(line.split(":", 1) for line in client.call("INFO").decode().splitlines() if ":" in line)
    same((info["redis_mode"], info["loading"], info["role"], int(info["tcp_port"])), ("standalone", "0", "master", port))
    same([name for name in info if name.startswith("reactor_")], ["reactor_%d" % i for i in range(CORES)])
    same(int(info["weir_published"]) > 0, True)
    same(isinstance(client.call("NOSUCH"), Error), True)


def main():
    failed = 0
    with Server(CORES, IO) as server:
        for function in CASES:
            try:
                function(server.port)
                print("ok", function.__name__)
            except Exception as error:
                failed += 1
                print("FAIL", function.__name__, error)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
