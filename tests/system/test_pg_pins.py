"""What a client sets up that cannot follow it keeps a connection for it alone, for
as long as it is there; nobody else ever sees it.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (DIRECT, SYNC, Client, bind, execute, parse, pins, query,
                      upstreams)
from postgres_scene import LARGE, clean, leave, start


def pinned(reason, *texts, ends=("DISCARD ALL",), seen=None):
    """After texts the client keeps its connection, and the others theirs;
    after ends it does not. seen(client) proves that the state is there."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok(*texts)
    home = a.where()
    for _ in range(3):
        b.prove()
        check(b.where() != home, "another on a connection that is kept")
        eq(a.where(), home, "its connection")
        if seen:
            seen(a)
    if not DIRECT:
        eq(pins(w), {reason: 1}, "pinned_total")
        w.wait_pool(pinned=1, leased=1)
    a.ok(*ends)
    b.prove()
    if not DIRECT:
        w.wait_pool(pinned=0, leased=0)
    a.prove()
    # And once more, to the client's end.
    a.ok(*texts)
    if not DIRECT:
        eq(pins(w), {reason: 2}, "pinned_total")
    a.close()
    clean(o)
    for _ in range(3):
        leave(Client(front))
    b.quit()
    w.balanced(o)
    upstreams(w, o, 3)
    clean(o)


@case
def listen_pins():
    def seen(c):
        c.ok("NOTIFY ch, 'x'")
        eq(c.notification()[1:], ("ch", "x"), "its notification")
    pinned("listen", "LISTEN ch", seen=seen)
    pinned("listen", "LISTEN ch", ends=("UNLISTEN *",), seen=seen)


@case
def notifications_come_while_it_asks_for_nothing():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("LISTEN ch")
    for n in range(20):
        b.ok("NOTIFY ch, '%d'" % n)
        eq(a.notification()[1:], ("ch", "%d" % n), "notification")
    eq(b.notified, [], "another's")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 3)


@case
def prepare_pins():
    def seen(c):
        eq(c.one("EXECUTE q"), "x", "EXECUTE")
    pinned("prepare", "PREPARE q AS SELECT 'x'", seen=seen)
    pinned("prepare", "PREPARE q AS SELECT 'x'", seen=seen,
           ends=("DEALLOCATE ALL",))


@case
def with_hold_pins():
    def seen(c):
        eq(len(c.query("FETCH 1 FROM h").rows), 1, "FETCH")
    texts = ("BEGIN", "DECLARE h CURSOR WITH HOLD FOR SELECT "
             "generate_series(1, 10)", "COMMIT")
    pinned("hold", *texts, seen=seen)
    pinned("hold", *texts, seen=seen, ends=("CLOSE ALL",))


@case
def a_temporary_table_pins():
    def seen(c):
        c.ok("INSERT INTO mine VALUES ('x')", "TABLE mine")
    pinned("temp", "CREATE TEMP TABLE mine (x text)", seen=seen)
    pinned("temp", "CREATE TEMPORARY TABLE mine (x text)", seen=seen,
           ends=("DISCARD TEMP",))


@case
def an_advisory_lock_pins():
    texts = ("SELECT pg_advisory_lock(7)",)
    pinned("advisory_lock", *texts)
    pinned("advisory_lock", *texts, ends=("SELECT pg_advisory_unlock_all()",))


@case
def a_lock_is_freed_when_its_client_goes():
    if DIRECT:
        return
    o, w, front = start(pool="max = 4;")
    a, b = Client(front), Client(front)
    a.ok("SELECT pg_advisory_lock(7)")
    b.write(query("SELECT pg_advisory_lock(7)"))
    o.wait_for(1)
    a.rst()
    eq(b.result().error, None, "the lock")
    b.ok("SELECT pg_advisory_unlock_all()")
    leave(b)
    w.balanced(o)
    clean(o)
    upstreams(w, o, 3)


@case
def set_config_pins():
    def seen(c):
        eq(c.one("SELECT current_setting('work_mem')"), "9MB", "work_mem")
    pinned("set_config", "BEGIN", "SELECT set_config('work_mem', '9MB', false)",
           "COMMIT", seen=seen)


