"""What works on data without changing its connection, as Redis's own test
suite sees it, through weir: scripts, functions, expiry, sorting, scanning.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import run
from redis_suite import units

units("unit/protocol", "unit/scan", "unit/sort", "unit/expire",
      "unit/scripting", "unit/functions", "unit/bitops", "unit/bitfield",
      "unit/lazyfree", "unit/slowlog", "unit/info-command")
run()
