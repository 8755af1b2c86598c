"""Each way to break HTTP/2 and what RFC 9113 says becomes of it: one stream, or
the connection, with the code that it names; and nothing reaches the origin.
"""
# SPDX-License-Identifier: MIT
import os
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import (COMPRESSION_ERROR, CONTINUATION, Client2, DATA,
                END_HEADERS, END_STREAM, ENABLE_PUSH, FLOW_CONTROL_ERROR,
                FRAME_SIZE_ERROR, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE,
                MAX_FRAME_SIZE, PADDED, PING, PREFACE, PRIORITY,
                PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM,
                SETTINGS, STREAM_CLOSED, WEIGHED, WINDOW_UPDATE, frame, head,
                pack, settings, window)
from web import HttpOrigin, answer
from weir import Weir, one


class Scene:
    """One weir for all rows of a table; each on a connection of its own."""

    def __init__(self, **more):
        self.o = HttpOrigin()
        self.w = Weir(one(self.o, **more))
        self.asked = 0

    def client(self, *pairs, **more):
        return Client2(self.w.conf.ports["front"], *pairs, **more)

    def end(self):
        eq(self.o.requests, self.asked, "requests that the origin has seen")
        self.w.balanced(self.o)


def block(fields=None, flags=END_HEADERS | END_STREAM, stream=1):
    return frame(HEADERS, flags, stream, pack(fields or head()))


def dies(sc, name, data, error, ask=False):
    c = sc.client()
    if ask:
        eq(c.fetch().status, 200, name)
        sc.asked += 1
    c.send(data)
    try:
        c.dies(error)
    except Exception as e:
        raise type(e)("%s: %s" % (name, e)) from None
    c.close()


def resets(sc, name, data, error, stream=1):
    c = sc.client()
    c.send(data)
    try:
        c.resets(stream, error)
        c.next = stream + 2
        eq(c.fetch().status, 200, "the connection goes on")
    except Exception as e:
        raise type(e)("%s: %s" % (name, e)) from None
    sc.asked += 1
    c.close()


