"""The test suite of the Redis source, in external mode, through weir.

The source comes from Debian by `apt-get source` when it is first needed, into
the folder of the binary under test. PLAIN=1 runs against redis-server itself:
that tells what the suite finds wrong without weir.

What is left out stands in redis_suite_excluded.txt with its reasons.

SPDX-License-Identifier: MIT
"""
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from case import SLOW, Failed, Skip, case, check, die_with_parent, need, ports
from redis import RedisServer
from weir import BINARY, Weir, one

PLAIN = os.environ.get("PLAIN") == "1"
SOURCES = os.path.join(os.path.dirname(BINARY), "sources")
# The suite's own ports: the 32 before --baseport are its test server's. It asks
# of a port whether it can be had in IPv4 or in IPv6, and fails when it then is
# not free in IPv4: the numbers it looks at have to be free, all of them.
SERVER_PORTS, SUITE_PORTS = 32, 16
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
DEB_SRC = """Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def source(package):
    """Folder of the unpacked source of a Debian package. Lists of sources are
    kept beside it: those of the machine stay as they are."""
    for program in ("apt-get", "dpkg-source"):
        need(program)
    os.makedirs(SOURCES, exist_ok=True)
    tree = os.path.join(SOURCES, package)
    with open(os.path.join(SOURCES, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(tree):
            _unpack(package, tree)
    return tree


def _unpack(package, tree):
    apt = os.path.join(SOURCES, "apt")
    for folder in ("parts", "lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(apt, folder), exist_ok=True)
    with open(os.path.join(apt, "parts", "source.sources"), "w") as f:
        f.write(DEB_SRC)
    options = [w for key, value in (
        ("Dir::Etc::SourceList", "/dev/null"),
        ("Dir::Etc::SourceParts", apt + "/parts"),
        ("Dir::State::Lists", apt + "/lists"),
        ("Dir::Cache", apt + "/cache"),
        ("APT::Sandbox::User", "root")) for w in ("-o", key + "=" + value)]
    new = tree + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    for argv in (["update"], ["source", "--download-only", package]):
        r = subprocess.run(["apt-get", "-q", *options, *argv], cwd=new,
                           capture_output=True, text=True, timeout=150)
        if r.returncode != 0:
            raise Skip("no source of %s to be had: %s" % (
                package, (r.stderr.strip().splitlines() or ["?"])[-1]))
    r = subprocess.run(["dpkg-source", "-x", *glob.glob(new + "/*.dsc"),
                        new + "/tree"], capture_output=True, text=True)
    if r.returncode != 0:
        raise Skip("dpkg-source: " + r.stderr[-300:])
    os.rename(new + "/tree", tree)
    shutil.rmtree(new)


def excluded(unit, name="redis_suite_excluded.txt"):
    """Names of tests of that unit that are left out, with their reasons."""
    left_out, reason = {}, None
    with open(os.path.join(HERE, name)) as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if line.startswith("# ") or not line:
                continue
            if line.startswith("reason: "):
                reason = line
                continue
            where, _, test = line.partition(": ")
            check(reason and test, "%s:%d: no reason" % (name, number))
            if where == unit:
                left_out[test] = reason
    return left_out


def run_unit(unit, weir_options=None, tags=""):
    """Run one unit with a server, and a weir, of its own; what it said."""
    tree = source("redis")
    tcl = need("tclsh")
    for program in ("redis-server", "redis-cli", "redis-benchmark"):
        link = os.path.join(tree, "src", program)
        if not os.path.lexists(link):
            os.symlink(need(program), link)
    server = RedisServer()
    server.ask("CONFIG", "SET", "proto-max-bulk-len", "512mb")
    number = server.number
    if not PLAIN:
        w = Weir(one(server, protocol="redis",
                     **(weir_options or {"pool": "max = 16;"})))
        number = w.conf.ports["front"]
    skip = [w for name in excluded(unit) for w in ("--skiptest", name)]
    base = ports(SERVER_PORTS + SUITE_PORTS) + SERVER_PORTS
    p = subprocess.Popen(
        [tcl, "tests/test_helper.tcl", "--host", "127.0.0.1", "--port",
         str(number), "--baseport", str(base), "--portcount",
         str(SUITE_PORTS), "--singledb", "--no-latency", "--durable", "--tags",
         "-needs:repl -needs:reset " + tags, "--single", unit, *skip],
        cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True, preexec_fn=die_with_parent)
    try:
        out, _ = p.communicate(timeout=float(os.environ.get("LIMIT", 120)) *
                               SLOW)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, _ = p.communicate()
        out += "\n[exception]: the unit hung"
    out = COLOUR.sub("", out)
    if os.environ.get("KEEP"):
        with open(os.path.join(os.environ["KEEP"], unit.replace("/", "_")),
                  "w") as f:
            f.write(out)
    bad = re.findall(r"^\[(?:err|exception|timeout)\]: .*", out,
                     re.M)
    good = len(re.findall(r"^\[ok\]: ", out, re.M))
    if bad or p.returncode != 0:
        raise Failed("%s: %d ok, exit status %s, %d not:\n%s\n%s" % (
            unit, good, p.returncode, len(bad), "\n".join(bad[:30]),
            out[-1500:]))
    check(good > 0, "%s: nothing ran: %s" % (unit, out[-800:]))
    print("      %s: %d tests" % (unit, good), flush=True)
    if not PLAIN:
        w.balanced()


def units(*names, **options):
    """A case for each unit."""
    for name in names:
        def one_unit(name=name):
            run_unit(name, **options)
        one_unit.__name__ = name.replace("/", "_").replace("-", "_")
        case(one_unit)
