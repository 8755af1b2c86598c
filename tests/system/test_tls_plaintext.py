"""TLS spoken to a port that has none: the client is told so in TLS's own words,
and nothing of it reaches a server.
"""
# SPDX-License-Identifier: MIT
import os
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, need, run, until
from hello import PROTOCOL_VERSION, TlsClient, alert, hello_of
from origin import Origin, echo
from web import HttpOrigin
from weir import Conf, Weir, one
from wire import Client

PROTOCOLS = ("http", "redis", "memcached", "postgres")
NONE_WARM = "min_idle = 0;"


def all_protocols(workers=1):
    """A listener for each protocol, and the server behind all of them."""
    o = Origin(echo)
    conf = Conf(workers)
    for name in PROTOCOLS:
        conf.listener(name, name, name, extra='postgres = { auth = "trust"; };'
                      if name == "postgres" else "")
        conf.upstream(name, o, pool=NONE_WARM)
    return o, Weir(conf)


def told(c):
    eq(c.read_exact(7), alert(PROTOCOL_VERSION), "alert")
    eq(c.read_to_end(), b"", "after it")
    eq(c.ended, "fin", "end")
    c.close()


@case
def client_is_told_by_an_alert_whatever_the_port_speaks():
    o, w = all_protocols()
    for name in PROTOCOLS:
        port = w.conf.ports[name]
        for version in (None, ssl.TLSVersion.TLSv1_2):
            c = TlsClient(port, "a.org", ("h2",), version)
            try:
                c.handshake()
            except ssl.SSLError as e:
                eq(e.reason, "TLSV1_ALERT_PROTOCOL_VERSION", "reason")
            else:
                check(False, "a handshake with nobody")
            c.close()
        # In any pieces, and with more behind it that is not read.
        hello = hello_of("a.org")
        told(Client(port).send_pieces(hello))
        told(Client(port).send_pieces(hello[:6]))
        told(Client(port).send(hello + b"x" * 200000))
        eq(w.failures(name), {"tls_on_plaintext": 5}, "failures of " + name)
    o.had(0)
    w.balanced(o)


@case
def log_has_one_line_of_many_such_clients():
    o, w = all_protocols()
    for name in PROTOCOLS:
        for _ in range(5):
            told(Client(w.conf.ports[name]).send(hello_of("a.org")))
    for name in PROTOCOLS:
        until(lambda: "listener %s: a client speaks TLS (127.0.0.1)" % name in
              w.log(), "the line of " + name)
        eq(w.log().count("listener %s: a client speaks TLS" % name), 1,
           "lines of " + name)


@case
def first_byte_alone_decides_nothing():
    o = HttpOrigin()
    w = Weir(one(o))
    port = w.conf.ports["front"]
    for data in (b"\x16G", b"\x16\x03\x05", b"\x16\x03\x01\x00\x01\x02"):
        c = Client(port).send_pieces(data)
        check(c.read_to_end().startswith(b"HTTP/1.1 400 "), "for %r" % data)
        c.close()
    # An end in the middle of it.
    for cut in (1, 3, 5):
        Client(port).send(hello_of("a.org")[:cut]).shut().read_to_end()
        Client(port).send(hello_of("a.org")[:cut]).rst()
    w.balanced(o)
    check("tls_on_plaintext" not in w.failures(), "%r" % w.failures())
    # And only the first bytes do.
    c = Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    c.read_until(b"\r\n\r\n")
    c.send(hello_of("a.org"))
    check(b"HTTP/1.1 400 " in c.read_to_end(), "a hello as second request")
    c.close()
    o.had(1)


@case
def raw_bytes_may_be_tls():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp"))
    hello = hello_of("a.org")
    c = Client(w.conf.ports["front"]).send(hello)
    eq(c.read_exact(len(hello)), hello, "echo")
    c.close()
    o.had(1)
    eq(w.failures(), {}, "failures")


@case
def programs_name_the_reason():
    o, w = all_protocols(workers=2)
    port = w.conf.ports["http"]
    r = subprocess.run([need("curl"), "-sSk", "https://127.0.0.1:%d/" % port],
                       capture_output=True, text=True, timeout=60)
    eq(r.returncode, 35, "exit of curl")
    check("alert protocol version" in r.stderr, r.stderr)
    r = subprocess.run([need("openssl"), "s_client", "-connect",
                        "127.0.0.1:%d" % port], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=60)
    check("alert protocol version" in r.stderr, r.stderr)
    eq(w.failures("http"), {"tls_on_plaintext": 2}, "failures")
    o.had(0)
    w.balanced(o)


run()
