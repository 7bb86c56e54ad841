"""compare/contests.py - the rows of the budgets: who is measured against whom, how, and how far ahead weir should be.

A contest is a set of contestants that take turns, round by round. measure(contestant) gives {what: value} for one round.
"""
import json
import os
import subprocess
import tempfile
import time

from compare.programs import Answering, Failed, Server, free_port, run_load


class Figure:
    """One row of a contest: which value, and by which factor weir should lead each rival (None: shown only)."""

    def __init__(self, name, what, unit, goals, higher=True):
        self.name, self.what, self.unit, self.goals, self.higher = name, what, unit, goals, higher


class Contest:
    def __init__(self, name, rounds, figures, contestants):
        self.name, self.rounds, self.figures, self.contestants = name, rounds, figures, contestants

    def begin(self, contestant):
        pass

    def end(self):
        pass


class Asked(Contest):
    """Programs that answer. contestants: {name: (program, case)}, or {name: number} for what needs no measuring."""

    def __init__(self, house, name, rounds, unit, contestants, goals):
        higher = unit != "ns"
        super().__init__(name, rounds, [Figure(name, "value", unit, goals, higher)], contestants)
        self.house = house

    def measure(self, contestant):
        who = self.contestants[contestant]
        if isinstance(who, (int, float)):
            return {"value": float(who)}
        program, case = who
        return {"value": self.house.answering(program).ask(case, self.house.ms)}


class Served(Contest):
    """Servers under the same load. contestants: {name: command}; {0} {1} in it become ports, the last one being TCP."""

    def __init__(self, house, name, rounds, figures, contestants, load, ports=1):
        super().__init__(name, rounds, figures, contestants)
        self.house, self.load, self.ports, self.servers = house, load, ports, {}

    def begin(self, contestant):
        self.servers[contestant] = Server(self.contestants[contestant], self.ports)

    def measure(self, contestant):
        server = self.servers[contestant]
        before = server.cpu_ns()
        values = run_load(self.load(contestant, server.ports), 60 + self.house.load_ms / 100)
        if values.get("count"):
            values["cpu"] = (server.cpu_ns() - before) / values["count"]
        if values.get("lost"):
            self.house.lost.append((self.name, contestant, int(values["lost"])))
        return values

    def end(self):
        for server in self.servers.values():
            server.stop()
        self.servers = {}


class Started(Contest):
    """From before the fork to the first +PONG."""

    def __init__(self, house, name, rounds, figures, contestants):
        super().__init__(name, rounds, figures, contestants)
        self.house = house

    def measure(self, contestant):
        who = self.contestants[contestant]
        if isinstance(who, (int, float)):
            return {"pong": float(who)}
        port = free_port()
        load = [self.house.program("redis_load"), "start", "start", str(port)]
        return run_load(load + [word.format(port) for word in who], 30)


