"""weir plan and POST /plan: what a reload would change is said in words and
numbers, then comes about exactly so; asking changes nothing.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import socket
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, put, run, temp_dir, until
from fault import not_in
from tls import Ca
from postgres import Client as PgClient, through
from postgres_origin import PgOrigin
from weir import Conf, Weir, command, listening, one
from web import HttpOrigin, answer, ask, ok, once, request
from wire import Client


def admin(w):
    return "127.0.0.1:%d" % w.admin[1]


def plan(w, text, *options):
    """weir plan of a text; (exit status, lines it prints, lines of errors)."""
    r = command("plan", "-c", put("new.conf", text), "--admin", admin(w),
                *options)
    return r.returncode, r.stdout.splitlines(), r.stderr.splitlines()


def posted(w, text, name="new.conf"):
    status, body, _ = w.admin_request(
        "POST", "/plan?name=" + urllib.parse.quote(name), body=text.encode())
    eq(status, 200, "/plan")
    return json.loads(body)


def becomes(w, change):
    """The file's text with a change made to it."""
    was, now = change
    text = w.conf.text()
    check(was in text, "%r is not in the file" % was)
    return text.replace(was, now)


@case
def a_changed_key_is_said_with_what_it_was_and_will_be():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 64; max_idle = 9; max_pinned = 1;"))
    status, out, err = plan(w, becomes(w, ("max = 64;", "max = 32;")))
    eq((status, out, err), (0, ["upstream back: pool.max 64 -> 32"], []),
       "weir plan")
    j = posted(w, becomes(w, ("max = 64;", "max = 32;")))
    eq(j["result"], "ok", "result")
    eq(j["generation"], 1, "generation")
    eq(j["text"], out, "text")
    eq(j["changes"], [{
        "kind": "limit", "name": "back", "in": "back", "change": "changed",
        "path": "upstreams.back.pool.max", "from": "64", "to": "32",
        "text": out[0], "line": 10, "place": "new.conf:10"}], "changes")
    eq(w.stats()["generation"], 1, "generation after plans")
    eq(w.pool()["max"], 64, "max after plans")
    ok(once(w.conf.ports["front"]))


@case
def nothing_to_change_is_said():
    o = HttpOrigin()
    w = Weir(one(o))
    eq(plan(w, w.conf.text()), (0, ["nothing would change"], []), "weir plan")
    eq(plan(w, "# a comment\n" + w.conf.text())[1], ["nothing would change"],
       "weir plan with a comment")
    # Its own file, by an empty body.
    eq(json.loads(w.post("/plan")[1])["result"], "same", "own file")
    w.write(becomes(w, ("workers = 1;", "workers = 2;")))
    j = json.loads(w.post("/plan")[1])
    eq((j["result"], j["restart"]), ("ok", ["workers"]), "own file, changed")
    eq(j["text"], ["workers 1 -> 2 (at the next start only)"], "text")


@case
def listeners_upstreams_and_endpoints_come_and_go():
    o, p = HttpOrigin(), HttpOrigin()
    conf = one(o).listener("gone", "old").upstream("old", o)
    w = Weir(conf)
    before = dict(conf.ports)
    conf.listeners.pop("gone"), conf.upstreams.pop("old")
    conf.listener("fresh", "made").upstream("made", p)
    conf.upstream("back", o, '{ name = "b"; address = "%s"; weight = 3; }' %
                  p.address)
    status, out, err = plan(w, conf.text())
    eq(status, 0, "exit status")
    eq(out, [
        "listener gone removed (127.0.0.1:%d, http)" % before["gone"],
        "listener fresh added (127.0.0.1:%d, http)" % conf.ports["fresh"],
        "upstream old removed (http, 1 endpoint)",
        "upstream back: endpoint b added (%s)" % p.address,
        "upstream made added (http, 1 endpoint)"], "what it says")
    check(not listening(conf.ports["fresh"]), "plan binds nothing")
    eq(w.stats()["generation"], 1, "generation")


