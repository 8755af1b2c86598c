"""What a page in somebody's browser could do to the admin port: no GET of any
page changes anything, and no order of a foreign page or name is obeyed.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import sys

HERE = os.path.dirname(__file__)
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from case import case, check, eq, run, until
from weir import Weir, one
from web import HttpOrigin, ok, once, read_response
from wire import Client

# Words that would make the orders do something, each of its own.
WORDS = ("", "?state=drain&weight=7&for=10m", "?drop_overrides=1&confirm=60s",
         "?level=debug", "?delay=200ms&percent=100&for=5m", "?off=1",
         "?pretty")


def told(section):
    """The paths that the manual tells of there; test_manual.py sees to it that
    those are all."""
    with open(os.path.join(HERE, "..", "..", "packaging", "man",
                           "weir-admin.7")) as f:
        text = f.read()
    part = re.search(r"^\.Sh %s\n(.*?)^\.Sh " % section, text, re.M | re.S)[1]
    return re.findall(r"^\.It Pa (/\S*)", part, re.M)


def filled(path, o):
    return path.replace("/NAME", "/back").replace("ENDPOINT", o.address) \
        .replace("/ID/", "/1/")


def start():
    """With a connection that could be killed, and a weight that was set by
    hand and could be taken back."""
    o = HttpOrigin()
    w = Weir(one(o, admin='hosts = ( "weir.internal" );'))
    ok(once(w.conf.ports["front"]))
    eq(w.post(filled("/upstreams/NAME/endpoints/ENDPOINT?weight=3", o))[0],
       200, "weight")
    w.balanced(o)
    return o, w


def state(w):
    """Whatever an order could change."""
    s = w.stats()
    u = s["upstreams"][0]
    config = json.loads(w.get("/config")[1])
    return {"pid": s["pid"], "generation": s["generation"],
            "draining": s["draining"], "ready": s["ready"],
            "reload": s["reload"], "reloads": s.get("reloads"),
            "upgrade": s.get("upgrade"), "paused": u["paused"],
            "fault": u.get("fault"), "open": u["pool"]["open"],
            "closes": u["closes_total"],
            "endpoints": [(e["state"], e["weight"], e["override"])
                          for e in u["endpoints"]],
            "config": config}


def ask(w, method, path, *fields):
    """The status of a request with these very lines in its head."""
    c = Client(w.conf.admin_port)
    c.send("\r\n".join(["%s %s HTTP/1.1" % (method, path), *fields,
                        *(["Content-Length: 0"] if method == "POST" else []),
                        "", ""]).encode())
    if path.startswith("/stats/stream"):
        status = int(c.read_until(b"\r\n\r\n").split()[1])
    else:
        status = read_response(c, method).status
    c.close()
    return status


@case
def no_get_of_any_page_changes_anything():
    o, w = start()
    pages, orders = told("PAGES"), told("ORDERS")
    check(len(pages) > 8 and len(orders) > 6, "%r %r" % (pages, orders))
    before = state(w)
    for path in pages + orders:
        for words in WORDS:
            for method in ("GET", "HEAD"):
                status = ask(w, method, filled(path, o) + words,
                             "Host: localhost")
                check(status in ((405,) if path in orders else
                                 (200, 400, 404)),
                      "%s %s%s: %d" % (method, path, words, status))
    eq(state(w), before, "state after all GETs")
    ok(once(w.conf.ports["front"]))
    o.had(1)


@case
def no_order_of_a_foreign_page_or_name_is_obeyed():
    o, w = start()
    p = w.conf.admin_port
    own = "Host: 127.0.0.1:%d" % p
    foreign = [
        ("Host: evil.test",), ("Host: evil.test:%d" % p,),
        ("Host: localhost.evil.test",), ("Host: 127.0.0.1.evil.test:%d" % p,),
        # A name of evil.test that points here: its own page, its own origin.
        ("Host: evil.test:%d" % p, "Origin: http://evil.test:%d" % p),
        (own, "Origin: http://evil.test"), (own, "Origin: null"),
        (own, "Origin: http://127.0.0.1:1"), (own, "Origin: "),
        (own, "Origin: http://localhost:%d" % p),
        (own, "Origin: http://127.0.0.1:%d.evil.test" % p),
        (own, "Origin: http://127.0.0.1:%d" % p, "Origin: http://evil.test"),
        # Allowed as a host, and still not the page's origin.
        (own, "Origin: http://weir.internal:%d" % p)]
    before = state(w)
    for path in told("ORDERS"):
        for fields in foreign:
            for words in WORDS[:3]:
                eq(ask(w, "POST", filled(path, o) + words, *fields), 403,
                   "POST %s%s %r" % (path, words, fields))
    for path in told("PAGES"):
        for fields in foreign:
            eq(ask(w, "GET", path, *fields), 403, "%s %r" % (path, fields))
    eq(state(w), before, "state after all of them")
    # From its own page, by whatever name that was reached, they are obeyed.
    for host in ("127.0.0.1:%d" % p, "localhost:%d" % p,
                 "weir.internal:%d" % p, "[::1]:%d" % p):
        for scheme in ("http", "https"):
            for what, paused in (("pause", True), ("resume", False)):
                eq(ask(w, "POST", "/upstreams/back/" + what, "Host: " + host,
                       "Origin: %s://%s" % (scheme, host)), 200, host)
                eq(w.upstream()["paused"], paused, what)
    o.had(1)


@case
def the_history_has_what_there_was():
    o, w = start()
    h = json.loads(w.get("/stats/history")[1])
    eq(h["step_s"], 5, "step_s")
    until(lambda: json.loads(w.get("/stats/history")[1])["listeners"][0][
        "requests_total"][-1:] == [1], "a point after the request", 30)
    h = json.loads(w.get("/stats/history")[1])
    rows = h["listeners"] + h["upstreams"]
    eq([r["name"] for r in rows], ["front", "back"], "names")
    for r in rows:
        for key in set(r) - {"name", "by_reason"}:
            eq(len(r[key]), len(h["at"]), "points of " + key)
        eq(r["requests_total"][-1], 1, "requests")
    eq([r["by_reason"] for r in rows],
       [{"outcomes_total": {"2xx": h["listeners"][0]["requests_total"]}},
        {}], "by reason")
    o.had(1)


run()
