"""Responses that have no body whatever they say, and ones with too much: the
next response begins at the right byte or the upstream connection is closed.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once
from wire import Client


def play(script):
    """An origin that answers /x by script, all else plainly; weir; client."""
    def handler(q, link):
        return script(q) if q.path == "/x" else answer(q, q.token)
    o = HttpOrigin(handler)
    w = Weir(one(o, pool="max = 1;"))
    return o, w, Client(w.conf.ports["front"])


def head(q, status, *fields):
    return ("HTTP/1.1 %d Text\r\nX-Conn: %d\r\nX-Nth: %d\r\n" %
            (status, q.conn, q.nth) + "".join(f + "\r\n" for f in fields) +
            "\r\n").encode()


@case
def head_with_a_length_keeps_it_and_the_connection():
    o, w, c = play(lambda q: head(q, 200, "Content-Length: 1000"))
    r = ask(c, "HEAD", "/x")
    eq((r.status, r.get("Content-Length")), (200, "1000"), "HEAD")
    r = ok(ask(c))
    eq((r.conn, r.nth), (1, 2), "who served next")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def head_with_chunked_keeps_the_connection():
    o, w, c = play(lambda q: head(q, 200, "Transfer-Encoding: chunked"))
    eq(ask(c, "HEAD", "/x").status, 200, "HEAD")
    eq(ok(ask(c)).nth, 2, "who served next")
    o.had(1)


@case
def status_204_and_304_with_a_length_have_no_body():
    for status, n in ((204, "5"), (304, "5000"), (304, "0")):
        o, w, c = play(lambda q: head(q, status, "Content-Length: " + n))
        r = ask(c, "GET", "/x")
        eq((r.status, r.body), (status, b""), "response")
        if status == 204:   # RFC 9110 8.6: MUST NOT send it in a 204
            eq(r.get("Content-Length"), None, "Content-Length in a 204")
        r = ok(ask(c))
        o.had(r.conn)
        check(not c.wants(), "bytes too many")
        c.close()
        w.balanced(o)


@case
def a_body_where_none_may_be_closes_the_connection():
    for status, method, fields in (
            (200, "HEAD", ["Content-Length: 4"]),
            (204, "GET", ["Content-Length: 4"]),
            (204, "GET", []),
            (304, "GET", ["Content-Length: 4"]),
            (200, "HEAD", ["Transfer-Encoding: chunked"])):
        body = b"4\r\nevil\r\n0\r\n\r\n" if "chunked" in str(fields) \
            else b"evil"
        o, w, c = play(lambda q: head(q, status, *fields) + body)
        r = ask(c, method, "/x")
        eq((r.status, r.body), (status, b""), "response")
        for _ in range(2):
            r = ok(ask(c))
            eq(r.conn, 2, "who served next (%d %s)" % (status, method))
        o.had(2)
        c.close()
        w.balanced(o)


@case
def a_body_that_comes_later_reaches_nobody():
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    o, w, c = play(lambda q: head(q, 204))
    eq(ask(c, "GET", "/x").status, 204, "response")
    w.wait_pool(idle=1)
    o.links[0].send(evil)
    w.wait_pool(open=0)
    eq(ok(ask(c)).conn, 2, "who served next")
    o.had(2)


@case
def two_responses_for_one_request_close_it():
    for second in (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
                   b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n", b"x"):
        o, w, c = play(lambda q: answer(q, "good") + second)
        eq(ok(ask(c, target="/x")).body, b"good", "first response")
        d = Client(w.conf.ports["front"])
        for client in (d, c):
            eq(ok(ask(client)).conn, 2, "who served next")
            check(not client.wants(), "bytes too many")
        o.had(2)
        c.close()
        d.close()
        w.balanced(o)


@case
def responses_that_are_ambiguous_are_a_502():
    for name, data in {
            "both": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"4\r\nevil\r\n0\r\n\r\n",
            "two_lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n"
            b"evil!",
            "signed_length": b"Content-Length: +4\r\n\r\nevil",
            "overflow": b"Content-Length: 18446744073709551620\r\n\r\nevil",
            "unknown_coding": b"Transfer-Encoding: gzip\r\n\r\nevil",
            "space_before_colon": b"Content-Length : 4\r\n\r\nevil",
            "folded": b"A: b\r\n c\r\nContent-Length: 4\r\n\r\nevil",
            "nul": b"A: \0\r\nContent-Length: 4\r\n\r\nevil",
            "no_colon": b"Abc\r\nContent-Length: 4\r\n\r\nevil"}.items():
        o, w, c = play(lambda q: b"HTTP/1.1 200 OK\r\n" + data)
        r = ask(c, target="/x")
        eq(r.status, 502, name)
        check(b"bad_response" in r.body, name + ": %r" % r.body)
        eq(w.failures(), {"bad_response": 1}, name)
        eq(ok(once(w.conf.ports["front"])).conn, 2, "who served next")
        o.had(2)
    for name, data in {"garbage": b"SSH-2.0-x\r\n\r\n",
                       "version": b"HTTP/3.0 200 OK\r\n\r\n",
                       "status": b"HTTP/1.1 20 OK\r\n\r\n",
                       "bare_lf": b"HTTP/1.1 200 OK\n\n",
                       "huge": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100000 +
                       b"\r\n\r\n"}.items():
        o, w, c = play(lambda q: data)
        eq(ask(c, target="/x").status, 502, name)
        o.had(1)


@case
def a_truncated_response_never_looks_whole():
    def cut(q):
        o.links[-1].send(head(q, 200, "Content-Length: 100") + b"z" * 50)
        return False
    o, w, c = play(cut)
    c.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    c.read_until(b"\r\n\r\n")
    eq(c.read_to_end(), b"z" * 50, "the part that came")
    o, w, c = play(lambda q: (o.links[-1].send(
        head(q, 200, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n"),
        False)[1])
    c.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    c.read_until(b"\r\n\r\n")
    check(not c.read_to_end().endswith(b"0\r\n\r\n"), "looks whole")
    w.wait_pool(open=0)
    o.had(1)


run()
