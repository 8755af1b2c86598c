"""Idle clients go over to the new weir in an upgrade and notice nothing: the same
connection, and all that they have said about it.
"""
# SPDX-License-Identifier: MIT
import os
import resource
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import memcached
import redis
from case import SLOW, case, check, eq, run, until
from proxy_header import AUTHORITY, after, tlv, tls, v2
from tls import Ca, TlsClient, client_context
from upgrade import Successive
from weir import one
from web import HttpOrigin, answer, ask, ok, once, read_response, request
from wire import Client


def patient(conf):
    """One of which the old weir would wait for its clients for long."""
    conf.drain_timeout = "%ds" % (60 * SLOW)
    return Successive(conf)


def clients(w, name="front"):
    """How many there are, and how many have ever come."""
    c = w.listener(name)["connections"]
    return c["active"], c["accepted_total"]


def has(w, n, name="front"):
    until(lambda: clients(w, name)[0] == n, "%d clients" % n)


# ------------------------------------------------------------------------- HTTP

@case
def a_keep_alive_client_goes_over_again_and_again():
    o = HttpOrigin()
    w = patient(one(o, pool="max = 1;"))
    fresh, c = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    ok(ask(c))
    for n in range(3):
        w.upgrade()                     # the one before has ended
        has(w, 2)
        c.send(request(target="/1") + request(target="/2"))
        for _ in range(2):
            eq(ok(read_response(c)).get("Connection"), None, "Connection")
    # In the middle of a connection it is no HTTP/2; at its beginning it is.
    c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    eq(read_response(c).status, 505, "its preface")
    fresh.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    eq(fresh.read_exact(9)[3], 4, "the other's: SETTINGS")
    fresh.close()
    c.close()
    has(w, 0)
    eq(clients(w)[1], 2, "accepted")
    eq(w.listener()["requests_total"], 7, "requests")
    eq(o.accepted, 1, "connections")


@case
def one_that_is_busy_goes_when_it_is_answered():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(60)
        return answer(q, q.path.encode())
    o = HttpOrigin(handler)
    w = patient(one(o))
    slow, half, over = (Client(w.conf.ports["front"]) for _ in range(3))
    text = request(target="/half")
    ok(ask(over))
    half.send(text[:20])
    slow.send(request(target="/slow"))
    until(lambda: o.requests == 2 and clients(w)[0] == 3, "the requests")
    leaving = w.upgrade(ended=False)
    has(w, 1)
    ok(ask(over))
    eq(clients(w), (1, 3), "clients of the new one")
    half.send(text[20:])
    r = ok(read_response(half))
    eq((r.body, r.get("Connection")), (b"/half", None), "the other half")
    has(w, 2)
    gate.set()
    r = ok(read_response(slow))
    eq((r.body, r.get("Connection")), (b"/slow", None), "the slow answer")
    eq(leaving.wait(), 0, "its status")
    for c in (slow, half):
        ok(ask(c))
    eq(clients(w), (3, 3), "clients")


@case
def nobody_goes_to_one_that_is_told_to_end():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(60)
        return answer(q)
    o = HttpOrigin(handler)
    w = patient(one(o))
    old, new = Client(w.conf.ports["front"]), None
    old.send(request())
    until(lambda: o.requests == 1, "the request")
    leaving = w.upgrade(ended=False)
    new = Client(w.conf.ports["front"])
    new.send(request())
    until(lambda: o.requests == 2, "the other request")
    w.signal(signal.SIGTERM)
    w.wait_log("which took over, is to end")
    gate.set()
    for c in (old, new):
        eq(ok(read_response(c)).get("Connection"), "close", "Connection")
        eq(bytes(c.read_to_end()), b"", "before its end")
    w.exited()
    eq(leaving.wait(), 0, "its status")


