"""Two hundred clients of Redis with pipelines of everything it has, who leave
at random: every reply is compared with the one that it must be.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from p1kv import REPLIES, Load
from redis import DIRECT, RedisServer, through, upstreams


# Enough for those who block each other, and time for the others.
ROOM = 'max = 192; max_pinned = 180; queue_timeout = "60s";'


def judged(r, server, some=False):
    """Nobody was refused or cut, everything was tried, nothing ran twice."""
    eq((r["refused"], r["cut"], r["no_connect"]), (0, 0, 0),
       "refused, cut, no connection; first: %s" % r["first_refusal"])
    check(r["answered"] > r["owed"] * 0.8, "answered: %r" % r)
    check(some or all(r["done"].values()) or REPLIES < 15000,
          "never tried: %r" % r["done"])
    if some:
        return
    counted = int(server.ask("GET", "all:0") or 0)
    check(0 < counted <= r["done"]["incr of all"],
          "%d increments ran, %d were asked for" % (
              counted, r["done"]["incr of all"]))


def replies(workers=1, pool=ROOM, up="", **options):
    server = RedisServer()
    w = through(server, pool=pool, up=up, workers=workers)
    r = Load("redis", w.conf.ports["front"], **options).result()
    judged(r, server, "variant" in options)
    w.balanced(server)
    upstreams(w, server, 192 + r["connects"] if DIRECT else 2000)
    if not DIRECT:
        check(w.pool()["open"] <= 192, "open: %r" % w.pool())
    return w, server, r


@case
def each_reply_is_ones_own():
    w, server, r = replies()
    check(r["left"] > 0, "nobody left")
    check(r["pops"] and r["news"] and r["conflicts"] and r["kept"], repr(r))


@case
def likewise_with_two_workers():
    replies(workers=2)


@case
def likewise_with_few_connections_and_more_clients():
    # Of what pins only what needs no partner: who holds a connection until
    # somebody acts who waits for one could wait for ever.
    replies(pool='max = 8; max_pinned = 6; queue_timeout = "60s";',
            clients=500, variant="set,get,mget,echo,slow multi,multi,discard,"
            "watch,select,reply off,reply skip,unknown command")


@case
def likewise_when_connections_are_worn_out_in_no_time():
    replies(pool=ROOM + " max_requests = 50;")


@case
def nobody_who_stays_loses_anything():
    w, server, r = replies(leave=0)
    eq(r["answered"] + r["left"], r["owed"], "answered")


@case
def the_server_itself_keeps_to_the_model():
    server = RedisServer()
    judged(Load("redis", server.number).result(), server)


run()
