"""limits_test.py IO - publish_limits of a file, by address, topic and process, in each mode, on real sockets."""
import re
import sys
import time

from resp import Client, Error
from server import Server

IO = sys.argv[1]


def same(got, wanted):
    if got != wanted:
        raise AssertionError("got %.300r, not %.300r" % (got, wanted))


def limited(level, rule, cores=1):
    return Server(cores, IO, "publish_limits:\n  %s: %s\n" % (level, rule))


def publish(client, count, topic="t"):
    """Answers, and the seconds until the last."""
    begun = time.monotonic()
    client.socket.sendall(b"".join(Client.encode("PUBLISH", topic, i) for i in range(count)))
    answers = [client.read() for _ in range(count)]
    return answers, time.monotonic() - begun


def counter(client, name):
    text = client.call("INFO", "weir").decode()
    found = [line for line in text.splitlines() if line.startswith(name + ":")]
    if not found:
        raise AssertionError("no %s in:\n%s" % (name, text))
    return int(found[0].split(":")[1])


def reactors_of(client):
    return set(re.findall(r" reactor=(\d+)", client.call("CLIENT", "LIST").decode()))


def shape_delays_and_loses_nothing():
    for level in ("address", "topic", "process"):
        with limited(level, "{rate: 100, burst: 20}") as server:
            subscriber, publisher = Client(server.port), Client(server.port)
            subscriber.call("SUBSCRIBE", "t")
            answers, seconds = publish(publisher, 70)
            same(answers, [1] * 70)
            same([subscriber.read()[2] for _ in range(70)], [b"%d" % i for i in range(70)])
            # 20 at once, then 100 a second: 50 take half a second; a lease may bring a few early.
            if not 0.35 < seconds < 5:
                raise AssertionError("%s: 70 events took %.2f s" % (level, seconds))
            same(publisher.call("PING"), "PONG")


def police_rejects_with_an_error():
    for level in ("address", "topic", "process"):
        with limited(level, "{rate: 1, burst: 10, mode: police}") as server:
            subscriber, publisher = Client(server.port), Client(server.port)
            subscriber.call("SUBSCRIBE", "t")
            answers, seconds = publish(publisher, 40)
            taken = [i for i, answer in enumerate(answers) if answer == 1]
            errors = [answer for answer in answers if isinstance(answer, Error)]
            same(len(taken) + len(errors), 40)
            if not 10 <= len(taken) <= 13:
                raise AssertionError("%s: %d of 40 were taken, the burst is 10" % (level, len(taken)))
            same(taken[:10], list(range(10)))
            same([subscriber.read()[2] for _ in taken], [b"%d" % i for i in taken])
            if seconds > 2:
                raise AssertionError("a rejection took %.2f s" % seconds)
            same({str(error) for error in errors}, {"ERR max publish rate exceeded"})
            same(counter(publisher, "weir_throttled_reject"), len(errors))


def observe_lets_through_and_counts():
    for level in ("address", "topic", "process"):
        with limited(level, "{rate: 1, burst: 10, mode: observe}") as server:
            publisher = Client(server.port)
            answers, seconds = publish(publisher, 200)
            same(answers, [0] * 200)
            if seconds > 2:
                raise AssertionError("observing delayed: %.2f s" % seconds)
            observed = counter(publisher, "weir_throttled_observed")
            if not 185 <= observed <= 190:
                raise AssertionError("%s: of 200 events over a burst of 10, %d were counted" % (level, observed))


def each_topic_has_a_bucket_of_its_own():
    with limited("topic", "{rate: 1, burst: 10, mode: police}") as server:
        publisher = Client(server.port)
        for topic in ("a", "b", "c"):
            same(publish(publisher, 10, topic)[0], [0] * 10)
        if not isinstance(publisher.call("PUBLISH", "a", "x"), Error):
            raise AssertionError("topic a had an eleventh event")


def connections_of_an_address_share_its_bucket():
    with limited("address", "{rate: 1, burst: 10, mode: police}") as server:
        taken = 0
        for _ in range(4):
            taken += sum(answer == 0 for answer in publish(Client(server.port), 10)[0])
        if not 10 <= taken <= 14:
            raise AssertionError("four connections had %d events, the burst is 10" % taken)


def each_limit_is_one_over_all_cores():
    """What a core has borrowed and not used, here one event, another may miss until it goes back."""
    for level in ("address", "topic", "process"):
        for cores in (2, 4):
            for burst, least in ((5, 5), (160, 160 - cores)):
                with limited(level, "{rate: 1, burst: %d, mode: police}" % burst, cores) as server:
                    clients = [Client(server.port) for _ in range(16)]
                    begun = time.monotonic()
                    for client in clients:
                        client.socket.sendall(b"".join(Client.encode("PUBLISH", "t", i) for i in range(40)))
                    taken = sum(client.read() == 0 for client in clients for _ in range(40))
                    seconds = int(time.monotonic() - begun) + 1
                    if len(reactors_of(clients[0])) < 2:
                        raise AssertionError("16 connections are all on one core")
                    if not least <= taken <= burst + seconds:
                        raise AssertionError("%s: on %d cores %d events were taken, the burst is %d"
                                             % (level, cores, taken, burst))


def a_delayed_client_delays_nobody_else():
    with limited("topic", "{rate: 1, burst: 1}") as server:
        slow, other = Client(server.port), Client(server.port)
        slow.socket.sendall(b"".join(Client.encode("PUBLISH", "slow", i) for i in range(50)))
        same(slow.read(), 0)
        begun = time.monotonic()
        for i in range(100):
            same(other.call("PING"), "PONG")
        if time.monotonic() - begun > 2:
            raise AssertionError("others waited too")


def a_limit_is_not_for_subscribers_or_pings():
    with limited("process", "{rate: 1, burst: 1, mode: police}") as server:
        client = Client(server.port)
        publish(client, 5)
        for i in range(20):
            same(client.call("PING"), "PONG")
        same(client.call("SUBSCRIBE", "t"), [b"subscribe", b"t", 1])
        same(client.call("UNSUBSCRIBE", "t"), [b"unsubscribe", b"t", 0])


for case in (shape_delays_and_loses_nothing, police_rejects_with_an_error,
             observe_lets_through_and_counts, each_topic_has_a_bucket_of_its_own,
             connections_of_an_address_share_its_bucket, each_limit_is_one_over_all_cores, a_delayed_client_delays_nobody_else,
             a_limit_is_not_for_subscribers_or_pings):
    print(case.__name__, flush=True)
    case()
