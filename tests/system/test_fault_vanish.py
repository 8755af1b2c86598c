"""A peer is gone without FIN or RST and its connection stays half-open: found
out when it is used, or when its time is over; never waited for without end.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, run, until
from origin import Origin, echo
from vanish import permitted, vanish
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once, refused, request
from wire import Client

SHORT = "%dms" % (400 * SLOW)


def first_holds(links):
    """The first connection's thread sleeps after its answer, so that nobody
    reads there when it vanishes; others serve on."""
    def handler(q, link):
        links[link.number] = link
        link.send(answer(q, "here"))
        if link.number == 1:
            link.hold()
            return False
        return None
    return handler


@case
def idle_server_that_vanished_is_found_by_the_next_request():
    permitted()
    for method, body in (("GET", None), ("POST", b"pay"), ("POST", b"")):
        links = {}
        o = HttpOrigin(first_holds(links))
        w = Weir(one(o, pool="max = 4;"))
        ok(once(w.conf.ports["front"]))
        w.wait_pool(idle=1, leased=0)
        vanish(links[1].sock)
        r = once(w.conf.ports["front"], method, "/next", body=body)
        if method == "GET":         # once more, on a fresh connection
            eq((ok(r).conn, w.upstream()["retries_total"]), (2, 1), "GET")
        else:                       # might have run
            refused(r, 502, "upstream_")
            eq(w.upstream()["retries_total"], 0, "retries of the POST")
            eq([q.method for q in o.seen], ["GET"], "requests upstream")
            eq(ok(once(w.conf.ports["front"])).conn, 2, "who served then")
        eq(w.upstream()["connects_total"], 2, "upstream connections")
        # Its script has nobody to talk to any more.
        o.ending.set()
        until(lambda: o.open <= 1, "the script of the vanished one ends")
        w.balanced()


@case
def server_that_vanishes_while_it_owes_the_answer():
    permitted()
    def handler(q, link):
        if q.path == "/":
            return answer(q)
        if q.path == "/half":
            link.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        vanish(link.sock)
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o, up='timeouts = { response = "%s"; stall = "%s"; };' % (
        SHORT, SHORT)))
    c = Client(w.conf.ports["front"])
    refused(ask(c, target="/none"), 504, "response_timeout")
    c.close()
    c = Client(w.conf.ports["front"]).send(request(target="/half"))
    got = c.read_to_end()
    check(got.endswith(b"\r\n\r\nhalf"), repr(got))
    c.close()
    eq(w.failures(), {"response_timeout": 1, "stalled": 1}, "failures")
    w.wait_pool(open=0)
    ok(once(w.conf.ports["front"]))
    w.balanced(o)


@case
def client_that_vanishes_before_its_answer():
    permitted()
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/late":
            gate.wait(3 * WAIT)
        return answer(q, "x" * 300)
    o = HttpOrigin(handler)
    w = Weir(one(o, pool="max = 1;"))
    c = Client(w.conf.ports["front"]).send(request(target="/late"))
    until(lambda: o.requests == 1, "the request upstream")
    vanish(c.sock)
    gate.set()
    # Its answer is written to nobody; the next one gets only his own.
    for _ in range(3):
        eq(len(ok(once(w.conf.ports["front"])).body), 300, "body")
    w.balanced(o)
    check(o.accepted <= 2, "upstream connections: %d" % o.accepted)


@case
def client_that_vanishes_while_it_reads_a_large_answer():
    permitted()

    def handler(q, link):
        if q.path == "/large":
            return answer(q, b"y" * (64 << 20))
        return answer(q)
    o = HttpOrigin(handler)
    w = Weir(one(o, pool="max = 1;",
                 up='timeouts = { stall = "%s"; };' % SHORT))
    c = Client(w.conf.ports["front"], rcvbuf=32768)
    c.send(request(target="/large"))
    c.read_exact(100000)
    vanish(c.sock)
    # Either the kernel says so, or the stall does.
    w.wait_pool(leased=0)
    ok(once(w.conf.ports["front"]))
    w.balanced(o)


@case
def raw_session_whose_server_vanished():
    permitted()

    def script(link):
        link.read_exact(4)
        link.send("pong")
        vanish(link.sock)
    o = Origin(script)
    w = Weir(one(o, protocol="tcp",
                 up='timeouts = { tunnel = "%s"; };' % SHORT))
    # One that is silent: its time is over some time.
    c = Client(w.conf.ports["front"]).send("ping")
    eq(c.read_exact(4), b"pong", "answer")
    eq(c.read_to_end(), b"", "nothing more")
    eq(w.failures(), {"tunnel_timeout": 1}, "failures")
    # One that speaks finds out at once.
    c = Client(w.conf.ports["front"]).send("ping")
    eq(c.read_exact(4), b"pong", "answer")
    try:
        while c.more(0.01) or not c.ended:
            c.send("more")
    except OSError:
        pass
    w.balanced(o)


@case
def raw_session_whose_client_vanished():
    permitted()
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp",
                 up='timeouts = { tunnel = "%s"; };' % SHORT))
    c = Client(w.conf.ports["front"]).send("ping")
    eq(c.read_exact(4), b"ping", "echo")
    vanish(c.sock)
    w.balanced(o)
    o.had(1)


run()
