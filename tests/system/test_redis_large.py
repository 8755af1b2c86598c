"""Values above share_max have a connection to themselves while they are on
their way: memory stays bounded, and small commands of others go on.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import threading

from case import SLOW, WAIT, case, check, eq, run, until
from redis import (DIRECT, Client, Error, RedisServer, command, commands,
                   through, token, upstreams)

MIB = 1 << 20


def pair(pool="max = 8;", front="", *options):
    server = RedisServer(*options)
    w = through(server, pool=pool, front=front)
    return server, w, w.conf.ports["front"]


@case
def sizes_around_the_limits_come_back_whole():
    server, w, front = pair()
    c, other = Client(front), Client(front)
    for size in (0, 1, 1000, 16383, 16384, 65000, 65535, 65536, 65537, 131072,
                 MIB, 3 * MIB + 1):
        t = token()
        value = (t * (size // 32 + 1))[:size]
        c.send(commands(("SET", "k", value), ("ECHO", t), "GET k",
                        ("APPEND", "k", "x"), "STRLEN k"))
        eq(c.read(), "OK", "SET of %d" % size)
        eq(c.read(), t, "ECHO")
        check(c.read() == value, "value of %d bytes" % size)
        eq(c.reads(2), [size + 1, size + 1], "APPEND, STRLEN")
        other.prove()
    c.close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 5)


@case
def half_a_large_command_stalls_nobody():
    server, w, front = pair()
    slow = [Client(front) for _ in range(3)]
    value = b"v" * MIB
    data = command("SET", "big", value)
    for c in slow:
        c.send(data[:len(data) // 2])
    others = [Client(front) for _ in range(10)]
    for _ in range(20):
        for c in others:
            c.prove()
    for c in slow:
        c.send(data[len(data) // 2:])
        eq(c.read(), "OK", "SET")
    check(server.ask("GET", "big") == value, "value")
    for c in (*slow, *others):
        c.close()
    w.balanced(server)
    upstreams(w, server, 6)


@case
def a_death_in_a_large_command_leaves_nothing_of_it():
    server, w, front = pair()
    other = Client(front)
    data = command("SET", "big", b"v" * (2 * MIB))
    for n, part in enumerate((100, 65536, 70000, MIB, len(data) - 1) * 2):
        c = Client(front)
        c.send(data[:part])
        (c.rst if n % 2 else c.close)()
        other.prove()
        Client(front).prove().close()
    eq(server.ask("EXISTS", "big"), 0, "big")
    other.close()
    w.balanced(server)


@case
def a_slow_reader_of_a_large_reply_stalls_nobody():
    server, w, front = pair()
    value = token() * (4 * MIB // 32)
    server.ask("SET", "big", value)
    before = w.rss()
    slow = Client(front, rcvbuf=4096)
    slow.write("GET", "big")
    others = [Client(front) for _ in range(10)]
    for _ in range(30):
        for c in others:
            c.prove()
    for c in others:
        c.close()
    # What it gets in the end is whole, or it was cut.
    slow.limit = 3 * WAIT
    try:
        got = slow.read()
        check(got == value, "%d bytes" % len(got))
    except Exception:
        check(slow.ended, "neither whole nor ended")
    slow.close()
    check(w.rss() < before + 24 * MIB, "memory: %d, then %d" % (
        before, w.rss()))
    w.balanced(server)


@case
def many_large_ones_at_once_take_turns():
    server, w, front = pair('max = 4; max_waiting = 100; '
                            'queue_timeout = "60s";')
    n, failures = 16, []

    def one(i):
        try:
            c = Client(front)
            c.limit = 3 * WAIT
            for _ in range(3):
                t = token()
                value = t * 20000
                eq(c.ask("SET", "big%d" % i, value), "OK", "SET")
                check(c.ask("GET", "big%d" % i) == value, "value")
            c.close()
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    c = Client(front)
    c.limit = 3 * WAIT
    while any(t.is_alive() for t in threads):
        c.prove()
    for t in threads:
        t.join()
    eq(failures, [], "failures")
    c.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def half_a_gibibyte_streams_in_bounded_memory():
    if SLOW > 1 or DIRECT:
        return
    size = 512 * MIB
    server, w, front = pair()
    c, other = Client(front), Client(front)
    before = w.rss()
    most = before
    piece = token() * (MIB // 32)
    c.limit = other.limit = 6 * WAIT
    c.send(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % size)
    for n in range(size // MIB):
        c.send(piece)
        if n % 32 == 0:
            most = max(most, w.rss())
    c.send(b"\r\n")
    eq(c.read(), "OK", "SET")
    other.prove()
    c.write("GET", "big")
    eq(c.read_line(), b"$%d\r\n" % size, "its length")
    for n in range(size // MIB):
        check(c.read_exact(MIB) == piece, "MiB %d" % n)
        if n % 32 == 0:
            most = max(most, w.rss())
    eq(c.read_exact(2), b"\r\n", "its end")
    check(most < before + 32 * MIB, "memory: %d, then %d" % (before, most))
    eq(c.ask("DEL", "big"), 1, "DEL")
    other.prove().close()
    c.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def pipelined_small_ones_around_a_large_keep_their_order():
    server, w, front = pair()
    c = Client(front)
    for _ in range(5):
        t, u = token(), token()
        big = t * 5000
        c.send(commands(("SET", "a", u), ("SET", "big", big), "GET a",
                        "GET big", ("SET", "a", t), "STRLEN big", "GET a"))
        eq(c.reads(3), ["OK", "OK", u], "before")
        check(c.read() == big, "the large one")
        eq(c.reads(3), ["OK", len(big), t], "after")
    c.close()
    w.balanced(server)
    upstreams(w, server, 5)


@case
def a_large_one_in_a_transaction():
    server, w, front = pair()
    c, other = Client(front), Client(front)
    for _ in range(3):
        t = token()
        big = t * 10000
        c.send(commands("MULTI", ("SET", "big", big), "GET big", "EXEC"))
        eq(c.reads(3), ["OK", "QUEUED", "QUEUED"], "queued")
        got = c.read()
        check(got == ["OK", big], "EXEC")
        other.prove()
    c.close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def the_limit_is_a_users_to_choose():
    if DIRECT:
        return
    # None is kept warm: it would be made just when somebody looks.
    server, w, front = pair("max = 8; min_idle = 0;",
                            front='redis = { share_max = "1KiB"; };')
    c = Client(front)
    c.prove()
    w.wait_pool(open=1)
    for size, wanted in ((500, 1), (2000, 2)):
        data = command("SET", "k", b"x" * size)
        c.send(data[:size])
        Client(front).prove().close()
        eq(server.accepted, wanted, "connections beside half of a command of "
           "%d bytes" % size)
        c.send(data[size:])
        eq(c.read(), "OK", "SET of %d" % size)
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 2)


run()
