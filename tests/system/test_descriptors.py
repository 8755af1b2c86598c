"""With 64 descriptors and hundreds of clients weir closes who is idle, then
refuses and says so, does not spin, and loses nobody it has taken.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, need, run, until
from weir import Weir, one
from web import HttpOrigin, answer, ok, once, read_response, request
from wire import Client


def poor(o, **more):
    """weir with a hard limit of 64 descriptors."""
    return Weir(one(o, **more), before=[need("prlimit"), "--nofile=64:64"])


def hoard(w, count):
    """Clients that connect (the backlog takes them) and ask for /."""
    return [Client(w.conf.ports["front"]).send(request())
            for _ in range(count)]


def answered(clients):
    return [c for c in clients if c.wants()]


@case
def what_does_not_fit_is_refused_without_spinning():
    o = HttpOrigin()
    w = poor(o, pool="max = 4;")
    clients = hoard(w, 200)
    statuses = {200: 0, 503: 0}
    served = []
    for c in clients:
        r = read_response(c)
        statuses[r.status] += 1
        if r.status == 200:
            served.append(c)
        else:
            check(b"overloaded" in r.body, "says why: %r" % r.body)
            check(int(r.get("retry-after")) >= 1, "when to come again")
            c.close()
    check(10 <= statuses[200] < 64, "served with 64 descriptors: %r" % statuses)
    check(w.fds() <= 64, "descriptors")
    l = w.listener()
    eq(l["limited_total"]["descriptors"], statuses[503], "counted")
    eq(l["connections"]["rejected_total"], statuses[503], "rejected_total")
    # No spin: the processor time of a second at rest, not a second's worth.
    before, begin = w.cpu_s(), time.monotonic()
    until(lambda: time.monotonic() - begin > 1.0, "a second")
    used, passed = w.cpu_s() - before, time.monotonic() - begin
    check(used < 0.2 * passed, "used %.2f s in %.2f s" % (used, passed))
    for c in served:
        c.close()
    until(lambda: w.listener()["connections"]["active"] == 0, "they leave")
    ok(once(w.conf.ports["front"]))
    check(o.accepted <= 4, "upstream connections: %d" % o.accepted)
    eq(w.get("/healthz")[0], 200, "/healthz")
    w.balanced(o)


@case
def clients_that_are_idle_make_room():
    o = HttpOrigin()
    w = poor(o, pool="max = 4;")
    idle = []
    while w.listener()["limited_total"]["descriptors"] == 0:
        c = Client(w.conf.ports["front"]).send(request())
        if read_response(c).status == 200:
            idle.append(c)
    check(len(idle) >= 10, "fit: %d" % len(idle))
    before = w.listener()["limited_total"]["descriptors"]
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 2.1, "they have been idle")
    for _ in range(5):
        ok(once(w.conf.ports["front"]))
    late = [Client(w.conf.ports["front"]).send(request()) for _ in range(5)]
    for c in late:
        ok(read_response(c))
    eq(w.listener()["limited_total"]["descriptors"], before, "refused")
    closed = [c for c in idle if c.wants()]
    check(len(closed) >= 2, "idle ones closed: %d" % len(closed))
    for c in idle + late:
        c.close()
    w.balanced(o)


@case
def those_let_in_have_their_upstream():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(60)
        return answer(q)
    o = HttpOrigin(handler, keep=False)
    w = poor(o, pool='max = 1000; queue_timeout = "1s";')
    clients = hoard(w, 100)
    # Weir has some twenty for itself, of the 32 that clients may not go beyond.
    until(lambda: o.requests >= 5, "requests upstream")
    check(w.fds() <= 64, "descriptors")
    check(w.process.poll() is None, "it died")
    gate.set()
    statuses = set()
    for c in clients:
        r = read_response(c)
        statuses.add(r.status)
        c.close()
    eq(statuses, {200, 503}, "statuses")
    eq(w.listener()["failures_total"]["no_descriptors"], 0, "no_descriptors")
    w.balanced(o)
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")
    ok(once(w.conf.ports["front"]))


run()
