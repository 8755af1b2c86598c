"""weir as process 1 of a container: no privileges, no capabilities, a root that
cannot be written to; it serves, reloads, buries orphans, ends as it is told.
"""
# SPDX-License-Identifier: MIT
import os
import pwd
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import WAIT, Aside, case, check, eq, need, run, until
from weir import BINARY, Weir, one
from web import HttpOrigin, ok, once


def nobody():
    """A command that takes privileges away, if there are any."""
    if os.getuid() != 0:
        return []
    p = pwd.getpwnam("nobody")
    return [need("setpriv"), "--reuid", str(p.pw_uid), "--regid",
            str(p.pw_gid), "--clear-groups"]


def container():
    """A command in front of weir that makes it process 1 of such a place."""
    words = [*nobody(), need("unshare"), "--user", "--map-root-user", "--pid",
             "--mount", "--fork", "--kill-child", "sh", "-ec",
             'mount -o remount,bind,ro /; mount -t proc proc /proc; '
             'exec setpriv --bounding-set=-all --inh-caps=-all "$0" "$@"']
    r = subprocess.run([*words, BINARY, "-V"], capture_output=True, text=True,
                       timeout=WAIT)
    if r.returncode != 0:
        raise Aside("no namespaces here: " + (r.stderr or r.stdout).strip())
    return words


def contained(conf, *argv):
    w = Weir(conf, argv=argv, before=container())
    eq(w.stats()["pid"] == 1, not argv, "process 1")
    w.first = children(w.pid)[0]
    return w


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(n) for n in f.read().split()]


def status(pid, name):
    with open("/proc/%d/status" % pid) as f:
        return re.search(r"^%s:\s+(.*)$" % name, f.read(), re.M)[1]


def no_zombies(pid):
    try:
        return all(status(p, "State")[0] != "Z" for p in children(pid))
    except FileNotFoundError:           # gone while we looked
        return False


@case
def it_serves_reloads_and_ends():
    o = HttpOrigin()
    w = contained(one(o))
    for name in ("CapPrm", "CapEff", "CapBnd", "CapInh"):
        eq(int(status(w.first, name), 16), 0, name)
    check(status(w.first, "Uid").split()[0] != "0", "Uid")
    ok(once(w.conf.ports["front"]))
    os.kill(w.first, signal.SIGHUP)
    w.wait_log("reload: generation 2")
    os.kill(w.first, signal.SIGUSR1)
    ok(once(w.conf.ports["front"]))
    o.had(1)
    os.kill(w.first, signal.SIGTERM)
    eq(w.exited(), 0, "exit status")


@case
def it_ends_at_once_by_int():
    w = contained(one(HttpOrigin()))
    os.kill(w.first, signal.SIGINT)
    eq(w.exited(), 0, "exit status")


@case
def orphans_are_buried():
    w = contained(one(HttpOrigin()))
    own = len(children(w.first))        # its scout
    subprocess.run([need("nsenter"), "--target", str(w.first), "--user",
                    "--pid", "sh", "-c", "sleep 0.2 & exit 0"], check=True,
                   timeout=WAIT)
    until(lambda: len(children(w.first)) > own, "an orphan")
    until(lambda: len(children(w.first)) == own, "none any more")
    ok(once(w.conf.ports["front"]))
    os.kill(w.first, signal.SIGTERM)
    eq(w.exited(), 0, "exit status")


@case
def so_does_weir_run():
    o = HttpOrigin()
    w = contained(one(o, pool="min_idle = 1;"), "run", "--", "sh", "-c",
                  "trap 'exit 5' TERM; (sleep 0.1 &); (sleep 0.1 &); "
                  "while :; do sleep 0.05; done")
    ok(once(w.conf.ports["front"]))
    until(lambda: len(children(w.first)) >= 2, "the application")
    until(lambda: len(children(w.first)) == 2, "orphans are gone")
    until(lambda: no_zombies(w.first), "no zombies")
    os.kill(w.first, signal.SIGTERM)
    eq(w.exited(), 5, "exit status")


@case
def nothing_is_written_anywhere():
    """The root is read-only: an access log in a file is an error that says so,
    one to standard output is none."""
    conf = one(HttpOrigin())
    conf.log = 'level = "info"; access = "stdout";'
    w = contained(conf)
    ok(once(w.conf.ports["front"]))
    w.wait_log("GET / ")
    conf.log = 'level = "info"; access = "%s/access.log";' % cases.temp_dir()
    w.write()
    code, body = w.post("/reload")
    check(code != 200 and ("Read-only file system" in body or
                           "needs a restart" in body), body)
    ok(once(w.conf.ports["front"]))
    os.kill(w.first, signal.SIGTERM)
    eq(w.exited(), 0, "exit status")


run()
