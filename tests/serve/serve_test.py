"""serve_test.py IO - a `weir serve` from its start to its end: listeners, log, signals, dumps. The program is $WEIR."""
import glob
import os
import pty
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from resp import Client, Error

WEIR = os.environ["WEIR"]
IO = sys.argv[1] if len(sys.argv) > 1 else "auto"
SANITIZED = subprocess.run(["nm", "-C", WEIR], capture_output=True, text=True).stdout.find("__asan_init") >= 0


class Weir:
    """One server; what it logs is read as it comes."""

    def __init__(self, *words, cores=2, port=0, env=None, stderr=subprocess.PIPE, **more):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-")
        command = [WEIR, "serve", "--io", IO, "--cores", str(cores), "--redis-port", str(port), "--kafka-port", "off",
                   "--data", self.folder.name, *words]
        self.process = subprocess.Popen(command, stderr=stderr, env={**os.environ, **(env or {})}, **more)
        self.log = b""

    def wait_for(self, pattern, seconds=20):
        """The match of a line to come."""
        end = time.monotonic() + seconds
        fd = self.process.stderr.fileno()
        while True:
            found = re.search(pattern, self.log.decode(errors="replace"))
            if found:
                return found
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise AssertionError("no line %s in:\n%s" % (pattern, self.log.decode(errors="replace")))
            got = os.read(fd, 65536)
            if not got:
                raise AssertionError("ended with %r without %s:\n%s" % (self.process.wait(), pattern, self.log.decode()))
            self.log += got

    def ready(self):
        return self.wait_for(r"msg=ready .*redis=(\S+) ").group(1).split(",")

    def port(self):
        return int(self.ready()[0].rsplit(":", 1)[1])

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(20)
        if self.process.stderr:
            self.log += self.process.stderr.read()
            self.process.stderr.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stderr and not self.process.stderr.closed:
            self.process.stderr.close()
        self.folder.cleanup()


def ping(address):
    if address.startswith("unix:"):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(address[5:])
    else:
        host, port = address.rsplit(":", 1)
        peer = socket.create_connection((host.strip("[]"), int(port)), 10)
    with peer:
        peer.settimeout(10)
        peer.sendall(b"PING\r\n")
        return peer.recv(64)


def tree(path):
    return subprocess.run([WEIR, "trace", path], capture_output=True, text=True, timeout=30)


class Tracing(unittest.TestCase):
    def test_a_record_of_several_events_is_a_line_under_each(self):
        post, told, turn = 3, 4, 1
        def record(number, kind, ident, cause, a, b, more=0):
            return struct.pack("<QQIIIHH", ident, cause, a, b, number, kind, more)
        posts = [record(10 + i, post, 10 + i, 0, 0, 1) for i in range(3)]
        heard = [record(90, told, 10, 0, 0, 0xffffffff, 3), record(91, post, 91, 11, 0, 0), record(92, turn, 5000, 0, 5, 0)]
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/dump"
            with open(path, "wb") as file:
                file.write(b"weirtrc1" + struct.pack("<IIQ", 2, 1, 32) + struct.pack("<II", 0, 4) + b"tick")
                for index, first, records in ((0, 10, posts), (1, 90, heard)):
                    file.write(struct.pack("<IIQ", index, len(records), first) + b"".join(records))
            printed = tree(path)
        self.assertEqual((printed.returncode, printed.stderr), (0, ""))
        lines = [re.sub(r"^.* r\d +", "", line) for line in printed.stdout.splitlines()]
        self.assertEqual(lines, ["post tick to=1 id=a", "└ dispatch tick id=a and-after-it=1", "post tick to=1 id=b",
                                 "└ dispatch tick id=b", "└ post tick to=0 id=5b", "post tick to=1 id=c",
                                 "└ dispatch tick id=c"])


