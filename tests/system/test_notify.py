"""The service manager is told: ready when warm, reloads, the end, and that every
loop turns; over a path and over an abstract socket.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, port, run, until
from manager import Manager
from weir import Weir, one
from web import HttpOrigin


def told(conf, more=None, **how):
    m = Manager(**how)
    return m, Weir(conf, env={**m.env, **(more or {})})


@case
def ready_is_said_when_the_pool_is_warm():
    number = port()
    m, w = told(one(number, pool="min_idle = 2;"))
    missing = m.wait("STATUS")
    check(missing["STATUS"].startswith("not ready: ") and
          "back" in missing["STATUS"], repr(missing))
    check("READY" not in missing, repr(missing))
    eq(w.get("/readyz")[0], 503, "/readyz")
    o = HttpOrigin(number=number)
    ready = m.wait("READY", "1")
    eq(w.get("/readyz")[0], 200, "/readyz")
    eq(ready["STATUS"], "ready: 1 listener, 1 upstream", "STATUS")
    w.wait_pool(idle=2, open=2)
    w.balanced(o)
    o.had(2)


@case
def an_upstream_that_is_down_delays_it_only_so_long():
    begin = time.monotonic()
    m, w = told(one(port(), pool="min_idle = 1;"))
    ready = m.wait("READY", "1", 10 + WAIT)
    check(time.monotonic() - begin > 9, "READY=1 without a warm pool")
    check(ready["STATUS"].startswith("not ready: "), repr(ready))


@case
def an_abstract_socket_does_as_well():
    m, w = told(one(HttpOrigin()), abstract=True)
    m.wait("READY", "1")


@case
def a_reload_is_framed():
    m, w = told(one(HttpOrigin()))
    m.wait("READY", "1")
    before = time.monotonic_ns() // 1000
    w.signal(signal.SIGHUP)
    began = m.wait("RELOADING", "1")
    check(before <= int(began["MONOTONIC_USEC"]) <=
          time.monotonic_ns() // 1000, repr(began))
    eq(m.wait("READY", "1")["STATUS"], "ready: 1 listener, 1 upstream",
       "STATUS")
    w.write("workers = 17x;")
    w.signal(signal.SIGHUP)
    m.wait("RELOADING", "1")
    status = m.wait("READY", "1")["STATUS"]
    check(status.startswith("reload refused: ") and ":1: " in status, status)


@case
def a_long_reload_feeds_the_watchdog():
    """Of a file that takes longer to read than pings may be apart."""
    conf = one(HttpOrigin())
    for i in range(1500):
        conf.upstream("u%d" % i, 1, extra='protocol = "http"; ready = '
                      '"ignore";')
    m, w = told(conf, {"WATCHDOG_USEC": "20000"})
    m.wait("READY", "1")
    w.signal(signal.SIGHUP)
    m.wait("RELOADING", "1")
    until(lambda: m.said("READY"), "no READY=1")
    said = m.listen()
    check("WATCHDOG" in said[0], "no ping before READY=1: %r" % said[:3])


@case
def the_end_is_announced_once():
    m, w = told(one(HttpOrigin()))
    m.wait("READY", "1")
    w.signal(signal.SIGTERM)
    eq(w.exited(), 0, "exit status")
    m.wait("STOPPING", "1")
    eq(m.said("STOPPING"), [], "more of it")
    eq(m.said("READY"), [], "ready after it")


@case
def the_watchdog_is_fed_all_the_time():
    m, w = told(one(HttpOrigin()), {"WATCHDOG_USEC": "200000"})
    for _ in range(5):
        m.wait("WATCHDOG", "1")
    w.signal(signal.SIGSTOP)
    try:
        m.listen().clear()
        time.sleep(0.3)
        check(len(m.said("WATCHDOG")) == 0, "a stopped process spoke")
    finally:
        w.signal(signal.SIGCONT)
    m.wait("WATCHDOG", "1")


@case
def a_watchdog_of_somebody_else_is_not():
    m, w = told(one(HttpOrigin()), {
        "WATCHDOG_USEC": "50000", "WATCHDOG_PID": str(os.getpid())})
    m.wait("READY", "1")
    w.signal(signal.SIGTERM)
    w.exited()
    eq(m.said("WATCHDOG"), [], "WATCHDOG=1")


@case
def its_own_watchdog_is():
    m = Manager()
    w = Weir(one(HttpOrigin()), env={**m.env, "WATCHDOG_USEC": "200000"},
             before=("sh", "-c", 'WATCHDOG_PID=$$ exec "$0" "$@"'))
    for _ in range(3):
        m.wait("WATCHDOG", "1")


@case
def a_manager_that_is_not_there_is_no_reason_not_to_run():
    w = Weir(one(HttpOrigin()), env={"NOTIFY_SOCKET": "/nowhere/notify"})
    w.wait_log("notify.*is not heard")


@case
def ready_that_is_not_heard_is_said_again():
    m = Manager()
    m.fill()
    w = Weir(one(HttpOrigin()), env=m.env)
    w.wait_log("notify.*is not heard")
    m.wait("READY", "1")
    m.fill()
    w.reload()
    m.wait("READY", "1")
    w.wait_log("hears again")


@case
def main_does_not_wait_for_one_that_does_not_read():
    m = Manager()
    m.fill()
    w = Weir(one(HttpOrigin()), env={**m.env, "WATCHDOG_USEC": "20000"})
    w.wait_log("notify.*is not heard")
    for _ in range(50):
        time.sleep(0.005)
        with open("/proc/%d/wchan" % w.pid) as f:
            waits = f.read()
        check(waits != "unix_wait_for_peer", "it waits for the manager")
    eq(len(w.log().split("is not heard")), 2, "warnings, and 1")


run()
