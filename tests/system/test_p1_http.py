"""Sixteen upstream connections, five hundred clients that leave at random, an
origin that answers late, early, in pieces, resets, closes or says nothing.
"""
# SPDX-License-Identifier: MIT
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, run
from fault import VARIANT
from p1 import Load, P1Origin
from weir import Weir, one

# tests/soak/p1 makes a million. Sanitizers take longer for each.
EXCHANGES = int(os.environ.get("EXCHANGES", "20000" if VARIANT == "release"
                               else "8000"))
POOL = 'max = 16; max_waiting = 1000; queue_timeout = "60s";'


def exchanges(workers=1, mix="wild", pool=POOL, up=""):
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    o = P1Origin()
    w = Weir(one(o, pool=pool, workers=workers,
                 up=up + 'timeouts = { response = "%dms"; stall = "%dms"; };'
                 % (1000 * SLOW, 1000 * SLOW)))
    r = Load(w, exchanges=EXCHANGES, seed=seed, mix=mix).result()
    w.balanced(o)
    o.judge()
    u = w.upstream()
    accepted = o.accepted
    checks = sum(e["health"]["checks_total"]
                 for e in w.upstream()["endpoints"])
    # A check may be on its way.
    check(u["connects_total"] <= accepted <= u["connects_total"] + checks +
          (checks > 0), "connects_total %d, checks %d, accepted %d" % (
              u["connects_total"], checks, accepted))
    check(r["answered"] > r["exchanges"] * 0.7, "answered: %r" % r)
    return w, o, r


@case
def each_answer_is_ones_own_or_a_failure_that_shows():
    w, o, r = exchanges()
    check(r["left"] > 0 and r["cut"] > 0 and r["refused"] > 0, repr(r))
    check(w.pool()["open"] <= 16, "open")


@case
def likewise_with_two_workers():
    exchanges(workers=2)


@case
def likewise_with_retries_checks_and_ejection():
    w, o, r = exchanges(up="""
        retry = { max_retries = 2; backoff = "1ms"; budget = 0.5; };
        health = { type = "tcp"; interval = "100ms"; };
        outlier = { failures = 3; eject_for = "100ms"; };
        """)
    check(w.upstream()["retries_total"] > 0, "no retry")


@case
def likewise_when_a_client_keeps_its_connection():
    exchanges(pool='mode = "session"; ' + POOL)


@case
def origins_that_only_dawdle_lose_nothing():
    w, o, r = exchanges(mix="mild")
    eq((r["answered"], r["failed"]), (r["exchanges"], {}),
       "answered, failed")
    # An early answer may find its client still sending, who then has no use
    # for the connection any more.
    check(set(w.failures()) <= {"client_abort"}, repr(w.failures()))


run()
