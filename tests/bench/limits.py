#!/usr/bin/env python3
"""Measure limits: is the rate let through the one in the file, and do the
others notice when one client floods?

usage: tests/bench/limits.py [--seconds S] [--rounds N] [rate] [flood]

  rate    accepted requests a second at 100/s, 1000/s and 5000/s, for all and
          for each client, under as much load as wrk makes; off by at most 2 %
  flood   16 clients with addresses of their own ask at leisure, without and
          with one address that floods from 64 connections; their p99 rises by
          at most half. Five floods: over its request rate; the same a hundred
          requests at once; the same with a connection for each; over its
          connection rate; over its number of connections and request rate

Without a name: both. $WEIR is the program (else build/weir). Exit status 1 when
a figure is beyond its bound.

weir has core 0 to itself. On core 1 are the origin (an nginx), the clients who
are measured, and wrk, which gets only what they leave (SCHED_IDLE): else this
would measure how the load takes the core from those it is compared with. Run it
on a machine that does nothing else: a p99 shows whatever else runs there.

SPDX-License-Identifier: MIT
"""
import argparse
import contextlib
import gc
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import case
from case import Failed, Skip, die_with_parent, need, port, until
from weir import Conf, Weir, listening

RATES = (100, 1000, 5000)
MOST_OFF = 0.02
MOST_RATIO = 1.5
VICTIMS = 16
THINK_S = 0.01
FLOODERS = 64

PER_CLIENT = 'request_rate_per_client = { rate = "%d/s"; burst = %d; };'
# name: limits, further arguments of wrk
FLOODS = {
    "requests": (PER_CLIENT % (500, 100), ()),
    "pipelined": (PER_CLIENT % (500, 100), ("-s", "pipelined.lua")),
    "closing": (PER_CLIENT % (500, 100), ("-H", "Connection: close")),
    "connects": ('connection_rate_per_client = { rate = "100/s"; '
                 "burst = 50; };", ("-H", "Connection: close")),
    "numbers": ("connections_per_client = 10; " + PER_CLIENT % (500, 100),
                ())
}

PIPELINED = """init = function(args)
	local r = {}
	for i = 1, 100 do r[i] = wrk.format() end
	all = table.concat(r)
end
request = function() return all end
"""

load_core = "0"


def on_load_core(*argv, idle=False):
    return [*(["chrt", "--idle", "0"] if idle else []),
            "taskset", "-c", load_core, *argv]


def start_origin(stack, folder):
    number = port()
    with open(os.path.join(folder, "pipelined.lua"), "w") as f:
        f.write(PIPELINED)
    path = os.path.join(folder, "origin.conf")
    with open(path, "w") as f:
        f.write("""daemon off; worker_processes 1; pid %s/pid;
error_log stderr crit; events { worker_connections 1000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 10m;
%s
server { listen 127.0.0.1:%d; location / { return 200 "hello"; } } }
""" % (folder, " ".join("%s_temp_path %s/%s;" % (kind, folder, kind)
                        for kind in ("client_body", "proxy", "fastcgi",
                                     "uwsgi", "scgi")), number))
    running = subprocess.Popen(
        on_load_core(need("nginx"), "-e", "stderr", "-p", folder, "-c", path),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent)

    def end():
        running.terminate()
        running.wait(5)
    stack.callback(end)
    until(lambda: listening(number), "the origin listens")
    return number


@contextlib.contextmanager
def weir(origin, limits):
    """A weir on core 0."""
    conf = Conf().listener("front", extra="limits = { %s };" % limits) \
        .upstream("back", origin, pool="min_idle = 16;")
    conf.log = 'level = "error";'
    w = Weir(conf, before=["taskset", "-c", "0"])
    try:
        yield w
    finally:
        w.stop()


@contextlib.contextmanager
def flooding(w, more=(), folder=None):
    """wrk, from 127.0.0.1, for as long as this lasts."""
    running = subprocess.Popen(
        on_load_core(need("wrk"), "-t1", "-c%d" % FLOODERS, "-d1h", *more,
                     "http://127.0.0.1:%d/" % w.conf.ports["front"],
                     idle=True),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, preexec_fn=die_with_parent, cwd=folder)
    try:
        yield
    finally:
        running.kill()
        running.wait()


# ---------------------------------------------------------------------- rate

def look(w):
    """(when, accepted, refused) as /stats has it."""
    begin = time.monotonic()
    s = w.listener()
    return ((begin + time.monotonic()) / 2, s["requests_total"],
            sum(s["limited_total"].values()))


