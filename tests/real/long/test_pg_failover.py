"""Twenty clients write all the time while their primary is stopped, killed or
made a standby, and its standby is promoted: what is new waits and goes to the
next one, only what was under way fails, and nothing that was told committed is
lost.
"""
# SPDX-License-Identifier: MIT
import collections
import os
import signal
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import SLOW, WAIT, case, check, eq, later, run, until
from pg_standby import Standby, end, follow, promote, wait_for_each_other
from postgres import Client, Postgres, SqlError, query, through
from wire import Ended

CLIENTS = 20
MAX = 8                         # connections of the pool


class Writer(threading.Thread):
    """Its transactions count: a row of its own and one more in the log. One
    that fails is begun anew, on another connection if need be."""

    def __init__(self, load, who):
        super().__init__(daemon=True)
        self.load, self.who = load, who
        self.committed, self.unsure = set(), set()
        self.failed = []        # (SQLSTATE or how it ended, at which step)
        self.broken = None
        self.link = None

    def run(self):
        try:
            n = 0
            while not self.load.enough.is_set():
                n += 1
                self.once(n)
            if self.link is not None:
                self.link.prove().quit()
        except Exception as e:
            self.broken = e

    def steps(self, n):
        return ("BEGIN",
                "UPDATE counts SET n = n + 1 WHERE who = %d" % self.who,
                "INSERT INTO log VALUES (%d, %d)" % (self.who, n),
                "COMMIT")

    def ask(self, text):
        self.link.write(query(text))
        got = self.link.read()
        if got.kind == "E":
            if got.value["V"] == "ERROR":
                self.link.result()
            raise SqlError(got.value)
        eq(got.kind, "C", "kind of %r" % (got,))
        self.link.expect("Z")

    def once(self, n):
        step = "login"
        try:
            if self.link is None:
                self.link = Client(self.load.port)
            for step in self.steps(n):
                self.ask(step)
            self.committed.add(n)
            return
        except SqlError as e:
            self.failed.append((e.code, step.split()[0]))
            if e.report["V"] == "ERROR":
                self.ask("ROLLBACK")
                return
        except (Ended, OSError) as e:
            self.failed.append((repr(e), step.split()[0]))
        if step == "COMMIT":
            self.unsure.add(n)
        if self.link is not None:
            self.link.close()
            self.link = None


class Load:
    """CLIENTS of them, through weir."""

    def __init__(self, w):
        self.port = w.conf.ports["front"]
        self.enough = threading.Event()
        later(self.enough.set)
        self.writers = [Writer(self, who) for who in range(CLIENTS)]
        for one in self.writers:
            one.start()

    def done(self):
        return sum(len(one.committed) for one in self.writers)

    def failed(self):
        return [f for one in self.writers for f in one.failed]

    def goes_on(self, each=10):
        """Every client commits that many more, from now on."""
        least = [len(one.committed) + each for one in self.writers]

        def more():
            for one in self.writers:
                if one.broken:
                    raise one.broken
            return all(len(one.committed) >= n
                       for one, n in zip(self.writers, least))
        until(more, "commits of every client", 6 * WAIT)

    def end(self):
        self.enough.set()
        for one in self.writers:
            one.join(6 * WAIT)
            check(not one.is_alive(), "a client hangs")
            if one.broken:
                raise one.broken

    def failed_at_most(self, n):
        """Each of those was under way on a connection of its own."""
        kinds = collections.Counter(self.failed())
        print("      %d committed, failed: %s" % (self.done(), ", ".join(
            "%s at %s %d" % (*kind, m) for kind, m in kinds.items()) or "0"),
            flush=True)
        check(len(self.failed()) <= n, "failed: %r" % kinds)
        check(not any(step == "login" for _, step in kinds),
              "logins failed: %r" % kinds)

    def kept_by(self, server):
        """What was told committed is there, once, and nothing that was not
        begun to commit."""
        with server.desk(database="shop") as d:
            log = collections.Counter(
                tuple(map(int, r)) for r in d.query("TABLE log").rows)
            counts = {int(who): int(n)
                      for who, n in d.query("TABLE counts").rows}
        eq(set(log.values()), {1}, "how often each is there")
        for one in self.writers:
            there = {n for who, n in log if who == one.who}
            lost = one.committed - there
            check(not lost, "committed and lost by %d: %r" % (
                one.who, sorted(lost)))
            odd = there - one.committed - one.unsure
            check(not odd, "there and never committed: %r" % odd)
            eq(counts[one.who], len(there), "its count")


def pair():
    a = Postgres()
    with a.desk(database="shop") as d:
        d.ok("CREATE TABLE counts (who int PRIMARY KEY, n int)",
             "CREATE TABLE log (who int, n int)",
             "INSERT INTO counts SELECT i, 0 FROM generate_series(0, %d) i" %
             (CLIENTS - 1), "GRANT ALL ON counts, log TO alice")
    b = Standby(a)
    wait_for_each_other(a)
    return a, b


def states(w):
    return [e["state"] for e in w.upstream()["endpoints"]]


def before(a, b, hold="60s"):
    w = through(a, b, pool='max = %d; failover_hold = "%s"; '
                'queue_timeout = "120s";' % (MAX, hold),
                up='health = { type = "postgres"; interval = "200ms"; '
                'timeout = "%dms"; }; postgres = { target = "primary"; '
                'user = "alice"; };' % (5000 * SLOW))
    until(lambda: states(w) == ["up", "down"], "a is the primary")
    return w


def others_wait(w, load):
    """Nobody gets on, and nobody is told: all wait but who was under way."""
    until(lambda: w.pool()["waiting"] == CLIENTS, "all wait")
    eq(w.pool()["leased"], 0, "leased without a primary")


def after(w, load, at, fails):
    load.goes_on()
    load.end()
    load.failed_at_most(fails)
    load.kept_by(at)
    eq({k: v for k, v in w.failures().items() if k in (
        "no_endpoint", "connect_failed", "queue_timeout")}, {}, "failures")
    w.balanced(at)


@case
def a_fast_shutdown():
    a, b = pair()
    w = before(a, b)
    load = Load(w)
    load.goes_on()
    end(a, signal.SIGINT)
    others_wait(w, load)
    promote(b)
    after(w, load, b, MAX)
    eq(states(w), ["down", "up"], "b is the primary")


@case
def a_crash():
    a, b = pair()
    w = before(a, b)
    load = Load(w)
    load.goes_on()
    end(a, signal.SIGKILL)
    others_wait(w, load)
    promote(b)
    after(w, load, b, MAX)
    eq(states(w), ["down", "up"], "b is the primary")


@case
def a_switch_over_there_and_back():
    """Each time the old primary is a standby before the other is the primary:
    for a while both only read."""
    a, b = pair()
    w = before(a, b, "15s")
    load = Load(w)
    load.goes_on()
    old, new = a, b
    for times in (1, 2, 3, 4):
        end(old, signal.SIGINT)
        follow(old, new)
        promote(new)
        load.goes_on()
        old, new = new, old
    after(w, load, old, times * MAX)
    eq(states(w), ["up", "down"], "a is the primary again")


run()
