"""timeouts.total ends an exchange wherever it is: in a queue, a pause, a body, a
tunnel; and the other deadlines hold, or are renewed, against single bytes.
"""
# SPDX-License-Identifier: MIT
import os
import select
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, port, run, until
from origin import Origin, until_end
from weir import Weir, one
from web import (HttpOrigin, answer, ask, ok, once, read_response, refused,
                 request)
from wire import Client

# The limit in question, a pause far below it, and others beyond every wait.
MS = int(500 * SLOW)
PAUSE = MS / 1000 / 10
TOTAL = 'timeouts = { total = "%dms"; response = "1h"; stall = "1h"; ' \
    'tunnel = "1h"; };' % MS
PATIENT = 'timeouts = { body = "1h"; idle = "1h"; header = "1h"; };'


def front(w):
    return Client(w.conf.ports["front"])


def drip(wire, data=b"x" * 100000):
    """A byte each pause, until the peer speaks or ends; how many."""
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


def drip_back(wire, seconds):
    """Bytes for so long whatever comes back; what came."""
    end = time.monotonic() + seconds
    got = b""
    while time.monotonic() < end:
        wire.send("x")
        if select.select([wire.sock], [], [], PAUSE)[0]:
            wire.more()
            got += wire.take(len(wire.buf))
            time.sleep(PAUSE)
    return got


def is_over(w, o, name="total_timeout", n=1):
    """It is counted under that name alone, and nothing is left of it."""
    eq(w.failures(), {name: n}, "failures")
    w.wait_pool(leased=0, waiting=0, connecting=0)
    w.balanced(o)


def silent(q, link):
    """An origin that answers / and else waits."""
    return answer(q) if q.path == "/" else link.hold()


def tcp_end(c):
    """What came and how it ended: "fin" or "rst"."""
    got = c.read_to_end()
    return got, c.ended


# -------------------------------------------------------- total: while it waits

@case
def total_ends_in_the_queue():
    o = HttpOrigin(silent)
    conf = one(o, up=TOTAL, pool='max = 1; queue_timeout = "1h";')
    # Another listener's upstream would have its own pool: the one who holds the
    # place is under the same total, so he is renewed in the meantime.
    w = Weir(conf)
    first = front(w).send(request(target="/hold"))
    w.wait_pool(leased=1)
    second = front(w).send(request(target="/late"))
    w.wait_pool(waiting=1)
    # The first is over before the second, which then gets its place: so that
    # a third, behind it, is over in the queue whatever the machine does.
    third = front(w).send(request("POST", "/queued", body=b"pay"))
    w.wait_pool(waiting=2)
    for c in (first, second, third):
        refused(read_response(c, "POST"), 504, "total_timeout")
        c.close()
    check("/queued" not in [q.target for q in o.seen] or o.requests == 3,
          "requests upstream: %r" % [q.target for q in o.seen])
    is_over(w, o, n=3)


@case
def total_ends_in_the_queue_and_nothing_went_upstream():
    """The place is held by a raw session, which no total ends."""
    o = Origin(until_end)
    up = 'timeouts = { total = "%dms"; };' % MS
    w = Weir(one(o, protocol="tcp", up=up,
                 pool='max = 1; queue_timeout = "1h";'))
    # Of two sessions the second waits, and is a little younger: when the first
    # ends it may be let in for that moment.
    pair = []
    for n in range(2):
        pair.append(front(w).send("hello"))
        w.wait_pool(leased=1, waiting=n)
    for c in pair:
        c.read_to_end()
        check(c.ended, "it goes on")
    is_over(w, o, n=2)


run()
