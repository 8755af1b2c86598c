"""HTTP/2 to upstreams: GOAWAY, refused and reset streams, answers that are not
valid, and clients that leave: each ends what it is about and nothing else.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import (ACK, CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
                HEADERS, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, PING,
                PROTOCOL_ERROR, PUSH_PROMISE,
                REFUSED_STREAM, SETTINGS, Client2, frame, head, pack, settings)
from h2_origin import scripted
from web import chunks, ok, once, read_response, refused, request
from weir import Weir, one
from wire import Client, Ended


def through(script, *pairs, up="", **more):
    o = scripted(script, *pairs)
    w = Weir(one(o, up='http = { version = "2"; }; ' + up, **more))
    return o, w, w.conf.ports["front"]


def answer_all(talk):
    while True:
        q = talk.whole()
        talk.answer(q, q.body or q.path)


@case
def streams_above_the_last_one_of_a_goaway_go_again():
    """Whatever they ask for: nobody has looked at them."""
    def script(talk):
        if talk.number > 1:
            answer_all(talk)
        first = talk.whole()
        talk.whole()
        talk.goaway(first.stream)
        talk.answer(first, "first")
        talk.to_end()
    o, w, front = through(script)
    a, b = Client(front), Client(front)
    a.send(request("POST", body=b"one"))
    until(lambda: w.pool()["leased"] == 1, "the first")
    b.send(request("POST", body=b"two"))
    eq(ok(read_response(a)).body, b"first", "of the old connection")
    r = ok(read_response(b))
    eq((r.body, r.conn), (b"two", 2), "of the new one")
    eq(w.upstream()["retries_total"], 0, "retries")
    o.had(2)
    until(lambda: o.open == 1, "the old connection's end")
    eq(w.failures(), {}, "failures")


@case
def a_goaway_on_an_idle_connection_closes_it():
    leave = threading.Event()

    def script(talk):
        q = talk.whole()
        talk.answer(q, "x")
        if talk.number == 1:
            leave.wait()
            talk.goaway(q.stream)
        talk.to_end()
    o, w, front = through(script)
    ok(once(front))
    w.wait_pool(idle=1, leased=0)
    leave.set()
    until(lambda: o.open == 0, "its end")
    ok(once(front))
    o.had(2)


@case
def a_refused_stream_goes_again_elsewhere():
    def script(talk):
        if talk.number == 1:
            talk.reset(talk.whole(), REFUSED_STREAM)
        answer_all(talk)
    o, w, front = through(script)
    r = ok(once(front, "POST", body=b"body"))
    eq((r.body, r.conn), (b"body", 2), "answer")
    eq(w.upstream()["retries_total"], 0, "retries")
    o.had(2)


@case
def who_refuses_always_is_believed():
    def script(talk):
        while True:
            talk.reset(talk.whole(), REFUSED_STREAM)
    o, w, front = through(script)
    refused(once(front), 503, "upstream_refused")
    o.had(4)
    eq(w.failures(), {"upstream_refused": 1}, "failures")


@case
def a_large_body_that_has_gone_does_not_go_again():
    def script(talk):
        talk.reset(talk.whole(), REFUSED_STREAM)
        answer_all(talk)
    o, w, front = through(script)
    refused(once(front, "POST", body=b"x" * 100000), 503, "upstream_refused")
    o.had(1)


@case
def a_reset_stream_leaves_its_neighbours_alone():
    def script(talk):
        a, b, c = talk.request(), talk.request(), talk.request()
        talk.reset(b, INTERNAL_ERROR)
        talk.head(c)
        talk.data(c, b"half")
        talk.reset(c, INTERNAL_ERROR)
        talk.answer(a, "whole")
        answer_all(talk)
    o, w, front = through(script)
    c = Client2(front)
    streams = [c.ask(head("/%d" % i)) for i in range(3)]
    eq(c.answer(streams[0]).body, b"whole", "the first")
    a = c.answer(streams[1])
    eq(a.status, 502, "the second")
    check(b"upstream_reset" in a.body, "its words: %r" % a.body)
    a = c.answer(streams[2])
    eq((a.body, a.error is not None), (b"half", True), "the third")
    eq(c.fetch().status, 200, "and on")
    o.had(1)


@case
def a_client_that_leaves_cancels_its_stream():
    got = []

    def script(talk):
        a, b = talk.request(), talk.request()
        while a.error is None:
            talk.take_frame()
        got.append(a.error)
        talk.answer(b, "b")
        answer_all(talk)
    o, w, front = through(script)
    a, b = Client(front), Client(front)
    a.send(request(target="/a"))
    until(lambda: w.pool()["leased"] == 1, "the first")
    b.send(request(target="/b"))
    until(lambda: w.listener()["requests_total"] == 2, "both")
    a.rst()
    eq(ok(read_response(b)).body, b"b", "its neighbour")
    eq(got, [CANCEL], "the reset")
    ok(once(front))
    o.had(1)
    w.wait_pool(leased=0, idle=1)


@case
def the_last_client_that_leaves_leaves_a_connection():
    got = []

    def script(talk):
        a = talk.request()
        while a.error is None:
            talk.take_frame()
        got.append(a.error)
        answer_all(talk)
    o, w, front = through(script)
    c = Client2(front)
    s = c.ask()
    until(lambda: w.pool()["leased"] == 1, "it")
    c.send(frame(3, 0, s, b"\0\0\0\x08"))
    w.wait_pool(leased=0, idle=1)
    ok(once(front))
    eq(got, [CANCEL], "the reset")
    o.had(1)


@case
def answers_that_are_not_valid_are_not_passed_on():
    bad = [
        [],
        [(":status", "200"), (":status", "200")],
        [(":status", "20")],
        [(":status", "2x0")],
        [(":status", "101")],
        [(":status", "200"), (":path", "/")],
        [("x-a", "1"), (":status", "200")],
        [(":status", "200"), ("X-A", "1")],
        [(":status", "200"), ("x a", "1")],
        [(":status", "200"), ("x-a", "1\r\nx-b: 2")],
        [(":status", "200"), ("x-a", "1\x00")],
        [(":status", "200"), ("x-a", " 1")],
        [(":status", "200"), ("connection", "close")],
        [(":status", "200"), ("transfer-encoding", "chunked")],
        [(":status", "200"), ("keep-alive", "1")],
        [(":status", "200"), ("content-length", "1"),
         ("content-length", "1")],
        [(":status", "200"), ("content-length", "x")],
        [(":status", "200"), ("content-length", "5")],      # and no body
    ]

    def script(talk):
        for i, fields in enumerate(bad):
            q = talk.whole()
            eq(q.path, "/%d" % i, "path")
            talk.send(frame(HEADERS, END_HEADERS | END_STREAM, q.stream,
                            pack(fields)))
        answer_all(talk)
    o, w, front = through(script)
    c = Client2(front)
    for i in range(len(bad)):
        a = c.fetch(head("/%d" % i))
        check(a.status == 502 and b"bad_response" in a.body,
              "%r: %r %r" % (bad[i], a.fields, a.body))
    eq(c.fetch().status, 200, "and on")
    o.had(1)
    eq(w.failures(), {"bad_response": len(bad)}, "failures")


@case
def bodies_are_held_against_their_length():
    def script(talk):
        q = talk.whole()                        # too much
        talk.head(q, 200, ("content-length", "3"))
        talk.data(q, b"four", ends=True)
        q = talk.whole()                        # too little
        talk.head(q, 200, ("content-length", "3"))
        talk.data(q, b"12", ends=True)
        q = talk.whole()                        # where none may be
        talk.head(q, 200, ("content-length", "3"))
        talk.data(q, b"123", ends=True)
        answer_all(talk)
    o, w, front = through(script)
    c = Client2(front)
    for _ in range(2):
        a = c.fetch()
        check(a.error is not None and b"four" not in a.body, "%r" % a.body)
    a = c.fetch(head("/", "HEAD"))
    check(a.error is not None or a.body == b"", "HEAD: %r" % a.body)
    eq(c.fetch().status, 200, "and on")
    o.had(1)


@case
def an_early_answer_ends_the_upload():
    got = []

    def script(talk):
        q = talk.request()
        talk.answer(q, "enough", 413)
        while q.error is None and not q.ended:
            talk.take_frame()
        got.append(q.error)
        answer_all(talk)
    o, w, front = through(script)
    c = Client(front)
    c.send(request("POST", fields=[("Transfer-Encoding", "chunked")]))
    r = read_response(c)
    eq((r.status, r.body), (413, b"enough"), "answer")
    until(lambda: got, "the reset")
    ok(once(front))
    o.had(1)


@case
def a_connection_that_breaks_is_sent_anew_where_that_is_safe():
    def script(talk):
        if talk.number == 1:
            talk.answer(talk.whole(), "x")
            talk.whole()
            return
        answer_all(talk)
    o, w, front = through(script)
    ok(once(front))
    w.wait_pool(idle=1)
    eq(ok(once(front, target="/again")).body, b"/again", "answer")
    o.had(2)


@case
def the_end_of_one_that_others_are_on_is_one_failure_of_its_server():
    def script(talk):
        talk.answer(talk.whole(), "fine")
        talk.whole()
        talk.whole()
        talk.whole()
        talk.link.rst()
    o, w, front = through(script)
    ok(once(front))
    clients = [Client(front) for _ in range(3)]
    for n, c in enumerate(clients):
        c.send(request("POST", fields=[("Content-Length", "0")]))
        until(lambda n=n: w.upstream()["requests_total"] == n + 2, "under way")
    for c in clients:
        eq(read_response(c).status, 502, "status")
    until(lambda: sum(w.upstream()["endpoints"][0]["failures_total"].values())
          == 1, "one failure")
    o.had(1)


@case
def what_is_no_http_2_any_more_ends_the_connection_alone():
    def script(talk):
        if talk.number > 1:
            answer_all(talk)
        talk.whole()
        talk.send(frame(DATA, 0, 0, b"on no stream"))
        talk.to_end()
    o, w, front = through(script)
    refused(once(front, "POST", body=b"x"), 502, "bad_response")
    ok(once(front))
    o.had(2)


@case
def a_server_that_takes_none_for_a_while_gets_the_right_request():
    """It says so while its connection is idle; what is asked for there waits,
    and others' requests are put together meanwhile."""
    none, some = threading.Event(), threading.Event()
    talks = []

    def script(talk):
        talks.append(talk)
        if len(talks) > 1:
            return answer_all(talk)
        talk.answer(talk.whole(), "fine")
        talk.send(settings((MAX_CONCURRENT_STREAMS, 0)))
        talk.ping()
        none.set()
        some.wait(30)
        talk.send(settings((MAX_CONCURRENT_STREAMS, 10)))
        q = talk.whole()
        talk.answer(q, q.get("x-a-name-of-mine") or "%r" % q.fields)
        answer_all(talk)
    o, w, front = through(script)
    ok(once(front))
    none.wait(30)
    c = Client(front)
    c.send(request(fields=[("X-A-Name-Of-Mine", "mine")]))
    w.wait_pool(leased=1)
    ok(once(front, fields=[("X-Another-One-Altogether", "yours")]))
    some.set()
    eq(read_response(c).body, b"mine", "answer")
    o.had(2)


