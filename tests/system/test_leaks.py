"""A lease that is held for longer than pool.leak_after is told of once, counted
for as long as it lasts, and never without that key.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import redis
from case import case, check, eq, run, until
from redis import RedisServer
from weir import Weir, command, one
from web import HttpOrigin, answer, ok, once, read_response, request
from wire import Client

MINE = open("/proc/self/comm").read().strip()
# Else weir may not look at other processes.
OPEN = 'security = { sandbox = "off"; };'


def gated():
    gate = threading.Event()

    def handler(q, link):
        if q.path.startswith("/slow"):
            gate.wait(60)
        return answer(q)
    return HttpOrigin(handler), gate


def leaks(w):
    u = w.upstream()
    return u["pool"]["leaks"], u["leaked_total"]


def lines(w):
    return re.findall(r"connection \d+ has been held for .*", w.log())


@case
def one_that_is_held_is_told_of_once_and_counted():
    o, gate = gated()
    w = Weir(one(o, pool='leak_after = "100ms"; max = 4;', workers=2,
                 more=OPEN))
    for _ in range(3):
        ok(once(w.conf.ports["front"]))
    c = Client(w.conf.ports["front"]).send(request(target="/slow?secret"))
    until(lambda: leaks(w) == (1, 1), "a leak")
    w.wait_log(r"held for [\d.]+ s, since [\d:]+Z, by 127\.0\.0\.1:%d of "
               r"listener front, process %s %d, for GET /slow\n" % (
                   c.sock.getsockname()[1], re.escape(MINE), os.getpid()))
    [row] = [r for r in json.loads(w.get("/connections")[1])["connections"]
             if r["leaked"]]
    eq((row["state"], row["last_request"]), ("leased", "GET /slow"), "row")
    check("LEAKED" in command("-c", w.file, "connections").stdout, "command")
    metrics = w.metrics()
    check('weir_pool_leaks{upstream="back"} 1\n' in metrics and
          'weir_pool_leaked_total{upstream="back"} 1\n' in metrics, "metrics")
    # A second one: then the first has been looked at again.
    d = Client(w.conf.ports["front"]).send(request(target="/slow"))
    until(lambda: leaks(w) == (2, 2), "another")
    until(lambda: len(lines(w)) == 2, "one line for each")
    gate.set()
    ok(read_response(c))
    ok(read_response(d))
    until(lambda: leaks(w) == (0, 2), "none is left")
    c.close()
    d.close()
    w.balanced(o)
    eq(len(lines(w)), 2, "lines")
    check("secret" not in w.log(), "the query is logged")


@case
def of_who_has_gone_it_is_said():
    o, gate = gated()
    conf = one(o, pool='leak_after = "1h"; max = 4;')
    w = Weir(conf)
    stays = Client(conf.ports["front"]).send(request(target="/slow/1"))
    left = Client(conf.ports["front"]).send(request(target="/slow/2"))
    left.shut()

    def closed():
        rows = json.loads(w.get("/connections")[1])["connections"]
        return {h["request"]: h["client_closed"]
                for r in rows for h in r["holders"]}
    until(lambda: closed() == {"GET /slow/1": False, "GET /slow/2": True},
          "who is left")
    conf.upstream("back", o, pool='leak_after = "100ms"; max = 4;')
    w.write()
    w.reload()
    w.wait_log(r"for GET /slow/2; the client has closed its side\n")
    w.wait_log(r"for GET /slow/1\n")
    shown = command("-c", w.file, "connections").stdout
    eq(sorted(re.findall(r"GET (/slow/\d) +(.*)\n", shown)),
       [("/slow/1", "LEAKED"),
        ("/slow/2", "LEAKED, client closed its side")], "command")
    gate.set()
    for c in (stays, left):
        ok(read_response(c))
        c.close()
    w.balanced(o)


@case
def a_pin_is_one_too_and_what_rides_beside_is_not():
    server = RedisServer()
    w = redis.through(server, pool='leak_after = "200ms"; max = 8;',
                      more=OPEN)
    front = w.conf.ports["front"]
    a, b = redis.Client(front), redis.Client(front)
    a.ok("MULTI")
    until(lambda: (b.ok("SET", "k", "v"), leaks(w) == (1, 1))[1], "a leak")
    w.wait_log(r"by 127\.0\.0\.1:%d of listener front, process \S+ %d, for "
               r"multi\n" % (a.sock.getsockname()[1], os.getpid()))
    eq(a.ask("EXEC"), [], "EXEC")
    until(lambda: leaks(w) == (0, 1), "none is left")
    a.close()
    b.close()
    w.balanced(server)


@case
def a_crowd_is_a_number():
    o, gate = gated()
    w = Weir(one(o, pool='leak_after = "1s"; max = 40;'))
    clients = [Client(w.conf.ports["front"]).send(request(target="/slow"))
               for _ in range(40)]
    until(lambda: leaks(w) == (40, 40), "leaks")
    told = sum(int(n) for n in re.findall(
        r"(\d+) more connections are held", w.wait_log("more conn").string))
    until(lambda: len(lines(w)) + told == 40, "all are told of")
    check(told >= 8, "%d of them as a number" % told)
    gate.set()
    for c in clients:
        ok(read_response(c))
        c.close()
    w.balanced(o)


@case
def without_the_key_nobody_is_told():
    o, gate = gated()
    conf = one(o, pool='leak_after = "100ms"; max = 4;')
    w = Weir(conf)
    c = Client(w.conf.ports["front"]).send(request(target="/slow"))
    until(lambda: leaks(w) == (1, 1), "a leak")
    w.wait_log("has been held")
    conf.upstream("back", o, pool="max = 4;")
    w.write()
    w.reload()
    until(lambda: leaks(w) == (0, 1), "switched off")
    check('"leaked": true' not in w.get("/connections")[1] and
          '"leaked":true' not in w.get("/connections")[1], "/connections")
    gate.set()
    ok(read_response(c))
    c.close()
    w.balanced(o)


run()
