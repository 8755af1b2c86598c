"""HTTP/2 to upstreams: windows hold back who is too fast, in both directions,
and one slow client holds up nobody else. TLS agrees on it by ALPN.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import DATA, END_STREAM, Client2, frame, head, window
from h2_origin import offering, scripted, serve
from tls import Ca
from web import ok, once, read_response, refused, request
from weir import Weir, one
from wire import Client

BIG = os.urandom(8 << 20)


def through(o, up="", **more):
    w = Weir(one(o, up='http = { version = "2"; }; ' + up, **more))
    return w, w.conf.ports["front"]


@case
def a_slow_client_holds_up_its_stream_alone():
    """Its server has sent a window of each hop and what sockets take; then it
    waits, while others' answers pass on the same connection."""
    sent, slow = [0], threading.Event()

    def script(talk):
        q = talk.request()
        talk.head(q)
        at = 0
        while at < len(BIG):
            other = [r for r in talk.requests.values()
                     if r is not q and not r.taken and r.ended]
            if other:
                other[0].taken = True
                talk.answer(other[0], "quick")
            n = min(16384, len(BIG) - at, q.window, talk.window)
            if n <= 0:
                slow.set()
                talk.take_frame()
                continue
            q.window -= n
            talk.window -= n
            talk.send(frame(DATA, END_STREAM if at + n == len(BIG) else 0,
                            q.stream, BIG[at:at + n]))
            at += n
            sent[0] = at
        talk.to_end()
    o = scripted(script)
    w, front = through(o)
    a = Client(front, rcvbuf=4096)
    a.send(request())
    check(slow.wait(20), "the server never waited")
    for _ in range(20):
        eq(ok(once(front)).body, b"quick", "another's answer")
    check(sent[0] < len(BIG), "all of it has gone")
    check(w.rss() < 64 << 20, "memory: %d" % w.rss())
    check(read_response(a).body == BIG, "the answer")
    o.had(1)


@case
def a_slow_client_of_http_2_too():
    def script(talk):
        q = talk.request()
        talk.head(q)
        talk.data(q, BIG[:1 << 20], ends=True)
        while True:
            r = talk.whole()
            talk.answer(r, "quick")
    o = scripted(script)
    w, front = through(o)
    c = Client2(front, wide=False)
    s = c.ask(head("/big"))
    a = c.on(s)
    while len(a.body) < 65535:
        c.take_frame()
    eq(len(a.body), 65535, "as far as its window goes")
    d = Client2(front)
    c.send(window(s, 1 << 20) + window(0, 2 << 20))
    check(c.answer(s).body == BIG[:1 << 20], "the rest")
    eq(d.fetch().body, b"quick", "another's")
    o.had(1)


@case
def a_slow_server_holds_its_client_back():
    go = threading.Event()
    got = []

    def script(talk):
        talk.gives = False
        q = talk.request()
        while len(q.body) < 65535:
            talk.take_frame()
        got.append(len(q.body))
        r = talk.request()
        talk.answer(r, "quick")
        go.wait()
        talk.send(window(0, 2 * len(BIG)) + window(q.stream, 2 * len(BIG)))
        while not q.ended:
            talk.take_frame()
        check(q.body == BIG, "the body")
        talk.answer(q, "done")
        talk.to_end()
    o = scripted(script)
    w, front = through(o)
    a = Client(front)
    done = []

    def send():
        a.send(request("POST", body=BIG))
        done.append(1)
    threading.Thread(target=send, daemon=True).start()
    until(lambda: got, "the first window")
    eq(ok(once(front)).body, b"quick", "another's answer")
    check(w.rss() < 64 << 20, "memory: %d" % w.rss())
    check(not done, "all of it was taken")
    go.set()
    eq(ok(read_response(a)).body, b"done", "answer")
    o.had(1)


@case
def tls_agrees_on_h2():
    ca = Ca()
    names = []
    context = offering(ca.cert("back.test"), "h2", "http/1.1")

    def handler(talk, q):
        names.append(talk.link.sock.selected_alpn_protocol())
        talk.answer(q, q.get(":scheme"))
    o = serve(handler, context=context)
    w, front = through(o, up='tls = { ca = "%s"; server_name = "back.test"; '
                       '};' % ca.crt)
    eq(ok(once(front)).body, b"https", "answer")
    eq(names, ["h2"], "ALPN")
    o.had(1)


@case
def a_server_that_does_not_choose_h2_has_a_name():
    ca = Ca()
    o = serve(context=offering(ca.cert("back.test")))
    w, front = through(o, up='tls = { ca = "%s"; server_name = "back.test"; '
                       '};' % ca.crt)
    refused(once(front), 502, "wrong_protocol")


@case
def several_workers_share_too():
    o = serve()
    w, front = through(o, workers=2)
    for i in range(40):
        c = Client(front)
        c.send(request(target="/%d" % i))
        eq(ok(read_response(c)).body, b"/%d" % i, "answer")
        c.close()
    check(o.accepted <= 4, "%d connections" % o.accepted)
    w.balanced(o)


if __name__ == "__main__":
    run()
