"""TLS that is passed through goes where its ClientHello says, however that
arrives; every byte is the server's, and weir takes no part in it.
"""
# SPDX-License-Identifier: MIT
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, put, run, temp_dir, until
from hello import (DECODE_ERROR, UNRECOGNIZED_NAME, TlsClient, alert, hello_of,
                   records, tls_server, with_extension)
from origin import Origin, echo, greet
from weir import Conf, Weir, command, one
from wire import Client

ROUTES = """routes = (
    { upstream = "rest"; },
    { sni = "*.example.com"; upstream = "wide"; },
    { sni = "*.example.com"; alpn = "h2"; upstream = "wide2"; },
    { sni = "API.Example.com"; upstream = "exact"; },
    { sni = "*.deep.example.com"; upstream = "deep"; },
    { alpn = "imap"; upstream = "imap"; } ); """


def teller(name):
    """A server that says who it is and what it was asked for."""
    def script(link):
        link.send("%s %s %s\n" % (name, link.name,
                                  link.sock.selected_alpn_protocol()))
        link.limit = None
        while link.more():
            link.take(len(link.buf))
    return tls_server(script, name + ".test", alpn=("h2", "imap"))


def behind(origins, routes=ROUTES, extra="", workers=1, log=None):
    conf = Conf(workers).listener("front", None, "tcp", extra=routes + extra)
    for name, o in origins.items():
        conf.upstream(name, o)
    conf.log = log or conf.log
    return Weir(conf)


def tellers(*names):
    return {name: Origin(teller(name)) for name in names}


def front(w):
    return Client(w.conf.ports["front"])


def keeper(heard):
    """A server that keeps what each connection brought."""
    def script(link):
        link.limit = None
        heard.append(link.read_to_end())
    return script


@case
def most_specific_route_wins():
    o = tellers("rest", "wide", "wide2", "exact", "deep", "imap")
    w = behind(o)
    for name, alpn, to in (
            ("api.example.com", (), "exact"),
            ("api.example.com", ("h2",), "exact"),
            ("x.example.com", (), "wide"),
            ("x.example.com", ("http/1.1",), "wide"),
            ("x.example.com", ("http/1.1", "h2"), "wide2"),
            ("x.example.com", ("h2", "imap"), "wide2"),
            ("x.deep.example.com", ("h2",), "deep"),
            ("deep.example.com", (), "wide"),
            ("example.com", (), "rest"),
            ("api.example.com.evil.org", (), "rest"),
            ("example.org", ("imap",), "imap"),
            (None, ("imap",), "imap"),
            (None, (), "rest")):
        c = TlsClient(w.conf.ports["front"], name, alpn).handshake()
        eq(c.read_line().split()[:2], [to, str(name)],
           "who was asked %r for %r" % (alpn, name))
        c.close()
    for name, n in (("rest", 3), ("wide", 3), ("wide2", 2), ("exact", 2),
                    ("deep", 1), ("imap", 2)):
        o[name].had(n)
    w.balanced(*o.values())
    eq(w.failures(), {}, "failures")


@case
def name_of_any_case_finds_its_route():
    o = tellers("rest", "exact")
    path = os.path.join(temp_dir(), "access.log")
    w = behind(o, 'routes = ( { sni = "api.EXAMPLE.com"; upstream = "exact"; '
               '}, { upstream = "rest"; } ); ', log='access = "%s"; fields = '
               '( "sni", "tls_version", "upstream" );' % path)
    hello = hello_of("api.example.com").replace(b"api.example", b"Api.EXAMPLE")
    c = front(w).send(hello)
    o["exact"].had(1)
    o["rest"].had(0)
    c.close()
    w.balanced(*o.values())
    until(lambda: os.path.getsize(path) > 0, "a line")
    with open(path, encoding="ascii") as f:
        eq(f.read(), "api.example.com - exact\n", "the access log")


