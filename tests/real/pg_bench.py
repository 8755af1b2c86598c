"""What pgbench leaves in its tables: every transaction of TPC-B moves the same
amount in three of them and notes it in a fourth, so the sums agree whatever
was killed meanwhile.

SPDX-License-Identifier: MIT
"""
from case import eq

SUMS = """SELECT (SELECT sum(abalance) FROM pgbench_accounts),
    (SELECT sum(bbalance) FROM pgbench_branches),
    (SELECT sum(tbalance) FROM pgbench_tellers),
    (SELECT coalesce(sum(delta), 0) FROM pgbench_history)"""


def fill(pair, scale=1):
    """Make its tables, through weir too."""
    pair.run("pgbench", "-i", "-q", "-s", scale)


def noted(pair):
    """Transactions in the history."""
    return int(pair.sql("SELECT count(*) FROM pgbench_history")[0][0])


def sums_agree(pair, done=None):
    """The four sums are one; and the history has done entries."""
    sums = pair.sql(SUMS)[0]
    eq(len(set(sums)), 1, "different sums in %r" % (sums,))
    if done is not None:
        eq(noted(pair), done, "transactions in the history")
