"""What a client sets up on its session follows it from connection to connection;
nobody else ever sees it. What keeps a connection is test_pg_pins.
"""
# SPDX-License-Identifier: MIT
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (DIRECT, SYNC, Client, bind, execute, parse, pins, query,
                      through, token, upstreams)
from postgres_origin import PgOrigin
from postgres_scene import LARGE, clean, leave, start


# ---------------------------------------------------------- what is carried

@case
def parameters_follow_their_client():
    o, w, front = start()
    a, b, c = (Client(front) for _ in range(3))
    a.ok("SET application_name = 'of a'", "SET DateStyle TO 'German, DMY'",
         "SET TIME ZONE 'Europe/Oslo'")
    b.ok("SET application_name = 'of b'")
    for _ in range(3):
        for one, name, style, zone in (
                (a, "of a", "German, DMY", "Europe/Oslo"),
                (b, "of b", "ISO, MDY", "Etc/UTC"),
                (c, "", "ISO, MDY", "Etc/UTC")):
            eq(one.setting("application_name"), name, "application_name")
            eq(one.setting("DateStyle"), style, "DateStyle")
            eq(one.setting("TimeZone"), zone, "TimeZone")
            eq(one.parameters["application_name"], name, "as reported")
    a.ok("BEGIN")       # takes one: the others get the other
    for _ in range(3):
        eq(b.setting("application_name"), "of b", "application_name")
        eq(c.setting("application_name"), "", "application_name")
        eq(a.setting("application_name"), "of a", "application_name")
    a.ok("COMMIT")
    eq(pins(w) if not DIRECT else {}, {}, "pins")
    leave(a, b, c)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def nobody_is_told_of_what_another_has_set():
    o, w, front = start(pool="max = 1;")
    a, b = Client(front), Client(front)
    for n in range(5):
        a.ok("SET application_name = 'a%d'" % n)
        a.news.clear()
        b.news.clear()
        b.prove()
        a.prove()
        eq(b.news, [], "b's news")
        eq(a.news, [], "a's news")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def set_in_a_transaction_that_fails_it_is_not_set():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.ok("SET application_name = 'before'")
    a.ok("BEGIN", "SET application_name = 'inside'", "ROLLBACK")
    eq(a.setting("application_name"), "before", "after ROLLBACK")
    eq(a.parameters["application_name"], "before", "as reported")
    a.ok("BEGIN", "SET application_name = 'inside'", "COMMIT")
    a.ok("BEGIN", "SET LOCAL application_name = 'local'")
    eq(a.setting("application_name"), "local", "SET LOCAL")
    a.ok("COMMIT")
    b.prove()
    eq(a.setting("application_name"), "inside", "after them")
    eq(b.setting("application_name"), "", "another's")
    a.ok("RESET application_name")
    b.prove()
    eq(a.setting("application_name"), "", "after RESET")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def start_up_parameters_follow_it_too():
    o, w, front = start()
    a = Client(front, application_name="of a", client_encoding="LATIN1",
               extra_float_digits="3", search_path="mine,public",
               options="-c work_mem=7MB --lock-timeout=5 -cstatement_timeout"
                       "=9 -c x.y=two\\ words")
    b = Client(front, DateStyle="German, DMY", options="")
    c = Client(front)
    eq(a.parameters["application_name"], "of a", "as greeted")
    eq(b.parameters["DateStyle"], "German, DMY", "as greeted")
    for _ in range(3):
        for one, wanted in (
                (a, ("of a", "LATIN1", "3", "mine,public", "7MB", "5", "9")),
                (c, ("", "UTF8", "1", '"$user", public', "4MB", "0", "0"))):
            got = tuple(one.setting(n) for n in (
                "application_name", "client_encoding", "extra_float_digits",
                "search_path", "work_mem", "lock_timeout",
                "statement_timeout"))
            eq(got, wanted, "settings")
        eq(a.setting("x.y"), "two words", "of its own making")
        eq(b.setting("DateStyle"), "German, DMY", "DateStyle")
        eq(c.setting("DateStyle"), "ISO, MDY", "DateStyle")
    a.ok("BEGIN")
    eq(b.setting("DateStyle"), "German, DMY", "on the other connection")
    eq(c.setting("search_path"), '"$user", public', "on the other")
    a.ok("COMMIT")
    leave(a, b, c)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def reset_goes_back_to_what_it_came_with():
    o, w, front = start(pool="max = 1;")
    a, b = Client(front, application_name="came with"), Client(front)
    for way in ("RESET application_name", "RESET ALL", "DISCARD ALL"):
        a.ok("SET application_name = 'changed'")
        b.prove()
        a.ok(way)
        b.prove()
        eq(a.setting("application_name"), "came with", "after " + way)
        eq(a.parameters["application_name"], "came with", "as reported")
        eq(b.setting("application_name"), "", "another's")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def reset_is_of_what_it_names():
    """And a SET to the server's own value is no RESET."""
    o, w, front = start()
    b = Client(front)
    own = b.setting("TimeZone")
    for before in ((), ("BEGIN", "COMMIT")):
        a = Client(front, application_name="came with", TimeZone="Asia/Tokyo")
        a.ok("SET TimeZone = '%s'" % own, "SET application_name = 'x'")
        a.ok(*before)
        a.ok("RESET application_name")
        eq((a.setting("application_name"), a.setting("TimeZone")),
           ("came with", own), "one of two")
        a.ok("RESET TimeZone", "SET TimeZone = '%s'" % own)
        eq(a.setting("TimeZone"), own, "set behind it")
        a.write(*(query(q) for q in before + (
            "SET application_name = 'x'", "SELECT nix()", "SELECT 'y'",
            "RESET application_name", "SHOW application_name",
            "RESET TimeZone", "SHOW TimeZone", "DISCARD ALL",
            "SHOW application_name", "SET TimeZone = '%s'" % own,
            "SELECT 'z'", "SHOW TimeZone")))
        got = a.results(len(before) + 12)
        eq([r.one for r in got if r.rows and r.one not in "yz"],
           ["came with", "Asia/Tokyo", "came with", own], "in a pipeline")
        eq(a.setting("TimeZone"), own, "afterwards")
        a.quit()
    leave(b)
    w.balanced(o)


