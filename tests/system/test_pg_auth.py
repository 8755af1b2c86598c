"""Who a client is: proved by SCRAM, trusted where the file says so, and nobody
learns which users there are. What weir knows of a user is what it logs in with.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import case, check, eq, run
from postgres import (BACKEND, Client, Scram, SqlError, password, read_message,
                      sasl_initial, scram_secret, startup, through, upstreams)
from postgres_origin import PgOrigin
from wire import Client as WireClient

USERS = '{ name = "alice"; password = "alice-word"; }, ' \
        '{ name = "bob"; secret = "%s"; }, ' \
        '{ name = "carol"; auth = "trust"; }' % scram_secret("bob-word")


def start(pool="max = 4;", users=USERS, more="", up="", **options):
    o = PgOrigin(**options)
    w = through(o, pool=pool, up=up,
                front='auth = "scram-sha-256"; users = ( %s ); %s' % (
                    users, more))
    return o, w, w.conf.ports["front"]


def start_there(auth, users=USERS, **more):
    o = PgOrigin(auth=auth, users={"alice": "alice-word",
                                   "bob": "bob-word"})
    w = through(o, pool="max = 4;",
                front='auth = "scram-sha-256"; users = ( %s );' % users,
                **more)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


def refused(front, user, word, **more):
    """The error that it gets, and what came before it."""
    c = Client(front, user, word=word, login=False, **more)
    try:
        c.login()
    except SqlError as e:
        eq((e.report["V"], e.code), ("FATAL", "28P01"), "%r" % e.report)
        c.closed()
        c.close()
        return c.methods, e.report
    raise cases.Failed("%s was let in" % user)


@case
def the_right_word_lets_in():
    o, w, front = start()
    for user in ("alice", "bob"):
        for _ in range(3):
            c = Client(front, user, word=user + "-word")
            eq(c.methods, [10, 11, 12, 0], "what it was asked")
            eq(c.one("SELECT current_user"), user, "who it is")
            leave(c)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_wrong_word_and_an_unknown_user_look_alike():
    o, w, front = start()
    wrong = refused(front, "alice", "bob-word")
    for user, word in (("bob", "alice-word"), ("nobody", "x"),
                       ("nobody", "alice-word"), ("alice", "")):
        methods, got = refused(front, user, word)
        eq(methods, wrong[0], "what %s was asked" % user)
        eq({k: v.replace(user, "alice") for k, v in got.items()}, wrong[1],
           "what %s is told" % user)
    leave(Client(front, word="alice-word"))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def an_unknown_user_has_a_salt_that_stays():
    """Known ones have: a salt that changes would tell them apart."""
    o, w, front = start()

    def challenge(user):
        c = Client(front, user, login=False)
        c.send(startup(user=user))
        eq(read_message(c, BACKEND).value[0], 10, "AuthenticationSASL")
        c.send(sasl_initial("SCRAM-SHA-256", Scram("x").first()))
        code, data = read_message(c, BACKEND).value
        eq(code, 11, "AuthenticationSASLContinue")
        c.close()
        return data.partition(b",s=")[2]
    for user in ("alice", "bob", "nobody"):
        eq(challenge(user), challenge(user), "salt of " + user)
    check(challenge("nobody") != challenge("nobody2"), "two with one salt")
    eq(len(challenge("nobody")), len(challenge("alice")), "their lengths")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def who_is_trusted_is_not_asked():
    o, w, front = start()
    c = Client(front, "carol")
    eq(c.methods, [0], "what it was asked")
    leave(c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def weir_logs_in_with_what_it_knows():
    """The server asks for a proof, too: by the password."""
    for auth in ("scram-sha-256", "md5", "password"):
        o, w, front = start_there(auth)
        a, b = (Client(front, word="alice-word") for _ in range(2))
        a.ok("BEGIN")
        b.prove()
        a.ok("COMMIT")
        leave(a, b)
        w.balanced(o)
        upstreams(w, o, 2)
        w.stop()
        o.stop()


@case
def with_a_secret_it_logs_in_by_the_keys_that_the_client_proved():
    """The server has the same secret, as it was copied from there."""
    o = PgOrigin(auth="scram-sha-256", users={"bob": "bob-word"})
    secret = o.scram_keys("bob", "bob-word").secret()
    w = through(o, pool="max = 4;", front='auth = "scram-sha-256"; '
                'users = ( { name = "bob"; secret = "%s"; } );' % secret)
    front = w.conf.ports["front"]
    a, b = (Client(front, "bob", word="bob-word") for _ in range(2))
    a.ok("BEGIN")
    b.prove()
    a.ok("COMMIT")
    refused(front, "bob", "wrong")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def a_server_that_does_not_know_the_user_has_its_say():
    o, w, front = start_there("scram-sha-256", USERS +
                              ', { name = "dave"; password = "d"; }')
    for _ in range(2):
        methods, got = refused(front, "dave", "d")
        check("dave" in got["M"], "its words: %(M)s" % got)
    leave(Client(front, word="alice-word"))
    w.balanced(o)


@case
def who_has_no_word_for_the_server_is_told_and_the_server_not_blamed():
    for auth in ("password", "md5", "scram-sha-256"):
        o, w, front = start_there(auth)
        for _ in range(6):
            c = Client(front, "carol", login=False)
            try:
                c.login()
                raise cases.Failed("carol was let in")
            except SqlError as e:
                eq((e.report["V"], e.code), ("FATAL", "28000"), auth)
                check("there is none" in e.report["M"], "%r" % e.report)
            c.closed()
            c.close()
        eq(w.upstream()["endpoints"][0]["state"], "up", "the server")
        leave(Client(front, word="alice-word"))
        w.balanced(o)


@case
def a_file_of_users_is_read():
    path = cases.put("users", '; a comment\n"erin" "erin ""word"""\n\n'
                     '# another\n"frank" "%s"\n' %
                     scram_secret("frank-word"))
    o, w, front = start(more='users_file = "%s";' % path)
    for user, word in (("erin", 'erin "word"'), ("frank", "frank-word"),
                       ("alice", "alice-word")):
        leave(Client(front, user, word=word))
    refused(front, "erin", "wrong")
    cases.put("users", '"erin" "new"\n')
    w.reload()
    refused(front, "erin", 'erin "word"')
    leave(Client(front, "erin", word="new"))
    refused(front, "frank", "frank-word")
    w.balanced(o)