@case
def connection_errors():
    sc = Scene()
    big = b"x" * 16385
    for name, data, error in [
        # 4.2
        ("DATA over SETTINGS_MAX_FRAME_SIZE",
         block(flags=END_HEADERS) + frame(DATA, 0, 1, big), FRAME_SIZE_ERROR),
        ("HEADERS over it", frame(HEADERS, END_HEADERS, 1, big),
         FRAME_SIZE_ERROR),
        # 4.3
        ("a header block that is none", frame(
            HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff"),
         COMPRESSION_ERROR),
        ("another frame between HEADERS and CONTINUATION",
         block(flags=END_STREAM) + frame(PING, body=b"12345678"),
         PROTOCOL_ERROR),
        ("HEADERS of another stream between them",
         block(flags=END_STREAM) + block(stream=3), PROTOCOL_ERROR),
        ("CONTINUATION of another stream", block(flags=END_STREAM) +
         frame(CONTINUATION, END_HEADERS, 3), PROTOCOL_ERROR),
        # 5.1
        ("DATA on an idle stream", frame(DATA, END_STREAM, 1, b"x"),
         PROTOCOL_ERROR),
        ("RST_STREAM on an idle stream", frame(
            RST_STREAM, 0, 1, b"\0\0\0\x08"), PROTOCOL_ERROR),
        ("WINDOW_UPDATE on an idle stream", window(1, 1), PROTOCOL_ERROR),
        ("CONTINUATION without HEADERS", frame(
            CONTINUATION, END_HEADERS, 1, pack(head())), PROTOCOL_ERROR),
        # 5.1.1
        ("an even stream", block(stream=2), PROTOCOL_ERROR),
        # 6.1 to 6.10
        ("DATA on stream 0", frame(DATA, END_STREAM, 0, b"x"),
         PROTOCOL_ERROR),
        ("DATA with padding as long as itself", block(flags=END_HEADERS) +
         frame(DATA, PADDED | END_STREAM, 1, b"\x05abcd"), PROTOCOL_ERROR),
        ("HEADERS on stream 0", block(stream=0), PROTOCOL_ERROR),
        ("HEADERS with too much padding", frame(
            HEADERS, PADDED | END_HEADERS | END_STREAM, 1, b"\xff" +
            pack(head())), PROTOCOL_ERROR),
        ("PRIORITY on stream 0", frame(PRIORITY, 0, 0, b"\0" * 5),
         PROTOCOL_ERROR),
        ("PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, b"\0" * 4),
         FRAME_SIZE_ERROR),
        ("RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, b"\0" * 4),
         PROTOCOL_ERROR),
        ("RST_STREAM of 5 bytes", block(flags=END_HEADERS) +
         frame(RST_STREAM, 0, 1, b"\0" * 5), FRAME_SIZE_ERROR),
        ("SETTINGS ACK with a payload", frame(SETTINGS, 1, 0, b"\0" * 6),
         FRAME_SIZE_ERROR),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
        ("SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, b"\0" * 5),
         FRAME_SIZE_ERROR),
        ("ENABLE_PUSH 2", settings((ENABLE_PUSH, 2)), PROTOCOL_ERROR),
        ("INITIAL_WINDOW_SIZE over 2^31-1",
         settings((INITIAL_WINDOW_SIZE, 1 << 31)), FLOW_CONTROL_ERROR),
        ("MAX_FRAME_SIZE below 16384", settings((MAX_FRAME_SIZE, 16383)),
         PROTOCOL_ERROR),
        ("MAX_FRAME_SIZE over 2^24-1", settings((MAX_FRAME_SIZE, 1 << 24)),
         PROTOCOL_ERROR),
        ("PUSH_PROMISE of a client", block(flags=END_HEADERS) + frame(
            PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) +
            pack(head())), PROTOCOL_ERROR),
        ("PING of 6 bytes", frame(PING, 0, 0, b"\0" * 6), FRAME_SIZE_ERROR),
        ("PING on a stream", frame(PING, 0, 1, b"\0" * 8), PROTOCOL_ERROR),
        ("GOAWAY on a stream", frame(GOAWAY, 0, 1, b"\0" * 8),
         PROTOCOL_ERROR),
        ("WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"),
         FRAME_SIZE_ERROR),
        ("WINDOW_UPDATE 0", window(0, 0), PROTOCOL_ERROR),
        ("the connection's window over 2^31-1", window(0, 0x7fffffff) * 2,
         FLOW_CONTROL_ERROR),
    ]:
        dies(sc, name, data, error)
    for name, data, error in [
        ("HEADERS on a stream that has ended", block(), STREAM_CLOSED),
        ("a stream below the last one", block(stream=3) + block(stream=1),
         STREAM_CLOSED),
    ]:
        dies(sc, name, data, error, ask=True)
    # Stream 3 of the last row may have been on its way.
    sc.asked = sc.o.requests
    # DATA behind the end is dropped, as it is behind a reset.
    c = sc.client()
    eq(c.fetch().status, 200, "status")
    c.send(frame(DATA, END_STREAM, 1, b"x" * 9999))
    eq(c.fetch().status, 200, "the connection goes on")
    sc.asked += 2
    c.close()
    sc.end()


@case
def what_is_sent_before_the_settings():
    sc = Scene()
    for data in (PREFACE + block(), PREFACE + frame(PING, 0, 0, b"\0" * 8)):
        c = sc.client(greet=False)
        c.send(data)
        c.dies(PROTOCOL_ERROR)
        c.close()
    c = sc.client(greet=False)
    c.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    c.dies(PROTOCOL_ERROR)
    c.close()
    sc.end()


