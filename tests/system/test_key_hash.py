"""balance = "key_hash": each key has one server, and weir says which. What
becomes of the keys of one that is down is on_down's word; it comes back by a
check that passes.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys
import threading
from urllib.parse import quote

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Aside, case, check, eq, put, run, until
from origin import Origin
from weir import Weir, command, one
from web import HttpOrigin
from wire import Client

KEYS = ["user:%d:name" % i for i in range(150)]


# ------------------------------------------------------------------ the peers

def command_of(*words):
    words = [w.encode() if isinstance(w, str) else w for w in words]
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Redis(Origin):
    """As much of one as it takes: PING, SET and GET. A broken one resets
    whoever says anything."""

    def __init__(self):
        self.data, self.broken = {}, False
        super().__init__(self.serve)

    def serve(self, link):
        link.limit = None
        while True:
            try:
                count = int(link.read_line()[1:])
            except Exception:
                return
            words = []
            for _ in range(count):
                n = int(link.read_line()[1:])
                words.append(link.read_exact(n + 2)[:-2])
            if self.broken:
                link.rst()
                return
            link.send(self.answer(words))

    def answer(self, words):
        name = words[0].upper()
        if name == b"PING":
            return b"+PONG\r\n"
        if name == b"SET":
            self.data[words[1].decode()] = words[2]
            return b"+OK\r\n"
        if name == b"GET":
            value = self.data.get(words[1].decode())
            return b"$-1\r\n" if value is None else \
                b"$%d\r\n%s\r\n" % (len(value), value)
        return b"-ERR unknown command\r\n"


class Talk(Client):
    def ask(self, *words):
        """The reply's first line without its end; of a bulk its bytes."""
        self.send(command_of(*words))
        line = self.read_line()
        if line[:1] == b"$" and line != b"$-1\r\n":
            return self.read_exact(int(line[1:]) + 2)[:-2]
        return line[:-2]


def start(n=3, up="", keys=""):
    servers = [Redis() for _ in range(n)]
    conf = one(*servers, protocol="redis", pool="min_idle = 0;",
               up='balance = "key_hash"; key_hash = { %s }; %s' % (keys, up))
    if "redis has no keys" in command("-t", "-c", put("try.conf",
                                                      conf.text())).stderr:
        raise Aside("redis does not go by keys in this weir")
    w = Weir(conf)
    return servers, w, Talk(w.conf.ports["front"])


def where(w, key, upstream="back"):
    status, body = w.get("/key?upstream=%s&key=%s" % (
        quote(upstream, safe=""), quote(key, safe="")))
    eq(status, 200, "/key: %s" % body)
    return json.loads(body)


def of(servers, w, key):
    """Whose the key is now."""
    name = where(w, key)["endpoint"]
    return [s for s in servers if s.address == name][0]


def endpoint(w, server):
    return [e for e in w.upstream()["endpoints"]
            if e["name"] == server.address][0]


def by_hand(w, server, state):
    status, body = w.post("/upstreams/back/endpoints/%s?state=%s" % (
        quote(server.address, safe=":"), state))
    eq(status, 200, body)


def set_all(talk):
    for k in KEYS:
        eq(talk.ask("SET", k, "1"), b"+OK", "SET " + k)


# ---------------------------------------------------------------------- cases

@case
def each_key_is_at_the_server_that_weir_names():
    servers, w, talk = start()
    set_all(talk)
    for k in KEYS:
        answer = where(w, k)
        check(answer["usable"] and answer["home"] == answer["endpoint"], k)
        for s in servers:
            eq(k in s.data, s.address == answer["endpoint"],
               "%s at %s" % (k, s.address))
        eq(talk.ask("GET", k), b"1", "GET " + k)
    check(all(s.data for s in servers), "a server has no key")
    r = command("-c", w.file, "key", "back", KEYS[0])
    eq(r.returncode, 0, r.stderr)
    check(r.stdout.startswith(where(w, KEYS[0])["endpoint"] + ", up"),
          r.stdout)
    talk.close()
    w.balanced()


