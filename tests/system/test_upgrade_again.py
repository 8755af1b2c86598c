"""A weir that has taken over dies while the one before it still drains: that
one has another started. No client is refused, and whoever comes meanwhile is
answered.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import redis
from case import SLOW, WAIT, case, check, eq, later, run, temp_dir, until
from manager import Manager
from upgrade import Arrivals, Successive
from weir import one
from web import HttpOrigin, answer, ask, ok, once
from wire import Client

OFF = 'security = { sandbox = "off"; };'      # it runs nobody's scripts


class Held:
    """A request that the old weir has under way, so that it still drains."""

    def __init__(self, conf, **more):
        self.gate = threading.Event()
        self.origin = HttpOrigin(self._handle)
        later(self.gate.set)
        conf.listener("held", "slow").upstream("slow", self.origin)
        conf.drain_timeout = "%ds" % (60 * SLOW)
        self.weir = Successive(conf, **more)
        self.client = Client(conf.ports["held"])
        self.client.limit = 3 * WAIT
        self.ask = threading.Thread(target=self._ask, daemon=True)
        self.ask.start()
        until(lambda: self.origin.requests == 1, "the request")

    def _handle(self, q, link):
        self.gate.wait(6 * WAIT)
        return answer(q)

    def _ask(self):
        ok(ask(self.client))
        self.client.close()

    def upgrade(self):
        self.old = self.weir.upgrade(ended=False)
        return self.weir

    def end(self):
        """The old one has nothing more to do; its status."""
        self.gate.set()
        self.ask.join(3 * WAIT)
        return self.old.wait(2 * WAIT)


@case
def killed_under_load_it_is_replaced_and_nobody_is_refused():
    o, manager = HttpOrigin(keep=False), Manager()
    path = os.path.join(temp_dir(), "f.sock")
    conf = one(o, pool="min_idle = 2; max = 4;", workers=2) \
        .listener("local", bind='"unix:%s"' % path)
    h = Held(conf, env=manager.env)
    w = h.weir
    inode = os.stat(path).st_ino
    load = Arrivals([conf.ports["front"], "unix:" + path])
    load.more()
    h.upgrade()
    eq(manager.wait("MAINPID")["MAINPID"], str(w.pid), "who is weir")
    load.more()
    for n in (1, 2, 3):
        dead = w.pid
        load.kill(w)
        w.replaced()
        load.more()
        eq(os.stat(path).st_ino, inode, "the socket file")
        eq(manager.wait("MAINPID")["MAINPID"], str(h.old.pid), "in between")
        eq(manager.wait("MAINPID")["MAINPID"], str(w.pid), "who is weir")
        u = w.stats()["upgrade"]
        eq((u["count"], u["replaced"], u["last"]), (1 + n, n, "ok"),
           "upgrade")
        check("process %d, which took over, was killed by signal 9" % dead in
              u["died"], u["died"])
    load.end()
    check(w.listener()["requests_total"] > 0, "requests")
    eq(h.end(), 0, "its status")
    w.wait_log("process %d has drained" % h.old.pid)
    # What the old one had counted, and its last request, once.
    eq(w.listener("held")["requests_total"], 1, "requests of the old one")
    w.balanced(o, h.origin)


@case
def the_place_of_the_dead_is_free():
    o = redis.RedisOrigin(lambda args, play: args[1])
    h = Held(one(o, protocol="redis", pool="max = 1; min_idle = 0;"))
    w = h.upgrade()
    front = w.conf.ports["front"]
    for n in range(2):
        # It waits for an answer, on the only connection.
        o.answer = lambda args, play: redis.SILENT
        lost = redis.Client(front)
        asked = o.asked("ECHO")
        lost.write("ECHO", "never")
        until(lambda: o.asked("ECHO") > asked, "the question")
        eq(w.pool()["open"], 1, "open")
        o.answer = lambda args, play: args[1]
        w.kill()
        c = redis.Client(front)
        eq(c.ask("ECHO", n), b"%d" % n, "an answer")
        c.close()
        w.replaced()
        w.wait_pool(open=1, idle=1)
        eq(o.open, 1, "connections")
    eq(h.end(), 0, "its status")


@case
def one_that_has_drained_stays_for_a_while():
    """Nobody was there when it was taken over from: it would have ended."""
    w = Successive(one(HttpOrigin(), pool="max = 2;"))
    before = w.upgrade(ended=False)
    w.wait_log("has drained; stays for")
    w.kill()
    ok(once(w.conf.ports["front"]))
    w.replaced()
    eq(before.poll(), None, "its status")
    # It goes at once when the next one is asked for.
    status, body = w.post("/upgrade")
    eq((status, json.loads(body)), (202, {"result": "queued"}), "/upgrade")
    eq(before.process.wait(2 * WAIT), 0, "its status")
    until(lambda: w.stats()["pid"] != w.pid, "another process")
    w.follow()
    eq(w.stats()["upgrade"]["count"], 3, "upgrades")
    ok(once(w.conf.ports["front"]))


@case
def one_that_does_not_come_up_is_tried_again():
    o = HttpOrigin()
    h = Held(one(o, more=OFF), copied=True)
    w = h.upgrade()
    os.unlink(w.program)
    w.script("exit 3")
    w.kill()
    c = Client(w.conf.ports["front"])
    w.wait_log("the new weir ended with status 3; nobody serves")
    # After three of them it is the binary that runs that is started.
    ok(ask(c))
    w.wait_log("of the binary that runs here: /proc/self/exe")
    w.replaced()
    with open("/proc/%d/comm" % w.pid) as f:
        eq(f.read().rstrip(), os.path.basename(w.program), "its name")
    os.unlink(w.program)
    w.kill()
    c = Client(w.conf.ports["front"])
    w.wait_log("%s cannot be started: No such file" % re.escape(w.program))
    # The old one has nothing to do any more but to wait for that.
    h.gate.set()
    h.ask.join(3 * WAIT)
    w.install()
    ok(ask(c))
    w.replaced()
    eq(h.end(), 0, "its status")
    w.wait_log("process %d has drained" % h.old.pid)
    eq(w.listener("held")["requests_total"], 1, "requests of the old one")


@case
def sockets_that_nobody_accepts_from_are_not_kept():
    """The number of workers changes, a listener leaves the file: by an upgrade
    and by a reload. While the old one lives, none of its copies takes a
    client that nobody will come for."""
    o = HttpOrigin()
    conf = one(o, workers=3).listener("gone").listener("left")
    h = Held(conf)
    conf.workers = 1
    conf.listeners.pop("gone")
    gone = conf.ports.pop("gone")
    h.weir.write()
    w = h.upgrade()

    def all_are_answered():
        for _ in range(24):
            ok(once(conf.ports["front"]))
    all_are_answered()
    eq(refused(gone), True, "a listener that left by the upgrade")
    conf.listeners.pop("left")
    left = conf.ports.pop("left")
    conf.listener("more")
    w.write()
    w.reload()
    until(lambda: refused(left), "one that left by a reload")
    conf.workers = 3
    w.write()
    w.kill()
    # One that only the dead one had is held, too.
    ok(once(conf.ports["more"]))
    w.replaced()
    w.wait_log("(?s)3 workers.*1 worker.*3 workers")
    all_are_answered()
    eq((refused(gone), refused(left)), (True, True), "those that left")
    eq(h.end(), 0, "its status")
    all_are_answered()


def refused(number):
    with socket.socket() as s:
        s.settimeout(WAIT)
        try:
            s.connect(("127.0.0.1", number))
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            return False        # its door was being closed
        return False


@case
def one_that_is_told_to_end_is_not_replaced():
    path = os.path.join(temp_dir(), "e.sock")
    conf = one(HttpOrigin()).listener("local", bind='"unix:%s"' % path)
    h = Held(conf)
    w = h.upgrade()
    w.signal(signal.SIGTERM)
    w.exited()
    check(refused(conf.ports["front"]), "it takes clients yet")
    check(not os.path.exists(path), "the socket file stays behind")
    w.wait_log("process %d, which took over, has ended" % w.pid)
    eq(h.end(), 0, "its status")
    check("is started" not in w.log(), "another one was started")


@case
def who_is_told_to_end_while_nobody_serves_tries_no_more():
    path = os.path.join(temp_dir(), "g.sock")
    conf = one(HttpOrigin(), more=OFF).listener(
        "local", bind='"unix:%s"' % path)
    h = Held(conf)
    w = h.upgrade()
    w.script("exec sleep 300")
    dead = w.kill()
    until(lambda: w.log().count("is to take over") == 2, "another one")
    check(os.path.exists(path), "the socket file")
    os.kill(h.old.pid, signal.SIGTERM)
    until(lambda: refused(conf.ports["front"]), "its doors are closed")
    check(not os.path.exists(path), "the socket file stays behind")
    eq(h.end(), 0, "its status")
    w.status = 0
    check("process %d" % dead in w.log(), "who died")


run()
