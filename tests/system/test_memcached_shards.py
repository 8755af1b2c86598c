"""memcached's keys over several servers: each key has one, a get of many is put
together in the order of its keys, and one that cannot be whole is an error.
"""
# SPDX-License-Identifier: MIT
import base64
import hashlib
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, Aside, case, check, eq, run, until
from memcached import (DIRECT, Binary, Client, Memcached, MemcachedOrigin,
                       packet, setting, through, token)

# Alike, they might all be of one server.
KEYS = [hashlib.md5(b"%d" % n).hexdigest()[:12].encode()
        for n in range(120)]


def shards(*servers, pool="max = 16;", up="", front=""):
    if DIRECT:
        raise Aside("one server alone has no shards")
    w = through(*servers, pool=pool, front=front,
                up='balance = "key_hash"; ' + up)
    return w, w.conf.ports["front"]


def three(**options):
    servers = [Memcached() for _ in range(3)]
    return (servers, *shards(*servers, **options))


def where(w, servers, key):
    """Whose the key is, by weir's own word."""
    status, body = w.get("/key?upstream=back&key=" + key.decode())
    eq(status, 200, body)
    name = json.loads(body)["endpoint"]
    return [s for s in servers if s.address == name][0]


def balanced(w, servers):
    for s in servers:
        until(lambda: s.open == w_open(w, s), "connections of %s" % s.address)


def w_open(w, server):
    return [e["open"] for e in w.upstream()["endpoints"]
            if e["name"] == server.address][0]


@case
def a_key_lies_where_weir_says():
    servers, w, front = three()
    c, b = Client(front), Binary(front)
    for k in KEYS[:60]:
        c.stored(k, k)
        home = where(w, servers, k)
        eq([s.desk.get(k) for s in servers],
           [k if s is home else None for s in servers], "where it is")
        eq(c.get(k), k, "get")
        eq(b.ask("get", k), (0, k), "the same by the binary protocol")
        eq(b.ask("set", k, k + b"!", setting())[0], 0, "binary set")
        eq(c.get(k), k + b"!", "the same by text")
        c.send(b"mg " + base64.b64encode(k) + b" b v\r\n")
        eq(c.meta()[1], k + b"!", "the same in base64")
    check(all(int(s.stats()["curr_items"]) > 0 for s in servers),
          "a server has nothing")
    c.prove().close()
    b.prove().close()
    balanced(w, servers)


@case
def many_keys_come_in_their_order():
    servers, w, front = three()
    c, other = Client(front), Client(front)
    for n, k in enumerate(KEYS[::2]):
        c.stored(k, k * n, flags=n)
    there = {k: (k, n, k * n) for n, k in enumerate(KEYS[::2])}
    asks = [KEYS, KEYS[::-1], KEYS[:2], KEYS[1::2], KEYS + KEYS[::-1],
            [KEYS[0]] * 5 + [KEYS[2]] * 5]
    for verb in (b"get", b"gets", b"  get ", b"gat 0", b"gats 0"):
        if b"gat" in verb:      # its line has a limit
            asks = [keys for keys in asks if len(keys) <= len(KEYS)]
        c.send(b"".join(verb + b" " + b" ".join(keys) + b"\r\nget none\r\n"
                        for keys in asks))
        other.prove()
        for keys in asks:
            eq([v[:3] for v in c.values()],
               [there[k] for k in keys if k in there], "%r" % verb)
            eq(c.values(), [], "none")
    c.prove().close()
    other.close()
    balanced(w, servers)


@case
def ones_own_writes_are_read():
    servers, w, front = three()
    clients = [Client(front) for _ in range(10)]
    for _ in range(20):
        t = token()
        for n, c in enumerate(clients):
            keys = [b"own-%d-%d" % (n, i) for i in range(10)]
            c.send(b"".join(c.put(k, t, more="noreply") for k in keys) +
                   b"get " + b" ".join(keys) + b"\r\n" +
                   b"".join(b"delete %s noreply\r\n" % k for k in keys) +
                   b"get " + b" ".join(keys) + b"\r\n")
        for n, c in enumerate(clients):
            eq([v[2] for v in c.values()], [t] * 10, "written")
            eq(c.values(), [], "deleted")
    for c in clients:
        c.prove().close()
    balanced(w, servers)


@case
def large_values_are_put_together():
    servers, w, front = three()
    c = Client(front)
    values = {k: (k * 150000)[:300000 + n] for n, k in enumerate(KEYS[:12])}
    for k, v in values.items():
        c.stored(k, v)
    for _ in range(2):
        c.send(b"get " + b" ".join(values) + b"\r\n")
        got = c.values()
        eq([v[0] for v in got], list(values), "keys")
        check(all(v[2] == values[v[0]] for v in got), "values")
    c.prove().close()
    balanced(w, servers)


