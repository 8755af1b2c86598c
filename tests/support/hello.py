"""TLS as a peer: certificates made when asked for, servers that speak it behind
weir, clients whose first bytes are in hand before they are sent.

SPDX-License-Identifier: MIT
"""
import os
import ssl
import struct
import subprocess
import tempfile

from case import Failed, check, need, temp_dir
from wire import Client

_context = {}


def certificate(*names):
    """Paths of a certificate of its own for these names, and of its key."""
    folder = tempfile.mkdtemp(dir=temp_dir())
    crt, key = os.path.join(folder, "crt"), os.path.join(folder, "key")
    subprocess.run(
        [need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=" + names[0], "-addext", "subjectAltName=" + ",".join(
             "DNS:" + n for n in names), "-keyout", key, "-out", crt],
        check=True, capture_output=True, timeout=60)
    return crt, key


def tls_server(script, *names, alpn=()):
    """For Origin: the script has the link when its handshake is done, with the
    name that was asked for as link.name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(*names))
    context.set_alpn_protocols(list(alpn))

    def named(sock, name, _):
        sock.asked_name = name
    context.sni_callback = named

    def serve(link):
        try:
            link.sock = context.wrap_socket(link.sock, server_side=True)
        except ssl.SSLEOFError as e:
            raise ConnectionError from e        # the peer left: its right
        link.name = getattr(link.sock, "asked_name", None)
        script(link)
    return serve


def client_context(alpn=(), version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version:
        context.maximum_version = version
    return context


class TlsClient:
    """A client whose records are handed out, to be sent as a test likes."""

    def __init__(self, port, name=None, alpn=(), version=None):
        self.wire = Client(port)
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context(alpn, version).wrap_bio(
            self.inward, self.outward, server_hostname=name)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.hello = self.outward.read()

    def _do(self, what):
        while True:
            try:
                got = what()
            except ssl.SSLWantReadError:
                got = None
            to_send = self.outward.read()
            if to_send:
                self.wire.send(to_send)
            if got is not None:
                return got
            if not self.wire.more():
                raise Failed("the server ended: %s" % self.wire.ended)
            self.inward.write(self.wire.take(len(self.wire.buf)))

    def handshake(self, size=None):
        """Send the hello (in pieces of that size) and come to terms."""
        self.wire.send_pieces(self.hello, size or len(self.hello))
        self._do(lambda: self.tls.do_handshake() or True)
        return self

    def read_line(self):
        line = b""
        while not line.endswith(b"\n"):
            got = self._do(lambda: self.tls.read(1))
            check(got, "an end after %r" % line)
            line += got
        return line.decode().rstrip("\n")

    def close(self):
        self.wire.close()


def hello_of(name=None, alpn=(), version=None):
    """A real ClientHello: one record."""
    tls = client_context(alpn, version).wrap_bio(
        ssl.MemoryBIO(), out := ssl.MemoryBIO(), server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def records(hello, size):
    """The same message in records of at most that size."""
    message = hello[5:]
    return b"".join(
        b"\x16\x03\x01" + struct.pack(">H", len(message[i:i + size])) +
        message[i:i + size] for i in range(0, len(message), size))


def with_extension(hello, kind, body):
    """With an extension in front of the others; one record of any length."""
    m = hello[5:]
    at = 4 + 2 + 32                             # head, version, random
    at += 1 + m[at]                             # session id
    at += 2 + struct.unpack_from(">H", m, at)[0]        # cipher suites
    at += 1 + m[at]                             # compression
    rest = struct.pack(">HH", kind, len(body)) + body + m[at + 2:]
    m = m[4:at] + struct.pack(">H", len(rest)) + rest
    m = b"\x01" + len(m).to_bytes(3, "big") + m
    return b"\x16\x03\x01" + struct.pack(">H", len(m)) + m


def alert(number):
    """The record that a client gets to see for a fatal alert."""
    return b"\x15\x03\x01\x00\x02\x02" + bytes([number])


DECODE_ERROR, PROTOCOL_VERSION, UNRECOGNIZED_NAME = 50, 70, 112