@case
def keys_with_one_tag_are_together():
    servers, w, talk = start(keys='tag = "{}";')
    for i in range(30):
        eq(talk.ask("SET", "{user7}:%d" % i, "1"), b"+OK", "SET")
    eq(sorted(len(s.data) for s in servers), [0, 0, 30], "keys")
    eq(where(w, "{user7}:x")["hash"], where(w, "user7")["hash"], "hash")


@case
def pipelined_commands_are_answered_in_order():
    servers, w, talk = start()
    for _ in range(5):
        talk.send(b"".join(command_of("SET", k, "<%s>" % k) +
                           command_of("GET", k) for k in KEYS))
        for k in KEYS:
            eq(talk.read_line(), b"+OK\r\n", "SET " + k)
            eq(talk.read_line(), b"$%d\r\n" % (len(k) + 2), "GET " + k)
            eq(talk.read_line(), b"<%s>\r\n" % k.encode(), "GET " + k)
    for s in servers:
        s.had(1)
    talk.close()
    w.balanced()


@case
def a_command_whose_keys_are_at_two_servers_is_refused():
    servers, w, talk = start(keys='tag = "{}";')
    other = [k for k in KEYS if of(servers, w, k) is not
             of(servers, w, KEYS[0])][0]
    for words in (("RENAME", KEYS[0], other), ("SMOVE", other, KEYS[0], "1"),
                  ("SUNION", *[KEYS[0]] * 99, other)):
        got = talk.ask(*words)
        check(got.startswith(b"-CROSSSLOT"), "%s: %r" % (words[0], got))
    # At one server they are the server's business.
    eq(talk.ask("SUNION", *["{a}%d" % i for i in range(100)]),
       b"-ERR unknown command", "SUNION of one tag")


@case
def other_spellings_go_by_their_keys():
    servers, w, talk = start()
    for k in KEYS[:20]:
        talk.send("set %s 1\r\n" % k)
        eq(talk.read_line(), b"+OK\r\n", "inline SET " + k)
    big = "x" * 200000
    for k in KEYS[20:24]:
        eq(talk.ask("SET", k, big), b"+OK", "large SET " + k)
    for k in KEYS[:24]:
        check(k in of(servers, w, k).data, "%s is elsewhere" % k)


@case
def keys_of_one_that_is_down_fail_and_no_other_moves():
    servers, w, talk = start()
    set_all(talk)
    down = of(servers, w, KEYS[0])
    had = {s: set(s.data) for s in servers}
    by_hand(w, down, "down")
    for k in KEYS:
        got = talk.ask("SET", k, "2")
        if k in had[down]:
            check(got.startswith(b"-ERR weir"), "%s: %r" % (k, got))
        else:
            eq(got, b"+OK", k)
    for s in servers:
        eq(set(s.data), had[s], "keys of " + s.address)
    answer = where(w, KEYS[0])
    eq((answer["endpoint"], answer["usable"], answer["state"]),
       (down.address, False, "down"), "/key")
    check("its keys fail" in command("-c", w.file, "key", "back",
                                     KEYS[0]).stdout, "weir key")
    by_hand(w, down, "conf")
    eq(talk.ask("GET", KEYS[0]), b"1", "when it is back")


@case
def keys_of_one_that_is_down_move_and_come_home():
    servers, w, talk = start(keys='on_down = "rehash";')
    set_all(talk)
    down = of(servers, w, KEYS[0])
    had = {s: set(s.data) for s in servers}
    by_hand(w, down, "drain")
    set_all(talk)
    for s in servers:
        check(had[s] <= set(s.data), "keys have left " + s.address)
        if s is not down:
            check(set(s.data) - had[s] <= had[down], "others have moved")
    check(all(len(s.data) > len(had[s]) for s in servers if s is not down),
          "one took no keys")
    answer = where(w, KEYS[0])
    check(answer["usable"] and answer["endpoint"] != down.address, answer)
    eq(answer["home"], down.address, "home")
    by_hand(w, down, "conf")
    eq(where(w, KEYS[0])["endpoint"], down.address, "when it is back")
    for s in servers:
        s.data.clear()
    set_all(talk)
    for s in servers:
        eq(set(s.data), had[s], "keys of " + s.address)


