"""The binary protocol through weir: opaque numbers come back as they were sent,
whatever others use; quiet commands shift nothing.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import struct

from case import case, check, eq, run
from memcached import (DIRECT, OPS, Binary, Client, Memcached, packet, setting,
                       through, token, upstreams)


def pair(pool="max = 8;"):
    server = Memcached()
    w = through(server, pool=pool)
    return server, w, w.conf.ports["front"]


@case
def binary_and_text_clients_side_by_side():
    server, w, front = pair()
    b, t = Binary(front), Client(front)
    for _ in range(10):
        x = token()
        eq(b.ask("set", "k", x, setting(7))[0], 0, "set")
        eq(t.gets("k"), {b"k": x}, "get by text")
        y = token()
        t.stored("k", y)
        eq(b.ask("get", "k"), (0, y), "get by binary")
        b.prove()
        t.prove()
    b.close()
    t.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def equal_opaques_of_many_clients_never_cross():
    server, w, front = pair("max = 2;")
    clients = [Binary(front) for _ in range(20)]
    for _ in range(10):
        tokens = [token() for _ in clients]
        for n, c in enumerate(clients):
            c.send(packet("set", "k%d" % n, tokens[n], setting(), 1) +
                   packet("get", "k%d" % n, opaque=1) +
                   packet("get", "none", opaque=0xffffffff))
        for n, c in enumerate(clients):
            eq(c.reply()[:3], (OPS["set"], 0, 1), "set")
            got = c.reply()
            eq((got[1], got[2], got[4]), (0, 1, tokens[n]), "get")
            eq(c.reply()[1:3], (1, 0xffffffff), "a miss")
    for c in clients:
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def getkq_and_noop():
    server, w, front = pair("max = 1;")
    a, b = Binary(front), Binary(front)
    for _ in range(20):
        x = token()
        eq(a.ask("set", "hit", x, setting())[0], 0, "set")
        a.send(packet("getkq", "miss1", opaque=11) +
               packet("getkq", "hit", opaque=12) +
               packet("getq", "miss2", opaque=13) +
               packet("getq", "hit", opaque=14) + packet("noop", opaque=15))
        b.send(packet("getkq", "miss", opaque=12) + packet("noop", opaque=12))
        got = [a.reply() for _ in range(3)]
        eq([(g[0], g[2]) for g in got],
           [(OPS["getkq"], 12), (OPS["getq"], 14), (OPS["noop"], 15)],
           "replies")
        eq((got[0][3], got[0][4], got[1][4]), (b"hit", x, x), "hits")
        eq(b.reply()[:3], (OPS["noop"], 0, 12), "the other's")
        b.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def quiet_without_noop_is_awaited_by_nobody():
    server, w, front = pair("max = 1;")
    a, b = Binary(front), Binary(front)
    for _ in range(20):
        x = token()
        a.send(packet("setq", "k", x, setting(), 1))
        b.prove()
        a.send(packet("getq", "none", opaque=2))
        b.prove()
        a.send(packet("deleteq", "none", opaque=3))
        eq(a.reply()[:3], (OPS["deleteq"], 1, 3), "what failed is heard")
        a.send(packet("addq", "k", "y", setting(), 4))
        eq(a.reply()[:3], (OPS["addq"], 2, 4), "what failed is heard")
        a.send(packet("getq", "k", opaque=5))
        eq(a.reply()[4], x, "a hit")
        a.prove()
        b.prove()
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def numbers_and_cas():
    server, w, front = pair()
    c = Binary(front)
    extras = struct.pack("!QQI", 5, 100, 0)
    eq(c.ask("increment", "n", extras=extras), (0, struct.pack("!Q", 100)),
       "created")
    eq(c.ask("increment", "n", extras=extras), (0, struct.pack("!Q", 105)),
       "incremented")
    eq(c.ask("decrement", "n", extras=extras), (0, struct.pack("!Q", 100)),
       "decremented")
    c.send(packet("set", "k", "1", setting(), 9))
    cas = c.reply()[6]
    eq(c.ask("set", "k", "2", setting(), cas=cas + 1)[0], 2, "another cas")
    eq(c.ask("set", "k", "2", setting(), cas=cas)[0], 0, "the cas")
    eq(c.ask("append", "k", "3")[0], 0, "append")
    eq(c.ask("get", "k"), (0, b"23"), "get")
    eq(c.ask("touch", "k", extras=struct.pack("!I", 0))[0], 0, "touch")
    eq(c.ask("gat", "k", extras=struct.pack("!I", 0)), (0, b"23"), "gat")
    eq(c.ask("flush")[0], 0, "flush")
    eq(c.ask("get", "k")[0], 1, "after flush")
    check(c.ask("version")[1], "version")
    c.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def stats_come_in_many_packets():
    server, w, front = pair()
    c, other = Binary(front), Binary(front)
    for _ in range(3):
        c.send(packet("stat", opaque=77) + packet("noop", opaque=78))
        other.prove()
        names = []
        while True:
            got = c.reply()
            eq((got[0], got[2]), (OPS["stat"], 77), "a packet of stats")
            if not got[3]:
                break
            names.append(got[3])
        check(b"pid" in names and len(names) > 20, repr(names[:5]))
        eq(c.reply()[:3], (OPS["noop"], 0, 78), "noop")
    c.close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def every_split_means_the_same():
    server, w, front = pair()
    c, other = Binary(front), Binary(front)
    data = packet("set", "k", "v" * 20, setting(3), 1) + \
        packet("getkq", "k", opaque=2) + packet("getq", "none", opaque=3) + \
        packet("noop", opaque=4)
    for at in range(1, len(data)):
        c.send(data[:at])
        other.prove()
        c.send(data[at:])
        got = [c.reply() for _ in range(3)]
        eq([g[2] for g in got], [1, 2, 4], "opaques, split at %d" % at)
        eq((got[1][3], got[1][4]), (b"k", b"v" * 20), "the hit")
    c.prove().close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def quit_ends_it():
    server, w, front = pair()
    c = Binary(front)
    c.prove()
    eq(c.ask("quit"), (0, b""), "quit")
    eq(c.read_to_end(), b"", "after it")
    c.close()
    c = Binary(front)
    c.send(packet("quitq"))
    eq(c.read_to_end(), b"", "after quitq")
    c.close()
    Binary(front).prove().close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def nonsense_closes_its_sender_only():
    server, w, front = pair()
    other = Binary(front)
    for data in (b"\x80" + b"\xff" * 23, b"\x80\x01" + b"\x00" * 6 +
                 b"\xff\xff\xff\xff" + b"\x00" * 12,
                 packet("get", "k")[:4] + b"\x09" + packet("get", "k")[5:],
                 b"\x81" + packet("get", "k")[1:]):
        c = Binary(front)
        c.send(data)
        for _ in range(3):
            other.prove()
        c.close()
    other.close()
    w.balanced(server)


run()
