"""resp.py - a Redis client in a few lines, so that every byte on the wire is the test's own."""
import socket


class Error(Exception):
    pass


class Push(list):
    pass


class Client:
    def __init__(self, port, protocol=2, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        if protocol == 3:
            self.call("HELLO", 3)

    @staticmethod
    def encode(*words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    def send(self, *words):
        self.socket.sendall(self.encode(*words))

    def call(self, *words):
        self.send(*words)
        return self.read()

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, text = line[:1], line[1:-2]
        if kind == b"+":
            return text.decode()
        if kind == b"-":
            return Error(text.decode())
        if kind == b":":
            return int(text)
        if kind == b"_":
            return None
        if kind in b"$=":
            if text == b"-1":
                return None
            body = self.file.read(int(text) + 2)[:-2]
            return body if kind == b"$" else body[4:]
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(text))}
        if kind in b"*~>":
            if text == b"-1":
                return None
            items = [self.read() for _ in range(int(text))]
            return Push(items) if kind == b">" else items
        raise AssertionError("not RESP: %r" % line[:60])

    def close(self):
        self.file.close()
        self.socket.close()
