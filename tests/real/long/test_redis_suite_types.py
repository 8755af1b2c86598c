"""The data types, as Redis's own test suite sees them, through weir: unit by
unit of its source in external mode.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import run
from redis_suite import units

units("unit/keyspace", "unit/type/string", "unit/type/incr", "unit/type/list",
      "unit/type/list-2", "unit/type/set", "unit/type/zset", "unit/type/hash",
      "unit/type/stream", "unit/type/stream-cgroups")
run()
