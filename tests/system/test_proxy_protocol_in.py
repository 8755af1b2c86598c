"""Clients that come through a proxy: its PROXY header says who they are, to
limits, logs, headers and rules; from anybody else it is only bytes.
"""
# SPDX-License-Identifier: MIT
import json
import os
import signal
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, temp_dir, until
from origin import Origin, echo
from postgres import Client as PgClient
from postgres_origin import PgOrigin
from proxy_header import (ALPN, AUTHORITY, LOCAL, NOOP, SIGNATURE, UNIQUE_ID,
                          UNIX, Secured, certificate, summed, tls, tlv, v1, v2)
from redis import RedisOrigin, command
from senders import From
from web import HttpOrigin, ask, read_response, request
from weir import Conf, Weir, one
from wire import Client

FROM = 'proxy_protocol = { from = ( "127.0.0.1" ); }; '
HIM = ("203.0.113.7", 4711)
HIM6 = ("2001:db8::7", 4711)


def front(w, header=b"", source=None):
    """A client, through a proxy when there is a header."""
    number = w.conf.ports["front"]
    c = From(source, number) if source else Client(number)
    return c.send(header) if header else c


def seen_as(o):
    return o.seen[-1].get("X-Forwarded-For")


def counted(w, what):
    return {k: v for k, v in w.listener()[what].items() if v}


def closed(c):
    """Ends without a word."""
    eq(c.read_to_end(), b"", "what was said")


# ------------------------------------------------------------------ who it is

@case
def client_is_who_the_header_says():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    own = "127.0.0.1"
    unix = v2(family=UNIX, body=b"/a\0".ljust(108, b"\0") * 2)
    for header, address in [
            (v1(HIM), HIM[0]), (v2(HIM), HIM[0]),
            (v1(HIM6, ("2001:db8::9", 443)), HIM6[0]), (v2(HIM6), HIM6[0]),
            (v1(("::ffff:203.0.113.7", 1), ("::1", 2)), HIM[0]),
            (summed(v2(HIM, None, tlv(NOOP, b"pad"), tlv(AUTHORITY, b"a.b"),
                       tlv(UNIQUE_ID, b"\0\1"), tlv(ALPN, b"h2"),
                       tlv(0xee, b"x" * 1500))), HIM[0]),
            (unix, "unknown"),
            (v2(command=LOCAL), own), (v2(HIM, command=LOCAL), own),
            (v2(command=LOCAL, body=b"\2\xff\xff"), own), (v2(), own),
            (b"PROXY UNKNOWN\r\n", own),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", own)]:
        c = front(w, header)
        for _ in range(2):              # once for all requests
            eq(ask(c).status, 200, "%r" % header)
            eq(seen_as(o), address, "the client of %r" % header)
        c.close()
    eq(counted(w, "failures_total"), {}, "failures")
    w.balanced(o)


@case
def header_and_request_may_come_in_any_pieces():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    for header in (v1(HIM), v2(HIM), summed(v2(
            HIM6, None, tlv(AUTHORITY, b"a.test"), tls()))):
        all_ = header + request()
        for size in (1, 7, len(header), len(header) + 1, len(all_)):
            c = front(w).send_pieces(all_, size)
            eq(read_response(c).status, 200, "in pieces of %d" % size)
            check(seen_as(o) in (HIM[0], HIM6[0]), "client %s" % seen_as(o))
            c.close()
        for cut in range(1, len(header) + 1):
            c = front(w).send(all_[:cut])
            ask(front(w, v1(HIM)))      # so long that it has been read
            eq(read_response(c.send(all_[cut:])).status, 200, "at %d" % cut)
            c.close()
    eq(counted(w, "failures_total"), {}, "failures")


@case
def what_is_malformed_is_closed_and_counted():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    bad = [
        request(), b"\r\n", b"\x16\x03\x01\x02\0",
        v1(HIM).replace(b"\r\n", b"\n"), v1(HIM).replace(b" ", b"  ", 1),
        v1(HIM).replace(b"TCP4", b"TCP6"), v1(HIM).replace(b"TCP4", b"UDP4"),
        v1(("203.0.113.07", 1)), v1(("203.0.113.256", 1)),
        v1((HIM[0], 65536)), v1((HIM[0], 1)).replace(b" 1 ", b" 01 "),
        b"PROXY UNKNOWN " + b"x" * 93, b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        SIGNATURE + b"\x11\x11\0\x0c", SIGNATURE + b"\x22\x11\0\x0c",
        v2(HIM, family=0x12), v2(HIM, family=0x41), v2(HIM, family=0x21),
        v2(HIM, body=b"abc"), SIGNATURE + b"\x21\x11\x10\0",
        v2(HIM, None, b"\x04"), v2(HIM, None, b"\x04\0\x02x"),
        v2(HIM, None, b"\x02\xff\xffabc"), v2(HIM, None, tlv(UNIQUE_ID,
                                                            b"x" * 129)),
        v2(HIM, None, tlv(AUTHORITY, b"a\nb")),
        v2(HIM, None, tlv(AUTHORITY, b"a"), tlv(AUTHORITY, b"b")),
        v2(HIM, None, tls()[:-1] + b"\0\x21"),
        summed(v2(HIM))[:-1] + b"!",
    ]
    for n, header in enumerate(bad, 1):
        c = front(w, header + request())
        closed(c)
        eq(counted(w, "failures_total"), {"bad_proxy_header": n},
           "failures with %r" % header)
    eq(o.accepted, 0, "upstream connections")
    eq(w.listener()["connections"]["rejected_total"], len(bad), "rejected")
    # One line for all of them, and who it was.
    w.wait_log("PROXY header")
    lines = [k for k in w.log().splitlines() if "PROXY header" in k]
    eq(len(lines), 1, "lines: %r" % lines)
    check("127.0.0.1" in lines[0] and "no PROXY header" in lines[0], lines[0])
    w.balanced(o)


@case
def header_from_elsewhere_is_only_bytes():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    c = front(w, v1(HIM) + request(), source="127.0.0.2")
    eq(read_response(c).status, 400, "a header in the place of a request")
    c = front(w, v2(HIM) + request(), source="127.0.0.2")
    eq(read_response(c).status, 400, "likewise")
    eq(o.requests, 0, "requests")
    # Who says nothing of the kind is an ordinary client.
    c = front(w, source="127.0.0.2")
    eq(ask(c).status, 200, "status")
    eq(seen_as(o), "127.0.0.2", "client")
    check("bad_proxy_header" not in counted(w, "failures_total"), "counted")


@case
def second_header_is_only_bytes():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    c = front(w, v1(HIM) + v1(("192.0.2.1", 1)) + request())
    eq(read_response(c).status, 400, "status")
    eq(o.requests, 0, "requests")


@case
def who_does_not_send_it_in_time_is_closed():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM + 'timeouts = { handshake = "200ms"; }; '))
    for n, start in enumerate((b"", b"PRO", SIGNATURE, v2(HIM)[:-1]), 1):
        closed(front(w, start))
        eq(counted(w, "failures_total"), {"proxy_header_timeout": n},
           "failures")
    w.balanced(o)


