"""A client has a connection for a transaction, from its first message to the
ReadyForQuery that says I: many of them share few, and nobody is inside another's.
"""
# SPDX-License-Identifier: MIT
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (DIRECT, Client, bind, call, execute, parse, query,
                      SYNC, through, token, upstreams)
from postgres_origin import PgOrigin, cstr, message


def start(pool="max = 2;", **options):
    o = PgOrigin(**options)
    w = through(o, pool=pool)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


@case
def one_after_the_other_share_one_connection():
    o, w, front = start()
    clients = [Client(front) for _ in range(20)]
    for _ in range(5):
        for c in clients:
            c.prove()
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_client_that_only_logs_in_uses_no_connection():
    o, w, front = start(pool="max = 1;")
    clients = [Client(front) for _ in range(50)]
    for c in clients:
        c.quit()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_greeting_is_the_servers():
    o, w, front = start(parameters={"x_reported": "y"})
    a, b = Client(front), Client(front)
    for c in (a, b):
        eq(c.parameters["server_version"], "15.0", "server_version")
        eq(c.parameters["x_reported"], "y", "a parameter of its own")
        eq(c.parameters["client_encoding"], "UTF8", "client_encoding")
        eq(len(c.key), 4, "length of the key")
    check((a.pid, a.key) != (b.pid, b.key), "two clients with one key")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_transaction_keeps_its_connection():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("BEGIN")
    home = a.where()
    for _ in range(10):
        eq(a.where(), home, "inside of the transaction")
        check(b.where() != home, "another's is on its connection")
    eq(a.status, "T", "status")
    eq(b.status, "I", "the other's")
    a.ok("COMMIT")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_failed_transaction_keeps_it_too():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("BEGIN")
    home = a.where()
    eq(a.fails("SELECT error('22012')", "22012").status, "E", "status")
    for _ in range(5):
        a.fails("SELECT 1", "25P02")
        check(b.where() != home, "another's is on its connection")
    eq(a.query("COMMIT").tag, "ROLLBACK", "its end")
    eq(a.status, "I", "after it")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def who_comes_third_waits_for_the_first_to_end():
    if DIRECT:
        return
    o, w, front = start()
    a, b, c = (Client(front) for _ in range(3))
    a.ok("BEGIN")
    b.ok("BEGIN")
    t = token()
    c.write(query("SELECT '%s'" % t))
    w.wait_pool(waiting=1, leased=2)
    eq(o.seen("Q", t), 0, "before there is a place")
    a.ok("ROLLBACK")
    eq(c.result().one, t, "the third's")
    b.ok("COMMIT")
    leave(a, b, c)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def what_is_committed_is_seen_and_what_is_not_is_not():
    o, w, front = start()
    o.tables["t"] = []
    a, b = Client(front), Client(front)
    a.ok("BEGIN", "INSERT INTO t VALUES ('one')")
    eq(b.query("SELECT * FROM t").rows, [], "before COMMIT")
    a.ok("COMMIT")
    eq(b.query("SELECT * FROM t").rows, [("one",)], "after COMMIT")
    a.ok("BEGIN", "INSERT INTO t VALUES ('two')", "ROLLBACK")
    eq(b.query("SELECT * FROM t").rows, [("one",)], "after ROLLBACK")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def many_clients_over_two_connections():
    """Each checks that what it gets is its own, and that its transactions
    are whole."""
    o, w, front = start()
    wrong = []

    def one(seed):
        dice = random.Random(seed)
        try:
            c = Client(front)
            for _ in range(30):
                part(c, dice)
            c.quit()
        except Exception as e:
            wrong.append(e)

    def part(c, dice):
        way = dice.randrange(5)
        if way == 0:
            c.prove()
        elif way == 1:
            t = token()
            eq(c.extended("SELECT $1", t).one, t, "extended")
        elif way == 2:
            c.ok("BEGIN")
            home = c.where()
            for _ in range(dice.randrange(4)):
                c.prove()
                eq(c.where(), home, "in a transaction")
            c.ok("COMMIT")
        elif way == 3:
            c.ok("BEGIN").fails("SELECT error('22012')", "22012")
            c.fails("SELECT 1", "25P02")
            c.ok("ROLLBACK")
        else:
            many = [token() for _ in range(dice.randrange(1, 20))]
            c.write(*(query("SELECT '%s'" % t) for t in many))
            eq([r.one for r in c.results(len(many))], many, "a pipeline")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not wrong, "clients: %r" % wrong[:3])
    w.balanced(o)
    upstreams(w, o, 2)


