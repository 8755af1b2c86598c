"""Clients of both versions and an HTTP/2 server that do as they like: answer,
refuse, reset, leave. No answer is another's, and in the end the books balance.

SEED=n repeats a run.
"""
# SPDX-License-Identifier: MIT
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, case, check, run
from h2 import (INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, REFUSED_STREAM,
                Client2, head, reset)
from h2_origin import scripted
from web import read_response, request
from weir import Weir, one
from wire import Client, Ended

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
ROUNDS = 60


def server(seed):
    def script(talk):
        r = random.Random(seed + talk.number)
        waiting = []
        while True:
            if not waiting:
                waiting.append(talk.request())
            while talk.link.wants():
                talk.take_frame()
            for q in talk.requests.values():
                if not q.taken and q.fields is not None:
                    q.taken = True
                    waiting.append(q)
            q = r.choice(waiting)
            what = r.random()
            if what < 0.05:
                talk.reset(q, REFUSED_STREAM)
            elif what < 0.1:
                talk.reset(q, INTERNAL_ERROR)
            elif what < 0.13:
                talk.head(q)
                talk.data(q, q.path.encode())
                talk.reset(q, INTERNAL_ERROR)
            elif what < 0.15:
                talk.goaway(r.choice(waiting).stream)
                if r.random() < 0.5:
                    return
                continue
            elif q.ended and q.error is None:
                talk.answer(q, q.path.encode() + q.body,
                            trailers=[("x-path", q.path)]
                            if r.random() < 0.3 else None)
            elif q.error is None:
                if not any(q.ended for q in waiting):
                    talk.take_frame()
                continue
            waiting.remove(q)
    return script


def judge(path, body, status, got, whole):
    """A 200 is its own, as far as it came; the rest are weir's words."""
    wanted = path.encode() + body
    if status == 200 and (got != wanted if whole
                          else not wanted.startswith(got)):
        raise Failed("%s: %r" % (path, got[:60]))
    check(status in (200, 502, 503), "status %d" % status)


def old(front, r, name):
    c = Client(front)
    try:
        for i in range(r.randrange(1, 5)):
            path, body = "/%s.%d" % (name, i), r.randbytes(r.choice(
                [0, 10, 3000, 100000]))
            c.send(request("PUT", path, body=body))
            if r.random() < 0.1:
                c.rst()
                return
            a = read_response(c, "PUT")
            judge(path, body, a.status, a.body, True)
            if a.get("Connection") == "close":
                return
    except (Ended, OSError):
        pass                            # cut short: it was told
    finally:
        c.close()


def new(front, r, name):
    c = Client2(front)
    asked = []
    for i in range(r.randrange(1, 12)):
        path, body = "/%s.%d" % (name, i), r.randbytes(r.choice(
            [0, 10, 3000, 60000]))
        asked.append((c.ask(head(path, "PUT"), body=body), path, body))
        if r.random() < 0.1:
            c.send(reset(asked.pop()[0]))
    if r.random() < 0.1:
        c.rst()
        return
    for s, path, body in asked:
        a = c.answer(s)
        if a.fields is not None:
            judge(path, body, a.status, a.body, a.error is None)
    c.close()


@case
def everybody_does_as_he_likes():
    print("SEED=%d" % SEED, flush=True)
    o = scripted(server(SEED), (MAX_CONCURRENT_STREAMS, 5))
    w = Weir(one(o, up='http = { version = "2"; };', pool="max = 6;",
                 workers=2))
    front, wrong = w.conf.ports["front"], []

    def client(number):
        r = random.Random(SEED * 31 + number)
        try:
            for i in range(ROUNDS):
                (old if r.random() < 0.5 else new)(front, r, "%d.%d" % (
                    number, i))
        except Exception as e:
            wrong.append("%d: %r" % (number, e))
    threads = [threading.Thread(target=client, args=(i,), daemon=True)
               for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not wrong, "; ".join(wrong))
    w.wait_pool(leased=0, waiting=0)
    w.balanced()


run()
