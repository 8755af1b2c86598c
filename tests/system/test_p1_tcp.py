"""Five hundred clients over at most sixteen raw connections, which nobody
shares: what one says or leaves behind never reaches another.
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


def exchanges(workers=1, mix="wild", warm=0):
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    o = P1Origin("sessions")
    w = Weir(one(o, protocol="tcp", workers=workers,
                 pool='max = 16; min_idle = %d; max_waiting = 1000; '
                      'queue_timeout = "60s";' % warm,
                 up='timeouts = { tunnel = "%dms"; };' % (1000 * SLOW)))
    r = Load(w, tcp=True, exchanges=EXCHANGES, seed=seed, mix=mix).result()
    w.balanced(o)
    o.judge()
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")
    eq(r["refused"], 0, "answers of weir's own")
    check(r["answered"] > r["exchanges"] * 0.7, "answered: %r" % r)
    return w, o, r


@case
def each_session_has_its_own_connection():
    w, o, r = exchanges()
    check(r["left"] > 0 and r["cut"] > 0, repr(r))


@case
def likewise_with_warm_connections_and_two_workers():
    exchanges(workers=2, warm=8)


@case
def servers_that_only_dawdle_lose_nothing():
    w, o, r = exchanges(mix="mild")
    check(r["answered"] == r["exchanges"], "%r, %r" % (r, w.failures()))


run()
