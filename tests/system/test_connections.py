"""Who holds which upstream connection: his address, listener and process, since
when, for what; nothing of what a request carries is shown but what it is.
"""
# SPDX-License-Identifier: MIT
import json
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import postgres
import redis
from case import case, check, eq, run, temp_dir, until
from origin import Origin, echo
from postgres_origin import PgOrigin
from redis import RedisServer, through
from weir import Conf, Weir, command, one
from web import HttpOrigin, answer, ok, read_response, request
from wire import Client

MINE = open("/proc/self/comm").read().strip()
# Else weir may not look at other processes.
OPEN = 'security = { sandbox = "off"; };'


def rows(w, **wanted):
    """The rows of GET /connections that are so."""
    status, body = w.get("/connections")
    eq(status, 200, "/connections")
    body = json.loads(body)
    eq(body["complete"], True, "complete")
    return [r for r in body["connections"]
            if all(r[k] == v for k, v in wanted.items())]


def gated():
    gate = threading.Event()

    def handler(q, link):
        if "slow" in q.path:
            gate.wait(60)
        return answer(q)
    return HttpOrigin(handler), gate


def mine(c, holder, listener="front"):
    """holder is the client c, of this process."""
    eq(holder["client"], "%s:%d" % c.sock.getsockname(), "client")
    eq(holder["listener"], listener, "listener")
    eq(holder["process"], {"pid": os.getpid(), "name": MINE}, "process")
    eq(holder["uid"], os.getuid(), "uid")


@case
def a_leased_one_tells_who_has_it_and_what_for():
    o, gate = gated()
    w = Weir(one(o, more=OPEN))
    c = Client(w.conf.ports["front"]).send(
        request(target="/slow/path?token=secret"))
    until(lambda: o.requests == 1, "request upstream")
    r = rows(w, state="leased")
    eq(len(r), 1, "leased")
    eq(r[0]["last_request"], "GET /slow/path", "last_request")
    eq((r[0]["holders_total"], r[0]["pinned"], r[0]["leaked"]),
       (1, "", False), "one holder")
    mine(c, r[0]["holders"][0])
    eq(r[0]["holders"][0]["request"], "GET /slow/path", "his request")
    said = command("-c", w.file, "connections", "back", "--leased").stdout
    check("GET /slow/path" in said and str(os.getpid()) in said and
          MINE in said and "secret" not in said, said)
    gate.set()
    ok(read_response(c))
    r = rows(w)
    eq((r[0]["state"], r[0]["holders"], r[0]["last_request"]),
       ("idle", [], "GET /slow/path"), "when it is idle")
    c.close()
    w.balanced(o)
    o.had(1)


@case
def in_the_sandbox_the_command_finds_the_process():
    o, gate = gated()
    w = Weir(one(o, more='security = { sandbox = "on"; };'))
    c = Client(w.conf.ports["front"]).send(request(target="/slow"))
    until(lambda: o.requests == 1, "request upstream")
    h = rows(w, state="leased")[0]["holders"][0]
    eq(h["client"], "%s:%d" % c.sock.getsockname(), "client")
    eq((h["peer"], h["here"]), (h["client"], "%s:%d" % c.sock.getpeername()),
       "both ends")
    said = command("-c", w.file, "connections").stdout
    check("%s %d" % (MINE, os.getpid()) in said, said)
    gate.set()
    ok(read_response(c))
    c.close()
    w.balanced(o)


@case
def who_keeps_one_between_requests_is_told_of():
    o, _ = gated()
    w = Weir(one(o, pool='mode = "session"; max = 4;', more=OPEN))
    c = Client(w.conf.ports["front"]).send(request(target="/a%0Ab?c"))
    ok(read_response(c))
    w.wait_pool(leased=1)
    r = rows(w, state="leased")[0]
    eq(r["last_request"], "GET /a%0Ab", "last_request")
    mine(c, r["holders"][0])
    eq(r["holders"][0]["request"], "", "between two")
    c.close()
    w.balanced(o)


@case
def a_client_of_a_unix_socket_is_known_by_its_process():
    path = os.path.join(temp_dir(), "front.sock")
    o, gate = gated()
    w = Weir(Conf().listener("front", bind='"unix:%s"' % path)
             .upstream("back", o))
    w.conf.ports.clear()
    until(lambda: os.path.exists(path), "socket")
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(request(target="/slow"))
    until(lambda: o.requests == 1, "request upstream")
    h = rows(w, state="leased")[0]["holders"][0]
    eq((h["client"], h["process"]),
       ("unix:", {"pid": os.getpid(), "name": MINE}), "holder")
    eq(h["uid"], os.getuid(), "uid")
    gate.set()
    s.recv(100)
    s.close()


