"""PostgreSQL's own suite through weir, where each client has a connection for
as long as it stays; the next client gets it as good as new.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import run
from pg_source import regress

regress("session", "max = 16;")
run()
