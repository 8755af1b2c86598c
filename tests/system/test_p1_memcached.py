"""Two hundred clients of memcached, text, meta and binary, with pipelines of
everything it has, who leave at random: every reply must be the one it must be.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from memcached import DIRECT, Memcached, through, upstreams
from p1kv import REPLIES, Load


def server_with_counter(*options):
    server = Memcached(*options)
    server.desk.stored("all", "0")
    return server


def judged(r, server, variant):
    eq((r["refused"], r["cut"], r["no_connect"]), (0, 0, 0),
       "refused, cut, no connection; first: %s" % r["first_refusal"])
    check(r["answered"] > r["owed"] * 0.8, "answered: %r" % r)
    check(variant or REPLIES < 15000 or all(r["done"].values()),
          "never tried: %r" % r["done"])
    counted = int(server.desk.get("all"))
    check(counted <= r["done"]["incr of all"],
          "%d increments ran, %d were asked for" % (
              counted, r["done"]["incr of all"]))


def replies(variant="", workers=1, pool="max = 16;", **options):
    server = server_with_counter()
    w = through(server, pool=pool, workers=workers)
    if variant:
        options["variant"] = variant
    r = Load("memcached", w.conf.ports["front"], **options).result()
    judged(r, server, variant)
    w.balanced(server)
    upstreams(w, server, 2000)
    if not DIRECT:
        check(w.pool()["open"] <= 16, "open: %r" % w.pool())
    return w, server, r


@case
def each_reply_is_ones_own():
    w, server, r = replies()
    check(r["left"] > 0, "nobody left")


@case
def likewise_text_and_meta_alone():
    replies("text")


@case
def likewise_binary_alone():
    replies("binary")


@case
def likewise_with_two_workers_and_few_connections():
    replies(workers=2, pool='max = 4; queue_timeout = "60s";', clients=500)


@case
def nobody_who_stays_loses_anything():
    w, server, r = replies(leave=0)
    eq(r["answered"] + r["left"], r["owed"], "answered")


@case
def the_server_itself_keeps_to_the_model():
    server = server_with_counter()
    judged(Load("memcached", server.number).result(), server, "")


run()
