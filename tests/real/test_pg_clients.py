"""Libraries of applications through weir, each with more clients than there are
connections: psycopg2, psycopg, DBD::Pg, node-postgres, postgres.js.
"""
# SPDX-License-Identifier: MIT
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import Skip, case, eq, need, run
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
def psycopg():
    has_module("psycopg")
    play(PYTHON, os.path.join(HERE, "pg_psycopg3.py"))


@case
def dbd_pg():
    perl = need("perl")
    if subprocess.run([perl, "-MDBD::Pg", "-e", "1"],
                      capture_output=True).returncode != 0:
        raise Skip("libdbd-pg-perl is not installed")
    play(perl, os.path.join(HERE, "pg_dbd.pl"))


@case
def node_postgres():
    play("node", os.path.join(HERE, "node_pg.mjs"), installed("pg"), "pg")


@case
def postgres_js():
    play("node", os.path.join(HERE, "node_pg.mjs"), installed("postgres"),
         "postgres")


run()
