"""HTTP with pool.mode = "session": a client keeps one upstream connection from
its first request until it leaves, and nobody else uses it meanwhile.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once, read_response, refused
from web import request
from wire import Client


def start(pool="", handler=None):
    o = HttpOrigin(handler) if handler else HttpOrigin()
    w = Weir(one(o, pool='mode = "session"; ' + pool))
    return o, w, w.conf.ports["front"]


@case
def each_client_has_its_own_while_it_stays():
    o, w, front = start()
    a, b = Client(front), Client(front)
    for nth in range(1, 6):
        ra, rb = ok(ask(a)), ok(ask(b))
        eq((ra.conn, ra.nth, rb.conn, rb.nth), (1, nth, 2, nth), "served")
    eq(w.pool()["leased"], 2, "leased between requests")
    a.close()
    w.wait_pool(leased=1)
    b.close()
    w.wait_pool(leased=0)
    w.balanced(o)
    o.had(2)


@case
def a_client_that_leaves_makes_room():
    o, w, front = start('max = 1; queue_timeout = "60s";')
    a = Client(front)
    ok(ask(a))
    b = Client(front).send(request(target="/b"))
    w.wait_pool(waiting=1)
    ok(ask(a, target="/a"))
    a.close()
    ok(read_response(b))
    eq([q.target for q in o.seen], ["/", "/a", "/b"], "order")
    b.close()
    w.balanced(o)
    check(o.accepted <= 2, "upstream connections: %d" % o.accepted)


@case
def it_is_refused_by_name_when_none_becomes_free():
    o, w, front = start('max = 1; queue_timeout = "200ms";')
    a = Client(front)
    ok(ask(a))
    refused(once(front), 503, "queue_timeout")
    ok(ask(a))
    o.had(1)


@case
def kept_connection_that_ends_is_replaced():
    o, w, front = start()
    a = Client(front)
    ok(ask(a))
    o.drop_all()
    w.wait_pool(open=0)
    eq(ok(ask(a)).conn, 2, "who served")
    o.links[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    r = ok(ask(a))
    eq((r.conn, r.body[:4] == b"evil"), (3, False), "after unasked bytes")
    eq(w.failures(), {}, "failures")
    o.had(3)


@case
def kept_connection_that_dies_under_a_request_is_retried_once():
    def handler(q, link):
        return answer(q) if q.nth == 1 else False
    o, w, front = start(handler=handler)
    a = Client(front)
    ok(ask(a))
    eq(ok(ask(a)).conn, 2, "who served")
    eq((o.requests, w.upstream()["retries_total"]), (3, 1), "retries")
    refused(ask(a, "POST", body=b"x"), 502, "upstream_")
    eq(w.upstream()["retries_total"], 1, "retries")
    a.close()
    w.balanced(o)
    o.had(2)


run()
