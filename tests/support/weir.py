"""A real weir process: its configuration file, its admin port, its end.

Conf writes the file; Weir starts the binary named by $WEIR with it. The kernel
is asked who listens, ports are never connected to: a trial connection would be
counted, and on a TCP listener would take an upstream connection.

SPDX-License-Identifier: MIT
"""
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

import case
from case import SLOW, WAIT, Failed, Skip, check, eq, later, port, until

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.path.abspath(os.environ.get("WEIR") or os.path.join(
    HERE, "..", "..", "build", "weir"))

SANITIZER = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|"
                       r"runtime error:|WARNING: ThreadSanitizer")


class Conf:
    """A configuration file under construction; text() is the file."""

    def __init__(self, workers=1, more="", admin=""):
        self.workers = workers
        self.more = more                # other keys, as text
        self.admin_port = port()
        self.admin = admin              # more of the admin group
        self.log = 'level = "info";'
        self.drain_timeout = "1s"
        self.listeners = {}
        self.upstreams = {}
        self.ports = {}

    def listener(self, name, upstream="back", protocol="http", bind=None,
                 extra=""):
        """bind: text of the value; without it, a port of 127.0.0.1."""
        if bind is None:
            self.ports[name] = self.ports.get(name) or port()
            bind = '"127.0.0.1:%d"' % self.ports[name]
        use = 'upstream = "%s"; ' % upstream if upstream else ""
        self.listeners[name] = \
            '{ name = "%s"; bind = %s; protocol = "%s"; %s%s }' % (
                name, bind, protocol, use, extra)
        return self

    def upstream(self, name, *endpoints, pool="", extra=""):
        """endpoints: origins, port numbers or text."""
        self.upstreams[name] = \
            '{ name = "%s"; endpoints = ( %s ); pool = { %s }; %s }' % (
                name, ", ".join(_endpoint(e) for e in endpoints), pool, extra)
        return self

    def text(self):
        join = ",\n  ".join
        return 'workers = %d;\ndrain_timeout = "%s";\n' \
            'admin = { bind = "127.0.0.1:%d"; %s };\nlog = { %s };\n%s\n' \
            'listeners = (\n  %s\n);\nupstreams = (\n  %s\n);\n' % (
                self.workers, self.drain_timeout, self.admin_port,
                self.admin, self.log, self.more,
                join(self.listeners.values()), join(self.upstreams.values()))


def _endpoint(e):
    if isinstance(e, int):
        return '"127.0.0.1:%d"' % e
    if isinstance(e, str):
        return e
    return '"%s"' % e.address


def one(*endpoints, protocol="http", pool="", up="", front="", workers=1,
        more="", admin=""):
    """The usual file: listener "front", upstream "back"."""
    return Conf(workers, more, admin) \
        .listener("front", "back", protocol, extra=front) \
        .upstream("back", *endpoints, pool=pool, extra=up)


def listening(number):
    """Does some process listen on that TCP port (IPv4 or IPv6)?"""
    try:
        return any(_listens(f, number)
                   for f in (socket.AF_INET, socket.AF_INET6))
    except OSError:                     # a kernel that cannot be asked
        pass
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path) as f:
                if re.search(r":%04X [0-9A-F]+:0000 0A " % number, f.read()):
                    return True
        except FileNotFoundError:
            pass
    return False


def _listens(family, number):
    """The same of one family, asked with sock_diag(7): /proc/net/tcp costs
    10 ms and more, with each connection in TIME_WAIT, and is polled."""
    by_family, dump, listen = 20, 0x301, 1 << 10
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as s:
        s.settimeout(WAIT)
        # struct nlmsghdr; inet_diag_req_v2 with only a state and a port
        s.send(struct.pack("=IHHII BBBBI HH44x", 72, by_family, dump, 1, 0,
                           family, socket.IPPROTO_TCP, 0, 0, listen,
                           socket.htons(number), 0))
        # One that was found, the end of the list (3), or an error (2).
        kind = struct.unpack_from("=IH", s.recv(65536))[1]
    if kind not in (by_family, 3):
        raise OSError("sock_diag: no answer")
    return kind == by_family


def command(*argv, env=None, timeout=30, stdin=None):
    """Run a weir command to its end."""
    _binary()
    return subprocess.run([BINARY, *argv], capture_output=True, text=True,
                          timeout=timeout * SLOW, input=stdin,
                          env={**os.environ, **(env or {})},
                          preexec_fn=case.die_with_parent)


