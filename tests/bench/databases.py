#!/usr/bin/env python3
"""Measure weir beside twemproxy (nutcracker) and PgBouncer, in one run.

usage: tests/bench/databases.py [--rounds N] [--seconds S] [SCENARIO ...]

  redis        50 clients, one GET or SET at a time
  redis-pipe   the same, 16 at a time
  redis-many   5000 clients, one at a time
  pg           64 clients of pgbench -S over 16 connections, simple protocol

Without a name: all. $WEIR is the program (else build/weir). As bench.py beside
this: every contender has core 0 to itself, the load and the server have core 1;
contenders take turns and are compared round by round; processor time is the
contender's alone, for each request.

SPDX-License-Identifier: MIT
"""
import contextlib
import csv
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from case import Failed, Skip, die_with_parent, need, port
from contest import (Running, contest, cores, options, put, turns,
                     want_descriptors)
from postgres import Postgres
from redis import RedisServer
from weir import BINARY

# name: who is in it, clients, commands at a time
SCENARIOS = {
    "redis":      ("redis", 50, 1),
    "redis-pipe": ("redis", 50, 16),
    "redis-many": ("redis", 5000, 1),
    "pg":         ("postgres", 64, 1),
}
POOL = 16               # connections to PostgreSQL
FDS = 12000             # redis-many: two for each client, and some


# ---------------------------------------------------------------- contenders
#
# Each returns the command that forwards from a port to the server's: one
# worker, no logs, no time limits that matter.

def weir(folder, here, server, kind):
    if not os.access(BINARY, os.X_OK):
        raise Skip("there is no program at %s" % BINARY)
    own = "" if kind == "redis" else 'postgres = { auth = "trust"; };'
    pool = "" if kind == "redis" else "max = %d;" % POOL
    return [BINARY, "-c", put(folder, "weir.conf", """workers = 1;
admin = { bind = "127.0.0.1:%d"; };
log = { level = "error"; };
listeners = ( { name = "front"; bind = "127.0.0.1:%d"; protocol = "%s";
    upstream = "back"; %s } );
upstreams = ( { name = "back"; endpoints = ( "127.0.0.1:%d" );
    pool = { %s }; } );
""" % (port(), here, kind, own, server, pool))]


def nutcracker(folder, here, server, kind):
    return [need("nutcracker"), "-c", put(folder, "nutcracker.yml", """front:
  listen: 127.0.0.1:%d
  redis: true
  hash: fnv1a_64
  distribution: ketama
  servers:
  - 127.0.0.1:%d:1
""" % (here, server)), "-s", str(port()), "-a", "127.0.0.1", "-v", "0",
            "-p", os.path.join(folder, "pid"),
            "-o", os.path.join(folder, "log")]


def pgbouncer(folder, here, server, kind):
    """It refuses to run as root."""
    who = ["--user=postgres"] if os.getuid() == 0 else []
    return [need("pgbouncer"), "-q", *who, put(folder, "pgbouncer.ini", """
[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = %d
max_client_conn = 1000
log_connections = 0
log_disconnections = 0
stats_period = 3600
""" % (server, here, put(folder, "users", '"alice" ""\n'), POOL))]


CONTENDERS = {"redis": (weir, nutcracker), "postgres": (weir, pgbouncer)}


def start(stack, folder, kind, server, core, missing):
    there = []
    for make in CONTENDERS[kind]:
        own = os.path.join(folder, kind + "-" + make.__name__)
        os.makedirs(own, exist_ok=True)
        os.chmod(own, 0o755)
        number = port()
        try:
            argv = make(own, number, server, kind)
        except Skip as why:
            missing[make.__name__] = str(why)
            continue
        running = Running(make.__name__, argv, core, number)
        stack.callback(running.end)
        running.wait_up()
        there.append(running)
    return there


# ---------------------------------------------------------------------- load

