"""An upstream connection closed by hand: who has it is told in his protocol's
own words, others notice nothing, and the id is never another one's.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import postgres
import redis
from case import case, check, eq, run, until
from origin import Origin, echo
from postgres_origin import PgOrigin
from redis import RedisServer
from weir import Weir, command, one
from web import HttpOrigin, answer, ok, once, read_response, refused, request
from wire import Client


def ids(w, **wanted):
    return [r["id"] for r in json.loads(w.get("/connections")[1])
            ["connections"] if all(r[k] == v for k, v in wanted.items())]


def kill(w, number, of=None, status=200):
    path = "/connections/%s/kill" % number
    got = w.post("/upstreams/%s%s" % (of, path) if of else path)
    eq(got[0], status, "kill %s: %s" % (number, got[1]))


def killed(w):
    return w.upstream()["discarded_total"]["killed"]


@case
def an_idle_one_closes_and_its_id_is_gone_for_good():
    o = HttpOrigin()
    w = Weir(one(o))
    ok(once(w.conf.ports["front"]))
    w.wait_pool(idle=1)
    [one_id] = ids(w)
    kill(w, one_id)
    w.wait_pool(open=0)
    kill(w, one_id, status=404)
    ok(once(w.conf.ports["front"]))
    [next_id] = ids(w)
    check(next_id > one_id, "the id %d comes after %d" % (next_id, one_id))
    kill(w, next_id, of="other", status=404)
    kill(w, "x", status=404)
    kill(w, 2 ** 70, status=404)
    kill(w, next_id, of="back")
    w.wait_pool(open=0)
    eq(killed(w), 2, "counted")
    eq(w.upstream()["endpoints"][0]["failures_total"]["closed"], 0,
       "the endpoint's failures")
    o.had(2)
    w.balanced(o)


@case
def an_http_client_has_a_502_that_says_so():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(60)
        return answer(q)
    o = HttpOrigin(handler)
    w = Weir(one(o, up='retry = { max_retries = 3; };', workers=2))
    c = Client(w.conf.ports["front"]).send(request())
    until(lambda: o.requests == 1, "request upstream")
    [one_id] = ids(w, state="leased")
    r = command("-c", w.file, "kill", str(one_id))
    eq((r.returncode, r.stdout), (0, "closed: connection %d\n" % one_id),
       "weir kill")
    refused(read_response(c), 502, "killed")
    eq(w.failures(), {"killed": 1}, "failures")
    eq(o.requests, 1, "it is not sent again")
    r = command("-c", w.file, "kill", str(one_id))
    check(r.returncode == 1 and "there is no such connection" in r.stderr,
          r.stderr)
    check(command("-c", w.file, "kill", "one").returncode == 2, "usage")
    gate.set()
    c.close()
    w.balanced(o)


@case
def a_tunnel_ends():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp"))
    c = Client(w.conf.ports["front"]).send("x")
    eq(c.read_exact(1), b"x", "echo")
    kill(w, ids(w)[0])
    eq(c.read_to_end(), b"", "bytes before the end")
    w.wait_pool(open=0)
    eq(w.failures(), {"killed": 1}, "failures")
    total = w.upstream()["discarded_total"]
    eq((total["killed"], total["spent"]), (1, 0), "as what it is counted")
    w.balanced(o)


@case
def an_upgraded_connection_is_counted_as_what_it_is():
    def handler(q, link):
        link.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
                  "Connection: Upgrade\r\n\r\nwelcome;")
        link.more()
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(request(fields=[("Connection", "Upgrade"), ("Upgrade", "echo")]))
    eq(read_response(c).status, 101, "status")
    eq(c.read_exact(8), b"welcome;", "in the tunnel")
    kill(w, ids(w)[0])
    eq(c.read_to_end(), b"", "bytes before the end")
    w.wait_pool(open=0)
    total = w.upstream()["discarded_total"]
    eq((total["killed"], total["spent"]), (1, 0), "as what it is counted")
    w.balanced(o)


@case
def a_redis_client_on_a_connection_of_its_own_is_told():
    server = RedisServer()
    w = redis.through(server)
    n = 0
    for pin, words in (("subscribe", ("SUBSCRIBE", "c")), ("multi", ("MULTI",)),
                       ("watch", ("WATCH", "k"))):
        c = redis.Client(w.conf.ports["front"])
        c.ask(*words)
        [pinned] = ids(w, pinned=pin)
        kill(w, pinned)
        check(c.read().startswith("ERR weir: killed"), "what %s is told" % pin)
        c.closed()
        n += 1
        eq((w.failures(), killed(w)), ({"killed": n}, n), "counted")
    w.balanced(server)


@case
def a_redis_client_in_multi_is_told_and_left_and_others_go_on():
    server = RedisServer()
    w = redis.through(server)
    front = w.conf.ports["front"]
    a, b = redis.Client(front), redis.Client(front)
    b.ok("SET", "k", "v")
    a.ok("MULTI")
    [pinned] = ids(w, pinned="multi")
    kill(w, pinned)
    check(a.read().startswith("ERR weir: killed"), "what it is told")
    a.closed()
    eq(b.ask("GET", "k"), b"v", "another client")
    # One may have been warmed meanwhile.
    shared = ids(w)
    for one_id in shared:
        kill(w, one_id)
    eq(b.ask("GET", "k"), b"v", "on a new connection")
    b.write("BLPOP", "q", 0)
    w.wait_pool(leased=1)
    [blocking] = ids(w, state="leased")
    kill(w, blocking)
    check(b.read().startswith("ERR weir: killed"), "what BLPOP was told")
    eq(killed(w), len(shared) + 2, "counted")
    b.prove().close()
    w.balanced(server)


@case
def a_postgres_client_has_an_error():
    o = PgOrigin()
    w = postgres.through(o)
    c = postgres.Client(w.conf.ports["front"])
    c.ok("BEGIN")
    [held] = ids(w, state="leased")
    kill(w, held)
    c.error("08006")
    c.closed()
    w.wait_pool(leased=0)
    eq(killed(w), 1, "counted")
    w.balanced(o)


@case
def a_postgres_client_that_listens_is_told_by_whom():
    o = PgOrigin()
    w = postgres.through(o)
    c = postgres.Client(w.conf.ports["front"])
    c.ok("LISTEN a")
    [held] = ids(w, pinned="listen")
    kill(w, held)
    check("by hand" in c.error("08006")["M"], "what it is told")
    c.closed()
    eq((w.failures(), killed(w)), ({"killed": 1}, 1), "counted")
    w.balanced(o)


run()