@case
def a_very_long_line_is_split():
    servers, w, front = three()
    c = Client(front)
    keys = [b"%0100d" % n for n in range(600)]
    for k in keys[::3]:
        c.stored(k, k[-3:])
    for at in (1, 5, 777, 30000):
        line = b"get " + b" ".join(keys) + b"\r\n"
        c.send(line[:at])
        c.send(line[at:])
        eq([v[0] for v in c.values()], keys[::3], "keys")
    c.prove().close()
    balanced(w, servers)


@case
def a_part_that_fails_fails_all():
    servers, w, front = three()
    c = Client(front)
    for k in KEYS:
        c.stored(k, k)
    dead = where(w, servers, KEYS[0])
    alive = [k for k in KEYS if where(w, servers, k) is not dead]
    dead.stop()
    for _ in range(3):
        c.send(b"get " + b" ".join(KEYS) + b"\r\nget " + b" ".join(alive) +
               b"\r\n")
        line = c.line()
        check(line.startswith(b"SERVER_ERROR weir: "), repr(line))
        eq([v[0] for v in c.values()], alive, "keys of the others")
    dead.start()
    eq(c.gets(*KEYS[:1]) or "lost", "lost", "nothing is in the new one")
    c.prove().close()


@case
def flush_all_reaches_everybody():
    servers, w, front = three()
    c, b = Client(front), Binary(front)
    for how in ("text", "noreply", "binary", "quiet"):
        for k in KEYS:
            c.stored(k, k)
        if how == "text":
            eq(c.ask("flush_all"), b"OK", how)
        elif how == "noreply":
            c.send(b"flush_all 0 noreply\r\nmn\r\n")
            eq(c.line(), b"MN", how)
        elif how == "binary":
            b.send(packet("flush", opaque=9))
            got = b.reply()
            eq(got[1:3], (0, 9), how)
        else:
            b.send(packet("flushq", extras=b"\0\0\0\0", opaque=8) +
                   packet("noop", opaque=10))
            eq(b.reply()[1:3], (0, 10), how)
        eq([s.desk.gets(*KEYS) for s in servers], [{}] * 3, how)
    servers[1].stop()
    line = c.ask("flush_all")
    check(line.startswith(b"SERVER_ERROR weir: "), repr(line))
    servers[1].start()
    c.prove().close()
    b.prove().close()


def scripted(answer):
    """Three servers of which the first is asked for words."""
    def ordinary(line, value, link):
        return b"".join(b"VALUE %s 0 1\r\nx\r\n" % k
                        for k in line.split(b" ")[1:]) + b"END\r\n"
    origins = [MemcachedOrigin(answer), MemcachedOrigin(ordinary),
               MemcachedOrigin(ordinary)]
    return (origins, *shards(*origins))


@case
def an_error_behind_values_is_the_answer():
    def answer(line, value, link):
        return b"VALUE %s 0 1\r\nx\r\nSERVER_ERROR out of memory\r\n" % \
            line.split(b" ")[1]
    origins, w, front = scripted(answer)
    c = Client(front)
    for _ in range(3):
        eq(c.ask(b"get " + b" ".join(KEYS)), b"SERVER_ERROR out of memory",
           "all")
    mine = [k for k in KEYS if where(w, origins, k) is not origins[0]]
    c.send(b"get " + b" ".join(mine) + b"\r\n")
    eq([v[0] for v in c.values()], mine, "those of others")
    c.close()
    balanced(w, origins)


@case
def an_answer_to_another_question_is_not_believed():
    wrong = [b"other"]

    def answer(line, value, link):
        return b"VALUE %s 0 1\r\nx\r\nEND\r\n" % wrong[0]
    origins, w, front = scripted(answer)
    wrong.append([k for k in KEYS
                  if where(w, origins, k) is not origins[0]][0])
    c = Client(front)
    for _ in range(4):
        line = c.ask(b"get " + b" ".join(KEYS))
        check(line.startswith(b"SERVER_ERROR weir: "), repr(line))
        wrong.reverse()
    c.close()


@case
def who_leaves_is_owed_parts():
    go = threading.Event()

    def answer(line, value, link):
        go.wait(5 * WAIT)
        return b"".join(b"VALUE %s 0 1\r\nx\r\n" % k
                        for k in line.split(b" ")[1:]) + b"END\r\n"
    origins, w, front = scripted(answer)
    mine = [k for k in KEYS if where(w, origins, k) is origins[0]]
    stay = Client(front)
    for n in range(6):
        a = Client(front)
        a.send(b"get " + b" ".join(KEYS) + b"\r\n" + b"get a\r\nget b\r\n")
        until(lambda: origins[1].asked("get") > n, "asked")
        (a.rst if n % 2 else a.close)()
    stay.send(b"get " + b" ".join(KEYS) + b"\r\nget " + mine[0] + b"\r\n")
    go.set()
    eq([v[0] for v in stay.values()], KEYS, "all")
    eq([v[0] for v in stay.values()], mine[:1], "one")
    stay.close()
    balanced(w, origins)


run()
