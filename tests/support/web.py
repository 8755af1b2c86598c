"""HTTP/1.1 for tests: read messages strictly, an origin that tells who served.

The parser here takes only well-formed messages: what weir sends that it cannot
read is a finding. The origin's answers carry X-Conn (the number of the upstream
connection), X-Nth (the request's number on it) and X-Token (the client's own).

SPDX-License-Identifier: MIT
"""
import os
import re

from case import Failed, eq
from origin import Origin
from wire import Client, Ended

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class Message:
    """What requests and responses share: fields in order, body, trailers."""

    def __init__(self, head):
        self.raw = head
        lines = head[:-4].split(b"\r\n")
        self.start = lines[0]
        self.fields = [_field(line) for line in lines[1:]]
        self.body = b""
        self.trailers = []
        self.chunked = False

    def all(self, name):
        name = name.lower().encode()
        return [v.decode("latin-1") for n, v in self.fields
                if n.lower() == name]

    def get(self, name):
        """The only value of a field, or None; twice is a failure."""
        values = self.all(name)
        if len(values) > 1:
            raise Failed("%s came %d times: %r" % (
                name, len(values), self.raw))
        return values[0] if values else None

    def names(self):
        return [n.lower().decode() for n, _ in self.fields]

    def _read_body(self, wire, length_rule):
        """length_rule: "none", "close", "chunked" or a number."""
        if length_rule == "chunked":
            self.chunked = True
            self.body, self.trailers = read_chunks(wire)
        elif length_rule == "close":
            self.body = wire.read_to_end()
        elif length_rule != "none":
            self.body = wire.read_exact(length_rule)

    def framing(self):
        """"chunked", a length or None; anything double is a failure."""
        te, cl = self.get("Transfer-Encoding"), self.get("Content-Length")
        if te is not None and cl is not None:
            raise Failed("both framings: %r" % self.raw)
        if te is not None:
            eq(te.lower(), "chunked", "Transfer-Encoding")
            return "chunked"
        if cl is not None and not re.fullmatch("[0-9]{1,18}", cl):
            raise Failed("Content-Length: %r" % cl)
        return None if cl is None else int(cl)


def _field(line):
    name, colon, value = line.partition(b":")
    if not colon or not TOKEN.match(name) or b"\0" in value or \
            b"\r" in value or b"\n" in value:
        raise Failed("not a field line: %r" % line)
    return name, value.strip(b" \t")


def read_chunks(wire):
    body, trailers = bytearray(), []
    while True:
        line = wire.read_until(b"\r\n")[:-2]
        if not re.fullmatch(rb"[0-9a-fA-F]+(;.*)?", line):
            raise Failed("not a chunk size: %r" % line[:80])
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        body += wire.read_exact(size)
        eq(wire.read_exact(2), b"\r\n", "end of a chunk")
    while True:
        line = wire.read_until(b"\r\n")[:-2]
        if not line:
            return bytes(body), trailers
        trailers.append(_field(line))


class Response(Message):
    def __init__(self, head):
        super().__init__(head)
        m = re.fullmatch(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) (.*)",
                         self.start)
        if not m:
            raise Failed("not a status line: %r" % self.start)
        self.minor, self.status = int(m[1]), int(m[2])
        self.interim = []       # 1xx heads that came before

    @property
    def conn(self):
        return int(self.get("X-Conn"))

    @property
    def nth(self):
        return int(self.get("X-Nth"))


def read_response(wire, method="GET", body=True):
    """The next final response; interim ones are in .interim."""
    interim = []
    while True:
        try:
            head = wire.read_until(b"\r\n\r\n")
        except Ended:
            if wire.buf or not interim:
                raise
            raise Ended("%s after only %r" % (wire.ended, interim)) from None
        r = Response(head)
        if 100 <= r.status < 200 and r.status != 101:
            interim.append(r)
            continue
        break
    r.interim = interim
    rule = r.framing()
    if method == "HEAD" or r.status in (101, 204, 304):
        rule = "none"
    elif rule is None:
        rule = "close"
    if body:
        r._read_body(wire, rule)
    return r


