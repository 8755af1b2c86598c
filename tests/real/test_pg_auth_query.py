"""Users whom only the server knows: it is asked for their secrets, with nothing
of the client's in the question, and those whose time is over do not get in.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import Failed, case, check, eq, run
from postgres import Client, Postgres, through

FRONT = ('auth = "scram-sha-256"; auth_user = "postgres"; '
         'users = ( { name = "postgres"; password = "postgres-word"; } ); ')


def start(front=FRONT, prepare=()):
    server = Postgres(scram=True)
    root = Client(server.number, "postgres", "shop", "postgres-word")
    for sql in prepare:
        root.ok(sql)
    root.quit()
    w = through(server, pool="max = 2;", front=front)
    return server, w, w.conf.ports["front"]


def refused(front, user, word):
    """What it is told."""
    c = Client(front, user, "shop", word, login=False)
    try:
        c.login()
    except Exception as e:
        report = getattr(e, "report", None) or {}
        c.close()
        return report.get("C"), report.get("M", str(e)).replace(user, "USER")
    raise Failed("%s was let in by %r" % (user, word))


@case
def who_is_known_to_the_server_gets_in():
    _, w, front = start()
    for user in ("alice", "bob", "alice"):
        c = Client(front, user, "shop", user + "-word")
        eq(c.one("SELECT current_user"), user, "current_user")
        c.quit()
    w.balanced()


@case
def nobody_is_told_who_is_known():
    _, w, front = start(prepare=(
        "CREATE ROLE late LOGIN PASSWORD 'late-word' VALID UNTIL '2001-01-01'",
        "CREATE ROLE group_only PASSWORD 'group_only-word'",
        "CREATE ROLE wordless LOGIN"))
    told = {refused(front, user, word) for user, word in (
        ("alice", "wrong"), ("nobody", "nobody-word"), ("late", "late-word"),
        ("group_only", "group_only-word"), ("wordless", ""))}
    eq(told, {("28P01", 'password authentication failed for user "USER"')},
       "what those are told who do not get in")
    w.balanced()


@case
def nothing_of_the_client_is_in_the_question():
    """CVE-2025-12819: its search_path would find a pg_authid of its own."""
    trap = ("CREATE SCHEMA trap", "GRANT USAGE ON SCHEMA trap TO public",
            "CREATE TABLE trap.secrets AS SELECT 'alice' AS name, "
            "'mine' AS secret", "GRANT SELECT ON trap.secrets TO public",
            "CREATE TABLE secrets (name text, secret text)",
            "INSERT INTO secrets SELECT rolname, rolpassword FROM pg_authid")
    _, w, front = start(FRONT + 'auth_query = "SELECT name, secret FROM '
                        'secrets WHERE name = $1"; ', trap)
    for _ in range(2):
        for params in ({"search_path": "trap"},
                       {"options": "-c search_path=trap"}):
            c = Client(front, "alice", "shop", "mine", login=False, **params)
            try:
                c.login()
            except Exception as e:
                eq((getattr(e, "report", None) or {}).get("C"), "28P01",
                   "what it is told (%r)" % e)
            else:
                raise Failed("let in by a secret of its own")
            c.close()
        c = Client(front, "alice", "shop", "alice-word", search_path="trap")
        eq(c.one("SELECT secret FROM secrets"), "mine", "search_path")
        c.quit()
    check(w.upstream()["pool"]["open"] <= 2, "connections")
    w.balanced()


run()
