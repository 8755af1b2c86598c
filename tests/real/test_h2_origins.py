"""Others' HTTP/2 servers behind weir: nghttpd and Node's http2, for clients of
either version.
"""
# SPDX-License-Identifier: MIT
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import (case, check, die_with_parent, eq, later, need, port, put, run,
                  temp_dir, until)
from programs import node
from tls import Ca
from weir import Weir, listening, one

BIG = random.Random(1).randbytes(3 << 20)


def nghttpd(cert=None):
    """Its port; cert: what it shows by TLS."""
    number = port()
    how = ["--no-tls", str(number)] if cert is None else \
        [str(number), cert.key, cert.crt]
    p = subprocess.Popen([need("nghttpd"), "-d", temp_dir(), "--address",
                          "127.0.0.1", *how], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL,
                         preexec_fn=die_with_parent)
    later(lambda: (p.kill(), p.wait()))
    until(lambda: listening(number), "nghttpd")
    put("big", BIG)
    put("small", b"x" * 1024)
    return number


def called(program, *argv):
    r = subprocess.run([need(program), *map(str, argv)], timeout=60,
                       capture_output=True, preexec_fn=die_with_parent)
    eq(r.returncode, 0, "exit status of %s: %s" % (
        program, r.stderr[-500:].decode("latin-1")))
    return r.stdout


def curl(w, target, *argv):
    return called("curl", "-sS", "--noproxy", "*", "--max-time", "30", *argv,
                  "http://127.0.0.1:%d%s" % (w.conf.ports["front"], target))


def through(number, more=""):
    return Weir(one(number, up='http = { version = "2"; }; ' + more,
                    pool="max = 4;"))


def both_versions(w):
    for version in "--http1.1", "--http2-prior-knowledge":
        check(curl(w, "/big", version) == BIG, "all of it, " + version)
        check(curl(w, "/big", version, "--limit-rate", "4m") == BIG, "slowly")
        eq(curl(w, "/no", version, "-o", "/dev/null", "-w", "%{http_code}"),
           b"404", "what is not there")
    eq(w.upstream()["connects_total"], 1, "upstream connections")
    eq(w.failures(), {}, "failures")


@case
def nghttpd_by_prior_knowledge():
    both_versions(through(nghttpd()))


@case
def nghttpd_by_tls():
    ca = Ca()
    both_versions(through(nghttpd(ca.cert("back.test")), 'tls = { ca = "%s"; '
                          'server_name = "back.test"; };' % ca.crt))


@case
def h2load_over_one_connection():
    w = through(nghttpd())
    out = called("h2load", "-n", 5000, "-c", 20, "-m", 20, "http://127.0.0.1:"
                 "%d/small" % w.conf.ports["front"]).decode()
    eq(re.search(r"status codes: (.*)", out)[1],
       "5000 2xx, 0 3xx, 0 4xx, 0 5xx", "answers")
    check(w.upstream()["connects_total"] <= 4, "upstream connections")
    eq(w.failures(), {}, "failures")


@case
def node_speaks_on_both_sides():
    origin = port()
    w = Weir(one(origin, up='http = { version = "2"; };'))
    node("node_http2.mjs", w.conf.ports["front"], origin)
    check(w.upstream()["connects_total"] <= 6, "connections: %r" %
          w.upstream()["connects_total"])
    eq(w.failures(), {"upstream_reset": 1}, "failures")


run()
