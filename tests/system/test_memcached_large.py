"""What memcached's clients do not share: values above share_max, which go as they
come on a connection of their own, and requests whose replies may lie.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Aside, case, check, eq, run, until
from memcached import (DIRECT, Binary, Client, Memcached, MemcachedOrigin,
                       packet, setting, through, token)
from origin import Origin
from wire import Ended

SHARE = 4096


def pair(pool="max = 4;", origin=None):
    if DIRECT:
        raise Aside("about weir's connections")
    server = origin or Memcached("-I", "8m")
    w = through(server, pool=pool, front='memcached = { share_max = "4KiB"; };')
    return server, w, w.conf.ports["front"]


def pinned(w):
    return w.upstream()["pinned_total"]


@case
def what_is_above_share_max_is_counted_as_large():
    server, w, front = pair()
    c, b, other = Client(front), Binary(front), Client(front)
    c.stored("small", "x" * (SHARE - 100))
    eq(pinned(w)["large"], 0, "small ones")
    n = 0
    for size in (SHARE - 10, SHARE, SHARE + 1, 100000, 2000000):
        value = (token() * (size // 32 + 1))[:size]
        whole = c.put("k", value)
        for at in (1, len(whole) // 2, len(whole) - 1):
            c.send(whole[:at])
            other.prove()
            c.send(whole[at:])
            eq(c.line(), b"STORED", "set")
        eq(c.get("k"), value, "get of %d" % size)
        eq(b.ask("set", "kb", value, setting())[0], 0, "binary")
        eq(c.get("kb"), value, "binary of %d" % size)
        c.send(c.put("kn", value, more="noreply") + b"get kn\r\nms km %d q\r\n"
               % size + value + b"\r\nmg km v q\r\nmn\r\n")
        eq(c.values()[0][2], value, "noreply")
        eq(c.meta(), ([b"VA", b"%d" % size], value), "quiet")
        eq(c.meta()[0], [b"MN"], "the no-op behind it")
        b.send(packet("setq", "kb", value + b"!", setting(), 5) +
               packet("getkq", "kb", opaque=6) + packet("noop", opaque=7))
        got = b.reply()
        eq((got[2], got[4]), (6, value + b"!"), "binary quiet")
        eq(b.reply()[2], 7, "the no-op behind it")
        n += 1
    check(pinned(w)["large"] >= 4 * n, "%r" % pinned(w))
    for x in (c, b, other):
        x.prove().close()
    w.balanced(server)


@case
def a_wrong_end_of_a_large_value_leaves_nothing():
    server, w, front = pair()
    c, b = Client(front), Client(front)
    for more in ("", "noreply"):
        for wrong in (b"xx", b"\rx", b"\n\r"):
            whole = c.put("k", "v" * 50000, more=more)[:-2] + wrong
            c.send(whole[:30000])
            b.prove()
            c.send(whole[30000:] + b"mn\r\n")
            if not more:
                eq(c.line(), b"CLIENT_ERROR bad data chunk", "the set")
            eq(c.line(), b"MN", "what comes behind it")
            eq(b.get("k"), None, "k")
    c.prove().close()
    b.prove().close()
    w.balanced(server)


@case
def who_leaves_inside_of_a_large_value_leaves_nothing():
    server, w, front = pair()
    b = Client(front)
    whole = b.put("k", "v" * 50000)
    for at in (SHARE, 20000, len(whole) - 3, len(whole) - 2, len(whole) - 1):
        for end in ("close", "rst"):
            a = Client(front)
            a.send(whole[:at])
            b.prove()
            getattr(a, end)()
            b.prove()
    until(lambda: w.pool()["leased"] == 0, "given back")
    eq(b.get("k"), None, "k")
    b.close()
    w.balanced(server)


class Hasty(Origin):
    """Says no to any set before its value has come, and swallows that."""

    def __init__(self):
        super().__init__(self.serve)

    def serve(self, link):
        link.limit = None
        while True:
            try:
                words = link.read_until(b"\r\n")[:-2].split(b" ")
                if words[0] == b"set":
                    link.send(b"SERVER_ERROR object too large for cache\r\n")
                    link.read_exact(int(words[4]) + 2)
                    continue
            except Ended:
                return
            link.send(b"VALUE %s 0 1\r\nx\r\nEND\r\n" % words[1])


@case
def an_early_answer_ends_the_connection():
    server, w, front = pair(origin=Hasty())
    a, b = Client(front), Client(front)
    size = 3000000
    for n in range(3):
        a.send(b"set big 0 0 %d\r\n" % size + b"x" * SHARE)
        eq(a.line()[:12], b"SERVER_ERROR", "before it is all there")
        eq(b.get("b"), b"x", "another's")
        a.send(b"x" * (size - SHARE) + b"\r\nget k\r\n")
        eq(a.values(), [(b"k", 0, b"x", None)], "get behind it")
        eq(b.get("b"), b"x", "another's")
    eq(w.upstream()["discarded_total"]["broken"], 3, "closed")
    a.close()
    b.close()
    w.balanced(server)


@case
def what_is_refused_is_read_to_its_end():
    server, w, front = pair()
    c = Client(front)
    for bad in (b"set k 0 0 50000 more\r\n", b"ms k 50000 q q\r\n",
                b"add k 0 99999999999 50000\r\n"):
        c.send(bad + b"v" * 20000)
        eq(c.line()[:12], b"CLIENT_ERROR", "%r" % bad)
        c.send(b"v" * 30000 + b"\r\nmn\r\n")
        eq(c.line(), b"MN", "what comes behind it")
    c.prove().close()
    w.balanced(server)


@case
def dumps_have_a_connection_that_is_closed_after_them():
    server, w, front = pair()
    c, b = Client(front), Binary(front)
    # A key that only a binary client can store, and that looks like an end.
    evil = b"a\r\nEND\r\nb"
    eq(b.ask("set", evil, "x", setting())[0], 0, "set")
    c.stored("plain", "x")
    for n in range(3):
        c.send(b"stats cachedump 1 10\r\n")
        c.read_until(b"END\r\n")
        c.prove()
    for _ in range(3):
        c.send(b"lru_crawler metadump all\r\n")
        check(b"key=plain" in c.read_until(b"END\r\n"), "metadump")
    eq(pinned(w)["alone"], 6, "alone")
    until(lambda: w.upstream()["discarded_total"]["broken"] == 6, "closed")
    c.prove().close()
    b.prove().close()
    w.balanced(server)


@case
def errors_of_servers_are_counted():
    server, w, front = pair()
    c, b = Client(front), Binary(front)
    c.stored("k", "v")
    eq(c.ask("incr k 1")[:12], b"CLIENT_ERROR", "incr")
    eq(b.ask("increment", "k", extras=b"\0" * 20)[0], 6, "increment")
    eq(b.ask("get", "none")[0], 1, "a miss is none")
    eq(w.upstream()["server_errors_total"]["CLIENT_ERROR"], 2, "counted")
    eq(w.upstream()["server_errors_total"]["other"], 0, "counted")
    c.close()
    b.close()
    w.balanced(server)


@case
def a_quiet_value_in_pieces_is_passed_on_in_order():
    value = token() * 3000
    reply = b"VA %d kq\r\n" % len(value) + value + b"\r\n"
    cuts = []

    def answer(line, data, link):
        at = cuts[0]
        link.send(reply[:at])
        link.send(reply[at:at + 5000])
        link.send(reply[at + 5000:])
        return b""
    origin = MemcachedOrigin(answer)
    _, w, front = pair(origin=origin)
    c = Client(front)
    for cut in (1, 2, 5, 9, 10, 20, 40000):
        cuts[:] = [cut]
        c.send(b"mg q v k q\r\nmn\r\n")
        eq(c.meta(), ([b"VA", b"%d" % len(value), b"kq"], value), "value")
        eq(c.meta()[0], [b"MN"], "behind it")
    c.close()
    w.balanced(origin)


run()
