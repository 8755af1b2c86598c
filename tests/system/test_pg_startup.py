"""The first message of a client: what is understood, what is refused with a word,
and that nothing of it reaches a server.
"""
# SPDX-License-Identifier: MIT
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from postgres import (DIRECT, GSSENC_REQUEST, SSL_REQUEST, V3_0, V3_2, Client,
                      packet, query, startup, through, upstreams)
from postgres_origin import PgOrigin
from wire import Client as WireClient


def start(pool="max = 2;", **options):
    o = PgOrigin(**options)
    w = through(o, pool=pool)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


def refused(front, data, code=None):
    """One error, FATAL, and the end. Perhaps behind AuthenticationOk: who it
    is may be known before its server is asked."""
    c = Client(front, login=False)
    c.send(data)
    m = c.read()
    if m == ("R", (0, b"")):
        m = c.read()
    eq(m.kind, "E", "kind of %r" % (m,))
    got = m.value
    if code is not None:
        eq(got["C"], code, "code of %r" % got)
    eq(got["V"], "FATAL", "severity of %r" % got)
    c.closed()
    c.close()
    return got


def login(front, data, version=V3_0, **params):
    c = Client(front, login=False, version=version)
    c.send(data)
    return c.logged_in()


PLAIN = startup(user="alice", database="shop")


@case
def encryption_is_declined_and_the_client_goes_on():
    o, w, front = start()
    for asked in ((SSL_REQUEST,), (GSSENC_REQUEST,),
                  (GSSENC_REQUEST, SSL_REQUEST),
                  (SSL_REQUEST, GSSENC_REQUEST)):
        c = Client(front, login=False)
        for request in asked:
            c.send(request)
            eq(c.read_exact(1), b"N", "answer")
        leave(c.login())
    w.balanced(o)
    upstreams(w, o, 1)


