"""The main job with programs that nobody here wrote: curl in front of weir,
nginx behind it, and nginx's log counts the upstream connections.
"""
# SPDX-License-Identifier: MIT
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, die_with_parent, eq, later, need, port, put
from case import run, temp_dir, until
from weir import Weir, listening, one

BIG = os.urandom(3 << 20)


def nginx():
    """An nginx that serves files, takes uploads and logs its connections."""
    program, number, root = need("nginx"), port(), temp_dir()
    os.makedirs(root + "/www", exist_ok=True)
    put("www/big", BIG)
    put("www/small", "small\n")
    os.chmod(root, 0o777)
    user = "user root;" if os.getuid() == 0 else ""
    conf = put("nginx.conf", """daemon off; worker_processes 1; pid %(r)s/pid;
%(u)s
error_log %(r)s/nginx.err;
events { worker_connections 500; }
http { log_format n '$connection $connection_requests $request_method '
 '$uri $status'; access_log %(r)s/access n;
 client_body_temp_path %(r)s/t1; proxy_temp_path %(r)s/t2;
 fastcgi_temp_path %(r)s/t3; uwsgi_temp_path %(r)s/t4;
 scgi_temp_path %(r)s/t5; keepalive_requests 100000; client_max_body_size 0;
 absolute_redirect off;
 server { listen 127.0.0.1:%(n)d; root %(r)s/www;
  location = /who { return 200 "$host $http_x_forwarded_for\\n"; }
  location /put/ { dav_methods PUT DELETE; create_full_put_path on; }
  location = /moved { return 302 /small; }
  location = /gone { return 204; } } }
""" % {"r": root, "n": number, "u": user})
    p = subprocess.Popen([program, "-c", conf, "-p", root, "-e",
                          root + "/nginx.err"], stderr=subprocess.DEVNULL,
                         preexec_fn=die_with_parent)

    def end():
        p.terminate()
        p.wait()
    later(end)
    until(lambda: listening(number), "nginx listening")
    return number, root + "/access"


def connections(log):
    """The upstream connections that nginx's log tells of."""
    with open(log) as f:
        return len({line.split()[0] for line in f if line.strip()})


def curl(w, *argv, target="/small", data=None):
    r = subprocess.run(
        [need("curl"), "-sS", "--no-progress-meter",
         "--noproxy", "*", "--max-time", "30", *argv,
         "http://127.0.0.1:%d%s" % (w.conf.ports["front"], target)],
        capture_output=True, input=data)
    eq((r.returncode, r.stderr.decode()), (0, ""), "curl %s" % (argv,))
    return r.stdout


def sha(data):
    return hashlib.sha256(data).hexdigest()


@case
def curl_gets_what_nginx_serves():
    number, log = nginx()
    w = Weir(one(number))
    eq(curl(w), b"small\n", "GET")
    eq(curl(w, "--http1.0"), b"small\n", "HTTP/1.0")
    eq(sha(curl(w, target="/big")), sha(BIG), "3 MiB")
    eq(curl(w, "-r", "5-9", target="/big"), BIG[5:10], "a range")
    head = curl(w, "-I", target="/big")
    check(head.startswith(b"HTTP/1.1 200") and
          b"content-length: %d\r\n" % len(BIG) in head.lower(),
          "HEAD: %r" % head)
    eq(curl(w, "-L", target="/moved"), b"small\n", "a redirection")
    eq(curl(w, "-w", "%{http_code}", target="/gone"), b"204", "204")
    eq(curl(w, "-o", "/dev/null", "-w", "%{http_code}", target="/none"),
       b"404", "404")
    tag = [line for line in curl(w, "-I").split(b"\r\n")
           if line.lower().startswith(b"etag:")][0].split(b" ")[1].decode()
    eq(curl(w, "-H", "If-None-Match: " + tag, "-w", "%{http_code}"), b"304",
       "304")
    eq(curl(w, "-H", "Host: shop.test", target="/who"),
       b"shop.test 127.0.0.1\n", "what nginx is told")
    eq(connections(log), 1, "upstream connections")
    u = w.upstream()
    eq((u["connects_total"], w.failures()), (1, {}), "connects, failures")
    w.balanced()


@case
def curl_uploads_to_nginx():
    number, log = nginx()
    w = Weir(one(number))
    file = put("upload", BIG)
    for n, argv in enumerate((["-T", file], ["-T", file, "-H", "Expect: "
                                             "100-continue"],
                              ["-T", file, "--http1.0"])):
        code = curl(w, *argv, "-o", "/dev/null", "-w", "%{http_code}",
                    target="/put/%d" % n)
        eq(code, b"201", "upload %s" % argv[2:])
        eq(sha(curl(w, target="/put/%d" % n)), sha(BIG), "what nginx holds")
    eq(curl(w, "-T", "-", "-o", "/dev/null", "-w", "%{http_code}",
            target="/put/chunked", data=BIG), b"201", "chunked upload")
    eq(sha(curl(w, target="/put/chunked")), sha(BIG), "what nginx holds")
    check(connections(log) <= 2, "upstream: %d" % connections(log))
    eq(w.failures(), {}, "failures")
    w.balanced()


@case
def a_hundred_in_one_curl_and_in_parallel():
    number, log = nginx()
    w = Weir(one(number, pool="max = 4;"))
    out = curl(w, "-o", "/dev/null", "-w", "%{http_code} ",
               target="/small?[1-100]")
    eq(out, b"200 " * 100, "in a row")
    out = curl(w, "-Z", "--parallel-max", "20", "-w", "%{http_code} ",
               "-o", "/dev/null", target="/small?[1-100]")
    eq(out.count(b"200 "), 100, "in parallel")
    check(connections(log) <= 4, "upstream: %d" % connections(log))
    eq(w.upstream()["requests_total"], 200, "requests_total")
    w.balanced()


@case
def nginx_restarts_and_nobody_notices():
    number, log = nginx()
    w = Weir(one(number))
    eq(curl(w), b"small\n", "before")
    with open(temp_dir() + "/pid") as f:
        os.kill(int(f.read()), 1)           # nginx: new workers, old leave
    for _ in range(50):
        eq(curl(w), b"small\n", "during")
    eq(w.failures(), {}, "failures")
    w.balanced()


run()
