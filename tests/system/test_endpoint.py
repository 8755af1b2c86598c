"""Endpoints changed by hand: drained, switched off, kept up or given another
weight on the admin port, for a time or for good. Such changes act at once,
outlive reloads, show in all numbers, and wrong ones change nothing.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import sys
import threading
from urllib.parse import quote

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, run, until
from weir import Weir, command, one
from web import (HttpOrigin, answer, ok, once, read_response, refused,
                 request)
from wire import Client


def path(endpoint, query="", upstream="back"):
    name = endpoint if isinstance(endpoint, str) else endpoint.address
    return "/upstreams/%s/endpoints/%s?%s" % (
        quote(upstream, safe=""), quote(name, safe=":"), query)


def change(w, endpoint, query, upstream="back"):
    """POST it; the endpoint as weir answers."""
    status, body = w.post(path(endpoint, query, upstream))
    eq(status, 200, "POST ?%s: %s" % (query, body))
    return json.loads(body)


def endpoint(w, origin, upstream="back"):
    """Its row in /stats."""
    name = origin if isinstance(origin, str) else origin.address
    return [e for e in w.upstream(upstream)["endpoints"]
            if e["name"] == name][0]


def two(pool="", up='balance = "round_robin";', handler=None):
    a, b = (HttpOrigin(handler) if handler else HttpOrigin()
            for _ in range(2))
    return a, b, Weir(one(a, b, pool=pool, up=up))


def asked(w, n, *origins):
    """How many of n requests, one after the other, each origin got."""
    before = [o.requests for o in origins]
    for _ in range(n):
        ok(once(w.conf.ports["front"]))
    return [o.requests - was for o, was in zip(origins, before)]


def metric(w, line):
    check(line + "\n" in w.metrics(), "no metric " + line)


@case
def a_drained_endpoint_gets_nothing_new_and_loses_its_idle_connections():
    a, b, w = two("min_idle = 4;")
    w.wait_pool(idle=4)
    until(lambda: (a.open, b.open) == (2, 2), "two warm connections each")
    row = change(w, a, "state=drain")
    eq((row["name"], row["state"], row["override"]["state"]),
       (a.address, "drain", "drain"), "the answer")
    until(lambda: a.open == 0, "its connections closed")
    eq(asked(w, 10, a, b), [0, 10], "requests")
    row = endpoint(w, a)
    eq((row["state"], row["open"]), ("drain", 0), "in /stats")
    eq(endpoint(w, b)["state"], "up", "the other one")
    name = 'upstream="back",endpoint="%s"' % a.address
    metric(w, "weir_endpoint_up{%s} 0" % name)
    metric(w, 'weir_endpoint_addresses{%s,state="drain"} 1' % name)
    metric(w, "weir_overrides 1")
    check(w.upstream()["discarded_total"]["endpoint_down"] >= 2,
          "closed for another reason")
    change(w, a, "state=conf")
    eq(endpoint(w, a)["override"], None, "override")
    metric(w, "weir_overrides 0")
    eq(asked(w, 10, a, b), [5, 5], "requests after conf")
    w.balanced(a, b)


@case
def what_is_under_way_ends_by_itself():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(60)
        return answer(q)
    a, b, w = two(handler=handler)
    clients = [Client(w.conf.ports["front"]).send(request())
               for _ in range(2)]
    until(lambda: (a.requests, b.requests) == (1, 1), "a request on each")
    for state in ("drain", "down"):
        change(w, a, "state=" + state)
        change(w, b, "state=" + state)
    eq(w.pool()["leased"], 2, "leased while down")
    # Nobody is left to ask: at once, not after a wait.
    refused(once(w.conf.ports["front"]), 503, "no_endpoint")
    gate.set()
    for c in clients:
        ok(read_response(c))
        c.close()
    until(lambda: (a.open, b.open) == (0, 0), "closed when given back")
    eq(w.failures(), {"no_endpoint": 1}, "failures")
    eq((a.accepted, b.accepted), (1, 1), "upstream connections")
    w.balanced(a, b)


@case
def a_weight_acts_at_once_and_alone():
    a, b, w = two()
    eq(asked(w, 20, a, b), [10, 10], "requests")
    row = change(w, b, "weight=4")
    eq((row["state"], row["weight"], row["override"]),
       ("up", 4, {"state": "conf", "weight": 4, "until": None}), "answer")
    eq(asked(w, 50, a, b), [10, 40], "requests by weight")
    # A state leaves the weight as it is, conf ends both.
    change(w, b, "state=drain")
    eq(endpoint(w, b)["override"]["weight"], 4, "weight")
    change(w, b, "state=conf")
    eq(endpoint(w, b)["weight"], 1, "the file's weight")
    eq(asked(w, 20, a, b), [10, 10], "requests after conf")
    eq((a.accepted, b.accepted), (1, 2), "upstream connections")
    w.balanced(a, b)


@case
def a_change_ends_with_its_time():
    a, b, w = two()
    row = change(w, a, "state=down&for=600ms")
    check(row["override"]["until"] is not None, "no end: %r" % row)
    eq(asked(w, 2, a, b), [0, 2], "requests")
    until(lambda: endpoint(w, a)["override"] is None, "the end of it")
    eq(endpoint(w, a)["state"], "up", "state")
    eq(asked(w, 4, a, b), [2, 2], "requests afterwards")
    # A new one takes the place of the old one, its time too.
    change(w, a, "state=down&for=1ms&weight=3")
    change(w, b, "state=drain&for=off")
    until(lambda: endpoint(w, a)["override"] is None, "the end of it")
    eq(endpoint(w, b)["override"],
       {"state": "drain", "weight": None, "until": None}, "for good")
    w.balanced(a, b)


@case
def changes_outlive_reloads_until_they_are_dropped():
    a, b, w = two()
    change(w, a, "state=drain&weight=7")
    answered = w.reload()
    eq((answered["overrides"], w.stats()["reload"]["overrides"]), (1, 1),
       "overrides")
    eq(asked(w, 4, a, b), [0, 4], "requests after a reload")
    # A file that is refused drops nothing.
    w.write(w.conf.text() + "oops = = ;")
    eq(w.post("/reload?drop_overrides=1")[0], 422, "a bad file")
    eq(endpoint(w, a)["state"], "drain", "state")
    w.write()
    status, body = w.post("/reload?drop_overrides=1")
    eq((status, json.loads(body)["overrides"]), (200, 0), "overrides")
    row = endpoint(w, a)
    eq((row["state"], row["weight"], row["override"]), ("up", 1, None),
       "as in the file")
    eq(asked(w, 4, a, b), [2, 2], "requests")
    # One that leaves the file takes its change along.
    change(w, a, "state=down")
    w.conf.upstream("back", b)
    w.write()
    w.reload()
    eq(w.stats()["reload"]["overrides"], 0, "overrides")
    w.conf.upstream("back", a, b)
    w.write()
    w.reload()
    eq((endpoint(w, a)["state"], endpoint(w, a)["override"]), ("up", None),
       "back in the file")
    w.balanced(a, b)


@case
def up_is_up_whatever_the_checks_say():
    def handler(q, link):
        return answer(q, status=500 if q.path == "/health" else 200)
    health = 'health = { type = "http"; path = "/health"; ' \
        'interval = "50ms"; rise = 1; fall = 1; };'
    o, other = HttpOrigin(handler), HttpOrigin()
    conf = one(o, up=health)
    conf.upstream("other", other, extra='protocol = "http"; ' + health)
    w = Weir(conf)
    until(lambda: endpoint(w, o)["state"] == "down", "down by its checks")
    row = endpoint(w, o)
    check(row["health"]["failures_total"] >= 1 and
          "500" in row["health"]["last"], "health: %r" % row["health"])
    refused(once(w.conf.ports["front"]), 503, "no_endpoint")
    r = command("-c", w.file, "stats")
    check("down since" in r.stdout and "500" in r.stdout,
          "weir stats: " + r.stdout)
    eq(change(w, o, "state=up")["state"], "up", "state")
    ok(once(w.conf.ports["front"]))
    checks = endpoint(w, o)["health"]["checks_total"]
    until(lambda: endpoint(w, o)["health"]["checks_total"] > checks + 1,
          "checks go on")
    eq(endpoint(w, o)["state"], "up", "after more failed checks")
    name = 'upstream="back",endpoint="%s"' % o.address
    metric(w, "weir_endpoint_up{%s} 1" % name)
    change(w, o, "state=conf")
    until(lambda: endpoint(w, o)["state"] == "down", "down again")
    # down by hand: not even checked, while others are.
    change(w, o, "state=down")
    until(lambda: o.open == 0, "checks under way to end")
    before = endpoint(w, o)["health"]["checks_total"], o.accepted
    checks = endpoint(w, other, "other")["health"]["checks_total"]
    until(lambda: endpoint(w, other, "other")["health"]["checks_total"] >
          checks + 5, "checks of the other one")
    eq((endpoint(w, o)["health"]["checks_total"], o.accepted), before,
       "checked though down")


@case
def names_may_be_anything():
    unix, named = HttpOrigin(kind="unix"), HttpOrigin()
    odd = "a/endpoints/%41?&=#+"
    conf = one()
    conf.upstream("back", unix, '{ name = "%s"; address = "%s"; }' % (
        odd, named.address), extra='balance = "round_robin";')
    w = Weir(conf)
    eq(asked(w, 2, unix, named), [1, 1], "requests")
    # Slashes may stand as they are.
    status, body = w.post("/upstreams/back/endpoints/%s?state=drain" %
                          unix.address)
    eq((status, json.loads(body)["name"]), (200, unix.address), body)
    eq(asked(w, 2, unix, named), [0, 2], "requests")
    change(w, unix, "state=conf")
    r = command("-c", w.file, "endpoint", "back", odd, "down")
    eq((r.returncode, r.stderr), (0, ""), "weir endpoint")
    check("by hand: down" in r.stdout, r.stdout)
    eq(endpoint(w, odd)["state"], "down", "state")
    eq(asked(w, 2, unix, named), [2, 0], "requests")
    w.balanced(unix, named)


@case
def wrong_ones_are_named_and_change_nothing():
    a, b, w = two()
    for where, status, words in (
            (path(a, "state=off"), 400, ("state", "drain")),
            (path(a, "state=DOWN"), 400, ("state",)),
            (path(a, "state="), 400, ("state",)),
            (path(a), 400, ("state", "weight")),
            (path(a, "for=10m"), 400, ("state", "weight")),
            (path(a, "state=conf&for=10m"), 400, ("for",)),
            (path(a, "weight=0"), 400, ("weight", "1 to 1000")),
            (path(a, "weight=1001"), 400, ("weight", "1000")),
            (path(a, "weight=two"), 400, ("weight",)),
            (path(a, "weight=-1&state=down"), 400, ("weight",)),
            (path(a, "state=down&for=10"), 400, ("for", "10s")),
            (path(a, "state=down&for=0s"), 400, ("for",)),
            (path(a, "state=down&fro=10m"), 400, ("fro", "for")),
            (path(a, "state=down&state=up"), 400, ("state",)),
            (path(a, "state=down&x=" + "y" * 2100), 414, ("long",)),
            (path("127.0.0.1:1", "state=down"), 404,
             ("127.0.0.1:1", a.address, b.address)),
            (path(a, "state=down", "none"), 404, ("none", "back")),
            ("/upstreams/back/endpoints/%zz?state=down", 400, ("encoded",)),
            ("/upstreams/back/endpoints/", 404, ()),
            ("/upstreams/back?state=down", 404, ()),
            ("/reload?drop_override=1", 400, ("drop_overrides",)),
            ("/reload?drop_overrides=maybe", 400, ("drop_overrides",))):
        got, body = w.post(where)
        eq(got, status, "POST %s: %s" % (where, body))
        for word in words:
            check(word in body, "POST %s does not say %r: %s" % (
                where, word, body))
    for method in ("GET", "PUT", "DELETE"):
        eq(w.admin_request(method, path(a, "state=down"))[0], 405, method)
    eq(w.admin_request("POST", path(a, "state=down"),
                       {"Origin": "http://evil.test"})[0], 403, "Origin")
    s = w.stats()
    eq((s["generation"], s["reload"]["overrides"]), (1, 0), "changes")
    eq(asked(w, 2, a, b), [1, 1], "requests")


@case
def the_command_does_the_same():
    a, b, w = two()

    def weir(status, *argv):
        r = command("-c", w.file, *argv)
        eq(r.returncode, status, "weir %s: %s%s" % (
            " ".join(argv), r.stdout, r.stderr))
        return r.stdout + r.stderr
    said = weir(0, "endpoint", "back", a.address, "drain", "--for", "10m",
                "--weight", "3")
    check("by hand: drain, weight 3" in " ".join(said.split()) and re.search(
              r"until\s+\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said), said)
    row = endpoint(w, a)
    eq((row["state"], row["weight"]), ("drain", 3), "in /stats")
    said = weir(0, "stats")
    check("drain" in said and "by hand" in said and
          "changed by hand: 1" in said, said)
    said = weir(0, "endpoint", "back", b.address, "--weight", "9", "--json")
    eq(json.loads(said)["weight"], 9, "--json")
    check("2 endpoints are still changed by hand" in weir(0, "reload"),
          "reload says nothing of them")
    weir(0, "reload", "--drop-overrides")
    eq(w.stats()["reload"]["overrides"], 0, "overrides")
    weir(0, "endpoint", "back", a.address, "down")
    weir(0, "endpoint", "back", a.address, "conf")
    eq(endpoint(w, a)["state"], "up", "state")
    check(a.address in weir(1, "endpoint", "back", "x:1", "up"), "known names")
    check('"back"' in weir(1, "endpoint", "none", "x:1", "up"), "known names")
    for argv in (("endpoint",), ("endpoint", "back"),
                 ("endpoint", "back", a.address),
                 ("endpoint", "back", a.address, "away"),
                 ("endpoint", "back", a.address, "up", "more"),
                 ("endpoint", "back", a.address, "up", "--weight", "0"),
                 ("endpoint", "back", a.address, "up", "--for", "10"),
                 ("endpoint", "back", a.address, "--now"),
                 ("stats", "--drop-overrides")):
        check("usage:" in weir(2, *argv), argv)
    eq(w.stats()["reload"]["overrides"], 0, "overrides")
    eq(asked(w, 2, a, b), [1, 1], "requests")
    w.balanced(a, b)


@case
def every_address_of_a_name_is_changed():
    # localhost has two addresses where /etc/hosts says so, else one.
    number = port()
    o = HttpOrigin(number=number)
    name = "localhost:%d" % number
    w = Weir(one('"%s"' % name))
    until(lambda: endpoint(w, name)["state"] != "unresolved", "an address")
    rows = [e for e in w.upstream()["endpoints"] if e["name"] == name]
    row = change(w, name, "state=drain")
    eq(len(row.get("others", [])) + 1, len(rows), "rows in the answer")
    for e in [row, *row.get("others", ())]:
        eq((e["state"], e["override"]["state"]), ("drain", "drain"),
           e["resolved"])
    eq({e["resolved"] for e in [row, *row.get("others", ())]},
       {e["resolved"] for e in rows}, "addresses")
    refused(once(w.conf.ports["front"]), 503, "no_endpoint")
    change(w, name, "state=conf")
    eq(w.stats()["reload"]["overrides"], 0, "overrides")
    o.had(0)


run()
