"""weir ends, or a listener leaves the file, while HTTP/2 clients are connected:
a GOAWAY that still takes streams, then one that names the last, and every
stream below it is answered. Deadlines of a connection likewise.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from h2 import (Client2, END_STREAM, HEADERS, NO_ERROR, PREFACE, frame, head,
                pack, settings)
from web import HttpOrigin, answer
from weir import Conf, Weir, one

ALL = 0x7fffffff


def gated():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(3 * WAIT)
        return answer(q, q.path)
    o = HttpOrigin(handler)
    o.gate = gate
    return o


def leaves(c, o, slow):
    """From the first GOAWAY to the end."""
    eq(c.till_goaway(), (ALL, NO_ERROR), "the first GOAWAY")
    late = c.ask(head("/late"))
    eq(c.answer(late).body, b"/late", "what was on its way")
    eq(c.till_goaway(), (late, NO_ERROR), "the last GOAWAY")
    ignored = c.ask(head("/ignored"))
    c.ping()
    o.gate.set()
    eq(c.answer(slow).body, b"/slow", "what was under way")
    c.read_to_end()
    check(c.on(ignored).fields is None, "beyond the last one")
    check(all(q.path != "/ignored" for q in o.seen), "the origin saw it")


@case
def sigterm_takes_leave_of_streams():
    o = gated()
    conf = one(o)
    conf.drain_timeout = "60s"
    w = Weir(conf)
    c = Client2(conf.ports["front"])
    slow = c.ask(head("/slow"))
    until(lambda: o.requests == 1, "the slow request upstream")
    w.signal(signal.SIGTERM)
    leaves(c, o, slow)
    eq(w.exited(), 0, "exit status")


@case
def a_listener_that_leaves_the_file_does_too():
    o = gated()
    conf = Conf().listener("front").listener("other").upstream("back", o)
    w = Weir(conf)
    c = Client2(conf.ports["other"])
    slow = c.ask(head("/slow"))
    until(lambda: o.requests == 1, "the slow request upstream")
    del conf.listeners["other"]
    w.write()
    w.reload()
    leaves(c, o, slow)
    eq(Client2(conf.ports["front"]).fetch().status, 200, "the one that stays")


@case
def an_idle_client_does_not_hold_up_the_end():
    o = gated()
    conf = one(o)
    conf.drain_timeout = "60s"
    w = Weir(conf)
    c = Client2(conf.ports["front"])
    stream = c.ask()
    eq(c.answer(stream).status, 200, "status")
    w.signal(signal.SIGTERM)
    while not c.goaways or c.goaways[-1][0] == ALL:
        c.take_frame()
    eq(c.goaways[-1], (stream, NO_ERROR), "the last GOAWAY")
    c.read_to_end()
    eq(c.ended, "fin", "how it ended")
    eq(w.exited(), 0, "exit status")


@case
def idle_connections_end_with_a_goaway():
    o = gated()
    w = Weir(one(o, front='timeouts = { idle = "300ms"; };'))
    c = Client2(w.conf.ports["front"])
    eq(c.fetch().status, 200, "status")
    eq(c.till_goaway(), (1, NO_ERROR), "GOAWAY")
    c.read_to_end()
    eq((c.ended, w.failures()), ("fin", {"idle_timeout": 1}), "its end")
    c.close()
    w.balanced(o)


@case
def pings_do_not_make_it_younger():
    o = gated()
    w = Weir(one(o, front='timeouts = { idle = "500ms"; };'))
    c = Client2(w.conf.ports["front"])
    eq(c.fetch().status, 200, "status")
    while not c.goaways:
        c.send(frame(6, 0, 0, b"12345678"))
        c.take_frame()
        until(lambda: True, "a moment")
        threading.Event().wait(0.02)
    eq(w.failures(), {"idle_timeout": 1}, "failures")
    c.close()


@case
def a_head_that_does_not_end_has_a_deadline():
    o = gated()
    w = Weir(one(o, front='timeouts = { header = "200ms"; };'))
    for n, data in enumerate([
        PREFACE[:20],
        PREFACE,
        PREFACE + settings() + frame(HEADERS, END_STREAM, 1, pack(head())),
        PREFACE + settings() + frame(HEADERS, END_STREAM, 1,
                                     pack(head()))[:15],
    ], 1):
        c = Client2(w.conf.ports["front"], greet=False)
        c.send(data)
        c.read_to_end()
        eq(c.ended, "fin", "how it ended")
        until(lambda: w.failures() == {"header_timeout": n}, "counted")
        c.close()
    w.balanced(o)


run()
