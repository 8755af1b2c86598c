"""A transaction has a connection to itself from its MULTI or WATCH on; who asks
meanwhile gets values, and what was watched by one is not watched for another.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from redis import (DIRECT, RedisServer, Client, RedisOrigin, Simple, command,
                   commands, through, token, upstreams)


def pair(pool="max = 8;"):
    server = RedisServer()
    w = through(server, pool=pool)
    return server, w, w.conf.ports["front"]


@case
def between_multi_and_exec_another_gets_a_value():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    b.ok("SET", "k", "v")
    a.ok("MULTI")
    eq(b.ask("GET", "k"), b"v", "GET beside MULTI")
    eq(a.ask("GET", "k"), "QUEUED", "GET in MULTI")
    eq(b.ask("GET", "k"), b"v", "GET beside MULTI")
    eq(a.ask("INCR", "n"), "QUEUED", "INCR in MULTI")
    eq(b.ask("GET", "n"), None, "what is only queued")
    eq(a.ask("EXEC"), [b"v", 1], "EXEC")
    eq(b.ask("GET", "n"), b"1", "after EXEC")
    a.prove().close()
    b.prove().close()
    w.balanced(server)
    upstreams(w, server, 3)
    if not DIRECT:
        eq(w.upstream()["pinned_total"]["multi"], 1, "pins for MULTI")
        eq(w.pool()["pinned"], 0, "pinned at rest")


@case
def a_hundred_transactions_make_no_hundred_connections():
    server, w, front = pair()
    clients = [Client(front) for _ in range(10)]
    for _ in range(10):
        for c in clients:
            c.ok("MULTI")
            eq(c.ask("INCR", "n"), "QUEUED", "INCR")
            check(isinstance(c.ask("EXEC")[0], int), "EXEC")
    eq(server.ask("GET", "n"), b"100", "n")
    for c in clients:
        c.close()
    w.balanced(server)
    upstreams(w, server, 8)


@case
def whole_in_one_write_it_is_answered_in_order():
    server, w, front = pair()
    c = Client(front)
    for _ in range(20):
        t, t2 = token(), token()
        eq(c.pipe(("SET", "k", t), "MULTI", "GET k", ("ECHO", t2), "EXEC",
                  "GET k"),
           ["OK", "OK", "QUEUED", "QUEUED", [t, t2], t], "a pipeline")
    c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def a_command_after_exec_follows_it():
    server, w, front = pair()
    c, t = Client(front), token()
    for at in range(1, 6):
        parts = [("MULTI",), ("SET", "k", t), ("EXEC",), ("GET", "k"),
                 ("DEL", "k"), ("GET", "k")]
        c.send(commands(*parts[:at]))
        eq(c.read(), "OK", "MULTI")
        c.send(commands(*parts[at:]))
        eq(c.reads(5), ["QUEUED", ["OK"], t, 1, None], "split at %d" % at)
    c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def discard_ends_it():
    server, w, front = pair()
    c = Client(front)
    for _ in range(10):
        eq(c.pipe("MULTI", "SET k v", "DISCARD", "GET k"),
           ["OK", "QUEUED", "OK", None], "DISCARD")
        eq(c.ask("EXEC"), "ERR EXEC without MULTI", "EXEC without MULTI")
        eq(c.ask("DISCARD"), "ERR DISCARD without MULTI", "DISCARD")
    c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def a_bad_command_aborts_that_transaction_only():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    a.ok("MULTI")
    check(a.ask("NOSUCH").startswith("ERR unknown command"), "NOSUCH")
    b.ok("MULTI")
    check(a.ask("EXEC").startswith("EXECABORT"), "EXEC of a")
    eq(b.ask("ECHO", "x"), "QUEUED", "ECHO of b")
    eq(b.ask("EXEC"), [b"x"], "EXEC of b")
    eq(a.ask("MULTI"), "OK", "again")
    eq(a.ask("MULTI"), "ERR MULTI calls can not be nested", "nested")
    eq(a.ask("EXEC"), [], "an empty one")
    a.prove().close()
    b.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def a_change_by_another_makes_exec_null():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for _ in range(5):
        a.ok("WATCH", "k")
        b.ok("SET", "k", token())
        eq(a.pipe("MULTI", "GET k", "EXEC"), ["OK", "QUEUED", None], "EXEC")
        # Nothing of it is left on that connection, nor on that of b.
        for c in (a, b):
            eq(c.pipe("MULTI", "ECHO x", "EXEC"), ["OK", "QUEUED", [b"x"]],
               "the next EXEC")
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def who_leaves_with_a_watch_leaves_none_behind():
    server, w, front = pair()
    b = Client(front)
    for end in ("close", "rst", "unwatch", "discard", "reset", "quit"):
        a = Client(front)
        a.ok("WATCH", "k")
        if end == "unwatch":
            a.ok("UNWATCH")
        elif end == "discard":
            eq(a.pipe("MULTI", "DISCARD"), ["OK", "OK"], "DISCARD")
        elif end == "reset":
            eq(a.ask("RESET"), "RESET", "RESET")
        elif end == "quit":
            a.ok("QUIT")
            a.closed("fin")
        (a.rst if end == "rst" else a.close)()
        b.ok("SET", "k", token())
        for _ in range(3):
            c = Client(front)
            eq(c.pipe("MULTI", "ECHO x", "EXEC"), ["OK", "QUEUED", [b"x"]],
               "EXEC after " + end)
            c.close()
    b.close()
    w.balanced(server)


@case
def who_leaves_inside_of_it_runs_nothing():
    server, w, front = pair()
    for end in ("close", "rst", "half"):
        a = Client(front)
        a.ok("MULTI")
        eq(a.ask("SET", "k", "v"), "QUEUED", "SET")
        if end == "half":
            a.send(command("EXEC")[:-3])
        (a.rst if end == "rst" else a.close)()
        b = Client(front)
        for _ in range(3):
            eq(b.pipe("MULTI", "GET k", "EXEC", "GET k"),
               ["OK", "QUEUED", [None], None], "after " + end)
        b.close()
    w.balanced(server)
    eq(server.ask("GET", "k"), None, "k")


@case
def unwatch_without_watch_is_ok_for_everybody():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    a.ok("WATCH", "k")
    b.ok("UNWATCH")
    server.ask("SET", "k", "x")
    eq(a.pipe("MULTI", "EXEC"), ["OK", None], "a's watch is still on")
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def it_goes_to_one_connection_that_sees_nothing_else():
    """What arrives upstream between MULTI and EXEC is that client's alone."""
    held = {}

    def answer(args, play):
        name = args[0].upper()
        if name == b"MULTI":
            held[play.number] = 0
            return Simple("OK")
        if name == b"EXEC":
            return [b"%d" % held.pop(play.number)]
        if play.number in held:
            check(args[0] == b"IN", "%r inside a transaction" % args)
            held[play.number] += 1
            return Simple("QUEUED")
        check(args[0] == b"OUT", "%r outside of one" % args)
        return args[1]
    o = RedisOrigin(answer)
    w = through(o, pool="max = 8;")
    front = w.conf.ports["front"]
    a, b = Client(front), Client(front)
    for n in range(20):
        a.ok("MULTI")
        t = token()
        eq(b.ask("OUT", t), t, "another's")
        for _ in range(n % 4):
            eq(a.ask("IN"), "QUEUED", "its own")
            eq(b.ask("OUT", t), t, "another's")
        eq(a.ask("EXEC"), [b"%d" % (n % 4)], "EXEC")
        eq(a.ask("OUT", t), t, "after it")
    a.close()
    b.close()
    w.balanced(o)
    # The shared one, the pinned one, one kept warm, and one that was being made
    # for a pin when that was served by another.
    upstreams(w, o, 4)


@case
def pins_have_a_limit_of_their_own():
    if DIRECT:
        return
    server = RedisServer()
    w = through(server, pool='max = 4; max_pinned = 2; queue_timeout = '
                '"300ms";')
    front = w.conf.ports["front"]
    pinned = [Client(front).ok("MULTI") for _ in range(2)]
    c, plain = Client(front), Client(front)
    got = c.ask("MULTI")
    check(got.startswith("ERR weir: "), "a third MULTI: %r" % got)
    plain.ok("SET", "k", "v")
    eq(plain.ask("GET", "k"), b"v", "who pins nothing")
    for p in pinned:
        eq(p.ask("EXEC"), [], "EXEC")
    until(lambda: w.pool()["pinned"] == 0, "no pins")
    c2 = Client(front)
    eq(c2.pipe("MULTI", "EXEC"), ["OK", []], "when there is room again")
    for x in (*pinned, c, c2, plain):
        x.close()
    w.balanced(server)


run()