@case
def reset_in_a_transaction_lasts_if_that_does():
    o, w, front = start()
    a = Client(front, application_name="came with")
    for end, name in (("COMMIT", "came with"), ("ROLLBACK", "x"),
                      ("SELECT nix()", "x")):
        a.ok("SET application_name = 'x'", "BEGIN", "RESET application_name")
        eq(a.one("SHOW application_name"), "came with", "inside of it")
        eq(a.parameters["application_name"], "came with", "as reported")
        if end.startswith("SELECT"):
            a.fails(end, "42883")
            end = "COMMIT"
        a.ok(end)
        eq((a.setting("application_name"), a.parameters["application_name"]),
           (name, name), "after " + end)
    a.quit()
    w.balanced(o)


@case
def a_lone_set_in_a_pipeline_is_carried_too():
    o, w, front = start(pool="max = 1; max_pinned = 0;")
    a, b = Client(front), Client(front)
    batch = parse("", "SET work_mem = '65kB'") + bind() + execute() + SYNC
    for value, what in (("64kB", query("SET work_mem = '64kB'")),
                        ("65kB", batch)):
        a.write(query("SELECT 'x'"), query("SELECT nix()"), what,
                query("SELECT nix()"), query("SHOW work_mem"))
        got = a.results(5)
        eq([r.code for r in got], [None, "42883", None, "42883", None],
           "answers")
        eq(got[4].one, value, "right behind")
        b.prove()
        eq(a.setting("work_mem"), value, "afterwards")
    leave(a, b)
    w.balanced(o)