@case
def hello_in_any_pieces_goes_up_as_it_came():
    heard = []
    o = {"exact": Origin(keeper(heard)), "rest": Origin(echo)}
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '}, { upstream = "rest"; } ); ')
    usual = hello_of("api.example.com", ("h2",))
    # As large as with post-quantum keys, and larger than a segment or two.
    big = with_extension(usual, 0x5a5a, bytes(1500))
    huge = with_extension(usual, 0x3a3a, bytes(12000))
    tls12 = hello_of("api.example.com", version=ssl.TLSVersion.TLSv1_2)
    n = 0
    for data, size in ((usual, len(usual)), (usual, 1), (usual, 5),
                       (records(usual, 1), 7), (records(usual, 100), 1),
                       (big, 1400), (records(big, 512), 100), (huge, 1400),
                       (records(huge, 1000), 999), (tls12, 1),
                       (usual + b"\x17\x03\x03\x00\x01x", 3)):
        n += 1
        c = front(w).send_pieces(data, size).shut()
        until(lambda: len(heard) == n, "what the server reads: %d, %r" % (
            n, w.failures()))
        eq(heard[-1], data, "what the server read")
        c.close()
    o["exact"].had(n)
    o["rest"].had(0)
    w.balanced(*o.values())


@case
def handshake_succeeds_byte_by_byte():
    o = tellers("exact", "rest")
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '}, { upstream = "rest"; } ); ', workers=2)
    for _ in range(8):
        c = TlsClient(w.conf.ports["front"], "api.example.com", ("h2",))
        eq(c.handshake(1).read_line(), "exact api.example.com h2", "told")
        c.close()
    o["exact"].had(8)
    w.balanced(*o.values())


@case
def no_connection_is_used_before_the_name_is_known():
    o = tellers("exact")
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '} ); ')
    hello = hello_of("api.example.com")
    for cut in (0, 1, 5, 6, 50, len(hello) - 1):
        before = o["exact"].accepted
        c = front(w).send(hello[:cut])
        eq(w.listener()["requests_total"], before, "requests")
        eq(o["exact"].accepted, before, "connections at %d" % cut)
        c.send(hello[cut:])
        o["exact"].had(before + 1)
        c.close()
    w.balanced(*o.values())


@case
def what_is_no_tls_goes_where_no_name_is_asked_for():
    o = {"exact": Origin(echo), "h2": Origin(echo), "rest": Origin(greet(
        b"hi %d\n"))}
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '}, { alpn = "h2"; upstream = "h2"; }, '
               '{ sni = "*"; upstream = "rest"; } ); ')
    for n, data in enumerate((
            b"G", b"GET / HTTP/1.1\r\n\r\n", b"\x16G", b"\x16\x03\x05",
            b"\x80\x2e\x01\x00\x02" + bytes(43), b"\0\0\0\x08\x04\xd2\x16/",
            b"\x15\x03\x01\x00\x02\x02\x00")):
        c = front(w).send(data)
        eq(c.read_line(), b"hi %d\n" % (n + 1), "for %r" % data)
        eq(c.read_exact(len(data)), data, "echo")
        c.close()
    o["rest"].had(7)
    o["exact"].had(0)
    o["h2"].had(0)
    w.balanced(*o.values())


@case
def upstream_of_the_listener_takes_what_no_route_does():
    o = tellers("exact", "rest")
    w = Weir(Conf().listener("front", "rest", "tcp", extra='routes = ( '
                             '{ sni = "api.example.com"; upstream = "exact"; '
                             '} );')
             .upstream("exact", o["exact"]).upstream("rest", o["rest"]))
    for name, to in (("api.example.com", "exact"), ("b.org", "rest"),
                     (None, "rest"), ("127.0.0.1", "rest")):
        c = TlsClient(w.conf.ports["front"], name).handshake()
        eq(c.read_line().split()[0], to, "who was asked for %r" % name)
        c.close()
    o["exact"].had(1)
    o["rest"].had(3)


