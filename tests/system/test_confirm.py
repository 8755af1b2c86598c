"""A reload that awaits its confirmation goes back by itself: nothing that the
file before had is lost meanwhile, and what is confirmed stays.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, run, temp_dir, until
from weir import Weir, command, listening, one, unix_listening
from web import HttpOrigin, ask, ok, once
from wire import Client


def reload(w, query=""):
    status, body = w.post("/reload" + query)
    eq(status, 200, "/reload%s: %s" % (query, body))
    return json.loads(body)


def confirm(w, wanted=200):
    status, body = w.post("/confirm")
    eq(status, wanted, "/confirm: " + body)
    return json.loads(body)


def awaits(w):
    return w.stats()["reload"]["confirm_until"] is not None


def ends(w):
    """What came of the reloads, newest first."""
    return [r["result"] for r in w.stats()["reloads"]]


def two(o, p, **more):
    """Two listeners and two upstreams: front and back, side and aside."""
    return one(o, pool="min_idle = 2; max = 4;", **more) \
        .listener("side", "aside") \
        .upstream("aside", p, pool="min_idle = 2; max = 4;")


def without_side(w):
    """The file without side; its port, for who still goes there."""
    w.conf.listeners.pop("side")
    w.conf.upstreams.pop("aside")
    w.write()
    return w.conf.ports.pop("side")


@case
def it_goes_back_by_itself_and_nothing_is_lost():
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(two(o, p))
    w.wait_pool("aside", idle=2)
    kept = Client(w.conf.ports["side"])
    ok(ask(kept))
    side = without_side(w)
    j = reload(w, "?confirm=1s")
    eq(j["changes"], ["listener side removed (127.0.0.1:%d, http)" % side,
                      "upstream aside removed (http, 1 endpoint)"], "changes")
    check(j["confirm_until"] is not None, "confirm_until")
    # Whoever comes meanwhile is served, with the warm pool.
    ok(ask(kept))
    ok(once(side))
    until(lambda: not awaits(w), "going back")
    eq(ends(w), ["reverted", "ok"], "what came of them")
    eq(w.stats()["generation"], 3, "generation")
    check("not confirmed in time" in w.stats()["reload"]["last"], "last")
    eq(w.stats()["reloads"][0]["changes"],
       ["listener side added (127.0.0.1:%d, http)" % side,
        "upstream aside added (http, 1 endpoint)"], "what it changed back")
    check(w.stats()["reloads"][0]["at"] >= j["confirm_until"],
          "back before the time that was promised")
    # Who comes too late must not take it for confirmed.
    confirm(w, 409)
    r = command("confirm", "-c", w.file)
    eq((r.returncode, r.stdout), (1, ""), "weir confirm, too late")
    check("was not confirmed in time" in r.stderr, r.stderr)
    ok(ask(kept))
    ok(once(side))
    kept.close()
    w.conf.ports["side"] = side
    w.wait_pool("aside", leased=0)
    eq(w.upstream("aside")["closes_total"], 0, "connections closed")
    w.balanced(o, p)


@case
def what_is_confirmed_stays_and_the_rest_goes():
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(two(o, p))
    w.wait_pool("aside", idle=2)
    side = without_side(w)
    r = command("reload", "-c", w.file, "--confirm", "60s")
    eq(r.returncode, 0, "weir reload --confirm: " + r.stderr)
    lines = r.stdout.splitlines()
    eq(lines[0], "reloaded: generation 2", "first line")
    eq(lines[1], "listener side removed (127.0.0.1:%d, http)" % side, "change")
    check(re.match(r"what was before comes back at \d{4}-\d\d-\d\dT"
                   r"\d\d:\d\d:\d\dZ unless this is run until then:$",
                   lines[3]), lines)
    eq(lines[4], "    weir -c %s confirm" % w.file, "how to confirm")
    ok(once(side))
    check(listening(side), "side listens until it is confirmed")
    r = command(*lines[4].split()[1:])
    eq((r.returncode, r.stdout), (0, "confirmed: generation 2 stays\n"),
       "weir confirm: " + r.stderr)
    until(lambda: not listening(side), "side closed")
    until(lambda: [u["name"] for u in w.stats()["upstreams"]] == ["back"],
          "aside has left")
    until(lambda: p.open == 0, "its connections closed")
    eq(ends(w), ["confirmed", "ok"], "what came of them")
    eq(w.stats()["generation"], 2, "generation")
    eq(w.stats()["reload"]["last"], "ok", "last")
    eq(confirm(w)["awaited"], False, "confirmed again")
    r = command("confirm", "-c", w.file)
    eq((r.returncode, r.stdout), (0, "nothing awaits a confirmation; "
       "generation 2, which runs, is confirmed already\n"), "weir confirm again")
    ok(once(w.conf.ports["front"]))
    w.balanced(o)


@case
def an_address_that_moved_comes_back_with_its_clients():
    """To another listener and port; a Unix socket, whose file stays."""
    o, p = HttpOrigin(), HttpOrigin()
    path = os.path.join(temp_dir(), "front.sock")
    was = port()
    conf = two(o, p)
    conf.listener("front", bind='( "127.0.0.1:%d", "unix:%s" )' % (was, path))
    conf.ports["front"] = was
    w = Weir(conf)

    # front goes to another port, side has its old one and loses its own.
    old_side = conf.ports["side"]
    conf.listener("front", bind='"127.0.0.1:%d"' % port())
    conf.listener("side", "aside", bind='"127.0.0.1:%d"' % was)
    w.write()
    reload(w, "?confirm=1s")
    check(unix_listening(path) and os.path.exists(path), "the Unix socket")
    before = p.requests
    until(lambda: ok(once(was)) and p.requests > before,
          "the old address is side's now")
    ok(once(old_side))
    until(lambda: not awaits(w), "going back")
    before = o.requests
    until(lambda: ok(once(was)) and o.requests > before,
          "the address is front's again")
    ok(once(old_side))
    check(unix_listening(path) and os.path.exists(path), "the Unix socket")


@case
def a_second_one_leads_back_to_what_was_good():
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(two(o, p))
    side = without_side(w)
    reload(w, "?confirm=60s")
    w.conf.upstream("back", o, pool="min_idle = 2; max = 3;")
    w.conf.listener("third")
    w.write()
    first = w.stats()["reload"]["confirm_until"]
    j = reload(w, "?confirm=2s")
    check(j["confirm_until"] < first, "its time begins anew")
    ok(once(side))
    ok(once(w.conf.ports["third"]))
    eq(w.pool()["max"], 3, "max meanwhile")
    until(lambda: not awaits(w), "going back")
    eq(w.pool()["max"], 4, "max as at first")
    ok(once(side))
    third = w.conf.ports.pop("third")
    until(lambda: not listening(third), "what was new has gone")
    eq(ends(w), ["reverted", "ok", "ok"], "what came of them")


@case
def an_address_that_two_changes_took_away_comes_back():
    """It has gone to another listener, then from that: who connects waits in
    its queue, which is held, and is served by whoever has it in the end."""
    o, p = HttpOrigin(), HttpOrigin()
    conf = two(o, p, workers=2)
    w = Weir(conf)
    was = conf.ports["front"]
    conf.listener("front", bind='"127.0.0.1:%d"' % port())
    conf.listener("side", "aside", bind='"127.0.0.1:%d"' % was)
    w.write()
    reload(w, "?confirm=60s")
    conf.listener("side", "aside", bind='"127.0.0.1:%d"' % port())
    w.write()
    reload(w, "?confirm=1s")
    c = Client(was)
    before = o.requests
    ok(ask(c))
    check(o.requests > before, "front has it again")
    check(not awaits(w), "it has gone back")
    c.close()
    for _ in range(8):
        ok(once(was))
    w.balanced(o, p)


@case
def another_protocol_under_the_same_names_comes_and_goes():
    o, p = HttpOrigin(), HttpOrigin()
    conf = two(o, p)
    w = Weir(conf)
    side = conf.ports["side"]
    kept = Client(side)
    ok(ask(kept))
    conf.listener("side", "aside", protocol="tcp")
    w.write()
    for query, result in (("?confirm=300ms", "reverted"),
                          ("?confirm=60s", "confirmed")):
        reload(w, query)
        requests = p.requests
        ok(once(side))
        eq(p.requests, requests + 1, "requests through raw TCP")
        if result == "confirmed":
            confirm(w)
        until(lambda: not awaits(w), "the end of it")
        eq(ends(w)[0], result, "what came of it")
        ok(once(side))
    # Who came by the old one is served by it to his end.
    ok(ask(kept))
    kept.close()
    until(lambda: len(w.stats()["upstreams"]) == 2, "the other has left")
    eq([x["protocol"] for x in w.stats()["listeners"]], ["http", "tcp"],
       "protocols")
    w.balanced(o, p)


@case
def one_without_confirmation_is_for_good():
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(two(o, p))
    side = without_side(w)
    reload(w, "?confirm=60s")
    # The same file by somebody who knows of nothing confirms nothing.
    w.signal(signal.SIGHUP)
    until(lambda: len(ends(w)) == 2, "SIGHUP heard")
    check(awaits(w), "SIGHUP with the same file has confirmed")
    ok(once(side))
    # A mistake leaves it as it is.
    w.write("mistake")
    eq(w.post("/reload")[0], 422, "a bad file")
    check(awaits(w), "a bad file has confirmed")
    ok(once(side))
    w.conf.upstream("back", o, pool="min_idle = 2; max = 3;")
    w.write()
    j = reload(w)
    eq(j["confirm_until"], None, "confirm_until")
    check(not awaits(w), "it still awaits")
    until(lambda: not listening(side), "side closed")
    eq(confirm(w)["awaited"], False, "nothing is awaited")
    eq(ends(w), ["ok", "refused", "ok", "ok"], "what came of them")
    w.write("mistake")
    eq(w.post("/reload?confirm=60s")[0], 422, "a bad file")
    check("was refused" in confirm(w, 409)["error"], "confirm what is refused")
    w.balanced(o)


@case
def a_file_that_changes_nothing_awaits_nothing():
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(two(o, p))
    good = w.conf.text()
    eq(reload(w, "?confirm=60s")["confirm_until"], None, "the same file")
    r = command("reload", "-c", w.file, "--confirm", "60s")
    eq(r.stdout, "reloaded: generation 3\nnothing has changed\n"
       "nothing awaits a confirmation\n", "words")
    eq(command("confirm", "-c", w.file).returncode, 0, "what a script does next")
    side = without_side(w)
    reload(w, "?confirm=60s")
    w.write(good)
    eq(reload(w, "?confirm=60s")["confirm_until"], None, "back by hand")
    ok(once(side))
    w.conf.ports["side"] = side
    w.balanced(o, p)


@case
def draining_ends_the_wait():
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(two(o, p, more='drain_delay = "1s";'))
    without_side(w)
    reload(w, "?confirm=60s")
    w.signal(signal.SIGTERM)
    w.wait_log("was not confirmed before weir ends")
    confirm(w, 409)
    eq(w.exited(), 0, "exit status")


@case
def the_admin_port_answers_at_both_addresses():
    o = HttpOrigin()
    w = Weir(one(o))
    old, new = w.admin, ("127.0.0.1", port())
    w.conf.admin_port = new[1]
    w.write()
    reload(w, "?confirm=60s")
    for at in (old, new):
        eq(w.admin_request("GET", "/healthz", at=at)[0], 200, "at %r" % (at,))
    eq(w.admin_request("POST", "/confirm", at=new)[0], 200, "confirm")
    w.admin = new
    until(lambda: not listening(old[1]), "the old one closed")


@case
def overrides_are_dropped_when_it_is_confirmed():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 4;"))
    eq(w.post("/upstreams/back/endpoints/%s?weight=7" % o.address)[0], 200,
       "an override")
    w.write(w.conf.text().replace("max = 4;", "max = 5;"))
    eq(reload(w, "?confirm=60s&drop_overrides=1")["overrides"], 1, "overrides")
    confirm(w)
    eq(w.stats()["reload"]["overrides"], 0, "overrides when confirmed")


@case
def what_was_changed_by_hand_comes_back_with_its_endpoint():
    """It sleeps while the endpoint is not in the file; when that is for good it
    ends."""
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(one(o, p, pool="max = 4;"))
    both = w.conf.text()
    left = "/upstreams/back/endpoints/" + p.address

    def by_hand():
        return [(e["override"] or {}).get("state")
                for e in w.upstream()["endpoints"]]
    eq(w.post(left + "?state=drain")[0], 200, "drain")
    w.conf.upstream("back", o, pool="max = 4;")
    for query in ("?confirm=60s", "?confirm=300ms"):
        w.write()
        eq(reload(w, query)["overrides"], 0, "overrides")
        if query == "?confirm=60s":
            said = w.get("/drift")[1]
            check("drain by hand, should what was before come back" in said,
                  said)
            w.write(both)
            reload(w)
        until(lambda: not awaits(w), "it is back")
        eq(by_hand(), [None, "drain"], "by hand")
    for _ in range(4):
        ok(once(w.conf.ports["front"]))
    eq((o.requests, p.requests), (4, 0), "requests")
    w.write()
    reload(w, "?confirm=60s")
    confirm(w)
    w.wait_log("endpoint %s: by hand: no more, it has left the file" %
               re.escape(p.address))
    w.write(both)
    reload(w)
    eq(by_hand(), [None, None], "by hand, when it has left for good")


@case
def times_and_words_that_are_wrong_are_refused():
    o = HttpOrigin()
    w = Weir(one(o))
    for query in ("confirm=5", "confirm=0s", "confirm=off", "confirm=25h",
                  "confirm=x", "confrim=5s"):
        eq(w.post("/reload?" + query)[0], 400, query)
    eq(w.post("/confirm?x=1")[0], 400, "/confirm?x=1")
    eq(w.get("/confirm")[0], 405, "GET /confirm")
    eq(command("reload", "-c", w.file, "--confirm", "5").returncode, 2,
       "--confirm 5")
    eq(w.stats()["generation"], 1, "generation")


@case
def under_load_with_two_workers_nothing_fails():
    """Removed, back, removed and confirmed, again and again."""
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(two(o, p, workers=2))
    with_side = w.conf.text()
    numbers = [w.conf.ports["front"], w.conf.ports["side"]]
    stop, failures, done = [], [], [0, 0]

    def go(n):
        try:
            while not stop:
                ok(once(numbers[n]))
                done[n] += 1
        except Exception as e:          # whatever it is, it is a failure
            failures.append("%d: %r" % (n, e))
    threads = [threading.Thread(target=go, args=(n,), daemon=True)
               for n in (0, 1)]
    for t in threads:
        t.start()
    without_side(w)
    bare = w.conf.text()
    for k in range(12):
        before = list(done)
        w.write(bare)
        reload(w, "?confirm=50ms" if k % 2 else "?confirm=60s")
        if k % 2 == 0:
            until(lambda: done[0] > before[0] and done[1] > before[1] or
                  failures, "requests meanwhile")
            w.write(with_side)
            reload(w, "?confirm=60s")
        until(lambda: not awaits(w), "the end of it")
    until(lambda: (done[0] > before[0] and done[1] > before[1]) or failures,
          "requests afterwards")
    stop.append(True)
    for t in threads:
        t.join()
    eq(failures, [], "failures")
    w.balanced(o, p)


@case
def what_was_changed_and_then_removed_is_held_as_it_was_before():
    """Twice without a confirmation: what runs on has nothing of the middle one."""
    for end in ("confirm", "time"):
        o = HttpOrigin()
        w = Weir(one(o, pool="min_idle = 1; max = 16;", workers=2))
        good = w.conf.text()
        w.wait_pool(idle=1)
        c = Client(w.conf.ports["front"])
        ok(ask(c))
        w.write(good.replace("max = 16;", "max = 12;"))
        reload(w, "?confirm=60s")
        w.write(good.replace('"back"', '"other"'))
        reload(w, "?confirm=60s" if end == "confirm" else "?confirm=1s")
        ok(ask(c))
        if end == "confirm":
            confirm(w)
            until(lambda: [u["name"] for u in w.stats()["upstreams"]] ==
                  ["other"], "it has gone")
        else:
            until(lambda: not awaits(w), "it is back")
            eq(w.pool()["max"], 16, "pool.max")
        ok(ask(c))
        c.close()
        ok(once(w.conf.ports["front"]))


run()
