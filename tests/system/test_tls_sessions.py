"""TLS of clients from their first byte to their last: what stalls, leaves, speaks
plainly or asks for what is not given, and that an end is told from a cut.
"""
# SPDX-License-Identifier: MIT
import os
import re
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, SLOW, WAIT, case, check, eq, need, run, until
from fault import VARIANT
from hello import TlsClient as Steps
from hello import hello_of
from origin import Origin, echo
from tls import Ca, TlsClient, client_context
from web import (HttpOrigin, answer, ask, ok, read_request_body,
                 read_response, request)
from weir import Conf, Weir, one
from wire import Client, Wire

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
MIB = 1024 * 1024
SOON = 'timeouts = { handshake = "%dms"; };' % (400 * SLOW)
_ca = []


def ca():
    """One for all cases: made when it is needed."""
    if not _ca:
        _ca.append(Ca())
        _ca.append(_ca[0].cert("a.test"))
    return _ca[0]


def spoken(more=""):
    """The group tls of a listener."""
    ca()
    return " tls = { %s %s };" % (_ca[1].conf(), more)


def tls_of(w, name="front"):
    return w.listener(name)["tls"]


def counted(w, name="front"):
    """(whole handshakes and resumed ones, those that failed, by reason)."""
    tls = tls_of(w, name)
    return tls["handshakes_total"], {
        k: v for k, v in tls["problems_total"].items() if v}


def steps(w, version=None, name="front"):
    """A client whose hello is in hand, not sent."""
    return Steps(w.conf.ports[name], "a.test", version=version)


def half_way(c):
    """The hello is sent and answered; its answer to that is returned."""
    c.wire.send(c.hello)
    while True:
        check(c.wire.more(), "the server ended")
        c.inward.write(c.wire.take(len(c.wire.buf)))
        try:
            c.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        flight = c.outward.read()
        if flight:
            return flight


def ended(wire, how=("fin", "rst")):
    """It is closed, whatever is said before."""
    wire.read_to_end()
    check(wire.ended in how, "ended by %s" % wire.ended)
    wire.close()


# ------------------------------------------------------------------ deadlines

@case
def who_stalls_in_the_handshake_is_closed():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken() + SOON))
    stalled = []
    for version in (V12, V13):
        for part in (0, 1, 5, 6, 0.5, -1):
            c = steps(w, version)
            n = part if isinstance(part, int) else int(len(c.hello) * part)
            c.wire.send(c.hello[:n])
            stalled.append(c.wire)
        for part in (0, 1, 0.5, -1):
            c = steps(w, version)
            flight = half_way(c)
            n = part if isinstance(part, int) else int(len(flight) * part)
            c.wire.send(flight[:n])
            stalled.append(c.wire)
    for wire in stalled:
        ended(wire)
    eq(w.failures(), {"handshake_timeout": len(stalled)}, "failures")
    eq(counted(w), (0, {}), "handshakes")
    eq(o.accepted, 0, "upstream connections")
    w.balanced(o)


@case
def deadline_is_for_the_whole_handshake():
    """A byte now and then does not move it."""
    o = HttpOrigin()
    w = Weir(one(o, front=spoken() + SOON))
    c = steps(w)
    try:
        for byte in c.hello:
            c.wire.send(bytes([byte]))
            time.sleep(0.05 * SLOW)             # slower than it may be
            if c.wire.at_end():
                break
    except OSError:
        pass
    check(c.wire.ended, "a byte at a time, %d of them, and still there" %
          len(c.hello))
    eq(w.failures(), {"handshake_timeout": 1}, "failures")
    w.balanced(o)


@case
def handshake_comes_in_any_pieces():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken()))
    for version in (V12, V13):
        for size in (1, 2, 7, 100):
            c = steps(w, version)
            c.wire.send_pieces(c.hello, size)
            flight = None
            while flight is None:
                check(c.wire.more(), "the server ended")
                for byte in c.wire.take(len(c.wire.buf)):
                    c.inward.write(bytes([byte]))
                try:
                    c.tls.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                flight = c.outward.read() or None
            c.wire.send_pieces(flight, size)
            c._do(lambda c=c: c.tls.do_handshake() or True)
            c.tls.write(request())
            c.wire.send_pieces(c.outward.read(), size)
            eq(c.read_line(), "HTTP/1.1 200 Fine\r", "answer")
            c.close()
    eq(counted(w), (8, {}), "handshakes")
    o.had(1)
    w.balanced(o)


