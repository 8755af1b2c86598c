"""timeouts.total ends an exchange wherever it is: in a queue, a pause, a body,
a tunnel; other deadlines are renewed by single bytes, or are not, as they say.
"""
# SPDX-License-Identifier: MIT
import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, port, run, temp_dir, until
from origin import Origin, until_end
from weir import Weir, one
from web import (HttpOrigin, answer, ask, ok, read_request_body,
                 read_response, refused, request)
from wire import Client

# The limit in question, a pause far below it; all others are out of the way.
MS = int(500 * SLOW)
PAUSE = MS / 1000 / 10
OTHERS = 'response = "1h"; stall = "1h"; tunnel = "1h"; connect = "1h";'
TOTAL = 'timeouts = { total = "%dms"; %s };' % (MS, OTHERS)
NO_TOTAL = 'timeouts = { %s };' % OTHERS
PATIENT = 'timeouts = { body = "1h"; idle = "1h"; header = "1h"; };'
QUEUE = 'max = 1; queue_timeout = "1h";'


def front(w):
    return Client(w.conf.ports["front"])


def drip(wire, data=b"x" * 100000, seconds=None):
    """A byte each pause, for so long or until the peer speaks or ends."""
    end = time.monotonic() + (seconds or 3600)
    sent = 0
    for byte in data:
        if time.monotonic() > end or \
                select.select([wire.sock], [], [], PAUSE)[0]:
            break
        try:
            wire.send(bytes([byte]))
        except OSError:
            break
        sent += 1
        check(sent < 4000, "it goes on for ever")
    return sent


def is_over(w, o, n=1, name="total_timeout"):
    """All counted under that name alone, and nothing is left of them."""
    eq(w.failures(), {name: n}, "failures")
    w.balanced(o)


def silent(q, link):
    """Answers / and lets others wait until .go."""
    if q.path != "/":
        until(lambda: link.origin.go or link.origin.ending.is_set(), "",
              60 * SLOW)
    return answer(q, "late")


def silent_origin():
    o = HttpOrigin(silent)
    o.go = False
    return o


class Clock:
    """The least that something must have taken since this was made."""

    def __init__(self):
        self.begin = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.begin
        # weir's time is that of its loop turn: a little earlier.
        check(kind or took > MS / 1000 * 0.9, "after %.3f s" % took)


# ----------------------------------------------------------- while it waits

def occupied(w, o):
    """The only place is taken under a file without total; then with."""
    w.wait_pool(leased=1)
    w.conf.upstream("back", o, pool=QUEUE, extra=TOTAL)
    w.write()
    w.reload()


@case
def total_ends_the_wait_in_the_queue():
    o = silent_origin()
    w = Weir(one(o, up=NO_TOTAL, pool=QUEUE, front=PATIENT))
    holder = front(w).send(request(target="/hold"))
    occupied(w, o)
    for method, body in (("GET", None), ("POST", b"pay" * 10000)):
        c = front(w)
        with Clock():
            refused(ask(c, method, "/queued", body=body), 504,
                    "total_timeout")
        c.close()
    eq(w.pool()["waiting"], 0, "waiting")
    # Who began without one is not cut.
    o.go = True
    ok(read_response(holder))
    eq([q.target for q in o.seen], ["/hold"], "requests upstream")
    o.had(1)
    holder.close()
    is_over(w, o, 2)


@case
def raw_session_in_the_queue_ends_unheard():
    o = Origin(until_end)
    w = Weir(one(o, protocol="tcp", up=NO_TOTAL, pool=QUEUE))
    holder = front(w).send("hello")
    occupied(w, o)
    clock = Clock()
    c = front(w).send("heard?")
    with clock:
        eq(c.read_to_end(), b"", "what it is told")
    eq((o.accepted, o.received), (1, 5), "what the server has heard")
    holder.send("more")
    until(lambda: o.received == 9, "the holder goes on")
    holder.close()
    is_over(w, o)


@case
def total_ends_the_pause_before_a_retry():
    retry = 'retry = { max_retries = 3; backoff = "1h"; max_backoff = "1h"; };'
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, up=TOTAL + retry, front=PATIENT))
    c = front(w)
    # Its connection goes on when it has said all that it had to say.
    for n, (method, body) in enumerate((("GET", None), ("GET", None),
                                        ("POST", b"pay"))):
        with Clock():
            refused(ask(c, method, body=body), 504, "total_timeout")
        eq(w.upstream()["retries_total"], n + 1, "retries_total")
    eq(c.read_to_end(), b"", "a body that was not taken is not read on")
    is_over(w, o, 3)
    eq(o.accepted, 0, "connections")


