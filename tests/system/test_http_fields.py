"""Which header fields go on and which end at weir, in both directions; who may
say where a request came from; what the configuration adds and removes.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once
from wire import Client


def play(fields=(), minor=1, host="x.test", handler=None, target="/", **conf):
    """One request through weir; (the request upstream, the response)."""
    o = HttpOrigin(handler or (lambda q, link: answer(q)))
    w = Weir(one(o, **conf))
    r = ok(once(w.conf.ports["front"], "GET", target, fields,
               minor=minor, host=host))
    eq((o.accepted, o.requests), (1, 1), "upstream")
    return o.seen[0], r


@case
def end_to_end_fields_pass_unchanged_and_in_order():
    fields = [("Accept", "a"), ("Cookie", "b=c; d=e"), ("Accept", "f"),
              ("x-MiXeD", "G  h"), ("Authorization", "Basic eDp5"),
              ("X-Empty", ""), ("Cache-Control", "no-cache"),
              ("Range", "bytes=0-1"), ("TE-not", "q")]
    q, _ = play(fields)
    passed = [(n.decode(), v.decode()) for n, v in q.fields
              if (n.decode(), v.decode()) in fields]
    eq(passed, fields, "fields upstream")
    back = [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"),
            ("X-Custom", "e f"), ("Server", "scripted"),
            ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("ETag", '"g"')]
    _, r = play(handler=lambda q, link: answer(q, fields=back))
    passed = [(n.decode(), v.decode()) for n, v in r.fields
              if (n.decode(), v.decode()) in back]
    eq(passed, back, "fields of the response")


@case
def hop_by_hop_fields_end_here():
    q, _ = play([("Connection", "keep-alive, X-Secret, close-not"),
                 ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "close"),
                 ("X-Secret", "a"), ("close-not", "b"), ("TE", "trailers"),
                 ("X-Kept", "c")])
    for name in ("keep-alive", "proxy-connection", "x-secret", "close-not"):
        check(name not in q.names(), "%s upstream: %r" % (name, q.raw))
    check("keep-alive" not in (q.get("Connection") or ""), "Connection")
    eq(q.get("X-Kept"), "c", "X-Kept")
    _, r = play(handler=lambda q, link: answer(q, fields=[
        ("Connection", "keep-alive, X-Inner"), ("Keep-Alive", "timeout=9"),
        ("X-Inner", "a"), ("X-Outer", "b"), ("Proxy-Connection", "x")]))
    for name in ("x-inner", "proxy-connection"):
        check(name not in r.names(), "%s to the client: %r" % (name, r.raw))
    check(r.get("Keep-Alive") != "timeout=9", "the origin's Keep-Alive")
    eq(r.get("X-Outer"), "b", "X-Outer")


@case
def close_towards_weir_is_not_close_towards_the_origin():
    o = HttpOrigin()
    w = Weir(one(o))
    for n in range(1, 6):
        c = Client(w.conf.ports["front"])
        r = ok(ask(c, fields=[("Connection", "close")]))
        eq((r.conn, r.nth), (1, n), "who served")
        eq((r.get("Connection") or "").lower(), "close", "Connection")
        eq(c.read_to_end(), b"", "closed")
        check("close" not in (o.seen[-1].get("Connection") or ""), "passed")
    o.had(1)
    w.balanced(o)


@case
def connection_cannot_strip_what_weir_says():
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
                 "Via", "Host"):
        q, _ = play([("Connection", "close, %s" % name)])
        eq(len(q.all(name)), 1, name + " upstream")
    q, _ = play([("Connection", "Content-Length")])
    check(q.framing() is None, "no body")


@case
def where_a_request_came_from_is_begun_anew_for_strangers():
    sent = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.test"),
            ("X-Forwarded-For", "7.7.7.7"), ("Forwarded", "for=6.6.6.6")]
    for front in ("", 'http = { forwarded = "append"; };',
                  'http = { trusted = ( "10.0.0.0/8" ); };',
                  'http = { forwarded = "replace"; };',
                  'http = { forwarded = "replace"; '
                  'trusted = ( "127.0.0.0/8" ); };'):
        q, _ = play(sent, front=front)
        eq(q.all("X-Forwarded-For"), ["127.0.0.1"], "For with " + front)
        eq(q.all("X-Forwarded-Proto"), ["http"], "Proto with " + front)
        eq(q.all("X-Forwarded-Host"), ["x.test"], "Host with " + front)
        check("6.6.6.6" not in "".join(q.all("Forwarded")), "Forwarded")


@case
def what_a_trusted_peer_says_is_appended_to():
    q, _ = play([("X-Forwarded-For", "1.2.3.4"),
                 ("X-Forwarded-For", "5.6.7.8"),
                 ("X-Forwarded-Proto", "https"),
                 ("X-Forwarded-Host", "outer.test")],
                front='http = { trusted = ( "127.0.0.0/8" ); };')
    eq(", ".join(q.all("X-Forwarded-For")), "1.2.3.4, 5.6.7.8, 127.0.0.1",
       "X-Forwarded-For")
    eq(q.all("X-Forwarded-Proto"), ["https"], "X-Forwarded-Proto")
    eq(q.all("X-Forwarded-Host"), ["outer.test"], "X-Forwarded-Host")
    q, _ = play(front='http = { trusted = ( "127.0.0.0/8" ); };')
    eq((q.all("X-Forwarded-For"), q.all("X-Forwarded-Proto"),
        q.all("X-Forwarded-Host")), (["127.0.0.1"], ["http"], ["x.test"]),
       "a trusted peer that says nothing")


@case
def forwarded_off_adds_nothing():
    q, _ = play(front='http = { forwarded = "off"; };')
    for name in ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"):
        check(name not in q.names(), "%s: %r" % (name, q.raw))


@case
def via_names_each_hop():
    q, _ = play([("Via", "1.0 fred")])
    via = ", ".join(q.all("Via"))
    check(via.startswith("1.0 fred, 1.1 "), "Via upstream: " + via)


@case
def host_is_kept_unless_told_otherwise():
    eq(play(host="shop.test:8080")[0].get("Host"), "shop.test:8080", "kept")
    eq(play(up='http = { host = "keep"; };')[0].get("Host"), "x.test", "keep")
    q, _ = play(up='http = { host = "inner.test"; };')
    eq(q.get("Host"), "inner.test", "by name")
    eq(q.get("X-Forwarded-Host"), "x.test", "X-Forwarded-Host")
    o = HttpOrigin()
    w = Weir(one(o, up='http = { host = "upstream"; };'))
    ok(once(w.conf.ports["front"]))
    eq(o.seen[0].get("Host"), o.address, "upstream's address")
    o.had(1)


@case
def absolute_form_is_taken_apart():
    q, _ = play(target="http://x.test/a/b?c=d")
    eq((q.target, q.get("Host")), ("/a/b?c=d", "x.test"), "upstream")
    eq(play(target="http://x.test")[0].target, "/", "empty path")
    q, _ = play(target="/a?u=http://y.test/%2e%2e/%00//./x")
    eq(q.target, "/a?u=http://y.test/%2e%2e/%00//./x", "as it was sent")


@case
def http_1_0_without_host():
    q, r = play(minor=0, host=None)
    eq((q.minor, len(q.all("Host"))), (1, 1), "version and Host upstream")
    eq((r.get("Connection") or "close").lower(), "close", "Connection")


@case
def fields_are_set_and_removed_as_configured():
    q, _ = play([("X-Debug", "1"), ("x-debug", "2"), ("X-Via", "client"),
                 ("X-Keep", "3")], up='http = { set_headers = '
                '{ X-Via = "weir"; X-New = "${WEIR_T:-dflt} v"; }; '
                'remove_headers = ( "X-Debug" ); };')
    eq(q.all("X-Debug"), [], "removed")
    eq(q.all("X-Via"), ["weir"], "set, not added to")
    eq(q.all("X-New"), ["dflt v"], "set")
    eq(q.all("X-Keep"), ["3"], "others")


@case
def trace_is_not_a_way_to_see_them():
    o = HttpOrigin()
    w = Weir(one(o))
    r = once(w.conf.ports["front"], "TRACE")
    check(r.status in (405, 501), "TRACE: %d" % r.status)
    eq((o.accepted, o.received), (0, 0), "what the origin saw")



run()
