"""The scripted peers, played against each other without weir between them.
What they claim about framing, ends and counts holds before weir is judged.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, case, check, eq, run, until
from origin import Origin, echo, greet
from web import (HttpOrigin, answer, ask, chunks, once, read_request_body,
                 read_response, request)
from wire import Client, Ended


@case
def connections_and_requests_are_counted():
    o = HttpOrigin()
    c = Client(o.number)
    for n in range(1, 4):
        r = ask(c, "POST", "/p", body=b"abc")
        eq((r.status, r.conn, r.nth, r.body), (200, 1, n, b"abc"), "answer")
    eq(once(o.number).conn, 2, "second connection")
    eq((o.accepted, o.requests), (2, 4), "counts")
    c.close()
    until(lambda: o.open == 0, "closed connections leave")


@case
def chunks_and_trailers_both_ways():
    o = HttpOrigin(lambda q, link: b"HTTP/1.1 200 OK\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n" +
                   chunks(q.body[:3], q.body[3:], trailers=[(b"A", b"b")]))
    c = Client(o.number)
    c.send(request("POST", "/", [("Transfer-Encoding", "chunked")]) +
           chunks(b"hello ", b"world", trailers=[(b"X", b"y")]))
    r = read_response(c)
    eq((r.body, r.trailers), (b"hello world", [(b"A", b"b")]), "response")
    eq(o.seen[0].trailers, [(b"X", b"y")], "request trailers")


@case
def interim_responses_are_kept_apart():
    o = HttpOrigin(lambda q, link: b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" +
                   answer(q, "x"))
    r = once(o.number)
    eq([i.status for i in r.interim], [103], "interim")
    eq(r.body, b"x", "body")


@case
def ends_are_told_apart():
    o = Origin(lambda link: (link.read_line(), link.rst()))
    c = Client(o.number).send("x\n")
    c.read_to_end()
    eq(c.ended, "rst", "end")
    o = Origin(echo)
    c = Client(o.number).send("tail").shut()
    eq(c.read_to_end(), b"tail", "echo after FIN")
    eq(c.ended, "fin", "end")


@case
def bad_messages_are_noticed():
    for bad in (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
                b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"):
        o = Origin(lambda link: link.send(bad))
        try:
            read_response(Client(o.number))
        except (Failed, Ended):
            continue
        raise Failed("taken: %r" % bad)


@case
def refused_and_back():
    o = Origin(greet(b"hello %d\n"))
    eq(Client(o.number).read_line(), b"hello 1\n", "greeting")
    o.refuse()
    try:
        Client(o.number)
    except ConnectionRefusedError:
        pass
    else:
        raise Failed("connected to a refusing origin")
    o.listen()
    eq(Client(o.number).read_line(), b"hello 2\n", "greeting")


@case
def other_address_families():
    for kind in ("tcp6", "unix"):
        o = HttpOrigin(kind=kind)
        eq(once(o.address).status, 200, kind)


@case
def body_left_to_the_handler():
    def handler(q, link):
        link.send("HTTP/1.1 100 Continue\r\n\r\n")
        read_request_body(link, q)
        return answer(q, q.body)
    o = HttpOrigin(handler, bodies=False)
    r = once(o.number, "PUT", body=b"late")
    check(r.interim and r.body == b"late", "100 and body")


run()
