"""PostgreSQL's JDBC driver through weir: prepareThreshold, cursors, autosave,
cancelling, COPY, notifications.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import Skip, case, eq, need, run
from pg import Pair

DRIVER = "/usr/share/java/postgresql.jar"


def play(pool, *argv):
    java = need("java")
    need("javac")               # java compiles a file only where that is
    if not os.path.exists(DRIVER):
        raise Skip("libpostgresql-jdbc-java is not installed")
    pair = Pair(pool=pool)
    out, _ = pair.run(java, "-cp", DRIVER, os.path.join(HERE, "PgJdbc.java"),
                      pair.number, *argv, timeout=150)
    eq(out, "fine\n", "what it said")
    pair.rest(60)


@case
def of_a_server_that_it_knows_to_be_new():
    """It sets extra_float_digits by its start-up packet, not by a SET."""
    play("max = 4; max_pinned = 3;", "&assumeMinServerVersion=15")


@case
def as_it_comes():
    """Each begins with SET extra_float_digits = 3."""
    play("max = 4; max_pinned = 3;")


@case
def in_a_mode_of_sessions():
    play('max = 24; mode = "session";')


run()