@case
def total_ends_the_wait_for_a_turn():
    o = HttpOrigin()
    w = Weir(one(o, up=TOTAL + 'limits = { request_rate = { rate = "1/h"; '
                 'burst = 1; wait = "1h"; }; };'))
    c = front(w)
    ok(ask(c))
    # The second turn is an hour away: within wait, but not within total.
    with Clock():
        refused(ask(c), 504, "total_timeout")
    eq(o.requests, 1, "requests upstream")
    c.close()
    is_over(w, o)


@case
def total_ends_the_wait_for_a_connect():
    with socket.create_server(("127.0.0.1", port()), backlog=0) as full:
        filler = [socket.socket() for _ in range(8)]
        for s in filler:
            s.setblocking(False)
            s.connect_ex(full.getsockname())
        w = Weir(one(full.getsockname()[1], up=TOTAL))
        c = front(w)
        with Clock():
            refused(ask(c), 504, "total_timeout")
        eq(w.failures(), {"total_timeout": 1}, "failures")
        w.wait_pool(waiting=0, leased=0)
        for s in filler:
            s.close()


# -------------------------------------------------------------- while it runs

@case
def total_ends_a_request_whose_body_drips():
    for framing in (("Content-Length", "100000"),
                    ("Transfer-Encoding", "chunked")):
        o = HttpOrigin()
        w = Weir(one(o, up=TOTAL, front=PATIENT))
        c = front(w)
        data = b"x" * 100000 if framing[1] != "chunked" else b"1\r\nx\r\n" * 999
        with Clock():
            drip(c.send(request("POST", "/", [framing])), data)
        refused(read_response(c, "POST"), 504, "total_timeout")
        # What else it sends is not read as a request.
        try:
            c.send(request())
            eq(c.read_to_end(), b"", "behind it")
        except OSError:
            pass
        c.close()
        eq(o.requests, 0, "whole requests upstream")
        is_over(w, o)


@case
def total_ends_a_request_whose_body_does_not_come():
    o = HttpOrigin()
    w = Weir(one(o, up=TOTAL, front=PATIENT))
    clock = Clock()
    c = front(w).send(request("POST", "/", [("Content-Length", "9")]) + b"half")
    with clock:
        refused(read_response(c, "POST"), 504, "total_timeout")
    eq(c.read_to_end(), b"", "behind it")
    eq(o.requests, 0, "whole requests upstream")
    is_over(w, o)


@case
def total_ends_it_before_the_head_of_the_answer():
    o = silent_origin()
    w = Weir(one(o, up=TOTAL))
    c = front(w)
    for n in range(2):
        with Clock():
            refused(ask(c, target="/never"), 504, "total_timeout")
    # It is the upstream's connection that is lost, not the client's.
    o.go = True
    ok(ask(c))
    eq((o.accepted, w.upstream()["connects_total"]), (3, 3), "connections")
    c.close()
    is_over(w, o, 2)


CUT = (
    # What the server says before it drips, the client's version, and how the
    # client sees that this was not all.
    ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 1, "short"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 0, "short"),
    ("HTTP/1.1 200 OK\r\n\r\n", 1, "no last chunk"),
    ("HTTP/1.1 200 OK\r\n\r\n", 0, "rst"),
)


@case
def total_ends_an_answer_so_that_the_client_sees_it():
    for start, minor, sign in CUT:
        def handler(q, link):
            link.send(start)
            drip(link)
            return False
        o = HttpOrigin(handler)
        w = Weir(one(o, up=TOTAL))
        clock = Clock()
        c = front(w).send(request(minor=minor))
        with clock:
            got = c.read_to_end()
        check(got.startswith(b"HTTP/1.1 200") and b"xx" in got.replace(
            b"\r\n1\r\n", b""), "what came: %r" % got)
        if sign == "short":
            check(b"\r\nContent-Length: 100000\r\n" in got and
                  len(got) < 50000, "it looks whole: %r" % got)
        elif sign == "no last chunk":
            check(b"\r\nTransfer-Encoding: chunked\r\n" in got and
                  not got.endswith(b"0\r\n\r\n"), "it looks whole: %r" % got)
        else:
            eq(c.ended, "rst", "the end of what only the end ends")
        c.close()
        is_over(w, o)


@case
def total_ends_an_answer_that_the_client_does_not_take():
    """Also then a client finds out: what is on its way to it is thrown away."""
    body = b"y" * (32 << 20)
    o = HttpOrigin(lambda q, link: answer(q, body))
    w = Weir(one(o, up=TOTAL))
    c = Client(w.conf.ports["front"], rcvbuf=8192).send(request())
    until(lambda: w.failures(), "the end")
    try:
        got = c.read_to_end()
    except ConnectionError:
        got = b""
    check(len(got) < len(body), "it looks whole")
    eq(c.ended, "rst", "the end")
    is_over(w, o)


