"""What works on data without changing its connection, as Redis's own test
suite sees it, through weir: the units that take their time.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import run
from redis_suite import units

units("unit/geo", "unit/hyperloglog", "unit/dump")
run()
