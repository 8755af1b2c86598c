"""A streaming standby of a real PostgreSQL, and how the two change places.

SPDX-License-Identifier: MIT
"""
import os
import subprocess

from case import until
from postgres import Postgres


class Standby(Postgres):
    """Of a Postgres, by streaming replication."""

    def __init__(self, primary, **settings):
        self.primary = primary
        super().__init__(**settings)

    def _create(self):
        subprocess.run(
            [self.bin + "/pg_basebackup", "-D", data(self), "-h",
             "127.0.0.1", "-p", str(self.primary.number), "-U", "postgres",
             "-R", "-c", "fast"],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            cwd=self.dir, **self.as_user)

    def _fill(self):
        pass

    def promote(self):
        promote(self)


def data(server):
    return os.path.join(server.dir, "data")


def promote(server):
    """It is the primary when this returns."""
    subprocess.run(
        [server.bin + "/pg_ctl", "promote", "-D", data(server)], check=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=server.dir,
        **server.as_user)


def wait_for_each_other(primary):
    """From now on a commit is told when the standby has it, too."""
    with primary.desk() as d:
        d.ok("ALTER SYSTEM SET synchronous_standby_names = '*'",
             "SELECT pg_reload_conf()")
    until(lambda: primary.ask(
        "SELECT sync_state FROM pg_stat_replication").rows == [("sync",)],
        "it replicates synchronously")


def end(server, how):
    """Signal its postmaster, and wait for its end: SIGINT is an orderly one
    that its standby has everything of, SIGKILL is none."""
    server.process.send_signal(how)
    server.process.wait()


def follow(server, primary):
    """Start a server that has ended in order, as a standby."""
    path = os.path.join(data(server), "postgresql.auto.conf")
    with open(path, "a") as f:
        f.write("synchronous_standby_names = ''\nprimary_conninfo = "
                "'host=127.0.0.1 port=%d user=postgres'\n" % primary.number)
    with open(os.path.join(data(server), "standby.signal"), "w"):
        pass
    server.start()
