"""Upstreams that are told whose each connection is: a PROXY header comes first
on it, and no two clients ever share one.
"""
# SPDX-License-Identifier: MIT
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, temp_dir, until
from memcached import MemcachedOrigin
from origin import Origin, echo
from postgres import Client as PgClient
from postgres import query
from postgres import through as postgres_through
from postgres_origin import PgOrigin
from proxy_header import (AUTHORITY, LOCAL, PROXY, UNIQUE_ID, Secured, after,
                          certificate, tls, tlv, v1, v2)
from redis import RedisOrigin, Simple
from redis import Client as RedisClient
from senders import From
from web import HttpOrigin, ask
from weir import Conf, Weir, one
from wire import Client

FROM = 'proxy_protocol = { from = ( "127.0.0.1" ); }; '
HIM, HER = ("203.0.113.7", 4711), ("203.0.113.8", 4711)


def sends(version):
    return 'send_proxy_protocol = "%s"; ' % version


def told(origin):
    """The same origin, which takes a header on each connection."""
    origin.headers = []
    origin.script = after(origin.script)
    return origin


def front(w, source="127.0.0.1"):
    return From(source, w.conf.ports["front"])


# --------------------------------------------------------------- what is said

@case
def header_names_both_ends_of_the_clients_connection():
    for version in (1, 2):
        o = told(HttpOrigin())
        w = Weir(one(o, up=sends("v%d" % version)))
        c = front(w, "127.0.0.5")
        eq(ask(c).status, 200, "status")
        h = o.headers[0]
        eq((h.version, h.command), (version, PROXY), "version, command")
        eq(h.source, c.sock.getsockname(), "source")
        eq(h.to, c.sock.getpeername(), "destination")
        eq(h.tlvs, {}, "TLVs")
        c.close()
        w.balanced(o)


@case
def header_that_came_is_passed_on():
    to = ("198.51.100.1", 443)
    his = v2(HIM, to, tlv(AUTHORITY, b"a.test"), tlv(UNIQUE_ID, b"\0id"),
             tls())
    for header, version, tlvs in [
            (his, 2, {AUTHORITY: b"a.test", UNIQUE_ID: b"\0id"}),
            (his, 1, {}), (v1(HIM, to), 2, {}), (v1(HIM, to), 1, {})]:
        o = told(HttpOrigin())
        w = Weir(one(o, front=FROM, up=sends("v%d" % version)))
        eq(ask(front(w).send(header)).status, 200, "status")
        h = o.headers[0]
        eq((h.source, h.to), (HIM, to), "ends")
        eq(h.tlvs, tlvs, "TLVs")


@case
def addresses_of_ipv6_are_said_too():
    o = told(HttpOrigin())
    w = Weir(one(o, front=FROM, up=sends("v1")))
    ends = ("2001:db8::7", 4711), ("2001:db8::9", 443)
    eq(ask(front(w).send(v2(*ends))).status, 200, "status")
    eq((o.headers[0].source, o.headers[0].to), ends, "ends")


@case
def client_without_an_address_is_not_known():
    path = os.path.join(temp_dir(), "front.sock")
    for version in (1, 2):
        o = told(HttpOrigin())
        w = Weir(Conf().listener("front", bind='"unix:%s"' % path)
                 .upstream("back", o, extra=sends("v%d" % version)))
        # They are all alike: they share.
        for _ in range(3):
            c = Client("unix:" + path)
            eq(ask(c).status, 200, "status")
            c.close()
        o.had(1)
        h = o.headers[0]
        eq((h.command, h.source), (PROXY, None), "header")
        w.stop()


# --------------------------------------------------------------- who shares it

