"""Bodies stream through in both directions, whole and unchanged, in every
framing, within bounded memory, and the connection behind is used again.
"""
# SPDX-License-Identifier: MIT
import hashlib
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from weir import Weir, one
from web import (HttpOrigin, answer, ask, chunks, ok, once, read_response,
                 request, token)
from wire import Client

BIG = os.urandom(5 << 20)
SUM = hashlib.sha256(BIG).hexdigest()


def pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def sums(q, link):
    """Answers with the digest of the body, or with the big body itself."""
    if q.path == "/sum":
        return answer(q, hashlib.sha256(q.body).hexdigest())
    if q.path == "/big":
        return answer(q, BIG)
    if q.path == "/chunked":
        size = int(q.target.partition("?")[2])
        return answer(q, fields=[("Transfer-Encoding", "chunked"),
                                 ("Trailer", "X-Sum")]) + chunks(
            *pieces(BIG, size), trailers=[(b"X-Sum", SUM.encode())])
    return answer(q, q.body)


def start(**more):
    o = HttpOrigin(sums)
    w = Weir(one(o, **more))
    return o, w, Client(w.conf.ports["front"])


@case
def five_mib_up_and_down_by_length():
    o, w, c = start()
    for _ in range(3):
        eq(ok(ask(c, "POST", "/sum", body=BIG)).body.decode(), SUM, "upload")
        eq(hashlib.sha256(ok(ask(c, target="/big")).body).hexdigest(), SUM,
           "download")
    eq(ok(ask(c, "POST", "/e", body=b"")).body, b"", "empty body")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def five_mib_up_and_down_in_chunks_with_trailers():
    o, w, c = start()
    for size in (1000, 65536, 5 << 20):
        data = request("POST", "/sum", [("Transfer-Encoding", "chunked"),
                                        ("X-Token", token())]) + \
            chunks(*pieces(BIG, size), trailers=[(b"X-After", b"yes")])
        t = threading.Thread(target=c.send, args=(data,), daemon=True)
        t.start()
        eq(ok(read_response(c, "POST")).body.decode(), SUM, "upload")
        t.join()
        eq(o.seen[-1].trailers, [(b"X-After", b"yes")], "request trailers")
        r = ok(ask(c, target="/chunked?%d" % size,
                   fields=[("TE", "trailers"), ("Connection", "TE")]))
        eq(hashlib.sha256(r.body).hexdigest(), SUM, "download")
        eq(r.trailers, [(b"X-Sum", SUM.encode())], "response trailers")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def every_chunk_a_byte_and_every_byte_a_read():
    o, w, c = start()
    body = os.urandom(300)
    data = request("POST", "/", [("Transfer-Encoding", "chunked")]) + \
        chunks(*pieces(body, 1))
    c.send_pieces(data, 1)
    eq(ok(read_response(c, "POST")).body, body, "echo")
    data = request("POST", "/", body=body)
    c.send_pieces(data, 3)
    eq(ok(read_response(c, "POST")).body, body, "echo")
    o.had(1)


@case
def responses_in_pieces():
    def handler(q, link):
        whole = answer(q, q.token) if q.path == "/l" else answer(
            q, fields=[("Transfer-Encoding", "chunked")]) + \
            chunks(q.token[:5].encode(), q.token[5:].encode(),
                   trailers=[(b"A", b"b")])
        link.send_pieces(whole, 1)
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    for nth in range(1, 5):
        r = ok(ask(c, target="/l" if nth % 2 else "/c"))
        eq((r.body.decode(), r.nth), (r.get("X-Token"), nth), "response")
    o.had(1)


@case
def http_1_0_client_gets_chunked_bodies_without_chunks():
    o, w, c = start()
    r = ok(ask(c, target="/chunked?10000", minor=0))
    check(not r.chunked, "Transfer-Encoding to HTTP/1.0")
    eq(hashlib.sha256(r.body).hexdigest(), SUM, "body")
    c = Client(w.conf.ports["front"])
    for nth in (2, 3):
        r = ok(ask(c, target="/big", minor=0,
                   fields=[("Connection", "keep-alive")]))
        eq((hashlib.sha256(r.body).hexdigest(), r.nth), (SUM, nth), "body")
        if (r.get("Connection") or "").lower() != "keep-alive":
            c = Client(w.conf.ports["front"])
    o.had(1)


@case
def a_body_streams_before_it_is_whole():
    # The origin sees the first part while the client holds the last back,
    # and the client the first part of the answer while the origin does.
    seen, more = threading.Event(), threading.Event()

    def handler(q, link):
        eq(link.read_exact(5), b"first", "first part")
        seen.set()
        eq(link.read_exact(4), b"last", "last part")
        link.send(answer(q, "AAAABBBB")[:-4])
        more.wait(WAIT)
        link.send("BBBB")
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/", [("Content-Length", "9")]) + b"first")
    check(seen.wait(WAIT), "the first part never came")
    c.send("last")
    c.read_until(b"\r\n\r\n")
    eq(c.read_exact(4), b"AAAA", "first part of the answer")
    more.set()
    eq(c.read_exact(4), b"BBBB", "last part")
    eq((o.accepted, o.errors), (1, []), "upstream")


def plateau(count):
    """A condition: the number that count() gives has come to rest."""
    state = [0, -1]

    def rest():
        now = count()
        state[0] = state[0] + 1 if now == state[1] else 0
        state[1] = now
        return state[0] > 12
    return rest


@case
def client_that_does_not_read_pauses_the_origin():
    size, sent = 100 << 20, []

    def handler(q, link):
        if q.path == "/":
            return answer(q)
        link.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            link.send(bytes(65536))
            sent.append(1)
    o = HttpOrigin(handler)
    w = Weir(one(o))
    before = w.rss()
    c = Client(w.conf.ports["front"], rcvbuf=16384)
    c.send(request(target="/long"))
    c.read_exact(100)
    until(plateau(lambda: len(sent)), "the origin to be paused", 6 * WAIT)
    # What the kernel may hold between them can reach tens of MiB.
    check(len(sent) << 16 < size // 2, "no backpressure")
    ok(once(w.conf.ports["front"]))
    check(w.rss() - before < 6 << 20, "memory")
    while c.received < size:
        check(c.more(), "ended early")
        c.buf.clear()
    o.had(2)
    c.close()
    w.balanced(o)


@case
def origin_that_does_not_read_pauses_the_client():
    size, go = 100 << 20, threading.Event()

    def handler(q, link):
        go.wait(6 * WAIT)
        got = 0
        while got < size:
            link.more()
            got += len(link.buf)
            link.buf.clear()
        return answer(q, str(got))
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    before = w.rss()
    c = Client(w.conf.ports["front"])
    c.limit = 6 * WAIT
    sent = []

    def push():
        c.send(request("POST", "/", [("Content-Length", str(size))]))
        for _ in range(size >> 16):
            c.send(bytes(65536))
            sent.append(1)
    t = threading.Thread(target=push, daemon=True)
    t.start()
    until(plateau(lambda: len(sent)), "the client to be paused", 6 * WAIT)
    # What the kernel may hold between them can reach tens of MiB.
    check(len(sent) << 16 < size // 2, "no backpressure")
    check(w.rss() - before < 6 << 20, "memory")
    go.set()
    r = ok(read_response(c, "POST"))
    eq(int(r.body), size, "what arrived")
    t.join()
    o.had(1)
    c.close()
    w.balanced(o)


run()
