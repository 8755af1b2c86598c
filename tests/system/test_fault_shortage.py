"""No local port, no descriptor is left while many clients come: those who wait
are served in turn, nothing spins, and nobody's endpoint is to blame.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, later, need, run, \
    until
from netns import enter, local_ports
from p1 import Load, P1Origin
from weir import Weir, one
from web import HttpOrigin, answer, ok, once, read_response, request
from wire import Client

FEW = 12
WIDE = 32768, 60999
POOL = 'max = 100; max_waiting = 1000; queue_timeout = "60s";'


def narrow(first):
    """Few ports for the rest of the case; the admin port is asked seldom
    then, for each question takes one for a while."""
    later(lambda: local_ports(*WIDE))
    local_ports(first, first + FEW - 1)


def no_blame(w):
    for e in w.upstream()["endpoints"]:
        eq(sum(e["failures_total"].values()), 0, "the endpoint is blamed")


def at_rest(w):
    """Processor time over a second in which nothing happens."""
    before, begin = w.cpu_s(), time.monotonic()
    until(lambda: time.monotonic() - begin > 1.0, "a second")
    used, passed = w.cpu_s() - before, time.monotonic() - begin
    check(used < 0.3 * passed, "used %.2f s in %.2f s" % (used, passed))


# Before any thread is started: the whole file has its own network.
@case
def few_local_ports_under_load():
    enter()
    o = P1Origin()
    w = Weir(one(o, pool=POOL))
    narrow(40000)
    r = Load(w, mix="mild", clients=200, exchanges=4000).result()
    local_ports(*WIDE)
    w.balanced(o)
    o.judge()
    # Nobody was refused: they waited for what there was.
    eq((r["answered"], r["failed"]), (r["exchanges"], {}), "answered, failed")
    check(o.accepted >= FEW, "connections: %d" % o.accepted)
    no_blame(w)


@case
def no_local_port_at_all_is_told_and_passes():
    enter()
    gate = threading.Event()

    def handler(q, link):
        gate.wait(3 * WAIT)
        return answer(q)
    o = HttpOrigin(handler, keep=False)
    # Another upstream at the same address takes all the ports there are.
    w = Weir(one(o, pool='max = 100;').listener("other", "more").upstream(
        "more", o, pool='max = 100; queue_timeout = "%dms";' % (500 * SLOW)))
    narrow(40100)
    # Ports are per pair of addresses: theirs are other ones.
    held = [Client(w.conf.ports["front"]).send(request())
            for _ in range(FEW)]
    until(lambda: o.requests == FEW, "all ports in use")
    begin = w.upstream("more")["connects_total"]
    r = once(w.conf.ports["other"])
    eq(r.status, 503, "status")
    check(b"no_descriptors" in r.body or b"queue_timeout" in r.body,
          repr(r.body))
    at_rest(w)
    check(w.upstream("more")["connects_total"] - begin < 5, "it hammers")
    gate.set()
    for c in held:
        ok(read_response(c))
        c.close()
    local_ports(*WIDE)
    ok(once(w.conf.ports["other"]))
    no_blame(w)
    w.balanced(o)


def poor(o, protocol, pool):
    return Weir(one(o, protocol=protocol, pool=pool, up="" if
                    protocol == "http" else
                    'timeouts = { tunnel = "%dms"; };' % (2000 * SLOW)),
                before=[need("prlimit"), "--nofile=64:64"])


def descriptors(protocol):
    """Who does not fit is turned away with a reason; the others are served."""
    tcp = protocol == "tcp"
    o = P1Origin(*(["sessions"] if tcp else []))
    w = poor(o, protocol, 'max = 8; max_waiting = 1000; '
             'queue_timeout = "60s";')
    load = Load(w, tcp=tcp, mix="mild", clients=150, exchanges=0, pace=100,
                patience=int(60 * SLOW))
    until(lambda: o.counts()["requests"] > 1000, "traffic", 3 * WAIT)
    for _ in range(20):
        check(w.fds() <= 64, "descriptors")
        eq(w.get("/healthz")[0], 200, "/healthz")
    load.stop()
    r = load.result()
    check(r["answered"] > 500 and r["refused"] + r["cut"] > 0, repr(r))
    w.balanced(o)
    o.judge()
    at_rest(w)
    no_blame(w)
    again = Load(w, tcp=tcp, mix="mild", clients=5, exchanges=300).result()
    eq((again["answered"], again["failed"]), (again["exchanges"], {}),
       "answered, failed later")
    w.balanced(o)


@case
def sixty_four_descriptors_under_load():
    descriptors("http")


@case
def sixty_four_descriptors_under_raw_sessions():
    descriptors("tcp")


run()
