"""TLS towards servers: one handshake carries many clients' requests, every reason
not to believe a server has its name, and what is cut is never taken for whole.
"""
# SPDX-License-Identifier: MIT
import os
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import redis
from case import (SLOW, WAIT, Failed, Skip, case, check, die_with_parent, eq,
                  later, need, port, put, run, until)
from origin import Origin, echo, until_end
from tls import Ca, TlsClient, TlsOrigin, client_context, openssl
from web import (HttpOrigin, answer, ask, chunks, ok, once, read_response,
                 refused, request)
from weir import Conf, Weir, listening, one
from wire import Client, Ended

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
MIB = 1024 * 1024
_kept = {}


def ca():
    """One for all cases: made when it is needed."""
    if not _kept:
        _kept["ca"] = Ca()
        _kept["cert"] = _kept["ca"].cert(
            "localhost", "DNS:localhost,IP:127.0.0.1")
    return _kept["ca"]


def cert():
    ca()
    return _kept["cert"]


def believing(more=""):
    """The group tls of an upstream."""
    return ' tls = { ca = "%s"; %s };' % (ca().crt, more)


def spoken():
    """The group tls of a listener."""
    return " tls = { %s };" % cert().conf()


class Secure(TlsOrigin):
    """Counts handshakes that went well."""

    def __init__(self, *argv, version=None, **more):
        self.shaken = 0
        self.only = version
        super().__init__(*argv, **more)
        if version is not None:
            self.context.minimum_version = version
            self.context.maximum_version = version

    def _converse(self, link):
        try:
            link.sock = self.context.wrap_socket(link.sock, server_side=True)
        except (ssl.SSLError, OSError):
            return
        with self.lock:
            self.shaken += 1
            self.resumed += link.sock.session_reused
        HttpOrigin._converse(self, link)


