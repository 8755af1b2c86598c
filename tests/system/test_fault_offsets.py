"""The origin resets, or ends, after each byte of an answer, and the client
after each byte of a request: less never looks whole, and the next one is fine.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, Failed, case, check, eq, run
from origin import Origin
from weir import Weir, one
from web import (HttpOrigin, answer, chunks, ok, read_response, refused,
                 request, token)
from wire import Client, Ended

BODY = b"0123456789abcdef" * 2
CREW = 6


def framed(q, frame):
    if frame == "length":
        return answer(q, BODY)
    if frame == "chunked":
        return answer(q, fields=[("Transfer-Encoding", "chunked")]) + \
            chunks(BODY[:7], BODY[7:], trailers=[(b"X-End", b"1")])
    return answer(q, fields=[("Connection", "close")]).replace(
        b"Content-Length: 0\r\n", b"") + BODY


def cutter(q, link):
    """Targets /HOW/FRAME/BYTES; any other is answered well."""
    parts = q.path.split("/")
    if len(parts) < 4:
        return answer(q, q.token)
    link.send(framed(q, parts[2])[:int(parts[3])])
    if parts[1] == "rst":
        link.rst()
    return False


def crew(work, items):
    """Share the items out among some threads; their first failure is ours."""
    failures = []
    left = list(items)
    lock = threading.Lock()

    def go():
        while not failures:
            with lock:
                if not left:
                    return
                item = left.pop()
            try:
                work(item)
            except Exception as e:
                failures.append((item, e))
    threads = [threading.Thread(target=go, daemon=True) for _ in range(CREW)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(12 * WAIT)
    if failures:
        raise Failed("%r: %r" % failures[0]) from failures[0][1]


def bystander(port):
    """One who is not concerned."""
    c = Client(port)
    t = token()
    c.send(request(fields=[("X-Token", t)]))
    r = ok(read_response(c))
    eq((r.get("X-Token"), r.body), (t, t.encode()), "another's answer")
    c.close()


def lengths(frame):
    """Bytes of such an answer, whole and of its head, by the widest X-Conn;
    a shorter one only means that the last offsets are beyond its end."""
    class Shape:
        conn, nth, token, method = 1, 1, token(), "GET"
    data = framed(Shape, frame)
    return len(data), data.index(b"\r\n\r\n") + 4


def every_offset(how, frame, minor=1):
    """minor 0: the client of HTTP/1.0 knows the end of what has no length by
    that of the connection, which then has to be a RST."""
    o = HttpOrigin(cutter, keep=False)
    w = Weir(one(o, pool='max = 4; max_waiting = 1000; '
                 'queue_timeout = "60s";'))
    port = w.conf.ports["front"]
    whole, head = lengths(frame)
    cut = []

    def work(n):
        c = Client(port)
        t = token()
        c.send(request(target="/%s/%s/%d" % (how, frame, n),
                       fields=[("X-Token", t)], minor=minor))
        try:
            r = read_response(c)
        except Ended:
            r = None
        if r is None or c.ended == "rst":
            cut.append(n)           # it shows
            r = None
        if r is not None and r.status == 200:
            eq((r.get("X-Token"), r.body), (t, BODY), "a whole answer")
            check(n >= whole, "%d of %d bytes look whole" % (n, whole))
        elif r is not None:
            refused(r, 502)
        c.close()
        bystander(port)
    # A body without a length that ends with FIN is whole wherever it ends.
    top = head if (how, frame) == ("fin", "close") else whole
    crew(work, range(top))
    check(top == head or cut, "no answer was begun and cut")
    w.balanced(o)
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")


@case
def reset_within_an_answer_with_a_length():
    every_offset("rst", "length")


@case
def reset_within_a_chunked_answer():
    every_offset("rst", "chunked")


@case
def reset_within_an_answer_that_ends_with_its_connection():
    every_offset("rst", "close")


@case
def reset_within_answers_for_http_1_0():
    every_offset("rst", "length", 0)
    every_offset("rst", "chunked", 0)
    every_offset("rst", "close", 0)


@case
def end_within_answers_for_http_1_0():
    every_offset("fin", "length", 0)
    every_offset("fin", "chunked", 0)


@case
def end_within_an_answer_with_a_length():
    every_offset("fin", "length")


@case
def end_within_a_chunked_answer():
    every_offset("fin", "chunked")


@case
def end_within_the_head_of_an_answer():
    every_offset("fin", "close")


def client_cuts(how):
    o = HttpOrigin(lambda q, link: answer(q, q.token), keep=False)
    w = Weir(one(o, pool='max = 2; max_waiting = 1000; '
                 'queue_timeout = "60s";'))
    port = w.conf.ports["front"]
    texts = [request("POST", "/cut", [("X-Token", "a" * 32)], b"hello" * 4),
             request("POST", "/cut", [("X-Token", "b" * 32),
                                      ("Transfer-Encoding", "chunked")]) +
             chunks(b"hello", b"world", trailers=[(b"X-End", b"1")]),
             request("GET", "/cut", [("X-Token", "c" * 32)]) * 2]

    def work(item):
        text, n = item
        c = Client(port).send(text[:n])
        getattr(c, how)()
        bystander(port)
        if how != "rst":
            c.close()
    crew(work, [(text, n) for text in texts for n in range(len(text))])
    w.balanced(o)
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")


@case
def client_resets_after_each_byte():
    client_cuts("rst")


@case
def client_ends_after_each_byte():
    client_cuts("shut")


# ------------------------------------------------------------- raw sessions


TEXT = b"".join(b"%02d-" % n for n in range(60))


def raw(how):
    """A line asks for so many bytes of TEXT, then RST or FIN."""
    def script(link):
        n = int(link.read_line())
        link.send(TEXT[:n])
        if how == "rst":
            link.rst()
    o = Origin(script)
    w = Weir(one(o, protocol="tcp", pool='max = 8; max_waiting = 1000; '
                 'queue_timeout = "60s";'))
    ends = {}

    def work(n):
        c = Client(w.conf.ports["front"]).send("%d\n" % n)
        got = c.read_to_end()
        check(TEXT[:n].startswith(got), "others' bytes: %r" % got)
        # RST may overtake what was sent before it; FIN may not.
        if how == "fin":
            eq(len(got), n, "bytes before FIN")
        ends[c.ended] = ends.get(c.ended, 0) + 1
        c.close()
    crew(work, range(len(TEXT) + 1))
    eq(ends, {how: len(TEXT) + 1}, "how they ended")
    w.balanced(o)
    o.had(len(TEXT) + 1)


@case
def raw_session_is_reset_after_each_byte():
    raw("rst")


@case
def raw_session_ends_after_each_byte():
    raw("fin")


run()
