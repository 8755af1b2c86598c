"""pg_dump, pg_restore, vacuumdb and reindexdb through weir: a dump through it is
the dump without it, and what is restored through it is what was dumped.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import case, eq, run, temp_dir
from pg import Pair
from pg_bench import fill


def dump(pair, name, direct=False, **more):
    path = os.path.join(temp_dir(), name)
    env = {"PGPORT": str(pair.server.number)} if direct else {}
    pair.run("pg_dump", "--no-owner", "-f", path, env={**env, **more})
    with open(path) as f:
        # A word of chance: newer ones fence the text with it.
        return [line for line in f
                if not line.startswith(("\\restrict", "\\unrestrict"))]


@case
def a_dump_is_the_same_and_can_be_restored():
    pair = Pair(pool="max = 6; max_pinned = 5;")
    fill(pair)
    pair.run("pgbench", "-n", "-c", 4, "-t", 50)
    wanted = dump(pair, "without", direct=True)
    eq(dump(pair, "through") == wanted, True, "the same dump")
    # Three connections at once that share a snapshot.
    folder = os.path.join(temp_dir(), "folder")
    pair.run("pg_dump", "-Fd", "-j", 3, "-f", folder)
    pair.server.ask("CREATE DATABASE again OWNER alice")
    pair.run("pg_restore", "-d", "again", "-j", 3, folder)
    eq(dump(pair, "again", PGDATABASE="again") == wanted, True,
       "the same dump of what was restored")
    pair.rest(30)


@case
def upkeep_of_a_database():
    pair = Pair(pool="max = 4; max_pinned = 3;", user="postgres")
    fill(pair)
    pair.run("vacuumdb", "-q", "-z", "-j", 3)
    pair.run("reindexdb", "-q", "-j", 2)
    pair.run("clusterdb", "-q")
    pair.run("pg_isready")
    pair.run("createdb", "more")
    pair.run("dropdb", "more")
    pair.rest(30)


run()