@case
def long_values_and_all_signs_are_carried():
    o, w, front = start()
    a, b = Client(front), Client(front)
    for value in ("x" * 127, "x" * 128, "x" * 300, "x" * 4000,
                  "it''s", 'a "b" c', "back\\slash", "a\\''b",
                  "\u00e6\u00f8\u00e5", "$1; DROP TABLE t; --"):
        plain = value.replace("''", "'")
        a.ok("SET application_name = '%s'" % value)
        for _ in range(2):
            b.prove()
            eq(a.setting("application_name"), plain, "application_name")
        b.ok("BEGIN")
        eq(a.setting("application_name"), plain, "on the other connection")
        eq(b.setting("application_name"), "", "another's")
        b.ok("COMMIT")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_start_up_parameter_that_the_server_refuses_is_told_of():
    if DIRECT:
        return
    o, w, front = start()
    a = Client(front, nonsense="1", client_encoding="nonsense",
               application_name="fine")
    eq(a.setting("application_name"), "fine", "what is not refused")
    check(any("nonsense" in n["M"] for n in a.notices), "notices: %r" %
          a.notices)
    a.notices.clear()
    a.prove()
    eq(a.notices, [], "told once")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def what_the_server_refuses_is_its_own_value_and_not_anothers():
    o, w, front = start(pool="max = 1;")
    b = Client(front, DateStyle="nonsense", client_encoding="nonsense",
               application_name="b", login=False)
    if DIRECT:
        return
    b.login()
    a = Client(front)
    a.ok("SET DateStyle = 'German'", "SET application_name = 'a'")
    eq(b.setting("DateStyle"), "ISO, MDY", "DateStyle")
    eq((b.parameters["DateStyle"], b.parameters["client_encoding"]),
       ("ISO, MDY", "UTF8"), "as told")
    for _ in range(2):
        eq(a.setting("DateStyle"), "German, DMY", "the other's")
        eq(b.setting("application_name"), "b", "what is not refused")
        eq(b.setting("DateStyle"), "ISO, MDY", "DateStyle")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def what_is_reset_on_the_way_is_not_told():
    o, w, front = start(pool="max = 1;")
    a = Client(front, client_encoding="LATIN1", application_name="a")
    b = Client(front, client_encoding="SQL_ASCII", application_name="b")
    for _ in range(3):
        for c, name in ((a, "LATIN1"), (b, "SQL_ASCII")):
            eq(c.setting("client_encoding"), name, "the encoding")
            eq(c.parameters["client_encoding"], name, "as told")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def set_by_the_extended_protocol_it_is_carried_too():
    o, w, front = start()
    a, b = Client(front), Client(front)
    a.extended("SET application_name = 'of a'")
    a.prepare("s", "SELECT current_setting('application_name')")
    for _ in range(3):
        b.prove()
        eq(a.run("s").one, "of a", "application_name")
    b.ok("BEGIN")
    eq(a.run("s").one, "of a", "on the other connection")
    eq(b.setting("application_name"), "", "another's")
    b.ok("COMMIT")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


class Walker:
    """A client that does one thing after the other by dice, and knows what has
    to come of it."""

    def __init__(self, front, seed):
        self.dice = random.Random(seed)
        self.c = Client(front, application_name="start%d" % seed)
        self.name = self.start = "start%d" % seed
        self.memory = "4MB"
        self.prepared = {}

    def set(self):
        self.name = token()
        self.c.ok("SET application_name = '%s'" % self.name)

    def set_untracked(self):
        self.memory = "%dMB" % self.dice.randrange(5, 99)
        self.c.ok("SET work_mem = '%s'" % self.memory)

    def undone(self):
        self.c.ok("BEGIN", "SET application_name = 'undone'",
                  "SET LOCAL work_mem = '1MB'",
                  self.dice.choice(("ROLLBACK", "ABORT")))

    def failed(self):
        self.c.ok("BEGIN", "SET application_name = 'failed'")
        self.c.fails("SELECT error('22012')", "22012")
        self.c.ok("COMMIT")

    def reset(self):
        self.c.ok(self.dice.choice(("RESET ALL", "DISCARD ALL")))
        if self.c.ask(bind("", "none"), SYNC).code != "26000":
            raise ValueError("a statement that is none")
        self.name, self.memory = self.start, "4MB"
        # DISCARD ALL takes them along, RESET ALL does not: so here both do.
        self.c.ok("DEALLOCATE ALL")
        self.prepared.clear()

    def prepare(self):
        name, text = "p%d" % self.dice.randrange(5), token()
        if name not in self.prepared:
            text = self.dice.choice((text, "common"))
            self.c.prepare(name, "SELECT '%s'" % text)
            self.prepared[name] = text

    def look(self):
        eq(self.c.setting("application_name"), self.name, "its name")
        eq(self.c.parameters["application_name"], self.name, "as reported")
        eq(self.c.setting("work_mem"), self.memory, "its memory")
        for name, text in self.prepared.items():
            eq(self.c.run(name).one, text, "what it prepared")

    def walk(self, steps):
        for _ in range(steps):
            self.dice.choice((self.set, self.set_untracked, self.undone,
                              self.failed, self.reset, self.prepare,
                              self.look, self.look))()
        self.look()
        getattr(self.c, self.dice.choice(("quit", "rst", "close")))()


