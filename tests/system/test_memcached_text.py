"""memcached's text commands through weir, mixed with those of others: each gets
what it would get from memcached, noreply and cas and split lines included.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from memcached import (DIRECT, Client, Memcached, MemcachedOrigin, through,
                       token, upstreams)


def pair(pool="max = 8;"):
    server = Memcached()
    w = through(server, pool=pool)
    return server, w, w.conf.ports["front"]


@case
def each_gets_its_own():
    server, w, front = pair()
    clients = [Client(front) for _ in range(50)]
    tokens = [token() for _ in clients]
    for n, c in enumerate(clients):
        c.send(c.put("k%d" % n, tokens[n]) + b"get k%d none\r\n" % n)
    for n, c in enumerate(clients):
        eq(c.line(), b"STORED", "set")
        eq(c.values(), [(b"k%d" % n, 0, tokens[n], None)], "get")
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def values_that_look_like_replies_are_values():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for value in (b"END\r\n", b"x\r\nEND\r\n", b"VALUE a 0 1\r\n1\r\nEND\r\n",
                  b"", b"\r\n", b"STORED\r\nERROR\r\n", bytes(range(256)),
                  b"SERVER_ERROR x\r\n"):
        a.stored("k", value, flags=4294967295)
        b.prove()
        a.send(b"get k\r\ngets k\r\nget k none k\r\n")
        eq(a.values(), [(b"k", 4294967295, value, None)], "get")
        eq(a.values()[0][:3], (b"k", 4294967295, value), "gets")
        eq(len(a.values()), 2, "the same key twice")
        b.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def every_split_means_the_same():
    server, w, front = pair()
    c, other = Client(front), Client(front)
    data = c.put("k", "END\r\nab") + b"get k\r\nincr n 1\r\n" + \
        c.put("k", "x", more="noreply") + b"gets none k2\r\ndelete k\r\n" + \
        b"mg k v\r\nms m 2\r\nab\r\nmg m v\r\nmn\r\n"
    plain = server.client()
    plain.send(data)
    wanted = plain.read_until(b"MN\r\n")
    server.mine -= 1
    plain.close()
    for at in range(1, len(data)):
        c.send(data[:at])
        other.prove()
        c.send(data[at:])
        eq(c.read_exact(len(wanted)), wanted, "split at %d" % at)
    c.send_pieces(data)
    eq(c.read_exact(len(wanted)), wanted, "byte by byte")
    c.prove().close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def noreply_shifts_nothing():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for n in range(10):
        t, u = token(), token()
        a.send(a.put("k", t, more="noreply") + b"get k\r\n" +
               a.put("k", u, "add", more="noreply") +
               b"incr k 1 noreply\r\ntouch k 0 noreply\r\n"
               b"delete none noreply\r\nflush_all 1000 noreply\r\n" +
               b"verbosity 0 noreply\r\nget k\r\n")
        b.prove()
        eq(a.values(), [(b"k", 0, t, None)], "get")
        # An error line may come even so: from incr of what is no number.
        line = a.line()
        if line == b"CLIENT_ERROR cannot increment or decrement non-numeric" \
                b" value":
            line = a.line()
        eq(line, b"VALUE k 0 32", "the second get")
        eq(a.read_exact(32 + 2 + 5), t + b"\r\nEND\r\n", "its value")
        b.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def malformed_noreply_reaches_its_sender_or_nobody():
    server, w, front = pair()
    b = Client(front)
    for bad in (b"set k 0 0 x noreply\r\n", b"set k 0 0 -1 noreply\r\n",
                b"set k 0 0 noreply\r\n", b"set " + b"k" * 300 +
                b" 0 0 1 noreply\r\n1\r\n", b"incr k noreply\r\n",
                b"delete k 5 noreply\r\n", b"delete noreply\r\n",
                b"set k 0 0 2 noreply\r\nabcd\r\n", b"touch k x noreply\r\n",
                b"set k x 0 1 noreply\r\n1\r\n", b"noreply\r\n",
                b"cas k 0 0 1 x noreply\r\n1\r\n", b"set k 0 0 1 no\r\n1\r\n",
                b"get k noreply\r\n", b"append k 0 0 1 noreply\r\n1\r\n"):
        a = Client(front)
        t = token()
        a.send(bad + b"mn\r\n" + a.put("probe", t) + b"get probe\r\n")
        for _ in range(3):
            b.prove()
        # Whatever errors come, its own value comes and nothing after it; or
        # it was closed.
        got = b""
        while not got.endswith(t + b"\r\nEND\r\n") and a.more():
            got += a.take(len(a.buf))
        check(a.ended or got.count(b"VALUE probe 0 32\r\n" + t) == 1,
              "%r: %r" % (bad[:40], got))
        if not a.ended:
            a.prove()
        a.close()
        Client(front).prove().close()
    b.prove().close()
    w.balanced(server)


@case
def cas_is_as_on_one_connection():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    a.stored("k", "1")
    for _ in range(10):
        a.send(b"gets k\r\n")
        b.send(b"gets k\r\n")
        mine, theirs = a.values()[0][3], b.values()[0][3]
        eq(mine, theirs, "the same number")
        eq(a.set("k", token(), verb="cas", more=mine), b"STORED", "first")
        eq(b.set("k", token(), verb="cas", more=theirs), b"EXISTS", "second")
    eq(a.set("none", "x", verb="cas", more=1), b"NOT_FOUND", "nothing there")
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def get_of_a_hundred_keys_in_their_order():
    server, w, front = pair()
    c, other = Client(front), Client(front)
    keys = [b"key-%03d" % n for n in range(100)]
    for k in keys[::2]:
        c.stored(k.decode(), k)
    for _ in range(5):
        c.send(b"get " + b" ".join(keys) + b"\r\nget " + b" ".join(
            reversed(keys)) + b"\r\n")
        other.prove()
        eq([k for k, *_ in c.values()], keys[::2], "keys in order")
        eq([k for k, *_ in c.values()], keys[::2][::-1], "and back")
    c.close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def commands_about_the_server():
    server, w, front = pair()
    c, other = Client(front), Client(front)
    check(c.ask("version").startswith(b"VERSION "), "version")
    c.send(b"stats\r\n")
    lines = []
    while not lines or lines[-1] != b"END":
        lines.append(c.line())
    check(any(line.startswith(b"STAT pid ") for line in lines), "stats")
    for what in (b"stats settings\r\n", b"stats items\r\n",
                 b"stats slabs\r\n"):
        c.send(what)
        other.prove()
        while c.line() != b"END":
            pass
    eq(c.ask("stats reset"), b"RESET", "stats reset")
    eq(c.ask("verbosity 0"), b"OK", "verbosity")
    c.stored("k", "v")
    eq(c.ask("flush_all"), b"OK", "flush_all")
    eq(c.get("k"), None, "after flush_all")
    other.close()
    c.send(b"quit\r\n")
    c.closed("fin")
    c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def errors_go_to_who_made_them():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for bad, wanted in (
            (b"nosuch x\r\n", b"ERROR"), (b"get\r\n", b"ERROR"),
            (b"incr k x\r\n", b"CLIENT_ERROR invalid numeric delta argument"),
            (b"delete " + b"k" * 300 + b"\r\n",
             b"CLIENT_ERROR bad command line format"),
            (b"\r\n", b"ERROR"), (b"set\r\n", b"ERROR"),
            (b"touch k\r\n", b"ERROR"), (b"gat\r\n", b"ERROR")):
        for _ in range(3):
            a.send(bad)
            b.prove()
            eq(a.line(), wanted, "%r" % bad[:30])
            a.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def a_key_too_long_for_get_costs_nobody_a_reply():
    """memcached 1.6 forgets what it has not sent yet when it refuses it."""
    server, w, front = pair()
    if DIRECT:
        return
    bad = Client(front)
    others = [Client(front) for _ in range(10)]
    for verb in ("get", "gets", "gat 0", "mg"):
        for _ in range(20):
            t = token()
            for o in others[:5]:
                o.send(o.put("k", t))
            bad.send(b"get a\r\n%s %s\r\nget b\r\n" % (
                verb.encode(), b"k" * 300))
            for o in others[5:]:
                o.send(b"get none\r\n")
            for o in others[:5]:
                eq(o.line(), b"STORED", "another's set")
            for o in others[5:]:
                eq(o.values(), [], "another's get")
            eq(bad.values(), [], "get before")
            eq(bad.line()[:12], b"CLIENT_ERROR", "its error")
            eq(bad.values(), [], "get after")
    for c in (bad, *others):
        c.prove().close()
    w.balanced(server)


run()