@case
def total_ends_tunnels_with_a_cut():
    """Bytes pass in both directions all the time; no pause is a reason."""
    for protocol in ("tcp", "http"):
        ends = []

        def chat(link):
            drip_both(link)
            ends.append(link.ended)

        def handler(q, link):
            link.send("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n"
                      "Connection: upgrade\r\n\r\n")
            chat(link)
            return False
        o = Origin(chat) if protocol == "tcp" else HttpOrigin(handler)
        w = Weir(one(o, protocol=protocol, up=TOTAL))
        c = front(w)
        with Clock():
            if protocol == "http":
                c.send(request(fields=[("Upgrade", "x"),
                                       ("Connection", "upgrade")]))
                eq(read_response(c, body=False).status, 101, "status")
            got = drip_both(c)
        check(got > 2, "nothing passed")
        eq(c.ended, "rst", "what the client sees")
        until(lambda: ends, "the server's end")
        eq(ends, ["rst"], "what the server sees")
        is_over(w, o)


def drip_both(wire):
    """Send a byte each pause and read what comes until the peer ends; how
    many bytes came."""
    while wire.ended is None:
        try:
            wire.send("x")
        except ConnectionResetError:
            wire.ended = "rst"          # told once, here or when reading
            break
        if select.select([wire.sock], [], [], PAUSE)[0]:
            wire.more()
            time.sleep(PAUSE)
        check(wire.received < 4000, "it goes on for ever")
    return wire.received


@case
def total_is_each_exchanges_own():
    """A connection lives for longer than total: in exchanges, and between."""
    o = HttpOrigin()
    most = 1500 * SLOW / 1000
    w = Weir(one(o, up='timeouts = { total = "%dms"; };' % (most * 1000),
                 front=PATIENT))
    c = front(w)
    begin = time.monotonic()
    ok(ask(c))
    while time.monotonic() - begin < most * 1.2:
        check(not select.select([c.sock], [], [], most / 4)[0], "cut off")
    ok(ask(c))
    eq(o.requests, 2, "requests")
    eq(w.failures(), {}, "failures")


# --------------------------------------------------------------- other clocks

@case
def clients_clock_stands_while_weir_keeps_it_waiting():
    """The body has come; that it cannot go on is not the client's fault."""
    retry = 'retry = { backoff = "%dms"; max_backoff = "%dms"; };' % (
        4 * MS, 4 * MS)
    body = 'timeouts = { body = "%dms"; };' % MS
    o = silent_origin()
    w = Weir(one(o, up=NO_TOTAL, pool=QUEUE, front=body))
    holder = front(w).send(request(target="/hold"))
    w.wait_pool(leased=1)
    c = front(w).send(request("POST", "/", body=b"all of it"))
    w.wait_pool(waiting=1)
    check(not select.select([c.sock], [], [], 2 * MS / 1000)[0],
          "refused in the queue: %r" % (c.at_end() or bytes(c.buf)))
    o.go = True
    ok(read_response(holder))
    ok(read_response(c, "POST"))
    eq(o.seen[-1].body, b"all of it", "body upstream")
    for client in (holder, c):
        client.close()
    w.balanced(o)

    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, up=retry, front=body))
    c = front(w).send(request("POST", "/", body=b"all of it"))
    until(lambda: w.upstream()["retries_total"] == 1, "a failed attempt")
    o.listen()
    ok(read_response(c, "POST"))
    eq(o.seen[-1].body, b"all of it", "body upstream")
    c.close()
    w.balanced(o)


@case
def half_a_body_meets_its_deadline_when_it_can_go_on():
    """Having waited it is not let off: from then on the clock runs."""
    o = silent_origin()
    w = Weir(one(o, up=NO_TOTAL, pool=QUEUE,
                 front='timeouts = { body = "%dms"; };' % MS))
    holder = front(w).send(request(target="/hold"))
    w.wait_pool(leased=1)
    c = front(w).send(request("POST", "/", [("Content-Length", "9")]) + b"half")
    w.wait_pool(waiting=1)
    o.go = True
    ok(read_response(holder))
    refused(read_response(c, "POST"), 408, "body_timeout")
    eq(c.read_to_end(), b"", "behind it")
    holder.close()
    is_over(w, o, name="body_timeout")


@case
def upgrade_lives_on_drops_and_ends_in_silence():
    for speaker in ("client", "server"):
        ends = []

        def handler(q, link):
            link.send("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n"
                      "Connection: upgrade\r\n\r\n")
            link.read_exact(1)
            if speaker == "server":
                drip(link, b"s" * 20)
            before = link.received
            link.read_to_end()
            ends.append(link.received - before)
            return False
        o = HttpOrigin(handler)
        w = Weir(one(o, up='timeouts = { tunnel = "%dms"; };' % MS))
        c = front(w).send(request(fields=[("Upgrade", "x"),
                                          ("Connection", "upgrade")]))
        eq(read_response(c, body=False).status, 101, "status")
        c.send("c")
        if speaker == "client":
            drip(c, b"c" * 20)
        with Clock():
            got = c.read_to_end()
        eq(got, b"" if speaker == "client" else b"s" * 20, "what came")
        until(lambda: ends, "the server's end")
        eq(ends, [20 if speaker == "client" else 0], "what went")
        is_over(w, o, name="tunnel_timeout")


