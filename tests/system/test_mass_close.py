"""Thousands of warm connections are dropped by one reload, or by their server
at once: in linear time, on a bounded stack, and weir serves on.
"""
# SPDX-License-Identifier: MIT
import os
import resource
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, Skip, check, case, eq, later, port, run, until
from origin import end_listening
from weir import Weir, one
from web import HttpOrigin, ok, once

MANY = 3000


class Holder:
    """Accepts and holds, without a thread for each."""

    def __init__(self):
        self.held, self.number = [], port()
        self.sock = socket.create_server(("127.0.0.1", self.number),
                                         backlog=4096)
        self.door = threading.Thread(target=self._accept, daemon=True)
        self.door.start()
        later(self.end)

    def _accept(self):
        while True:
            try:
                self.held.append(self.sock.accept()[0])
            except OSError:
                return

    def drop(self):
        held, self.held = self.held, []
        for sock in held:
            sock.close()

    def end(self):
        end_listening(self.sock, self.door)
        self.drop()


def room():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < MANY + 500:
        raise Skip("the limit of descriptors is %d" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY + 500), hard))


def start():
    room()
    h, o = Holder(), HttpOrigin()
    conf = one(o).upstream("many", h.number, pool="min_idle = %d; max = %d;" %
                           (MANY, MANY), extra='ready = "ignore";')
    conf.listener("other", "many")
    w = Weir(conf)
    w.wait_pool("many", idle=MANY)
    until(lambda: len(h.held) == MANY, "as many at the server")
    return h, o, w


@case
def a_reload_drops_them_quickly():
    h, o, w = start()
    before = w.cpu_s()
    del w.conf.upstreams["many"], w.conf.listeners["other"]
    del w.conf.ports["other"]
    w.write()
    w.reload()
    ok(once(w.conf.ports["front"]))
    until(lambda: w.fds() < 100, "their descriptors are closed")
    check(w.cpu_s() - before < 2 * SLOW, "took %.2f s" % (
        w.cpu_s() - before))
    eq(len(h.held), MANY, "connections in all")
    o.had(1)


@case
def their_server_drops_them_and_gets_them_back_without_a_storm():
    h, o, w = start()
    before, begin = w.cpu_s(), time.monotonic()
    h.drop()
    ok(once(w.conf.ports["front"]))
    until(lambda: len(h.held) >= 1, "they begin to come back")
    w.wait_pool("many", idle=MANY)
    check(w.cpu_s() - before < 3 * SLOW, "took %.2f s" % (
        w.cpu_s() - before))
    check(w.upstream("many")["connects_total"] <= 2 * MANY + 10, "storm: %d"
          " in %.1f s" % (w.upstream("many")["connects_total"],
                          time.monotonic() - begin))
    o.had(1)


run()
