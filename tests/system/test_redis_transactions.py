"""What a transaction leaves when it fails: as many answers as commands, the
client where it was, and never another inside of it.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from redis import (DIRECT, Client, Error, RedisOrigin, RedisServer, Simple,
                   commands, through, token)
from wire import Ended

if DIRECT:
    raise SystemExit(0)         # all of it is about weir's own failures

ABORT = "EXECABORT"


def pair(*options, pool="max = 8;", **more):
    server = RedisServer(*options)
    w = through(server, pool=pool, **more)
    return server, w, w.conf.ports["front"]


def is_weirs(got):
    return isinstance(got, Error) and got.startswith("ERR weir: ")


# ------------------------------------------------------- an upstream that fails

@case
def each_command_of_one_that_fails_has_its_error():
    server, w, front = pair()
    c = Client(front)
    c.prove()
    server.stop()
    for many in (("MULTI", "SET k v", "GET k", "EXEC"),
                 ("GET a", "MULTI", "SET k v", "EXEC", "GET a"),
                 ("MULTI", "EXEC")):
        got = c.pipe(*many)
        check(all(map(is_weirs, got)), repr(got))
    server.start()
    until(lambda: not isinstance(c.ask("PING"), Error), "it is back")
    c.prove()
    eq(c.pipe("MULTI", "SET k v", "GET k", "EXEC"),
       ["OK", "QUEUED", "QUEUED", ["OK", b"v"]], "when it is back")
    c.prove().close()
    w.balanced(server)


@case
def each_command_of_one_that_is_late_has_its_error():
    go = threading.Event()

    def answer(args, play):
        if args[0] == b"MULTI":
            go.wait(5 * WAIT)
            return Simple("OK")
        if args[0] == b"EXEC":
            return [b"late", b"late"]
        return Simple("QUEUED") if args[1] == b"in" else args[1]
    o = RedisOrigin(answer)
    w = through(o, pool="max = 1;", up='timeouts = { response = "300ms"; };')
    c = Client(w.conf.ports["front"])
    got = c.pipe("MULTI", "GET in", "GET in", "EXEC")
    check(all(map(is_weirs, got)), repr(got))
    go.set()
    for x in (c, Client(w.conf.ports["front"])):
        for _ in range(3):
            t = token()
            eq(x.ask("GET", t), t, "after it")
        check(not x.wants(), "a late reply came after all")
        x.close()
    w.balanced(o)


@case
def one_that_loses_its_server_halfway_is_not_made_up():
    """Some replies have come when the connection is lost: the client has an
    error for each that is left, or its connection ends."""
    def answer(args, play):
        if args[0] == b"MULTI":
            return Simple("OK")
        if args[0] == b"GET" and args[1] != b"in":
            return args[1]
        if args[0] == b"GET":
            return Simple("QUEUED")
        play.rst()
        raise ConnectionError
    o = RedisOrigin(answer)
    w = through(o, pool="max = 2;")
    b = Client(w.conf.ports["front"])
    for _ in range(3):
        c = Client(w.conf.ports["front"])
        rest = [b]
        try:
            got = c.pipe("MULTI", "GET in", "GET in", "EXEC")
            check(is_weirs(got[3]), repr(got))
            rest.append(c)
        except Ended:
            pass
        for x in rest:
            t = token()
            eq(x.ask("GET", t), t, "after it")
        c.close()
    b.close()
    w.balanced(o)


# --------------------------------------------------------------- its database

def where(c, server):
    """The database that c writes to."""
    t = token()
    c.ok("SET", t, "1")
    found = []
    for db in range(4):
        desk = server.client()
        desk.ok("SELECT", db)
        found += [db] * desk.ask("EXISTS", t)
        desk.close()
    eq(len(found), 1, "databases with the key")
    return found[0]


@case
def a_select_that_fails_inside_leaves_the_client_where_it_was():
    server, w, front = pair()
    for before in (0, 2):
        for whole in (True, False):
            c = Client(front)
            c.ok("SELECT", before)
            many = ("MULTI", "SELECT 999", "EXEC")
            got = c.pipe(*many) if whole else [c.ask(*m.split())
                                               for m in many]
            eq(got[:2], ["OK", "QUEUED"], "MULTI, SELECT")
            eq([type(g) for g in got[2]], [Error], "EXEC: %r" % (got[2],))
            for _ in range(3):
                eq(where(c, server), before, "the database")
            c.prove().close()
    eq(w.failures(), {}, "failures_total")
    w.balanced(server)


@case
def what_was_selected_counts_if_it_was_done():
    server, w, front = pair()
    b = Client(front)
    c = Client(front)
    eq(c.pipe("MULTI", "SELECT 1", "EXEC", "MULTI", "SELECT 2", "DISCARD"),
       ["OK", "QUEUED", ["OK"], "OK", "QUEUED", "OK"], "a pipeline")
    eq(where(c, server), 1, "after a discarded SELECT 2")
    eq(c.pipe("MULTI", "SELECT 3", "NOSUCH x", "EXEC")[0], "OK", "MULTI")
    eq(where(c, server), 1, "after EXECABORT")
    c.ok("WATCH", "k")
    b.ok("SELECT", 1)
    b.ok("SET", "k", "x")
    eq(c.pipe("MULTI", "SELECT 2", "EXEC"), ["OK", "QUEUED", None], "EXEC")
    eq(where(c, server), 1, "after a null EXEC")
    eq(c.pipe("MULTI", "SELECT 2", "SELECT 999", "SELECT 3", "EXEC")[0],
       "OK", "MULTI")
    eq(where(c, server), 3, "the last that was done")
    eq(where(b, server), 1, "the other's")
    for x in (c, b):
        x.prove().close()
    w.balanced(server)


# ------------------------------------------------- begun or ended it is not

@case
def a_server_without_exec_gives_nobody_queued():
    server, w, front = pair("--rename-command", "EXEC", "")
    b, others = Client(front), []
    b.ok("SET", "k", "v")
    for n in range(4):
        a = Client(front)
        many = ("MULTI", "SET k x", "EXEC")
        got = a.pipe(*many) if n % 2 else [a.ask(*m.split()) for m in many]
        check(isinstance(got[2], Error), repr(got))
        if n > 1:
            a.rst()
        for _ in range(3):
            others.append(Client(front))
            for c in (b, others[-1]):
                eq(c.ask("GET", "k"), b"v", "another's GET")
                c.prove()
        if n <= 1:
            a.close()
    eq(b.ask("GET", "k"), b"v", "what was never executed")
    for c in (b, *others):
        c.close()
    w.balanced(server)


@case
def what_came_behind_a_refused_multi_is_not_done():
    server, w, front = pair(pool='max = 4; max_pinned = 1; '
                            'queue_timeout = "300ms";')
    holder = Client(front).ok("MULTI")
    c = Client(front)
    # The transaction has a SELECT in it: it needs a connection to itself.
    got = c.pipe("MULTI", "SET k 1", "SELECT 0", "INCR n", "EXEC")
    check(all(isinstance(g, Error) for g in got), repr(got))
    check(is_weirs(got[0]), repr(got))
    check(got[4].startswith(ABORT), repr(got))
    eq(server.ask("EXISTS", "k", "n"), 0, "what was behind it")
    c.ok("SET", "after", "1")
    eq(c.ask("GET", "after"), b"1", "after it")
    c.prove()
    eq(holder.ask("EXEC"), [], "EXEC of who had the pin")
    until(lambda: w.pool()["pinned"] == 0, "no pins")
    eq(c.pipe("MULTI", "SET k 1", "SELECT 0", "EXEC"),
       ["OK", "QUEUED", "QUEUED", ["OK", "OK"]], "when there is room")
    for x in (holder, c):
        x.prove().close()
    w.balanced(server)


@case
def weirs_refusals_inside_make_exec_fail():
    server, w, front = pair()
    c = Client(front)
    for bad in ("CLIENT SETNAME me", "HELLO 3", "SUBSCRIBE c",
                "SHUTDOWN NOSAVE"):
        c.ok("MULTI")
        eq(c.ask("SET", "k", "v"), "QUEUED", "SET")
        check(isinstance(c.ask(*bad.split()), Error), bad)
        got = c.ask("EXEC")
        check(isinstance(got, Error) and got.startswith(ABORT),
              "EXEC after %s: %r" % (bad, got))
        c.prove()
        got = c.pipe("MULTI", "SET k v", bad, "EXEC")
        check(isinstance(got[3], Error) and got[3].startswith(ABORT),
              "EXEC after %s: %r" % (bad, got))
        c.prove()
    eq(server.ask("EXISTS", "k"), 0, "k")
    c.close()
    w.balanced(server)


@case
def a_crossed_key_inside_makes_exec_fail():
    servers = [RedisServer() for _ in range(3)]
    w = through(*servers, pool="max = 24;", up='balance = "key_hash";')
    c = Client(w.conf.ports["front"])
    for whole in (False, True):
        many = ["MULTI", *["SET %s v" % token().decode() for _ in range(40)],
                "EXEC"]
        got = c.pipe(*many) if whole else [c.ask(*m.split()) for m in many]
        eq(got[0], "OK", "MULTI")
        check(any(isinstance(g, Error) and g.startswith("CROSSSLOT")
                  for g in got[2:-1]), repr(got))
        check(isinstance(got[-1], Error) and got[-1].startswith(ABORT),
              "EXEC: %r" % (got[-1],))
        c.prove()
    eq([s.ask("DBSIZE") for s in servers], [0, 0, 0], "keys")
    c.close()
    w.balanced(*servers)


# --------------------------------------------------------- what RESET leaves

@case
def no_evict_goes_with_who_asked_for_it():
    """RESET of Redis 7.0 does not take it back."""
    server, w, front = pair(pool="max = 2; max_pinned = 1;")
    for end in ("close", "rst", "off", "reset"):
        a = Client(front)
        a.ok("CLIENT", "NO-EVICT", "ON")
        check("e" in "".join(r["flags"] for r in server.clients()), "flags")
        if end == "off":
            a.ok("CLIENT", "NO-EVICT", "OFF")
        elif end == "reset":
            eq(a.ask("RESET"), "RESET", "RESET")
        (a.rst if end == "rst" else a.close)()
        b = Client(front)
        eq(b.ask("MULTI"), "OK", "MULTI behind " + end)
        eq([r["flags"] for r in server.clients() if "e" in r["flags"]], [],
           "flags after " + end)
        eq(b.ask("EXEC"), [], "EXEC")
        b.close()
        w.balanced(server)


# ------------------------------------------------- what follows in a pipeline

@case
def who_watches_behind_an_exec_still_watches():
    """Its answer must not end what was asked for after it, in one write."""
    server, w, front = pair(pool="max = 4; max_pinned = 3;")
    for n, before in enumerate((["MULTI", "EXEC"], ["MULTI", "DISCARD"],
                                [("WATCH", "other"), "UNWATCH"])):
        a, others = Client(front), [Client(front) for _ in range(3)]
        key = "k%d" % n
        a.send(commands(*before, ("WATCH", key)))
        a.reads(len(before))
        eq(a.read(), "OK", "WATCH behind %r" % before)
        # Whoever needs a connection of his own now gets another one.
        for other in others[:2]:
            eq(other.ask("MULTI"), "OK", "MULTI of another")
        eq(others[2].ask("SET", key, "x"), "OK", "SET")
        for other in others[:2]:
            eq(other.ask("EXEC"), [], "EXEC of another")
        a.send(commands("MULTI", ("GET", key), "EXEC"))
        eq(a.reads(3), ["OK", "QUEUED", None], "EXEC behind %r" % before)
        for c in (a, *others):
            c.close()
        w.balanced(server)


run()
