"""HTTP/2 for tests: frames as they are on the wire, and HPACK.

Peer speaks either side of a connection and does nothing by itself but what
Client2 says: a test sees each frame, and can send any. Names and values are
str, one character a byte; fields are lists of pairs, in order.

SPDX-License-Identifier: MIT
"""
import struct

from case import Failed, check, eq
from wire import Client

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, \
    WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WEIGHED = 1, 1, 4, 8, 32

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, \
    SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, \
    CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, \
    MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8

# RFC 7541 appendix A.
STATIC = [tuple((line + "|").split("|")[:2]) for line in """\
:authority
:method|GET
:method|POST
:path|/
:path|/index.html
:scheme|http
:scheme|https
:status|200
:status|204
:status|206
:status|304
:status|400
:status|404
:status|500
accept-charset
accept-encoding|gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate""".split("\n")]

# RFC 7541 appendix B: bits of each byte's code, and of EOS. The codes are
# given by that: in order of length, then of byte, each is one more.
_BITS = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28,
    28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13,
    6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
    15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5,
    7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20,
    22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22,
    23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
    23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23,
    23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26,
    26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24,
    24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27,
    26, 30]


def _codes():
    codes, code, bits = {}, 0, 0
    for byte in sorted(range(257), key=lambda b: (_BITS[b], b)):
        code <<= _BITS[byte] - bits
        bits = _BITS[byte]
        codes[bits, code] = byte
        code += 1
    return codes


_CODES = _codes()


def unpack_huffman(data):
    out, code, bits = bytearray(), 0, 0
    for byte in data:
        for at in range(7, -1, -1):
            code, bits = code << 1 | byte >> at & 1, bits + 1
            if (bits, code) in _CODES:
                out.append(_CODES[bits, code])
                code, bits = 0, 0
    check(bits < 8 and code == (1 << bits) - 1, "bad padding")
    return bytes(out)


