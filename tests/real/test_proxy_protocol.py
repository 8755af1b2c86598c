"""haproxy and nginx as real senders and receivers of PROXY headers, each on its
side of weir.
"""
# SPDX-License-Identifier: MIT
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Skip, case, check, eq, need, port, put, run, temp_dir, until
from programs import Nginx, start
from senders import From
from web import HttpOrigin, ask, read_response, request
from weir import Conf, Weir, one

FROM = 'proxy_protocol = { from = ( "127.0.0.1" ); }; '
HIM = "127.0.0.77"                      # where clients connect from


def haproxy_sends(back, options, mode="http", more=""):
    """An HAProxy in front of port back; its port."""
    number = port()
    conf = put("sender%d.cfg" % number, """
global
 nbthread 1
defaults
 mode %s
 timeout connect 5s
 timeout client 60s
 timeout server 60s
frontend in
 bind 127.0.0.1:%d
 %s
 default_backend weir
backend weir
 server weir 127.0.0.1:%d %s
""" % (mode, number, more, back, options))
    start("haproxy", number, [need("haproxy"), "-db", "-f", conf])
    return number


def haproxy_accepts():
    """An HAProxy that says whom it takes the client for; its port."""
    number = port()
    conf = put("receiver%d.cfg" % number, """
global
 nbthread 1
defaults
 mode http
 timeout connect 5s
 timeout client 60s
 timeout server 60s
frontend in
 bind 127.0.0.1:%d accept-proxy
 http-request return status 200 content-type text/plain lf-string """
               """"%%[src]:%%[src_port] %%[dst]:%%[dst_port] """
               """%%[fc_pp_authority] %%[fc_pp_unique_id]"
""" % number)
    start("haproxy", number, [need("haproxy"), "-db", "-f", conf])
    return number


def nginx_sends(back):
    """An nginx in front of port back, as raw TCP; its port."""
    module = glob.glob("/usr/lib/nginx/modules/ngx_stream_module.so")
    if not module:
        raise Skip("nginx without its module for streams")
    number = port()
    conf = put("stream%d.conf" % number, """daemon off;
load_module %s; worker_processes 1; pid %s/stream%d.pid; %s
error_log stderr error; events { worker_connections 500; }
stream { server { listen 127.0.0.1:%d; proxy_pass 127.0.0.1:%d;
 proxy_protocol on; } }
""" % (module[0], temp_dir(), number,
               "user root;" if os.getuid() == 0 else "", number, back))
    start("nginx", number, [need("nginx"), "-e", "stderr", "-c", conf])
    return number


def nginx_accepts():
    number = port()
    Nginx("", "server { listen 127.0.0.1:%d proxy_protocol; location / { "
          "return 200 \"$proxy_protocol_addr:$proxy_protocol_port "
          "$proxy_protocol_server_addr:$proxy_protocol_server_port\"; } }" %
          number)
    return number


def client(number):
    c = From(HIM, number)
    return c, "%s:%d" % c.sock.getsockname()


def names(c):
    """What the server at the end says of the client."""
    c.send(request())
    r = read_response(c)
    eq(r.status, 200, "status")
    return r.body.decode().split()


def from_them(number, o):
    """Three clients through the sender at that port are known to weir."""
    for _ in range(3):
        c, his = client(number)
        eq(ask(c).status, 200, "status")
        said = o.seen[-1].all("X-Forwarded-For")
        eq(said[-1], HIM, "client")
        c.close()


# -------------------------------------------------------------------- senders

@case
def haproxy_sends_both_versions():
    for options in ("send-proxy", "send-proxy-v2",
                    "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"
                    ):
        o = HttpOrigin()
        w = Weir(one(o, front=FROM))
        number = haproxy_sends(w.conf.ports["front"], options, more=""
                               "unique-id-format %{+X}o\\ %ci:%cp-%rt")
        from_them(number, o)
        eq(w.failures(), {}, "failures with %s" % options)


@case
def haproxy_sends_them_before_raw_tcp():
    for options in ("send-proxy", "send-proxy-v2"):
        o = HttpOrigin()
        w = Weir(one(o, front=FROM))
        from_them(haproxy_sends(w.conf.ports["front"], options, "tcp"), o)
        eq(w.failures(), {}, "failures with %s" % options)


@case
def haproxys_checks_are_no_failures():
    for options in ("send-proxy-v2 check inter 50ms",
                    "send-proxy check inter 50ms",
                    "check-send-proxy send-proxy-v2 check inter 50ms"):
        o = HttpOrigin()
        w = Weir(one(o, front=FROM))
        number = haproxy_sends(w.conf.ports["front"], options)
        until(lambda: w.listener()["connections"]["accepted_total"] >= 5,
              "checks that came in")
        from_them(number, o)
        bad = {k: n for k, n in w.failures().items() if "proxy" in k}
        eq(bad, {}, "failures with %s" % options)


@case
def nginx_sends_before_raw_tcp():
    o = HttpOrigin()
    w = Weir(one(o, front=FROM))
    from_them(nginx_sends(w.conf.ports["front"]), o)
    eq(w.failures(), {}, "failures")


# ------------------------------------------------------------------ receivers

@case
def haproxy_accepts_both_versions():
    for version in ("v1", "v2"):
        w = Weir(one(haproxy_accepts(),
                     up='send_proxy_protocol = "%s"; '
                     'health = { interval = "100ms"; };' % version))
        until(lambda: w.upstream()["endpoints"][0]["state"] == "up", "up")
        for _ in range(3):
            c, his = client(w.conf.ports["front"])
            for _ in range(3):          # on one connection
                eq(names(c)[:2], [his, "127.0.0.1:%d" %
                                  w.conf.ports["front"]], "ends")
        eq(w.failures(), {}, "failures")
        eq(w.pool()["open"], 3, "a connection each")


@case
def nginx_accepts_both_versions():
    for version in ("v1", "v2"):
        w = Weir(one(nginx_accepts(),
                     up='send_proxy_protocol = "%s"; '
                     'health = { interval = "100ms"; };' % version))
        until(lambda: w.upstream()["endpoints"][0]["state"] == "up", "up")
        for _ in range(3):
            c, his = client(w.conf.ports["front"])
            for _ in range(3):
                eq(names(c), [his, "127.0.0.1:%d" % w.conf.ports["front"]],
                   "ends")
        eq(w.failures(), {}, "failures")
        eq(w.pool()["open"], 3, "a connection each")


# ------------------------------------------------------------------ both sides

@case
def from_haproxy_through_weir_to_haproxy():
    w = Weir(one(haproxy_accepts(), front=FROM,
                 up='send_proxy_protocol = "v2"; '))
    number = haproxy_sends(
        w.conf.ports["front"], "send-proxy-v2 proxy-v2-options unique-id",
        "tcp", "unique-id-format id-%cp")
    for _ in range(3):
        c, his = client(number)
        said = names(c)
        eq(said[:2], [his, "127.0.0.1:%d" % number], "ends")
        eq(said[-1], "id-" + his.split(":")[1], "unique id")
    eq(w.failures(), {}, "failures")


@case
def from_nginx_through_weir_to_nginx_as_raw_tcp():
    w = Weir(Conf().listener("front", protocol="tcp", extra=FROM)
             .upstream("back", nginx_accepts(),
                       extra='send_proxy_protocol = "v1"; '))
    number = nginx_sends(w.conf.ports["front"])
    for _ in range(3):
        c, his = client(number)
        eq(names(c), [his, "127.0.0.1:%d" % number], "ends")
    check(not w.failures(), "failures: %r" % w.failures())


run()
