"""Heads, targets and bodies beyond their limits, and peers that send them a
byte at a time: the right 4xx, on time, and nothing of them upstream.
"""
# SPDX-License-Identifier: MIT
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, Failed, case, check, eq, port, run, until
from weir import Weir, one
from web import (HttpOrigin, answer, ask, ok, once, read_response, refused,
                 request)
from wire import Client


def small(o, extra):
    return Weir(one(o, front=extra))


def status_of(w, data):
    c = Client(w.conf.ports["front"])
    try:
        c.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    r = read_response(c)
    c.read_to_end()
    check(c.ended, "not closed")
    return r.status


def untouched(o, w):
    eq((o.accepted, o.received), (0, 0), "what the origin saw")
    ok(once(w.conf.ports["front"]))
    o.had(1)


@case
def head_too_large_is_a_431():
    o = HttpOrigin()
    w = small(o, 'max_header = "4KiB";')
    fine = request(fields=[("A", "a" * 3000)])
    eq(read_response(Client(w.conf.ports["front"]).send(fine)).status, 200,
       "below the limit")
    for data in (request(fields=[("A", "a" * 4096)]),
                 request(fields=[("A%d" % n, "a" * 40) for n in range(99)]),
                 request(fields=[("A", "a" * 200000)]),
                 b"GET / HTTP/1.1\r\nA: " + b"a" * 10000):
        eq(status_of(w, data), 431, "status")
    eq((o.accepted, o.requests), (1, 1), "upstream")


@case
def too_many_fields_are_a_431():
    o = HttpOrigin()
    w = small(o, "max_headers = 20;")
    eq(status_of(w, request(fields=[("A", "b")] * 20)), 431, "21 fields")
    untouched(o, w)
    eq(read_response(Client(w.conf.ports["front"]).send(
        request(fields=[("A", "b")] * 19))).status, 200, "20 fields")


@case
def target_too_long_is_a_414():
    o = HttpOrigin()
    w = small(o, 'max_header = "4KiB";')
    eq(status_of(w, request(target="/" + "a" * 5000)), 414, "with its end")
    eq(status_of(w, b"GET /" + b"a" * 200000), 414, "without")
    untouched(o, w)


@case
def body_too_large_is_a_413():
    o = HttpOrigin()
    w = small(o, 'max_body = "1KiB";')
    c = Client(w.conf.ports["front"])
    ok(ask(c, "POST", "/", body=b"x" * 1024))
    eq((o.accepted, o.requests), (1, 1), "upstream")
    seen = o.received
    refused(once(w.conf.ports["front"], "POST", "/",
                body=b"x" * 1025), 413)
    eq(o.received, seen, "bytes upstream for a length too large")
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/", [("Transfer-Encoding", "chunked")]))
    try:
        for _ in range(1000):
            c.send(b"64\r\n" + b"x" * 100 + b"\r\n")
    except OSError:
        pass
    eq(read_response(c, "POST").status, 413, "chunked")
    eq(o.requests if o.requests < 2 else o.seen[1].target, 1,
       "whole requests upstream")
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/", [("Expect", "100-continue"),
                                 ("Content-Length", "1025")]))
    r = read_response(c, "POST")
    eq((r.status, r.interim), (413, []), "told before it is sent")
    ok(once(w.conf.ports["front"]))


def trickle(c, data, pause):
    """Send a byte every pause seconds until weir answers or ends."""
    for at in range(len(data)):
        try:
            c.send(data[at:at + 1])
        except OSError:
            return
        end = time.monotonic() + pause
        while time.monotonic() < end:
            if c.wants():
                return
            time.sleep(0.005)
    raise Failed("it never answered")


@case
def slow_head_meets_a_total_deadline():
    o = HttpOrigin()
    w = small(o, 'timeouts = { header = "400ms"; idle = "1h"; };')
    c = Client(w.conf.ports["front"])
    begin = time.monotonic()
    trickle(c, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 4000, 0.05)
    took = time.monotonic() - begin
    eq(read_response(c).status, 408, "status")
    eq(c.read_to_end(), b"", "closed")
    check(0.35 < took < 20 * SLOW, "after %.2f s" % took)
    # Each byte did not renew the deadline: 4000 of them take 200 s.
    untouched(o, w)


@case
def slow_first_byte_is_idle_not_a_408():
    o = HttpOrigin()
    w = small(o, 'timeouts = { header = "100ms"; idle = "300ms"; };')
    c = Client(w.conf.ports["front"])
    got = c.read_to_end()
    check(got == b"" or b" 408 " in got[:20], "answer: %r" % got)
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    eq(c.read_to_end(), b"", "keep-alive client that is silent")
    eq((o.accepted, o.requests), (1, 1), "upstream")