@case
def malformed_requests_are_stream_errors():
    sc = Scene()
    h = head

    def without(name, *more):
        return [f for f in head() if f[0] != name] + list(more)

    def instead(name, value):
        return [(n, value if n == name else v) for n, v in head()]

    for name, fields in [
        # 8.2.1
        ("capital letters", h("/", "GET", ("X-More", "1"))),
        ("an empty name", h("/", "GET", ("", "1"))),
        ("a colon in a name", h("/", "GET", ("x:y", "1"))),
        ("a blank in a name", h("/", "GET", ("x y", "1"))),
        ("CR LF in a name", h("/", "GET", ("x\r\ny", "1"))),
        ("NUL in a name", h("/", "GET", ("x\0", "1"))),
        ("no token", h("/", "GET", ("x\x80", "1"))),
        ("CR in a value", h("/", "GET", ("x", "a\rb"))),
        ("LF in a value", h("/", "GET", ("x", "a\nb"))),
        ("a request in a value", h("/", "GET", (
            "x", "a\r\n\r\nGET /evil HTTP/1.1\r\nHost: x"))),
        ("NUL in a value", h("/", "GET", ("x", "a\0b"))),
        ("a control in a value", h("/", "GET", ("x", "a\x01b"))),
        ("a blank before a value", h("/", "GET", ("x", " a"))),
        ("a blank behind a value", h("/", "GET", ("x", "a\t"))),
        # 8.2.2
        ("connection", h("/", "GET", ("connection", "close"))),
        ("keep-alive", h("/", "GET", ("keep-alive", "1"))),
        ("proxy-connection", h("/", "GET", ("proxy-connection", "close"))),
        ("transfer-encoding", h("/", "POST", (
            "transfer-encoding", "chunked"))),
        ("upgrade", h("/", "GET", ("upgrade", "websocket"))),
        ("te: gzip", h("/", "GET", ("te", "gzip"))),
        ("te: trailers and more", h("/", "GET", ("te", "trailers, gzip"))),
        # 8.3
        ("a pseudo-header field behind a field", [
            (":method", "GET"), (":scheme", "http"), ("x", "1"),
            (":path", "/"), (":authority", "h")]),
        ("an unknown one", h("/", "GET")[:3] + [(":more", "1")]),
        (":status in a request", h("/", "GET")[:3] + [(":status", "200")]),
        # 8.3.1
        ("no :method", without(":method")),
        ("no :scheme", without(":scheme")),
        ("no :path", without(":path")),
        (":method twice", [(":method", "GET")] + head()),
        (":scheme twice", [(":scheme", "http")] + head()),
        (":path twice", [(":path", "/")] + head()),
        (":authority twice", [(":authority", "h.test")] + head()),
        ("an empty :path", instead(":path", "")),
        ("an empty :method", instead(":method", "")),
        ("a blank in :method", instead(":method", "GET /evil HTTP/1.1")),
        ("CR LF in :method", instead(":method", "GET\r\nX: y")),
        ("no slash before :path", instead(":path", "x")),
        ("absolute :path", instead(":path", "http://evil/")),
        ("* for GET", instead(":path", "*")),
        ("a blank in :path", instead(":path", "/ HTTP/1.1")),
        ("CR LF in :path", instead(":path", "/\r\nX: y")),
        ("a fragment in :path", instead(":path", "/x#y")),
        ("NUL in :path", instead(":path", "/\0")),
        ("a blank in :authority", instead(":authority", "h x")),
        ("CR LF in :authority", instead(":authority", "h\r\nX: y")),
        ("a user in :authority", instead(":authority", "u@h")),
        ("an empty :authority", instead(":authority", "")),
        ("another Host", h("/", "GET", ("host", "evil"))),
        ("a scheme of no kind", instead(":scheme", "a b")),
        ("a CONNECT with a path", h("/", "CONNECT")),
        (":protocol without CONNECT", head()[:4] + [
            (":protocol", "websocket")]),
        # 8.1.1
        ("a length without a body", h("/", "POST", ("content-length", "3"))),
        ("a length that is none", h("/", "POST", ("content-length", "x"))),
        ("two lengths", h("/", "POST", ("content-length", "0"),
                          ("content-length", "0"))),
    ]:
        resets(sc, name, block(fields), PROTOCOL_ERROR)
    eq(set(sc.w.failures()), {"bad_request"}, "failures")
    sc.end()


@case
def bodies_that_do_not_keep_their_word():
    sc = Scene()
    post = head("/", "POST", ("content-length", "3"))
    for name, data in [
        ("more than the length", block(post, END_HEADERS) +
         frame(DATA, END_STREAM, 1, b"four")),
        ("less than the length", block(post, END_HEADERS) +
         frame(DATA, END_STREAM, 1, b"12")),
        ("trailers that do not end", block(head("/", "POST"), END_HEADERS) +
         frame(HEADERS, END_HEADERS, 1, pack([("x", "1")]))),
        ("a pseudo-header field in trailers",
         block(head("/", "POST"), END_HEADERS) +
         frame(HEADERS, END_HEADERS | END_STREAM, 1, pack([(":path", "/")]))),
        ("a bad name in trailers", block(head("/", "POST"), END_HEADERS) +
         frame(HEADERS, END_HEADERS | END_STREAM, 1, pack([("X", "1")]))),
        ("a bad value in trailers", block(head("/", "POST"), END_HEADERS) +
         frame(HEADERS, END_HEADERS | END_STREAM, 1,
               pack([("x", "1\r\ny: 2")]))),
    ]:
        c = sc.client()
        c.send(data)
        a = c.answer(1)
        eq((a.error, a.fields), (PROTOCOL_ERROR, None), name)
        c.next = 3
        eq(c.fetch().status, 200, "the connection goes on")
        c.close()
    # What had gone up by then was cut.
    check(all(q.method == "GET" for q in sc.o.seen), "whole requests")
    sc.w.balanced()


