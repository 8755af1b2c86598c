"""The origin answers before it has read the request's body: the answer reaches
the client, and the connection with half a request on it serves nobody else.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from weir import Weir, one
from web import (HttpOrigin, answer, ok, once, read_request_body,
                 read_response, request)
from wire import Client


def early(q, link):
    """Refuse uploads at once without reading; the body may still come."""
    if q.path == "/up":
        link.send(answer(q, "too big", 413))
        while link.more():
            link.buf.clear()
        return False
    read_request_body(link, q)
    return answer(q, "fine")


@case
def early_answer_while_the_client_still_waits_to_send():
    o = HttpOrigin(early, bodies=False)
    w = Weir(one(o, pool="max = 1;"))
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/up", [("Content-Length", "1000000")]) + b"x")
    r = read_response(c, "POST")
    eq((r.status, r.body), (413, b"too big"), "answer")
    r = ok(once(w.conf.ports["front"]))
    eq((r.conn, r.nth), (2, 1), "who served next")
    o.had(2)
    c.close()
    until(lambda: o.open == 1, "the used one closes")
    w.balanced(o)


@case
def early_answer_while_the_client_is_sending():
    o = HttpOrigin(early, bodies=False)
    w = Weir(one(o, pool="max = 1;"))
    c = Client(w.conf.ports["front"])
    stop = []

    def push():
        try:
            c.send(request("POST", "/up", [("Content-Length", "%d" %
                                            (1 << 30))]))
            for _ in range(1 << 10):
                if stop:
                    return
                c.send(b"x" * (1 << 20))
        except OSError:
            pass            # weir may close on us: after the answer
    t = threading.Thread(target=push, daemon=True)
    t.start()
    r = read_response(c, "POST")
    eq((r.status, r.body), (413, b"too big"), "answer")
    r = ok(once(w.conf.ports["front"]))
    eq(r.conn, 2, "who served next")
    o.had(2)
    stop.append(1)
    c.rst()
    t.join(WAIT)
    w.balanced(o)


@case
def chunked_body_that_never_ends():
    o = HttpOrigin(early, bodies=False)
    w = Weir(one(o, pool="max = 1;"))
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/up", [("Transfer-Encoding", "chunked")]) +
           b"5\r\nhello\r\n")
    eq(read_response(c, "POST").status, 413, "answer")
    eq(ok(once(w.conf.ports["front"])).conn, 2, "who served next")
    o.had(2)


@case
def answer_and_close_while_the_body_comes():
    # The usual manner of servers: answer, close. The answer still arrives.
    def handler(q, link):
        link.send(answer(q, "no", 403, [("Connection", "close")]))
        link.shut()
        while link.more():
            link.buf.clear()
        return False
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/up", [("Content-Length", "1000000")]) +
           b"x" * 70000)
    r = read_response(c, "POST")
    eq((r.status, r.body), (403, b"no"), "answer")
    w.wait_pool(open=0)
    o.had(1)


@case
def early_answer_then_the_rest_of_the_body_keeps_the_client():
    # The client completes its request after the answer: if weir kept the
    # connection open, the next request on it must be served rightly.
    o = HttpOrigin(early, bodies=False)
    w = Weir(one(o, pool="max = 1;"))
    c = Client(w.conf.ports["front"])
    c.send(request("POST", "/up", [("Content-Length", "10")]) + b"01234")
    r = read_response(c, "POST")
    eq(r.status, 413, "answer")
    closing = (r.get("Connection") or "").lower() == "close"
    try:
        c.send(b"56789" + request(target="/next"))
        after = read_response(c)
        check(not closing, "said close and went on")
        eq(after.body, b"fine", "next answer")
        eq([q.target for q in o.seen], ["/up", "/next"], "upstream")
    except (OSError, AssertionError):
        check(c.ended or closing, "neither served nor closed")
    w.wait_pool(leased=0)


run()
