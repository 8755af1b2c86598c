"""weir is told to end while clients are connected: nobody is cut in the middle,
keep-alive clients are told, and the exit status is 0.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, run, until
from origin import Origin, echo
from weir import Weir, listening, one
from web import HttpOrigin, answer, ask, ok, once, read_response, request
from wire import Client


def gated():
    """An origin that answers /slow when .gate is set."""
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(3 * WAIT)
        return answer(q, "whole")
    o = HttpOrigin(handler)
    o.gate = gate
    return o


def draining(o, timeout="30s", **more):
    """weir with a request under way, told to end; (weir, that client)."""
    conf = one(o, **more)
    conf.drain_timeout = timeout
    w = Weir(conf)
    idle = Client(conf.ports["front"])
    ok(ask(idle))
    busy = Client(conf.ports["front"]).send(request(target="/slow"))
    until(lambda: o.requests == 2, "the slow request upstream")
    w.signal(signal.SIGTERM)
    return w, busy, idle


@case
def running_exchange_finishes_and_the_exit_is_clean():
    o = gated()
    w, busy, _ = draining(o)
    until(lambda: not listening(w.conf.ports["front"]), "listener closed")
    status, body = w.get("/readyz")
    eq(status, 503, "/readyz while draining")
    eq(w.stats()["draining"], True, "draining")
    eq(w.get("/healthz")[0], 200, "/healthz while draining")
    check(w.process.poll() is None, "it ended before its exchange")
    o.gate.set()
    r = ok(read_response(busy))
    eq(r.body, b"whole", "body")
    eq((r.get("Connection") or "").lower(), "close", "Connection")
    eq(busy.read_to_end(), b"", "closed after it")
    eq(w.exited(), 0, "exit status")
    check(o.accepted <= 2, "upstream connections")


@case
def idle_keep_alive_client_does_not_hold_it_up():
    o = gated()
    conf = one(o)
    conf.drain_timeout = "60s"
    w = Weir(conf)
    idle = [Client(conf.ports["front"]) for _ in range(5)]
    for c in idle:
        ok(ask(c))
    begin = time.monotonic()
    w.signal(signal.SIGTERM)
    eq(w.exited(WAIT), 0, "exit status")
    check(time.monotonic() - begin < 40 * SLOW, "waited for idle clients")
    for c in idle:
        eq(c.read_to_end(), b"", "idle client")
        eq(c.ended, "fin", "how it ended")
    o.had(1)


@case
def keep_alive_client_that_sends_meanwhile_is_told_not_cut():
    o = gated()
    conf = one(o)
    conf.drain_timeout = "60s"
    w = Weir(conf)
    c = Client(conf.ports["front"])
    c.send(request(target="/slow"))
    until(lambda: o.requests == 1, "the slow request upstream")
    eq(w.post("/drain")[0], 200, "POST /drain")
    until(lambda: w.get("/readyz")[0] == 503, "/readyz is 503")
    o.gate.set()
    r = ok(read_response(c))
    eq((r.get("Connection") or "").lower(), "close", "told")
    eq(c.read_to_end(), b"", "closed")
    eq(c.ended, "fin", "not cut")
    o.had(1)
    w.signal(signal.SIGTERM)
    eq(w.exited(), 0, "exit status")


@case
def drain_delay_serves_while_unready():
    o = gated()
    w, busy, idle = draining(o, more='drain_delay = "1h";')
    until(lambda: w.get("/readyz")[0] == 503, "/readyz is 503")
    check(listening(w.conf.ports["front"]), "the listener closed at once")
    ok(once(w.conf.ports["front"]))
    ok(ask(idle))
    o.gate.set()
    ok(read_response(busy))
    w.signal(signal.SIGTERM)
    eq(w.exited(), 0, "second SIGTERM ends it")


@case
def after_drain_delay_listeners_close():
    o = gated()
    w, busy, idle = draining(o, more='drain_delay = "%dms";' % (300 * SLOW))
    until(lambda: w.get("/readyz")[0] == 503, "/readyz is 503")
    until(lambda: not listening(w.conf.ports["front"]), "listener closed")
    check(w.process.poll() is None, "it ended before its exchange")
    o.gate.set()
    ok(read_response(busy))
    eq(w.exited(), 0, "exit status")


@case
def second_sigterm_ends_it_at_once():
    o = gated()
    w, busy, _ = draining(o, "1h")
    until(lambda: not listening(w.conf.ports["front"]), "listener closed")
    w.signal(signal.SIGTERM)
    eq(w.exited(), 0, "exit status")
    busy.read_to_end()
    check(busy.received == 0, "half a response: %d" % busy.received)


@case
def drain_timeout_cuts_what_does_not_end():
    o = gated()
    w, busy, _ = draining(o, "300ms")
    eq(w.exited(), 0, "exit status")
    got = busy.read_to_end()
    check(not got or b"503" in got[:20], "response: %r" % got[:80])


@case
def sigquit_drains_and_sigint_does_not():
    o = gated()
    conf = one(o)
    w = Weir(conf)
    w.signal(signal.SIGQUIT)
    eq(w.exited(), 0, "exit status after SIGQUIT")
    conf = one(o)
    conf.drain_timeout = "1h"
    w = Weir(conf)
    c = Client(conf.ports["front"]).send(request(target="/slow"))
    until(lambda: o.requests == 1, "request upstream")
    w.signal(signal.SIGINT)
    w.exited()
    eq(c.read_to_end(), b"", "the client of an exchange cut by SIGINT")


@case
def post_drain_lets_finish_and_post_stop_does_not():
    o = gated()
    conf = one(o)
    conf.drain_timeout = "1h"
    w = Weir(conf)
    c = Client(conf.ports["front"]).send(request(target="/slow"))
    until(lambda: o.requests == 1, "request upstream")
    eq(w.post("/drain")[0], 200, "POST /drain")
    until(lambda: not listening(conf.ports["front"]), "listener closed")
    check(w.process.poll() is None, "it ended before its exchange")
    eq(w.post("/stop")[0], 200, "POST /stop")
    eq(w.exited(), 0, "exit status")
    eq(c.read_to_end(), b"", "what the client got")
    o.had(1)


@case
def tcp_session_under_way_goes_on_until_it_ends():
    o = Origin(echo)
    conf = one(o, protocol="tcp")
    conf.drain_timeout = "60s"
    w = Weir(conf)
    c = Client(conf.ports["front"]).send("a")
    c.read_exact(1)
    w.signal(signal.SIGTERM)
    until(lambda: not listening(conf.ports["front"]), "listener closed")
    c.send("more")
    eq(c.read_exact(4), b"more", "echo while draining")
    check(w.process.poll() is None, "it ended before its session")
    c.close()
    eq(w.exited(), 0, "exit status")
    o.had(1)


@case
def two_workers_end_together():
    o = gated()
    w, busy, _ = draining(o, workers=2)
    until(lambda: not listening(w.conf.ports["front"]), "listeners closed")
    o.gate.set()
    ok(read_response(busy))
    eq(w.exited(), 0, "exit status")


run()
