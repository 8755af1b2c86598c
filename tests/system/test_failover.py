"""A Redis primary that steps down: what comes waits for the next one instead of
failing, and nothing more is sent to the old one.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, later, run, until
from redis import Client, Error, RedisServer, through
from weir import Weir, one
from web import HttpOrigin, ok, read_response, request
from wire import Client as WebClient

HEALTH = 'health = { interval = "50ms"; timeout = "%dms"; rise = 1; ' \
    'fall = 1; }; redis = { role = "master"; };' % (5000 * SLOW)
POOL = 'failover_hold = "60s"; queue_timeout = "60s";'


def follow(server, master):
    host, _, number = master.address.rpartition(":")
    eq(server.ask("REPLICAOF", host, number), "OK", "REPLICAOF")


def states(w):
    return {e["name"]: e["state"] for e in w.upstream()["endpoints"]}


@case
def after_readonly_new_commands_wait_for_the_new_primary():
    a, b = RedisServer(), RedisServer()
    follow(b, a)
    w = through(a, b, pool=POOL, up=HEALTH)
    until(lambda: states(w) == {a.address: "up", b.address: "down"},
          "a is the primary")
    c, d = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    c.ok("SET", "k", "1")
    # The old one serves reads of replicas: it says so on the first write.
    follow(a, b)
    until(lambda: isinstance(c.ask("SET", "k", "2"), Error) or
          states(w)[a.address] == "down", "it is told")
    d.write("SET", "k", "3")
    w.wait_pool(waiting=1)
    eq(b.ask("REPLICAOF", "NO", "ONE"), "OK", "promoted")
    eq(d.read(), "OK", "on the new one")
    eq(b.ask("GET", "k"), b"3", "where it went")
    until(lambda: states(w) == {a.address: "down", b.address: "up"},
          "b is the primary")
    c.prove().close()
    d.prove().close()
    w.balanced(b)


class Writer(threading.Thread):
    """Counts up a key of its own until it is told to stop."""

    def __init__(self, w, who, enough):
        super().__init__(daemon=True)
        self.who, self.enough = who, enough
        self.link = Client(w.conf.ports["front"])
        self.done, self.told = 0, []

    def run(self):
        while not self.enough.is_set():
            got = self.link.ask("INCR", "k%d" % self.who)
            if isinstance(got, Error):
                self.told.append(got)
            else:
                self.done += 1


@case
def writers_wait_for_a_replica_to_be_promoted():
    """Only what was sent while the primary died may fail: on the connection
    that there was, and on those that the dying one's kernel took yet."""
    a, b = RedisServer(), RedisServer()
    follow(b, a)
    w = through(a, b, pool=POOL, up=HEALTH)
    until(lambda: states(w) == {a.address: "up", b.address: "down"},
          "a is the primary")
    enough = threading.Event()
    later(enough.set)
    writers = [Writer(w, who, enough) for who in range(10)]
    for one in writers:
        one.start()

    def go_on():
        least = [one.done + 20 for one in writers]
        until(lambda: all(one.done >= n for one, n in zip(writers, least)),
              "commands of every writer", 3 * WAIT)
    go_on()
    a.stop()
    w.wait_pool(waiting=len(writers))
    told = [len(one.told) for one in writers]
    eq(b.ask("REPLICAOF", "NO", "ONE"), "OK", "promoted")
    go_on()
    enough.set()
    for one in writers:
        one.join(WAIT)
        check(not one.is_alive(), "a writer hangs")
        one.link.prove().close()
    eq([len(one.told) for one in writers], told, "errors, since all waited")
    w.balanced(b)


@case
def without_checks_refused_connects_are_waited_out():
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, pool=POOL))
    c = WebClient(w.conf.ports["front"]).send(request())
    w.wait_pool(waiting=1)
    check(w.upstream()["connects_total"] < 20, "hammered")
    o.listen()
    ok(read_response(c))
    c.close()
    eq(o.requests, 1, "requests")
    w.balanced(o)


run()
