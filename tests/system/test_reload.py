"""The configuration changes under load: nothing fails, nothing that stayed in
the file loses its connections or its counts, and a bad file changes nothing.
"""
# SPDX-License-Identifier: MIT
import json
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, Failed, case, check, eq, run, until
from origin import Origin, echo
from weir import Weir, listening, one
from web import HttpOrigin, answer, ask, ok, once, read_response, request
from wire import Client, Ended


class Load:
    """Clients that ask without pause until told; every failure is kept."""

    def __init__(self, number, clients=4):
        self.number, self.stop, self.failures = number, False, []
        self.done = [0] * clients
        self.threads = [threading.Thread(target=self._go, args=(n,),
                                         daemon=True) for n in range(clients)]
        for t in self.threads:
            t.start()

    def _go(self, n):
        c = Client(self.number)
        try:
            while not self.stop:
                r = ok(ask(c))
                self.done[n] += 1
                # A client may be told to come again; that is no failure.
                if (r.get("Connection") or "").lower() == "close":
                    c.close()
                    c = Client(self.number)
        except (Failed, Ended, OSError) as e:
            self.failures.append(e)
        c.close()

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(3 * WAIT)
        eq(self.failures, [], "failures under load")
        return sum(self.done)


@case
def thirty_reloads_under_load_lose_nothing():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, pool="min_idle = 4; max = 4;"))
    w.wait_pool(idle=4)
    load = Load(w.conf.ports["front"])
    generation = w.stats()["generation"]
    seen = 0
    for k in range(30):
        asked = sum(load.done)
        w.conf.log = 'level = "%s";' % ("info" if k % 2 else "warn")
        bad = k % 3 == 2
        w.write(w.conf.text() + ("oops = = ;\n" if bad else ""))
        if k % 2:
            w.signal(signal.SIGHUP)
            if bad:
                until(lambda: w.stats()["reload"]["last"] != "ok", "error")
            else:
                until(lambda: w.stats()["generation"] > generation, "reload")
        else:
            status, body = w.post("/reload")
            check((status != 200) == bad, "%d %s" % (status, body))
            check(not bad or json.loads(body)["error"], "no error text")
        s = w.stats()
        eq(s["reload"]["last"] == "ok", not bad, "reload.last")
        eq(s["generation"] > generation, not bad, "generation moves")
        generation = s["generation"]
        now = w.upstream()["requests_total"]
        check(now >= seen, "requests_total went back")
        seen = now
        until(lambda: sum(load.done) > asked or load.failures, "traffic")
    n = load.end()
    u = w.upstream()
    eq((o.accepted, u["connects_total"]), (4, 4), "upstream connections")
    eq(u["requests_total"], n, "requests_total")
    eq(w.listener()["requests_total"], n, "listener's requests_total")
    w.balanced(o)


@case
def bad_file_leaves_all_running_and_says_where():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 3;"))
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    before = w.stats()
    good = w.conf.text()
    for bad, word in ((good.replace("max = 3", "maxx = 3"), "maxx"),
                      (good.replace('"back"; endpoints', '"bakc"; endpoints'),
                       "back"),
                      (good + "}", '"}"'),
                      ("", "listeners")):
        w.write(bad or " ")
        status, body = w.post("/reload")
        check(400 <= status < 500 and word in json.loads(body)["error"],
              "%d %s, wanted %r" % (status, body, word))
        s = w.stats()
        check(word in s["reload"]["last"], "reload.last: %r" % s["reload"])
        eq((s["generation"], s["upstreams"][0]["pool"]["max"]),
           (before["generation"], 3), "generation, max")
        check("weir_config_last_reload_successful 0" in w.metrics(),
              "metric")
        eq(ok(ask(c)).conn, 1, "who served")
    w.wait_log(r"weir\d+\.conf:\d+: .*maxx")
    w.write()
    w.reload()
    check("weir_config_last_reload_successful 1" in w.metrics(), "metric")
    eq(w.stats()["reload"]["last"], "ok", "reload.last")
    eq(ok(ask(c)).conn, 1, "who served")
    o.had(1)


@case
def port_that_cannot_be_bound_changes_nothing():
    o = HttpOrigin()
    taken = Origin(echo)
    w = Weir(one(o))
    ok(once(w.conf.ports["front"]))
    text = w.conf.text()
    w.conf.listener("more", bind='"127.0.0.1:%d"' % taken.number)
    w.conf.listener("other")
    w.write()
    status, body = w.post("/reload")
    check(status != 200 and str(taken.number) in json.loads(body)["error"],
          "%d %s" % (status, body))
    eq(len(w.stats()["listeners"]), 1, "listeners")
    check(not listening(w.conf.ports["other"]), "half of the file applied")
    ok(once(w.conf.ports["front"]))
    w.write(text)
    w.reload()
    o.had(1)


@case
def listeners_come_and_go():
    o = HttpOrigin()
    w = Weir(one(o))
    old = Client(w.conf.ports["front"])
    ok(ask(old))
    w.conf.listener("second")
    w.write()
    w.reload()
    until(lambda: listening(w.conf.ports["second"]), "the new listener")
    eq(ok(once(w.conf.ports["second"])).conn, 1, "same pool behind it")
    eq(ok(ask(old)).conn, 1, "a session that stayed")
    del w.conf.listeners["front"]
    w.write()
    w.reload()
    until(lambda: not listening(w.conf.ports["front"]), "it closes")
    # Its client is told at its next request, or was closed while idle.
    try:
        r = ok(ask(old))
        eq((r.get("Connection") or "").lower(), "close", "told")
        eq(old.read_to_end(), b"", "then closed")
    except (Ended, OSError):
        eq(old.ended, "fin", "closed in order")
    ok(once(w.conf.ports["second"]))
    o.had(1)
    # And back: its counts go on.
    w.conf.listener("front")
    w.write()
    w.reload()
    until(lambda: listening(w.conf.ports["front"]), "back")
    ok(once(w.conf.ports["front"]))
    o.had(1)


