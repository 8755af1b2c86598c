"""Certificates, clients and files of TLS: who is shown what, who comes in, what
upstreams are told of it, and what happens when files change under load.
"""
# SPDX-License-Identifier: MIT
import json
import os
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, Failed, Skip, case, check, eq, put, run, temp_dir, until
from tls import Ca, TlsClient, TlsOrigin, client_context
from weir import Weir, command, one
from web import HttpOrigin, ask, chunks, ok, once, read_response
from wire import Client, Ended

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def refused_as(function, *words):
    """The handshake, or the first byte after it, fails with these words."""
    try:
        c = function()
        ask(c)
    except (ssl.SSLError, ConnectionError, Ended) as e:
        said = str(e).lower().replace("_", " ")
        check(not words or any(w in said for w in words),
              "refused, but with %r" % e)
        return
    raise Failed("was let in")


# -------------------------------------------------------------- certificates

@case
def name_asked_for_chooses_the_certificate():
    ca, o = Ca(), HttpOrigin()
    certs = [ca.cert("one.test"), ca.cert("two.test"),
             ca.cert("*.wild.test")]
    w = Weir(one(o, front="tls = { certificates = ( %s ); };" % ", ".join(
        "{ %s }" % c.conf() for c in certs)))
    number = w.conf.ports["front"]
    for name, shown in (("one.test", "one.test"), ("two.test", "two.test"),
                        ("a.wild.test", "*.wild.test"),
                        ("a.b.wild.test", "one.test"), ("x.test", "one.test"),
                        (None, "one.test")):
        c = TlsClient(number, name=name)
        eq(c.names(), [shown], "certificate shown to who asks for %s" % name)
        ok(ask(c))
        c.close()
    c = TlsClient(number, client_context(ca), "two.test")
    ok(ask(c))
    c.close()
    w.balanced(o)


@case
def rsa_and_ec_are_chosen_by_what_the_client_can():
    ca, o = Ca(), HttpOrigin()
    w = Weir(one(o, front="tls = { certificates = ( { %s }, { %s } ); };" % (
        ca.cert("a.test").conf(), ca.cert("a.test", rsa=True).conf())))
    for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256",
                   "ECDHE-RSA-AES128-GCM-SHA256"):
        ctx = client_context(ca, version=V12)
        ctx.set_ciphers(cipher)
        c = TlsClient(w.conf.ports["front"], ctx, "a.test")
        eq(c.sock.cipher()[0], cipher, "cipher")
        ok(ask(c))


@case
def versions_and_protocols_are_as_configured():
    ca, o = Ca(), HttpOrigin()
    w = Weir(one(o, front='tls = { %s min_version = "1.3"; };' %
                 ca.cert("a.test").conf()))
    number = w.conf.ports["front"]
    refused_as(lambda: TlsClient(number, client_context(version=V12)),
               "protocol version")
    c = TlsClient(number, client_context(alpn=["spdy/1", "http/1.1"]))
    eq(c.sock.selected_alpn_protocol(), "http/1.1", "ALPN")
    ok(ask(c))
    refused_as(lambda: TlsClient(number, client_context(alpn=["imap"])),
               "no application protocol")


@case
def http2_that_is_off_is_not_agreed_to():
    ca, o = Ca(), HttpOrigin()
    tls = "tls = { %s }; " % ca.cert("a.test").conf()
    conf = one(o, front=tls)
    conf.listener("old", extra=tls + "http = { http2 = false; };")
    w = Weir(conf)
    for name, wanted in (("front", "h2"), ("old", "http/1.1")):
        c = TlsClient(w.conf.ports[name],
                      client_context(alpn=["h2", "http/1.1"]))
        eq(c.sock.selected_alpn_protocol(), wanted, name)


# ------------------------------------------------------------------- clients

def asking(auth, ca, more=""):
    return 'tls = { %s client_auth = "%s"; client_ca = "%s"; %s };' % (
        ca.cert("a.test").conf(), auth, ca.crt, more)


