"""Faults injected by hand: each protocol's client is told in its own language, a
share is a share, they end by themselves and outlive a reload.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import memcached
import postgres
import redis
from case import case, check, eq, run, until
from h2 import Client2
from origin import Origin, echo
from postgres_origin import PgOrigin
from redis import RedisServer
from weir import Weir, command, one
from web import HttpOrigin, ok, once, read_response, refused, request
from wire import Client


def fault(w, query, status=200, upstream="back"):
    got, body = w.post("/upstreams/%s/fault?%s" % (upstream, query))
    eq(got, status, "fault?%s: %s" % (query, body))
    return json.loads(body)


def injected(w):
    return w.upstream()["faults_injected_total"]


def gone(c):
    """The client's connection is reset, with nothing said."""
    eq((c.read_to_end(), c.ended), (b"", "rst"), "how it ended")


@case
def http_clients_have_a_503_or_a_reset():
    o = HttpOrigin()
    w = Weir(one(o, workers=2))
    front = w.conf.ports["front"]
    eq(w.upstream()["fault"], None, "before")
    f = fault(w, "error=1&percent=100&for=1h")["fault"]
    eq((f["percent"], f["error"], f["reset"], f["delay_ms"], f["hit_total"]),
       (100, True, False, 0, 0), "fault")
    c = Client(front).send(request())
    refused(read_response(c), 503, "fault_injected")
    refused(read_response(c.send(request())), 503, "fault_injected")
    eq(o.requests, 0, "what came to the server")
    eq(w.upstream()["fault"]["hit_total"], 2, "hit_total")
    fault(w, "reset=1&percent=100")
    gone(c.send(request()))
    eq(w.failures(), {"fault_injected": 3}, "failures")
    eq(w.upstream()["fault"]["hit_total"], 1, "of the new one")
    eq(fault(w, "off=1"), {"result": "ok", "fault": None}, "off")
    ok(once(front))
    eq((injected(w), w.upstream()["fault"]), (3, None), "afterwards")
    check('weir_upstream_faults_injected_total{upstream="back"} 3\n'
          in w.metrics(), "metrics")
    w.wait_log("by hand: 100 % of its exchanges fail, for 3600 s")
    w.wait_log("by hand: no more faults; 1 exchanges")
    w.balanced(o)
    o.had(1)


@case
def redis_clients_have_an_error_and_keep_their_order():
    server = RedisServer()
    w = redis.through(server)
    c = redis.Client(w.conf.ports["front"])
    c.ok("SET", "k", "v")
    fault(w, "error=1&percent=50")
    got = c.pipe(*[("ECHO", "%d" % i) for i in range(200)])
    bad = [g for g in got if isinstance(g, redis.Error)]
    check(all(b.startswith("ERR weir: fault_injected") for b in bad), "errors")
    eq([g for i, g in enumerate(got) if not isinstance(g, redis.Error)
        and g != b"%d" % i], [], "answers that are others'")
    check(40 < len(bad) < 160, "%d of 200 at 50 %%" % len(bad))
    eq(injected(w), len(bad), "counted")
    fault(w, "error=1&percent=100")
    c.write("MULTI")
    check(isinstance(c.read(), redis.Error), "MULTI")
    fault(w, "reset=1&percent=100")
    c.write("GET", "k")
    gone(c)
    fault(w, "off=1")
    redis.Client(w.conf.ports["front"]).prove().close()
    w.balanced(server)


@case
def memcached_clients_have_a_server_error():
    o = memcached.MemcachedOrigin(lambda *_: b"END\r\n")
    w = memcached.through(o)
    c = memcached.Client(w.conf.ports["front"])
    fault(w, "error=1&percent=100")
    c.send("get k\r\nset k 0 0 1\r\nx\r\n")
    for _ in range(2):
        check(c.line().startswith(b"SERVER_ERROR weir: fault_injected"),
              "error")
    fault(w, "reset=1&percent=100")
    gone(c.send("get k\r\n"))
    eq(injected(w), 3, "counted")
    w.balanced(o)


