"""Connections that are kept warm: of the users and databases that the file
names, before anybody has come; the first client of each finds one.
"""
# SPDX-License-Identifier: MIT
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, put, run, until
from postgres import Client, scram_secret, through
from postgres_origin import PgOrigin
from weir import command, one

TRUST = 'auth = "trust"; '
USERS = 'users = ( { name = "alice"; password = "of alice"; }, ' \
    '{ name = "bob"; password = "of bob"; database = "blog"; } );'


def pairs(o):
    """How often each has logged in."""
    with o.said:
        who = [(p["user"], p["database"]) for _, p in o.logins]
    return {w: who.count(w) for w in who}


def start(pool="max = 8; min_idle = 2;", **more):
    o = PgOrigin(auth="scram-sha-256",
                 users={"alice": "of alice", "bob": "of bob"})
    w = through(o, pool=pool, front=USERS,
                up='postgres = { warm = ( "alice/shop", "bob/blog" ); };',
                **more)
    w.wait_pool(idle=4)
    return o, w


@case
def each_pair_has_its_own_on_all_workers_together():
    o, w = start(workers=2)
    eq(pairs(o), {("alice", "shop"): 2, ("bob", "blog"): 2}, "logins")
    eq(w.get("/readyz")[0], 200, "ready")
    w.balanced(o)


@case
def clients_find_what_is_warm():
    o, w = start()
    o.turn_away = "53300", "sorry, too many clients already"
    for _ in range(4):
        for user, database in ("alice", "shop"), ("bob", "blog"):
            c = Client(w.conf.ports["front"], user, database,
                       "of " + user)
            c.ok("SELECT 1")
            c.prove().quit()
    o.turn_away = None
    w.balanced(o)


@case
def what_is_lent_or_lost_is_made_up_for():
    o = PgOrigin()
    w = through(o, pool="max = 8; min_idle = 1;", front=TRUST,
                up='postgres = { warm = ( "alice/shop" ); };')
    w.wait_pool(idle=1)
    c = Client(w.conf.ports["front"])
    c.ok("BEGIN")
    w.wait_pool(idle=1, leased=1)
    c.ok("COMMIT")
    w.wait_pool(idle=2)
    o.drop_all()
    until(lambda: len(o.logins) == 3, "a new one")
    w.wait_pool(idle=1)
    c.prove().quit()
    w.balanced(o)


@case
def the_upstreams_user_is_warm_for_all():
    o = PgOrigin(auth="md5", users={"app": "of app"})
    w = through(o, pool="max = 8; min_idle = 1;", front=TRUST,
                up='postgres = { user = "app"; password = "of app"; '
                'warm = ( "app/shop" ); };')
    w.wait_pool(idle=1)
    for user in "alice", "bob":
        c = Client(w.conf.ports["front"], user)
        c.ok("SELECT 1")
        c.prove().quit()
    eq(set(pairs(o)), {("app", "shop")}, "logins")
    w.balanced(o)


@case
def who_may_not_log_in_is_not_tried_again_and_again():
    o = PgOrigin()
    o.turn_away = "28000", 'role "alice" does not exist'
    probe = port()
    w = through(o, pool="max = 8; min_idle = 1;", front=TRUST,
                up='postgres = { warm = ( "alice/shop" ); };',
                admin='probe_bind = "127.0.0.1:%d";' % probe)
    until(lambda: len(o.logins) >= 2, "tried")
    until(lambda: ("%s refuses user alice, database shop: FATAL 28000 role "
                   '"alice" does not exist)' % o.address)
          in w.get("/readyz")[1], "why not")
    eq(w.get("/readyz")[0], 503, "ready")
    status, body, _ = w.admin_request("GET", "/readyz",
                                      at=("127.0.0.1", probe))
    check(status == 503 and "back: 0 of 1" in body and "alice" not in body,
          "a probe is told %d %r" % (status, body))
    until(lambda: re.match("weir: not so within 0.001 s: not ready: upstream "
                           "back: .* refuses user alice,", command(
                               "-c", w.file, "wait", "--timeout",
                               "1ms").stderr), "wait says why")
    check(w.upstream()["connects_total"] < 20, "hammered")
    o.turn_away = None
    w.wait_pool(idle=1)
    eq(w.get("/readyz")[0], 200, "ready")
    w.balanced(o)


@case
def caps_on_groups_hold_for_them_too():
    o = PgOrigin()
    w = through(o, pool="max = 8; min_idle = 2; max_per_user = 3;",
                front=TRUST, up='postgres = { warm = ( "alice/shop", '
                '"alice/blog" ); };')
    w.wait_pool(idle=3)
    c = Client(w.conf.ports["front"], "bob")
    c.prove().quit()
    w.wait_pool(idle=4)
    eq(pairs(o), {("alice", "shop"): 2, ("alice", "blog"): 1,
                  ("bob", "shop"): 1}, "logins")
    w.balanced(o)


@case
def what_cannot_be_warm_is_an_error():
    def error(pool, own, front=TRUST):
        conf = one(1, protocol="postgres", pool=pool,
                   up="postgres = { %s };" % own,
                   front="postgres = { %s };" % front)
        got = command("check", "-c", put("t.conf", conf.text()))
        return "" if got.returncode == 0 else got.stderr + got.stdout

    def fails(word, *args):
        got = error(*args)
        check(word in got, "%s: %s" % (args, got))
    pair = 'warm = ( "alice/shop" );'
    secret = scram_secret("word")
    eq(error("min_idle = 1;", pair), "", "errors")
    eq(error("min_idle = 1;", pair, USERS), "", "errors")
    eq(error("min_idle = 1;", 'warm = ( "bob/blog" );', USERS), "", "errors")
    fails("nobody whose connections they are", "min_idle = 1;", "")
    fails("expected \"USER/DATABASE\"", "min_idle = 1;", 'warm = ( "app" );')
    fails("no listener knows this user", "min_idle = 1;",
          'warm = ( "bob/shop" );', USERS)
    fails("expected the password itself", "min_idle = 1;", pair,
          'users = ( { name = "alice"; secret = "%s"; } );' % secret)
    fails("all clients are postgres.user", "min_idle = 1;",
          'user = "app"; ' + pair)
    fails("pool.max_idle in all", "max = 3; min_idle = 2;",
          'warm = ( "a/b", "c/d" );')


run()
