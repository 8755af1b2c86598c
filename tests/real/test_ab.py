"""ApacheBench speaks HTTP/1.0 with Connection: Keep-Alive: it is kept where it
asks for it, closed where it does not, and pooled towards nginx either way.
"""
# SPDX-License-Identifier: MIT
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, need, put
from case import run as run_cases
from programs import Nginx, run
from weir import Weir, one

BODY = b"ab" * 512


def ab(w, *argv, requests=4000, target="/1k"):
    """Run it; its report as a table of numbers."""
    out = run(need("ab"), "-q", "-n", str(requests), "-c", "40", *argv,
              "http://127.0.0.1:%d%s" % (w.conf.ports["front"], target))
    table = {k: int(v) for k, v in re.findall(
        r"^([A-Z][A-Za-z0-9 -]+): +(\d+)\b", out, re.M)}
    eq((table["Complete requests"], table["Failed requests"],
        table.get("Non-2xx responses", 0)), (requests, 0, 0),
       "complete, failed, not 2xx")
    return table


def served():
    nginx = Nginx("location /put { dav_methods PUT; }")
    nginx.file("1k", BODY)
    return nginx, Weir(one(nginx.number, pool="max = 10;"))


def at_rest(w, nginx):
    eq(w.failures(), {}, "failures")
    w.balanced()
    check(nginx.connections() <= 10, "nginx has seen %d connections" %
          nginx.connections())


@case
def keep_alive_is_granted_to_http_1_0():
    nginx, w = served()
    table = ab(w, "-k")
    eq(table["Keep-Alive requests"], 4000, "requests on kept connections")
    eq(table["HTML transferred"], 4000 * len(BODY), "bytes of bodies")
    check(w.listener()["connections"]["accepted_total"] <= 40,
          "ab connected %d times" %
          w.listener()["connections"]["accepted_total"])
    at_rest(w, nginx)


@case
def without_it_each_connection_closes():
    nginx, w = served()
    table = ab(w, requests=2000)
    eq(table.get("Keep-Alive requests", 0), 0, "requests kept")
    eq(table["HTML transferred"], 2000 * len(BODY), "bytes of bodies")
    eq(w.upstream()["requests_total"], 2000, "requests")
    at_rest(w, nginx)


@case
def head_and_uploads():
    nginx, w = served()
    ab(w, "-k", "-i", requests=1000)
    ab(w, "-k", "-u", put("up", BODY * 20), requests=500, target="/put")
    with open(nginx.root + "/www/put", "rb") as f:
        eq(f.read(), BODY * 20, "what nginx holds")
    at_rest(w, nginx)


run_cases()