@case
def slow_body_meets_a_deadline():
    o = HttpOrigin()
    w = small(o, 'timeouts = { body = "400ms"; };')
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/", [("Content-Length", "100000")]))
    trickle(c, b"x" * 4000, 0.05)
    eq(read_response(c, "POST").status, 408, "status")
    eq(c.read_to_end(), b"", "closed")
    eq(o.requests, 0 if not o.seen else o.requests, "requests")
    w.wait_pool(leased=0)
    ok(once(w.conf.ports["front"]))
    check(o.accepted <= 2, "upstream: %d" % o.accepted)
    eq([q.target for q in o.seen if q.method == "GET"], ["/"], "whole ones")


@case
def response_that_does_not_come_is_a_504():
    o = HttpOrigin(lambda q, link: link.hold())
    w = Weir(one(o, up='timeouts = { response = "300ms"; };'))
    c = Client(w.conf.ports["front"])
    refused(ask(c), 504, "response_timeout")
    eq(w.failures(), {"response_timeout": 1}, "failures")
    w.wait_pool(open=0)
    eq((o.accepted, o.requests), (1, 1), "not tried twice")


@case
def response_that_stalls_in_its_body_is_cut():
    def handler(q, link):
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        link.hold()
    o = HttpOrigin(handler)
    w = Weir(one(o, up='timeouts = { stall = "300ms"; };'))
    c = Client(w.conf.ports["front"]).send(request())
    got = c.read_to_end()
    check(got.endswith(b"\r\n\r\nhalf"), "what came: %r" % got)
    w.wait_pool(open=0)
    eq((o.accepted, o.requests), (1, 1), "upstream")


@case
def response_that_trickles_is_not_a_stall():
    # Each byte begins the time anew; in all it takes three times as long.
    def handler(q, link):
        whole = answer(q, "0123456789abcdefghij")
        link.send(whole[:-20])
        for n in range(20):
            link.origin.ending.wait(0.15 * SLOW)
            link.send(whole[-20 + n:][:1])
    o = HttpOrigin(handler)
    w = Weir(one(o, up='timeouts = { stall = "%dms"; };' % (1000 * SLOW)))
    eq(ok(once(w.conf.ports["front"])).body, b"0123456789abcdefghij", "body")
    o.had(1)


@case
def connect_that_is_not_answered_is_a_504():
    # A listener whose queue is full drops what comes: connects hang.
    with socket.create_server(("127.0.0.1", port()), backlog=0) as full:
        number = full.getsockname()[1]
        filler = [socket.socket() for _ in range(8)]
        for s in filler:
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", number))
        w = Weir(one(number, up='timeouts = { connect = "300ms"; };'))
        refused(once(w.conf.ports["front"]), 504, "connect_timeout")
        eq(w.failures(), {"connect_timeout": 1}, "failures")
        w.wait_pool(open=0, connecting=0, waiting=0)
        for s in filler:
            s.close()


@case
def connect_that_is_refused_is_a_502_or_503():
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o))
    r = once(w.conf.ports["front"])
    check(r.status in (502, 503) and b"connect_failed" in r.body,
          "%d %r" % (r.status, r.body))
    o.listen()

    def back():
        return once(w.conf.ports["front"]).status == 200
    until(back, "recovery")
    o.had(1)


@case
def pipelining_client_that_never_reads_is_bounded():
    body = "y" * 4000
    o = HttpOrigin(lambda q, link: answer(q, body), keep=False)
    w = Weir(one(o))
    ok(once(w.conf.ports["front"]))
    before = w.rss()
    c = Client(w.conf.ports["front"], rcvbuf=8192)
    c.limit = 1
    block = request() * 1000
    sent = 0
    try:
        while sent < (200 << 20):
            c.send(block)
            sent += len(block)
    except TimeoutError:
        pass                # weir reads no more: what is wanted
    check(sent < (200 << 20), "weir read 200 MiB of requests")
    check(w.rss() - before < 8 << 20,
          "grew by %d KiB" % ((w.rss() - before) >> 10))
    served = o.requests
    check(served < 100000, "answered without end: %d" % served)
    ok(once(w.conf.ports["front"]))
    c.rst()
    check(o.accepted <= 3, "upstream: %d" % o.accepted)
    w.balanced(o)


@case
def connections_beyond_the_limit_are_turned_away():
    o = HttpOrigin()
    w = Weir(one(o, front="limits = { connections = 3; };"))
    held = [Client(w.conf.ports["front"]) for _ in range(3)]
    for c in held:
        ok(ask(c))
    late = Client(w.conf.ports["front"])
    try:
        got = late.send(request()).read_to_end()
    except OSError:
        got = b""
    check(got == b"" or got.startswith(b"HTTP/1.1 429 "), "got %r" % got)
    eq(w.listener()["connections"]["rejected_total"], 1, "rejected_total")
    held[0].close()
    until(lambda: w.listener()["connections"]["active"] == 2, "one leaves")
    ok(once(w.conf.ports["front"]))
    o.had(1)


run()
