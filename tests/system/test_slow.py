"""What was slow and what failed is kept, with where its time went and what to
change; `weir why` and /slow tell of it, and of nothing that is a secret.
"""
# SPDX-License-Identifier: MIT
import json
import os
import select
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, port, run, until
from origin import Origin, echo
from postgres import Client as PgClient, query
from postgres import through as pg_through
from postgres_origin import PgOrigin
from redis import RedisServer, through
from redis import Client as RedisClient
from tls import Ca, TlsOrigin
from weir import Weir, command, one
from web import (HttpOrigin, answer, ask, ok, once, read_response, refused,
                 request)
from wire import Client

SPANS = ["arrive_us", "pause_us", "queue_us", "connect_us", "tls_us",
         "upload_us", "first_byte_us", "client_us", "idle_us", "transfer_us"]
KEYS = set(SPANS) | {
    "at", "id", "trace", "listener", "upstream", "endpoint", "client",
    "request", "user", "database", "said", "status", "outcome", "failure", "total_us", "reused",
    "retries", "pool", "cause", "why"}
# Longer than what counts as quick, by far less than what a test may take; and
# longer than what a client is thought to have left for.
A_WHILE, LONG = 0.03, 0.21


class Gate:
    """An origin whose answers to /held wait until it is opened."""

    def __init__(self, **more):
        self.door = threading.Event()
        self.inside = 0
        self.lock = threading.Lock()
        self.o = HttpOrigin(self.handler, **more)

    def handler(self, q, link):
        if q.path == "/held":
            with self.lock:
                self.inside += 1
            self.door.wait(3 * WAIT)
        return answer(q, "x")

    def hold(self, w, target="/held"):
        n = self.inside
        c = Client(w.conf.ports["front"]).send(request(target=target))
        until(lambda: self.inside == n + 1, "a request that is held")
        return c


def slow(w):
    status, body = w.get("/slow")
    eq(status, 200, "GET /slow")
    j = json.loads(body)
    eq(j["complete"], True, "complete")
    rows = j["exchanges"]
    check(len(rows) <= j["kept"], "%d of %d" % (len(rows), j["kept"]))
    at = [r["at"] for r in rows]
    eq(at, sorted(at, reverse=True), "newest first")
    for r in rows:
        eq(set(r), KEYS, "keys")
        check(sum(r[k] for k in SPANS) <= r["total_us"],
              "the parts are more than the whole: %r" % r)
        check(r["why"] and "{" not in r["why"], r["why"])
    return rows


def row(w, part):
    """The one whose request has that in it, when it is there."""
    found = []

    def there():
        found[:] = [r for r in slow(w) if part in r["request"]]
        return found
    until(there, "%s in /slow" % part)
    eq(len(found), 1, "exchanges like %s" % part)
    return found[0]


def longest(r, span):
    eq(max(SPANS, key=lambda k: r[k]), span, "longest part of %r" % r)


@case
def who_waits_for_a_place_is_told_which_cap():
    g = Gate()
    w = Weir(one(g.o, pool='max = 1; queue_timeout = "20s";'))
    first = g.hold(w)
    waits = Client(w.conf.ports["front"]).send(request(target="/waits"))
    w.wait_pool(waiting=1)
    leaves = Client(w.conf.ports["front"]).send(request(target="/leaves"))
    w.wait_pool(waiting=2)
    threading.Event().wait(LONG)
    leaves.close()
    w.wait_pool(waiting=1)
    hasty = Client(w.conf.ports["front"]).send(request(target="/hasty"))
    w.wait_pool(waiting=2)
    hasty.close()
    w.wait_pool(waiting=1)
    r = row(w, "/leaves")
    longest(r, "queue_us")
    eq((r["cause"], r["failure"]), ("pool_full", "client_abort"), "who left")
    check("left after waiting" in r["why"] and "for one of 1 connections"
          in r["why"] and "raise upstreams.back.pool.max" in r["why"],
          r["why"])
    r = row(w, "/hasty")
    # Unless this machine was that slow.
    hasty = r["total_us"] < 200e3
    eq((r["cause"], r["failure"]), ("client_gone" if hasty else "pool_full",
                                    "client_abort"), "who left at once")
    check(("raise" in r["why"]) != hasty, r["why"])
    # The pool's numbers in /slow are up to a millisecond old.
    threading.Event().wait(0.005)
    g.door.set()
    for c in (first, waits):
        ok(read_response(c))
    r = row(w, "/waits")
    longest(r, "queue_us")
    eq((r["cause"], r["reused"], r["failure"], r["status"]),
       ("pool_full", True, "", 200), "what it says")
    check("one of 1 connections" in r["why"] and
          "raise upstreams.back.pool.max (2 would have been" in
          r["why"] and
          "weir connections back --leased" in r["why"], r["why"])
    eq((r["listener"], r["upstream"], r["endpoint"], r["pool"]["max"]),
       ("front", "back", g.o.address, 1), "where")
    r = row(w, "/held")
    longest(r, "first_byte_us")
    eq(r["cause"], "server_slow", "cause of /held")
    check("that is the time of %s, not weir's" % g.o.address in r["why"],
          r["why"])
    first.close()
    waits.close()
    w.balanced(g.o)
    g.o.had(1)


