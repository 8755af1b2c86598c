"""Crowds that hold much come upon a small budget of memory: who is idle leaves,
then who is new is told; weir lives, and recovers by itself when they have left.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, run, temp_dir, until
from fault import not_in
from weir import Weir, one
from web import (HttpOrigin, answer, ask, ok, once, read_response, refused,
                 request)
from wire import Client

MIB = 1 << 20
BUDGET = 64 * MIB
LIMIT = 'max_memory = "64MiB";'
# An answer larger than what the kernel takes off weir's hands.
LARGE = b"l" * MIB


def handler(q, link):
    """/large is large; /hold waits for .go; others are answered."""
    if q.path == "/large":
        return answer(q, LARGE)
    if q.path == "/hold":
        until(lambda: link.origin.go or link.origin.ending.is_set(), "",
              60 * SLOW)
    return answer(q)


def start(workers=1, more=LIMIT, origin=None, **others):
    """weir with a Unix socket, too: there the kernel holds little."""
    not_in("asan", "tsan", why="a sanitizer's own memory is most of it")
    o = origin or HttpOrigin(handler, keep=False, kind="unix")
    o.go = False
    conf = one(o, workers=workers, more=more, **others)
    path = os.path.join(temp_dir(), "front%d.sock" % conf.admin_port)
    conf.listener("front", bind='( "127.0.0.1:%d", "unix:%s" )' % (
        conf.ports["front"], path),
        extra='timeouts = { idle = "1h"; header = "1h"; };')
    w = Weir(conf)
    w.path = "unix:" + path
    ok(once(conf.ports["front"]))
    return w, o


def level(w):
    return w.stats()["process"]["pressure"]


def refusals(w):
    return w.listener()["limited_total"]["memory"]


def idle_ones(w, n):
    """Clients that have been served and stay, for more than a second."""
    clients = [Client(w.conf.ports["front"]) for _ in range(n)]
    for c in clients:
        ok(ask(c))
    served = time.monotonic()
    until(lambda: time.monotonic() - served > 1.1, "")
    return clients


def fill_up(w, join, most=3000):
    """More and more come, join(c) what they do, until memory is full."""
    crowd = []
    while level(w) != "full":
        check(len(crowd) < most, "%d of them do not fill %d MiB: %d" % (
            most, BUDGET >> 20, w.rss() >> 20))
        for _ in range(20):
            c = Client(w.path)
            crowd.append(c)
            try:
                join(c)
            except OSError:
                pass            # full by now: told so below
        settle(w)
    check(w.rss() < 2 * BUDGET, "far beyond: %d MiB" % (w.rss() >> 20))
    return crowd


def settle(w):
    """Until what was sent has arrived: memory grows no more."""
    last = [0, 0]

    def still():
        last.append(w.rss())
        return abs(last[-1] - last[-3]) < MIB // 4
    until(still, "it comes to rest", 60 * SLOW)


def new_ones_are_told(w):
    """One after the other, as long as it is full; how many."""
    n = 0
    before = refusals(w)
    for _ in range(3):
        c = Client(w.conf.ports["front"])
        refused(read_response(c), 503, "overloaded")
        eq(c.read_to_end(), b"", "closed")
        n += 1
        eq(level(w), "full", "the level")
    # Some of the crowd may have been counted only now.
    check(refusals(w) >= before + n, "limited_total.memory")
    return n


def recovered(w, o, before):
    """The crowd has left: without anybody's help it is as it was."""
    until(lambda: level(w) == "none", "the level", 60 * SLOW)
    ok(once(w.conf.ports["front"]))
    until(lambda: w.rss() < before + 16 * MIB, "memory goes back", 60 * SLOW)
    eq(w.get("/healthz")[0], 200, "/healthz")
    w.balanced(o)


# ---------------------------------------------------------------- slow readers

@case
def clients_that_do_not_read_fill_it():
    w, o = start(pool="max = 1000;")
    before = w.rss()
    idle = idle_ones(w, 10)
    # Half a head: neither idle nor served yet.
    half = Client(w.conf.ports["front"]).send(request()[:-2])
    begun = refusals(w)

    crowd = fill_up(w, lambda c: c.send(request(target="/large")))
    for c in idle:
        eq(c.read_to_end(), b"", "an idle client is told")
    new_ones_are_told(w)
    # A client that is in already is told as well, and may stay.
    refused(read_response(half.send("\r\n")), 503, "overloaded")
    check(not half.at_end(), "it was closed")
    check(refusals(w) >= begun + 4, "limited_total.memory")
    # Of those who are served nobody is cut: the whole answer is there.
    first = crowd[0]
    eq(ok(read_response(first)).body == LARGE, True, "the answer")
    for c in crowd:
        c.close()
    half.close()
    recovered(w, o, before)


