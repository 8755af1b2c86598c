"""PostgreSQL's own suite through weir, where connections change hands
between two transactions, unless what a client has set up keeps it on one.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import run
from pg_source import regress

regress("transaction", "max = 16; max_pinned = 12;")
run()
