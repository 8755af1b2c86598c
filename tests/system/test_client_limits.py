"""Who a client is to the limits: an address, or what a trusted sender's header
says; which networks may come in at all; and how many bytes each may move.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, port, run, until
from origin import Origin, echo, until_end
from senders import From, limited, limited_at_accept, statuses, turned_away
from weir import Conf, Weir, one
from web import HttpOrigin, answer, ask, ok, read_response, request
from wire import Client

FEW = 'rate = "10/h"; burst = %d;'
XFF = 'client = "header:X-Forwarded-For";'


def by_header(burst, trusted='"127.0.0.0/8"', client=XFF, more=""):
    return "limits = { request_rate_per_client = { %s }; %s }; " \
        "http = { trusted = ( %s ); }; %s" % (FEW % burst, client, trusted,
                                              more)


def counted(w, which="limited_total"):
    return {k: v for k, v in w.listener()[which].items() if v}


def front(w):
    return Client(w.conf.ports["front"])


def told(c, *values, name="X-Forwarded-For"):
    """Status of a request with that field, a line for each value."""
    return ask(c, fields=[(name, v) for v in values]).status


# --------------------------------------------------------------------- header

@case
def right_most_address_that_is_not_trusted_is_the_client():
    o = HttpOrigin()
    w = Weir(one(o, front=by_header(5)))
    c = front(w)
    # The same client, however it is written down and whoever passed it on.
    same = [("1.1.1.1",), ("9.9.9.9, 1.1.1.1",), ("1.1.1.1, 127.0.0.9",),
            ("8.8.8.8", "1.1.1.1"), ("1.1.1.1:4711,127.0.0.1 , 127.0.0.2",)]
    for values in same:
        eq(told(c, *values), 200, "%r" % (values,))
    for values in same + [("::ffff:1.1.1.1",), ("1.1.1.1 ",),
                          ("2.2.2.2,1.1.1.1",), ("1.1.1.1,,127.0.0.1",),
                          ("2.2.2.2", "1.1.1.1", "127.0.0.1")]:
        eq(told(c, *values), 429, "%r" % (values,))
    # Others are others.
    for values in (("2.2.2.2",), ("1.1.1.1, 2.2.2.2",), ("1.1.1.2",),
                   ("1.1.1.1", "2.2.2.2")):
        eq(told(c, *values), 200, "%r" % (values,))
    eq(counted(w), {"request_rate_per_client": 10}, "limited_total")


@case
def ipv6_client_is_a_64():
    o = HttpOrigin()
    w = Weir(one(o, front=by_header(3)))
    c = front(w)
    for value in ("2001:db8::1", "2001:db8::ffff:1:2:3", "[2001:db8::9]:80"):
        eq(told(c, value), 200, value)
    for value in ("2001:db8::1", "2001:db8:0:0:1::", "[2001:db8::2]",
                  "2001:DB8::7"):
        eq(told(c, value), 429, value)
    for value in ("2001:db8:0:1::1", "2001:db9::1", "::1", "10.0.0.1"):
        eq(told(c, value), 200, value)


@case
def untrusted_sender_is_himself():
    o = HttpOrigin()
    w = Weir(one(o, front=by_header(2, trusted='"127.0.0.2"')))
    number = w.conf.ports["front"]
    c = From("127.0.0.3", number)
    eq([told(c, "5.5.5.%d" % n) for n in range(4)], [200, 200, 429, 429],
       "as many as he likes to invent")
    # Nor can he spend another's.
    proxy = From("127.0.0.2", number)
    eq([told(proxy, "5.5.5.1") for _ in range(3)], [200, 200, 429],
       "of that address")
    eq([told(proxy, "127.0.0.3") for _ in range(2)], [429, 429],
       "the liar through the proxy")


@case
def client_may_not_push_the_blame_to_the_left():
    o = HttpOrigin()
    w = Weir(one(o, front=by_header(2)))
    c = front(w)
    # The proxy in front adds the true one at the end.
    eq([told(c, "6.6.6.%d, 7.7.7.7" % n) for n in range(4)],
       [200, 200, 429, 429], "behind invented ones")
    eq(told(c, "6.6.6.1"), 200, "those are untouched")


@case
def trusted_sender_without_the_field_is_himself():
    o = HttpOrigin()
    w = Weir(one(o, front=by_header(2)))
    number = w.conf.ports["front"]
    for source in ("127.0.0.2", "127.0.0.3"):
        eq(statuses(From(source, number), 3), [200, 200, 429], source)
    eq(told(From("127.0.0.2", number), "1.2.3.4"), 200, "with it")
    eq(told(From("127.0.0.2", number), ""), 429, "empty")


@case
def header_of_another_name_is_a_text():
    o = HttpOrigin()
    w = Weir(one(o, front=by_header(
        2, client='client = "header:X-Api-Key";')))
    c = front(w)
    for key in ("alice", "bob", "1.1.1.1"):
        eq([told(c, key, name="x-api-KEY") for _ in range(3)],
           [200, 200, 429], key)
    eq(told(c, "Alice", name="X-Api-Key"), 200, "case matters")


@case
def flood_of_addresses_resets_nobody_and_costs_no_memory():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, front=by_header(3)))
    c = front(w)
    eq([told(c, "1.1.1.1") for _ in range(4)], [200] * 3 + [429], "mine")
    n = 0

    def flood(count):
        nonlocal n
        for _ in range(count // 500):
            c.send(b"".join(request(fields=[(
                "X-Forwarded-For", "2001:db8:%x:%x::1" % (
                    i >> 16, i & 65535))]) for i in range(n, n + 500)))
            n += 500
            for _ in range(500):
                read_response(c)
            eq(told(c, "1.1.1.1"), 429, "mine, in the flood")
    flood(5000)
    before = w.rss()
    flood(15000)
    grown = w.rss() - before
    # 64 Ki entries of 16 bytes are touched for the first time, no more.
    check(grown < 2 << 20, "grew by %d KiB" % (grown >> 10))
    eq(told(c, "1.1.1.1"), 429, "mine, after it")


# ------------------------------------------------------------- allow and deny

@case
def denied_addresses_are_closed_without_a_byte():
    for protocol, o in (("tcp", Origin(echo)), ("http", HttpOrigin())):
        w = Weir(one(o, protocol=protocol, front='deny = ( "127.0.0.4/30", '
                     '"127.5.0.0/16", "2001:db8::/32" );'))
        number = w.conf.ports["front"]
        for source in ("127.0.0.4", "127.0.0.7", "127.5.6.7"):
            eq(turned_away(From(source, number)), b"", source)
        for source in ("127.0.0.1", "127.0.0.3", "127.0.0.8"):
            c = From(source, number)
            if protocol == "tcp":
                eq(c.send("ping").read_exact(4), b"ping", source)
            else:
                ok(ask(c))
        eq(counted(w), {"denied": 3}, "limited_total")
        eq(w.listener()["connections"]["rejected_total"], 3, "rejected")
        o.had(3 if protocol == "tcp" else 1)


@case
def longest_prefix_decides():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", front='allow = ( "127.0.0.0/16", '
                 '"127.0.5.5", "127.9.0.0/16" ); deny = ( "127.0.5.0/24", '
                 '"127.9.0.0/16" );'))
    number = w.conf.ports["front"]
    for source in ("127.0.0.1", "127.0.4.1", "127.0.5.5"):
        eq(From(source, number).send("ping").read_exact(4), b"ping", source)
    for source in ("127.0.5.4", "127.1.0.1", "127.9.0.1"):
        eq(turned_away(From(source, number)), b"", source)
    eq(counted(w), {"denied": 3}, "limited_total")
    o.had(3)


@case
def reload_changes_who_may_come_in():
    o = HttpOrigin()
    w = Weir(one(o))
    number = w.conf.ports["front"]
    old = From("127.0.0.2", number)
    ok(ask(old))
    w.conf.listener("front", extra='deny = ( "127.0.0.2" );')
    w.write()
    w.reload()
    eq(turned_away(From("127.0.0.2", number)), b"", "denied")
    ok(ask(From("127.0.0.3", number)))
    # Who is in stays in.
    ok(ask(old))
    w.conf.listener("front")
    w.write()
    w.reload()
    ok(ask(From("127.0.0.2", number)))


@case
def ipv6_clients_are_told_apart_from_ipv4():
    o = HttpOrigin()
    number = port()
    w = Weir(Conf().listener("front", bind='"[::1]:%d"' % number, extra=
             "limits = { request_rate_per_client = { %s }; "
             "connections_per_client = 2; }; "
             'allow = ( "::1" );' % (FEW % 2)).upstream("back", o))
    held = [Client(("::1", number)) for _ in range(2)]
    eq(statuses(held[0], 1) + statuses(held[1], 2), [200, 200, 429], "::1")
    limited_at_accept(Client(("::1", number)))
    eq(counted(w), {"request_rate_per_client": 1,
                    "connections_per_client": 1}, "limited_total")


# ------------------------------------------------------------------ bandwidth

RATE = 1 << 20
BURST = 64 << 10
# What one turn may move beyond: a read of 256 KiB for each connection.
TURN = 256 << 10
PACED = 'limits = { bandwidth_per_client = { rate = "1MiB/s"; ' \
    'burst = "64KiB"; }; };'


def least_s(size, connections=1):
    """The least time that so many bytes may take."""
    return (size - BURST - connections * TURN) / RATE


def timed_download(c, size):
    begin = time.monotonic()
    eq(len(ok(ask(c)).body), size, "body")
    return time.monotonic() - begin


@case
def download_is_paced():
    size = 2 << 20
    o = HttpOrigin(lambda q, link: answer(q, bytes(size)))
    w = Weir(one(o, front=PACED))
    c = front(w)
    took = timed_download(c, size)
    check(took > least_s(size), "%d bytes in %.2f s" % (size, took))
    check(counted(w).get("bandwidth_per_client", 0) > 0, "not counted")
    c.close()
    w.balanced(o)


@case
def upload_is_paced():
    size = 2 << 20
    o = Origin(until_end)
    w = Weir(one(o, protocol="tcp", front=PACED))
    c = front(w)
    c.limit = 60 * SLOW
    begin = time.monotonic()
    c.send(bytes(size)).shut()
    until(lambda: o.received == size, "all of it", 60 * SLOW)
    took = time.monotonic() - begin
    check(took > least_s(size), "%d bytes in %.2f s" % (size, took))
    c.close()
    w.balanced(o)


@case
def connections_of_a_client_share_his_bandwidth():
    size = 1 << 20
    o = HttpOrigin(lambda q, link: answer(q, bytes(size)))
    w = Weir(one(o, workers=2, front=PACED))
    number = w.conf.ports["front"]
    begin = time.monotonic()
    crowd = [threading.Thread(target=timed_download, args=(
        From("127.0.0.2", number), size)) for _ in range(3)]
    for t in crowd:
        t.start()
    # Somebody else is not held back: his small burst is there at once.
    other = ask(From("127.0.0.3", number), "HEAD")
    eq(other.status, 200, "another")
    for t in crowd:
        t.join()
    took = time.monotonic() - begin
    check(took > least_s(3 * size, 3), "3 MiB in %.2f s" % took)


@case
def many_connections_at_once_have_no_burst_each():
    size, many = 256 << 10, 16
    o = HttpOrigin(lambda q, link: answer(q, bytes(size)))
    w = Weir(one(o, front=PACED, pool="max = %d;" % many))
    crowd = [front(w) for _ in range(many)]
    begin = time.monotonic()
    for c in crowd:
        c.limit = 60 * SLOW
        c.send(request())
    for c in crowd:
        eq(len(ok(read_response(c)).body), size, "body")
    took = time.monotonic() - begin
    # One may go 16 KiB beyond, and what a turn reads: not each of them.
    check(took > (many * size - BURST - TURN) / RATE, "%.2f s" % took)


SLOW_PACE = 'limits = { bandwidth_per_client = { rate = "64KiB/s"; ' \
    'burst = "64KiB"; }; };'


@case
def held_answer_is_not_cut_by_idle():
    size = 200000
    o = HttpOrigin(lambda q, link: answer(q, bytes(size)))
    w = Weir(one(o, front=SLOW_PACE + ' timeouts = { idle = "300ms"; };'))
    c = front(w)
    c.limit = 60 * SLOW
    eq(len(ok(ask(c)).body), size, "body")
    eq(c.read_to_end(), b"", "and then it is idle")
    eq(w.failures(), {"idle_timeout": 1}, "failures")
    w.balanced(o)


@case
def held_clients_that_have_gone_keep_no_lease():
    o = HttpOrigin(lambda q, link: answer(q, bytes(3 << 20)))
    w = Weir(one(o, pool="max = 40;", front='limits = { '
                 'bandwidth_per_client = { rate = "16KiB/s"; '
                 'burst = "64KiB"; }; };'))
    crowd = [front(w).send(request()) for _ in range(40)]
    until(lambda: w.pool()["leased"] == 40, "all are served")
    until(lambda: counted(w).get("bandwidth_per_client", 0) >= 40,
          "all are held")
    for c in crowd:
        c.rst()
    # In their turns it would take minutes.
    until(lambda: w.pool()["leased"] == 0, "their leases come back")
    w.balanced(o)


@case
def held_session_ends_with_the_drain():
    o = HttpOrigin(lambda q, link: answer(q, bytes(400000)))
    c = one(o, front=SLOW_PACE)
    w = Weir(c)
    client = front(w).send(request())
    until(lambda: w.listener()["requests_total"] == 1 and
          w.pool()["leased"] == 0, "weir has all of the answer")
    w.stop()                    # leaks nothing, says a sanitizer
    client.close()


@case
def shadowed_bandwidth_holds_nobody_back():
    size = 4 << 20
    o = HttpOrigin(lambda q, link: answer(q, bytes(size)))
    w = Weir(one(o, front='limits = { bandwidth_per_client = { rate = '
                 '"16KiB/s"; burst = "64KiB"; shadow = true; }; };'))
    # Held back it would take four minutes.
    took = timed_download(front(w), size)
    check(took < 30 * SLOW, "%.2f s" % took)
    check(counted(w, "shadow_total").get("bandwidth_per_client", 0) > 0,
          "not counted")
    eq(counted(w), {}, "limited_total")


@case
def paced_client_that_leaves_leaves_nothing_behind():
    o = HttpOrigin(lambda q, link: answer(q, bytes(4 << 20)))
    w = Weir(one(o, front=PACED))
    for n in range(6):
        c = From("127.0.0.%d" % (2 + n), w.conf.ports["front"])
        c.send(request())
        c.read_exact(100000)
        if n % 2:
            c.rst()
        else:
            c.close()
    w.balanced()
    check(w.pool()["open"] <= 6, "upstream connections")


run()
