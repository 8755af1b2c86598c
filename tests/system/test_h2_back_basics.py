"""HTTP/2 to upstreams: requests of clients of either version ride on few
connections, and each side is told what the other said.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import MAX_CONCURRENT_STREAMS, Client2, head
from h2_origin import scripted, serve
from web import (ask, chunks, ok, once, read_response, refused,
                 request)
from weir import Weir, one
from wire import Client


def through(handler=None, *pairs, up="", **more):
    o = serve(handler, *pairs)
    w = Weir(one(o, up='http = { version = "2"; %s };' % up, **more))
    return o, w, w.conf.ports["front"]


@case
def a_request_goes_and_its_answer_comes():
    seen = []

    def handler(talk, q):
        seen.append(q)
        talk.answer(q, "done", 201, [("content-type", "text/x"),
                                     ("set-cookie", "a=1"),
                                     ("set-cookie", "b=2")])
    o, w, front = through(handler)
    r = once(front, target="/x?y", fields=[("X-More", "two words"),
                                           ("Connection", "X-Hop"),
                                           ("X-Hop", "1")])
    eq((r.status, r.body), (201, b"done"), "answer")
    eq(r.all("set-cookie"), ["a=1", "b=2"], "both")
    q = seen[0]
    eq((q.method, q.path, q.get(":scheme"), q.get(":authority")),
       ("GET", "/x?y", "http", "x.test"), "line")
    eq((q.get("x-more"), q.get("via")), ("two words", "1.1 weir"), "fields")
    names = [n for n, _ in q.fields]
    check(not {"host", "connection", "x-hop", "keep-alive",
               "transfer-encoding"} & set(names), "names: %r" % names)
    c = Client2(front)
    a = c.fetch(head("/z", "GET", ("te", "trailers"), ("cookie", "a=1"),
                     ("cookie", "b=2")))
    eq((a.status, a.body), (201, b"done"), "answer to HTTP/2")
    q = seen[1]
    eq((q.get("via"), q.get("te"), q.get("cookie")),
       ("2.0 weir", "trailers", "a=1; b=2"), "fields of HTTP/2")
    o.had(1)
    c.close()
    w.wait_pool(leased=0, idle=1)


@case
def bodies_go_both_ways():
    def handler(talk, q):
        talk.answer(q, q.body, fields=[
            ("x-length", q.get("content-length") or "none")])
    o, w, front = through(handler)
    big = os.urandom(1000000)
    r = once(front, "POST", body=big)
    eq((r.get("x-length"), r.body == big), ("1000000", True), "with a length")
    c = Client(front)
    c.send(request("POST", fields=[("Transfer-Encoding", "chunked")]) +
           chunks(big[:300000], b"end"))
    r = read_response(c)
    eq((r.get("x-length"), r.body == big[:300000] + b"end"), ("none", True),
       "chunked")
    c = Client2(front)
    a = c.fetch(head("/", "POST"), body=big[:200000])
    eq(a.body == big[:200000], True, "HTTP/2")
    eq(c.fetch(head("/", "POST"), body=b"").body, b"", "empty")
    o.had(1)


@case
def answers_without_a_body_end_with_their_head():
    def handler(talk, q):
        status = int(q.get("x-want") or 200)
        talk.head(q, status, ("content-length", "5"), ends=True) \
            if q.method == "HEAD" else talk.answer(q, b"", status)
    o, w, front = through(handler)
    c = Client(front)
    r = ask(c, "HEAD")
    eq((r.status, r.get("content-length"), r.body), (200, "5", b""), "HEAD")
    for status in 204, 304, 200:
        r = ask(c, fields=[("X-Want", str(status))])
        eq((r.status, r.body), (status, b""), "answer")
        eq(r.get("content-length"), "0" if status == 200 else None, "length")
    c2 = Client2(front)
    for status in 204, 304, 200:
        a = c2.fetch(head("/", "GET", ("x-want", str(status))))
        eq((a.status, a.body), (status, b""), "answer to HTTP/2")
    o.had(1)


@case
def interim_answers_pass():
    def handler(talk, q):
        talk.head(q, 103, ("link", "</a>"))
        talk.head(q, 100)
        talk.answer(q, "final")
    o, w, front = through(handler)
    r = once(front)
    eq(([i.status for i in r.interim], r.body), ([103, 100], b"final"), "1xx")
    eq(r.interim[0].get("link"), "</a>", "its field")
    a = Client2(front).fetch()
    eq(([i[0][1] for i in a.interim], a.body), (["103", "100"], b"final"),
       "1xx of HTTP/2")


@case
def trailers_pass_both_ways():
    seen = []

    def handler(talk, q):
        seen.append(q.trailers)
        talk.answer(q, "body", trailers=[("x-sum", "1"), ("x-end", "")])
    o, w, front = through(handler)
    c = Client2(front)
    a = c.fetch(head("/", "POST"), body=b"abc", trailers=[("x-mine", "2")])
    eq((a.body, a.trailers), (b"body", [("x-sum", "1"), ("x-end", "")]),
       "answer")
    eq(seen, [[("x-mine", "2")]], "of the request")
    c = Client(front)
    c.send(request("POST", fields=[("Transfer-Encoding", "chunked")]) +
           chunks(b"abc", trailers=[(b"X-Mine", b"3")]))
    r = read_response(c)
    eq((r.body, r.trailers), (b"body", [(b"x-sum", b"1"), (b"x-end", b"")]),
       "answer in chunks")
    eq(seen[1], [("x-mine", "3")], "of the request in chunks")


@case
def what_weir_says_of_certificates_is_in_no_trailer():
    seen = []

    def handler(talk, q):
        seen.append(q.trailers)
        talk.answer(q, "body")
    o, w, front = through(handler, front="http = { client_cert_headers = { "
                          "X-Client-Subject = \"subject\"; }; };")
    a = Client2(front).fetch(head("/", "POST"), body=b"abc",
                             trailers=[("x-client-subject", "CN=root")])
    eq(a.body, b"body", "answer")
    check(not seen[0], "trailers: %r" % seen)


@case
def many_ride_on_one_connection():
    gate = threading.Event()

    def script(talk):
        queue = [talk.request() for _ in range(50)]
        gate.wait()
        for q in reversed(queue):
            talk.answer(q, q.path)
        talk.to_end()
    o = scripted(script)
    w = Weir(one(o, up='http = { version = "2" };'))
    front = w.conf.ports["front"]
    clients = [Client(front) for _ in range(25)]
    for i, c in enumerate(clients):
        c.send(request(target="/one%d" % i))
    c2 = Client2(front)
    streams = [c2.ask(head("/two%d" % i)) for i in range(25)]
    gate.set()
    for i, c in enumerate(clients):
        eq(ok(read_response(c)).body, b"/one%d" % i, "answer")
    for i, s in enumerate(streams):
        eq(c2.answer(s).body, b"/two%d" % i, "answer to HTTP/2")
    o.had(1)
    for c in clients + [c2]:
        c.close()
    w.wait_pool(leased=0, idle=1)
    w.balanced(o)


@case
def a_full_connection_has_others_beside_it():
    gate = threading.Event()

    def script(talk):
        queue = [talk.request() for _ in range(2)]
        gate.wait()
        for q in queue:
            talk.answer(q, q.path)
        while True:
            q = talk.whole()
            talk.answer(q, q.path)
    o = scripted(script, (MAX_CONCURRENT_STREAMS, 2))
    w = Weir(one(o, up='http = { version = "2" };', pool="max = 3;"))
    front = w.conf.ports["front"]
    clients = [Client(front) for _ in range(8)]
    for i, c in enumerate(clients):
        c.send(request(target="/%d" % i))
    o.had(3)
    until(lambda: w.pool()["waiting"] == 2, "those that wait")
    gate.set()
    for i, c in enumerate(clients):
        eq(ok(read_response(c)).body, b"/%d" % i, "answer")
    o.had(3)


@case
def max_streams_is_a_limit_of_ours():
    most = [0]

    def script(talk):
        under_way = []
        while True:
            under_way.append(talk.request())
            most[0] = max(most[0], len(under_way))
            if len(under_way) == 3:
                for q in under_way:
                    talk.answer(q, "x")
                under_way = []
    o = scripted(script)
    w = Weir(one(o, up='http = { version = "2"; max_streams = 3 };',
                 pool="max = 1;"))
    c = Client2(w.conf.ports["front"])
    streams = [c.ask() for _ in range(12)]
    for s in streams:
        eq(c.answer(s).status, 200, "status")
    eq(most[0], 3, "at a time")
    o.had(1)


@case
def what_is_no_http_2_has_a_name():
    def handler(link):
        link.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        link.read_to_end()
    from origin import Origin
    o = Origin(handler)
    w = Weir(one(o, up='http = { version = "2" };'))
    refused(once(w.conf.ports["front"]), 502, "wrong_protocol")
    eq(w.failures(), {"wrong_protocol": 1}, "failures")


@case
def a_reload_to_another_version_takes_other_connections():
    from web import HttpOrigin
    o, w, front = through()
    eq(ok(once(front, target="/a")).body, b"/a", "answer")
    w.wait_pool(idle=1)
    p = HttpOrigin()
    w.conf.upstream("back", p, extra='http = { version = "1.1" };')
    w.write()
    w.reload()
    until(lambda: o.open == 0, "the old connection's end")
    ok(once(front))
    w.conf.upstream("back", o, extra='http = { version = "2" };')
    w.write()
    w.reload()
    eq(ok(once(front, target="/b")).body, b"/b", "answer")
    o.had(2)
    p.had(1)


@case
def errors_of_servers_are_counted_by_status():
    def handler(talk, q):
        talk.answer(q, b"", int(q.path[1:]))
    o, w, front = through(handler)
    for status in (200, 404, 500, 500, 503, 507):
        eq(once(front, target="/%d" % status).status, status, "status")
    errors = w.upstream()["server_errors_total"]
    eq({k: n for k, n in errors.items() if not k.startswith("grpc_")},
       {"500": 2, "502": 0, "503": 1, "504": 0, "5xx": 1}, "errors")
    o.had(1)


if __name__ == "__main__":
    run()