@case
def set_of_what_is_not_reported_pins():
    def seen(c):
        eq(c.setting("work_mem"), "9MB", "work_mem")
    texts = ("BEGIN", "SET work_mem = '9MB'", "COMMIT")
    pinned("set", *texts, seen=seen)
    pinned("set", *texts, seen=seen, ends=("RESET ALL",))


@case
def a_lone_set_is_carried_whatever_it_sets():
    """What libraries send when they connect pins nobody."""
    o, w, front = start()
    a, b = Client(front), Client(front, work_mem="7MB")
    for sets in (("SET work_mem = '9MB'",), ("set session work_mem to '9MB' ;",),
                 ("SELECT set_config('work_mem', '9MB', false)",)):
        a.ok(*sets)
        b.ok("BEGIN")
        eq(a.setting("work_mem"), "9MB", "on the other connection")
        eq(b.setting("work_mem"), "7MB", "another's")
        b.ok("COMMIT")
        a.ok("RESET work_mem")
        b.ok("BEGIN", "SELECT 1")
        eq(a.setting("work_mem"), "4MB", "after RESET")
        b.ok("COMMIT")
    a.ask(parse("", "SET work_mem = '8MB'"), bind(), execute(), SYNC)
    b.ok("BEGIN", "SELECT 1")
    eq(a.setting("work_mem"), "8MB", "set by the extended protocol")
    b.ok("COMMIT", "SET work_mem = '6MB'", "RESET work_mem")
    eq(b.setting("work_mem"), "7MB", "as it came")
    if not DIRECT:
        eq(pins(w), {}, "pins")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def what_there_is_no_room_to_carry_pins():
    """After many SETs each next one keeps the connection, and none is lost."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    values = {"a.v%d" % n: "%d" % n * 500 for n in range(10, 60)}
    for name, value in values.items():
        a.ok("SET %s = '%s'" % (name, value))
        if name == "a.v30" and not DIRECT:
            eq(pins(w), {}, "so far all are carried")
    a.ok("SET a.v10 = 'short'", "SET work_mem = '9MB'")
    values.update({"a.v10": "short", "work_mem": "9MB"})
    b.prove()
    for name, value in values.items():
        eq(a.setting(name), value, name)
    eq(b.setting("work_mem"), "4MB", "another's")
    if not DIRECT:
        eq(pins(w), {"set": 1}, "pins")
    a.ok("RESET ALL")
    eq(a.setting("work_mem"), "4MB", "after RESET ALL")
    if not DIRECT:
        w.wait_pool(pinned=0, leased=0)
    leave(a, b)
    w.balanced(o)


@case
def a_bare_word_is_carried_as_the_server_reads_it():
    """And what is quoted in a list without need is SHOWn as it was before."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("SET a.word = FOO", "SET search_path = 'abc', \"Abc\", Def")
    for _ in range(2):
        b.ok("BEGIN")
        eq(a.setting("a.word"), "foo", "a word")
        eq(a.setting("search_path"), 'abc, "Abc", def', "a list")
        b.ok("COMMIT")
        a.ok("BEGIN")
        b.prove()
        a.ok("COMMIT")
    leave(a, b)
    w.balanced(o)


@case
def set_role_pins():
    def seen(c):
        eq(c.one("SELECT current_user"), "other", "current_user")
    pinned("role", "SET ROLE other", seen=seen)
    pinned("role", "SET ROLE other", seen=seen, ends=("RESET ROLE",))