@case
def all_who_ride_on_a_shared_one_are_told_of():
    server = RedisServer()
    w = through(server, more=OPEN)
    front = w.conf.ports["front"]
    pinned = redis.Client(front)
    pinned.ok("MULTI")
    r = [r for r in rows(w) if r["pinned"]]
    eq([(x["pinned"], x["holders_total"]) for x in r], [("multi", 1)], "pin")
    mine(pinned, r[0]["holders"][0])
    eq(r[0]["last_request"], "multi", "last request")
    said = command("-c", w.file, "connections").stdout
    check("pinned: multi" in said, said)
    pinned.ask("DISCARD")
    blocked = [redis.Client(front) for _ in range(3)]
    for b in blocked:
        b.write("BLPOP", "a-secret-key", 0)
    w.wait_pool(leased=3)
    r = rows(w, state="leased")
    eq(sorted(x["last_request"] for x in r), ["blpop"] * 3, "commands")
    ports = {x["holders"][0]["client"] for x in r}
    eq(ports, {"%s:%d" % b.sock.getsockname() for b in blocked}, "clients")
    check("a-secret-key" not in w.get("/connections")[1], "keys are shown")
    for b in blocked:
        b.close()
    pinned.close()
    w.balanced(server)


@case
def of_a_statement_its_first_words_are_told():
    o = PgOrigin()
    w = postgres.through(o, more=OPEN)
    c = postgres.Client(w.conf.ports["front"])
    c.ok("BEGIN", "SHOW work_mem")
    r = rows(w, state="leased")
    eq([x["last_request"] for x in r], ["SHOW work_mem"],
       "in a transaction")
    mine(c, r[0]["holders"][0])
    c.extended("SELECT $1", "a secret")
    eq(rows(w)[0]["last_request"], "SELECT", "of a prepared one")
    c.ask(postgres.query("ROLLBACK"))
    w.wait_pool(idle=1)
    eq([x["last_request"] for x in rows(w)], ["ROLLBACK"], "when it is idle")
    check("secret" not in w.get("/connections")[1], "values are shown")
    c.quit()
    w.balanced(o)


@case
def hundreds_at_once_are_all_found():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", workers=2, more=OPEN))
    clients = [Client(w.conf.ports["front"]).send("x") for _ in range(300)]
    for c in clients:
        eq(c.read_exact(1), b"x", "echo")
    r = rows(w, state="leased")
    eq({x["holders"][0]["client"] for x in r},
       {"%s:%d" % c.sock.getsockname() for c in clients}, "clients")
    eq({x["holders"][0]["process"]["pid"] for x in r}, {os.getpid()}, "pids")
    eq(len({x["id"] for x in r}), 300, "no id twice")
    for c in clients:
        c.close()
    w.balanced(o)


@case
def ids_are_one_row_for_all_upstreams():
    o, other = HttpOrigin(), HttpOrigin()
    w = Weir(one(o, pool="min_idle = 3;").upstream(
        "more", other, pool="min_idle = 3;").listener("side", "more"))
    w.wait_pool(idle=3)
    w.wait_pool("more", idle=3)
    eq(len({r["id"] for r in rows(w)}), 6, "ids")
    w.balanced(o, other)


@case
def upstreams_that_have_left_the_file_are_seen_while_they_have_any():
    """Held until a reload is confirmed, then for as long as one is leased."""
    o, (p, gate) = HttpOrigin(), gated()
    conf = one(o, workers=2).listener("side", "aside").upstream(
        "aside", p, pool='min_idle = 2; leak_after = "1s";')
    w = Weir(conf)
    c = Client(conf.ports["side"]).send(request(target="/slow"))
    until(lambda: p.requests == 1, "request upstream")
    w.wait_pool("aside", leased=1, idle=2)
    eq({r["has_left"] for r in rows(w)}, {False}, "has_left")
    conf.listeners.pop("side")
    conf.upstreams.pop("aside")
    w.write()
    eq(w.post("/reload?confirm=60s")[0], 200, "reload")
    r = rows(w, upstream="aside", has_left=True)
    eq(sorted(x["state"] for x in r), ["idle", "idle", "leased"], "held")
    said = command("-c", w.file, "connections", "aside").stdout
    eq(said.count("upstream has left the file"), 3, said)
    idle = [x["id"] for x in r if x["state"] == "idle"]
    eq(w.post("/upstreams/aside/connections/%d/kill" % idle[0])[0], 200,
       "kill an idle one")
    check(idle[0] not in [x["id"] for x in rows(w)], "it has gone")
    eq(w.post("/confirm")[0], 200, "confirm")
    until(lambda: len(rows(w, upstream="aside")) == 1, "the idle ones close")
    [left] = rows(w, upstream="aside", state="leased", has_left=True)
    eq(left["last_request"], "GET /slow", "what it is held for")
    w.wait_log(r"warn upstream aside endpoint \S+: connection %d has been "
               "held" % left["id"])
    eq([x["leaked"] for x in rows(w, upstream="aside")], [True], "leaked")
    eq(w.post("/upstreams/aside/connections/%d/kill" % left["id"])[0], 200,
       "kill the leased one")
    eq(read_response(c).status, 502, "he is told so")
    c.close()
    until(lambda: not rows(w, upstream="aside"), "none is left")
    gate.set()
    until(lambda: p.open == 0, "closed")
    eq(w.post("/upstreams/nobody/connections/1/kill")[0], 404, "no such name")


run()
