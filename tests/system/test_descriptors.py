"""With 64 descriptors and hundreds of clients weir stops to accept, does not
spin, loses nobody it has taken, and goes on when clients leave.
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
def accepting_pauses_without_spinning_and_recovers():
    o = HttpOrigin()
    w = poor(o, pool="max = 4;")
    clients = hoard(w, 200)
    count = [0, 0.0]

    def at_rest():
        now = len(answered(clients))
        if now != count[0]:
            count[:] = now, time.monotonic()
        return now and time.monotonic() - count[1] > 0.5 * SLOW
    count[1] = time.monotonic()
    until(at_rest, "as many as fit are served")
    served = count[0]
    check(10 <= served < 64, "served with 64 descriptors: %d" % served)
    check(w.fds() <= 64, "descriptors")
    # No spin: the processor time of a second at rest, not a second's worth.
    before, begin = w.cpu_s(), time.monotonic()
    until(lambda: time.monotonic() - begin > 1.0, "a second")
    used, passed = w.cpu_s() - before, time.monotonic() - begin
    check(used < 0.2 * passed, "used %.2f s in %.2f s" % (used, passed))
    # As the served ones leave, the others have their turn.
    left = list(clients)
    done = 0
    while left:
        ready = until(lambda: answered(left), "the next ones are served")
        for c in ready:
            ok(read_response(c))
            c.close()
            left.remove(c)
            done += 1
    eq(done, 200, "clients served")
    check(o.accepted <= 4, "upstream connections: %d" % o.accepted)
    eq(w.get("/healthz")[0], 200, "/healthz")
    w.balanced(o)
    eq(w.listener()["connections"]["accepted_total"], 200, "accepted")


@case
def no_descriptor_for_the_upstream_is_a_failure_that_is_told():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(60)
        return answer(q)
    o = HttpOrigin(handler, keep=False)
    w = poor(o, pool='max = 1000; queue_timeout = "1s";')
    clients = hoard(w, 100)
    until(lambda: o.requests >= 5, "requests upstream")
    # Nothing more can be opened: some wait, some fail, all in order.
    until(lambda: w.fds() >= 55, "descriptors used up")
    check(w.process.poll() is None, "it died")
    gate.set()
    statuses = set()
    for c in clients:
        r = read_response(c)
        statuses.add(r.status)
        c.close()
    check(200 in statuses and statuses <= {200, 502, 503}, repr(statuses))
    w.balanced(o)
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")
    ok(once(w.conf.ports["front"]))


run()
