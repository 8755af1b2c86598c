"""PostgreSQL over TLS, towards clients and towards servers: nothing of what is to
be encrypted is said or taken in the clear, and what is wrong has a name.
"""
# SPDX-License-Identifier: MIT
import hashlib
import os
import socket
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import certs
from case import Failed, case, check, eq, put, run, until
from origin import Origin
from postgres import (BACKEND, GSSENC_REQUEST, SSL_REQUEST, V3_2, Client, Scram,
                      SqlError, begin_tls, cancel_request, password, query,
                      read_message, sasl_initial, startup, through, upstreams)
from postgres_origin import PgOrigin
from weir import Weir, command, one
from wire import Client as WireClient, dial

ALPN = ("postgresql",)
SLEEP = query("SELECT pg_sleep(1000)")
PLAIN = startup(user="alice", database="shop")
TRUST = 'auth = "trust";'
ca = None                       # of this process, made when it is needed


def authority():
    global ca
    ca = ca or certs.Authority()
    return ca


def spoken(pair=None, more=""):
    """The group tls of a listener."""
    pair = pair or authority().server()
    return ' tls = { certificate = "%s"; key = "%s"; %s };' % (
        pair.file, pair.key, more)


def start(pool="max = 2;", own=TRUST, tls="", front="", up="", pair=None,
          **options):
    """weir with TLS in front, and a context for its clients."""
    o = PgOrigin(**options)
    w = Weir(one(o, protocol="postgres", pool=pool, up=up,
                 front="postgres = { %s };%s%s" % (own, spoken(pair, tls),
                                                   front)))
    return o, w, w.conf.ports["front"], certs.client_context(authority())


def behind(o, up="", tls="", pool="max = 2;"):
    """weir with TLS towards the server."""
    w = Weir(one(o, protocol="postgres", pool=pool,
                 up=' tls = { ca = "%s"; %s }; %s' % (
                     authority().file, tls, up),
                 front="postgres = { %s };" % TRUST))
    return w, w.conf.ports["front"]


def server(*hosts, alpn=ALPN, **more):
    """A context for a scripted server."""
    return certs.server_context(authority().server(*hosts), alpn=alpn, **more)


def leave(*clients):
    for c in clients:
        c.prove().quit()


def fatal(c, code):
    """One error, FATAL, and the end."""
    got = c.error(code)
    eq(got["V"], "FATAL", "severity")
    c.closed()
    c.close()
    return got["M"]


def not_in(front, code, *argv, **more):
    """What it is told; nobody comes in."""
    c = Client(front, *argv, login=False, **more)
    try:
        c.login()
    except SqlError as e:
        eq((e.report["V"], e.code), ("FATAL", code), "%r" % e.report)
        c.close()
        return e.report["M"]
    raise Failed("it came in")


def resent(front, size):
    """A port that leads to weir in pieces of so many bytes, both ways."""
    def carry(source, target):
        try:
            while True:
                got = source.recv(65536)
                for at in range(0, len(got), size):
                    target.sendall(got[at:at + size])
                if not got:
                    target.shutdown(socket.SHUT_WR)
                    return
        except OSError:
            pass

    def script(link):
        link.sock.settimeout(None)
        there = dial(front)
        there.settimeout(None)
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=carry, args=(there, link.sock))
        back.start()
        carry(link.sock, there)
        back.join()
        there.close()
    return Origin(script).number


# ------------------------------------------------------------------ clients

