"""run_test.py - the programs of this folder against a `weir serve` of the test's own; 77 without node or its packages."""
import os
import select
import shutil
import subprocess
import sys
import time

from server import Server

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = shutil.which("node")


def same(got, wanted):
    if got != wanted:
        raise AssertionError("got %r, not %r" % (got, wanted))


def run(url, *words):
    return subprocess.run([NODE, *words], cwd=HERE, env={**os.environ, "REDIS_URL": url}, capture_output=True, text=True,
                          timeout=60)


def lines(process, count, seconds=30):
    """The next `count` lines of its output."""
    end, text = time.monotonic() + seconds, b""
    while text.count(b"\n") < count:
        if not select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            raise AssertionError("only %r" % text)
        got = os.read(process.stdout.fileno(), 65536)
        if not got:
            raise AssertionError("ended after %r" % text)
        text += got
    return text.decode().splitlines()


def subscriber_and_publisher(url):
    subscriber = subprocess.Popen([NODE, "subscriber.js", "news", "sport"], cwd=HERE, stdout=subprocess.PIPE,
                                  env={**os.environ, "REDIS_URL": url})
    try:
        same(lines(subscriber, 1), ["listening on news, sport"])
        published = run(url, "publisher.js", "news", "it rains", "it stopped")
        same((published.stdout, published.stderr), ("it rains reached 1\nit stopped reached 1\n", ""))
        same(run(url, "publisher.js", "sport", "1:0").stdout, "1:0 reached 1\n")
        same(run(url, "publisher.js", "arts", "x").stdout, "x reached 0\n")
        same(lines(subscriber, 3), ["news: it rains", "news: it stopped", "sport: 1:0"])
        subscriber.send_signal(2)
        same(subscriber.wait(30), 0)
    finally:
        subscriber.kill()
        subscriber.wait()
        subscriber.stdout.close()


def patterns(url):
    ended = run(url, "patterns.js")
    same(ended.stderr, "")
    same(ended.stdout, "weather.oslo: snow\nweather.rome: sun\nafter pUnsubscribe: 0 receivers\n")
    same(ended.returncode, 0)


if not NODE or subprocess.run([NODE, "-e", "require('redis')"], cwd=HERE, capture_output=True).returncode != 0:
    print("no node, or its packages are not installed")
    sys.exit(77)
for cores in (1, 2):
    with Server(cores) as server:
        url = "redis://127.0.0.1:%d" % server.port
        subscriber_and_publisher(url)
        patterns(url)