# ------------------------------------------------------------ max_handshakes

@case
def those_who_wait_for_their_handshake_are_served_in_order():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken("max_handshakes = 1;")))
    first = steps(w)
    until(lambda: tls_of(w)["handshaking"] == 1, "the first in it")
    line = []
    for n in range(4):
        line.append(steps(w))
        line[-1].wire.send(line[-1].hello)
        until(lambda n=n: tls_of(w)["waiting"] == n + 1, "one more waits")
    check(not any(c.wire.at_end() or c.wire.buf for c in line),
          "nobody has been served")
    # One that waits and goes is none to wait for.
    line.pop(1).wire.close()
    first.close()
    for n, c in enumerate(line):
        check(c.wire.more(), "its turn")
        check(not any(d.wire.at_end() or d.wire.buf for d in line[n + 1:]),
              "others are before theirs")
        c.inward.write(c.wire.take(len(c.wire.buf)))
        c._do(lambda c=c: c.tls.do_handshake() or True)
        c.tls.write(request())
        c.wire.send(c.outward.read())
        eq(c.read_line(), "HTTP/1.1 200 Fine\r", "answer")
    for c in line:
        c.close()
    eq(counted(w)[0], 3, "handshakes")
    w.balanced(o)
    o.had(1)


@case
def deadline_covers_the_wait():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken("max_handshakes = 1;") + SOON))
    crowd = [steps(w) for _ in range(12)]
    until(lambda: w.failures() == {"handshake_timeout": 12}, "all are late")
    for c in crowd:
        ended(c.wire)
    tls = tls_of(w)
    eq((tls["handshaking"], tls["waiting"]), (0, 0), "left")
    w.balanced(o)
    c = TlsClient(w.conf.ports["front"])
    ok(ask(c))
    c.close()
    w.balanced(o)


@case
def limit_holds_on_two_workers():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, workers=2, front=spoken("max_handshakes = 2;")))
    stalled = [steps(w) for _ in range(20)]
    until(lambda: sum(tls_of(w)[k] for k in ("handshaking", "waiting")) == 20,
          "all are there")
    check(1 <= tls_of(w)["handshaking"] <= 2, "in the handshake: %r" %
          tls_of(w))
    metrics = w.metrics()
    check(re.search(r'^weir_tls_handshakes_active\{listener="front"\} [12]$',
                    metrics, re.M), "metrics")
    for c in stalled:
        c.close()
    failures = []

    def go():
        try:
            for _ in range(4):
                c = TlsClient(w.conf.ports["front"])
                ok(ask(c))
                c.close()
        except (Failed, OSError) as e:
            failures.append(e)
    threads = [threading.Thread(target=go, daemon=True) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(3 * WAIT)
    eq(failures, [], "failures of clients")
    eq(counted(w)[0], 48, "handshakes")
    w.balanced(o)


@case
def reload_that_takes_tls_away_ends_those_who_wait():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken("max_handshakes = 1;")))
    first = steps(w)
    until(lambda: tls_of(w)["handshaking"] == 1, "the first in it")
    line = [steps(w) for _ in range(3)]
    for c in line:
        c.wire.send(c.hello)
    until(lambda: tls_of(w)["waiting"] == 3, "three wait")
    w.conf.listener("front")
    w.write()
    w.reload()
    # What has begun goes on as it has.
    first.handshake()
    first.tls.write(request())
    first.wire.send(first.outward.read())
    eq(first.read_line(), "HTTP/1.1 200 Fine\r", "answer")
    first.close()
    for c in line:
        ended(c.wire)
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    c.close()
    w.balanced(o)


# -------------------------------------------------------------- plain to TLS

