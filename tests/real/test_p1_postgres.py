"""Many clients of PostgreSQL with all of its ways to ask, who leave at random:
every message that they get is the one that they must get.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from fault import VARIANT
from p1kv import Load
from postgres import DIRECT, Postgres, through

# Of all cases together. By hand a million or more; SEED= tells which.
REPLIES = int(os.environ.get("REPLIES", "30000" if VARIANT == "release"
                             else "8000"))

LEFT_OVER = """
SELECT a.pid, a.state, l.locktype, l.mode, a.query
  FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid
 WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
   AND (a.state <> 'idle' OR l.pid IS NOT NULL)
"""


def server():
    s = Postgres(timezone="UTC", datestyle="ISO, MDY", max_connections=120)
    # Each client comes from an address of its own.
    with open(os.path.join(s.dir, "data", "pg_hba.conf"), "a") as f:
        f.write("host all all 127.0.0.0/8 trust\n")
    s.ask("SELECT pg_reload_conf()")
    with s.desk(user="alice", database="shop") as d:
        d.ok("CREATE UNLOGGED TABLE kept (who bigint, token text, "
             "PRIMARY KEY (who, token))")
    return s


def load(number, percent, **options):
    """So many of the answers."""
    options.setdefault("clients", 60)
    options.setdefault("bigrate", 30)
    return Load("postgres", number, replies=REPLIES * percent // 100,
                **options).result()


def judged(r, s):
    """Nobody was refused or cut, everything was tried, nothing is left."""
    many = r["owed"] >= 10000
    eq((r["refused"], r["cut"], r["no_connect"]), (0, 0, 0),
       "refused, cut, no connection; first: %s" % r["first_refusal"])
    check(r["answered"] > r["owed"] * 0.6, "answered: %r" % r)
    check(all(r["done"].values()) or not many, "never tried: %r" % r["done"])
    check(r["cancelled"] or not many, "nobody cancelled")
    until(lambda: s.ask(LEFT_OVER).rows == [], "nothing left at the server")


def answers(percent, workers=1, most=8, pool="", prepared=4, **options):
    s = server()
    w = through(s, pool='max = %d; max_pinned = %d; queue_timeout = "60s"; %s'
                % (most, most - 1, pool),
                front='auth = "trust"; prepared = %d;' % prepared,
                workers=workers)
    r = load(w.conf.ports["front"], percent, **options)
    judged(r, s)
    w.balanced(s)
    if not DIRECT:
        check(w.pool()["open"] <= most, "open: %r" % w.pool())
    return w, s, r


@case
def each_answer_is_ones_own():
    w, s, r = answers(40)
    check(r["left"] > 0, "nobody left")


@case
def likewise_with_two_workers():
    answers(20, workers=2)


@case
def likewise_when_connections_are_worn_out_in_no_time():
    answers(15, pool="max_requests = 20;")


@case
def nobody_who_stays_loses_anything():
    w, s, r = answers(15, leave=0)
    eq(r["answered"] + r["left"], r["owed"], "answered")


@case
def the_server_itself_keeps_to_the_model():
    s = server()
    judged(load(s.number, 10), s)


run()
