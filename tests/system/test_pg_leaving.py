"""Clients die wherever they are, servers too: what was under way is undone, the
next client of the connection sees nothing of it, and the books balance.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from postgres import (DIRECT, FLUSH, SYNC, Client, bind, describe, execute,
                      parse, query, through, token, upstreams)
from postgres_origin import PgOrigin, report

ENDS = ("close", "rst")
SLEEP = query("SELECT pg_sleep(1000)")


def start(pool="max = 1;", up="", **options):
    o = PgOrigin(**options)
    o.tables["t"] = []
    w = through(o, pool=pool, up=up)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


def gone(front, o, end, play):
    """A client that plays and ends; then the next one sees nothing of it."""
    a = Client(front)
    play(a)
    getattr(a, end)()
    b = Client(front)
    eq(b.query("TABLE t").rows, [], "what it had not committed")
    eq(b.setting("application_name"), "", "what it had set")
    b.ok("BEGIN")
    eq(b.status, "T", "a transaction of its own")
    eq(b.notices, [], "notices of another's transaction")
    b.ok("COMMIT")
    leave(b)


def each_end(play, most=None):
    for end in ENDS:
        o, w, front = start()
        for _ in range(5):
            gone(front, o, end, play)
        w.balanced(o)
        upstreams(w, o, most or 6)
        w.stop()
        o.stop()


@case
def dead_in_a_transaction_it_is_rolled_back():
    each_end(lambda a: a.ok("BEGIN", "INSERT INTO t VALUES ('x')",
                            "SET application_name = 'a'"))


@case
def dead_in_a_failed_one_too():
    each_end(lambda a: a.ok("BEGIN", "INSERT INTO t VALUES ('x')").fails(
        "SELECT error('22012')", "22012"))


@case
def dead_between_two_transactions_the_connection_stays():
    for end in ENDS:
        o, w, front = start()
        for _ in range(10):
            gone(front, o, end, Client.prove)
        w.balanced(o)
        upstreams(w, o, 1)
        w.stop()
        o.stop()


@case
def dead_in_the_middle_of_a_result():
    def play(a):
        a.write(query("SELECT generate_series(1, 30000)"))
        a.expect("TDDD")
    each_end(play)


@case
def dead_in_the_middle_of_a_row():
    def play(a):
        a.write(query("SELECT repeat('x', 2000000)"))
        a.expect("T")
        a.read_exact(100)
    each_end(play)


@case
def dead_in_the_middle_of_a_message():
    whole = parse("", "SELECT $1") + bind("", "", "v" * 100000) + execute()
    for at in (1, 5, 20, 60, 1000, len(whole) - 3, len(whole)):
        def play(a, at=at):
            a.ok("BEGIN", "INSERT INTO t VALUES ('x')")
            a.order = None
            a.send(whole[:at])
        o, w, front = start()
        for end in ENDS:
            gone(front, o, end, play)
        w.balanced(o)
        upstreams(w, o, 3)
        w.stop()
        o.stop()


@case
def dead_before_its_sync():
    def play(a):
        a.write(parse("", "INSERT INTO t VALUES ('x')"), bind(), execute(),
                FLUSH).expect("12C")
    each_end(play)


@case
def dead_behind_an_error_before_its_sync():
    def play(a):
        a.write(parse("", "SELEKT"), bind(), FLUSH)
        a.error("42601")
    each_end(play)


@case
def dead_with_a_pipeline_under_way():
    """The answers of all are swallowed."""
    def play(a):
        a.write(*(query("SELECT 'x'") for _ in range(100)))
        a.result()
    each_end(play)


@case
def dead_while_its_query_runs():
    """It is cancelled; nothing of it comes to the next."""
    if DIRECT:
        return
    for end in ENDS:
        o, w, front = start()
        a = Client(front)
        a.ok("BEGIN", "INSERT INTO t VALUES ('x')").write(SLEEP)
        o.wait_for(1)
        getattr(a, end)()
        b = Client(front)
        eq(b.query("TABLE t").rows, [], "what it had not committed")
        leave(b)
        w.balanced(o)
        upstreams(w, o, 2)
        w.stop()
        o.stop()


@case
def dead_while_it_waits_it_never_was():
    if DIRECT:
        return
    for end in ENDS:
        o, w, front = start()
        a, b = Client(front), Client(front)
        a.ok("BEGIN")
        t = token()
        b.write(query("SELECT '%s'" % t))
        w.wait_pool(waiting=1)
        getattr(b, end)()
        w.wait_pool(waiting=0)
        a.ok("COMMIT")
        leave(a)
        eq(o.seen("Q", t), 0, "its query at the server")
        w.balanced(o)
        upstreams(w, o, 1)
        w.stop()
        o.stop()


# ----------------------------------------------------------------- servers

@case
def a_server_that_dies_is_told_of_once_and_to_who_is_concerned():
    if DIRECT:
        return
    for rst in (False, True):
        o, w, front = start(pool="max = 3;")
        a, b, c = (Client(front) for _ in range(3))
        a.ok("BEGIN")
        b.ok("BEGIN")
        o.drop_all(rst)
        for one in (a, b):
            got = one.read()
            eq((got.kind, got.value["V"], got.value["C"]),
               ("E", "FATAL", "08006"), "what it is told")
            one.closed()
            one.close()
        c.prove()
        leave(c)
        w.balanced(o)
        upstreams(w, o, 3)
        w.stop()
        o.stop()


@case
def one_that_dies_under_a_query_is_told_of_too():
    if DIRECT:
        return
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.write(SLEEP)
    o.wait_for(1)
    o.drop_all()
    got = a.read()
    eq((got.kind, got.value["V"], got.value["C"]), ("E", "FATAL", "08006"),
       "what it is told")
    a.closed()
    a.close()
    leave(b)
    o.wake()
    w.balanced(o)
    upstreams(w, o, 2)


@case
def its_last_word_is_the_clients():
    """57P01 is passed on, once, and nothing behind it."""
    if DIRECT:
        return
    o, w, front = start()
    a, b = Client(front), Client(front)
    for ask in (query("SELECT fatal('57P01')"),
                parse("", "SELECT fatal('57P01')") + bind() + execute() +
                SYNC):
        c = Client(front)
        c.write(ask)
        while True:
            m = c.read()
            if m.kind == "E":
                break
            check(m.kind in "T12", "%r before it" % (m,))
        eq((m.value["V"], m.value["C"]), ("FATAL", "57P01"), "last word")
        c.closed()
        c.close()
        b.prove()
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 3)


@case
def idle_connections_that_a_server_closes_harm_nobody():
    if DIRECT:
        return
    for rst in (False, True):
        o, w, front = start(pool="max = 2;")
        a, b = Client(front), Client(front)
        for n in range(5):
            a.ok("BEGIN")
            b.prove()
            a.ok("COMMIT")
            w.wait_pool(idle=2)
            o.drop_all(rst)
            w.wait_pool(open=0)
            a.prove()
        leave(a, b)
        w.balanced(o)
        w.stop()
        o.stop()


@case
def idle_ones_that_take_their_leave_harm_nobody():
    """With 57P01 before the end, as a server does that is shut down."""
    if DIRECT:
        return
    o, w, front = start()
    a = Client(front)
    for _ in range(5):
        a.prove()
        w.wait_pool(idle=1)
        until(lambda: len(o.sessions) == 1, "the last one's end is heard of")
        for s in list(o.sessions.values()):
            s.send(report("E", "FATAL", "57P01", "shutting down"))
        w.wait_pool(open=0)
        a.prove()
    leave(a)
    w.balanced(o)
    upstreams(w, o, 6)


@case
def a_server_that_is_not_there_is_told_of_and_comes_back():
    if DIRECT:
        return
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.prove()
    o.refuse()
    o.drop_all()
    w.wait_pool(open=0)
    for ask in (query("SELECT 1"), parse("", "SELECT 1") + bind() +
                execute() + SYNC):
        got = a.ask(ask)
        check(got.kinds == "EZ" and got.code[:2] == "08" and
              got.error["V"] == "ERROR" and got.status == "I",
              "what it is told: %r" % got.error)
    o.listen()
    until(lambda: not a.ask(query("SELECT 1")).error, "that it is back")
    leave(a, b)
    w.balanced(o)


@case
def a_server_that_dies_in_the_middle_of_a_row():
    if DIRECT:
        return

    def before(session, m):
        if m.kind == "Q" and "torn" in m.value:
            session.send(b"T\0\0\0\6\0\0", b"D\0\0\0\x20\0\1\0\0")
            session.link.sock.shutdown(2)
            raise ConnectionError
    o, w, front = start(before=before)
    a, b = Client(front), Client(front)
    a.write(query("torn"))
    got = a.read_to_end()
    check(got[:7] == b"T\0\0\0\6\0\0", "what came: %r" % got)
    check(b"Z" not in got, "a ReadyForQuery: %r" % got)
    a.close()
    leave(b)
    w.balanced(o)
    upstreams(w, o, 2)


# ------------------------------------------------------------------ the queue

@case
def a_full_queue_is_told_of_and_the_client_lives_on():
    if DIRECT:
        return
    o, w, front = start(pool="max = 1; max_waiting = 1;")
    a, b, c = (Client(front) for _ in range(3))
    a.ok("BEGIN")
    b.write(query("SELECT 'b'"))
    w.wait_pool(waiting=1)
    for ask, kinds in ((query("SELECT 'c'"), "EZ"),
                       (parse("", "SELECT 'c'") + bind() + describe("P") +
                        execute() + SYNC, "EZ")):
        got = c.ask(ask)
        eq((got.kinds, got.code, got.error["V"], got.status),
           (kinds, "53300", "ERROR", "I"), "what it is told")
    # What follows in the same write is another request.
    c.write(query("SELECT 1"), query("SELECT 2"))
    eq([r.code for r in c.results(2)], ["53300"] * 2, "a pipeline")
    a.ok("COMMIT")
    eq(b.result().one, "b", "who waited")
    leave(a, b, c)
    eq(w.failures(), {"queue_full": 4}, "failures")
    w.balanced(o)
    upstreams(w, o, 1)


@case
def who_has_waited_long_enough_is_told_so():
    if DIRECT:
        return
    o, w, front = start(pool='max = 1; queue_timeout = "100ms";')
    a, b = Client(front), Client(front)
    a.ok("BEGIN")
    for _ in range(3):
        got = b.fails("SELECT 'b'", "53300")
        eq((got.kinds, got.status), ("EZ", "I"), "what it is told")
    a.ok("COMMIT")
    eq(w.failures(), {"queue_timeout": 3}, "failures")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_transaction_that_idles_too_long_ends():
    if DIRECT:
        return
    o, w, front = start(up='timeouts = { transaction_idle = "200ms"; };')
    a, b = Client(front), Client(front)
    a.ok("BEGIN", "INSERT INTO t VALUES ('x')")
    got = a.read()
    eq((got.kind, got.value["V"], got.value["C"]), ("E", "FATAL", "25P03"),
       "what it is told")
    a.closed()
    a.close()
    eq(b.query("TABLE t").rows, [], "what it had not committed")
    leave(b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_query_that_takes_too_long_is_cancelled():
    if DIRECT:
        return
    o, w, front = start(up='timeouts = { query = "200ms"; };')
    a = Client(front)
    got = a.fails("SELECT pg_sleep(1000)", "57014")
    eq(got.status, "I", "it lives on")
    a.ok("BEGIN")
    a.fails("SELECT pg_sleep(1000)", "57014")
    a.ok("ROLLBACK")
    eq(len(o.cancels), 2, "cancels at the server")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def weirs_own_end_is_taken_leave_of():
    if DIRECT:
        return
    o, w, front = start(pool="max = 2;")
    a, b = Client(front), Client(front)
    b.ok("BEGIN")
    w.signal(15)
    got = a.read()
    eq((got.kind, got.value["V"], got.value["C"]), ("E", "FATAL", "57P01"),
       "an idle one is told")
    a.closed()
    b.prove()           # it may end its transaction
    b.ok("COMMIT")
    eq(b.read().value["C"], "57P01", "and then")
    b.closed()
    eq(w.exited(), 0, "exit status")


@case
def it_is_taken_leave_of_at_drain_timeout_too():
    """In a transaction, and in one whose statement still runs."""
    if DIRECT:
        return
    o, w, front = start(pool="max = 3;")
    a, b, c = (Client(front) for _ in range(3))
    for one in (a, b):
        one.ok("BEGIN")
    c.ok("LISTEN ch")
    b.write(query("SELECT pg_sleep(1000)"))
    o.wait_for(1)
    w.signal(15)
    for one, at in ((c, "LISTEN"), (a, "BEGIN"), (b, "SELECT")):
        got = one.read()
        eq((got.kind, got.value["V"], got.value["C"]), ("E", "FATAL",
           "57P01"), "at " + at)
        one.closed("fin")
    eq(w.exited(), 0, "exit status")


run()
