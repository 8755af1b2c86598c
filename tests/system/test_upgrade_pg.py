"""PostgreSQL's clients that are between two transactions go over to the weir
that takes over, with all that they have set, prepared and been told; the others stay
where their state is.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, run, until
from postgres import SYNC, V3_2, Client, bind, execute, parse, query
from postgres_origin import PgOrigin
from upgrade import Successive
from weir import one

SLEEP = query("SELECT pg_sleep(1000)")


def start(pool="max = 2;", workers=1):
    o = PgOrigin()
    conf = one(o, protocol="postgres", pool=pool, workers=workers,
               front='postgres = { auth = "trust"; };')
    conf.drain_timeout = "%ds" % (20 * SLOW)
    return o, Successive(conf)


def clients(w, n, **params):
    return [Client(w.conf.ports["front"], **params) for _ in range(n)]


@case
def what_a_client_has_set_and_prepared_goes_along():
    o, w = start("max = 1;")
    c, other = (clients(w, 1, DateStyle="German")[0], clients(w, 1)[0])
    c.ok("SET application_name TO 'caller'", "SET extra_float_digits TO 2")
    c.prepare("p\u00e9", "SELECT $1, 'caf\u00e9'")
    other.prepare("mine", "SELECT $1, 'caf\u00e9'")
    for n in range(2):
        eq(c.ask(parse("", "SELECT 'nobody''s %d'" % n), SYNC).kinds, "1Z",
           "a Parse")
        w.upgrade()
        eq(c.ask(bind(), execute(), SYNC).one, "nobody's %d" % n, "unnamed")
        eq(c.run("p\u00e9", n).rows, [(str(n), "caf\u00e9")], "prepared")
        eq([c.setting(name) for name in ("application_name", "DateStyle",
                                         "extra_float_digits")],
           ["caller", "German, DMY", "2"], "settings")
        eq(other.run("mine", n).rows, [(str(n), "caf\u00e9")], "the other's")
        eq(other.fails("SHOW nothing", "42704").status, "I", "status")
        eq(other.setting("application_name"), "", "the other's name")
    eq((w.listener()["connections"]["active"],
        w.listener()["connections"]["accepted_total"]), (2, 2),
       "clients")
    # By the number of their text both know it on the connection that came.
    eq(o.seen("P", "SELECT $1"), 1, "times it was prepared at the server")
    eq(c.ask(parse("p\u00e9", "SELECT 1"), SYNC).code, "42P05", "that name")
    for each in (c, other):
        each.prove().quit()
    w.balanced(o)


@case
def its_cancel_means_it_alone():
    """Another client has the same number in the new weir."""
    o, w = start("max = 3;")
    first, a = clients(w, 2, version=V3_2)
    eq(len(a.key), 32, "length of its key")
    first.quit()
    until(lambda: w.listener()["connections"]["active"] == 1, "its end")
    w.upgrade()
    n = clients(w, 1)[0]
    eq(n.pid, a.pid, "the number of the new one")
    for one_, other in ((a, n), (n, a)):
        one_.write(SLEEP)
        other.write(SLEEP)
        o.wait_for(2)
        one_.cancel(key=b"none")
        one_.cancel()
        eq(one_.result().code, "57014", "its answer")
        o.wait_for(1)
        o.wake()
        eq(other.result().code, None, "the other's answer")
    eq(len(o.cancels), 2, "cancels at the server")
    for each in (a, n):
        each.prove().quit()
    w.balanced(o)


@case
def who_has_proved_who_he_is_does_not_have_to_again():
    """By the keys that its proof has given, weir logs in anew."""
    o = PgOrigin(auth="scram-sha-256", users={"bob": "bob-word"})
    w = Successive(one(o, protocol="postgres", pool="max = 1;", front='postgres'
                       ' = { users = ( { name = "bob"; secret = "%s"; } ); };' %
                       o.scram_keys("bob", "bob-word").secret()))
    b = Client(w.conf.ports["front"], user="bob", word="bob-word").prove()
    w.upgrade()
    [row] = json.loads(w.get("/connections")[1])["connections"]
    eq(w.post("/connections/%d/kill" % row["id"])[0], 200, "kill")
    until(lambda: o.open == 0, "the end of its connection")
    eq((b.prove().one("SELECT current_user"), len(o.logins)), ("bob", 2),
       "who it is, logins")
    b.quit()


@case
def inside_a_transaction_it_stays_and_so_does_one_that_is_pinned():
    o, w = start("max = 3;")
    a, pinned = clients(w, 2)
    pinned.ok("LISTEN news")
    a.ok("BEGIN")
    there = a.where()
    leaving = w.upgrade(ended=False)
    eq(a.where(), there, "its connection")
    eq(w.listener()["connections"]["active"], 0, "clients of the new one")
    # Its cancel comes to the new one, and is sent to where it is.
    a.write(SLEEP)
    o.wait_for(1)
    a.cancel()
    eq((a.result().code, len(o.cancels)), ("57014", 1), "cancelled")
    a.ok("ROLLBACK")
    until(lambda: w.listener()["connections"]["active"] == 1, "its crossing")
    a.ok("SET application_name TO 'later'")
    check(leaving.poll() is None, "the old one has left its client")
    a.ok("NOTIFY news, 'fresh'")
    eq(pinned.notification()[1:], ("news", "fresh"), "notification")
    pinned.quit()
    eq(leaving.wait(), 0, "its status")
    a.prove().quit()


@case
def the_number_of_workers_may_change():
    o, w = start("max = 4;", workers=2)
    all_ = clients(w, 6)
    lanes = {c.pid >> 20 for c in all_}
    for n, c in enumerate(all_):
        c.prepare("p", "SELECT $1")
        c.ok("SET application_name TO 'c%d'" % n)
    for workers in (1, 2):
        w.conf.workers = workers
        w.write()
        w.upgrade()
        for n, c in enumerate(all_):
            eq(c.run("p", n).one, str(n), "prepared")
            eq(c.setting("application_name"), "c%d" % n, "name")
        for lane in lanes:
            c = next(c for c in all_ if c.pid >> 20 == lane)
            c.write(SLEEP)
            o.wait_for(1)
            c.cancel()
            eq(c.result().code, "57014", "cancelled")
        until(lambda: w.listener()["connections"]["active"] == 6, "clients")
    for c in all_:
        c.prove().quit()
    w.balanced(o)


run()
