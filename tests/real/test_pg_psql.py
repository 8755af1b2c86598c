"""psql through weir as a person uses it, on fewer connections than there are
people: what it prints is what it prints without weir.
"""
# SPDX-License-Identifier: MIT
import difflib
import hashlib
import os
import pty
import signal
import subprocess
import sys
import termios

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import BRIEF, WAIT, Failed, case, check, die_with_parent, eq, later
from case import put, run, temp_dir, until
from pg import Pair


def psql(pair, text, *argv, direct=False, **more):
    """What it prints, and what it complains of."""
    env = {"PGPORT": str(pair.server.number)} if direct else {}
    return pair.run("psql", "-X", "-q", *argv, data=text.encode(), env=env,
                    **more)


TOUR = r"""
\set VERBOSITY verbose
\set ECHO all
CREATE TABLE people (id serial PRIMARY KEY, name text UNIQUE, born date);
CREATE VIEW old AS SELECT * FROM people WHERE born < '1960-01-01';
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
INSERT INTO people (name, born) VALUES ('a', '1950-02-03'), ('b', NULL);
\d
\d people
\d+ old
\df twice
\dt+ nothing
\l shop
\du alice
\dn
\conninfo
\encoding
\x
SELECT * FROM people;
\x
\copy people (name, born) FROM STDIN
c	1970-01-01
d	\N
\.
\copy people TO STDOUT
\copy (SELECT name FROM people ORDER BY 1 DESC) TO STDOUT WITH CSV HEADER
COPY people (name) FROM STDIN;
a
\.
SELECT count(*) FROM people;
COPY nothing FROM STDIN;
x
\.
SELECT 1/0;
SELECT 1 +;
BEGIN;
SAVEPOINT here;
INSERT INTO people (name) VALUES ('a');
SELECT 'not reached';
ROLLBACK TO here;
INSERT INTO people (name) VALUES ('e') RETURNING name;
COMMIT;
SELECT 1 AS one \; SELECT 2 AS two;
SELECT name FROM people ORDER BY 1 \gset
SELECT :'name' AS missing;
SELECT 'CREATE TABLE g' || n || ' (x int)' FROM generate_series(1, 3) n \gexec
SELECT $1 || $2 \bind a b \g
SELECT 'a' AS x, now() = now() AS y \gdesc
\set FETCH_COUNT 10
SELECT n, repeat('x', n) FROM generate_series(1, 25) n;
\unset FETCH_COUNT
SELECT n % 2 AS a, n % 3 AS b, count(*) FROM generate_series(1, 12) n
    GROUP BY 1, 2 \crosstabview
\timing off
SET datestyle = 'German';
SELECT born FROM people WHERE name = 'a';
RESET datestyle;
SELECT born FROM people WHERE name = 'a';
SET work_mem = '7MB';
SHOW work_mem;
CREATE TEMP TABLE mine AS SELECT generate_series(1, 3) AS x;
SELECT sum(x) FROM mine;
PREPARE q (int) AS SELECT $1 + 1;
EXECUTE q(1);
EXECUTE q(2);
DEALLOCATE q;
EXECUTE q(3);
DECLARE c CURSOR FOR SELECT 1;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5);
FETCH 2 FROM c;
COMMIT;
FETCH 2 FROM c;
CLOSE c;
DO $$ BEGIN RAISE NOTICE 'from a block'; RAISE WARNING 'and %', 1; END $$;
\lo_import /dev/null
\c - alice
SELECT to_regclass('mine') IS NULL AS gone;
SHOW work_mem;
\dconfig work_mem
DROP TABLE people, g1, g2, g3 CASCADE;
DROP FUNCTION twice;
"""


def same(here, there):
    """What it printed, and what it complained of."""
    for a, b in zip(here, there):
        if a != b:
            raise Failed("psql printed, through weir and without:\n" +
                         "\n".join(difflib.unified_diff(
                             a.split("\n"), b.split("\n"), lineterm="")))


@case
def a_tour_prints_the_same():
    pair = Pair(pool="max = 2;")
    text = TOUR.replace("\\conninfo\n", "")
    for argv in ((), ("-a", "-e"), ("-A", "-t"), ("-H",)):
        there = psql(pair, text, *argv, direct=True)
        pair.sql("DROP OWNED BY alice")
        same(psql(pair, text, *argv), there)
        pair.sql("DROP OWNED BY alice")
    pair.rest(20)


@case
def one_transaction_and_stop_at_an_error():
    pair = Pair(pool="max = 1;")
    psql(pair, "CREATE TABLE t (x int); INSERT INTO t VALUES (1);", "-1")
    _, err = psql(pair, "INSERT INTO t VALUES (2);\nSELECT 1/0;\n"
                  "INSERT INTO t VALUES (3);\n", "-1", "-v",
                  "ON_ERROR_STOP=1", status=3)
    check("division by zero" in err, err)
    eq(pair.sql("SELECT x FROM t"), [("1",)], "rows")
    out, _ = psql(pair, "", "-At", "-c", "SELECT 1; SELECT 2", "-c",
                  "SELECT count(*) FROM t")
    eq(out, "1\n2\n1\n", "-c twice")
    pair.rest(3)


