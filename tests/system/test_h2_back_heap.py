"""Each allocation of a conversation with an HTTP/2 upstream fails in turn:
something of that conversation visibly fails, or nothing; the next one is as it
should be.

STRIDE=1 sweeps every allocation; else a run takes every n-th. Requests of the
admin port are among them.
"""
# SPDX-License-Identifier: MIT
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case
from case import Failed, check, eq, run
from h2 import Client2, head
from h2_origin import serve
from shim import Shim, places
from web import read_response, request
from weir import Weir, one
from wire import Client

STRIDE = int(os.environ.get("STRIDE", "0"))
# When all are swept.
if STRIDE:
    case.FILE_LIMIT = 24 * 3600
ABOUT = 80
BODY = bytes(range(256)) * 200


class Wrong(Exception):
    """An answer that looks right and is not."""


def handler(talk, q):
    if q.path == "/trailers":
        talk.head(q, 103)
        talk.answer(q, "hello", trailers=[("x-end", "yes")])
    else:
        talk.answer(q, q.body)


def right(a, status, body, trailers=None):
    """False when it visibly failed."""
    if a.error is not None or a.status >= 500:
        return False
    if (a.status, a.body, a.trailers) != (status, body, trailers):
        raise Wrong("%d %r %r" % (a.status, a.body[:50], a.trailers))
    return True


def converse(w):
    c = Client2(w.conf.ports["front"])
    d = Client(w.conf.ports["front"])
    try:
        d.send(request("PUT", fields=[("X", "y" * 3000)], body=BODY))
        streams = [c.ask(head("/", "POST"), body=BODY,
                         trailers=[("x-t", "1")]),
                   c.ask(head("/trailers", "GET", ("cookie", "a=1"),
                              ("x", "y" * 3000), ("cookie", "b=2")))]
        whole = [right(c.answer(streams[0]), 200, BODY),
                 right(c.answer(streams[1]), 200, b"hello",
                       [("x-end", "yes")])]
        r = read_response(d, "PUT")
        if r.status == 200 and r.body != BODY:
            raise Wrong("%r" % r.body[:50])
        whole.append(r.status == 200)
        return all(whole)
    finally:
        c.close()
        d.close()


def attempt(w):
    try:
        return converse(w)
    except (Failed, OSError):
        return False


@case.case
def each_allocation_of_a_conversation():
    o = serve(handler)
    conf = one(o, up='http = { version = "2"; };', pool="max = 4;")
    s = Shim("heap")
    w = Weir(conf, env=s.env)
    before = s.heap_seen
    check(converse(w), "without a fault")
    w.wait_pool(leased=0)
    total = s.heap_seen - before
    w.stop()
    # A fresh one each time: the piles of one that has run hold enough.
    stride = STRIDE or max(1, total // ABOUT)
    failed = 0
    for number in range(random.randrange(stride) + 1, total + 1, stride):
        w = Weir(conf, env=s.env)
        s.heap_fail(number)
        try:
            failed += not attempt(w)
            s.heap_fail(0)
            check(w.process.poll() is None, "it has died")
            check(converse(w), "the next conversation")
            w.balanced()
        except Exception as e:
            raise Failed("allocation %d of %d: %r\n%s" % (
                number, total, e, "\n".join(places(w.log())))) from None
        w.stop()
        case.on_failure.clear()
    print("%d conversations failed of %d allocations" % (failed, total))
    eq(failed > 0, True, "some were of consequence")


run()
