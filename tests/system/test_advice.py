"""What pool.max should be, by what was wanted: the advice is there when enough
was seen, is enough for that, and names the server's own keep-alive age.
"""
# SPDX-License-Identifier: MIT
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import redis
from case import WAIT, case, check, eq, run, until
from redis import RedisServer
from upgrade import Successive
from weir import Weir, command, one
from web import HttpOrigin, answer, ok, once, read_response, request
from wire import Client

TOGETHER, TIMES = 8, 30


def advice(w):
    return w.upstream()["advice"]


def meeting():
    """An origin that answers when so many are there."""
    met = threading.Barrier(TOGETHER)

    def handler(q, link):
        if q.path == "/meet":
            met.wait(WAIT * 3)
        return answer(q)
    return HttpOrigin(handler, keep=False)


def crowd(w):
    """So many at a time, again and again."""
    clients = [Client(w.conf.ports["front"]) for _ in range(TOGETHER)]
    for _ in range(TIMES):
        for c in clients:
            c.send(request(target="/meet"))
        for c in clients:
            ok(read_response(c))
    for c in clients:
        c.close()


@case
def what_is_advised_is_what_was_wanted():
    o = meeting()
    w = Weir(one(o, pool="max = 50;"))
    eq(advice(w), None, "before anything was seen")
    ok(once(w.conf.ports["front"]))
    eq(advice(w), None, "after one request")
    crowd(w)
    a = advice(w)
    eq((a["busy"]["max"], a["percentile"]), (TOGETHER, 99), "busy")
    check(0 < a["busy"]["mean"] < TOGETHER, "%r" % a["busy"])
    # With fewer some would have found them all taken.
    check(TOGETHER <= a["max"] <= 3 * TOGETHER, "max: %r" % a)
    check(TOGETHER / 2 <= a["min_idle"] <= a["max"], "min_idle: %r" % a)
    check(a["arrivals_per_s"] > 0 and a["holding_us"]["mean"] > 0 and
          a["holding_us"]["p99"] >= a["holding_us"]["mean"], "%r" % a)
    rows = {r["max"]: r for r in a["rows"]}
    check(50 in rows and a["max"] in rows, "rows: %r" % a["rows"])
    check(rows[a["max"]]["queued_share"] <= 0.01, "share: %r" % a)
    less = min(rows)
    check(less < TOGETHER and rows[less]["queued_share"] > 0.1,
          "with fewer: %r" % a["rows"])
    check(a["text"][0].startswith("max = %d would have queued " % a["max"]),
          "%r" % a["text"])
    said = command("-c", w.file, "stats").stdout
    check(re.search(r"^back: max = \d+ would have queued ", said, re.M), said)
    got = re.search(r'weir_pool_advised_max_connections\{upstream="back"\} '
                    r"(\d+)\n", w.metrics())
    check(TOGETHER <= int(got[1]) <= 3 * TOGETHER, "metrics: " + got[1])
    w.balanced(o)


@case
def an_upgrade_goes_on_with_what_was_seen():
    w = Successive(one(meeting(), pool="max = 50;", workers=2))
    crowd(w)
    was = advice(w)
    for _ in range(2):
        w.upgrade()
        now = advice(w)
        for key in ("busy", "holding_us"):
            eq(now[key], was[key], key)
        check(now["window_s"] >= was["window_s"], "%r, %r" % (was, now))


@case
def with_several_workers_they_are_looked_at_together():
    o = meeting()
    w = Weir(one(o, pool="max = 50;", workers=2))
    crowd(w)
    crowd(w)
    a = advice(w)
    # A sample, which may have missed the last of each meeting.
    check(TOGETHER / 2 < a["busy"]["max"] <= TOGETHER, "busy: %r" % a["busy"])
    check(TOGETHER / 2 < a["max"] <= 3 * TOGETHER, "max: %r" % a)
    w.balanced(o)


@case
def a_server_that_keeps_no_connection_is_told_of():
    o = HttpOrigin(lambda q, link: answer(
        q, fields=[("Connection", "close")]))
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    for _ in range(120):
        c.send(request())
        ok(read_response(c))
    eq(advice(w)["text"][0][:49],
       "the server closes each connection after an answer", "first")
    c.close()


@case
def too_small_a_max_is_told_of():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, pool="max = 1;"))
    clients = [Client(w.conf.ports["front"]) for _ in range(TOGETHER)]
    for _ in range(TIMES):
        for c in clients:
            c.send(request())
        for c in clients:
            ok(read_response(c))
    a = advice(w)
    check(a["max"] is None or a["max"] > 1, "max: %r" % a)
    check(any(t.startswith("max = 1, as it is, queues ") or
              t.startswith("no max") for t in a["text"]), "%r" % a["text"])
    eq(a["rows"][0]["max"], 1, "rows")
    check(a["rows"][0]["queued_share"] > 0.01, "share: %r" % a["rows"])
    for c in clients:
        c.close()
    w.balanced(o)


@case
def shared_connections_are_not_what_is_scarce():
    server = RedisServer()
    w = redis.through(server)
    c = redis.Client(w.conf.ports["front"])
    for _ in range(3):
        c.pipe(*[("ECHO", "x")] * 100)
    eq(advice(w), None, "advice")
    c.close()
    w.balanced(server)


@case
def the_age_at_which_the_server_closes_is_learned():
    def handler(q, link):
        link.send(answer(q))
        threading.Timer(0.3, link.sock.shutdown, [socket.SHUT_RDWR]).start()
    o = HttpOrigin(handler)
    w = Weir(one(o, pool='idle_timeout = "60s"; max = 4;'))

    def learned():
        ok(once(w.conf.ports["front"]))
        w.wait_pool(open=0)
        return advice(w)
    a = until(learned, "three closings at about one age", 3 * WAIT)
    check(250 <= a["keep_alive_ms"] <= 1000 * WAIT, "%r" % a)
    eq((a["max"], a["rows"]), (None, []), "of few requests")
    check(any("set pool.idle_timeout, which is 60 s, to less" in t
              for t in a["text"]), "%r" % a["text"])
    w.balanced(o)


run()
