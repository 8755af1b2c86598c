"""Clients that do at random whatever HTTP/2 allows, and leave when they like,
before origins that do likewise: every answer that ends is the right one, nobody
gets anybody else's, and at rest the books balance.
"""
# SPDX-License-Identifier: MIT
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, run
from h2 import (Client2, DATA, END_HEADERS, HEADERS,
                INITIAL_WINDOW_SIZE, PING, frame, head, pack, reset, settings,
                window)
from web import HttpOrigin, answer
from weir import Weir, one
from wire import Ended

SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
ROUNDS = int(os.environ.get("ROUNDS", "12"))


def body_of(token, size):
    return (token.encode() * (size // len(token) + 1))[:size]


def handler(q, link):
    """What the path asks for: /KIND/SIZE."""
    _, kind, size = q.path.split("/")
    body = body_of(q.token, int(size))
    if kind == "echo":
        return answer(q, q.body)
    if kind == "chunked":
        link.send(answer(q, b"", fields=[("Transfer-Encoding", "chunked")]))
        for at in range(0, len(body), 5000):
            piece = body[at:at + 5000]
            link.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        return b"0\r\nX-Sum: %d\r\n\r\n" % len(body)
    if kind == "cut":
        link.send(answer(q, body + b"more")[:-4])
        link.rst()
        return None
    if kind == "close":
        link.send(answer(q, body, fields=[("Connection", "close"), (
            "Content-Length", len(body))]))
        return False
    if kind == "dead":
        return False
    if kind == "hints":
        link.send(b"HTTP/1.1 103 E\r\nLink: <x>\r\n\r\n" * 3)
    return answer(q, body)


class Player:
    def __init__(self, port, dice):
        self.dice = dice
        self.c = Client2(port, (INITIAL_WINDOW_SIZE,
                                dice.choice([0, 1, 1000, 65535, 1 << 20])),
                         wide=False)
        self.c.send(window(0, 1 << 30))
        self.wanted = {}

    def ask(self):
        d = self.dice
        token = "%08x" % d.randrange(1 << 32)
        kind = d.choice(["echo", "plain", "chunked", "cut", "close", "dead",
                         "hints", "plain", "echo", "chunked"])
        size = d.choice([0, 1, 100, 3000, 70000, 300000])
        sent, more = None, []
        if kind == "echo" or d.random() < .2:
            size = min(size, 60000)
            sent = body_of(token, size)
            if d.random() < .5:
                more = [("content-length", str(size))]
        trailers = [("x-t", "1")] if sent and d.random() < .2 else None
        s = self.c.ask(head("/%s/%d" % (kind, size),
                            "POST" if sent is not None else "GET",
                            ("x-token", token), *more),
                       body=sent, trailers=trailers)
        self.wanted[s] = (kind, token, sent if kind == "echo" else
                          body_of(token, size))

    def nudge(self):
        d, c = self.dice, self.c
        for s in list(self.wanted):
            if d.random() < .5:
                c.send(window(s, d.choice([1, 500, 100000, 1 << 20])))
        what = d.random()
        if what < .1 and self.wanted:
            s = d.choice(list(self.wanted))
            c.send(reset(s))
            del self.wanted[s]
        elif what < .2:
            c.send(frame(PING, 0, 0, b"12345678"))
        elif what < .25:
            c.send(settings((INITIAL_WINDOW_SIZE, d.choice([0, 1 << 18]))))
        elif what < .3:
            # A request that never gets its body.
            s, c.next = c.next, c.next + 2
            c.send(frame(HEADERS, END_HEADERS, s, pack(head(
                "/plain/10", "POST", ("x-token", "none")))))
            if d.random() < .5:
                c.send(frame(DATA, 0, s, b"x" * d.randrange(9000)) +
                       reset(s))

    def judge(self, s):
        kind, token, body = self.wanted.pop(s)
        a = self.c.on(s)
        if a.error is not None:
            # What was cut, behind its head.
            check(kind == "cut" or a.ended, "reset of %s: %r" % (kind,
                                                                a.error))
            return
        if a.status == 502:
            check(kind in ("dead", "cut", "close"), "502 for " + kind)
            return
        # Streams without a window hold what others wait for.
        if a.status == 503:
            check(b"queue_timeout" in a.body, "503: %r" % a.body)
            return
        eq((a.status, a.get("x-token")), (200, token), "whose answer")
        check(kind not in ("dead", "cut"), "a whole answer to " + kind)
        eq(a.body, body, "body")
        if kind == "chunked":
            eq(a.trailers, [("x-sum", str(len(body)))], "trailers")

    def over(self):
        for s in list(self.wanted):
            a = self.c.on(s)
            if a.ended or a.error is not None:
                self.judge(s)

    def finish(self):
        self.c.send(settings((INITIAL_WINDOW_SIZE, 1 << 22)))
        for s in list(self.wanted):
            self.c.send(window(s, 1 << 22))
            self.c.answer(s)
            self.judge(s)
        check(not self.c.goaways, "GOAWAY %r" % self.c.goaways)


def play(port, seed, failures):
    dice = random.Random(seed)
    try:
        p = Player(port, dice)
        for _ in range(40):
            if len(p.wanted) < 60 and dice.random() < .8:
                p.ask()
            p.nudge()
            while p.c.wants() and not p.c.ended:
                p.c.take_frame()
            p.over()
        if dice.random() < .7:
            p.finish()
            p.c.close()
        elif dice.random() < .5:
            p.c.rst()
        else:
            p.c.close()
    except (Exception, Ended) as e:
        failures.append("SEED=%d, client %d: %r" % (SEED, seed, e))


@case
def whatever_happens_answers_are_right():
    o = HttpOrigin(handler, keep=False)
    w = Weir(one(o, pool="max = 40;", up='timeouts = { stall = "60s"; };'))
    port, failures = w.conf.ports["front"], []
    for n in range(ROUNDS):
        threads = [threading.Thread(target=play, args=(
            port, SEED + 10 * n + k, failures)) for k in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60 * SLOW)
            check(not t.is_alive(), "a client hangs, SEED=%d" % SEED)
        if failures:
            break
    check(not failures, "\n".join(failures))
    w.balanced()
    check(w.upstream()["pool"]["open"] <= 40, "over the cap")


run()
