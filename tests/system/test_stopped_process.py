"""The process was stopped for longer than its deadlines: what came meanwhile is
read before any deadline is held against anybody.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, eq, run, until
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, read_response, request
from wire import Client


def stop_for(w, seconds, meanwhile):
    """SIGSTOP, do it, and SIGCONT after that time."""
    w.signal(signal.SIGSTOP)
    begin = time.monotonic()
    try:
        meanwhile()
        until(lambda: time.monotonic() - begin > seconds, "the time to pass")
    finally:
        w.signal(signal.SIGCONT)


@case
def answer_that_came_meanwhile_is_no_timeout():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(3 * WAIT)
        link.send(answer(q, "in time"))
        sent.append(1)
    sent = []
    o = HttpOrigin(handler)
    limit = SLOW
    w = Weir(one(o, up='timeouts = { response = "%dms"; };' % (1000 * limit)))
    c = Client(w.conf.ports["front"]).send(request())
    until(lambda: o.requests == 1, "request upstream")

    def meanwhile():
        gate.set()
        until(lambda: sent, "the answer is in weir's socket")
    stop_for(w, 2.5 * limit, meanwhile)
    eq(ok(read_response(c)).body, b"in time", "answer")
    eq(w.failures(), {}, "failures")
    o.had(1)


@case
def idle_clients_and_pools_survive_with_a_request_at_hand():
    o = HttpOrigin()
    w = Weir(one(o, pool='idle_timeout = "%dms"; max = 2;' % (2000 * SLOW),
                 front='timeouts = { idle = "%dms"; };' % (1000 * SLOW)))
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    stop_for(w, 1.8 * SLOW, lambda: c.send(request(target="/late")))
    eq(ok(read_response(c)).conn, 1, "who served")
    eq(w.failures(), {}, "failures")
    o.had(1)


run()
