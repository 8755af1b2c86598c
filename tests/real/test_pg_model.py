"""The scripted PostgreSQL of the system tests behaves as a real one, in all that
those tests lean on; and the strict client reads what a real one says.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from postgres import (COPY_DONE, FLUSH, SYNC, Client, Postgres, bind, call,
                      close, copy_data, copy_fail, describe, execute, parse,
                      query)
from postgres_origin import PgOrigin


def both(play):
    """Let play(server, connect) happen at each of them."""
    for server in (PgOrigin(), Postgres()):
        def connect(**more):
            return Client(server.number, word="alice-word", **more)
        play(server, connect)
        until(lambda: server.open == 0, "connections closed")
        eq(server.errors, [], "what a script raised")


def asleep(server):
    """Until one query sleeps."""
    if isinstance(server, PgOrigin):
        server.wait_for(1)
    else:
        until(lambda: server.ask("SELECT count(*) FROM pg_stat_activity "
                                 "WHERE wait_event = 'PgSleep'").one == "1",
              "a query that sleeps")


@case
def settings():
    def play(server, connect):
        a = connect(application_name="me", options="-c extra_float_digits=3"
                    " -c search_path=a,b --work-mem=7MB")
        b = connect()
        for name, value in (("application_name", "me"),
                            ("extra_float_digits", "3"),
                            ("search_path", "a,b"), ("work_mem", "7MB")):
            eq(a.setting(name), value, name)
        a.ok("SET search_path = c", "RESET search_path")
        eq(a.setting("search_path"), "a,b", "after RESET")
        b.ok("BEGIN", "SET application_name = 'z'",
             "SET LOCAL DateStyle = 'German, DMY'")
        eq((b.parameters["application_name"], b.parameters["DateStyle"]),
           ("z", "German, DMY"), "reported in the transaction")
        b.ok("COMMIT")
        eq(b.parameters["DateStyle"], "ISO, MDY", "after COMMIT")
        b.ok("BEGIN", "SET application_name = 'y'", "ROLLBACK")
        eq(b.parameters["application_name"], "z", "after ROLLBACK")
        b.ok("DISCARD ALL")
        eq(b.parameters["application_name"], "", "after DISCARD ALL")
        b.fails("SET nonsense = 1", "42704")
        b.fails("SET client_encoding = 'nonsense'", "22023")
        b.ok("SET a.b = 'c'")
        eq(b.setting("a.b"), "c", "one of its own making")
        eq(b.one("SELECT pg_catalog.set_config(E'application_name',"
                 "E'a\\\\\\'b',false)"), "a\\'b", "set_config")
        b.ok('RESET "application_name"')
        a.quit()
        b.quit()
    both(play)


@case
def transactions():
    def play(server, connect):
        a, b = connect(), connect()
        check(a.where() == a.pid != b.where(), "processes")
        b.ok("CREATE TABLE t (x text)", "BEGIN",
             "INSERT INTO t VALUES ('q')")
        eq(b.status, "T", "status")
        eq(b.fails("SELECT pg_backend_pid(", "42601").status, "E", "status")
        b.fails("SELECT 1", "25P02")
        eq(b.query("COMMIT").tag, "ROLLBACK", "its end")
        eq(b.query("SELECT * FROM t").rows, [], "rows")
        b.ok("BEGIN", "BEGIN")
        eq(b.notices[-1]["C"], "25001", "a warning")
        b.ok("SAVEPOINT s").fails("SELECT nix()", "42883")
        eq(b.ok("ROLLBACK TO s").status, "T", "status")
        eq(b.query("END").tag, "COMMIT", "its end")
        eq(a.query("SELECT 'a'; SELECT 'b';").rows, [("a",), ("b",)],
           "two in one")
        eq(a.ask(query("SELECT 'a'; SELEKT")).kinds, "EZ", "a bad text")
        eq(a.ask(query("")).kinds, "IZ", "an empty one")
        eq(a.ask(call(1317, "abcd")).kinds, "VZ", "a function call")
        a.prove().quit()
        b.prove().quit()
    both(play)


@case
def extended_protocol():
    def play(server, connect):
        a = connect()
        a.prepare("s", "SELECT $1::text, 'x'")
        eq(a.run("s", "abc").rows, [("abc", "x")], "a row")
        eq(a.ask(describe("S", "s"), SYNC).kinds, "tTZ", "a statement")
        eq(a.ask(bind("p", "s", "1"), describe("P", "p"), execute("p"),
                 SYNC).kinds, "2TDCZ", "a portal")
        eq(a.ask(execute("p"), SYNC).code, "34000", "it has gone")
        eq(a.ask(parse("s", "SELECT 1"), SYNC).code, "42P05", "a name twice")
        eq(a.ask(bind("", "nix"), execute(), SYNC).code, "26000", "no name")
        a.prepare("e", "")
        eq(a.ask(bind("", "e"), describe("P"), execute(), SYNC).kinds,
           "2nIZ", "an empty one")
        a.write(parse("", "SELEKT"), bind(), execute(), SYNC,
                parse("", "SELECT 1"), bind(), execute(), SYNC)
        eq([r.kinds for r in a.results(2)], ["EZ", "12DCZ"], "two batches")
        a.write(parse("", "SELECT generate_series(1, 5)"), bind("c"),
                execute("c", 2), FLUSH)
        a.expect("12DDs")
        eq(a.ask(execute("c", 2), execute("c"), SYNC).kinds, "DDsDCZ",
           "a suspended portal")
        a.ok("PREPARE q AS SELECT 'qq'")
        eq((a.one("EXECUTE q"), a.run("q").one), ("qq", "qq"), "PREPARE")
        eq(a.query("DEALLOCATE ALL").tag, "DEALLOCATE ALL", "tag")
        a.fails("EXECUTE q", "26000")
        eq(a.ask(bind("", "s", "1"), SYNC).code, "26000", "it has gone")
        a.ask(parse("", "SELECT 1"), SYNC)
        a.prove()
        eq(a.ask(bind(), SYNC).code, "26000", "behind a simple query")
        a.prove().quit()
    both(play)


@case
def statements_that_fail_or_are_skipped():
    def play(server, connect):
        a = connect()
        a.ask(parse("", "SELECT 'old'"), SYNC)
        for skipped in (parse("", "SELECT 'new'"), close("S", "")):
            a.write(bind("", "nix"), skipped, SYNC, bind(), execute(), SYNC)
            eq([(r.code, r.rows) for r in a.results(2)],
               [("26000", []), (None, [("old",)])], "skipped, it is kept")
        a.ok("BEGIN")
        eq(a.ask(parse("", "SELEKT"), SYNC).code, "42601", "a bad text")
        eq(a.ask(bind(), SYNC).code, "26000", "it has gone")
        a.ok("ROLLBACK").prepare("s", "SELECT 's'")
        for text, code in (("SELEKT", "42601"), ("SELECT nix()", "42883"),
                           ("SELECT 'z'", "42P05")):
            eq(a.ask(parse("s", text), SYNC).code, code, "a name twice")
        a.ok("BEGIN").fails("SELECT nix()", "42883")
        for name in ("", "s", "new"):
            eq(a.ask(parse(name, "SELECT 'z'"), SYNC).code, "25P02",
               "in a failed transaction")
        eq(a.ask(bind("", "s"), SYNC).code, "25P02", "a Bind")
        eq(a.ask(bind("", "nix"), SYNC).code, "26000", "of none")
        eq(a.ask(bind(), SYNC).code, "26000", "of no unnamed one")
        eq(a.ask(close("S", "nix"), SYNC).kinds, "3Z", "a Close")
        a.prepare("e", "ROLLBACK")
        eq(a.run("e").status, "I", "what ends it")
        eq(a.run("s").one, "s", "what it was")
        a.prove().quit()
    both(play)


@case
def dead_before_its_sync_it_is_undone():
    def play(server, connect):
        a, b = connect(), connect()
        b.ok("CREATE TABLE t (x text)")
        a.write(parse("", "INSERT INTO t VALUES ('x')"), bind(), execute(),
                FLUSH).expect("12C")
        a.close()
        until(lambda: server.open == 1, "its end")
        eq(b.query("SELECT * FROM t").rows, [], "rows")
        b.quit()
    both(play)


@case
def copy():
    def play(server, connect):
        a = connect()
        if isinstance(server, Postgres):
            a.ok("CREATE DOMAIN good AS text CHECK (value <> 'bad')")
        a.ok("CREATE TABLE t (x %s)" % (
            "good" if isinstance(server, Postgres) else "text"))
        begin = query("COPY t FROM STDIN")
        batch = parse("", "COPY t FROM STDIN") + bind() + execute()
        a.write(begin).expect("G")
        eq(a.ask(copy_data("x\ny"), copy_data("\n"), COPY_DONE).tag,
           "COPY 2", "its end")
        eq(a.query("COPY t TO STDOUT").copied, b"x\ny\n", "what came out")
        a.write(begin, copy_data("x\n"), copy_fail("no"), query("SELECT 1"))
        eq([r.kinds for r in a.results(2)], ["GEZ", "TDCZ"], "a failed one")
        a.write(batch, FLUSH).expect("12G")
        eq(a.ask(copy_data("bad\nz\n"), copy_data("z\n" * 100000), COPY_DONE,
                 SYNC).kinds, "EZ", "a refused one")
        eq(a.ask(batch, copy_data("z\n"), COPY_DONE, SYNC).kinds, "12GCZ",
           "all in one write")
        a.write(batch, SYNC).expect("12G")
        eq(a.ask(copy_data("z\n"), COPY_DONE, SYNC).kinds, "CZ",
           "a Sync that is taken for nothing")
        a.write(begin).expect("G")
        eq(a.ask(copy_data("bad\n"), COPY_DONE).kinds, "EZ", "late CopyDone")
        a.prove().quit()
    both(play)


@case
def session_state():
    def play(server, connect):
        a, b = connect(), connect()
        a.ok("LISTEN x")
        b.ok("NOTIFY x, 'hi'")
        eq(a.notification(), (b.pid, "x", "hi"), "notification")
        a.ok("UNLISTEN *")
        eq(a.one("SELECT pg_try_advisory_lock(1)"), "t", "a lock")
        eq(b.one("SELECT pg_try_advisory_lock(1)"), "f", "another's")
        eq(b.one("SELECT pg_advisory_unlock(1)"), "f", "another's")
        a.ok("SELECT pg_advisory_unlock_all()")
        eq(b.one("SELECT pg_try_advisory_lock(1)"), "t", "when it is free")
        b.ok("DISCARD ALL")
        eq(a.one("SELECT pg_try_advisory_lock(1)"), "t", "after DISCARD")
        a.ok("BEGIN", "DECLARE h CURSOR WITH HOLD FOR SELECT "
             "generate_series(1, 4)", "COMMIT")
        eq(a.query("FETCH 2 FROM h").rows, [("1",), ("2",)], "WITH HOLD")
        eq(a.query("CLOSE h").tag, "CLOSE CURSOR", "tag")
        b.ok("CREATE TEMP TABLE tt (x text)", "INSERT INTO tt VALUES ('1')")
        a.fails("SELECT * FROM tt", "42P01")
        eq(b.query("TABLE tt").rows, [("1",)], "a temporary table")
        b.ok("DISCARD TEMP").fails("TABLE tt", "42P01")
        a.quit()
        b.quit()
    both(play)


@case
def cancelling():
    def play(server, connect):
        a, b = connect(), connect()
        b.write(query("SELECT pg_sleep(1000)"))
        asleep(server)
        a.cancel(b.pid, bytes(4) if b.key != bytes(4) else b"\1\1\1\1")
        check(not b.wants(), "an answer")
        a.cancel(b.pid, b.key)
        eq(b.result().code, "57014", "cancelled")
        b.prove().cancel()
        b.prove()
        a.quit()
        b.quit()
    both(play)


run()