@case
def plain_bytes_are_answered_in_words_where_there_are_any():
    o = Origin(echo)
    conf = Conf()
    for name in ("http", "redis", "memcached", "tcp"):
        conf.listener(name, name, name, extra=spoken())
        conf.upstream(name, o, pool="min_idle = 0;")
    w = Weir(conf)
    for data in (request(), b"GET / HTTP/1.0\r\n\r\n",
                 request("POST", body=b"x" * 300000)):
        c = Client(w.conf.ports["http"]).send(data)
        r = read_response(c)
        eq(r.status, 400, "status")
        check(b"TLS" in r.body or b"HTTPS" in r.body, "%r" % r.body)
        eq(r.get("Connection"), "close", "Connection")
        c.close()
    for name, data in (("redis", b"PING\r\n"),
                       ("redis", b"*1\r\n$4\r\nPING\r\n"),
                       ("memcached", b"version\r\n"), ("tcp", b"hello"),
                       ("tcp", b"GET / HTTP/1.1\r\n\r\n")):
        c = Client(w.conf.ports[name]).send(data)
        said = c.read_to_end()
        check(said == b"" or said[:1] == b"\x15", "%s said %r" % (name, said))
        c.close()
    for name, n in (("http", 3), ("redis", 2), ("memcached", 1), ("tcp", 2)):
        until(lambda name=name, n=n: counted(w, name) == (0, {"not_tls": n}),
              "failures of " + name)
        eq(w.failures(name), {"handshake_failed": n}, name)
    w.wait_log("http: client 127.0.0.1: TLS: plain HTTP came instead of TLS")
    check('weir_tls_handshake_failures_total{listener="http",'
          'reason="not_tls"} 3' in w.metrics(), "metrics")
    w.balanced(o)
    o.had(0)


# ----------------------------------------------------------------- two ends

@case
def who_leaves_in_the_handshake_costs_nothing():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken()))
    n = 0
    for version in (V12, V13):
        for hard in (False, True):
            for part in (0, 1, 5, 0.5, -1, 1.0):
                c = steps(w, version)
                c.wire.send(c.hello[:part if isinstance(part, int) else
                                    int(len(c.hello) * part)])
                (c.wire.rst if hard else c.wire.close)()
                c = steps(w, version)
                flight = half_way(c)
                c.wire.send(flight[:part if isinstance(part, int) else
                                   int(len(flight) * part * 0.9)])
                (c.wire.rst if hard else c.wire.close)()
                n += 2
    until(lambda: counted(w)[1] == {"closed": n}, "%d that have left, not "
          "%r" % (n, counted(w)))
    eq(w.failures(), {"handshake_failed": n}, "failures")
    w.balanced(o)
    o.had(0)


def say_bye(c):
    """close_notify, and reading goes on."""
    try:
        c.tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    c.wire.send(c.outward.read())


@case
def half_closed_session_goes_on_and_a_cut_is_no_end():
    ends, replies = [], []

    def script(link):
        link.limit = None
        got = link.read_to_end()
        ends.append((got, link.ended))
        link.send(b"all of it: %d\n" % len(got))
    o = Origin(script)
    w = Weir(one(o, protocol="tcp", front=spoken()))
    for version in (V12, V13):
        c = steps(w, version).handshake()
        c.tls.write(b"x" * 1000)
        c.wire.send(c.outward.read())
        say_bye(c)
        eq(c.wire.read_exact(1)[:1], b"\x17", "a record of data")
        replies.append(c)
        until(lambda: ends, "the end")
        eq(ends.pop(), (b"x" * 1000, "fin"), "what the server got")
        c.wire.read_to_end()
        c.close()
        # The same without taking leave: it may be anybody's.
        c = steps(w, version).handshake()
        c.tls.write(b"x" * 1000)
        c.wire.send(c.outward.read()).shut()
        until(lambda: ends, "the end")
        eq(ends.pop(), (b"x" * 1000, "rst"), "what the server got")
        c.wire.read_to_end()
        c.close()
    w.balanced(o)
    o.had(4)