@case
def a_client_asks_for_tls_and_goes_on():
    o, w, front, tls = start()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for alpn in ((), ALPN):
            leave(Client(front, tls=certs.client_context(
                authority(), version=version, alpn=alpn)))
    c = Client(front, login=False)
    c.send(GSSENC_REQUEST)
    eq(c.read_exact(1), b"N", "answer to GSSENCRequest")
    begin_tls(c, tls)
    c.login()
    eq(c.one("SELECT repeat('x', 1000000)"), "x" * 1000000, "a large one")
    leave(c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def in_pieces_of_any_size():
    o, w, front, tls = start(
        own='users = ( { name = "alice"; password = "alice-word"; } );')
    direct = certs.client_context(authority(), alpn=ALPN)
    for size in (1, 2, 3, 5, 7, 8, 9, 100, 1000):
        slow = resent(front, size)
        for more in ({"tls": tls}, {"tls": direct, "direct": True}):
            leave(Client(slow, word="alice-word", **more))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def the_question_may_be_cut_anywhere():
    o, w, front, tls = start()
    for cut in range(1, len(SSL_REQUEST)):
        c = Client(front, login=False)
        c.send(SSL_REQUEST[:cut])
        check(not c.wants(), "an answer to a part")
        c.send(SSL_REQUEST[cut:])
        eq(c.read_exact(1), b"S", "answer")
        certs.encrypt(c, tls, "localhost")
        leave(c.login())
    w.balanced(o)
    upstreams(w, o, 1)


def client_hello():
    out = ssl.MemoryBIO()
    end = certs.client_context().wrap_bio(ssl.MemoryBIO(), out)
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


@case
def bytes_behind_the_question_are_fatal():
    """They would be taken for encrypted ones (CVE-2021-3935)."""
    o, w, front, tls = start(own=TRUST + ' tls = "allow";')
    for more in (PLAIN, client_hello(), client_hello()[:1], b"\0",
                 SSL_REQUEST):
        for size in (100000, 3):
            c = WireClient(front if size > 9 else resent(front, 11))
            c.send(SSL_REQUEST + more)
            got = c.read_to_end()
            if size > 9:
                check(got[:1] == b"E" and b"C08P01\0" in got and
                      b"FATAL" in got, "answer %r" % got)
            check(b"R\0\0\0" not in got, "it came in: %r" % got)
            c.close()
    leave(Client(front, tls=tls))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def tls_at_once_says_that_it_is_postgresql():
    o, w, front, tls = start()
    meant = certs.client_context(authority(), alpn=ALPN)
    leave(Client(front, tls=meant, direct=True))
    # Without ALPN it might have been meant for somebody else.
    c = Client(front, tls=tls, direct=True, login=False)
    check("ALPN" in fatal(c, "08P01"), "its words")
    try:
        Client(front, tls=certs.client_context(alpn=("http/1.1",)),
               direct=True, login=False)
        raise Failed("another protocol's was taken")
    except ssl.SSLError as e:
        check("application protocol" in str(e), str(e))
    # Only as the very first.
    c = Client(front, login=False)
    c.send(GSSENC_REQUEST)
    eq(c.read_exact(1), b"N", "answer")
    c.send(client_hello())
    fatal(c, "08P01")
    w.balanced(o)
    upstreams(w, o, 1)


@case
def without_tls_nobody_comes_in():
    o, w, front, tls = start()
    for version in (3 << 16, V3_2):
        check("no encryption" in not_in(front, "28000", version=version),
              "its words")
    leave(Client(front, tls=tls))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def but_where_that_is_allowed():
    o, w, front, tls = start(own=TRUST + ' tls = "allow";')
    leave(Client(front), Client(front, tls=tls), Client(
        front, tls=certs.client_context(alpn=ALPN), direct=True))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_listener_without_certificates_takes_none():
    o = PgOrigin()
    w = through(o)
    front = w.conf.ports["front"]
    c = WireClient(front)
    c.send(client_hello())
    eq(c.read_to_end()[:1], b"\x15", "an alert")
    c = Client(front, login=False)
    c.send(SSL_REQUEST)
    eq(c.read_exact(1), b"N", "answer")
    leave(c.login())
    w.balanced(o)
    upstreams(w, o, 1)


@case
def encryption_inside_of_encryption_is_refused():
    o, w, front, tls = start()
    for request in (SSL_REQUEST, GSSENC_REQUEST):
        c = Client(front, tls=tls, login=False)
        c.send(request)
        fatal(c, "0A000")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def what_is_no_tls_ends_there():
    o, w, front, tls = start()
    for data in (PLAIN, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100,
                 b"\x16\x03\x01\x00\x05hello"):
        c = WireClient(front)
        c.send(SSL_REQUEST)
        eq(c.read_exact(1), b"S", "answer")
        c.send(data)
        got = c.read_to_end()
        # At most an alert (RFC 8446 6).
        check(got[:1] in (b"", b"\x15"), "answer %r" % got)
        c.close()
    until(lambda: w.failures().get("handshake_failed") == 4, "counted")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def who_leaves_in_the_handshake_leaves_nothing():
    o, w, front, tls = start()
    hello = client_hello()
    for cut in (0, 1, 5, 6, len(hello) // 2, len(hello) - 1, len(hello)):
        for end in ("rst", "close", "shut"):
            c = WireClient(front)
            c.send(SSL_REQUEST)
            eq(c.read_exact(1), b"S", "answer")
            c.send(hello[:cut])
            getattr(c, end)()
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def the_time_to_come_in_counts_with_tls_too():
    o, w, front, tls = start(
        front=' timeouts = { header = "300ms"; handshake = "300ms"; };')
    c = WireClient(front)
    c.send(SSL_REQUEST)
    eq(c.read_exact(1), b"S", "answer")
    eq((c.read_to_end(), c.ended), (b"", "fin"), "an end without a word")
    c = WireClient(front)
    c.send(client_hello()[:20])
    eq((c.read_to_end(), c.ended), (b"", "fin"), "an end without a word")
    c = Client(front, tls=tls, login=False)
    check("in time" in fatal(c, "08P01"), "its words")
    c = Client(front, tls=certs.client_context(alpn=ALPN), direct=True,
               login=False)
    c.send(PLAIN[:-1])
    check("in time" in fatal(c, "08P01"), "its words")
    until(lambda: w.failures().get("handshake_timeout") == 2, "counted")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def a_cancel_comes_by_tls_and_without():
    """libpq before 17 sends it in the clear."""
    o, w, front, tls = start(pool="max = 1;")
    direct = certs.client_context(authority(), alpn=ALPN)
    a = Client(front, tls=tls)
    b = Client(front, tls=direct, direct=True)
    for plainly in (True, False):
        for c in (a, b):
            c.write(SLEEP)
            o.wait_for(1)
            c.cancel(plainly=plainly)
            got = c.result()
            eq((got.code, got.status), ("57014", "I"), "answer")
    eq(len(o.cancels), 4, "cancels at the server")
    leave(a, b)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_password_is_proven_inside():
    o, w, front, tls = start(
        own='users = ( { name = "alice"; password = "alice-word"; } );')
    c = Client(front, word="alice-word", tls=tls)
    eq(c.methods, [10, 11, 12, 0], "what it was asked")
    leave(c)
    not_in(front, "28P01", word="another", tls=tls)
    not_in(front, "28000", word="alice-word")
    w.balanced(o)
    upstreams(w, o, 1)


def proves(c, mechanism, header, digest=b""):
    """Log in by SCRAM with that gs2 header; the first answer that is none of
    SCRAM's."""
    c.send(PLAIN)
    eq(read_message(c, BACKEND).value,
       (10, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]), "what is offered")
    scram = Scram("alice-word")
    c.send(sasl_initial(mechanism, header + scram.bare))
    m = read_message(c, BACKEND)
    if m.kind == "E":
        return m
    c.send(password(scram.final(m.value[1], header + digest)))
    m = read_message(c, BACKEND)
    return m if m.kind == "E" else read_message(c, BACKEND)


@case
def a_proof_may_be_bound_to_the_certificate():
    """And whoever could bind it is not talked out of that."""
    pair = authority().server()
    digest = hashlib.sha256(pair.der).digest()
    o, w, front, tls = start(pair=pair, own='users = ( { name = "alice"; '
                             'password = "alice-word"; } );')
    plus, bound = "SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,"
    for mechanism, header, data, wanted in (
            (plus, bound, digest, None), ("SCRAM-SHA-256", b"n,,", b"", None),
            (plus, bound, digest[::-1], "08P01"), (plus, bound, b"", "08P01"),
            (plus, b"n,,", b"", "08P01"), (plus, b"y,,", b"", "08P01"),
            (plus, b"p=tls-unique,,", digest, "08P01"),
            ("SCRAM-SHA-256", bound, digest, "08P01"),
            ("SCRAM-SHA-256", b"y,,", b"", "28000"),
            ("SCRAM-SHA-1", b"n,,", b"", "08P01")):
        c = Client(front, tls=tls, login=False)
        m = proves(c, mechanism, header, data)
        eq(m.value["C"] if m.kind == "E" else None, wanted, "%s %r" % (
            mechanism, header))
        c.close()
        # Or the next one finds the connection with which this one was greeted
        # still taken, and gets one of its own.
        w.balanced(o)
    upstreams(w, o, 1)


# ------------------------------------------------- by their certificates

ASK = 'client_auth = "required"; client_ca = "%s";'
OWN = 'auth = "cert"; users = ( { name = "alice"; database = "shop"; }, ' \
      '{ name = "bob"; cert = "robert"; } );'


def shows(pair, **more):
    return certs.client_context(authority(), pair, **more)


def start_certs(own=OWN, more="", **options):
    o, w, front, _ = start(own=own, tls=ASK % authority().file + more,
                           pool="max = 4;", **options)
    return o, w, front


@case
def a_certificate_names_its_user():
    o, w, front = start_certs()
    alice, robert = (authority().client(n) for n in ("alice", "robert"))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = Client(front, tls=shows(alice, version=version))
        eq(c.methods, [0], "what it was asked")
        eq(c.one("SELECT current_user"), "alice", "who it is")
        leave(c)
    c = Client(front, "bob", tls=shows(robert))
    eq(c.one("SELECT current_user"), "bob", "who it is")
    leave(c, Client(front, "bob", "blog", tls=shows(robert)),
          Client(front, tls=shows(alice, alpn=ALPN), direct=True))
    w.balanced(o)
    upstreams(w, o, 3)


@case
def a_certificate_of_another_name_does_not_come_in():
    o, w, front = start_certs()
    alice, robert, carol = (authority().client(n)
                            for n in ("alice", "robert", "carol"))
    said = set()
    for user, database, pair in (
            ("bob", "shop", alice), ("alice", "shop", robert),
            # Known, but not there; not known, though signed for.
            ("alice", "blog", alice), ("carol", "shop", carol),
            ("robert", "shop", robert), ("alice", "shop", carol)):
        said.add(not_in(front, "28000", user, database,
                        tls=shows(pair)).replace(user, "-"))
    eq(said, {'certificate authentication failed for user "-"'},
       "what they are told")
    w.balanced(o)
    upstreams(w, o, 0, 0)


@case
def names_that_are_none_do_not_come_in():
    """Several, none, another case, a longer one."""
    o, w, front = start_certs()
    for subject in ("/O=alice", "/CN=alice/CN=bob", "/CN=bob/CN=alice",
                    "/CN=Alice", "/CN=alice ", "/CN=alice.example",
                    "/O=x/CN=alic"):
        not_in(front, "28000", tls=shows(
            authority().client("x", subject=subject)))
    w.balanced(o)
    upstreams(w, o, 0, 0)


def not_believed(front, w, tls, words):
    """The handshake fails; of TLS 1.3 the client hears when it reads."""
    try:
        Client(front, tls=tls)
        raise Failed("it came in")
    except (ssl.SSLError, ConnectionError, Failed) as e:
        if "came in" in str(e):
            raise
    w.wait_log("TLS: .*" + words)


@case
def certificates_that_are_not_believed_have_a_reason_each():
    revoked = authority().revoke(authority().client("alice"))
    o, w, front = start_certs(more=' crl = "%s";' % authority().crl())
    stranger = certs.Authority("another CA")
    for pair, words in (
            (None, "no certificate"),
            (authority().expired_client("alice"), "has expired"),
            (authority().client("alice", when=certs.FUTURE),
             "not valid before"),
            (stranger.client("alice"), "not signed by a known CA"),
            (certs.self_signed("alice"), "signed by itself"),
            (revoked, "has been revoked"),
            (authority().server("alice"), "is bad")):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            not_believed(front, w, shows(pair, version=version), words)
    until(lambda: w.failures().get("handshake_failed") == 14, "counted")
    leave(Client(front, tls=shows(authority().client("alice"))))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def single_users_may_come_by_certificate():
    """The others by their passwords; and who has to show one, does."""
    own = 'users = ( { name = "alice"; auth = "cert"; }, { name = "bob"; ' \
        'password = "bob-word"; } );'
    o, w, front, tls = start(
        own=own, pool="max = 4;", tls='client_auth = "optional"; '
        'client_ca = "%s";' % authority().file)
    alice = shows(authority().client("alice"))
    leave(Client(front, tls=alice), Client(front, "bob", word="bob-word",
                                           tls=tls),
          Client(front, "bob", word="bob-word", tls=alice))
    not_in(front, "28000", tls=tls)
    not_in(front, "28P01", "bob", word="x", tls=alice)
    w.balanced(o)
    upstreams(w, o, 2)


@case
def who_comes_by_certificate_is_logged_in_as_the_file_says():
    users = {"app": "app-word", "alice": "alice-word"}
    own = 'auth = "cert"; users = ( { name = "alice"; password = ' \
        '"alice-word"; }, { name = "bob"; } );'
    alice, bob = (shows(authority().client(n)) for n in ("alice", "bob"))
    o, w, front = start_certs(own=own, auth="scram-sha-256", users=users)
    leave(Client(front, tls=alice))
    eq(o.logins[0][1]["user"], "alice", "who logs in")
    # It asks for a password that there is not.
    not_in(front, "28000", "bob", tls=bob)
    w.balanced(o)
    o, w, front = start_certs(
        own=own, auth="scram-sha-256", users=users,
        up='postgres = { user = "app"; password = "app-word"; };')
    leave(Client(front, tls=alice), Client(front, "bob", tls=bob))
    eq({p["user"] for _, p in o.logins}, {"app"}, "who logs in")
    w.balanced(o)
    upstreams(w, o, 2)


@case
def what_does_not_go_together_is_an_error():
    pair = authority().server()
    ask = ASK % authority().file
    optional = ask.replace("required", "optional")
    for own, tls, word in (
            (OWN, None, 'tls.client_auth = "required"'),
            (OWN, "", 'tls.client_auth = "required"'),
            (OWN, optional, 'tls.client_auth = "required"'),
            (OWN + ' tls = "allow";', ask, 'expected "require"'),
            ('auth = "cert";', ask, "expected users or users_file"),
            ('tls = "allow";', None, "without the group tls"),
            ('users = ( { name = "a"; auth = "cert"; } );', "",
             'tls.client_auth = "optional" or "required"'),
            ('users = ( { name = "a"; password = "b"; cert = "c"; } );', "",
             'expected auth = "cert"'),
            ('users = ( { name = "a"; } );', ask, "neither password nor"),
            (OWN, ask, None), (TRUST + ' tls = "allow";', ask, None)):
        conf = one(1, protocol="postgres", front="postgres = { %s };%s" % (
            own, "" if tls is None else spoken(pair, tls)))
        got = command("check", "-c", put("t.conf", conf.text()))
        said = got.stdout + got.stderr
        if word is None:
            eq(got.returncode, 0, said)
        else:
            check(got.returncode != 0 and word in said, "%s: %s" % (
                own, said))


# ------------------------------------------------------------------ servers

@case
def servers_are_asked_for_tls_first():
    for begin in (behind, _unverified):
        o = PgOrigin(tls=server())
        w, front = begin(o)
        a, b = Client(front), Client(front)
        eq(a.one("SELECT repeat('x', 1000000)"), "x" * 1000000, "a large one")
        leave(a, b)
        eq(o.secured, [1], "connections with TLS")
        w.balanced(o)
        upstreams(w, o, 1)


def _unverified(o):
    w = Weir(one(o, protocol="postgres", pool="max = 2;",
                 up="tls = { verify = false; };",
                 front="postgres = { %s };" % TRUST))
    return w, w.conf.ports["front"]


@case
def both_sides_at_once():
    o = PgOrigin(tls=server(), auth="scram-sha-256",
                 users={"alice": "alice-word"})
    w = Weir(one(o, protocol="postgres", pool="max = 2;", workers=2,
                 up='tls = { ca = "%s"; };' % authority().file,
                 front='postgres = { users = ( { name = "alice"; secret = '
                 '"%s"; } ); };%s' % (_secret(o), spoken())))
    tls = certs.client_context(authority())
    for _ in range(8):
        leave(Client(w.conf.ports["front"], word="alice-word", tls=tls))
    eq(len(o.secured), w.upstream()["connects_total"], "with TLS")
    w.balanced(o)
    upstreams(w, o, 2)


def _secret(o):
    return o.scram_keys("alice", "alice-word").secret()


@case
def tls_at_once_where_the_file_says_so():
    o = PgOrigin(tls=server(), direct=True)
    w, front = behind(o, 'postgres = { direct_tls = true; };', pool="max = 1;")
    c = Client(front)
    c.write(SLEEP)
    o.wait_for(1)
    c.cancel()
    eq(c.result().code, "57014", "a cancel")
    leave(c)
    w.balanced(o)
    upstreams(w, o, 1)


@case
def a_server_that_does_not_say_that_it_is_one_is_not_believed():
    o = PgOrigin(tls=server(alpn=()), direct=True)
    w, front = behind(o, 'postgres = { direct_tls = true; };')
    check("ALPN" in not_in(front, "08001"), "its words")
    eq(w.upstream()["endpoints"][0]["last_error"], "no_shared_protocol",
       "its name")
    eq(o.logins, [], "logins")
    w.balanced(o)


@case
def answers_that_are_none_have_a_name_each():
    """Nobody is logged in, and nothing is sent in the clear."""
    for answer, name, words in (
            (b"N", "no_tls", "speaks no TLS"),
            (b"E\0\0\0\x0eSFATAL\0\0", "tls_refused", "an error"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_postgres",
             "not PostgreSQL"),
            (b"\0", "not_postgres", "not PostgreSQL"),
            (b"s", "not_postgres", "not PostgreSQL"),
            (b"SR\0\0\0\x08\0\0\0\0", "bytes_before_tls", "before TLS"),
            (b"SS", "bytes_before_tls", "before TLS")):
        got = []

        def script(link, answer=answer, got=got):
            eq(link.read_exact(8), SSL_REQUEST, "the question")
            link.send(answer)
            got.append(link.read_to_end())
        o = Origin(script)
        w, front = behind(o)
        said = not_in(front, "08001")
        check(words in said, "it is told %r" % said)
        eq(w.upstream()["endpoints"][0]["last_error"], name, "its name")
        until(lambda: got, "its end")
        eq(got[0], b"", "sent to who answers %r" % answer)
        w.wait_log("TLS: .*" + words)
        w.balanced(o)


@case
def an_answer_before_the_question_is_none():
    def script(link):
        link.send(b"S")
        link.read_to_end()
    o = Origin(script)
    w, front = behind(o)
    not_in(front, "08001")
    w.balanced(o)


@case
def a_server_that_ends_there_is_a_failed_one():
    for end in ("close", "rst"):
        def script(link, end=end):
            link.read_exact(8)
            getattr(link, end)()
        o = Origin(script)
        w, front = behind(o)
        not_in(front, "08001")
        w.balanced(o)


@case
def servers_that_are_not_believed_have_a_reason_each():
    stranger = certs.Authority("another CA")
    for pair, name, words in (
            (authority().expired_server(), "expired", "has expired"),
            (authority().future_server(), "not_yet_valid", "before"),
            (authority().misnamed_server(), "wrong_name",
             "elsewhere.test"),
            (stranger.server(), "unknown_ca", "known CA"),
            (certs.self_signed(), "self_signed", "signed by itself"),
            (authority().client("127.0.0.1"), "bad_certificate", "is bad")):
        o = PgOrigin(tls=certs.server_context(pair))
        w, front = behind(o)
        said = not_in(front, "08001")
        check(words in said, "it is told %r" % said)
        eq(w.upstream()["endpoints"][0]["last_error"], name, "its name")
        eq((o.logins, o.secured), ([], []), "at the server")
        w.balanced(o)


@case
def weir_shows_its_own_certificate():
    pair = authority().client("weir")
    o = PgOrigin(tls=server(ca=authority()))
    w, front = behind(o, tls='certificate = "%s"; key = "%s";' % (
        pair.file, pair.key))
    leave(Client(front))
    w.balanced(o)
    upstreams(w, o, 1)


@case
def cancels_go_by_tls_too():
    """And the connection is anybody's again, whether the server takes leave of
    TLS or just ends."""
    for leaves in (True, False):
        o = PgOrigin(tls=server(), leave=leaves)
        w, front = behind(o, pool="max = 1;")
        a, b = Client(front), Client(front)
        for _ in range(3):
            a.write(SLEEP)
            o.wait_for(1)
            a.cancel()
            got = a.result()
            eq((got.code, got.status), ("57014", "I"), "answer")
            b.prove()
        eq(len(o.cancels), 3, "cancels at the server")
        eq(o.secured, [1, 2, 3, 4], "connections with TLS")
        leave(a, b)
        w.balanced(o)
        upstreams(w, o, 1)


@case
def a_cancel_is_never_sent_in_the_clear():
    """A server whose TLS has gone, or whoever takes its place."""
    o = PgOrigin(tls=server())
    w, front = behind(o, pool="max = 1;")
    a = Client(front)
    for answer in (b"N", b"SR", b"E", b"H"):
        a.write(SLEEP)
        o.wait_for(1)
        o.tls_answer = answer
        before = o.accepted
        link = WireClient(front)
        link.send(cancel_request(a.pid, a.key))
        until(lambda: o.accepted > before, "a connection for it")
        link.close()
        until(lambda: o.open == 1, "its end")
        eq(o.cancels, [], "cancels at the server")
        o.wake()
        eq(a.result().code, None, "answer")
    leave(a)
    w.balanced(o)
    upstreams(w, o, 1)


run()
