"""server.py - a `weir serve` of a test's own: started on a free port, stopped at the end.

$WEIR is the program. As a command, `server.py CORES IO -- COMMAND...` runs COMMAND with $REDIS_PORT set.
"""
import os
import re
import subprocess
import sys
import tempfile
import threading


class Server:
    """`data`: a folder of the caller's, as an earlier server left it; without it, one that goes when the server stops."""

    def __init__(self, cores=1, io="auto", config=None, extra=(), data=None):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-")
        command = [os.environ["WEIR"], "serve", "--cores", str(cores), "--io", io, "--redis-port", "0",
                   "--kafka-port", "0",
                   "--data", data or self.folder.name, *extra]
        if config is not None:
            path = os.path.join(self.folder.name, "weir.conf")
            with open(path, "w") as file:
                file.write(config)
            command += ["--config", path]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self.port = None
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(r"msg=ready .*redis=[^ ]*:(\d+) kafka=[^ ]*:(\d+)", line)
            if found:
                self.port, self.kafka_port = int(found.group(1)), int(found.group(2))
                break
        if self.port is None:
            sys.exit("weir did not start:\n" + "".join(self.lines))
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def stop(self):
        """Ask it to end; its exit status."""
        self.process.terminate()
        status = self.process.wait(20)
        self.reader.join(5)
        self.folder.cleanup()
        return status

    def kill(self):
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(20)
        self.reader.join(5)
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.returncode is not None: # stopped or killed by the test
            return
        status = self.stop()
        if kind is not None:
            sys.stderr.write("".join(self.lines[-20:]))
        elif status != 0:
            sys.exit("weir ended with %d:\n%s" % (status, "".join(self.lines[-20:])))


if __name__ == "__main__":
    cores, io, dashes, *rest = sys.argv[1:]
    assert dashes == "--"
    with Server(int(cores), io) as server:
        status = subprocess.call(rest, env={**os.environ, "REDIS_PORT": str(server.port),
                                            "KAFKA_PORT": str(server.kafka_port)})
        if status not in (0, 77):
            sys.stderr.write("".join(server.lines[-20:]))
    sys.exit(status)