@case
def request_that_is_cut_is_not_answered():
    """Neither a body without its end, nor one that ends with the connection."""
    def handler(q, link):
        try:
            read_request_body(link, q)
        except ConnectionError:
            cut.append(q.target)
            raise
        return answer(q)
    cut = []
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o, front=spoken()))
    for bye in (False, True):
        c = steps(w).handshake()
        c.tls.write(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"
                    b"\r\n12345" % bye)
        c.wire.send(c.outward.read())
        until(lambda: o.requests == bye + 1, "the request")
        if bye:
            say_bye(c)
        c.wire.shut()
        c.wire.read_to_end()
        c.close()
    until(lambda: cut == ["/0", "/1"], "both cut")
    w.balanced(o)


@case
def answer_that_ends_with_the_connection_ends_with_a_leave():
    """And one that breaks off does not."""
    def handler(q, link):
        link.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        if q.path == "/cut":
            link.rst()
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o, front=spoken()))
    for version in (V12, V13):
        ctx = client_context(version=version)
        ctx.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        for path in ("/whole", "/cut"):
            c = TlsClient(w.conf.ports["front"], ctx)
            c.sock.suppress_ragged_eofs = False
            c.send(request("GET", path, minor=0))
            said = c.read_to_end()
            if path == "/whole":
                eq((said[-9:], c.ended), (b"all of it", "fin"), "answer")
            elif b" 502 " not in said:
                check(c.ended in ("cut", "rst"), "ended by %s" % c.ended)
            c.close()
    w.balanced(o)


# ------------------------------------------------------ what is not given, is

def s_client(w, *argv, said):
    """openssl s_client: what it says, after it was told `said`."""
    p = subprocess.Popen(
        [need("openssl"), "s_client", "-connect", "127.0.0.1:%d" %
         w.conf.ports["front"], "-servername", "a.test", *argv],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    out = []
    reader = threading.Thread(target=lambda: out.extend(
        iter(lambda: p.stdout.read1(65536), b"")), daemon=True)
    reader.start()
    try:
        until(lambda: b"Verify return code" in b"".join(out), "a handshake: "
              "%r" % b"".join(out)[-300:])
        for words, mark in said:
            seen = len(b"".join(out))
            p.stdin.write(words)
            p.stdin.flush()
            until(lambda: mark in b"".join(out)[seen:] or
                  p.poll() is not None, "%r after %r: %r" % (
                      mark, words, b"".join(out)[seen:]))
        p.stdin.close()
        p.wait(WAIT)
    finally:
        p.kill()
        p.wait()
    reader.join(WAIT)
    return b"".join(out).decode(errors="replace")


@case
def renegotiation_is_refused():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken()))
    said = s_client(w, "-tls1_2", said=[(b"R\n", b"enegotiation\n")])
    check("no renegotiation" in said, said[-800:])
    w.balanced(o)
    o.had(0)
    ok(ask(TlsClient(w.conf.ports["front"])))


@case
def keys_are_updated():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken()))
    said = s_client(w, "-tls1_3", "-crlf", said=[
        (b"GET /1 HTTP/1.1\nHost: a\n\n", b"hello"), (b"K\n", b"KEYUPDATE"),
        (b"GET /2 HTTP/1.1\nHost: a\n\n", b"hello"), (b"k\n", b"KEYUPDATE"),
        (b"GET /3 HTTP/1.1\nHost: a\nConnection: close\n\n", b"hello")])
    eq(said.count("200 Fine"), 3, "answers of " + said[-1500:])
    o.had(1)
    w.balanced(o)


# --------------------------------------------------------------------- bulk

def echoed(c, body):
    """POST it and read the same at the same time; both by one thread."""
    sock = c.wire.sock
    c.tls.write(request("POST", fields=[("Content-Length", str(len(body)))]))
    out, got, at = bytearray(c.outward.read()), bytearray(), 0
    sock.setblocking(False)
    while at < len(body) or out or not got.endswith(b"0\r\n\r\n"):
        if not out and at < len(body):
            c.tls.write(body[at:at + 65536])
            out += c.outward.read()
            at += 65536
        can_read, can_write, _ = select.select(
            [sock], [sock] if out else [], [], WAIT)
        check(can_read or can_write, "stuck at %d, %d" % (at, len(got)))
        if can_read:
            data = sock.recv(65536)
            check(data, "an end after %d" % len(got))
            c.inward.write(data)
            try:
                while piece := c.tls.read(65536):
                    got += piece
            except ssl.SSLWantReadError:
                pass
        if can_write:
            del out[:sock.send(out)]
    here, there = socket.socketpair()
    there.close()
    wire = Wire(here)
    wire.buf = got
    r = read_response(wire)
    here.close()
    return r


