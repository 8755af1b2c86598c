"""lastval() tells of its connection: nobody's is another client's, as the first
thing that is asked on it.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import case, eq, run
from pg import PLAIN, Pair
from postgres import SYNC, Client, bind, execute, parse


def client(pair):
    return Client(pair.number, user="alice", database="shop")


@case
def the_last_value_of_another_is_not_told():
    if PLAIN:
        return
    pair = Pair(pool="max = 1;", workers=1)
    a, b = client(pair), client(pair)
    a.ok("CREATE SEQUENCE s")
    a.one("SELECT nextval('s')")
    b.fails("SELECT lastval()", "55000")
    a.one("SELECT nextval('s')")
    eq(b.ask(parse("", "SELECT lastval()"), bind(), execute(), SYNC).code,
       "55000", "by the extended protocol")
    b.prepare("p", "SELECT lastval()")
    a.one("SELECT nextval('s')")
    eq(b.ask(bind("", "p"), execute(), SYNC).code, "55000", "prepared")
    a.prove()
    b.prove()


@case
def ones_own_is_told_inside_of_its_transaction():
    pair = Pair(pool="max = 1;", workers=1)
    a = client(pair)
    a.ok("CREATE SEQUENCE s")
    a.ok("BEGIN", "SELECT nextval('s')")
    eq(a.one("SELECT lastval()"), "1", "lastval()")
    a.ok("COMMIT")
    a.prove()


run()
