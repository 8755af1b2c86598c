"""The data types, as Redis's own test suite sees them, through weir: unit by
unit of its source in external mode.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import run
from redis_suite import units

units("unit/keyspace", "unit/type/string", "unit/type/incr", "unit/type/list",
      "unit/type/list-2", "unit/type/set", "unit/type/zset", "unit/type/hash",
      "unit/type/stream", "unit/type/stream-cgroups")
run()