@case
def who_still_takes_an_answer_is_not_idle():
    """weir has the end of it and awaits nothing more; the client reads on."""
    # What the kernel takes and what weir takes ahead: of some of them weir has
    # only the end, and of some that all is said.
    sizes = range(100000, 700000, 20000)
    w, o = start(more="", origin=HttpOrigin(
        lambda q, link: answer(q, b"b" * int(q.path[1:] or 0)), keep=False))
    crowd = []
    while w.rss() < 20 * MIB:
        crowd.append(Client(w.path).send(
            b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 30000))
    readers = [Client(w.path).send(request(target="/%d" % size))
               for size in sizes]
    until(lambda: o.requests == 1 + len(sizes), "all requests")
    sentinel, = idle_ones(w, 1)
    w.conf.more = 'max_memory = "%dKiB";' % (w.rss() / 0.9 / 1024)
    w.write()
    w.reload()
    eq(sentinel.read_to_end(), b"", "who is idle is told")
    for size, c in zip(sizes, readers):
        eq(len(ok(read_response(c)).body), size, "the answer's length")
    for c in crowd + readers:
        c.close()
    w.balanced(o)


# ------------------------------------------------------------- pipelined input

BEHIND = 700            # requests of about 100 bytes that wait in weir


def pipelines(workers):
    w, o = start(workers, pool='max = 4; max_waiting = 100000; '
                 'queue_timeout = "1h";', up='timeouts = { response = "1h"; };')
    before = w.rss()
    idle = idle_ones(w, 10)
    ahead = b"".join(request(target=target, fields=[
        ("X-Token", t), ("X-Pad", "p" * 60)]) for target, t in [
            ("/hold", "hold")] + [("/", "n%d" % n) for n in range(BEHIND)])
    crowd = fill_up(w, lambda c: c.send(ahead))
    for c in idle:
        eq(c.read_to_end(), b"", "an idle client is told")
    new_ones_are_told(w)
    # Those who came in are still there and wait; they hold what they hold.
    check(w.pool()["waiting"] > len(crowd) // 2, "who waits: %r" % w.pool())
    return w, o, before, crowd


@case
def clients_that_ask_ahead_fill_it():
    w, o, before, crowd = pipelines(1)
    for c in crowd:
        c.close()
    o.go = True
    recovered(w, o, before)


@case
def likewise_with_two_workers():
    w, o, before, crowd = pipelines(2)
    for c in crowd:
        c.rst()
    o.go = True
    recovered(w, o, before)


@case
def every_request_that_came_in_is_answered():
    """In its order: served, or told that there is no room."""
    w, o, before, crowd = pipelines(1)
    o.go = True
    kept, crowd = crowd[:3], crowd[3:]
    for c in crowd:
        c.close()
    for c in kept:
        eq(read_response(c).get("X-Token"), "hold", "the first")
        for n in range(BEHIND):
            r = read_response(c)
            if r.status == 503:
                refused(r, 503, "overloaded")
            else:
                eq(ok(r).get("X-Token"), "n%d" % n, "whose it is")
        # By now it may be idle, and told so.
        c.at_end()
        eq(bytes(c.buf), b"", "more than was asked for")
        c.close()
    recovered(w, o, before)


# ------------------------------------------------------------------ over again

@case
def crowds_that_come_and_go_leave_it_as_it_was():
    """Three times; the last costs no more memory than the first."""
    w, o = start(pool="max = 1000;")
    before = w.rss()
    peaks = []

    def join(c):
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 30000)
    for _ in range(3):
        crowd = fill_up(w, join)
        new_ones_are_told(w)
        peaks.append(len(crowd))
        for c in crowd:
            c.rst()
        recovered(w, o, before)
    check(peaks[-1] > peaks[0] / 2, "it holds fewer and fewer: %r" % peaks)


run()
