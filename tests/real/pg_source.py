"""What PostgreSQL's source has for testing, built when it is first needed into
the folder of the binary under test: psql, pg_regress with its library, and
libpq_pipeline. psql because its answers have to be of the age of what is
expected of them; the server is the one that is installed.

SPDX-License-Identifier: MIT
"""
import fcntl
import os
import re
import shutil
import subprocess

from case import SLOW, Failed, Skip, case, check, die_with_parent, eq, need
from case import temp_dir
from pg import PLAIN, Pair
from postgres import Postgres
from redis_suite import SOURCES, excluded, source

# Of the archive itself: what its security archive has may be newer, and then
# has been seen without the files that its list promises.
PACKAGE = "postgresql-15/bookworm"
# What several of them need stands before those: each would make it, and two at
# a time fall over one another.
PARTS = ("src/backend generated-headers", "src/port", "src/common",
         "src/interfaces/libpq", "src/fe_utils", "src/bin/psql",
         "src/test/regress", "src/test/modules/libpq_pipeline")


def built():
    """(source, build): two folders of one shape."""
    for program in ("gcc", "perl", "make"):
        need(program)
    tree = source(PACKAGE)
    folder = os.path.join(SOURCES, "postgresql-15", "built")
    with open(os.path.join(SOURCES, "postgresql-15.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            _build(tree, folder)
    return tree, folder


def _build(tree, folder):
    new = folder + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    jobs = ["make", "-j%d" % (os.cpu_count() or 1)]
    for argv in ([tree + "/configure", "--without-readline", "--without-zlib",
                  "CFLAGS=-O0"],
                 *(jobs + ["-C"] + part.split() for part in PARTS)):
        r = subprocess.run(argv, cwd=new, capture_output=True, text=True,
                           env={**os.environ, "MAKEFLAGS": ""},
                           preexec_fn=die_with_parent)
        if r.returncode != 0:
            raise Skip("PostgreSQL cannot be built: %s: %s" % (
                " ".join(argv), r.stderr[-500:]))
    os.rename(new, folder)


# ------------------------------------------------------------------ pg_regress

RESULT = re.compile(r"^(?:test|    ) ([\w.]+) +\.\.\. (ok|FAILED)", re.M)


def _regress(server, number, name):
    """Run its parallel schedule, six tests at a time, as the superuser: what
    became of each, {name: "ok" or "FAILED"}; and where the diffs are."""
    tree, folder = built()
    place = os.path.join(temp_dir(), name)
    os.mkdir(place)
    if server.as_user:
        os.chown(place, server.as_user["user"], server.as_user["group"])
    at = os.path.join(folder, "src/test/regress")
    inputs = os.path.join(tree, "src/test/regress")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    try:
        r = subprocess.run(
            [at + "/pg_regress", "--inputdir", inputs, "--outputdir", place,
             "--bindir", os.path.join(folder, "src/bin/psql"), "--dlpath", at,
             "--host", "127.0.0.1", "--port", str(number), "--user",
             "postgres", "--max-concurrent-tests", "20", "--max-connections",
             "6", "--schedule", inputs + "/parallel_schedule"], cwd=place,
            env={**env, "LC_ALL": "C"}, capture_output=True, text=True,
            timeout=150 * SLOW, preexec_fn=die_with_parent, **server.as_user)
    except subprocess.TimeoutExpired as e:
        raise Failed("pg_regress hangs: " + (e.stdout or b"").decode(
            errors="replace")[-500:]) from None
    got = dict(RESULT.findall(r.stdout))
    check(len(got) > 200, "pg_regress said %s%s" % (r.stdout[-1500:],
                                                    r.stderr[-500:]))
    return got, place


def _wrong(got):
    return {name for name, what in got.items() if what == "FAILED"}


def wrong_alone():
    """What fails without weir: the server may be of another age than what is
    expected of it. Kept beside what is built, for each version of a server."""
    folder = built()[1]
    server = Postgres(max_connections=100)
    version = server.ask("SHOW server_version").one.split()[0]
    kept = os.path.join(folder, "wrong-with-" + version)
    with open(kept + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(kept):
            wrong = _wrong(_regress(server, server.number, "alone")[0])
            with open(kept + ".new", "w") as f:
                f.write(" ".join(sorted(wrong)))
            os.rename(kept + ".new", kept)
    with open(kept) as f:
        return set(f.read().split())


def regress(mode, pool):
    """A case: what passes without weir passes through it, but for what
    pg_regress_excluded.txt has for that mode."""
    def one_mode():
        pair = Pair(pool="mode = \"%s\"; %s" % (mode, pool), database=
                    "postgres", user="postgres", max_connections=100)
        got, place = _regress(pair.server, pair.number, mode)
        left_out = set(excluded(mode, "pg_regress_excluded.txt"))
        wrong = _wrong(got) - (set() if PLAIN else left_out)
        print("      %d of %d ok; left out: %s" % (
            len(got) - len(_wrong(got)), len(got), " ".join(sorted(
                left_out))), flush=True)
        if wrong:
            wrong -= wrong_alone()
        check(not wrong, "%s:\n%s" % (" ".join(sorted(wrong)), _diffs(
            place, wrong)))
        pair.rest()
    one_mode.__name__ = "pg_regress_in_mode_" + mode
    case(one_mode)


def _diffs(place, names):
    with open(os.path.join(place, "regression.diffs"),
              errors="replace") as f:
        parts = re.split(r"^(?=diff )", f.read(), flags=re.M)
    return "".join(p[:1500] for p in parts if any(
        "/%s.out" % n in p.split("\n")[0] for n in names))[:4000]


# -------------------------------------------------------------- libpq_pipeline

def pipeline_program():
    """Its path, the names of its tests, and the folder of its traces."""
    tree, folder = built()
    part = "src/test/modules/libpq_pipeline"
    path = os.path.join(folder, part, "libpq_pipeline")
    r = subprocess.run([path, "tests"], capture_output=True, text=True)
    eq(r.returncode, 0, "exit status of libpq_pipeline")
    return path, r.stdout.split(), os.path.join(tree, part, "traces")
