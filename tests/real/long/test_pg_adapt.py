"""One PostgreSQL that takes seventeen clients, behind three weirs that would
each open sixteen connections and know nothing of each other.
"""
# SPDX-License-Identifier: MIT
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import SLOW, WAIT, case, check, die_with_parent, eq, later
from case import run, temp_dir, until
from postgres import Postgres, through

WEIRS = 3
CLIENTS = 30
MAX = 16
ROOM = 17                       # of 20, three are the superuser's


class Bench:
    """pgbench through one weir, until it is told to stop."""

    def __init__(self, server, w, *argv):
        self.err = os.path.join(temp_dir(), "bench%d" % w.pid)
        with open(self.err, "wb") as err:
            self.process = self.started(server, w, argv, err)
        later(self.kill)

    @staticmethod
    def started(server, w, argv, err):
        return subprocess.Popen(
            [os.path.join(server.bin, "pgbench"), "-n", "-S", "-c",
             str(CLIENTS), "-T", "1000", "-h", "127.0.0.1", "-p",
             str(w.conf.ports["front"]), "-U", "alice", *argv, "shop"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
            preexec_fn=die_with_parent)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def complaint(self):
        """It says "error:" for each client that it gives up, and goes on with
        the others."""
        with open(self.err) as f:
            text = f.read()
        return text if "error:" in text else ""

    def is_well(self):
        eq((self.process.poll(), self.complaint()), (None, ""), "pgbench")


def start(adapt):
    server = Postgres(max_connections=20, superuser_reserved_connections=3)
    subprocess.run(
        [os.path.join(server.bin, "pgbench"), "-i", "-q", "-h", "127.0.0.1",
         "-p", str(server.number), "-U", "alice", "shop"], check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pool = 'max = %d; adapt = %s; queue_timeout = "120s";' % (
        MAX, "true" if adapt else "false")
    # A check that finds the server full does not find it ill.
    return server, [through(
        server, pool=pool, up='health = { type = "postgres"; interval = "1s"; '
        'timeout = "%dms"; fall = 1; }; postgres = { check_user = "alice"; };'
        % (20000 * SLOW))
        for _ in range(WEIRS)]


def caps(weirs):
    return [w.pool()["cap"] for w in weirs]


def work_on(weirs, benches, each=2000):
    """All of them answer that many more, and no client was told anything."""
    least = [w.upstream()["requests_total"] + each for w in weirs]

    def more():
        for b in benches:
            b.is_well()
        return all(w.upstream()["requests_total"] >= n
                   for w, n in zip(weirs, least))
    until(more, "answers through each", 6 * WAIT)


def leave(w, bench):
    bench.kill()
    w.wait_pool(leased=0, connecting=0)
    w.stop()


@case
def three_share_what_there_is_and_two_take_the_third_ones():
    server, weirs = start(True)
    benches = [Bench(server, w) for w in weirs]
    work_on(weirs, benches)
    # Each has been refused, and has a cap below its own by then.
    until(lambda: all(w.upstream()["server_errors_total"]["53300"] > 0
                      for w in weirs) and max(caps(weirs)) < MAX,
          "all are lowered", 3 * WAIT)
    seen = []
    for _ in range(5):
        work_on(weirs, benches)
        seen.append(caps(weirs))
    print("      caps of three: %r" % seen, flush=True)
    # The third stops; what it had is the others' now.
    leave(weirs[2], benches[2])
    weirs, benches = weirs[:2], benches[:2]
    until(lambda: sum(w.pool()["open"] for w in weirs) >= ROOM - 2,
          "the two have what the three had", 6 * WAIT)
    work_on(weirs, benches)
    print("      caps of two: %r" % caps(weirs), flush=True)
    # And one that is alone gets all it may have.
    leave(weirs[1], benches[1])
    until(lambda: weirs[0].pool()["cap"] == MAX, "its own cap", 6 * WAIT)
    until(lambda: weirs[0].pool()["open"] == MAX, "all of it", 6 * WAIT)
    work_on(weirs[:1], benches[:1])
    eq(weirs[0].failures(), {}, "failures that clients saw")
    benches[0].kill()
    weirs[0].balanced(server)


@case
def without_adapt_clients_are_told():
    server, weirs = start(False)
    # Who sleeps there keeps a connection for longer than it takes to make
    # one: all that may be had are wanted, however slow the machine is.
    script = os.path.join(temp_dir(), "sleeps.sql")
    with open(script, "w") as f:
        f.write("SELECT pg_sleep(0.5);\n")
    benches = [Bench(server, w, "-f", script + "@9") for w in weirs]
    until(lambda: any(b.complaint() for b in benches), "one fails", 6 * WAIT)
    told = next(filter(None, (b.complaint() for b in benches)))
    check("too many clients" in told or "connection slots" in told,
          "pgbench said %s" % told)
    check(sum(w.upstream()["server_errors_total"]["53300"] for w in weirs) > 0,
          "it was refused")
    eq(caps(weirs), [MAX] * WEIRS, "caps")


run()
