"""The recipes of README.md, whose files are packaging/recipes: each is copied
into an empty folder, with other ports, and used with real servers and clients
as the README says.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from case import case, check, eq, need, port, put, temp_dir
from case import run as run_cases
from certs import Authority
from postgres import Postgres
from programs import Nginx, run, start
from weir import BINARY

TREE = os.path.join(HERE, "..", "..")
RECIPES = os.path.join(TREE, "packaging", "recipes")


def read(path):
    with open(path) as f:
        return f.read()


class Tried:
    """One recipe, running. swaps: what stands in it, and what instead; texts
    of files that it names. ports: address in the file -> port."""

    def __init__(self, name, *swaps, env=(), files=()):
        self.folder = os.path.join(temp_dir(), name)
        os.mkdir(self.folder)
        text = read(os.path.join(RECIPES, name + ".conf"))
        self.ports = {}
        for old, new in swaps + (("127.0.0.1:9901", None),):
            check('"%s' % old in text, "%s lacks %s" % (name, old))
            if new is None:
                self.ports[old] = port()
                new = "127.0.0.1:%d" % self.ports[old]
            text = text.replace('"' + old, '"' + new)
        for file, data in (("weir.conf", text), *files):
            put(os.path.join(name, file), data)
        self.file = os.path.join(self.folder, "weir.conf")
        front = self.ports[swaps[0][0]]
        start(name, front, ["env", "-C", self.folder, *env, BINARY, "-c",
                            "weir.conf"])
        self.env = env
        self.weir("check")
        self.weir("wait", "--timeout", "20s")
        self.front = front

    def weir(self, *argv):
        return run("env", *self.env, BINARY, "-c", self.file, *argv)

    def upstream(self):
        return json.loads(self.weir("get", "/stats"))["upstreams"][0]


@case
def http_sidecar():
    nginx = Nginx("location = /healthz { return 200 ok; } "
                  "location / { return 200 hello; }")
    t = Tried("http-sidecar", ("0.0.0.0:8080", None), ("0.0.0.0:9902", None),
              ("127.0.0.1:3000", "127.0.0.1:%d" % nginx.number))
    out = run(need("wrk"), "-t1", "-c200", "-d1s", "--timeout", "20s",
              "http://127.0.0.1:%d/" % t.front)
    check("Non-2xx" not in out and "Socket errors" not in out, out)
    u = t.upstream()
    check(2 <= u["connects_total"] <= 32, "connections: %r" % u)
    eq(run(need("curl"), "-sf", "127.0.0.1:%d/readyz" %
           t.ports["0.0.0.0:9902"]).strip()[:5], "ready", "/readyz")


@case
def redis_for_php():
    redis = port()
    start("redis", redis, [need("redis-server"), "--port", str(redis), "--dir",
                           temp_dir(), "--save", "", "--requirepass", "pass"])
    socket = os.path.join(temp_dir(), "redis.sock")
    t = Tried("redis-for-php", ("127.0.0.1:6380", None),
              ("unix:/run/weir/redis.sock", "unix:" + socket),
              ("127.0.0.1:6379", "127.0.0.1:%d" % redis),
              env=["REDIS_PASSWORD=pass"])
    # A connection, a login and a command for each request, as PHP does.
    out = run(need("redis-benchmark"), "-p", str(t.front), "-a", "any", "-k",
              "0", "-c", "50", "-n", "2000", "-q", "-t", "incr")
    check("requests per second" in out, out)
    eq(run("redis-cli", "-s", socket, "get", "counter:__rand_int__").strip(),
       "2000", "what they counted")
    seen = run("redis-cli", "-p", str(redis), "-a", "pass",
               "--no-auth-warning", "info", "stats")
    made = int(re.search(r"total_connections_received:(\d+)", seen)[1])
    check(made <= 8 + 4, "Redis saw %d connections" % made)
    check(t.upstream()["connects_total"] <= 8, "connects_total")


@case
def postgres_for_bursts():
    server = Postgres(scram=True)
    with server.desk(database="shop") as d:
        d.query("CREATE ROLE app LOGIN PASSWORD 'secret'")
    t = Tried("postgres-bursts", ("127.0.0.1:6432", None),
              ("127.0.0.1:5432", server.address), env=["APP_PASSWORD=secret"])
    eq(t.upstream()["connects_total"], 4, "connections made in advance")
    # Each connects, asks and goes, 100 at a time.
    query = put("burst.sql", "SELECT 1;\n")
    out = run("env", "PGPASSWORD=secret", server.bin + "/pgbench", "-n", "-C",
              "-c", "100", "-t", "3", "-f", query, "-h", "127.0.0.1", "-p",
              str(t.front), "-U", "app", "shop")
    check(re.search(r"processed: 300/300", out), out)
    u = t.upstream()
    check(u["connects_total"] <= 16, "%d connections" % u["connects_total"])


@case
def tls_before_an_old_server():
    www = os.path.join(temp_dir(), "www")
    os.mkdir(www)
    put("www/index.html", "old\n")
    old = port()
    # HTTP/1.0, a connection for each request.
    start("old", old, [sys.executable, "-m", "http.server", "--bind",
                       "127.0.0.1", "--directory", www, str(old)])
    ca = Authority()
    pair = ca.server("localhost", "127.0.0.1")
    t = Tried("tls-front", ("0.0.0.0:443", None), ("[::]:443", None),
              ("127.0.0.1:8000", "127.0.0.1:%d" % old),
              files=[("edge.crt", read(pair.file)),
                     ("edge.key", read(pair.key))])
    for options, version in (((), "2"), (("--http1.1",), "1.1")):
        eq(run(need("curl"), "-sf", *options, "--cacert", ca.file, "-w",
               "%{http_version}", "https://localhost:%d/" % t.front),
           "old\n" + version, "answer")
    eq(run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
           "http://localhost:%d/" % t.front), "400", "without TLS")


@case
def egress_with_a_rate_that_waits():
    ca = Authority()
    pair = ca.server("localhost", "127.0.0.1")
    secure = port()
    Nginx("", more='server { listen 127.0.0.1:%d ssl; ssl_certificate %s; '
          'ssl_certificate_key %s; location / { return 200 '
          '"$http_host $http_authorization $http_x_forwarded_for\\n"; } }' % (
              secure, pair.file, pair.key))
    t = Tried("egress", ("127.0.0.1:8081", None),
              ("api.example.com:443", "localhost:%d" % secure),
              env=["API_KEY=key", "SSL_CERT_FILE=" + ca.file])
    ask = "127.0.0.1:%d/" % t.front
    eq(run(need("curl"), "-sf", ask), "localhost:%d Bearer key \n" % secure,
       "what the API is asked")
    # More at once than the rate allows: none fails, some wait.
    out = run(need("ab"), "-n", "12", "-c", "12", "http://" + ask)
    check(re.search(r"Failed requests: +0\n", out) and
          "Non-2xx" not in out, out)
    u = t.upstream()
    check(u["connects_total"] <= 4, "%d connections" % u["connects_total"])
    text = t.weir("get", "/metrics")
    waited = int(re.search(r"weir_upstream_delayed_total\{[^}]*"
                           r'reason="request_rate"[^}]*\} (\d+)', text)[1])
    check(waited > 0, "none waited")


@case
def the_readme_shows_the_files_that_are_tried():
    text = read(os.path.join(TREE, "README.md"))
    for name in re.findall(r"packaging/recipes/([a-z-]+\.conf)", text):
        wanted = [line for line in read(os.path.join(RECIPES, name))
                  .split("\n") if line]
        shown = "\n".join("    " + line for line in wanted)
        check(shown in text, "README.md does not show %s as it is" % name)


def names():
    """Every key with its path, every command, as the program tells."""
    path, found = "", {"weir", "http", "tcp", "redis", "memcached", "postgres"}
    for line in run(BINARY, "-h", "config").split("\n"):
        if line.startswith("Keys of "):
            path = line[8:].split(":")[0].replace("[]", "").split(" ")[0] + "."
        elif re.match(r"  [a-z]", line):
            key = path + line.split()[0]
            found |= {".".join(key.split(".")[n:])
                      for n in range(key.count(".") + 1)}
    return found | set(re.findall(r"^  (weir [a-z]+)", run(BINARY, "-h"),
                                  re.M))


@case
def what_the_readme_says_instead_of_others_options_is_there():
    """Tables whose second column is "weir"."""
    known, ours = names(), False
    check(len(known) > 200, "%d names" % len(known))
    for line in read(os.path.join(TREE, "README.md")).split("\n"):
        cells = [c.strip() for c in line.split(" | ")]
        if not line.startswith("| "):
            ours = False
        elif cells[-1] == "weir |":
            ours = True
        elif ours:
            for name in re.findall(r"`([a-z_. ]+)`", cells[-1]):
                if name.startswith("weir "):
                    name = " ".join(name.split()[:2])
                check(name in known, "README.md: there is no " + name)


run_cases()