@case
def an_address_that_is_taken_is_said_as_the_reload_says_it():
    o = HttpOrigin()
    # One in the folder, or the sandbox lets none in later.
    stale, live, own = (os.path.join(temp_dir(), n) for n in ("s", "l", "o"))
    w = Weir(one(o).listener("second").listener("third",
                                                bind='"unix:%s"' % own))
    was = w.conf.text()
    with socket.create_server(("127.0.0.1", 0)) as s, \
            socket.socket(socket.AF_UNIX) as u, \
            socket.socket(socket.AF_UNIX) as dead:
        u.bind(live)
        u.listen()
        u.setblocking(False)
        dead.bind(stale)
        dead.close()
        taken = "127.0.0.1:%d" % s.getsockname()[1]
        w.conf.listener("fresh", bind='( "%s", "unix:%s", "unix:%s" )' % (
            taken, live, stale))
        w.write()
        j = json.loads(w.post("/plan")[1])
        eq((j["result"], len(j["errors"])), ("invalid", 2), j["errors"])
        check("listeners.fresh.bind: cannot bind %s: Address already in use" %
              taken in j["errors"][0], j["errors"])
        check("cannot bind unix:%s: Address already in use" % live in
              j["errors"][1], j["errors"])
        eq(j["text"], ["listener fresh added (%s, unix:%s, unix:%s, http)" % (
            taken, live, stale)], "what would change")
        eq(plan(w, w.conf.text())[0], 1, "exit status")
        status, body = w.post("/reload")
        eq((status, json.loads(body)["errors"]), (422, j["errors"][:1]),
           "the reload")
        # Who listens there has noticed nothing, and no file has gone.
        try:
            u.accept()
            check(False, "nobody connects")
        except BlockingIOError:
            pass
        check(os.path.exists(stale), "the file is still there")
        # What is hidden from who sends it is not told to be taken either.
        j = posted(w, w.conf.text().replace(taken, "${TAKEN}"))
        eq(j["result"], "invalid", "when weir has no such variable")
    # What another listener of the same file gives up is free.
    front, second = (w.conf.ports[n] for n in ("front", "second"))
    w.conf.listeners.pop("fresh")
    w.write(was.replace(":%d" % front, ":x").replace(
        ":%d" % second, ":%d" % front).replace(":x", ":%d" % second))
    eq(json.loads(w.post("/plan")[1])["result"], "ok", "exchanged")
    w.reload()
    ok(once(front))


@case
def while_a_reload_awaits_its_confirmation_it_says_so():
    """And that nothing goes by a file that says what runs, but by another."""
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(one(o, pool="min_idle = 2; max = 4;").listener("side", "aside")
             .upstream("aside", p, pool="min_idle = 2; max = 2;"))
    w.wait_pool("aside", idle=2)
    w.wait_pool(idle=2)
    kept = Client(w.conf.ports["side"])
    ok(ask(kept))
    eq(posted(w, w.conf.text())["confirm_until"], None, "before")
    w.conf.listeners.pop("side"), w.conf.upstreams.pop("aside")
    w.write()
    eq(w.post("/reload?confirm=600s")[0], 200, "/reload")
    until = w.stats()["reload"]["confirm_until"]
    j = json.loads(w.post("/plan")[1])
    eq((j["result"], j["confirm_until"], j["clients"]), ("same", until, []),
       "of what runs")
    eq([(c["upstream"], c["stay"], c["close_now"], c["close_later"])
        for c in j["connections"]], [("back", 2, 0, 0), ("aside", 2, 0, 0)],
       "connections")
    eq((len(j["text"]), j["text"][0]), (2, "nothing would change"), "text")
    check(re.fullmatch("generation 2 awaits its confirmation until [-0-9]*T"
                       "[:0-9]*Z: a reload of this does not confirm it",
                       j["text"][1]), j["text"])
    w.reload()
    eq(w.pool("aside")["open"], 2, "open after a reload of the same")
    ok(ask(kept))
    w.write(becomes(w, ("max = 4;", "max = 5;")))
    j = json.loads(w.post("/plan")[1])
    eq((j["result"], j["confirm_until"]), ("ok", until), "of another")
    eq([(c["upstream"], c["stay"], c["close_now"], c["close_later"])
        for c in j["connections"]], [("back", 2, 0, 0), ("aside", 0, 2, 0)],
       "connections")
    eq([(c["listener"], c["clients"], c["leave"]) for c in j["clients"]],
       [("side", 1, True)], "clients")
    check("ends the wait" in j["text"][1] and j["text"][2].startswith(
        "listener side goes, which was held for the confirmation; it has 1 "
        "client: they "), j["text"])
    w.reload()
    eq(w.stats()["reload"]["confirm_until"], None, "after it")
    eq(ask(kept).get("connection"), "close", "its client's last answer")