@case
def failures_are_told_apart():
    g = Gate()
    dead = port()
    conf = one(g.o, pool='max = 1; queue_timeout = "100ms";')
    conf.upstream("dead", dead,)
    conf.listener("two", "dead")
    w = Weir(conf)
    first = g.hold(w)
    refused(once(conf.ports["front"], target="/late"), 503, "queue_timeout")
    refused(once(conf.ports["two"], target="/dead"), 502, "connect_failed")
    r = row(w, "/late")
    eq((r["failure"], r["cause"], r["status"], r["outcome"]),
       ("queue_timeout", "pool_full", 503, "5xx"), "the late one")
    longest(r, "queue_us")
    eq({k: r["pool"][k] for k in ("max", "open", "leased")},
       {"max": 1, "open": 1, "leased": 1}, "its pool")
    check("connections, all taken: raise upstreams.back.pool.max" in r["why"],
          r["why"])
    r = row(w, "/dead")
    eq((r["failure"], r["cause"], r["upstream"], r["endpoint"]),
       ("connect_failed", "connect", "dead", "127.0.0.1:%d" % dead),
       "the dead one")
    check("could not be connected to" in r["why"], r["why"])
    g.door.set()
    ok(read_response(first))
    first.close()
    w.balanced(g.o)
    g.o.had(1)


@case
def an_error_of_the_server_is_the_servers():
    o = HttpOrigin(lambda q, link: answer(q, "x", 500))
    w = Weir(one(o))
    eq(once(w.conf.ports["front"], target="/bad").status, 500, "status")
    r = row(w, "/bad")
    eq((r["cause"], r["status"], r["failure"]), ("server_error", 500, ""),
       "what it says")
    w.balanced(o)
    o.had(1)


@case
def no_secret_is_told():
    o = HttpOrigin()
    w = Weir(one(o))
    for target in ("/login?token=hunter2", "http://joe:hunter2@x.test/abs"):
        once(w.conf.ports["front"], target=target,
             fields=[("Authorization", "Basic aHVudGVyMg=="),
                     ("Cookie", "id=hunter2")])
    eq(row(w, "/login")["request"], "GET /login?...", "the request")
    row(w, "/abs")
    body = w.get("/slow")[1]
    check("hunter2" not in body and "aHVudGVyMg" not in body, body)
    w.balanced(o)
    o.had(1)