@case
def raw_sessions_idle_time_is_renewed_by_drops():
    """Of either side; whether the listener or the upstream sets it."""
    for speaker in ("client", "server"):
        def script(link):
            link.read_exact(1)
            if speaker == "server":
                drip(link, b"s" * 20)
            link.read_to_end()
        o = Origin(script)
        w = Weir(one(o, protocol="tcp", up=NO_TOTAL,
                     front='timeouts = { idle = "%dms"; };' % MS))
        c = front(w).send("c")
        if speaker == "client":
            drip(c, b"c" * 20)
        got = c.read_to_end()
        eq(got, b"" if speaker == "client" else b"s" * 20, "what came")
        is_over(w, o, name="idle_timeout")


def on_unix(o, **others):
    """weir on a Unix socket, where the kernel holds little; and its path."""
    conf = one(o, **others)
    path = "unix:" + os.path.join(temp_dir(), "t%d.sock" % conf.admin_port)
    conf.listener("front", bind='( "127.0.0.1:%d", "%s" )' % (
        conf.ports["front"], path), extra=others.get("front", ""))
    return Weir(conf), path


def take_slowly(wires, seconds, size=32768):
    """From each of them some at a time, for so long. The kernel of a Unix
    socket says that there is room again after 160 KB; in MS it has twice."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for wire in wires:
            if not wire.ended and select.select([wire.sock], [], [], 0)[0]:
                got = wire.sock.recv(size)
                wire.ended = None if got else "fin"
                wire.buf += got
        time.sleep(PAUSE)


# Of some of these the kernel has all, of some weir has the end.
SIZES = range(100000, 700000, 20000)


def sized(q, link):
    return answer(q, b"b" * int(q.path[1:]))


@case
def server_that_takes_a_body_slowly_is_not_stalled():
    """stall is a pause: whoever takes on and on has none."""
    def handler(q, link):
        take_slowly([link], 4 * MS / 1000)
        read_request_body(link, q)
        return answer(q, "all")
    o = HttpOrigin(handler, bodies=False, kind="unix")
    w = Weir(one(o, up='timeouts = { stall = "%dms"; response = "1h"; };' % MS,
                 front=PATIENT))
    c = front(w)
    c.limit = 60 * SLOW
    r = ask(c, "POST", "/", body=b"z" * (2 << 20))
    eq(ok(r).body, b"all", "the answer")
    eq(len(o.seen[0].body), 2 << 20, "body upstream")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def client_that_takes_a_body_slowly_is_not_stalled():
    o = HttpOrigin(sized, kind="unix")
    w, path = on_unix(o, up='timeouts = { stall = "%dms"; };' % MS)
    c = Client(path).send(request(target="/3000000"))
    take_slowly([c], 4 * MS / 1000)
    eq(len(ok(read_response(c)).body), 3000000, "the answer's length")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced(o)


@case
def client_that_takes_the_end_slowly_is_not_idle():
    """The exchange is over when weir has the answer; not for the client."""
    o = HttpOrigin(sized, kind="unix")
    w, path = on_unix(o, front='timeouts = { idle = "%dms"; };' % MS)
    clients = [Client(path).send(request(target="/%d" % n)) for n in SIZES]
    take_slowly(clients, 4 * MS / 1000)
    for n, c in zip(SIZES, clients):
        eq(len(ok(read_response(c)).body), n, "the answer's length")
    for c in clients:
        eq(c.read_to_end(), b"", "and then it is idle")
    eq(w.failures(), {"idle_timeout": len(SIZES)}, "failures")
    w.balanced(o)


@case
def client_that_said_more_has_time_for_its_answer():
    """Many add an empty line. The two seconds that weir reads on for begin
    when all of the answer is out."""
    o = HttpOrigin(sized, kind="unix")
    w, path = on_unix(o)
    clients = [Client(path).send(request(
        target="/%d" % n, fields=[("Connection", "close")]) + b"\r\n")
        for n in SIZES]
    take_slowly(clients, 3, 1000)
    for n, c in zip(SIZES, clients):
        eq(len(ok(read_response(c)).body), n, "the answer's length")
        eq(c.read_to_end(), b"", "behind it")
        c.close()
    eq(w.failures(), {}, "failures")
    w.balanced(o)


run()