@case
def an_ejected_one_comes_back_by_a_check_that_passes():
    servers, w, talk = start(up='outlier = { failures = 3; eject_for = '
                             '"100ms"; }; health = { interval = "50ms"; '
                             'timeout = "1s"; fall = 100; };')
    set_all(talk)
    broken = of(servers, w, KEYS[0])
    until(lambda: endpoint(w, broken)["health"]["last"] == "ok", "a check")
    broken.broken = True

    def ejected():
        talk.ask("GET", KEYS[0])
        return endpoint(w, broken)["state"] == "ejected"
    until(ejected, "it is ejected")
    # Its 100 ms are over long before these checks are.
    checks = endpoint(w, broken)["health"]["checks_total"] + 8
    until(lambda: endpoint(w, broken)["health"]["checks_total"] >= checks,
          "8 more checks")
    eq(endpoint(w, broken)["state"], "ejected", "while checks fail")
    broken.broken = False
    until(lambda: endpoint(w, broken)["state"] == "up", "it is up")
    eq(talk.ask("GET", KEYS[0]), b"1", "when it is back")


@case
def a_slow_server_does_not_delay_the_keys_of_another():
    servers, w, talk = start(2)
    set_all(talk)
    slow = of(servers, w, KEYS[0])
    key = [k for k in KEYS if k not in slow.data][0]
    begun, go = threading.Event(), threading.Event()
    answer = slow.answer

    def late(words):
        if words[0].upper() == b"GET":
            begun.set()
            go.wait()
        return answer(words)
    slow.answer = late
    waits = Talk(w.conf.ports["front"])
    waits.send(command_of("GET", KEYS[0]))
    until(begun.is_set, "the slow one is asked")
    other = Talk(w.conf.ports["front"])
    for _ in range(20):
        eq(other.ask("GET", key), b"1", "GET of the other")
    check(not waits.wants(), "the slow one has answered")
    go.set()
    eq(waits.read_exact(7), b"$1\r\n1\r\n", "the slow one")


# --------------------------------------------- what needs no protocol with keys

@case
def a_protocol_without_keys_cannot_have_it():
    origin = HttpOrigin()
    for protocol in ("tcp", "http"):        # redis has
        conf = put("bad.conf", one(origin, protocol=protocol,
                                   up='balance = "key_hash";').text())
        r = command("-t", "-c", conf)
        eq(r.returncode, 1, "exit status")
        check("protocol %s has no keys" % protocol in r.stderr, r.stderr)


@case
def what_cannot_be_asked_for_is_told():
    w = Weir(one(HttpOrigin()))
    for query, status, text in (
            ("", 400, "expected /key?upstream=NAME&key=KEY"),
            ("?upstream=back", 400, "expected /key?"),
            ("?key=a", 400, "expected /key?"),
            ("?upstream=bak&key=a", 404, "there is no upstream"),
            ("?upstream=back&key=a%00b", 400, "NUL"),
            ("?upstream=back&key=a", 400, "does not go by keys")):
        got, body = w.get("/key" + query)
        eq(got, status, "/key%s: %s" % (query, body))
        check(text in body, "/key%s: %s" % (query, body))
    eq(w.post("/key?upstream=back&key=a")[0], 405, "POST /key")
    r = command("-c", w.file, "key", "back", "a")
    eq(r.returncode, 1, "exit status")
    check("does not go by keys" in r.stderr, r.stderr)
    eq(command("-c", w.file, "key", "back").returncode, 2, "without a key")


run()