def _binary():
    if not os.access(BINARY, os.X_OK):
        raise Skip("no binary at %s; set WEIR" % BINARY)


class Weir:
    def __init__(self, conf=None, argv=None, env=None, wait=True, before=(),
                 pass_fds=()):
        """before: a command put in front, such as prlimit and its options."""
        _binary()
        self.conf = conf
        if conf is not None:
            self.file = os.path.join(case.temp_dir(),
                                     "weir%d.conf" % conf.admin_port)
            self.write()
            argv = ["-c", self.file, *(argv or ())]
        self.err_path = os.path.join(case.temp_dir(),
                                     "err%d" % time.monotonic_ns())
        with open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                [*before, BINARY, *argv], stdin=subprocess.DEVNULL,
                stdout=err, stderr=err, preexec_fn=case.die_with_parent,
                env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.status = None
        later(self.end)
        case.on_failure.append(self._tell)
        self.admin = ("127.0.0.1", conf.admin_port) if conf else None
        if wait:
            self.wait_up()

    # ------------------------------------------------------------ its life

    def write(self, text=None):
        """Write the file anew, from text or from conf."""
        case.put(os.path.basename(self.file), text or self.conf.text())

    def wait_up(self):
        """Until the admin port answers and every listener's port is bound."""
        def up():
            if self.process.poll() is not None:
                raise Failed("weir ended with %s: %s" % (
                    self.process.returncode, self.log()[-2000:]))
            try:
                return listening(self.admin[1]) and \
                    all(listening(p) for p in self.conf.ports.values()) and \
                    self.get("/healthz")[0] == 200
            except OSError:
                return False
        until(up, "weir listening", 2 * WAIT)
        # Baseline of descriptors: what it holds beside upstream connections.
        # The least of three: an admin connection may just be closing.
        self.base_fds = min(self._beside() for _ in range(3))

    def signal(self, number):
        self.process.send_signal(number)

    def exited(self, wait=None):
        """Wait for its end by itself; the exit status."""
        try:
            self.status = self.process.wait(wait or 2 * WAIT)
        except subprocess.TimeoutExpired:
            raise Failed("weir did not end: " + self.log()[-2000:]) from None
        return self.status

    def stop(self):
        """SIGTERM, and all is well: exit 0, no word of a sanitizer."""
        if self.status is None:
            self.signal(signal.SIGTERM)
        status = self.exited()
        self.clean()
        eq(status, 0, "exit status after SIGTERM")

    def clean(self):
        """No sanitizer has spoken."""
        found = SANITIZER.search(self.log())
        if found:
            raise Failed(self.log()[found.start():][:6000])

    def end(self):
        """At the end of a case, however it went."""
        if self.status is not None:
            self.clean()
            return
        if self.process.poll() is not None:
            self.status = self.process.returncode
            self.clean()
            raise Failed("weir died with %d: %s" % (
                self.status, self.log()[-4000:]))
        try:
            self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.status = self.process.returncode

    def _tell(self):
        print("---- the end of weir's output (pid %d)\n%s----" % (
            self.pid, self.log()[-3000:]), flush=True)

    def log(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, what=None):
        return until(lambda: re.search(pattern, self.log()),
                     what or "log line %r" % pattern)

    # ------------------------------------------------------ its admin port

    def admin_request(self, method, path, fields=None, body=None, at=None):
        """(status, body text, fields) of one admin request."""
        link = http.client.HTTPConnection(*(at or self.admin), timeout=WAIT)
        try:
            link.request(method, path, body, fields or {})
            r = link.getresponse()
            return r.status, r.read().decode(), dict(
                (n.lower(), v) for n, v in r.getheaders())
        except http.client.HTTPException as e:
            raise Failed("admin %s %s: %r" % (method, path, e)) from None
        finally:
            link.close()

    def get(self, path):
        return self.admin_request("GET", path)[:2]

    def post(self, path):
        return self.admin_request("POST", path)[:2]

    def stats(self):
        status, body = self.get("/stats")
        eq(status, 200, "/stats")
        return json.loads(body)

    def upstream(self, name="back"):
        return _named(self.stats()["upstreams"], name)

    def listener(self, name="front"):
        return _named(self.stats()["listeners"], name)

    def pool(self, name="back"):
        return self.upstream(name)["pool"]

    def failures(self, name="front"):
        """The listener's counted failures that are not 0."""
        return {k: v for k, v in
                self.listener(name)["failures_total"].items() if v}

    def wait_pool(self, name="back", **wanted):
        """Until the pool's numbers are these: wait_pool(idle=1, leased=0)."""
        last = {}

        def same():
            last.update(self.pool(name))
            return all(last[k] == v for k, v in wanted.items())
        try:
            until(same, "")
        except Failed:
            raise Failed("pool of %s never was %r: %r" % (
                name, wanted, last)) from None
        return last

    def metrics(self):
        status, body = self.get("/metrics")
        eq(status, 200, "/metrics")
        return body

    def reload(self):
        """POST /reload; its JSON. Fails when the reload did."""
        status, body = self.post("/reload")
        if status != 200:
            raise Failed("reload: %d %s" % (status, body))
        return json.loads(body)

    # ---------------------------------------------------------- its books

    def _proc(self, name):
        with open("/proc/%d/%s" % (self.pid, name)) as f:
            return f.read()

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def _held(self):
        """What descriptors it has, in words."""
        sockets = {}
        for table in ("tcp", "tcp6"):
            for line in self._proc("net/" + table).splitlines()[1:]:
                w = line.split()
                sockets["socket:[%s]" % w[9]] = "%d>%d:%s" % (
                    int(w[1].split(":")[1], 16), int(w[2].split(":")[1], 16),
                    w[3])
        held = []
        for fd in os.listdir("/proc/%d/fd" % self.pid):
            try:
                target = os.readlink("/proc/%d/fd/%s" % (self.pid, fd))
            except OSError:
                continue
            held.append(sockets.get(target, target))
        return " ".join(sorted(held))

    def rss(self):
        """Resident bytes."""
        found = re.search(r"VmRSS:\s+(\d+)", self._proc("status"))
        check(found, "weir has died: " + self.log()[-3000:])
        return int(found[1]) * 1024

    def cpu_s(self):
        """Processor seconds used."""
        words = self._proc("stat").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def _beside(self):
        """Descriptors beside upstream connections, of a moment in which none
        of those was opened: the first ones are just being, and have a place
        before they have a descriptor. Counted after the books came: then each
        worker runs and has opened what it needs."""
        patience = time.monotonic() + WAIT / 10

        def counted():
            pooled, fds = self._pooled(), self.fds()
            # Where nobody answers it connects for long.
            calm = time.monotonic() > patience or not sum(
                u["pool"]["connecting"] for u in self.stats()["upstreams"])
            return [fds - pooled] if calm and self._pooled() == pooled \
                else None
        return until(counted, "as many connections twice")[0]

    def _pooled(self):
        return sum(u["pool"]["open"] for u in self.stats()["upstreams"])

    def _closes_down_to(self, wanted):
        """Has it so few descriptors, soon and while nobody asks? On a busy
        machine that which asked for the books is otherwise never closed when
        they are counted."""
        try:
            until(lambda: self.fds() <= wanted, "", WAIT / 10)
        except Failed:
            return False
        return True

    def balanced(self, *origins):
        """At rest the books balance: leased 0, waiting 0, what is open is
        idle, the origins see as many, descriptors are at their baseline."""
        reasons = []

        def rest():
            why = []
            for u in self.stats()["upstreams"]:
                p = u["pool"]
                if p["leased"] or p["waiting"] or p["connecting"] or \
                        p["open"] != p["idle"]:
                    why.append("%s: %r" % (u["name"], p))
            for s in self.stats()["listeners"]:
                if s["connections"]["active"]:
                    why.append("%s: %r" % (s["name"], s["connections"]))
            if origins:
                theirs = sum(o.open for o in origins)
                ours = self._pooled()
                if theirs != ours:
                    why.append("origins hold %d connections, weir %d: %s" % (
                        theirs, ours, self._held()))
            wanted = self.base_fds + self._pooled()
            if not why and not self._closes_down_to(wanted):
                why.append("%d descriptors, baseline %d: %s" % (
                    self.fds(), wanted, self._held()))
            if why and why not in reasons:
                reasons.append(why)
            return not why
        try:
            until(rest, "")
        except Failed:
            # The last one alone may be of what its origin gave up meanwhile.
            raise Failed("the books do not balance: " + "; then ".join(
                "; ".join(why) for why in reasons[-4:])) from None
        for origin in origins:
            check(not origin.errors, "a scripted peer failed: %r" %
                  origin.errors[:3])


def _named(rows, name):
    for row in rows:
        if row["name"] == name:
            return row
    raise Failed("no %s in /stats" % name)


def unix_listening(path):
    """Is the socket file there and does a process accept on it?"""
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
        return True
    except OSError:
        return False
    finally:
        s.close()
