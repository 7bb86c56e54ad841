#!/usr/bin/env python3
"""run_test.py FOLDER - run each example in FOLDER as its reader would, on 1 and 2 cores and on each io."""
import os, signal, socket, subprocess, sys, tempfile, time

folder = sys.argv[1]


def program(name):
    return os.path.join(folder, name)


class Server:
    """An example server: started on a free port, asked to stop at the end, and its exit status checked."""

    def __init__(self, name, cores, io):
        self.process = subprocess.Popen(
            [program(name), "--port", "0", "--cores", str(cores), "--io", io], stdout=subprocess.PIPE, text=True)
        word, port = self.process.stdout.readline().split()
        assert word == "ready"
        self.port = int(port)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=20)
        assert failure[0] or status == 0, f"exit status {status}"


def read_until(sock, wanted):
    got = b""
    while wanted not in got:
        more = sock.recv(65536)
        assert more, f"closed; had {got!r}"
        got += more
    return got


def hello():
    out = subprocess.run([program("hello")], stdout=subprocess.PIPE, check=True).stdout
    assert out == b"hello, world\n", out


def files():
    with tempfile.TemporaryDirectory() as scratch:
        out = subprocess.run([program("files"), scratch], stdout=subprocess.PIPE, check=True).stdout
        assert out == b"written by weir\n", out
        assert subprocess.run([program("files"), scratch + "/absent"], stderr=subprocess.PIPE).returncode == 1


def echo(cores, io):
    with Server("echo", cores, io) as server:
        socks = [server.connect() for _ in range(20)]
        for i, sock in enumerate(socks):
            sock.sendall(b"%d" % i * 5000 + b"\n")
        for i, sock in enumerate(socks):
            assert read_until(sock, b"\n") == b"%d" % i * 5000 + b"\n"


def cluster(cores, io):
    with Server("cluster", cores, io) as server:
        socks = [server.connect() for _ in range(8)]
        # A connection is part of the chat once it hears itself.
        for i, sock in enumerate(socks):
            sock.sendall(b"here %d\n" % i)
            read_until(sock, b"here %d\n" % i)
        socks[3].sendall(b"to all\n")
        for sock in socks:
            read_until(sock, b"to all\n")
        pasted = b"".join(b"line %d\n" % n for n in range(5000))  # many lines at once are lines as well
        socks[3].sendall(pasted)
        for sock in socks:
            assert read_until(sock, b"line 4999\n") == pasted
        socks[5].sendall(b"x" * 5000)  # one that is too long is not
        try:
            while socks[5].recv(65536):
                pass
        except ConnectionResetError:
            pass


def fanout(cores, io):
    with Server("fanout", cores, io) as server:
        feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        quick = [server.connect() for _ in range(6)]
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(10)
        slow.connect(("127.0.0.1", server.port))
        deadline = time.monotonic() + 10
        waiting = set(range(len(quick)))
        while waiting:  # connections are accepted some time after connect(): prices until each has had one
            assert time.monotonic() < deadline
            feed.sendto(b"EURUSD 1.0", ("127.0.0.1", server.port))
            for i in list(waiting):
                quick[i].settimeout(0.02)
                try:
                    read_until(quick[i], b"EURUSD 1.0\n")
                    waiting.discard(i)
                except socket.timeout:
                    pass
        for n in range(300):
            feed.sendto(b"EURUSD %d" % n + b"x" * 200, ("127.0.0.1", server.port))
            if n % 10 == 0:
                time.sleep(0.001)  # the feed's pace: UDP drops what the kernel cannot hold
        feed.sendto(b"LAST 1", ("127.0.0.1", server.port))
        for sock in quick:
            sock.settimeout(10)
            got = read_until(sock, b"LAST 1\n")
            numbers = [int(line.split()[1].rstrip(b"x")) for line in got.split(b"\n") if line.endswith(b"x")]
            assert numbers == sorted(numbers), "prices of one symbol out of order"
        for sock in quick:
            sock.close()
        for n in range(60000):  # more than the kernel holds for one that does not read
            feed.sendto(b"EURUSD %d" % n + b"x" * 200, ("127.0.0.1", server.port))
            if n % 100 == 0:
                time.sleep(0.001)
        got = b""
        while b"# missed" not in got:  # it has caught up, and is told with the next price
            feed.sendto(b"EURUSD 1.0", ("127.0.0.1", server.port))
            got = got[-16:] + slow.recv(1 << 20)
        slow.close()


hello()
files()
for io in ("auto", "epoll"):
    for cores in (1, 2):
        echo(cores, io)
        cluster(cores, io)
        fanout(cores, io)
print("examples: all as expected")
