#!/usr/bin/env python3
"""Measure what an open dashboard costs weir, and whether the page is smooth.

usage: tests/bench/dashboard.py [--seconds S] [--endpoints N] [--rate R]
                                [--split]

One upstream with 200 endpoints (with --split: 200 upstreams with one each) and
R requests a second, 0 and 10,000, each without and with the page open in
Chromium. Printed: processor time of weir's main thread, which serves the admin
port and no request, in percent of a core; and of the page the longest time
between two frames (requestAnimationFrame) and the frames of more than 50 ms.

$WEIR is the program (else build/weir). The origin is an nginx on all addresses
of 127/8. Run it on a machine that does nothing else.

SPDX-License-Identifier: MIT
"""
import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"),
                os.path.join(HERE, "..", "real")]
from case import _clean, need, port
from npm import installed
from programs import Nginx
from weir import Conf, Weir


def scene(n, split):
    number = port()
    # The server of Nginx listens on one address only; this one on all.
    Nginx("", "server { listen %d backlog=1000; location / { return 200 ok; } }"
          % number)
    conf = Conf()
    ends = ['"127.0.%d.%d:%d"' % (i // 250, i % 250 + 1, number)
            for i in range(n)]
    if split:
        for i, end in enumerate(ends):
            conf.upstream("u%d" % i, end)
        conf.listener("front", None, extra="routes = ( %s );" % ", ".join(
            '{ path = "/%d/"; upstream = "u%d"; }' % (i, i) for i in range(n)))
    else:
        conf.upstream("back", *ends, pool="max = 400;")
        conf.listener("front", "back")
    return Weir(conf)


def main_cpu_ns(w):
    """Of the main thread alone, by the scheduler."""
    with open("/proc/%d/task/%d/schedstat" % (w.pid, w.pid)) as f:
        return int(f.read().split()[0])


def load(w, rate, seconds):
    if not rate:
        return None
    return subprocess.Popen(
        [need("h2load"), "--h1", "-c", "20", "--rps", str(rate // 20), "-D",
         str(seconds), "http://127.0.0.1:%d/1/" % w.conf.ports["front"]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def watch(w, seconds):
    given = {"chromium": need("chromium"), "shots": "", "seconds": seconds,
             "url": "http://127.0.0.1:%d/" % w.conf.admin_port}
    return subprocess.Popen(
        [need("node"), os.path.join(HERE, "..", "real", "dashboard.mjs"),
         installed("playwright-core"), "watch", json.dumps(given)],
        stdout=subprocess.PIPE, text=True)


def measure(w, rate, seconds, watched):
    page = watch(w, seconds + 2) if watched else None
    if page:
        page.stdout.readline()                  # it is open and lives
    sender = load(w, rate, seconds + 3)
    time.sleep(1)
    before, begun, served = main_cpu_ns(w), time.monotonic(), requests(w)
    time.sleep(seconds)
    spent = main_cpu_ns(w) - before
    took = time.monotonic() - begun
    served = (requests(w) - served) / took
    said = json.loads(page.communicate()[0]) if page else {}
    if sender:
        sender.wait()
    return 100 * spent / 1e9 / took, served, said


def requests(w):
    return w.listener("front")["requests_total"]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--seconds", type=int, default=20)
    a.add_argument("--endpoints", type=int, default=200)
    a.add_argument("--rate", type=int, default=10000)
    a.add_argument("--split", action="store_true")
    given = a.parse_args()
    w = scene(given.endpoints, given.split)
    try:
        size = len(w.get("/stats")[1])
        print("a frame has %d bytes" % size)
        for rate in (0, given.rate):
            for watched in (False, True):
                cpu, served, said = measure(w, rate, given.seconds, watched)
                print("%5d requests/s, page %-6s  main thread %.2f %% of a "
                      "core%s" % (served, "open" if watched else "closed", cpu,
                                  "; " + ", ".join("%s %s" % kv for kv in
                                                   said.items())
                                  if said else ""), flush=True)
    finally:
        _clean()


main()
