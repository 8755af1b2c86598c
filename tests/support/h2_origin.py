"""A scripted HTTP/2 server: each connection runs a script over frames.

Talk reads and keeps the books of streams and windows; what is answered, and how
wrongly, is the script's. serve() makes one of a function for each request.

SPDX-License-Identifier: MIT
"""
import ssl
import struct

from case import check
from h2 import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY,
                HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, PING, PREFACE,
                RST_STREAM, SETTINGS, WINDOW_UPDATE, Frame, Unpacker, frame,
                pack, reset, settings, window)
from origin import Origin
from wire import Ended


class Request:
    """What has come on one stream."""

    def __init__(self, number):
        self.stream = number
        self.fields, self.trailers = None, None
        self.body, self.ended, self.error = bytearray(), False, None
        self.window = 65535     # what may be sent on it
        self.taken = False      # by Talk.request or Talk.whole

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def get(self, name):
        values = self.all(name)
        check(len(values) < 2, "%s came twice: %r" % (name, self.fields))
        return values[0] if values else None

    @property
    def path(self):
        return self.get(":path")

    @property
    def method(self):
        return self.get(":method")


class Talk:
    """One connection, greeted. Gives window for all that comes, unless told
    not to (`gives`)."""

    def __init__(self, link, *pairs, greet=True, gives=True):
        self.link, self.gives = link, gives
        self.unpack = Unpacker()
        self.requests = {}
        self.theirs = {}
        self.window = 65535
        self.goaways, self.pongs = [], 0
        self.block = None
        check(link.read_exact(len(PREFACE)) == PREFACE, "no preface")
        if greet:
            self.send(settings(*pairs))

    def send(self, data):
        self.link.send(data)

    @property
    def number(self):
        return self.link.number

    def take_frame(self):
        raw = self.link.read_exact(9)
        n = int.from_bytes(raw[:3], "big")
        check(n <= 16384, "a frame of %d" % n)
        f = Frame(raw[3], raw[4], int.from_bytes(raw[5:], "big"),
                  self.link.read_exact(n))
        self._act(f)
        return f

    def on(self, stream):
        if stream not in self.requests:
            self.requests[stream] = Request(stream)
            self.requests[stream].window = self.theirs.get(
                INITIAL_WINDOW_SIZE, 65535)
        return self.requests[stream]

    def _act(self, f):
        if f.kind == SETTINGS and not f.flags & ACK:
            self.theirs.update(struct.unpack(">HI", f.body[at:at + 6])
                               for at in range(0, len(f.body), 6))
            self.send(frame(SETTINGS, ACK))
        elif f.kind == PING and not f.flags & ACK:
            self.send(frame(PING, ACK, 0, f.body))
        elif f.kind == PING:
            self.pongs += 1
        elif f.kind == GOAWAY:
            self.goaways.append((f.last, f.error))
        elif f.kind == WINDOW_UPDATE and f.stream:
            self.on(f.stream).window += f.last
        elif f.kind == WINDOW_UPDATE:
            self.window += f.last
        elif f.kind == RST_STREAM:
            self.on(f.stream).error = f.error
        elif f.kind == DATA:
            q = self.on(f.stream)
            q.body += f.body
            q.ended = f.ends
            if self.gives and f.body:
                self.send(window(0, len(f.body)) + (
                    window(f.stream, len(f.body)) if not f.ends else b""))
        elif f.kind in (HEADERS, CONTINUATION):
            self._head(f)

    def _head(self, f):
        block = (self.block or b"") + f.body
        if f.kind == HEADERS:
            self.block_ends = f.ends
        self.block = block
        if not f.flags & END_HEADERS:
            return
        self.block = None
        f.fields = self.unpack(block)
        q = self.on(f.stream)
        q.ended = self.block_ends
        if q.fields is None:
            q.fields = f.fields
        else:
            q.trailers = f.fields

    def _next(self, good):
        while True:
            for q in self.requests.values():
                if not q.taken and q.fields is not None and good(q):
                    q.taken = True
                    return q
            self.take_frame()

    def request(self):
        """The next one of which the head has come."""
        return self._next(lambda q: True)

    def whole(self):
        """The next one that has come as a whole."""
        return self._next(lambda q: q.ended)

    def head(self, q, status=200, *fields, ends=False):
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0),
                        q.stream, pack([(":status", str(status)),
                                        ("x-conn", str(self.number)),
                                        *fields])))

    def data(self, q, body, ends=False):
        """As the windows allow; False: the stream was reset meanwhile."""
        at = 0
        while at < len(body):
            n = min(16384, len(body) - at, q.window, self.window)
            if q.error is not None:
                return False
            if n <= 0:
                self.take_frame()
                continue
            q.window -= n
            self.window -= n
            self.send(frame(DATA, END_STREAM if ends and at + n == len(body)
                            else 0, q.stream, body[at:at + n]))
            at += n
        if ends and not body:
            self.send(frame(DATA, END_STREAM, q.stream))
        return True

    def trailers(self, q, *fields):
        self.send(frame(HEADERS, END_HEADERS | END_STREAM, q.stream,
                        pack(fields)))

    def answer(self, q, body=b"", status=200, fields=(), trailers=None):
        if isinstance(body, str):
            body = body.encode()
        if not body and trailers is None:
            self.head(q, status, *fields, ends=True)
            return
        self.head(q, status, *fields)
        self.data(q, body, ends=trailers is None)
        if trailers is not None:
            self.trailers(q, *trailers)

    def reset(self, q, error):
        self.send(reset(q.stream, error))

    def goaway(self, last, error=NO_ERROR):
        self.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, error)))

    def ping(self):
        """All that was sent before has been read when this returns."""
        pongs = self.pongs
        self.send(frame(PING, 0, 0, b"weirtest"))
        while self.pongs == pongs:
            self.take_frame()

    def to_end(self):
        """Until the peer closes."""
        try:
            while True:
                self.take_frame()
        except Ended:
            pass


def scripted(script, *pairs, context=None, **more):
    """An origin of which each connection runs script(talk). context: of ssl,
    where TLS is spoken."""
    def run(link):
        try:
            if context is not None:
                link.sock = context.wrap_socket(link.sock, server_side=True)
            script(Talk(link, *pairs, **more))
        except (Ended, ssl.SSLError):
            pass
    return Origin(run)


def offering(cert, *names):
    """A server's context that shows cert and takes one of names by ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert.crt, cert.key)
    if names:
        context.set_alpn_protocols(list(names))
    return context


def serve(handler=None, *pairs, **more):
    """An origin that calls handler(talk, request) for each whole request."""
    def one(talk, q):
        talk.answer(q, q.path)

    def script(talk):
        while True:
            (handler or one)(talk, talk.whole())
    return scripted(script, *pairs, **more)
