"""An upgrade under clients that never leave: redis-benchmark and pgbench go on
with their connections while others come, and the four pools' caps hold.
"""
# SPDX-License-Identifier: MIT
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..",
                                "support"))
from case import SLOW, WAIT, case, check, die_with_parent, eq, later, need
from case import put, run, until
from postgres import Postgres
from redis import RedisServer
from upgrade import Successive
from weir import Conf


def begun(*argv):
    p = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True,
                         preexec_fn=die_with_parent)
    later(lambda: (p.kill(), p.wait()))
    return p


def well(p, *words):
    """It ends by itself, and says that all went well."""
    said = p.communicate(timeout=6 * WAIT)[0]
    eq(p.returncode, 0, "its status (%s)" % said[-600:])
    check("rror" not in said and "FATAL" not in said and
          all(word in said for word in words), said[-600:])


@case
def who_cannot_be_told_to_come_again_loses_nothing():
    redis, postgres = RedisServer(), Postgres()
    conf = Conf(workers=2)
    conf.drain_timeout = "%ds" % (90 * SLOW)
    conf.listener("cache", "cache", "redis") \
        .listener("data", "data", "postgres",
                  extra='postgres = { auth = "trust"; };') \
        .upstream("cache", redis, extra='protocol = "redis";',
                  pool="max = 4; min_idle = 2;") \
        .upstream("data", postgres, pool="max = 2;",
                  extra='protocol = "postgres"; timeouts = { connect = '
                  '"30s"; };')
    w = Successive(conf)
    script = put("select.sql", "SELECT 1;\n")

    def both(requests, seconds):
        return (begun(need("redis-benchmark"), "-p", conf.ports["cache"],
                      "-c", 8, "-n", requests, "-t", "set", "-q"),
                begun(postgres.bin + "/pgbench", "-n", "-c", 4, "-T", seconds,
                      "-f", script, "-h", "127.0.0.1", "-p",
                      conf.ports["data"], "-U", "alice", "shop"))
    first = both(200000, 6)
    until(lambda: all(u["requests_total"] > 500
                      for u in w.stats()["upstreams"]), "load", 3 * WAIT)
    leaving = w.upgrade(ended=False)
    second = both(20000, 2)
    for p in (second[0], first[0]):
        well(p, "SET")
    for p in (second[1], first[1]):
        well(p, "failed transactions: 0 ")
    eq(leaving.wait(6 * WAIT), 0, "status of the one that left")
    cache = w.upstream("cache")
    check(cache["connects_total"] <= 4, "%d connections to Redis" %
          cache["connects_total"])
    eq(cache["closes_total"], 0, "lost connections to Redis")
    eq((w.failures("cache"), w.failures("data")), ({}, {}), "failures")


run()
