"""A Redis that does not serve weir does not make it ready, and whoever asks is
told why; one that serves, in whatever words, does. Clients are told what the
server tells them.
"""
# SPDX-License-Identifier: MIT
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Aside, case, check, eq, run, until
from redis import DIRECT, Client, Error, RedisOrigin, RedisServer, through

WANTS = "NOAUTH: the server wants a password: redis.password of the upstream"
CLOSED = "DENIED: the server is in protected mode: it takes nobody from " \
    "another host"


def start(origin, pool="", **more):
    if DIRECT:
        raise Aside("about connections upstream")
    return through(origin, pool="max = 8; min_idle = 2; " + pool, **more)


def unready(w, origin, why):
    said = "not ready: upstream back: 0 of 2 connections are open (%s%s)\n" % (
        origin.address, why)
    until(lambda: w.get("/readyz") == (503, said), why)


def ready(w):
    until(lambda: w.get("/readyz")[0] == 200, "ready")


def refuses(what, user="default"):
    return " refuses user %s, database 0: %s" % (user, what)


@case
def one_that_wants_a_password_is_not_ready_and_a_client_changes_nothing():
    for adapt in ("", "adapt = true;"):
        server = RedisServer("--requirepass", "up")
        w = start(server, adapt)
        unready(w, server, refuses(WANTS))
        c = Client(w.conf.ports["front"])
        for _ in range(3):
            check(c.ask("GET", "k").startswith("NOAUTH"), "GET")
        check(c.ask("SUBSCRIBE", "a", "b").startswith("NOAUTH"), "SUBSCRIBE")
        check(c.pipe("MULTI", "GET k", "EXEC")[0].startswith("NOAUTH"), "MULTI")
        c.close()
        eq(w.failures(), {"login_refused": 5}, "failures")
        w.wait_pool(idle=0)
        unready(w, server, refuses(WANTS))
        server.client().ok("AUTH", "up").ok("CONFIG", "SET", "requirepass", "")
        ready(w)


@case
def nor_is_one_that_refuses_the_password():
    server = RedisServer("--requirepass", "up")
    w = start(server, up='redis = { user = "ann"; password = "no"; };')
    unready(w, server, refuses("WRONGPASS", "ann"))


@case
def nor_is_one_in_protected_mode():
    def script(play):
        play.reply(Error("DENIED Redis is running in protected mode"))
    for adapt in ("", "adapt = true;"):
        o = RedisOrigin(script=script)
        w = start(o, adapt)
        unready(w, o, refuses(CLOSED))


@case
def one_that_is_known_to_serve_is_not_asked_again():
    """Whoever watches it (MONITOR) would see that."""
    server = RedisServer()
    w = start(server)
    ready(w)
    w.wait_pool(idle=2)

    def asked():
        return re.findall(rb"cmdstat_ping:calls=(\d+)",
                          server.client().ask("INFO", "commandstats"))
    before = asked()
    eq(len(before), 1, "PINGs")
    c = Client(w.conf.ports["front"])
    c.ask("SUBSCRIBE", "a")         # another is kept warm in its place
    w.wait_pool(idle=2, open=3)
    eq(asked(), before, "PINGs")
    c.close()


@case
def one_that_is_loading_is_waited_for():
    loaded = threading.Event()
    sick = Error("LOADING Redis is loading the dataset in memory")
    o = RedisOrigin(lambda args, play: b"v" if loaded.is_set() else sick)
    own = o._own
    o._own = lambda args, play: own(args, play) if loaded.is_set() else sick
    w = start(o)
    unready(w, o, ": LOADING: it still reads its data")
    c = Client(w.conf.ports["front"])
    eq(c.ask("GET", "k"), sick, "the server's own words")
    eq(w.failures(), {}, "failures")
    check("refuses" not in w.log(), "it is no refusal")
    loaded.set()
    eq(c.ask("GET", "k"), b"v", "GET")
    ready(w)
    c.close()


@case
def one_that_only_does_not_like_to_be_asked_is_ready():
    server = RedisServer()
    server.ask("ACL", "SETUSER", "default", "-ping")
    w = start(server)
    ready(w)
    c = Client(w.conf.ports["front"])
    eq(c.ask("GET", "k"), None, "GET")
    c.close()
    eq(w.upstream()["server_errors_total"]["NOPERM"], 0, "errors")
    w.balanced(server)


@case
def nor_where_clients_log_in_by_themselves():
    server = RedisServer("--requirepass", "up")
    w = start(server, front='redis = { auth = "forward"; };')
    ready(w)
    c = Client(w.conf.ports["front"])
    check(c.ask("GET", "k").startswith("NOAUTH"), "GET before AUTH")
    c.ok("AUTH", "up")
    eq(c.ask("GET", "k"), None, "GET")
    c.close()
    eq(w.failures(), {}, "failures")
    check("refuses" not in w.log(), "nobody refuses anybody")


run()
