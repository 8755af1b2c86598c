"""A new weir takes over from the old one, and connections that are of somebody
go over: a user's of PostgreSQL, a database's of Redis. They stay theirs.
"""
# SPDX-License-Identifier: MIT
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import redis
import wire
from case import SLOW, case, check, eq, later, run, until
from postgres import Client, query, startup
from postgres_origin import PgOrigin
from redis import RedisOrigin, Simple
from upgrade import Successive
from weir import one

TRUST = 'postgres = { auth = "trust"; };'


def postgres(pool="max = 4;", up="", workers=1, **options):
    o = PgOrigin(**options)
    w = Successive(one(o, protocol="postgres", pool=pool, front=TRUST, up=up,
                       workers=workers))
    w.conf.drain_timeout = "%ds" % (20 * SLOW)
    w.write()
    w.reload()
    return o, w, w.conf.ports["front"]


def visit(front, user, state):
    """One client: which connection it has, after all that a client does."""
    c = Client(front, user)
    eq(c.setting("application_name"), "", "what somebody else has left")
    c.ok("SET application_name = '%s'" % state)
    c.prepare("mine", "SELECT $1")
    eq(c.run("mine", state).one, state, "the prepared statement")
    where = c.where()
    c.prove().quit()
    return where


@case
def each_user_keeps_his_connection():
    o, w, front = postgres(settings={"application_name": ""})
    homes = {user: visit(front, user, "first") for user in ("alice", "bob")}
    check(homes["alice"] != homes["bob"], "they have the same one")
    for n in range(3):
        w.wait_pool(idle=2)
        w.upgrade()
        w.wait_pool(idle=2, open=2)
        for user in ("bob", "alice"):
            eq(visit(front, user, "later%d" % n), homes[user], user)
    u = w.upstream()
    eq((o.accepted, u["connects_total"], u["closes_total"]), (2, 2, 0),
       "connections")
    # Nobody had to prepare what the connection has.
    eq(o.seen("P"), 2, "times that it was prepared")
    # And it can be cancelled.
    c = Client(front, "bob")
    c.write(query("SELECT pg_sleep(1000)"))
    o.wait_for(1)
    c.cancel()
    eq(c.result().code, "57014", "the end of the query")
    eq([pid for pid, _ in o.cancels], [homes["bob"]], "who was cancelled")
    c.prove().quit()
    w.balanced(o)


@case
def those_of_two_workers_go_over():
    o, w, front = postgres(pool="max = 6;", workers=2)
    for c in [Client(front, user).ok("BEGIN") for user in ("alice", "bob") * 3]:
        c.prepare("mine", "SELECT 1").ok("COMMIT").quit()
    for _ in range(2):
        w.wait_pool(idle=6)
        w.upgrade()
        w.wait_pool(idle=6, open=6)
    eq((o.accepted, w.upstream()["closes_total"]), (6, 0), "connections")
    for user in ("alice", "bob"):
        visit(front, user, "later")
    w.balanced(o)


@case
def what_is_warm_is_not_opened_anew():
    o, w, _ = postgres(pool="max = 8; min_idle = 2;", up='postgres = { warm = '
                       '( "alice/shop", "bob/blog" ); };')
    w.wait_pool(idle=4)
    w.upgrade()
    check(w.stats()["ready"], "it took over before it was ready")
    w.wait_pool(idle=4, open=4)
    eq(o.accepted, 4, "connections")
    w.balanced(o)


@case
def who_logs_in_otherwise_gets_another():
    up = 'postgres = { user = "%s"; };'
    o, w, front = postgres(up=up % "alice")
    visit(front, "x", "before")
    w.wait_pool(idle=1)
    w.conf.upstream("back", o, pool="max = 4;", extra=up % "bob")
    w.write()
    w.upgrade()
    w.wait_pool(open=0)
    until(lambda: o.open == 0, "the end of alice's")
    visit(front, "x", "after")
    eq([p["user"] for _, p in o.logins], ["alice", "bob"], "logins")
    w.balanced(o)


@case
def a_reload_while_the_old_one_drains_counts():
    up = 'postgres = { user = "%s"; };'
    o, w, front = postgres(up=up % "alice")
    c = Client(front, "x").ok("BEGIN")
    leaving = w.upgrade(ended=False)
    w.conf.upstream("back", o, pool="max = 4;", extra=up % "bob")
    w.write()
    w.reload()
    c.ok("COMMIT").quit()
    eq(leaving.wait(), 0, "its status")
    w.wait_pool(open=0)
    until(lambda: o.open == 0, "the end of alice's")
    # The next one is told what they are now.
    visit(front, "x", "as bob")
    w.wait_log("has drained")
    w.upgrade()
    w.wait_pool(idle=1)
    eq((o.accepted, o.open), (2, 1), "connections")