@case
def what_was_changed_by_hand_is_said_and_whether_it_stays():
    o, p = HttpOrigin(), HttpOrigin()
    w = Weir(one(o))
    w.conf.upstream("back", '{ name = "a"; address = "%s"; }' % o.address,
                    '{ name = "b"; address = "%s"; }' % p.address)
    w.write()
    w.reload()

    def order(path):
        eq(w.post("/upstreams/back/" + path)[0], 200, path)
    order("endpoints/a?state=drain&weight=5&for=1h")
    order("endpoints/b?weight=7")
    order("pause")
    j = posted(w, w.conf.text())
    eq(j["result"], "same", "result")
    by_hand = sorted(j["overrides"], key=lambda x: x["endpoint"] or "z")
    until = by_hand[0]["until"]
    eq([[x[k] for k in ("upstream", "endpoint", "state", "weight", "stays")]
        for x in by_hand],
       [["back", "a", "drain", 5, True], ["back", "b", "conf", 7, True],
        ["back", None, "paused", None, True]], "by hand")
    eq(until, [e["override"]["until"] for e in w.upstream()["endpoints"]
               if e["name"] == "a"][0], "until when")
    eq(sorted(j["text"]), [
        "nothing would change",
        "upstream back: endpoint a: drain, weight 5 by hand until %s, which "
        "stays" % time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)),
        "upstream back: endpoint b: weight 7 by hand, which stays",
        "upstream back: paused by hand, which stays"], "text")
    # By its name, wherever it is.
    w.conf.upstream("back", '{ name = "b"; address = "%s"; }' % o.address)
    w.write()
    j = json.loads(w.post("/plan")[1])
    eq({x["endpoint"]: x["stays"] for x in j["overrides"]},
       {"a": False, "b": True, None: True}, "what stays")
    check([line for line in j["text"] if line.startswith(
        "upstream back: endpoint a: drain") and line.endswith(
        ", which goes with the endpoint")], j["text"])
    # It sleeps while what was before may come back.
    eq(w.post("/reload?confirm=600s")[0], 200, "/reload")
    j = json.loads(w.post("/plan")[1])
    check([line for line in j["text"] if line.startswith(
        "upstream back: endpoint a: drain") and line.endswith(
        ", which comes back with the endpoint")], j["text"])
    eq(w.post("/confirm")[0], 200, "/confirm")
    eq([x["endpoint"] for x in json.loads(w.post("/plan")[1])["overrides"]],
       ["b", None], "so it came")


@case
def clients_of_a_listener_that_goes_are_counted():
    """And it is said what becomes of them, which then does."""
    o = PgOrigin()
    w = through(o, pool="max = 2;")
    w.conf.listener("web", "up").upstream("up", HttpOrigin())
    w.write()
    w.reload()
    db = PgClient(w.conf.ports["front"]).ok("SELECT 1")
    web = Client(w.conf.ports["web"])
    ok(ask(web))
    # It stays, without one of its addresses: so do they.
    j = posted(w, becomes(w, ("127.0.0.1:%d" % w.conf.ports["web"],
                              "127.0.0.1:%d" % port())))
    eq([(c["listener"], c["clients"], c["leave"], c["text"])
        for c in j["clients"]], [("web", 1, False, "listener web has 1 client: "
                                  "they stay, whichever address they came by")],
       "an address that goes")
    conf = w.conf.text()
    w.conf.listeners.pop("front")
    w.write()
    j = json.loads(w.post("/plan")[1])
    text = ("listener front has 1 client: they are told so (57P01) and closed, "
            "at once or at the end of their transaction")
    eq(j["clients"], [{"listener": "front", "clients": 1, "leave": True,
                       "text": text}], "clients")
    check(text in j["text"], j["text"])
    w.reload()
    eq(db.read().value["C"], "57P01", "as it was said")
    w.write(conf)
    w.reload()
    # Another protocol is another listener.
    w.conf.listener("web", "raw", "tcp").upstream("raw", 1)
    j = posted(w, w.conf.text())
    eq([c["listener"] for c in j["clients"]], ["front", "web"], "clients")
    ok(ask(web))


def stays(w, text):
    """(stay, close now, close later) of back by the plan of a text."""
    c = posted(w, text)["connections"]
    eq([x["upstream"] for x in c], ["back"], "upstreams")
    return c[0]["stay"], c[0]["close_now"], c[0]["close_later"]


