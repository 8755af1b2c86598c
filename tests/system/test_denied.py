"""A login that is refused, by weir or by the server, is counted and stands in
the error log, with whose it was and where from; the client is told no more.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
import certs
from case import case, check, eq, run, until
from postgres import Client, SqlError, scram_secret, through, upstreams
from postgres_origin import PgOrigin
from redis import Client as RedisClient
from redis import RedisServer
from redis import through as redis_through
from weir import Weir, command, one

MD5 = "md50098e7fab7b4d8d091067152a80b3f12"
USERS = '{ name = "alice"; password = "alice-word"; }, ' \
        '{ name = "bob"; secret = "%s"; }, ' \
        '{ name = "carol"; database = "blog"; password = "carol-word"; }' % \
        scram_secret("bob-word")


def start(front="", users=USERS, origin=None, **more):
    o = PgOrigin(**(origin or {}))
    w = through(o, pool="max = 4;",
                front='auth = "scram-sha-256"; users = ( %s ); %s' % (
                    users, front), **more)
    return o, w, w.conf.ports["front"]


def refused(front, user, word="x", code="28P01", **more):
    c = Client(front, user, word=word, login=False, **more)
    try:
        c.login()
    except SqlError as e:
        eq((e.report["V"], e.code), ("FATAL", code), "%r" % e.report)
        c.closed()
        c.close()
        return e.report["M"].replace(user[:64], "-")
    raise cases.Failed("%s was let in" % user)


def lines(w, word):
    """What the log has of it, without time and level."""
    return [line.split(" ", 1)[1] for line in w.log().split("\n")
            if word in line]


def logged(w, *wanted):
    for line in wanted:
        until(lambda: line in lines(w, line), line)


def counted(w, n):
    eq(w.failures(), {"auth_failed": n} if n else {}, "failures")
    found = re.findall(r'failures_total\{[^}]*reason="auth_failed"[^}]*\} (\d+)',
                       w.metrics())
    eq(sum(map(int, found)), n, "in /metrics")


@case
def who_proves_nothing_stands_in_the_log():
    path = cases.put("users", '"dora" "%s"\n"eve" ""\n' % MD5)
    o, w, front = start('users_file = "%s";' % path)
    told = {refused(front, user, word) for user, word in (
        ("alice", "secret-word"), ("bob", "secret-word"),
        ("nobody", "secret-word"), ("dora", "secret-word"),
        ("carol", "carol-word"), ("eve", ""))}
    eq(told, {'password authentication failed for user "-"'}, "all are told")
    logged(w, *("warn listener front: user %s from 127.0.0.1: %s" % row
                for row in (
                    ("alice", "wrong password"), ("bob", "wrong password"),
                    ("nobody", "no such user"),
                    ("dora", "its secret is MD5, which nobody can prove here"),
                    ("carol", "no entry for database shop"),
                    ("eve", "it has no password here"))))
    for word in ("secret-word", "carol-word", "alice-word", MD5):
        check(word not in w.log(), "%s stands in the log" % word)
    counted(w, 6)
    c = Client(front, word="alice-word")
    c.prove().quit()
    counted(w, 6)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def equal_ones_are_folded():
    o, w, front = start()
    for _ in range(40):
        refused(front, "alice")
    refused(front, "bob")
    logged(w, "warn listener front: user alice from 127.0.0.1: wrong password",
           "warn listener front: user bob from 127.0.0.1: wrong password")
    said = lines(w, "user alice")
    more = [int(n) for n in re.findall(r"repeated (\d+) time", "".join(said))]
    eq(len(said) - len(more) + sum(more), 40, "told of: %r" % said)
    check(len(more) > 0, "none was folded: %r" % said)
    counted(w, 41)
    w.balanced(o)


@case
def no_name_passes_for_another_line():
    o, w, front = start()
    for user, shown in (
            ("x from 10.0.0.1: wrong password", r"x\x20from\x2010.0.0.1:"
             r"\x20wrong\x20password"),
            ("a\nb\x1b[2J\"\\", r"a\x0ab\x1b[2J" + '"' + r"\x5c"),
            ("j\u00f6rg\u2028", r"j\xc3\xb6rg\xe2\x80\xa8"),
            ("n" * 100, "n" * 64 + "...")):
        refused(front, user)
        logged(w, "warn listener front: user %s from 127.0.0.1: no such user" %
               shown)
    counted(w, 4)
    w.balanced(o)


@case
def certificates_that_do_not_fit_stand_there_too():
    own = certs.Authority()
    pair = own.server("localhost")
    o = PgOrigin()
    w = Weir(one(o, protocol="postgres", pool="max = 4;",
                 front='postgres = { auth = "cert"; users = ( { name = "alice"; '
                 'database = "shop"; }, { name = "bob"; cert = "robert"; } ); '
                 '}; tls = { certificate = "%s"; key = "%s"; client_auth '
                 '= "required"; client_ca = "%s"; };' % (
                     pair.file, pair.key, own.file)))
    front = w.conf.ports["front"]
    for user, database, name, why in (
            ("bob", "shop", "alice", "the certificate names alice"),
            ("carol", "shop", "carol", "no such user"),
            ("alice", "blog", "alice", "no entry for database blog")):
        refused(front, user, code="28000", database=database,
                tls=certs.client_context(own, own.client(name)))
        logged(w, "warn listener front: user %s from 127.0.0.1: %s" % (
            user, why))
    counted(w, 3)
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def what_the_server_refuses_has_its_words():
    o = PgOrigin()
    o.turn_away = ("28P01", 'password authentication failed for "x"\n\x1b')
    w = through(o, pool="max = 4;")
    front = w.conf.ports["front"]
    for _ in range(3):
        refused(front, "app")
    line = 'warn upstream back: %s refuses user app, database ' \
        'shop: FATAL 28P01 password authentication failed for "x"  ' % o.address
    logged(w, line)
    eq(w.failures(), {"login_refused": 3}, "failures")
    # Who differs is not told of without end.
    for i in range(30):
        refused(front, "u%d" % i)
    check(len(lines(w, "refuses user")) < 30, "lines: %r" % lines(
        w, "refuses user"))
    w.balanced(o)


@case
def secrets_of_md5_are_warned_of():
    path = cases.put("users", '"ann" "word"\n"dora" "%s"\n\n"the e" "%s"\n' % (
        MD5, MD5))
    o, w, front = start('users_file = "%s";' % path)
    r = command("check", "-c", w.file)
    eq(r.returncode, 0, r.stderr)
    found = re.findall(r"users_file: (\S+): line (\d+): nobody can log in as "
                       r"([^,]*), .*SCRAM-SHA-256\$", r.stderr)
    eq(found, [(path, "2", "dora"), (path, "4", r"the\x20e")], r.stderr)
    check(MD5 not in r.stderr, "a secret is shown")
    w.balanced(o)


def redis_with_log(server, front="", up=""):
    conf = one(server, protocol="redis", pool="max = 8; min_idle = 0;",
               front=front, up=up)
    conf.log = 'level = "info"; access = "%s"; fields = ( ' \
        '"request", "user", "failure", "said" );' % cases.put("access", "")
    return Weir(conf)


def kept(w, failed, why, more=()):
    """Those, oldest first, are in /slow, with their causes, and in the access
    log, and of what else is named there, more; weir why has that sentence."""
    rows = [r for r in json.loads(w.get("/slow")[1])["exchanges"]
            if r["failure"]]
    eq([(r["request"], r["user"], r["failure"], r["said"], r["cause"])
        for r in reversed(rows)], failed, "/slow")
    path = re.search('access = "([^"]+)"', w.conf.log).group(1)

    def logged_there():
        with open(path) as log:
            got = [tuple(shlex.split(line)) for line in log]
        return [r for r in got if r[0] != "-"] == \
            [r[:4] for r in failed] + list(more)
    until(logged_there, "lines of the access log")
    said = " ".join(command("-c", w.file, "why").stdout.split())
    check(why in said, said)
    with open(path) as log:
        check("secret-word" not in said + w.get("/slow")[1] + log.read() +
              w.log(), "the password is told")


@case
def redis_clients_with_a_wrong_word_stand_there():
    server = RedisServer("--requirepass", "up")
    w = redis_with_log(server, 'redis = { auth = "check"; };',
                       'redis = { password = "up"; };')
    c = RedisClient(w.conf.ports["front"])
    check(c.ask("AUTH", "secret-word").startswith("WRONGPASS"), "AUTH")
    check(c.ask("HELLO", "3", "AUTH", "ann", "secret-word").startswith(
        "WRONGPASS"), "HELLO")
    c.ok("AUTH", "up")
    logged(w, *("warn listener front: user %s from 127.0.0.1: wrong password, "
                "or no such user" % user for user in ("default", "ann")))
    counted(w, 2)
    why = "wrong password, or no such user"
    found = [("auth", "default", "auth_failed", why, "client"),
             ("hello", "ann", "auth_failed", why, "client")]
    kept(w, found, "in as user ann: wrong password, or no such user; weir get")
    c.close()
    w.balanced()


@case
def redis_logins_that_the_server_refuses_stand_there():
    server = RedisServer("--requirepass", "up")
    w = redis_with_log(server, 'redis = { auth = "forward"; };')
    c = RedisClient(w.conf.ports["front"])
    check(c.ask("AUTH", "bob", "secret-word").startswith("WRONGPASS"), "AUTH")
    c.ok("AUTH", "up")
    eq(c.ask("GET", "k"), None, "GET")
    refusal = "WRONGPASS weir: the server refused the connection (login)"
    kept(w, [("auth", "bob", "login_refused", refusal, "login")],
         "%s refused the login of user bob: WRONGPASS weir: " % server.address,
         [("auth", "default", "-", "-"), ("get", "default", "-", "-")])
    c.close()
    w.balanced()


@case
def a_redis_that_wants_a_password_says_so():
    server = RedisServer("--requirepass", "up")
    w = redis_through(server, pool="max = 8; min_idle = 0;")
    c = RedisClient(w.conf.ports["front"])
    for _ in range(3):
        check(c.ask("GET", "k").startswith("NOAUTH"), "GET")
    until(lambda: lines(w, "refuses user default, database 0: NOAUTH: the "
                           "server wants a password: redis.password"),
          "what it wants")
    eq(len(lines(w, "NOAUTH")), 1, "lines")
    why = " ".join(command("-c", w.file, "why").stdout.split())
    check("%s refused the login: the server wants a password: redis.password "
          "of the upstream; what" % server.address in why, why)
    c.close()
    w.balanced()


@case
def a_redis_that_refuses_weirs_own_login_stands_there():
    server = RedisServer("--requirepass", "up")
    w = redis_through(server, pool="max = 8; min_idle = 0;",
                      up='redis = { user = "ann"; password = "down"; };')
    c = RedisClient(w.conf.ports["front"])
    check(c.ask("GET", "k").startswith("WRONGPASS"), "GET")
    until(lambda: lines(w, "refuses user ann, database 0: WRONGPASS"), "line")
    check("down" not in w.log(), "the password is in the log")
    c.close()
    w.balanced()


run()