def wrapped(script, version=None):
    """A script of Origin's, inside of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert().crt, cert().key)
    if version is not None:
        context.minimum_version = context.maximum_version = version

    def serve(link):
        try:
            link.sock = context.wrap_socket(link.sock, server_side=True,
                                            suppress_ragged_eofs=False)
            script(link)
        except (ssl.SSLError, OSError):
            return                              # the peer left: its right
    return serve


def endpoint(w):
    return w.upstream()["endpoints"][0]


def at_once(count, function):
    """So many threads; none may fail."""
    failures = []

    def go(n):
        try:
            function(n)
        except (Failed, OSError) as e:
            failures.append(e)
    threads = [threading.Thread(target=go, args=(n,), daemon=True)
               for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(4 * WAIT)
    eq(failures, [], "failures")


# ------------------------------------------------------------------- pooling

@case
def clients_share_connections_and_their_handshakes():
    for version in (V12, V13):
        o = Secure(cert(), version=version, keep=False)
        w = Weir(one(o, up=believing(), pool="max = 4; max_waiting = 100;",
                     front=spoken()))

        def crowd(n, w=w):
            c = TlsClient(w.conf.ports["front"])
            for _ in range(10):
                ok(ask(c))
            c.close()
        at_once(20, crowd)
        eq(o.requests, 200, "requests")
        check(o.accepted <= 4, "upstream connections: %d" % o.accepted)
        eq(o.shaken, o.accepted, "handshakes")
        w.balanced(o)
        w.stop()


@case
def one_connection_goes_from_worker_to_worker():
    for version in (V12, V13):
        o = Secure(cert(), version=version, keep=False)
        w = Weir(one(o, workers=2, up=believing(), front=spoken(), pool=
                     'max = 1; max_waiting = 1000; queue_timeout = "60s";'))

        def crowd(n, w=w):
            c = TlsClient(w.conf.ports["front"])
            for _ in range(15):
                r = ok(ask(c, "POST", body=b"z" * (n * 3000)))
                eq(len(r.body), n * 3000 or len(r.get("X-Token")) * 2,
                   "length")
            c.close()
        at_once(16, crowd)
        eq((o.accepted, o.shaken), (1, 1), "upstream connections")
        eq(o.requests, 240, "requests")
        w.balanced(o)
        w.stop()


@case
def warm_connections_have_shaken_hands():
    o = Secure(cert())
    w = Weir(one(o, up=believing(), pool="max = 8; min_idle = 3;"))
    w.wait_pool(idle=3, leased=0, connecting=0)
    until(lambda: o.shaken == 3, "handshakes")
    for _ in range(10):
        ok(once(w.conf.ports["front"]))
    w.balanced(o)
    check(o.accepted <= 4, "upstream connections: %d" % o.accepted)


@case
def sessions_are_taken_up_again():
    for version in (V12, V13):
        o = Secure(cert(), version=version)
        w = Weir(one(o, up=believing(), pool="max_requests = 1;"))
        for _ in range(10):
            ok(once(w.conf.ports["front"]))
        check(o.resumed >= 8, "%d of 10 handshakes" % o.resumed)
        w.balanced(o)
        w.stop()


@case
def session_mode_keeps_one_for_its_client():
    o = Origin(wrapped(echo))
    w = Weir(one(o, protocol="tcp", up=believing(), front=spoken()))
    clients = [TlsClient(w.conf.ports["front"]) for _ in range(5)]
    for n, c in enumerate(clients):
        c.send(b"%d" % n * 1000)
    for n, c in enumerate(clients):
        eq(c.read_exact(1000), b"%d" % n * 1000, "echo")
        c.close()
    o.had(5)
    w.balanced(o)


# ------------------------------------------------------- who is not believed

def purposeless():
    """A certificate for clients alone."""
    c = ca().cert("localhost")
    openssl("req", "-new", "-key", c.key, "-out", "p.csr", "-subj",
            "/CN=localhost")
    put("p.ext", "subjectAltName = DNS:localhost\n"
        "extendedKeyUsage = clientAuth\n")
    openssl("x509", "-req", "-in", "p.csr", "-CA", ca().crt, "-CAkey",
            ca().key, "-out", c.crt, "-days", "9", "-set_serial", "77",
            "-extfile", "p.ext")
    return c


def self_signed():
    c = ca().cert("localhost")
    openssl("req", "-x509", "-key", c.key, "-out", c.crt, "-days", "9",
            "-subj", "/CN=localhost", "-addext",
            "subjectAltName = DNS:localhost")
    return c


def truncated(link):
    """In the middle of its certificate the server leaves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert().crt, cert().key)
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inward, outward, server_side=True)
    while not outward.pending:
        if not link.more():
            return
        inward.write(link.take(len(link.buf)))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
    said = outward.read()
    link.send(said[:len(said) // 2])


def plainly(link):
    link.more()
    link.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@case
def every_reason_has_its_name_everywhere():
    """In the answer, in /stats and in the log; nothing is sent to such a
    server, and the books balance."""
    revoked = ca().cert("localhost")
    other = Ca("another")
    rows = [
        ("expired", "has expired", TlsOrigin(ca().cert("localhost",
                                                       days=-1)), ""),
        ("wrong_name", "is for x.test, not for localhost",
         TlsOrigin(ca().cert("x.test")), ""),
        ("self_signed", "is signed by itself", TlsOrigin(self_signed()), ""),
        ("unknown_ca", "is not signed by a known CA",
         TlsOrigin(other.cert("localhost")), ""),
        ("revoked", "has been revoked", TlsOrigin(revoked),
         'crl = "%s";' % ca().crl(revoked)),
        ("bad_certificate", "is bad", TlsOrigin(purposeless()), ""),
        ("closed", "ended during the handshake", Origin(truncated), ""),
        ("not_tls", "plain HTTP came|what came is not TLS", Origin(plainly),
         ""),
        ("version", "no version|protocol version",
         Secure(cert(), version=V12), 'min_version = "1.3";'),
        ("peer_alert", "the other side ended the handshake",
         Secure(cert(), other, version=V12), "")]
    for name, words, o, more in rows:
        for span in ("request", "session"):
            w = Weir(one('"localhost:%d"' % o.number, up=believing(more),
                         pool='mode = "%s"; min_idle = 0;' % span))
            asked = o.requests if isinstance(o, HttpOrigin) else 0
            c = Client(w.conf.ports["front"])
            for _ in range(2):
                r = refused(ask(c), 502, "tls_failed")
                check(any(x.encode() in r.body for x in words.split("|")),
                      "%s: %r" % (name, r.body))
            c.close()
            e = endpoint(w)
            eq(e["last_error"], name, "last_error")
            check(e["failures_total"]["tls_failed"] >= 2, "%r" %
                  e["failures_total"])
            eq(w.failures(), {"tls_failed": 2}, "failures")
            w.wait_log(words)
            w.balanced()
            w.stop()
            if isinstance(o, HttpOrigin):
                eq(o.requests, asked, "requests to who is not believed")


@case
def other_protocols_tell_their_clients():
    bad = TlsOrigin(ca().cert("x.test"))
    conf = Conf()
    for name in ("redis", "memcached", "tcp"):
        conf.listener(name, name, name)
        conf.upstream(name, '"localhost:%d"' % bad.number,
                      pool="min_idle = 0;", extra=believing())
    w = Weir(conf)
    c = Client(w.conf.ports["redis"]).send("GET a\r\n")
    check(b"-ERR weir: tls_failed" in c.read_line(), "redis")
    c.close()
    c = Client(w.conf.ports["memcached"]).send("get a\r\n")
    check(b"SERVER_ERROR weir: tls_failed" in c.read_line(), "memcached")
    c.close()
    c = Client(w.conf.ports["tcp"]).send("hello")
    eq(c.read_to_end(), b"", "tcp")
    c.close()
    for name in ("redis", "memcached", "tcp"):
        until(lambda name=name: w.failures(name) == {"tls_failed": 1},
              "failures of " + name)
    w.balanced()


@case
def who_waits_in_the_queue_hears_of_it():
    """All of them, and the next connection is tried anew."""
    bad = ca().cert("x.test")
    o = Secure(bad, keep=False)
    w = Weir(one('"localhost:%d"' % o.number, up=believing(),
                 pool="max = 2; max_waiting = 100;"))

    def crowd(n):
        refused(once(w.conf.ports["front"]), 502, "tls_failed")
    at_once(12, crowd)
    o.context.load_cert_chain(cert().crt, cert().key)
    until(lambda: once(w.conf.ports["front"]).status == 200,
          "a server that is believed again")
    w.balanced(o)


@case
def server_that_stalls_in_the_handshake_is_given_up():
    o = Origin(until_end)
    w = Weir(one(o, up=believing() + 'timeouts = { connect = "%dms"; };' % (
        300 * SLOW), pool="min_idle = 0;"))
    c = Client(w.conf.ports["front"])
    refused(ask(c), 504, "connect_timeout")
    c.close()
    w.balanced(o)


@case
def client_that_leaves_meanwhile_leaves_nothing():
    let = threading.Event()
    script = wrapped(echo)

    def late(link):
        let.wait()
        script(link)
    o = Origin(late)
    w = Weir(one(o, protocol="tcp", up=believing(), pool="min_idle = 0;"))
    crowd = [Client(w.conf.ports["front"]).send("x") for _ in range(8)]
    until(lambda: w.pool()["connecting"] == 8, "all connect")
    for c in crowd:
        c.rst()
    let.set()
    w.balanced(o)


# ------------------------------------------------------------ ends and cuts

def with_end(how, head, body):
    """Answers one request and ends: with leave, without, or by RST."""
    def script(link):
        link.limit = None
        link.read_until(b"\r\n\r\n")
        link.send(head + body)
        if how == "bye":
            try:
                link.sock.unwrap()
            except (ssl.SSLError, OSError):
                pass
        elif how == "rst":
            link.rst()
    return script


@case
def answer_without_a_length_is_whole_only_with_a_leave():
    """RFC 9112 9.8: without close_notify it may have been cut."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    for version in (V12, V13):
        for how in ("bye", "cut", "rst"):
            o = Origin(wrapped(with_end(how, head, b"x" * 100000), version))
            w = Weir(one(o, up=believing(), pool="min_idle = 0;"))
            for minor in (0, 1):
                c = Client(w.conf.ports["front"])
                c.send(request(minor=minor))
                try:
                    r = read_response(c)
                    whole = r.status == 200 and len(r.body) == 100000 and \
                        (r.framing() is not None or c.ended == "fin")
                except (Ended, Failed):
                    whole = False
                eq(whole, how == "bye", "HTTP/1.%d, %s" % (minor, how))
                c.close()
            w.balanced(o)
            w.stop()


@case
def answer_with_its_own_end_needs_no_leave():
    for version in (V12, V13):
        for head, body in ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                            b"hello"),
                           (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
                            b"\r\n\r\n", chunks(b"hello"))):
            for how in ("bye", "cut"):
                o = Origin(wrapped(with_end(how, head, body), version))
                w = Weir(one(o, up=believing()))
                eq(ok(once(w.conf.ports["front"])).body, b"hello", "body")
                w.balanced(o)
                w.stop()


@case
def idle_connection_that_is_left_is_not_used():
    """Neither with a leave nor without, nor with bytes nobody asked for."""
    for version in (V12, V13):
        for how in ("bye", "cut", "bytes"):
            def handler(q, link, how=how):
                link.send(answer(q, "one"))
                let.wait()
                if how == "bytes":
                    link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    return None
                if how == "bye":
                    try:
                        link.sock.unwrap()
                    except (ssl.SSLError, OSError):
                        pass
                return False
            let = threading.Event()
            o = Secure(cert(), version=version, handler=handler)
            w = Weir(one(o, up=believing(), pool="min_idle = 0;"))
            ok(once(w.conf.ports["front"]))
            let.set()
            until(lambda w=w: w.pool()["open"] == 0, "closed: " + how)
            ok(once(w.conf.ports["front"]))
            o.had(2)
            w.stop()


class Program:
    """A server of others', until the case ends."""

    def __init__(self, number, *argv):
        self.number = number
        self.process = subprocess.Popen(
            [need(argv[0]), *argv[1:]], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        later(self.end)
        until(lambda: listening(number), argv[0] + " listening")

    def end(self):
        self.process.kill()
        self.process.wait()


@case
def tickets_and_key_updates_are_no_bytes_of_an_idle_one():
    """openssl s_server sends tickets after the handshake; that is TLS's own."""
    number = port()
    server = Program(number, "openssl", "s_server", "-accept", str(number),
                     "-cert", cert().crt, "-key", cert().key, "-quiet",
                     "-www", "-num_tickets", "4")
    w = Weir(one('"localhost:%d"' % server.number, up=believing(),
                 pool="max = 1;"))
    r = once(w.conf.ports["front"], fields=[("Connection", "close")])
    check(b"s_server" in r.body, "%r" % r.body[:200])


# --------------------------------------------------------------------- bulk

@case
def large_bodies_pass_through_tls_on_both_sides():
    o = Secure(cert(), keep=False)
    body = os.urandom(MIB) * 20
    w = Weir(one(o, up=believing(), front=spoken(), workers=2))
    for version in (V12, V13):
        c = TlsClient(w.conf.ports["front"], client_context(version=version))
        c.limit = 3 * WAIT
        check(ok(ask(c, "POST", body=body)).body == body,
              "the body is another")
        c.close()
    w.balanced(o)


@case
def half_closed_session_is_half_closed_at_the_server():
    """Both ways, as far as TLS has it: what is sent after the other's end
    arrives."""
    ends = []

    def script(link):
        link.limit = None
        got = link.read_to_end()
        ends.append((len(got), link.ended))
        if link.ended == "fin":
            link.send(b"%d\n" % len(got))
    o = Origin(wrapped(script))
    w = Weir(one(o, protocol="tcp", up=believing()))
    c = Client(w.conf.ports["front"]).send(b"x" * 100000).shut()
    eq(c.read_line(), b"100000\n", "answer behind the end")
    c.close()
    until(lambda: w.pool()["open"] == 0, "the first one's end")
    c = Client(w.conf.ports["front"]).send(b"x" * 1000)
    until(lambda: w.pool()["leased"] == 1, "a session")
    c.rst()
    until(lambda: len(ends) == 2, "both ends")
    eq(ends[0], (100000, "fin"), "with FIN")
    check(ends[1][1] in ("cut", "rst"), "with RST: %r" % (ends[1],))
    w.balanced(o)


# ---------------------------------------------------------------- protocols

@case
def redis_speaks_tls_on_both_sides():
    real = redis.RedisServer("--tls-port", str(port()), "--tls-cert-file",
                             cert().crt, "--tls-key-file", cert().key,
                             "--tls-ca-cert-file", ca().crt,
                             "--tls-auth-clients", "no")
    number = int(real.options[1])
    w = Weir(one('"localhost:%d"' % number, protocol="redis",
                 up=believing(), front=spoken(), pool="max = 2;"))
    r = subprocess.run(
        [need("redis-cli"), "--tls", "--cacert", ca().crt, "--sni",
         "localhost", "-h", "127.0.0.1", "-p",
         str(w.conf.ports["front"])], input=
        b"SET k v\nGET k\nINCR n\nLPUSH l a b\nLRANGE l 0 -1\n",
        capture_output=True, timeout=60)
    eq(r.stdout.split(), [b"OK", b"v", b"1", b"2", b"b", b"a"], "redis-cli "
       "says %r" % r.stderr)

    def crowd(n):
        c = TlsClient(w.conf.ports["front"])
        c.send(b"".join(b"SET k%d %d\r\nGET k%d\r\n" % (n, i, n)
                        for i in range(50)))
        for i in range(50):
            eq(c.read_line(), b"+OK\r\n", "SET")
            c.read_line()
            eq(c.read_line(), b"%d\r\n" % i, "GET")
        c.close()
    at_once(20, crowd)
    check(real.accepted <= 3, "upstream connections: %d" % real.accepted)
    w.balanced()


@case
def redis_py_speaks_tls_through_weir():
    try:
        sys.path.append("/usr/lib/python3/dist-packages")
        here = sys.modules.pop("redis")
        sys.path.remove(os.path.dirname(here.__file__))
        import redis as client
    except ImportError:
        raise Skip("no redis-py") from None
    finally:
        sys.path.insert(0, os.path.dirname(here.__file__))
        sys.modules["redis"] = here
    server = redis.RedisServer()
    w = Weir(one(server, protocol="redis", front=spoken()))
    for _ in range(5):
        c = client.Redis("localhost", w.conf.ports["front"], ssl=True,
                         ssl_ca_certs=ca().crt)
        eq(c.set("a", "b" * 100000), True, "SET")
        eq(c.get("a"), b"b" * 100000, "GET")
        c.connection_pool.disconnect()
    w.balanced()


@case
def memcached_speaks_tls_on_both_sides():
    number = port()
    real = Program(number, "memcached", "-p", str(number), "-l", "127.0.0.1",
                   "-U", "0", "-Z", "-o", "ssl_chain_cert=%s,ssl_key=%s" % (
                       cert().crt, cert().key),
                   *(["-u", "root"] if os.getuid() == 0 else []))
    w = Weir(one(real.number, protocol="memcached", up=believing(),
                 front=spoken(), pool="max = 4;"))

    def crowd(n):
        c = TlsClient(w.conf.ports["front"])
        for i in range(10):
            c.send(b"set k%d 0 0 20000\r\n%s\r\n" % (n, b"%d" % i * 20000))
            eq(c.read_line(), b"STORED\r\n", "set")
            c.send(b"get k%d\r\n" % n)
            eq(c.read_line(), b"VALUE k%d 0 20000\r\n" % n, "get")
            eq(c.read_exact(20002), b"%d" % i * 20000 + b"\r\n", "value")
            eq(c.read_line(), b"END\r\n", "end")
        c.close()
    at_once(10, crowd)
    check(w.upstream()["connects_total"] <= 4, "upstream connections: %d" %
          w.upstream()["connects_total"])
    w.balanced()


@case
def tcp_speaks_tls_on_both_sides():
    o = Origin(wrapped(echo))
    w = Weir(one(o, protocol="tcp", up=believing(), front=spoken(),
                 workers=2))

    def crowd(n):
        c = TlsClient(w.conf.ports["front"])
        data = os.urandom(300000)
        c.send(data)
        eq(c.read_exact(len(data)) == data, True, "the same")
        c.close()
    at_once(12, crowd)
    o.had(12)
    w.balanced(o)


if __name__ == "__main__":
    run()