@case
def connections_close_as_the_plan_has_said():
    o = HttpOrigin(lambda q, link: link.send(answer(q))
                   if q.path == "/" else link.hold())
    w = Weir(one(o, pool="min_idle = 6; max = 8;"))
    w.wait_pool(idle=6)
    held = [Client(w.conf.ports["front"]) for _ in range(2)]
    for c in held:
        c.send(request("GET", "/hold"))
    w.wait_pool(leased=2, open=8)
    eq(stays(w, w.conf.text()), (8, 0, 0), "of no change")
    eq(stays(w, becomes(w, ("min_idle = 6; max = 8;",
                            "min_idle = 1; max = 5;"))), (5, 3, 0),
       "of a lower max")
    eq(stays(w, becomes(w, ("min_idle = 6; max = 8;",
                            "min_idle = 1; max = 1;"))), (1, 6, 1),
       "of a max below what is leased")
    eq(stays(w, becomes(w, ("min_idle = 6; max = 8;",
                            "min_idle = 1; max = 8; max_idle = 4;"))), (6, 2, 0),
       "of a lower max_idle")
    eq(stays(w, becomes(w, ("endpoints = ( ", "send_proxy_protocol = \"v2\"; "
                            "endpoints = ( "))), (0, 6, 2),
       "of another identity")
    eq(stays(w, becomes(w, ('"%s"' % o.address, '"127.0.0.1:1"'))), (0, 6, 2),
       "of another endpoint")
    said = plan(w, becomes(w, ("min_idle = 6; max = 8;",
                               "min_idle = 1; max = 1;")))[1]
    check("upstream back: of 8 connections 1 stays, 6 close at once, 1 closes "
          "when it is given back" in said, said)
    said = plan(w, becomes(w, ("min_idle = 6", "min_idle = 5")))[1]
    check("upstream back: of 8 connections 8 stay" in said, said)
    # And so it comes about.
    text = becomes(w, ("min_idle = 6; max = 8;", "min_idle = 1; max = 5;"))
    said = plan(w, text)[1]
    check("upstream back: of 8 connections 5 stay, 3 close at once" in said,
          said)
    w.write(text)
    w.reload()
    w.wait_pool(open=5, leased=2, idle=3)
    eq(w.upstream()["discarded_total"]["surplus"], 3, "closed as surplus")
    for c in held:
        c.close()


@case
def how_many_keys_move_is_said():
    def text(conf, n, ring="ketama"):
        ends = ['{ name = "s%d"; address = "127.0.0.1:%d"; }' % (i, 7000 + i)
                for i in range(n)]
        conf.upstream("back", *ends, extra='balance = "key_hash"; key_hash = '
                      '{ ring = "%s"; };' % ring)
        return conf.text()
    conf = Conf().listener("front", "back", "redis")
    text(conf, 4)
    w = Weir(conf)
    moved = posted(w, text(conf, 5))["connections"][0]["keys_moved"]
    check(0.1 < moved < 0.3, "a fifth server takes a fifth: %s" % moved)
    check(any(" % of its keys go to another endpoint" in line
              for line in plan(w, text(conf, 5))[1]), "it is printed")
    moved = posted(w, text(conf, 4, "modula"))["connections"][0]["keys_moved"]
    check(0.6 < moved < 0.9, "another ring moves three of four: %s" % moved)
    eq(posted(w, text(conf, 4))["connections"][0]["keys_moved"], 0, "of none")


@case
def errors_are_those_of_check_and_nothing_changes():
    o = HttpOrigin()
    w = Weir(one(o))
    bad = becomes(w, ("workers = 1;", "workres = 1;\ndrain_delay = 5;"))
    status, out, err = plan(w, bad)
    name = os.path.join(temp_dir(), "new.conf")
    wanted = command("check", "-c", put("new.conf", bad)).stderr.splitlines()
    eq(status, 1, "exit status")
    eq(out, [], "standard output")
    eq(err[:-1], wanted, "errors")
    eq(len(wanted), 2, "errors")
    check(all(line.startswith(name + ":") for line in wanted), wanted)
    j = posted(w, bad, name)
    eq((j["result"], j["errors"]), ("invalid", wanted), "by /plan")
    r = command("plan", "-c", name, "--admin", admin(w), "--json")
    eq((r.returncode, json.loads(r.stdout)["result"]), (1, "invalid"),
       "with --json")
    eq(w.stats()["generation"], 1, "generation")
    eq(w.stats()["reload"]["last"], "ok", "no reload has failed")
    r = command("plan", "-c", w.file, "--admin", "127.0.0.1:%d" % port())
    eq(r.returncode, 1, "exit status when there is nobody")


