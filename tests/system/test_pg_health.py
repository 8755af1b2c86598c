"""Health checks of PostgreSQL: they log in and ask who is the primary, so that
transactions follow it; and what they say of servers that are not well.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, put, run, until
from postgres import Client, through
from postgres_origin import PgOrigin
from weir import command, one

HEALTH = 'health = { interval = "50ms"; timeout = "%dms"; rise = 1; ' \
    'fall = 1; %%s }; postgres = { %%s };' % (5000 * SLOW)


def start(*origins, own="", health="", pool="max = 2;"):
    w = through(*origins, pool=pool, up=HEALTH % (health, own))
    return w, w.conf.ports["front"]


def states(w):
    return [e["state"] for e in w.upstream()["endpoints"]]


def last(w, n=0):
    return w.upstream()["endpoints"][n]["health"]["last"]


def asked_by(o, user):
    """Of checks: who logs in where."""
    with o.said:
        return [(p["user"], p["database"]) for _, p in o.logins
                if p["user"] == user]


@case
def transactions_go_to_the_primary_whoever_that_is():
    a, b = PgOrigin(), PgOrigin()
    b.standby = True
    w, front = start(a, b, own='target = "primary"; check_user = "eye";')
    until(lambda: states(w) == ["up", "down"], "a is the primary")
    eq(last(w, 1), "a standby, not a primary", "of b")
    c = Client(front)
    for n in range(3):
        c.ok("BEGIN", "CREATE TABLE a%d" % n, "COMMIT")
    eq((len(a.tables), len(b.tables)), (3, 0), "tables")
    a.standby, b.standby = True, False
    until(lambda: states(w) == ["down", "up"], "b is the primary")
    for n in range(3):
        c.ok("BEGIN", "CREATE TABLE b%d" % n, "COMMIT")
    eq((len(a.tables), len(b.tables)), (3, 3), "tables")
    c.prove().quit()
    eq(set(asked_by(a, "eye")), {("eye", "postgres")}, "who asks")
    check(a.seen("Q", "pg_catalog.pg_is_in_recovery()"), "the question")
    w.balanced(a, b)


@case
def readers_may_want_a_standby():
    a, b = PgOrigin(), PgOrigin()
    b.standby = True
    w, front = start(a, b, own='target = "standby"; user = "app"; '
                     'check_database = "health";')
    until(lambda: states(w) == ["down", "up"], "b is the standby")
    eq(last(w, 0), "a primary, not a standby", "of a")
    c = Client(front)
    for _ in range(3):
        eq(c.one("SELECT pg_is_in_recovery()"), "t", "of a standby")
    c.prove().quit()
    check(("app", "health") in asked_by(a, "app"), "who asks")
    w.balanced(a, b)


@case
def checks_prove_who_they_are():
    a = PgOrigin(auth="scram-sha-256", users={"eye": "of it"})
    b = PgOrigin(auth="md5", users={"eye": "of it"})
    c = PgOrigin(auth="scram-sha-256", users={"eye": "another"})
    w, _ = start(a, b, c, own='check_user = "eye"; check_password = "of it";')
    until(lambda: states(w) == ["up", "up", "down"], "c knows another one")
    check(last(w, 2).startswith("login: 28P01 "), last(w, 2))
    w.balanced(a, b, c)


@case
def a_server_that_refuses_who_has_no_login_is_well():
    a = PgOrigin(auth="scram-sha-256")
    b, c = PgOrigin(), PgOrigin()
    b.turn_away = "28000", 'role "weir" does not exist'
    c.turn_away = "57P03", "the database system is starting up"
    w, _ = start(a, b, c)
    until(lambda: states(w) == ["up", "up", "down"], "c is not")
    eq(last(w, 2), "login: 57P03 the database system is starting up", "c")
    c.turn_away = "53300", "sorry, too many clients already"
    until(lambda: last(w, 2).startswith("login: 53300 "), "c is full")
    c.turn_away = None
    until(lambda: states(w) == ["up"] * 3, "now it is")
    for o in a, b, c:
        until(lambda: asked_by(o, "weir"), "asked")
    eq(a.seen("p"), 0, "passwords")
    w.balanced(a, b, c)


@case
def the_password_of_checks_is_not_shown():
    w, _ = start(PgOrigin(), own='check_user = "eye"; '
                 'check_password = "not to be seen";')
    got = w.get("/config")[1]
    text = got if isinstance(got, str) else str(got)
    check("check_password" in text and "not to be seen" not in text, text)


@case
def a_target_that_nobody_asks_for_is_warned_of():
    def warnings(up):
        conf = one(1, protocol="postgres", up=up,
                   front='postgres = { auth = "trust"; };')
        got = command("check", "-c", put("t.conf", conf.text()))
        eq(got.returncode, 0, got.stderr)
        return [line for line in (got.stdout + got.stderr).split("\n")
                if "target" in line]
    eq(warnings('health = { };'), [], "warnings")
    eq(warnings(HEALTH % ("", 'target = "primary"; user = "app";')), [],
       "warnings")
    eq(warnings(HEALTH % ("", 'target = "primary"; check_user = "eye";')),
       [], "warnings")
    for up, word in (
            ('postgres = { target = "primary"; check_user = "eye"; };',
             'expected health with type "postgres"'),
            (HEALTH % ('type = "tcp";',
                       'target = "standby"; check_user = "eye";'),
             'expected health with type "postgres"'),
            (HEALTH % ("", 'target = "primary";'),
             "expected postgres.check_user or postgres.user")):
        got = warnings(up)
        check(len(got) == 1 and word in got[0], got)


run()