@case
def large_bodies_pass_in_both_directions_at_once():
    size = 20 * MIB

    def handler(q, link):
        link.send(answer(q, fields=[("Transfer-Encoding", "chunked")]))
        left = size
        while left:
            got = link.read_exact(min(left, 65536))
            left -= len(got)
            link.send(b"%x\r\n%s\r\n" % (len(got), got))
        link.send(b"0\r\n\r\n")
    o = HttpOrigin(handler, bodies=False, keep=False)
    w = Weir(one(o, front=spoken()))
    body = os.urandom(MIB) * (size // MIB)
    for version in (V12, V13):
        c = steps(w, version).handshake()
        check(ok(echoed(c, body)).body == body, "the body is another")
        c.close()
    w.balanced(o)


def bounded(w, before):
    """A sanitizer keeps what is freed for a while."""
    if VARIANT == "release":
        check(w.rss() - before < 8 * MIB, "grown by %d" % (w.rss() - before))


@case
def slow_reader_does_not_fill_memory():
    """Down and up: whoever does not read holds back who writes."""
    sent = []

    def down(q, link):
        if q.method == "POST":
            held.wait()
            read_request_body(link, q)
            return answer(q, str(len(q.body)))
        link.send(answer(q, fields=[("Content-Length", str(64 * MIB))]))
        for n in range(64):
            link.send(b"x" * MIB)
            sent.append(n)
    held = threading.Event()
    o = HttpOrigin(down, bodies=False, keep=False)
    w = Weir(one(o, front=spoken()))
    for _ in range(3):                          # its own needs
        c = TlsClient(w.conf.ports["front"])
        c.send(request("GET", "/"))
        c.read_until(b"\r\n\r\n")
        c.close()
    w.wait_pool(leased=0)
    sent.clear()
    before = w.rss()
    c = TlsClient(w.conf.ports["front"])
    c.send(request("GET", "/"))
    c.read_until(b"\r\n\r\n")
    last = [-1]

    def rests():
        now = len(sent)
        same, last[0] = now == last[0], now
        time.sleep(0.2)
        return same
    until(rests, "the server is held back")
    check(len(sent) < 32, "%d MiB were taken" % len(sent))
    bounded(w, before)
    eq(len(c.read_exact(64 * MIB)), 64 * MIB, "then it comes")
    c.close()
    # Up.
    c = TlsClient(w.conf.ports["front"])
    c.send(request("POST", "/", [("Content-Length", str(64 * MIB))]))
    passed = []

    def push():
        for n in range(64):
            c.send(b"y" * MIB)
            passed.append(n)
    c.limit = 6 * WAIT
    t = threading.Thread(target=push, daemon=True)
    t.start()
    last[0] = -1
    until(lambda: (last[0] == len(passed), last.__setitem__(0, len(passed)),
                   time.sleep(0.2))[0], "the client is held back")
    check(len(passed) < 32, "%d MiB were taken" % len(passed))
    bounded(w, before)
    held.set()
    t.join(6 * WAIT)
    eq(read_response(c).body, b"%d" % (64 * MIB), "then it is answered")
    c.close()
    w.balanced(o)


@case
def alert_to_one_that_does_not_read_goes_to_nobody_else():
    """It asks for much, reads nothing, and then says what is no TLS."""
    o = HttpOrigin(lambda q, link: answer(q, b"x" * (
        64 * MIB if q.path == "/big" else 10)), keep=False)
    w = Weir(one(o, front=spoken()))
    for version in (V12, V13):
        c = steps(w, version).handshake()
        c.tls.write(request("GET", "/big"))
        c.wire.send(c.outward.read())
        last = [-1]
        until(lambda: (last[0] == w.cpu_s(), last.__setitem__(0, w.cpu_s()),
                       time.sleep(0.2))[0], "it rests")
        other = TlsClient(w.conf.ports["front"])
        ok(ask(other))
        c.wire.send(b"\x17\x03\x03\0\x20" + b"x" * 32)
        w.wait_pool(leased=0)
        ok(ask(other))
        ok(ask(TlsClient(w.conf.ports["front"])))
        c.close()
        other.close()


# ---------------------------------------------------------- leaving, reloads

@case
def drain_ends_handshakes_with_their_first_answer():
    o = HttpOrigin()
    conf = one(o, front=spoken("max_handshakes = 3;"))
    conf.drain_timeout = "20s"
    w = Weir(conf)
    silent, hello, done = [steps(w) for _ in range(3)]
    until(lambda: tls_of(w)["handshaking"] == 3, "three in it")
    waits = steps(w)
    until(lambda: tls_of(w)["waiting"] == 1, "one waits")
    flight = half_way(hello)
    done.handshake()
    until(lambda: tls_of(w)["handshaking"] == 3, "another's turn")
    w.signal(15)
    w.wait_log("drain")
    hello.wire.send(flight)
    hello._do(lambda: hello.tls.do_handshake() or True)
    for c in (hello, done):
        c.tls.write(request())
        c.wire.send(c.outward.read())
        eq(c.read_line(), "HTTP/1.1 200 Fine\r", "answer")
        fields = []
        while fields[-1:] != ["\r"]:
            fields.append(c.read_line())
        check("Connection: close\r" in fields, "%r" % fields)
        c.close()
    silent.close()
    waits.close()
    eq(w.exited(), 0, "exit status")


@case
def reloads_do_not_touch_handshakes():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken()))
    for version in (V12, V13):
        c = steps(w, version)
        c.wire.send(c.hello[:50])
        w.reload()
        c.hello = c.hello[50:]
        flight = half_way(c)
        w.conf.listener("front", extra=spoken('min_version = "1.3";'))
        w.write()
        w.reload()
        c.wire.send(flight)
        c._do(lambda c=c: c.tls.do_handshake() or True)
        c.tls.write(request())
        c.wire.send(c.outward.read())
        eq(c.read_line(), "HTTP/1.1 200 Fine\r", "answer")
        c.close()
        w.conf.listener("front", extra=spoken())
        w.write()
        w.reload()
    eq(counted(w), (2, {}), "handshakes")
    eq(w.failures(), {}, "failures")
    w.balanced(o)