class Person:
    """psql at a terminal: says something, and waits for an answer to it."""

    def __init__(self, pair):
        self.screen, terminal = pty.openpty()
        modes = termios.tcgetattr(terminal)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(terminal, termios.TCSANOW, modes)
        self.process = subprocess.Popen(
            [pair.bin("psql"), "-X", "-q", "-At", "-n", "-P", "pager=off",
             "-v", "PROMPT1=", "-v", "PROMPT2="], env=pair.env,
            stdin=terminal, stdout=terminal, stderr=terminal,
            preexec_fn=die_with_parent)
        os.close(terminal)
        later(self.end)
        os.set_blocking(self.screen, False)
        self.heard = ""
        self.asked = 0

    def say(self, text):
        os.write(self.screen, text.encode() + b"\n")

    def ask(self, text):
        """What it prints up to an echo behind it."""
        self.asked += 1
        mark = "-- %d --\n" % self.asked
        self.say(text + "\n\\echo " + mark.strip())
        until(lambda: mark in self.hear(), "%r after %r" % (
            self.heard[-300:], text))
        got, _, self.heard = self.heard.partition(mark)
        return got

    def hear(self):
        try:
            self.heard += os.read(self.screen, 65536).decode()
        except OSError:         # nothing yet, or nobody there any more
            pass
        return self.heard

    def end(self):
        if self.screen is None:
            return
        if self.process.poll() is None:
            self.say("\\q")
            try:
                self.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        os.close(self.screen)
        self.screen = None


@case
def what_each_has_set_is_its_own():
    pair = Pair(pool="max = 6; max_pinned = 3;")
    a, b, c = (Person(pair) for _ in range(3))
    a.ask("SET work_mem = '9MB'; SET search_path = pg_catalog;")
    b.ask("CREATE TEMP TABLE mine AS SELECT 7 AS x;")
    for n in range(5):
        eq(a.ask("SHOW work_mem; SHOW search_path;"), "9MB\npg_catalog\n", "a")
        eq(b.ask("SELECT x FROM mine;"), "7\n", "b's table")
        eq(c.ask("SHOW work_mem; SELECT to_regclass('mine') IS NULL;"),
           "4MB\nt\n", "c")
        c.ask("SET application_name = 'c%d';" % n)
        eq(c.ask("SHOW application_name;"), "c%d\n" % n, "c's name")
        eq(b.ask("SHOW application_name;"), "psql\n", "b's name")
    for p in (a, b, c):
        p.end()
    pair.rest(8)


@case
def listen_and_notify():
    pair = Pair(pool="max = 4; max_pinned = 2;")
    a, b = Person(pair), Person(pair)
    a.ask("LISTEN news;")
    for n in range(10):
        b.ask("NOTIFY news, 'no %d';" % n)
        # psql looks for them when it has asked something.
        until(lambda: 'with payload "no %d"' % n in a.ask("SELECT 1;"),
              "notification %d" % n)
    a.ask("UNLISTEN news;")
    b.ask("NOTIFY news, 'unheard';")
    check("unheard" not in a.ask("SELECT 1;"), "a notification")
    a.end()
    b.end()
    pair.rest(6)


@case
def control_c_ends_the_query_and_no_other():
    pair = Pair(pool="max = 2;")
    a, b = Person(pair), Person(pair)
    for n in range(5):
        a.say("SELECT pg_sleep(1000);")
        b.say("SELECT pg_sleep(1000), 'of b';")
        until(lambda: pair.sql("SELECT count(*) FROM pg_stat_activity WHERE "
                               "wait_event = 'PgSleep'") == [("2",)],
              "two that sleep")
        a.process.send_signal(signal.SIGINT)
        got = a.ask("SELECT 'next';")
        check("canceling statement due to user request" in got and
              got.endswith("next\n"), "a said %r" % got)
        eq(pair.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event "
                    "= 'PgSleep'"), [("1",)], "b sleeps on")
        b.process.send_signal(signal.SIGINT)
        check("canceling" in b.ask("SELECT 1;"), "b is cancelled")
    a.end()
    b.end()
    pair.rest(2)


@case
def a_million_rows():
    """Or, in brief, a fifth of them."""
    pair = Pair(pool="max = 2;")
    text = "SELECT n, md5(n::text) FROM generate_series(1, %d) n \\g " % (
        200000 if BRIEF else 1000000)
    psql(pair, text + "/dev/null")
    there, here = (os.path.join(temp_dir(), n) for n in ("there", "here"))
    psql(pair, text + there, "-At", direct=True)
    psql(pair, text + here, "-At")
    eq(_sum(here), _sum(there), "what was written")
    psql(pair, "\\set FETCH_COUNT 5000\n" + text + here, "-At")
    eq(_sum(here), _sum(there), "what was written by a cursor")
    pair.rest(2)


def _sum(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() \
            if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(f.read()).hexdigest()


@case
def a_hundred_megabytes_in_and_out():
    pair = Pair(pool="max = 2;")
    # 10000 rows of 10,000 bytes that do not compress to nothing.
    row = "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(160))
    data = "".join("%d\t%s\n" % (n, row[n % 97:n % 97 + 10000])
                   for n in range(10000)).encode()
    path, back = put("in", data), os.path.join(temp_dir(), "out")
    psql(pair, "CREATE UNLOGGED TABLE t (n int, x text);")
    psql(pair, "\\copy t FROM %s\n\\copy (SELECT * FROM t ORDER BY n) TO %s"
         % (path, back), "-v", "ON_ERROR_STOP=1", timeout=100)
    eq(_sum(back), _sum(path), "what came back")
    psql(pair, "COPY t TO STDOUT; COPY t FROM STDIN;\n1\tx\n\\.\n", "-o",
         "/dev/null")
    eq(pair.sql("SELECT count(*) FROM t"), [("10001",)], "rows")
    rss = pair.w.rss() if pair.w else 0
    check(rss < 64 << 20, "weir has %d bytes resident" % rss)
    pair.rest(2)


run()
