"""A Redis that takes no more clients: with pool.adapt those who need a connection
of their own wait for one of those that there are, and nobody is told; without
it somebody is.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, eq, run, until
from redis import Client, Error, RedisServer, through

ROOM = 4
CLIENTS = 7
POOL = "max = 8; max_pinned = 8; min_idle = 0; "


def full():
    """A server with ROOM places beside the one that is our own."""
    server = RedisServer("--maxclients", str(ROOM + 1))
    server.ask("PING")
    return server


def blocked(w):
    """Each of them needs a connection alone."""
    clients = [Client(w.conf.ports["front"]) for _ in range(CLIENTS)]
    for c in clients:
        c.write("BLPOP", "q", 0)
    return clients


@case
def who_finds_it_full_waits_and_the_cap_is_lowered():
    server = full()
    w = through(server, pool=POOL + "adapt = true;")
    clients = blocked(w)
    until(lambda: server.info("blocked_clients") == ROOM, "four are in")
    until(lambda: w.pool()["cap"] < 8, "the cap is lowered")
    w.wait_pool(waiting=CLIENTS - ROOM)
    for n in range(CLIENTS):
        server.ask("RPUSH", "q", n)
    got = [c.read() for c in clients]
    eq(sorted(g[1] for g in got), [b"%d" % n for n in range(CLIENTS)],
       "what they got")
    for c in clients:
        c.prove().close()
    until(lambda: w.pool()["cap"] == 8, "it has grown back", 3 * WAIT)
    eq(w.failures(), {}, "failures")
    w.balanced(server)


@case
def who_has_to_log_in_waits_too():
    server = full()
    server.ask("CONFIG", "SET", "requirepass", "word")
    w = through(server, pool=POOL + "adapt = true;",
                up='redis = { password = "word"; };')
    clients = blocked(w)
    until(lambda: server.info("blocked_clients") == ROOM, "four are in")
    for n in range(CLIENTS):
        server.ask("RPUSH", "q", n)
    for c in clients:
        eq(c.read()[0], b"q", "what it got")
        c.prove().close()
    w.balanced(server)


@case
def without_adapt_somebody_is_told():
    server = full()
    w = through(server, pool=POOL)
    clients = blocked(w)
    until(lambda: server.info("blocked_clients") == ROOM, "four are in")
    # Who is late would get a connection of theirs, and nothing on it.
    until(lambda: sum(c.wants() for c in clients) == CLIENTS - ROOM,
          "the others are told")
    for n in range(ROOM):
        server.ask("RPUSH", "q", n)
    got = [c.read() for c in clients]
    eq(sum(isinstance(g, Error) for g in got), CLIENTS - ROOM, "errors")
    eq(w.pool()["cap"], 8, "the cap")
    for c in clients:
        c.close()
    w.balanced(server)


@case
def a_check_that_finds_it_full_does_not_find_it_ill():
    server = full()
    w = through(server, pool=POOL + "adapt = true;",
                up='health = { interval = "50ms"; fall = 1; };')
    until(lambda: w.upstream()["endpoints"][0]["health"]["last"] == "ok",
          "a check")
    clients = blocked(w)
    until(lambda: "max number of clients" in
          w.upstream()["endpoints"][0]["health"]["last"], "it is full")
    eq(w.upstream()["endpoints"][0]["state"], "up", "its state")
    for n in range(CLIENTS):
        server.ask("RPUSH", "q", n)
    for c in clients:
        eq(c.read()[0], b"q", "what it got")
        c.close()


run()
