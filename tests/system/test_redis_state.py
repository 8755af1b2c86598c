"""What a client has told Redis about itself, its database, name, protocol and
user, holds for its own commands and is never seen by another.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from redis import (DIRECT, Client, RedisServer, commands, through, token,
                   upstreams)


def pair(pool="max = 16;", front="", up="", *options):
    server = RedisServer(*options)
    w = through(server, pool=pool, front=front, up=up)
    return server, w, w.conf.ports["front"]


@case
def each_has_its_own_database():
    server, w, front = pair()
    clients = [Client(front) for _ in range(8)]
    for n, c in enumerate(clients):
        if n:
            c.ok("SELECT", n)
    for n, c in enumerate(clients):
        c.ok("SET", "k", n)
    for _ in range(3):
        for n, c in enumerate(clients):
            eq(c.ask("GET", "k"), b"%d" % n, "k of database %d" % n)
    fresh = Client(front)
    eq(fresh.ask("GET", "k"), b"0", "a new client's")
    for n in range(8):
        server.ask("SELECT", n)
        eq(server.ask("GET", "k"), b"%d" % n, "at the server")
    for c in (*clients, fresh):
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 9)


@case
def in_a_pipeline_it_holds_from_its_place_on():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    for _ in range(10):
        eq(a.pipe("SELECT 1", "SET k one", "SELECT 2", "SET k two",
                  "SELECT 1", "GET k", "SELECT 2", "GET k", "SELECT 0",
                  "GET k"),
           ["OK"] * 5 + [b"one", "OK", b"two", "OK", None], "a pipeline")
        eq(b.ask("GET", "k"), None, "another's")
    a.close()
    b.close()
    w.balanced(server)
    upstreams(w, server, 5)


@case
def a_database_that_is_none_changes_nothing():
    server, w, front = pair()
    c = Client(front)
    eq(c.pipe("SELECT 3", "SET k v", "SELECT 99", "GET k", "SELECT x",
              "GET k", "SELECT -1", "GET k", "SELECT", "GET k"),
       ["OK", "OK", "ERR DB index is out of range", b"v",
        "ERR value is not an integer or out of range", b"v",
        "ERR DB index is out of range", b"v",
        "ERR wrong number of arguments for 'select' command", b"v"],
       "a pipeline")
    c.close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def a_transaction_and_a_blocking_one_are_in_it_too():
    server, w, front = pair()
    c = Client(front)
    eq(c.pipe("SELECT 5", "SET k five", "MULTI", "GET k", "EXEC",
              "RPUSH q x", "BLPOP q 0", "WATCH k", "UNWATCH", "GET k",
              ("EVAL", "return redis.call('get', KEYS[1])", 1, "k")),
       ["OK", "OK", "OK", "QUEUED", [b"five"], 1, [b"q", b"x"], "OK", "OK",
        b"five", b"five"], "a pipeline")
    other = Client(front)
    eq(other.pipe("MULTI", "GET k", "EXEC"), ["OK", "QUEUED", [None]],
       "another's transaction")
    c.close()
    other.close()
    w.balanced(server)
    upstreams(w, server, 6)


@case
def select_inside_a_transaction_holds_after_it():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    eq(a.pipe("MULTI", "SELECT 3", "SET k three", "EXEC", "GET k"),
       ["OK", "QUEUED", "QUEUED", ["OK", "OK"], b"three"], "in MULTI")
    for _ in range(3):
        eq(b.pipe("GET k", "MULTI", "GET k", "EXEC"),
           [None, "OK", "QUEUED", [None]], "another's")
        eq(a.ask("GET", "k"), b"three", "its own")
    eq(a.pipe("MULTI", "SELECT 0", "DISCARD", "GET k"),
       ["OK", "QUEUED", "OK", b"three"], "discarded")
    a.close()
    b.close()
    w.balanced(server)


@case
def each_has_its_own_protocol():
    server, w, front = pair()
    two, three = Client(front), Client(front, resp=3)
    two.ok("SET", "k", "v")
    two.ask("HSET", "h", "f", "v")
    for _ in range(5):
        eq(two.ask("HGETALL", "h"), [b"f", b"v"], "RESP2")
        eq(three.ask("HGETALL", "h"), {b"f": b"v"}, "RESP3")
        two.write("GET", "none")
        eq(two.read_line(), b"$-1\r\n", "RESP2's nil")
        three.write("GET", "none")
        eq(three.read_line(), b"_\r\n", "RESP3's nil")
    fresh = Client(front)
    eq(fresh.ask("HGETALL", "h"), [b"f", b"v"], "a new client's")
    check(isinstance(three.ask("HELLO", 2), list), "back to RESP2")
    eq(three.ask("HGETALL", "h"), [b"f", b"v"], "after HELLO 2")
    for c in (two, three, fresh):
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def hello_tells_of_redis():
    server, w, front = pair()
    c = Client(front)
    got = c.ask("HELLO")
    eq(dict(zip(got[::2], got[1::2]))[b"proto"], 2, "HELLO's proto")
    got = c.ask("HELLO", 3)
    eq((got[b"server"], got[b"proto"], got[b"role"], got[b"modules"]),
       (b"redis", 3, b"master", []), "HELLO 3")
    eq(got[b"version"], server.ask("INFO", "server").split(
        b"redis_version:")[1].split(b"\r\n")[0], "version")
    eq(c.ask("HELLO", 3, "SETNAME", "me")[b"proto"], 3, "HELLO 3 SETNAME")
    eq(c.ask("CLIENT", "GETNAME"), b"me", "GETNAME")
    got = c.ask("HELLO", 4)
    eq(got, "NOPROTO unsupported protocol version", "HELLO 4")
    eq(c.ask("HELLO")[b"proto"], 3, "still RESP3")
    got = c.ask("HELLO", "x")
    eq(got, "ERR Protocol version is not an integer or out of range",
       "HELLO x")
    got = c.ask("HELLO", 2, "SETNAME", "bad name")
    check(got.startswith("ERR Client names cannot contain spaces"), got)
    eq(c.ask("HELLO")[b"proto"], 3, "still RESP3")
    got = c.ask("HELLO", 2, "NONSENSE")
    eq(got, "ERR Syntax error in HELLO option 'NONSENSE'", "HELLO 2 NONSENSE")
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def each_has_its_own_name_and_number():
    server, w, front = pair()
    clients = [Client(front) for _ in range(6)]
    eq(clients[0].ask("CLIENT", "GETNAME"), None, "no name")
    for n, c in enumerate(clients[1:], 1):
        c.ok("CLIENT", "SETNAME", "client-%d" % n)
    ids = [c.ask("CLIENT", "ID") for c in clients]
    eq(len(set(ids)), len(ids), "different numbers")
    for _ in range(2):
        for n, c in enumerate(clients):
            eq(c.ask("CLIENT", "GETNAME"), b"client-%d" % n if n else None,
               "name of %d" % n)
            eq(c.ask("CLIENT", "ID"), ids[n], "number of %d" % n)
            info = c.ask("CLIENT", "INFO").decode()
            mine = dict(p.partition("=")[::2] for p in info.split())
            eq((mine["name"], int(mine["id"])),
               ("client-%d" % n if n else "", ids[n]), "CLIENT INFO")
    eq(clients[1].ask("CLIENT", "SETNAME", "a b"),
       "ERR Client names cannot contain spaces, newlines or special "
       "characters.", "a bad name")
    eq(clients[1].ask("CLIENT", "GETNAME"), b"client-1", "name kept")
    clients[1].ok("CLIENT", "SETNAME", "")
    eq(clients[1].ask("CLIENT", "GETNAME"), None, "name taken away")
    for c in clients:
        c.close()
    w.balanced(server)
    upstreams(w, server, 3)


@case
def names_follow_into_transactions_and_pins():
    server, w, front = pair()
    a, b = Client(front), Client(front)
    a.ok("CLIENT", "SETNAME", "alice")
    for _ in range(5):
        eq(a.pipe("MULTI", "CLIENT GETNAME", "EXEC"),
           ["OK", "QUEUED", [b"alice"]], "alice in MULTI")
        # Nothing that the server could say is no name: so it says no.
        got = b.pipe("MULTI", "CLIENT GETNAME", "SET k v", "EXEC", "GET k")
        check(got[0] == "OK" and got[1].startswith("ERR weir: ") and
              got[3].startswith("EXECABORT") and got[4] is None,
              "nobody in MULTI: %r" % got)
    a.close()
    b.close()
    w.balanced(server)


@case
def reset_takes_all_of_it_back():
    server, w, front = pair()
    c = Client(front, resp=3)
    eq(c.pipe("SELECT 4", "CLIENT SETNAME x", "SET k v"), ["OK"] * 3, "set")
    eq(c.ask("RESET"), "RESET", "RESET")
    c.write("GET", "k")
    eq(c.read_line(), b"$-1\r\n", "database 0 and RESP2")
    eq(c.ask("CLIENT", "GETNAME"), None, "name")
    c.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


@case
def quit_is_answered_and_ends():
    server, w, front = pair()
    c, t = Client(front), token()
    c.send(commands(("ECHO", t), "QUIT", "ECHO never"))
    eq(c.read(), t, "ECHO before QUIT")
    eq(c.read(), "OK", "QUIT")
    c.closed("fin")
    c.close()
    other = Client(front)
    other.prove().close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def weir_logs_in_and_clients_need_not():
    if DIRECT:
        return
    server, w, front = pair("max = 8;", "", 'redis = { password = "s3cret"; };')
    server.ask("CONFIG", "SET", "requirepass", "s3cret")
    c = Client(front)
    c.ok("SET", "k", "v")
    eq(c.ask("AUTH", "whatever"), "OK", "AUTH is ignored")
    eq(c.ask("AUTH", "some", "body"), "OK", "AUTH is ignored")
    eq(c.ask("HELLO", 3, "AUTH", "default", "x")[b"proto"], 3, "HELLO AUTH")
    eq(c.pipe("MULTI", "GET k", "EXEC"), ["OK", "QUEUED", [b"v"]], "MULTI")
    c.close()
    w.balanced()


@case
def a_reload_with_another_login_is_another_for_all():
    if DIRECT:
        return
    server = RedisServer()
    for user in ("alice", "bob"):
        server.ask("ACL", "SETUSER", user, "on", ">pw-" + user, "~*", "&*",
                   "+@all")
    w = through(server, pool="max = 8;",
                up='redis = { user = "alice"; password = "pw-alice"; };')
    front = w.conf.ports["front"]
    a, b = Client(front), Client(front)
    for c in (a, b):
        eq(c.ask("ACL", "WHOAMI"), b"alice", "before")
    b.ok("MULTI")
    w.reload()
    eq(w.upstream()["discarded_total"]["reconfigured"], 0, "nothing changed")
    w.write(w.conf.text().replace("alice", "bob"))
    w.reload()
    until(lambda: a.ask("ACL", "WHOAMI") == b"bob", "after the reload")
    eq(b.ask("ACL", "WHOAMI"), "QUEUED", "in a transaction")
    eq(b.ask("EXEC"), [b"alice"], "what was begun stays as it was")
    eq(b.ask("ACL", "WHOAMI"), b"bob", "then")
    until(lambda: {c["user"] for c in server.clients()} == {"bob"},
          "nobody else at the server")
    check(w.upstream()["discarded_total"]["reconfigured"] > 0, "reconfigured")
    for c in (a, b):
        c.close()
    w.balanced(server)


@case
def a_clients_login_goes_on_and_stays_its_own():
    if DIRECT:
        return
    server = RedisServer()
    for user in ("alice", "bob"):
        eq(server.ask("ACL", "SETUSER", user, "on", ">pw-" + user, "~*", "&*",
                      "+@all"), "OK", "SETUSER")
    server.ask("ACL", "SETUSER", "default", "off")
    w = through(server, pool="max = 8; min_idle = 0;",
                front='redis = { auth = "forward"; };')
    front = w.conf.ports["front"]
    alice, bob, nobody = Client(front), Client(front), Client(front)
    eq(alice.ask("AUTH", "alice", "pw-alice"), "OK", "alice")
    eq(bob.ask("AUTH", "bob", "pw-bob"), "OK", "bob")
    check(nobody.ask("AUTH", "alice", "pw-bob").startswith("WRONGPASS"),
          "a wrong password")
    for _ in range(5):
        eq(alice.ask("ACL", "WHOAMI"), b"alice", "alice")
        eq(bob.ask("ACL", "WHOAMI"), b"bob", "bob")
        eq(bob.pipe("MULTI", "ACL WHOAMI", "EXEC"),
           ["OK", "QUEUED", [b"bob"]], "bob in MULTI")
        check(nobody.ask("GET", "k").startswith("NOAUTH"), "nobody")
    for c in (alice, bob, nobody):
        c.close()
    w.balanced()


@case
def a_password_alone_is_the_default_users():
    if DIRECT:
        return
    server = RedisServer()
    server.ask("CONFIG", "SET", "requirepass", "up")
    w = through(server, pool="max = 8; min_idle = 0;",
                front='redis = { auth = "forward"; };')
    front = w.conf.ports["front"]
    good, bad = Client(front), Client(front)
    check(bad.ask("AUTH", "no").startswith("WRONGPASS"), "a wrong one")
    good.ok("AUTH", "up")
    eq(good.ask("ACL", "WHOAMI"), b"default", "who it is")
    check(bad.ask("GET", "k").startswith("NOAUTH"), "after a wrong one")
    bad.ok("AUTH", "default", "up")
    eq(bad.ask("GET", "k"), None, "with the name")
    for c in (good, bad):
        c.close()
    w.balanced(server)
    eq(w.upstream()["pool"]["open"], server.open, "connections")


@case
def weir_checks_passwords_itself():
    if DIRECT:
        return
    server = RedisServer("--requirepass", "up")
    w = through(server, pool="max = 8;", front='redis = { auth = "check"; };',
                up='redis = { password = "up"; };')
    front = w.conf.ports["front"]
    good, bad = Client(front), Client(front)
    check(good.ask("GET", "k").startswith("NOAUTH"), "before AUTH")
    check(bad.ask("AUTH", "no").startswith("WRONGPASS"), "a wrong one")
    check(bad.ask("GET", "k").startswith("NOAUTH"), "after a wrong one")
    good.ok("AUTH", "up")
    eq(good.ask("GET", "k"), None, "after AUTH")
    check(bad.ask("GET", "k").startswith("NOAUTH"), "still nobody")
    good.close()
    bad.close()
    w.balanced()


run()
