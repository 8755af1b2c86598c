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
from upgrade import Successive
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


@case
def who_stays_root_can_be_upgraded():
    """In the sandbox, which permits none of the calls that change users."""
    if os.getuid() != 0:
        raise Skip("not root")
    for more, gid in (('group = "daemon";', grp.getgrnam("daemon").gr_gid),
                      ('user = "root";', 0)):
        w = Successive(one(HttpOrigin(), more=more))
        w.upgrade()
        eq(ids(w, "Uid"), {"0"}, "Uid")
        eq(ids(w, "Gid"), {str(gid)}, "Gid")
        eq(ids(w, "Groups"), set(), "Groups")
        ok(once(w.conf.ports["front"]))
        # What would need them takes a restart.
        if w.stats()["sandbox"]["seccomp"] == "on":
            w.write(w.conf.text().replace(more, 'group = "bin";'))
            said = w.refused()
            check("cannot become group bin: needs a restart: "
                  "security.sandbox does not permit it" in said, said)
        w.stop()


run()