@case
def bytes_behind_the_question_for_encryption_are_fatal():
    """They would be taken for encrypted ones."""
    if DIRECT:
        return
    o, w, front = start()
    for request in (SSL_REQUEST, GSSENC_REQUEST):
        for behind in (PLAIN, b"\x16\x03\x01", b"\0"):
            c = WireClient(front)
            c.send(request + behind)
            got = c.read_to_end()
            check(b"C08P01\0" in got and b"FATAL" in got and
                  b"R\0\0\0" not in got, "answer %r" % got)
            c.close()
    leave(Client(front))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def newer_versions_are_told_what_there_is():
    if DIRECT:
        return
    o, w, front = start()
    for version, wanted in ((V3_0, None), (V3_2, None),
                            (V3_0 | 3, (V3_2, [])),
                            (V3_0 | 9999, (V3_2, [])),
                            (V3_0 | 1, (V3_0, []))):
        c = Client(front, version=version)
        eq(c.negotiated, wanted, "answer to %x" % version)
        newer = (wanted or (version,))[0] == V3_2
        check((len(c.key) > 4) == newer, "length of the key: %d" %
              len(c.key))
        leave(c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def unknown_options_of_the_protocol_are_named():
    if DIRECT:
        return
    o, w, front = start()
    c = Client(front, **{"_pq_.one": "1", "_pq_.two": ""})
    eq(c.negotiated, (V3_0, ["_pq_.one", "_pq_.two"]), "answer")
    leave(c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def other_versions_are_refused_with_a_word():
    if DIRECT:
        return
    o, w, front = start()
    for version in (2 << 16, 1 << 16, 4 << 16, 0, 0xffffffff,
                    80877105):
        got = refused(front, packet(version, b"user\0alice\0\0"),
                      "0A000")
        check("unsupported frontend protocol" in got["M"], "its words: "
              "%(M)s" % got)
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def lengths_that_are_none_are_refused():
    if DIRECT:
        return
    o, w, front = start()
    for size in (0, 1, 3, 4, 7, 10001, 1 << 16, 1 << 24, (1 << 31) - 1,
                 1 << 31, (1 << 32) - 1):
        refused(front, struct.pack("!II", size, V3_0), "08P01")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def what_is_not_laid_out_right_is_refused():
    if DIRECT:
        return
    o, w, front = start()
    for body in (b"", b"user\0alice\0", b"user\0alice", b"user",
                 b"user\0\0alice", b"user\0alice\0\0x",
                 b"user\0alice\0database\0\0\0"[:-1] + b"x"):
        refused(front, packet(V3_0, body), "08P01")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def nobody_is_refused():
    if DIRECT:
        return
    o, w, front = start()
    for body in (b"\0", b"user\0\0\0", b"database\0shop\0\0"):
        refused(front, packet(V3_0, body), "28000")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def replication_is_refused():
    if DIRECT:
        return
    o, w, front = start()
    for value in ("database", "true", "on", "yes", "1"):
        refused(front, startup(user="alice", replication=value), "0A000")
    leave(Client(front, replication="false"))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def other_protocols_are_refused():
    if DIRECT:
        return
    o, w, front = start()
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"PING\r\n\r\n", b"*1\r\n$4\r\nPING\r\n",
                 b"\x16\x03\x03\x00\x04\x02\x00\x00\x00"):
        refused(front, data, "08P01")
    leave(Client(front))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def silence_is_not_waited_for():
    """A client that says nothing, or not all: `header`."""
    if DIRECT:
        return
    from weir import Weir, one
    o = PgOrigin()
    w = Weir(one(o, protocol="postgres",
                 front='postgres = { auth = "trust"; }; '
                       'timeouts = { header = "300ms"; };'))
    front = w.conf.ports["front"]
    for part in (b"", PLAIN[:3], PLAIN[:-1], SSL_REQUEST):
        c = WireClient(front)
        c.send(part)
        c.read_to_end()
        c.close()
    leave(Client(front))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def what_the_server_says_to_the_first_is_told():
    """It knows no such user or database: the client is told so in the
    server's words, and the next one may come in."""
    if DIRECT:
        return
    o, w, front = start()
    o.turn_away = ("3D000", 'database "shop" does not exist')
    for _ in range(3):
        got = refused(front, PLAIN, "3D000")
        check("does not exist" in got["M"], "its words: %(M)s" % got)
    o.turn_away = None
    leave(Client(front))
    w.balanced(o)
    upstreams(w, o, 4)


@case
def every_split_is_the_same():
    o, w, front = start()
    for at in range(1, len(PLAIN)):
        c = Client(front, login=False)
        c.send(PLAIN[:at])
        c.send(PLAIN[at:])
        c.logged_in().quit()
    c = Client(front, login=False)
    c.send_pieces(SSL_REQUEST)
    eq(c.read_exact(1), b"N", "answer")
    c.send_pieces(PLAIN)
    leave(c.logged_in())
    w.balanced(o)
    upstreams(w, o, 1)


@case
def what_comes_behind_the_first_message_is_not_lost():
    o, w, front = start()
    c = Client(front, login=False)
    c.send(PLAIN + query("SELECT 'early'"))
    c.logged_in()
    c.order.sent(query("SELECT 'early'"))
    eq(c.result().one, "early", "answer")
    leave(c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_database_is_the_users_unless_it_is_named():
    o, w, front = start()
    for data in (startup(user="alice"), startup(user="alice", database="")):
        c = login(front, data)
        eq(c.one("SELECT current_database()"), "alice", "database")
        leave(c)
    c = Client(front)
    eq(c.one("SELECT current_database()"), "shop", "database")
    leave(c)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def users_and_databases_have_connections_of_their_own():
    o, w, front = start(pool="max = 4;")
    clients = [Client(front, user, database) for user in ("alice", "bob")
               for database in ("shop", "blog")]
    for _ in range(3):
        for c in clients:
            eq(c.query("SELECT current_user, current_database()").rows,
               [(c.params["user"], c.params["database"])], "who and where")
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 4)
    eq(sorted((p["user"], p["database"]) for _, p in o.logins)[::1],
       sorted((c.params["user"], c.params["database"]) for c in clients)
       if not DIRECT else sorted((p["user"], p["database"])
                                 for _, p in o.logins), "logins")


@case
def a_client_that_goes_in_the_middle_is_forgotten():
    o, w, front = start()
    for at in (0, 1, 4, 8, len(PLAIN) - 1, len(PLAIN)):
        for end in ("rst", "close"):
            c = WireClient(front)
            c.send(PLAIN[:at])
            getattr(c, end)()
    leave(Client(front))
    w.balanced(o)
    upstreams(w, o, 2)


run()
