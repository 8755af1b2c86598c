"""One listener, several upstreams: the most specific host wins, then the
longest path prefix; what fits none is a 404, and no upstream hears of it.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, put, run
from weir import Conf, Weir, command
from web import HttpOrigin, answer, ask, ok, refused
from wire import Client

ROUTES = '''routes = (
    { host = "api.test"; upstream = "api"; },
    { host = "api.test"; path = "/v2/"; upstream = "v2"; },
    { host = "*.wild.test"; upstream = "wild"; },
    { host = "deep.wild.test"; path = "/only"; upstream = "deep"; },
    { path = "/static/"; upstream = "files"; },
    { path = "/static/img/"; upstream = "images"; }%s );'''
NAMES = ("api", "v2", "wild", "deep", "files", "images", "rest")


def start(rest=""):
    """weir with an origin for each name, which answers its name."""
    conf, origins = Conf(), {}
    for name in NAMES:
        def handler(q, link, name=name):
            return answer(q, name)
        origins[name] = HttpOrigin(handler)
        conf.upstream(name, origins[name])
    conf.listener("front", None, extra=ROUTES % rest)
    return Weir(conf), origins


@case
def the_most_specific_wins():
    w, origins = start(', { upstream = "rest"; }')
    c = Client(w.conf.ports["front"])
    for host, target, name in (
            ("api.test", "/", "api"), ("API.Test", "/x", "api"),
            ("api.test:8080", "/", "api"), ("api.test", "/v2/x", "v2"),
            ("api.test", "/v2", "api"), ("api.test", "/v2x", "api"),
            ("api.test", "/static/a", "api"),
            ("a.wild.test", "/", "wild"), ("a.b.wild.test", "/", "wild"),
            ("wild.test", "/", "rest"), ("xwild.test", "/", "rest"),
            ("deep.wild.test", "/only", "deep"),
            ("other.test", "/static/a", "files"),
            ("other.test", "/static/img/a", "images"),
            ("other.test", "/static?x=/static/", "rest"),
            ("other.test", "/?/static/", "rest"),
            ("other.test", "/", "rest"), ("api.test.", "/", None)):
        r = ok(ask(c, "GET", target, host=host))
        if name:
            eq(r.body.decode(), name, host + target)
    r = ok(ask(c, "GET", "http://api.test/v2/", host="api.test"))
    eq(r.body, b"v2", "absolute-form")
    for name, o in origins.items():
        check(o.accepted <= 1, "%s: %d connections" % (name, o.accepted))
    c.close()
    w.balanced(*origins.values())


@case
def no_route_is_a_404():
    w, origins = start()
    c = Client(w.conf.ports["front"])
    refused(ask(c, host="nobody.test"), 404, "no_route")
    eq(ok(ask(c, host="api.test")).body, b"api", "the client goes on")
    r = ask(c, "POST", "/", body=b"x" * 1000, host="nobody.test")
    refused(r, 404, "no_route")
    eq(w.failures(), {"no_route": 2}, "failures")
    eq([(n, o.requests) for n, o in origins.items() if o.requests],
       [("api", 1)], "requests")
    eq(sum(o.accepted for o in origins.values()), 1, "connections")


@case
def routes_take_effect_on_a_reload():
    w, origins = start()
    c = Client(w.conf.ports["front"])
    eq(ask(c, host="new.test").status, 404, "before")
    w.conf.listener("front", None, extra=ROUTES % (
        ', { host = "new.test"; upstream = "rest"; }'))
    w.write()
    w.reload()
    eq(ok(ask(c, host="new.test")).body, b"rest", "after")
    eq(sum(o.accepted for o in origins.values()), 1, "connections")


@case
def mistakes_in_routes_are_found_with_the_file():
    conf = Conf().upstream("api", 1)
    for extra, word in (('routes = ( { upstream = "none"; } );', "none"),
                        ('routes = ( { path = "x"; upstream = "api"; } );',
                         "path"),
                        ('routes = ( { host = "a*b"; upstream = "api"; } );',
                         "host"),
                        ('routes = ( { host = "a"; upstream = "api"; }, '
                         '{ host = "a"; upstream = "api"; } );', "host"),
                        ("", "upstream")):
        conf.listener("front", None, extra=extra)
        r = command("-t", "-c", put("routes.conf", conf.text()))
        check(r.returncode == 1 and word in r.stdout + r.stderr,
              "%s: %d %s" % (extra, r.returncode, r.stdout + r.stderr))


run()