@case
def client_certificates_are_required_and_revoked():
    ca, o = Ca(), HttpOrigin()
    good, bad = ca.cert("good"), ca.cert("bad")
    w = Weir(one(o, front=asking("required", ca,
                                 'crl = "%s";' % ca.crl(bad))))
    number = w.conf.ports["front"]
    for version in (V12, V13):
        ok(ask(TlsClient(number, client_context(pair=good,
                                                version=version))))
        refused_as(lambda: TlsClient(number, client_context(version=version)))
        refused_as(lambda: TlsClient(number, client_context(
            pair=bad, version=version)))
        refused_as(lambda: TlsClient(number, client_context(
            pair=Ca().cert("else"), version=version)))
    w.wait_log("no certificate was shown")
    w.wait_log('the certificate of "bad" has been revoked')
    w.wait_log('the certificate of "else" is not signed by a known CA')
    until(lambda: w.failures() == {"handshake_failed": 6}, "six failures")
    told = w.listener("front")["tls"]
    eq(told["handshakes_total"], 2, "handshakes")
    eq({k: n for k, n in told["problems_total"].items() if n},
       {"no_certificate": 2, "revoked": 2, "unknown_ca": 2}, "problems")
    check('weir_tls_handshake_failures_total{listener="front",'
          'reason="revoked"} 2\n' in w.metrics(), "metrics")
    eq(o.requests, 2, "requests")


@case
def listener_of_one_does_not_know_sessions_of_another():
    """Hazard: a ticket that skips the check for certificates."""
    ca, o = Ca(), HttpOrigin()
    conf = one(o, front="tls = { %s };" % ca.cert("a.test").conf())
    conf.listener("strict", extra=asking("required", ca))
    conf.listener("maybe", extra=asking("optional", ca))
    w = Weir(conf)
    for version in (V12, V13):
        ctx = client_context(version=version)
        first = TlsClient(w.conf.ports["front"], ctx, "a.test")
        ok(ask(first))
        session = first.sock.session
        again = TlsClient(w.conf.ports["front"], ctx, "a.test", session)
        check(again.sock.session_reused, "the session is good where it is of")
        ok(ask(again))
        refused_as(lambda: TlsClient(w.conf.ports["strict"], ctx, "a.test",
                                     session))
        third = TlsClient(w.conf.ports["maybe"], ctx, "a.test", session)
        check(not third.sock.session_reused, "taken up by another listener")
        ok(ask(third))
    until(lambda: w.failures("strict") == {"handshake_failed": 2},
          "two failures")


@case
def upstreams_are_told_who_it_is_and_by_nobody_else():
    ca, o = Ca(), HttpOrigin()
    who = ca.cert("app", san="DNS:app.test,URI:spiffe://test/app")
    fields = ('http = { client_cert_headers = { X-Client-Subject = "subject"; '
              'X-Client-San = "san"; X-Client-Verify = "verify"; '
              'X-Client-Fingerprint = "fingerprint"; '
              'Client-Cert = "certificate"; }; };')
    conf = one(o, front=asking("optional", ca) + fields)
    conf.listener("bare", extra=fields)
    w = Weir(conf)
    number = w.conf.ports["front"]
    lies = [("X-Client-Subject", "CN=root"), ("x-client-san", "DNS:root"),
            ("X_Client_Verify", "SUCCESS"), ("X-CLIENT-FINGERPRINT", "00"),
            ("Client-Cert", ":AA==:"), ("X-Other", "stays")]
    ok(ask(TlsClient(number, client_context(pair=who)), fields=lies))
    q = o.seen[-1]
    eq(q.get("X-Client-Subject"), "CN=app", "subject")
    eq(q.get("X-Client-San"), "DNS:app.test,URI:spiffe://test/app", "names")
    eq(q.get("X-Client-Verify"), "SUCCESS", "verified")
    eq(q.get("X-Client-Fingerprint"), who.fingerprint(), "fingerprint")
    check(q.get("Client-Cert").startswith(":MII"), "certificate")
    eq(q.all("X_Client_Verify"), [], "spelled otherwise")
    eq(q.get("X-Other"), "stays", "another field")
    eq(q.get("X-Forwarded-Proto"), "https", "X-Forwarded-Proto")
    # Who shows none, with TLS and without.
    ok(ask(TlsClient(number), fields=lies))
    eq(o.seen[-1].get("X-Client-Verify"), "NONE", "verified")
    eq(o.seen[-1].get("X-Client-Subject"), None, "subject")
    ok(once(w.conf.ports["bare"], fields=lies))
    for name in ("X-Client-Subject", "X-Client-San", "X-Client-Verify",
                 "X_Client_Verify", "X-Client-Fingerprint", "Client-Cert"):
        eq(o.seen[-1].all(name), [], name)
    eq(o.seen[-1].get("X-Other"), "stays", "another field")
    # Nor in trailers.
    c = Client(w.conf.ports["bare"])
    c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
           chunks(b"abc", trailers=[(b"X-Client-Subject", b"CN=root")]))
    ok(read_response(c))
    eq(o.seen[-1].trailers, [], "trailers")


# ------------------------------------------------------------ files that change

