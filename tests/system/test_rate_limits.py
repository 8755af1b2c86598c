"""Rates and numbers of a listener: what is beyond them is refused, with the
time to come again, and counted by the limit's name; nothing of it upstream.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, case, check, eq, run, temp_dir, until
from origin import Origin, echo
from senders import From, limited, limited_at_accept, statuses, turned_away
from weir import Conf, Weir, one
from web import HttpOrigin, ask, ok, once, read_response, request
from wire import Client

NAMES = ["connections", "connections_per_client", "connection_rate",
         "connection_rate_per_client", "request_rate",
         "request_rate_per_client", "bandwidth_per_client", "denied",
         "memory", "descriptors"]
# What comes in while a test runs is less than one: a token in 6 minutes.
FEW = 'rate = "10/h"; burst = %d;'


def limits(text):
    return "limits = { %s };" % text


def few(name, burst, more=""):
    """A limit that allows so many in all."""
    return limits("%s = { %s %s };" % (name, FEW % burst, more))


def counted(w, which="limited_total", name="front"):
    """The listener's counts that are not 0."""
    return {k: v for k, v in w.listener(name)[which].items() if v}


def front(w):
    return Client(w.conf.ports["front"])


# ------------------------------------------------------------------- requests

@case
def requests_beyond_the_rate_are_a_429():
    o = HttpOrigin()
    w = Weir(one(o, front=few("request_rate", 3)))
    c = front(w)
    eq(statuses(c, 3), [200] * 3, "the burst")
    # The connection stays: the client may come again on it.
    for _ in range(4):
        r = ask(c)
        check(300 <= limited(r, most=360) <= 360, "Retry-After")
        eq(r.get("Connection"), None, "Connection")
    limited(once(w.conf.ports["front"]))
    eq(counted(w), {"request_rate": 5}, "limited_total")
    eq(w.failures(), {"limited": 5}, "failures_total")
    s = w.listener()
    eq((s["requests_total"], s["outcomes_total"]["4xx"]), (3, 5), "requests")
    eq((o.accepted, o.requests), (1, 3), "upstream")
    c.close()
    w.balanced(o)


@case
def refused_requests_are_framed_whatever_they_are():
    o = HttpOrigin()
    w = Weir(one(o, front=few("request_rate", 1)))
    c = front(w)
    ok(ask(c))
    r = ask(c, "HEAD")
    eq((r.status, r.body), (429, b""), "HEAD")
    limited(ask(c))
    # A body that nobody reads: it is skipped, or the connection ends.
    limited(ask(c, "POST", body=b"x" * 100000))
    if not c.at_end():
        try:
            limited(ask(c))
        except (Failed, ConnectionError):
            check(c.ended, "out of step after a refused body")
    piped = front(w)
    piped.send(request() * 5)
    for _ in range(5):
        limited(read_response(piped))
    c.close()
    piped.close()
    eq((o.accepted, o.requests), (1, 1), "upstream")
    w.balanced(o)


@case
def rate_comes_back_at_its_pace():
    o = HttpOrigin()
    w = Weir(one(o, front=limits(
        'request_rate = { rate = "20/s"; burst = 4; };')))
    c = front(w)
    begin = time.monotonic()
    got = 0
    while time.monotonic() - begin < 1.5 or got < 8:
        got += ask(c).status == 200
        most = 4 + 20 * (time.monotonic() - begin)
        check(got <= most + 0.5, "%d of at most %.1f" % (got, most))
    eq(o.requests, got, "requests upstream")


@case
def refused_clients_are_let_in_after_the_time_told():
    o = HttpOrigin()
    w = Weir(one(o, front=limits(
        'request_rate = { rate = "1/s"; burst = 1; };')))
    c = front(w)
    begin = time.monotonic()
    ok(ask(c))
    eq(limited(ask(c)), 1, "Retry-After")
    until(lambda: ask(c).status == 200, "the next token")
    took = time.monotonic() - begin
    check(took > 0.9, "a second token after %.3f s" % took)
    o.had(1)


@case
def rate_of_a_client_is_his_own():
    o = HttpOrigin()
    w = Weir(one(o, front=few("request_rate_per_client", 3)))
    number = w.conf.ports["front"]
    for source in ("127.0.0.1", "127.0.0.2", "127.1.2.3"):
        a, b = From(source, number), From(source, number)
        eq(statuses(a, 2) + statuses(b, 3), [200] * 3 + [429] * 2, source)
        limited(ask(a))
    eq(counted(w), {"request_rate_per_client": 9}, "limited_total")
    eq(o.requests, 9, "requests upstream")


