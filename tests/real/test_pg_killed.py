"""Clients are killed at random points of TPC-B beside a hundred that are not:
those finish without a failure, the sums agree, no lock and no transaction is
left, and the books balance.
"""
# SPDX-License-Identifier: MIT
import os
import random
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import SLOW, case, check, die_with_parent, eq, later, run
from case import until
from pg import Pair
from pg_bench import fill, noted, sums_agree
from postgres import SYNC, Client, bind, execute, parse, query

KILLS = int(os.environ.get("KILLS", "30"))


def filled(scale=1, **more):
    pair = Pair(max_connections=150, **more)
    fill(pair, scale)
    return pair


class Bench:
    """pgbench that is to be killed: clients of it, in one of the ways."""

    def __init__(self, pair, clients, *argv):
        self.process = subprocess.Popen(
            [pair.bin("pgbench"), "-n", "-c", str(clients), "-t", "100000",
             *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=pair.env,
            preexec_fn=die_with_parent)
        later(self.kill)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Killer(threading.Thread):
    """Has six pgbench running, and kills one after another until it is told
    to stop, KILLS of them at least."""
    WAYS = (("-M", "simple"), ("-M", "extended"),
            ("-M", "prepared", "-j", "5"), ("-C", "-M", "simple"))

    def __init__(self, pair, dice):
        super().__init__(daemon=True)
        self.pair, self.dice = pair, dice
        self.enough = threading.Event()
        self.killed = 0
        self.failed = None

    def run(self):
        try:
            self.work()
        except Exception as e:
            self.failed = e

    def new(self):
        return Bench(self.pair, 5, *self.dice.choice(self.WAYS))

    def work(self):
        running = [self.new() for _ in range(6)]
        while self.killed < KILLS or not self.enough.is_set():
            # Where it is hit is left to chance, no claim rests on the time.
            time.sleep(self.dice.uniform(0, 0.1))
            n = self.dice.randrange(len(running))
            running[n].kill()
            self.killed += 1
            running[n] = self.new()
        for one in running:
            one.kill()
            self.killed += 1


def dice():
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print("      SEED=%d" % seed, flush=True)
    return random.Random(seed)


def survivors(pair, *argv, each=30):
    """pgbench -c 100 in the midst of it."""
    out, err = pair.run("pgbench", "-n", "-c", 100, "-t", each, *argv,
                        timeout=120)
    check("actually processed: %d/%d\n" % (100 * each, 100 * each) in out,
          "pgbench said %s%s" % (out, err))
    check("failed transactions: 0 (" in out and "error" not in err, err)
    return 100 * each


def killed_beside(*argv, **more):
    pair = filled(pool="max = 16;", **more)
    killer = Killer(pair, dice())
    killer.start()
    done = survivors(pair, *argv)
    killer.enough.set()
    killer.join(120 * SLOW)
    check(not killer.is_alive(), "the killer has not ended")
    if killer.failed:
        raise killer.failed
    check(killer.killed >= KILLS, "killed: %d" % killer.killed)
    pair.rest()
    check(noted(pair) >= done, "transactions in the history")
    sums_agree(pair)
    # Every connection there is now is as good as new.
    bench_after = survivors(pair, "-M", "extended", each=2)
    sums_agree(pair)
    check(noted(pair) >= done + bench_after, "those after them too")
    pair.rest()


@case
def a_hundred_simple_clients_do_not_notice():
    killed_beside("-M", "simple")


@case
def a_hundred_extended_clients_do_not_notice():
    killed_beside("-M", "extended", "-j", "2")


@case
def with_one_worker_too():
    killed_beside("-M", "simple", workers=1)


# ------------------------------------------------------ at chosen places

def texts(dice):
    aid, bid, tid = (dice.randrange(1, n + 1) for n in (100000, 1, 10))
    delta = dice.randrange(-5000, 5001)
    return ["BEGIN", "UPDATE pgbench_accounts SET abalance = abalance + %d "
            "WHERE aid = %d" % (delta, aid),
            "SELECT abalance FROM pgbench_accounts WHERE aid = %d" % aid,
            "UPDATE pgbench_tellers SET tbalance = tbalance + %d "
            "WHERE tid = %d" % (delta, tid),
            "UPDATE pgbench_branches SET bbalance = bbalance + %d "
            "WHERE bid = %d" % (delta, bid),
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) "
            "VALUES (%d, %d, %d, %d, CURRENT_TIMESTAMP)" % (
                tid, bid, aid, delta), "END"]


