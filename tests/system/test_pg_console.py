"""The console: whoever may is told by weir itself how things stand, in the
words of PgBouncer's console, and no connection is made upstream for it.
"""
# SPDX-License-Identifier: MIT
import os
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from postgres import (DIRECT, SYNC, TERMINATE, Client, SqlError, bind, close,
                      describe, execute, message, parse, query, through,
                      upstreams)
from postgres_origin import PgOrigin

FRONT = 'auth = "trust"; admin_users = ( "admin" ); ' \
    'stats_users = ( "stats", "other" );'

POOLS = ["database", "user", "cl_active", "cl_waiting",
         "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active",
         "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used",
         "sv_tested", "sv_login", "maxwait", "maxwait_us", "pool_mode"]
STATS = ["database", "total_xact_count", "total_query_count",
         "total_received", "total_sent", "total_xact_time",
         "total_query_time", "total_wait_time", "avg_xact_count",
         "avg_query_count", "avg_recv", "avg_sent", "avg_xact_time",
         "avg_query_time", "avg_wait_time"]
SOCKETS = ["type", "user", "database", "state", "addr", "port", "local_addr",
           "local_port", "connect_time", "request_time", "wait", "wait_us",
           "close_needed", "ptr", "link", "remote_pid", "tls",
           "application_name"]
DATABASES = ["name", "host", "port", "database", "force_user", "pool_size",
             "min_pool_size", "reserve_pool", "pool_mode", "max_connections",
             "current_connections", "paused", "disabled"]


def start(pool="max = 2;", front=FRONT, **more):
    o = PgOrigin()
    w = through(o, pool=pool, front=front, **more)
    return o, w, w.conf.ports["front"]


def console(front, user="admin", **more):
    return Client(front, user=user, database="weir", **more)


def rows(got, names=()):
    """[{column: value}] of a result that begins with these columns."""
    said = [m.value for m in got.messages if m.kind == "T"]
    eq(len(said), 1, "RowDescription of %r" % got.kinds)
    eq(said[0][:len(names)], list(names), "columns")
    for row in got.rows:
        eq(len(row), len(said[0]), "values of %r" % (row,))
    return [dict(zip(said[0], row)) for row in got.rows]


def show(c, what, names=()):
    got = c.query("SHOW " + what)
    eq(got.tags, ["SHOW"], "tags")
    return rows(got, names)


def pool(c, user="alice"):
    """The row of a user, as numbers."""
    for row in show(c, "POOLS", POOLS):
        if row["user"] == user:
            return {n: int(v) for n, v in row.items()
                    if v is not None and v.isdigit()}
    return {}


def paused(c):
    return [row["paused"] for row in show(c, "DATABASES")]


