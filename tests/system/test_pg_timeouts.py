"""How long a query may run and a transaction lie open; what weir ends it tells
the client of, and the connection is washed or closed, not handed on as it is.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, eq, run
from postgres import Client, bind, parse, query, through, upstreams
from postgres_origin import PgOrigin

SLEEP = query("SELECT pg_sleep(1)")


def start(times, pool="max = 1;"):
    o = PgOrigin()
    w = through(o, pool=pool, up="timeouts = { %s };" % times)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


@case
def a_query_that_takes_too_long_is_cancelled_and_its_client_lives_on():
    o, w, front = start('query = "100ms";')
    a, b = Client(front), Client(front)
    for _ in range(3):
        a.write(SLEEP)
        got = a.result()
        eq((got.code, got.status), ("57014", "I"), "the query")
        b.prove()
    eq(len(o.cancels), 3, "cancels")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def one_inside_of_a_transaction_fails_it():
    o, w, front = start('query = "100ms";')
    a = Client(front)
    a.ok("BEGIN", "SELECT 'a'")
    a.write(SLEEP)
    got = a.result()
    eq((got.code, got.status), ("57014", "E"), "the query")
    a.ok("ROLLBACK")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_server_that_does_not_cancel_loses_the_connection():
    o, w, front = start('query = "100ms"; connect = "200ms";')
    o.deaf = True
    a, b = Client(front), Client(front)
    a.write(SLEEP)
    m = a.read()
    eq((m.kind, m.value["V"]), ("E", "FATAL"), "what it is told")
    a.closed()
    a.close()
    o.deaf = False
    o.wake()
    leave(b)
    w.balanced(o)
    eq(w.stats()["listeners"][0]["failures_total"]["query_timeout"], 1,
       "query_timeout")
    upstreams(w, o, 2)


@case
def a_transaction_that_lies_open_is_rolled_back():
    o, w, front = start('transaction_idle = "100ms";')
    a, b = Client(front), Client(front)
    a.ok("CREATE TABLE t (x text)")
    a.ok("BEGIN", "INSERT INTO t VALUES ('x')")
    m = a.read()
    eq((m.kind, m.value["V"], m.value["C"]), ("E", "FATAL", "25P03"),
       "what it is told")
    a.closed()
    a.close()
    eq(b.query("TABLE t").rows, [], "what it had not committed")
    leave(b)
    w.balanced(o)
    eq(w.stats()["listeners"][0]["failures_total"]["transaction_idle"], 1,
       "transaction_idle")
    upstreams(w, o, 1)


@case
def one_that_is_at_work_does_not():
    o, w, front = start('transaction_idle = "300ms";')
    a = Client(front)
    a.ok("BEGIN")
    for _ in range(5):
        a.write(SLEEP)
        o.wait_for(1)
        o.wake()
        eq(a.result().error, None, "inside of it")
    a.ok("COMMIT")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


BODY = 'auth = "trust"; }; timeouts = { body = "300ms";'
LARGE = 40000                   # more than weir keeps without a connection


def stopped(first, *before):
    """A client stops inside of a message, of which first bytes have come, while
    another waits for its connection."""
    o = PgOrigin()
    w = through(o, pool="max = 1;", front=BODY)
    a, b = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    a.ok(*before)
    a.write(first)
    w.wait_pool(leased=1)
    b.write(query("SELECT 'b'"))
    m = a.read()
    eq((m.kind, m.value["V"], m.value["C"]), ("E", "FATAL", "08006"),
       "what it is told")
    a.closed()
    a.close()
    eq(b.result().one, "b", "of who waited")
    leave(b)
    w.balanced(o)
    eq(w.failures(), {"body_timeout": 1}, "failures")


@case
def who_stops_inside_of_a_large_message_loses_the_connection():
    # One that goes on as it comes, and one that waits for its end.
    stopped(query("SELECT '%s'" % ("x" * 300000))[:LARGE])
    stopped(query("SELECT '%s'" % ("x" * 100000))[:LARGE])
    stopped(parse("a", "SELECT '%s'" % ("x" * 100000))[:LARGE])
    stopped(bind("", "", "x" * 300000)[:LARGE], "BEGIN")


@case
def who_goes_on_does_not():
    o = PgOrigin()
    w = through(o, pool="max = 1;", front=BODY.replace("300ms", "10s"))
    a = Client(w.conf.ports["front"])
    text = query("SELECT '%s'" % ("x" * 400000))
    a.write(text[:LARGE])
    w.wait_pool(leased=1)
    a.write(text[LARGE:])
    eq(len(a.result().one), 400000, "bytes")
    leave(a)
    w.balanced(o)


@case
def who_has_said_everything_waits_as_long_as_it_takes():
    o = PgOrigin()
    w = through(o, pool="max = 2;", front=BODY)
    a, b = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    a.write(query("SELECT pg_sleep(1), '%s'" % ("x" * 300000)))
    o.wait_for(1)
    b.write(query("SELECT '%s'" % ("x" * 100000))[:LARGE])
    eq(b.read().kind, "E", "to one that stopped later")
    b.closed()
    b.close()
    o.wake()
    eq(a.result().error, None, "of the one that slept")
    leave(a)
    w.balanced(o)
    eq(w.failures(), {"body_timeout": 1}, "failures")


run()
