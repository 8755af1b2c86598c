"""Two worker threads share one pool: the cap is exact over both, both endpoints
are used alike, no waiter is forgotten while another worker has room.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, Failed, case, check, eq, run, until
from origin import Origin, greet
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once
from wire import Client, Ended


def crowd(w, clients, rounds):
    """All ask alike; their failures, and when each was done."""
    failures, ends = [], []

    def go():
        c = Client(w.conf.ports["front"])
        try:
            for _ in range(rounds):
                ok(ask(c))
            ends.append(time.monotonic())
        except (Failed, Ended, OSError) as e:
            failures.append(e)
        c.close()
    threads = [threading.Thread(target=go, daemon=True)
               for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(8 * WAIT)
    eq(failures, [], "failures")
    eq(len(ends), clients, "clients that finished")


@case
def cap_holds_and_endpoints_are_used_alike():
    most = []

    def handler(q, link):
        most.append(a.open + b.open)
        return answer(q)
    a, b = HttpOrigin(handler, keep=False), HttpOrigin(handler, keep=False)
    for balance in ("least_conn", "round_robin"):
        w = Weir(one(a, b, workers=2, up='balance = "%s";' % balance, pool=
                     'max = 10; max_waiting = 1000; queue_timeout = "60s";'))
        before = a.requests, b.requests, a.accepted + b.accepted
        crowd(w, 60, 40)
        check(max(most) <= 10, "open at once: %d" % max(most))
        got = a.requests - before[0], b.requests - before[1]
        eq(sum(got), 2400, "requests")
        check(min(got) > 500, "%s: requests %r" % (balance, got))
        check(a.accepted + b.accepted - before[2] <= 10, "connections")
        open_now = [e["open"] for e in w.upstream()["endpoints"]]
        # By turns go requests: which of them need a new connection is chance.
        check(min(open_now) >= 1, "%s: open %r" % (balance, open_now))
        w.balanced(a, b)
        w.stop()
        until(lambda: a.open + b.open == 0, "connections close")


@case
def one_connection_serves_both_workers():
    # With max = 1 every grant across workers is a hand-over by mail.
    o = HttpOrigin(keep=False)
    w = Weir(one(o, workers=2, pool=
                 'max = 1; max_waiting = 1000; queue_timeout = "60s";'))
    crowd(w, 40, 25)
    u = w.upstream()
    eq((o.accepted, u["connects_total"]), (1, 1), "upstream connections")
    eq(u["requests_total"], 1000, "requests")
    w.balanced(o)


@case
def idle_connection_of_the_other_worker_is_found():
    # Sixteen clients one after the other land on either worker; the pool
    # has room for one connection, which has to come over.
    o = HttpOrigin()
    w = Weir(one(o, workers=2, pool='max = 1; queue_timeout = "60s";'))
    for _ in range(16):
        c = Client(w.conf.ports["front"])
        begin = time.monotonic()
        ok(ask(c))
        check(time.monotonic() - begin < 10 * SLOW, "a lost wake-up")
    o.had(1)


@case
def neither_worker_starves_the_other():
    # Both always have somebody waiting; each request takes 3 ms. A worker
    # that served its own first would keep the connection for itself.
    def handler(q, link):
        time.sleep(0.003)
        return answer(q)
    o = HttpOrigin(handler, keep=False)
    w = Weir(one(o, workers=2, pool=
                 'max = 1; max_waiting = 1000; queue_timeout = "60s";'))
    done, at_first = [0] * 20, []
    all_there = threading.Barrier(20)

    def go(n):
        c = Client(w.conf.ports["front"])
        all_there.wait(4 * WAIT)
        while done[n] < 30 and not at_first:
            ok(ask(c))
            done[n] += 1
        if not at_first:
            at_first.append(list(done))
        c.close()
    threads = [threading.Thread(target=go, args=(n,), daemon=True)
               for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(4 * WAIT)
    check(at_first and min(at_first[0]) >= 10, "requests of each when the "
          "first had 30: %r" % at_first)
    o.had(1)
    w.balanced(o)


@case
def tcp_sessions_on_two_workers():
    o = Origin(greet(b"hi\n"))
    w = Weir(one(o, protocol="tcp", workers=2, pool=
                 'max = 3; queue_timeout = "60s"; max_waiting = 100;'))
    most = []

    def go():
        for _ in range(10):
            c = Client(w.conf.ports["front"])
            eq(c.read_line(), b"hi\n", "greeting")
            most.append(o.open)
            c.send("x")
            eq(c.read_exact(1), b"x", "echo")
            c.close()
            done.append(1)
    done = []
    threads = [threading.Thread(target=go, daemon=True) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(4 * WAIT)
    eq(len(done), 120, "sessions")
    # The origin may not yet have noticed a close when the next connects.
    check(w.pool()["open"] <= 3, "open now")
    eq((o.accepted, w.upstream()["connects_total"]), (120, 120), "connects")
    w.balanced(o)


@case
def min_idle_is_dealt_over_workers_and_endpoints():
    a, b = HttpOrigin(), HttpOrigin()
    w = Weir(one(a, b, workers=2, pool="min_idle = 6; max = 20;"))
    w.wait_pool(idle=6)
    until(lambda: a.open + b.open == 6, "six at the origins")
    eq((a.open, b.open), (3, 3), "both alike")
    for _ in range(10):
        ok(once(w.conf.ports["front"]))
    # One that is out on a slow machine may be made up for.
    check(6 <= a.accepted + b.accepted <= 8, "upstream connections: %d" %
          (a.accepted + b.accepted))


@case
def settled_after_a_wild_time():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, workers=2, pool='max = 2; max_requests = 7; '
                 'max_waiting = 1000; queue_timeout = "60s";'))
    crowd(w, 20, 50)
    u = w.upstream()
    eq(u["requests_total"], 1000, "requests")
    check(1000 // 7 <= u["connects_total"] <= 1000 // 7 + 4,
          "connects: %d" % u["connects_total"])
    eq(u["connects_total"], o.accepted, "as the origin counts")
    w.balanced(o)


run()
