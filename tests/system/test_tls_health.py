"""Checks of endpoints that speak TLS do, too: what is not verified is down, and
its reason is told.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from origin import Origin
from tls import Ca, TlsOrigin
from weir import Weir, one
from web import HttpOrigin, ok, once

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])
HEALTH = 'health = { type = "%s"; interval = "100ms"; fall = 1; rise = 1; %s };'


def endpoint(w):
    return w.upstream()["endpoints"][0]


def until_last(w, words):
    until(lambda: endpoint(w)["health"]["last"] == words,
          "a check that ends in %r, not %r" % (
              words, endpoint(w)["health"]["last"]))


@case
def http_is_checked_over_tls():
    ca = Ca()
    o = TlsOrigin(ca.cert("localhost"))
    w = Weir(one('"localhost:%d"' % o.number, up=HEALTH % ("http", "") +
                 'tls = { ca = "%s"; };' % ca.crt))
    until_last(w, "ok")
    check("localhost" in o.asked, "the name is asked for")
    ok(once(w.conf.ports["front"]))


@case
def who_is_not_believed_is_down():
    ca = Ca()
    for cert, reason in ((ca.cert("localhost", days=-1), "expired"),
                         (ca.cert("x.test"), "wrong_name"),
                         (Ca().cert("localhost"), "unknown_ca")):
        o = TlsOrigin(cert)
        w = Weir(one('"localhost:%d"' % o.number, up=HEALTH % ("http", "") +
                     'tls = { ca = "%s"; };' % ca.crt))
        until_last(w, "TLS: " + reason)
        until(lambda: endpoint(w)["state"] == "down", "down")
        w.stop()
        eq(o.requests, 0, "requests to who is not believed")
    def plainly(link):
        link.more()
        link.send("HTTP/1.1 400 Bad Request\r\n\r\n")
    w = Weir(one(Origin(plainly), up=HEALTH % ("http", "") +
                 "tls = { verify = false; };"))
    until_last(w, "TLS: not_tls")


@case
def port_of_its_own_is_asked_plainly():
    ca, side = Ca(), HttpOrigin()
    o = TlsOrigin(ca.cert("localhost"))
    w = Weir(one('"localhost:%d"' % o.number, up=HEALTH % (
        "http", "port = %d;" % side.number) + 'tls = { ca = "%s"; };' %
        ca.crt))
    until_last(w, "ok")
    check(side.requests > 0, "it was asked")


class Asked(Origin):
    """Answers an SSLRequest, perhaps with TLS behind it; keeps what came."""

    def __init__(self, reply, context=None):
        self.reply, self.context, self.came = reply, context, []
        super().__init__(self._script)

    def _script(self, link):
        eq(link.read_exact(8), SSL_REQUEST, "first bytes")
        link.send(self.reply)
        if self.context is not None:
            link.sock = self.context.wrap_socket(link.sock, server_side=True)
            self.came.append(link.read_exact(8)[4:])


@case
def postgres_is_asked_for_tls_first():
    ca = Ca()
    context = TlsOrigin(ca.cert("localhost")).context
    # Granted; refused, twice; and what somebody in between has put behind it.
    for reply, ctx in ((b"S", context), (b"N", None), (b"E", None),
                       (b"SR\0\0\0", None)):
        o = Asked(reply, ctx)
        w = Weir(one('"localhost:%d"' % o.number, protocol="postgres",
                     up=HEALTH % ("postgres", "") +
                     'tls = { ca = "%s"; };' % ca.crt))
        if ctx is not None:
            until(lambda: o.came, "a login inside of TLS")
            check(o.came[0][:2] == b"\0\3", "startup message: %r" % o.came)
        else:
            until(lambda: endpoint(w)["state"] == "down", "down")
            check(endpoint(w)["health"]["last"], "a reason")
        w.stop()
        check(not o.errors, "first bytes: %r" % o.errors[:2])


if __name__ == "__main__":
    run()
