"""The recipes of README.md, whose files are packaging/recipes, and its first
file: each is copied into an empty folder, with other ports, and used with real
servers and clients as the README says. And what else it names is there.
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


def readme():
    return read(os.path.join(TREE, "README.md"))


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
    text = readme()
    for name in re.findall(r"packaging/recipes/([a-z-]+\.conf)", text):
        wanted = [line for line in read(os.path.join(RECIPES, name))
                  .split("\n") if line]
        shown = "\n".join("    " + line for line in wanted)
        check(shown in text, "README.md does not show %s as it is" % name)


@case
def the_first_file_of_the_readme_serves():
    """The file under "In front of your own server" as it is, but for ports;
    and with the lines that stand there for other protocols."""
    section = re.search(r"## In front of your own server\n(.*?)\n## ",
                        readme(), re.S)[1]
    first, *others = re.findall(r"((?:^    .*\n)+)", section, re.M)
    others = [o for o in others if "\n    ...\n" in o]
    eq(len(others), 2, "files for other protocols")
    for number, lines in enumerate(others):
        listener, upstream = lines.split("    ...\n")
        text = re.sub(r"(listeners = \(\n).*?(    \);)",
                      lambda m: m[1] + listener + m[2], first, flags=re.S)
        text = re.sub(r"(upstreams = \(\n).*?(    \);)",
                      lambda m: m[1] + upstream + m[2], text, flags=re.S)
        run(BINARY, "-c", put("other-%d.conf" % number, text), "check")
    redis, front, admin = port(), port(), port()
    for old, new in ((6379, redis), (6380, front), (9901, admin)):
        check('127.0.0.1:%d"' % old in first, "port %d is not there" % old)
        first = first.replace(":%d" % old, ":%d" % new)
    start("redis", redis, [need("redis-server"), "--port", str(redis), "--dir",
                           temp_dir(), "--save", ""])
    path = put("cache.conf", first)
    start("cache", front, [BINARY, "-c", path])
    run(BINARY, "-c", path, "wait", "--timeout", "20s")
    run(need("redis-benchmark"), "-p", str(front), "-c", "200", "-n", "2000",
        "-q", "-t", "get,set")
    u = json.loads(run(BINARY, "-c", path, "get", "/stats"))["upstreams"][0]
    check(2 <= u["connects_total"] <= 3, "%d connections" %
          u["connects_total"])
    run(BINARY, "-c", path, "stop")


@case
def what_the_readme_names_is_there():
    """Files, tests, headings, commands; and lines have at most 120 columns."""
    text = readme()
    tests = {f for _, _, files in os.walk(os.path.join(TREE, "tests"))
             for f in files}
    for name in re.findall(r"`(test_[a-z0-9_]+\.(?:py|c))`", text):
        check(name in tests, "README.md: there is no test " + name)
    paths = re.findall(r"`((?:tests|packaging)/[\w./-]+)`", text)
    heads = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-")
             for h in re.findall(r"^#+ (.*)$", text, re.M)}
    for link in re.findall(r"\]\((?!http)([^)]+)\)", text):
        if link.startswith("#"):
            check(link[1:] in heads, "README.md: there is no heading " + link)
        else:
            paths.append(link)
    for path in paths:
        check(os.path.exists(os.path.join(TREE, path)),
              "README.md: there is no file " + path)
    known = keys_and_commands()[1]
    for name in re.findall(r"\bweir -c \S+\.conf ([a-z]+)", text):
        check("weir " + name in known, "README.md: no command " + name)
    eq([line for line in text.split("\n") if len(line) > 120], [],
       "long lines of README.md")


def keys_and_commands():
    """Every key with its path, every command, as the program tells."""
    path, keys = "", set()
    for line in run(BINARY, "-h", "config").split("\n"):
        if line.startswith("Keys of the file"):
            path = ""
        elif line.startswith("Keys of "):
            path = line[8:].split(":")[0].replace("[]", "").split(" ")[0] + "."
        elif re.match(r"  [a-z]", line):
            keys.add(path + line.split()[0])
    return keys, set(re.findall(r"^  (weir [a-z]+)", run(BINARY, "-h"), re.M))


ROOMS = {"listener": "listeners.", "upstream": "upstreams.", "file": ""}


@case
def what_the_readme_says_instead_of_others_options_is_there():
    """Tables whose columns are another program, "in" and "weir": a key is
    where the second one says; a row without that names commands and, beside
    what has no counterpart, keys of either kind."""
    keys, commands = keys_and_commands()
    check(len(keys) > 200, "%d names" % len(keys))
    rows, ours = 0, False
    for line in readme().split("\n"):
        cells = [c.strip() for c in line.strip("|").split("|")]
        if not line.startswith("| "):
            ours = False
        elif cells[1:] == ["in", "weir"]:
            ours = True
        elif ours and cells[0] != "---":
            eq(len(cells), 3, "cells of " + line)
            rows += 1
            rooms = [ROOMS[r] for r in cells[1].split(", ") if r] or \
                [*ROOMS.values()]
            for name in re.findall(r"`([^`]*)`", cells[2]):
                if not re.fullmatch(r"[a-z_0-9. ]+", name):
                    continue    # a value, such as "unix:/..."
                if name.startswith("weir"):
                    check(" ".join(name.split()[:2]) in commands | {"weir"},
                          "README.md: no command " + name)
                elif cells[1]:
                    for room in rooms:
                        check(room + name in keys, "README.md: no key %s%s" %
                              (room, name))
                else:
                    check(any(room + name in keys for room in rooms),
                          "README.md: no key " + name)
    check(rows > 80, "%d rows" % rows)


run_cases()
