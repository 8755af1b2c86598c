"""Unix sockets and IPv6 on both sides, several binds of one listener, socket
files left behind, and addresses that somebody else has.
"""
# SPDX-License-Identifier: MIT
import os
import socket
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, put, run, temp_dir, until
from origin import Origin, echo
from weir import Conf, Weir, listening, one
from web import HttpOrigin, ask, ok, once
from wire import Client


def unix_front(o, path, more="", kind="http"):
    return Conf().listener("front", protocol=kind, bind='{ address = '
                           '"unix:%s"; %s }' % (path, more)) \
        .upstream("back", o)


@case
def unix_sockets_on_both_sides():
    o = HttpOrigin(kind="unix")
    path = os.path.join(temp_dir(), "front.sock")
    w = Weir(unix_front(o, path, 'mode = "0640";'))
    c = Client("unix:" + path)
    for nth in (1, 2, 3):
        r = ok(ask(c))
        eq((r.conn, r.nth), (1, nth), "who served")
    eq(stat.S_IMODE(os.stat(path).st_mode), 0o640, "mode")
    o.had(1)
    eq(w.listener()["bind"], ["unix:" + path], "/stats")
    c.close()
    w.balanced(o)
    w.stop()
    check(not os.path.exists(path), "the socket file stays behind")


@case
def unix_socket_with_two_workers():
    o = HttpOrigin()
    path = os.path.join(temp_dir(), "two.sock")
    conf = unix_front(o, path)
    conf.workers = 2
    w = Weir(conf)
    clients = [Client("unix:" + path) for _ in range(10)]
    for c in clients:
        ok(ask(c))
        c.close()
    check(o.accepted <= 2, "upstream connections: %d" % o.accepted)
    w.balanced(o)


@case
def tcp_over_unix_sockets_both_ways():
    o = Origin(echo, kind="unix")
    path = os.path.join(temp_dir(), "raw.sock")
    w = Weir(unix_front(o, path, kind="tcp"))
    c = Client("unix:" + path).send("hello").shut()
    eq(c.read_to_end(), b"hello", "echo after half-close")
    o.had(1)


@case
def stale_socket_file_is_replaced():
    o = HttpOrigin()
    path = os.path.join(temp_dir(), "stale.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    check(os.path.exists(path), "setting up")
    w = Weir(unix_front(o, path))
    ok(once("unix:" + path))
    o.had(1)


@case
def live_socket_file_is_an_error():
    o = HttpOrigin()
    owner = Origin(echo, kind="unix")
    w = Weir(unix_front(o, owner.path), wait=False)
    check(w.exited() != 0, "it started")
    check(owner.path in w.log(), "not named: " + w.log())
    c = Client(owner.address).send("x")
    eq(c.read_exact(1), b"x", "the live one still serves")
    o.had(0)


@case
def file_that_is_no_socket_is_an_error_and_stays():
    o = HttpOrigin()
    path = put("precious.sock", "text")
    w = Weir(unix_front(o, path), wait=False)
    check(w.exited() != 0, "it started")
    with open(path) as f:
        eq(f.read(), "text", "the file")


@case
def ipv6_on_both_sides():
    o = HttpOrigin(kind="tcp6")
    number = port()
    w = Weir(Conf().listener("front", bind='"[::1]:%d"' % number)
             .upstream("back", o))
    until(lambda: listening(number), "listening")
    r = ok(once(("::1", number)))
    eq((r.conn, o.accepted), (1, 1), "upstream connections")
    eq(o.seen[0].get("X-Forwarded-For"), "::1", "X-Forwarded-For")
    w.balanced(o)


@case
def several_binds_of_one_listener():
    o = HttpOrigin()
    a, b = port(), port()
    path = os.path.join(temp_dir(), "third.sock")
    w = Weir(Conf().listener("front", bind='( "127.0.0.1:%d", "[::1]:%d", '
                             '"unix:%s" )' % (a, b, path))
             .upstream("back", o))
    until(lambda: listening(a) and listening(b), "listening")
    for address in (a, ("::1", b), "unix:" + path):
        ok(once(address))
    o.had(1)
    eq(w.listener()["connections"]["accepted_total"], 3, "accepted")


@case
def a_name_is_resolved():
    o = HttpOrigin()
    w = Weir(one('"localhost:%d"' % o.number))
    def served():
        return once(w.conf.ports["front"]).status == 200
    until(served, "localhost resolves")
    o.had(1)
    e, = w.upstream()["endpoints"]
    eq(e["name"], "localhost:%d" % o.number, "name")
    check(e["resolved"].startswith(("127.", "[::1]")), "resolved: %r" % e)


@case
def a_name_that_does_not_resolve_does_not_stop_a_start():
    o = HttpOrigin()
    w = Weir(one('"no-such-host.invalid:80"', up="").upstream("other", o)
             .listener("second", "other"))
    ok(once(w.conf.ports["second"]))
    r = once(w.conf.ports["front"])
    check(r.status in (502, 503), "status %d" % r.status)
    o.had(1)
    status, body = w.get("/readyz")
    check(status == 503 and "back" in body, "/readyz: %d %s" % (status, body))


@case
def what_keeps_a_pool_from_being_warm_is_named():
    number = port()
    w = Weir(one('"127.0.0.1:%d"' % number, pool="min_idle = 2;"))
    until(lambda: w.get("/readyz") == (
        503, "not ready: upstream back: 0 of 2 connections are open "
        "(127.0.0.1:%d: Connection refused)\n" % number), "the reason")


@case
def second_weir_on_the_same_address_fails():
    o = HttpOrigin()
    for workers in (1, 2):
        first = Weir(one(o, workers=workers))
        second = one(o, workers=workers)
        second.listener("front", bind='"127.0.0.1:%d"' %
                        first.conf.ports["front"])
        w = Weir(second, wait=False)
        check(w.exited() not in (0, None), "it started")
        check(str(first.conf.ports["front"]) in w.log() and
              "in use" in w.log().lower(), "unclear: " + w.log())
        for _ in range(4):
            ok(once(first.conf.ports["front"]))
    eq(o.accepted <= 4, True, "upstream connections")


run()