@case
def several_syncs_in_a_write_are_answered_in_order():
    o, w, front = start()
    a, b = Client(front), Client(front)
    many = [token() for _ in range(50)]
    a.write(*(parse("", "SELECT $1") + bind("", "", t) + execute() + SYNC
              for t in many))
    got = a.results(50)
    eq([r.one for r in got], many, "answers")
    eq({r.kinds for r in got}, {"12DCZ"}, "their messages")
    b.prove()
    a.write(query("BEGIN"), *(query("SELECT '%s'" % t) for t in many),
            query("COMMIT"))
    got = a.results(52)
    eq([r.one for r in got[1:-1]], many, "answers of a transaction")
    eq([r.status for r in got], ["T"] * 51 + ["I"], "status")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def simple_and_extended_ones_mix_in_a_write():
    o, w, front = start(pool="max = 1;")
    a = Client(front)
    a.write(query("SELECT 'a'"), parse("", "SELECT 'b'"), bind(), execute(),
            SYNC, query("SELECT 'c'; SELECT 'd'"), SYNC, query(""))
    eq([r.kinds for r in a.results(5)],
       ["TDCZ", "12DCZ", "TDCTDCZ", "Z", "IZ"], "answers")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_write_at_every_split_is_the_same():
    o, w, front = start(pool="max = 1;")
    a = Client(front)
    whole = query("SELECT 'x'") + parse("", "SELECT $1") + \
        bind("", "", "y") + execute() + SYNC
    for at in range(1, len(whole)):
        a.send(whole[:at])
        a.send(whole[at:])
        eq([r.one for r in a.results(2)], ["x", "y"], "split at %d" % at)
    a.send_pieces(whole)
    eq([r.one for r in a.results(2)], ["x", "y"], "byte by byte")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def an_empty_query_is_an_empty_answer():
    o, w, front = start()
    a = Client(front)
    for text in ("", "  ", ";", "-- nothing", "/* nothing */"):
        eq(a.ask(query(text)).kinds, "IZ", "answer to %r" % text)
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def notices_go_to_who_is_concerned():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("BEGIN")
    a.ok("SELECT notice('for a')")
    b.ok("SELECT notice('for b')")
    a.ok("COMMIT")
    for c, text in ((a, "for a"), (b, "for b")):
        eq([n["M"] for n in c.notices], [text], "notices")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def notices_and_parameters_come_between_any_two_messages():
    """The server says them before each of its messages."""
    def chatty(session):
        aside = message("N", b"SNOTICE\0VNOTICE\0C00000\0Mhi\0\0") + \
            message("S", cstr("x_reported") + cstr(session.number))
        send = session.link.send

        def more(data):
            at, out = 0, b""
            while at < len(data):
                size = 1 + int.from_bytes(data[at + 1:at + 5], "big")
                out += aside + data[at:at + size]
                at += size
            return send(out)
        session.link.send = more
        session.serve()
    o, w, front = start(pool="max = 1;", script=chatty)
    a, b = Client(front), Client(front)
    for _ in range(3):
        for c in (a, b):
            eq(c.extended("SELECT 'x'").one, "x", "an answer")
            check(any(n["M"] == "hi" for n in c.notices), "no notice")
            c.ok("BEGIN", "COMMIT")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_function_call_is_passed_on():
    o, w, front = start()
    a, b = Client(front), Client(front)
    for c in (a, b, a):
        got = c.ask(call(7, "x", None))
        eq((got.kinds, got.messages[0].value), ("VZ", b"call"), "answer")
    a.ok("BEGIN")
    b.prove()
    eq(a.ask(call(7)).status, "T", "in a transaction")
    a.ok("COMMIT")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def an_error_frees_the_connection():
    o, w, front = start(pool="max = 1;")
    clients = [Client(front) for _ in range(5)]
    for _ in range(3):
        for c in clients:
            eq(c.fails("SELECT error('22012')", "22012").status, "I",
               "status")
            c.fails("no such thing", "42601")
            c.prove()
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_large_result_takes_nothing_from_the_others():
    o, w, front = start()
    a, b = Client(front, rcvbuf=4096), Client(front)
    a.write(query("SELECT generate_series(1, 50000)"))
    for _ in range(20):
        b.prove()
    eq(len(a.result().rows), 50000, "rows")
    eq(len(a.query("SELECT repeat('x', 3000000)").one), 3000000, "a value")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def terminate_is_the_clients_and_not_the_connections():
    o, w, front = start(pool="max = 1;")
    for _ in range(10):
        Client(front).prove().quit()
    a = Client(front)
    a.write(query("SELECT 'x'"), b"X\0\0\0\4")
    eq(a.result().one, "x", "what was asked before")
    a.closed()
    a.close()
    if not DIRECT:
        eq(o.seen("X"), 0, "Terminate at the server")
    w.balanced(o)
    upstreams(w, o, 1)


run()
