"""Peers that send a byte at a time, each well within every pause that is
allowed: what has a time in all ends then, what has a pause goes on.
"""
# SPDX-License-Identifier: MIT
import os
import select
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, run, until
from origin import Origin
from weir import Weir, one
from web import (HttpOrigin, answer, ask, ok, once, read_response, refused,
                 request)
from wire import Client

# A limit, and the pause between bytes: far below it.
MS = int(600 * SLOW)
PAUSE = MS / 1000 / 8
ENDLESS = b"x" * 100000


def drip(wire, data):
    """Byte by byte until all is sent or the peer speaks or ends; how many."""
    sent = 0
    for byte in data:
        if select.select([wire.sock], [], [], PAUSE)[0]:
            break
        try:
            wire.send(bytes([byte]))
        except OSError:
            break
        sent += 1
        check(sent < 4000, "it goes on for ever")
    return sent


def dripper(start, data=ENDLESS):
    """An origin that says start at once and the rest in drops."""
    def handler(q, link):
        if q.path == "/":
            return answer(q)
        link.send(start)
        drops.append(drip(link, data))
        return False
    drops = []
    o = HttpOrigin(handler)
    o.drops = drops
    return o


def serves_on(w, o):
    # On a busy machine the origin itself may take longer than is allowed.
    until(lambda: once(w.conf.ports["front"]).status == 200, "it serves on")
    w.wait_pool(leased=0, waiting=0)


# ------------------------------------------------------------- the origin


def head_drips(start, drops):
    o = dripper(start, drops)
    w = Weir(one(o, up='timeouts = { response = "%dms"; };' % MS))
    c = Client(w.conf.ports["front"])
    refused(ask(c, target="/drip"), 504, "response_timeout")
    eq(w.failures(), {"response_timeout": 1}, "failures")
    serves_on(w, o)
    c.close()
    w.balanced(o)


@case
def head_of_an_answer_has_a_time_in_all():
    head_drips(b"", b"HTTP/1.1 200 OK\r\nX: " + ENDLESS)
    head_drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 20000)


@case
def interim_answers_do_not_renew_it():
    def handler(q, link):
        if q.path == "/":
            return answer(q)
        for _ in range(90):
            time.sleep(PAUSE)
            link.send("HTTP/1.1 103 Early Hints\r\n\r\n")
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o, up='timeouts = { response = "%dms"; };' % MS))
    c = Client(w.conf.ports["front"])
    refused(ask(c, target="/drip"), 504, "response_timeout")
    c.close()
    eq(w.failures(), {"response_timeout": 1}, "failures")
    serves_on(w, o)
    w.balanced(o)


@case
def body_of_an_answer_has_none_but_total():
    """stall is a pause: drops do not stall. total ends it all the same."""
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    o = dripper(start)
    w = Weir(one(o, up='timeouts = { stall = "%dms"; total = "%dms"; };' % (
        MS, 2 * MS)))
    c = Client(w.conf.ports["front"]).send(request(target="/drip"))
    got = c.read_to_end()
    check(got.startswith(b"HTTP/1.1 200") and b"xxx" in got, repr(got[:200]))
    check(len(got) < 50000, "it looks whole")
    eq(w.failures(), {"total_timeout": 1}, "failures")
    serves_on(w, o)
    w.balanced(o)


@case
def chunked_body_likewise_also_within_a_size_line():
    for start, drops in (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
             b"1\r\nx\r\n" * 20000),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;",
             ENDLESS)):
        o = dripper(start, drops)
        w = Weir(one(o, up='timeouts = { stall = "%dms"; total = "%dms"; };'
                     % (MS, 2 * MS)))
        c = Client(w.conf.ports["front"]).send(request(target="/drip"))
        got = c.read_to_end()
        check(not got.endswith(b"0\r\n\r\n"), "it looks whole: %r" % got)
        eq(sum(w.failures().values()), 1, "failures")
        serves_on(w, o)


@case
def total_counts_every_try_and_every_wait():
    """No connection is free, then a head that does not end: one time."""
    o = dripper(b"HTTP/1.1 200 OK\r\nX: ")
    w = Weir(one(o, pool='max = 1; queue_timeout = "1h";',
                 up='timeouts = { response = "1h"; total = "%dms"; };' % MS))
    clients = [Client(w.conf.ports["front"]) for _ in range(3)]
    for c in clients:
        ok(ask(c))
    # They ask in the same moment: nobody has time left when others end.
    w.signal(signal.SIGSTOP)
    for c in clients:
        c.send(request(target="/drip"))
    w.signal(signal.SIGCONT)
    for c in clients:
        refused(read_response(c), 504, "total_timeout")
        c.close()
    eq(w.failures(), {"total_timeout": 3}, "failures")
    check(o.requests < 3 + 3, "all were sent: %d" % (o.requests - 3))
    serves_on(w, o)
    w.balanced(o)


