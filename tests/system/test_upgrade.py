"""A new weir takes over from the old one: nobody's request fails, servers see
no new connection where the old weir had one to give, and numbers go on.
"""
# SPDX-License-Identifier: MIT
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, case, check, eq, run, until
from origin import Origin, echo, greet
from upgrade import Load, Successive
from weir import one
from web import HttpOrigin, ask, ok, once
from wire import Client


@case
def idle_connections_and_numbers_go_over():
    o = HttpOrigin(keep=True)
    w = Successive(one(o, pool="min_idle = 3; max = 3;"))
    w.wait_pool(idle=3)
    ok(once(w.conf.ports["front"]))
    before = w.stats()
    w.upgrade()
    s = w.stats()
    eq((o.accepted, o.open), (3, 3), "the origin's connections")
    w.wait_pool(idle=3, open=3)
    u, was = s["upstreams"][0], before["upstreams"][0]
    for name in ("connects_total", "closes_total", "requests_total"):
        eq(u[name], was[name], name)
    eq(s["generation"], before["generation"] + 1, "generation")
    eq((s["upgrade"]["count"], s["upgrade"]["last"]), (1, "ok"), "upgrade")
    ok(once(w.conf.ports["front"]))
    eq(w.listener()["requests_total"], 2, "requests_total")
    w.balanced(o)
    eq(o.accepted, 3, "connections")


@case
def under_load_nothing_fails():
    o = HttpOrigin(keep=False)
    w = Successive(one(o, pool="min_idle = 4; max = 4;"))
    w.wait_pool(idle=4)
    load = Load(w.conf.ports["front"])
    for _ in range(5):
        load.more()
        w.upgrade()
    load.more()
    n = load.end()
    u = w.upstream()
    eq((o.accepted, u["connects_total"], u["closes_total"]), (4, 4, 0),
       "upstream connections")
    eq((u["requests_total"], w.listener()["requests_total"]), (n, n),
       "requests")
    eq(w.failures(), {}, "failures")
    w.balanced(o)
run()
