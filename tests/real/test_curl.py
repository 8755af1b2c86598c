"""What curl can ask for beyond a plain GET: compression, limited rates, many
at once, ranges, resumed downloads, forms, h2c, and leaving too early.
"""
# SPDX-License-Identifier: MIT
import hashlib
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, die_with_parent, eq, need, put, run, temp_dir
from case import until
from programs import Nginx
from web import HttpOrigin, answer, read_request_body
from weir import Weir, one

BIG = random.Random(1).randbytes(1 << 20)
TEXT = b"the same words again and again\n" * 30000


def curl(w, *argv, target="/", status=0):
    r = subprocess.run(
        [need("curl"), "-sS", "--noproxy", "*", "--max-time", "30", *argv,
         "http://127.0.0.1:%d%s" % (w.conf.ports["front"], target)],
        capture_output=True, preexec_fn=die_with_parent)
    eq(r.returncode, status, "exit status of curl %s: %s" % (
        argv, r.stderr.decode()))
    return r.stdout


def served(pool="max = 4;"):
    # nginx packs nothing for a proxy, which Via tells, unless told to.
    nginx = Nginx("gzip on; gzip_types *; gzip_min_length 100; "
                  "gzip_http_version 1.0; gzip_proxied any; "
                  "location /slow { limit_rate 100k; }")
    for name, data in (("big", BIG), ("text", TEXT), ("slow", BIG)):
        nginx.file(name, data)
    return nginx, Weir(one(nginx.number, pool=pool))


def at_rest(w, nginx, most):
    eq(w.failures(), {}, "failures")
    w.balanced()
    check(nginx.connections() <= most, "nginx has seen %d connections" %
          nginx.connections())
    eq(w.upstream()["connects_total"], nginx.connections(), "connects_total")


@case
def compressed_answers():
    nginx, w = served()
    for version in ("--http1.1", "--http1.0"):
        packed = curl(w, version, "-H", "Accept-Encoding: gzip",
                      target="/text")
        check(len(packed) < len(TEXT) // 10, "%d bytes" % len(packed))
        check(curl(w, version, "--compressed", target="/text") == TEXT,
              "unpacked, it is the file")
    check(curl(w, target="/text") == TEXT, "without asking for it")
    # nginx ends what it packs for HTTP/1.0 by closing, but weir asks in 1.1.
    at_rest(w, nginx, 1)


@case
def ranges_and_resumed_downloads():
    nginx, w = served()
    eq(curl(w, "-r", "0-0", target="/big"), BIG[:1], "the first byte")
    eq(curl(w, "-r", "-10", target="/big"), BIG[-10:], "the last ten")
    parts = curl(w, "-r", "0-1,100-109", target="/big")
    check(b"multipart" not in parts and BIG[100:110] in parts and
          parts.count(b"Content-Range") == 2, "two ranges: %r" % parts)
    eq(curl(w, "-r", "9999999-", "-o", "/dev/null", "-w", "%{http_code}",
            target="/big"), b"416", "beyond the end")
    half = put("half", BIG[:500000])
    curl(w, "-C", "-", "-o", half, target="/big")
    with open(half, "rb") as f:
        check(f.read() == BIG, "the rest was added")
    at_rest(w, nginx, 1)


@case
def slow_readers_and_a_slow_origin():
    nginx, w = served()
    check(curl(w, "--limit-rate", "1M", target="/big") == BIG, "1 MiB/s")
    eq(curl(w, "-r", "0-99999", target="/slow"), BIG[:100000], "slow origin")
    at_rest(w, nginx, 1)


@case
def sixty_downloads_at_once():
    nginx, w = served()
    out = os.path.join(temp_dir(), "out")
    os.mkdir(out)
    curl(w, "--parallel", "--parallel-max", "30", "--parallel-immediate",
         "-o", out + "/#1", target="/big?[1-60]")
    wanted = hashlib.sha256(BIG).digest()
    for n in range(1, 61):
        with open("%s/%d" % (out, n), "rb") as f:
            check(hashlib.sha256(f.read()).digest() == wanted, "file %d" % n)
    eq(w.upstream()["requests_total"], 60, "requests")
    at_rest(w, nginx, 4)


@case
def forms_and_uploads():
    def handler(q, link):
        # Without the 100 that curl asks for, it would wait a second and weir
        # not use the connection again.
        if q.get("Expect"):
            link.send("HTTP/1.1 100 Continue\r\n\r\n")
        read_request_body(link, q)
        return answer(q, "%s %d %s" % (
            q.method, len(q.body), hashlib.sha256(q.body).hexdigest()))
    file = put("file", BIG)
    o = HttpOrigin(handler, bodies=False)
    w = Weir(one(o, pool="max = 4;"))
    mine = hashlib.sha256(BIG).hexdigest().encode()
    for version in ("--http1.1", "--http1.0"):
        for more in ((), ("-H", "Expect: 100-continue")):
            eq(curl(w, version, *more, "-T", file),
               b"PUT %d " % len(BIG) + mine, "PUT")
            eq(curl(w, version, *more, "--data-binary", "@" + file),
               b"POST %d " % len(BIG) + mine, "POST")
    eq(curl(w, "-H", "Transfer-Encoding: chunked", "-T", file),
       b"PUT %d " % len(BIG) + mine, "chunked PUT")
    said = curl(w, "-F", "a=b", "-F", "f=@" + file)
    check(int(said.split()[1]) > len(BIG), "a form: %r" % said)
    check(BIG in o.seen[-1].body, "the file is in the form")
    eq(curl(w, "-X", "DELETE"), b"DELETE 0 " +
       hashlib.sha256(b"").hexdigest().encode(), "DELETE")
    eq(curl(w, "-X", "OPTIONS", "--request-target", "*")[:7], b"OPTIONS",
       "OPTIONS *")
    o.had(1)
    eq(w.failures(), {}, "failures")
    w.balanced(o)


@case
def an_offer_of_http_2_is_not_passed_on():
    o = HttpOrigin()
    w = Weir(one(o))
    for _ in range(2):
        eq(curl(w, "--http2", "-o", "/dev/null", "-w",
                "%{http_code} %{http_version}"), b"200 1.1", "answer")
    for q in o.seen:
        eq((q.get("Upgrade"), q.get("HTTP2-Settings")), (None, None),
           "what the origin is told")
    o.had(1)
    w.balanced(o)


@case
def curl_that_leaves_too_early():
    nginx, w = served()
    for _ in range(3):
        # 28: it took too long, as curl sees it.
        curl(w, "--max-time", "0.3", "-o", "/dev/null", target="/slow",
             status=28)
        check(curl(w, target="/big") == BIG, "the next")
    until(lambda: w.failures() == {"client_abort": 3}, "three aborts")
    w.balanced()
    check(nginx.connections() <= 4, "nginx has seen %d connections" %
          nginx.connections())


run()
