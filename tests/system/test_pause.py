"""A paused upstream: nothing new begins, what is under way ends by itself, and
after it is resumed all who waited are served in their order.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from redis import Client as RedisClient
from redis import RedisServer, through
from weir import Weir, command, one
from web import HttpOrigin, answer, ok, once, read_response, refused, request
from wire import Client


def order(w, what, upstream="back"):
    """POST it; how many connections are leased, by the answer."""
    status, body = w.post("/upstreams/%s/%s" % (upstream, what))
    eq(status, 200, "POST %s: %s" % (what, body))
    body = json.loads(body)
    eq(body["result"], "ok", what)
    return body["leased"]


def sent(w, target="/"):
    return Client(w.conf.ports["front"]).send(request(target=target))


def gauge(w, value):
    check('weir_pool_paused{upstream="back"} %d\n' % value in w.metrics(),
          "weir_pool_paused is not %d" % value)


@case
def what_is_under_way_ends_and_what_comes_waits():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(60)
        return answer(q)
    o = HttpOrigin(handler)
    w = Weir(one(o, pool='max = 2; queue_timeout = "60s";'))
    slow = sent(w, "/slow")
    until(lambda: o.requests == 1, "one under way")
    eq(order(w, "pause"), 1, "leased")
    clients = [sent(w, "/%d" % i) for i in range(4)]
    w.wait_pool(waiting=4, leased=1)
    u = w.upstream()
    eq((u["paused"], o.requests), (True, 1), "while paused")
    check(u["pool"]["oldest_wait_us"] > 0, "oldest_wait_us")
    gauge(w, 1)
    gate.set()
    ok(read_response(slow))
    w.wait_pool(waiting=4, leased=0)
    eq(order(w, "pause"), 0, "leased, when paused again")
    check(order(w, "resume") <= 2, "leased: those that waited, perhaps")
    for c in clients:
        ok(read_response(c))
        c.close()
    slow.close()
    eq(o.requests, 5, "requests")
    check(o.accepted <= 2, "upstream connections: %d" % o.accepted)
    eq(w.upstream()["paused"], False, "when resumed")
    gauge(w, 0)
    ok(once(w.conf.ports["front"]))
    w.balanced(o)


@case
def all_workers_are_paused_and_serve_in_order():
    o = HttpOrigin()
    w = Weir(one(o, pool='max = 1; queue_timeout = "60s";', workers=2))
    order(w, "pause")
    clients = []
    for i in range(6):
        clients.append(sent(w, "/%d" % i))
        w.wait_pool(waiting=i + 1)
    eq(o.requests, 0, "requests while paused")
    order(w, "resume")
    for c in clients:
        ok(read_response(c))
        c.close()
    eq(sorted(q.path for q in o.seen), ["/%d" % i for i in range(6)],
       "requests")
    w.balanced(o)


@case
def the_queue_is_bounded_as_ever():
    o = HttpOrigin()
    w = Weir(one(o, pool='max_waiting = 1; queue_timeout = "300ms";'))
    order(w, "pause")
    c = sent(w)
    w.wait_pool(waiting=1)
    refused(once(w.conf.ports["front"]), 503, "queue_full")
    refused(read_response(c), 503, "queue_timeout")
    c.close()
    gone = sent(w)
    w.wait_pool(waiting=1)
    gone.close()
    w.wait_pool(waiting=0)
    order(w, "resume")
    ok(once(w.conf.ports["front"]))
    eq(o.requests, 1, "requests")
    w.balanced(o)


@case
def a_pause_outlives_reloads_but_not_the_upstream():
    o, other = HttpOrigin(), HttpOrigin()
    conf = one(o, pool='queue_timeout = "60s";')
    w = Weir(conf)
    order(w, "pause")
    c = sent(w)
    w.wait_pool(waiting=1)
    w.reload()
    eq(w.post("/reload?drop_overrides=1")[0], 200, "reload")
    eq(w.upstream()["paused"], True, "after reloads")
    eq((w.pool()["waiting"], o.requests), (1, 0), "after reloads")
    # It leaves the file: who waits is served by what it was.
    conf.listener("front", "new").upstream("new", other)
    del conf.upstreams["back"]
    w.write()
    w.reload()
    ok(read_response(c))
    c.close()
    eq(o.requests, 1, "requests")
    ok(once(w.conf.ports["front"]))
    eq(other.requests, 1, "of the new one")
    conf.listener("front", "back").upstream("back", o)
    w.write()
    w.reload()
    eq(w.upstream()["paused"], False, "back in the file")
    ok(once(w.conf.ports["front"]))


@case
def shared_ones_finish_and_pinned_ones_go_on():
    server = RedisServer()
    w = through(server, pool='max = 4; queue_timeout = "60s";')
    front = w.conf.ports["front"]
    pinned, waiting = RedisClient(front), RedisClient(front)
    waiting.prove()
    eq(pinned.pipe("MULTI", "SET k v"), ["OK", "QUEUED"], "begun")
    eq(order(w, "pause"), 1, "leased")
    waiting.write("GET", "k")
    w.wait_pool(waiting=1)
    eq(pinned.pipe("GET k", "EXEC"), ["QUEUED", ["OK", b"v"]], "ended")
    w.wait_pool(waiting=1, leased=0)
    order(w, "resume")
    eq(waiting.read(), b"v", "served")
    pinned.prove().close()
    waiting.prove().close()
    w.balanced(server)


@case
def the_commands_do_the_same():
    o = HttpOrigin()
    w = Weir(one(o, pool='queue_timeout = "60s";'))

    def weir(status, *argv):
        r = command("-c", w.file, *argv)
        eq(r.returncode, status, "weir %s: %s%s" % (
            " ".join(argv), r.stdout, r.stderr))
        return r.stdout + r.stderr
    check("paused: back; 0 connections" in weir(0, "pause", "back"), "pause")
    c = sent(w)
    w.wait_pool(waiting=1)
    said = weir(0, "stats")
    check("back is paused by hand: 1 waits, 0 are still leased" in said, said)
    eq(json.loads(weir(0, "pause", "back", "--json")),
       {"result": "ok", "leased": 0}, "--json")
    check("resumed: back" in weir(0, "resume", "back"), "resume")
    ok(read_response(c))
    c.close()
    check("paused" not in weir(0, "stats"), "stats")
    check('"back"' in weir(1, "pause", "none"), "known names")
    for argv in (("pause",), ("resume",), ("pause", "back", "more"),
                 ("resume", "back", "--now")):
        check("usage:" in weir(2, *argv), argv)
    for where, status in (("/upstreams/none/pause", 404),
                          ("/upstreams//pause", 404),
                          ("/upstreams/%zz/resume", 400),
                          ("/upstreams/back/pause?for=1m", 400)):
        eq(w.post(where)[0], status, where)
    eq(w.admin_request("GET", "/upstreams/back/pause")[0], 405, "GET")
    eq(w.upstream()["paused"], False, "wrong ones change nothing")
    w.balanced(o)


run()
