"""A client sends its next requests before the first is answered: the answers
come in the order of the requests, and one that fails touches no other.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from weir import Weir, one
from web import (HttpOrigin, answer, ok, once, read_response, request,
                 token)
from wire import Client


@case
def answers_come_in_order():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(3 * WAIT)
        return answer(q, q.target + q.token)
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    targets = ["/slow"] + ["/%d" % n for n in range(1, 10)]
    tokens = [token() for _ in targets]
    c.send(b"".join(request(target=p, fields=[("X-Token", t)])
                    for p, t in zip(targets, tokens)))
    until(lambda: o.requests >= 1, "the first request upstream")
    check(not c.wants(), "answered before the first")
    gate.set()
    for p, t in zip(targets, tokens):
        r = ok(read_response(c))
        eq((r.body.decode(), r.get("X-Token")), (p + t, t), "answer")
    check(o.accepted <= len(targets), "upstream: %d" % o.accepted)
    c.close()
    w.balanced(o)


@case
def a_thousand_in_one_write_use_one_connection_at_a_time():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, pool="max = 1;"))
    c = Client(w.conf.ports["front"])
    tokens = [token() for _ in range(1000)]
    t = threading.Thread(target=c.send, daemon=True, args=(
        b"".join(request(fields=[("X-Token", t)]) for t in tokens),))
    t.start()
    for n, wanted in enumerate(tokens, 1):
        r = ok(read_response(c))
        eq((r.get("X-Token"), r.nth), (wanted, n), "answer")
    t.join()
    o.had(1)
    c.close()
    w.balanced(o)


@case
def bodies_between_them_are_told_apart():
    o = HttpOrigin()
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    evil = request(target="/evil")
    c.send(request("POST", "/a", body=evil) +
           request("POST", "/b", [("Transfer-Encoding", "chunked")]) +
           b"%x\r\n%s\r\n0\r\n\r\n" % (len(evil), evil) +
           request(target="/c"))
    eq([ok(read_response(c)).body for _ in range(2)], [evil, evil], "bodies")
    ok(read_response(c))
    eq([q.path for q in o.seen], ["/a", "/b", "/c"], "requests upstream")
    check(1 <= o.accepted <= 3, "upstream: %d" % o.accepted)


@case
def failure_of_the_second_leaves_the_first_alone():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(3 * WAIT)
            return answer(q, "slow")
        return False if q.path == "/dies" else answer(q, "fine")
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(request(target="/slow") + request("POST", "/dies", body=b"x") +
           request(target="/after"))
    until(lambda: o.requests >= 1, "the first request upstream")
    gate.set()
    eq(ok(read_response(c)).body, b"slow", "first")
    eq(read_response(c).status, 502, "second")
    eq(ok(read_response(c)).body, b"fine", "third")
    check(o.accepted <= 3, "upstream: %d" % o.accepted)


@case
def bad_request_behind_a_good_one_is_answered_after_it():
    o = HttpOrigin(lambda q, link: answer(q, "good"))
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(request() + b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" +
           request(target="/never"))
    eq(ok(read_response(c)).body, b"good", "first")
    eq(read_response(c).status, 400, "second")
    eq(c.read_to_end(), b"", "closed, nothing more")
    eq((o.accepted, o.requests), (1, 1), "upstream")


@case
def client_that_ends_its_side_gets_all_answers():
    o = HttpOrigin(lambda q, link: answer(q, q.target))
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(request(target="/a") + request(target="/b")).shut()
    eq([ok(read_response(c)).body for _ in range(2)], [b"/a", b"/b"],
       "answers after FIN")
    eq(c.read_to_end(), b"", "end")
    check(o.accepted <= 2, "upstream: %d" % o.accepted)
    c.close()
    w.balanced(o)


@case
def connection_close_ends_the_pipeline():
    o = HttpOrigin(lambda q, link: answer(q, q.target))
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(request(target="/a", fields=[("Connection", "close")]) +
           request(target="/b"))
    r = ok(read_response(c))
    eq((r.body, (r.get("Connection") or "").lower()), (b"/a", "close"), "/a")
    eq(c.read_to_end(), b"", "nothing after it")
    eq((o.accepted, o.requests), (1, 1), "upstream")
    ok(once(w.conf.ports["front"]))
    o.had(1)


run()
