"""Clients that waste work: each kind of flood ends that connection with
ENHANCE_YOUR_CALM, is counted, and does nothing to others.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import (ACK, CONTINUATION, Client2, DATA, END_HEADERS, END_STREAM,
                ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY, frame,
                head, number, pack, reset, settings, text, window)
from web import HttpOrigin, answer
from weir import Weir, one

STEP = 50


def post(stream=1):
    return frame(HEADERS, END_HEADERS, stream, pack(head("/", "POST")))


def flood(c, pieces):
    """Send until it is cut off; how many pieces went."""
    for n, piece in enumerate(pieces):
        try:
            c.send(piece)
        except OSError:
            return n
        if n % STEP == 0 and c.at_end():
            return n
    return None


def cut_off(w, front, pieces, before=b""):
    was = w.failures().get("client_wastes", 0)
    c = Client2(front, wide=False)
    c.send(before)
    flood(c, pieces)
    try:
        c.dies(ENHANCE_YOUR_CALM)
    except (AssertionError, OSError):
        # A reset may overtake the word, as long as it is cut.
        check(c.ended == "rst", "still there: %r" % c.goaways)
    until(lambda: w.failures().get("client_wastes", 0) == was + 1, "counted")
    c.close()


@case
def floods_are_cut_off():
    o = HttpOrigin()
    w = Weir(one(o))
    front = w.conf.ports["front"]
    quiet = Client2(front)
    eq(quiet.fetch().status, 200, "a neighbour")
    for name, before, pieces in [
        ("PING", b"", [frame(PING, 0, 0, b"\0" * 8) * 10] * 2000),
        ("PING ACK", b"", [frame(PING, ACK, 0, b"\0" * 8) * 10] * 2000),
        ("SETTINGS", b"", [settings((1, 4096)) * 10] * 2000),
        ("PRIORITY", b"", [frame(PRIORITY, 0, 1, b"\0" * 5) * 10] * 2000),
        ("WINDOW_UPDATE", b"", [window(0, 1) * 10] * 2000),
        ("empty DATA", post(), [frame(DATA, 0, 1) * 10] * 2000),
        ("empty CONTINUATION", frame(HEADERS, END_STREAM, 1, pack(head())),
         [frame(CONTINUATION, 0, 1)] * 5000),
        ("small CONTINUATION", frame(HEADERS, END_STREAM, 1, pack(head())),
         [frame(CONTINUATION, 0, 1, pack([("x", "y")]))] * 5000),
        ("large CONTINUATION", frame(HEADERS, END_STREAM, 1, pack(head())),
         [frame(CONTINUATION, 0, 1, pack([("x", "y" * 8000)] * 2))] * 5000),
    ]:
        try:
            cut_off(w, front, pieces, before)
        except Exception as e:
            raise type(e)("%s: %s" % (name, e)) from None
    eq(quiet.fetch().status, 200, "the neighbour still")
    quiet.close()
    w.balanced(o)


@case
def rapid_reset_is_cut_off():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 4;"))
    front = w.conf.ports["front"]
    block = pack(head())

    def pairs(end):
        for n in range(1, 40001, 2):
            yield frame(HEADERS, END_HEADERS | END_STREAM, n, block) + end(n)
    cut_off(w, front, pairs(reset))
    most = o.requests
    check(most < 1000, "%d requests got through" % most)
    # Resets that weir is made to send cost the same.
    cut_off(w, front, (frame(HEADERS, END_HEADERS | END_STREAM, n,
                             pack([(":method", "GET")]))
                       for n in range(1, 40001, 2)))
    cut_off(w, front, pairs(lambda n: window(n, 0x7fffffff)))
    eq(Client2(front).fetch().status, 200, "others")


@case
def a_small_block_of_many_large_fields_is_cut_off():
    o = HttpOrigin()
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"])
    # Into the table once, then one byte each.
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, pack(head()) +
                 b"\x40" + text("x") + text("y" * 4000)))
    eq(c.answer(1).status, 200, "the first")
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, pack(head()) +
                 number(62, 7, 0x80) * 16000))
    c.dies(ENHANCE_YOUR_CALM)
    eq(w.failures(), {"client_wastes": 1}, "failures")
    c.close()
    w.balanced(o)


@case
def work_that_is_asked_for_is_no_waste():
    o = HttpOrigin()
    w = Weir(one(o, front="http = { max_wasted = 100; };"))
    c = Client2(w.conf.ports["front"])
    for _ in range(40):
        streams = [c.ask() for _ in range(20)]
        for stream in streams:
            eq(c.answer(stream).status, 200, "status")
        gone = c.ask(head("/", "POST"), body=b"x", ends=False)
        c.send(reset(gone))
    check(not c.goaways, "GOAWAY")
    c.close()


@case
def a_body_in_many_small_frames_is_no_flood():
    o = HttpOrigin(lambda q, link: answer(q, q.body))
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"])
    stream = c.ask(head("/", "POST"), body=b"", ends=False)
    for _ in range(100):
        c.send(frame(DATA, 0, stream, b"x") * 50)
    c.send(frame(DATA, END_STREAM, stream))
    eq(c.answer(stream).body, b"x" * 5000, "echo")
    c.close()
    w.balanced(o)


@case
def new_windows_for_what_is_taken_are_no_waste():
    o = HttpOrigin(lambda q, link: answer(q, b"x" * (8 << 20)))
    w = Weir(one(o, front="http = { max_wasted = 100; };"))
    c = Client2(w.conf.ports["front"], wide=False)
    stream = c.ask()
    a, given = c.on(stream), 0
    while not a.ended:
        c.take_frame()
        for _ in range((len(a.body) - given) // 4096):
            c.send(window(stream, 4096) + window(0, 4096))
            given += 4096
    eq((len(a.body), c.goaways), (8 << 20, []), "all of it")
    c.close()
    w.balanced(o)


@case
def a_client_that_takes_nothing_is_given_up():
    o = HttpOrigin(lambda q, link: answer(q, b"x" * 100000))
    w = Weir(one(o, up='timeouts = { stall = "300ms"; };',
                 front='timeouts = { idle = "300ms"; };'))
    c = Client2(w.conf.ports["front"], wide=False)
    stalled = c.ask()
    a = c.answer(stalled)
    check(a.error is not None, "reset")
    check(len(a.body) <= 65535, "%d bytes" % len(a.body))
    eq(set(w.failures()), {"client_stalled"}, "failures")
    c.close()
    w.balanced()


run()
