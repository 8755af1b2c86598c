"""Meta commands through weir: quiet ones with a no-op behind them, opaque and
key flags, base64 keys, and the rules by which a reply does not come.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from memcached import (DIRECT, Client, Memcached, through, token, upstreams)


def pair(pool="max = 8;"):
    server = Memcached()
    w = through(server, pool=pool)
    return server, w, w.conf.ports["front"]


@case
def quiet_misses_and_a_no_op():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for n in range(20):
        t = token()
        a.stored("hit", t)
        a.send(b"mg miss1 v k q\r\nmg hit v k q\r\nmg miss2 v k q\r\n"
               b"mg hit v k q\r\nmn\r\n")
        b.send(b"mg other%d v q\r\nmn\r\n" % n)
        for _ in range(2):
            eq(a.meta(), ([b"VA", b"32", b"khit"], t), "a hit")
        eq(a.meta(), ([b"MN"], None), "no-op")
        eq(b.meta(), ([b"MN"], None), "another's no-op")
        b.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def quiet_alone_is_awaited_by_nobody():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for n in range(20):
        t = token()
        a.send(b"mg none v q\r\n")
        b.prove()
        a.send(b"ms k 32 q\r\n" + t + b"\r\n")
        b.prove()
        a.send(b"mg none k v q\r\n")
        b.prove()
        a.send(b"mg k v q\r\n")
        eq(a.meta(), ([b"VA", b"32"], t), "a hit after silence")
        a.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def failures_of_quiet_ones_are_heard():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    a.stored("k", "v")
    for n in range(10):
        # Add of what is there, and a compare-and-swap that fails.
        a.send(b"ms k 1 ME q O1\r\nx\r\nms k 1 C999999 q O2\r\ny\r\n"
               b"ms none 1 MR q O3\r\nz\r\nmn\r\n")
        b.prove()
        eq([a.meta()[0] for _ in range(4)],
           [[b"NS", b"O1"], [b"EX", b"O2"], [b"NS", b"O3"], [b"MN"]],
           "replies")
        b.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def what_quiet_hides_is_memcacheds_to_say():
    """A quiet md or ma of nothing is heard in some versions."""
    server, w, front = pair()
    a, b, plain = Client(front), Client(front), server.client()
    asked = b"md none q\r\nma none q\r\nms k 1 q\r\n1\r\nmd k q\r\n" \
        b"ms none 1 C5 q O3\r\nx\r\nmn\r\n"
    plain.send(asked)
    wanted = plain.read_until(b"MN\r\n")
    plain.close()
    server.mine -= 1
    for _ in range(20):
        a.send(asked)
        b.prove()
        eq(a.read_exact(len(wanted)), wanted, "replies")
        a.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def the_flags_come_back():
    server, w, front = pair()
    c, plain = Client(front), server.client()
    lines = [b"ms k 3 T0 F5 O9 c k\r\nabc\r\n", b"mg k s v f k O7 q\r\n",
             b"mg k t h l s f\r\n", b"mg k\r\n", b"mg none\r\n",
             b"mg none k O5\r\n", b"ma n N0 J13 v\r\n", b"ma n v\r\n",
             b"ma n MD D3 v O2\r\n", b"md n k q\r\n", b"md n k\r\n",
             b"ms Zm9v 2 b k\r\nab\r\n", b"mg Zm9v b k v\r\n",
             b"mg foo k v\r\n", b"md k I T30 O1\r\n", b"mg k v c O1\r\n",
             b"mg k v N30 O2\r\n", b"me none\r\n", b"mg\r\n",
             b"mg " + b"x" * 300 + b" v\r\n", b"mg k z\r\n"]
    for line in lines:
        # On one server, so what changes from one to the other is left out.
        plain.send(b"flush_all\r\nmd k\r\nmd n\r\n")
        for _ in range(3):
            plain.line()
        got = []
        for who in (plain, c):
            who.send(line + b"mn\r\n")
            seen = who.read_until(b"MN\r\n")
            got.append(seen)
            if line.startswith(b"ma") or b" N" in line:
                who.send(b"md n\r\n")
                who.line()
            if line.startswith(b"ms") or b" N" in line:
                who.send(b"md k\r\n")
                who.line()
        if b" c" in line:
            got = [g.split(b" ")[0] for g in got]
        eq(got[1], got[0], "%r" % line[:40])
        c.prove()
    plain.close()
    server.mine -= 1
    c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def quiet_everything_in_many_hands():
    server, w, front = pair("max = 1;")
    clients = [Client(front) for _ in range(20)]
    tokens = {}
    for round in range(10):
        for n, c in enumerate(clients):
            t = tokens[n] = token()
            c.send(b"ms k%d 32 q\r\n%s\r\nmg none%d v q k\r\n"
                   b"mg k%d v k O%d q\r\nmg none v q\r\nmn\r\n" % (
                       n, t, n, n, n))
        for n, c in enumerate(clients):
            eq(c.meta(), ([b"VA", b"32", b"kk%d" % n, b"O%d" % n], tokens[n]),
               "the hit of %d" % n)
            eq(c.meta(), ([b"MN"], None), "its no-op")
    for c in clients:
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 1)


run()
