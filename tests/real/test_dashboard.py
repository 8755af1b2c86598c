"""The dashboard in Chromium: it lives, acts, and is used by keyboard; names are
text; it asks for the token; it works behind a TLS listener of weir itself.
SHOTS=FOLDER keeps what it looked like.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, need, put, run, until
from npm import installed
from programs import node
from tls import Ca
from weir import Weir, listening, one
from web import HttpOrigin, answer, ok, once

# The path of a socket, and a name that is refused.
HOSTILE = ["/<img src=x onerror='hit=1'>", "<script>hit=2</script>"]


def browse(name, w, url=None, **more):
    given = {"chromium": need("chromium"), "shots": os.environ.get("SHOTS", ""),
             "url": url or "http://127.0.0.1:%d/" % w.conf.admin_port,
             "front": "http://127.0.0.1:%d/" % w.conf.ports["front"],
             "upstream": "back", "hostile": HOSTILE, **more}
    node("dashboard.mjs", installed("playwright-core"), name,
         json.dumps(given), timeout=120)


@case
def it_lives_acts_and_says_when_weir_is_gone():
    o = HttpOrigin(lambda q, link: answer(
        q, status=500 if q.target == "/500" else 200))
    conf = one(o, '{ address = "unix:%s"; backup = true; }' % HOSTILE[0],
               pool="max = 8;")
    w = Weir(conf)
    ok(once(conf.ports["front"]))
    conf.upstream("back", o, '{ address = "unix:%s"; backup = true; }' %
                  HOSTILE[0], pool="max = 6;")
    w.write(conf.text().replace('name = "back"', 'name = "%s"' % HOSTILE[1]))
    browse("all", w, file=w.file, good=conf.text())
    # Stopped by the page itself, at its end; by then it had been reloaded.
    eq(w.exited(), 0, "exit status")
    check(o.accepted <= 3, "%d upstream connections" % o.accepted)


@case
def it_asks_for_the_token():
    o = HttpOrigin()
    token = put("token", "s3cret-token\n")
    w = Weir(one(o, admin='token_file = "%s";' % token), wait=False)
    until(lambda: listening(w.conf.admin_port), "the admin port")
    browse("token", w, token="s3cret-token")
    o.had(0)


@case
def it_works_behind_a_tls_listener_of_weir_itself():
    o = HttpOrigin()
    cert = Ca().cert("dash.test")
    conf = one(o, admin='hosts = ( "dash.test" );')
    conf.upstream("admin", conf.admin_port)
    conf.listener("secure", "admin", extra="tls = { %s };" % cert.conf())
    w = Weir(conf)
    browse("h2", w, url="https://dash.test:%d/" % conf.ports["secure"])
    eq(w.failures("front"), {}, "failures")
    check(w.upstream("admin")["connects_total"] > 0, "it went past weir")
    o.had(0)


run()
