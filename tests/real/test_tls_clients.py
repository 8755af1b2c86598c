"""Others' TLS clients and servers: curl, wget, Node and wrk in front, nginx and
haproxy on either side; every answer is whole, upstream connections are few.
"""
# SPDX-License-Identifier: MIT
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, die_with_parent, eq, need, port, put, run
from programs import Nginx, start as start_program
from tls import Ca
from web import HttpOrigin, answer
from weir import Weir, one

BIG = random.Random(1).randbytes(3 << 20)
_kept = []


def ca():
    if not _kept:
        _kept.append(Ca())
        _kept.append(_kept[0].cert("localhost", "DNS:localhost,IP:127.0.0.1"))
    return _kept[0]


def cert():
    ca()
    return _kept[1]


def start(**more):
    o = HttpOrigin(lambda q, link: answer(
        q, BIG if q.path == "/big" else q.body + b"|" + q.method.encode()),
        keep=False)
    w = Weir(one(o, front=" tls = { %s };" % cert().conf(), **more))
    return o, w, "https://localhost:%d" % w.conf.ports["front"]


def called(program, *argv, status=0, text=None):
    r = subprocess.run([need(program), *map(str, argv)], timeout=60,
                       input=text, capture_output=True,
                       preexec_fn=die_with_parent)
    eq(r.returncode, status, "exit status of %s: %s" % (
        program, r.stderr[-800:].decode("latin-1")))
    return r.stdout


@case
def curl_fetches_and_sends():
    o, w, url = start()
    for how in (("--http1.1",), ("--http2",), ("--tls-max", "1.2"),
                ("--tls-max", "1.2", "--http1.1"), ("--tlsv1.3",)):
        def curl(*argv, how=how, target="/"):
            return called("curl", "-sS", "--noproxy", "*", "--cacert",
                          ca().crt, "--max-time", "30", *how, *argv,
                          url + target)
        eq(curl(), b"|GET", "GET")
        eq(curl("-d", "a=b"), b"a=b|POST", "POST")
        check(curl(target="/big") == BIG, "a large answer")
        path = put("big", BIG)
        check(curl("-T", path, target="/up") == BIG + b"|PUT", "a large body")
        # Ten on one connection.
        eq(called("curl", "-sS", "--noproxy", "*", "--cacert", ca().crt,
                  *how, *["%s/%d" % (url, n) for n in range(10)]),
           b"|GET" * 10, "ten")
    eq(w.failures(), {}, "failures")
    check(o.accepted <= 3, "upstream connections: %d" % o.accepted)
    w.balanced(o)


@case
def wget_and_python_verify_it():
    o, w, url = start()
    eq(called("wget", "-q", "-O", "-", "--no-proxy", "--ca-certificate",
              ca().crt, url + "/"), b"|GET", "wget")
    said = subprocess.run(
        [sys.executable, "-c", "import sys, ssl, urllib.request as u\n"
         "c = ssl.create_default_context(cafile=sys.argv[1])\n"
         "o = u.build_opener(u.ProxyHandler({}), u.HTTPSHandler(context=c))\n"
         "print(o.open(sys.argv[2]).read())", ca().crt, url + "/"],
        capture_output=True, text=True, timeout=60)
    eq(said.stdout.strip(), "b'|GET'", "urllib: " + said.stderr[-500:])
    # And not by anybody.
    called("curl", "-sS", "--noproxy", "*", url, status=60)
    eq(w.listener()["tls"]["problems_total"]["peer_alert"] +
       w.listener()["tls"]["problems_total"]["closed"], 1, "refused once")
    w.balanced(o)


NODE = r"""
import https from 'node:https';
import http2 from 'node:http2';
import fs from 'node:fs';
const [url, file] = process.argv.slice(2), ca = fs.readFileSync(file);
const agent = new https.Agent({ keepAlive: true, maxSockets: 4, ca });
const get = (n) => new Promise((done, fail) => https.request(
  url + '/' + n, { agent, method: 'POST' }, (r) => {
    let text = ''; r.on('data', (d) => text += d); r.on('end',
      () => done(text)); }).on('error', fail).end('a' + n));
const all = await Promise.all([...Array(100).keys()].map(get));
if (!all.every((t, n) => t === `a${n}|POST`)) throw new Error('https');
agent.destroy();
const s = http2.connect(url, { ca });
const ask = (n) => new Promise((done, fail) => {
  const q = s.request({ ':path': '/' + n, ':method': 'POST' });
  let text = ''; q.setEncoding('utf8');
  q.on('data', (d) => text += d); q.on('end', () => done(text));
  q.on('error', fail); q.end('b' + n); });
const both = await Promise.all([...Array(100).keys()].map(ask));
if (!both.every((t, n) => t === `b${n}|POST`)) throw new Error('http2');
console.log(s.alpnProtocol); s.close();
"""


