"""Flow control is the backpressure, in both directions: what one side does not
take, the other is not asked for, and one slow stream does not stop another.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import (Client2, DATA, END_STREAM, INITIAL_WINDOW_SIZE, frame, head,
                settings, window)
from web import HttpOrigin, answer, read_request_body
from weir import Weir, one

WINDOW = 256 * 1024


@case
def nothing_goes_beyond_the_client_s_window():
    body = os.urandom(300000)
    o = HttpOrigin(lambda q, link: answer(q, body))
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"], (INITIAL_WINDOW_SIZE, 1000),
                wide=False)
    stream = c.ask()
    a = c.on(stream)
    while len(a.body) < 1000:
        c.take_frame()
    c.ping()
    eq(len(a.body), 1000, "the stream's window")
    c.send(window(stream, 7))
    while len(a.body) < 1007:
        c.take_frame()
    # A later setting changes the windows of open streams, also downwards.
    c.send(settings((INITIAL_WINDOW_SIZE, 500)) + window(stream, 500))
    c.ping()
    eq(len(a.body), 1007, "less than none")
    c.send(settings((INITIAL_WINDOW_SIZE, 1 << 20)))
    while len(a.body) < 65535:
        c.take_frame()
    c.ping()
    eq(len(a.body), 65535, "the connection's window")
    c.send(window(0, 1 << 20))
    eq(c.answer(stream).body, body, "all")
    c.close()
    w.balanced(o)


@case
def a_stream_without_window_does_not_stop_others():
    body = os.urandom(600000)
    o = HttpOrigin(lambda q, link: answer(q, body))
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"], (INITIAL_WINDOW_SIZE, 0), wide=False)
    c.send(window(0, 1 << 30))
    stuck = [c.ask() for _ in range(5)]
    free = c.ask()
    c.send(window(free, 1 << 20))
    eq(c.answer(free).body, body, "the one with a window")
    check(all(c.on(s).body == b"" for s in stuck), "the others")
    for s in stuck:
        c.send(window(s, 1 << 20))
    for s in stuck:
        eq(c.answer(s).body, body, "later")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def a_slow_client_holds_little_memory_and_no_connection_for_long():
    size = 32 << 20

    def handler(q, link):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        if q.method == "HEAD":
            return
        for _ in range(size >> 20):
            link.send(bytes(1 << 20))
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"], wide=False)
    c.fetch(head("/", "HEAD"))
    before = w.rss()
    c.send(window(0, 1 << 30))
    stream = c.ask()
    a = c.on(stream)
    while len(a.body) < 65535:
        c.take_frame()
    c.ping()
    grown = w.rss() - before
    check(grown < 8 << 20, "grew by %d" % grown)
    c.send(window(stream, 1 << 30))
    while not a.ended:
        c.take_frame()
        a.body = a.body[-1:] if len(a.body) > 1 << 17 else a.body
    c.close()
    w.balanced()


@case
def a_short_answer_gives_its_connection_back_before_it_is_taken():
    o = HttpOrigin(lambda q, link: answer(q, b"x" * 5000))
    w = Weir(one(o, pool="max = 1;"))
    c = Client2(w.conf.ports["front"], (INITIAL_WINDOW_SIZE, 0))
    c.send(settings((INITIAL_WINDOW_SIZE, 0)))
    streams = [c.ask() for _ in range(10)]
    for s in streams:
        while c.on(s).fields is None:
            c.take_frame()
    eq(w.pool()["leased"], 0, "leased")
    c.send(settings((INITIAL_WINDOW_SIZE, 1 << 20)))
    for s in streams:
        eq(len(c.answer(s).body), 5000, "body")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def a_slow_origin_withholds_the_client_s_window():
    gate = []

    def handler(q, link):
        if q.path == "/slow":
            until(lambda: gate, "the gate opens")
        read_request_body(link, q)
        return answer(q, b"%d" % len(q.body))
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"])
    while c.theirs is None:
        c.take_frame()
    slow = c.ask(head("/slow", "POST"), body=b"", ends=False)
    sent = 0

    def room():
        return WINDOW + c.windows.get(slow, 0) - sent

    # Until it stands: sockets on the way take some, weir takes its share.
    while sent < 64 << 20:
        while room() > 0:
            n = min(room(), 16384)
            c.send(frame(DATA, 0, slow, b"x" * n))
            sent += n
        c.ping()
        if room() == 0:
            c.ping()
            if room() == 0:
                break
    check(sent < 64 << 20, "it never stands")
    eq(c.fetch(head("/fast", "POST"), body=b"y" * 100000).body, b"100000",
       "another one meanwhile")
    gate.append(1)
    while room() == 0:
        c.take_frame()
    c.send(frame(DATA, END_STREAM, slow))
    eq(c.answer(slow).body, b"%d" % sent, "all of it")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def too_large_a_body_is_told():
    o = HttpOrigin(lambda q, link: answer(q, "done"))
    w = Weir(one(o, front='max_body = "100KiB";'))
    c = Client2(w.conf.ports["front"])
    a = c.fetch(head("/", "POST", ("content-length", "200000")),
                body=b"x" * 200000)
    eq(a.status, 413, "by its length")
    a = c.fetch(head("/", "POST"), body=b"x" * 200000)
    eq(a.status, 413, "by what came")
    eq(c.fetch(head("/", "POST"), body=b"x" * 100000).status, 200, "less")
    eq(w.failures(), {"body_too_large": 2}, "failures")
    c.close()
    w.balanced()


@case
def a_body_that_does_not_come_is_a_408():
    o = HttpOrigin()
    w = Weir(one(o, front='timeouts = { body = "200ms"; };'))
    c = Client2(w.conf.ports["front"])
    slow = c.ask(head("/", "POST"), body=b"x", ends=False)
    eq(c.fetch().status, 200, "a neighbour")
    eq(c.answer(slow).status, 408, "status")
    eq(w.failures(), {"body_timeout": 1}, "failures")
    c.close()
    w.balanced()


@case
def a_client_that_resets_gives_its_connection_free():
    gate = []

    def handler(q, link):
        if q.path == "/slow":
            until(lambda: gate or link.at_end(), "the client leaves")
            return False
        return answer(q, "done")
    o = HttpOrigin(handler)
    w = Weir(one(o, pool="max = 1;"))
    c = Client2(w.conf.ports["front"])
    slow, other = c.ask(head("/slow")), c.ask()
    c.ping()
    c.send(b"\0\0\x04\x03\0" + slow.to_bytes(4, "big") + b"\0\0\0\x08")
    eq(c.answer(other).status, 200, "the one in the queue")
    gate.append(1)
    eq(w.failures(), {"client_abort": 1}, "failures")
    c.close()
    w.balanced()


run()
