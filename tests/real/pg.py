"""A real PostgreSQL behind weir for programs of others, and what has to hold
when they have gone. PLAIN=1 leaves weir out: that tells what they find wrong
without it.

SPDX-License-Identifier: MIT
"""
import os
import subprocess

from case import SLOW, Failed, Skip, check, die_with_parent, eq, need
from case import until
from postgres import Postgres
from weir import Weir, one

PLAIN = os.environ.get("PLAIN") == "1"
PYTHON = "/usr/bin/python3"         # Debian's packages are for this one


class Pair:
    """The server, weir in front of it, and an environment in which libpq
    finds weir: alice in the database shop."""

    def __init__(self, pool="max = 4;", workers=2, front="", user="alice",
                 database="shop", **settings):
        self.server = Postgres(**settings)
        self.number = self.server.number
        self.w = None
        if not PLAIN:
            self.w = Weir(one(self.server, protocol="postgres", pool=pool,
                              workers=workers,
                              front='postgres = { auth = "trust"; %s };' %
                              front))
            self.number = self.w.conf.ports["front"]
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("PG")}
        self.env.update(PGHOST="127.0.0.1", PGPORT=str(self.number),
                        PGUSER=user, PGDATABASE=database, LC_ALL="C.UTF-8",
                        PSQLRC="/dev/null")

    def bin(self, program):
        """PostgreSQL's own, or another's, or where the path says."""
        path = os.path.join(self.server.bin, program)
        return path if os.path.exists(path) else need(program)

    def run(self, program, *argv, timeout=60, data=None, status=0, env=None):
        """A program to its end; what it said, and what it complained of.
        77 says that it lacks something."""
        r = subprocess.run(
            [self.bin(program), *map(str, argv)], input=data,
            capture_output=True, timeout=timeout * SLOW,
            env={**self.env, **(env or {})}, preexec_fn=die_with_parent)
        out, err = (x.decode(errors="replace") for x in (r.stdout, r.stderr))
        if r.returncode == 77:
            raise Skip(out.strip())
        eq(r.returncode, status, "exit status of %s, which said %s%s" % (
            program, out[-1500:], err[-3000:]))
        return out, err

    def sql(self, text):
        """Rows of a text asked of the server itself, in the database shop."""
        with self.server.desk(database="shop") as d:
            return d.query(text).rows

    def rest(self, most=None):
        """Nothing is left: no transaction open, no lock held, the books
        balance, and no more than most connections were made upstream."""
        def quiet():
            return self.server.ask(LEFT_OVER).rows == []
        try:
            until(quiet, "")
        except Failed:
            raise Failed("left at the server: %r" % (
                self.server.ask(LEFT_OVER).rows,)) from None
        if self.w is None:
            return
        self.w.balanced(self.server)
        made = self.w.upstream()["connects_total"]
        if most is not None:
            check(1 <= made <= most, "%d upstream connections" % made)


# Whoever waits for his next request holds nothing: no transaction, no lock.
LEFT_OVER = """
SELECT a.pid, a.state, l.locktype, l.mode, a.query
  FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid
 WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
   AND (a.state <> 'idle' OR l.pid IS NOT NULL)
"""


def has_module(name):
    """Skips without this module of Python."""
    if subprocess.run([PYTHON, "-c", "import " + name],
                      capture_output=True).returncode != 0:
        raise Skip("python3-%s is not installed" % name)
