"""TLS through weir between programs of others: openssl's server, openssl's
client and curl, which believe only the certificate of the name they ask for.
"""
# SPDX-License-Identifier: MIT
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import (case, check, die_with_parent, eq, later, need, port, run,
                  until)
from hello import certificate
from weir import Conf, Weir, listening


class Server:
    """openssl s_server with a certificate of its own; a page over HTTP."""

    def __init__(self, *names, argv=()):
        self.number = port()
        self.crt, key = certificate(*names)
        self.process = subprocess.Popen(
            [need("openssl"), "s_server", "-accept",
             "127.0.0.1:%d" % self.number, "-cert", self.crt, "-key", key,
             "-www", *argv], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        later(self.end)
        until(lambda: listening(self.number), "openssl's server")

    def end(self):
        self.process.kill()
        self.process.wait()


def through():
    a, b = Server("a.test", "*.a.test"), Server("b.test")
    h2 = Server("h2.test", "a.test", argv=("-alpn", "h2"))
    w = Weir(Conf(workers=2).listener("front", None, "tcp", extra="""routes = (
        { sni = "a.test"; upstream = "a"; },
        { sni = "*.a.test"; upstream = "a"; },
        { sni = "a.test"; alpn = "h2"; upstream = "h2"; },
        { sni = "b.test"; upstream = "b"; } );""")
             .upstream("a", a.number).upstream("b", b.number)
             .upstream("h2", h2.number))
    return w, {"a": a, "b": b, "h2": h2}


def curl(w, name, server, *argv):
    front = w.conf.ports["front"]
    return subprocess.run(
        [need("curl"), "-sS", "--noproxy", "*", "--max-time", "30",
         "--cacert", server.crt, "--resolve", "%s:%d:127.0.0.1" % (
             name, front), *argv, "https://%s:%d/" % (name, front)],
        capture_output=True, text=True, preexec_fn=die_with_parent)


def s_client(w, *argv):
    return subprocess.run(
        [need("openssl"), "s_client", "-connect", "127.0.0.1:%d" %
         w.conf.ports["front"], *argv], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, preexec_fn=die_with_parent, timeout=60)


@case
def curl_gets_the_page_of_whom_it_asks_for():
    w, s = through()
    for name, to, argv in (("a.test", "a", ("--no-alpn",)),
                           ("x.a.test", "a", ()),
                           ("b.test", "b", ("--tlsv1.3",)),
                           ("b.test", "b", ("--tls-max", "1.2")),
                           ("b.test", "b", ("--http1.1",)),
                           ("A.Test", "a", ("--no-alpn",))):
        r = curl(w, name, s[to], *argv)
        eq(r.returncode, 0, "curl for %s: %s" % (name, r.stderr))
        check("s_server" in r.stdout, r.stdout[:300])
    for name, n in (("a", 3), ("b", 3), ("h2", 0)):
        eq(w.upstream(name)["connects_total"], n, "connections of " + name)
    eq(w.failures(), {}, "failures")
    w.balanced()


@case
def openssl_is_led_by_name_and_protocol():
    w, _ = through()
    for argv, subject in (
            (("-servername", "a.test"), "a.test"),
            (("-servername", "a.test", "-alpn", "http/1.1"), "a.test"),
            (("-servername", "a.test", "-alpn", "http/1.1,h2"), "h2.test"),
            (("-servername", "b.test", "-tls1_2"), "b.test"),
            (("-servername", "b.test", "-tls1_3", "-groups", "P-521:X25519"),
             "b.test")):
        r = s_client(w, *argv)
        check("subject=CN = %s\n" % subject in r.stdout,
              "%s: %s %s" % (argv, r.stdout[:300], r.stderr))
    w.balanced()


@case
def name_that_nobody_has_is_named_as_the_reason():
    w, s = through()
    r = curl(w, "c.test", s["a"])
    eq(r.returncode, 35, "exit of curl")
    check("unrecognized name" in r.stderr, r.stderr)
    r = s_client(w, "-noservername")
    check("unrecognized name" in r.stderr, r.stderr)
    eq(w.failures(), {"no_route": 2}, "failures")
    w.balanced()


run()