@case
def client_beyond_his_own_rate_takes_nothing_from_others():
    o = HttpOrigin()
    w = Weir(one(o, front=limits(
        "request_rate = { %s }; request_rate_per_client = { %s };" % (
            FEW % 5, FEW % 2))))
    number = w.conf.ports["front"]
    eq(statuses(From("127.0.0.2", number), 20), [200] * 2 + [429] * 18, "2")
    eq(statuses(From("127.0.0.3", number), 2), [200] * 2, "3")
    eq(statuses(From("127.0.0.4", number), 2), [200, 429], "4")
    eq(counted(w), {"request_rate_per_client": 18, "request_rate": 1},
       "limited_total")


@case
def workers_share_a_bucket():
    o = HttpOrigin()
    w = Weir(one(o, workers=2, front=limits(
        "request_rate = { %s }; request_rate_per_client = { %s };" % (
            FEW % 100, FEW % 30))))
    number = w.conf.ports["front"]
    got = {}

    def ask_much(source):
        for _ in range(6):
            c = From(source, number)
            got[source] = got.get(source, 0) + statuses(c, 10).count(200)
            c.close()
    crowd = [threading.Thread(target=ask_much, args=("127.0.0.%d" % n,))
             for n in range(2, 7)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    eq(sum(got.values()), 100, "granted in all: %r" % got)
    check(max(got.values()) <= 30, "granted to each: %r" % got)
    eq(o.requests, 100, "requests upstream")
    w.balanced(o)


@case
def client_of_a_unix_socket_has_no_limit_of_his_own():
    o = HttpOrigin()
    path = os.path.join(temp_dir(), "limits.sock")
    w = Weir(Conf().listener(
        "front", bind='"unix:%s"' % path, extra=limits(
            "request_rate_per_client = { %s }; connections_per_client = 1; "
            "connection_rate_per_client = { %s }; request_rate = { %s };" % (
                FEW % 1, FEW % 1, FEW % 6))).upstream("back", o))
    held = [Client("unix:" + path) for _ in range(3)]
    for c in held:
        eq(statuses(c, 2), [200, 200], "each")
    limited(ask(held[0]))
    eq(counted(w), {"request_rate": 1}, "limited_total")


# ---------------------------------------------------------------- connections

@case
def tcp_clients_beyond_the_rate_are_closed_without_a_byte():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", front=few("connection_rate", 2)))
    held = [front(w), front(w)]
    for c in held:
        eq(c.send("ping").read_exact(4), b"ping", "echo")
    for _ in range(3):
        eq(turned_away(front(w)), b"", "what a third is told")
    s = w.listener()
    eq(counted(w), {"connection_rate": 3}, "limited_total")
    eq((s["connections"]["rejected_total"],
        s["connections"]["accepted_total"]), (3, 2), "connections")
    o.had(2)
    for c in held:
        c.close()
    w.balanced(o)


@case
def http_clients_beyond_the_rate_are_told_when_to_come_again():
    o = HttpOrigin()
    w = Weir(one(o, front=few("connection_rate", 2)))
    c = front(w)
    ok(ask(c))
    ok(once(w.conf.ports["front"]))
    for _ in range(3):
        limited_at_accept(front(w))
    # Who is in stays in.
    eq(statuses(c, 5), [200] * 5, "the first")
    eq(counted(w), {"connection_rate": 3}, "limited_total")
    o.had(1)


@case
def connection_rate_of_a_client_is_his_own():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", front=few(
        "connection_rate_per_client", 1)))
    number = w.conf.ports["front"]
    for source in ("127.0.0.2", "127.0.0.3"):
        eq(From(source, number).send("ping").read_exact(4), b"ping", source)
        eq(turned_away(From(source, number)), b"", source)
    eq(counted(w), {"connection_rate_per_client": 2}, "limited_total")
    o.had(2)