@case
def a_server_that_takes_none_from_the_start_is_waited_for_so_long():
    def script(talk):
        talk.to_end()
    o = scripted(script, (MAX_CONCURRENT_STREAMS, 0))
    w = Weir(one(o, up='http = { version = "2"; }; '
                 'timeouts = { connect = "300ms"; };', pool="max = 1;"))
    eq(once(w.conf.ports["front"]).status, 504, "status")
    w.wait_pool(open=0, waiting=0)


@case
def a_server_that_takes_more_than_before_gets_more():
    rest = threading.Event()

    def script(talk):
        q = talk.whole()
        rest.wait(30)
        talk.send(settings((MAX_CONCURRENT_STREAMS, 10)))
        second = talk.whole()
        talk.answer(second, second.path)
        talk.answer(q, q.path)
        talk.to_end()
    o = scripted(script, (MAX_CONCURRENT_STREAMS, 1))
    w = Weir(one(o, up='http = { version = "2"; };',
                 pool='max = 1; queue_timeout = "60s";'))
    a, b = (Client(w.conf.ports["front"]) for _ in range(2))
    a.send(request(target="/a"))
    w.wait_pool(leased=1)
    b.send(request(target="/b"))
    w.wait_pool(waiting=1)
    rest.set()
    eq(ok(read_response(b)).body, b"/b", "answer")
    eq(ok(read_response(a)).body, b"/a", "answer")
    o.had(1)


