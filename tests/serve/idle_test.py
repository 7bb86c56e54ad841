"""idle_test.py IO - what weir costs while nothing happens: memory of its own for each client, and processor time.

The bounds are the project's goals. The memory of 10,000 clients is the growth of anonymous pages; what the kernel keeps for
their sockets is not in it.
"""
import os
import resource
import socket
import sys
import time

from server import Server

IO = sys.argv[1]
CLIENTS = 10000


def status(pid, key):
    with open("/proc/%d/status" % pid) as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise AssertionError(key)


def processor_ticks(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def waits(pid):
    """How often its threads have gone to sleep: a timer that ticks is seen here though it costs next to nothing."""
    return sum(status_of_thread for status_of_thread in
               (switches("/proc/%d/task/%s/status" % (pid, task)) for task in os.listdir("/proc/%d/task" % pid)))


def switches(path):
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


def check(good, text):
    print(("ok   " if good else "FAIL ") + text, flush=True)
    if not good:
        sys.exit(1)


def is_idle(pid, who):
    time.sleep(1) # what just happened has settled
    ticks, sleeps = processor_ticks(pid), waits(pid)
    time.sleep(3)
    check(processor_ticks(pid) - ticks == 0, "no processor time in 3 s with %s" % who)
    check(waits(pid) - sleeps == 0, "no thread woke in 3 s with %s" % who)


def many():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = min(CLIENTS, hard - 200)
    if clients < 1000:
        print("too few descriptors for a thousand clients")
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_NOFILE, (clients + 200, hard))
    with Server(2, IO) as server:
        pid = server.process.pid
        check(status(pid, "VmRSS") < 12 << 10, "2 idle reactors: %d KiB resident" % status(pid, "VmRSS"))
        is_idle(pid, "no client")
        before = status(pid, "RssAnon")
        sockets = []
        for _ in range(clients):
            client = socket.create_connection(("127.0.0.1", server.port), 20)
            client.sendall(b"PING\r\n")
            if client.recv(16) != b"+PONG\r\n":
                check(False, "an answer")
            sockets.append(client)
        each = (status(pid, "RssAnon") - before) * 1024 / clients
        check(each < 1024, "%d idle clients: %d bytes each" % (clients, each))
        is_idle(pid, "%d clients" % clients)
        for client in sockets:
            client.close()


many()
