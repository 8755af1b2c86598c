"""Libraries of applications through weir, each with more clients than there are
connections: psycopg2, node-postgres, postgres.js.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import case, eq, run
from npm import installed
from pg import PYTHON, Pair, has_module


def pair():
    return Pair(pool="max = 4; max_pinned = 3;", max_prepared_transactions=5)


def play(program, *argv):
    p = pair()
    out, _ = p.run(program, *argv, timeout=60)
    eq(out, "fine\n", "what it said")
    p.rest(12)


@case
def psycopg2():
    has_module("psycopg2")
    play(PYTHON, os.path.join(HERE, "pg_psycopg2.py"))


@case
def node_postgres():
    play("node", os.path.join(HERE, "node_pg.mjs"), installed("pg"), "pg")


@case
def postgres_js():
    play("node", os.path.join(HERE, "node_pg.mjs"), installed("postgres"),
         "postgres")


run()