@case
def pools_clients_and_servers_are_as_they_are():
    o, w, front = start(pool="max = 1;")
    a = Client(front, application_name="app")
    b = Client(front)
    a.ok("BEGIN")
    c = console(front)
    b.send(query("SELECT 1"))
    until(lambda: pool(c).get("cl_waiting") == 1, "one that waits")
    got = pool(c)
    eq({n: got[n] for n in ("cl_active", "cl_waiting", "sv_active",
                            "sv_idle", "sv_pinned")},
       {"cl_active": 1, "cl_waiting": 1, "sv_active": 1, "sv_idle": 0,
        "sv_pinned": 0}, "the pool")
    clients = {row["ptr"]: row for row in show(c, "CLIENTS", SOCKETS)}
    eq(sorted(clients), sorted(str(one.pid) for one in (a, b, c)), "clients")
    servers = show(c, "SERVERS", SOCKETS)
    eq(len(servers), 1, "servers")
    row = clients[str(a.pid)]
    eq((row["type"], row["user"], row["database"], row["state"],
        row["application_name"], row["addr"], row["link"]),
       ("C", "alice", "shop", "active", "app", "127.0.0.1",
        servers[0]["ptr"]), "the one in a transaction")
    eq(int(row["port"]), a.sock.getsockname()[1], "its port")
    eq((clients[str(b.pid)]["state"], clients[str(b.pid)]["link"]),
       ("waiting", ""), "the one that waits")
    eq((servers[0]["type"], servers[0]["user"], servers[0]["state"],
        servers[0]["link"], servers[0]["application_name"]),
       ("S", "alice", "active", str(a.pid), "app"), "the connection")
    eq(int(servers[0]["remote_pid"]), a.where(), "its process")
    a.ok("COMMIT")
    eq(b.result().one, "1", "answer")
    for one in (a, b, c):
        one.quit()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def numbers_are_summed_up_by_upstream():
    o, w, front = start()
    c = console(front)
    a = Client(front)
    for _ in range(5):
        a.prove()
    # An exchange is counted when it ends, behind its answer.
    until(lambda: int(show(c, "STATS", STATS)[0]["total_xact_count"]) >= 5,
          "five transactions")
    eq([r["database"] for r in show(c, "STATS", STATS)], ["back"], "rows")
    got = show(c, "DATABASES", DATABASES)
    eq([(r["name"], r["host"], r["port"], r["pool_size"], r["pool_mode"],
         r["current_connections"], r["paused"], r["disabled"])
        for r in got],
       [("back", "127.0.0.1", o.address.split(":")[1], "2", "transaction",
         "1", "0", "0")], "databases")
    lists = {r["list"]: int(r["items"]) for r in show(c, "LISTS")}
    eq((lists["pools"], lists["used_clients"], lists["free_servers"]),
       (2, 2, 1), "lists %r" % lists)
    check(show(c, "VERSION")[0]["version"].startswith("weir "), "version")
    check("SHOW POOLS" in [r["command"] for r in show(c, "HELP")], "help")
    a.quit()
    c.quit()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_configuration_is_shown_without_its_secrets():
    o, w, front = start(front=FRONT + 'users = ( { name = "bob"; '
                        'password = "hush hush"; } );')
    c = console(front, user="stats")
    keys = {r["key"]: r["value"] for r in show(c, "CONFIG")}
    eq((keys["upstreams.back.pool.max"],
        keys["listeners.front.postgres.users.bob.name"],
        keys["listeners.front.postgres.users.bob.password"]),
       ("2", "bob", "(hidden)"), "configuration")
    check("hush hush" not in keys.values(), "a secret is shown")
    c.quit()
    eq(w.get("/config")[0], 200, "the admin port's")
    eq(o.accepted, 0, "connections upstream")


@case
def who_is_not_named_is_refused_and_who_may_look_changes_nothing():
    o, w, front = start()
    try:
        console(front, user="alice")
    except SqlError as e:
        eq((e.code, e.report["V"]), ("42501", "FATAL"), "refusal")
    else:
        check(False, "alice came in")
    c = console(front, user="other")
    for order in ("PAUSE", "RESUME", "pause back", "RELOAD"):
        c.fails(order, "42501")
    eq(paused(c), ["0"], "paused")
    c.quit()
    eq(o.accepted, 0, "connections upstream")


@case
def where_nobody_is_named_it_is_a_database_like_others():
    o, w, front = start(front='auth = "trust";')
    c = console(front)
    eq([params["database"] for _, params in o.logins], ["weir"], "database")
    c.prove().quit()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def it_asks_for_the_same_proof_as_others():
    o, w, front = start(front='users = ( { name = "admin"; password = '
                        '"right"; } ); admin_users = ( "admin" );')
    for word in ("wrong", ""):
        try:
            console(front, word=word)
        except SqlError as e:
            eq(e.code, "28P01", "refusal")
        else:
            check(False, "%r was let in" % word)
    c = console(front, word="right")
    eq(c.query("SHOW VERSION").tags, ["SHOW"], "answer")
    c.quit()
    eq(o.accepted, 0, "connections upstream")


