"""Whatever way the bytes of commands are cut, they mean the same; what is none
is told so in the words of Redis and closed, alone, and nothing of it goes on.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from redis import (DIRECT, Client, Error, Raw, RedisOrigin, RedisServer, Push,
                   Set, Simple, command, commands, encode, through, token,
                   upstreams)


def pair(pool="max = 8;", front=""):
    server = RedisServer()
    w = through(server, pool=pool, front=front)
    return server, w, w.conf.ports["front"]


# Of a scripted server, whose commands are none of Redis.
SHARE = 'redis = { unknown = "share"; };'


@case
def every_split_of_a_pipeline_is_answered_alike():
    server, w, front = pair()
    data = commands(("SET", "k", "a\r\nb$3\r\n"), "GET k", "MULTI", "GET k",
                    "EXEC", "SELECT 1", "GET k", "SELECT 0", "NOSUCH x",
                    "MGET k none") + b"PING\r\n" + b"ECHO \"a b\"\n"
    wanted = ["OK", b"a\r\nb$3\r\n", "OK", "QUEUED", [b"a\r\nb$3\r\n"], "OK",
              None, "OK", "ERR unknown command 'NOSUCH', with args beginning "
              "with: 'x' ", [b"a\r\nb$3\r\n", None], "PONG", b"a b"]
    c, other = Client(front), Client(front)
    for at in range(1, len(data)):
        c.send(data[:at])
        # The other part goes when the first has been looked at.
        other.prove()
        c.send(data[at:])
        eq(c.reads(len(wanted)), wanted, "split at %d" % at)
    c.send_pieces(data, 1)
    eq(c.reads(len(wanted)), wanted, "byte by byte")
    c.prove().close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 6)


@case
def every_split_of_replies_arrives_whole():
    replies = [Simple("OK"), Error("ERR no"), 12, -5, b"", b"bulk\r\n", None,
               [], [1, [b"a", [None, Simple("x")]], b"\r\n"],
               {b"k": [1, {b"n": 2.5}]}, Set([b"a", 1]), True, 1.5,
               Raw(b"_\r\n"), Raw(b"*-1\r\n"), Raw(b"(12345678901234567890\r\n"),
               Raw(b"=7\r\ntxt:abc\r\n"), Raw(b"!7\r\nERR bad\r\n"),
               Raw(b"|1\r\n+a\r\n:1\r\n+OK\r\n")]
    wire = [r.bytes if isinstance(r, Raw) else encode(r) for r in replies]
    all_of = b"".join(wire)

    def answer(args, play):
        if args[0] == b"N":
            piece = int(args[1])
            if args[2] == b"0":
                play.waiting = []
            play.waiting.append(args[2])
            if len(play.waiting) < len(wire):
                return Raw(b"")
            play.send_pieces(all_of, piece, 0.0)
            return Raw(b"")
        return args[1]
    o = RedisOrigin(answer)
    w = through(o, front=SHARE, pool="max = 2;")
    c = Client(w.conf.ports["front"], resp=3)
    for piece in (1, 2, 3, 5, 7, 11, 64, 1000):
        c.send(commands(*(("N", piece, n) for n in range(len(wire)))))
        eq(c.read_exact(len(all_of)), all_of, "in pieces of %d" % piece)
        t = token()
        eq(c.ask("X", t), t, "after it")
    c.close()
    w.balanced(o)
    # HELLO went by one of RESP2, which may have had to make room.
    upstreams(w, o, 3)


@case
def nothing_goes_on_before_a_command_is_whole():
    o = RedisOrigin(lambda args, play: args[-1])
    w = through(o, front=SHARE, pool="max = 4;")
    if DIRECT:
        return
    front = w.conf.ports["front"]
    other = Client(front)
    other.prove()
    quiet = o.received
    c = Client(front)
    data = command("SET", "key", "value" * 20)
    for at in range(len(data) - 1):
        c.send(data[at:at + 1])
        if at % 25 == 0:
            w.stats()
            # Health checks are not configured; nothing else may have come.
            eq(o.received, quiet, "bytes upstream at byte %d" % at)
    c.send(data[-1:])
    eq(c.read(), b"value" * 20, "reply")
    other.prove()
    c.close()
    other.close()
    w.balanced(o)
    upstreams(w, o, 2)


BAD = [
    (b"*x\r\n", "invalid multibulk length"),
    (b"*2147483648\r\n", "invalid multibulk length"),
    (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
    (b"*1\r\n$x\r\n", "invalid bulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$99999999999999999999\r\n",
     "invalid bulk length"),
    (b"*2\r\n$4\r\nECHO\r\n:1\r\n", "expected '$', got ':'"),
    (b"ECHO \"unbalanced\r\n", "unbalanced quotes in request"),
    (b"x" * 70000, "too big inline request"),
    (b"*" + b"1" * 70000, "too big mbulk count string"),
    (b"*1\r\n$" + b"1" * 70000, "too big bulk count string"),
]


@case
def what_is_no_command_is_told_in_redis_words_and_closed():
    server, w, front = pair()
    other = Client(front)
    for n, (data, text) in enumerate(BAD):
        plain = server.client()
        plain.send(data)
        wanted = plain.read()
        eq(wanted, "ERR Protocol error: " + text, "Redis itself")
        plain.close()
        c = Client(front)
        t = token()
        c.send(command("ECHO", t) + data)
        eq(c.read(), t, "the command before")
        eq(c.read(), wanted, "error of %r" % data[:40])
        c.closed()
        c.close()
        other.prove()
    other.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def of_a_bad_command_nothing_goes_upstream():
    o = RedisOrigin(lambda args, play: args[-1])
    w = through(o, front=SHARE, pool="max = 4;")
    if DIRECT:
        return
    other = Client(w.conf.ports["front"])
    other.prove()
    before = o.received
    for data, text in BAD:
        c = Client(w.conf.ports["front"])
        c.send(data)
        eq(c.read(), "ERR Protocol error: " + text, "error")
        c.closed()
        c.close()
    eq(o.received, before, "bytes upstream")
    other.prove().close()
    w.balanced(o)
    upstreams(w, o, 2)


@case
def empty_commands_are_no_commands():
    server, w, front = pair()
    c = Client(front)
    for data in (b"\r\n", b"\n", b"*0\r\n", b"*-1\r\n", b"   \r\n",
                 b"\r\n\r\n*0\r\n"):
        t = token()
        c.send(data + command("ECHO", t) + data)
        eq(c.read(), t, "after %r" % data)
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def inline_commands_do_what_they_do_in_redis():
    server, w, front = pair()
    c, plain = Client(front), server.client()
    lines = ["PING", "SET k 'a b'", "GET k", "ECHO \"x\\x41\\n\\t\\\"y\"",
             "ECHO 'it\\'s'", "  GET   k  ", "SET k \"\"", "GET k",
             "MULTI", "GET k", "EXEC", "get none", "NOSUCH a b",
             "ECHO", "SELECT 2", "GET k", "SELECT 0", "CLIENT GETNAME",
             "DEL none", "ECHO \"\\xff\\x00\""]
    for line in lines:
        for end in ("\r\n", "\n"):
            c.send(line + end)
            plain.send(line + end)
            eq(c.read(), plain.read(), "%r" % line)
    plain.close()
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def http_on_this_port_is_closed():
    server, w, front = pair()
    other = Client(front)
    server.ask("SET", "k", "v")
    for data in ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
                 "SET k attacked\r\n\r\n\r\n",
                 "GET / HTTP/1.1\r\nHost: x\r\n\r\nSET k attacked\r\n",
                 "host: x\r\nSET k attacked\r\n"):
        c = Client(front)
        c.send(data)
        left = c.read_to_end()
        check(b"attacked" not in left and b"+OK" not in left, repr(left))
        c.close()
        other.prove()
    eq(server.ask("GET", "k"), b"v", "k")
    other.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def depth_costs_nothing():
    depth = 100000
    wire = b"*1\r\n" * depth + b":1\r\n"

    def answer(args, play):
        return Raw(wire) if args[0] == b"DEEP" else args[1]
    o = RedisOrigin(answer)
    w = through(o, front=SHARE, pool="max = 2;")
    front = w.conf.ports["front"]
    c, other = Client(front), Client(front)
    before = w.rss()
    for _ in range(3):
        c.write("DEEP", "x")
        eq(c.read_exact(len(wire)), wire, "a deep reply")
        other.prove()
    check(w.rss() < before + (16 << 20), "memory: %d, then %d" % (
        before, w.rss()))
    # A command may not nest at all.
    c.send(b"*1\r\n*1\r\n")
    if not DIRECT:
        eq(c.read(), "ERR Protocol error: expected '$', got '*'", "nested")
        c.closed()
    c.close()
    other.close()
    w.balanced(o)
    upstreams(w, o, 3)


@case
def a_server_that_talks_nonsense_loses_only_its_connection():
    bad = [b"hello\r\n", b"$5\r\nabc\r\n\r\n\r\n", b"$99999999999\r\n",
           b"*-2\r\n", b":12x\r\n", b"\r\n", b"$?\r\n", b"+a\n",
           b"*1000000000000\r\n"]

    def answer(args, play):
        return Raw(bad[int(args[1])]) if args[0] == b"BAD" else args[1]
    o = RedisOrigin(answer)
    w = through(o, front=SHARE, pool="max = 4;")
    if DIRECT:
        return
    front = w.conf.ports["front"]
    for n in range(len(bad)):
        c = Client(front)
        c.write("BAD", n)
        if n in (2, 8, 1):
            c.close()           # may only be short of what it announces
            continue
        rest = c.read_to_end() if not c.more() else bytes(c.buf)
        check(rest == b"" or rest.startswith(b"-ERR weir: "),
              "%r became %r" % (bad[n], rest))
        c.close()
        Client(front).prove().close()
    o.drop_all()
    w.balanced(o)


@case
def bytes_that_nobody_asked_for_end_the_connection():
    def answer(args, play):
        if args[0] == b"TWICE":
            return Raw(encode(args[1]) + encode(b"one too many"))
        return args[1]
    o = RedisOrigin(answer)
    w = through(o, front=SHARE, pool="max = 4;")
    if DIRECT:
        return
    front = w.conf.ports["front"]
    for n in range(10):
        c, t = Client(front), token()
        got = c.ask("TWICE", t)
        check(got == t, repr(got))
        d = Client(front)
        u = token()
        got = d.ask("X", u)
        check(got == u or isinstance(got, Error), "another got %r" % got)
        d.close()
        c.close()
    w.balanced(o)
    check(sum(w.upstream()["discarded_total"].values()) >= 1, "discarded")


run()