@case
def who_does_not_go_over_is_told_to_come_again():
    """Who has TLS, and who has a connection of his own."""
    ca, o = Ca(), HttpOrigin()
    conf = one(o, front="tls = { %s };" % ca.cert("a.test").conf()) \
        .listener("own", "own").upstream("own", o, pool='mode = "session";')
    w = patient(conf)
    secure = TlsClient(conf.ports["front"], client_context(ca), "a.test")
    idle, half = Client(conf.ports["own"]), Client(conf.ports["own"])
    text = request()
    half.send(text[:20])
    for c in (secure, idle):
        ok(ask(c))
    leaving = w.upgrade(ended=False)
    # It has none yet, when the old one begins to drain.
    half.send(text[20:])
    eq(ok(read_response(half)).get("Connection"), None, "Connection")
    for c in (secure, idle, half):
        eq(ok(ask(c)).get("Connection"), "close", "Connection")
        eq(bytes(c.read_to_end()), b"", "before its end")
    eq(leaving.wait(), 0, "its status")


@case
def where_it_cannot_go_on_it_is_closed():
    o = HttpOrigin()
    conf = one(o).listener("gone").listener("other") \
        .listener("single", extra="limits = { connections_per_client = 1; };")
    w = patient(conf)
    by = {n: Client(w.conf.ports[n]) for n in conf.ports}
    for c in by.values():
        ok(ask(c))
    conf.listeners.pop("gone")
    conf.listener("other", "raw", "tcp").upstream("raw", o, extra=
                                                  'protocol = "tcp";')
    w.write()
    w.upgrade()
    for n in ("gone", "other"):
        eq(bytes(by[n].read_to_end()), b"", n)
    for n in ("front", "single"):
        ok(ask(by[n]))
    # It is the one that there may be.
    eq(once(w.conf.ports["single"]).status, 429, "a second client")
    by["single"].close()
    has(w, 0, "single")
    ok(once(w.conf.ports["single"]))


@case
def what_a_proxy_has_said_goes_along():
    o = HttpOrigin()
    o.script = after(o.script)
    w = patient(one(o, front='proxy_protocol = { from = ( "127.0.0.1" ); };',
                    up='send_proxy_protocol = "v2";', workers=2))
    him, to = ("192.0.2.7", 4711), ("198.51.100.1", 443)
    c = Client(w.conf.ports["front"])
    c.send(v2(him, to, tlv(AUTHORITY, b"a.test"), tls()))
    ok(ask(c))
    w.conf.workers = 1
    w.write()
    w.upgrade()
    o.drop_all()
    ok(ask(c))
    h = o.headers[-1]
    eq((h.source, h.to, h.tlvs), (him, to, {AUTHORITY: b"a.test"}), "header")


# ------------------------------------------------------- protocols of pipelines

@case
def a_client_of_redis_has_all_that_it_had():
    o = redis.RedisOrigin(lambda args, play: args[1])
    w = patient(one(o, protocol="redis", pool="max = 4;", front='redis = { '
                    'auth = "check"; password = "secret"; };'))
    c = redis.Client(w.conf.ports["front"])
    eq(c.ask("ECHO", "1"), "NOAUTH Authentication required.", "without")
    c.ok("AUTH", "secret")
    eq(c.ask("HELLO", 3)[b"proto"], 3, "HELLO")
    c.ok("SELECT", 3).ok("CLIENT", "SETNAME", "me") \
        .ok("CLIENT", "SETINFO", "lib-name", "it")
    stranger = redis.Client(w.conf.ports["front"])
    before = c.ask("CLIENT", "INFO").split()
    c.write("CLIENT", "REPLY", "SKIP")
    for n in range(2):
        w.upgrade()
        has(w, 2)
        eq(stranger.ask("ECHO", "1"), "NOAUTH Authentication required.",
           "the other")
        if n == 0:
            c.write("ECHO", "skipped")
        c.prove()
        now = c.ask("CLIENT", "INFO").split()
        for a, b in zip(before, now):
            check(a == b or a.startswith((b"fd=", b"age=")), "%r %r" % (a, b))
        new = redis.Client(w.conf.ports["front"]).ok("AUTH", "secret")
        check(b"id=%d" % new.ask("CLIENT", "ID") != before[0], "its number")
        new.close()
        has(w, 2)
    # The server was asked in its database, and nobody else's words came.
    eq(w.failures(), {}, "failures")