@case
def postgres_clients_have_an_error_response():
    o = PgOrigin()
    w = postgres.through(o)
    c = postgres.Client(w.conf.ports["front"])
    c.ok("SELECT 1")
    fault(w, "error=1&percent=100")
    c.fails("SELECT 2", "58000")
    fault(w, "off=1")
    eq(c.one("SELECT 3"), "3", "the session goes on")
    fault(w, "reset=1&percent=100")
    c.write(postgres.query("SELECT 4"))
    gone(c)
    fault(w, "off=1")
    w.balanced(o)


@case
def raw_sessions_are_closed():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp"))
    fault(w, "error=1&percent=100")
    c = Client(w.conf.ports["front"])
    eq(c.read_to_end(), b"", "bytes")
    c.close()
    # One who has spoken already, too: a reset is another fault. It has spoken
    # before it is accepted while the only worker stands still.
    os.kill(w.process.pid, signal.SIGSTOP)
    c = Client(w.conf.ports["front"]).send("hello")
    os.kill(w.process.pid, signal.SIGCONT)
    eq((c.read_to_end(), c.ended), (b"", "fin"), "how it ended")
    c.close()
    fault(w, "reset=1&percent=100")
    gone(Client(w.conf.ports["front"]))
    eq(w.failures(), {"fault_injected": 3}, "failures")
    eq(o.accepted, 0, "upstream connections")
    w.balanced(o)


@case
def streams_fail_each_for_itself():
    o = HttpOrigin()
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"])
    fault(w, "error=1&percent=100")
    eq(c.fetch().status, 503, "a stream")
    fault(w, "off=1")
    eq(c.fetch().status, 200, "another")
    fault(w, "reset=1&percent=100&delay=1ms")
    c.ask()
    until(lambda: w.failures() == {"fault_injected": 2}, "the reset")
    fault(w, "off=1")
    w.balanced(o)


@case
def who_is_delayed_is_sent_after_all():
    o = HttpOrigin()
    w = Weir(one(o, workers=2))
    front = w.conf.ports["front"]
    fault(w, "delay=1h&percent=100")
    c = Client(front).send(request())
    until(lambda: injected(w) == 1, "the delay")
    eq((o.requests, w.pool()["leased"]), (0, 0), "it holds no connection")
    c.close()
    until(lambda: w.failures() == {"client_abort": 1}, "a client who leaves")
    fault(w, "delay=20ms&percent=100")
    ok(once(front))
    fault(w, "delay=20ms&error=1&percent=100")
    refused(once(front), 503, "fault_injected")
    eq((o.requests, injected(w)), (1, 3), "sent")
    w.balanced(o)


@case
def who_is_delayed_goes_on_when_the_fault_ends():
    o = HttpOrigin()
    w = Weir(one(o, workers=2))
    front = w.conf.ports["front"]

    def held(query, n=2):
        before = injected(w)
        fault(w, query)
        clients = [Client(front).send(request()) for _ in range(n)]
        until(lambda: injected(w) == before + n, "the delay")
        return clients

    def let_go(clients):
        for c in clients:
            ok(read_response(c))
            c.close()
    clients = held("delay=1h&percent=100&for=1h")
    fault(w, "off=1")
    let_go(clients)
    # What was to come after the delay does not come either.
    clients = held("delay=1h&error=1&percent=100&for=1h")
    fault(w, "off=1")
    let_go(clients)
    # Another one in its place.
    clients = held("delay=1h&percent=100&for=1h")
    fault(w, "error=1&percent=100&for=1h")
    let_go(clients)
    # Its own time is over.
    let_go(held("delay=1h&percent=100&for=300ms"))
    eq((o.requests, w.upstream()["fault"]), (8, None), "in all")
    rows = [r for r in json.loads(w.get("/slow")[1])["exchanges"]
            if r["cause"] == "fault"]
    check(all(r["total_us"] < 30 * 10 ** 6 and
              r["pause_us"] <= r["total_us"] for r in rows), rows)
    check(all(r["why"].endswith("by hand (weir fault)") for r in rows), rows)
    w.balanced(o)


