#!/usr/bin/env python3
"""Measure weir beside nginx, haproxy and a byte forwarder, in one run.

usage: tests/bench/bench.py [--rounds N] [--seconds S] [SCENARIO ...]

  http        64 keep-alive clients, answers of 1 KiB
  http-many   4000 keep-alive clients over at most 64 upstream connections
  http-close  64 clients, a connection for each request
  http-big    64 keep-alive clients, answers of 1 MiB
  tcp, tcp-big, tcp-close    the same without looking into the bytes
  http-full   as http: weir with health checks, limits for all and for each
              client and a JSON access log, beside weir without
  idle        memory for each idle keep-alive client, of 9000

Without a name: all. $WEIR is the program (else build/weir).

Every contender has core 0 to itself, wrk and the origin (an nginx) have core
1, so that one's work is not another's wait. Contenders take turns, S seconds
each and N rounds, and are compared round by round: a machine that gets slower
in between slows down all of them. A ratio is the median over rounds of weir's
figure divided by the other's in that round; the other figures are medians too.

Processor time is the scheduler's (user and system) of all processes of the
contender, divided by the requests that wrk counted as answered. What the
kernel does in interrupts on core 0 may be added to whoever runs there.

floor is floor.c beside this file: it forwards and does nothing else, with an
upstream connection for each client, also in http-many and idle.

SPDX-License-Identifier: MIT
"""
import contextlib
import os
import re
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from case import Failed, Skip, die_with_parent, need, port
from contest import (Running, contest, cores, leave_out, options, put, turns,
                     want_descriptors)
from weir import BINARY

# name: mode, path, clients, further arguments of wrk
SCENARIOS = {
    "http":       ("http", "/1k", 64, ()),
    "http-many":  ("http", "/1k", 4000, ()),
    "http-close": ("http", "/1k", 64, ("-H", "Connection: close")),
    "http-big":   ("http", "/1m", 64, ()),
    "tcp":        ("tcp", "/1k", 64, ()),
    "tcp-big":    ("tcp", "/1m", 64, ()),
    "tcp-close":  ("tcp", "/1k", 64, ("-H", "Connection: close")),
    "http-full":  ("http", "/1k", 64, ()),
    "idle":       ("http", "/1k", 9000, ()),
}
POOL = 64               # upstream connections of the http scenarios
FDS = 20000             # what the hungriest of all (floor, idle) needs

proxy_core = load_core = "0"        # main() looks which there are


# ------------------------------------------------------------------ programs

# Each of these returns the command that forwards from one port to another.
# They are set up alike: one worker, no logs, no time limits that matter, the
# same forwarded fields, upstream connections kept as the scenario has them.

def weir(folder, here, origin, mode, log="", front="", back=""):
    if not os.access(BINARY, os.X_OK):
        raise Skip("there is no program at %s" % BINARY)
    pool = "max = %d; max_waiting = 10000; queue_timeout = \"60s\";" % POOL \
        if mode == "http" else ""
    return [BINARY, "-c", put(folder, "weir.conf", """workers = 1;
admin = { bind = "127.0.0.1:%d"; };
log = { level = "error"; %s };
listeners = ( { name = "front"; bind = "127.0.0.1:%d"; protocol = "%s";
    upstream = "back"; timeouts = { idle = "10m"; }; %s } );
upstreams = ( { name = "back"; endpoints = ( "127.0.0.1:%d" );
    pool = { %s }; %s } );
""" % (port(), log, here, mode, front, origin, pool, back))]


def full(folder, here, origin, mode):
    """weir with all that looks at each exchange; nothing is refused."""
    rate = '{ rate = "1000000/s"; burst = 1000000; }'
    return weir(
        folder, here, origin, mode,
        'format = "json"; access = "%s/access.log";' % folder,
        "limits = { connections = 10000; connections_per_client = 10000; "
        "connection_rate = %s; connection_rate_per_client = %s; "
        "request_rate = %s; request_rate_per_client = %s; };"
        % (rate, rate, rate, rate),
        'health = { type = "http"; path = "/1k"; interval = "1s"; }; '
        "outlier = { }; retry = { }; ")


