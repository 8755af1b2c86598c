"""Others' HTTP/2 clients by prior knowledge: curl, nghttp and h2load, against
what nginx serves; every answer is whole and upstream connections are few.
"""
# SPDX-License-Identifier: MIT
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, die_with_parent, eq, need, run, temp_dir
from case import until
from programs import Nginx
from web import HttpOrigin, answer
from weir import Weir, one

BIG = random.Random(1).randbytes(3 << 20)


def called(program, *argv, status=0):
    r = subprocess.run([need(program), *map(str, argv)], timeout=60,
                       capture_output=True, preexec_fn=die_with_parent)
    eq(r.returncode, status, "exit status of %s: %s" % (
        program, r.stderr[-500:].decode("latin-1")))
    return r.stdout


def curl(w, *argv, target="/", status=0):
    return called("curl", "-sS", "--noproxy", "*", "--max-time", "30",
                  "--http2-prior-knowledge", *argv, "http://127.0.0.1:%d%s" %
                  (w.conf.ports["front"], target), status=status)


def served(pool="max = 8;", **more):
    nginx = Nginx("")
    nginx.file("big", BIG)
    nginx.file("small", b"x" * 1024)
    return nginx, Weir(one(nginx.number, pool=pool, **more))


@case
def curl_fetches_and_sends():
    o = HttpOrigin(lambda q, link: answer(
        q, q.body + b"|" + q.method.encode()))
    w = Weir(one(o))
    eq(curl(w), b"|GET", "GET")
    eq(curl(w, "-d", "a=b"), b"a=b|POST", "POST")
    path = os.path.join(temp_dir(), "big")
    with open(path, "wb") as f:
        f.write(BIG)
    eq(curl(w, "-T", path), BIG + b"|PUT", "PUT")
    eq(curl(w, "-H", "Transfer-Encoding: chunked", "-T", path),
       BIG + b"|PUT", "PUT without a length")
    check(curl(w, "-I").startswith(b"HTTP/2 200"), "HEAD")
    eq(curl(w, "-X", "TRACE", "-o", "/dev/null", "-w", "%{http_code}"),
       b"405", "TRACE")
    eq(w.failures(), {"method_not_allowed": 1}, "failures")
    o.had(1)
    w.balanced(o)


@case
def curl_takes_large_answers_slowly_and_leaves():
    nginx, w = served()
    check(curl(w, target="/big") == BIG, "all of it")
    check(curl(w, "--limit-rate", "2m", target="/big") == BIG, "slowly")
    check(curl(w, "-r", "1000-2000", target="/big") == BIG[1000:2001],
          "a range")
    eq(w.failures(), {}, "failures")
    w.balanced()


@case
def curl_leaves_too_early():
    def handler(q, link):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")
        until(link.at_end, "weir closes")
        return False
    o = HttpOrigin(handler)
    w = Weir(one(o))
    curl(w, "--max-time", "1", status=28)
    until(lambda: w.failures() == {"client_abort": 1}, "one abort")
    w.balanced(o)


@case
def nghttp_multiplexes():
    nginx, w = served()
    url = "http://127.0.0.1:%d/" % w.conf.ports["front"]
    out = called("nghttp", "-nv", *[url + "big?%d" % n for n in range(20)])
    eq(len(re.findall(rb"recv DATA .*\n.*END_STREAM", out)), 20, "answers")
    check(b"error_code" not in out or
          b"error_code=NO_ERROR" in out, "errors")
    # Padding, continued headers, small windows, trailers.
    called("nghttp", "-n", "-b", "100", "--continuation", "-w", "10", "-W",
           "10", "--hexdump", url + "big", url + "small")
    out = called("nghttp", "-v", "-d", "/etc/hostname", "--trailer",
                 "x-sum: 1", url + "small")
    check(b":status: 405" in out, "nginx takes no POST of files")
    eq(w.failures(), {}, "failures")
    w.balanced()
    check(nginx.connections() <= 8, "connections")


@case
def h2load_of_many_streams():
    nginx, w = served()
    url = "http://127.0.0.1:%d/" % w.conf.ports["front"]
    for argv, n in ((("-c", 32, "-m", 32, url + "small"), 20000),
                    (("-c", 4, "-m", 100, "-w", 16, url + "small"), 5000),
                    (("-c", 4, "-m", 10, url + "big"), 200)):
        out = called("h2load", "-n", n, *argv).decode()
        found = re.search(r"requests: .* (\d+) succeeded, (\d+) failed, "
                          r"(\d+) errored", out)
        eq(found.groups(), (str(n), "0", "0"), "h2load %r" % (argv,))
    eq(w.failures(), {}, "failures")
    w.balanced()
    check(nginx.connections() <= 8, "connections")


run()