@case
def end_before_the_header_is_no_failure_but_one_inside_is():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    for _ in range(3):
        front(w).close()
        front(w).rst()
        closed(front(w).shut())
    eq(counted(w, "failures_total"), {}, "failures")
    closed(front(w, b"PROXY TCP4 ").shut())
    eq(counted(w, "failures_total"), {"bad_proxy_header": 1}, "failures")
    eq(counted(w, "limited_total"), {}, "limited")
    w.balanced(o)


# -------------------------------------------------------------- where it counts

@case
def rules_are_for_the_true_address():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM + 'allow = ( "203.0.113.0/24" ); '
                 'deny = ( "203.0.113.8" ); '))
    c = front(w, v1(HIM))
    eq(ask(c).status, 200, "status")
    c.close()
    closed(front(w, v1(("203.0.113.8", 1))))
    closed(front(w, v2(("192.0.2.1", 1))))
    eq(counted(w, "limited_total"), {"denied": 2}, "limited_total")
    # The proxy itself is not let in, when it speaks for itself.
    closed(front(w, v2(command=LOCAL)))
    closed(front(w, source="127.0.0.2"))
    eq(counted(w, "limited_total"), {"denied": 4}, "limited_total")
    w.balanced(o)


@case
def limits_are_for_the_true_address():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM + 'limits = { connections_per_client = 2; '
                 'request_rate_per_client = { rate = "10/h"; burst = 3; }; }; '
                 ))
    his = [front(w, v1((HIM[0], n))) for n in (1, 2)]
    eq([ask(c).status for c in his], [200, 200], "two of his")
    eq(read_response(front(w, v1((HIM[0], 3)))).status, 429, "his third")
    # Others come through the same proxy.
    for n in range(1, 6):
        eq(ask(front(w, v2(("192.0.2.%d" % n, 1)))).status, 200, "another")
    eq(ask(his[0]).status, 200, "his third request")
    eq(ask(his[1]).status, 429, "his fourth request")
    his[0].close()
    until(lambda: read_response(front(w, v1((HIM[0], 4)) + request()))
          .status == 429 and counted(w, "limited_total")
          ["request_rate_per_client"] >= 2, "a place for his third again")


