"""Programs that do the same job, measured in one run: each alone on its core,
in turns, compared round by round. tests/bench says what they are set to do.

SPDX-License-Identifier: MIT
"""
import argparse
import contextlib
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile

from case import Failed, Skip, die_with_parent, need, until
from weir import listening


def options(doc, scenarios):
    """The command line: .scenarios, .rounds, .seconds."""
    p = argparse.ArgumentParser(
        description=doc, usage=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=3)
    o = p.parse_args()
    for name in o.scenarios:
        if name not in scenarios:
            p.error("no scenario %r, expected one of: %s" % (
                name, " ".join(scenarios)))
    if o.rounds < 1 or o.seconds < 1:
        p.error("--rounds and --seconds begin at 1")
    o.scenarios = o.scenarios or list(scenarios)
    return o


def leave_out(o, names, why):
    """Those cannot be measured here."""
    print("%s: left out: %s" % (why, ", ".join(names)))
    o.scenarios = [s for s in o.scenarios if s not in names]


def want_descriptors(o, n, hungry):
    """So many may be open from here on, else the hungry scenarios are out."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < n:
        leave_out(o, hungry, "only %d descriptors" % hard)
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n, hard))


def contest(o, begin):
    """All scenarios, in a folder of their own: begin(stack, folder) returns
    what measures one. Returns the exit status."""
    name = os.path.basename(sys.argv[0]).partition(".")[0]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="weir-bench-"))
            os.chmod(folder, 0o755)
            before = os.getloadavg()[0]
            measure = begin(stack, folder)
            print("%d rounds of %d s; load average %.2f before" % (
                o.rounds, o.seconds, before), flush=True)
            for scenario in o.scenarios:
                tell(scenario, measure(scenario))
    except KeyboardInterrupt:
        return 130
    except (Failed, Skip) as e:
        print("%s: %s" % (name, e), file=sys.stderr)
        return 1
    return 0


def cores():
    """(the contenders', the load's); the same where there is one only."""
    there = sorted(os.sched_getaffinity(0))
    if len(there) < 2:
        print("one core only: contenders and load share it")
    need("taskset")
    return str(there[0]), str(there[min(1, len(there) - 1)])


class Running:
    """A program on its core, and what it costs."""

    def __init__(self, name, argv, core, number):
        self.name = name
        self.number = number            # the port it listens on
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["taskset", "-c", core, *argv], stdin=subprocess.DEVNULL,
            stdout=self.said, stderr=self.said, preexec_fn=die_with_parent)
        self.pid = self.process.pid

    def wait_up(self):
        def up():
            if self.process.poll() is not None:
                self.said.seek(0)
                raise Failed("%s ended with %d: %s" % (
                    self.name, self.process.returncode,
                    self.said.read().decode(errors="replace")))
            return listening(self.number)
        until(up, "%s listening" % self.name)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in self.tree():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def tree(self):
        """Its process ids and those below; the lowest come last."""
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError), \
                        open("/proc/%s/stat" % name) as f:
                    parents[int(name)] = int(
                        f.read().rpartition(")")[2].split()[1])
        found = [self.pid]
        for pid in found:
            found += [p for p, parent in parents.items() if parent == pid]
        return found

    def cpu_ns(self):
        """Time on the processor, of all threads of all its processes."""
        total = 0
        for pid in self.tree():
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                    total += int(f.read().split()[0])
        return total

    def memory_kib(self):
        """Its proportional share of memory."""
        total = 0
        for pid in self.tree():
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])
        return total


def put(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "wb" if isinstance(text, bytes) else "w") as f:
        f.write(text)
    return path


def turns(there, rounds, play):
    """{name: a row for each round}; whoever began is last in the next."""
    rows = {c.name: [] for c in there}
    for n in range(rounds):
        turn = n % len(there)
        for c in there[turn:] + there[:turn]:
            rows[c.name].append(play(c))
    return rows


def tell(scenario, rows):
    """Print a table: medians, and weir's figure divided by each other's."""
    names = list(next(iter(rows.values()))[0])
    compared = [k for k in names if k not in ("errors", "p50 ms")]
    print("\n%-11s" % scenario + "".join("%11s" % k for k in names) +
          ("   weir/it: " + ", ".join(compared) if "weir" in rows else ""))
    for who, mine in rows.items():
        line = "  %-9s" % who
        for k in names:
            value = sum(r[k] for r in mine) if k == "errors" else \
                statistics.median(r[k] for r in mine)
            line += "%11s" % (("%d" if k in ("req/s", "errors")
                               else "%.2f") % value)
        if who != "weir" and "weir" in rows:
            line += "            " + "  ".join(
                "%.2f" % statistics.median(
                    a[k] / b[k] if b[k] else float("inf")
                    for a, b in zip(rows["weir"], mine)) for k in compared)
        print(line, flush=True)
