"""A memcached client dies with replies owed or inside of a set's body; the server
dies or is late: who is next gets its own, and no part of a set is ever stored.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import threading

from case import WAIT, case, check, eq, run, until
from memcached import (DIRECT, Binary, Client, Memcached, MemcachedOrigin,
                       packet, setting, through, token, upstreams)


def hold(pool="max = 1;", up=""):
    """A server that answers `get hold` only when it is let go."""
    go = threading.Event()

    def answer(line, value, link):
        words = line.split(b" ")
        if words[0] == b"get":
            if words[1] == b"hold":
                go.wait(5 * WAIT)
            return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (
                words[1], len(words[1]), words[1])
        return b"STORED\r\n"
    o = MemcachedOrigin(answer)
    w = through(o, pool=pool, up=up)
    return o, w, w.conf.ports["front"], go


@case
def five_owed_are_five_swallowed():
    for end in ("close", "rst"):
        o, w, front, go = hold()
        a, b = Client(front), Client(front)
        a.send(b"get hold\r\n" + b"get mine\r\n" * 4)
        until(lambda: o.asked("get") >= 1, "the first upstream")
        keys = [token().decode() for _ in range(5)]
        b.send("".join("get %s\r\n" % k for k in keys))
        (a.rst if end == "rst" else a.close)()
        w.stats()
        go.set()
        for k in keys:
            eq(b.values(), [(k.encode(), 0, k.encode(), None)], "the other's")
        b.close()
        w.balanced(o)
        upstreams(w, o, 1)


@case
def a_late_reply_is_an_error_once():
    o, w, front, go = hold(up='timeouts = { response = "300ms"; };')
    if DIRECT:
        return
    a = Client(front)
    line = a.ask("get hold")
    check(line.startswith(b"SERVER_ERROR weir: "), repr(line))
    go.set()
    for _ in range(5):
        k = token().decode()
        eq(a.get(k), k.encode(), "after it")
    b = Client(front)
    eq(b.get("x"), b"x", "another's")
    check(not a.wants(), "the late reply came after all")
    a.close()
    b.close()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def dead_inside_of_a_body_nothing_is_stored():
    server = Memcached()
    w = through(server, pool="max = 2;")
    front = w.conf.ports["front"]
    other = Client(front)
    whole = other.put("k", "v" * 300)
    for at in range(1, len(whole), 7):
        a = Client(front)
        a.send(a.put("before", "1") + whole[:at])
        if not DIRECT:          # memcached holds it back till the body came
            eq(a.line(), b"STORED", "the set before")
        (a.rst if at % 2 else a.close)()
        other.prove()
    eq(other.get("k"), None, "k")
    b = packet("set", "k", "v" * 300, setting())
    for at in range(1, len(b), 11):
        a = Binary(front)
        a.send(b[:at])
        (a.rst if at % 2 else a.close)()
        other.prove()
    eq(other.get("k"), None, "k")
    other.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def dead_inside_of_a_body_its_connection_ends():
    """memcached holds back what it owes for what was sent whole before, till
    the body came: nobody waits for that."""
    server = Memcached()
    w = through(server, pool="max = 2;",
                front='memcached = { share_max = "4KiB"; };')
    front = w.conf.ports["front"]
    other = Client(front)
    for c, one in (
            (Client(front), other.put("text", "v" * 9000)),
            (Binary(front), packet("set", "binary", "v" * 9000, setting()))):
        key = "text" if isinstance(c, Client) else "binary"
        c.send(one + one[:5000])
        until(lambda: other.get(key) is not None, "the set before")
        c.close()
        if not DIRECT:
            until(lambda: w.pool()["leased"] == 0, "given back")
    other.close()
    w.balanced(server)


@case
def half_a_body_stalls_nobody():
    server = Memcached()
    w = through(server, pool="max = 2;")
    front = w.conf.ports["front"]
    slow = Client(front)
    whole = slow.put("k", "v" * 5000)
    others = [Client(front) for _ in range(5)]
    for at in range(0, len(whole), 500):
        slow.send(whole[at:at + 500])
        for o in others:
            o.prove()
    eq(slow.line(), b"STORED", "set")
    eq(slow.get("k"), b"v" * 5000, "k")
    for c in (slow, *others):
        c.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def a_set_that_is_too_large_fails_for_its_sender():
    server = Memcached()
    w = through(server, pool="max = 4;")
    front = w.conf.ports["front"]
    a, b = Client(front), Client(front)
    size = (1 << 20) + 100
    for n in range(5):
        t = token()
        b.stored("k", t)
        a.send(b"set big 0 0 %d\r\n" % size)
        a.send(b"x" * (size // 2))
        b.prove()
        a.send(b"x" * (size - size // 2) + b"\r\nget k\r\n")
        eq(a.line()[:12], b"SERVER_ERROR", "the large one")
        eq(a.values(), [(b"k", 0, t, None)], "get behind it")
        eq(b.get("k"), t, "another's")
    eq(a.get("big"), None, "big")
    c = Binary(front)
    eq(c.ask("set", "big", b"x" * size, setting())[0], 3, "binary")
    c.prove().close()
    a.close()
    b.close()
    w.balanced(server)


@case
def large_values_come_back_whole():
    server = Memcached("-I", "8m")
    w = through(server, pool="max = 4;")
    front = w.conf.ports["front"]
    a, b, other = Client(front), Binary(front), Client(front)
    for size in (65535, 65536, 65537, 500000, 4000000):
        t = token()
        value = (t * (size // 32 + 1))[:size]
        a.stored("k", value)
        other.prove()
        check(a.get("k") == value, "text, %d" % size)
        eq(b.ask("set", "kb", value, setting())[0], 0, "binary set")
        other.prove()
        status, got = b.ask("get", "kb")
        check((status, got) == (0, value), "binary, %d" % size)
    for c in (a, b, other):
        c.prove().close()
    w.balanced(server)


@case
def a_slow_reader_stalls_nobody():
    server = Memcached("-I", "8m")
    w = through(server, pool="max = 4;")
    front = w.conf.ports["front"]
    other, slow = Client(front), Client(front, rcvbuf=4096)
    other.stored("big", b"x" * 4000000)
    slow.send(b"get big\r\n")
    for _ in range(50):
        other.prove()
    slow.close()
    other.prove().close()
    w.balanced(server)


@case
def the_servers_end_fails_what_is_owed():
    def answer(line, value, link):
        words = line.split(b" ")
        if words[1] == b"die":
            link.send(b"VALUE die 0 5\r\nab"[:int(words[2])])
            link.rst()
            raise ConnectionError       # ends the script
        return b"VALUE %s 0 1\r\nx\r\nEND\r\n" % words[1]
    o = MemcachedOrigin(answer)
    w = through(o, pool="max = 1;")
    if DIRECT:
        return
    for at in (0, 3, 14, 16):
        a, b = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
        eq(a.get("a"), b"x", "before")
        a.send(b"get die %d\r\n" % at)
        if at == 0:
            line = a.line()
            check(line.startswith(b"SERVER_ERROR weir: "), repr(line))
        else:
            rest = a.read_to_end() if a.more() and a.buf[:1] == b"V" or \
                a.ended else bytes(a.buf)
            check(rest.startswith(b"SERVER_ERROR weir: ") or
                  b"VALUE die 0 5\r\nab"[:at].startswith(rest), repr(rest))
        eq(b.get("b"), b"x", "another's")
        a.close()
        b.close()
    w.balanced(o)


@case
def many_random_deaths_shift_nothing():
    server = Memcached()
    w = through(server, pool="max = 2;")
    front = w.conf.ports["front"]
    stay = [Client(front) for _ in range(3)]
    for n in range(200):
        a = Client(front)
        a.send((b"get none\r\nset k 0 0 3\r\nabc\r\nmg k v q\r\nmn\r\n" *
                (1 + n % 5))[:-(n % 17) or None])
        (a.rst if n % 3 else a.close)()
        stay[n % 3].prove()
    for c in stay:
        c.close()
    w.balanced(server)
    upstreams(w, server, 3)


run()
