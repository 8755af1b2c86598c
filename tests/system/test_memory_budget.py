"""Near the end of its memory weir closes idle clients, then refuses new ones
and says why; it never dies, and what a crowd took goes back when it has left.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, Aside, case, check, eq, run, until
from origin import Origin, echo
from senders import turned_away
from weir import Weir, one
from web import HttpOrigin, ask, ok, once, plain, read_response, refused
from wire import Client

MIB = 1 << 20


# Heads that never end: a client with one is not idle.
HEADS = 'max_header = "60KiB"; timeouts = { header = "1h"; };'


def crowd(w, n, size):
    """n clients with so many bytes of a head each, in weir's memory."""
    before = w.rss()
    there = w.listener()["connections"]["active"]
    clients = []
    for _ in range(n):
        c = Client(w.conf.ports["front"])
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * size)
        clients.append(c)
    until(lambda: w.listener()["connections"]["active"] == there + n,
          "all of them")
    until(lambda: w.rss() > before + n * size * 3 // 4, "their memory")
    return clients


def budget(w, share):
    """Reload with a budget of which that share is used now."""
    w.conf.more = 'max_memory = "%dKiB";' % (w.rss() / share / 1024)
    w.write()
    w.reload()


def level(w):
    return w.stats()["process"]["pressure"]


def refusals(w, name="front"):
    return w.listener(name)["limited_total"]["memory"]


@case
def idle_clients_leave_when_memory_runs_short():
    def handler(q, link):
        if q.target == "/slow":
            link.origin.ending.wait(0.3)
            until(lambda: released, "", 60 * SLOW)
        return plain(q, link)
    released = []
    o = HttpOrigin(handler)
    w = Weir(one(o, front=HEADS))
    number = w.conf.ports["front"]
    heavy = crowd(w, 500, 48 << 10)
    idle = [Client(number) for _ in range(5)]
    for c in idle:
        ok(ask(c))
    busy = Client(number)
    busy.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    w.wait_pool(leased=1)
    budget(w, 0.9)
    until(lambda: level(w) == "tight", "the level")
    for c in idle:
        eq(c.read_to_end(), b"", "an idle client is told")
    # Who is served is served to the end, and new ones come in.
    ok(once(number))
    released.append(True)
    ok(read_response(busy))
    eq(refusals(w), 0, "refused")
    w.wait_log("memory runs short")
    w.conf.more = ""
    w.write()
    w.reload()
    until(lambda: level(w) == "none", "the level without a budget")
    stays = Client(number)
    ok(ask(stays))
    ok(ask(stays))
    for c in [busy, stays, *heavy]:
        c.close()
    w.balanced(o)


@case
def new_clients_are_refused_when_memory_is_full():
    o = HttpOrigin()
    w = Weir(one(o, front=HEADS))
    number = w.conf.ports["front"]
    ok(once(number))
    w.balanced(o)       # it has gone, and is not one of those counted
    heavy = crowd(w, 500, 48 << 10)
    budget(w, 1.1)
    until(lambda: level(w) == "full", "the level")
    for _ in range(3):
        c = Client(number)
        refused(read_response(c), 503, "overloaded")
        eq(c.read_to_end(), b"", "closed")
    eq(refusals(w), 3, "limited_total.memory")
    eq(w.get("/healthz")[0], 200, "/healthz")
    w.conf.more = ""
    w.write()
    w.reload()
    until(lambda: level(w) == "none", "the level without a budget")
    ok(once(number))
    o.had(1)
    for c in heavy:
        c.close()
    w.balanced(o)


@case
def tcp_clients_are_refused_without_a_byte():
    o = Origin(echo)
    conf = one(o, front=HEADS).upstream("raw", o)
    conf.listener("raw", "raw", "tcp")
    w = Weir(conf)
    crowd(w, 500, 48 << 10)
    held = Client(w.conf.ports["raw"])
    eq(held.send("ping").read_exact(4), b"ping", "echo")
    budget(w, 1.1)
    until(lambda: level(w) == "full", "the level")
    eq(turned_away(Client(w.conf.ports["raw"])), b"", "a new client")
    eq(refusals(w, "raw"), 1, "limited_total.memory")
    # A session that runs is an exchange: it is not idle.
    eq(held.send("pong").read_exact(4), b"pong", "echo")
    o.had(1)


@case
def memory_of_a_crowd_goes_back():
    if os.environ.get("VARIANT", "release") != "release":
        raise Aside("a sanitizer keeps what is freed")
    o = HttpOrigin()
    w = Weir(one(o, front=HEADS))
    ok(once(w.conf.ports["front"]))
    before = w.rss()
    # Large blocks come from the heap once one has been given back. Those who
    # stay came at different times: nothing is free in one piece.
    for kept in (0, 5):
        clients = crowd(w, 1500, 48 << 10)
        stay = clients[99::300][:kept]
        for c in clients:
            if c not in stay:
                c.close()
        until(lambda: w.listener()["connections"]["active"] == kept,
              "they left")
    until(lambda: w.rss() < before + 16 * MIB, "it goes back", 30 * SLOW)
    ok(once(w.conf.ports["front"]))
    for c in stay:
        c.close()
    w.balanced(o)


run()
