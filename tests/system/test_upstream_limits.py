"""What an upstream shall not bear: requests beyond its rate wait for their turn
or are told when to come again, and a server that asks for a pause gets it.
"""
# SPDX-License-Identifier: MIT
import email.utils
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from senders import limited
from upgrade import Successive
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once, plain, request
from wire import Client


def rate(text):
    return "limits = { request_rate = { %s }; };" % text


def counts(w, which):
    return {k: v for k, v in w.upstream()[which].items() if v}


def front(w):
    return Client(w.conf.ports["front"])


def together(w, n):
    """n clients ask at once: [(status, seconds it took)], by arrival."""
    clients = [front(w) for _ in range(n)]
    got = []

    def one_of(c):
        begin = time.monotonic()
        r = ask(c)
        got.append((r.status, time.monotonic() - begin))
    crowd = [threading.Thread(target=one_of, args=(c,)) for c in clients]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    for c in clients:
        c.close()
    return got


class Clocked(HttpOrigin):
    """Notes when each request came."""

    def __init__(self, handler=plain):
        self.at = []

        def noted(q, link):
            with self.lock:
                self.at.append(time.monotonic())
            return handler(q, link)
        super().__init__(noted)


# ----------------------------------------------------------------------- rate

@case
def requests_wait_for_their_turn():
    o = Clocked()
    w = Weir(one(o, up=rate('rate = "20/s"; burst = 2; wait = "30s";')))
    begin = time.monotonic()
    got = together(w, 12)
    eq([s for s, _ in got], [200] * 12, "statuses")
    # Never more than the burst and what has come in since.
    for n, at in enumerate(sorted(o.at)):
        check(n + 1 <= 2 + 20 * (at - begin) + 0.5,
              "%d requests after %.3f s" % (n + 1, at - begin))
    delayed = counts(w, "delayed_total").get("request_rate", 0)
    check(1 <= delayed <= 10, "delayed: %d" % delayed)
    eq(counts(w, "limited_total"), {}, "limited_total")
    eq(w.failures(), {}, "failures")
    w.balanced(o)


@case
def a_weir_and_its_successor_have_one_rate():
    """One waits for half an hour with the old weir: the next would have to wait
    for a whole one with the new one, until nobody waits there any more."""
    o = HttpOrigin()
    w = Successive(one(o, up=rate(
        'rate = "2/h"; burst = 1; wait = "45m";')))
    w.conf.drain_timeout = "1h"
    w.write()
    w.reload()
    ok(once(w.conf.ports["front"]))
    old = front(w).send(request())
    until(lambda: counts(w, "delayed_total") == {"request_rate": 1}, "one")
    leaving = w.upgrade(ended=False)
    r = once(w.conf.ports["front"])
    limited(r, 503, "upstream_limited", most=3600)
    check(int(r.get("Retry-After")) > 2700, "too soon: " +
          r.get("Retry-After"))
    leaving.kill()
    w.wait_log("process %d has ended before it had drained" % leaving.pid)
    new = front(w).send(request())
    until(lambda: counts(w, "delayed_total") == {"request_rate": 2}, "two")
    eq(o.requests, 1, "requests upstream")
    old.close()
    new.close()


@case
def who_would_wait_too_long_is_told_at_once():
    o = HttpOrigin()
    w = Weir(one(o, up=rate('rate = "6/m"; burst = 2; wait = "1s";')))
    c = front(w)
    ok(ask(c))
    ok(ask(c))
    for _ in range(3):
        seconds = limited(ask(c), 503, "upstream_limited", most=10)
        check(seconds >= 2, "Retry-After: %d" % seconds)
    eq(counts(w, "limited_total"), {"request_rate": 3}, "limited_total")
    eq(w.failures(), {"upstream_limited": 3}, "failures")
    eq((o.accepted, o.requests), (1, 2), "upstream")
    c.close()
    w.balanced(o)


@case
def without_wait_nobody_waits():
    o = HttpOrigin()
    w = Weir(one(o, up=rate('rate = "10/h"; burst = 3; wait = "0s";')))
    got = [s for s, _ in together(w, 9)]
    eq((got.count(200), got.count(503)), (3, 6), "statuses")
    eq(counts(w, "delayed_total"), {}, "delayed_total")
    eq(o.requests, 3, "requests upstream")


@case
def listeners_and_workers_share_an_upstreams_rate():
    o = HttpOrigin()
    conf = one(o, workers=2, up=rate('rate = "10/h"; burst = 8; '
                                     'wait = "0s";'))
    conf.listener("other")
    w = Weir(conf)
    got = []
    for _ in range(8):
        for name in ("front", "other"):
            got.append(once(w.conf.ports[name]).status)
    eq((got.count(200), got.count(503)), (8, 8), "statuses")
    eq(o.requests, 8, "requests upstream")


@case
def shadowed_rate_delays_nobody():
    o = HttpOrigin()
    w = Weir(one(o, up=rate('rate = "10/h"; burst = 2; wait = "0s"; '
                            "shadow = true;")))
    c = front(w)
    for _ in range(6):
        ok(ask(c))
    eq(counts(w, "shadow_total"), {"request_rate": 4}, "shadow_total")
    eq(counts(w, "delayed_total"), {}, "delayed_total")
    eq(counts(w, "limited_total"), {}, "limited_total")
    eq(o.requests, 6, "requests upstream")


@case
def rate_survives_a_reload():
    o = HttpOrigin()
    w = Weir(one(o, up=rate('rate = "10/h"; burst = 2; wait = "0s";')))
    c = front(w)
    ok(ask(c))
    ok(ask(c))
    w.reload()
    limited(ask(front(w)), 503, "upstream_limited")
    w.conf.upstream("back", o)
    w.write()
    w.reload()
    ok(ask(front(w)))
    eq(o.requests, 3, "requests upstream")


