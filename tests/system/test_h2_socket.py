"""WebSocket over HTTP/2 (RFC 8441): an extended CONNECT becomes an Upgrade of an
upstream connection that is its own, and nobody else's afterwards.
"""
# SPDX-License-Identifier: MIT
import base64
import hashlib
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import (CANCEL, Client2, DATA, ENABLE_CONNECT_PROTOCOL, END_STREAM,
                PROTOCOL_ERROR, frame, reset)
from web import HttpOrigin, answer
from weir import Weir, one

SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(q, fields=(), key=None):
    key = q.get("Sec-WebSocket-Key") if key is None else key
    hashed = base64.b64encode(hashlib.sha1(key.encode() + SALT).digest())
    return ("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: %s\r\n%s\r\n" % (
                hashed.decode(), "".join(f + "\r\n" for f in fields))).encode()


def connect(path="/chat", *more):
    return [(":method", "CONNECT"), (":protocol", "websocket"),
            (":scheme", "http"), (":path", path), (":authority", "h.test"),
            ("sec-websocket-version", "13"), *more]


def through(handler, **more):
    o = HttpOrigin(handler)
    w = Weir(one(o, **more))
    return o, w, Client2(w.conf.ports["front"])


def echo(q, link):
    if q.get("Upgrade") is None:
        return answer(q, "plain")
    link.send(accept(q, ["Sec-WebSocket-Protocol: chat"]))
    while link.more():
        link.send(link.take(len(link.buf)))
    link.send(b"<end>")
    return False


@case
def bytes_go_both_ways():
    seen = []

    def handler(q, link):
        seen.append(q)
        return echo(q, link)
    o, w, c = through(handler)
    s = c.ask(connect("/chat?x", ("sec-websocket-protocol", "chat"),
                      ("sec-websocket-key", "mine")), ends=False)
    a = c.on(s)
    while a.fields is None:
        c.take_frame()
    eq(c.theirs[ENABLE_CONNECT_PROTOCOL], 1, "it says that it can")
    eq(a.fields, [(":status", "200"), ("sec-websocket-protocol", "chat")],
       "answer")
    q = seen[0]
    eq(q.start, b"GET /chat?x HTTP/1.1", "request line")
    eq((q.get("Upgrade"), q.get("Connection"), q.get("Sec-WebSocket-Version"),
        q.get("Host")), ("websocket", "Upgrade", "13", "h.test"), "fields")
    key = base64.b64decode(q.get("Sec-WebSocket-Key"))
    eq(len(key), 16, "key of its own")
    eq(w.upstream()["pinned_total"]["upgrade"], 1, "pinned")
    sent = b""
    for n in (1, 70000, 3):
        data = os.urandom(n)
        for at in range(0, n, 16384):
            c.send(frame(DATA, 0, s, data[at:at + 16384]))
        sent += data
        while len(a.body) < len(sent):
            c.take_frame()
        eq(a.body, sent, "echo")
    eq(c.fetch().body, b"plain", "a neighbour")
    c.send(frame(DATA, END_STREAM, s))
    eq(c.answer(s).body, sent + b"<end>", "half-close")
    o.had(2)
    w.wait_pool(open=1, leased=0)
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def what_is_sent_early_waits_for_the_101():
    def handler(q, link):
        if q.path == "/no":
            eq(link.wants(), False, "bytes before the answer")
            return answer(q, "declined", 403)
        link.send(accept(q))
        link.send(link.read_exact(5) + b"!")
        return False
    o, w, c = through(handler)
    s = c.ask(connect("/yes"), ends=False)
    c.send(frame(DATA, 0, s, b"early"))
    eq(c.answer(s).body, b"early!", "echo")
    s = c.ask(connect("/no"), ends=False)
    c.send(frame(DATA, 0, s, b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"))
    a = c.answer(s)
    eq((a.status, a.body), (403, b"declined"), "declined")
    check(all(q.path != "/evil" for q in o.seen), "smuggled")
    c.close()


@case
def a_101_that_is_not_for_us_is_a_502():
    def handler(q, link):
        if q.path == "/key":
            link.send(accept(q, key="another"))
        elif q.path == "/none":
            link.send("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\n\r\n")
        elif q.path == "/other":
            link.send(accept(q).replace(b"websocket", b"wobsecket"))
        elif q.path == "/twice":
            link.send(accept(q, ["Sec-WebSocket-Accept: x"]))
        elif q.path == "/page":
            # Which the client would take for the socket's beginning.
            link.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        until(link.at_end, "weir closes")
        return False
    o, w, c = through(handler)
    for n, path in enumerate(("/key", "/none", "/other", "/twice",
                              "/page"), 1):
        a = c.answer(c.ask(connect(path), ends=False))
        eq(a.status, 502, path)
    eq(w.failures(), {"bad_response": 5}, "failures")
    c.close()
    w.balanced()


@case
def ends_and_resets_are_carried_over():
    ended = []

    def handler(q, link):
        link.send(accept(q))
        if q.path == "/far":
            link.send(b"bye")
            return False
        if q.path == "/cut":
            link.send(b"bye")
            link.rst()
            return None
        until(link.at_end, "the client's end")
        ended.append(link.ended)
        return False
    o, w, c = through(handler, up='timeouts = { tunnel = "300ms"; };')
    a = c.answer(c.ask(connect("/far"), ends=False))
    eq((a.status, a.body, a.ended), (200, b"bye", True), "the origin's end")
    a = c.answer(c.ask(connect("/cut"), ends=False))
    check(a.error is not None, "the origin's reset")
    s = c.ask(connect("/near"), ends=False)
    while c.on(s).fields is None:
        c.take_frame()
    c.send(reset(s))
    until(lambda: ended, "the client's reset")
    a = c.answer(c.ask(connect("/silent"), ends=False))
    eq((a.status, a.error), (200, CANCEL), "silence")
    eq(w.failures().get("tunnel_timeout"), 1, "tunnel_timeout")
    c.close()


@case
def what_was_sent_early_is_not_read_by_who_refuses():
    told = threading.Event()

    def handler(q, link):
        if q.get("Upgrade") is None:
            return answer(q, "plain")
        link.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n")
        told.wait(30)
        link.send(b"no")
        return None
    o, w, c = through(handler)
    s = c.ask(connect(), ends=False)
    c.send(frame(DATA, 0, s, b"GET /unseen HTTP/1.1\r\nHost: h\r\n\r\n"))
    a = c.on(s)
    while a.fields is None:
        c.take_frame()
    eq(a.status, 403, "answer")
    c.ping()
    told.set()
    eq(c.answer(s).body, b"no", "body")
    until(lambda: not o.links, "the end of its connection")
    eq(o.requests, 1, "requests that the origin has seen")


@case
def other_protocols_are_refused():
    o, w, c = through(echo)
    fields = [(n, "connect-udp" if n == ":protocol" else v)
              for n, v in connect()]
    c.resets(c.ask(fields), PROTOCOL_ERROR)
    eq(o.requests, 0, "requests")
    c.close()
    w.balanced(o)


run()
