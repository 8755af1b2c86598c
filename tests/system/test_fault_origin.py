"""The origin is killed, stopped and started again under load: what was under
way fails visibly, no POST runs twice, and soon all is as it was.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, run, until
from p1 import Load, P1Origin
from weir import Weir, one

POOL = 'max = 16; max_waiting = 1000; queue_timeout = "60s";'
# Who comes back is waited for: not the 10 s of the default.
HTTP = 'timeouts = { response = "%dms"; stall = "%dms"; }; ' \
    'outlier = { eject_for = "1s"; };' % (500 * SLOW, 500 * SLOW)
# Where nobody is stopped who is slow on a busy machine is not ejected for it.
PATIENT = 'outlier = { eject_for = "1s"; };'
TCP = 'timeouts = { tunnel = "%dms"; };' % (500 * SLOW)
ROUNDS = 2


def start(*origins, protocol="http", mix="mild", workers=1, clients=100,
          up=None):
    w = Weir(one(*origins, protocol=protocol, pool=POOL, workers=workers,
                 up=up or (HTTP if protocol == "http" else TCP)))
    load = Load(w, tcp=protocol == "tcp", framed=True, mix=mix, pace=5,
                clients=clients, exchanges=0)
    return w, load


def passes(*origins, count=200):
    """Until the origins have had so many requests more."""
    def served():
        return sum(o.counts()["requests"] for o in origins)
    before = served()
    # One that was ejected again meanwhile is out for twice as long, and one that
    # was tried in vain rests for up to 30 s.
    until(lambda: served() >= before + count, "traffic", 8 * WAIT)


def at_the_end(w, load, *origins, tcp=False):
    """All that was asked has an end; then all is asked again and answered."""
    load.stop()
    r = load.result()
    w.balanced(*origins)
    check(r["answered"] > 0, repr(r))
    # Connections of which it has made up its mind to close them go.
    for o in origins:
        o.kill(ask=True)
        o.start()
    w.wait_pool(open=0)
    again = Load(w, tcp=tcp, mix="mild", clients=50, exchanges=1000).result()
    eq((again["answered"], again["failed"]), (again["exchanges"], {}),
       "answered, failed afterwards")
    w.balanced(*origins)
    for o in origins:
        o.judge()
    return r


def killed(**more):
    o = P1Origin(*(["sessions"] if more.get("protocol") == "tcp" else []))
    w, load = start(o, **more)
    for _ in range(ROUNDS):
        passes(o)
        o.kill()
        time.sleep(0.2)         # refused meanwhile
        o.start()
    passes(o)
    check(load.running(), "the load has ended")
    r = at_the_end(w, load, o, tcp=more.get("protocol") == "tcp")
    check(r["cut"] + r["refused"] > 0, "nothing failed: %r" % r)
    # Recent failures on the whole, not for ever.
    eq(w.get("/healthz")[0], 200, "/healthz")


@case
def killed_and_started_again():
    killed()


@case
def killed_while_clients_leave_and_it_misbehaves():
    killed(mix="wild", workers=2)


@case
def killed_under_raw_sessions():
    killed(protocol="tcp")


def stopped(**more):
    o = P1Origin(*(["sessions"] if more.get("protocol") == "tcp" else []))
    w, load = start(o, **more)
    for _ in range(2):
        passes(o)
        o.stop()
        # What was on its way runs into its deadlines meanwhile; what comes
        # when it goes on must reach nobody else.
        time.sleep(1.2 * SLOW)
        check(w.get("/stats")[0] == 200, "/stats while it hangs")
        o.go_on()
    passes(o)
    r = at_the_end(w, load, o, tcp=more.get("protocol") == "tcp")
    check(r["refused"] + r["cut"] > 0, repr(r))
    return w, r


@case
def stopped_and_continued():
    w, r = stopped()
    check(w.failures().get("response_timeout", 0) > 0, repr(w.failures()))


@case
def stopped_and_continued_while_clients_leave():
    stopped(mix="wild")


@case
def stopped_and_continued_under_raw_sessions():
    stopped(protocol="tcp")


@case
def one_of_two_is_killed_and_comes_back():
    a, b = P1Origin(), P1Origin()
    w, load = start(a, b, up=PATIENT)
    passes(a, b)
    a.kill()
    passes(b, count=500)
    a.start()
    passes(a)
    r = at_the_end(w, load, a, b)
    check(r["answered"] > r["exchanges"] / 2, repr(r))


run()
