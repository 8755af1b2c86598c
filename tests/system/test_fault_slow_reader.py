"""One client takes a gibibyte at its leisure, or not at all: it costs a buffer
and time of its own, nobody else's.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, run, until
from fault import VARIANT
from origin import Origin
from weir import Weir, one
from web import HttpOrigin, answer, ok, once, request
from wire import Client

# Sanitizers take longer for each byte.
SIZE = (1 << 30) if VARIANT == "release" else 128 << 20
BLOCK = bytes(range(256)) * 1024
MEMORY = 24 << 20


def pour(link):
    for _ in range(SIZE // len(BLOCK)):
        link.send(BLOCK)


def take_slowly(w, c, others):
    """Read a little for a while, then all; nothing but it may wait."""
    before, most = w.rss(), 0
    begin = time.monotonic()
    served = got = 0
    while time.monotonic() - begin < 1.5:
        c.sock.settimeout(WAIT)
        got += len(c.sock.recv(4096))
        others()
        served += 1
        most = max(most, w.rss())
    check(served > 20, "others were served %d times" % served)
    while got < SIZE:
        n = len(c.sock.recv(1 << 20))
        check(n > 0, "it ended after %d bytes" % got)
        got += n
        if got % 64 == 0:
            most = max(most, w.rss())
    check(most - before < MEMORY, "memory grew by %d bytes" % (most - before))
    return got


@case
def a_gibibyte_by_http():
    def handler(q, link):
        if q.path != "/large":
            return answer(q, q.token)
        link.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        pour(link)
        return None
    o = HttpOrigin(handler, keep=False)
    w = Weir(one(o, pool="max = 2;"))
    for _ in range(3):
        ok(once(w.conf.ports["front"]))
    c = Client(w.conf.ports["front"], rcvbuf=65536)
    c.send(request(target="/large"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += c.sock.recv(1)
    eq(take_slowly(w, c, lambda: ok(once(w.conf.ports["front"]))), SIZE,
       "bytes")
    c.close()
    w.balanced(o)
    eq(w.failures(), {}, "failures")
    check(o.accepted <= 2, "upstream connections: %d" % o.accepted)


@case
def a_gibibyte_over_a_raw_session():
    def script(link):
        if link.read_line() == b"large\n":
            pour(link)
        else:
            link.send("small\n")
    o = Origin(script)
    w = Weir(one(o, protocol="tcp"))

    def small():
        c = Client(w.conf.ports["front"]).send("small\n")
        eq(c.read_line(), b"small\n", "answer")
        c.close()
    small()
    c = Client(w.conf.ports["front"], rcvbuf=65536).send("large\n")
    eq(take_slowly(w, c, small), SIZE, "bytes")
    c.close()
    w.balanced(o)


@case
def forty_who_read_nothing_cost_a_buffer_each():
    def handler(q, link):
        if q.path != "/large":
            return answer(q, q.token)
        link.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        pour(link)
        return None
    o = HttpOrigin(handler, keep=False)
    w = Weir(one(o, pool="max = 50;",
                 up='timeouts = { stall = "%dms"; };' % (2000 * SLOW)))
    ok(once(w.conf.ports["front"]))
    before = w.rss()
    clients = [Client(w.conf.ports["front"], rcvbuf=16384).send(
        request(target="/large")) for _ in range(40)]
    until(lambda: w.pool()["leased"] == 40, "all are under way")
    most, begin = 0, time.monotonic()
    while time.monotonic() - begin < 1.0:
        ok(once(w.conf.ports["front"]))
        most = max(most, w.rss())
    # 256 KiB of blocks on either side of each.
    check(most - before < 40 * (1 << 20), "memory grew by %d bytes" %
          (most - before))
    # They stall, and are cut: a slow reader is not waited for for ever.
    until(lambda: w.pool()["leased"] == 0, "all are cut", 3 * WAIT)
    for c in clients:
        c.close()
    eq(w.failures(), {"client_stalled": 40}, "failures")
    w.balanced(o)


run()