@case
def no_two_clients_share_a_connection():
    o = told(HttpOrigin())
    w = Weir(one(o, front=FROM, up=sends("v2")))
    his, hers = front(w).send(v2(HIM)), front(w).send(v2(HER))
    conns = {}
    for _ in range(4):
        for who, c in ((HIM, his), (HER, hers)):
            r = ask(c)
            eq(conns.setdefault(who, r.conn), r.conn, "the connection of one")
            eq(o.headers[r.conn - 1].source, who, "whose it is")
    o.had(2)
    # Nor does a connection of his that has another port.
    c = front(w).send(v2((HIM[0], HIM[1] + 1)))
    eq(ask(c).conn, 3, "connection")
    # The very same ends are the same client.
    his.close()
    c = front(w).send(v2(HIM))
    eq(ask(c).conn, conns[HIM], "connection")
    o.had(3)


@case
def place_of_anothers_idle_one_is_taken():
    o = told(HttpOrigin())
    w = Weir(one(o, up=sends("v2"), pool="max = 1; "))
    for n in range(1, 6):
        c = front(w)
        r = ask(c)
        eq((r.status, r.conn), (200, n), "status, connection")
        eq(o.headers[-1].source, c.sock.getsockname(), "source")
    eq(w.pool()["open"], 1, "open")


@case
def two_workers_keep_clients_apart():
    o = told(HttpOrigin())
    w = Weir(one(o, up=sends("v1"), pool="max = 2; ", workers=2))
    for n in range(30):
        c = front(w, "127.0.0.%d" % (n + 1))
        for _ in range(2):
            r = ask(c)
            eq(r.status, 200, "status")
            eq(o.headers[r.conn - 1].source, c.sock.getsockname(), "source")
        c.close()
    w.balanced(o)


# --------------------------------------------------------------- all protocols

@case
def raw_tcp_begins_with_it():
    def all_back(link):
        link.send(link.take(len(link.buf)))     # came with the header
        echo(link)
    o = told(Origin(all_back))
    w = Weir(one(o, protocol="tcp", up=sends("v1")))
    for n in range(1, 4):
        c = front(w)
        eq(c.send(b"x" * n).read_exact(n), b"x" * n, "echo")
        eq(o.headers[-1].source, c.sock.getsockname(), "source")
        c.close()
    o.had(3)


@case
def redis_clients_have_a_shared_connection_each():
    o = told(RedisOrigin(lambda args, play: Simple("%d" % play.number)))
    w = Weir(one(o, protocol="redis", up=sends("v2")))
    a, b = (RedisClient(w.conf.ports["front"]) for _ in range(2))
    numbers = [[c.ask("GET", "k") for c in (a, b)] for _ in range(3)]
    check(numbers[0] == numbers[1] == numbers[2], "they moved: %r" % numbers)
    o.had(2)
    for c, n in zip((a, b), numbers[0]):
        eq(o.headers[int(n) - 1].source, c.sock.getsockname(), "source")
    # No default of min_idle opens one that nobody could use.
    eq(w.pool()["open"], 2, "open")


@case
def memcached_begins_with_it():
    o = told(MemcachedOrigin(lambda *_: b"END\r\n"))
    w = Weir(one(o, protocol="memcached", up=sends("v2")))
    c = Client(w.conf.ports["front"]).send(b"mn\r\n")
    eq(c.read_until(b"\r\n"), b"MN\r\n", "answer")
    c.send(b"get k\r\n")
    until(lambda: o.headers, "a header")
    eq(o.headers[0].source, c.sock.getsockname(), "source")


@case
def tls_begins_behind_it():
    cert, key = certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def secured(link):
        s = Secured(link, context, server_side=True)
        while data := s.read():
            s.send(data)
    o = told(Origin(secured))
    w = Weir(one(o, protocol="tcp", up=sends("v2") +
                 'tls = { ca = "%s"; server_name = "a.test"; };' % cert))
    for n in range(1, 4):
        c = front(w)
        eq(c.send(b"hello").read_exact(5), b"hello", "echo")
        eq(o.headers[-1].source, c.sock.getsockname(), "source")
        c.close()
    o.had(3)


