"""Commands whose replies do not come, and MONITOR, whose never end: what each
client is owed stays counted, and ends where it should.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from redis import (DIRECT, Client, RedisServer, commands, through, token,
                   upstreams)


def pair(pool="max = 16;"):
    server = RedisServer()
    w = through(server, pool=pool)
    return server, w, w.conf.ports["front"]


@case
def off_and_on_again():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for _ in range(10):
        t = token()
        a.send(commands("ECHO first", "CLIENT REPLY OFF", ("SET", "k", t),
                        "PING", "NOSUCH", "CLIENT REPLY ON", "GET k"))
        eq(a.reads(3), [b"first", "OK", t], "what is answered")
        b.prove()
    a.prove().close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 4)
    if not DIRECT:
        check(w.upstream()["pinned_total"]["reply"] >= 1, "pins")


@case
def off_is_of_one_client():
    server, w, front = pair()
    off = Client(front)
    off.send(commands("CLIENT REPLY OFF"))
    others = [Client(front) for _ in range(5)]
    for n in range(10):
        off.send(commands(("SET", "k", n)))
        for c in others:
            c.prove()
    until(lambda: server.ask("GET", "k") == b"9", "the last SET")
    check(not off.wants(), "a reply to who wants none")
    off.close()
    for c in (*others, Client(front)):
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def who_leaves_silent_leaves_no_silence():
    server, w, front = pair()
    for n in range(10):
        off = Client(front)
        off.send(commands("CLIENT REPLY OFF", ("SET", "k", n)))
        until(lambda: server.ask("GET", "k") == b"%d" % n, "SET")
        (off.close if n % 2 else off.rst)()
        for _ in range(3):
            Client(front).prove().close()
    w.balanced(server)


@case
def skip_is_for_one_command():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for n in range(10):
        t, u = token(), token()
        a.send(commands("CLIENT REPLY SKIP", ("SET", "k", t), "GET k",
                        ("ECHO", u)))
        eq(a.reads(2), [t, u], "after SKIP")
        b.prove()
        a.send(commands("CLIENT REPLY SKIP"))
        b.prove()
        a.send(commands("PING"))
        b.prove()
        eq(a.ask("ECHO", u), u, "SKIP and its command apart")
        a.send(commands("CLIENT REPLY SKIP", "NOSUCH", ("ECHO", u)))
        eq(a.read(), u, "an error is skipped, too")
        a.send(commands("CLIENT REPLY SKIP", "MULTI", "GET k", "EXEC"))
        eq(a.reads(2), ["QUEUED", [t]], "MULTI skipped")
    a.prove().close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def what_was_done_in_silence_is_seen_behind_it():
    server, w, front = pair()
    clients = [Client(front) for _ in range(4)]
    for _ in range(50):
        tokens = [token() for _ in clients]
        for n, c in enumerate(clients):
            c.send(commands("CLIENT REPLY SKIP", ("SET", "k%d" % n, tokens[n]),
                            "GET k%d" % n))
        for n, c in enumerate(clients):
            eq(c.read(), tokens[n], "what it has set itself")
        for n, c in enumerate(clients):
            c.send(commands("CLIENT REPLY OFF", ("SET", "k%d" % n, n),
                            "CLIENT REPLY ON", "GET k%d" % n))
        for n, c in enumerate(clients):
            eq(c.reads(2), ["OK", b"%d" % n], "what it has set itself")
    for c in clients:
        c.prove().close()
    w.balanced(server)


@case
def nonsense_is_an_error():
    server, w, front = pair()
    c = Client(front)
    eq(c.ask("CLIENT", "REPLY", "MAYBE"), "ERR syntax error", "REPLY MAYBE")
    eq(c.ask("CLIENT", "REPLY", "ON"), "OK", "REPLY ON")
    check(c.ask("CLIENT", "REPLY").startswith(
        "ERR wrong number of arguments"), "REPLY")
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def monitor_shows_what_others_do_to_one_client():
    server, w, front = pair()
    m, b = Client(front), Client(front)
    m.ok("MONITOR")
    for _ in range(10):
        t = token()
        b.ok("SET", "k", t)
        # PING of health checks may be among them.
        while True:
            line = m.read()
            if t.decode() in line:
                break
        check('"SET" "k"' in line, line)
        b.prove()
    m.close()
    for _ in range(10):
        Client(front).prove().close()
    b.prove().close()
    w.balanced(server)
    if not DIRECT:
        eq(w.upstream()["pinned_total"]["monitor"], 1, "pins")


@case
def monitor_ends_with_reset():
    server, w, front = pair()
    m, b = Client(front), Client(front)
    m.ok("MONITOR")
    b.prove()
    m.send(commands("RESET"))
    until(lambda: m.read() == "RESET", "RESET")
    m.prove()
    b.prove()
    m.close()
    b.close()
    w.balanced(server)


@case
def tracking_tells_of_changes_by_others():
    server, w, front = pair()
    a, b = Client(front, resp=3), Client(front)
    a.ok("CLIENT", "TRACKING", "ON")
    b.ok("SET", "k", "1")
    eq(a.ask("GET", "k"), b"1", "GET")
    b.ok("SET", "k", "2")
    eq(a.push(), [b"invalidate", [b"k"]], "invalidation")
    a.ok("CLIENT", "TRACKING", "OFF")
    a.prove().close()
    b.prove().close()
    for _ in range(5):
        c = Client(front, resp=3)
        c.ask("GET", "k")
        server.ask("SET", "k", "3")
        c.prove().close()
    w.balanced(server)
    if not DIRECT:
        check(w.upstream()["pinned_total"]["tracking"] >= 1, "pins")


run()