@case
def handshakes_are_counted_whole_and_resumed():
    o = HttpOrigin()
    w = Weir(one(o, front=spoken()))
    for version in (V12, V13):
        ctx = client_context(version=version)
        c = TlsClient(w.conf.ports["front"], ctx)
        ok(ask(c))
        again = TlsClient(w.conf.ports["front"], ctx, session=c.sock.session)
        ok(ask(again))
        check(again.sock.session_reused, "resumed")
    tls = tls_of(w)
    eq((tls["handshakes_total"], tls["resumed_total"]), (4, 2), "handshakes")
    metrics = w.metrics()
    for kind, n in (("full", 2), ("resumed", 2)):
        check('weir_tls_handshakes_total{listener="front",kind="%s"} %d\n' % (
            kind, n) in metrics, "metrics")


@case
def who_comes_with_a_ticket_is_given_the_next():
    """RFC 8446 C.4: with TLS 1.3 clients use each once."""
    o = HttpOrigin()
    w = Weir(one(o, front=spoken()))
    ctx, session, seen = client_context(version=V13), None, set()
    for n in range(6):
        c = TlsClient(w.conf.ports["front"], ctx, session=session)
        ok(ask(c))
        eq(c.sock.session_reused, n > 0, "resumed")
        session = c.sock.session
        check(session.id not in seen, "the same ticket again")
        seen.add(session.id)
        c.close()


@case
def hello_alone_many_times_costs_no_descriptor():
    o = HttpOrigin()
    w = Weir(one(o, workers=2, front=spoken("max_handshakes = 8;")))
    for _ in range(10):
        crowd = [Client(w.conf.ports["front"]).send(hello_of("a.test"))
                 for _ in range(40)]
        for c in crowd:
            c.close()
    w.balanced(o)
    ok(ask(TlsClient(w.conf.ports["front"])))


if __name__ == "__main__":
    run()
