"""Upstream connections are closed when they are old, unused or worn, the warm
set is filled again, and a server that hangs up early is not hammered.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, run, until
from origin import Origin, echo, greet
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once, read_response, request
from wire import Client


@case
def max_requests_retires_a_connection():
    o = HttpOrigin()
    w = Weir(one(o, pool="max_requests = 3;"))
    c = Client(w.conf.ports["front"])
    served = [(r.conn, r.nth) for r in (ok(ask(c)) for _ in range(10))]
    eq(served, [(n // 3 + 1, n % 3 + 1) for n in range(10)], "who served")
    eq((o.accepted, w.upstream()["connects_total"]), (4, 4), "connections")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def idle_timeout_closes_unused_ones():
    o = HttpOrigin()
    w = Weir(one(o, pool='idle_timeout = "200ms";'))
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    w.wait_pool(open=0)
    until(lambda: o.open == 0, "the origin sees it close")
    eq(ok(ask(c)).conn, 2, "who served")
    o.had(2)
    eq(w.failures(), {}, "failures")


@case
def max_lifetime_retires_old_ones_also_busy_ones():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, pool='max_lifetime = "300ms"; max = 1;'))
    c = Client(w.conf.ports["front"])
    last = 1

    def third():
        nonlocal last
        r = ok(ask(c))
        check(r.conn >= last, "an older one came back")
        last = r.conn
        return r.conn >= 3
    until(third, "a third connection under steady use")
    w.wait_pool(open=0)     # and an unused one ends by age alone
    check(o.accepted <= 4 + o.requests, "upstream connections")
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def lifetime_is_spread():
    # Ten warm connections of one age do not all end in the same instant:
    # +-10 % of 3 s is 600 ms wide.
    ends = []

    def script(link):
        link.read_to_end()
        ends.append(time.monotonic())
    o = Origin(script)
    w = Weir(one(o, protocol="tcp",
                 pool='min_idle = 10; max = 20; max_lifetime = "3s";'))
    w.wait_pool(idle=10)
    until(lambda: len(ends) >= 10, "the first ten end", 3 * WAIT)
    spread = sorted(ends)[9] - sorted(ends)[0]
    check(spread > 0.05, "all within %.3f s" % spread)
    w.wait_pool(idle=10)    # and were replaced
    until(lambda: o.accepted >= 20, "their connections")


@case
def min_idle_is_opened_at_start_and_after_closings():
    o = HttpOrigin()
    w = Weir(one(o, pool="min_idle = 5; max = 20;"))
    w.wait_pool(open=5, idle=5)
    o.had(5)                # before any client
    o.drop_all()
    o.had(10)               # opened again
    w.wait_pool(open=5, idle=5)
    until(lambda: o.open == 5, "as the origin sees it")
    ok(once(w.conf.ports["front"]))
    # While that one was in use four were idle.
    check(o.accepted <= 11, "connections: %d" % o.accepted)
    w.balanced(o)


@case
def min_idle_does_not_outlive_the_idle_timeout_pointlessly():
    # The warm set is kept: connections that time out are replaced, not more.
    o = HttpOrigin()
    w = Weir(one(o, pool='min_idle = 2; idle_timeout = "1s";'))
    w.wait_pool(idle=2)
    until(lambda: o.accepted >= 2, "two")
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 3.5, "a while", WAIT)
    check(o.accepted <= 2 + 2 * 2 * (time.monotonic() - begin),
          "connections: %d" % o.accepted)
    w.wait_pool(idle=2)


@case
def recovery_of_the_server_fills_the_warm_set():
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, pool="min_idle = 3;"))
    eq(w.pool()["open"], 0, "open")
    o.listen()
    w.wait_pool(idle=3)
    o.had(3)


@case
def refusing_server_is_not_hammered():
    # Connects to a dead port are told by the counter of failures.
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, pool="min_idle = 3;"))

    def tries():
        e, = w.upstream()["endpoints"]
        return sum(e["failures_total"].values())
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 2, "a while", WAIT)
    passed = time.monotonic() - begin
    check(tries() <= 3 * 20 * passed, "%d tries in %.1f s" % (
        tries(), passed))
    check(w.cpu_s() < 1 * SLOW, "processor time %.2f s" % w.cpu_s())


@case
def server_that_closes_idle_connections_early_is_not_hammered():
    def script(link):
        try:
            link.more(0.2)      # hangs up on who says nothing for 200 ms
        except TimeoutError:
            return
        link.send(link.take(len(link.buf)))
        echo(link)
    o = Origin(script)
    w = Weir(one(o, protocol="tcp", pool="min_idle = 4; max = 8;"))
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 4, "a while", WAIT)
    passed = time.monotonic() - begin
    # Replacing each at once would make 4 in 0.2 s, for ever: 20 a second.
    check(o.accepted <= 4 + 12 * passed, "%d connections in %.1f s" % (
        o.accepted, passed))
    e, = w.upstream()["endpoints"]
    eq(sum(e["failures_total"].values()), 0, "blamed")
    c = Client(w.conf.ports["front"]).send("x")
    eq(c.read_exact(1), b"x", "sessions are served all the same")


@case
def max_idle_closes_the_surplus_on_return():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(3 * WAIT)
        return answer(q)
    o = HttpOrigin(handler)
    w = Weir(one(o, pool="max = 10; max_idle = 2;"))
    clients = [Client(w.conf.ports["front"]).send(request())
               for _ in range(6)]
    until(lambda: o.requests == 6, "six at once")
    gate.set()
    for c in clients:
        ok(read_response(c))
    w.wait_pool(open=2, idle=2)
    o.had(6)
    for c in clients:
        c.close()
    w.balanced(o)


@case
def warm_greeting_server_keeps_its_sockets():
    o = Origin(greet(b"220 hello\r\n"))
    w = Weir(one(o, protocol="tcp", pool="min_idle = 2;"))
    w.wait_pool(idle=2)
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 1, "a while", WAIT)
    o.had(2)
    eq(w.upstream()["discarded_total"].get("unasked_bytes", 0), 0,
       "discarded")


run()
