"""WebSocket to upstreams that speak HTTP/2 (RFC 8441): an Upgrade of a client's,
or its extended CONNECT, becomes a stream among others.
"""
# SPDX-License-Identifier: MIT
import base64
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import (CANCEL, DATA, ENABLE_CONNECT_PROTOCOL, END_STREAM, Client2,
                frame)
from h2_origin import scripted
from web import ok, once, read_response, refused, request
from weir import Weir, one
from wire import Client

SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(b"0123456789abcdef").decode()


def echo(talk):
    while True:
        q = talk.request()
        if q.method != "CONNECT":
            talk.answer(q, "plain")
            continue
        talk.seen = q
        talk.head(q, 200, ("sec-websocket-protocol", "chat"))
        n = 0
        while not q.ended and q.error is None:
            talk.take_frame()
            talk.data(q, q.body[n:])
            n = len(q.body)
        if q.error is None:
            talk.data(q, b"<end>", ends=True)


def through(script=echo, *pairs, **more):
    talks = []

    def keep(talk):
        talks.append(talk)
        script(talk)
    o = scripted(keep, *(pairs or ((ENABLE_CONNECT_PROTOCOL, 1),)))
    w = Weir(one(o, up='http = { version = "2"; };', **more))
    return o, w, w.conf.ports["front"], talks


def upgrade(target="/chat"):
    return request(target=target, fields=[
        ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", KEY)])


@case
def an_upgrade_becomes_an_extended_connect():
    o, w, front, talks = through()
    c = Client(front)
    c.send(upgrade("/chat?x"))
    r = read_response(c)
    eq((r.status, r.get("Upgrade"), r.get("Connection"),
        r.get("Sec-WebSocket-Protocol")), (101, "websocket", "Upgrade",
                                           "chat"), "answer")
    eq(r.get("Sec-WebSocket-Accept"), base64.b64encode(hashlib.sha1(
        KEY.encode() + SALT).digest()).decode(), "accept")
    eq((r.get("Content-Length"), r.get("Transfer-Encoding")), (None, None),
       "framing")
    q = talks[0].seen
    eq([q.get(n) for n in (":method", ":protocol", ":path", ":scheme",
                           ":authority", "sec-websocket-version",
                           "sec-websocket-key", "upgrade", "connection")],
       ["CONNECT", "websocket", "/chat?x", "http", "x.test", "13", None, None,
        None], "request")
    for n in (1, 300000, 3):
        data = os.urandom(n)
        c.send(data)
        check(c.read_exact(n) == data, "echo of %d" % n)
    c.shut()
    eq(c.read_to_end(), b"<end>", "the end")
    eq(c.ended, "fin", "how")
    ok(once(front))
    o.had(1)
    w.wait_pool(leased=0, idle=1)
    eq(w.failures(), {}, "failures")


@case
def bytes_behind_the_request_wait_for_the_answer():
    o, w, front, talks = through()
    c = Client(front)
    c.send(upgrade() + b"early")
    eq(read_response(c).status, 101, "status")
    eq(c.read_exact(5), b"early", "echo")
    o.had(1)


@case
def a_client_that_resets_cancels():
    o, w, front, talks = through()
    c = Client(front)
    c.send(upgrade())
    eq(read_response(c).status, 101, "status")
    c.rst()
    until(lambda: talks[0].seen.error is not None, "the reset")
    eq(talks[0].seen.error, CANCEL, "code")
    w.wait_pool(leased=0, idle=1)


@case
def a_refusal_is_an_answer():
    def script(talk):
        while True:
            q = talk.request()
            talk.answer(q, "no", 403)
    o, w, front, talks = through(script)
    c = Client(front)
    c.send(upgrade())
    r = read_response(c)
    eq((r.status, r.body), (403, b"no"), "answer")
    o.had(1)


@case
def without_a_key_it_is_refused_and_nobody_else_is_hurt():
    o, w, front, talks = through()
    c, bad = Client(front), Client(front)
    c.send(upgrade())
    eq(read_response(c).status, 101, "status")
    bad.send(request(fields=[("Upgrade", "websocket"),
                             ("Connection", "Upgrade"),
                             ("Sec-WebSocket-Key", "short")]))
    refused(read_response(bad), 400, "bad_request")
    c.send(b"still there")
    eq(c.read_exact(11), b"still there", "echo")
    o.had(1)


@case
def where_the_server_does_not_take_it_it_has_a_name():
    o, w, front, talks = through(echo, (3, 10))
    c = Client(front)
    c.send(upgrade())
    refused(read_response(c), 502, "no_websocket")
    eq(w.failures(), {"no_websocket": 1}, "failures")


@case
def an_extended_connect_stays_one():
    o, w, front, talks = through()
    c = Client2(front)
    s = c.ask([(":method", "CONNECT"), (":protocol", "websocket"),
               (":scheme", "http"), (":path", "/chat"),
               (":authority", "h.test"), ("sec-websocket-version", "13")],
              ends=False)
    a = c.on(s)
    while a.fields is None:
        c.take_frame()
    eq((a.status, a.get("sec-websocket-accept")), (200, None), "answer")
    sent = b""
    for n in (1, 16000, 3):
        sent += os.urandom(n)
        c.send(frame(DATA, 0, s, sent[len(sent) - n:]))
        while len(a.body) < len(sent):
            c.take_frame()
    c.send(frame(DATA, END_STREAM, s))
    eq(c.answer(s).body, sent + b"<end>", "echo")
    o.had(1)
    c.close()
    w.wait_pool(leased=0, idle=1)


if __name__ == "__main__":
    run()