@case
def what_it_does_not_know_is_an_error_and_it_goes_on():
    o, w, front = start()
    c = console(front)
    for sql in ("SELECT 1", "SHOW", "SHOW POOLS now", "SHOW POOLS; SHOW STATS",
                "x" * 5000, 'PAUSE a"', 'PAUSE ""', "PAUSED", "BEGIN"):
        c.fails(sql, "42601")
    got = c.fails("NONSENSE", "42601")
    check("SHOW HELP" in got.error["M"], "words %r" % got.error)
    c.fails("PAUSE nowhere", "3D000")
    c.fails('RESUME "nowhere"', "3D000")
    for sql in ("", " ; ", "\n"):
        eq(c.ask(query(sql)).kinds, "IZ", "answer to %r" % sql)
    for sql in (" show\tversion ;; ", "Show Version"):
        eq(c.query(sql).tags, ["SHOW"], "answer to %r" % sql)
    eq(c.ask(message("F", b"\0\0\0\1\0\0\0\0\0\0")).code, "0A000",
       "a function call")
    c.send(message("P", b"\0" + b"x" * 20000 + b"\0\0\0"))
    eq(c.error("54000")["V"], "FATAL", "a message that is too long")
    c.closed()
    c.close()
    eq(o.accepted, 0, "connections upstream")


@case
def extended_queries_have_the_same_answers():
    o, w, front = start()
    c = console(front)
    got = c.extended("SHOW POOLS")
    eq(got.kinds[:3], "12T", "kinds %r" % got.kinds)
    eq(rows(got, POOLS)[0]["database"], "weir", "row")
    eq(c.ask(parse("one", "show version"), describe("S", "one"), SYNC).kinds,
       "1tTZ", "a named one")
    for _ in range(3):
        eq(len(c.run("one").rows), 1, "rows")
    eq(c.ask(parse("one", "SHOW POOLS"), SYNC).code, "42P05", "once more")
    eq(c.ask(close("S", "one"), close("S", "none"), SYNC).kinds, "33Z",
       "closed")
    eq(c.ask(bind("", "one"), execute(), SYNC).code, "26000", "it is gone")
    eq(c.ask(parse("", "RESUME"), bind(), describe("P"), execute(),
             SYNC).kinds, "12nCZ", "a command without rows")
    eq(c.ask(parse("", ""), bind(), execute(), SYNC).kinds, "12IZ", "none")
    eq(c.ask(parse("", "SELECT 1"), bind(), execute(), SYNC).kinds, "EZ",
       "what follows an error is passed over")
    eq(c.ask(parse("", "SHOW POOLS"), bind("", "", results=(1,)), execute(),
             SYNC).code, "0A000", "binary")
    eq(c.ask(parse("", "SHOW POOLS"), bind("", "", "1"), execute(),
             SYNC).code, "08P01", "a parameter")
    eq(c.ask(execute("none"), SYNC).code, "34000", "no portal")
    c.write(*(query("SHOW VERSION") for _ in range(50)))
    for got in c.results(50):
        eq(got.kinds, "TDCZ", "all that are sent at once are answered")
    c.quit()
    eq(o.accepted, 0, "connections upstream")


@case
def malformed_messages_end_it():
    o, w, front = start()
    for data in (message("B", b"\0\0\0\1"), message("P", b"a"),
                 message("D", b"X\0"), message("D"), message("C", b"S"),
                 message("E", b"\0"), message("Q", b"SHOW POOLS"),
                 message("B", b"\0\0\0\0\0\0\x7f\xff"), message("y"),
                 b"Q\0\0\0\1"):
        c = console(front)
        c.order = None
        c.send(data)
        eq(c.error("08P01")["V"], "FATAL", "severity, of %r" % data)
        c.closed()
        c.close()
    eq(o.accepted, 0, "connections upstream")


@case
def pause_returns_when_what_was_under_way_has_ended():
    o, w, front = start()
    a, b, c = Client(front), Client(front), console(front)
    a.ok("BEGIN")
    c.send(query("PAUSE"))
    watch = console(front, user="stats")
    until(lambda: paused(watch) == ["1"], "paused")
    b.send(query("SELECT 1"))
    until(lambda: pool(watch).get("cl_waiting") == 1, "one that waits")
    a.ok("COMMIT")
    eq(c.result().tags, ["PAUSE"], "answer")
    eq(pool(watch)["cl_waiting"], 1, "it waits on")
    eq(c.query("RESUME back").tags, ["RESUME"], "answer")
    eq((b.result().one, paused(watch)), ("1", ["0"]), "then")
    eq(c.query('PAUSE "back";').tags, ["PAUSE"], "nothing is under way")
    eq(c.query("RESUME").tags, ["RESUME"], "answer")
    for one in (a, b, c, watch):
        one.quit()
    w.balanced(o)


