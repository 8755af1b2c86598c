"""The random model test of Redis and memcached: its clients as a process, and
the judgement. See p1kv/load.c for what an owed reply's end may be.

SPDX-License-Identifier: MIT
"""
import json
import os
import random
import re
import signal
import subprocess

import case
from case import SLOW, WAIT, Failed, eq, later, until
from fault import VARIANT, built

# By hand a million or more. Sanitizers take longer for each.
REPLIES = int(os.environ.get("REPLIES", "50000" if VARIANT == "release"
                             else "15000"))


# The sources of each model.
PARTS = {
    "redis": ("redis", "redis_say", "redis_scene"),
    "memcached": ("memcached", "memcached_text", "memcached_binary"),
    "postgres": ("../p1pg/model", "../p1pg/wire", "../p1pg/query",
                 "../p1pg/batch"),
}


class Load:
    """The clients: Load("redis", port number, clients=500, leave=0)."""

    def __init__(self, model, number, **options):
        options.setdefault("replies", REPLIES)
        options.setdefault("seed", int(os.environ.get("SEED") or
                                       random.randrange(1 << 32)))
        options.setdefault("patience", int(30 * SLOW))
        self.seed = options["seed"]
        self.process = subprocess.Popen(
            [built("p1kv-" + model, "p1kv/load.c",
                   *("p1kv/%s.c" % part for part in PARTS[model])),
             "port=%d" % number, *("%s=%s" % o for o in options.items())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
            preexec_fn=case.die_with_parent)
        later(self.kill)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def running(self):
        return self.process.poll() is None

    def _hears(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            caught = re.search(r"SigCgt:\s*(\w+)", f.read())
        return not self.running() or (
            caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)

    def stop(self):
        """No new commands; what is owed comes."""
        until(self._hears, "the load catches SIGTERM")
        self.process.send_signal(signal.SIGTERM)

    def result(self, wait=None):
        """Wait for the end; what became of the replies. Fails when one of
        them was another's, wrong, out of order, or never came."""
        try:
            out, err = self.process.communicate(
                timeout=wait or max(12 * WAIT, REPLIES / 500))
        except subprocess.TimeoutExpired:
            raise Failed("the load did not end (seed %s)" % self.seed) \
                from None
        if not out:
            raise Failed("the load died (%s): %s" % (
                self.process.returncode, err[-2000:]))
        r = json.loads(out)
        if r["violations"]:
            raise Failed("%d violations (seed %s): %s\n%s" % (
                r["violations"], self.seed, out.strip(), err[-4000:]))
        eq(r["lost"], 0, "replies that were never to come")
        eq(r["answered"] + r["refused"] + r["cut"] + r["left"], r["owed"],
           "sum of the ends of replies")
        print("      %d answered, %d refused, %d cut, %d left, %d clients in "
              "%.1f s (seed %d)" % (
                  r["answered"], r["refused"], r["cut"], r["left"],
                  r["connects"], r["seconds"], self.seed), flush=True)
        return r
