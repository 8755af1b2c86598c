"""A weir that is replaced by another while it runs, and is still the same Weir.

The one that took over is no child of the test until the one before has ended;
then it is, for the test is its subreaper (prctl(2)).

SPDX-License-Identifier: MIT
"""
import ctypes
import os
import re
import shutil
import signal
import threading
import time

import case
import weir
from case import WAIT, Failed, check, eq, later, until
from web import ask, ok
from wire import Client, Ended

PR_SET_CHILD_SUBREAPER = 36


class Adopted:
    """What Popen is to a child, for one that another process has started."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:       # not ours yet
                if not os.path.exists("/proc/%d" % self.pid):
                    self.returncode = -1
                return self.returncode
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=None):
        until(lambda: self.poll() is not None, "the end of process %d" %
              self.pid, timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Former:
    """The process that another has taken over from. When it has drained it would
    stay for some seconds, should that die; who waits for it tells it that it
    need not."""

    def __init__(self, w):
        self.weir, self.process, self.pid = w, w.process, w.pid
        self.told = False

    def poll(self):
        return self.process.poll()

    def _ended(self):
        if not self.told and re.search(
                "process %d, this one, has drained; stays" % self.pid,
                self.weir.log()):
            self.told = True
            self.process.send_signal(signal.SIGTERM)
        return self.process.poll() is not None

    def wait(self, timeout=None):
        until(self._ended, "the end of process %d" % self.pid, timeout)
        return self.process.poll()

    def kill(self):
        self.process.kill()


class Successive(weir.Weir):
    """A Weir that can be upgraded. `program` is a link to the binary, which a
    case may point elsewhere; or a copy of it."""

    def __init__(self, conf, argv=None, env=None, copied=False, **more):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.program = os.path.join(case.temp_dir(), "weir%d" %
                                    conf.admin_port)
        if copied:
            self.install()
        else:
            self.point_at(weir.BINARY)
        before, weir.BINARY = weir.BINARY, self.program
        try:
            super().__init__(conf, argv, env, **more)
        finally:
            weir.BINARY = before

    def install(self):
        """A copy, put there as packages do it: another file of that name."""
        shutil.copy(weir.BINARY, self.program + ".new")
        os.rename(self.program + ".new", self.program)

    def point_at(self, target):
        if os.path.lexists(self.program):
            os.unlink(self.program)
        os.symlink(target, self.program)

    def script(self, text):
        """Instead of a new weir that is started next: a shell script, in which
        $WEIR is the real one."""
        path = case.put("not%d" % time.monotonic_ns(),
                        "#!/bin/sh\nWEIR=%s\n%s\n" % (weir.BINARY, text))
        os.chmod(path, 0o755)
        self.point_at(path)

    @staticmethod
    def sleep_until(seconds):
        """Give the new one that long: at another moment each time."""
        time.sleep(seconds)

    def order(self):
        """Run `weir upgrade`: its status and all that it said."""
        done = weir.command("upgrade", "--admin", "127.0.0.1:%d" %
                            self.admin[1], timeout=90)
        return done.returncode, done.stdout + done.stderr

    def upgrade(self, ended=True):
        """Upgrade well; with `ended`, wait until the one before has."""
        status, said = self.order()
        if status != 0:
            raise Failed("weir upgrade: %d %s\n%s" % (
                status, said, self.log()[-3000:]))
        return self.follow(ended)

    def follow(self, ended=True):
        """The process that answers now is this weir from here on."""
        pid = self.stats()["pid"]
        check(pid != self.pid, "the same process answers")
        before, self.process, self.pid = Former(self), Adopted(pid), pid
        if ended:
            eq(before.wait(2 * WAIT), 0, "status of the one that left")
            # It notices a moment later that the other one has gone.
            self.wait_log(r"process %d has drained" % before.pid)
            self.base_fds = min(self._beside() for _ in range(3))
        else:
            later(lambda: before.wait(3 * WAIT))
        return before

    def kill(self):
        """SIGKILL, and it is dead when this returns: its process id."""
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not _lives(self.pid), "its death")
        return self.pid

    def replaced(self):
        """It has been killed: until another is this weir."""
        return self.follow(ended=False)

    def refused(self):
        """Upgrade in vain: what was said."""
        pid, count = self.pid, self.stats()["upgrade"]["count"]
        status, said = self.order()
        eq(status, 1, "status of weir upgrade (%s)" % said)
        s = self.stats()
        eq((s["pid"], s["upgrade"]["count"], s["upgrade"]["last"],
            s["upgrade"]["state"], s["draining"]),
           (pid, count, "failed", "idle", False), "afterwards")
        check(s["upgrade"]["error"] in said, "%r is not in %r" % (
            s["upgrade"]["error"], said))
        return said


def _lives(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Load:
    """Clients that ask over HTTP without pause; every failure is kept."""

    def __init__(self, number, clients=2):
        self.number, self.stop, self.failures = number, False, []
        self.done = [0] * clients
        self.threads = [threading.Thread(target=self._go, args=(n,),
                                         daemon=True) for n in range(clients)]
        for t in self.threads:
            t.start()

    def _go(self, n):
        try:
            while not self.stop:
                c = Client(self.number)
                while not self.stop:
                    r = ok(ask(c))
                    self.done[n] += 1
                    if (r.get("Connection") or "").lower() == "close":
                        break
                c.close()
        except (Failed, Ended, OSError) as e:
            self.failures.append(e)

    def more(self):
        """Until every client has asked again."""
        seen = list(self.done)
        until(lambda: self.failures or all(
            d > s for d, s in zip(self.done, seen)), "requests")

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(3 * WAIT)
        eq(self.failures, [], "failures under load")
        return sum(self.done)


class Arrivals(Load):
    """Clients that come anew for each request. The death of who serves them may
    cut them, but nobody is refused, and who comes after it is answered."""

    def __init__(self, addresses):
        self.addresses, self.cut, self.deaths = addresses, [], []
        super().__init__(None, len(addresses))

    def _go(self, n):
        while not self.stop:
            began = time.monotonic()
            try:
                c = Client(self.addresses[n])
            except OSError as e:
                self.failures.append(e)
                return
            try:
                ok(ask(c, fields=[("Connection", "close")]))
                self.done[n] += 1
            except (Failed, Ended, OSError) as e:
                self.cut.append((began, time.monotonic(), e))
            c.close()

    def kill(self, w):
        """w is killed."""
        began = time.monotonic()
        w.kill()
        self.deaths.append((began, time.monotonic()))

    def end(self):
        n = super().end()
        eq([e for began, ended, e in self.cut if not any(
            began <= dead and ended >= killed
            for killed, dead in self.deaths)], [], "cut without a death")
        return n