class Listening(unittest.TestCase):
    def test_the_ready_line_lists_the_ports_that_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            words = ["--listen", "127.0.0.1", "--listen", "unix:%s/s" % folder]
            if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
                words += ["--listen", "::1"]
            with Weir(*words) as weir:
                addresses = weir.ready()
                self.assertEqual(len(addresses), len(words) // 2)
                for address in addresses:
                    self.assertEqual(ping(address), b"+PONG\r\n", address)
                self.assertNotIn(":0", addresses)
                self.assertEqual(weir.stop(), 0)
            self.assertFalse(os.path.exists(folder + "/s"), "the socket's path is left behind")

    def test_a_taken_port_is_a_sentence(self):
        with Weir() as first:
            port = first.port()
            for cores in (1, 2):
                with Weir(port=port, cores=cores) as second:
                    second.wait_for("address=127.0.0.1:%d why=\"the port is taken by another process" % port)
                    self.assertEqual(second.stop(), 1)
                    self.assertNotIn(b"ready", second.log)
            self.assertEqual(ping("127.0.0.1:%d" % port), b"+PONG\r\n")
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            stranger.bind(("127.0.0.1", 0))
            stranger.listen()
            with Weir(port=stranger.getsockname()[1]) as second: # would share, but nobody asked for it
                second.wait_for("the port is taken by another process")
                self.assertEqual(second.stop(), 1)

    def test_a_port_is_free_again_at_once(self):
        with Weir() as first:
            port = first.port()
            client = Client(port)
            self.assertEqual(client.call("PING"), "PONG")
            self.assertEqual(first.stop(), 0)
        with Weir(port=port) as second:
            self.assertEqual(second.port(), port)

    def test_a_killed_servers_port_is_free_for_the_next(self):
        with Weir() as first:
            port = first.port()
            self.assertEqual(Client(port).call("PING"), "PONG")
            first.stop(signal.SIGKILL)
        with Weir(port=port) as second:
            self.assertEqual(second.port(), port)

    def test_a_dead_servers_socket_path_is_taken_over_a_living_ones_is_not(self):
        with tempfile.TemporaryDirectory() as folder:
            address = "unix:%s/s" % folder
            with Weir("--listen", address) as first:
                first.ready()
                with Weir("--listen", address) as second:
                    second.wait_for("cannot listen")
                    self.assertEqual(second.stop(), 1)
                self.assertEqual(ping(address), b"+PONG\r\n")
                first.stop(signal.SIGKILL)
            with Weir("--listen", address) as third:
                third.ready()
                self.assertEqual(ping(address), b"+PONG\r\n")

    def test_redis_may_be_off(self):
        with Weir(port="off") as weir:
            self.assertEqual(weir.ready(), ["off"])
            self.assertEqual(weir.stop(), 0)

    def test_a_wide_listen_works_with_a_password_or_with_leave(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("open sesame\nsecond line\n")
            file.flush()
            with Weir("--listen", "*", "--password-file", file.name) as weir:
                client = Client(weir.port())
                self.assertIn("NOAUTH", str(client.call("PUBLISH", "a", "b")))
                self.assertIn("WRONGPASS", str(client.call("AUTH", "sesame")))
                self.assertEqual(client.call("AUTH", "open sesame"), "OK")
                self.assertEqual(client.call("PUBLISH", "a", "b"), 0)
        with Weir("--listen", "0.0.0.0", "--insecure") as weir:
            self.assertEqual(Client(weir.port()).call("PING"), "PONG")

    def test_users_come_in_by_name_and_keep_to_their_channels(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("redis: {password: main}\nusers:\n  ann: {password: a, channels: [\"news.*\"]}\n"
                       "  bob: {password: b, disabled: yes}\n")
            file.flush()
            with Weir("--config", file.name) as weir:
                ann = Client(weir.port())
                self.assertIsInstance(ann.call("SUBSCRIBE", "news.eu"), Error)
                self.assertEqual(ann.call("AUTH", "ann", "a"), "OK")
                self.assertIn("NOPERM", str(ann.call("PUBLISH", "secret", "x")))
                self.assertEqual(ann.call("SUBSCRIBE", "news.eu"), [b"subscribe", b"news.eu", 1])
                other = Client(weir.port())
                self.assertIn("WRONGPASS", str(other.call("AUTH", "bob", "b")))
                self.assertIn("WRONGPASS", str(other.call("AUTH", "ann", "main")))
                hello = other.call("HELLO", "3", "AUTH", "default", "main")
                self.assertEqual(hello[b"proto"], 3)
                self.assertEqual(other.call("PUBLISH", "news.eu", "x"), 1)


class Log(unittest.TestCase):
    def test_lines_are_key_value_pairs_without_colour_off_a_terminal(self):
        with Weir() as weir:
            weir.ready()
            weir.stop()
            self.assertNotIn(b"\033", weir.log)
            for line in weir.log.decode().splitlines():
                self.assertRegex(line, r'^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(debug|info|warn|error) '
                                       r'[a-z_]+=("[^"]*"|\S+)( [a-z_]+=("[^"]*"|\S*))*$')

    def on_terminal(self, env):
        """What a server that cannot start says to a terminal: an error line."""
        ours, theirs = pty.openpty()
        with Weir("--listen", "203.0.113.9", "--insecure", stderr=theirs, env=env) as weir:
            os.close(theirs)
            text = b""
            while True:
                try:
                    got = os.read(ours, 65536)
                except OSError: # the last writer has gone
                    break
                if not got:
                    break
                text += got
            self.assertEqual(weir.process.wait(20), 1)
        os.close(ours)
        self.assertIn(b"cannot listen", text)
        return text

    def test_a_terminal_sees_colour_unless_it_or_its_owner_will_not(self):
        self.assertIn(b"\033[31m", self.on_terminal({"TERM": "xterm", "NO_COLOR": ""}))
        self.assertNotIn(b"\033", self.on_terminal({"TERM": "xterm", "NO_COLOR": "1"}))
        self.assertNotIn(b"\033", self.on_terminal({"TERM": "dumb", "NO_COLOR": ""}))

    def test_log_level_leaves_out_what_is_less(self):
        with Weir("--log-level", "warn", "--listen", "203.0.113.9", "--insecure") as weir:
            self.assertEqual(weir.process.wait(20), 1)
            weir.stop()
            self.assertNotIn(b"level=info", weir.log)
            self.assertIn(b"level=error", weir.log)

    def test_a_reader_of_the_log_who_has_gone_is_no_harm(self):
        with Weir() as weir:
            port = weir.port()
            weir.process.stderr.close()
            client = Client(port)
            client.socket.sendall(b"*1\r\n:5\r\n") # malformed: something to log
            client.file.read()
            weir.process.send_signal(signal.SIGUSR2) # and something more
            self.assertEqual(Client(port).call("PING"), "PONG")
            weir.process.terminate()
            self.assertEqual(weir.process.wait(20), 0)

    def test_a_reader_of_the_log_who_sleeps_stops_nobody(self):
        with Weir() as weir:
            port = weir.port()
            for _ in range(1200): # a line each, and a pipe holds 64 KiB
                client = Client(port)
                client.socket.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
                client.file.read()
                client.close()
            self.assertEqual(Client(port).call("PING"), "PONG")
            os.set_blocking(weir.process.stderr.fileno(), False)
            while len(weir.process.stderr.read() or b"") > 0:
                pass
            os.set_blocking(weir.process.stderr.fileno(), True)
            weir.process.terminate()
            lost = weir.wait_for(r'level=warn msg="log lines lost" count=(\d+)')
            self.assertGreater(int(lost.group(1)), 0)
            self.assertEqual(weir.stop(), 0)

    def test_closed_standard_descriptors_are_not_given_to_clients(self):
        def close_all():
            for fd in (0, 1, 2):
                os.close(fd)
        probe = socket.create_server(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        with Weir(port=port, stderr=None, preexec_fn=close_all) as weir:
            for _ in range(200):
                try:
                    client = Client(port)
                    break
                except ConnectionRefusedError:
                    self.assertIsNone(weir.process.poll())
                    time.sleep(0.05)
            for fd in (0, 1, 2):
                self.assertEqual(os.readlink("/proc/%d/fd/%d" % (weir.process.pid, fd)), "/dev/null")
            self.assertEqual(client.call("PING"), "PONG")
            self.assertEqual(weir.stop(), 0)


class Service(unittest.TestCase):
    def test_a_service_manager_is_told(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(folder + "/notify")
            manager.settimeout(20)
            with Weir(env={"NOTIFY_SOCKET": folder + "/notify"}) as weir:
                weir.ready()
                try:
                    manager.settimeout(5)
                    self.assertEqual(manager.recv(256), b"READY=1")
                except TimeoutError:
                    self.skipTest("built without libsystemd")
                weir.process.terminate()
                self.assertEqual(manager.recv(256), b"STOPPING=1")
                self.assertEqual(weir.process.wait(20), 0)


class Ending(unittest.TestCase):
    def test_what_was_sent_before_the_signal_is_answered_and_delivered(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with Weir() as weir:
                port = weir.port()
                subscribers, publisher = [Client(port) for _ in range(6)], Client(port) # on both reactors, as good as surely
                for subscriber in subscribers:
                    subscriber.call("SUBSCRIBE", "burst")
                publisher.socket.sendall(b"".join(Client.encode("PUBLISH", "burst", i) for i in range(5000)))
                while not select.select([publisher.socket], [], [], 20)[0]:
                    self.fail("no answer at all")
                weir.process.send_signal(number)
                answers = [publisher.read() for _ in range(5000)]
                self.assertEqual(set(answers), {len(subscribers)})
                for subscriber in subscribers: # what was counted arrives, in order, and then the end
                    self.assertEqual([subscriber.read()[2] for _ in range(5000)], [b"%d" % i for i in range(5000)])
                    with self.assertRaises(ConnectionError):
                        subscriber.read()
                with self.assertRaises(ConnectionError):
                    publisher.read()
                self.assertEqual(weir.stop(), 0)
                self.assertIn(b"msg=draining signal=" + number.name[3:].encode(), weir.log)
                self.assertIn(b"msg=stopped", weir.log)

    def stuck(self, drain_timeout):
        """A server that drains for as long as it is let: a client asked for much and reads nothing."""
        file = tempfile.NamedTemporaryFile("w", suffix=".conf")
        file.write("drain_timeout: %s\n" % drain_timeout)
        file.flush()
        weir = Weir("--config", file.name)
        client = Client(weir.port(), receive_bytes=4096)
        client.socket.settimeout(1)
        body = Client.encode("ECHO", b"x" * 100000) * 10
        try:
            while True: # until the server takes no more, because its answers are not taken
                client.socket.sendall(body)
        except TimeoutError:
            pass
        return weir, client, file

    def test_a_client_that_reads_nothing_holds_a_stop_for_drain_timeout_only(self):
        weir, client, file = self.stuck("300ms")
        with weir, file:
            begun = time.monotonic()
            weir.process.terminate()
            weir.process.wait(20)
            self.assertGreater(time.monotonic() - begun, 0.25)
            self.assertLess(time.monotonic() - begun, 10)
            client.close()

    def test_a_second_signal_ends_it_at_once(self):
        weir, client, file = self.stuck("1h")
        with weir, file:
            weir.process.terminate()
            weir.wait_for("msg=draining")
            weir.process.terminate() # as timeout(1) does, to the process and to its group
            time.sleep(0.5)
            self.assertIsNone(weir.process.poll(), "two signals at once were taken for two askings")
            weir.process.terminate()
            self.assertEqual(weir.process.wait(20), 1)
            weir.stop()
            self.assertIn(b"asked again", weir.log)
            client.close()

    def test_a_hang_up_that_is_ignored_stays_so(self):
        with Weir(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as weir:
            port = weir.port()
            weir.process.send_signal(signal.SIGHUP)
            self.assertEqual(Client(port).call("PING"), "PONG")
            self.assertEqual(weir.stop(), 0)
            self.assertIn(b"signal=TERM", weir.log)


class Traces(unittest.TestCase):
    def test_a_publish_has_its_deliveries_under_it_on_both_reactors(self):
        with Weir() as weir:
            port = weir.port()
            subscribers = [Client(port) for _ in range(24)] # the kernel spreads them
            for subscriber in subscribers:
                subscriber.call("SUBSCRIBE", "t")
            self.assertEqual(Client(port).call("PUBLISH", "t", "x"), 24)
            for subscriber in subscribers:
                subscriber.read()
            weir.process.send_signal(signal.SIGUSR2)
            path = weir.wait_for(r"msg=trace file=(\S+)").group(1)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            printed = tree(path)
            self.assertEqual((printed.returncode, printed.stderr), (0, ""))
            self.assertNotIn("\033", printed.stdout)
            lines = printed.stdout.splitlines()
            root = next(i for i, line in enumerate(lines) if " publish " in line and "receivers=24" in line)
            self.assertRegex(lines[root], r"^ +\d+\.\d+ r\d +publish topic#")
            children = []
            for line in lines[root + 1:]:
                if "└" not in line:
                    break
                children.append(line)
            self.assertTrue(all("└ deliver topic#" in line for line in children), children)
            self.assertEqual({re.search(r" r(\d)", line).group(1) for line in children}, {"0", "1"})
            self.assertEqual(sum(int(re.search(r"receivers=(\d+)", line).group(1)) for line in children), 24)

    def test_a_crash_leaves_a_dump_and_dies_of_its_signal(self):
        if SANITIZED:
            self.skipTest("the sanitizer has handlers of its own")
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
            with Weir(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))) as weir:
                self.assertEqual(Client(weir.port()).call("PING"), "PONG")
                self.assertEqual(weir.stop(number), -number)
                path = "%s/weir-crash-%d.trace" % (weir.folder.name, weir.process.pid)
                self.assertIn(b"file=" + path.encode(), weir.log)
                self.assertIn("open connection=1", tree(path).stdout)

    def test_a_dump_that_does_not_fit_is_said_and_removed(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with Weir(preexec_fn=small_files) as weir:
            port = weir.port()
            weir.process.send_signal(signal.SIGUSR2)
            self.assertEqual(weir.wait_for(r'level=error msg="no trace" file=\S+ why="([^"]*)"').group(1), "File too large")
            self.assertEqual(glob.glob(weir.folder.name + "/*"), [])
            self.assertEqual(Client(port).call("PING"), "PONG")
            self.assertEqual(weir.stop(), 0)

    def test_a_folder_that_has_gone_is_said(self):
        with Weir() as weir:
            weir.ready()
            os.rmdir(weir.folder.name)
            weir.process.send_signal(signal.SIGUSR2)
            weir.wait_for(r'msg="no trace" file=\S+ why="No such file or directory"')
            os.mkdir(weir.folder.name)
            self.assertEqual(weir.stop(), 0)

    def test_what_is_no_dump_is_refused(self):
        with Weir() as weir:
            weir.ready()
            weir.process.send_signal(signal.SIGUSR2)
            path = weir.wait_for(r"msg=trace file=(\S+)").group(1)
            with open(path, "rb") as file:
                whole = file.read()
            other = weir.folder.name + "/other"
            for length in [0, 1, 8, 23, 24, 40, len(whole) // 2, len(whole) - 1]:
                with open(other, "wb") as file:
                    file.write(whole[:length])
                printed = tree(other)
                self.assertEqual(printed.returncode, 1, length)
                self.assertIn("is not a whole dump of this version", printed.stderr)
            for at in range(0, min(len(whole), 400)): # any byte wrong: printed or refused, and no crash
                with open(other, "wb") as file:
                    file.write(whole[:at] + bytes([whole[at] ^ 0xff]) + whole[at + 1:])
                self.assertIn(tree(other).returncode, (0, 1), at)
        for path, why in (("/nowhere", "No such file"), ("/", "Is a directory")):
            printed = tree(path)
            self.assertEqual(printed.returncode, 1)
            self.assertIn(why, printed.stderr)
        self.assertEqual(subprocess.run([WEIR, "trace"], capture_output=True).returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], warnings="ignore")