def holds_a_number(protocol, o, limit, sources):
    """limit allows two at once of those sources."""
    w = Weir(one(o, protocol=protocol, front=limits(limit + " = 2;")))
    number = w.conf.ports["front"]

    def use(c):
        if protocol == "tcp":
            eq(c.send("ping").read_exact(4), b"ping", "echo")
        else:
            ok(ask(c))

    def refused(source):
        c = From(source, number)
        if protocol == "tcp":
            eq(turned_away(c), b"", "the third")
        else:
            limited_at_accept(c)
    held = [From(s, number) for s in sources]
    for c in held:
        use(c)
    for _ in range(3):
        refused(sources[0])
    eq(counted(w), {limit: 3}, "limited_total")
    eq(w.listener()["connections"]["rejected_total"], 3, "rejected_total")
    held[0].close()
    until(lambda: w.listener()["connections"]["active"] == len(held) - 1,
          "one leaves")
    c = From(sources[0], number)
    use(c)
    refused(sources[0])
    for c in [c, *held]:
        c.close()
    w.balanced(o)
    # Nothing is left of those who were refused: two fit in again.
    for s in sources:
        use(From(s, number))
    eq(counted(w), {limit: 4}, "limited_total")


@case
def tcp_connections_are_so_many_at_once():
    holds_a_number("tcp", Origin(echo), "connections",
                   ["127.0.0.2", "127.0.0.3"])


@case
def http_connections_are_so_many_at_once():
    holds_a_number("http", HttpOrigin(), "connections",
                   ["127.0.0.2", "127.0.0.3"])


@case
def tcp_connections_of_a_client_are_so_many_at_once():
    holds_a_number("tcp", Origin(echo), "connections_per_client",
                   ["127.0.0.2"] * 2 + ["127.0.0.3"] * 2)


@case
def http_connections_of_a_client_are_so_many_at_once():
    holds_a_number("http", HttpOrigin(), "connections_per_client",
                   ["127.0.0.2"] * 2 + ["127.0.0.3"] * 2)


@case
def many_who_come_and_go_leave_no_count_behind():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", workers=2, front=limits(
        "connections = 20; connections_per_client = 3;")))
    number = w.conf.ports["front"]

    def come_and_go(n):
        for i in range(60):
            c = From("127.0.0.%d" % (2 + n % 3), number)
            if i % 3:
                c.rst()
            else:
                c.close()
    crowd = [threading.Thread(target=come_and_go, args=(n,))
             for n in range(6)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    w.balanced(o)
    for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        held = [From(source, number) for _ in range(3)]
        for c in held:
            eq(c.send("ping").read_exact(4), b"ping", source)
        eq(turned_away(From(source, number)), b"", source)


# ---------------------------------------------------------------------- flood

@case
def flood_is_answered_at_leisure():
    o = HttpOrigin()
    w = Weir(one(o, front=few("request_rate_per_client", 4)))
    c = From("127.0.0.2", w.conf.ports["front"])
    # As many as are let through are refused at once.
    eq(statuses(c, 8), [200] * 4 + [429] * 4, "at once")
    begin = time.monotonic()
    c.send(request() * 20)
    for _ in range(20):
        limited(read_response(c))
    took = time.monotonic() - begin
    check(took > 20 * 0.03, "20 refusals in %.3f s" % took)
    # Who leaves meanwhile leaves nothing behind, and others are served.
    c.send(request() * 20).rst()
    ok(ask(From("127.0.0.3", w.conf.ports["front"])))
    eq(counted(w)["request_rate_per_client"] >= 24, True, "limited_total")


@case
def flood_of_connections_is_turned_away_at_leisure():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", front=limits(
        "connections_per_client = 1;")))
    number = w.conf.ports["front"]
    held = From("127.0.0.2", number).send("ping")
    eq(held.read_exact(4), b"ping", "the one")
    begin = time.monotonic()
    for _ in range(5):
        eq(turned_away(From("127.0.0.2", number)), b"", "another")
    took = time.monotonic() - begin
    check(took > 5 * 0.03, "five refusals in %.3f s" % took)
    # More than wait at a time: all are closed in the end.
    crowd = [From("127.0.0.2", number) for _ in range(400)]
    for c in crowd:
        eq(turned_away(c), b"", "one of a crowd")
    eq(counted(w), {"connections_per_client": 405}, "limited_total")
    held.close()
    w.balanced(o)
    # It ends while some wait to be told.
    last = [From("127.0.0.2", number) for _ in range(50)]
    w.stop()
    for c in last:
        turned_away(c)


# --------------------------------------------------------------------- shadow

