"""PROXY headers as others make and read them, from the specification alone.

SPDX-License-Identifier: MIT
"""
import ipaddress
import os
import socket
import ssl
import struct
import subprocess

from case import Failed, eq, need, temp_dir

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0, 1
UNSPEC, TCP4, TCP6, UNIX = 0x00, 0x11, 0x21, 0x31
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL = 1, 2, 3, 4, 5, 0x20


def v1(source, to=("198.51.100.9", 443)):
    """source, to: (address, port)."""
    word = "TCP6" if ":" in source[0] else "TCP4"
    return ("PROXY %s %s %s %d %d\r\n" % (
        word, source[0], to[0], source[1], to[1])).encode()


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def tls(client=1, verify=0, *subs):
    return tlv(SSL, struct.pack("!BI", client, verify) + b"".join(subs))


def v2(source=None, to=None, *tlvs, command=PROXY, family=None, body=None):
    """source None: nothing is said of addresses."""
    if body is None:
        body = b""
        if source is not None:
            to = to or (("2001:db8::9" if ":" in source[0]
                         else "198.51.100.9"), 443)
            body = ipaddress.ip_address(source[0]).packed + \
                ipaddress.ip_address(to[0]).packed + \
                struct.pack("!HH", source[1], to[1])
    if family is None:
        family = UNSPEC if source is None else \
            TCP6 if ":" in source[0] else TCP4
    body += b"".join(tlvs)
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family,
                                   len(body)) + body


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def summed(header):
    """The same with a checksum behind it."""
    length = struct.unpack("!H", header[14:16])[0] + 7
    whole = header[:14] + struct.pack("!H", length) + header[16:] + \
        tlv(CRC32C, b"\0\0\0\0")
    return whole[:-4] + struct.pack("!I", crc32c(whole))


class Header:
    """What was read: version, command, source and to as (address, port) or
    None, tlvs as a dict."""

    def __repr__(self):
        return "%r" % vars(self)


def read(wire):
    """The header that the connection has to begin with."""
    h = Header()
    h.source = h.to = None
    h.tlvs = {}
    first = wire.read_exact(6)
    if first == b"PROXY ":
        return _read_line(wire, h)
    head = first + wire.read_exact(10)
    eq(head[:12], SIGNATURE, "signature")
    command, family, length = struct.unpack("!BBH", head[12:])
    eq(command >> 4, 2, "version")
    h.version, h.command = 2, command & 15
    body = wire.read_exact(length)
    size = {UNSPEC: 0, TCP4: 4, TCP6: 16}[family]
    if size:
        ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
        h.source = (str(ipaddress.ip_address(body[:size])), ports[0])
        h.to = (str(ipaddress.ip_address(body[size:2 * size])), ports[1])
        body = body[2 * size + 4:]
    while body:
        kind, n = struct.unpack("!BH", body[:3])
        if n > len(body) - 3:
            raise Failed("a TLV goes past the end: %r" % body)
        h.tlvs[kind] = body[3:3 + n]
        body = body[3 + n:]
    return h


def _read_line(wire, h):
    words = wire.read_until(b"\r\n")[:-2].decode().split(" ")
    h.version, h.command = 1, PROXY
    if words == ["UNKNOWN"]:
        return h
    eq(len(words), 5, "words of %r" % words)
    family = {"TCP4": socket.AF_INET, "TCP6": socket.AF_INET6}[words[0]]
    for ip in words[1:3]:
        socket.inet_pton(family, ip)
    h.source, h.to = (words[1], int(words[3])), (words[2], int(words[4]))
    return h


def after(script):
    """A script of an origin that takes the header first: link.header, and
    all of them in origin.headers, in the order in which they came."""
    def whole(link):
        link.limit = None
        if not hasattr(link.origin, "headers"):
            link.origin.headers = []
        if not link.more():
            return                      # nothing came, nothing was said
        link.header = read(link)
        with link.origin.lock:
            link.origin.headers.append(link.header)
        script(link)
    return whole


def certificate(name="a.test"):
    """Paths of a certificate that signs itself, and of its key."""
    paths = [os.path.join(temp_dir(), name + end) for end in (".crt", ".key")]
    subprocess.run([need("openssl"), "req", "-x509", "-newkey", "ec",
                    "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=" + name, "-addext",
                    "subjectAltName=DNS:" + name, "-days", "2", "-out",
                    paths[0], "-keyout", paths[1]], check=True,
                   capture_output=True)
    return paths


class Secured:
    """TLS over a Wire, whatever has been read of it already; before: bytes
    that leave in one write with the ClientHello."""

    def __init__(self, wire, context, before=b"", **more):
        self.wire = wire
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, **more)
        self.before = before
        self._until(self._shake)

    def _shake(self):
        self.tls.do_handshake()
        return True

    def _until(self, step):
        """Let both ends speak until step() has what it wants."""
        while True:
            try:
                got = step()
            except ssl.SSLWantReadError:
                got = None
            said = self.before + self.out.read()
            self.before = b""
            if said:
                self.wire.send(said)
            if got is not None:
                return got
            if not self.wire.buf and not self.wire.more():
                return b""
            self.into.write(self.wire.take(len(self.wire.buf)))

    def send(self, data):
        self.tls.write(data)
        self.wire.send(self.out.read())

    def read(self):
        """What comes next; b"" at the end."""
        return self._until(lambda: self.tls.read(65536))
