"""HTTP/2 to a plain listener, by prior knowledge: requests and answers of all
shapes, many at once over few upstream connections, and what each side is told.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, temp_dir, until
from h2 import Client2, head, PREFACE, settings
from web import HttpOrigin, answer, ok, once
from weir import Weir, one
from wire import Client


def through(handler=None, **more):
    o = HttpOrigin(handler) if handler else HttpOrigin()
    w = Weir(one(o, **more))
    return o, w, w.conf.ports["front"]


@case
def a_request_becomes_one_of_http_1_1():
    seen = []

    def handler(q, link):
        seen.append(q)
        return answer(q, "done", fields=[("Set-Cookie", "a=1"),
                                         ("Set-Cookie", "b=2"),
                                         ("Connection", "X-Hop"),
                                         ("X-Hop", "1"),
                                         ("Keep-Alive", "timeout=5")])
    o, w, front = through(handler)
    c = Client2(front)
    a = c.fetch(head("/x?y", "GET", ("cookie", "a=1"), ("x-more", "two words"),
                     ("cookie", "b=2"), ("te", "trailers"), ("cookie", "")))
    eq((a.status, a.body), (200, b"done"), "answer")
    names = [n for n, _ in a.fields]
    eq([v for n, v in a.fields if n == "set-cookie"], ["a=1", "b=2"], "both")
    check(not {"connection", "x-hop", "keep-alive", "transfer-encoding"} &
          set(names), "names: %r" % names)
    q = seen[0]
    eq(q.start, b"GET /x?y HTTP/1.1", "request line")
    eq((q.get("Host"), q.get("Cookie"), q.get("x-more")),
       ("h.test", "a=1; b=2;", "two words"), "fields")
    eq((q.get("TE"), q.get("Connection"), q.get("Via")),
       ("trailers", "TE", "2.0 weir"), "of this hop")
    eq(q.framing(), None, "framing")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def bodies_have_the_framing_they_came_with():
    seen = []

    def handler(q, link):
        seen.append((q.method, q.get("Content-Length"), q.chunked, q.body))
        return answer(q, q.body)
    o, w, front = through(handler)
    c = Client2(front)
    big = os.urandom(200000)
    eq(c.fetch(head("/", "POST"), body=big).body, big, "chunked")
    eq(c.fetch(head("/", "PUT", ("content-length", "200000")),
               body=big).body, big, "with a length")
    eq(c.fetch(head("/", "POST"), body=b"").body, b"", "chunked, empty")
    eq(c.fetch(head("/", "POST")).body, b"", "none")
    eq(c.fetch(head("/", "DELETE")).body, b"", "none, and none expected")
    eq([s[:3] for s in seen], [
        ("POST", None, True), ("PUT", "200000", False), ("POST", None, True),
        ("POST", "0", False), ("DELETE", None, False)], "framing")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def answers_without_a_body_end_with_their_head():
    def handler(q, link):
        status = int(q.path[1:])
        return answer(q, "" if status != 200 else "four", status,
                      [("Content-Length", "4")] if status == 200 else [])
    o, w, front = through(handler)
    c = Client2(front)
    for path, method in (("/204", "GET"), ("/304", "GET"), ("/200", "HEAD"),
                         ("/201", "GET")):
        a = c.fetch(head(path, method))
        eq((a.status, a.body), (200 if method == "HEAD" else int(path[1:]),
                                b""), path)
    eq(c.fetch(head("/200", "HEAD")).get("content-length"), "4", "HEAD says")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def trailers_go_both_ways():
    seen = []

    def handler(q, link):
        seen.append(q.trailers)
        link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"4\r\nbody\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 9\r\n"
                  b"\r\n")
        return None
    o, w, front = through(handler)
    c = Client2(front)
    a = c.fetch(head("/", "POST"), body=b"some",
                trailers=[("x-sum", "1"), ("content-length", "4"),
                          ("host", "x")])
    eq((a.body, a.trailers), (b"body", [("grpc-status", "0")]), "answer")
    eq(seen, [[(b"x-sum", b"1")]], "request")
    c.close()
    w.balanced(o)


@case
def interim_answers_come_first():
    def handler(q, link):
        link.send(b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n")
        if q.get("Expect"):
            link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return answer(q, q.body)
    o, w, front = through(handler)
    c = Client2(front)
    a = c.fetch(head("/", "POST", ("expect", "100-continue")), body=b"12")
    eq(a.interim, [[(":status", "103"), ("link", "</a>")],
                   [(":status", "100")]], "interim")
    eq(a.body, b"12", "final")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def many_at_once_share_few_connections():
    o, w, front = through(None, pool="max = 4;")
    c = Client2(front)
    streams = [c.ask(head("/%d" % n, "GET", ("x-token", str(n))))
               for n in range(90)]
    for n, stream in enumerate(streams):
        a = c.answer(stream)
        eq((a.status, a.get("x-token")), (200, str(n)), "answer")
    o.had(4)
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def a_slow_answer_does_not_hold_up_its_neighbours():
    gate = []

    def handler(q, link):
        if q.path == "/slow":
            until(lambda: gate, "the gate opens")
        return answer(q, q.path)
    o, w, front = through(handler)
    c = Client2(front)
    slow, fast = c.ask(head("/slow")), c.ask(head("/fast"))
    eq(c.answer(fast).body, b"/fast", "the later one")
    check(c.on(slow).fields is None, "the first one waits")
    gate.append(1)
    eq(c.answer(slow).body, b"/slow", "the first one")
    o.had(2)
    c.close()
    w.balanced(o)


@case
def a_preface_in_pieces_is_still_one():
    o, w, front = through()
    c = Client2(front, greet=False)
    c.send_pieces(PREFACE + settings())
    eq(c.fetch().status, 200, "status")
    c.close()
    w.balanced(o)


@case
def http_1_1_goes_on_beside_it():
    o, w, front = through()
    c = Client2(front)
    eq(c.fetch().status, 200, "HTTP/2")
    eq(ok(once(front)).status, 200, "HTTP/1.1")
    c.close()
    w.balanced(o)


@case
def a_listener_may_have_none_of_it():
    o, w, front = through(None, front="http = { http2 = false; };")
    c = Client(front)
    c.send(PREFACE)
    check(c.read_until(b"\r\n").startswith(b"HTTP/1.1 505"), "505")
    eq(w.failures(), {"bad_request": 1}, "failures")


@case
def failures_are_answers_here_too():
    o, w, front = through(None, pool="max = 1;")
    c = Client2(front)
    a = c.fetch(head("/", "TRACE"))
    eq((a.status, a.body), (
        405, b"405 method_not_allowed: this method is not forwarded\n"), "405")
    check("PATCH" in a.get("allow"), "allow")
    a = c.fetch([(":method", "CONNECT"), (":authority", "h.test:80")])
    eq(a.status, 405, "CONNECT")
    eq(c.fetch(head("/", "HEAD")).status, 200, "the connection goes on")
    eq(w.failures(), {"method_not_allowed": 2}, "failures")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def no_endpoint_is_a_503():
    o, w, front = through()
    o.stop()
    c = Client2(front)
    a = c.fetch()
    check(a.status in (502, 503), "status %d" % a.status)
    eq(a.get("content-type"), "text/plain", "type")
    check(a.body.startswith(b"%d " % a.status), "body %r" % a.body)
    eq(int(a.get("content-length")), len(a.body), "length")


@case
def an_answer_cut_short_is_a_reset_of_that_stream():
    def handler(q, link):
        if q.path == "/cut":
            link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")
            link.rst()
            return None
        return answer(q, "whole")
    o, w, front = through(handler)
    c = Client2(front)
    cut, whole = c.ask(head("/cut")), c.ask(head("/"))
    a = c.answer(cut)
    eq((a.status, a.error), (200, 2), "status and INTERNAL_ERROR")
    eq(c.answer(whole).body, b"whole", "its neighbour")
    eq(list(w.failures().values()), [1], "one failure")
    eq(c.fetch().body, b"whole", "and later ones")


@case
def an_early_answer_ends_the_request():
    def handler(q, link):
        link.send(answer(q, "no", 413))
        return False
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o))
    c = Client2(w.conf.ports["front"])
    stream = c.ask(head("/", "POST"), body=b"x" * 1000, ends=False)
    a = c.answer(stream)
    eq((a.status, a.body), (413, b"no"), "answer")
    while a.error is None:
        c.take_frame()
    eq(a.error, 0, "RST_STREAM(NO_ERROR)")
    eq(c.answer(c.ask()).status, 413, "the connection goes on")
    o.had(2)


@case
def an_early_answer_without_a_body_arrives_too():
    """Its head is the last frame, and goes before the reset."""
    answers = {"/204": "204 No Content", "/401": "401 No\r\nContent-Length: 0",
               "/302": "302 Go\r\nLocation: /there\r\nContent-Length: 0",
               "/304": "304 Not Modified"}

    def handler(q, link):
        link.send("HTTP/1.1 %s\r\n\r\n" % answers[q.path])
        return False
    w = Weir(one(HttpOrigin(handler, bodies=False)))
    for path in answers:
        c = Client2(w.conf.ports["front"])
        s = c.ask(head(path, "POST", ("content-length", "100")), ends=False)
        a = c.answer(s)
        eq(a.status, int(path[1:]), "status of %s" % path)
        c.close()


@case
def limits_hold_for_each_stream():
    gate = []

    def handler(q, link):
        if q.path == "/slow":
            until(lambda: gate, "the gate opens")
        return answer(q, "done")
    o, w, front = through(handler, pool="max = 1; max_waiting = 2;")
    c = Client2(front)
    streams = [c.ask(head("/slow")) for _ in range(5)]
    over = [c.answer(s) for s in streams[3:]]
    eq([a.status for a in over], [503, 503], "beyond the queue")
    check(b"queue_full" in over[0].body, "text")
    gate.append(1)
    eq([c.answer(s).status for s in streams[:3]], [200] * 3, "the others")
    eq(w.failures(), {"queue_full": 2}, "failures")
    o.had(1)
    c.close()
    w.balanced(o)


@case
def too_many_requests_are_told_when_to_come_again():
    o, w, front = through(None, front='limits = { request_rate = "2/m"; };')
    c = Client2(front)
    answers = [c.fetch() for _ in range(4)]
    last = answers[-1]
    eq(last.status, 429, "status")
    check(int(last.get("retry-after")) > 0, "retry-after")
    check(last.body.startswith(b"429 limited: "), "text")
    c.close()
    w.balanced(o)


@case
def the_log_has_a_line_for_each_stream():
    o = HttpOrigin(lambda q, link: answer(q, b"x" * 1000))
    conf = one(o)
    path = os.path.join(temp_dir(), "access.log")
    conf.log = 'level = "info"; access = "%s";' % path
    w = Weir(conf)
    c = Client2(conf.ports["front"])
    s = [c.ask(head("/%d" % n, "POST"), body=b"y" * 100 * n)
         for n in range(3)]
    for stream in s:
        c.answer(stream)
    c.close()
    w.stop()
    with open(path) as f:
        lines = f.read().splitlines()
    eq(len(lines), 3, "lines")
    for n in range(3):
        line = [x for x in lines if "POST /%d HTTP/2.0" % n in x]
        eq(len(line), 1, "of its request: %r" % lines)
        check(" 1000 " in line[0] or "=1000" in line[0], line[0])


run()
