"""A real primary and its streaming standby: transactions follow the primary,
and what comes while there is none waits for the next one.
"""
# SPDX-License-Identifier: MIT
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import SLOW, case, eq, run, until
from pg_standby import Standby
from postgres import Client, Postgres, query, through


HEALTH = 'health = { interval = "100ms"; timeout = "%dms"; rise = 1; ' \
    'fall = 1; }; postgres = { target = "%%s"; };' % (5000 * SLOW)


def states(w):
    return [e["state"] for e in w.upstream()["endpoints"]]


def pair():
    a = Postgres()
    a.ask("CREATE TABLE t (n int)")
    return a, Standby(a)


@case
def transactions_follow_the_primary():
    a, b = pair()
    up = HEALTH % "primary"
    w = through(a, b, pool='max = 4; failover_hold = "60s"; '
                'queue_timeout = "60s";',
                up=up.replace("target", 'check_user = "postgres"; target'))
    until(lambda: states(w) == ["up", "down"], "a is the primary")
    c = Client(w.conf.ports["front"], "postgres", "postgres")
    c.ok("BEGIN", "INSERT INTO t VALUES (1)", "COMMIT")
    until(lambda: b.ask("SELECT count(*) FROM t").one == "1", "it streams")
    d = Client(w.conf.ports["front"], "postgres", "postgres")
    c.ok("BEGIN")
    a.process.send_signal(signal.SIGINT)        # a fast shutdown
    eq(c.error()["C"], "57P01", "SQLSTATE")
    c.close()
    d.write(query("INSERT INTO t VALUES (2)"))
    w.wait_pool(waiting=1)
    b.promote()
    eq(d.result().tag, "INSERT 0 1", "on the new one")
    d.ok("BEGIN", "INSERT INTO t VALUES (3)", "COMMIT")
    until(lambda: states(w) == ["down", "up"], "b is the primary")
    eq(b.ask("SELECT string_agg(n::text, ',' ORDER BY n) FROM t").one,
       "1,2,3", "rows")
    d.prove().quit()
    w.balanced(b)


@case
def readers_get_a_standby_as_long_as_it_is_one():
    a, b = pair()
    w = through(a, b, up=HEALTH % "standby")
    # "weir" is no role: nobody can say who is what.
    until(lambda: states(w) == ["down", "down"], "nobody asks")
    a.ask("CREATE ROLE weir LOGIN")
    until(lambda: states(w) == ["down", "up"], "b is the standby")
    c = Client(w.conf.ports["front"], "alice", "shop")
    eq(c.one("SELECT pg_is_in_recovery()"), "t", "of a standby")
    c.fails("CREATE TABLE nowhere ()", "25006")
    c.prove().quit()
    b.promote()
    until(lambda: states(w) == ["down", "down"], "there is none")
    w.balanced(a, b)


run()
