"""A server that says what it may not: its connection is closed, who waits for it
is told, and nobody else sees a byte of it.
"""
# SPDX-License-Identifier: MIT
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (DIRECT, SYNC, Client, SqlError, bind, describe, execute,
                      message, parse, query, through, upstreams)
from postgres_origin import (PgOrigin, columns, complete, ready, report, row)

# What it says in the place of an answer, when it is asked HOSTILE.
LENGTHS = [b"D" + struct.pack("!I", n) for n in
           (0, 1, 3, 1 << 31, (1 << 32) - 1)]


def start(answer, pool="max = 2;"):
    """answer: bytes that are the answer to the query HOSTILE."""
    def before(session, m):
        if m.kind in "QP" and "HOSTILE" in repr(m.value):
            session.send(answer)
            session.link.limit = None
            while session.link.more():      # weir closes
                session.link.buf.clear()
            raise ConnectionError
    o = PgOrigin(before=before)
    w = through(o, pool=pool)
    return o, w, w.conf.ports["front"]


def hostile(answer, ask=query("SELECT 'HOSTILE'"), seen=None):
    """Who asked is told and loses its connection; others see nothing."""
    o, w, front = start(answer)
    a, b = Client(front), Client(front)
    b.prove()
    a.send(ask)
    a.order = None
    got = a.read_to_end()
    text = "%r is answered %r" % (answer[:60], got[-200:])
    check(b"SFATAL\0" in got and (b"C08P01\0" in got or
                                  b"C08006\0" in got), text)
    if seen is not None:
        check(got.startswith(seen), text)
    a.close()
    for _ in range(3):
        b.prove()
    b.quit()
    w.balanced(o)
    upstreams(w, o, 2, 2)
    w.stop()
    o.stop()


BATCH = parse("", "SELECT 'HOSTILE'") + bind() + describe("P") + \
    execute() + SYNC
T = columns("x")
D = row("x")
C = complete("SELECT 1")
Z = ready("I")
E = report("E", "ERROR", "22012", "no")


@case
def lengths_that_are_none():
    if DIRECT:
        return
    for bad in LENGTHS:
        hostile(T + bad, seen=T)
        hostile(bad, BATCH)


@case
def types_that_are_none():
    if DIRECT:
        return
    for kind in ("\0", "q", "Q", "R", "K", "p", "x", "v", "\x7f"):
        hostile(T + message(kind, b"\0\0\0\0"))
    hostile(T + b"\xff\0\0\0\4")


@case
def answers_that_are_not_due():
    if DIRECT:
        return
    for bad in (message("1"), message("2"), message("3"), message("s"),
                message("t", b"\0\0"), message("n"),
                message("V", b"\xff\xff\xff\xff")):
        hostile(bad)
        hostile(T + bad, seen=T)
    for bad in (D, T, C, Z, message("2"), message("3"), message("I"),
                message("n"), message("s"), message("V", b"\xff\xff\xff\xff"),
                message("1") + message("1"), message("1") + D,
                message("1") + message("2") + D,
                message("1") + message("2") + T + T,
                message("1") + message("2") + T + D + Z):
        hostile(bad, BATCH)


@case
def a_ready_for_query_that_is_none():
    if DIRECT:
        return
    for bad in (b"Z\0\0\0\4", b"Z\0\0\0\6II", ready("X"), ready("\0"),
                b"Z\x7f\0\0\0I"):
        hostile(T + D + C + bad, seen=T + D + C)


@case
def two_of_them_for_one():
    """The second one may come when the connection is nobody's, or another's
    by then: it is closed, and no answer is ever shifted."""
    if DIRECT:
        return
    for more in (Z, Z + T + D + C + Z, D, C + Z, E, E + Z, message("1"),
                 message("X"), b"\0"):
        twice(T + D + C + Z + more)


def twice(answer):
    o, w, front = start(answer)
    a, b = Client(front), Client(front)
    a.order = None
    a.send(query("SELECT 'HOSTILE'"))
    got = a.read_exact(len(T + D + C + Z))
    eq(got, T + D + C + Z, "the answer itself")
    for _ in range(3):
        b.prove()
    # a may have been told that its connection is lost; if not it lives.
    a.close()
    b.quit()
    w.balanced(o)
    upstreams(w, o, 3, 2)
    w.stop()
    o.stop()


