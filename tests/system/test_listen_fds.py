"""Sockets that a service manager has opened are used where their addresses are
bound, and nobody who has connected before weir was there is lost.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as support
from case import case, check, eq, port, run, temp_dir
from upgrade import Successive
from weir import one
from web import HttpOrigin, ask, ok, once
from wire import Client


def opened(address):
    """A socket that listens, as a manager has it."""
    unix = isinstance(address, str)
    s = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    if not unix:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = ("127.0.0.1", address)
    s.bind(address)
    s.listen(64)
    support.later(s.close)
    return s


# Who calls exec() says its own number, and gives the sockets their places.
LAUNCH = """import fcntl, os, sys
given = [int(fd) for fd in sys.argv[1].split(",")]
apart = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
os.closerange(3, 100)
for n, fd in enumerate(apart):
    os.dup2(fd, 3 + n)
os.closerange(100, 200)
os.environ.update(LISTEN_PID=sys.argv[2] or str(os.getpid()),
                  LISTEN_FDS=sys.argv[3], LISTEN_FDNAMES="web:more")
os.execv(sys.argv[4], sys.argv[4:])"""


class Activated(Successive):
    """Started with those sockets as descriptors 3, 4, ..."""

    def __init__(self, conf, sockets, pid="", count=None, wait=True):
        fds = [s.fileno() for s in sockets]
        super().__init__(conf, pass_fds=fds, wait=wait, before=(
            sys.executable, "-c", LAUNCH, ",".join(map(str, fds)), pid,
            str(len(fds) if count is None else count)))


def inode_of(number):
    """Of the sockets that listen on that port: how many, and which."""
    with open("/proc/net/tcp") as f:
        return [line.split()[9] for line in f
                if " 0100007F:%04X 00000000:0000 0A " % number in line]


@case
def what_is_bound_there_takes_them():
    o = HttpOrigin()
    conf = one(o)
    front, admin = conf.ports["front"], conf.admin_port
    path = os.path.join(temp_dir(), "listen.sock")
    conf.listener("unix", bind='"unix:%s"' % path)
    sockets = [opened(front), opened(path), opened(admin)]
    first = Client(front)               # nobody accepts yet
    first.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    before = inode_of(front), inode_of(admin)
    w = Activated(conf, sockets)
    check(b"200" in first.read_to_end()[:20], "who came first")
    eq((inode_of(front), inode_of(admin)), before, "the sockets")
    ok(once(front))
    ok(once("unix:" + path))
    with open("/proc/%d/environ" % w.pid, "rb") as f:
        check(b"LISTEN_PID" in f.read(), "the launcher did not work")
    w.reload()
    ok(once(front))
    w.balanced(o)
    w.stop()
    # The manager's files and queues outlive weir.
    check(os.path.exists(path), "the manager's socket file is gone")
    Client(front)
    Client("unix:" + path)


@case
def one_for_many_workers_deals_clients_out():
    o = HttpOrigin()
    conf = one(o, workers=3, pool="max = 3;")
    w = Activated(conf, [opened(conf.ports["front"])])
    clients = [Client(conf.ports["front"]) for _ in range(9)]
    for c in clients:
        ok(ask(c))
    eq(len(inode_of(conf.ports["front"])), 1, "sockets")
    for c in clients:
        c.close()
    check(1 <= o.accepted <= 3, "%d connections" % o.accepted)
    w.balanced(o)


@case
def what_nobody_is_bound_to_is_closed():
    conf = one(HttpOrigin())
    spare = port()
    listens = opened(spare)
    plain = socket.socket()
    support.later(plain.close)
    w = Activated(conf, [listens, plain], count=9)
    w.wait_log(r"warn.*127\.0\.0\.1:%d" % spare)
    w.wait_log(r"warn.*descriptor 4 of LISTEN_FDS is not a stream socket")
    w.wait_log(r"warn.*descriptor 11, and there is none")
    listens.close()
    eq(inode_of(spare), [], "who listens there")
    ok(once(conf.ports["front"]))


@case
def what_is_meant_for_another_process_is_left_alone():
    conf = one(HttpOrigin())
    for pid, count in (("1", "1"), ("", "x"), ("", "-1"), ("", "0")):
        taken = opened(conf.ports["front"])
        w = Activated(conf, [taken], pid=pid, count=count, wait=False)
        eq(w.exited(), 1, "status with %s, %s" % (pid, count))
        check("Address already in use" in w.log(), w.log())
        taken.close()


@case
def that_one_is_given_up_for_good_is_said_before():
    path = os.path.join(temp_dir(), "gone.sock")
    conf = one(HttpOrigin())
    conf.listener("unix", bind='"unix:%s"' % path)
    conf.listener("own")
    w = Activated(conf, [opened(conf.ports["front"]), opened(path)])
    eq(json.loads(w.post("/plan")[1])["warnings"], [], "nothing leaves")
    # Its own address can be bound again.
    del conf.listeners["unix"], conf.listeners["own"]
    w.write()
    said = ("unix:%s, which a service manager handed in, is bound no more: "
            "only a restart through that would bring it back" % path)
    for page in ("/plan", "/reload"):
        warnings = json.loads(w.post(page)[1])["warnings"]
        eq([x.split(": ", 1)[1] for x in warnings], [said], page)
    w.wait_log("warn reload: .*" + re.escape(said))
    check(os.path.exists(path), "the manager's socket file is gone")


@case
def they_go_over_in_an_upgrade():
    o = HttpOrigin()
    path = os.path.join(temp_dir(), "both.sock")
    conf = one(o)
    conf.listener("unix", bind='"unix:%s"' % path)
    front = conf.ports["front"]
    sockets = [opened(front), opened(path)]
    before = inode_of(front)
    w = Activated(conf, sockets)
    w.upgrade()
    eq(inode_of(front), before, "the sockets")
    ok(once(front))
    ok(once("unix:" + path))
    w.balanced(o)
    w.stop()
    check(os.path.exists(path), "the manager's socket file is gone")


run()