def as_messages(dice, sql):
    """One of the ways to say a transaction: messages, and how many
    ReadyForQuery they bring."""
    way = dice.randrange(4)
    if way == 0:
        return [query(t) for t in sql], len(sql)
    if way == 1:
        return [query("; ".join(sql))], 1
    parts = [parse("", t) + bind() + execute() for t in sql]
    if way == 2:
        return [p + SYNC for p in parts], len(sql)
    return parts + [SYNC], 1


class Mortal(threading.Thread):
    """Clients, one after another, that end in a random place: between two
    messages, inside of one, with answers unread, or with their transaction
    done. confirmed: of how many the end was seen."""

    def __init__(self, pair, dice, times):
        super().__init__(daemon=True)
        self.pair, self.dice, self.times = pair, dice, times
        self.confirmed = 0
        self.failed = None

    def run(self):
        try:
            for _ in range(self.times):
                self.one()
        except Exception as e:
            self.failed = e

    def one(self):
        c = Client(self.pair.number)
        for _ in range(self.dice.randrange(3)):
            self.whole(c)
        parts, answers = as_messages(self.dice, texts(self.dice))
        stop = self.dice.randrange(len(parts) + 1)
        lockstep = answers == len(parts) and self.dice.random() < 0.5
        for part in parts[:stop]:
            c.send(part)
            if lockstep:
                check(c.result().error is None, "an error")
        if stop < len(parts):
            c.order = None                  # a piece of a message
            c.send(parts[stop][:self.dice.randrange(len(parts[stop]))])
        (c.rst if self.dice.random() < 0.5 else c.close)()

    def whole(self, c):
        parts, answers = as_messages(self.dice, texts(self.dice))
        c.write(*parts)
        for r in c.results(answers):
            check(r.error is None, "an error: %r" % r.error)
        eq(c.status, "I", "status after END")
        self.confirmed += 1


@case
def clients_that_end_inside_of_messages():
    pair = filled(pool="max = 6;")
    d = dice()
    crowd = [Mortal(pair, random.Random(d.randrange(1 << 32)), 12)
             for _ in range(20)]
    for m in crowd:
        m.start()
    for m in crowd:
        m.join(120 * SLOW)
        check(not m.is_alive(), "a client hangs")
        if m.failed:
            raise m.failed
    pair.rest()
    sums_agree(pair)
    confirmed = sum(m.confirmed for m in crowd)
    check(noted(pair) >= confirmed, "%d in the history, %d were confirmed" % (
        noted(pair), confirmed))
    most = confirmed + 20 * 25
    check(noted(pair) <= most, "more than were begun")
    done = survivors(pair, "-M", "simple", each=1)
    check(noted(pair) >= confirmed + done, "those after them too")
    sums_agree(pair)
    pair.rest()


@case
def the_next_client_finds_the_rows_unlocked():
    """One connection: the next one takes it over from the dead."""
    pair = filled(pool="max = 1;")
    d = dice()
    for n in range(20):
        a = Client(pair.number)
        sql = texts(d)[:-1]
        stop = d.randrange(1, len(sql) + 1)
        a.ok(*sql[:stop])
        if n % 2:
            a.write(query("SELECT pg_sleep(1000)"))
        a.rst()
        b = Client(pair.number)
        b.ok(*texts(d))
        b.quit()
    sums_agree(pair, 20)
    pair.rest()


@case
def a_query_that_begins_after_its_cancel_is_ended_too():
    """Its process gets the signal while it still awaits the query, which is
    nothing to it (PostgreSQL 55.2.8: a cancel may have no effect)."""
    pair = filled(pool="max = 2;")
    for _ in range(3):
        a = Client(pair.number)
        pid = a.where()
        a.ok(*texts(random)[:6])
        os.kill(pid, signal.SIGSTOP)
        a.write(query("SELECT pg_sleep(1000)"))
        a.rst()
        if pair.w:
            until(lambda: not pair.w.listener()["connections"]["active"],
                  "weir seeing it go")
        os.kill(pid, signal.SIGCONT)
        b = Client(pair.number)
        b.ok(*texts(random))
        b.quit()
    pair.rest()
    sums_agree(pair, 3)


run()