@case
def other_stream_errors():
    sc = Scene()
    for name, data, error in [
        ("WINDOW_UPDATE 0", block(head("/", "POST"), END_HEADERS) +
         window(1, 0), PROTOCOL_ERROR),
        ("a stream's window over 2^31-1",
         block(head("/", "POST"), END_HEADERS) + window(1, 0x7fffffff) * 2,
         FLOW_CONTROL_ERROR),
    ]:
        c = sc.client()
        c.send(data)
        a = c.on(1)
        while a.error is None and not c.goaways:
            c.take_frame()
        check((a.error or c.goaways[0][1]) == error, "%s: %r %r" % (
            name, a.error, c.goaways))
        c.close()
    sc.w.balanced()


@case
def more_streams_than_allowed_are_refused():
    sc = Scene(front="http = { max_streams = 3; };")
    c = sc.client()
    while c.theirs is None:
        c.take_frame()
    eq(c.theirs[3], 3, "MAX_CONCURRENT_STREAMS")
    # A settings frame that has been acknowledged binds.
    open_ones = [c.ask(head("/", "POST"), body=b"x", ends=False)
                 for _ in range(3)]
    c.send(block(stream=7))
    a = c.on(7)
    while a.error is None and not c.goaways:
        c.take_frame()
    check(a.error == REFUSED_STREAM or
          c.goaways == [(c.goaways[0][0], PROTOCOL_ERROR)], "refused")
    check(all(c.on(s).error is None for s in open_ones), "the others")
    c.close()
    sc.w.balanced()


@case
def what_is_unknown_is_ignored():
    sc = Scene()
    c = sc.client()
    c.send(frame(0x16, 0xff, 0, b"whatever") + settings((0x99, 7)) +
           frame(PRIORITY, 0, 9, struct.pack(">IB", 0, 200)) +
           frame(PING, 0xfe, 0, b"12345678"))
    c.send(frame(HEADERS, END_HEADERS | END_STREAM | PADDED | WEIGHED, 1,
                 b"\x03" + struct.pack(">IB", 0, 7) + pack(head()) +
                 b"\0\0\0"))
    eq(c.answer(1).status, 200, "status")
    sc.asked += 1
    # In as many CONTINUATIONs as there are bytes in eight pieces.
    whole = pack(head())
    step = len(whole) // 5
    c.send(frame(HEADERS, END_STREAM, 3, whole[:step]) + b"".join(
        frame(CONTINUATION, 0, 3, whole[at:at + step])
        for at in range(step, 4 * step, step)) +
        frame(CONTINUATION, END_HEADERS, 3, whole[4 * step:]))
    eq(c.answer(3).status, 200, "in pieces")
    sc.asked += 1
    c.close()
    eq(sc.w.failures(), {}, "failures")
    sc.end()


@case
def a_connection_that_failed_leaves_no_clock_behind():
    """Its stream's own time passes while it lingers."""
    held = threading.Event()

    def handler(q, link):
        held.wait(30)
        return answer(q, "late")
    o = HttpOrigin(handler)
    w = Weir(one(o, front='timeouts = { body = "1s"; };'))
    bad = Client2(w.conf.ports["front"])
    bad.ask(head("/", "POST"), ends=False)
    bad.ping()
    bad.send(frame(SETTINGS, 0, 0, b"x"))
    bad.dies(FRAME_SIZE_ERROR)
    c = Client2(w.conf.ports["front"])
    c.ping()
    s = c.ask()
    bad.read_to_end()
    until(lambda: w.listener()["connections"]["active"] == 1, "the end of the other")
    held.set()
    eq((c.answer(s).status, c.on(s).body), (200, b"late"), "answer")


@case
def limits_of_the_head_are_answers():
    sc = Scene(front='max_header = "4KiB"; max_headers = 20;')
    c = sc.client()
    for name, fields, status in [
        ("large", head("/", "GET", ("x", "y" * 5000)), 431),
        ("many", head("/", "GET", *[("x", "y")] * 30), 431),
        ("a long path", head("/" + "y" * 5000), 414),
    ]:
        a = c.fetch(fields)
        eq(a.status, status, name)
        check(a.body.startswith(b"%d bad_request: " % status), "text")
    a = c.fetch(head("/", "GET", *[("cookie", "a=b")] * 50))
    eq(a.status, 200, "crumbs are one field")
    sc.asked += 1
    eq(sc.w.failures(), {"bad_request": 3}, "failures")
    c.close()
    sc.end()


run()
