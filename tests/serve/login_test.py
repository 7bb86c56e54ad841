"""login_test.py - which users of the settings may come in as Kafka clients, and how. The program is $WEIR."""
import base64
import hashlib
import hmac
import socket
import struct
import unittest

from server import Server

CONFIG = """
redis: {password: sesame}
users:
  alice: {password: "wonder,land=1"}
  "b=o,b": {password: "p\\u00e9"}
  carol: {password: pw, channels: ["news.*"]}
  dave: {password: pw, disabled: yes}
  eve: {}
"""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Closed(Exception):
    pass


class Client:
    """Requests without tags: SaslHandshake 1, SaslAuthenticate 1, Metadata 1."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.kafka_port), 10)

    def close(self):
        self.socket.close()

    def hear(self, count):
        heard = b""
        while len(heard) < count:
            try:
                more = self.socket.recv(count - len(heard))
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed()
            heard += more
        return heard

    def call(self, key, version, body):
        request = struct.pack(">hhih", key, version, 7, -1) + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        answer = self.hear(struct.unpack(">i", self.hear(4))[0])
        assert answer[:4] == b"\0\0\0\7"
        return answer[4:]

    def metadata(self):
        return self.call(3, 1, struct.pack(">i", 0))

    def token(self, token):
        answer = self.call(36, 1, struct.pack(">i", len(token)) + token)
        error, text_bytes = struct.unpack(">hh", answer[:4])
        at = 4 + max(text_bytes, 0)
        count, = struct.unpack(">i", answer[at:at + 4])
        return error, answer[at + 4:at + 4 + count]

    def log_in(self, mechanism, name, password):
        """The error of the login."""
        answer = self.call(17, 1, struct.pack(">h", len(mechanism)) + mechanism.encode())
        assert answer[:2] == b"\0\0", answer
        if mechanism == "PLAIN":
            return self.token(b"\0" + name.encode() + b"\0" + password.encode())[0]
        return self.scram(mechanism.replace("SCRAM-", "").replace("-", "").lower(), name, password)

    def scram(self, digest, name, password):
        first = "n=%s,r=abcdef" % name.replace("=", "=3D").replace(",", "=2C")
        error, challenge = self.token(b"n,," + first.encode())
        assert error == 0
        fields = dict(field.split("=", 1) for field in challenge.decode().split(","))
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        final = "c=biws,r=" + fields["r"]
        signed = (first + "," + challenge.decode() + "," + final).encode()
        key = hmac.digest(salted, b"Client Key", digest)
        signature = hmac.digest(hashlib.new(digest, key).digest(), signed, digest)
        proof = bytes(a ^ b for a, b in zip(key, signature))
        error, verdict = self.token((final + ",p=").encode() + base64.b64encode(proof))
        if error == 0:
            server_key = hmac.digest(salted, b"Server Key", digest)
            assert verdict == b"v=" + base64.b64encode(hmac.digest(server_key, signed, digest))
        return error


class Logins(unittest.TestCase):
    def served(self, client):
        try:
            return len(client.metadata()) > 0
        except Closed:
            return False

    def test_users_with_a_password_come_in(self):
        with Server(config=CONFIG) as server:
            for mechanism in MECHANISMS:
                for name, password in (("alice", "wonder,land=1"), ("b=o,b", "p\u00e9"), ("default", "sesame")):
                    with self.subTest(mechanism=mechanism, name=name):
                        client = Client(server)
                        self.assertEqual(client.log_in(mechanism, name, password), 0)
                        self.assertTrue(self.served(client))
                        client.close()

    def test_others_do_not(self):
        with Server(config=CONFIG) as server:
            for mechanism in MECHANISMS:
                for name, password in (("alice", "wrong"), ("carol", "pw"), ("dave", "pw"), ("eve", ""), ("nobody", "pw")):
                    with self.subTest(mechanism=mechanism, name=name):
                        client = Client(server)
                        self.assertEqual(client.log_in(mechanism, name, password), 58)
                        self.assertFalse(self.served(client))
                        client.close()
            refused = [line for line in server.lines if "login refused" in line]
            self.assertTrue(refused)
            self.assertFalse([line for line in server.lines if "pw" in line or "wonder" in line or "sesame" in line])

    def test_where_anybody_is_kept_from_anything_nobody_comes_in_without_a_login(self):
        for config in (CONFIG, "users: {a: {password: x}}", "users: {a: {disabled: yes}}", "users: {a: {channels: [b]}}",
                       "redis: {password: x}"):
            with self.subTest(config=config), Server(config=config) as server:
                client = Client(server)
                self.assertFalse(self.served(client))
                client.close()

    def test_where_nobody_is_all_come_in(self):
        for config in ("cores: 1", "users: {a: {}}"):
            with self.subTest(config=config), Server(config=config) as server:
                client = Client(server)
                self.assertTrue(self.served(client))
                client.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