@case
def includes_are_the_askers_and_relative_paths_the_askeds():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 64; max_idle = 1; max_pinned = 1;"))
    folder = os.path.join(temp_dir(), "edit")
    os.makedirs(os.path.join(folder, "d"), exist_ok=True)
    text = w.conf.text().replace("max = 64;", "max = 63;")
    head, tail = text.split("listeners = (", 1)
    with open(os.path.join(folder, "d", "rest.conf"), "w") as f:
        f.write("listeners = (" + tail)
    with open(os.path.join(folder, "main.conf"), "w") as f:
        f.write(head + '@include "d/rest.conf"\n')
    name = os.path.join(folder, "main.conf")
    r = command("plan", "-c", name, "--admin", admin(w), "--json")
    eq(r.returncode, 0, "exit status: " + r.stderr)
    j = json.loads(r.stdout)
    eq(j["text"], ["upstream back: pool.max 64 -> 63"], "through an include")
    eq(j["changes"][0]["place"],
       os.path.join(folder, "d", "rest.conf") + ":5", "place")
    # The server reads no file for who sends: not even its own folder's.
    put("secret", "the_secret_text")
    j = posted(w, '@include "secret"\n')
    eq(j["result"], "invalid", "an include that is sent")
    check("@include in a text that is sent" in j["errors"][0], j["errors"])
    check("the_secret_text" not in json.dumps(j), "what it holds")
    # Relative to weir's own folder, wherever the text is from.
    text = w.conf.text().replace(
        'protocol = "http";', 'protocol = "http"; http = { };').replace(
        "pool =", 'http = { set_headers = { X-Secret = "${file:secret}"; }; '
        '}; pool =')
    with open(name, "w") as f:
        f.write(text)
    r = command("plan", "-c", name, "--admin", admin(w))
    eq(r.stdout.splitlines(), ["upstream back: http.set_headers.X-Secret is "
                               "set now (secret)"], "relative to weir's file")
    check("the_secret_text" not in r.stdout + r.stderr, "the secret")


# Each text and number of it becomes one that weir has and the sender has not.
# What is "$" is a free address or what is there to be had.
WIDE = """
workers = 1; drain_delay = "1s"; drain_timeout = "20s"; user = "root";
admin = { bind = "127.0.0.1:$"; probe_bind = "127.0.0.1:$";
  token_file = "token"; hosts = ( "admin.example" ); };
log = { level = "info"; access = "./access.log";
  fields = ( "client", "header:Referer" ); };
dns = { max_ttl = "9s"; };
listeners = (
  { name = "web"; bind = ( { address = "127.0.0.1:$"; backlog = 100; },
      "127.0.0.1:$", { address = "unix:/tmp/plan.sock"; mode = "0660";
      owner = "root"; } );
    protocol = "http"; upstream = "app"; allow = ( "10.0.0.0/8", "::1" );
    deny = "10.1.0.0/16";
    routes = ( { host = "*.example.com"; path = "/static/";
      upstream = "app"; } );
    limits = { connections = 1000; client = "header:X-Client";
      request_rate = { rate = "100/s"; burst = 200; }; };
    timeouts = { idle = "30s"; };
    proxy_protocol = { from = "10.2.0.0/16"; };
    http = { trusted = ( "10.3.0.0/16" ); }; },
  { name = "pass"; bind = "127.0.0.1:$"; protocol = "tcp";
    routes = ( { sni = "a.example"; alpn = "h2"; upstream = "raw"; } ); },
  { name = "secure"; bind = "127.0.0.1:$"; protocol = "http";
    upstream = "app"; tls = { certificate = "cert.pem"; key = "key.pem";
      ciphers = "ECDHE-RSA-AES128-GCM-SHA256"; min_version = "1.2"; }; },
  { name = "sql"; bind = "127.0.0.1:$"; protocol = "postgres";
    upstream = "pg"; postgres = { users_file = "users.txt"; users = (
      { name = "ann"; password = "pw"; } ); }; },
  { name = "keys"; bind = "127.0.0.1:$"; protocol = "redis";
    upstream = "cache"; redis = { password = "pw"; }; } );
upstreams = (
  { name = "app"; protocol = "http"; balance = "least_conn";
    endpoints = ( "127.0.0.1:9", { name = "b"; address = "host.example:80";
      weight = 3; max = 5; }, { srv = "_http._tcp.example.com"; } );
    pool = { max = 64; min_idle = 2; max_idle = 9; max_pinned = 3;
      mode = "request"; };
    health = { type = "http"; path = "/up"; host = "h.example";
      expect = "200-299"; interval = "5s"; };
    timeouts = { connect = "2s"; }; http = { set_headers = { X-A = "b"; }; };
    limits = { request_rate = "10/s"; };
    tls = { ca = "ca.pem"; server_name = "s.example"; alpn = ( "h2" ); }; },
  { name = "raw"; endpoints = ( "127.0.0.1:10" ); },
  { name = "cache"; endpoints = ( "127.0.0.1:11" ); balance = "key_hash";
    key_hash = { ring = "ketama"; on_down = "fail"; }; },
  { name = "pg"; endpoints = ( "127.0.0.1:12" ); postgres = {
    warm = ( "ann/db" ); target = "any"; }; } );
"""