@case
def floods_end_the_connection():
    ping = frame(PING, 0, 0, b"12345678")
    floods = [
        lambda q: ping * 3000,
        lambda q: frame(SETTINGS) * 3000,
        lambda q: frame(DATA, 0, q.stream) * 3000,
        lambda q: frame(HEADERS, 0, q.stream, b"\x40\x01a\x7f\xff\x3e" +
                        b"x" * 8000) + frame(9, 0, q.stream, b"\xbe" * 16000),
        lambda q: frame(PUSH_PROMISE, END_HEADERS, q.stream,
                        b"\0\0\0\x02" + pack(head())),
    ]

    def script(talk):
        q = talk.whole()
        if q.path[1:].isdigit():
            talk.head(q)
            try:
                talk.send(floods[int(q.path[1:])](q))
            except OSError:
                pass
            talk.to_end()
            return
        talk.answer(q, "fine")
        answer_all(talk)
    o, w, front = through(script)
    for i in range(len(floods)):
        c = Client2(front)
        a = c.fetch(head("/%d" % i))
        check(a.error is not None, "%d: %r" % (i, a.body))
        c.close()
        until(lambda: o.open == 0, "the end of %d" % i)
    ok(once(front))
    o.had(len(floods) + 1)


if __name__ == "__main__":
    run()