@case
def who_sends_and_who_reads_slowly_is_the_client():
    large = b"x" * (8 << 20)

    def handler(q, link):
        return answer(q, large if q.path == "/large" else "x")
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(b"POST /sent HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    until(lambda: w.pool()["leased"] == 1, "the body under way")
    threading.Event().wait(A_WHILE)
    c.send(b"cd")
    ok(read_response(c))
    c.close()
    r = row(w, "/sent")
    longest(r, "upload_us")
    eq(r["cause"], "client_sends", "cause")

    c = Client(w.conf.ports["front"])
    c.send(b"GET /dribble HT")
    until(lambda: w.listener()["connections"]["active"] == 1, "half a head")
    threading.Event().wait(A_WHILE)
    c.send(b"TP/1.1\r\nHost: x\r\n\r\n")
    ok(read_response(c))
    c.close()
    r = row(w, "/dribble")
    longest(r, "arrive_us")
    eq(r["cause"], "client_sends", "cause")

    c = Client(w.conf.ports["front"], rcvbuf=65536)
    begun = time.monotonic()
    c.send(request(target="/large"))
    check(select.select([c.sock], [], [], WAIT)[0], "no answer under way")
    # It is slower than a server on a busy machine.
    threading.Event().wait(max(4 * A_WHILE, 3 * (time.monotonic() - begun)))
    eq(len(read_response(c).body), len(large), "bytes")
    c.close()
    r = row(w, "/large")
    longest(r, "client_us")
    eq(r["cause"], "client_reads", "cause")
    w.balanced(o)


@case
def a_handshake_has_its_time():
    ca = Ca()
    o = TlsOrigin(ca.cert("localhost", "DNS:localhost,IP:127.0.0.1"))
    w = Weir(one('"localhost:%d"' % o.number,
                 up='tls = { ca = "%s"; };' % ca.crt))
    c = Client(w.conf.ports["front"])
    for target in ("/first", "/second"):
        ok(ask(c, target=target))
    first, second = row(w, "/first"), row(w, "/second")
    check(first["tls_us"] > 0 and not first["reused"], first)
    eq((second["tls_us"], second["connect_us"], second["reused"]),
       (0, 0, True), "the second one's")
    c.close()
    w.balanced(o)
    o.had(1)


@case
def sessions_and_waits_by_design_are_not_slow():
    o = Origin(echo)
    conf = one(o, protocol="tcp", pool="max = 2;")
    w = Weir(conf)
    c = Client(conf.ports["front"]).send(b"abc")
    eq(c.read_exact(3), b"abc", "echo")
    threading.Event().wait(A_WHILE)
    c.close()
    w.balanced(o)
    eq(slow(w), [], "a session that never waited")
    out = command("--admin", "127.0.0.1:%d" % conf.admin_port, "why")
    eq(out.stdout, "nothing of late was slow, and nothing failed\n", "why")

    server = RedisServer()
    w = through(server, pool="max = 4;")
    a, b = (RedisClient(w.conf.ports["front"]) for _ in range(2))
    a.write("BLPOP", "list", 0)
    until(lambda: server.info("blocked_clients") == 1, "blocked")
    threading.Event().wait(A_WHILE)
    eq(b.ask("LPUSH", "list", "hunter2"), 1, "LPUSH")
    eq(a.read(), [b"list", b"hunter2"], "BLPOP")
    rows = slow(w)
    check({"BLPOP", "LPUSH"} & {r["request"].upper() for r in rows}, rows)
    check("hunter2" not in str(rows), "a value is told")
    eq({r["cause"] for r in rows if r["request"].upper() == "BLPOP"} -
       {"quick"}, set(), "BLPOP")
    a.close()
    b.close()
    w.balanced(server)


@case
def a_transaction_left_open_is_its_clients():
    o = PgOrigin()
    w = pg_through(o, pool='max = 1; queue_timeout = "20s";')
    a = PgClient(w.conf.ports["front"])
    b = PgClient(w.conf.ports["front"])
    a.ok("BEGIN", "SELECT 'hunter2'")
    b.write(query("SELECT 'waits', 'hunter2'"))
    w.wait_pool(waiting=1)
    threading.Event().wait(A_WHILE)
    a.ok("COMMIT")
    b.result()
    r = row(w, "COMMIT")
    longest(r, "idle_us")
    eq(r["cause"], "client_idles", "cause")
    waited = [r for r in slow(w) if r["cause"] == "pool_full"]
    eq(len(waited), 1, "exchanges that waited")
    longest(waited[0], "queue_us")
    check("SELECT" in waited[0]["request"], waited[0]["request"])
    check("hunter2" not in w.get("/slow")[1], "a value is told")
    a.quit()
    b.quit()
    w.balanced(o)


@case
def why_groups_by_cause_and_fits_a_terminal():
    g = Gate()
    conf = one(g.o, pool='max = 1; queue_timeout = "50ms";', workers=2)
    w = Weir(conf)
    first = g.hold(w)
    for n in range(5):
        refused(once(conf.ports["front"], target="/%d/%s" % (n, "x" * 90)),
                503, "queue_timeout")
    admin = "127.0.0.1:%d" % conf.admin_port
    r = command("--admin", admin, "why")
    eq((r.returncode, r.stderr), (0, ""), "exit status, errors")
    lines = r.stdout.split("\n")
    check(lines[0].startswith("5 of the 5 failures kept: queue_timeout at "
                              "upstream back: waited"), r.stdout)
    eq(max(map(len, lines)) <= 80, True, "at most 80 columns: %s" % r.stdout)
    eq(len([x for x in lines if "/x" in x]), 3, "examples in\n" + r.stdout)
    check("GET /4/x" in r.stdout and "GET /0/x" not in r.stdout,
          "the newest in\n" + r.stdout)
    eq(command("--admin", admin, "why", "back").stdout.count("/x"), 5,
       "of an upstream")
    eq(command("--admin", admin, "why", "front").stdout.count("/x"), 5,
       "of a listener")
    check("there is no upstream or listener other" in
          command("--admin", admin, "why", "other").stderr, "of another")
    j = json.loads(command("--admin", admin, "why", "--json").stdout)
    eq(len(j["exchanges"]), 5, "--json")
    g.door.set()
    ok(read_response(first))
    first.close()
    w.balanced(g.o)
    g.o.had(1)


@case
def memory_is_bounded_and_clients_do_not_push_out():
    o = HttpOrigin()
    dead = port()
    conf = one(o)
    conf.upstream("dead", dead)
    conf.listener("two", "dead")
    w = Weir(conf)
    refused(once(conf.ports["two"], target="/kept"), 502, "connect_failed")
    for _ in range(100):
        c = Client(conf.ports["front"]).send(b"NONSENSE\r\n\r\n")
        c.read_to_end()
        c.close()
    rows = slow(w)
    eq(len([r for r in rows if r["failure"] == "bad_request"]), 16,
       "requests that are none")
    eq(len([r for r in rows if "/kept" in r["request"]]), 1, "the other one")
    w.balanced(o)


run()