@case
def what_a_sender_does_not_know_he_does_not_learn():
    """In any place of a file, by an error, a warning or a change. Each is tried
    with some values; PLAN_WIDE set: with all."""
    not_in("tsan", why="all of it is said by one thread")
    put("zq_secret", "zq7712x,y")
    folder = os.path.join(temp_dir(), "zq7712x")
    os.makedirs(folder, exist_ok=True)
    values = {"ZQ_WORD": "zq7712x", "ZQ_NUMBER": "77127",
              "ZQ_TIME": "77127s", "ZQ_ADDRESS": "127.77.12.7:7712",
              "ZQ_NET": "77.12.0.0/16", "ZQ_PATH": folder + "/y",
              "ZQ_UNIX": "unix:/zq7712x/y.sock", "ZQ_HOST": "zq7712x.example"}
    told = re.compile("zq7712|7712|127.77|77.12")
    o = HttpOrigin()
    w = Weir(one(o), env=values)
    text = becomes(w, ('level = "info";', 'level = "info"; access = "%s";'))
    for path, seen in (values["ZQ_PATH"], True), ("${ZQ_PATH}", False):
        error, = posted(w, text % path)["errors"]
        eq(("permit" in error, told.search(error) is not None), (True, seen),
           error)
    w = Weir(one(o, more='security = { sandbox = "off"; };'), env=values)
    wide = re.sub(r"\$", lambda m: str(port()), WIDE)
    # Without the files that are not there it is good, and there are changes.
    good = re.sub(r'(tls = \{[^}]*\};|(token|users)_file = "[^"]*";)', "", wide)
    eq(posted(w, good)["errors"], [], "errors of the good one")
    tries = ["${ZQ_WORD}", "${ZQ_NUMBER}", "${file:zq_secret}",
             "WAS${ZQ_WORD}"] + ["${%s}" % name for name in list(values)[2:]]
    ends = []
    for base in wide, good:
        for m in re.finditer(r'"[^"]*"|(?<== )[0-9]+(?=;)', base):
            lacking = re.search(r'tls|_file', base[m.start() - 99:m.start()])
            if base is wide and not lacking:
                continue
            turn = m.start() % (len(tries) - 4)
            for inner in tries if "PLAN_WIDE" in os.environ else \
                    tries[:4] + tries[4 + turn:6 + turn]:
                inner = inner.replace("WAS", m.group().strip('"'))
                text = base[:m.start()] + '"%s"' % inner + base[m.end():]
                body = w.admin_request("POST", "/plan", body=text.encode())[1]
                said = re.sub(r"127\.0\.0\.1:[0-9]+", "", body)
                found = told.search(said)
                check(found is None, "%s as %s: %s" % (
                    m.group(), inner, found and
                    said[max(0, found.start() - 300):][:500]))
                ends.append(json.loads(body)["result"])
    check(ends.count("ok") > 60 and ends.count("invalid") > 100,
          "%d are good of %d" % (ends.count("ok"), len(ends)))