class Idle(Served):
    """A server nobody speaks to: its memory, its CPU time, and what a connection at rest costs."""

    def measure(self, contestant):
        server = self.servers[contestant]
        conn_count = 10000 if not self.house.quick else 1000
        rest_s = 3 if not self.house.quick else 1
        time.sleep(1)
        before_ns, from_s = server.cpu_ns(), time.monotonic()
        time.sleep(rest_s)
        cpu = (server.cpu_ns() - before_ns) / (time.monotonic() - from_s) / 1e7
        rss = server.rss_bytes()
        hold = subprocess.Popen([self.house.program("redis_load"), "idle", "idle", str(server.ports[-1]), str(conn_count)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if hold.stdout.readline().strip() != "held":
                raise Failed("the connections could not be held")
            time.sleep(1)
            return {"rss": rss / 2**20, "cpu_share": cpu, "conn": (server.rss_bytes() - rss) / conn_count}
        finally:
            hold.stdin.close()
            hold.wait()


class House:
    """Where the programs are, how long a repetition lasts, and what could not be had."""

    def __init__(self, root, build, quick):
        self.root, self.build, self.quick = root, build, quick
        self.rivals = os.path.join(build, "rivals")
        self.ms, self.load_ms = (100, 500) if quick else (250, 2000)
        self.rounds_ring, self.rounds = (3, 2) if quick else (11, 5)
        self.programs, self.lost, self.folder = {}, [], tempfile.TemporaryDirectory(prefix="weir-versus-")

    def program(self, name):
        return os.path.join(self.build, "bench", name)

    def rival(self, name):
        return os.path.join(self.rivals, name)

    def answering(self, command):
        key = json.dumps(command)
        if key not in self.programs:
            self.programs[key] = Answering(command)
        return self.programs[key]

    def stop(self):
        for program in self.programs.values():
            program.stop()
        self.folder.cleanup()


def there(command):
    """Is the program of a command there? A bare word is looked up in PATH."""
    if isinstance(command, (int, float)):
        return True
    words = command[0] if isinstance(command, tuple) else command
    word = words[3] if words[0] == "taskset" else words[0]
    return any(os.access(os.path.join(folder, word), os.X_OK) for folder in os.environ["PATH"].split(":"))


def rings(house):
    java = ["java", "-Xms1g", "-Xmx1g", "-XX:+UseParallelGC", "-cp", "{0}/lib/*:{0}/classes".format(house.rival("java")),
            "Rivals"]
    programs = {
        "weir": [house.program("weir_ring")], "rtrb": [house.rival("rust/ring")], "rte_ring": [house.rival("ring_rte")],
        "boost": [house.rival("ring_boost")], "ck_ring": [house.rival("ring_ck")], "disruptor": java + ["disruptor"],
        "jctools boxed": java + ["jctools"], "two cache lines": [house.rival("ring_lines")],
    }
    if not os.path.isdir(house.rival("java/classes")):
        del programs["disruptor"], programs["jctools boxed"]
    for kind in ("one", "burst", "trip"):
        for size in ("8B", "64B"):
            for slots in ("1k", "64k") if kind != "trip" else ("",):
                name = f"ring.{kind}.{size}" + (f".{slots}" if slots else "")
                entered = {who: (program, name) for who, program in programs.items()
                           if not (who == "ck_ring" and kind == "burst") and not (who == "jctools boxed" and size == "64B")
                           and not (who == "two cache lines" and kind != "trip")}
                goals = {who: None if who == "two cache lines" else 1.0 for who in entered if who != "weir"}
                yield Asked(house, name, house.rounds_ring, "ns" if kind == "trip" else "1/s", entered, goals)


def emitters(house):
    weir, array = [house.program("weir_emit")], [house.rival("emit_array")]
    node = ["node", house.rival("node/emit.js")]
    for count, lead in (("1", 3.0), ("10", 4.0)):
        case = f"emit.{count}"
        yield Asked(house, case, house.rounds, "1/s",
                    {"weir": (weir, case), "function pointers": (array, case), "Node events": (node + ["events"], case)},
                    {"function pointers": 0.7, "Node events": lead})
        case = f"emit.wild.{count}"
        yield Asked(house, case, house.rounds, "1/s",
                    {"weir": (weir, case), "eventemitter2": (node + ["eventemitter2"], case)}, {"eventemitter2": 20.0})
    yield Asked(house, "post.burst", house.rounds_ring, "1/s",
                {"weir": ([house.program("weir_post")], "post.burst"),
                 "bare ring": ([house.program("weir_ring")], "ring.burst.64B.1k")}, {"bare ring": 0.7})


def dispatchers(house):
    weir = [house.program("weir_dispatch")]
    pools = {"crossbeam": [house.rival("rust/dispatch"), "crossbeam"], "TBB": [house.rival("dispatch_tbb")],
             "tokio": [house.rival("rust/dispatch"), "tokio"]}
    for kind, lead in (("backlog", 1.9), ("burst", 1.5), ("empty", None)):
        case = f"dispatch.{kind}"
        entered = {"weir": (weir, case), **{who: (program, case) for who, program in pools.items()}}
        goals = {who: None if lead else 1.0 for who in pools}
        if lead:  # ratio: how many times the one core that makes the tasks; 2.0 would be perfect
            entered["one perfect core"], goals["one perfect core"] = 1e6, lead
        yield Asked(house, case, house.rounds, "1/s", entered, goals)
    for kind, lead in (("backlog", 1.9), ("burst", 1.5), ("empty", None)):  # without reactors: a deque is no more than that
        entered = {"weir": ([house.program("weir_sched")], f"sched.{kind}"),
                   "crossbeam": (pools["crossbeam"], f"dispatch.{kind}")}
        goals = {"crossbeam": None if lead else 1.0}
        if lead:
            entered["one perfect core"], goals["one perfect core"] = 1e6, lead
        yield Asked(house, f"sched.{kind}", house.rounds, "1/s", entered, goals)
    yield Asked(house, "dispatch.keys", house.rounds, "1/s",
                {"weir": (weir, "dispatch.keys"), "Go channels": ([house.rival("go_keys")], "dispatch.keys")},
                {"Go channels": 1.0})
    yield Asked(house, "dispatch.balanced", house.rounds_ring, "1/s",
                {"weir": (weir, "dispatch.balanced"), "weir, no stealing": (weir, "dispatch.balanced.off")},
                {"weir, no stealing": 1.0})


def buckets(house):
    for case, lead in (("bucket.used", 5.0), ("bucket.given", 1.0)):
        yield Asked(house, case, house.rounds, "1/s",
                    {"weir": ([house.program("weir_bucket")], case), "governor": ([house.rival("rust/bucket")], case)},
                    {"governor": lead})


def echoes(house):
    servers = {"weir": house.program("weir_echo"), "raw io_uring": house.rival("echo_uring"),
               "monoio": house.rival("rust/echo_monoio"), "tokio": house.rival("rust/echo_tokio"),
               "libuv": house.rival("echo_libuv")}
    goals = {who: 0.95 if who == "raw io_uring" else 1.0 for who in servers if who != "weir"}
    for conns in (64, 1000):
        yield Served(house, f"echo.{conns}", house.rounds,
                     [Figure(f"echo.{conns}.rate", "rate", "1/s", goals),
                      Figure(f"echo.{conns}.cpu", "cpu", "ns", goals, higher=False)],
                     {who: ["taskset", "-c", "0", server, "{0}"] for who, server in servers.items()},
                     lambda who, ports, conns=conns: [house.program("echo_load"), "echo", str(ports[0]), str(conns),
                                                      str(house.load_ms), "1"])


def relays(house):
    spin_us = "20"
    for rate, text in ((10000, "10k"), (100000, "100k")):
        yield Served(house, f"relay.{text}", house.rounds,
                     [Figure(f"relay.{text}.{what}", what, "us", {"by hand": 1.0}, higher=False)
                      for what in ("p50", "p99", "p999", "max")],
                     {"weir": [house.program("weir_relay"), "{0}", "{1}", spin_us],
                      "by hand": [house.rival("relay_uring"), "{0}", "{1}", spin_us]},
                     lambda who, ports, rate=rate: [house.program("relay_load"), "relay", str(ports[0]), str(ports[1]),
                                                    str(rate), str(house.load_ms)], ports=2)


def brokers(house):
    conf = os.path.join(house.root, "bench/load/redis.conf")
    data = house.folder.name
    servers = {"weir": [os.path.join(house.build, "weir"), "serve", "--redis-port", "{0}", "--kafka-port", "off", "--data", data + "/weir-{0}"],
               "redis-server": ["redis-server", conf, "--port", "{0}", "--dir", data],
               "redis8": [house.rival("redis8"), conf, "--port", "{0}", "--dir", data]}
    rivals = [who for who in servers if who != "weir"]
    load = house.program("redis_load")
    ms = str(house.load_ms)
    for name, subscribers in (("redis.pub1", "1"), ("redis.fan100", "100")):
        yield Served(house, name, house.rounds,
                     [Figure(f"{name}.rate", "rate", "1/s", {who: 1.5 for who in rivals}),
                      Figure(f"{name}.cpu", "cpu", "ns", {who: 1.5 for who in rivals}, higher=False)], servers,
                     lambda who, ports, n=subscribers: [load, "pub", "redis", str(ports[0]), n, "64", "8", ms])
    for name, subscribers, rate in (("redis.5k", "1", "5000"), ("redis.500x100", "100", "500")):
        yield Served(house, name, house.rounds,
                     [Figure(f"{name}.{what}", what, "us", {who: goal for who in rivals}, higher=False)
                      for what, goal in (("p50", None), ("p99", 1.0), ("p999", None))], servers,
                     lambda who, ports, n=subscribers, r=rate: [load, "rate", "redis", str(ports[0]), n, r, ms])
    yield Started(house, "start", house.rounds,
                  [Figure("start.pong", "pong", "ms", {"budget": 1.0, **{who: None for who in rivals}}, higher=False)],
                  {**servers, "budget": 15})
    two = {who: command + (["--cores", "2"] if who == "weir" else []) for who, command in servers.items()}
    yield IdleWithBudget(house, "idle", 1,
                         [Figure("idle.rss", "rss", "MiB", {"budget": 1.0, **{who: None for who in rivals}}, higher=False),
                          Figure("idle.cpu", "cpu_share", "%", {"budget": 1.0, **{who: None for who in rivals}}, higher=False),
                          Figure("idle.conn", "conn", "B", {"budget": 1.0, **{who: None for who in rivals}}, higher=False)],
                         {**two, "budget": 0}, None)


class IdleWithBudget(Idle):
    """Idle, with the design's own figures as a contestant: 12 MiB, 0 % (what rounds to it), 1 KiB a connection."""

    def begin(self, contestant):
        if contestant != "budget":
            super().begin(contestant)

    def measure(self, contestant):
        return {"rss": 12.0, "cpu_share": 0.05, "conn": 1024.0} if contestant == "budget" else super().measure(contestant)


def all_contests(house):
    for group in (rings, emitters, dispatchers, buckets, echoes, relays, brokers):
        yield from group(house)