@case
def unasked_rows_on_an_idle_connection():
    if DIRECT:
        return
    for bad in (D, T + D + C + Z, Z, C, E, message("1"), b"\0", b"HTTP/1.1 ",
                message("A", b"\0\0\0\1ch\0x\0"), *LENGTHS):
        o, w, front = start(b"")
        a, b = Client(front), Client(front)
        a.prove()
        w.wait_pool(idle=1)
        for s in list(o.sessions.values()):
            s.send(bad)
        if bad[:1] != b"A":
            w.wait_pool(open=0)
        for c in (b, a, b):
            c.prove()
            eq(c.notified, [], "notifications")
        a.quit()
        b.quit()
        w.balanced(o)
        upstreams(w, o, 2)
        w.stop()
        o.stop()


@case
def notices_and_parameters_on_an_idle_one_are_fine():
    if DIRECT:
        return
    o, w, front = start(b"")
    a = Client(front)
    a.prove()
    w.wait_pool(idle=1)
    for s in list(o.sessions.values()):
        s.send(report("N", "NOTICE", "00000", "hi"),
               message("S", b"in_hot_standby\0on\0"))
    for _ in range(3):
        a.prove()
    a.quit()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def reports_that_are_malformed():
    if DIRECT:
        return
    for bad in (message("E"), message("E", b"SERROR"), message("S", b"x"),
                message("S", b"x\0y"), message("S", b"x\0y\0z"),
                message("E", b"S" + b"x" * 300000 + b"\0\0"),
                message("C", b""), message("C", b"SELECT 1")):
        hostile(T + bad, seen=T)


# ------------------------------------------------------------------- logins

def login(script, wanted="08", fails=True):
    """A server that plays script instead of a login."""
    o = PgOrigin(greet=script)
    w = through(o, up='timeouts = { connect = "500ms"; };')
    front = w.conf.ports["front"]
    c = Client(front, login=False)
    try:
        c.login()
        check(not fails, "it was let in")
        c.quit()
    except SqlError as e:
        check(fails and e.report["V"] == "FATAL" and
              e.code.startswith(wanted), "%r" % e.report)
        c.closed()
        c.close()
    w.balanced(o)
    w.stop()
    o.stop()


OK = message("R", b"\0\0\0\0")
KEY = message("K", b"\0\0\0\1keys")


def says(*messages):
    def script(session, code, body):
        session.send(*messages)
        session.link.limit = None
        while session.link.more():
            session.link.buf.clear()
    return script


@case
def logins_that_are_none():
    if DIRECT:
        return
    for bad in ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), (b"N",), (b"S",),
                (Z,), (KEY, Z), (OK, D), (OK, KEY, ready("T")),
                (OK, KEY, ready("E")), (OK, KEY, T),
                (OK, message("K", b"\0\0\0\1abc"), Z),
                (OK, message("K", b"\0\0\0\1" + b"k" * 257), Z),
                (message("R", b"\0\0\0"),), (message("R", b"\0\0\0\x63"),),
                (message("R", b"\0\0\0\x0cv=x"),),
                (message("R", b"\0\0\0\x0br=x,s=eA==,i=1"),),
                (message("R", b"\0\0\0\x0aPLAIN\0\0"),),
                (b"R\0\0\0\0",), (b"R\0\0\0\3",), (b"R\x80\0\0\0",),
                (b"R\xff\xff\xff\xff",), (b"E\0\x10\0\0S",),
                (OK, message("S", b"x\0")),
                (OK, message("S", b"x" * 70000 + b"\0y\0"))):
        login(says(*bad), "")


@case
def a_login_that_never_ends_is_given_up():
    if DIRECT:
        return
    for part in ((), (OK,), (OK, KEY), (OK[:3],)):
        login(says(*part), "08")


@case
def what_a_server_refuses_is_passed_on():
    if DIRECT:
        return
    for code in ("28000", "3D000", "53300", "57P03"):
        login(says(report("E", "FATAL", code, "not you")), code)


@case
def a_login_in_pieces_is_one():
    if DIRECT:
        return

    def script(session, code, body):
        session.link.send_pieces(
            OK + message("S", b"server_version\0" b"15.0\0") +
            message("N", b"SNOTICE\0VNOTICE\0C00000\0Mhi\0\0") + KEY + Z)
        session.link.limit = None
        while session.link.more():
            session.link.buf.clear()
    login(script, fails=False)


run()