@case
def what_might_never_end_is_not_read_for_a_sender():
    o = HttpOrigin()
    w = Weir(one(o))
    os.mkfifo(os.path.join(temp_dir(), "pipe"))
    for more in ('http = { set_headers = { X-A = "${file:pipe}"; }; };',
                 'tls = { ca = "pipe"; };', 'tls = { ca = "/dev/zero"; };'):
        error, = posted(w, becomes(w, ("pool =", more + " pool =")))["errors"]
        check("pipe or device" in error, error)
    # Nor is much read over and over.
    put("long", "x" * 1024 * 1024)
    fields = "".join('X-%d = "${file:long}"; ' % i for i in range(250))
    errors = posted(w, becomes(w, ("pool =", "http = { set_headers = { %s}; };"
                                   " pool =" % fields)))["errors"]
    check("X-16: more than 16 MiB of what ${...} stands for" in errors[0] or
          "X-15: more than 16 MiB of what ${...} stands for" in errors[0],
          errors[0])
    ok(once(w.conf.ports["front"]))


@case
def pipes_are_refused_by_plan_and_reload_alike():
    """A reload would have read them as empty, a secret among them."""
    w = Weir(one(HttpOrigin()))
    fifo, good = os.path.join(temp_dir(), "spring"), w.conf.text()
    os.mkfifo(fifo)
    bad = "it is a pipe or device, expected a readable file"
    cases = ((becomes(w, ("pool =", 'http = { set_headers = { X-A = "${file:%s}'
                          '"; }; }; pool =' % fifo)), "cannot read %s: " % fifo
              + bad),
             ('@include "%s"\n' % fifo + good, "cannot include %s: " % fifo +
              bad),
             (becomes(w, ("pool =", 'tls = { ca = "%s"; }; pool =' % fifo)),
              '"%s" is a pipe or device, expected a file' % fifo))
    held = os.open(fifo, os.O_RDWR)
    os.write(held, b"drain_timeout = \"3s\";\n")
    for text, why in cases:
        with open(w.file, "w") as f:
            f.write(text)
        for asked in ("plan", "reload"):
            r = command(asked, "-c", w.file)
            eq((r.returncode, r.stdout), (1, ""), asked)
            check(why in r.stderr, "%s: %s" % (asked, r.stderr))
    eq(w.stats()["generation"], 1, "generation")
    eq(os.read(held, 99), b"drain_timeout = \"3s\";\n", "left in the pipe")
    os.close(held)
    with open(w.file, "w") as f:
        f.write('@include "/dev/null"\n' + good)
    eq(command("plan", "-c", w.file).stdout, "nothing would change\n", "plan")
    eq(command("reload", "-c", w.file).returncode, 0, "reload")


@case
def a_name_of_any_length_leaves_the_line_to_be_said():
    """Of a sender's file, in its query or in a mark of its text."""
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 64; max_idle = 1; max_pinned = 1;"))
    text = becomes(w, ("upstreams = (", "#@ 7 \"%s\"\nupstreams = ("))
    text = text.replace("max = 64;", "max = 63;")
    for length in (1000, 3000, 4095):
        change, = posted(w, text % ("x" * length))["changes"]
        eq((change["path"], change["line"]),
           ("upstreams.back.pool.max", int(change["place"].rsplit(":", 1)[1])),
           "line, by a mark of %d" % length)
        eq(change["place"], "x" * length + ":%d" % change["line"], "place")
    for length in (1000, 1022, 1023, 1024):
        status, body, _ = w.admin_request(
            "POST", "/plan?name=" + "y" * length, body=text.replace(
                "#@ 7", "#").encode())
        eq(status, 200, "with a name of %d" % length)
        eq(json.loads(body)["changes"][0]["path"], "upstreams.back.pool.max",
           "path")
    # Longer than any path: a comment.
    change, = posted(w, text % ("x" * 4096))["changes"]
    eq(change["place"], "new.conf:%d" % change["line"], "of no mark")


def lay(stem, cert):
    for end, path in ("crt", cert.file), ("key", cert.key):
        with open(path) as f:
            put("%s.%s" % (stem, end), f.read())


