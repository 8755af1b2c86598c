"""A subscriber has a connection to itself from its first subscription to its
last: what is pushed reaches it and takes no place among anybody's replies.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import threading

from case import case, check, eq, run, until
from redis import (DIRECT, Client, Error, Push, RedisOrigin, RedisServer,
                   Simple, command, commands, through, token, upstreams)

ONLY = "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / " \
    "PING / QUIT / RESET are allowed in this context"


def pair(pool="max = 16;"):
    server = RedisServer()
    w = through(server, pool=pool)
    return server, w, w.conf.ports["front"]


@case
def messages_come_in_order_and_to_whom_they_belong():
    server, w, front = pair()
    subs = [Client(front) for _ in range(3)]
    for n, s in enumerate(subs):
        eq(s.ask("SUBSCRIBE", "c%d" % n), [b"subscribe", b"c%d" % n, 1],
           "SUBSCRIBE")
    p = Client(front)
    for _ in range(20):
        for n, s in enumerate(subs):
            t = token()
            eq(p.ask("PUBLISH", "c%d" % n, t), 1, "PUBLISH")
            eq(s.read(), [b"message", b"c%d" % n, t], "message")
            p.prove()
    for n, s in enumerate(subs):
        eq(s.ask("UNSUBSCRIBE", "c%d" % n), [b"unsubscribe", b"c%d" % n, 0],
           "UNSUBSCRIBE")
        s.prove().close()
    p.close()
    w.balanced(server)
    upstreams(w, server, 5)
    if not DIRECT:
        eq(w.upstream()["pinned_total"]["subscribe"], 3, "pins")
        eq(w.pool()["pinned"], 0, "pinned at rest")


@case
def the_mode_ends_with_the_last_of_all_kinds():
    server, w, front = pair()
    c = Client(front)
    c.ok("SET", "k", "v")
    eq(c.pipe("SUBSCRIBE a"), [[b"subscribe", b"a", 1]], "a")
    c.send(commands("SUBSCRIBE b c", "PSUBSCRIBE p*", "SSUBSCRIBE s"))
    eq(c.reads(4), [[b"subscribe", b"b", 2], [b"subscribe", b"c", 3],
                    [b"psubscribe", b"p*", 4], [b"ssubscribe", b"s", 1]],
       "subscriptions")
    eq(c.ask("GET", "k"), ONLY % "get", "GET while subscribed")
    eq(c.ask("PING"), [b"pong", b""], "PING while subscribed")
    eq(c.ask("PING", "x"), [b"pong", b"x"], "PING while subscribed")
    eq(c.ask("UNSUBSCRIBE", "a"), [b"unsubscribe", b"a", 3], "a")
    eq(c.ask("PUNSUBSCRIBE"), [b"punsubscribe", b"p*", 2], "all patterns")
    c.write("UNSUBSCRIBE")
    got = c.reads(2)
    eq(({r[1] for r in got}, [r[2] for r in got]), ({b"b", b"c"}, [1, 0]),
       "all channels")
    eq(c.ask("GET", "k"), ONLY % "get", "GET while one is left")
    eq(c.ask("SUNSUBSCRIBE"), [b"sunsubscribe", b"s", 0], "the last")
    eq(c.ask("GET", "k"), b"v", "GET after it")
    eq(c.ask("PING"), "PONG", "PING after it")
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def unsubscribe_without_subscription_is_answered():
    server, w, front = pair()
    c = Client(front)
    eq(c.pipe("UNSUBSCRIBE", "ECHO a", "PUNSUBSCRIBE x", "ECHO b",
              "UNSUBSCRIBE y", "ECHO c"),
       [[b"unsubscribe", None, 0], b"a", [b"punsubscribe", b"x", 0], b"b",
        [b"unsubscribe", b"y", 0], b"c"], "a pipeline")
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def a_pipeline_goes_in_and_out_of_it():
    server, w, front = pair()
    c, t = Client(front), token()
    for _ in range(10):
        c.send(commands(("SET", "k", t), "SUBSCRIBE a b", "PING",
                        "UNSUBSCRIBE a", "UNSUBSCRIBE b", "GET k"))
        eq(c.reads(7), ["OK", [b"subscribe", b"a", 1],
                        [b"subscribe", b"b", 2], [b"pong", b""],
                        [b"unsubscribe", b"a", 1], [b"unsubscribe", b"b", 0],
                        t], "a pipeline")
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def in_resp3_pushes_come_between_replies():
    server, w, front = pair()
    s, p = Client(front, resp=3), Client(front)
    s.write("SUBSCRIBE", "c")
    eq(s.push(), Push([b"subscribe", b"c", 1]), "SUBSCRIBE")
    s.ok("SET", "k", "v")
    sent = []
    for _ in range(50):
        t = token()
        sent.append(Push([b"message", b"c", t]))
        eq(p.ask("PUBLISH", "c", t), 1, "PUBLISH")
        eq(s.ask("ECHO", t), t, "ECHO while subscribed")
        eq(s.ask("GET", "k"), b"v", "GET while subscribed")
    eq([s.push() for _ in sent], sent, "messages")
    s.write("UNSUBSCRIBE", "c")
    eq(s.push(), Push([b"unsubscribe", b"c", 0]), "UNSUBSCRIBE")
    s.prove().close()
    p.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def who_leaves_subscribed_gets_nobody_in_trouble():
    server, w, front = pair()
    p = Client(front)
    for end in ("close", "rst", "reset", "quit") * 3:
        s = Client(front)
        eq(s.ask("SUBSCRIBE", "c"), [b"subscribe", b"c", 1], "SUBSCRIBE")
        eq(p.ask("PUBLISH", "c", "1"), 1, "PUBLISH")
        if end == "reset":
            eq(s.reads(1), [[b"message", b"c", b"1"]], "message")
            eq(s.ask("RESET"), "RESET", "RESET")
            s.prove()
        elif end == "quit":
            eq(s.reads(1), [[b"message", b"c", b"1"]], "message")
            s.ok("QUIT")
            s.closed()
        (s.rst if end == "rst" else s.close)()
        until(lambda: p.ask("PUBLISH", "c", "2") == 0, "no subscriber")
        for _ in range(3):
            Client(front).prove().close()
    p.close()
    w.balanced(server)


@case
def a_slow_subscriber_stalls_nobody():
    server, w, front = pair()
    s, p = Client(front, rcvbuf=4096), Client(front)
    eq(s.ask("SUBSCRIBE", "c"), [b"subscribe", b"c", 1], "SUBSCRIBE")
    others = [Client(front) for _ in range(5)]
    big = b"x" * 100000
    for _ in range(60):
        check(p.ask("PUBLISH", "c", big) in (0, 1), "PUBLISH")
        for o in others:
            o.prove()
    s.close()
    for o in (*others, p):
        o.prove().close()
    w.balanced(server)


@case
def a_refused_subscription_is_answered_once():
    """One NOPERM stands for all the channels of the command."""
    server, w, front = pair()
    server.ask("SET", "k", "v")
    server.ask("ACL", "SETUSER", "default", "resetchannels", "&ok*")
    for resp in (2, 3):
        c = Client(front, resp=resp)
        for _ in range(3):
            got = c.ask("SUBSCRIBE", "a", "b", "c")
            check(isinstance(got, Error) and got.startswith("NOPERM"),
                  repr(got))
            eq(c.ask("GET", "k"), b"v", "GET after it")
            got = c.pipe("SUBSCRIBE a b", "GET k", "PSUBSCRIBE x y", "GET k")
            check(got[0].startswith("NOPERM") and got[2].startswith("NOPERM"),
                  repr(got))
            eq(got[1::2], [b"v", b"v"], "GETs between them")
            c.prove()
        c.close()
    w.balanced(server)
    if not DIRECT:
        eq(w.failures(), {}, "failures_total")
        eq(w.pool()["pinned"], 0, "pinned at rest")


@case
def who_leaves_among_messages_is_not_the_servers_fault():
    if DIRECT:
        return
    server = RedisServer()
    w = through(server, pool="max = 16;", up='outlier = { failures = 1; };')
    front = w.conf.ports["front"]
    stop, sent = threading.Event(), [0]

    def pour():
        p = server.client()
        while not stop.is_set():
            p.pipe(*[("PUBLISH", "c", "x" * 50)] * 50)
            sent[0] += 50
        p.close()
    t = threading.Thread(target=pour, daemon=True)
    t.start()
    for n in range(30):
        s = Client(front, resp=2 + n % 2)
        s.write("SUBSCRIBE", "c")
        if n % 2:
            eq(s.push(), Push([b"subscribe", b"c", 1]), "SUBSCRIBE")
            s.push()
        else:
            eq(s.read(), [b"subscribe", b"c", 1], "SUBSCRIBE")
            s.read()
        at = sent[0]
        until(lambda: sent[0] > at, "messages")
        (s.rst if n % 3 else s.close)()
        at = sent[0]
        until(lambda: sent[0] > at, "messages")
    stop.set()
    t.join()
    until(lambda: w.pool()["leased"] == 0, "nothing leased")
    e = w.upstream()["endpoints"][0]
    eq({k: v for k, v in e["failures_total"].items() if v}, {},
       "failures_total of the endpoint")
    eq((e["ejections_total"], e["state"]), (0, "up"), "the endpoint")
    Client(front).prove().close()
    w.balanced(server)


@case
def pins_are_dealt_fairly():
    """Who comes again at once does not get it before who waits."""
    if DIRECT:
        return
    server, w, front = pair('max = 4; max_pinned = 1;')
    rounds, stop, errors = [0, 0], threading.Event(), []

    def client(n):
        c = Client(front)
        try:
            while not stop.is_set():
                c.send(commands("SUBSCRIBE a", "UNSUBSCRIBE a"))
                eq(c.reads(2), [[b"subscribe", b"a", 1],
                                [b"unsubscribe", b"a", 0]], "a round")
                rounds[n] += 1
        except Exception as e:
            errors.append(e)
        c.close()
    threads = [threading.Thread(target=client, args=(n,), daemon=True)
               for n in range(2)]
    for t in threads:
        t.start()
    for _ in range(10):
        was = list(rounds)
        until(lambda: errors or all(a > b for a, b in zip(rounds, was)),
              "both make progress: %r" % rounds)
    stop.set()
    for t in threads:
        t.join()
    eq(errors, [], "what clients found")
    w.balanced(server)


@case
def what_is_sent_behind_the_last_unsubscribe_is_ones_own():
    """It is sent while a subscriber may do little; it comes when he may."""
    server, w, front = pair('max = 2;')
    c, other = Client(front), Client(front)
    for n in range(20):
        t = token()
        eq(c.ask("SUBSCRIBE", "a"), [b"subscribe", b"a", 1], "SUBSCRIBE")
        c.send(commands("UNSUBSCRIBE a", "SELECT 3", "CLIENT SETNAME me",
                        "CLIENT GETNAME") + command("SET", "k", t))
        eq(c.reads(5), [[b"unsubscribe", b"a", 0], Simple("OK"),
                        Simple("OK"), b"me", Simple("OK")], "behind it")
        eq(other.ask("CLIENT", "GETNAME"), None, "another's name")
        eq(other.ask("GET", "k"), None, "another's database")
        eq(c.ask("GET", "k"), t, "its own")
    for n in range(20):
        c.send(commands("SUBSCRIBE a", "UNSUBSCRIBE a", "SUBSCRIBE b"))
        eq(c.reads(3), [[b"subscribe", b"a", 1], [b"unsubscribe", b"a", 0],
                        [b"subscribe", b"b", 1]], "subscribed again")
        other.prove()
        eq(other.ask("PUBLISH", "b", "m"), 1, "PUBLISH")
        eq(c.read(), [b"message", b"b", b"m"], "message")
        eq(c.ask("UNSUBSCRIBE"), [b"unsubscribe", b"b", 0], "UNSUBSCRIBE")
    c.close()
    other.close()
    w.balanced(server)


@case
def nobody_else_sees_a_push_of_the_servers():
    """A push on a shared connection, which nobody asked for."""
    def answer(args, play):
        play.reply(Push([b"message", b"c", b"not yours"]))
        return args[1]
    o = RedisOrigin(answer)
    w = through(o, pool="max = 4;")
    if DIRECT:
        return
    c = Client(w.conf.ports["front"])
    t = token()
    got = c.ask("X", t)
    check(got == t or got.startswith("ERR weir: "), repr(got))
    eq(c.pushes, [], "pushes")
    c.close()
    w.balanced(o)


run()