NGINX = """%s
daemon off; worker_processes 1; pid %s/pid; error_log stderr crit; %s
worker_rlimit_nofile %d; events { worker_connections %d; }
"""
NGINX_HTTP = """http { access_log off; keepalive_timeout 10m;
keepalive_requests 1000000000; proxy_temp_path %(d)s/1;
client_body_temp_path %(d)s/2; fastcgi_temp_path %(d)s/3;
uwsgi_temp_path %(d)s/4; scgi_temp_path %(d)s/5;
%(body)s }
"""
NGINX_PROXY = """upstream back { server 127.0.0.1:%d; keepalive %d;
 keepalive_requests 1000000000; keepalive_time 10h; }
server { listen 127.0.0.1:%d backlog=4096;
 location / { proxy_pass http://back; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_max_temp_file_size 0; } }"""
NGINX_STREAM = """stream { server { listen 127.0.0.1:%d backlog=4096;
 proxy_pass 127.0.0.1:%d; proxy_timeout 10m; tcp_nodelay on; } }
"""
NGINX_ORIGIN = """sendfile on; open_file_cache max=10; tcp_nodelay on;
server { listen 127.0.0.1:%d backlog=4096; root %s; }"""


def nginx_command(folder, name, body, module=""):
    text = NGINX % (module, folder, "user root;" if os.getuid() == 0 else "",
                    FDS, FDS) + body
    return [need("nginx"), "-e", "stderr", "-p", folder,
            "-c", put(folder, name, text)]


def stream_module():
    """The line that gives nginx `stream`, which may be a module."""
    told = subprocess.run([need("nginx"), "-V"], capture_output=True,
                          text=True).stderr
    if re.search(r"--with-stream( |$)", told):
        return ""
    found = re.search(r"--modules-path=(\S+)", told)
    path = (found[1] if found else "") + "/ngx_stream_module.so"
    if not os.path.exists(path):
        raise Skip("nginx has no module stream")
    return "load_module %s;" % path


def nginx(folder, here, origin, mode):
    if mode == "tcp":
        return nginx_command(folder, "proxy.conf",
                             NGINX_STREAM % (here, origin), stream_module())
    return nginx_command(folder, "proxy.conf", NGINX_HTTP % {
        "d": folder, "body": NGINX_PROXY % (origin, POOL, here)})


def haproxy(folder, here, origin, mode):
    http = mode == "http"
    return [need("haproxy"), "-db", "-f", put(folder, "haproxy.cfg", """
global
    maxconn %d
    nbthread 1
defaults
    mode %s
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout queue 60s
%s
frontend front
    bind 127.0.0.1:%d backlog 4096
%s
    default_backend back
backend back
    server origin 127.0.0.1:%d %s
""" % (FDS // 2 - 500, mode,
       "    http-reuse always\n    option forwardfor" if http else "", here,
       "    http-request set-header X-Forwarded-Proto http" if http else "",
       origin, "maxconn %d" % POOL if http else ""))]


def floor(folder, here, origin, mode):
    cc = os.environ.get("CC", "cc").split()
    need(cc[0])
    program = os.path.join(folder, "floor")
    if not os.path.exists(program):
        subprocess.check_call(
            [*cc, "-std=c11", "-D_GNU_SOURCE", "-O2", "-o", program,
             os.path.join(HERE, "floor.c")])
    return [program, str(here), str(origin)]


CONTENDERS = (weir, nginx, haproxy, floor)


def start_origin(stack, folder):
    number = port()
    www = os.path.join(folder, "www")
    os.mkdir(www)
    put(www, "1k", b"w" * 1024)
    put(www, "1m", b"w" * (1 << 20))
    argv = nginx_command(folder, "origin.conf", NGINX_HTTP % {
        "d": folder, "body": NGINX_ORIGIN % (number, www)})
    running = Running("the origin", argv, load_core, number)
    stack.callback(running.end)
    running.wait_up()
    return running


def start_contenders(stack, contenders, folder, origin, mode, missing):
    """Those that this machine has; missing says what was left out."""
    found = []
    for make in contenders:
        name = make.__name__
        own = os.path.join(folder, name)
        os.makedirs(own, exist_ok=True)
        try:
            number = port()
            argv = make(own, number, origin.number, mode)
        except Skip as why:
            missing[name, mode] = str(why)
            continue
        running = Running(name, argv, proxy_core, number)
        stack.callback(running.end)
        running.wait_up()
        found.append(running)
    return found


