"""What the pool is told of PostgreSQL: users and databases, a server that has
too many clients, one that is no primary any more.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, eq, run, until
from postgres import Client, query, startup, through
from postgres_origin import PgOrigin, report

CHECKED = 'health = { interval = "50ms"; timeout = "%dms"; rise = 1; ' \
    'fall = 1; }; postgres = { target = "primary"; check_user = "eye"; };' % (
        5000 * SLOW)
HOLD = 'failover_hold = "60s"; queue_timeout = "60s"; max = 4;'


def errors(w):
    return {code: n for code, n in w.upstream()["server_errors_total"].items() if n}


def states(w):
    return [e["state"] for e in w.upstream()["endpoints"]]


# -------------------------------------------------------------------- groups

def group_waits(own, first, same, other):
    """Two who share the group, and one who does not."""
    o = PgOrigin()
    w = through(o, pool="max = 8; %s = 1;" % own)
    a, b, c = (Client(w.conf.ports["front"], *who)
               for who in (first, same, other))
    a.ok("BEGIN")
    b.write(query("SELECT 2"))
    w.wait_pool(waiting=1)
    c.ok("SELECT 3")
    w.wait_pool(waiting=1, leased=1)
    a.ok("COMMIT")
    eq(b.result().one, "2", "in his turn")
    for one in a, b, c:
        one.prove().quit()
    w.balanced(o)


@case
def a_user_has_as_many_connections_as_he_may():
    group_waits("max_per_user", ("alice", "shop"), ("alice", "blog"),
                ("bob", "shop"))


@case
def so_has_a_database():
    group_waits("max_per_database", ("alice", "shop"), ("bob", "shop"),
                ("alice", "blog"))


# ------------------------------------------------------------------ logins

@case
def who_logs_in_at_another_worker_waits_for_no_connection():
    o = PgOrigin()
    w = through(o, pool='max = 1; queue_timeout = "60s";', workers=2)
    a = Client(w.conf.ports["front"])
    a.ok("BEGIN")
    # All of them come in while he holds the only one, at whichever worker.
    others = [Client(w.conf.ports["front"]) for _ in range(8)]
    w.wait_pool(leased=1, waiting=0)
    a.ok("COMMIT")
    for one in others + [a]:
        one.prove().quit()
    eq(o.accepted, 1, "upstream connections")
    w.balanced(o)


# --------------------------------------------------------- too many clients

@case
def a_full_server_is_waited_for_and_lowers_the_cap():
    o = PgOrigin()
    w = through(o, pool="max = 8; adapt = true;")
    a, b = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    a.ok("BEGIN")
    o.turn_away = "53300", "sorry, too many clients already"
    b.write(query("SELECT 2"))
    until(lambda: errors(w).get("53300", 0) > 0, "it is told")
    w.wait_pool(waiting=1)
    check(w.upstream()["pool"]["cap"] < 8, "the cap is lower")
    a.ok("COMMIT")
    eq(b.result().one, "2", "by the connection that there is")
    o.turn_away = None
    a.prove().quit()
    b.prove().quit()
    w.balanced(o)


@case
def without_adapt_a_client_is_told():
    o = PgOrigin()
    w = through(o, pool="max = 8;")
    a, b = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    a.ok("BEGIN")
    o.turn_away = "53300", "sorry, too many clients already"
    b.write(query("SELECT 2"))
    eq(b.result().code, "53300", "SQLSTATE")
    a.ok("COMMIT")
    o.turn_away = None
    a.prove().quit()
    b.prove().quit()
    w.balanced(o)


# --------------------------------------------------------------- failovers

@case
def what_comes_after_a_farewell_waits_for_the_new_primary():
    a, b = PgOrigin(), PgOrigin()
    b.standby = True
    w = through(a, b, pool=HOLD, up=CHECKED)
    until(lambda: states(w) == ["up", "down"], "a is the primary")
    c, d = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    # Not before: who comes after a check has found it waits, too.
    c.write(query("SELECT demote(), fatal('57P01')"))
    eq(c.error()["C"], "57P01", "SQLSTATE")
    c.close()
    d.write(query("CREATE TABLE t"))
    w.wait_pool(waiting=1)
    b.standby = False
    eq(d.result().tag, "CREATE TABLE", "on the new one")
    eq((list(a.tables), list(b.tables)), ([], ["t"]), "tables")
    d.prove().quit()
    until(lambda: states(w) == ["down", "up"], "b is the primary")
    w.balanced(a, b)


@case
def a_primary_that_is_read_only_is_none():
    a, b = PgOrigin(parameters={"in_hot_standby": "on"}), PgOrigin()
    b.standby = True
    w = through(a, b, pool=HOLD, up=CHECKED)
    until(lambda: states(w) == ["up", "down"], "a is the primary")
    c, d = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    c.fails("SELECT demote(), error('25006')", "25006")
    d.write(query("CREATE TABLE t"))
    w.wait_pool(waiting=1)
    b.standby = False
    eq(d.result().tag, "CREATE TABLE", "on the new one")
    c.prove().quit()
    d.prove().quit()
    w.balanced(a, b)


@case
def a_client_that_wants_to_read_only_holds_nobody_up():
    """The server says of itself that it is a primary: 25006 is the client's
    own doing."""
    o = PgOrigin()
    w = through(o, pool=HOLD, up=CHECKED.replace("50ms", "1h"))
    until(lambda: states(w) == ["up"], "up")
    c, d = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    c.fails("SELECT error('25006')", "25006")
    d.prove()
    eq(errors(w), {"25006": 1}, "errors")
    c.prove().quit()
    d.quit()
    w.balanced(o)
    eq(w.upstream()["connects_total"], 1, "upstream connections")


@case
def an_idle_connection_is_told_too():
    o = PgOrigin()
    w = through(o, pool=HOLD)
    c = Client(w.conf.ports["front"])
    w.wait_pool(idle=1)
    with o.said:
        s = list(o.sessions.values())[0]
    s.send(report("E", "FATAL", "57P01", "terminating connection"))
    until(lambda: errors(w) == {"57P01": 1}, "counted")
    w.wait_pool(idle=0)
    c.prove().quit()
    w.balanced(o)


@case
def who_comes_while_it_starts_up_waits():
    o = PgOrigin()
    o.turn_away = "57P03", "the database system is starting up"
    w = through(o, pool=HOLD)
    c = Client(w.conf.ports["front"], login=False)
    c.send(startup(user="alice", database="shop"))
    w.wait_pool(waiting=1)
    o.turn_away = None
    c.logged_in()
    c.prove().quit()
    w.balanced(o)


run()