@case
def one_place_serves_two_users_of_both():
    """The old weir keeps alice in her transaction, the new one has bob."""
    o, w, front = postgres(pool="max = 1;")
    alice = Client(front, "alice").ok("BEGIN")
    leaving = w.upgrade(ended=False)
    bob = Client(front, "bob", login=False)
    bob.send(startup(**bob.params))
    alice.ok("COMMIT")
    bob.logged_in()
    for _ in range(2):
        bob.ok("BEGIN")
        eq(w.pool()["open"], 1, "open")
        alice.write(query("BEGIN"))
        bob.ok("COMMIT")
        eq(alice.result().code, None, "a transaction")
        alice.ok("COMMIT")
    alice.quit()
    eq(leaving.wait(), 0, "its status")
    bob.prove().quit()
    w.balanced(o)


@case
def one_connection_with_its_statements_serves_both():
    """To the new weir, back to the old one, and to the new one at the end: a
    statement that is prepared on it is, wherever it is."""
    o, w, front = postgres(pool="max = 1;")
    old = Client(front, "alice").prepare("mine", "SELECT 1").ok("BEGIN")
    leaving = w.upgrade(ended=False)
    new = Client(front, "alice", login=False)
    new.send(startup(**new.params))
    # With a message half sent, it stays.
    begin = query("BEGIN")
    old.order.sent(query("COMMIT"))
    wire.Client.send(old, query("COMMIT") + begin[:3])
    eq(old.result().code, None, "a COMMIT")
    new.logged_in().prepare("other", "SELECT 1").ok("BEGIN")
    old.order.sent(begin)
    wire.Client.send(old, begin[3:])
    eq(new.run("other").one, "1", "by the new one")
    new.ok("COMMIT")
    eq(old.result().code, None, "a BEGIN")
    eq(old.run("mine").one, "1", "by the old one")
    old.ok("COMMIT").quit()
    eq(leaving.wait(), 0, "its status")
    eq(new.run("other").one, "1", "at the end")
    new.prove().quit()
    eq((o.accepted, o.seen("P")), (1, 1), "connections, statements prepared")
    w.balanced(o)


@case
def databases_of_redis_keep_theirs():
    o = RedisOrigin(lambda args, play: Simple("%d" % play.number))
    w = Successive(one(o, protocol="redis", pool="max = 8; min_idle = 0;"))
    front = w.conf.ports["front"]

    def visits():
        homes = []
        for resp, database in (2, 1), (2, 2), (3, 1), (2, 0):
            c = redis.Client(front, resp=resp)
            if database:
                c.ok("SELECT", database)
            homes.append(c.ask("GET", "x"))
            c.close()
        return homes
    homes = visits()
    eq(len(set(homes)), 4, "connections, each of its own")
    # One more spoke RESP3 before its client chose a database.
    for _ in range(3):
        w.wait_pool(idle=5)
        w.upgrade()
        w.wait_pool(idle=5, open=5)
        eq(visits(), homes, "where they are")
    eq((o.accepted, w.upstream()["closes_total"]), (5, 0), "connections")
    w.balanced(o)


@case
def what_is_being_made_goes_when_it_is_ready():
    """Its client has left, and the old weir has nobody else."""
    drains = threading.Event()

    class Slow(PgOrigin):
        def _script(self, link):
            drains.wait()
            return super()._script(link)
    o = Slow()
    later(drains.set)
    w = Successive(one(o, protocol="postgres", pool="max = 4;", front=TRUST,
                       up='timeouts = { connect = "60s"; };'))
    c = Client(w.conf.ports["front"], login=False)
    c.send(startup(**c.params))
    w.wait_pool(connecting=1)
    c.close()
    w.wait_pool(waiting=0)

    def answer():
        until(lambda: "this one drains" in w.log(), "the upgrade")
        drains.set()
    thread = threading.Thread(target=answer)
    thread.start()
    w.upgrade()
    thread.join()
    w.wait_pool(idle=1, open=1)
    eq(o.accepted, 1, "connections")


run()
