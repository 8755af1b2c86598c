"""nginx and HAProxy in front of weir, which is their only server: they keep
connections to it, and it keeps fewer to the origin.
"""
# SPDX-License-Identifier: MIT
import hashlib
import http.client
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, port, run, until
from programs import Nginx, haproxy
from web import HttpOrigin, answer, chunks
from weir import Conf, Weir, one

BIG = random.Random(3).randbytes(2 << 20)
CLIENTS, EACH = 20, 15


def echo(q, link):
    """The body, every second time in chunks."""
    if q.path == "/chunked":
        return answer(q, chunks(q.body[:9], q.body[9:]),
                      fields=[("Transfer-Encoding", "chunked")])
    return answer(q, q.body)


def work(number):
    """Clients with kept connections, each with bodies of its own."""
    failed = []

    def one_client(n):
        try:
            c = http.client.HTTPConnection("127.0.0.1", number, timeout=WAIT)
            for i in range(EACH):
                body = BIG[n:] if i == 5 else b"%d/%d " % (n, i) * (1 + i)
                c.request("POST", "/chunked" if i % 2 else "/length",
                          iter([body]) if i % 3 else body)
                r = c.getresponse()
                got = r.read()
                eq(r.status, 200, "status, with %r" % got[:100])
                eq(hashlib.sha256(got).digest(),
                   hashlib.sha256(body).digest(), "the body")
            c.request("HEAD", "/length")
            r = c.getresponse()
            eq((r.status, r.read()), (200, b""), "HEAD")
            c.close()
        except Exception as e:
            failed.append(e)
    threads = [threading.Thread(target=one_client, args=(n,))
               for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    eq(failed, [], "what went wrong")


def behind():
    o = HttpOrigin(echo, keep=False)
    return o, Weir(one(o, pool="max = 4; queue_timeout = \"20s\";"))


def as_wanted(w, o, may=()):
    eq({k: n for k, n in w.failures().items() if k not in may}, {},
       "failures")
    check(1 <= o.accepted <= 4, "upstream connections: %d" % o.accepted)
    until(lambda: w.pool()["leased"] == 0, "at rest")
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")


@case
def nginx_with_kept_connections():
    o, w = behind()
    nginx = Nginx("""proxy_http_version 1.1; proxy_set_header Connection "";
 location / { proxy_pass http://weir; }
 location /chunked { proxy_pass http://weir; proxy_request_buffering off;
  proxy_buffering off; }""", "upstream weir { server 127.0.0.1:%d; "
                  "keepalive 30; }" % w.conf.ports["front"])
    work(nginx.number)
    eq(o.requests, CLIENTS * (EACH + 1), "requests")
    as_wanted(w, o)
    came = w.listener()["connections"]["accepted_total"]
    check(came <= CLIENTS, "nginx connected %d times" % came)


@case
def nginx_as_it_comes():
    # HTTP/1.0 and Connection: close towards its servers.
    o, w = behind()
    nginx = Nginx("location / { proxy_pass http://127.0.0.1:%d; }" %
                  w.conf.ports["front"])
    work(nginx.number)
    eq(o.requests, CLIENTS * (EACH + 1), "requests")
    as_wanted(w, o)
    eq(w.listener()["connections"]["accepted_total"], o.requests,
       "a connection a request")


@case
def haproxy_with_checks():
    o, w = behind()
    front = port()
    haproxy(front, w.conf.ports["front"])
    # Its first check goes through weir to the origin before any client.
    until(lambda: o.requests >= 1, "a health check")
    work(front)
    check(o.requests >= CLIENTS * (EACH + 1), "requests: %d" % o.requests)
    # A check may be cut short by haproxy when the machine is slow.
    as_wanted(w, o, ["client_abort"])


@case
def haproxy_in_tcp_mode():
    o = HttpOrigin(echo, keep=False)
    w = Weir(Conf().listener("front", protocol="tcp").upstream("back", o))
    front = port()
    haproxy(front, w.conf.ports["front"], http=False)
    work(front)
    eq(o.requests, CLIENTS * (EACH + 1), "requests")
    eq(w.failures(), {}, "failures")
    check(o.accepted >= CLIENTS, "a session is a connection")


run()