class Request(Message):
    def __init__(self, head, conn, nth):
        super().__init__(head)
        m = re.fullmatch(rb"([^ ]+) ([^ ]+) HTTP/1\.([01])", self.start)
        if not m:
            raise Failed("not a request line: %r" % self.start)
        self.method = m[1].decode("latin-1")
        self.target = m[2].decode("latin-1")
        self.minor = int(m[3])
        self.conn, self.nth = conn, nth

    @property
    def token(self):
        return self.get("X-Token")

    @property
    def path(self):
        return self.target.partition("?")[0]


def read_request(link, body=True):
    """The next request on an accepted connection; None at its clean end."""
    link.limit = None
    try:
        head = link.read_until(b"\r\n\r\n")
    except Ended:
        if link.buf:
            raise ConnectionError("half a request: %r" % bytes(link.buf))
        return None
    link.requests += 1
    q = Request(head, link.number, link.requests)
    if body:
        read_request_body(link, q)
    return q


def read_request_body(link, q):
    rule = q.framing()
    try:
        q._read_body(link, "none" if rule is None else rule)
    except Ended as e:
        raise ConnectionError(str(e)) from None


def answer(q, body=b"", status=200, fields=(), reason="Fine"):
    """A response's bytes, with the three fields that tell who answered."""
    if isinstance(body, str):
        body = body.encode()
    lines = ["HTTP/1.1 %d %s" % (status, reason),
             "X-Conn: %d" % q.conn, "X-Nth: %d" % q.nth]
    if q.token:
        lines.append("X-Token: " + q.token)
    lines += ["%s: %s" % f for f in fields]
    if not any(f[0].lower() in ("content-length", "transfer-encoding")
               for f in fields) and status not in (204, 304):
        lines.append("Content-Length: %d" % len(body))
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if q.method == "HEAD" else head + body


def chunks(*parts, trailers=()):
    """A chunked body of those parts."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts if p)
    return out + b"0\r\n" + b"".join(
        b"%s: %s\r\n" % t for t in trailers) + b"\r\n"


def plain(q, link):
    """The default answer: the request's body, or the token twice."""
    return answer(q, q.body or (q.token or "hello") * 2)


class HttpOrigin(Origin):
    """handler(q, link): bytes are sent; None: it did all; False: close.

    With bodies=False the handler reads a body itself (read_request_body).
    """

    def __init__(self, handler=plain, bodies=True, keep=True, **more):
        self.handler = handler
        self.bodies = bodies
        self.keep = keep        # remember requests in .seen
        self.seen = []
        self.requests = 0
        super().__init__(self._converse, **more)

    def _converse(self, link):
        while True:
            q = read_request(link, self.bodies)
            if q is None:
                return
            with self.lock:
                self.requests += 1
                if self.keep:
                    self.seen.append(q)
            said = self.handler(q, link)
            if said is False:
                return
            if said:
                link.send(said)


def token():
    return os.urandom(16).hex()


def request(method="GET", target="/", fields=(), body=None, minor=1,
            host="x.test"):
    """A request's bytes; a body brings its Content-Length."""
    lines = ["%s %s HTTP/1.%d" % (method, target, minor)]
    if host is not None:
        lines.append("Host: " + host)
    lines += ["%s: %s" % f for f in fields]
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def ask(client, method="GET", target="/", fields=(), body=None, **more):
    """Request with a token of its own; the response, its token checked."""
    t = token()
    client.send(request(method, target, [("X-Token", t), *fields], body,
                        **more))
    r = read_response(client, method)
    if r.get("X-Token") is not None:
        eq(r.get("X-Token"), t, "the token of the response")
    return r


def once(address, method="GET", target="/", fields=(), body=None, **more):
    """ask() on a connection of its own."""
    client = Client(address)
    try:
        return ask(client, method, target, fields, body, **more)
    finally:
        client.close()


def ok(r):
    """Check that a response is a 200; returns it."""
    if r.status != 200:
        raise Failed("%s with %r" % (r.start.decode(), r.body[:200]))
    return r


def refused(r, status, reason=""):
    """Check that weir itself answered so: status and the reason's word."""
    if r.status != status or reason.encode() not in r.body or \
            r.body.count(b"\n") != 1:
        raise Failed("wanted %d %s in one line, got %s with %r" % (
            status, reason, r.start.decode(), r.body[:300]))
    return r
