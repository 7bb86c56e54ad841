"""compare/programs.py - the programs a comparison runs: ones that answer, ones that serve, ones that load."""
import os
import select
import signal
import socket
import subprocess
import time


class Failed(Exception):
    """A contestant could not be measured; the comparison goes on without it."""


class Answering:
    """A measuring program kept running: a case and milliseconds in, `name unit value` out. See bench/kit/measure.h."""

    def __init__(self, command):
        self.command, self.process = command, None

    def ask(self, case, ms):
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, text=True, bufsize=1)
        try:
            self.process.stdin.write(f"{case} {ms}\n")
            self.process.stdin.flush()
            ready, _, _ = select.select([self.process.stdout], [], [], 60 + ms / 20)
            words = self.process.stdout.readline().split() if ready else []
        except BrokenPipeError:
            words = []
        if len(words) != 3 or words[1] == "none":
            self.stop()
            raise Failed(f"{self.command[0]} has no answer for {case}")
        return float(words[2])

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Server:
    """A server of our own start, on ports of its own: io_uring lets go of a port some time after its process ended."""

    def __init__(self, command, ports=1):
        self.ports = [free_port() for _ in range(ports)]
        self.process = subprocess.Popen([word.format(*self.ports) for word in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not listens(self.ports[-1]):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Failed(f"{command[0]} does not start")
            time.sleep(0.01)

    def cpu_ns(self):
        total = 0
        folder = f"/proc/{self.process.pid}/task"
        for task in os.listdir(folder):
            try:
                with open(f"{folder}/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
            except OSError:
                pass  # a thread that has just ended
        return total

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def free_port():
    """A port below the range the kernel hands out to clients, which would take it while the server is starting."""
    for _ in range(1000):
        free_port.next = free_port.next + 1 if free_port.next < 31900 else 21000
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", free_port.next))
                udp.bind(("127.0.0.1", free_port.next))
                return free_port.next
            except OSError:
                continue
    raise Failed("no port is free")


free_port.next = 21000 + os.getpid() % 9000


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run_load(command, seconds):
    """A load's lines as {what: value}, the name before the last dot left out."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{os.path.basename(command[0])} did not end")
    if done.returncode != 0:
        raise Failed(done.stderr.strip().split("\n")[-1] or f"{command[0]} failed")
    rows = (line.split() for line in done.stdout.split("\n"))
    return {words[0].rsplit(".", 1)[-1]: float(words[2]) for words in rows if len(words) == 3}
