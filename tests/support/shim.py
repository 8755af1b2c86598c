"""Objects preloaded into weir, and the page that steers them.

    s = Shim("io")
    w = Weir(conf, env=s.env)
    s.rate("short", 0.3)

See shim/control.h. With AddressSanitizer its library has to come first, and the
heap is its own; ThreadSanitizer is left alone.

SPDX-License-Identifier: MIT
"""
import errno
import mmap
import os
import random
import re
import struct
import subprocess

import case
from fault import VARIANT, built, not_in
from weir import BINARY

FAULTS = ("short", "eintr", "eagain", "accept", "connect", "socket")
SEED, WALL, LEFT, SEEN, FAILED, FIRST = 0, 8, 16, 24, 32, 40


class Shim:
    def __init__(self, *names, seed=None):
        not_in("tsan", why="nothing is preloaded there")
        if "heap" in names:
            not_in("asan", why="the heap is the sanitizer's own")
        objects = [built("shim-%s.so" % n, "shim/%s.c" % n,
                         flags=("-shared", "-fPIC")) for n in names]
        if VARIANT == "asan":
            cc = os.environ.get("CC", "cc").split()
            objects.insert(0, subprocess.check_output(
                [*cc, "-print-file-name=libasan.so"], text=True).strip())
        self.path = case.put("shim%d" % random.randrange(1 << 60),
                             b"\0" * 4096)
        with open(self.path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)
        self.seed = random.randrange(1 << 62) if seed is None else seed
        self._put(SEED, "Q", self.seed)
        # Inside weir the library of the sanitizer minds its own start only.
        self.env = {"LD_PRELOAD": ":".join(objects), "WEIR_SHIM": self.path}

    def _put(self, at, form, value):
        self.page[at:at + struct.calcsize(form)] = struct.pack(form, value)

    def _get(self, at, form):
        return struct.unpack_from(form, self.page, at)[0]

    def rate(self, fault, share, error=None):
        """Let that share of the calls fail (error: a name of errno)."""
        at = FIRST + 16 * FAULTS.index(fault)
        if error:
            self._put(at + 4, "i", getattr(errno, error))
        self._put(at, "I", int(share * 65536))

    def hits(self, fault):
        return self._get(FIRST + 16 * FAULTS.index(fault) + 8, "Q")

    def quiet(self):
        for fault in FAULTS:
            self.rate(fault, 0)

    def stall(self, how):
        """A worker that writes to a stream hangs: "asleep" or "busy", until None."""
        self._put(FIRST + 16 * len(FAULTS), "q",
                  {None: 0, "asleep": 1, "busy": 2}[how])

    def wall(self, seconds):
        """Add so much to the wall clock."""
        self._put(WALL, "q", int(seconds * 1e9))

    def heap_fail(self, number):
        """Let one allocation fail: 1 is the next. 0: none."""
        self._put(LEFT, "q", number)

    @property
    def heap_pending(self):
        return self._get(LEFT, "q") > 0

    @property
    def heap_seen(self):
        return self._get(SEEN, "Q")

    @property
    def heap_failed(self):
        return self._get(FAILED, "Q")


def places(text):
    """The backtraces in weir's output, as lines of function and place."""
    out = []
    for line in text.splitlines():
        m = re.match(re.escape(BINARY) + r"\(\+(0x[0-9a-f]+)\)", line)
        if m:
            out.append(subprocess.run(
                ["addr2line", "-fpe", BINARY, m[1]], capture_output=True,
                text=True).stdout.strip())
        elif line.startswith("shim: "):
            out.append(line)
    return out