@case
def many_by_dice_are_each_as_they_set_it():
    o = PgOrigin()
    w = through(o, pool="max = 12; max_pinned = 10;", workers=2)
    front = w.conf.ports["front"]
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    wrong = []

    def one(number):
        try:
            for _ in range(3):
                Walker(front, number).walk(30)
        except Exception as e:
            wrong.append(e)
    threads = [threading.Thread(target=one, args=(seed + n,))
               for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not wrong, "SEED=%d: %r" % (seed, wrong[:3]))
    w.balanced(o)
    clean(o)


# ---------------------------------------------------------- mode session

@case
def in_session_mode_nothing_takes_a_clients_connection_from_it():
    if DIRECT:
        return
    o, w, front = start(pool='mode = "session"; max = 2;')
    a, b = Client(front), Client(front)
    home = a.where()
    for text in ("DO $$BEGIN END$$", "RESET ROLE", "SET work_mem = '9MB'",
                 "RESET work_mem", "CREATE TEMP TABLE x (y text)",
                 "SELECT pg_advisory_lock(1)", "DISCARD ALL", "LISTEN ch",
                 "UNLISTEN *", "SELECT set_config('work_mem', '9MB', true)"):
        a.ok(text)
        eq(a.where(), home, "its connection after " + text)
    for text in ("LISTEN", "PREPARE q AS SELEKT", "SELECT error('22012')"):
        check(a.ask(query(text)).code, "%s fails" % text)
        eq(a.where(), home, "its connection after " + text)
    a.ok("SET application_name = 'of a'")
    b.prove()
    eq(a.setting("application_name"), "of a", "its name")
    leave(a)
    c = Client(front)
    eq(c.setting("application_name"), "", "the next one's")
    leave(b, c)
    w.balanced(o)
    clean(o)
    upstreams(w, o, 2)


# ------------------------------------------------------ on_session_state

@case
def warn_tells_and_washes():
    if DIRECT:
        return
    o, w, front = start(more='on_session_state = "warn";')
    a, b = Client(front), Client(front)
    a.ok("LISTEN ch")
    while not a.notices:        # it may come behind ReadyForQuery
        check(a.any().kind in "NS", "an answer to nothing")
    check("listen" in a.notices[0]["M"], "notices: %r" % a.notices)
    clean(o)
    a.ok("BEGIN", "SET work_mem = '9MB'", "COMMIT")
    for c in (b, a):
        eq(c.setting("work_mem"), "4MB", "work_mem")
    b.ok("NOTIFY ch")
    a.prove()
    eq(a.notified, [], "notifications")
    eq(pins(w), {}, "pins")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 4)


@case
def refuse_refuses():
    if DIRECT:
        return
    o, w, front = start(more='on_session_state = "refuse";')
    a = Client(front)
    for text in ("LISTEN ch", "SET ROLE other",
                 "CREATE TEMP TABLE x (y text)", "PREPARE q AS SELECT 1",
                 "SELECT pg_advisory_lock(1)", "LOAD 'x'"):
        got = a.ask(query(text))
        eq((got.code, got.status), ("0A000", "I"), "answer to " + text)
        check("on_session_state" in got.error["M"], "its reason: %(M)s" %
              got.error)
        eq(o.seen("Q", text), 0, text + " at the server")
        got = a.ask(parse("", text), bind(), execute(), SYNC)
        eq((got.code, got.status), ("0A000", "I"), "extended " + text)
    a.ok("BEGIN")
    eq(a.ask(query("LISTEN ch")).status, "E", "in a transaction")
    a.ok("ROLLBACK")
    a.ok("SET application_name = 'a'", "BEGIN",
         "SET LOCAL work_mem = '9MB'", "COMMIT")
    eq(len(a.extended(LARGE).one), 300000, "a large statement")
    eq(a.ask(bind(), execute(), SYNC).code, "26000", "is not kept")
    eq(pins(w), {}, "pins")
    leave(a)
    w.balanced(o)
    clean(o)
    upstreams(w, o, 4)


run()