@case
def every_split_is_the_same():
    o, w, front = start()
    for at in range(1, 120, 3):
        c = Client(front, word="alice-word", login=False)
        send = c.send

        def pieces(data, at=at, send=send):
            send(data[:at])
            return send(data[at:])
        c.send = pieces
        c.login()
        c.send = send
        c.quit()
    c = Client(front, word="alice-word", login=False)
    c.send = lambda data: [WireClient.send(c, data[i:i + 1])
                           for i in range(len(data))]
    c.login()
    del c.send
    leave(c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_client_that_dies_in_the_middle_is_forgotten():
    o, w, front = start()
    for step in range(4):
        for end in ("close", "rst"):
            c = Client(front, "alice", word="alice-word", login=False)
            scram = Scram("alice-word")
            c.send(startup(user="alice"))
            if step > 0:
                read_message(c, BACKEND)
                first = sasl_initial("SCRAM-SHA-256", scram.first())
                c.send(first[:len(first) // 2] if step == 1 else first)
            if step > 1:
                final = password(scram.final(
                    read_message(c, BACKEND).value[1]))
                c.send(final[:-3] if step == 2 else final)
            getattr(c, end)()
    leave(Client(front, word="alice-word"))
    w.balanced(o)
    upstreams(w, o, 3)


def at_first(front, data):
    c = Client(front, "alice", login=False)
    c.send(startup(user="alice"))
    read_message(c, BACKEND)
    c.send(data)
    return c


@case
def what_is_no_proof_is_refused():
    o, w, front = start()
    scram = Scram("alice-word")
    for data in (
            sasl_initial("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=abc"),
            sasl_initial("PLAIN", b"\0alice\0alice-word"),
            sasl_initial("SCRAM-SHA-256", b""),
            sasl_initial("SCRAM-SHA-256", b"n,,"),
            sasl_initial("SCRAM-SHA-256", b"p=tls-unique,,n=,r=abc"),
            sasl_initial("SCRAM-SHA-256", b"n,a=root,n=,r=abc"),
            sasl_initial("SCRAM-SHA-256", b"n,,m=x,n=,r=abc"),
            sasl_initial("SCRAM-SHA-256", b"n,,n=,r="),
            password(b"SCRAM-SHA-256\0\xff\xff\xff\xff"),
            password(b"SCRAM-SHA-256\0\0\0\0\x0an,,n=,r=x"),
            password(b"SCRAM-SHA-256"), password(b""),
            password(b"alice-word\0"),
            password(b"x" * 9000), b"p\0\0\0\3", b"p\xff\xff\xff\xff",
            b"Q\0\0\0\x0dSELECT 1\0", b"X\0\0\0\4"):
        c = at_first(front, data)
        got = c.read_to_end()
        check(b"R\0\0\0\x08\0\0\0\0" not in got, "let in by %r" % data)
        check(got[:1] == b"E" or data[:1] == b"X" or
              b"\0\0\0\x0b" in got[:9], "%r is answered %r" % (data, got))
        c.close()
    # Finals that are none.
    for change in (lambda f: f[:-1], lambda f: f.replace(b"c=biws", b"c=eSws"),
                   lambda f: f.replace(b"r=", b"r=x"), lambda f: b"",
                   lambda f: f + b",x=y", lambda f: f.rpartition(b",")[0],
                   lambda f: f.rpartition(b"p=")[0] + b"p=" + b"A" * 44):
        c = at_first(front, sasl_initial("SCRAM-SHA-256", scram.first()))
        final = scram.final(read_message(c, BACKEND).value[1])
        c.send(password(change(final)))
        got = c.error()
        eq(got["V"], "FATAL", "severity")
        c.closed()
        c.close()
    leave(Client(front, word="alice-word"))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def nothing_is_answered_before_the_proof():
    o, w, front = start()
    c = Client(front, "alice", login=False)
    c.send(startup(user="alice") + b"Q\0\0\0\x0dSELECT 1\0")
    got = c.read_to_end()
    check(b"D\0" not in got and b"Z\0\0" not in got, "answer %r" % got)
    c.close()
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def each_users_connections_are_its_own():
    o, w, front = start(pool="max = 4;")
    clients = [Client(front, user, word=user + "-word")
               for user in ("alice", "bob", "carol")]
    for _ in range(3):
        for c in clients:
            eq(c.one("SELECT current_user"), c.user, "who it is")
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 3)


@case
def one_user_may_be_logged_in_as_for_all():
    """upstream.postgres.user: everybody shares its connections."""
    o = PgOrigin(auth="scram-sha-256", users={"pooled": "p"})
    w = through(o, pool="max = 4;", up='postgres = { user = "pooled"; '
                'password = "p"; };',
                front='auth = "scram-sha-256"; users = ( %s );' % USERS)
    front = w.conf.ports["front"]
    clients = [Client(front, user, word=user + "-word")
               for user in ("alice", "bob", "carol")]
    for c in clients:
        eq(c.one("SELECT current_user"), "pooled", "who it is there")
    leave(*clients)
    w.balanced(o)
    upstreams(w, o, 1)


run()
