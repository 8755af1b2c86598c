"""A cancel reaches the query it is about and no other: not one that waits, not
the next client of the connection, not by a wrong key.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, run, until
from postgres import (DIRECT, SYNC, V3_2, Client, bind, cancel_request,
                      execute, packet, parse, query, through, token,
                      upstreams)
from postgres_origin import PgOrigin
from wire import Client as WireClient

SLEEP = query("SELECT pg_sleep(1000)")


def start(pool="max = 1;", workers=1, **options):
    o = PgOrigin(**options)
    w = through(o, pool=pool, workers=workers)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


@case
def a_running_query_is_cancelled():
    o, w, front = start()
    a, b = Client(front), Client(front)
    for ask in (SLEEP, parse("", "SELECT pg_sleep(9)") + bind() + execute() +
                SYNC):
        a.write(ask)
        o.wait_for(1)
        a.cancel()
        got = a.result()
        eq((got.code, got.status), ("57014", "I"), "answer")
        b.prove()
    a.ok("BEGIN").write(SLEEP)
    o.wait_for(1)
    a.cancel()
    eq(a.result().status, "E", "in a transaction")
    a.ok("ROLLBACK")
    eq(len(o.cancels), 3, "cancels at the server")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def one_that_waits_is_answered_at_once():
    """No connection is used for it, and its place goes to the next."""
    if DIRECT:
        return
    o, w, front = start()
    a, b, c = (Client(front) for _ in range(3))
    a.ok("BEGIN")
    t = token()
    b.write(query("SELECT '%s'" % t))
    w.wait_pool(waiting=1)
    c.write(query("SELECT 'c'"))
    w.wait_pool(waiting=2)
    b.cancel()
    got = b.result()
    eq((got.kinds, got.code, got.status), ("EZ", "57014", "I"), "answer")
    w.wait_pool(waiting=1)
    a.ok("COMMIT")
    eq(c.result().one, "c", "the next one's")
    eq((o.cancels, o.seen("Q", t)), ([], 0), "at the server")
    leave(a, b, c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_batch_that_waits_is_cancelled_to_its_sync():
    if DIRECT:
        return
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("BEGIN")
    b.write(parse("", "SELECT 'x'"), bind(), execute(), SYNC,
            query("SELECT 'next'"))
    w.wait_pool(waiting=1)
    b.cancel()
    eq(b.result().code, "57014", "the first")
    a.ok("COMMIT")
    eq(b.result().one, "next", "the second")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def with_a_full_pool_it_works_too():
    """Cancels do not count as the pool's connections."""
    o, w, front = start(pool="max = 4;")
    clients = [Client(front) for _ in range(4)]
    for c in clients:
        c.write(SLEEP)
    o.wait_for(4)
    for c in clients:
        c.cancel()
    for c in clients:
        eq(c.result().code, "57014", "answer")
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 4)


