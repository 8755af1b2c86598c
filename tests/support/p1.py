"""The P1 harness: its origin and its clients as processes, and the judgement.

See p1/p1.h for what they say to each other; load.c for what an exchange's end
may be.

SPDX-License-Identifier: MIT
"""
import json
import os
import random
import re
import signal
import subprocess

import case
from case import SLOW, WAIT, Failed, check, eq, later, port, until
from fault import built
from weir import listening


class P1Origin:
    """The origin. Its posts are remembered across restarts."""

    def __init__(self, *options, number=None):
        self.number = number or port()
        self.program = built("p1-origin", "p1/origin.c")
        self.ledger = os.path.join(case.temp_dir(), "ledger%d" % self.number)
        self.options = options
        self.errors = []        # what a scripted origin has
        self.before = {}        # counts of processes that have ended
        self.process = None
        self.start()
        later(self.kill)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.number

    def start(self):
        self.process = subprocess.Popen(
            [self.program, str(self.number), "ledger=" + self.ledger,
             *self.options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=case.die_with_parent)
        until(lambda: listening(self.number), "the origin listens")

    def counts(self):
        """Of this process."""
        self.process.stdin.write(b"tell\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def total(self, name):
        """Of all processes that could be asked before they ended."""
        return self.before.get(name, 0) + self.counts()[name]

    @property
    def open(self):
        return self.counts()["open"]

    @property
    def accepted(self):
        return self.total("accepted")

    def kill(self, ask=False):
        """SIGKILL. With ask its counts are kept, but for its last moment."""
        if self.process is None:
            return
        if ask:
            for name, n in self.counts().items():
                self.before[name] = self.before.get(name, 0) + n
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def judge(self):
        """What it saw was in order."""
        eq(self.total("posts_twice"), 0, "POSTs that ran twice")
        eq(self.total("violations"), 0, "violations seen by the origin")


class Load:
    """The clients: Load(w, exchanges=20000, tcp=True, mix="mild")."""

    def __init__(self, w, listener="front", tcp=False, framed=False,
                 **options):
        options.setdefault("seed", random.randrange(1 << 32))
        options.setdefault("patience", int(30 * SLOW))
        argv = ["%s=%s" % o for o in options.items()] + ["tcp"] * tcp + \
            ["framed"] * framed
        self.seed = options["seed"]
        self.process = subprocess.Popen(
            [built("p1-load", "p1/load.c", "p1/answer.c"),
             "port=%d" % w.conf.ports[listener], *argv],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
            preexec_fn=case.die_with_parent)
        self.w = w
        later(self.kill)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _hears(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            caught = re.search(r"SigCgt:\s*(\w+)", f.read())
        return not self.running() or (
            caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)

    def running(self):
        return self.process.poll() is None

    def stop(self):
        """No new exchanges; those under way end."""
        until(self._hears, "the load catches SIGTERM")
        self.process.send_signal(signal.SIGTERM)

    def result(self, wait=None):
        """Wait for the end; what became of the exchanges. Fails when one of
        them has ended as none may."""
        try:
            out, err = self.process.communicate(timeout=wait or 12 * WAIT)
        except subprocess.TimeoutExpired:
            raise Failed("the load did not end") from None
        if not out:
            raise Failed("the load died (%s): %s" % (
                self.process.returncode, err[-2000:]))
        r = json.loads(out)
        if r["violations"]:
            raise Failed("%d violations (seed %s):\n%s" % (
                r["violations"], self.seed, err[-4000:]))
        eq(r["lost"], 0, "exchanges without an end")
        eq(r["answered"] + r["refused"] + r["cut"] + r["left"],
           r["exchanges"], "sum of the ends of exchanges")
        # 502, 503, 504: weir's words for what it was not to blame for.
        check(set(r["status"]) <= {"502", "503", "504"},
              "statuses: %r" % r["status"])
        return r
