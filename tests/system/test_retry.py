"""What fails before it is answered is asked for again, at another endpoint if
there is one; never what may not run twice, never more often than the budget.
"""
# SPDX-License-Identifier: MIT
import json
import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, Aside, case, check, eq, port, run, temp_dir, until
from origin import Origin, echo
from weir import Conf, Weir, one
from web import (HttpOrigin, answer, ask, ok, once, plain, read_response,
                 refused, request, token)
from wire import Client


def policy(retries=1, backoff="1ms", most=None, budget="1.0"):
    return 'retry = { max_retries = %d; backoff = "%s"; max_backoff = "%s"; ' \
        'budget = %s; };' % (retries, backoff, most or backoff, budget)


def front(w):
    return Client(w.conf.ports["front"])


def counts(w, which):
    return {k: v for k, v in w.upstream()[which].items() if v}


def faults(w):
    """Of each endpoint: what it is blamed for."""
    return {e["name"]: {k: v for k, v in e["failures_total"].items() if v}
            for e in w.upstream()["endpoints"]}


def times(origins, t):
    """How often the request with that token was carried out, by origin."""
    return [sum(q.token == t for q in o.seen) for o in origins]


def moody(fails, rst=False, say=b""):
    """Origins that say that much and end when fails(q) says so."""
    def handler(q, link):
        if not fails(q):
            return plain(q, link)
        link.send(say)
        if rst:
            link.rst()
        return False
    return handler


def first_time():
    """True for each token once, wherever it comes: all but that is served."""
    seen = set()
    lock = threading.Lock()

    def fails(q):
        with lock:
            new = q.token not in seen
            seen.add(q.token)
        return new and q.path != "/fine"
    return fails


