"""Each request has its trace and its id, whoever began them; upstream, client,
logs and weir's own answers say the same. Sent by strangers, an id is not kept.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, run, temp_dir, until
from h2 import Client2, head
from h2_origin import serve
from weir import Conf, Weir, command, one
from web import HttpOrigin, answer, ask, ok, once, read_response, refused
from wire import Client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00-%s-00f067aa0ba902b7-01" % TRACE
MADE = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-01$")
ID = re.compile(r"[0-9a-f]{32}$")
BOTH = 'trace = true; request_id = "X-Request-Id";'


def start(keys=BOTH, o=None, trusted=True, **more):
    o = o or HttpOrigin()
    front = "http = { %s %s };" % (
        keys, 'trusted = ( "127.0.0.0/8" );' if trusted else "")
    return o, Weir(one(o, front=front, **more))


def sent(o, w, *fields):
    """(request as the upstream had it, answer) of one with these fields."""
    r = ok(once(w.conf.ports["front"], fields=fields))
    return o.seen[-1], r


def logged(path, n):
    def lines():
        if not os.path.exists(path):
            return None
        with open(path) as f:
            text = f.read().split("\n")[:-1]
        return text if len(text) >= n else None
    return [json.loads(x) for x in until(lines, "%d lines of the log" % n)]


@case
def a_valid_trace_goes_on_as_it_came():
    o, w = start(trusted=False)
    for parent in (PARENT, "00-%s-00f067aa0ba902b7-00" % TRACE,
                   "cc-%s-00f067aa0ba902b7-01-later" % TRACE):
        q, r = sent(o, w, ("traceparent", parent),
                    ("tracestate", "a=1,b=2"), ("Tracestate", "c=3"))
        eq((q.all("traceparent"), q.all("tracestate")),
           ([parent], ["a=1,b=2", "c=3"]), "upstream")
        check("traceparent" not in r.names(), "the answer: %r" % r.raw)
    eq({r["trace"] for r in json.loads(w.get("/slow")[1])["exchanges"]},
       {TRACE}, "in /slow")
    w.balanced(o)
    o.had(1)


@case
def what_is_no_trace_is_begun_anew():
    o, w = start()
    seen = set()
    for fields in ([], [("traceparent", "")], [("traceparent", PARENT + "-")],
                   [("traceparent", PARENT.upper())],
                   [("traceparent", PARENT), ("traceparent", PARENT)],
                   [("traceparent", PARENT), ("Connection", "traceparent")],
                   [("traceparent", "00-" + "0" * 32 + "-00f067aa0ba902b7-01")]):
        q, _ = sent(o, w, *fields, ("tracestate", "a=1"))
        eq((len(q.all("traceparent")), q.all("tracestate")), (1, []),
           "fields upstream for %r" % fields)
        m = MADE.match(q.get("traceparent"))
        check(m and m[1] != TRACE, q.get("traceparent"))
        seen.add(m[1])
    eq(len(seen), 7, "different traces")
    w.balanced(o)


@case
def off_they_are_fields_like_others():
    o, w = start("")
    q, r = sent(o, w, ("traceparent", "junk"), ("tracestate", "a"),
                ("X-Request-Id", "mine"))
    eq([q.get(n) for n in ("traceparent", "tracestate", "X-Request-Id")],
       ["junk", "a", "mine"], "upstream")
    check("x-request-id" not in r.names(), "the answer: %r" % r.raw)
    q, _ = sent(o, w)
    check(not {"traceparent", "x-request-id"} & set(q.names()), q.raw)
    w.balanced(o)


@case
def an_id_is_kept_of_those_who_are_trusted():
    for trusted in (True, False):
        o, w = start(o=HttpOrigin(lambda q, link: answer(
            q, fields=[("X-REQUEST-ID", "the server's")])), trusted=trusted)
        for fields, kept in (([("x-request-id", "abc-1")], trusted),
                             ([("X-Request-Id", "a" * 64)], trusted),
                             ([("X-Request-Id", "a" * 65)], False),
                             ([("X-Request-Id", "a b")], False),
                             ([("X-Request-Id", "")], False),
                             ([("X-Request-Id", "a"), ("X-Request-Id", "b")],
                              False), ([], False)):
            q, r = sent(o, w, *fields)
            eq(len(q.all("X-Request-Id")), 1, "ids upstream")
            got = q.get("X-Request-Id")
            eq(r.all("X-Request-Id"), [got], "ids of the answer")
            if kept:
                eq(got, fields[0][1], "the id")
            else:
                check(ID.match(got), "an id of weir's: %r" % got)
        w.balanced(o)


@case
def the_configuration_of_an_upstream_comes_first():
    o, w = start(up='http = { set_headers = { X-Request-Id = "set"; }; '
                 'remove_headers = ( "traceparent" ); };')
    q, r = sent(o, w)
    eq((q.all("X-Request-Id"), q.all("traceparent")), (["set"], []),
       "upstream")
    check(ID.match(r.get("X-Request-Id")), "the answer's")
    w.balanced(o)


@case
def failures_and_logs_name_them():
    path = os.path.join(temp_dir(), "access.log")
    conf = one(port(), front="http = { %s };" % BOTH)
    conf.log = 'format = "json"; access = "%s"; ' \
        'fields = ( "status", "request_id", "trace_id" );' % path
    w = Weir(conf)
    r = once(conf.ports["front"], fields=[("traceparent", PARENT)])
    refused(r, 502, "connect_failed")
    number = r.get("X-Request-Id")
    check(ID.match(number), "id: %r" % number)
    check(r.body.decode().endswith(
        " (request %s, trace %s)\n" % (number, TRACE)), r.body)
    c = Client(conf.ports["front"]).send(b"NONSENSE\r\n\r\n")
    bad = read_response(c)
    eq(bad.status, 400, "status")
    check(ID.match(bad.get("X-Request-Id")), bad.raw)
    c.close()
    first, second = logged(path, 2)
    eq(first, {"status": 502, "request_id": number, "trace_id": TRACE},
       "the log")
    eq(second["request_id"], bad.get("X-Request-Id"), "the other's")
    rows = json.loads(w.get("/slow")[1])["exchanges"]
    eq([(x["id"], x["trace"]) for x in rows],
       [(second["request_id"], second["trace_id"]), (number, TRACE)],
       "in /slow")
    w.balanced()


@case
def http2_says_the_same_on_both_sides():
    seen = []
    o = serve(lambda talk, q: (seen.append(q), talk.answer(q, b"x")))
    w = Weir(one(o, front="http = { %s trusted = ( \"127.0.0.0/8\" ); };" %
                 BOTH, up='http = { version = "2"; };'))
    c = Client2(w.conf.ports["front"])
    a = c.fetch(head("/", "GET", ("traceparent", PARENT),
                     ("tracestate", "a=1"), ("x-request-id", "mine")))
    eq((a.status, a.get("x-request-id")), (200, "mine"), "the answer")
    q = seen[-1]
    eq([q.get(n) for n in ("traceparent", "tracestate", "x-request-id")],
       [PARENT, "a=1", "mine"], "upstream")
    a = c.fetch()
    check(ID.match(a.get("x-request-id")), a.get("x-request-id"))
    eq(seen[-1].get("x-request-id"), a.get("x-request-id"), "upstream")
    check(MADE.match(seen[-1].get("traceparent")), "the trace")
    c.close()
    w.balanced(o)
    o.had(1)
    dead = Weir(one(port(), front="http = { %s };" % BOTH))
    c = Client2(dead.conf.ports["front"])
    a = c.fetch(head("/", "GET", ("traceparent", PARENT)))
    eq(a.status, 502, "status")
    check(ID.match(a.get("x-request-id")), "the failure's id")
    check(a.body.endswith(b"(request %s, trace %s)\n" % (
        a.get("x-request-id").encode(), TRACE.encode())), a.body)
    c.close()


@case
def names_that_mean_something_else_are_refused():
    for name in ("Host", "traceparent", "a b", ""):
        conf = one(port(), front='http = { request_id = "%s"; };' % name)
        with open(os.path.join(temp_dir(), "w.conf"), "w") as f:
            f.write(conf.text())
        r = command("-t", "-c", f.name)
        eq(r.returncode, 1, "weir -t with %r" % name)
        check("http.request_id" in r.stderr, r.stderr)


run()