@case
def connections_that_say_nothing_yet_are_limited():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM + 'limits = { connections = 3; }; '))
    mute = [front(w) for _ in range(3)]
    c = front(w, v1(HIM))
    eq(read_response(c).status, 429, "one too many")
    eq(counted(w, "limited_total"), {"connections": 1}, "limited_total")
    mute[0].close()
    until(lambda: w.listener()["connections"]["active"] == 0 and
          read_response(front(w, v1(HIM) + request(
              fields=[("Connection", "close")]))).status == 200,
          "a place is free again")
    for c in mute:
        c.close()
    w.balanced(o)


@case
def log_and_list_of_connections_name_the_client():
    o = HttpOrigin()
    path = os.path.join(temp_dir(), "access.log")
    conf = one(o, front=FROM)
    conf.log = 'level = "info"; access = "%s"; format = "json"' % path
    w = Weir(conf)
    c = front(w, v2(HIM))
    eq(ask(c).status, 200, "status")
    until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, "a line")
    with open(path) as f:
        eq(json.loads(f.readline())["client"], "%s:%d" % HIM, "in the log")
    status, body = w.get("/connections")
    eq(status, 200, "/connections")
    check("127.0.0.1:%d" % c.sock.getsockname()[1] not in body, body)


@case
def encryption_before_the_proxy_shows():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    for header, scheme in [(v2(HIM, None, tls()), "https"),
                           (v2(HIM, None, tls(client=0)), "http"),
                           (v2(HIM), "http"), (v1(HIM), "http")]:
        eq(ask(front(w, header)).status, 200, "status")
        eq(o.seen[-1].get("X-Forwarded-Proto"), scheme, "of %r" % header)


@case
def trusted_is_judged_by_the_true_address():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM + 'http = { trusted = ( "203.0.113.7" ); };'))
    field = [("X-Forwarded-For", "1.1.1.1")]
    eq(ask(front(w, v1(HIM)), fields=field).status, 200, "status")
    eq(seen_as(o), "1.1.1.1, 203.0.113.7", "believed")
    eq(ask(front(w, v1(("203.0.113.8", 1))), fields=field).status, 200,
       "status")
    eq(seen_as(o), "203.0.113.8", "not believed")


@case
def same_client_goes_to_the_same_endpoint():
    origins = [HttpOrigin() for _ in range(4)]
    w = Weir(one(*origins, front=FROM, up='balance = "source_hash"; '))
    for n in range(1, 9):
        before = [o.requests for o in origins]
        for k in range(3):
            c = front(w, v1(("192.0.2.%d" % n, 1000 + k)))
            eq(ask(c).status, 200, "status")
            c.close()
        grown = [o.requests - b for o, b in zip(origins, before)]
        eq(sorted(grown), [0, 0, 0, 3], "requests of one client")
    check(sum(1 for o in origins if o.requests) > 1, "all went to one")


# --------------------------------------------------------------- all protocols

@case
def raw_tcp_gets_what_follows():
    o = Origin(echo)
    w = Weir(one(o, protocol="tcp", front=FROM))
    for header in (v1(HIM), v2(HIM)):
        c = front(w, header + b"PROXY and more")
        eq(c.read_exact(14), b"PROXY and more", "echo")
        eq(c.send(b"!").read_exact(1), b"!", "echo")
        c.close()
    w.balanced()


@case
def redis_and_memcached_follow():
    def version(link):
        while link.read_until(b"\r\n"):
            link.send(b"VERSION 1\r\n")
    o, m = RedisOrigin(), Origin(version)
    w = Weir(Conf().listener("redis", "r", "redis", extra=FROM)
             .listener("cache", "m", "memcached", extra=FROM)
             .upstream("r", o).upstream("m", m))
    c = Client(w.conf.ports["redis"]).send(
        v1(HIM) + command("CLIENT", "INFO"))
    length = int(c.read_until(b"\r\n")[1:])
    check(b"addr=203.0.113.7:4711" in c.read_exact(length), "CLIENT INFO")
    c = Client(w.conf.ports["cache"]).send(v2(HIM) + b"version\r\n")
    check(c.read_until(b"\r\n").startswith(b"VERSION"), "version")