@case
def files_that_hold_something_else_are_said_and_never_what():
    ca, o = Ca(), HttpOrigin()
    lay("live", ca.cert("a.test", days=9))
    lay("stays", ca.cert("b.test", days=30))
    lay("ca", ca)
    put("users", '"erin" "zq-old-word"\n')
    w = Weir(one(o, front='tls = { certificate = "live.crt"; '
                 'key = "live.key"; };', up='tls = { ca = "ca.crt"; };')
             .listener("two", extra='tls = { certificates = ( '
                       '{ certificate = "live.crt"; key = "live.key"; }, '
                       '{ certificate = "stays.crt"; key = "stays.key"; } ); '
                       '};')
             .listener("db", "sql", "postgres",
                       extra='postgres = { users_file = "users"; };')
             .upstream("sql", 1), env={"ZQ_NAME": "front"})
    text, same = w.conf.text(), ["nothing would change"]

    def expires():
        """Of "two" it is the first of its certificates that does."""
        return [time.strftime("%Y-%m-%d", time.gmtime(
            w.listener(name)["certificate_not_after"]))
            for name in ("front", "two")]
    was = expires()
    put("users", '; a comment\n"erin" "zq-old-word"\n')
    eq(plan(w, text)[1], same, "of files as they were")
    fresh = ca.cert("a.test", days=99)
    lay("live", fresh)
    lay("ca", Ca("another"))
    put("users", '"erin" "zq-new-word"\n')
    said = plan(w, text)[1]
    j = posted(w, text)
    hidden = plan(w, text.replace('"front"', '"${ZQ_NAME}"', 1))[1]
    check("listener (hidden): tls.key: file changed" in hidden and
          not any("front" in line for line in hidden), hidden)
    eq(w.post("/reload")[0], 200, "/reload")
    now = expires()
    eq(said, [
        "listener front: tls.certificate: file changed (expires %s -> %s)" % (
            was[0], now[0]),
        "listener front: tls.key: file changed",
        "listener two: tls.certificates: file of a certificate changed "
        "(expires %s -> %s)" % (was[1], now[1]),
        "listener two: tls.certificates: file of a key changed",
        "listener db: postgres.users_file: file changed",
        "upstream back: tls.ca: file changed"], "of files that changed")
    check(was[0] != now[0] != now[1] and "zq" not in json.dumps(j), j)
    eq([c["name"] for c in j["changes"]],
       ["front", "front", "two", "two", "db", "back"], "names")
    eq(plan(w, text)[1], same, "when they are taken over")
    # Another path is told as such.
    lay("next", ca.cert("a.test"))
    eq(plan(w, text.replace("live.crt", "next.crt", 1)
            .replace("live.key", "next.key", 1))[1],
       ["listener front: tls.certificate live.crt -> next.crt",
        "listener front: tls.key live.key -> next.key"], "of other files")


@case
def bodies_are_held_to_their_limits():
    o = HttpOrigin()
    w = Weir(one(o))

    def status(body, fields=None):
        return w.admin_request("POST", "/plan", fields, body)[0]
    big = b"#" * (4 * 1024 * 1024)
    eq(status(big), 200, "of 4 MiB")
    eq(w.admin_request("POST", "/plan", None, big + b"#")[0], 413,
       "of one byte more")
    eq(status(b"workers = 1;\0"), 400, "with a NUL")
    eq(w.post("/plan?nane=x")[0], 400, "with a word that is not known")
    eq(w.admin_request("GET", "/plan")[0], 405, "as GET")
    # Bodies that never come in full hold a place each, of few.
    slow = []
    for _ in range(4):
        c = Client(w.admin[1])
        c.send(b"POST /plan HTTP/1.1\r\nHost: localhost\r\n"
               b"Content-Length: 100\r\n\r\n#")
        slow.append(c)
    until(lambda: status(b"#") == 503, "no room for a fifth")
    for c in slow:
        c.close()
    until(lambda: status(b"#") == 200, "room again")
    ok(once(w.conf.ports["front"]))


@case
def no_file_that_is_named_is_waited_for():
    w = Weir(one(HttpOrigin()))
    fifo = os.path.join(temp_dir(), "fifo")
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)         # a writer that never writes
    for more, front in (("", 'tls = { certificate = "%s"; };' % fifo),
                        ('drain_timeout = "${file:%s}";' % fifo, "")):
        text = w.conf.text()
        text = text.replace("listeners = (", more + "listeners = (", 1)
        text = text.replace('name = "front";', 'name = "front"; ' + front, 1)
        eq(posted(w, text)["result"], "invalid", more + front)
    os.close(held)
    eq(w.get("/healthz")[0], 200, "/healthz")


run()
