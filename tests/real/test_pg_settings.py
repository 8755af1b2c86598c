"""What clients set at a real server is theirs alone, whichever way they set it,
and what it does not take of a start-up packet is its own value.
"""
# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from case import case, eq, run
from pg import PLAIN, Pair
from postgres import Client, pins, query


def client(pair, **more):
    return Client(pair.number, user="alice", database="shop", **more)


@case
def an_update_of_pg_settings_pins():
    pair = Pair(pool="max = 2;", workers=1)
    a, b = client(pair), client(pair)
    usual = b.setting("work_mem")
    for text in ("UPDATE pg_settings SET setting = '9216' WHERE name = "
                 "'work_mem'", "UPDATE ONLY pg_catalog.\"pg_settings\" "
                 "SET setting = '9216' WHERE name = 'work_mem'"):
        eq(a.ask(query(text)).error, None, text)
        for _ in range(3):
            eq(b.setting("work_mem"), usual, "another's")
    eq(a.setting("work_mem"), "9MB", "its own")
    if not PLAIN:
        eq(pins(pair.w), {"set_config": 1}, "pins")
    a.ok("RESET ALL")
    eq(a.setting("work_mem"), usual, "its own, reset")
    a.prove().quit()
    b.prove().quit()
    pair.rest()


@case
def a_refused_value_is_the_servers_own():
    if PLAIN:
        return
    pair = Pair(pool="max = 1;", workers=1)
    a = client(pair)
    usual = a.setting("DateStyle")
    b = client(pair, DateStyle="nonsense", application_name="b")
    a.ok("SET DateStyle = 'German'")
    eq(b.setting("DateStyle"), usual, "DateStyle")
    eq(b.parameters["DateStyle"], usual, "as told")
    eq(a.setting("DateStyle"), "German, DMY", "the other's")
    a.quit()
    b.prove().quit()
    pair.rest()


@case
def each_has_its_own_encoding_and_is_told_of_it():
    pair = Pair(pool="max = 1;" if not PLAIN else "", workers=1)
    names = ("LATIN1", "SJIS", "UTF8", "WIN1252")
    clients = [client(pair, client_encoding=n) for n in names]
    for _ in range(2):
        for c, name in zip(clients, names):
            eq(c.setting("client_encoding"), name, "the encoding")
            eq(c.parameters["client_encoding"], name, "as told")
    for c in clients:
        c.prove().quit()
    pair.rest()


run()