@case
def postgres_clients_and_their_cancels():
    o = told(PgOrigin())
    w = postgres_through(o, pool="max = 4;", up=sends("v2"))
    a, b = (PgClient(w.conf.ports["front"]) for _ in range(2))
    for _ in range(2):
        for c in (a, b):
            c.ok("SELECT 1")
    sources = [h.source for h in o.headers if h.command == PROXY]
    eq(sorted(set(sources)), sorted(c.sock.getsockname() for c in (a, b)),
       "sources")
    eq(len(sources), 2, "connections of clients")
    a.write(query("SELECT pg_sleep(9)"))
    o.wait_for(1)
    a.cancel()
    eq(a.result().code, "57014", "answer")
    eq(len(o.cancels), 1, "cancels at the server")
    eq((o.headers[-1].command, o.headers[-1].source), (LOCAL, None),
       "the cancel's header")
    for c in (a, b):
        c.quit()


# ------------------------------------------------------- connections of its own

@case
def health_checks_and_warm_connections_say_local():
    for version in (1, 2):
        o = told(HttpOrigin())
        w = Weir(one(o, up=sends("v%d" % version) +
                     'health = { interval = "50ms"; };', pool="min_idle = 1; "))
        until(lambda: len(o.headers) >= 4, "checks and a warm one")
        for h in o.headers:
            if version == 2:
                eq((h.command, h.source, h.tlvs), (LOCAL, None, {}), "header")
            else:                       # PROXY 2.1: its own two ends
                eq(h.source[0], "127.0.0.1", "source")
                eq(h.to, ("127.0.0.1", o.number), "destination")
        eq(w.upstream()["endpoints"][0]["state"], "up", "endpoint")
        # No client is ever served on one of those.
        c = front(w)
        r = ask(c)
        h = o.headers[r.conn - 1]
        eq((h.command, h.source), (PROXY, c.sock.getsockname()), "header")
        w.stop()


@case
def check_of_another_port_says_nothing():
    o, side = told(HttpOrigin()), Origin(echo)
    w = Weir(one(o, up=sends("v2") + 'health = { type = "tcp"; port = %d; '
                 'interval = "50ms"; };' % side.number))
    until(lambda: side.accepted >= 3, "checks")
    eq(side.received, 0, "bytes")
    w.stop()


# --------------------------------------------------------------------- reload

@case
def reload_that_changes_it_closes_what_is_idle():
    o = told(HttpOrigin())
    w = Weir(one(o, up=sends("v1")))
    c = front(w)
    eq(ask(c).conn, 1, "connection")
    for n, version in ((2, 2), (3, 1)):
        w.conf.upstream("back", o, extra=sends("v%d" % version))
        w.write()
        w.reload()
        eq(ask(c).conn, n, "connection")
        eq(o.headers[-1].version, version, "version")
        eq(o.headers[-1].source, c.sock.getsockname(), "source")
        until(lambda: o.open == 1, "the old one is closed")
    eq(w.upstream()["discarded_total"]["reconfigured"], 2, "closed for it")
    # What does not change it closes none.
    w.conf.upstream("back", o, pool="max = 9;", extra=sends("v1"))
    w.write()
    w.reload()
    eq(ask(c).conn, 3, "connection")


@case
def reload_may_begin_and_end_it():
    plain = HttpOrigin()
    w = Weir(one(plain))
    c = front(w)
    eq(ask(c).conn, 1, "connection")
    o = told(HttpOrigin())
    w.conf.upstream("back", o, extra=sends("v2"))
    w.write()
    w.reload()
    eq(ask(c).status, 200, "status")
    eq(o.headers[0].source, c.sock.getsockname(), "source")
    w.conf.upstream("back", plain)
    w.write()
    w.reload()
    eq(ask(c).status, 200, "status")
    eq(plain.requests, 2, "requests")


run()
