"""slow_test.py IO - what becomes of a subscriber that does not read, as the file says it, with a real slow socket."""
import sys
import time

from resp import Client
from server import Server

IO = sys.argv[1]
BODY = b"x" * 16384 # events are numbered in front of it
EVENTS = 1500       # 24 MB: more than the sockets of both sides hold


def same(got, wanted):
    if got != wanted:
        raise AssertionError("got %.300r, not %.300r" % (got, wanted))


def check(good, text):
    if not good:
        raise AssertionError(text)


def sleeper(server, topic):
    """A subscriber that reads nothing more; its buffers are small."""
    client = Client(server.port, receive_bytes=4096)
    client.call("CLIENT", "SETNAME", 'a"level=\\b')
    client.call("SUBSCRIBE", topic)
    return client


def flood(server, topic, count=EVENTS):
    publisher = Client(server.port)
    publisher.socket.settimeout(60)
    for i in range(count):
        publisher.send("PUBLISH", topic, b"%06d" % i + BODY)
        answer = publisher.read()
        check(answer in (0, 1, 2), "publishing answered %r" % answer)
    return publisher


def numbers(client, last):
    """What arrives, up to the event `last` or the end."""
    got = []
    client.socket.settimeout(20)
    try:
        while not got or got[-1] != last:
            got.append(int(client.read()[2][:6]))
    except (ConnectionError, TypeError):
        got.append(None)
    return got


def info(server, name):
    text = Client(server.port).call("INFO", "weir").decode()
    found = [line.split(":")[1] for line in text.splitlines() if line.startswith(name + ":")]
    check(found, "no %s in:\n%s" % (name, text))
    return int(found[0])


def close_disconnects_it():
    with Server(1, IO, "slow_subscribers: {slow: close, window: 1mb, no_progress: 2s}\n") as server:
        client = sleeper(server, "t")
        flood(server, "t")
        deadline = time.monotonic() + 20
        while info(server, "weir_redis_subscriber_clients") != 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        got = numbers(client, EVENTS - 1)
        same(got[-1], None)
        same(got[:-1], list(range(len(got) - 1)))
        said = [line for line in server.lines if "slow subscriber dropped" in line]
        check(said, "the log says nothing")
        check('name="a\\"level=\\\\b" why=' in said[0], "its name got out of its quotes: " + said[0])


def drop_oldest_keeps_the_last():
    with Server(1, IO, "slow_subscribers: {slow: drop-oldest, window: 1mb}\n") as server:
        client = sleeper(server, "t")
        flood(server, "t")
        got = numbers(client, EVENTS - 1)
        same(got[-1], EVENTS - 1)
        same(got, sorted(set(got)))
        check(len(got) < EVENTS, "nothing was dropped, so nothing was tested")
        check(EVENTS - 2 in got and got[0] == 0, "not the oldest: %r" % got[-5:])


def drop_newest_keeps_the_first():
    with Server(1, IO, "slow_subscribers: {slow: drop-newest, window: 1mb}\n") as server:
        client = sleeper(server, "t")
        publisher = flood(server, "t")
        got = []
        client.socket.settimeout(2)
        try:
            while True:
                got.append(int(client.read()[2][:6]))
        except TimeoutError:
            pass
        same(got, list(range(len(got))))
        check(0 < len(got) < EVENTS, "%d of %d arrived" % (len(got), EVENTS))
        same(publisher.call("PUBLISH", "t", b"%06d" % EVENTS), 1) # it has room again
        client.socket.settimeout(20)
        client.file = client.socket.makefile("rb")
        same(client.read()[2], b"%06d" % EVENTS)


def pause_makes_publishers_wait_and_loses_nothing():
    with Server(1, IO, "slow_subscribers: {slow: pause, window: 256kb, pause_at_most: 30s}\n") as server:
        client = sleeper(server, "t")
        publisher = Client(server.port)
        publisher.socket.sendall(b"".join(Client.encode("PUBLISH", "t", b"%06d" % i + BODY) for i in range(60)))
        publisher.socket.settimeout(0.5)
        sent = 60
        try:
            while sent < EVENTS:
                publisher.socket.sendall(Client.encode("PUBLISH", "t", b"%06d" % sent + BODY))
                sent += 1
        except TimeoutError:
            pass # the last one is cut somewhere
        check(sent < EVENTS, "the publisher never waited")
        got = []
        client.socket.settimeout(20)
        while len(got) < sent:
            got.append(int(client.read()[2][:6]))
        same(got, list(range(sent)))


def a_pause_ends_with_the_one_who_does_not_read():
    with Server(1, IO, "slow_subscribers: {slow: pause, window: 256kb, pause_at_most: 500ms}\n") as server:
        client = sleeper(server, "t")
        begun = time.monotonic()
        publisher = flood(server, "t")
        check(time.monotonic() - begun > 0.4, "the publisher never waited")
        same(publisher.call("PUBLISH", "t", "x"), 0)
        same(numbers(client, EVENTS)[-1], None)


def no_progress_counts_whatever_the_policy():
    with Server(1, IO, "slow_subscribers: {slow: drop-oldest, window: 1mb, no_progress: 1s}\n") as server:
        client = sleeper(server, "t")
        publisher = flood(server, "t")
        deadline = time.monotonic() + 20
        while publisher.call("PUBLISH", "t", "x") != 0:
            check(time.monotonic() < deadline, "it is still there")
            time.sleep(0.1)
        same(numbers(client, EVENTS)[-1], None)


def soft_window_disconnects_after_its_time():
    config = "slow_subscribers: {slow: close, window: 64mb, soft_window: 512kb, soft_for: 1s, no_progress: 0}\n"
    with Server(1, IO, config) as server:
        client = sleeper(server, "t")
        publisher = flood(server, "t", 1000)
        deadline = time.monotonic() + 20
        while publisher.call("PUBLISH", "t", "x") != 0:
            check(time.monotonic() < deadline, "it is still there")
            time.sleep(0.1)
        same(numbers(client, EVENTS)[-1], None)


def topics_have_their_own_policies():
    config = ("topics:\n  \"q.*\": {slow: drop-oldest}\n  \"*\": {slow: close}\n"
              "slow_subscribers: {window: 1mb, no_progress: 60s}\n")
    with Server(2, IO, config) as server:
        quotes, orders = sleeper(server, "q.eu"), sleeper(server, "orders")
        flood(server, "q.eu")
        flood(server, "orders")
        same(numbers(quotes, EVENTS - 1)[-1], EVENTS - 1)
        same(numbers(orders, EVENTS)[-1], None)


def others_do_not_notice():
    with Server(2, IO, "slow_subscribers: {slow: drop-oldest, window: 1mb}\n") as server:
        sleeping, awake = sleeper(server, "t"), Client(server.port)
        awake.call("SUBSCRIBE", "t")
        publisher = Client(server.port)
        for i in range(EVENTS):
            same(publisher.call("PUBLISH", "t", b"%06d" % i + BODY), 2)
            same(int(awake.read()[2][:6]), i)
        sleeping.close()


for case in (close_disconnects_it, drop_oldest_keeps_the_last, drop_newest_keeps_the_first,
             pause_makes_publishers_wait_and_loses_nothing, a_pause_ends_with_the_one_who_does_not_read,
             no_progress_counts_whatever_the_policy, soft_window_disconnects_after_its_time,
             topics_have_their_own_policies, others_do_not_notice):
    begun = time.monotonic()
    case()
    print("%s %.1f s" % (case.__name__, time.monotonic() - begun), flush=True)