# ---------------------------------------------------------------------- load

UNITS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60000, "h": 3600000}


def percentile_ms(text, n):
    value, unit = re.search(
        r"^\s+%d%%\s+([\d.]+)(us|ms|s|m|h)\s*$" % n, text, re.M).groups()
    return float(value) * UNITS[unit]


def wrk(running, scenario, seconds):
    """One turn of a contender: a row of figures."""
    _, path, clients, more = SCENARIOS[scenario]
    argv = ["taskset", "-c", load_core, need("wrk"), "-t1", "-c%d" % clients,
            "-d%ds" % seconds, "--timeout", "20s", "--latency", *more,
            "http://127.0.0.1:%d%s" % (running.number, path)]
    before = running.cpu_ns()
    r = subprocess.run(argv, capture_output=True, text=True,
                       timeout=seconds + 60, preexec_fn=die_with_parent)
    spent = running.cpu_ns() - before
    if r.returncode:
        raise Failed("wrk: " + r.stderr)
    done = int(re.search(r"(\d+) requests in", r.stdout)[1])
    if not done:
        raise Failed("%s answered nothing" % running.name)
    bad = [int(n) for line in re.findall(
        r"Socket errors:.*|Non-2xx.*", r.stdout)
        for n in re.findall(r"[ :](\d+)(?=,|$)", line)]
    return {"req/s": float(re.search(r"Requests/sec:\s+([\d.]+)",
                                     r.stdout)[1]),
            "cpu us": spent / 1000 / done,
            "p50 ms": percentile_ms(r.stdout, 50),
            "p99 ms": percentile_ms(r.stdout, 99), "errors": sum(bad)}


def ask(sock, path):
    """One request; its answer is read to its end."""
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    got = b""
    while True:
        head, mark, body = got.partition(b"\r\n\r\n")
        if mark:
            length = int(re.search(rb"(?i)\ncontent-length: *(\d+)", head)[1])
            if len(body) >= length:
                return
        more = sock.recv(65536)
        if not more:
            raise Failed("a client was dropped")
        got += more


def idle(running, scenario):
    """Memory for each client that has had an answer and stays."""
    _, path, clients, _ = SCENARIOS[scenario]
    with contextlib.ExitStack() as stack:
        def client():
            sock = stack.enter_context(socket.create_connection(
                ("127.0.0.1", running.number), 20))
            ask(sock, path)
        # What the first requests cost in buffers is not the clients'.
        for _ in range(100):
            client()
        before = running.memory_kib()
        for _ in range(clients):
            client()
        time.sleep(0.2)             # what is freed a turn later is freed
        used = running.memory_kib() - before
    return {"KiB/client": used / clients}


# -------------------------------------------------------------------- report

def measure(scenario, folder, origin, rounds, seconds, missing):
    """{contender: a row for each round}."""
    with contextlib.ExitStack() as stack:
        there = start_contenders(
            stack, (weir, full) if scenario == "http-full" else CONTENDERS,
            folder, origin, SCENARIOS[scenario][0], missing)
        if scenario == "idle":
            return turns(there, 1, lambda c: idle(c, scenario))
        for c in there:
            wrk(c, scenario, 1)
        return turns(there, rounds, lambda c: wrk(c, scenario, seconds))


def begin(o, stack, folder, missing):
    """Cores, descriptors, the origin; leaves out what cannot be measured."""
    global proxy_core, load_core
    proxy_core, load_core = cores()
    need("nginx")               # as the origin
    try:
        need("wrk")
    except Skip as why:
        leave_out(o, [s for s in SCENARIOS if s != "idle"], why)
    want_descriptors(o, FDS, ("idle", "http-many"))
    origin = start_origin(stack, folder)
    return lambda scenario: measure(scenario, folder, origin, o.rounds,
                                    o.seconds, missing)


def main():
    o = options(__doc__, SCENARIOS)
    missing = {}
    status = contest(o, lambda *where: begin(o, *where, missing))
    for (name, mode), why in missing.items():
        print("left out: %s (%s): %s" % (name, mode, why))
    return status


sys.exit(main())