@case
def a_client_of_redis_with_a_connection_of_its_own_stays():
    o = redis.RedisOrigin(lambda args, play: {
        b"MULTI": redis.Simple("OK"), b"SET": redis.Simple("QUEUED"),
        b"EXEC": [redis.Simple("OK")],
        b"SUBSCRIBE": [b"subscribe", args[-1], 1]}[args[0]])
    w = patient(one(o, protocol="redis", pool="max = 4;"))
    multi, sub, idle = (redis.Client(w.conf.ports["front"])
                        for _ in range(3))
    multi.ok("MULTI")
    eq(sub.ask("SUBSCRIBE", "ch"), [b"subscribe", b"ch", 1], "SUBSCRIBE")
    leaving = w.upgrade(ended=False)
    has(w, 1)
    eq(multi.ask("SET", "a", 1), "QUEUED", "SET")
    eq(multi.ask("EXEC"), ["OK"], "EXEC")
    has(w, 2)                           # it has done with it
    sub.close()
    eq(leaving.wait(), 0, "its status")
    multi.ok("MULTI")
    eq(clients(w), (2, 3), "clients")


@case
def a_client_of_memcached_speaks_on_as_it_has():
    def answers(line, value, link):
        return b"VALUE k 0 1\r\nv\r\nEND\r\n"
    o = memcached.MemcachedOrigin(answers)
    w = patient(one(o, protocol="memcached"))
    c = memcached.Client(w.conf.ports["front"])
    for _ in range(2):
        eq(c.get("k"), b"v", "its value")
        w.upgrade()
        has(w, 1)
    # Binary now would be nonsense.
    c.send(memcached.packet("noop"))
    eq(c.line(), b"ERROR", "what it is told")


# --------------------------------------------------------------------- many

class Busy(threading.Thread):
    """One connection over which is asked without pause."""

    def __init__(self, number, kind):
        super().__init__(daemon=True)
        self.client = kind(number)
        self.done, self.stop, self.failure = 0, False, None
        self.start()

    def run(self):
        try:
            while not self.stop:
                if isinstance(self.client, redis.Client):
                    self.client.prove()
                else:
                    ok(ask(self.client))
                self.done += 1
        except Exception as e:          # told by whoever joins
            self.failure = e


def loaded(workers):
    """Nobody has to connect again."""
    o, back = HttpOrigin(), redis.RedisOrigin(lambda args, play: args[1])
    conf = one(o, pool="min_idle = 2; max = 2;", workers=workers[0]) \
        .listener("cache", "cache", "redis") \
        .upstream("cache", back, extra='protocol = "redis";')
    w = patient(conf)
    busy = [Busy(conf.ports[name], kind) for name, kind in (
        ("front", Client), ("front", Client), ("cache", redis.Client),
        ("cache", redis.Client))]
    idle = [Client(conf.ports["front"]) for _ in range(150)]
    has(w, 152)
    for n in range(3):
        seen = [b.done for b in busy]
        until(lambda: any(b.failure for b in busy) or all(
            b.done > was for b, was in zip(busy, seen)), "requests")
        conf.workers = workers[n % len(workers)]
        w.write()
        w.upgrade()
    for c in idle[::10]:
        ok(ask(c))
    for b in busy:
        b.stop = True
    for b in busy:
        b.join()
        eq(b.failure, None, "its failure")
    eq((clients(w), clients(w, "cache")), ((152, 152), (2, 2)), "clients")
    eq((w.failures(), w.failures("cache")), ({}, {}), "failures")


@case
def under_load_nobody_has_to_connect_again():
    loaded([1])


@case
def the_number_of_workers_may_change():
    loaded([2, 1, 2])


@case
def one_for_which_there_is_no_descriptor_is_lost_alone():
    w = patient(one(HttpOrigin()))
    c, other = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    half = request()
    for one_of in (c, other):
        ok(ask(one_of))
        one_of.send(half[:9])
    has(w, 2)
    leaving = w.upgrade(ended=False)
    most = resource.prlimit(w.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(w.pid, resource.RLIMIT_NOFILE, (5, most[1]))
    c.send(half[9:])
    ok(read_response(c))
    eq(bytes(c.read_to_end()), b"", "its end")
    w.wait_log("out of descriptors: what the other weir sent is lost")
    resource.prlimit(w.pid, resource.RLIMIT_NOFILE, most)
    other.send(half[9:])
    ok(read_response(other))
    eq(leaving.wait(), 0, "its status")
    ok(ask(other))


run()