class Shakes:
    """Clients that connect, ask once and part, without pause; the names they
    were shown and every failure are kept."""

    def __init__(self, number, ca, clients=4):
        self.number, self.stop = number, False
        self.ctx = client_context(ca)
        self.failures, self.done = [], [0] * clients
        self.threads = [threading.Thread(target=self._go, args=(n,),
                                         daemon=True) for n in range(clients)]
        for t in self.threads:
            t.start()

    def _go(self, n):
        try:
            while not self.stop:
                c = TlsClient(self.number, self.ctx, "a.test")
                ok(ask(c))
                c.close()
                self.done[n] += 1
        except (Failed, OSError) as e:
            self.failures.append(e)

    def go_on(self, by=20):
        """Until each has done so many more."""
        wanted = [n + by for n in self.done]
        until(lambda: self.failures or all(
            n >= w for n, w in zip(self.done, wanted)), "handshakes")
        eq(self.failures, [], "failures under load")

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(3 * WAIT)
        eq(self.failures, [], "failures under load")


def live(cert, name="live"):
    """Copies of a certificate's files, which may be replaced; the key's is for
    who runs the test alone."""
    for kind, path in (("crt", cert.crt), ("key", cert.key)):
        file = os.path.join(temp_dir(), "%s.%s" % (name, kind))
        with open(path) as f, open(file + ".new", "w") as to:
            os.chmod(file + ".new", 0o600 if kind == "key" else 0o644)
            to.write(f.read())
        os.rename(file + ".new", file)
    return 'certificate = "live.crt"; key = "live.key";'


def shown(number):
    """The certificate that clients are shown now."""
    c = TlsClient(number)
    try:
        return c.sock.getpeercert(True)
    finally:
        c.close()


@case
def reload_under_load_fails_no_handshake():
    ca, o = Ca(), HttpOrigin(keep=False)
    certs = [ca.cert("a.test"), ca.cert("a.test", rsa=True)]
    w = Weir(one(o, workers=2, front="tls = { %s };" % live(certs[0])))
    number = w.conf.ports["front"]
    load = Shakes(number, ca)
    for k in range(10):
        load.go_on(5)
        live(certs[(k + 1) % 2])
        w.reload()
    load.go_on(5)
    eq(w.stats()["reload"]["last"], "ok", "reload")
    # A bad one changes nothing.
    before = shown(number)
    put("live.crt", "nonsense")
    status, body = w.post("/reload")
    check(status != 200 and "holds no certificate" in body, body)
    check("tls.certificate" in body, body)
    load.go_on(5)
    eq(shown(number), before, "certificate")
    load.end()
    eq(w.failures(), {}, "failures")
    w.balanced(o)


@case
def watched_files_are_taken_when_they_are_replaced():
    ca, o = Ca(), HttpOrigin(keep=False)
    certs = [ca.cert("a.test") for _ in range(2)]
    w = Weir(one(o, front="tls = { %s watch = true; };" % live(certs[0])))
    number = w.conf.ports["front"]
    load = Shakes(number, ca, 2)
    ders = [ssl.PEM_cert_to_DER_cert(open(c.crt).read()) for c in certs]
    eq(shown(number), ders[0], "at first")
    load.go_on(5)
    live(certs[1])
    until(lambda: shown(number) == ders[1],
          "the new certificate")
    load.go_on(5)
    put("live.crt", "nonsense")
    w.wait_log("its files have changed, but cannot be used.*holds no")
    load.go_on(5)
    eq(shown(number), ders[1], "after a bad one")
    live(certs[0])
    until(lambda: shown(number) == ders[0],
          "the first certificate again")
    load.end()
    tls = w.stats()["tls"]
    eq((tls["files_taken_total"], tls["files_refused_total"]), (2, 1),
       "files taken and refused")
    check("weir_tls_files_read_total{result=\"error\"} 1" in w.metrics(),
          "metrics")
    eq(w.failures(), {}, "failures")


@case
def secret_of_kubernetes_is_taken_when_its_folder_turns():
    """The names stay, a symlink above them changes."""
    ca, o = Ca(), HttpOrigin()
    folder = os.path.join(temp_dir(), "secret")
    certs = [ca.cert("a.test") for _ in range(2)]
    for k, c in enumerate(certs):
        os.makedirs("%s/..%d" % (folder, k))
        for name, path in (("tls.crt", c.crt), ("tls.key", c.key)):
            os.link(path, "%s/..%d/%s" % (folder, k, name))
    os.symlink("..0", folder + "/..data")
    for name in ("tls.crt", "tls.key"):
        os.symlink("..data/" + name, "%s/%s" % (folder, name))
    w = Weir(one(o, front='tls = { certificate = "%s/tls.crt"; '
                 'key = "%s/tls.key"; watch = true; };' % (folder, folder)))
    number = w.conf.ports["front"]
    ders = [ssl.PEM_cert_to_DER_cert(open(c.crt).read()) for c in certs]
    eq(shown(number), ders[0], "at first")
    os.symlink("..1", folder + "/..next")
    os.rename(folder + "/..next", folder + "/..data")
    until(lambda: shown(number) == ders[1],
          "the new certificate")