# ------------------------------------------------------------- the client


@case
def head_of_a_request_has_a_time_in_all():
    o = HttpOrigin()
    w = Weir(one(o, front='timeouts = { header = "%dms"; idle = "1h"; };' %
                 MS))
    for before in (0, 2):
        c = Client(w.conf.ports["front"])
        for _ in range(before):
            ok(ask(c))
        drip(c, b"GET / HTTP/1.1\r\nX: " + ENDLESS)
        r = read_response(c)
        eq(r.status, 408, "status")
        c.close()
    eq(w.failures(), {"header_timeout": 2}, "failures")
    serves_on(w, o)
    eq(o.requests, 3, "requests upstream")


@case
def empty_lines_before_a_request_are_not_a_way_to_stay():
    """RFC 9112 2.2 lets a server ignore one; not a client live off them."""
    o = HttpOrigin()
    w = Weir(one(o, front='timeouts = { header = "%dms"; idle = "%dms"; };' %
                 (MS, MS)))
    c = Client(w.conf.ports["front"])
    drip(c, b"\r\n" * 50000)
    c.read_to_end()
    check(c.ended, "it is still there")
    serves_on(w, o)
    eq(o.requests, 1, "requests upstream")


@case
def body_of_a_request_has_a_time_for_each_64_kib():
    for head, drops in (
            ([("Content-Length", "100000")], ENDLESS),
            ([("Transfer-Encoding", "chunked")], b"1\r\nx\r\n" * 20000),
            ([("Transfer-Encoding", "chunked")], b"4;" + ENDLESS)):
        o = HttpOrigin()
        w = Weir(one(o, front='timeouts = { body = "%dms"; };' % MS))
        c = Client(w.conf.ports["front"]).send(request("POST", "/", head))
        drip(c, drops)
        r = read_response(c, "POST")
        check(r.status in (408, 400), "status %d" % r.status)
        c.close()
        eq(sum(w.failures().values()), 1, "failures")
        eq(o.requests, 0, "whole requests upstream")
        serves_on(w, o)
        w.balanced(o)


@case
def a_waiter_that_drips_is_still_refused_by_the_queue():
    o = HttpOrigin(lambda q, link: link.hold() if q.path == "/hold"
                   else answer(q))
    w = Weir(one(o, pool='max = 1; queue_timeout = "%dms";' % MS))
    holder = Client(w.conf.ports["front"]).send(request(target="/hold"))
    w.wait_pool(leased=1)
    c = Client(w.conf.ports["front"]).send(
        request("POST", "/", [("Content-Length", "100000")]))
    drip(c, ENDLESS)
    refused(read_response(c, "POST"), 503, "queue_timeout")
    c.close()
    holder.rst()
    w.wait_pool(leased=0, waiting=0)


@case
def client_that_reads_in_drops_is_not_cut_while_it_reads():
    body = os.urandom(1 << 20)
    o = HttpOrigin(lambda q, link: answer(q, body))
    w = Weir(one(o, up='timeouts = { stall = "%dms"; };' % MS))
    c = Client(w.conf.ports["front"], rcvbuf=8192).send(request())
    begin = time.monotonic()
    # Slow for longer than stall, then as fast as it goes.
    while time.monotonic() - begin < 3 * MS / 1000:
        c.buf += c.sock.recv(1024)
        time.sleep(PAUSE)
    eq(ok(read_response(c)).body == body, True, "the body")
    c.close()
    eq(w.failures(), {}, "failures")
    w.balanced(o)


# ------------------------------------------------------------- raw sessions


@case
def tunnel_lives_on_drops_in_one_direction_and_ends_in_silence():
    for speaker in ("client", "server"):
        ends = []

        def script(link):
            link.read_exact(1)
            if speaker == "server":
                for _ in range(20):
                    time.sleep(PAUSE)
                    link.send("s")
            link.read_to_end()
            ends.append(link.received)
        o = Origin(script)
        w = Weir(one(o, protocol="tcp",
                     up='timeouts = { tunnel = "%dms"; };' % MS))
        c = Client(w.conf.ports["front"]).send("c")
        if speaker == "client":
            for _ in range(20):
                time.sleep(PAUSE)
                c.send("c")
        got = c.read_to_end()
        eq(got, b"" if speaker == "client" else b"s" * 20, "what came")
        until(lambda: ends, "the server's end")
        eq(ends, [21 if speaker == "client" else 1], "what went")
        eq(w.failures(), {"tunnel_timeout": 1}, "failures")
        w.balanced(o)


run()
