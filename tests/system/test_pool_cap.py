"""More clients than connections: the cap is exact, the queue first come first
served, bounded and timed, and whoever leaves it takes nothing along.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from weir import Weir, one
from web import (HttpOrigin, answer, ask, ok, once, read_response, refused,
                 request)
from wire import Client


def gate():
    """An origin whose answers wait for .open_gate; knows who is inside."""
    door = threading.Event()

    def handler(q, link):
        if q.path == "/held":
            with o.lock:
                o.inside += 1
                o.most = max(o.most, o.inside)
            door.wait(3 * WAIT)
            with o.lock:
                o.inside -= 1
        return answer(q, "x")
    o = HttpOrigin(handler)
    o.inside = o.most = 0
    o.open_gate = door.set
    return o


def held(w, n=1):
    """n clients that have each sent a request for /held."""
    return [Client(w.conf.ports["front"]).send(request(target="/held"))
            for _ in range(n)]


@case
def cap_is_exact_with_many_clients():
    most = []
    o = HttpOrigin(lambda q, link: (most.append(o.open), answer(q))[1],
                   keep=False)
    w = Weir(one(o, pool='max = 5; queue_timeout = "20s";'))

    def client():
        c = Client(w.conf.ports["front"])
        for _ in range(25):
            done.append(ask(c).status)
        c.close()
    done = []
    threads = [threading.Thread(target=client, daemon=True)
               for _ in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(6 * WAIT)
    eq((len(done), set(done)), (2500, {200}), "answers")
    check(max(most) <= 5, "open at once: %d" % max(most))
    o.had(5)
    u = w.upstream()
    eq((u["connects_total"], u["pool"]["open"]), (5, 5), "connects, open")
    check(u["pool"]["waiting_max"] > 5, "nobody waited: %r" % u["pool"])
    w.balanced(o)


@case
def first_come_first_served():
    o = gate()
    w = Weir(one(o, pool='max = 1; queue_timeout = "20s";'))
    first, = held(w)
    until(lambda: o.inside == 1, "the first request")
    queue = []
    for n in range(20):
        c = Client(w.conf.ports["front"])
        c.send(request(target="/%d" % n))
        queue.append(c)
        w.wait_pool(waiting=n + 1)
    o.open_gate()
    for c in [first] + queue:
        ok(read_response(c))
        c.close()
    eq([q.target for q in o.seen[1:]], ["/%d" % n for n in range(20)],
       "order of service")
    o.had(1)
    w.balanced(o)


@case
def queue_timeout_is_a_503_that_says_so():
    o = gate()
    w = Weir(one(o, pool='max = 1; queue_timeout = "200ms";'))
    first, = held(w)
    until(lambda: o.inside == 1, "the first request")
    c = Client(w.conf.ports["front"])
    refused(ask(c), 503, "queue_timeout")
    eq(w.failures(), {"queue_timeout": 1}, "failures")
    o.open_gate()
    ok(read_response(first))
    # The refused client's connection goes on.
    ok(ask(c))
    eq((o.accepted, o.requests), (1, 2), "upstream connections, requests")
    first.close()
    c.close()
    w.balanced(o)


@case
def full_queue_refuses_at_once():
    o = gate()
    w = Weir(one(o, pool='max = 1; max_waiting = 2; queue_timeout = "60s";'))
    clients = held(w)
    until(lambda: o.inside == 1, "the first request")
    clients += held(w, 2)
    w.wait_pool(waiting=2)
    refused(once(w.conf.ports["front"]), 503, "queue_full")
    eq(w.failures(), {"queue_full": 1}, "failures")
    o.open_gate()
    for c in clients:
        ok(read_response(c))
        c.close()
    eq((o.accepted, o.requests), (1, 3), "upstream connections, requests")


@case
def no_waiting_room_at_all():
    o = gate()
    w = Weir(one(o, pool='max = 1; max_waiting = 0;'))
    first, = held(w)
    until(lambda: o.inside == 1, "the first request")
    refused(once(w.conf.ports["front"]), 503, "queue_full")
    o.open_gate()
    ok(read_response(first))
    ok(ask(first))
    o.had(1)


@case
def vanished_waiter_takes_no_lease():
    o = gate()
    w = Weir(one(o, pool='max = 1; queue_timeout = "60s";'))
    first, = held(w)
    until(lambda: o.inside == 1, "the first request")
    leaving = held(w, 10)
    w.wait_pool(waiting=10)
    last = Client(w.conf.ports["front"]).send(request(target="/last"))
    w.wait_pool(waiting=11)
    for n, c in enumerate(leaving):
        c.rst() if n % 2 else c.close()
    w.wait_pool(waiting=1)
    o.open_gate()
    ok(read_response(first))
    ok(read_response(last))
    eq([q.target for q in o.seen], ["/held", "/last"], "requests upstream")
    o.had(1)
    first.close()
    last.close()
    w.balanced(o)


@case
def waiter_that_vanishes_inside_its_body_takes_none_either():
    o = gate()
    w = Weir(one(o, pool='max = 1; queue_timeout = "60s";'))
    first, = held(w)
    until(lambda: o.inside == 1, "the first request")
    for way in ("rst", "close"):
        for sent in (b"", b"half"):
            c = Client(w.conf.ports["front"])
            c.send(request("POST", "/gone", [("Content-Length", "9")]) + sent)
            w.wait_pool(waiting=1)
            getattr(c, way)()
            w.wait_pool(waiting=0)
    o.open_gate()
    ok(read_response(first))
    eq([q.target for q in o.seen], ["/held"], "requests upstream")
    o.had(1)
    first.close()
    w.balanced(o)


@case
def tcp_sessions_wait_and_are_refused_alike():
    from origin import Origin, echo
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp",
                 pool='max = 1; max_waiting = 1; queue_timeout = "60s";'))
    a = Client(w.conf.ports["front"]).send("a")
    eq(a.read_exact(1), b"a", "first session")
    b = Client(w.conf.ports["front"]).send("b")
    w.wait_pool(waiting=1)
    c = Client(w.conf.ports["front"])
    eq(c.read_to_end(), b"", "refused session")
    eq(w.failures(), {"queue_full": 1}, "failures")
    a.close()
    eq(b.read_exact(1), b"b", "second session")
    until(lambda: o.open <= 1, "the origin sees the first end")
    o.had(2)
    b.close()
    c.close()
    w.balanced(o)


@case
def endpoint_max_is_a_cap_too():
    a, b = gate(), gate()
    w = Weir(one('{ address = "%s"; max = 2; }' % a.address,
                 '{ address = "%s"; max = 1; }' % b.address,
                 pool='max = 50; queue_timeout = "60s";'))
    clients = held(w, 3)
    until(lambda: (a.inside, b.inside) == (2, 1), "both are full")
    clients += held(w, 5)
    w.wait_pool(waiting=5, open=3, leased=3, connecting=0)
    a.open_gate()
    b.open_gate()
    for c in clients:
        ok(read_response(c))
        c.close()
    eq((a.most, b.most), (2, 1), "at once")
    a.had(2)
    b.had(1)
    w.balanced(a, b)


run()
