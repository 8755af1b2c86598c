"""Real clients of memcached through weir: memccapable of libmemcached in both
protocols, memjs, and the other tools of libmemcached.
"""
# SPDX-License-Identifier: MIT
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, case, check, die_with_parent, eq, need, put
from case import run as run_cases
from memcached import Memcached
from npm import play
from programs import run
from weir import Weir, one

PLAIN = os.environ.get("PLAIN") == "1"  # without weir, to prove the test


def pair(*options, pool="max = 8;"):
    server = Memcached(*options)
    if PLAIN:
        return server, None, str(server.number)
    w = Weir(one(server, protocol="memcached", pool=pool))
    return server, w, str(w.conf.ports["front"])


def ended(w, server, most=8):
    if w is None:
        return
    w.balanced(server)
    made = w.upstream()["connects_total"]
    check(1 <= made <= most, "%d upstream connections" % made)


def capable(mode):
    server, w, number = pair()
    # It ends with 0 whatever it finds.
    r = subprocess.run([need("memccapable"), "-h", "127.0.0.1", "-p", number,
                        "-t", "5", mode], capture_output=True, text=True,
                       timeout=100 * SLOW, preexec_fn=die_with_parent)
    out = r.stdout + r.stderr
    bad = re.findall(r"^.*\[fail\].*$", out, re.M | re.I)
    good = len(re.findall(r"\[pass\]", out, re.I))
    eq(bad, [], "cases that fail (%d pass)" % good)
    check(good > 20, out[-500:])
    ended(w, server)


@case
def memccapable_text():
    capable("-a")


@case
def memccapable_binary():
    capable("-b")


@case
def memjs():
    server, w, number = pair()
    play("memjs", number)
    ended(w, server)


@case
def tools_of_libmemcached():
    server, w, number = pair()
    servers = "--servers=127.0.0.1:" + number
    for mode in ((), ("--binary",)):
        for n in range(5):
            path = put("file%d" % n, b"%d" % n * (10 ** n))
            run(need("memccp"), servers, *mode, path)
        for n in range(5):
            out = run(need("memccat"), servers, *mode, "file%d" % n)
            eq(out.strip(), str(n) * (10 ** n), "file%d" % n)
        run(need("memcrm"), servers, *mode, "file0")
        run(need("memcping"), servers)
    run(need("memcslap"), servers, "--concurrency=20",
        "--execute-number=200", "--test=set", timeout=60)
    run(need("memcflush"), servers)
    ended(w, server)


run_cases()
