"""What is never pooled: responses that end by closing, HTTP/1.0 origins and
upgrades, which become a tunnel only after a 101 that was asked for.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, read_response, request
from wire import Client


def front(w):
    return Client(w.conf.ports["front"])


@case
def response_that_ends_at_close():
    def handler(q, link):
        link.send("HTTP/1.1 200 OK\r\nX-Conn: %d\r\n\r\n" % q.conn)
        link.send(b"y" * 300000)
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o))
    for n in (1, 2):
        c = front(w)
        r = ok(ask(c))
        eq((r.conn, len(r.body)), (n, 300000), "response")
        if r.chunked:       # then the end is marked and the client goes on
            eq(ok(ask(c)).conn, 2, "same client again")
            break
        eq(c.ended, "fin", "its end")
        c.close()
    o.had(2)
    w.wait_pool(open=0)


@case
def response_that_ends_at_close_to_an_http_1_0_client():
    def handler(q, link):
        link.send("HTTP/1.1 200 OK\r\n\r\nall of it")
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = front(w)
    r = ok(ask(c, minor=0))
    eq((r.chunked, r.body, c.ended), (False, b"all of it", "fin"), "end")
    o.had(1)


@case
def response_that_ends_by_reset_does_not_look_whole():
    def handler(q, link):
        link.send("HTTP/1.1 200 OK\r\n\r\npart of it")
        while not cut:
            link.origin.ending.wait(0.005)
        link.rst()
        return False
    cut = []
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = front(w).send(request())
    c.read_until(b"\r\n\r\n")
    c.read_until(b"part of it")
    cut.append(1)
    rest = c.read_to_end()
    check(not rest.endswith(b"0\r\n\r\n"), "the last chunk came")
    check(c.ended == "rst" or b"chunked" not in rest, "orderly end")
    o.had(1)


@case
def http_1_0_origin_is_not_reused():
    for fields in ("", "Connection: keep-alive\r\n"):
        def handler(q, link):
            link.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n" + fields +
                      "X-Conn: %d\r\n\r\nok" % q.conn)
            return False
        o = HttpOrigin(handler)
        w = Weir(one(o))
        c = front(w)
        for n in (1, 2, 3):
            eq(ok(ask(c)).conn, n, "who served")
        o.had(3)
        c.close()
        w.balanced(o)


@case
def connection_close_from_the_origin_is_obeyed():
    def handler(q, link):
        link.send(answer(q, "bye", fields=[("Connection", "close")]))
        link.limit = None
        return None         # and stays open: weir must close, not reuse
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = front(w)
    for n in (1, 2, 3):
        r = ok(ask(c))
        eq((r.conn, r.nth), (n, 1), "who served")
        check((r.get("Connection") or "") != "close", "passed on")
    o.had(3)
    w.wait_pool(open=0)


def upgrading(q, link):
    """Says 101 to who asks for "echo", then echoes, upper case."""
    if (q.get("Upgrade") or "").lower() != "echo" or \
            (q.get("Connection") or "").lower() != "upgrade":
        return answer(q, "plain")
    link.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
              "Connection: Upgrade\r\nX-Conn: %d\r\n\r\nwelcome;" % q.conn)
    link.limit = None
    while True:
        if link.buf:
            link.send(link.take(len(link.buf)).upper())
        if not link.more():
            link.send("<end>")
            return False


ASK = [("Connection", "Upgrade"), ("Upgrade", "echo")]


@case
def upgrade_becomes_a_tunnel_in_both_directions():
    o = HttpOrigin(upgrading)
    w = Weir(one(o))
    c = front(w)
    c.send(request(fields=ASK))
    r = read_response(c)
    eq((r.status, r.get("Upgrade")), (101, "echo"), "101")
    eq((r.get("Connection") or "").lower(), "upgrade", "Connection")
    eq(c.read_exact(8), b"welcome;", "bytes right behind the 101")
    for n in range(50):
        c.send("ping %d GET / HTTP/1.1\r\n\r\n;" % n)
        eq(c.read_until(b";"), b"PING %d GET / HTTP/1.1\r\n\r\n;" % n, "echo")
    eq(w.pool()["leased"], 1, "leased while tunnelled")
    data = b"b" * (4 << 20)
    t = threading.Thread(target=c.send, args=(data,), daemon=True)
    t.start()
    eq(len(c.read_exact(len(data))), len(data), "much")
    t.join()
    c.shut()
    eq(c.read_to_end(), b"<end>", "half-close in the tunnel")
    c.close()
    o.had(1)
    w.wait_pool(open=0)
    w.balanced(o)


@case
def bytes_sent_before_the_101_go_into_the_tunnel_or_are_refused():
    # RFC 9931: weir may hold them until the 101, never read them as a
    # request of its own making.
    o = HttpOrigin(upgrading)
    w = Weir(one(o))
    c = front(w)
    c.send(request(fields=ASK) + b"early")
    r = read_response(c)
    if r.status == 101:
        eq(c.read_exact(8 + 5), b"welcome;EARLY", "order")
    eq(o.requests, 1, "requests upstream")
    check(o.accepted <= 1, "upstream connections: %d" % o.accepted)


@case
def upgrade_that_is_declined_goes_on_as_http():
    o = HttpOrigin(lambda q, link: answer(q, "no, thanks"))
    w = Weir(one(o))
    c = front(w)
    for nth in (1, 2):
        r = ok(ask(c, fields=ASK))
        eq((r.nth, r.body), (nth, b"no, thanks"), "declined")
    eq(o.seen[0].get("Upgrade"), "echo", "Upgrade upstream")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def a_101_that_nobody_asked_for_is_a_502():
    def handler(q, link):
        link.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
                  "Connection: Upgrade\r\n\r\nevil")
        return None
    for fields in ([], [("Upgrade", "echo")]):
        o = HttpOrigin(handler)
        w = Weir(one(o))
        c = front(w)
        r = ask(c, fields=fields)
        eq(r.status, 502, "status")
        check(b"evil" not in r.body, "tunnelled")
        eq(w.failures(), {"bad_response": 1}, "failures")
        w.wait_pool(open=0)
        o.had(1)


@case
def h2c_upgrade_is_not_forwarded():
    o = HttpOrigin()
    w = Weir(one(o))
    c = front(w)
    ok(ask(c, fields=[("Connection", "Upgrade, HTTP2-Settings"),
                      ("Upgrade", "h2c"),
                      ("HTTP2-Settings", "AAMAAABkAAQAAP__")]))
    q, = o.seen
    for name in ("upgrade", "http2-settings"):
        check(name not in q.names(), "%s upstream: %r" % (name, q.raw))
    check("upgrade" not in (q.get("Connection") or "").lower(), "Connection")
    # Named among others, only h2c goes.
    ok(ask(c, fields=[("Connection", "Upgrade"),
                      ("Upgrade", "websocket, h2c")]))
    check("h2c" not in (o.seen[1].get("Upgrade") or ""), "h2c in a list")
    o.had(1)


@case
def tunnel_ends_when_silent_and_when_the_origin_ends():
    o = HttpOrigin(upgrading)
    w = Weir(one(o, up='timeouts = { tunnel = "300ms"; };'))
    c = front(w)
    c.send(request(fields=ASK))
    eq(read_response(c).status, 101, "101")
    c.read_to_end()
    w.wait_pool(open=0)
    until(lambda: o.open == 0, "the upstream side ends")
    o.had(1)
    c.close()
    w.balanced(o)


run()
