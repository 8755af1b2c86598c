"""A command whose keys are at several servers goes to each in a part of its
own, and is answered once: in its place, in the order of its keys, with one
error when a part fails.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys
import threading
from urllib.parse import quote

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from redis import (DIRECT, Client, Error, Raw, RedisOrigin, RedisServer,
                   command, commands, encode, through, token)

if DIRECT:
    raise SystemExit(0)         # who has several servers without weir?

HASH = 'balance = "key_hash"; '


def by_server(w, servers, each=4):
    """For every server keys that are its own."""
    own = {s.address: [] for s in servers}
    n = 0
    while min(map(len, own.values())) < each:
        key = "key:%d" % n
        n += 1
        status, body = w.get("/key?upstream=back&key=" + quote(key, safe=""))
        eq(status, 200, "/key: %s" % body)
        mine = own[json.loads(body)["endpoint"]]
        if len(mine) < each:
            mine.append(key.encode())
    return [own[s.address] for s in servers]


def mixed(own):
    """Their keys, one of each in turn."""
    return [k for row in zip(*own) for k in row]


def pairs(keys):
    return [x for k in keys for x in (k, b"<%s>" % k)]


def values(keys):
    return [b"<%s>" % k for k in keys]


class Parts:
    """Servers that answer MGET with its keys, in brackets. One may be told
    otherwise; the others then wait until it has done so."""

    def __init__(self, n=3, up="", **options):
        self.act = None
        self.acted = threading.Event()
        self.servers = [RedisOrigin(self.answer) for _ in range(n)]
        self.w = through(*self.servers, up=HASH + up, pool="max = 24;",
                         **options)
        self.front = self.w.conf.ports["front"]
        self.own = by_server(self.w, self.servers)
        self.keys = mixed(self.own)

    def answer(self, args, play):
        if args[0] != b"MGET":
            return args[1]
        if self.act is None:
            return values(args[1:])
        if play.origin is self.servers[-1]:
            try:
                return self.act(args, play)
            finally:
                self.acted.set()
        # Long enough behind that the other's answer is there by itself.
        self.acted.wait(5 * WAIT)
        play.origin.ending.wait(0.2)
        return values(args[1:])

    def told(self, act):
        self.act = act
        self.acted.clear()

    def good(self, c):
        """Everything is right again for c and for whoever comes."""
        self.told(None)
        for x in (c, Client(self.front)):
            for _ in range(3):
                eq(x.ask("MGET", *self.keys), values(self.keys), "MGET")
            x.prove()
        x.close()

    def alive(self):
        eq(self.w.process.poll(), None, "exit status of weir")


# ------------------------------------------------------------- real ones

@case
def each_of_them_is_answered_once():
    for n in (2, 3):
        servers = [RedisServer() for _ in range(n)]
        w = through(*servers, up=HASH, pool="max = 24;")
        c = Client(w.conf.ports["front"])
        own = by_server(w, servers)
        for at in range(1, n + 1):
            keys = mixed(own[:at])
            for _ in range(2):
                eq(c.ask("MSET", *pairs(keys)), "OK", "MSET")
                eq(c.ask("MGET", *keys), values(keys), "MGET")
                eq(c.ask("EXISTS", *keys), len(keys), "EXISTS")
                eq(c.ask("TOUCH", *keys), len(keys), "TOUCH")
                eq(c.ask("DEL", *keys), len(keys), "DEL")
                eq(c.ask("UNLINK", *keys), 0, "UNLINK after DEL")
                eq(c.ask("EXISTS", *keys), 0, "EXISTS after DEL")
                eq(c.ask("MGET", *keys), [None] * len(keys), "MGET")
                c.ok("MSET", *pairs(keys))
                eq(c.ask("UNLINK", *keys), len(keys), "UNLINK")
                c.prove()
        for s, keys in zip(servers, own):
            c.ok("MSET", *pairs(mixed(own)))
            eq(s.ask("DBSIZE"), len(keys), "keys at %s" % s.address)
        c.close()
        w.balanced(*servers)


@case
def in_a_pipeline_each_has_its_place():
    servers = [RedisServer() for _ in range(3)]
    w = through(*servers, up=HASH, pool="max = 24;")
    front = w.conf.ports["front"]
    keys = mixed(by_server(w, servers))
    n = len(keys)
    for resp in (2, 3):
        c = Client(front, resp=resp)
        for _ in range(20):
            t, t2 = token(), token()
            eq(c.pipe(("ECHO", t), ("MSET", *pairs(keys)), ("GET", keys[1]),
                      ("MGET", *keys), ("EXISTS", *keys), ("ECHO", t2),
                      ("TOUCH", *keys), ("DEL", *keys[:4]),
                      ("MGET", *keys[:6]), ("UNLINK", *keys), ("PING",)),
               [t, "OK", b"<%s>" % keys[1], values(keys), n, t2, n, 4,
                [None] * 4 + values(keys[4:6]), n - 4, "PONG"],
               "a pipeline")
        c.prove().close()
    w.balanced(*servers)


@case
def values_are_in_the_order_of_the_keys():
    servers = [RedisServer() for _ in range(3)]
    w = through(*servers, up=HASH, pool="max = 24;")
    front = w.conf.ports["front"]
    own = by_server(w, servers)
    keys, none = mixed(own), own[1][-1]
    for resp, null in ((2, b"$-1\r\n"), (3, b"_\r\n")):
        c = Client(front, resp=resp)
        c.ok("MSET", *pairs(keys))
        for asked in (keys[::-1], sorted(keys), own[2] + own[0] + own[1],
                      own[0][:1] + own[1] + own[0][1:]):
            eq(c.ask("MGET", *asked), values(asked), "MGET")
        twice = [k for k in keys for _ in range(2)] + keys[:1] * 3
        eq(c.ask("MGET", *twice), values(twice), "MGET of duplicates")
        eq(c.ask("EXISTS", *twice), len(twice), "EXISTS of duplicates")
        eq(c.ask("MSET", *pairs(keys), keys[0], b"last", keys[1], b""), "OK",
           "MSET with duplicates")
        eq(c.ask("MGET", *keys[:3]), [b"last", b""] + values(keys[2:3]),
           "the last of them")
        eq(c.ask("DEL", none, keys[0], none), 2, "DEL of duplicates")
        eq(c.ask("RPUSH", keys[0], "x"), 1, "RPUSH")
        asked = [none, keys[2], b"nosuch", keys[0], keys[3]]
        c.send(command("MGET", *asked))
        want = b"*5\r\n" + null + encode(b"<%s>" % keys[2]) + null * 2 + \
            encode(b"<%s>" % keys[3])
        eq(c.read_exact(len(want)), want, "MGET with nulls")
        c.ask("DEL", keys[0])
        c.prove().close()
    w.balanced(*servers)


# --------------------------------------------------------- one part fails

@case
def an_early_error_is_the_one_answer():
    p = Parts()
    c = Client(p.front)
    for n in (1, 2, 5):
        p.told(lambda args, play: Error("LOADING it is"))
        t = token()
        got = c.pipe(*[("MGET", *p.keys)] * n, ("ECHO", t))
        eq(got, ["LOADING it is"] * n + [t], "replies")
        check(all(isinstance(g, Error) for g in got[:n]), repr(got))
        p.alive()
        p.good(c)
    c.close()
    p.w.balanced(*p.servers)


@case
def a_server_that_dies_in_it_is_one_error():
    def dies(args, play, some=b""):
        play.send(some)
        play.rst()
        raise ConnectionError
    p = Parts()
    for some in (b"", b"*2\r\n$5\r\nab"):
        for n in (1, 3):
            c = Client(p.front)
            p.told(lambda args, play: dies(args, play, some))
            # ECHO has no key: it may have gone to the one that dies.
            mine = p.own[0][0]
            got = c.pipe(*[("MGET", *p.keys)] * n, ("GET", mine))
            eq(got[n], mine, "GET behind %r" % (got[:n],))
            check(all(isinstance(g, Error) for g in got[:n]), repr(got))
            p.alive()
            p.good(c)
            c.close()
    p.w.balanced(*p.servers)


@case
def nobody_is_shifted_by_a_server_that_is_killed():
    servers = [RedisServer() for _ in range(3)]
    w = through(*servers, up=HASH, pool="max = 24;")
    own = by_server(w, servers)
    keys = mixed(own)
    stop, served, errors = threading.Event(), [0] * 4, []

    def client(n):
        c = Client(w.conf.ports["front"])
        try:
            while not stop.is_set():
                t = token()
                got = c.pipe(("MSET", *pairs(keys)), ("MGET", *keys),
                             ("TOUCH", *keys), ("ECHO", t))
                # ECHO has no key, and may have been at the one that died.
                for g, right in zip(got, ("OK", values(keys), len(keys), t)):
                    if not isinstance(g, Error) and g != right and not (
                            isinstance(right, list) and len(g) == len(keys)
                            or isinstance(right, int) and isinstance(g, int)):
                        raise AssertionError("%r, not %r" % (g, right))
                served[n] += 1
        except Exception as e:
            errors.append(e)
        c.close()
    threads = [threading.Thread(target=client, args=(n,), daemon=True)
               for n in range(len(served))]
    for t in threads:
        t.start()
    for _ in range(3):
        for _ in range(2):
            was = list(served)
            until(lambda: errors or all(a > b for a, b in zip(served, was)),
                  "everybody is served")
            servers[1].stop() if servers[1].process.poll() is None \
                else servers[1].start()
    stop.set()
    for t in threads:
        t.join(5 * WAIT)
    eq(errors, [], "what clients found")
    eq(w.process.poll(), None, "exit status of weir")
    c = Client(w.conf.ports["front"])
    c.prove().close()


@case
def a_part_that_is_no_part_ends_that_client_only():
    p = Parts()
    for bad in (b":7\r\n", b"*100\r\n" + b"$1\r\na\r\n" * 100, b"*0\r\n",
                b"*1\r\n$1\r\na\r\n"):
        c, other = Client(p.front), Client(p.front)
        other.prove()
        p.told(lambda args, play: Raw(bad))
        c.send(commands(("MGET", *p.keys), ("ECHO", "behind")))
        got = c.read_to_end()
        check(b"behind" not in got, "%r after %r" % (got, bad))
        p.alive()
        p.good(other)
        c.close()
        other.close()
    p.w.balanced(*p.servers)


@case
def a_failed_one_is_one_failure():
    # Also the answers of scripted servers have to come in that time.
    p = Parts(up='timeouts = { response = "%dms"; };' % (200 * WAIT))
    c = Client(p.front)
    eq(c.ask("MGET", *p.keys), values(p.keys), "MGET")
    go = threading.Event()
    for s in p.servers:
        s.answer = lambda args, play: (go.wait(5 * WAIT), values(args[1:]))[1]
    got = c.ask("MGET", *p.keys)
    check(isinstance(got, Error) and got.startswith("ERR weir: "), repr(got))
    eq(p.w.failures(), {"response_timeout": 1}, "failures_total")
    go.set()
    until(lambda: p.w.pool()["leased"] == 0, "late replies are swallowed")
    eq(c.ask("MGET", *p.keys), values(p.keys), "MGET after it")
    eq(p.w.failures(), {"response_timeout": 1}, "failures_total")
    c.close()
    p.w.balanced(*p.servers)


# ------------------------------------------------------------------ limits

@case
def a_limit_refuses_all_of_it():
    servers = [RedisServer() for _ in range(3)]
    w = through(*servers, up=HASH, pool="max = 24;", front='limits = { '
                'request_rate = { rate = "1/h"; burst = 2; }; };')
    c = Client(w.conf.ports["front"])
    keys = mixed(by_server(w, servers))
    # One, however many parts it has.
    c.ok("MSET", *pairs(keys[:3]))
    c.ok("MSET", *pairs(keys[:3]))
    got = c.ask("MSET", *pairs(keys))
    check(isinstance(got, Error), repr(got))
    eq([s.calls("mset") for s in servers], [2, 2, 2], "MSETs at the servers")
    eq([s.ask("DBSIZE") for s in servers], [1, 1, 1], "keys at the servers")
    c.close()
    w.balanced(*servers)


run()