@case
def who_waits_for_a_pause_may_give_up_or_leave():
    o, w, front = start()
    a, c, watch = Client(front), console(front), console(front)
    a.ok("BEGIN")
    c.send(query("PAUSE"))
    until(lambda: paused(watch) == ["1"], "paused")

    def given_up():
        """A cancel that comes before the wait has begun is about nothing."""
        c.cancel()
        return select.select([c.sock], [], [], 0.05)[0]
    until(given_up, "the wait's end")
    eq(c.result().code, "57014", "answer")
    eq(paused(watch), ["1"], "paused")
    c.query("RESUME")
    c.send(query("PAUSE"))
    until(lambda: paused(watch) == ["1"], "paused")
    c.close()
    until(lambda: pool(watch, "admin").get("cl_active") == 1, "it has left")
    watch.query("RESUME")
    a.ok("COMMIT")
    a.quit()
    watch.quit()
    w.balanced(o)


@case
def a_client_that_leaves_without_its_answer_takes_nothing_along():
    o, w, front = start(workers=2)
    for _ in range(100):
        c = console(front)
        c.write(query("SHOW CLIENTS"), query("SHOW STATS"), TERMINATE)
        c.close()
    c = console(front)
    until(lambda: len(show(c, "CLIENTS")) == 1, "they have left")
    c.quit()
    eq(o.accepted, 0, "connections upstream")


@case
def clients_of_all_workers_are_seen():
    o, w, front = start(pool="max = 8;", workers=2)
    most = [Client(front) for _ in range(40)]
    c = console(front)
    got = show(c, "CLIENTS", SOCKETS)
    eq(sorted(int(r["ptr"]) for r in got),
       sorted(one.pid for one in most + [c]), "clients")
    eq({r["worker"] for r in got}, {"0", "1"}, "workers")
    eq(pool(c)["cl_active"], 40, "cl_active")
    eq({r["worker"] for r in show(c, "SERVERS")} - {"0", "1"}, set(),
       "workers of connections")
    for one in most:
        one.quit()
    until(lambda: pool(c).get("cl_active", 0) == 0, "they have left")
    c.quit()
    w.balanced(o)


@case
def more_clients_than_are_looked_at_in_a_turn():
    o, w, front = start()
    most = [Client(front) for _ in range(700)]
    c = console(front)
    eq(len(show(c, "CLIENTS", SOCKETS)), 701, "clients")
    for one in most:
        one.close()
    c.quit()
    w.balanced(o)


@case
def reload_takes_the_file_or_says_why_not():
    o, w, front = start()
    c = console(front)
    w.write(w.conf.text().replace("max = 2;", "max = 3;"))
    eq(c.query("RELOAD").tags, ["RELOAD"], "answer")
    eq(show(c, "DATABASES")[0]["pool_size"], "3", "pool_size")
    w.write("nonsense")
    got = c.fails("RELOAD", "F0000")
    check("nothing was reloaded" in got.error["M"], "words %r" % got.error)
    eq(show(c, "DATABASES")[0]["pool_size"], "3", "pool_size")
    c.quit()
    eq(o.accepted, 0, "connections upstream")


@case
def draining_ends_it():
    o, w, front = start()
    a, idle, waits = Client(front), console(front), console(front)
    a.ok("BEGIN")
    waits.send(query("PAUSE"))
    until(lambda: paused(idle) == ["1"], "paused")
    w.signal(15)
    for c in (idle, waits):
        c.order = None
        eq(c.error("57P01")["V"], "FATAL", "severity")
        c.closed()
        c.close()
    a.close()
    eq(w.exited(), 0, "exit status")


if not DIRECT:
    run()
