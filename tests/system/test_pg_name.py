"""application_name = "append": the server sees whose connection it is at the
moment, clients see what they have set.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import Client, query, through, upstreams
from postgres_origin import PgOrigin

NAME = "application_name"


def start(pool="max = 1;", **more):
    o = PgOrigin()
    w = through(o, pool=pool,
                up='postgres = { application_name = "append"; };', **more)
    return o, w, w.conf.ports["front"]


def address(c):
    return "127.0.0.1:%d" % c.sock.getsockname()[1]


def seen(c, own, what=""):
    """As the server has it, and as its client does."""
    shown = "%s (%s)" % (own, address(c)) if own else "(%s)" % address(c)
    eq(c.setting(NAME), shown, "at the server " + what)
    eq(c.parameters[NAME], own, "as the client knows it " + what)


@case
def the_server_sees_the_address_and_the_client_does_not():
    o, w, front = start()
    a, b, c = Client(front, application_name="psql"), Client(front), \
        Client(front, application_name="psql")
    for n in range(3):
        for one, own in (a, "psql"), (b, ""), (c, "psql"):
            one.news.clear()
            seen(one, own, "round %d" % n)
            eq(one.news, [], "news")
    for one in a, b, c:
        one.prove().quit()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def it_is_set_once_for_a_client_that_stays():
    o, w, front = start()
    a = Client(front, application_name="psql")
    for _ in range(5):
        a.ok("SELECT 1", "BEGIN", "COMMIT")
    eq(sum("set_config" in text for text in o.texts()), 1, "settings")
    a.prove().quit()
    w.balanced(o)


@case
def what_a_client_sets_is_its_own():
    o, w, front = start()
    a, b = Client(front, application_name="first"), Client(front)
    a.ok("SET application_name = 'second'")
    eq(a.parameters[NAME], "second", "as reported")
    seen(b, "")
    seen(a, "second")
    a.ok("BEGIN", "SET application_name = 'third'")
    eq(a.parameters[NAME], "third", "as reported")
    a.ok("ROLLBACK")
    seen(a, "second", "rolled back")
    a.ok("BEGIN", "SET LOCAL application_name = 'fourth'", "COMMIT")
    seen(a, "second", "of a transaction")
    seen(b, "")
    a.ok("RESET application_name")
    eq(a.setting(NAME), "first (%s)" % address(a), "reset")
    eq(a.parameters[NAME], "first", "reset")
    a.write(query("SET application_name = 'fifth'"),
            query("RESET application_name"), query("SHOW application_name"),
            query("DISCARD ALL"), query("SHOW application_name"))
    got = a.results(5)
    eq([got[2].one, got[4].one], ["first (%s)" % address(a)] * 2,
       "in a pipeline")
    eq(a.parameters[NAME], "first", "in a pipeline")
    a.ok("SET TimeZone = 'Europe/Oslo'")
    seen(b, "")
    eq(a.setting("TimeZone"), "Europe/Oslo", "another parameter")
    a.ok("DISCARD ALL")
    seen(b, "")
    eq(a.setting(NAME), "first (%s)" % address(a), "discarded")
    a.prove().quit()
    b.prove().quit()
    w.balanced(o)


@case
def it_is_as_long_as_the_server_takes():
    o, w, front = start()
    a = Client(front, application_name="n" * 63)
    b = Client(front, application_name="caf\u00e9")
    for _ in range(2):
        got = a.setting(NAME)
        eq(len(got), 63, "length of %r" % got)
        check(got.endswith("n (%s)" % address(a)), got)
        eq(b.setting(NAME), "caf?? (%s)" % address(b), "printable")
        eq(a.parameters[NAME], "n" * 63, "as the client knows it")
    a.prove().quit()
    b.prove().quit()
    w.balanced(o)


run()