def rate(o, origin, _):
    print("\n%-28s%10s%12s%9s" % ("rate", "accepted/s", "refused/s", "off"))
    good = True
    for key in ("request_rate", "request_rate_per_client"):
        for n in RATES:
            limit = '%s = { rate = "%d/s"; };' % (key, n)
            with weir(origin, limit) as w, flooding(w):
                # The burst is not the rate.
                until(lambda: look(w)[2] > 0, "the first refusal")
                at, got, refused = look(w)
                time.sleep(o.seconds)
                end, got_end, refused_end = look(w)
            took = end - at
            real = (got_end - got) / took
            off = real / n - 1
            good = good and abs(off) <= MOST_OFF
            print("%-28s%10.1f%12.0f%8.2f%%" % (
                "%s %d/s" % (key.replace("request_rate", "").strip("_") or
                             "all", n), real, (refused_end - refused) / took,
                100 * off), flush=True)
    return good


# --------------------------------------------------------------------- flood

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Victim:
    """One who asks, waits for the answer, thinks a while and asks again."""

    def __init__(self, n, number):
        self.sock = socket.socket()
        self.sock.bind(("127.0.1.%d" % (n + 1), 0))
        self.sock.connect(("127.0.0.1", number))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.next = time.perf_counter() + THINK_S * n / VICTIMS
        self.asked = None

    def ask(self):
        self.asked = time.perf_counter()
        self.sock.sendall(ASK)

    def answered(self):
        took = time.perf_counter() - self.asked
        got = self.sock.recv(65536)
        if not got.startswith(b"HTTP/1.1 200 "):
            raise Failed("a victim was told %r" % got[:60])
        self.next = self.asked + THINK_S
        self.asked = None
        return took


def ask_at_leisure(number, seconds):
    """Seconds that each request of the victims took."""
    took = []
    victims = [Victim(n, number) for n in range(VICTIMS)]
    with selectors.DefaultSelector() as ready:
        for v in victims:
            ready.register(v.sock, selectors.EVENT_READ, v)
        end = time.perf_counter() + seconds
        now = time.perf_counter()
        while now < end:
            for v in victims:
                if v.asked is None and v.next <= now:
                    v.ask()
            due = min((v.next for v in victims if v.asked is None),
                      default=end)
            for key, _ in ready.select(max(0, due - time.perf_counter())):
                took.append(key.data.answered())
            now = time.perf_counter()
    for v in victims:
        v.sock.close()
    return took


def p99_ms(took):
    return sorted(took)[int(len(took) * 0.99)] * 1000


def flood(o, origin, folder):
    print("\n%-12s%14s%14s%14s%10s" % ("flood", "refused/s", "p99 ms alone",
                                       "p99 ms flood", "ratio"))
    good = True
    for name, (limit, more) in FLOODS.items():
        rows = []
        with weir(origin, limit) as w:
            number = w.conf.ports["front"]
            ask_at_leisure(number, 1)
            for _ in range(o.rounds):
                alone = p99_ms(ask_at_leisure(number, o.seconds / 2))
                with flooding(w, more, folder):
                    until(lambda: look(w)[2] > 0, "the first refusal")
                    at, _, refused = look(w)
                    beset = p99_ms(ask_at_leisure(number, o.seconds / 2))
                    end, _, refused_end = look(w)
                rows.append((alone, beset, beset / alone,
                             (refused_end - refused) / (end - at)))
        alone, beset, ratio, refused = map(statistics.median, zip(*rows))
        good = good and ratio <= MOST_RATIO
        print("%-12s%14.0f%14.3f%14.3f%10.2f" % (
            name, refused, alone, beset, ratio), flush=True)
    return good


# -------------------------------------------------------------------- report

def options():
    p = argparse.ArgumentParser(
        description=__doc__, usage=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="*", metavar="WHAT")
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--rounds", type=int, default=3)
    o = p.parse_args()
    for name in o.what:
        if name not in ("rate", "flood"):
            p.error("%r: expected rate or flood" % name)
    o.what = o.what or ["rate", "flood"]
    if o.seconds < 1 or o.rounds < 1:
        p.error("--seconds and --rounds begin at 1")
    return o


def main():
    global load_core
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cores = sorted(os.sched_getaffinity(0))
    load_core = str(cores[1 if len(cores) > 1 else 0])
    good = True
    try:
        for program in ("wrk", "nginx", "chrt", "taskset"):
            need(program)
        # This process asks as the victims do.
        os.sched_setaffinity(0, {int(load_core)})
        gc.disable()
        with contextlib.ExitStack() as stack:
            stack.callback(case._clean)
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="weir-bench-"))
            os.chmod(folder, 0o755)
            origin = start_origin(stack, folder)
            for what in o.what:
                good = (rate if what == "rate" else flood)(
                    o, origin, folder) and good
    except KeyboardInterrupt:
        return 130
    except (Failed, Skip) as e:
        print("limits: %s" % e, file=sys.stderr)
        return 1
    if not good:
        print("limits: a figure is beyond its bound", file=sys.stderr)
    return 0 if good else 1


sys.exit(main())
