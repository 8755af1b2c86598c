"""Something happens on an upstream connection while nobody uses it: bytes, FIN
or RST. It is thrown away and the next request never notices.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from origin import Origin, echo
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once
from wire import Client


def idle_pair(pool=""):
    o = HttpOrigin()
    w = Weir(one(o, pool=pool))
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    w.wait_pool(idle=1)
    return o, w, c


def not_blamed(w, o):
    e, = w.upstream()["endpoints"]
    eq(sum(e["failures_total"].values()), 0, "endpoint failures")
    eq(w.failures(), {}, "failures")


@case
def unasked_bytes_make_it_unusable():
    o, w, c = idle_pair()
    o.links[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    w.wait_pool(open=0)
    until(lambda: o.open == 0, "the connection closes")
    r = ok(ask(c))
    eq((r.conn, r.nth, o.accepted), (2, 1, 2), "who served")
    eq(w.upstream()["discarded_total"].get("unasked_bytes"), 1,
       "discarded: %r" % w.upstream()["discarded_total"])
    not_blamed(w, o)
    c.close()
    w.balanced(o)


@case
def a_single_byte_is_enough():
    o, w, c = idle_pair()
    o.links[0].send(b"\n")
    w.wait_pool(open=0)
    eq(ok(ask(c)).conn, 2, "who served")
    o.had(2)
    not_blamed(w, o)


@case
def fin_and_rst_while_idle_are_noticed():
    for rst in (False, True):
        o, w, c = idle_pair()
        o.drop_all(rst)
        w.wait_pool(open=0)
        eq(ok(ask(c)).conn, 2, "who served")
        o.had(2)
        not_blamed(w, o)
        c.close()
        w.balanced(o)


@case
def request_and_unasked_bytes_at_the_same_time():
    o, w, c = idle_pair()
    served = 1
    for _ in range(100):
        # The bytes are in weir's socket before the request is sent, so it
        # can and must see them first.
        o.links[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        r = ok(ask(c))
        check(r.body != b"evil", "unasked bytes answered a request")
        served += 1
        o.had(served)
        w.wait_pool(idle=1)
    c.close()
    w.balanced(o)


@case
def warm_connections_that_close_are_replaced():
    o = HttpOrigin()
    w = Weir(one(o, pool="min_idle = 3;"))
    w.wait_pool(idle=3)
    o.had(3)
    o.drop_all()
    o.had(6)            # opened again
    w.wait_pool(idle=3)
    ok(once(w.conf.ports["front"]))
    # Three are kept idle beside the one in use: an answer that is slow to come
    # has another one opened meanwhile.
    check(o.accepted <= 7, "%d connections" % o.accepted)
    not_blamed(w, o)


@case
def warm_tcp_connection_with_fin_is_not_given_to_a_client():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", pool="min_idle = 1;"))
    w.wait_pool(idle=1)
    o.had(1)
    o.drop_all()
    o.had(2)            # it is replaced
    w.wait_pool(idle=1)
    c = Client(w.conf.ports["front"]).send("x")
    eq(c.read_exact(1), b"x", "echo")
    not_blamed(w, o)


@case
def leftovers_after_a_response_close_it():
    def handler(q, link):
        if q.path == "/two":
            return answer(q, "one") + answer(q, "two")
        return answer(q, q.token)
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    eq(ok(ask(c, target="/two")).body, b"one", "first response")
    d = Client(w.conf.ports["front"])
    for client in (c, d):
        r = ok(ask(client))
        eq(r.conn, 2, "who served")
        check(not client.wants(), "bytes too many")
    o.had(2)
    c.close()
    d.close()
    w.balanced(o)


run()
