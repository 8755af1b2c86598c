"""psycopg (3) as applications use it: statements that it prepares by itself,
pipelines, cursors of the server, binary COPY. PGHOST and so on say where.

SPDX-License-Identifier: MIT
"""
import asyncio
import sys
import threading

import psycopg
from psycopg import errors


def prepared():
    """The fifth time it prepares; connections change meanwhile."""
    many = [psycopg.connect("", autocommit=True) for _ in range(8)]
    with many[0].cursor() as k:
        k.execute("CREATE TABLE t (n int PRIMARY KEY, x text)")
    for n in range(20):
        for i, c in enumerate(many):
            assert c.execute("SELECT %s::int + %s::int", (n, i)).fetchone() \
                == (n + i,)
            if n > 10:
                assert c.execute("SELECT x FROM t WHERE n = %s",
                                 (n,), prepare=True).fetchone() is None
    for c in many:
        with c.transaction():
            for n in range(7):
                c.execute("SELECT %s::text", ("x",))
        c.close()


def more_statements_than_are_kept():
    c = psycopg.connect("", autocommit=True)
    d = psycopg.connect("", autocommit=True)
    c.prepare_threshold = 0
    c.prepared_max = 10
    for n in range(100):
        assert c.execute("SELECT %d + %%s::int" % (n % 30), (n,)).fetchone() \
            == (n % 30 + n,)
        assert d.execute("SELECT 1").fetchone() == (1,)
    c.close()
    d.close()


def changed_tables():
    a = psycopg.connect("", autocommit=True, prepare_threshold=0)
    b = psycopg.connect("", autocommit=True)
    b.execute("CREATE TABLE u (x int)")
    for _ in range(3):
        a.execute("SELECT * FROM u")
    b.execute("ALTER TABLE u ADD COLUMN y int")
    try:
        a.execute("SELECT * FROM u")
    except errors.FeatureNotSupported as e:
        assert "cached plan" in str(e)      # as without weir
    b.execute("DROP TABLE u")
    a.close()
    b.close()


def pipelines():
    c = psycopg.connect("")
    with c.pipeline() as p:
        with c.transaction():
            cursors = [c.execute("SELECT %s::int", (n,)) for n in range(300)]
            p.sync()
            c.cursor().executemany("INSERT INTO t VALUES (%s, %s)",
                                   [(n, "x") for n in range(500)])
    assert [k.fetchone() for k in cursors] == [(n,) for n in range(300)]
    assert c.execute("SELECT count(*) FROM t").fetchone() == (500,)
    c.commit()
    try:
        with c.pipeline():
            c.execute("INSERT INTO t VALUES (1000, 'lost')")
            c.execute("INSERT INTO t VALUES (1, 'twice')")
            c.execute("SELECT 1")
        assert False
    except (errors.UniqueViolation, psycopg.errors.PipelineAborted):
        pass
    c.rollback()
    assert c.execute("SELECT count(*) FROM t").fetchone() == (500,)
    c.rollback()
    c.autocommit = True
    with c.pipeline():
        for n in range(50):
            k = c.execute("SELECT %s", (n,))
    assert k.fetchone() == (49,)
    c.close()


def cursors():
    c = psycopg.connect("")
    with c.cursor("named", scrollable=True) as k:
        k.itersize = 100
        k.execute("SELECT generate_series(1, 5000)")
        assert sum(n for n, in k) == 12502500
        k.scroll(0, mode="absolute")
        assert k.fetchone() == (1,)
    c.commit()
    with c.cursor("held", withhold=True) as k:
        k.execute("SELECT generate_series(1, 10)")
        c.commit()
        assert len(k.fetchall()) == 10
    c.commit()
    assert len(list(c.cursor().stream(
        "SELECT generate_series(1, 3000)"))) == 3000
    c.commit()
    c.close()


def copying():
    c = psycopg.connect("")
    k = c.cursor()
    for binary in ("", " (FORMAT BINARY)"):
        k.execute("TRUNCATE t")
        with k.copy("COPY t FROM STDIN" + binary) as copy:
            if binary:
                copy.set_types(["int4", "text"])
            for n in range(5000):
                copy.write_row((n, "x" * (n % 100)))
        with k.copy("COPY t TO STDOUT" + binary) as copy:
            if binary:
                copy.set_types(["int4", "text"])
            assert sum(1 for _ in copy.rows()) == 5000
    c.commit()
    try:
        with k.copy("COPY t FROM STDIN") as copy:
            copy.write_row((90001, "never"))
            raise ValueError
    except (ValueError, errors.QueryCanceled):
        pass
    c.rollback()
    assert c.execute("SELECT count(*) FROM t").fetchone() == (5000,)
    c.commit()
    c.close()


def two_phases_and_savepoints():
    with psycopg.connect("") as c:
        with c.transaction():
            c.execute("DELETE FROM t")
            for n in range(5):
                try:
                    with c.transaction():
                        c.execute("INSERT INTO t VALUES (%s, 'x')", (n,))
                        if n % 2:
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
        assert c.execute("SELECT array_agg(n ORDER BY n) FROM t").fetchone() \
            == ([0, 2, 4],)
        c.rollback()
        c.tpc_begin(c.xid(1, "weir", "b"))
        c.execute("INSERT INTO t VALUES (7, 'x')")
        c.tpc_prepare()
        c.tpc_commit()
        assert c.execute("SELECT count(*) FROM t").fetchone() == (4,)


def threads():
    failed = []

    def work(n):
        try:
            with psycopg.connect("", prepare_threshold=1) as c:
                for i in range(40):
                    with c.transaction():
                        assert c.execute("SELECT %s::int * 2",
                                         (i,)).fetchone() == (2 * i,)
                        assert c.execute("SELECT %s::text || %s::text", (
                            str(n), "x")).fetchone() == ("%dx" % n,)
        except Exception as e:
            failed.append(e)
    crowd = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    assert not failed, failed


def tasks():
    async def work(n):
        async with await psycopg.AsyncConnection.connect("") as c:
            for i in range(20):
                async with c.pipeline(), c.cursor() as k:
                    await k.execute("SELECT %s::int", (i,))
                    await k.execute("SELECT %s::int", (n,))
                    assert await k.fetchone() == (i,)
                await c.commit()

    async def all_of_them():
        await asyncio.gather(*(work(n) for n in range(12)))
    asyncio.run(all_of_them())


def notifications():
    a = psycopg.connect("", autocommit=True)
    b = psycopg.connect("", autocommit=True)
    a.execute("LISTEN ch")
    for n in range(5):
        b.execute("SELECT pg_notify('ch', %s)", (str(n),))
        for m in a.notifies():
            assert m.payload == str(n)
            break
    a.close()
    b.close()


for part in (prepared, more_statements_than_are_kept, changed_tables,
             pipelines, cursors, copying, two_phases_and_savepoints, threads,
             tasks, notifications):
    part()
    print(part.__name__, file=sys.stderr)
print("fine")
