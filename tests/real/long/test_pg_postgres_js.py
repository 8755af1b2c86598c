"""postgres.js through weir. By hand until it is known why its notifications do
not all come at times.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REAL = os.path.join(HERE, "..")
sys.path[:0] = [REAL, os.path.join(REAL, "..", "support")]
from case import case, eq, run
from npm import installed
from pg import Pair


@case
def postgres_js():
    p = Pair(pool="max = 4; max_pinned = 3;", max_prepared_transactions=5)
    out, _ = p.run("node", os.path.join(REAL, "node_pg.mjs"),
                   installed("postgres"), "postgres", timeout=60)
    eq(out, "fine\n", "what it said")
    p.rest(12)


run()
