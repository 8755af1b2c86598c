"""Interim responses and Expect: what the origin says before its answer reaches
the client in order, and a body is asked for exactly when it is wanted.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from weir import Weir, one
from web import (HttpOrigin, answer, ask, ok, once, read_request_body,
                 read_response, request)
from wire import Client


def interim(status, *fields):
    return ("HTTP/1.1 %d Wait\r\n" % status +
            "".join(f + "\r\n" for f in fields) + "\r\n").encode()


@case
def early_hints_are_forwarded_in_order():
    def handler(q, link):
        for n in range(20):
            link.send(interim(103, "Link: </%d>" % n))
        link.send(interim(102))
        return answer(q, "done")
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    for nth in (1, 2):
        r = ok(ask(c))
        eq([i.status for i in r.interim], [103] * 20 + [102], "interim")
        eq([i.get("Link") for i in r.interim[:20]],
           ["</%d>" % n for n in range(20)], "their fields")
        eq((r.body, r.nth), (b"done", nth), "final")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def an_http_1_0_client_gets_none():
    def handler(q, link):
        link.send(interim(103, "Link: <a>") + interim(100))
        return answer(q, "done")
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    r = ok(ask(c, minor=0))
    eq((r.interim, r.body), ([], b"done"), "to HTTP/1.0")
    eq(ok(once(w.conf.ports["front"])).nth, 2, "connection kept")
    o.had(1)


@case
def a_100_nobody_asked_for_disturbs_nothing():
    def handler(q, link):
        link.send(interim(100))
        return answer(q, "done")
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    for nth in (1, 2, 3):
        r = ok(ask(c))
        check(all(i.status == 100 for i in r.interim), "interim")
        eq((r.body, r.nth), (b"done", nth), "final")
    o.had(1)


@case
def endless_interim_responses_are_bounded():
    def handler(q, link):
        while True:
            link.send(interim(103, "A: " + "a" * 1000) * 50)
    o = HttpOrigin(handler)
    w = Weir(one(o))
    before = w.rss()
    c = Client(w.conf.ports["front"], rcvbuf=16384)
    c.send(request())
    # It may pass them on as they are read, or call it a bad response.
    while c.received < (2 << 20) and b"HTTP/1.1 502 " not in c.buf and \
            c.more():
        del c.buf[:-2000]
    check(w.rss() - before < 8 << 20, "memory")
    c.rst()
    w.wait_pool(open=0)
    o.had(1)


@case
def expect_100_continue_asks_for_the_body():
    def handler(q, link):
        expects.append(q.get("Expect"))
        if q.get("Expect"):
            link.send(interim(100))
        read_request_body(link, q)
        return answer(q, q.body)
    expects = []
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    for nth in (1, 2):
        c.send(request("POST", "/", [("Expect", "100-continue"),
                                     ("Content-Length", "5")]))
        head = c.read_until(b"\r\n\r\n")
        check(head.startswith(b"HTTP/1.1 100 "), "no 100: %r" % head)
        c.send("hello")
        r = ok(read_response(c, "POST"))
        eq((r.interim, r.body, r.nth), ([], b"hello", nth), "final")
    o.had(1)
    eq(len(expects), 2, "requests")
    c.close()
    w.balanced(o)


@case
def client_that_does_not_wait_for_the_100():
    def handler(q, link):
        if q.get("Expect"):
            link.send(interim(100))
        read_request_body(link, q)
        return answer(q, q.body)
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    r = ok(ask(c, "POST", "/", [("Expect", "100-continue")], b"hello"))
    eq(r.body, b"hello", "body")
    eq(ok(ask(c)).nth, 2, "connection kept")
    o.had(1)


@case
def a_refusal_instead_of_100_and_the_body_never_sent():
    for status in (417, 413, 401):
        def handler(q, link):
            if q.get("Expect"):
                return answer(q, "no", status)
            return answer(q, "fine")
        o = HttpOrigin(handler, bodies=False)
        w = Weir(one(o))
        c = Client(w.conf.ports["front"])
        c.send(request("POST", "/", [("Expect", "100-continue"),
                                     ("Content-Length", "5")]))
        r = read_response(c, "POST")
        eq((r.status, r.body), (status, b"no"), "refusal")
        eq(r.interim, [], "no 100 from weir")
        # The body was not sent: that upstream connection owes 5 bytes and
        # serves nobody any more.
        r = ok(once(w.conf.ports["front"]))
        eq((r.conn, r.body), (2, b"fine"), "who served next")
        o.had(2)
        check(all(q.target == "/" for q in o.seen), "requests upstream")
        c.close()


@case
def body_sent_without_waiting_and_refused_is_not_the_next_request():
    # The origin answers from the head and takes what follows for a request.
    swallowed = b"GET /attacker HTTP/1.1\r\nHost: x\r\nX-Swallow: "

    def handler(q, link):
        if q.get("Expect"):
            return answer(q, b"", status=403)
        return answer(q, q.target)
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c, victim = (Client(w.conf.ports["front"]) for _ in range(2))
    c.send(request("POST", "/", [("Expect", "100-continue"),
                                 ("Content-Length", str(len(swallowed)))]) +
           swallowed)
    eq(read_response(c, "POST").status, 403, "the refusal")
    victim.send(request(target="/victim"))
    r = ok(read_response(victim))
    eq((r.body, r.nth), (b"/victim", 1), "on a connection of its own")
    o.had(2)


@case
def expectations_other_than_100_continue_are_a_417():
    o = HttpOrigin()
    w = Weir(one(o))
    for value in ("200-ok", "100-continue, x", "100-continue-please",
                  "\t100-continu e"):
        c = Client(w.conf.ports["front"])
        c.send(request("POST", "/", [("Expect", value),
                                     ("Content-Length", "5")]))
        eq(read_response(c, "POST").status, 417, value)
        c.close()
    eq((o.accepted, o.received), (0, 0), "what the origin saw")


@case
def no_100_for_an_http_1_0_client():
    # RFC 9110 10.1.1: Expect of an HTTP/1.0 request is ignored.
    def handler(q, link):
        read_request_body(link, q)
        return answer(q, q.body)
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    r = ok(ask(c, "POST", "/", [("Expect", "100-continue")], b"hello",
               minor=0))
    eq((r.interim, r.body), ([], b"hello"), "answer")
    o.had(1)


run()
