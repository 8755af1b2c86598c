"""psycopg2 as applications use it; PGHOST and so on say where.

SPDX-License-Identifier: MIT
"""
import io
import select
import sys
import threading

import psycopg2
import psycopg2.errors
import psycopg2.extras
from psycopg2.extensions import ISOLATION_LEVEL_SERIALIZABLE
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE
from psycopg2.pool import ThreadedConnectionPool


def transactions():
    with psycopg2.connect("") as c, c.cursor() as k:
        k.execute("CREATE TABLE t (n int PRIMARY KEY, x text)")
        k.execute("INSERT INTO t VALUES (%s, %s)", (1, "it's \\ \u00e6"))
    with c, c.cursor() as k:
        k.execute("SELECT x FROM t WHERE n = %s", (1,))
        assert k.fetchone() == ("it's \\ \u00e6",)
    try:
        with c, c.cursor() as k:
            k.execute("INSERT INTO t VALUES (2, 'rolled back')")
            k.execute("INSERT INTO t VALUES (1, 'twice')")
        assert False
    except psycopg2.errors.UniqueViolation as e:
        assert e.pgcode == "23505" and e.diag.table_name == "t"
    with c, c.cursor() as k:
        k.execute("SELECT count(*) FROM t")
        assert k.fetchone() == (1,)
    c.set_session(isolation_level=ISOLATION_LEVEL_SERIALIZABLE,
                  readonly=True)
    with c, c.cursor() as k:
        k.execute("SHOW transaction_isolation")
        assert k.fetchone() == ("serializable",)
        try:
            k.execute("DELETE FROM t")
            assert False
        except psycopg2.errors.ReadOnlySqlTransaction:
            pass
    c.close()


def settings():
    for n in range(5):
        a = psycopg2.connect("", application_name="a%d" % n)
        b = psycopg2.connect("", options="-c intervalstyle=iso_8601")
        a.autocommit = b.autocommit = True
        a.set_client_encoding("LATIN1")
        with a.cursor() as ka, b.cursor() as kb:
            ka.execute("SELECT %s, current_setting('application_name')",
                       ("\u00e6",))
            assert ka.fetchone() == ("\u00e6", "a%d" % n)
            kb.execute("SELECT interval '1 day'::text, '\u00e6'::text")
            assert kb.fetchone() == ("P1D", "\u00e6")
            assert b.get_parameter_status("IntervalStyle") == "iso_8601"
            assert a.get_parameter_status("client_encoding") == "LATIN1"
        a.close()
        b.close()


def many_rows():
    c = psycopg2.connect("")
    with c, c.cursor() as k:
        psycopg2.extras.execute_values(
            k, "INSERT INTO t VALUES %s",
            [(n, "x%d" % n) for n in range(1000, 21000)], page_size=1000)
        psycopg2.extras.execute_batch(
            k, "UPDATE t SET x = x || %s WHERE n = %s",
            [("!", n) for n in range(1000, 1200)])
        k.copy_expert("COPY t FROM STDIN", io.StringIO("".join(
            "%d\tc%d\n" % (n, n) for n in range(50000, 90000))))
        out = io.StringIO()
        k.copy_expert("COPY (SELECT * FROM t ORDER BY n) TO STDOUT", out)
        assert len(out.getvalue().splitlines()) == 60001
    with c, c.cursor("named") as k:         # a cursor of the server
        k.itersize = 777
        k.execute("SELECT n FROM t ORDER BY n")
        assert sum(1 for _ in k) == 60001
    with c, c.cursor() as k:
        try:
            k.copy_expert("COPY t FROM STDIN", io.StringIO("bad\trow\n"))
            assert False
        except psycopg2.errors.InvalidTextRepresentation:
            pass
    with c, c.cursor() as k:
        k.execute("SELECT 1")
        assert k.fetchone() == (1,)
    c.close()


def notifications():
    a, b = psycopg2.connect(""), psycopg2.connect("")
    a.autocommit = b.autocommit = True
    with a.cursor() as ka, b.cursor() as kb:
        ka.execute("LISTEN ch")
        for n in range(10):
            kb.execute("SELECT pg_notify('ch', %s)", (str(n),))
            while not a.notifies:
                assert select.select([a], [], [], 60)[0]
                a.poll()
            assert a.notifies.pop().payload == str(n)
    a.close()
    b.close()


def cancelling():
    c = psycopg2.connect("", options="-c statement_timeout=60s")
    with c.cursor() as k:
        k.execute("SELECT 1")
        t = threading.Timer(0.3, c.cancel)
        t.start()
        try:
            k.execute("SELECT pg_sleep(1000)")
            assert False
        except psycopg2.errors.QueryCanceled:
            pass
        t.join()
    c.rollback()
    with c.cursor() as k:
        k.execute("SELECT 2")
        assert k.fetchone() == (2,)
    c.close()


def without_blocking():
    def wait(c):
        while True:
            state = c.poll()
            if state == POLL_OK:
                return
            select.select([c] if state == POLL_READ else [],
                          [c] if state == POLL_WRITE else [], [], 60)
    many = [psycopg2.connect("", async_=True) for _ in range(10)]
    for c in many:
        wait(c)
    for round in range(5):
        cursors = [c.cursor() for c in many]
        for n, k in enumerate(cursors):
            k.execute("SELECT %s, repeat('x', 100000)", (n * round,))
        for n, (c, k) in enumerate(zip(many, cursors)):
            wait(c)
            assert k.fetchone() == (n * round, "x" * 100000)
    for c in many:
        c.close()


def threads():
    pool = ThreadedConnectionPool(20, 20, "")
    failed = []

    def work(n):
        try:
            for i in range(30):
                c = pool.getconn()
                with c, c.cursor() as k:
                    k.execute("SELECT %s::text", ("%d/%d" % (n, i),))
                    assert k.fetchone() == ("%d/%d" % (n, i),)
                    k.execute("UPDATE t SET x = %s WHERE n = %s",
                              ("w", n + 1000))
                pool.putconn(c)
        except Exception as e:
            failed.append(e)
    crowd = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    pool.closeall()
    assert not failed, failed


for part in (transactions, settings, many_rows, notifications, cancelling,
             without_blocking, threads):
    part()
    print(part.__name__, file=sys.stderr)
print("fine")