@case
def keys_are_read_before_root_is_given_up():
    if os.getuid() != 0:
        raise Skip("not root")
    ca, o = Ca(), HttpOrigin()
    w = Weir(one(o, front="tls = { %s watch = true; };" % live(
        ca.cert("a.test")), more='user = "nobody";'))
    number = w.conf.ports["front"]
    was = shown(number)
    r = command("check", "-c", w.file)
    check('tls.key: user "nobody" cannot read "live.key"' in r.stderr,
          r.stderr)
    status, body = w.post("/reload")
    check(status != 200 and "tls.key" in body and "Permission denied" in body,
          body)
    live(ca.cert("a.test"))
    w.wait_log("cannot be used, those before stay.*Permission denied")
    eq(shown(number), was, "certificate")
    ok(ask(TlsClient(number)))


# ------------------------------------------------------------------- told

@case
def end_of_the_certificate_is_told():
    ca, o = Ca(), HttpOrigin()
    conf = one(o, front="tls = { %s };" % ca.cert("a.test", days=9).conf())
    conf.listener("bare")
    w = Weir(conf)
    end = w.listener("front")["certificate_not_after"]
    eq(w.listener("bare")["certificate_not_after"], None, "without TLS")
    check(("weir_tls_certificate_not_after_timestamp_seconds"
           '{listener="front"} %d\n' % end) in w.metrics(), "metrics")
    r = command("check", "-c", w.file)
    eq(r.returncode, 0, "weir check")
    check("listeners.front: tls: a certificate expires within 9 days" in
          r.stderr, r.stderr)


@case
def kernel_is_asked_for_its_tls():
    w = Weir(one(HttpOrigin()))
    told = w.stats()["tls"]["kernel"]
    check(told == "available" or told.startswith("unavailable: "), told)
    check("kernel TLS " + told in command("-V").stdout, "weir -V")


@case
def keys_are_never_shown():
    ca, o = Ca(), HttpOrigin()
    cert = ca.cert("a.test")
    w = Weir(one(o, front="tls = { %s };" % cert.conf()))
    ok(ask(TlsClient(w.conf.ports["front"])))
    with open(cert.key) as f:
        secret = f.read().splitlines()[1]
    for path in ("/config", "/stats", "/metrics", "/connections"):
        body = w.get(path)[1]
        check("PRIVATE" not in body and secret not in body, path)
    check(secret not in w.log(), "log")
    config = json.loads(w.get("/config")[1])["config"]["listeners"][0]
    eq(config["tls"]["certificate"], cert.crt, "/config")


# --------------------------------------------------------------- upstreams

@case
def bad_upstreams_each_have_their_reason():
    ca = Ca()
    bad = {
        "has expired": (ca.cert("localhost", days=-1), ""),
        "is for x.test, not for localhost": (ca.cert("x.test"), ""),
        "not signed by a known CA": (Ca().cert("localhost"), ""),
        "has been revoked": (ca.cert("localhost"), "crl"),
    }
    for words, (cert, crl) in bad.items():
        o = TlsOrigin(cert)
        w = Weir(one('"localhost:%d"' % o.number,
                     up='tls = { ca = "%s"; %s };' % (
                         ca.crt, 'crl = "%s";' % ca.crl(cert) if crl
                         else "")))
        r = once(w.conf.ports["front"])
        eq(r.status, 502, words)
        w.wait_log(words)
        w.stop()
        eq(o.requests, 0, "requests sent to who is not believed")


@case
def upstream_is_verified_shown_a_certificate_and_resumed():
    ca, clients = Ca(), Ca()
    o = TlsOrigin(ca.cert("localhost"), clients, keep=False)
    w = Weir(one('"localhost:%d"' % o.number, pool="max_requests = 1;",
                 up='tls = { ca = "%s"; %s };' % (
                     ca.crt, clients.cert("weir").conf())))
    for _ in range(10):
        ok(once(w.conf.ports["front"]))
    eq(o.requests, 10, "requests")
    eq(set(o.asked), {"localhost"}, "names asked for by SNI")
    check(o.resumed >= 5, "of 10 handshakes %d took up a session" % o.resumed)


if __name__ == "__main__":
    run()