@case
def node_speaks_both_versions():
    o, w, url = start(pool="max = 8;")
    eq(called("node", put("client.mjs", NODE), url, ca().crt).strip(), b"h2",
       "Node")
    eq(o.requests, 200, "requests")
    check(o.accepted <= 8, "upstream connections: %d" % o.accepted)
    w.balanced(o)


@case
def wrk_under_reloads():
    o, w, url = start(workers=2, pool="max = 16;")
    p = subprocess.Popen([need("wrk"), "-t", "2", "-c", "40", "-d", "3s", url],
                         stdout=subprocess.PIPE, text=True,
                         preexec_fn=die_with_parent)
    for _ in range(5):
        w.reload()
    said = p.communicate(timeout=60)[0]
    check("Socket errors" not in said and "Non-2xx" not in said, said)
    check(o.accepted <= 16 * 6, "upstream connections: %d" % o.accepted)
    w.balanced(o)


def fetch(number, path="/"):
    return called("curl", "-sS", "--noproxy", "*", "--max-time", "30",
                  "http://127.0.0.1:%d%s" % (number, path))


def between(back):
    """TLS on both sides."""
    return one('"localhost:%d"' % back, pool="max = 4;",
               up=' tls = { ca = "%s"; };' % ca().crt,
               front=" tls = { %s };" % cert().conf())


@case
def nginx_on_both_sides():
    """A client, nginx, TLS, weir, TLS, nginx; and what each of them counts."""
    back, front = port(), port()
    conf = between(back)
    weir = conf.ports["front"]
    nginx = Nginx("", """
 server { listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;
  ssl_session_cache shared:back:1m; root www; }
 upstream weir { server 127.0.0.1:%d; keepalive 4; }
 server { listen 127.0.0.1:%d; location / { proxy_pass https://weir;
  proxy_ssl_verify on; proxy_ssl_trusted_certificate %s;
  proxy_ssl_name localhost; proxy_ssl_server_name on;
  proxy_http_version 1.1; proxy_set_header Connection ""; } }""" % (
        back, cert().crt, cert().key, weir, front, ca().crt))
    nginx.file("big", BIG)
    nginx.file("small", b"x" * 1024)
    w = Weir(conf)
    check(fetch(front, "/big") == BIG, "a large answer")
    called("ab", "-q", "-k", "-n", "500", "-c", "8",
           "http://127.0.0.1:%d/small" % front)
    eq(w.failures(), {}, "failures")
    tls = w.listener()["tls"]
    # It keeps four connections, and closes what it has more of.
    check(tls["handshakes_total"] < 250 and tls["resumed_total"] >=
          tls["handshakes_total"] // 2, "handshakes: %r" % tls)
    check(w.upstream()["connects_total"] <= 4, "upstream connections")


@case
def haproxy_on_both_sides():
    back, front = port(), port()
    conf = between(back)
    weir = conf.ports["front"]
    nginx = Nginx("")
    nginx.file("big", BIG)
    pem = put("haproxy.pem", open(cert().crt).read() + open(cert().key).read())
    start_program("haproxy", front, [need("haproxy"), "-db", "-f", put(
        "haproxy-tls.cfg", """
global
 maxconn 500
 nbthread 1
defaults
 mode http
 timeout connect 5s
 timeout client 60s
 timeout server 60s
 http-reuse always
listen back
 bind 127.0.0.1:%d ssl crt %s alpn h2,http/1.1
 server nginx 127.0.0.1:%d
listen front
 bind 127.0.0.1:%d
 server weir 127.0.0.1:%d ssl verify required ca-file %s sni str(localhost) \
  verifyhost localhost alpn h2,http/1.1
""" % (back, pem, nginx.number, front, weir, ca().crt))])
    w = Weir(conf)
    check(fetch(front, "/big") == BIG, "a large answer")
    called("ab", "-q", "-k", "-n", "60", "-c", "8",
           "http://127.0.0.1:%d/big" % front)
    eq(w.failures(), {}, "failures")
    check(w.upstream()["connects_total"] <= 4, "upstream connections")


if __name__ == "__main__":
    run()