@case
def name_without_a_route_is_told_by_an_alert():
    o = tellers("exact")
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '} ); ')
    for name in ("b.org", None):
        c = TlsClient(w.conf.ports["front"], name)
        try:
            c.handshake()
        except ssl.SSLError as e:
            eq(e.reason, "TLSV1_UNRECOGNIZED_NAME", "reason")
        else:
            check(False, "a handshake without a route")
        c.close()
    # With more than the hello on its way, the alert arrives all the same.
    c = front(w).send(hello_of("b.org") + b"x" * 100000)
    eq(c.read_exact(7), alert(UNRECOGNIZED_NAME), "alert")
    eq(c.read_to_end(), b"", "after it")
    eq(c.ended, "fin", "end")
    c.close()
    eq(front(w).send("GET / HTTP/1.1\r\n\r\n").read_to_end(), b"", "no TLS")
    until(lambda: w.failures() == {"no_route": 4}, "failures: 4 no_route")
    o["exact"].had(0)
    w.balanced(*o.values())


@case
def malformed_hello_is_told_by_an_alert():
    o = tellers("exact", "rest")
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '}, { upstream = "rest"; } ); ')
    usual = hello_of("api.example.com")
    at = usual.index(b"api.example.com")
    longer = bytearray(usual)
    longer[at - 1] += 1
    bad = [usual.replace(b"api.e", b"api\0e"),
           bytes(longer),
           with_extension(usual, 0, usual[at - 5:at + 15]),  # a second SNI
           b"\x16\x03\x01\x00\x00", b"\x16\x03\x03\x50\x00",
           b"\x16\x03\x01\x00\x01\x02",
           b"\x16\x03\x01\x00\x04\x01\x01\x00\x00"]
    for data in bad:
        c = front(w).send(data)
        eq(c.read_exact(7), alert(DECODE_ERROR), "for %r" % data)
        eq(c.read_to_end(), b"", "after it")
        eq(c.ended, "fin", "end")
        c.close()
    until(lambda: w.failures() == {"bad_request": len(bad)}, "failures")
    o["exact"].had(0)
    o["rest"].had(0)
    w.balanced(*o.values())


@case
def hello_has_a_deadline_that_trickling_does_not_move():
    o = tellers("exact")
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '} ); ', 'timeouts = { handshake = "300ms"; };')
    silent, half, slow = front(w), front(w), front(w)
    hello = hello_of("api.example.com")
    half.send(hello[:100])
    try:
        slow.send_pieces(hello, 1, pause=0.02)
    except (ConnectionError, BrokenPipeError):
        slow.ended = "rst"
    for c in (silent, half):
        eq(c.read_to_end(), b"", "to who is late")
    until(slow.at_end, "the end of who trickles")
    until(lambda: w.failures() == {"handshake_timeout": 3}, "failures")
    # It is over when the hello is there: what follows takes its time.
    c = TlsClient(w.conf.ports["front"], "api.example.com").handshake()
    c.read_line()
    eq(w.failures(), {"handshake_timeout": 3}, "failures")
    c.close()
    o["exact"].had(1)
    w.balanced(*o.values())


@case
def client_that_leaves_inside_its_hello_costs_nothing():
    o = tellers("exact")
    w = behind(o, 'routes = ( { sni = "api.example.com"; upstream = "exact"; '
               '} ); ')
    hello = hello_of("api.example.com")
    for cut in (0, 1, 5, 6, 100, len(hello) - 1):
        front(w).send(hello[:cut]).close()
        eq(front(w).send(hello[:cut]).shut().read_to_end(), b"", "half-closed")
        front(w).send(hello[:cut]).rst()
    until(lambda: w.failures() == {"client_abort": 18}, "18 aborts")
    o["exact"].had(0)
    w.balanced(*o.values())


@case
def plain_listener_waits_for_nothing():
    o = Origin(greet(b"hi\n"))
    w = Weir(one(o, protocol="tcp"))
    eq(front(w).read_line(), b"hi\n", "greeting")
    # Nor does one whose routes do not ask.
    w2 = Weir(Conf().listener("front", None, "tcp", extra='routes = ( '
                              '{ sni = "*"; upstream = "back"; } );')
              .upstream("back", o))
    eq(front(w2).read_line(), b"hi\n", "greeting")
    c = front(w).send(b"\x16\x03\x01\x00")
    eq(c.read_exact(7), b"hi\n\x16\x03\x01\x00", "echo of half a hello")
    o.had(3)