def play(running, argv, seconds):
    """What the load said, and what that took of the contender."""
    before = running.cpu_ns()
    r = subprocess.run(argv, capture_output=True, text=True,
                       timeout=seconds * 20 + 60, preexec_fn=die_with_parent)
    spent = running.cpu_ns() - before
    if r.returncode:
        raise Failed("%s: %s" % (argv[3], r.stdout[-500:] + r.stderr[-500:]))
    return r.stdout, spent


def redis_benchmark(running, core, clients, at_a_time, seconds):
    each = max(clients, 30000 * seconds) * (4 if at_a_time > 1 else 1)
    out, spent = play(running, [
        "taskset", "-c", core, need("redis-benchmark"), "-p",
        str(running.number), "-c", str(clients), "-P", str(at_a_time),
        "-n", str(each), "-d", "64", "-r", "10000", "-t", "set,get",
        "--csv"], seconds)
    rows = list(csv.DictReader(out.splitlines()))
    if [row["test"] for row in rows] != ["SET", "GET"]:
        raise Failed("redis-benchmark said %r" % out)
    return {"req/s": sum(float(row["rps"]) for row in rows) / 2,
            "cpu us": spent / 1000 / (2 * each),
            "p50 ms": max(float(row["p50_latency_ms"]) for row in rows),
            "p99 ms": max(float(row["p99_latency_ms"]) for row in rows)}


def pgbench(running, core, clients, program, seconds):
    out, spent = play(running, [
        "taskset", "-c", core, program, "-h", "127.0.0.1", "-p",
        str(running.number), "-U", "alice", "-n", "-S", "-M", "simple",
        "-c", str(clients), "-T", str(seconds), "shop"], seconds)
    done = re.search(r"actually processed: (\d+)", out)
    rate = re.search(r"^tps = ([\d.]+)", out, re.M)
    mean = re.search(r"latency average = ([\d.]+) ms", out)
    if not (done and rate and mean and int(done[1])):
        raise Failed("pgbench said %r" % out)
    return {"req/s": float(rate[1]), "cpu us": spent / 1000 / int(done[1]),
            "mean ms": float(mean[1])}


def to_core(process, core):
    subprocess.run(["taskset", "-a", "-c", "-p", core, str(process.pid)],
                   check=True, stdout=subprocess.DEVNULL)


class Servers:
    """Real ones, started when they are first wanted."""

    def __init__(self, core):
        self.core = core
        self.there = {}

    def of(self, kind):
        if kind not in self.there:
            self.there[kind] = RedisServer() if kind == "redis" else \
                self.filled()
            to_core(self.there[kind].process, self.core)
        return self.there[kind]

    def filled(self):
        server = Postgres()
        subprocess.run(
            [os.path.join(server.bin, "pgbench"), "-i", "-q", "-h",
             "127.0.0.1", "-p", str(server.number), "-U", "alice", "shop"],
            check=True, capture_output=True)
        return server

    def end(self):
        for server in self.there.values():
            server.stop()


def measure(scenario, folder, servers, o, missing):
    kind, clients, at_a_time = SCENARIOS[scenario]
    server = servers.of(kind)

    def round_of(running, seconds=o.seconds):
        if kind == "redis":
            return redis_benchmark(running, servers.core, clients, at_a_time,
                                   seconds)
        return pgbench(running, servers.core, clients,
                       os.path.join(server.bin, "pgbench"), seconds)

    with contextlib.ExitStack() as stack:
        there = start(stack, folder, kind, server.number, o.core, missing)
        for running in there:
            round_of(running, 1)
        return turns(there, o.rounds, round_of)


def begin(o, stack, folder, missing):
    o.core, load = cores()
    want_descriptors(o, FDS, ("redis-many",))
    servers = Servers(load)
    stack.callback(servers.end)
    return lambda scenario: measure(scenario, folder, servers, o, missing)


def main():
    o = options(__doc__, SCENARIOS)
    missing = {}
    status = contest(o, lambda *where: begin(o, *where, missing))
    for name, why in missing.items():
        print("left out: %s: %s" % (name, why))
    return status


sys.exit(main())
