"""A raw TCP session is carried over a connection that was open before it came:
half-closed ends, servers that speak first and slow readers included.
"""
# SPDX-License-Identifier: MIT
import hashlib
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, case, check, eq, run, until
from origin import Origin, echo, greet
from weir import Weir, one
from wire import Client


def front(w):
    return Client(w.conf.ports["front"])


@case
def session_runs_over_a_warm_connection():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", pool="min_idle = 2; max = 8;"))
    w.wait_pool(idle=2)
    before = w.upstream()["connects_total"]
    c = front(w).send("ping")
    eq(c.read_exact(4), b"ping", "echo")
    u = w.upstream()
    eq(u["pool"]["leased"], 1, "leased")
    check(u["reused_total"] + u["requests_total"] >= 1, "counted: %r" % u)
    # The warm set is refilled behind it.
    w.wait_pool(idle=2, leased=1)
    eq(before, 2, "connects_total before")
    o.had(3)
    c.close()
    until(lambda: o.open == 2, "the session's connection closes")
    w.balanced(o)
    o.had(3)


@case
def one_upstream_connection_for_each_session():
    o = Origin(greet(b"%d\n"))
    w = Weir(one(o, protocol="tcp"))
    for n in range(1, 11):
        c = front(w)
        eq(c.read_line(), b"%d\n" % n, "connection of session")
        c.close()
    o.had(10)
    w.balanced(o)
    eq(w.upstream()["connects_total"], 10, "connects_total")


@case
def fin_of_the_client_is_forwarded_and_the_answer_arrives():
    size = 3 << 20

    def script(link):
        link.limit = None
        asked = link.read_to_end()
        eq(link.ended, "fin", "how the request ended")
        link.send(hashlib.sha256(asked).digest() + bytes(size))
    o = Origin(script)
    w = Weir(one(o, protocol="tcp", pool="min_idle = 1;"))
    data = bytes(range(256)) * 4096
    c = front(w).send(data).shut()
    got = c.read_to_end()
    eq(c.ended, "fin", "end towards the client")
    eq(len(got), 32 + size, "answer")
    eq(got[:32], hashlib.sha256(data).digest(), "what the origin read")
    c.close()
    w.balanced(o)
    eq(o.errors, [], "script errors")


@case
def fin_of_the_server_is_forwarded_and_the_rest_still_goes_up():
    heard = []

    def script(link):
        link.send("bye").shut()
        link.limit = None
        heard.append(link.read_to_end())
    o = Origin(script)
    w = Weir(one(o, protocol="tcp"))
    c = front(w)
    eq(c.read_to_end(), b"bye", "from the server")
    eq(c.ended, "fin", "end")
    c.send(b"x" * 500000)
    c.shut()
    until(lambda: heard, "the origin's read")
    eq(heard[0], b"x" * 500000, "after the server's FIN")
    c.close()
    w.balanced(o)
    o.had(1)


@case
def greeting_waits_in_a_warm_connection_for_its_first_client():
    o = Origin(greet(b"220 %d ready\r\n"))
    w = Weir(one(o, protocol="tcp", pool="min_idle = 3; max = 3;"))
    w.wait_pool(idle=3)
    o.had(3)
    seen = set()
    clients = [front(w) for _ in range(3)]
    for c in clients:
        seen.add(c.read_line())
        c.send("hello")
        eq(c.read_exact(5), b"hello", "echo")
        check(not c.wants(), "bytes too many: %r" % bytes(c.buf))
    eq(seen, {b"220 %d ready\r\n" % n for n in (1, 2, 3)}, "greetings")
    o.had(3)
    for c in clients:
        c.close()
    w.wait_pool(idle=3, leased=0)
    w.balanced(o)


@case
def reset_is_not_turned_into_an_orderly_end():
    o = Origin(lambda link: (link.read_line(), link.send(b"y" * 100),
                             link.read_line(), link.rst()))
    w = Weir(one(o, protocol="tcp"))
    c = front(w).send("a\n")
    c.read_exact(100)
    c.send("b\n")
    c.read_to_end()
    eq(c.ended, "rst", "after the server's RST")
    ends = []

    def script(link):
        link.limit = None
        link.send(link.read_line())
        link.read_to_end()
        ends.append(link.ended)
    o.script = script
    c = front(w).send("a\n")
    c.read_line()
    c.rst()
    until(lambda: ends, "the origin sees the end")
    w.balanced(o)


@case
def slow_reader_of_200_mib_costs_a_buffer():
    size = 200 << 20
    block = bytes(range(256)) * 1024
    sent = []

    def script(link):
        link.limit = None
        link.read_line()
        for _ in range(size // len(block)):
            link.send(block)
            sent.append(1)
    o = Origin(script)
    w = Weir(one(o, protocol="tcp"))
    before = w.rss()
    slow = Client(w.conf.ports["front"], rcvbuf=32768).send("go\n")
    slow.read_exact(1000)
    # It comes to rest with most of it unsent: the producer is paused.
    state = [0, 0]

    def stalled():
        state[0], state[1] = (state[0] + 1, state[1]) \
            if len(sent) == state[1] else (0, len(sent))
        return state[0] > 12
    until(stalled, "the producer to be paused", 60)
    check(len(sent) * len(block) < size // 4, "no backpressure")
    quick = front(w).send("go\n")
    eq(quick.read_exact(len(block)), block, "another session")
    quick.rst()
    most, got = w.rss(), 1000
    digest = hashlib.sha256(b"")
    digest.update(block[:1000])
    while got < size:
        check(slow.more(), "ended early")
        data = slow.take(len(slow.buf))
        digest.update(data)
        got += len(data)
        most = max(most, w.rss())
    check(most - before < 8 << 20, "grew by %d KiB" % ((most - before) >> 10))
    whole = hashlib.sha256()
    for _ in range(size // len(block)):
        whole.update(block)
    eq(digest.hexdigest(), whole.hexdigest(), "what arrived")
    slow.close()
    w.balanced(o)
    o.had(2)


@case
def refused_upstream_closes_the_client_with_a_counted_reason():
    o = Origin(echo)
    o.refuse()
    w = Weir(one(o, protocol="tcp"))
    c = front(w)
    eq(c.read_to_end(), b"", "bytes to the client")
    c.close()
    eq(sum(w.failures().values()), 1, "failures: %r" % w.failures())
    check("connect_failed" in w.failures(), "reason: %r" % w.failures())
    w.balanced(o)
    o.listen()
    c = front(w).send("now")
    eq(c.read_exact(3), b"now", "after recovery")
    o.had(1)


@case
def silent_tunnel_ends():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", up='timeouts = { tunnel = "300ms"; };'))
    c = front(w).send("x")
    eq(c.read_exact(1), b"x", "echo")
    eq(c.read_to_end(), b"", "end of the tunnel")
    until(lambda: o.open == 0, "upstream side ends")
    w.balanced(o)


@case
def both_directions_at_once():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp"))
    data = os.urandom(1 << 20) * 16
    c = front(w)

    def push():
        c.send(data)
        c.shut()
    t = threading.Thread(target=push, daemon=True)
    t.start()
    try:
        got = c.read_exact(len(data))
    except TimeoutError as e:
        raise Failed("echo stuck: %s" % e) from None
    t.join()
    check(got == data, "echo differs")
    eq(c.read_to_end(), b"", "end")
    c.close()
    w.balanced(o)


run()
