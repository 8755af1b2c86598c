"""A hundred reloads, one each 50 ms and every third of a bad file, under load:
nothing is refused or cut, no connection lost, and a bad file changes nothing.
"""
# SPDX-License-Identifier: MIT
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import SLOW, WAIT, case, check, eq, run, until
from p1 import Load, P1Origin
from weir import Weir, one

# tests/soak/soak and RELOADS=1000 do the full measure.
RELOADS = int(os.environ.get("RELOADS", "100"))
cases.FILE_LIMIT += RELOADS / 5
EVERY_S = 0.05
POOL = 'max = 16; max_waiting = 1000; queue_timeout = "60s";'
BAD = ("oops = = ;\n", "workers = 1; workers = 2;\n", "no_such_key = 1;\n",
       "@include \"/nonexistent\"\n")


def files(w):
    """Texts in turn: what may change without anybody noticing, or bad."""
    text = w.conf.text()
    n = 0
    while True:
        n += 1
        if n % 3 == 0:
            yield True, text + BAD[n // 3 % len(BAD)]
        else:
            w.conf.log = 'level = "%s";' % ("info" if n % 2 else "warn")
            w.conf.upstream("extra", 1, pool="max = %d;" % (n % 7 + 1),
                            extra='protocol = "http"; ready = "ignore";')
            if n % 5 == 0:
                w.conf.upstreams.pop("extra")
            text = w.conf.text()
            yield False, text


def reload_all(w):
    generation, good = w.stats()["generation"], 0
    texts = files(w)
    for k in range(RELOADS):
        begin = time.monotonic()
        bad, text = next(texts)
        w.write(text)
        if k % 4 == 3:          # as people do, whose answer is the state
            before = w.stats()["reload"]
            w.signal(signal.SIGHUP)
            if bad:
                until(lambda: w.stats()["reload"] != before, "a reload")
            else:
                until(lambda: w.stats()["generation"] > generation, "reload")
        else:
            status, body = w.post("/reload")
            eq(status == 200, not bad, "reload: %d %s" % (status, body))
            check(not bad or json.loads(body)["error"], "no error text")
        s = w.stats()
        eq(s["reload"]["last"] == "ok", not bad, "reload.last")
        eq(s["generation"] > generation, not bad, "generation moves")
        generation = s["generation"]
        good += not bad
        time.sleep(max(0, EVERY_S - (time.monotonic() - begin)))
    return good


def under_load(protocol="http", workers=1, mix="mild"):
    tcp = protocol == "tcp"
    o = P1Origin(*(["sessions"] if tcp else []))
    w = Weir(one(o, protocol=protocol, pool=POOL, workers=workers,
                 up="" if mix == "mild" else
                 'timeouts = { response = "%dms"; stall = "%dms"; };' % (
                     1000 * SLOW, 1000 * SLOW)))
    base = w.fds()
    load = Load(w, tcp=tcp, mix=mix, clients=60, pace=3, exchanges=0)
    reload_all(w)
    check(load.running(), "the load has ended")
    load.stop()
    r = load.result()
    if mix == "mild":
        # A keep-alive client may be told to come again, between exchanges.
        eq((r["answered"], r["failed"]), (r["exchanges"], {}),
           "answered, failed")
        check(set(w.failures()) <= {"client_abort"}, repr(w.failures()))
    check(r["exchanges"] > 500, "hardly any load: %r" % r)
    w.write(w.conf.text())
    w.reload()
    w.balanced(o)
    check(w.fds() <= base + w.pool()["open"] + 2, "descriptors")
    o.judge()
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")
    return w, o, r


@case
def a_hundred_reloads_under_load():
    w, o, r = under_load()
    check(w.stats()["generation"] > RELOADS / 2, "generation")


@case
def likewise_with_two_workers_and_clients_that_leave():
    under_load(workers=2, mix="wild")


@case
def likewise_of_raw_sessions():
    under_load("tcp")


@case
def reloads_as_fast_as_they_are_asked_for_are_folded():
    o = P1Origin()
    w = Weir(one(o, pool=POOL))
    load = Load(w, mix="mild", clients=30, pace=3, exchanges=0)
    for _ in range(300):
        w.signal(signal.SIGHUP)
    until(lambda: w.get("/readyz")[0] == 200, "ready", 3 * WAIT)
    until(lambda: w.stats()["generation"] > 1, "a reload")
    load.stop()
    r = load.result()
    eq((r["answered"], r["failed"]), (r["exchanges"], {}), "answered, failed")
    w.balanced(o)
    o.judge()


run()
