"""The extended protocol: Parse, Bind, Describe, Execute, Close, Flush and Sync in
any order; after a failure all is skipped to the Sync, and not one further.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (DIRECT, FLUSH, SYNC, Client, bind, close, describe,
                      execute, message, parse, query, through, token,
                      upstreams)
from postgres_origin import PgOrigin


def start(pool="max = 1;", **options):
    o = PgOrigin(**options)
    w = through(o, pool=pool)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


def batch(sql, *values):
    return parse("", sql) + bind("", "", *values) + execute() + SYNC


@case
def of_two_batches_the_first_fails_and_the_second_does_not():
    """The connection is free after the second ReadyForQuery only."""
    for bad, kinds in (("SELEKT", "EZ"), ("SELECT error('22012')", "12EZ")):
        o, w, front = start()
        a, b = Client(front), Client(front)
        for _ in range(5):
            t = token()
            a.write(batch(bad), batch("SELECT $1", t))
            b.write(query("SELECT '%s'" % t))
            got = a.results(2)
            eq([r.kinds for r in got], [kinds, "12DCZ"], "both batches")
            eq(got[1].one, t, "the second's row")
            eq(b.result().one, t, "the other client's")
        leave(a, b)
        w.balanced(o)
        upstreams(w, o, 1)


@case
def what_was_pipelined_behind_an_error_is_skipped():
    o, w, front = start()
    a = Client(front)
    a.write(parse("", "SELECT error('22012')"), bind(), execute(),
            parse("s", "SELECT 1"), bind("", "s"), describe("P"), execute(),
            close("S", "s"), SYNC)
    eq(a.result().kinds, "12EZ", "the failed one")
    eq(a.ask(bind("", "s"), SYNC).code, "26000", "a skipped Parse")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def no_ready_for_query_before_the_sync():
    """The failure is told at once; what comes late is dropped."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(parse("", "SELECT error('22012')"), bind(), execute(), FLUSH)
    a.expect("12")
    a.error("22012")
    b.write(query("SELECT 'b'"))
    for late in (parse("s", "SELECT 1"), bind(), describe("S"), execute(),
                 close("P"), FLUSH, message("c"), message("d", b"x")):
        a.send(late)
    if not DIRECT:
        w.wait_pool(waiting=1, leased=1)
        eq(o.seen("Q"), 0, "the other's query, inside of a batch")
    check(not a.wants(), "an answer before the Sync")
    eq(a.ask(SYNC).kinds, "Z", "answer to the Sync")
    eq(b.result().one, "b", "the other's")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def flush_brings_what_there_is():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(parse("", "SELECT $1"), FLUSH).expect("1")
    a.write(describe("S"), FLUSH).expect("tT")
    b.write(query("SELECT 'b'"))
    a.write(bind("", "", "x"), FLUSH).expect("2")
    a.write(execute(), FLUSH).expect("DC")
    check(DIRECT or not b.wants(), "another's answer inside of a batch")
    eq(a.ask(SYNC).kinds, "Z", "the Sync")
    eq(b.result().one, "b", "the other's")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_sync_alone_is_answered():
    o, w, front = start()
    a = Client(front)
    a.write(SYNC * 100)
    eq([r.kinds for r in a.results(100)], ["Z"] * 100, "answers")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def portals_are_suspended_and_go_on():
    o, w, front = start(pool="max = 2;")
    a, b = Client(front), Client(front)
    a.ok("BEGIN")
    eq(a.ask(parse("", "SELECT generate_series(1, 10)"), bind("p"),
             execute("p", 3), SYNC).kinds, "12DDDsZ", "the first part")
    b.ok("BEGIN")
    eq(b.ask(execute("p", 3), SYNC).code, "34000", "another's portal")
    b.ok("ROLLBACK")
    got = a.ask(execute("p", 4), execute("p"), SYNC)
    eq(got.kinds, "DDDDsDDDCZ", "the others")
    eq([r[0] for r in got.rows], ["4", "5", "6", "7", "8", "9", "10"],
       "rows")
    eq(a.ask(close("P", "p"), SYNC).kinds, "3Z", "Close")
    eq(a.ask(execute("p"), SYNC).code, "34000", "after Close")
    a.ok("ROLLBACK")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def portals_end_with_the_transaction():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.prepare("s", "SELECT 'x'")
    eq(a.ask(bind("p", "s"), SYNC).kinds, "2Z", "Bind")
    b.prove()
    eq(a.ask(execute("p"), SYNC).code, "34000", "in the next one")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def describe_tells_of_statements_and_of_portals():
    o, w, front = start()
    a = Client(front)
    a.prepare("s", "SELECT $1, $2, 'x'", 23)
    a.prepare("n", "BEGIN")
    a.prepare("e", "")
    got = a.ask(describe("S", "s"), bind("", "s", "1", None), describe("P"),
                execute(), describe("S", "n"), describe("S", "e"),
                bind("", "e"), describe("P"), execute(), SYNC)
    eq(got.kinds, "tT2TDCtntn2nIZ", "answers")
    eq(got.messages[0].value, [23, 25], "types of parameters")
    eq(len(got.messages[1].value), 3, "columns")
    eq(got.rows, [("1", None, "x")], "row")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def values_of_all_sizes_and_kinds_are_passed_on():
    o, w, front = start()
    a = Client(front)
    for n in (0, 1, 100, 16000, 17000, 100000, 3000000):
        got = a.extended("SELECT $1", "v" * n)
        check(got.one == "v" * n, "a value of %d bytes" % n)
    eq(a.extended("SELECT $1", None).one, None, "NULL")
    many = ["v%d" % n for n in range(2000)]
    got = a.extended("SELECT " + ", ".join(
        "$%d" % (n + 1) for n in range(2000)), *many)
    eq(list(got.rows[0]), many, "2000 values")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def formats_are_the_clients():
    o, w, front = start()
    a = Client(front)
    a.ask(parse("", "SELECT $1"), bind("", "", b"\0\1", formats=(1,),
                                       results=(1, )), SYNC)
    got = [m.value for _, m in o.messages if m.kind == "B"][-1]
    eq((got[0], got[2], got[3], got[4]), ("", [1], [b"\0\1"], [1]),
       "Bind as it came")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def in_a_failed_transaction_only_its_end_is_carried_out():
    o, w, front = start(pool="max = 2;")
    a, b = Client(front), Client(front)
    a.write(parse("", "BEGIN"), bind(), execute(), SYNC,
            batch("SELECT error('22012')"), batch("SELECT 1"),
            query("SELECT 2"), parse("", "ROLLBACK"), bind(), execute(),
            SYNC)
    b.prove()
    got = a.results(5)
    eq([(r.code, r.status) for r in got],
       [(None, "T"), ("22012", "E"), ("25P02", "E"), ("25P02", "E"),
        (None, "I")], "answers")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_batch_at_every_split_is_the_same():
    o, w, front = start()
    a = Client(front)
    whole = parse("n", "SELECT $1") + bind("p", "n", "x") + \
        describe("S", "n") + execute("p") + close("S", "n") + SYNC
    for at in range(1, len(whole)):
        a.send(whole[:at])
        a.send(whole[at:])
        got = a.result()
        eq((got.kinds, got.one), ("12tTDC3Z", "x"), "split at %d" % at)
    a.send_pieces(whole)
    eq(a.result().one, "x", "byte by byte")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def more_than_anyone_has_under_way_is_answered():
    """20,000 requests before the Sync, nothing read until they are sent."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(parse("s", "SELECT $1"))
    for n in range(100):
        a.write(*(bind("", "s", "%d" % (n * 100 + i)) + execute()
                  for i in range(100)))
    a.write(SYNC)
    got = a.result()
    eq([r[0] for r in got.rows], ["%d" % n for n in range(10000)], "rows")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def what_is_no_message_is_an_error_and_the_end():
    if DIRECT:
        return
    for bad in (b"Q\0\0\0\3", b"Q\0\0\0\0", b"Q\x80\0\0\0",
                b"Q\xff\xff\xff\xff",
                b"Q\0\0\0\4", b"Q\0\0\0\5x", b"Z\0\0\0\5I", b"\0\0\0\0\4",
                b"P\0\0\0\6x\0", b"P\0\0\0\7\0\0\0", b"D\0\0\0\6X\0",
                b"C\0\0\0\5S", b"B\0\0\0\6xx", b"D\0\0\0\7S\0\0",
                message("P", b"s\0SELECT 1\0\0\2\0\0\0\0")):
        o, w, front = start()
        a, b = Client(front), Client(front)
        b.prove()
        a.order = None
        a.send(bad)
        got = a.error()
        eq((got["V"], got["C"]), ("FATAL", "08P01"),
           "answer to %r" % bad)
        a.closed()
        a.close()
        leave(b)
        w.balanced(o)
        check(o.seen("Q", "x") == 0, "a part of it at the server")
        upstreams(w, o, 2)
        w.stop()
        o.stop()


run()
