"""Fifty requests in a row from a client share one upstream connection,
and the admin port tells exactly that.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from weir import Weir, one
from web import HttpOrigin, ask, ok, once
from wire import Client


@case
def fifty_requests_use_one_upstream_connection():
    o = HttpOrigin()
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    for n in range(1, 51):
        r = ok(ask(c))
        eq((r.conn, r.nth), (1, n), "who served")
    c.close()
    o.had(1)
    u = w.upstream()
    eq((u["requests_total"], u["connects_total"], u["reused_total"]),
       (50, 1, 49), "requests, connects, reused")
    w.balanced(o)
    front = w.listener()
    eq(front["requests_total"], 50, "listener requests")
    eq(front["outcomes_total"]["2xx"], 50, "2xx")
    eq(front["connections"]["accepted_total"], 1, "accepted")
    eq(sum(front["failures_total"].values()), 0, "failures")


@case
def many_clients_in_turn_share_it_too():
    o = HttpOrigin()
    w = Weir(one(o))
    for _ in range(50):
        ok(once(w.conf.ports["front"]))
    o.had(1)
    w.balanced(o)
    eq(w.listener()["connections"]["accepted_total"], 50, "accepted")


@case
def stats_have_the_documented_shape():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 7;"))
    ok(once(w.conf.ports["front"]))
    w.balanced(o)
    s = w.stats()
    eq(s["pid"], w.pid, "pid")
    eq(s["draining"], False, "draining")
    for key in ("version", "uptime_s", "generation", "window_s", "reload",
                "process"):
        check(key in s, "/stats lacks " + key)
    for key in ("last", "at", "file_hash"):
        check(key in s["reload"], "reload lacks " + key)
    for key in ("fds", "fds_max", "memory_bytes", "loop_lag_us"):
        check(key in s["process"], "process lacks " + key)
    front, u = s["listeners"][0], s["upstreams"][0]
    eq((front["name"], front["protocol"], front["bind"]),
       ("front", "http", ["127.0.0.1:%d" % w.conf.ports["front"]]), "front")
    check(front["bytes"]["received_total"] > 0 and
          front["bytes"]["sent_total"] > 0, "bytes: %r" % front["bytes"])
    for key in ("p50", "p90", "p99", "p999", "max"):
        check(0 < front["latency_us"][key] < 60e6, "latency " + key)
    eq((u["name"], u["protocol"], u["ready"]), ("back", "http", True), "back")
    eq((u["pool"]["mode"], u["pool"]["max"], u["pool"]["open"]),
       ("request", 7, 1), "pool")
    for key in ("waiting_max", "pinned", "oldest_wait_us",
                "oldest_lease_us"):
        check(key in u["pool"], "pool lacks " + key)
    for key in ("retries_total", "exhausted_seconds_total", "queue_us",
                "connect_us", "first_byte_us", "discarded_total"):
        check(key in u, "upstream lacks " + key)
    e, = u["endpoints"]
    eq((e["name"], e["resolved"], e["state"], e["weight"], e["open"]),
       (o.address, o.address, "up", 1, 1), "endpoint")
    status, pretty = w.get("/stats?pretty")
    eq(status, 200, "?pretty")
    check(pretty.count("\n") > 20 and json.loads(pretty), "not pretty")


@case
def the_other_admin_pages_answer():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 7;"))
    ok(once(w.conf.ports["front"]))
    eq(w.get("/healthz")[0], 200, "/healthz")
    eq(w.get("/readyz")[0], 200, "/readyz")
    m = w.metrics()
    for line in ('weir_build_info{', 'weir_pool_connections{',
                 'weir_pool_max_connections{upstream="back"} 7',
                 'weir_config_last_reload_successful 1',
                 'weir_request_duration_seconds_bucket{',
                 'process_open_fds '):
        check(line in m, "/metrics lacks " + line)
    status, body = w.get("/config")
    eq(status, 200, "/config")
    check(o.address in body and "front" in body and "drain_timeout" in body
          and json.loads(body), "/config: " + body[:500])
    status, body, fields = w.admin_request("GET", "/")
    check(status == 200 and "<html" in body.lower() and
          fields["content-type"].startswith("text/html"), "dashboard")
    eq(w.get("/no-such-page")[0], 404, "unknown path")
    status, body = w.get("/connections")
    check(status == 200 and json.loads(body) is not None, "/connections")


@case
def ready_only_when_the_upstream_has_been():
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, pool="min_idle = 2;"))
    status, body = w.get("/readyz")
    eq(status, 503, "/readyz without upstream")
    check("back" in body, "/readyz does not name what is missing: " + body)
    o.listen()
    w.wait_pool(idle=2)
    eq(w.get("/readyz")[0], 200, "/readyz")
    o.had(2)
    o.refuse()
    o.drop_all()
    w.wait_pool(open=0)
    eq(w.get("/readyz")[0], 200, "once ready, it stays")


run()
