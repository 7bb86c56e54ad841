"""options_test.py - every option and what is wrong with it: the words, the exit status, and that help tells the truth."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest

WEIR = os.environ["WEIR"]


def weir(*words, env=None, seconds=20, **more):
    """The program to its end."""
    return subprocess.run([WEIR, *words], capture_output=True, text=True, timeout=seconds,
                          env={**os.environ, **(env or {})}, **more)


def free_port(family=socket.AF_INET):
    with socket.socket(family) as probe:
        probe.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return probe.getsockname()[1]


class Words(unittest.TestCase):
    def refused(self, status, text, *words, **more):
        ended = weir(*words, **more)
        self.assertIn(text, ended.stderr)
        self.assertEqual(ended.returncode, status, ended.stderr)
        self.assertEqual(ended.stdout, "")
        return ended

    def test_without_a_word_it_lists_its_commands(self):
        ended = self.refused(2, "Usage: weir COMMAND")
        for command in ("serve", "trace"):
            self.assertIn("\n  %s " % command, ended.stderr)

    def test_help_is_no_error_and_goes_to_standard_output(self):
        for words in (["--help"], ["-h"], ["help"], ["serve", "--help"], ["serve", "-h"], ["trace", "--help"],
                      ["serve", "--cores", "9999", "--help"], ["serve", "--config", "/nowhere", "-h"]):
            ended = weir(*words)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""), words)
            self.assertTrue(ended.stdout.startswith("Usage: weir"), words)

    def test_the_version_is_one_line(self):
        for words in (["--version"], ["-V"], ["serve", "--version"], ["serve", "-V"]):
            ended = weir(*words)
            self.assertEqual(ended.returncode, 0)
            self.assertRegex(ended.stdout, r"\Aweir \d+\.\d+\.\d+\n\Z")

    def test_a_mistyped_command_is_understood(self):
        self.refused(2, "unknown command 'sevre'; did you mean 'serve'?", "sevre")
        ended = self.refused(2, "unknown command 'publish'", "publish")
        self.assertNotIn("did you mean", ended.stderr)

    def test_a_mistyped_option_is_understood(self):
        for typed, meant in (("--lisen", "--listen"), ("--cors=2", "--cores"), ("--redisport", "--redis-port"),
                             ("--c", "--co"), ("--insecur3", "--insecure")):
            self.refused(2, "did you mean %s" % meant, "serve", typed)
        ended = self.refused(2, "unknown option --threads\n", "serve", "--threads=4")
        self.assertIn("Try 'weir serve --help'.", ended.stderr)
        self.refused(2, "unknown option -x", "serve", "-x")

    def test_a_value_too_many_or_too_few_is_said(self):
        self.refused(2, "--pin takes no value", "serve", "--pin=yes")
        self.refused(2, "--cores needs a value", "serve", "--cores")
        self.refused(2, "-p needs a value", "serve", "-p")
        self.refused(2, "unexpected word '6380'", "serve", "6380")

    def test_wrong_values_are_named_with_what_was_expected(self):
        for option, values, text in (
                ("cores", ["0", "129", "-1", "x", "", "1k", "2.5"], "expected a number from 1 to 128"),
                ("redis-port", ["65536", "-1", "6k", "redis", ""], "expected a port from 0 to 65535, or off"),
                ("io", ["kqueue", "", "Epoll"], "expected auto, uring or epoll"),
                ("io-level", ["5.4", "6.1.0"], "expected 6.1"),
                ("log-level", ["loud", ""], "expected debug, info, warn or error"),
                ("spin", ["50", "fast", "-1us"], "expected a time with its unit, such as 50us, or 0"),
                ("listen", [""], "expected an IP address, * or unix:PATH"),
                ("data", [""], "expected a folder"),
                ("password-file", ["/nowhere/password"], "No such file or directory")):
            for value in values:
                ended = self.refused(2, text, "serve", "--%s=%s" % (option, value))
                self.assertIn("weir serve: --%s " % option, ended.stderr)

    def test_a_file_of_settings_is_named_with_its_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weir.conf")
            with open(path, "w") as file:
                file.write("io: auto\nredis:\n  prot: 1\n")
            ended = self.refused(2, "weir serve: %s:3: unknown key 'prot'; did you mean 'port'?\n" % path,
                                 "serve", "--config", path)
            self.assertEqual(ended.stderr.count("\n"), 1)
            self.refused(2, "cannot read %s: Is a directory" % folder, "serve", "-c", folder)
            self.refused(2, "cannot read /nowhere: No such file", "serve", "-c", "/nowhere")
            if os.getuid() != 0:
                os.chmod(path, 0)
                self.refused(2, "Permission denied", "serve", "-c", path)

    def test_the_settings_that_are_installed_are_all_known(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../share/weir.conf")) as file:
            text = "".join(re.sub(r"^# (?=  |[a-z_]+:)", "", line) for line in file)
        self.assertIn("\npublish_limits:", text)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weir.conf")
            with open(path, "w") as file:
                file.write(text.replace("password: ...", "password: x"))
            self.refused(1, "not an address", "serve", "--config", path, "--data", folder, "--listen", "nonsense")

    def test_an_empty_password_file_is_refused(self):
        with tempfile.NamedTemporaryFile() as file:
            self.refused(2, "its first line is empty", "serve", "--password-file", file.name)

    def test_a_wide_listen_without_a_password_is_refused(self):
        for address in ("*", "0.0.0.0", "::", "10.0.0.1"):
            self.refused(2, "refusing to listen on %s without a password" % address, "serve", "--listen", address)

    def test_a_data_folder_that_is_none_is_refused(self):
        self.refused(2, "cannot use the data folder /nowhere/data: No such file", "serve", "--data", "/nowhere/data")
        self.refused(2, "cannot use the data folder %s: Not a directory" % WEIR, "serve", "--data", WEIR)

    def test_addresses_that_cannot_be_listened_on_are_sentences(self):
        port = str(free_port())
        for address, why in (("nonsense", "not an address; expected an IP address"),
                             ("127.0.0.1:80", "and the port by its own option"),
                             ("203.0.113.9", "no interface of this machine has that address"),
                             ("unix:/nowhere/s", "there is no such folder"),
                             ("unix:" + "x" * 200, "a path of at most 107 bytes"),
                             ("unix:" + WEIR, "it is no socket that was left behind")):
            ended = self.refused(1, why, "serve", "--listen", address, "--insecure", "--redis-port", port, "--kafka-port", "off")
            self.assertEqual(len(re.findall("level=error", ended.stderr)), 1, ended.stderr)

    def test_a_privileged_port_is_a_sentence(self):
        def nobody():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            if int(file.read()) <= 1:
                self.skipTest("no port is privileged here")
        try:
            ended = weir("serve", "--redis-port", "1", "--kafka-port", "off", preexec_fn=nobody)
        except PermissionError:
            self.skipTest("another user may not run the program here")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("not allowed; ports below 1024 need privileges", ended.stderr)

    def test_every_option_that_help_lists_is_taken(self):
        text = weir("serve", "--help").stdout
        options = set(re.findall(r"(?:^|\s)--([a-z-]+)", text))
        self.assertGreater(len(options), 12)
        values = {"cores": "1", "data": "/tmp", "redis-port": "off", "kafka-port": "off", "advertise": "broker:9092", "listen": "127.0.0.1", "config": "/dev/null",
                  "io": "epoll", "io-level": "6.1", "spin": "0", "log-level": "error", "password-file": "/nowhere"}
        for option in options - {"help", "version"}:
            word = "--%s=%s" % (option, values[option]) if option in values else "--" + option
            ended = weir("serve", word, "unexpected")
            self.assertIn("unexpected word", ended.stderr, word)


if __name__ == "__main__":
    unittest.main()
