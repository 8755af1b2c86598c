"""Checks speak TLS where their upstream does, in every protocol: what is wrong
with a server's TLS keeps it out of use, and is told by its name.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import certs
from case import SLOW, case, eq, port, run, until
from memcached import MemcachedOrigin
from origin import Origin, until_end
from postgres_origin import PgOrigin
from redis import RedisOrigin
from web import HttpOrigin
from weir import Weir, one

OFTEN = 'interval = "50ms"; timeout = "%dms"; rise = 1; fall = 1;' % (
    5000 * SLOW)
ca = None                       # of this process, made when it is needed


def authority():
    global ca
    ca = ca or certs.Authority()
    return ca


def secured(origin, context):
    origin.script = certs.over_tls(origin.script, context)
    return origin


# By protocol: a server of that whose TLS has that context.
SERVERS = {
    "http": lambda c: secured(HttpOrigin(), c),
    "redis": lambda c: secured(RedisOrigin(), c),
    "memcached": lambda c: secured(MemcachedOrigin(None), c),
    "postgres": lambda c: PgOrigin(tls=c),
    "tcp": lambda c: secured(Origin(until_end), c),
}


def start(protocol, *origins, health="", tls="", own="", often=OFTEN):
    front = 'postgres = { auth = "trust"; };' \
        if protocol == "postgres" else ""
    return Weir(one(
        *origins, protocol=protocol, front=front,
        up='tls = { ca = "%s"; %s }; health = { %s %s }; %s' % (
            authority().file, tls, often, health, own)))


def states(w):
    return [e["state"] for e in w.upstream()["endpoints"]]


def last(w, n=0):
    return w.upstream()["endpoints"][n]["health"]["last"]


def balanced(w, *origins):
    """The books at a moment in which nothing is checked: a server that keeps
    checks waiting has one most of the time."""
    w.write(w.conf.text().replace('interval = "50ms"', 'interval = "1h"'))
    w.reload()
    w.balanced(*origins)


@case
def whose_tls_is_good_is_up_and_who_lacks_it_is_not():
    good = authority().server()
    bad = authority().expired_server()
    for protocol, server in SERVERS.items():
        a = server(certs.server_context(good))
        b = server(certs.server_context(bad))
        w = start(protocol, a, b)
        until(lambda: states(w) == ["up", "down"], "%s: states %r, %r" % (
            protocol, states(w), last(w, 1)))
        eq(last(w, 1), "TLS: expired", "what is wrong")
        # Up it is from the start.
        until(lambda: last(w) == "ok", "the word of the good one")
        balanced(w, a, b)


@case
def what_is_wrong_has_its_name():
    stranger = certs.Authority("another CA")
    for pair, name in (
            (authority().expired_server(), "expired"),
            (authority().future_server(), "not_yet_valid"),
            (authority().misnamed_server(), "wrong_name"),
            (stranger.server(), "unknown_ca"),
            (certs.self_signed(), "self_signed"),
            (authority().client("127.0.0.1"), "bad_certificate")):
        for protocol in ("http", "postgres"):
            o = SERVERS[protocol](certs.server_context(pair))
            w = start(protocol, o)
            until(lambda: states(w) == ["down"], "down")
            eq(last(w), "TLS: " + name, "what is wrong")
            balanced(w, o)


@case
def servers_without_tls_are_down():
    for protocol, o, word in (
            ("http", Origin(lambda link: link.send("HTTP/1.1 400 Bad\r\n\r\n")
                            and link.read_to_end()), "not_tls"),
            ("redis", Origin(lambda link: link.read_exact(5)), "closed"),
            ("postgres", PgOrigin(), "no_tls"),
            ("postgres", PgOrigin(tls=True, tls_answer=b"SS"),
             "bytes_before_tls"),
            ("postgres", Origin(lambda link: link.send("HTTP/1.1 400\r\n") and
                                link.read_to_end()), "not_postgres")):
        w = start(protocol, o)
        until(lambda: states(w) == ["down"], "down")
        until(lambda: last(w) == "TLS: " + word, "%s: %r" % (word, last(w)))
        balanced(w, o)


@case
def a_server_that_gets_another_certificate_is_back():
    for protocol in SERVERS:
        context = certs.server_context(authority().expired_server())
        o = SERVERS[protocol](context)
        w = start(protocol, o)
        until(lambda: states(w) == ["down"], "down")
        good = authority().server()
        context.load_cert_chain(good.file, good.key)
        until(lambda: states(w) == ["up"], "up")
        balanced(w, o)


@case
def one_that_shakes_no_hands_is_down():
    o = Origin(until_end)
    w = start("http", o, often=OFTEN.replace("%d" % (5000 * SLOW), "300"))
    until(lambda: states(w) == ["down"], "down")
    eq(last(w), "timeout", "what is wrong")
    balanced(w, o)


@case
def a_port_of_its_own_has_no_tls():
    """Something else is there."""
    number = port()
    a = HttpOrigin(number=number)
    o = secured(Origin(until_end), certs.server_context(
        authority().server()))
    w = start("http", o, health="port = %d;" % number)
    until(lambda: a.requests > 1, "checks")
    eq(states(w), ["up"], "state")
    balanced(w, o)


@case
def who_is_content_with_a_connection_asks_for_no_tls():
    """But where it begins by itself, there it does (above)."""
    for protocol in ("http", "postgres"):
        heard = []

        def script(link, heard=heard):
            heard.append(link.read_to_end())
        o = Origin(script)
        w = start(protocol, o, health='type = "tcp";')
        until(lambda: len(heard) > 2, "checks")
        eq((states(w), set(heard)), (["up"], {b""}), "what was said")
        balanced(w, o)


@case
def postgres_is_asked_as_its_connections_are():
    """TLS at once, and by a certificate of weir's own."""
    pair = authority().client("weir")
    o = PgOrigin(tls=certs.server_context(authority().server(), authority(),
                                          ["postgresql"]), direct=True)
    w = start("postgres", o, tls='certificate = "%s"; key = "%s";' % (
        pair.file, pair.key), own='postgres = { direct_tls = true; '
        'check_user = "eye"; };')
    until(lambda: len(o.logins) > 2, "checks")
    eq({p["user"] for _, p in o.logins}, {"eye"}, "who asks")
    eq(states(w), ["up"], "state")
    balanced(w, o)


run()