@case
def reload_holds_for_new_connections():
    o = tellers("exact", "rest")
    w = behind(o, 'routes = ( { sni = "a.org"; upstream = "exact"; }, '
               '{ sni = "b.org"; upstream = "rest"; } ); ')
    hello = hello_of("a.org")
    old = front(w).send(hello[:20])
    until(lambda: w.listener()["connections"]["active"] == 1, "a session")
    w.conf.listener("front", None, "tcp", extra='routes = ( { sni = "a.org"; '
                    'upstream = "rest"; }, { sni = "b.org"; '
                    'upstream = "exact"; } ); ')
    w.write()
    w.reload()
    c = TlsClient(w.conf.ports["front"], "a.org").handshake()
    eq(c.read_line().split()[0], "rest", "who was asked")
    old.send(hello[20:])
    o["exact"].had(1)
    o["rest"].had(1)
    c.close()
    old.close()
    w.balanced(*o.values())


@case
def config_shows_what_routes_go_by():
    o = tellers("rest", "exact")
    w = behind(o, 'routes = ( { upstream = "rest"; }, { sni = "*.A.org."; '
               'alpn = "h2"; upstream = "exact"; } ); ')
    shown = w.get("/config")[1]
    check('"sni": "*.a.org"' in shown or '"sni":"*.a.org"' in shown, shown)
    check("h2" in shown and "retry" not in shown.split('"routes"')[1]
          .split("]")[0], shown)


@case
def mistakes_are_told_with_the_keys_that_there_are():
    for extra, words in (
            ('routes = ( { host = "a"; upstream = "back"; } );',
             'routes[0].host: is not for protocol tcp, expected upstream, '
             'sni, alpn'),
            ('routes = ( { path = "/"; upstream = "back"; } );',
             'routes[0].path: is not for protocol tcp'),
            ('routes = ( { retry = "off"; upstream = "back"; } );',
             'routes[0].retry: is not for protocol tcp'),
            ('routes = ( { sni = "a b"; upstream = "back"; } );',
             'routes[0].sni: "a b" is no name'),
            ('routes = ( { sni = "10.0.0.1"; upstream = "back"; } );',
             'routes[0].sni: "10.0.0.1" is no name'),
            ('routes = ( { sni = "*.*.a"; upstream = "back"; } );',
             'routes[0].sni: "*.*.a" is no name'),
            ('tls = { certificate = "c"; key = "k"; }; '
             'routes = ( { sni = "a"; upstream = "back"; } );',
             'routes[0]: has sni or alpn, which are of TLS that is passed'),
            ('routes = ( { alpn = ""; upstream = "back"; } );',
             'routes[0].alpn: has no bytes'),
            ('routes = ( { sni = "a"; upstream = "back"; }, '
             '{ sni = "A."; upstream = "back"; } );',
             'routes[1]: has the sni and alpn of')):
        conf = Conf().listener("front", None, "tcp", extra=extra) \
            .upstream("back", 3000)
        r = command("-t", "-c", put("routes.conf", conf.text()))
        check(r.returncode == 1 and words in r.stdout + r.stderr,
              "%s: %d %s" % (extra, r.returncode, r.stdout + r.stderr))
    conf = Conf().listener("front", None, "http", extra='routes = ( '
                           '{ sni = "a"; upstream = "back"; } );') \
        .upstream("back", 3000)
    r = command("-t", "-c", put("routes.conf", conf.text()))
    check("routes[0].sni: is not for protocol http, expected upstream, host, "
          "path, retry" in r.stdout + r.stderr, r.stdout + r.stderr)
    conf = Conf().listener("front", None, "redis", extra='routes = ( '
                           '{ sni = "a"; upstream = "back"; } );') \
        .upstream("back", 3000)
    r = command("-t", "-c", put("routes.conf", conf.text()))
    check("routes: protocol redis has none" in r.stdout + r.stderr,
          r.stdout + r.stderr)


run()
