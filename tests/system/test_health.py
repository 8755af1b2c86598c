"""Endpoints are checked, and ejected when their traffic fails: what is down
gets nothing, what is back gets its share again, and nobody is hammered.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, later, port, run, until
from origin import Origin, until_end
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once, plain, refused
from wire import Client

# Often, and with time enough for a crowded machine to answer.
OFTEN = 'interval = "50ms"; timeout = "%dms";' % (5000 * SLOW)


class Checked(HttpOrigin):
    """/healthz is answered with .health (a status, or a function), all else
    as .traffic says; .checks counts the first."""

    def __init__(self, health=200, traffic=plain, **more):
        self.health = health
        self.traffic = traffic
        self.checks = 0
        super().__init__(self._decide, **more)

    def _decide(self, q, link):
        if q.path != "/healthz":
            return self.traffic(q, link)
        with self.lock:
            self.checks += 1
        if callable(self.health):
            return self.health(q, link)
        return answer(q, "", self.health)

    @property
    def asked(self):
        """Requests that were no checks."""
        return sum(q.path != "/healthz" for q in self.seen)


def rows(w):
    """Endpoints of the upstream by name."""
    return {e["name"]: e for e in w.upstream()["endpoints"]}


def row(w, o):
    return rows(w)[o.address]


def wait_state(w, o, state):
    return until(lambda: (lambda e: e["state"] == state and e)(row(w, o)),
                 "endpoint %s %s" % (o.address, state))


def health(more="", path="/healthz"):
    return 'health = { type = "http"; path = "%s"; %s %s };' % (
        path, OFTEN, more)


def tcp(more=""):
    return 'health = { type = "tcp"; %s %s };' % (OFTEN, more)


def hand(w, o, wish):
    """POST a change by hand."""
    status, body = w.post("/upstreams/back/endpoints/%s?%s" % (
        urllib.parse.quote(o if isinstance(o, str) else o.address, safe=""),
        wish))
    eq(status, 200, "POST of %s: %s" % (wish, body))


# ------------------------------------------------------------ active checks

@case
def down_after_fall_and_up_and_warm_after_rise():
    for workers in (1, 2):
        o = Checked()
        w = Weir(one(o, pool="max = 8; min_idle = 4;",
                     up=health("rise = 2; fall = 3;"), workers=workers))
        w.wait_pool(idle=4)
        e = wait_state(w, o, "up")
        until(lambda: row(w, o)["health"]["last"] == "ok", "a good check")
        ok(once(w.conf.ports["front"]))
        o.health = 500
        e = wait_state(w, o, "down")
        eq(e["health"]["last"], "status 500", "health.last")
        check(e["health"]["failures_total"] >= 3, "down before fall: %r" % e)
        # Nothing is kept there, and nobody waits for it.
        w.wait_pool(idle=0, open=0)
        refused(once(w.conf.ports["front"]), 503, "no_endpoint")
        w.wait_log(r"endpoint %s\W.*down: status 500 \(3 of 3 checks failed\)"
                   % o.address)
        before = row(w, o)["health"]
        good = before["checks_total"] - before["failures_total"]
        o.health = 200
        e = wait_state(w, o, "up")
        check(e["health"]["checks_total"] - e["health"]["failures_total"] >=
              good + 2, "up before rise: %r, then %r" % (before, e))
        w.wait_pool(idle=4)
        w.wait_log(r"endpoint %s\W.*up \(2 of 2" % o.address)
        ok(once(w.conf.ports["front"]))
        w.stop()


@case
def a_single_bad_check_changes_nothing():
    turns = [0]

    def moody(q, link):
        turns[0] += 1
        return answer(q, "", 200 if turns[0] % 3 else 503)
    o = Checked(moody)
    w = Weir(one(o, up=health("rise = 2; fall = 2;")))
    until(lambda: row(w, o)["health"]["failures_total"] >= 5, "bad checks")
    eq(row(w, o)["state"], "up", "state")
    ok(once(w.conf.ports["front"]))
    check("down:" not in w.log(), "down was said")


@case
def all_down_is_a_503_at_once_not_a_wait():
    o = Checked(500)
    w = Weir(one(o, pool='queue_timeout = "%ds";' % (6 * WAIT),
                 up=health()))
    wait_state(w, o, "down")
    begin = time.monotonic()
    refused(once(w.conf.ports["front"]), 503, "no_endpoint")
    check(time.monotonic() - begin < 5 * WAIT, "it waited")
    eq(o.asked, 0, "requests upstream")


@case
def whoever_waits_when_the_last_goes_down_is_told_at_once():
    go = threading.Event()
    later(go.set)

    def slow(q, link):
        go.wait(3 * WAIT)
        return plain(q, link)
    o = Checked(traffic=slow)
    w = Weir(one(o, pool='max = 1; queue_timeout = "%ds";' % (6 * WAIT),
                 up=health()))
    wait_state(w, o, "up")
    first, second = Client(w.conf.ports["front"]), Client(
        w.conf.ports["front"])
    got = []
    threads = [threading.Thread(target=lambda c=c: got.append(ask(c)))
               for c in (first, second)]
    threads[0].start()
    w.wait_pool(leased=1)
    threads[1].start()
    w.wait_pool(waiting=1)
    o.health = 500
    threads[1].join(5 * WAIT)
    eq([r.status for r in got], [503], "answers while the first runs")
    # What was under way is not cut.
    go.set()
    threads[0].join(5 * WAIT)
    eq([r.status for r in got], [503, 200], "answers")


@case
def a_port_that_refuses_is_down_until_it_listens_again():
    o = Checked()
    w = Weir(one(o, up=tcp("rise = 1; fall = 1;")))
    until(lambda: row(w, o)["health"]["last"] == "ok", "a good check")
    o.refuse()
    e = wait_state(w, o, "down")
    eq(e["health"]["last"], "connection refused", "health.last")
    o.listen()
    wait_state(w, o, "up")
    ok(once(w.conf.ports["front"]))


@case
def an_answer_that_never_comes_is_a_timeout_one_at_a_time():
    now, most = [0], [0]

    def silent(q, link):
        with link.origin.lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        until_end(link)
        with link.origin.lock:
            now[0] -= 1
        return False
    o = Checked(silent)
    w = Weir(one(o, up='health = { type = "http"; path = "/healthz"; '
                 'interval = "20ms"; timeout = "200ms"; };'))
    e = wait_state(w, o, "down")
    eq(e["health"]["last"], "timeout", "health.last")
    check(e["health"]["latency_us"] >= 200000, "sooner than its timeout: %r"
          % e["health"])
    until(lambda: row(w, o)["health"]["checks_total"] >= 5, "more checks")
    # Ten would be under way at a time. The origin sees the end of one a
    # moment after weir has ended it, on a busy machine a while after.
    check(most[0] <= 6, "%d checks at a time" % most[0])


@case
def which_statuses_are_good_is_said_in_the_file():
    o = Checked(401)
    w = Weir(one(o, up=health('expect = "204,401-403"; fall = 1; rise = 1;')))
    until(lambda: row(w, o)["health"]["last"] == "ok", "401 is fine")
    eq(row(w, o)["state"], "up", "state")
    o.health = 200
    eq(wait_state(w, o, "down")["health"]["last"], "status 200",
       "health.last")
    o.health = 204
    wait_state(w, o, "up")


@case
def the_question_has_the_path_and_host_of_the_file():
    o = HttpOrigin()
    w = Weir(one(o, up='health = { type = "http"; path = "/live?x=1"; '
                 'host = "status.test"; %s };' % OFTEN))
    until(lambda: o.seen, "a check")
    q = o.seen[0]
    eq((q.method, q.target, q.get("Host"), q.get("Connection")),
       ("GET", "/live?x=1", "status.test", "close"), "the question")
    check(q.get("User-Agent").startswith("weir/"), "User-Agent %r" %
          q.get("User-Agent"))
    w.stop()
    o = HttpOrigin()
    w = Weir(one(o, up='health = { type = "http"; %s };' % OFTEN))
    until(lambda: o.seen, "a check")
    eq((o.seen[0].target, o.seen[0].get("Host")), ("/", o.address),
       "the question by itself")


@case
def what_is_not_http_is_down():
    o = Origin(lambda link: (link.send(b"220 mail.test ESMTP\r\n"),
                             until_end(link)))
    w = Weir(one(o, up=health()))
    eq(wait_state(w, o, "down")["health"]["last"], "not HTTP", "health.last")


@case
def another_port_may_be_asked():
    o, side = HttpOrigin(), HttpOrigin()
    w = Weir(one(o, up=health("port = %d; fall = 1; rise = 1;" %
                              side.number)))
    until(lambda: row(w, o)["health"]["last"] == "ok", "a good check")
    eq(len(o.seen), 0, "checks at the endpoint's own port")
    side.refuse()
    wait_state(w, o, "down")
    eq(o.accepted, 0, "connections to the endpoint's own port")


@case
def tcp_upstreams_are_checked_too():
    o = Origin(until_end)
    w = Weir(one(o, protocol="tcp", up='health = { %s fall = 1; };' % OFTEN))
    until(lambda: row(w, o)["health"]["last"] == "ok", "a good check")
    o.refuse()
    wait_state(w, o, "down")
    c = Client(w.conf.ports["front"])
    c.limit = WAIT
    check(not c.more(), "bytes from nowhere")


@case
def a_flapping_server_is_asked_no_more_often_than_its_interval():
    """The number of connections within a time has an upper bound that does
    not depend on how fast this machine is."""
    turns = [0]

    def flap(q, link):
        turns[0] += 1
        return answer(q, "", 200 if turns[0] % 2 else 500)
    side = Checked(flap)
    o = HttpOrigin()
    w = Weir(one(o, up='health = { type = "http"; path = "/healthz"; '
                 'interval = "100ms"; timeout = "%dms"; rise = 1; fall = 1; '
                 'port = %d; };' % (5000 * SLOW, side.number)))
    begin, had = time.monotonic(), side.accepted
    for _ in range(30):
        # A reload is no reason to ask more often.
        w.reload()
        time.sleep(0.02)
    until(lambda: side.accepted >= had + 15, "15 checks")
    took = time.monotonic() - begin
    check(side.accepted - had <= took / 0.09 + 2, "%d checks in %.2f s" % (
        side.accepted - had, took))
    check("up (1 of 1" in w.log(), "it came back at times")


@case
def a_stopped_process_blames_nobody():
    o = Checked()
    w = Weir(one(o, up='health = { type = "http"; path = "/healthz"; '
                 'interval = "20ms"; timeout = "%dms"; fall = 1; };' %
                 (300 * SLOW)))
    until(lambda: row(w, o)["health"]["checks_total"] >= 3, "checks")
    for _ in range(3):
        w.signal(signal.SIGSTOP)
        # The time that it sleeps is the point, not how fast anything is.
        time.sleep(1.2 + 0.3 * SLOW)
        w.signal(signal.SIGCONT)
        n = row(w, o)["health"]["checks_total"]
        until(lambda: row(w, o)["health"]["checks_total"] > n, "more checks")
    eq(row(w, o)["health"]["failures_total"], 0, "failed checks")
    eq(row(w, o)["state"], "up", "state")


@case
def a_reload_keeps_what_is_known():
    good, bad = Checked(), Checked(500)
    w = Weir(one(good, bad, up=health()))
    wait_state(w, bad, "down")
    until(lambda: row(w, good)["health"]["last"] == "ok", "a good check")
    checks = row(w, bad)["health"]["checks_total"]
    w.conf.upstream("back", good, bad, extra=health() +
                    ' balance = "round_robin";')
    w.write()
    for _ in range(5):
        w.reload()
        eq((row(w, good)["state"], row(w, bad)["state"]), ("up", "down"),
           "states after a reload")
        ok(once(w.conf.ports["front"]))
    check(row(w, bad)["health"]["checks_total"] >= checks, "counters go back")
    eq(bad.asked, 0, "requests to what is down")
    # Without checks nobody is down for them.
    w.conf.upstream("back", good, bad)
    w.write()
    w.reload()
    eq(row(w, bad)["state"], "up", "state without checks")


@case
def readiness_waits_for_a_good_check_and_says_so():
    go = threading.Event()
    later(go.set)

    def late(q, link):
        go.wait(3 * WAIT)
        return answer(q, "")
    o = Checked(late)
    w = Weir(one(o, up='health = { type = "http"; path = "/healthz"; '
                 'interval = "50ms"; timeout = "%ds"; };' % (3 * WAIT)))
    status, body = w.get("/readyz")
    eq(status, 503, "/readyz before the first check")
    check("back: no endpoint has been checked yet" in body, body)
    go.set()
    until(lambda: w.get("/readyz")[0] == 200, "ready")
    w.stop()
    o = Checked(500)
    w = Weir(one(o, up=health() + ' ready = "always";'))
    wait_state(w, o, "down")
    status, body = w.get("/readyz")
    eq(status, 503, "/readyz with all down")
    check("%s is down (status 500)" % o.address in body, body)
    o.health = 200
    until(lambda: w.get("/readyz")[0] == 200, "ready")


# ------------------------------------------------ among several endpoints

def share(w, o, n=100):
    """How many of n requests one after another went to o."""
    before = o.asked
    c = Client(w.conf.ports["front"])
    for _ in range(n):
        ok(ask(c))
    c.close()
    return o.asked - before


@case
def what_is_down_gets_nothing_and_what_is_back_starts_slowly():
    a, b = Checked(), Checked()
    w = Weir(one(a, b, up=health() + ' balance = "round_robin"; '
                 'slow_start = "%ds";' % (600 * SLOW)))
    for o in (a, b):
        until(lambda: row(w, o)["health"]["last"] == "ok", "a good check")
    check(40 <= share(w, b) <= 60, "two equals do not share evenly")
    b.health = 500
    wait_state(w, b, "down")
    eq(share(w, b), 0, "requests to what is down")
    b.health = 200
    wait_state(w, b, "up")
    # A tenth of its weight at first: 9 of 100.
    got = share(w, b)
    check(1 <= got <= 20, "%d of 100 requests at the start" % got)


@case
def what_is_back_has_its_share_without_slow_start():
    a, b = Checked(), Checked(500)
    w = Weir(one(a, b, up=health() + ' balance = "round_robin";'))
    wait_state(w, b, "down")
    b.health = 200
    wait_state(w, b, "up")
    check(40 <= share(w, b) <= 60, "it does not get its half")


@case
def a_backup_serves_only_while_no_other_is_usable():
    a, b = Checked(), Checked()
    w = Weir(one(a, '{ name = "spare"; address = "%s"; backup = true; }' %
                 b.address, up=health()))
    until(lambda: all(e["health"]["last"] == "ok" for e in rows(w).values()),
          "good checks")
    eq(share(w, b, 20), 0, "requests to the backup")
    a.health = 500
    wait_state(w, a, "down")
    eq(share(w, b, 20), 20, "requests to the backup alone")
    a.health = 200
    wait_state(w, a, "up")
    eq(share(w, b, 20), 0, "requests to the backup afterwards")


@case
def when_all_are_down_they_may_be_tried():
    a, b = Checked(500), Checked(500)
    w = Weir(one(a, b, up=health() + ' when_all_down = "try";'))
    wait_state(w, a, "down")
    wait_state(w, b, "down")
    eq(share(w, a, 20) + b.asked, 20, "requests in all")
    # One that is up has all of them.
    a.health = 200
    wait_state(w, a, "up")
    before = b.asked
    share(w, a, 20)
    eq(b.asked, before, "requests to what is down")


# --------------------------------------------------------- passive ejection

def breaking(q, link):
    """Reads the request and resets."""
    link.rst()
    return False


def outlier(more='eject_for = "10m";', failures=3):
    return 'balance = "round_robin"; outlier = { failures = %d; %s };' % (
        failures, more)


def rain(w, enough):
    """Requests, however they end, until enough() says so."""
    def drop():
        for _ in range(3):
            once(w.conf.ports["front"], "POST", body=b"x")
        return enough()
    until(drop, "enough requests")


@case
def an_endpoint_that_fails_in_a_row_is_ejected_for_a_time():
    for workers in (1, 2):      # workers = 2: main decides for both
        a, b = Checked(), Checked(traffic=breaking)
        w = Weir(one(a, b, up=outlier(), workers=workers))
        rain(w, lambda: row(w, b)["ejections_total"])
        eq(row(w, b)["state"], "ejected", "state")
        eq(row(w, a)["ejections_total"], 0, "ejections of the other")
        had = b.asked
        for _ in range(20):
            ok(once(w.conf.ports["front"]))
        eq(b.asked, had, "requests to what is ejected")
        w.wait_log(r"endpoint %s\W.*ejected for 600000 ms: 3 failures in a row"
                   % b.address)
        eq(row(w, b)["ejections_total"], 1, "ejections")
        w.stop()


@case
def an_ejection_ends_by_itself():
    a, b = Checked(), Checked(traffic=breaking)
    w = Weir(one(a, b, up=outlier('eject_for = "300ms";')))
    rain(w, lambda: row(w, b)["ejections_total"])
    b.traffic = plain
    wait_state(w, b, "up")
    w.wait_log("is no longer ejected")
    check(share(w, b, 20) > 0, "no requests afterwards")


@case
def a_success_in_between_ends_the_row():
    turns = [0]

    def moody(q, link):
        turns[0] += 1
        return breaking(q, link) if turns[0] % 3 else plain(q, link)
    a, b = Checked(), Checked(traffic=moody)
    w = Weir(one(a, b, up=outlier()))
    rain(w, lambda: turns[0] >= 30)
    eq(row(w, b)["ejections_total"], 0, "ejections")


@case
def the_last_usable_endpoint_is_never_ejected():
    a = Checked(traffic=breaking)
    w = Weir(one(a, up=outlier('eject_for = "10m"; max_ejected = 1.0;')))
    rain(w, lambda: a.asked >= 12)
    eq((row(w, a)["state"], row(w, a)["ejections_total"]), ("up", 0), "alone")
    w.stop()
    a, b = Checked(traffic=breaking), Checked(traffic=breaking)
    w = Weir(one(a, b, up=outlier('eject_for = "10m"; max_ejected = 1.0;')))
    rain(w, lambda: a.asked >= 12 or b.asked >= 12)
    eq(sorted(e["state"] for e in rows(w).values()), ["ejected", "up"],
       "states of two")
    w.stop()
    # What is drained by hand cannot stand in either.
    a, b = Checked(traffic=breaking), Checked()
    w = Weir(one(a, b, up=outlier('eject_for = "10m"; max_ejected = 1.0;')))
    hand(w, b, "state=drain")
    rain(w, lambda: a.asked >= 12)
    eq((row(w, a)["state"], row(w, b)["state"]), ("up", "drain"), "states")


@case
def no_more_than_max_ejected_are_out():
    good = Checked()
    bad = [Checked(traffic=breaking) for _ in range(3)]
    w = Weir(one(good, *bad, up=outlier('eject_for = "10m"; '
                                        'max_ejected = 0.5;')))
    rain(w, lambda: sum(o.asked for o in bad) >= 40)
    states = [row(w, o)["state"] for o in bad]
    eq(sorted(states), ["ejected", "ejected", "up"], "states")


# ------------------------------------------------------------------ by hand

@case
def drained_by_hand_it_gets_nothing_new_and_keeps_that_over_reloads():
    a, b = Checked(), Checked()
    w = Weir(one(a, b, pool="min_idle = 4; max = 8;",
                 up=health() + ' balance = "round_robin";'))
    w.wait_pool(idle=4)
    hand(w, b, "state=drain")
    eq(row(w, b)["state"], "drain", "state")
    until(lambda: row(w, b)["open"] == 0, "its idle connections closed")
    eq(share(w, b, 20), 0, "requests while drained")
    for _ in range(3):
        w.reload()
        eq(row(w, b)["state"], "drain", "state after a reload")
        eq(share(w, b, 5), 0, "requests after a reload")
    hand(w, b, "state=conf")
    eq(row(w, b)["state"], "up", "state by the file")
    check(share(w, b, 20) > 5, "no requests afterwards")


@case
def down_by_hand_is_not_even_checked():
    a, b = Checked(), Checked()
    w = Weir(one(a, b, up=health()))
    until(lambda: b.checks >= 1 and a.checks >= 1, "checks")
    hand(w, b, "state=down")
    eq(row(w, b)["state"], "down", "state")
    had = row(w, b)["health"]["checks_total"]
    n = a.checks
    until(lambda: a.checks >= n + 10, "checks of the other")
    eq(row(w, b)["health"]["checks_total"], had, "checks while down by hand")
    hand(w, b, "state=conf")
    until(lambda: row(w, b)["health"]["checks_total"] > had, "checks again")
    eq(row(w, b)["state"], "up", "state")


@case
def up_by_hand_holds_against_the_checks():
    o = Checked(500)
    w = Weir(one(o, up=health()))
    wait_state(w, o, "down")
    hand(w, o, "state=up")
    eq(row(w, o)["state"], "up", "state")
    n = o.checks
    until(lambda: o.checks >= n + 5, "more checks")
    eq(row(w, o)["state"], "up", "state after more checks")
    ok(once(w.conf.ports["front"]))
    w.reload()
    ok(once(w.conf.ports["front"]))
    hand(w, o, "state=conf")
    eq(row(w, o)["state"], "down", "state by the checks")


@case
def by_hand_for_a_time_ends_by_itself():
    a, b = Checked(), Checked()
    w = Weir(one(a, b))
    hand(w, b, "state=drain&for=10m")
    eq(row(w, b)["state"], "drain", "state")
    hand(w, b, "state=drain&for=200ms")
    wait_state(w, b, "up")
    w.wait_log("as the file says again")


@case
def a_weight_by_hand_counts_until_conf():
    a, b = Checked(), Checked()
    w = Weir(one(a, b, up='balance = "round_robin";'))
    hand(w, b, "weight=9")
    eq(row(w, b)["weight"], 9, "weight")
    check(88 <= share(w, b, 100) <= 92, "nine of ten are not its")
    w.reload()
    eq(row(w, b)["weight"], 9, "weight after a reload")
    hand(w, b, "state=conf")
    eq(row(w, b)["weight"], 1, "weight of the file")
    check(48 <= share(w, b, 100) <= 52, "a half is not its")


@case
def all_changes_by_hand_can_be_dropped_with_a_reload():
    a, b = Checked(), Checked()
    w = Weir(one(a, b))
    hand(w, a, "state=drain")
    hand(w, b, "weight=3")
    eq(w.stats()["reload"]["overrides"], 2, "overrides")
    status, body = w.post("/reload?drop_overrides=1")
    eq(status, 200, "POST /reload?drop_overrides=1: " + body)
    eq((row(w, a)["state"], row(w, b)["weight"]), ("up", 1), "endpoints")
    eq(w.stats()["reload"]["overrides"], 0, "overrides")


run()
