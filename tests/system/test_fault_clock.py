"""The wall clock jumps, or the process does not run for a while: nothing ends
that still has its time, and what has come meanwhile is read first.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import SLOW, case, check, eq, run, until
from p1 import Load, P1Origin
from shim import Shim
from weir import Weir, one
from web import HttpOrigin, ask, ok, once
from wire import Client

# STOPPED=30 is the full measure.
STOPPED = float(os.environ.get("STOPPED", "2")) * SLOW
cases.FILE_LIMIT += 12 * STOPPED
LIMIT = "%dms" % (1500 * SLOW)      # less than STOPPED: it passes meanwhile
DAY = 86400
POOL = 'max = 16; max_waiting = 1000; queue_timeout = "%s"; ' \
    'idle_timeout = "1h"; max_lifetime = "1h";' % LIMIT
TIMES = 'timeouts = { response = "%s"; stall = "%s"; connect = "%s"; };' % (
    LIMIT, LIMIT, LIMIT)


@case
def wall_clock_jumps_under_load():
    s = Shim("io")
    o = P1Origin()
    w = Weir(one(o, pool=POOL, up=TIMES, workers=1), env=s.env)
    load = Load(w, mix="mild", clients=30, pace=5, exchanges=0)
    for jump in (DAY, -DAY, 40 * 365 * DAY, 0, 0.7, -0.7, -20 * 365 * DAY, 0):
        s.wall(jump)
        before = o.counts()["requests"]
        until(lambda: o.counts()["requests"] > before + 100, "traffic")
    load.stop()
    r = load.result()
    eq((r["answered"], r["failed"]), (r["exchanges"], {}), "answered, failed")
    check(set(w.failures()) <= {"client_abort"}, repr(w.failures()))
    check(0 <= w.stats()["uptime_s"] < 3600, "uptime")
    w.balanced(o)
    o.judge()


@case
def nothing_is_older_or_younger_for_it():
    s = Shim("io")
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 4;"), env=s.env)
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    for jump in (DAY, -DAY, 365 * DAY, 0):
        s.wall(jump)
        eq(ok(ask(c)).conn, 1, "the one connection after %d s" % jump)
        w.wait_pool(idle=1, open=1)
        # It did jump: the log goes by it.
        w.reload()
        w.wait_log(time.strftime("%Y-%m-%dT.*reload", time.gmtime(
            time.time() + jump)))
    o.had(1)
    eq(w.upstream()["connects_total"], 1, "connects_total")


@case
def deadlines_come_when_they_are_due_all_the_same():
    s = Shim("io")
    o = HttpOrigin(lambda q, link: link.hold())
    w = Weir(one(o, up=TIMES, front='timeouts = { idle = "%s"; };' % LIMIT),
             env=s.env)
    for jump in (-DAY, DAY):
        begin = time.monotonic()
        s.wall(0)
        c = Client(w.conf.ports["front"])
        c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: w.pool()["leased"] == 1, "the request is upstream")
        s.wall(jump)
        got = c.read_until(b"\r\n\r\n")
        check(b" 504 " in got[:16], repr(got))
        took = time.monotonic() - begin
        check(took > 0.7 * SLOW, "after %.2f s" % took)
        c.close()
    eq(w.failures(), {"response_timeout": 2}, "failures")
    w.wait_pool(open=0)


@case
def rates_do_not_run_by_the_wall_clock():
    s = Shim("io")
    o = HttpOrigin()
    w = Weir(one(o, front='limits = { request_rate = { rate = "1/h"; '
                 'burst = 1; }; };'), env=s.env)
    ok(once(w.conf.ports["front"]))
    for jump in (DAY, -DAY, 0):
        s.wall(jump)
        eq(once(w.conf.ports["front"]).status, 429, "status")
    o.had(1)
    w.balanced(o)


def stop(w):
    """It does not run for a while, in which all others do."""
    w.signal(signal.SIGSTOP)
    try:
        time.sleep(STOPPED)
    finally:
        w.signal(signal.SIGCONT)


def stopped_under_load(protocol="http", workers=1, more=""):
    tcp = protocol == "tcp"
    o = P1Origin(*(["sessions"] if tcp else []))
    w = Weir(one(o, protocol=protocol, pool=POOL, workers=workers,
                 up='timeouts = { tunnel = "%s"; };' % LIMIT if tcp
                 else TIMES + more))
    load = Load(w, tcp=tcp, mix="mild", clients=16 if tcp else 100, pace=5,
                exchanges=0, patience=int(2 * STOPPED + 30 * SLOW))
    for _ in range(2):
        before = o.counts()["requests"]
        until(lambda: o.counts()["requests"] > before + 200, "traffic")
        stop(w)
    before = o.counts()["requests"]
    until(lambda: o.counts()["requests"] > before + 200, "traffic")
    load.stop()
    r = load.result()
    eq((r["answered"], r["failed"]), (r["exchanges"], {}), "answered, failed")
    check(set(w.failures()) <= {"client_abort"}, repr(w.failures()))
    w.balanced(o)
    o.judge()
    return w


@case
def process_stopped_under_load_loses_nothing():
    stopped_under_load()


@case
def nor_with_two_workers():
    stopped_under_load(workers=2)


@case
def nor_do_raw_sessions():
    stopped_under_load("tcp")


@case
def endpoints_stay_up_that_were_checked_meanwhile():
    w = stopped_under_load(more='''
        health = { type = "tcp"; interval = "%dms"; timeout = "%dms";
                   rise = 2; fall = 2; };
        outlier = { failures = 3; eject_for = "10s"; };''' % (
        200 * SLOW, 1500 * SLOW))
    e, = w.upstream()["endpoints"]
    eq((e["state"], e["ejections_total"]), ("up", 0), "endpoint")
    until(lambda: w.upstream()["endpoints"][0]["health"]["last"] == "ok",
          "a good check")


@case
def no_storm_of_checks_follows():
    """What was missed is not made up for."""
    o = HttpOrigin()
    w = Weir(one(o, up='health = { type = "tcp"; interval = "%dms"; };' % (
        200 * SLOW)))
    until(lambda: w.upstream()["endpoints"][0]["health"]["checks_total"] > 1,
          "checks")
    before = w.upstream()["endpoints"][0]["health"]["checks_total"]
    stop(w)
    begin = time.monotonic()
    more = w.upstream()["endpoints"][0]["health"]["checks_total"] - before
    due = (time.monotonic() - begin) / (0.2 * SLOW)
    check(more <= 3 + due, "checks at once: %d" % more)
    ok(once(w.conf.ports["front"]))


run()
