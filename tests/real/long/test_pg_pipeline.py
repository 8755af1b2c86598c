"""libpq_pipeline of PostgreSQL's source, which proves its pipelines: through
weir all its tests pass, also beside others, and see the same messages.
"""
# SPDX-License-Identifier: MIT
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."),
                os.path.join(HERE, "..", "..", "support")]
from case import SLOW, case, check, die_with_parent, eq, run, temp_dir
from pg import Pair
from pg_source import pipeline_program


# It begins with two SET, which the server has as defaults. With "warn" they do
# not keep it on its connection.
WASHED = 'on_session_state = "warn";'


def start(path, pair, name, *argv):
    return subprocess.Popen(
        [path, "-r", "700", *argv, name], env=pair.env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, preexec_fn=die_with_parent)


def ended(process, name):
    out, _ = process.communicate(timeout=60 * SLOW)
    eq(process.returncode, 0, "%s, which said %s" % (name, out[-1500:]))


def each_by_itself(**more):
    path, names, traces = pipeline_program()
    check(len(names) > 8, "tests: %r" % names)
    pair = Pair(user="postgres", database="postgres", **more)
    for name in names:
        seen = os.path.join(temp_dir(), name + ".trace")
        ended(start(path, pair, name, "-t", seen), name)
        wanted = os.path.join(traces, name + ".trace")
        if os.path.exists(wanted):
            with open(wanted) as a, open(seen) as b:
                eq(b.read(), a.read(), "messages of " + name)
    return pair


@case
def each_passes_and_sees_the_same_messages():
    each_by_itself(pool="max = 2; max_pinned = 1;").rest(20)


@case
def each_passes_where_nothing_keeps_it():
    pair = each_by_itself(pool="max = 1;", front=WASHED)
    eq({n for n in pair.w.upstream()["pinned_total"].values()} if pair.w
       else {0}, {0}, "pins")
    pair.rest(2)


@case
def all_pass_side_by_side_on_two_connections():
    path, names, _ = pipeline_program()
    pair = Pair(pool="max = 2;", user="postgres", database="postgres",
                front=WASHED)
    # Others make tables of one name.
    names = ["disallowed_in_pipeline", "multi_pipelines", "nosync",
             "pipeline_idle", "prepared", "simple_pipeline", "singlerow"]
    for n in range(3):
        running = [(start(path, pair, name), name)
                   for name in names + names]
        for process, name in running:
            ended(process, name)
    pair.rest(2)


run()