@case
def they_end_by_themselves_and_outlive_a_reload():
    o = HttpOrigin()
    conf = one(o)
    w = Weir(conf)
    front = w.conf.ports["front"]
    fault(w, "error=1&percent=100&for=1h")
    conf.upstream("back", o, pool="max = 7;")
    w.write()
    w.reload()
    eq((w.pool()["max"], w.upstream()["fault"]["percent"]), (7, 100),
       "after a reload")
    refused(once(front), 503, "fault_injected")
    fault(w, "error=1&percent=100&for=50ms")
    until(lambda: w.upstream()["fault"] is None, "its end")
    ok(once(front))
    fault(w, "error=1&percent=100&for=1h")
    conf.upstreams.clear()
    conf.upstream("other", o).listener("front", "other")
    w.write()
    w.reload()
    ok(once(front))
    conf.upstreams.clear()
    conf.upstream("back", o).listener("front", "back")
    w.write()
    w.reload()
    ok(once(front))
    eq(w.upstream()["fault"], None, "back in the file")
    w.balanced(o)


@case
def what_is_asked_wrongly_changes_nothing():
    o = HttpOrigin()
    w = Weir(one(o))
    for query in ("", "percent=5", "error=1", "error=1&percent=0",
                  "error=1&percent=101", "error=1&percent=x",
                  "error=1&percent=-5", "error=1&percent=1e1",
                  "error=1&percent=5.5.5", "error=1&percent=",
                  "error=1&reset=1&percent=5", "error=yes&percent=5",
                  "delay=5&percent=5", "delay=0s&percent=5",
                  "delay=2h&percent=5", "error=1&percent=5&for=0s",
                  "error=1&percent=5&for=off", "error=1&percent=5&till=1s",
                  "off=2"):
        fault(w, query, 400)
    fault(w, "error=1&percent=5", 404, "nobody")
    eq(w.get("/upstreams/back/fault")[0], 405, "GET")
    eq(w.upstream()["fault"], None, "fault")
    f = fault(w, "error=1&percent=0.25")["fault"]
    eq(f["percent"], 0.25, "a share of a percent")
    w.balanced(o)


@case
def the_command_says_the_same():
    o = HttpOrigin()
    w = Weir(one(o))

    def weir(*argv):
        return command("-c", w.file, "fault", "back", *argv)
    r = weir("--delay", "20ms", "--error", "--percent", "100", "--for", "1h")
    eq((r.returncode, r.stdout),
       (0, "for 1h, 100 % of the exchanges of back are delayed by 20ms, then "
        "answered with an error\n"), r.stderr)
    refused(once(w.conf.ports["front"]), 503, "fault_injected")
    said = command("-c", w.file, "stats").stdout
    check(re.search(r"^back has faults by hand until [^ ]+Z: 100 % of its "
                    r"exchanges are delayed by 20ms, then answered with an "
                    r"error; 1 so far$", said.replace("\n    ", " "), re.M),
          said)
    r = weir("--reset", "--percent", "5", "--json")
    eq(json.loads(r.stdout)["fault"]["reset"], True, "--json")
    eq(weir("--off").returncode, 0, "--off")
    eq(w.upstream()["fault"], None, "off")
    for wrong in ((), ("--percent", "5"), ("--error",), ("--off", "--error"),
                  ("--delay", "5", "--percent", "5"),
                  ("--error", "--percent", "5", "--for", "x")):
        eq(weir(*wrong).returncode, 2, "%r" % (wrong,))
    eq(weir("--error", "--percent", "500").returncode, 1, "--percent 500")
    w.balanced(o)


run()