@case
def a_wrong_key_cancels_nothing():
    if DIRECT:
        return
    o, w, front = start()
    a = Client(front)
    a.write(SLEEP)
    o.wait_for(1)
    for pid, key in ((a.pid, b"\0" * 4), (a.pid, a.key + b"\0"),
                     (a.pid, a.key * 64), (a.pid, a.key[:3]), (a.pid, b""),
                     (a.pid + 1, a.key), (0, a.key), (0xffffffff, a.key),
                     (a.pid ^ 1 << 24, a.key)):
        a.cancel(pid, key)
    check(not a.wants(), "an answer")
    eq(o.cancels, [], "cancels at the server")
    o.wake()
    eq(a.result().error, None, "answer")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_key_of_another_client_cancels_the_others():
    o, w, front = start(pool="max = 2;")
    a, b = Client(front), Client(front)
    a.write(SLEEP)
    o.wait_for(1)
    b.cancel()          # it runs nothing
    b.write(SLEEP)
    o.wait_for(2)
    b.cancel()
    eq(b.result().code, "57014", "b's")
    eq(o.waiting, 1, "queries that run")
    check(not a.wants(), "an answer to a")
    o.wake()
    eq(a.result().error, None, "a's")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_cancel_of_nothing_is_nothing():
    o, w, front = start()
    a = Client(front)
    for _ in range(20):
        a.cancel()
        a.prove()
    if not DIRECT:
        eq(o.cancels, [], "cancels at the server")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def what_was_sent_before_it_is_read_before_it():
    """weir finds both at once, and the cancel's connection first."""
    if DIRECT:
        return
    o, w, front = start(pool="max = 2;")
    b = Client(front)
    for begin in (False, True, False, True):
        a, link = Client(front), WireClient(front)
        if begin:
            a.ok("BEGIN")
        link.send(cancel_request(a.pid, a.key)[:8])
        b.prove()
        o.cancel_gate.clear()
        w.signal(signal.SIGSTOP)
        a.write(SLEEP)
        link.send(cancel_request(a.pid, a.key)[8:])
        w.signal(signal.SIGCONT)
        o.wait_for(1)
        o.cancel_gate.set()
        eq(a.result().code, "57014", "answer")
        eq(link.read_to_end(), b"", "an answer to a cancel")
        link.close()
        if begin:
            a.ok("ROLLBACK")
        leave(a)
    leave(b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def one_that_is_late_does_not_hit_the_next():
    """The server takes its time with it: the query has ended by itself, and
    the connection is nobody's before the cancel is done with."""
    if DIRECT:
        return
    o, w, front = start()
    a, b = Client(front), Client(front)
    for _ in range(3):
        o.cancel_gate.clear()
        n = len(o.cancels)
        a.write(SLEEP)
        o.wait_for(1)
        link = a.ask_cancel()
        until(lambda: len(o.cancels) == n + 1, "the cancel at the server")
        o.wake()
        eq(a.result().error, None, "a's query ended by itself")
        check(not link.wants(), "the end of the cancel")
        b.write(SLEEP)
        w.wait_pool(waiting=1)
        eq(o.waiting, 0, "queries that run while it is under way")
        o.cancel_gate.set()
        eq(link.read_to_end(), b"", "an answer to a cancel")
        link.close()
        o.wait_for(1)
        o.wake()
        eq(b.result().error, None, "b's query")
        a.prove()
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def its_own_next_query_is_not_hit_either():
    """Whoever goes on while its cancel is under way is held until it is over,
    also inside of a transaction."""
    if DIRECT:
        return
    o, w, front = start()
    a = Client(front)
    for begin in (False, True):
        if begin:
            a.ok("BEGIN")
        o.cancel_gate.clear()
        n = len(o.cancels)
        a.write(SLEEP)
        o.wait_for(1)
        link = a.ask_cancel()
        until(lambda: len(o.cancels) == n + 1, "the cancel at the server")
        o.wake()
        eq(a.result().error, None, "it ended by itself")
        t = token()
        a.write(query("SELECT '%s'" % t), parse("", "SELECT 'b'"), bind(),
                execute(), SYNC)
        check(not a.wants(), "an answer while it is held")
        eq(o.seen("Q", t), 0, "at the server")
        o.cancel_gate.set()
        eq([r.one for r in a.results(2)], [t, "b"], "answers")
        link.close()
    a.ok("COMMIT")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def it_does_not_hit_weirs_own_request():
    """The client's parameters are being set: the query behind is the one that
    is cancelled, and no parameter is lost."""
    if DIRECT:
        return
    gate, asked = threading.Event(), threading.Event()

    def slowly(session, message):
        if message.kind == "Q" and "set_config" in message.value:
            asked.set()
            gate.wait()
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("SET application_name = 'of a'")
    b.ok("SET application_name = 'of b'")
    o.before = slowly
    a.write(SLEEP)
    check(asked.wait(WAIT), "weir sets what a has set")
    link = a.ask_cancel()
    check(not link.wants(), "the end of the cancel")
    eq(o.cancels, [], "cancels at the server")
    o.before = None
    o.cancel_gate.clear()       # until it has read the query
    gate.set()
    o.wait_for(1)
    o.cancel_gate.set()
    eq(a.result().code, "57014", "answer")
    eq(link.read_to_end(), b"", "an answer to a cancel")
    link.close()
    eq(a.setting("application_name"), "of a", "a's parameter")
    eq(b.setting("application_name"), "of b", "b's parameter")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def who_asks_for_one_may_leave():
    """Before it is over; and the client that it is about, too."""
    if DIRECT:
        return
    for workers in (1, 2):
        o, w, front = start(workers=workers)
        b = Client(front)
        for n in range(6):
            a = Client(front)
            o.cancel_gate.clear()
            before = len(o.cancels)
            a.write(SLEEP)
            o.wait_for(1)
            link = a.ask_cancel()
            until(lambda: len(o.cancels) > before, "the cancel there")
            if n % 3 == 0:
                link.close()
            elif n % 3 == 1:
                link.rst()
            if n % 2 == 0:
                a.close()
            o.cancel_gate.set()
            if n % 2 == 1:
                eq(a.result().code, "57014", "answer")
                leave(a)
            b.prove()
            if n % 3 == 2:
                eq(link.read_to_end(), b"", "an answer to a cancel")
                link.close()
        leave(b)
        w.balanced(o)
        w.stop()
        o.stop()


@case
def a_server_that_does_not_close_it_holds_up_one_connection():
    """After the time to connect it is given up, and its connection with it."""
    if DIRECT:
        return
    o = PgOrigin()
    w = through(o, pool="max = 1;", up='timeouts = { connect = "300ms"; };')
    front = w.conf.ports["front"]
    a, b = Client(front), Client(front)
    o.cancel_gate.clear()
    a.write(SLEEP)
    o.wait_for(1)
    link = a.ask_cancel()
    until(lambda: o.cancels, "the cancel at the server")
    o.wake()
    eq(a.result().error, None, "a's query")
    b.prove()           # on a new connection
    eq(link.read_to_end(), b"", "an answer to a cancel")
    link.close()
    o.cancel_gate.set()
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_client_that_goes_has_its_query_cancelled():
    if DIRECT:
        return
    for end in ("close", "rst"):
        o, w, front = start()
        a, b = Client(front), Client(front)
        a.write(SLEEP)
        o.wait_for(1)
        b.write(query("SELECT 'b'"))
        w.wait_pool(waiting=1)
        (a.rst if end == "rst" else a.close)()
        eq(b.result().one, "b", "the next one's")
        leave(b)
        w.balanced(o)
        upstreams(w, o, 2)
        w.stop()
        o.stop()


@case
def long_keys_of_new_clients_work():
    """Protocol 3.2: 32 bytes instead of 4."""
    if DIRECT:
        return
    o, w, front = start()
    a = Client(front, version=V3_2)
    check(len(a.key) > 4, "length of the key")
    a.write(SLEEP)
    o.wait_for(1)
    a.cancel(key=a.key[:4])
    a.cancel(key=a.key[:-1] + bytes([a.key[-1] ^ 1]))
    eq(o.cancels, [], "cancels by a wrong key")
    a.cancel()
    eq(a.result().code, "57014", "answer")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def long_keys_of_servers_work():
    if DIRECT:
        return
    for n in (4, 32, 256):
        o, w, front = start(key_len=n)
        a = Client(front)
        eq(len(a.key), 4, "length of the client's key")
        a.write(SLEEP)
        o.wait_for(1)
        a.cancel()
        eq(a.result().code, "57014", "answer")
        eq(len(o.cancels[0][1]), n, "length of the server's")
        leave(a)
        w.balanced(o)
        upstreams(w, o, 1)
        w.stop()
        o.stop()


@case
def any_worker_takes_it():
    if DIRECT:
        return
    o, w, front = start(pool="max = 4;", workers=2)
    clients = [Client(front) for _ in range(4)]
    for n in range(8):          # some of them come to another worker
        for c in clients:
            c.write(SLEEP)
        o.wait_for(4)
        for c in clients:
            c.cancel()
            eq(c.result().code, "57014", "answer")
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 4)


@case
def a_cancel_request_that_is_none_is_the_end():
    if DIRECT:
        return
    o, w, front = start()
    for body in (b"", b"\0" * 3, b"\0" * 4, b"\0" * 500):
        link = WireClient(front)
        link.send(packet(80877102, body))
        eq(link.read_to_end(), b"", "an answer")
        link.close()
    leave(Client(front))
    eq(o.cancels, [], "cancels at the server")
    w.balanced(o)
    upstreams(w, o, 1)


run()
