"""Who waits in BLPOP and its like waits on a connection of its own: an element
goes to whoever is there to take it, at once, and with nobody it stays.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import time

from case import WAIT, case, check, eq, run, until
from redis import (DIRECT, Client, Error, RedisServer, command, commands, through,
                   token, upstreams)


def pair(pool="max = 16;", up=""):
    server = RedisServer()
    w = through(server, pool=pool, up=up)
    return server, w, w.conf.ports["front"]


def blocked(server, n):
    until(lambda: server.info("blocked_clients") == n, "%d blocked" % n)


@case
def a_push_by_another_wakes_at_once():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for _ in range(20):
        t = token()
        a.write("BLPOP", "list", 0)
        blocked(server, 1)
        eq(b.ask("GET", "none"), None, "who does not block")
        eq(b.ask("LPUSH", "list", t), 1, "LPUSH")
        eq(a.read(), [b"list", t], "BLPOP")
    a.prove().close()
    b.prove().close()
    w.balanced(server)
    upstreams(w, server, 3)
    if not DIRECT:
        eq(w.upstream()["pinned_total"]["blocked"], 20, "pins")


@case
def a_blocked_client_dies_and_no_element_is_lost():
    server, w, front = pair()
    b = Client(front)
    for n, end in enumerate(["close", "rst"] * 5):
        t = token()
        a = Client(front)
        a.write("BRPOP" if n % 3 else "BLPOP", "list", 0)
        blocked(server, 1)
        (a.rst if end == "rst" else a.close)()
        blocked(server, 0)
        eq(b.ask("RPUSH", "list", t), 1, "RPUSH")
        eq(b.ask("LRANGE", "list", 0, -1), [t], "the list")
        eq(b.ask("LPOP", "list"), t, "LPOP")
    b.close()
    w.balanced(server)


@case
def set_blpop_get_keep_their_order():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for _ in range(10):
        t, u = token(), token()
        a.send(commands(("SET", "k", t), ("BLPOP", "list", 0), ("GET", "k"),
                        ("ECHO", u)))
        eq(a.read(), "OK", "SET")
        blocked(server, 1)
        check(not a.wants(), "a reply behind one that is not there")
        b.ok("SET", "k", u)
        eq(b.ask("RPUSH", "list", "x"), 1, "RPUSH")
        eq(a.reads(3), [[b"list", b"x"], u, u], "BLPOP, GET, ECHO")
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def elements_that_are_there_come_without_waiting():
    server, w, front = pair()
    c = Client(front)
    for n in range(10):
        eq(c.pipe(("RPUSH", "q", "a", "b"), "BLPOP q 0", "LLEN q",
                  "BRPOP q 0", "LLEN q"),
           [2, [b"q", b"a"], 1, [b"q", b"b"], 0], "a pipeline")
    c.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def all_that_can_block_does_so_alone():
    server, w, front = pair("max = 32;")
    plain = Client(front)
    many = [
        (("BLPOP", "a1", 0), ("RPUSH", "a1", "x"), [b"a1", b"x"]),
        (("BRPOP", "a2", 0), ("RPUSH", "a2", "x"), [b"a2", b"x"]),
        (("BLMOVE", "a3", "d3", "LEFT", "RIGHT", 0), ("RPUSH", "a3", "x"),
         b"x"),
        (("BRPOPLPUSH", "a4", "d4", 0), ("RPUSH", "a4", "x"), b"x"),
        (("BLMPOP", 0, 1, "a5", "LEFT"), ("RPUSH", "a5", "x"),
         [b"a5", [b"x"]]),
        (("BZPOPMIN", "a6", 0), ("ZADD", "a6", 1, "x"), [b"a6", b"x", b"1"]),
        (("BZPOPMAX", "a7", 0), ("ZADD", "a7", 1, "x"), [b"a7", b"x", b"1"]),
        (("BZMPOP", 0, 1, "a8", "MIN"), ("ZADD", "a8", 1, "x"),
         [b"a8", [[b"x", b"1"]]]),
        (("XREAD", "BLOCK", 0, "STREAMS", "a9", "$"),
         ("XADD", "a9", "1-1", "f", "v"),
         [[b"a9", [[b"1-1", [b"f", b"v"]]]]]),
    ]
    waiting = []
    for n, (block, _, _) in enumerate(many):
        waiting.append(Client(front).write(*block))
        blocked(server, n + 1)
        plain.prove()
    for n, (_, wake, wanted) in enumerate(many):
        plain.ask(*wake)
        eq(waiting[n].read(), wanted, repr(many[n][0]))
        waiting[n].prove().close()
    plain.close()
    w.balanced(server)
    upstreams(w, server, len(many) + 3)


@case
def a_group_that_blocks_and_one_that_does_not():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    a.ok("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    ask = ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    eq(a.ask(*ask), None, "without BLOCK")
    a.write(*ask[:4], "BLOCK", 0, *ask[4:])
    blocked(server, 1)
    eq(b.ask("XADD", "s", "1-1", "f", "v"), b"1-1", "XADD")
    eq(a.read(), [[b"s", [[b"1-1", [b"f", b"v"]]]]], "XREADGROUP")
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def its_own_limit_ends_it_with_nil():
    server, w, front = pair()
    c = Client(front)
    eq(c.pipe("BLPOP q 0.05", "BLMOVE q r LEFT LEFT 0.05", "ECHO x",
              "XREAD BLOCK 20 STREAMS s $"), [None, None, b"x", None],
       "a pipeline")
    c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def no_reply_is_late_while_it_blocks():
    """timeouts.response is for replies that should come by themselves."""
    server, w, front = pair(up='timeouts = { response = "200ms"; };')
    a, b = Client(front), Client(front)
    a.write("BLPOP", "q", 0)
    blocked(server, 1)
    begin = time.monotonic()
    until(lambda: time.monotonic() > begin + 0.6, "three times the limit")
    eq(b.ask("RPUSH", "q", "x"), 1, "RPUSH")
    eq(a.read(), [b"q", b"x"], "BLPOP")
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def in_a_transaction_nothing_blocks():
    server, w, front = pair()
    c = Client(front)
    eq(c.pipe("MULTI", "BLPOP q 0", "EXEC", "ECHO x"),
       ["OK", "QUEUED", [None], b"x"], "BLPOP in MULTI")
    c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def above_max_pinned_they_wait_their_turn_or_are_told():
    """Nobody takes an element that it does not get."""
    if DIRECT:
        return
    server, w, front = pair(pool='max = 4; max_pinned = 2; '
                            'queue_timeout = "300ms";')
    waiting = [Client(front).write("BLPOP", "jobs", 0) for _ in range(6)]
    blocked(server, 2)
    plain = Client(front)
    told = []
    for _ in range(3):
        plain.prove()
    until(lambda: sum(c.wants() for c in waiting) == 4, "four are told")
    told = [c for c in waiting if c.wants()]
    for c in told:
        got = c.read()
        check(isinstance(got, Error) and got.startswith("ERR weir: "),
              repr(got))
        c.prove()
    t, u = token(), token()
    eq(plain.ask("RPUSH", "jobs", t, u), 2, "RPUSH")
    got = sorted(c.read()[1] for c in waiting if c not in told)
    eq(got, sorted([t, u]), "elements")
    for c in (*waiting, plain):
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def a_script_that_never_ends_can_be_killed():
    """SCRIPT KILL does not wait behind it."""
    server = RedisServer("--busy-reply-threshold", "10")
    w = through(server, pool="max = 8;")
    front = w.conf.ports["front"]
    a, b, c = Client(front), Client(front), Client(front)
    for x in (a, b, c):
        x.prove()
    a.write("EVAL", "while true do end", 0)
    b.write("PING")
    # Before the script has begun there is nothing to kill.
    until(lambda: c.ask("SCRIPT", "KILL") == "OK", "SCRIPT KILL")
    check("Script killed by user" in a.read(), "EVAL")
    got = b.read()
    check(got == "PONG" or got.startswith("BUSY"), "PING: %r" % got)
    for x in (a, b, c):
        x.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


run()
