"""A server drops its shared connection: what may be asked again is, for all who
rode on it, over one new connection; and one that drops every connection is
found out, not hammered.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import threading

from case import WAIT, Aside, case, check, eq, run, until
from redis import DIRECT, Client, Error, RedisOrigin, encode, through, token

CLIENTS = 20


@case
def all_who_rode_on_it_ride_on_the_next_one():
    if DIRECT:
        raise Aside("about shared connections")
    go = threading.Event()

    def answer(args, play):
        # The first connection has been used, and hears no more.
        if play.number == 1 and args[0] == b"GET":
            go.wait(5 * WAIT)
            play.link.rst()
        return args[1]
    origin = RedisOrigin(answer)
    w = through(origin, pool='min_idle = 0; queue_timeout = "%ds";' % WAIT)
    clients = [Client(w.conf.ports["front"]) for _ in range(CLIENTS)]
    for c in clients:
        eq(c.ask("SET", "k", "v"), b"k", "SET")
    words = [token() for _ in clients]
    for c, word in zip(clients, words):
        c.send(encode([b"GET", word if isinstance(word, bytes)
                       else word.encode()]))
    until(lambda: w.pool()["oldest_lease_us"] > 0 and
          origin.asked("GET") >= 1, "they are asked for")
    go.set()
    for c, word in zip(clients, words):
        eq(c.reads(1), [word], "GET")
    origin.had(2)
    eq(w.failures(), {}, "failures")


@case
def what_is_no_read_is_sent_once():
    if DIRECT:
        raise Aside("about shared connections")
    for words, most in ((("GET", "k"), 2), (("PING", "k"), 2),
                        (("SET", "j", "v"), 1),
                        (("EVAL", "return redis.call('incr', 'n')", "1", "n"),
                         1), (("EVALSHA", "a" * 40, "0"), 1),
                        (("FCALL", "f", "0"), 1), (("PUBLISH", "c", "m"), 1),
                        (("SPUBLISH", "c", "m"), 1), (("BGSAVE",), 1),
                        (("ACL", "SETUSER", "u"), 1)):
        sent = []

        def answer(args, play):
            if args[1:2] == [b"first"]:
                return b"there"
            sent.append(args)
            if play.number == 1:
                play.link.rst()
            return b"again"
        origin = RedisOrigin(answer)
        if words[0] == "PING":
            origin._own = lambda args, play: answer(args, play)
        w = through(origin, pool="min_idle = 0;")
        c = Client(w.conf.ports["front"])
        eq(c.ask("GET", "first"), b"there", "the first one")
        got = c.ask(*words)
        eq(len(sent), most, "%s sent" % words[0])
        if most == 1:
            check(isinstance(got, Error) and "upstream_reset" in got,
                  repr(got))
        else:
            eq(got, b"again", words[0])
        c.close()


@case
def one_that_drops_all_is_told_of_and_not_hammered():
    if DIRECT:
        raise Aside("about shared connections")
    broken = threading.Event()

    def answer(args, play):
        if broken.is_set():
            play.link.rst()
        return args[1]
    origin = RedisOrigin(answer)
    w = through(origin, pool="min_idle = 0;")
    c = Client(w.conf.ports["front"])
    eq(c.ask("SET", "k", "v"), b"k", "SET")
    broken.set()
    for n in range(1, 6):
        got = c.ask("GET", "k")
        check(isinstance(got, Error) and "reset" in str(got), repr(got))
        # The first one is asked for once more.
        origin.had(n + 1)
    eq(w.failures(), {"upstream_reset": 5}, "failures")
    eq(w.upstream()["endpoints"][0]["failures_total"]["reset"], 5,
       "the endpoint's")


run()
