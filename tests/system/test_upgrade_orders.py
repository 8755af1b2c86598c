"""Who is left with the old weir after an upgrade is a client as well: what is
ordered of the new one holds for both, as long as the old one drains.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import postgres
import redis
from case import SLOW, case, check, eq, run, until
from postgres_origin import PgOrigin
from tls import Ca, TlsClient, client_context
from upgrade import Successive
from weir import one
from web import HttpOrigin, answer, ok, once, read_response, refused, request
from wire import Client


def patient(conf):
    """One of which the old weir waits for its clients for long."""
    conf.drain_timeout = "%ds" % (60 * SLOW)
    return Successive(conf)


def order(w, path, upstream="back"):
    status, body = w.post("/upstreams/%s/%s" % (upstream, path))
    eq(status, 200, "POST %s: %s" % (path, body))
    return json.loads(body)


def sent(w, target="/", name="front"):
    return Client(w.conf.ports[name]).send(request(target=target))


class Secure(TlsClient, redis.Client):
    """A client of Redis that cannot go over."""

    def __init__(self, *args):
        TlsClient.__init__(self, *args)
        self.pushes, self.attributes = [], []


def redis_over_tls(pool='queue_timeout = "300ms";', more=1):
    """The servers, a weir and a client that stays with its old process."""
    ca = Ca()
    origins = [redis.RedisOrigin(lambda args, play: args[1])
               for _ in range(more)]
    w = patient(one(*origins, protocol="redis", pool=pool, workers=2,
                    front="tls = { %s };" % ca.cert("a.test").conf()))
    c = Secure(w.conf.ports["front"], client_context(ca), "a.test")
    eq(c.ask("ECHO", "1"), b"1", "before")
    return origins, w, c


def fails(c, reason):
    said = c.ask("ECHO", "x")
    check(isinstance(said, redis.Error) and reason in str(said), repr(said))


@case
def who_waits_there_is_let_go():
    o = HttpOrigin()
    w = patient(one(o, pool='max = 1; queue_timeout = "60s";'))
    order(w, "pause")
    c = sent(w)
    w.wait_pool(waiting=1)
    leaving = w.upgrade(ended=False)
    d = sent(w)
    w.wait_pool(waiting=1)
    eq((w.upstream()["paused"], o.requests), (True, 0), "while paused")
    order(w, "resume")
    for one_ in (c, d):
        ok(read_response(one_))
        one_.close()
    eq(leaving.wait(), 0, "its status")
    eq(o.requests, 2, "requests")
    w.balanced(o)


@case
def nothing_new_begins_there_and_what_is_leased_is_counted():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(60)
        return answer(q)
    o = HttpOrigin(handler)
    w = patient(one(o, pool='max = 2; queue_timeout = "60s";'))
    slow, half = sent(w, "/slow"), Client(w.conf.ports["front"])
    text = request()
    half.send(text[:20])
    until(lambda: o.requests == 1, "the request")
    leaving = w.upgrade(ended=False)
    eq(order(w, "pause")["leased"], 1, "leased")
    eq(w.pool()["elsewhere_leased"], 1, "elsewhere")
    half.send(text[20:])
    gate.set()
    ok(read_response(slow))
    until(lambda: order(w, "pause")["leased"] == 0, "its end")
    eq((w.pool()["elsewhere_leased"], o.requests), (0, 1), "afterwards")
    order(w, "resume")
    ok(read_response(half))
    slow.close()
    half.close()
    eq(leaving.wait(), 0, "its status")


@case
def a_client_that_cannot_go_over_obeys_to_the_end():
    (o,), w, c = redis_over_tls()
    name = o.address
    leaving = w.upgrade(ended=False)
    eq(order(w, "pause")["leased"], 0, "leased")
    fails(c, "queue_timeout")
    order(w, "resume")
    eq(c.ask("ECHO", "2"), b"2", "resumed")
    order(w, "endpoints/%s?state=down" % name)
    fails(c, "no_endpoint")
    order(w, "endpoints/%s?state=conf" % name)
    eq(c.ask("ECHO", "3"), b"3", "as the file says")
    order(w, "fault?error=1&percent=100")
    fails(c, "fault_injected")
    order(w, "fault?off=1")
    eq(c.ask("ECHO", "4"), b"4", "no more faults")
    order(w, "endpoints/%s?state=down" % name)
    eq(w.post("/reload?drop_overrides=1")[0], 200, "the reload")
    eq(c.ask("ECHO", "5"), b"5", "as the file says")
    eq(o.asked("ECHO"), 5, "what came to the server")
    eq(leaving.poll(), None, "its status")
    c.close()
    eq(leaving.wait(), 0, "its status")


@case
def one_of_two_is_switched_off_for_both():
    (a, b), w, c = redis_over_tls(more=2)
    leaving = w.upgrade(ended=False)
    for off, on in ((a, b), (b, a)):
        order(w, "endpoints/%s?state=down&weight=3" % off.address)
        before = off.asked("ECHO"), on.asked("ECHO")
        for _ in range(4):
            eq(c.ask("ECHO", "x"), b"x", "an answer")
        eq((off.asked("ECHO"), on.asked("ECHO")),
           (before[0], before[1] + 4), "who was asked")
        order(w, "endpoints/%s?state=conf" % off.address)
    c.close()
    eq(leaving.wait(), 0, "its status")


@case
def a_fault_ends_with_the_upgrade_and_so_does_its_delay():
    o = HttpOrigin()
    w = patient(one(o))
    order(w, "fault?delay=1h&percent=100&for=1h")
    c = sent(w)
    until(lambda: w.upstream()["fault"]["hit_total"] == 1, "the delay")
    leaving = w.upgrade(ended=False)
    ok(read_response(c))
    eq(w.upstream()["fault"], None, "afterwards")
    c.close()
    eq(leaving.wait(), 0, "its status")


@case
def an_upstream_that_has_left_the_file_is_paused_no_more():
    o, other = HttpOrigin(), HttpOrigin()
    conf = one(o).listener("other", "gone").upstream(
        "gone", other, pool='queue_timeout = "60s";')
    w = patient(conf)
    order(w, "pause", "gone")
    c = sent(w, name="other")
    w.wait_pool("gone", waiting=1)
    conf.listeners.pop("other")
    conf.upstreams.pop("gone")
    w.write()
    leaving = w.upgrade(ended=False)
    ok(read_response(c))
    c.close()
    eq(leaving.wait(), 0, "its status")


@case
def what_was_ordered_outlives_who_was_ordered():
    (o,), w, c = redis_over_tls()
    w.upgrade(ended=False)
    order(w, "pause")
    order(w, "endpoints/%s?weight=7" % o.address)
    w.kill()
    w.replaced()
    u = w.upstream()
    eq((u["paused"], u["endpoints"][0]["weight"]), (True, 7), "afterwards")
    order(w, "resume")
    eq(c.ask("ECHO", "2"), b"2", "resumed")
    c.close()


@case
def the_console_waits_for_transactions_of_both():
    o = PgOrigin()
    w = patient(one(o, protocol="postgres", pool="max = 4;", front='postgres '
                    '= { auth = "trust"; admin_users = ( "admin" ); };'))
    front = w.conf.ports["front"]
    a = postgres.Client(front)
    a.ok("BEGIN")
    leaving = w.upgrade(ended=False)
    console = postgres.Client(front, user="admin", database="weir")
    console.send(postgres.query("PAUSE"))
    until(lambda: w.upstream()["paused"], "paused")
    eq(order(w, "pause")["leased"], 1, "leased")
    eq(w.pool()["leased"], 0, "by the new one")
    a.ok("COMMIT")
    eq(console.result().tags, ["PAUSE"], "answer")
    eq(console.query("RESUME").tags, ["RESUME"], "answer")
    eq(a.one("SELECT 1"), "1", "it goes on")
    a.quit()
    console.quit()
    eq(leaving.wait(), 0, "its status")


run()
