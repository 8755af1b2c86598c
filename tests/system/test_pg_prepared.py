"""Statements that clients have prepared work on whatever connection they get:
prepared there when needed, shared by all who have the same text, and forgotten.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (DIRECT, SYNC, Client, bind, close, describe, execute,
                      parse, query, through, token, upstreams)
from postgres_origin import PgOrigin, SqlError


def start(pool="max = 2;", prepared=200, **options):
    o = PgOrigin(**options)
    w = through(o, pool=pool,
                front='auth = "trust"; prepared = %d;' % prepared)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


@case
def prepared_on_one_connection_it_runs_on_the_other():
    if DIRECT:
        return
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.prepare("s", "SELECT $1, pg_backend_pid()")
    homes = set()
    homes.add(a.run("s", "x").rows[0][1])
    b.ok("BEGIN")               # takes that connection
    home = str(b.where())
    got = a.run("s", "x").rows[0]
    check(got[0] == "x" and got[1] != home, "on the other: %r" % (got,))
    a.ok("BEGIN")
    b.ok("COMMIT")
    eq(b.ask(bind("", "s", "x"), SYNC).code, "26000", "for the other client")
    a.ok("COMMIT")
    for _ in range(5):
        eq(a.run("s", "x").rows[0][0], "x", "its own")
    eq(o.seen("P", "SELECT $1, pg"), 2, "times that it was prepared")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def many_with_the_same_text_share_one():
    if DIRECT:
        return
    o, w, front = start(pool="max = 1;")
    clients = [Client(front) for _ in range(20)]
    for n, c in enumerate(clients):
        c.prepare("mine%d" % n, "SELECT $1")
    for n, c in enumerate(clients):
        eq(c.run("mine%d" % n, token()).kinds, "2DCZ", "messages")
    eq(o.seen("P"), 1, "times that it was prepared")
    clients[0].prepare("other", "SELECT $1", 23)
    eq(o.seen("P"), 2, "with other types it is another")
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def names_are_each_clients_own():
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    a.prepare("s", "SELECT 'of a'")
    b.prepare("s", "SELECT 'of b'")
    for _ in range(3):
        eq(a.run("s").one, "of a", "a's")
        eq(b.run("s").one, "of b", "b's")
    a.ask(close("S", "s"), SYNC)
    eq(a.ask(bind("", "s"), SYNC).code, "26000", "closed")
    eq(b.run("s").one, "of b", "the other's")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def nobody_reaches_a_statement_by_the_name_it_has_there():
    if DIRECT:
        return
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    a.prepare("s", "SELECT 'secret'")
    name = [m.value[0] for _, m in o.messages if m.kind == "P"][0]
    for way in (bind("", name), describe("S", name)):
        eq(b.ask(way, SYNC).code, "26000", "by the server's name")
    eq(b.ask(close("S", name), SYNC).kinds, "3Z", "its Close")
    eq(a.run("s").one, "secret", "the owner's")
    eq(o.seen("P"), 1, "times that it was prepared")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_longest_unused_make_room():
    o, w, front = start(pool="max = 1;", prepared=2)
    a, b = Client(front), Client(front)
    for c in (a, b):
        for n in range(5):
            c.prepare("s%d" % n, "SELECT '%d'" % n)
    for _ in range(3):
        for n in (0, 1, 2, 3, 4, 4, 3, 0):
            for c in (a, b):
                eq(c.run("s%d" % n).one, "%d" % n, "s%d" % n)
    if not DIRECT:
        session = list(o.sessions.values())[0]
        check(len(session.statements) <= 3, "statements at the server: %r" %
              list(session.statements))
    # All in one pipeline, more than there is room for.
    a.write(*(bind("", "s%d" % n) + execute() for n in range(5)), SYNC)
    eq([r[0] for r in a.result().rows], ["0", "1", "2", "3", "4"], "rows")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def deallocate_all_and_discard_all_forget_them():
    for word in ("DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE PREPARE ALL"):
        o, w, front = start(pool="max = 1;")
        a, b = Client(front), Client(front)
        for c in (a, b):
            c.prepare("s", "SELECT 'x'")
        eq(a.ask(query(word)).error, None, word)
        eq(a.ask(bind("", "s"), SYNC).code, "26000", "after " + word)
        eq(b.run("s").one, "x", "the other's")
        a.prepare("s", "SELECT 'y'")
        eq(a.run("s").one, "y", "anew")
        # And by the extended protocol.
        a.write(parse("", word), bind(), execute(), SYNC)
        eq(a.result().error, None, word)
        eq(a.ask(bind("", "s"), SYNC).code, "26000", "after " + word)
        eq(b.run("s").one, "x", "the other's")
        leave(a, b)
        w.balanced(o)
        upstreams(w, o, 1)
        w.stop()
        o.stop()


@case
def a_failed_parse_prepares_nothing():
    o, w, front = start()
    a, b = Client(front), Client(front)
    eq(a.ask(parse("s", "SELEKT"), SYNC).code, "42601", "Parse")
    eq(a.ask(bind("", "s"), SYNC).code, "26000", "Bind of it")
    eq(b.ask(parse("s", "SELEKT"), SYNC).code, "42601", "another's")
    a.prepare("s", "SELECT 'x'")
    eq(a.run("s").one, "x", "by the same name")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def an_error_inside_a_pipeline_undoes_what_follows():
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    a.prepare("old", "SELECT 'old'")
    a.write(parse("one", "SELECT 'one'"), parse("bad", "SELEKT"),
            parse("two", "SELECT 'two'"), close("S", "old"), SYNC,
            parse("three", "SELECT 'three'"), SYNC)
    eq([r.kinds for r in a.results(2)], ["1EZ", "1Z"], "answers")
    for name in ("one", "three", "old"):
        eq(a.run(name).one, name, name)
    for name in ("bad", "two"):
        eq(a.ask(bind("", name), SYNC).code, "26000", name)
    a.prepare("two", "SELECT 'two'")
    b.prepare("two", "SELECT 'two'")
    for c in (a, b):
        eq(c.run("two").one, "two", "two")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_error_of_a_shared_ones_prepare_is_seen_by_who_runs_it():
    """It is valid where it was prepared, and not on the other connection."""
    if DIRECT:
        return
    broken = []

    def before(session, m):
        if m.kind == "P" and session.number in broken:
            raise SqlError("42P01", "relation does not exist")
    o, w, front = start(before=before)
    a, b = Client(front), Client(front)
    a.prepare("s", "SELECT 'x'")
    b.ok("BEGIN")
    broken.append(2)
    got = a.ask(bind("", "s"), describe("P"), execute(), SYNC)
    eq((got.kinds, got.code), ("EZ", "42P01"), "on the other")
    broken.clear()
    eq(a.run("s").one, "x", "when it is well again")
    b.ok("COMMIT")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_name_that_is_taken_is_an_error():
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    a.prepare("s", "SELECT 'x'")
    got = a.ask(parse("s", "SELECT 'y'"), bind("", "s"), execute(), SYNC)
    eq((got.kinds, got.code), ("EZ", "42P05"), "the same name")
    check('"s"' in got.error["M"], "the message names it: %(M)s" % got.error)
    b.prove()
    eq(a.run("s").one, "x", "the first one's")
    a.ok("BEGIN")
    eq(a.ask(parse("s", "SELECT 'y'"), SYNC).status, "E",
       "in a transaction, that fails")
    a.ok("ROLLBACK")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_name_that_is_not_there_is_an_error():
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    for way in (bind("", "none"), describe("S", "none")):
        got = a.ask(way, execute(), SYNC)
        eq((got.kinds, got.code), ("EZ", "26000"), "answer")
        check("none" in got.error["M"], "it is named: %(M)s" % got.error)
    eq(a.ask(close("S", "none"), SYNC).kinds, "3Z", "Close")
    a.ok("BEGIN")
    eq(a.ask(bind("", "none"), SYNC).status, "E", "in a transaction")
    a.ok("ROLLBACK")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_unnamed_one_lasts_to_the_next_transaction():
    o, w, front = start()
    a, b = Client(front), Client(front)
    eq(a.ask(parse("", "SELECT $1"), SYNC).kinds, "1Z", "Parse")
    b.ok("BEGIN")
    eq(b.extended("SELECT 'of b'").one, "of b", "another's")
    eq(a.ask(bind("", "", "x"), execute(), SYNC).one, "x", "its own")
    b.ok("COMMIT")
    eq(a.ask(bind("", "", "y"), execute(), SYNC).one, "y", "its own")
    eq(b.ask(bind("", ""), execute(), SYNC).code, "26000",
       "behind a simple query there is none")
    a.prove()
    eq(a.ask(bind("", "", "z"), SYNC).code, "26000", "likewise")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_failed_parse_of_the_unnamed_one_leaves_none():
    o, w, front = start()
    a = Client(front)
    a.ask(parse("", "SELECT 'x'"), SYNC)
    a.ask(parse("", "SELEKT"), SYNC)
    eq(a.ask(bind(), SYNC).code, "26000", "after it")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def one_that_is_skipped_leaves_the_unnamed_one():
    """The server takes no notice of it; with the next batch on its way."""
    o, w, front = start()
    a = Client(front)
    for skipped in (parse("", "SELECT 'new'"), close("S", ""),
                    parse("", "SELECT 'new'") + bind() + execute(),
                    parse("", "SELECT 'a'") + parse("", "SELECT 'b'")):
        a.ask(parse("", "SELECT 'old'"), SYNC)
        a.write(bind("", "nix"), skipped, SYNC, bind(), execute(), SYNC)
        eq([(r.code, r.rows) for r in a.results(2)],
           [("26000", []), (None, [("old",)])], "the one before")
        a.write(bind("", "nix"), skipped, SYNC, parse("", "SELECT 'next'"),
                bind(), execute(), SYNC, bind(), execute(), SYNC)
        eq([r.rows for r in a.results(3)], [[], [("next",)], [("next",)]],
           "the next one")
    # The next batch's is the one that fails.
    a.write(bind("", "nix"), parse("", "SELECT 'new'"), SYNC,
            parse("", "SELEKT"), SYNC, bind(), SYNC)
    eq([r.code for r in a.results(3)], ["26000", "42601", "26000"], "errors")
    leave(a)
    w.balanced(o)


@case
def in_a_failed_transaction_nothing_is_prepared():
    """Also what the connection has already; but what ends it is."""
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    a.prepare("s", "SELECT 'x'").prepare("e", "ROLLBACK")
    b.write(query("BEGIN"), query("SELECT nix()"), parse("s", "SELECT 'x'"),
            SYNC, bind("", "s"), SYNC, query("ROLLBACK"),
            bind("", "s"), SYNC)
    eq([r.code for r in b.results(6)],
       [None, "42883", "25P02", "26000", None, "26000"], "in a pipeline")
    b.ok("BEGIN").fails("SELECT nix()", "42883")
    eq(b.ask(parse("s", "SELECT 'x'"), SYNC).code, "25P02", "alone")
    b.prepare("e", "ROLLBACK")
    eq(b.run("e").status, "I", "what ends it")
    b.write(query("BEGIN"), parse("s", "SELECT 'x'"), SYNC,
            bind("", "s"), execute(), SYNC, query("COMMIT"))
    eq([r.kinds for r in b.results(4)], ["CZ", "1Z", "2DCZ", "CZ"],
       "in one that has not")
    eq((a.run("s").one, b.run("s").one), ("x", "x"), "both")
    leave(a, b)
    w.balanced(o)


@case
def a_text_for_a_name_that_is_taken_fails_for_itself_first():
    o, w, front = start(pool="max = 1;", prepared=1)
    b = Client(front)
    for _ in range(3):
        a = Client(front)
        a.prepare("s", "SELECT 'x'")
        b.ask(parse("", "SELECT 'y'"), SYNC)
        eq(a.ask(parse("s", "SELEKT"), SYNC).code, "42601", "its text")
        eq(a.ask(parse("s", "SELECT nix()"), SYNC).code, "42883", "its words")
        got = a.ask(parse("s", "SELECT 'z'"), SYNC)
        eq(got.code, "42P05", "its name")
        check('"s"' in got.error["M"], "by its own name: %r" % got.error)
        a.ok("BEGIN").fails("SELECT nix()", "42883")
        eq(a.ask(parse("s", "SELECT 'z'"), SYNC).code, "25P02", "as all do")
        a.ok("ROLLBACK")
        eq(a.run("s").one, "x", "what it is")
        a.quit()
    leave(b)
    w.balanced(o)


@case
def closed_and_prepared_anew_it_is_the_new_one():
    o, w, front = start()
    a, b = Client(front), Client(front)
    b.prepare("s", "SELECT 'b'")
    for n in range(10):
        got = a.ask(parse("s", "SELECT '%d'" % n), bind("", "s"),
                    describe("S", "s"), execute(), close("S", "s"), SYNC)
        eq((got.kinds, got.one), ("12tTDC3Z", "%d" % n), "all at once")
    eq(b.run("s").one, "b", "the other's")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def large_texts_are_prepared_too():
    o, w, front = start()
    a, b = Client(front), Client(front)
    for n in (1000, 15000, 17000, 70000, 1000000):
        a.prepare("s%d" % n, "SELECT '%s'" % ("x" * n))
        b.ok("BEGIN")
        eq(len(a.run("s%d" % n).one), n, "named")
        b.ok("COMMIT")
        eq(len(a.extended("SELECT '%s'" % ("x" * n)).one), n, "unnamed")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_client_that_goes_takes_only_its_own_along():
    o, w, front = start(pool="max = 1;")
    b = Client(front)
    b.prepare("s", "SELECT 'x'")
    for _ in range(5):
        a = Client(front)
        a.prepare("s", "SELECT 'x'").prepare("t", "SELECT 'y'")
        a.quit()
        eq(b.run("s").one, "x", "who stays")
    eq(b.ask(bind("", "t"), SYNC).code, "26000", "who went's")
    leave(b)
    w.balanced(o)
    upstreams(w, o, 1)


run()
