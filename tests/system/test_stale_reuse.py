"""The origin closes a kept connection just as a request goes out on it: sent
once more if that is safe and the connection was a used one, else a 502.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, refused
from wire import Client


def moody(rst=False, after=b""):
    """Answers each connection's first request, then reads one and closes."""
    def handler(q, link):
        if q.nth == 1:
            return answer(q, "first")
        link.send(after)
        if rst:
            link.rst()
        return False
    return HttpOrigin(handler)


def start(o, pool="max = 4;", up=""):
    w = Weir(one(o, pool=pool, up=up))
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    w.wait_pool(idle=1)
    return w, c


@case
def get_is_sent_once_more_on_a_fresh_connection():
    for rst in (False, True):
        o = moody(rst)
        w, c = start(o)
        r = ok(ask(c, target="/again"))
        eq((r.conn, r.nth), (2, 1), "who answered")
        eq([(q.conn, q.target) for q in o.seen],
           [(1, "/"), (1, "/again"), (2, "/again")], "requests upstream")
        u = w.upstream()
        eq((o.accepted, u["connects_total"]), (2, 2), "connections")
        eq(u["retries_total"], 1, "retries_total")
        eq(w.failures(), {}, "failures")
        e, = u["endpoints"]
        eq(sum(e["failures_total"].values()), 0, "the endpoint is blamed")
        c.close()
        w.balanced(o)


@case
def methods_that_are_safe_to_repeat_are_and_others_never():
    for method, body in (("HEAD", None), ("OPTIONS", None), ("PUT", None),
                         ("DELETE", None)):
        o = moody()
        w, c = start(o)
        eq(ask(c, method, "/again", body=body).status, 200, method)
        eq((o.accepted, o.requests), (2, 3), method + " upstream")
    for method, body in (("POST", b"pay"), ("POST", b""), ("POST", None),
                         ("PATCH", b"x"), ("BREW", None)):
        for rst in (False, True):
            o = moody(rst)
            w, c = start(o)
            refused(ask(c, method, "/once", body=body), 502, "upstream_")
            eq((o.accepted, o.requests), (1, 2), method + " upstream")
            eq(sum(w.failures().values()), 1, "counted failures")
            eq(w.upstream()["retries_total"], 0, "retries_total")
            # The client's connection goes on, with a fresh one behind it.
            eq(ok(ask(c)).conn, 2, "who served then")
            c.close()
            w.balanced(o)


@case
def first_use_of_a_connection_is_never_retried():
    o = HttpOrigin(lambda q, link: False)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    refused(ask(c), 502, "upstream_closed")
    eq((o.accepted, o.requests), (1, 1), "upstream connections, requests")
    eq(w.failures(), {"upstream_closed": 1}, "failures")
    e, = w.upstream()["endpoints"]
    check(sum(e["failures_total"].values()) >= 1, "nobody is blamed")
    w.wait_pool(open=0)


@case
def it_is_retried_only_once():
    calls = []

    def handler(q, link):
        calls.append(q.target)
        return answer(q) if q.target == "/" else False
    o = HttpOrigin(handler)
    # Two used connections wait; both would fail.
    w = Weir(one(o, pool="max = 4;"))
    gate = threading.Event()

    def slow(q, link):
        gate.wait(WAIT)
        return answer(q)
    o.handler = slow
    pair = [Client(w.conf.ports["front"]) for _ in range(2)]
    threads = [threading.Thread(target=ask, args=(c,)) for c in pair]
    for t in threads:
        t.start()
    until(lambda: o.accepted == 2, "two connections")
    gate.set()
    for t in threads:
        t.join()
    w.wait_pool(idle=2)
    o.handler = handler
    refused(ask(pair[0], target="/bad"), 502, "upstream_closed")
    eq(len(calls), 2, "tries")
    eq(w.upstream()["retries_total"], 1, "retries_total")


@case
def a_response_byte_forbids_the_retry():
    o = moody(after=b"HTTP/1.1 200 OK\r\nContent-Le")
    w, c = start(o)
    refused(ask(c, target="/again"), 502)
    eq((o.accepted, o.requests), (1, 2), "upstream connections, requests")
    eq(w.upstream()["retries_total"], 0, "retries_total")


@case
def get_with_a_body_that_has_gone_is_not_invented_anew():
    o = moody()
    w, c = start(o)
    r = ask(c, "PUT", "/again", body=b"z" * (4 << 20))
    # Too large to have been kept: not retried. If ever kept, then whole.
    check(r.status == 502 or (r.status == 200 and
          o.seen[-1].body == b"z" * (4 << 20)), "status %d" % r.status)
    for q in o.seen[1:]:
        eq(len(q.body), 4 << 20, "body upstream")


run()
