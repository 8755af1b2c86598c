"""What works on data without changing its connection, as Redis's own test
suite sees it, through weir: the units that take their time.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import run
from redis_suite import units

units("unit/geo", "unit/hyperloglog", "unit/dump")
run()