@case
def exchange_of_a_removed_listener_finishes():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(3 * WAIT)
        return answer(q, "whole")
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"]).send(request())
    until(lambda: o.requests == 1, "request upstream")
    w.conf.listener("second")
    del w.conf.listeners["front"]
    w.write()
    w.reload()
    until(lambda: not listening(w.conf.ports["front"]), "it closes")
    gate.set()
    r = ok(read_response(c))
    eq((r.body, (r.get("Connection") or "").lower()), (b"whole", "close"),
       "answer")
    o.had(1)


@case
def endpoints_come_and_go_under_load():
    a, b = HttpOrigin(keep=False), HttpOrigin(keep=False)
    w = Weir(one(a, pool='max = 8; queue_timeout = "30s";'))
    load = Load(w.conf.ports["front"])
    until(lambda: a.requests > 20, "traffic on a")
    before = a.accepted
    w.conf.upstream("back", a, b, pool='max = 8; queue_timeout = "30s";')
    w.write()
    w.reload()
    until(lambda: b.requests > 20 or load.failures, "traffic on b")
    w.conf.upstream("back", b, pool='max = 8; queue_timeout = "30s";')
    w.write()
    w.reload()
    until(lambda: a.open == 0 or load.failures, "a's connections close")
    quiet = a.requests
    more = b.requests
    until(lambda: b.requests > more + 20 or load.failures, "traffic on b")
    eq(a.requests, quiet, "requests to the removed endpoint")
    n = load.end()
    eq(a.requests + b.requests, n, "requests in all")
    check(a.accepted <= max(before, 8) and b.accepted <= 8,
          "upstream connections: %d, %d" % (a.accepted, b.accepted))
    eq([e["name"] for e in w.upstream()["endpoints"]], [b.address], "/stats")
    w.balanced(a, b)


@case
def lower_max_closes_the_surplus():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(3 * WAIT)
        return answer(q)
    o = HttpOrigin(handler)
    w = Weir(one(o, pool='max = 8; queue_timeout = "30s";'))
    clients = [Client(w.conf.ports["front"]) for _ in range(8)]
    for c in clients:
        c.send(request(target="/slow"))
    until(lambda: o.requests == 8, "eight at once")
    gate.set()
    for c in clients:
        ok(read_response(c))
    w.wait_pool(idle=8)
    gate.clear()
    for c in clients[:4]:
        c.send(request(target="/slow"))
    w.wait_pool(idle=4, leased=4)
    w.conf.upstream("back", o, pool='max = 2; queue_timeout = "30s";')
    w.write()
    w.reload()
    w.wait_pool(idle=0, leased=4, max=2)    # idle ones at once
    gate.set()
    for c in clients[:4]:
        ok(read_response(c))
    w.wait_pool(open=2, idle=2)             # leased ones on return
    until(lambda: o.open == 2, "the origin sees two")
    for c in clients:
        ok(ask(c))
        c.close()
    o.had(8)
    w.balanced(o)


@case
def a_lower_max_costs_those_that_go_anyway():
    """The connections of an endpoint that leaves make room for the rest."""
    a, b = HttpOrigin(), HttpOrigin()
    w = Weir(one(a, b, pool="min_idle = 6; max = 6;"))
    w.wait_pool(idle=6)
    until(lambda: (a.open, b.open) == (3, 3), "three each")
    w.write(w.conf.text().replace('"%s", ' % a.address, "").replace(
        "min_idle = 6; max = 6;", "min_idle = 1; max = 3;"))
    w.reload()
    w.wait_pool(open=3, idle=3)
    eq((w.upstream()["connects_total"],
        w.upstream()["discarded_total"]["surplus"]), (6, 0), "made, surplus")
    until(lambda: a.open == 0, "the one that has left has none")
    eq((b.open, b.accepted), (3, 3), "the other one's")


@case
def an_upstream_may_be_replaced():
    a, b = HttpOrigin(), HttpOrigin()
    w = Weir(one(a))
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    w.conf.listener("front", "other")
    del w.conf.upstreams["back"]
    w.conf.upstream("other", b)
    w.write()
    w.reload()
    ok(ask(c))      # an exchange reads its policy when it begins
    eq((a.requests, b.requests), (1, 1), "requests")
    until(lambda: a.open == 0, "the old one's connections close")
    eq([u["name"] for u in w.stats()["upstreams"]], ["other"], "/stats")
    eq((a.accepted, b.accepted), (1, 1), "upstream connections")
    c.close()
    w.balanced(a, b)


@case
def two_workers_reload_alike():
    o = HttpOrigin(keep=False)
    w = Weir(one(o, pool="max = 4; max_waiting = 100;", workers=2))
    load = Load(w.conf.ports["front"], 8)
    for k in range(10):
        done = sum(load.done)
        w.conf.log = 'level = "%s";' % ("info" if k % 2 else "warn")
        w.write()
        w.reload()
        until(lambda: sum(load.done) > done or load.failures, "traffic")
    n = load.end()
    check(o.accepted <= 4, "upstream connections: %d" % o.accepted)
    eq(w.upstream()["requests_total"], n, "requests_total")
    w.balanced(o)


run()
