"""Started as root with `user` set, weir gives root up after it has bound, and
can still do all it has to: reload, new listeners, its admin port.
"""
# SPDX-License-Identifier: MIT
import grp
import os
import pwd
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Skip, case, check, eq, run, until
from weir import Weir, listening, one
from web import HttpOrigin, ok, once


def ids(w, word):
    return set(w._proc("status").split(word + ":")[1].split("\n")[0].split())


@case
def root_is_given_up():
    if os.getuid() != 0:
        raise Skip("not root")
    nobody = pwd.getpwnam("nobody")
    o = HttpOrigin()
    w = Weir(one(o, more='user = "nobody";'))
    eq(ids(w, "Uid"), {str(nobody.pw_uid)}, "Uid")
    eq(ids(w, "Gid"), {str(nobody.pw_gid)}, "Gid")
    check("0" not in ids(w, "Groups"), "root's groups")
    ok(once(w.conf.ports["front"]))
    w.balanced(o)
    w.conf.listener("second")
    w.write()
    w.reload()
    until(lambda: listening(w.conf.ports["second"]), "a new listener")
    ok(once(w.conf.ports["second"]))
    o.had(1)


@case
def group_is_taken_too():
    if os.getuid() != 0:
        raise Skip("not root")
    w = Weir(one(HttpOrigin(), more='user = "nobody"; group = "daemon";',
                 workers=2))
    eq(ids(w, "Gid"), {str(grp.getgrnam("daemon").gr_gid)}, "Gid")
    # Every thread, not only the one that asked.
    for thread in os.listdir("/proc/%d/task" % w.pid):
        with open("/proc/%d/task/%s/status" % (w.pid, thread)) as f:
            uids = f.read().split("Uid:")[1].split("\n")[0].split()
        eq(set(uids), {str(pwd.getpwnam("nobody").pw_uid)}, "thread's Uid")


@case
def an_unknown_user_is_an_error():
    w = Weir(one(HttpOrigin(), more='user = "no-such-user-here";'),
             wait=False)
    check(w.exited() != 0, "it started")
    check("no-such-user-here" in w.log(), "not named: " + w.log())


run()
