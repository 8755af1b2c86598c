"""pgbench through weir in all its ways of asking, with more clients than there
are connections: nothing fails, and the sums of TPC-B agree.
"""
# SPDX-License-Identifier: MIT
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import case, check, eq, put, run
from pg import Pair
from pg_bench import fill, sums_agree

PIPELINE = """\\set aid random(1, 100000 * :scale)
\\set tid random(1, 10 * :scale)
\\set bid random(1, :scale)
\\set delta random(-5000, 5000)
\\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
    VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
\\endpipeline
"""
READS = """\\set aid random(1, 100000 * :scale)
\\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT 1;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid + 1;
\\endpipeline
"""


def bench(pair, clients, each, *argv):
    """Run it to its end: every transaction was done, none failed."""
    out, err = pair.run("pgbench", "-n", "-c", clients, "-t", each, *argv,
                        timeout=100)
    done = re.search(r"actually processed: (\d+)/(\d+)\n", out)
    check(done, "pgbench said %r" % out)
    eq(done.groups(), (str(clients * each),) * 2, "transactions")
    check("failed transactions: 0 (" in out, out)
    check("error" not in err and "abort" not in err, err)
    return clients * each


def filled(**more):
    pair = Pair(**more)
    fill(pair)
    return pair


@case
def simple_and_extended_tpc_b():
    pair = filled()
    done = 0
    for mode in ("simple", "extended"):
        done += bench(pair, 30, 40, "-M", mode)
        done += bench(pair, 30, 20, "-M", mode, "-j", 3)
    sums_agree(pair, done)
    pair.rest(6)


@case
def prepared_tpc_b():
    # PQprepare() of a client waits for its answer and holds up all others of
    # its thread, those with a transaction open too.
    pair = filled()
    done = bench(pair, 16, 60, "-M", "prepared", "-j", 16)
    done += bench(pair, 3, 100, "-M", "prepared")
    sums_agree(pair, done)
    pair.rest(6)


@case
def reading_only():
    pair = filled()
    for mode in ("simple", "extended", "prepared"):
        bench(pair, 50, 100, "-S", "-M", mode)
    bench(pair, 20, 50, "-S", "-M", "prepared", "-j", 4)
    sums_agree(pair, 0)
    pair.rest(6)


@case
def a_connection_for_each_transaction():
    # pgbench waits for each login with all that it has open, on both workers.
    pair = filled()
    done = bench(pair, 20, 10, "-C", "-M", "simple")
    done += bench(pair, 20, 10, "-C", "-M", "extended", "-j", 2)
    bench(pair, 20, 20, "-C", "-S", "-M", "prepared", "-j", 4)
    sums_agree(pair, done)
    pair.rest(6)


@case
def pipelines():
    pair = filled()
    script = put("pipeline.sql", PIPELINE)
    done = bench(pair, 16, 40, "-M", "extended", "-f", script)
    done += bench(pair, 16, 40, "-M", "prepared", "-j", 16, "-f", script)
    reads = put("reads.sql", READS)
    for mode in ("extended", "prepared"):
        bench(pair, 20, 40, "-M", mode, "-j", 2, "-f", reads)
    sums_agree(pair, done)
    pair.rest(6)


@case
def in_a_mode_of_sessions():
    pair = filled(pool='max = 16; mode = "session";')
    done = bench(pair, 8, 40, "-M", "prepared")
    done += bench(pair, 8, 40, "-M", "simple")
    sums_agree(pair, done)
    pair.rest(40)


run()
