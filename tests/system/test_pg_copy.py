"""COPY in both directions; one that fails half-way, with the client still sending;
a client that dies inside of one. What comes late is nobody's.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (COPY_DONE, DIRECT, FLUSH, SYNC, Client, bind, copy_data,
                      copy_fail, execute, parse, query, through, token,
                      upstreams)
from postgres_origin import PgOrigin


def start(pool="max = 1;", **options):
    o = PgOrigin(**options)
    o.tables["t"] = []
    w = through(o, pool=pool)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


COPY_IN = query("COPY t FROM STDIN")
COPY_IN_EXTENDED = parse("", "COPY t FROM STDIN") + bind() + execute()


@case
def what_goes_in_comes_out():
    o, w, front = start()
    a, b = Client(front), Client(front)
    lines = [token() for _ in range(1000)]
    a.write(COPY_IN).expect("G")
    b.write(query("SELECT 'b'"))
    for line in lines:
        a.send(copy_data(line + "\n"))
    check(DIRECT or not b.wants(), "another's answer inside of a COPY")
    got = a.write(COPY_DONE).result()
    eq((got.tag, got.status), ("COPY 1000", "I"), "its end")
    eq(b.result().one, "b", "the other's")
    got = b.query("COPY t TO STDOUT")
    eq((got.copied.decode().split(), got.tag), (lines, "COPY 1000"),
       "what came out")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def all_in_one_write():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(COPY_IN, copy_data("x\ny\n"), COPY_DONE, query("TABLE t"),
            COPY_IN_EXTENDED, copy_data("z\n"), COPY_DONE, SYNC,
            query("TABLE t"))
    eq([r.kinds for r in a.results(4)],
       ["GCZ", "TDDCZ", "12GCZ", "TDDDCZ"], "answers")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def megabytes_both_ways():
    o, w, front = start()
    a, b = Client(front), Client(front)
    block = ("l" * 999 + "\n") * 100
    a.write(COPY_IN).expect("G")
    for _ in range(50):
        a.send(copy_data(block))
    eq(a.write(COPY_DONE).result().tag, "COPY 5000", "in")
    got = a.query("COPY t TO STDOUT")
    check(got.copied == block.encode() * 50, "what came out differs")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def refused_by_the_server_with_the_client_still_sending():
    """The data, CopyDone and the next query were on their way."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    for _ in range(5):
        a.write(COPY_IN).expect("G")
        a.write(copy_data("x\n"), copy_data("bad\n"),
                *(copy_data("y\n" * 100) for _ in range(50)), COPY_DONE,
                query("SELECT 'next'"))
        got = a.results(2)
        eq([r.kinds for r in got], ["EZ", "TDCZ"], "answers")
        eq((got[0].code, got[1].one), ("22P02", "next"), "answers")
        b.prove()
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def late_data_of_a_refused_copy_goes_nowhere():
    """The client sends on only after it could have read the refusal: by then
    its connection may be another's."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(COPY_IN).expect("G")
    eq(a.write(copy_data("bad\n")).result().code, "22P02", "the refusal")
    b.ok("BEGIN")
    a.write(copy_data("late\n"), COPY_DONE)
    b.prove()
    b.write(COPY_IN).expect("G")
    b.write(copy_data("mine\n"))
    a.write(copy_data("late\n"), copy_fail("late"))
    eq(b.write(COPY_DONE).result().tag, "COPY 1", "the other's COPY")
    b.ok("COMMIT")
    eq(a.query("TABLE t").rows, [("mine",)], "the table")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1 if not DIRECT else 2)


@case
def refused_inside_of_a_batch_one_error_one_ready():
    """Late CopyData, CopyDone and Sync: the connection is free again."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    for _ in range(5):
        a.write(COPY_IN_EXTENDED, FLUSH).expect("12G")
        a.write(copy_data("bad\n"), copy_data("y\n" * 1000), COPY_DONE, SYNC)
        got = a.result()
        eq((got.kinds, got.code, got.status), ("EZ", "22P02", "I"), "answer")
        b.prove()
        a.prove()
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_sync_behind_the_execute_is_the_copys():
    """As clients send it that always end with Sync: it is taken for nothing."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(COPY_IN_EXTENDED, SYNC).expect("12G")
    got = a.write(copy_data("x\n"), COPY_DONE, SYNC).result()
    eq((got.kinds, got.status), ("CZ", "I"), "its end")
    b.prove()
    a.write(COPY_IN_EXTENDED, SYNC).expect("12G")
    got = a.write(copy_data("bad\n"), COPY_DONE, SYNC).result()
    eq((got.kinds, got.code), ("EZ", "22P02"), "a refused one")
    b.prove()
    a.write(COPY_IN_EXTENDED, SYNC).expect("12G")
    got = a.write(copy_fail("not now"), SYNC).result()
    eq((got.kinds, got.code), ("EZ", "57014"), "a failed one")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 3)


@case
def copy_fail_ends_it():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(COPY_IN).expect("G")
    got = a.write(copy_data("x\n"), copy_fail("no more")).result()
    eq((got.kinds, got.code), ("EZ", "57014"), "answer")
    b.prove()
    a.ok("BEGIN")
    a.write(COPY_IN).expect("G")
    eq(a.write(copy_fail("no")).result().status, "E", "in a transaction")
    a.ok("ROLLBACK")
    eq(b.query("TABLE t").rows, [], "the table")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_client_dies_inside_of_copy_in():
    """Also in the middle of a message: nothing of it stays, and no row of it
    is seen by the next one."""
    for end in ("close", "rst"):
        for extended in (False, True):
            o, w, front = start()
            for part in (b"", copy_data("x\n"), copy_data("x\n")[:-1],
                         copy_data("x" * 100000)[:50000],
                         copy_data("x")[:3]):
                a = Client(front)
                if extended:
                    a.write(COPY_IN_EXTENDED, FLUSH).expect("12G")
                else:
                    a.write(COPY_IN).expect("G")
                a.order = None
                a.send(copy_data("y\n") + part)
                (a.rst if end == "rst" else a.close)()
                b = Client(front)
                eq(b.query("TABLE t").rows, [], "the table")
                leave(b)
            w.balanced(o)
            upstreams(w, o, 6)
            w.stop()
            o.stop()


@case
def a_client_dies_inside_of_copy_out():
    o, w, front = start()
    o.tables["t"] = ["r" * 1000] * 20000
    for end in ("close", "rst"):
        a = Client(front, rcvbuf=4096)
        a.write(query("COPY t TO STDOUT")).expect("Hddd")
        (a.rst if end == "rst" else a.close)()
        leave(Client(front))
    w.balanced(o)
    upstreams(w, o, 3)


@case
def the_server_dies_inside_of_one():
    if DIRECT:
        return
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(COPY_IN).expect("G")
    a.write(copy_data("x\n"))
    o.drop_all()
    got = a.read()
    eq((got.kind, got.value["C"]), ("E", "08006"), "what a is told")
    b.prove()
    a.close()
    leave(b)
    w.balanced(o)
    upstreams(w, o, 2)


run()