@case
def shadow_counts_and_refuses_nothing():
    o = HttpOrigin()
    w = Weir(one(o, front=limits(
        "request_rate = { %s shadow = true; }; "
        "request_rate_per_client = { %s shadow = true; }; "
        "connection_rate = { %s shadow = true; }; "
        "connection_rate_per_client = { %s shadow = true; }; "
        "connections = { max = 2; shadow = true; }; "
        "connections_per_client = { max = 1; shadow = true; };" % (
            FEW % 5, FEW % 4, FEW % 3, FEW % 2))))
    held = [front(w) for _ in range(4)]
    for c in held:
        eq(statuses(c, 2), [200, 200], "each")
    eq(counted(w, "shadow_total"), {
        "request_rate": 3, "request_rate_per_client": 4,
        "connection_rate": 1, "connection_rate_per_client": 2,
        "connections": 2, "connections_per_client": 3}, "shadow_total")
    eq(counted(w), {}, "limited_total")
    eq(w.failures(), {}, "failures_total")
    eq(w.listener()["connections"]["rejected_total"], 0, "rejected_total")
    eq(o.requests, 8, "requests upstream")
    for c in held:
        c.close()
    w.balanced(o)


@case
def shadow_beside_a_limit_that_refuses():
    o = HttpOrigin()
    w = Weir(one(o, front=limits(
        "request_rate = { %s }; "
        "request_rate_per_client = { %s shadow = true; };" % (
            FEW % 4, FEW % 1))))
    eq(statuses(front(w), 6), [200] * 4 + [429] * 2, "statuses")
    eq(counted(w, "shadow_total"), {"request_rate_per_client": 5}, "shadow")
    eq(counted(w), {"request_rate": 2}, "limited_total")


# --------------------------------------------------------------------- counts

@case
def every_limit_is_counted_from_the_start():
    o = HttpOrigin()
    w = Weir(one(o))
    s = w.listener()
    for which in ("limited_total", "shadow_total"):
        eq(sorted(s[which]), sorted(NAMES), which)
        eq(set(s[which].values()), {0}, which)
    text = w.metrics()
    for name in NAMES:
        for metric in ("weir_listener_limited_total",
                       "weir_listener_shadow_limited_total"):
            check('%s{listener="front",reason="%s"} 0\n' % (
                metric, name) in text, "no %s of %s" % (metric, name))


# --------------------------------------------------------------------- reload

@case
def buckets_and_counts_survive_a_reload():
    o = HttpOrigin()
    w = Weir(one(o, front=limits(
        "request_rate = { %s }; request_rate_per_client = { %s }; "
        "connections_per_client = 2;" % (FEW % 5, FEW % 3))))
    number = w.conf.ports["front"]
    held = From("127.0.0.2", number)
    eq(statuses(held, 4), [200] * 3 + [429], "before")
    for _ in range(3):
        w.reload()
    limited(ask(held))
    limited(ask(From("127.0.0.2", number)))
    limited_at_accept(From("127.0.0.2", number))
    eq(statuses(From("127.0.0.3", number), 3), [200, 200, 429], "others")
    eq(counted(w), {"request_rate_per_client": 3, "request_rate": 1,
                    "connections_per_client": 1}, "limited_total")
    eq(o.requests, 5, "requests upstream")


@case
def reload_changes_limits():
    o = HttpOrigin()
    w = Weir(one(o))
    number = w.conf.ports["front"]
    eq(statuses(From("127.0.0.2", number), 10), [200] * 10, "without")

    def become(extra):
        w.conf.listener("front", extra=extra)
        w.write()
        w.reload()
    become(few("request_rate_per_client", 2))
    c = From("127.0.0.2", number)
    eq(statuses(c, 3), [200, 200, 429], "with")
    # The mistake is found: nobody waits for the old rate's debt.
    become(limits('request_rate_per_client = { rate = "100/s"; '
                  "burst = 5; };"))
    until(lambda: ask(From("127.0.0.2", number)).status == 200, "better")
    become("")
    eq(statuses(From("127.0.0.2", number), 20), [200] * 20, "without again")


@case
def listeners_have_buckets_of_their_own():
    o = HttpOrigin()
    w = Weir(one(o, front=few("request_rate_per_client", 2)).listener(
        "other", extra=few("request_rate_per_client", 2)))
    for name in ("front", "other"):
        eq(statuses(Client(w.conf.ports[name]), 3), [200, 200, 429], name)
        eq(counted(w, name=name), {"request_rate_per_client": 1}, name)


run()