@case
def client_that_leaves_while_it_waits_is_not_asked_for():
    o = HttpOrigin()
    w = Weir(one(o, up=rate('rate = "1/s"; burst = 1; wait = "1h";')))
    ok(once(w.conf.ports["front"]))
    waiting = [front(w) for _ in range(3)]
    for c in waiting:
        c.send(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: counts(w, "delayed_total").get("request_rate") == 3,
          "all wait")
    for n, c in enumerate(waiting):
        c.rst() if n % 2 else c.close()
    until(lambda: w.listener()["connections"]["active"] == 0, "they left")
    ok(once(w.conf.ports["front"]))
    check(sum(q.target == "/never" for q in o.seen) <= 1,
          "asked for clients that had gone")
    w.balanced(o)


@case
def turns_of_those_who_left_go_to_who_comes():
    o = HttpOrigin()
    w = Weir(one(o, up=rate('rate = "20/m"; burst = 1; wait = "1h";')))
    ok(once(w.conf.ports["front"]))
    waiting = [front(w).send(request(target="/never")) for _ in range(40)]
    until(lambda: counts(w, "delayed_total").get("request_rate") == 40,
          "all wait")
    for c in waiting:
        c.rst()
    until(lambda: w.listener()["connections"]["active"] == 0, "they left")
    # Its turn is the next one: not two minutes away.
    ok(once(w.conf.ports["front"]))
    w.balanced(o)


# ---------------------------------------------------------------- Retry-After

class Pausing(Clocked):
    """Asks once for a pause, then serves. told: when it did."""

    def __init__(self, text, status=503):
        self.text, self.status = text, status
        self.told = None

        def handler(q, link):
            if self.told is not None:
                return plain(q, link)
            self.told = time.monotonic()
            text = self.text() if callable(self.text) else self.text
            return answer(q, "later", self.status, [("Retry-After", text)])
        super().__init__(handler)

    def came_after(self):
        """Seconds from the plea to the next request."""
        return self.at[1] - self.told


OBEYS = 'limits = { retry_after = true; request_rate = { ' \
    'rate = "10000/s"; burst = 100; wait = "%s"; }; };'


def in_s(seconds):
    return lambda: email.utils.formatdate(time.time() + seconds, usegmt=True)


def gets_its_pause(o, least):
    w = Weir(one(o, up=OBEYS % "0s"))
    c = front(w)
    # The answer itself goes to its client as it is.
    r = ask(c)
    eq((r.status, r.body), (o.status, b"later"), "the plea")
    check(r.get("Retry-After") is not None, "Retry-After is passed on")
    limited(ask(c), 503, "upstream_limited", most=5)
    limited(once(w.conf.ports["front"]), 503, "upstream_limited", most=5)
    eq(o.requests, 1, "requests upstream in the pause")
    limits = counts(w, "limited_total")
    eq(limits, {"retry_after": 2}, "limited_total")
    until(lambda: ask(c).status == 200, "after it")
    check(o.came_after() > least, "came after %.2f s" % o.came_after())
    c.close()
    w.balanced(o)


@case
def server_that_asks_for_seconds_gets_them():
    gets_its_pause(Pausing("2"), 1.9)


@case
def server_that_names_a_date_is_left_alone_until_then():
    # Dates have whole seconds: 4 in the header are more than 3.
    gets_its_pause(Pausing(in_s(4)), 2.9)


@case
def too_many_requests_asks_for_a_pause_too():
    gets_its_pause(Pausing("2", 429), 1.9)


@case
def requests_wait_for_the_end_of_the_pause():
    o = Pausing("1")
    w = Weir(one(o, up=OBEYS % "30s"))
    c = front(w)
    eq(ask(c).status, 503, "the plea")
    ok(ask(c))
    check(o.came_after() > 0.9, "came after %.2f s" % o.came_after())
    eq(counts(w, "limited_total"), {}, "limited_total")
    check(counts(w, "delayed_total").get("retry_after", 0) >= 1, "delayed")
    c.close()
    w.balanced(o)


@case
def a_pause_outlives_an_upgrade():
    o = Pausing("3600", 429)
    w = Successive(one(o, up=OBEYS % "0s"))
    eq(once(w.conf.ports["front"]).status, 429, "the plea")
    w.upgrade()
    limited(once(w.conf.ports["front"]), 503, "upstream_limited", most=600)
    eq(o.requests, 1, "requests upstream")


@case
def others_serve_meanwhile():
    busy, free = Pausing("3600"), Clocked()
    w = Weir(one(busy, free, up=OBEYS % "0s"))
    c = front(w)
    until(lambda: ask(c).status == 503, "the plea")
    for _ in range(20):
        ok(ask(front(w)))
    eq(busy.requests, 1, "requests to the one that asked for a pause")


@case
def pleas_that_make_no_sense_are_not_heard():
    for text in ("-1", "soon", "", "1.5", "0", "99999999999999999999x",
                 "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 32 Foo 2999"):
        o = Pausing(text)
        w = Weir(one(o, up=OBEYS % "0s"))
        c = front(w)
        eq(ask(c).status, 503, "the plea")
        ok(ask(c))
        w.stop()


@case
def without_the_key_no_plea_is_heard():
    o = Pausing("3600")
    w = Weir(one(o))
    c = front(w)
    eq(ask(c).status, 503, "the plea")
    ok(ask(c))
    eq((o.accepted, o.requests), (1, 2), "upstream")


run()