class Clogged:
    """A listener whose queue is full: connects are not answered."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", port()), backlog=0)
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.fill = [socket.socket() for _ in range(8)]
        for s in self.fill:
            s.setblocking(False)
            s.connect_ex(self.sock.getsockname())


def mixed(c, n, most=200000):
    """n requests with and without body; (response, its body) of each. Who is
    refused before all of a body has come is told so and cut: where that is to
    be met, it is one that comes in one piece."""
    for k in range(n):
        method, body = (("GET", None), ("POST", b"x" * 3000), ("PUT", b"p"),
                        ("POST", os.urandom(most)), ("DELETE", None))[k % 5]
        r = ask(c, method, "/%d" % k, body=body)
        yield r, body
        # Was its body still to be read when connecting failed? With a server
        # far away, or on a busy machine, it was.
        if r.get("Connection") == "close":
            eq((r.status // 100, c.read_to_end()), (5, b""), "who is cut")
            c = Client(c.sock.getpeername())


# ------------------------------------------------------- nobody to connect to

def dead_and_alive(dead, n=20, clients=5, up=""):
    """Several clients at an upstream of which one endpoint is dead."""
    alive = HttpOrigin()
    w = Weir(one(dead, alive, up=policy(2) + up))
    failed = []

    def client():
        c = front(w)
        try:
            for r, body in mixed(c, n):
                eq(ok(r).body if body else None, body, "body")
        except Exception as e:
            failed.append(e)
        c.close()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not failed, "%d clients: %r" % (len(failed), failed[:1]))
    eq(w.failures(), {}, "failures")
    eq(alive.requests, n * clients, "requests upstream")
    eq(len({q.token for q in alive.seen}), n * clients, "each of them once")
    blame = faults(w)[dead.address]
    eq(faults(w)[alive.address], {}, "what the other is blamed for")
    # A connection that comes free may serve one whose own is still opening.
    made = w.upstream()["retries_total"]
    check(1 <= made <= sum(blame.values()), "%d retries for %r" % (
        made, blame))
    eq(w.listener()["requests_total"], n * clients, "requests_total")
    w.balanced(alive)
    return blame


@case
def refused_connects_cost_no_request():
    dead = HttpOrigin()
    dead.refuse()
    eq(list(dead_and_alive(dead)), ["connect_failed"], "the blame")
    eq((dead.accepted, dead.requests), (0, 0), "the dead one")


@case
def unanswered_connects_cost_no_request():
    # One client: nobody's connection comes free while it waits.
    eq(list(dead_and_alive(Clogged(), 6, 1,
                           'timeouts = { connect = "300ms"; };')),
       ["connect_timeout"], "the blame")


@case
def without_retries_those_are_told():
    for up in ("", policy(0)):
        dead, alive = HttpOrigin(), HttpOrigin()
        dead.refuse()
        w = Weir(one(dead, alive, up=up))
        c = front(w)
        told = [r for r, _ in mixed(c, 20, 20000) if r.status != 200]
        for r in told:
            refused(r, 502, "connect_failed")
        check(told, "nobody met the dead one")
        eq(w.failures(), {"connect_failed": len(told)}, "failures")
        eq(w.upstream()["retries_total"], 0, "retries_total")
        eq(alive.requests, 20 - len(told), "requests upstream")
        dead = Clogged()
        w = Weir(one(dead, alive,
                     up=up + 'timeouts = { connect = "300ms"; };'))
        c = front(w)
        told = [r for r, _ in mixed(c, 4, 20000) if r.status != 200]
        for r in told:
            refused(r, 504, "connect_timeout")
        check(told, "nobody met the dead one")
        eq(w.upstream()["retries_total"], 0, "retries_total")


@case
def route_that_says_off_is_told_too():
    dead, alive = HttpOrigin(), HttpOrigin()
    dead.refuse()
    w = Weir(one(dead, alive, up=policy(2), front='routes = ( '
                 '{ retry = "off"; upstream = "back"; } );'))
    c = front(w)
    told = [r for r, _ in mixed(c, 10, 20000) if r.status != 200]
    for r in told:
        refused(r, 502, "connect_failed")
    check(told, "nobody met the dead one")
    eq(w.upstream()["retries_total"], 0, "retries_total")


@case
def raw_sessions_are_connected_elsewhere():
    dead, alive = Origin(echo), Origin(echo)
    dead.refuse()
    w = Weir(one(dead, alive, protocol="tcp", up=policy(2)))
    for n in range(10):
        c = front(w).send("hello %d" % n)
        eq(c.read_exact(7), b"hello %d" % n, "echo")
        c.close()
    check(w.upstream()["retries_total"] >= 1, "nobody met the dead one")
    eq(w.failures(), {}, "failures")
    alive.had(10)
    w.balanced(alive)


# ------------------------------------------------------ ended before an answer

ROUTES = 'routes = ( { path = "/safe"; retry = "safe"; upstream = "back"; }, ' \
    '{ path = "/idem"; retry = "idempotent"; upstream = "back"; }, ' \
    '{ path = "/all"; retry = "all"; upstream = "back"; }, ' \
    '{ path = "/off"; retry = "off"; upstream = "back"; } );'

AGAIN = (
    # method, body, and the routes on which it may run twice
    ("GET", None, ("/plain", "/safe", "/idem", "/all")),
    ("HEAD", None, ("/plain", "/safe", "/idem", "/all")),
    ("OPTIONS", None, ("/plain", "/safe", "/idem", "/all")),
    ("PUT", None, ("/idem", "/all")),
    ("DELETE", None, ("/idem", "/all")),
    ("POST", None, ("/all",)),
    ("PATCH", None, ("/all",)),
    ("POST", b"pay", ()),
    ("PUT", b"body", ()),
    ("GET", b"body", ()),
)


def once_or_twice(w, origins, method, path, body, again):
    t = token()
    c = front(w)
    c.send(request(method, path, [("X-Token", t)], body))
    r = read_response(c, method)
    if again:
        eq(r.status, 200, "%s %s" % (method, path))
        eq(times(origins, t), [1, 1], "%s %s: at each" % (method, path))
    else:
        check(r.status == 502, "%s %s: %d" % (method, path, r.status))
        eq(sum(times(origins, t)), 1, "%s %s: runs" % (method, path))
    c.close()


def each_as_its_route_says(rst):
    fails = first_time()
    origins = [HttpOrigin(moody(fails, rst)) for _ in range(2)]
    # No connection is used twice: none that fails could have died of age.
    w = Weir(one(*origins, front=ROUTES, pool="max_requests = 1;",
                 up=policy(1)))
    wanted = {False: 0, True: 0}
    for method, body, routes in AGAIN:
        for path in ("/plain", "/safe", "/idem", "/all", "/off"):
            once_or_twice(w, origins, method, path, body, path in routes)
            wanted[path in routes] += 1
    word = "upstream_reset" if rst else "upstream_closed"
    eq(w.failures(), {word: wanted[False]}, "failures")
    eq(w.upstream()["retries_total"], wanted[True], "retries_total")
    eq(sum(sum(f.values()) for f in faults(w).values()),
       wanted[False] + wanted[True], "blame")
    w.balanced(*origins)


@case
def closed_before_an_answer_each_as_its_route_says():
    each_as_its_route_says(False)


@case
def reset_before_an_answer_each_as_its_route_says():
    each_as_its_route_says(True)


@case
def other_endpoint_is_asked_whatever_the_balance():
    """Also where the same one would be chosen again."""
    for keys in ('balance = "least_conn";', 'balance = "random_two";',
                 'balance = "source_hash";', ""):
        fails = first_time()
        origins = [HttpOrigin(moody(fails)) for _ in range(2)]
        heavy = '{ address = "%s"; weight = 100; }' % origins[0].address
        w = Weir(one(heavy, origins[1], pool="max_requests = 1;",
                     up=policy(1) + keys))
        for _ in range(8):
            once_or_twice(w, origins, "GET", "/", None, True)
        eq(w.upstream()["retries_total"], 8, "retries_total")


@case
def off_does_without_the_free_attempt_too():
    """A connection that had served before dies: elsewhere this is nobody's
    fault, and a safe request is sent anew at once."""
    for path, again in (("/plain", True), ("/off", False)):
        fails = first_time()
        o = HttpOrigin(moody(fails))
        w = Weir(one(o, front=ROUTES, up=policy(2)))
        c = front(w)
        ok(ask(c, target="/fine"))
        w.wait_pool(idle=1)
        r = ask(c, target=path)
        eq(r.status, 200 if again else 502, path)
        eq(o.requests, 3 if again else 2, "requests upstream")
        eq(w.upstream()["retries_total"], int(again), "retries_total")


@case
def only_endpoint_is_asked_again():
    fails = first_time()
    o = HttpOrigin(moody(fails))
    w = Weir(one(o, up=policy(1), pool="max_requests = 1;"))
    eq(ok(once(w.conf.ports["front"])).conn, 2, "who answered")
    eq((o.accepted, o.requests), (2, 2), "connections and requests")


@case
def no_more_often_than_max_retries():
    for n in (1, 3):
        o = HttpOrigin(lambda q, link: False)
        w = Weir(one(o, up=policy(n)))
        c = front(w)
        refused(ask(c), 502, "upstream_closed")
        eq((o.accepted, o.requests), (1 + n, 1 + n), "attempts")
        eq(w.upstream()["retries_total"], n, "retries_total")
        eq(w.failures(), {"upstream_closed": 1}, "failures")
        # The client's connection goes on.
        o.handler = plain
        ok(ask(c))
        c.close()
        w.balanced(o)


@case
def first_byte_of_an_answer_forbids_it():
    for say in (b"H", b"HTTP/1.1 200 OK\r\nContent-Le",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"):
        for rst in (False, True):
            def fails(q):
                return q.path != "/fine"
            origins = [HttpOrigin(moody(fails, rst, say)) for _ in range(2)]
            w = Weir(one(*origins, up=policy(3)))
            for warm in (False, True):
                c = front(w)
                if warm:
                    ok(ask(c, target="/fine"))
                t = token()
                c.send(request(fields=[("X-Token", t)]))
                r = read_response(c)
                # A RST can overtake what was said before it: nothing has
                # come then, and once more is right.
                if rst and sum(times(origins, t)) > 1:
                    continue
                refused(r, 502)
                eq(sum(times(origins, t)), 1, "runs after %r" % say)


@case
def begun_answer_is_never_begun_anew():
    def handler(q, link):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return False
    origins = [HttpOrigin(handler) for _ in range(2)]
    w = Weir(one(*origins, up=policy(3)))
    c = front(w).send(request())
    got = c.read_to_end()
    check(got.endswith(b"\r\n\r\nhalf"), "what came: %r" % got)
    eq(sum(o.requests for o in origins), 1, "runs")
    eq(w.upstream()["retries_total"], 0, "retries_total")


@case
def answers_that_say_no_are_passed_on():
    origins = [HttpOrigin(lambda q, link: answer(q, "busy", 503))
               for _ in range(2)]
    w = Weir(one(*origins, up=policy(3)))
    eq(once(w.conf.ports["front"]).body, b"busy", "body")
    eq(sum(o.requests for o in origins), 1, "runs")


@case
def slow_server_is_not_asked_again():
    origins = [HttpOrigin(lambda q, link: link.hold()) for _ in range(2)]
    w = Weir(one(*origins, up=policy(3) +
                 'timeouts = { response = "300ms"; };'))
    refused(once(w.conf.ports["front"]), 504, "response_timeout")
    # On a busy machine it may not even have read it by then.
    until(lambda: sum(o.requests for o in origins) > 0, "runs")
    eq(sum(o.requests for o in origins), 1, "runs")


@case
def pipelined_request_behind_it_keeps_its_place():
    fails = first_time()
    o = HttpOrigin(moody(fails))
    w = Weir(one(o, up=policy(1, "100ms")))
    ts = [token() for _ in range(3)]
    c = front(w).send(b"".join(
        request("GET", p, [("X-Token", t)])
        for p, t in zip(("/", "/fine", "/"), ts)))
    eq([ok(read_response(c)).get("X-Token") for _ in ts], ts, "answers")
    eq([times([o], t)[0] for t in ts], [2, 1, 2], "runs")


@case
def upgrade_is_asked_for_again_before_it_is_a_tunnel():
    fails = first_time()

    def handler(q, link):
        if fails(q):
            return False
        link.send("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n"
                  "Connection: upgrade\r\n\r\n")
        echo(link)
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o, up=policy(1)))
    c = front(w).send(request(fields=[
        ("X-Token", token()), ("Upgrade", "x"), ("Connection", "upgrade")]))
    eq(read_response(c, body=False).status, 101, "status")
    eq(c.send("ping").read_exact(4), b"ping", "echo")
    eq(o.requests, 2, "runs")
    c.close()
    w.balanced(o)


# -------------------------------------------------------------------- backoff

@case
def pauses_grow_between_attempts():
    at = []

    def handler(q, link):
        at.append(time.monotonic())
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o, up=policy(4, "200ms", "500ms")))
    refused(once(w.conf.ports["front"]), 502)
    gaps = [b - a for a, b in zip(at, at[1:])]
    # Half of a pause at least: 200, 400, then 500 ms; what an attempt takes
    # comes on top of it.
    for gap, least in zip(gaps, (0.1, 0.2, 0.25, 0.25)):
        check(gap >= least, "gaps: %r" % gaps)
    eq(len(gaps), 4, "attempts after the first")


# --------------------------------------------------------------------- budget

def storm(w, clients, n):
    """So many clients ask n times each, in turn; the statuses."""
    statuses, lock = [], threading.Lock()

    def client():
        c = front(w)
        for _ in range(n):
            got = ask(c).status
            with lock:
                statuses.append(got)
        c.close()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return statuses


def budget_holds(workers):
    o = HttpOrigin(lambda q, link: False, keep=False)
    w = Weir(one(o, up=policy(1, budget="0.2"), workers=workers))
    begin = time.monotonic()
    eq(storm(w, 10, 50), [502] * 500, "statuses")
    spans = int((time.monotonic() - begin) / 10)
    made = w.upstream()["retries_total"]
    eq(o.requests, 500 + made, "attempts")
    # Of a worker: a share of its newest 10 to 20 s, and three. On a machine
    # so slow that this took longer each further span may add as much.
    most = 100 + 3 * workers
    check(made <= most * (1 + spans), "%d retries" % made)
    check(made >= 50, "only %d retries" % made)
    # Each wanted one: who did not get it is counted.
    eq(counts(w, "limited_total"), {"retry_budget": 500 - made},
       "limited_total")
    eq(w.failures(), {"upstream_closed": 500}, "failures")
    w.balanced(o)


@case
def attempts_keep_to_the_budget():
    budget_holds(workers=1)


@case
def budget_is_each_workers_own():
    budget_holds(workers=2)


@case
def budget_of_nothing_leaves_three():
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, up=policy(1, budget="0.0")))
    begin = time.monotonic()
    c = front(w)
    for _ in range(10):
        refused(ask(c), 502, "connect_failed")
    made = w.upstream()["retries_total"]
    if time.monotonic() - begin < 10:
        eq(made, 3, "retries_total")
    eq(counts(w, "limited_total"), {"retry_budget": 10 - made},
       "limited_total")


# ------------------------------------------------------- meanwhile, in a pause

LONG = policy(1, "1h")          # half an hour at least


def pausing(o, up=LONG, more=None, **conf):
    """weir and a client whose exchange has failed once and pauses."""
    c = one(o, up=up, **conf)
    if more:
        more(c)
    w = Weir(c)
    c = front(w).send(request(fields=[("X-Token", token())]))
    until(lambda: w.upstream()["retries_total"] == 1, "the first attempt")
    eq(o.requests, 1, "attempts")
    return w, c


@case
def client_that_leaves_in_a_pause_leaves_nothing_behind():
    for way in ("close", "rst", "shut"):
        o = HttpOrigin(lambda q, link: False)
        w, c = pausing(o)
        getattr(c, way)()
        until(lambda: w.listener()["connections"]["active"] == 0,
              "the session ends after " + way)
        eq(w.failures(), {"client_abort": 1}, "failures")
        w.balanced(o)
        eq((o.accepted, o.requests), (1, 1), "attempts")
        # And the place is free: the next one is served.
        o.handler = plain
        ok(once(w.conf.ports["front"]))


def second_is_served():
    """An origin that closes upon the first request and answers others."""
    return HttpOrigin(moody(first_time()))


SOME = policy(1, "%dms" % (3000 * SLOW))        # half of that at least


def still_pausing(o):
    """What was to happen in the pause has happened in it."""
    if o.requests > 1:
        raise Aside("this machine is slower than the pause")


@case
def reload_that_takes_retries_away_lets_it_come():
    o = second_is_served()
    w, c = pausing(o, SOME)
    w.conf.upstream("back", o, extra=policy(0))
    w.write()
    w.reload()
    still_pausing(o)
    ok(read_response(c))
    eq(o.requests, 2, "attempts")
    # The next exchange goes by the new file; nor is its connection an old one
    # that may have died of age.
    o.drop_all()
    w.wait_pool(open=0)
    o.handler = lambda q, link: False
    refused(once(w.conf.ports["front"]), 502, "upstream_closed")
    eq((o.requests, w.upstream()["retries_total"]), (3, 1), "attempts")
    c.close()
    w.balanced(o)


@case
def reload_that_removes_the_upstream_lets_it_come():
    o, other = second_is_served(), HttpOrigin()
    w, c = pausing(o, SOME)
    w.conf.upstreams.clear()
    w.conf.upstream("new", other)
    w.conf.listener("front", "new")
    w.write()
    w.reload()
    still_pausing(o)
    ok(read_response(c))
    eq((o.requests, other.requests), (2, 0), "attempts")
    ok(ask(c))
    eq(other.requests, 1, "the next one")
    c.close()
    until(lambda: o.open == 0, "its connection goes with the upstream")
    eq([u["name"] for u in w.stats()["upstreams"]], ["new"], "upstreams")
    w.balanced(o, other)


@case
def reload_that_removes_its_listener_lets_it_come():
    def with_another(conf):
        conf.listener("other", "back")
    o = second_is_served()
    w, c = pausing(o, SOME, with_another)
    del w.conf.listeners["front"], w.conf.ports["front"]
    w.write()
    w.reload()
    still_pausing(o)
    ok(read_response(c))
    eq(c.read_to_end(), b"", "closed after it")
    eq(o.requests, 2, "attempts")
    ok(once(w.conf.ports["other"]))
    w.balanced(o)


@case
def reload_that_replaces_the_endpoint_sends_it_there():
    o, other = HttpOrigin(lambda q, link: False), HttpOrigin()
    w, c = pausing(o, SOME)
    w.conf.upstream("back", other, extra=SOME)
    w.write()
    w.reload()
    still_pausing(o)
    ok(read_response(c))
    eq((o.requests, other.requests), (1, 1), "attempts")
    c.close()
    w.balanced(o, other)


@case
def drain_waits_for_it():
    def patient(conf):
        conf.drain_timeout = "%ds" % (60 * SLOW)
    o = second_is_served()
    w, c = pausing(o, SOME, patient)
    w.signal(signal.SIGTERM)
    r = ok(read_response(c))
    eq((r.get("Connection") or "").lower(), "close", "Connection")
    eq(c.read_to_end(), b"", "closed after it")
    eq(w.exited(), 0, "exit status")
    eq(o.requests, 2, "attempts")


@case
def drain_that_is_over_cuts_it():
    def hasty(conf):
        conf.drain_timeout = "300ms"
    o = HttpOrigin(lambda q, link: False)
    w, c = pausing(o, LONG, hasty)
    w.signal(signal.SIGTERM)
    eq(c.read_to_end(), b"", "what it is told")
    eq(w.exited(), 0, "exit status")
    eq(o.requests, 1, "attempts")


# ----------------------------------------------------------------- access log

def logged(path, n):
    """The access log when it has n lines; not one more."""
    def lines():
        try:
            with open(path) as f:
                return f.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
    until(lambda: len(lines()) >= n, "%d lines in the access log" % n)
    got = lines()
    eq(len(got), n, "lines")
    return [json.loads(line) for line in got]


@case
def access_log_has_one_line_with_all_attempts():
    dead, bad, good = HttpOrigin(), HttpOrigin(lambda q, link: False), \
        HttpOrigin()
    dead.refuse()
    conf = Conf()
    for name, origin, retries in (("one", good, 1), ("two", bad, 2),
                                  ("three", dead, 3)):
        conf.upstream(name, origin, extra=policy(retries))
        conf.listener(name, name)
    conf.upstream("mixed", bad, good, extra=policy(1))
    conf.listener("mixed", "mixed")
    conf.upstream("long", bad, extra=LONG)
    conf.listener("long", "long")
    path = os.path.join(temp_dir(), "retry-access.log")
    conf.log = 'level = "info"; format = "json"; access = "%s";' % path
    w = Weir(conf)
    ok(once(conf.ports["one"]))
    refused(once(conf.ports["two"]), 502)
    refused(once(conf.ports["three"]), 502)
    got = [(r["upstream"], r["endpoint"], r["status"], r["retries"],
            r["failure"], r["outcome"]) for r in logged(path, 3)]
    eq(got, [("one", good.address, 200, 0, "", "2xx"),
             ("two", bad.address, 502, 2, "upstream_closed", "5xx"),
             ("three", dead.address, 502, 3, "connect_failed", "5xx")],
       "lines")
    # Of two endpoints it names the one that answered.
    for _ in range(4):
        ok(once(conf.ports["mixed"]))
    tried = w.upstream("mixed")["retries_total"]
    check(tried >= 1, "nobody met the bad one")
    got = logged(path, 7)[3:]
    eq([r["endpoint"] for r in got], [good.address] * 4, "endpoints")
    eq(sum(r["retries"] for r in got), tried, "retries")
    # And one who left in the pause is one who left.
    c = Client(conf.ports["long"]).send(request())
    until(lambda: w.upstream("long")["retries_total"] == 1, "the pause")
    c.close()
    r = logged(path, 8)[7]
    eq((r["retries"], r["status"], r["failure"], r["outcome"]),
       (1, 0, "client_abort", "client_abort"), "the line")
    w.balanced()
    logged(path, 8)


run()