@case
def load_pins_for_good():
    """Nothing unloads a library: the connection ends with its client."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("LOAD 'thing'")
    home = a.where()
    a.ok("DISCARD ALL")
    for _ in range(3):
        b.prove()
        check(b.where() != home, "another on a connection that is kept")
        eq(a.where(), home, "its connection")
    if not DIRECT:
        eq(pins(w), {"load": 1}, "pinned_total")
    a.quit()
    for _ in range(3):
        c = Client(front)
        check(c.where() != home, "another where it was loaded")
        leave(c)
    leave(b)
    w.balanced(o)
    upstreams(w, o, 3)


@case
def a_pinned_client_reads_large_results_too():
    """Larger than what weir holds, one after the other."""
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("LISTEN ch")
    for n in (1000, 200000, 1000000, 3000000) * 3:
        eq(len(a.one("SELECT repeat('x', %d)" % n)), n, "a value")
        b.ok("NOTIFY ch, '%d'" % n)
        eq(a.notification()[2], "%d" % n, "a notification behind it")
        eq(len(a.extended("SELECT '%s'" % ("x" * n)).one), n, "extended")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 3)


@case
def another_never_sees_any_of_it():
    o, w, front = start()
    a = Client(front)
    a.ok("SET work_mem = '9MB'", "SET ROLE other", "LISTEN ch",
         "CREATE TEMP TABLE mine (x text)", "PREPARE q AS SELECT 'x'",
         "SELECT pg_advisory_lock(7)", "SET application_name = 'a'",
         "SELECT set_config('x.y', 'z', false)")
    a.close()
    for _ in range(5):
        b = Client(front)
        eq(b.setting("work_mem"), "4MB", "work_mem")
        eq(b.setting("role"), "none", "role")
        eq(b.setting("application_name"), "", "application_name")
        b.fails("SHOW x.y", "42704")
        b.fails("TABLE mine", "42P01")
        b.fails("EXECUTE q", "26000")
        b.ok("NOTIFY ch")
        eq(b.notified, [], "notifications")
        b.quit()
    w.balanced(o)
    clean(o)
    upstreams(w, o, 3)


@case
def what_is_rolled_back_pins_nobody():
    if DIRECT:
        return
    o, w, front = start(pool="max = 2; max_pinned = 1;")
    a, b = Client(front), Client(front)
    for _ in range(3):
        a.ok("BEGIN", "SET LOCAL work_mem = '9MB'", "COMMIT")
        b.prove()
        eq(b.setting("work_mem"), "4MB", "work_mem")
    a.fails("LISTEN", "42601")
    a.fails("SET nonsense = 1", "42704")
    b.prove()
    eq(pins(w), {}, "pins")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 5)


@case
def words_in_literals_pin_nobody():
    if DIRECT:
        return
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    for text in ("SELECT 'LISTEN x'", "SELECT 1 /* SET work_mem = 1 */",
                 "SELECT $$pg_advisory_lock(1)$$", "-- LOAD 'x'\nSELECT 1",
                 "SELECT 'a' AS \"set_config(1)\""):
        a.ok(text)
        b.prove()
    eq(pins(w), {}, "pins")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def no_more_than_max_pinned_are_pinned():
    if DIRECT:
        return
    o, w, front = start(pool="max = 2; max_pinned = 1;")
    a, b = Client(front), Client(front)
    a.ok("LISTEN ch")
    got = b.ask(query("LISTEN ch"))
    eq((got.code, got.status), ("53300", "I"), "the second one")
    check("max_pinned" in got.error["M"], "its reason: %(M)s" % got.error)
    b.prove()
    b.ok("BEGIN")
    eq(b.ask(query("LISTEN ch")).status, "E", "in a transaction")
    b.ok("ROLLBACK")
    a.ok("UNLISTEN *")
    b.ok("LISTEN ch", "UNLISTEN *")
    leave(a, b)
    w.balanced(o)
    clean(o)
    upstreams(w, o, 4)


@case
def a_large_statement_is_kept_only_where_a_client_may_be_pinned():
    if DIRECT:
        return
    o, w, front = start(pool="max = 2; max_pinned = 1;")
    a, b, c = Client(front), Client(front), Client(front)
    a.ok("LISTEN ch")
    eq(b.ask(parse("", LARGE), SYNC).error, None, "the statement")
    eq(b.ask(bind(), execute(), SYNC).code, "26000", "later")
    eq(pins(w), {"listen": 1}, "pins")
    eq(len(b.extended(LARGE).one), 300000, "in one batch")
    b.ok("BEGIN")
    eq(b.ask(parse("", LARGE), SYNC).error, None, "in a transaction")
    eq(len(b.ask(bind(), execute(), SYNC).one), 300000, "later")
    b.ok("COMMIT")
    a.ok("UNLISTEN *")
    eq(b.ask(parse("", LARGE), SYNC).error, None, "with nobody pinned")
    eq(len(b.ask(bind(), execute(), SYNC).one), 300000, "later")
    eq(c.ask(query("LISTEN ch")).code, "53300", "b counts")
    eq(pins(w), {"listen": 1, "large_statement": 1}, "pins")
    b.prove()
    c.ok("LISTEN ch", "UNLISTEN *")
    leave(a, b, c)
    w.balanced(o)
    clean(o)


run()
