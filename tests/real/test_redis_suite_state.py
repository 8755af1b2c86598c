"""What a connection is in the middle of, as Redis's own test suite sees it,
through weir: transactions, blocking, publishing, tracking, users.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import run
from redis_suite import units

units("unit/multi", "unit/pubsub", "unit/quit", "unit/other",
      "unit/introspection", "unit/introspection-2")
run()
