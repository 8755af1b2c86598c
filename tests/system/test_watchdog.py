"""A worker's loop that does not turn is found by main: logged with what it was
doing, counted, and, if so configured, ended there; a process that was stopped
is no stuck loop.
"""
# SPDX-License-Identifier: MIT
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import SLOW, case, check, eq, later, run, until
from fault import VARIANT
from manager import Manager
from shim import Shim
from weir import Weir, one
from web import HttpOrigin, ask, ok, once, read_response, request
from wire import Client

AFTER = '%dms' % (400 * SLOW)


def watched(s, action="log", after=AFTER, env=None, before=(), **more):
    o = HttpOrigin()
    w = Weir(one(o, more='watchdog = { after = "%s"; action = "%s"; };' % (
        after, action), **more), env={**s.env, **(env or {})}, before=before)
    later(lambda: s.stall(None))
    return o, w


def hang(s, w, how):
    """One of its workers is stuck as it writes to the upstream."""
    s.stall(how)
    return Client(w.conf.ports["front"]).send(request())


def stuck(w):
    return w.stats()["watchdog"]["stuck"]


@case
def a_loop_that_hangs_is_logged_with_what_it_does():
    s = Shim("io")
    o, w = watched(s)
    ok(once(w.conf.ports["front"]))
    eq(w.stats()["watchdog"], {"stuck": 0, "stuck_total": 0, "last": ""},
       "watchdog")
    eq(w.get("/healthz")[0], 200, "/healthz")
    c = hang(s, w, "asleep")
    until(lambda: stuck(w) == 1, "stuck")
    last = w.stats()["watchdog"]["last"]
    check(re.match(r"worker 0 has not turned for \d+\.\d s: in bytes of a "
                   r"client of listener front \(http\), state [RS]", last), last)
    w.wait_log(r"error worker 0: has not turned")
    w.wait_log(r"error worker 0: stands at .*weir\+0x")
    status, body = w.get("/healthz")
    eq((status, body), (503, last + "\n"), "/healthz")
    check("\nweir_watchdog_stuck 1\n" in w.metrics(), "gauge")
    s.stall(None)
    ok(read_response(c))
    # As long as it was seen to stand: at least until the alarm.
    w.wait_log(r"warn worker 0: turns again, after more than "
               r"(?!0\.0)\d+\.\d s\n")
    until(lambda: stuck(w) == 0, "turning")
    eq(w.get("/healthz")[0], 200, "/healthz")
    eq(w.stats()["watchdog"]["stuck_total"], 1, "stuck_total")
    check("\nweir_watchdog_stuck_total 1\n" in w.metrics(), "counter")
    c.close()
    w.balanced(o)


@case
def one_that_spins_is_too_and_the_other_serves_on():
    s = Shim("io")
    o, w = watched(s, workers=2)
    c = hang(s, w, "busy")
    until(lambda: stuck(w) == 1, "stuck")
    check("state R" in w.stats()["watchdog"]["last"] or VARIANT != "release",
          w.stats()["watchdog"]["last"])
    s.stall(None)
    ok(read_response(c))
    until(lambda: stuck(w) == 0, "turning")
    c.close()
    w.balanced(o)


@case
def a_reload_is_answered_when_every_worker_has_taken_it_over():
    s = Shim("io")
    o, w = watched(s, after="60s")
    c = hang(s, w, "asleep")
    until(lambda: w.pool()["leased"] == 1, "it is under way")
    began = time.monotonic()
    order = Client("%s:%d" % w.admin).send(request(
        "POST", "/reload", host="127.0.0.1"))
    until(lambda: w.stats()["generation"] == 2, "main has it")
    early = order.wants()
    # The port's patience is 2 s.
    check(not early or time.monotonic() - began > 1.5, "it is answered")
    s.stall(None)
    eq(read_response(order).status, 200, "status")
    order.close()
    ok(read_response(c))
    c.close()
    w.balanced(o)


@case
def the_manager_is_not_told_that_all_is_well():
    s = Shim("io")
    m = Manager()
    o, w = watched(s, env={**m.env, "WATCHDOG_USEC": "100000"})
    m.wait("WATCHDOG", "1")
    c = hang(s, w, "asleep")
    status = m.wait("STATUS", like="worker 0 has not turned")
    m.listen().clear()
    time.sleep(0.3)
    eq(m.said("WATCHDOG"), [], "WATCHDOG=1")
    s.stall(None)
    m.wait("WATCHDOG", "1")
    ok(read_response(c))


@case
def a_process_that_was_stopped_is_not_stuck():
    s = Shim("io")
    o, w = watched(s, after="%dms" % (600 * SLOW))
    c = hang(s, w, "asleep")
    until(lambda: w.pool()["leased"] == 1, "it is under way")
    w.signal(signal.SIGSTOP)
    try:
        time.sleep(1.5 * SLOW)
    finally:
        s.stall(None)
        w.signal(signal.SIGCONT)
    ok(read_response(c))
    eq(w.stats()["watchdog"]["stuck_total"], 0, "stuck_total")
    s.wall(86400)
    ok(ask(c))
    eq(w.stats()["watchdog"]["stuck_total"], 0, "stuck_total")


@case
def abort_ends_it_in_the_thread_that_hangs():
    s = Shim("io")
    place = os.path.join(cases.temp_dir(), "core-%d" % time.monotonic_ns())
    os.mkdir(place)
    o, w = watched(s, "abort", before=("env", "-C", place, "prlimit",
                                       "--core=0:"))
    with open("/proc/%d/limits" % w.pid) as f:
        core = re.search(r"Max core file size +(\S+) +(\S+)", f.read())
    eq(core[1], core[2], "soft limit of cores")
    c = hang(s, w, "asleep")
    eq(w.exited(), -signal.SIGABRT, "exit status")
    check(re.search(r"error worker 0: watchdog.action = .abort", w.log()),
          w.log())
    check(re.search(r"error worker 0: has not turned", w.log()), w.log())
    c.read_to_end()
    # The sandbox lets the kernel write it. A sanitizer wants none.
    with open("/proc/sys/kernel/core_pattern") as f:
        if f.read() == "core\n" and core[2] != "0" and VARIANT == "release":
            eq(len(os.listdir(place)), 1, "cores")


@case
def off_is_off():
    s = Shim("io")
    o, w = watched(s, after="off")
    c = hang(s, w, "asleep")
    until(lambda: w.pool()["leased"] == 1, "it is under way")
    time.sleep(0.8 * SLOW)
    eq(stuck(w), 0, "stuck")
    # A reload wakes the watchdog.
    w.write(w.conf.text().replace('after = "off"', 'after = "%s"' % AFTER))
    w.reload()
    until(lambda: stuck(w) == 1, "stuck")
    s.stall(None)
    ok(read_response(c))


run()
