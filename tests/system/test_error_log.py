"""The error log: who a line is about comes first, repeated lines are counted,
nothing is lost at the end, and a reader that sleeps holds nobody up.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import case, check, eq, later, run, temp_dir, until
from weir import Weir, one
from web import HttpOrigin, ok, once

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def start(fmt="text", level="info", **others):
    conf = one(HttpOrigin(), **others)
    conf.log = 'level = "%s"; format = "%s";' % (level, fmt)
    return Weir(conf)


def log_lines(w):
    return w.log().splitlines()


def refuse_reloads(w, n, name="nonsense"):
    """n reloads of a file with that unknown key."""
    w.write(w.conf.text() + name + " = 1;\n")
    for _ in range(n):
        check(w.post("/reload")[0] != 200, "reloaded")


@case
def a_line_has_time_level_and_who():
    w = start()
    refuse_reloads(w, 1)
    w.wait_log("nonsense")
    for line in log_lines(w):
        check(re.match(STAMP + r" (error|warn|info) \S", line), line)
    check(any(re.match(STAMP + r" error reload refused: \S+:\d+: .*nonsense",
                       line) for line in log_lines(w)), w.log())


@case
def json_lines_are_json():
    w = start("json")
    refuse_reloads(w, 1, "non\\u00e9")
    w.wait_log("refused")
    for line in log_lines(w):
        o = json.loads(line)
        check(re.fullmatch(STAMP, o["time"]), line)
        check(o["level"] in ("error", "warn", "info"), line)
        check(o["text"], line)
        check(set(o) <= {"time", "level", "who", "text"}, line)


@case
def repeated_lines_are_counted():
    w = start()
    refuse_reloads(w, 20)
    w.write()
    w.reload()
    w.wait_log("generation 2")
    about = [line for line in log_lines(w) if "nonsense" in line]
    eq(len(about), 2, "lines about it: %r" % about)
    eq(about[1][25:], about[0][25:] + " (repeated 19 times)", "the count")
    check(w.log().index("repeated") < w.log().index("generation 2"),
          "in its place: before what came after it: " + w.log())


@case
def the_count_comes_after_ten_seconds_at_the_latest():
    w = start()
    refuse_reloads(w, 3)
    began = time.monotonic()
    check("repeated" not in w.log(), "already: " + w.log())
    until(lambda: re.search(r"repeated 2 times", w.log()), "the count",
          20 * cases.SLOW)
    check(time.monotonic() - began > 5, "too early")


@case
def nothing_is_lost_at_the_end():
    w = start()
    refuse_reloads(w, 7)
    w.stop()
    check("(repeated 6 times)\n" in w.log(), w.log())
    check(log_lines(w)[-1].endswith(" info ended"), w.log())


@case
def nothing_is_lost_when_it_aborts():
    """The line and the signal race; whoever wins, it is there."""
    for _ in range(5):
        w = start()
        refuse_reloads(w, 1)
        w.signal(signal.SIGABRT)
        eq(w.exited(), -signal.SIGABRT, "how it ended")
        check("nonsense" in w.log(), "lost: " + w.log())


@case
def an_error_at_start_is_told():
    conf = one(HttpOrigin())
    conf.more = "nonsense = 1;"
    w = Weir(conf, wait=False)
    eq(w.exited(), 1, "exit status")
    check("nonsense" in w.log(), w.log())


@case
def a_reader_that_sleeps_holds_nobody_up():
    fifo = os.path.join(temp_dir(), "err.fifo")
    copy = os.path.join(temp_dir(), "err.copy")
    os.mkfifo(fifo)
    reader = subprocess.Popen(
        ["sh", "-c", 'exec cat <"$0" >"$1"', fifo, copy],
        preexec_fn=cases.die_with_parent)
    later(reader.wait)
    later(reader.kill)
    w = Weir(one(HttpOrigin()), before=(
        "sh", "-c", 'exec "$@" 2>"$0"', fifo))
    reader.send_signal(signal.SIGSTOP)

    # Pages of words, each different: some 400 KiB, more than a pipe and a
    # ring take.
    def pages():
        for i in range(40):
            refuse_reloads(w, 1, "\n".join(
                "nonsense%d_%d%s = 1;" % (i, k, "x" * 60)
                for k in range(40)) + "\nlast%d" % i)
        ok(once(w.conf.ports["front"]))
        return w.stats()["process"]["log_dropped_total"] > 0
    until(pages, "dropped lines", 6 * cases.WAIT)
    w.write()
    w.reload()
    began = time.monotonic()
    w.stop()
    check(time.monotonic() - began < 8 * cases.SLOW, "ending took %.1f s" %
          (time.monotonic() - began))
    reader.send_signal(signal.SIGCONT)
    eq(reader.wait(), 0, "the reader's end")
    with open(copy) as f:
        for line in f:
            check(re.match(STAMP + r" (error|warn|info) \S.*\n", line), line)


run()
