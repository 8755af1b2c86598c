"""Python's http.client and urllib in front of weir, its http.server behind it:
connections are reused where both ends can, and nobody notices where not.
"""
# SPDX-License-Identifier: MIT
import hashlib
import http.client
import http.server
import os
import random
import sys
import threading
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, later, run
from weir import Weir, one

BIG = random.Random(2).randbytes(3 << 20)


class Handler(http.server.BaseHTTPRequestHandler):
    """Echoes, with the length before or in chunks."""
    disable_nagle_algorithm = True

    def do_POST(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(int(self.headers.get("X-Status", "200")))
        self.send_header("X-Sha", hashlib.sha256(body).hexdigest())
        if self.headers.get("X-Chunks"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 70000):
                part = body[at:at + 70000]
                self.wfile.write(b"%X;x=\"y\"\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_PUT = do_POST

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "12345")
        self.end_headers()

    def chunk(self):
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """http.server, which counts its connections."""
    request_queue_size = 200
    daemon_threads = True

    def __init__(self, version):
        handler = type("H", (Handler,), {"protocol_version": version})
        super().__init__(("127.0.0.1", 0), handler)
        self.accepted = 0
        threading.Thread(target=self.serve_forever, args=(0.05,),
                         daemon=True).start()
        later(self.server_close)
        later(self.shutdown)

    def get_request(self):
        got = super().get_request()
        self.accepted += 1
        return got


def behind(version="HTTP/1.1", pool="max = 4;"):
    server = Server(version)
    return server, Weir(one(server.server_address[1], pool=pool))


def client(w):
    c = http.client.HTTPConnection("127.0.0.1", w.conf.ports["front"],
                                   timeout=WAIT)
    later(c.close)
    return c


def echoed(c, body, fields=None, **more):
    """Post a body; the same comes back."""
    c.request("POST", "/echo", body, fields or {}, **more)
    r = c.getresponse()
    got = r.read()
    sent = body if isinstance(body, bytes) else b"".join(pieces(BIG))
    eq((r.status, r.getheader("X-Sha"), len(got)),
       (200, hashlib.sha256(sent).hexdigest(), len(sent)), "answer")
    check(got == sent, "the body came back")


def pieces(data):
    for at in range(0, len(data), 50001):
        yield data[at:at + 50001]


@case
def http_client_keeps_its_connection():
    server, w = behind()
    c = client(w)
    for n in range(100):
        echoed(c, b"n%d" % n)
    sock = c.sock
    for fields in ({}, {"X-Chunks": "1"}):
        echoed(c, BIG, fields)
        echoed(c, pieces(BIG), fields, encode_chunked=True)
    c.request("HEAD", "/")
    r = c.getresponse()
    eq((r.status, r.getheader("Content-Length"), r.read()),
       (200, "12345", b""), "HEAD")
    for status in (204, 304):
        c.request("GET", "/", headers={"X-Status": str(status)})
        r = c.getresponse()
        eq((r.status, r.read()), (status, b""), "no body")
    echoed(c, b"last")
    check(c.sock is sock, "http.client connected anew")
    eq(server.accepted, 1, "upstream connections")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced()


@case
def urllib_closes_and_the_pool_does_not():
    server, w = behind()
    url = "http://127.0.0.1:%d/" % w.conf.ports["front"]
    for n in range(50):
        with urllib.request.urlopen(url + str(n), timeout=WAIT) as r:
            eq((r.status, r.read()), (200, b""), "answer")
    with urllib.request.urlopen(url, BIG, timeout=WAIT) as r:
        check(r.read() == BIG, "the body came back")
    try:
        urllib.request.urlopen(urllib.request.Request(
            url, headers={"X-Status": "418"}), timeout=WAIT)
        check(False, "418 is no error")
    except urllib.error.HTTPError as e:
        eq(e.code, 418, "status")
        e.close()
    eq(w.listener()["connections"]["accepted_total"], 52, "clients")
    eq(server.accepted, 1, "upstream connections")
    w.balanced()


@case
def forty_threads_over_four_connections():
    server, w = behind(pool="max = 4; queue_timeout = \"20s\";")
    failed = []

    def work(n):
        try:
            c = client(w)
            for i in range(20):
                echoed(c, b"%d/%d " % (n, i) * (1 + 37 * i),
                       {"X-Chunks": "1"} if i % 2 else {})
            c.close()
        except Exception as e:
            failed.append(e)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    eq(failed, [], "what went wrong")
    eq(w.upstream()["requests_total"], 800, "requests")
    check(server.accepted <= 4, "upstream: %d" % server.accepted)
    w.balanced()


@case
def an_http_1_0_server_behind_does_not_end_the_client():
    server, w = behind("HTTP/1.0")
    c = client(w)
    c.connect()
    sock = c.sock
    for n in range(20):
        echoed(c, b"n%d" % n)
    check(c.sock is sock, "http.client connected anew")
    eq(server.accepted, 20, "upstream connections, one a request")
    eq(w.failures(), {}, "failures")
    c.close()
    w.balanced()


run()