class PgHim(PgClient):
    def login(self):
        self.send(v2(HIM))
        return super().login()


@case
def postgres_knows_the_client():
    o = PgOrigin()
    w = Weir(one(o, protocol="postgres", front=FROM + """postgres = {
        auth = "trust"; admin_users = ( "alice" ); }; """,
                 up='postgres = { application_name = "append"; };'))
    c = PgHim(w.conf.ports["front"])
    eq(c.setting("application_name"), "(203.0.113.7:4711)", "at the server")
    desk = PgHim(w.conf.ports["front"], database="weir")
    rows = desk.query("SHOW CLIENTS")
    check("203.0.113.7" in repr(vars(rows)), "clients: %r" % vars(rows))
    check("4711" in repr(vars(rows)), "clients: %r" % vars(rows))
    c.quit()
    desk.quit()


@case
def unix_socket_may_be_a_proxys():
    o = HttpOrigin()
    path = os.path.join(temp_dir(), "front.sock")
    w = Weir(Conf(workers=2).listener(
        "front", bind='"unix:%s"' % path,
        extra="proxy_protocol = { unix = true; }; "
        'deny = ( "192.0.2.1" ); ').upstream("back", o))
    for n in range(4):                  # on both workers
        c = Client("unix:" + path).send(v2(HIM))
        eq(ask(c).status, 200, "status")
        eq(seen_as(o), HIM[0], "client")
        c.close()
    closed(Client("unix:" + path).send(v1(("192.0.2.1", 1))))
    closed(Client("unix:" + path).send(request()))
    eq(counted(w, "failures_total"), {"bad_proxy_header": 1}, "failures")
    c = Client("unix:" + path).send(v2(command=LOCAL))
    eq(ask(c).status, 200, "status")
    eq(seen_as(o), "unknown", "client")


@case
def tls_begins_behind_the_header():
    cert, key = certificate()
    o = HttpOrigin()
    w = Weir(one(o, front=FROM + 'tls = { certificate = "%s"; key = "%s"; }; '
                 % (cert, key)))
    context = ssl.create_default_context(cafile=cert)
    for header in (v1(HIM), v2(HIM, None, tlv(AUTHORITY, b"x" * 255))):
        # Apart from the handshake's first bytes, and in one with them.
        for apart in (True, False):
            c = front(w, header if apart else b"")
            s = Secured(c, context, b"" if apart else header,
                        server_hostname="a.test")
            s.send(request(fields=[("Connection", "close")]))
            check(s.read().startswith(b"HTTP/1.1 200 "), "answer")
            eq(seen_as(o), HIM[0], "client")
            c.close()
    # The handshake itself is no header, and a header no handshake.
    closed(front(w, b"\x16\x03\x01\x02\0\x01"))
    eq(counted(w, "failures_total").get("bad_proxy_header"), 1, "failures")


# ------------------------------------------------------------- reload and end

@case
def half_a_header_outlives_its_listener():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    header = v2(HIM)
    c, other = front(w, header[:9]), front(w, v1(HIM))
    ask(other)                          # so long that it has been read
    other.close()
    w.conf.listeners["other"] = w.conf.listeners.pop("front").replace(
        '"front"', '"other"').replace(FROM, "")
    w.write()
    w.reload()
    eq(read_response(c.send(header[9:] + request())).status, 200, "status")
    eq(seen_as(o), HIM[0], "client")
    c.close()
    # No header is read on the new one.
    c = front(w, v1(HIM) + request())
    eq(read_response(c).status, 400, "status")
    c.close()
    w.balanced()


@case
def drain_does_not_wait_for_who_says_nothing():
    o = HttpOrigin()
    conf = one(o, front=FROM)
    conf.drain_timeout = "20s"
    w = Weir(conf)
    mute, half = front(w), front(w, b"PROXY ")
    ask(front(w, v1(HIM)))
    half.close()
    w.signal(signal.SIGTERM)
    closed(mute)
    eq(w.exited(), 0, "exit status")


@case
def end_cuts_half_a_header():
    o = HttpOrigin()
    conf = one(o, front=FROM)
    conf.drain_timeout = "100ms"
    w = Weir(conf)
    half = front(w, b"PROXY ")
    ask(front(w, v1(HIM)))
    w.signal(signal.SIGTERM)
    eq(w.exited(), 0, "exit status")
    closed(half)


run()