def number(value, prefix, first=0):
    """RFC 7541 5.1; first: what stands in the other bits."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def text(value):
    data = value.encode("latin-1")
    return number(len(data), 7) + data


def pack(fields, index=False):
    """Literals only, never indexed; with index: put into the table."""
    return b"".join((b"\x40" if index else b"\x10") + text(n) + text(v)
                    for n, v in fields)


class Unpacker:
    def __init__(self):
        self.table = []

    def _number(self, data, at, prefix):
        most = (1 << prefix) - 1
        value, shift, at = data[at] & most, 0, at + 1
        if value < most:
            return value, at
        while True:
            value += (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                return value, at

    def _text(self, data, at):
        packed = data[at] & 128
        n, at = self._number(data, at, 7)
        check(at + n <= len(data), "a string past the end")
        raw = bytes(data[at:at + n])
        return (unpack_huffman(raw) if packed else raw).decode("latin-1"), \
            at + n

    def _at(self, index):
        check(0 < index <= len(STATIC) + len(self.table), "index %d" % index)
        return STATIC[index - 1] if index <= len(STATIC) else \
            self.table[index - len(STATIC) - 1]

    def __call__(self, data):
        fields, at = [], 0
        while at < len(data):
            first = data[at]
            if first & 0x80:
                index, at = self._number(data, at, 7)
                fields.append(self._at(index))
                continue
            if first & 0xe0 == 0x20:
                size, at = self._number(data, at, 5)
                del self.table[size // 32:]
                continue
            kept = first & 0x40
            index, at = self._number(data, at, 6 if kept else 4)
            if index:
                name = self._at(index)[0]
            else:
                name, at = self._text(data, at)
            value, at = self._text(data, at)
            fields.append((name, value))
            if kept:
                self.table.insert(0, (name, value))
                while sum(len(n) + len(v) + 32
                          for n, v in self.table) > 4096:
                    self.table.pop()
        return fields


class Frame:
    def __init__(self, kind, flags, stream, body):
        self.kind, self.flags, self.stream = kind, flags, stream
        self.body = body
        self.fields = None

    @property
    def ends(self):
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    @property
    def error(self):
        at = 4 if self.kind == GOAWAY else 0
        return struct.unpack(">I", self.body[at:at + 4])[0]

    @property
    def last(self):
        return struct.unpack(">I", self.body[:4])[0] & 0x7fffffff

    def __repr__(self):
        return "Frame(%d, flags %#x, stream %d, %r)" % (
            self.kind, self.flags, self.stream, self.fields or
            bytes(self.body[:40]))


def frame(kind, flags=0, stream=0, body=b""):
    return struct.pack(">I", len(body))[1:] + struct.pack(
        ">BBI", kind, flags, stream) + body


def settings(*pairs):
    return frame(SETTINGS, body=b"".join(struct.pack(">HI", *p)
                                         for p in pairs))


def window(stream, n):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", n))


def reset(stream, error=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", error))


def head(path="/", method="GET", *more, scheme="http", authority="h.test"):
    return [(":method", method), (":scheme", scheme), (":path", path),
            (":authority", authority), *more]


class Answer:
    """What has come on one stream."""

    def __init__(self):
        self.interim, self.fields, self.trailers = [], None, None
        self.body, self.ended, self.error = b"", False, None

    def get(self, name):
        values = [v for n, v in self.fields if n == name]
        check(len(values) < 2, "%s came twice: %r" % (name, self.fields))
        return values[0] if values else None

    @property
    def status(self):
        return int(self.get(":status"))

    @property
    def conn(self):
        return int(self.get("x-conn"))


class Client2(Client):
    """Connects and greets. Answers SETTINGS and PING; gives windows only as
    told, but for `wide`: then all that is allowed at once."""

    def __init__(self, address, *pairs, greet=True, wide=True, **more):
        super().__init__(address, **more)
        self.unpack = Unpacker()
        self.answers = {}
        self.goaways, self.pongs, self.windows = [], 0, {}
        self.theirs = None
        self.next = 1
        self.block = None
        if greet:
            if wide:
                pairs = ((INITIAL_WINDOW_SIZE, 0x7fffffff),) + pairs
            self.send(PREFACE + settings(*pairs) +
                      (window(0, 0x7fffffff - 65535) if wide else b""))

    def on(self, stream):
        return self.answers.setdefault(stream, Answer())

    def ask(self, fields=None, body=None, trailers=None, ends=True):
        """One request; its stream's number. body None: there is none. A body
        beyond the first window goes when the peer has said what is its."""
        while len(body or b"") > 65535 and self.theirs is None:
            self.take_frame()
        stream, self.next = self.next, self.next + 2
        end = ends and body is None and trailers is None
        out = frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                    pack(fields or head()))
        if body is not None:
            for at in range(0, max(len(body), 1), 16384):
                last = at + 16384 >= len(body) and trailers is None
                out += frame(DATA, END_STREAM if ends and last else 0, stream,
                             body[at:at + 16384])
        if trailers is not None:
            out += frame(HEADERS, END_HEADERS | END_STREAM, stream,
                         pack(trailers))
        self.send(out)
        return stream

    def take_frame(self):
        """The next frame, acted upon; header blocks come as one HEADERS."""
        raw = self.read_exact(9)
        n = int.from_bytes(raw[:3], "big")
        check(n <= 16384, "a frame of %d" % n)
        f = Frame(raw[3], raw[4], int.from_bytes(raw[5:], "big"),
                  self.read_exact(n))
        self._act(f)
        return f

    def _act(self, f):
        if f.kind == SETTINGS and not f.flags & ACK:
            self.theirs = dict(struct.unpack(">HI", f.body[at:at + 6])
                               for at in range(0, len(f.body), 6))
            self.send(frame(SETTINGS, ACK))
        elif f.kind == PING and not f.flags & ACK:
            self.send(frame(PING, ACK, 0, f.body))
        elif f.kind == PING:
            self.pongs += 1
        elif f.kind == GOAWAY:
            self.goaways.append((f.last, f.error))
        elif f.kind == WINDOW_UPDATE:
            self.windows[f.stream] = self.windows.get(f.stream, 0) + f.last
        elif f.kind == RST_STREAM:
            self.on(f.stream).error = f.error
        elif f.kind == DATA:
            a = self.on(f.stream)
            check(a.fields is not None and not a.ended, "DATA out of place")
            a.body += bytes(f.body)
            a.ended = f.ends
        elif f.kind in (HEADERS, CONTINUATION):
            self._head(f)

    def _head(self, f):
        block = (self.block or b"") + f.body
        if not f.flags & END_HEADERS:
            self.block = block
            self.block_ends = f.ends if f.kind == HEADERS else self.block_ends
            return
        ends = f.ends if f.kind == HEADERS else self.block_ends
        self.block = None
        f.fields = self.unpack(block)
        a = self.on(f.stream)
        check(not a.ended, "HEADERS behind the end")
        a.ended = ends
        names = [n for n, _ in f.fields]
        check(all(n == n.lower() for n in names), "names: %r" % names)
        if a.fields is not None:
            check(ends, "trailers that do not end")
            a.trailers = f.fields
        elif dict(f.fields)[":status"][0] == "1":
            check(not ends, "interim and the end")
            a.interim.append(f.fields)
        else:
            a.fields = f.fields

    def answer(self, stream):
        """All of it, or its reset."""
        a = self.on(stream)
        while not a.ended and a.error is None:
            self.take_frame()
        return a

    def fetch(self, *fields, **more):
        return self.answer(self.ask(*fields, **more))

    def ping(self):
        """All that was sent before has been read when this returns."""
        pongs = self.pongs
        self.send(frame(PING, 0, 0, b"weirtest"))
        while self.pongs == pongs:
            self.take_frame()

    def till_goaway(self):
        n = len(self.goaways)
        while len(self.goaways) == n:
            self.take_frame()
        return self.goaways[-1]

    def dies(self, error):
        """It is told so, and the connection ends."""
        while not self.goaways or self.goaways[-1][1] == NO_ERROR:
            self.take_frame()
        eq(self.goaways[-1][1], error, "code of the GOAWAY")
        self.read_to_end()
        eq(self.ended, "fin", "how it ended")

    def resets(self, stream, error):
        a = self.answer(stream)
        if a.error is None:
            raise Failed("an answer, not a reset: %r" % a.fields)
        eq(a.error, error, "code of the RST_STREAM")
        check(a.fields is None, "fields: %r" % a.fields)
