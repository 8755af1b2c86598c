"""Who finds the admin port by a file: a mistake elsewhere in the file keeps
nobody from asking.
"""
# SPDX-License-Identifier: MIT
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, put, run
from weir import Weir, command, one
from web import HttpOrigin


def runs(status, *argv):
    r = command(*argv)
    eq(r.returncode, status, "exit of weir %s (%s)" % (
        " ".join(argv), (r.stdout + r.stderr)[:300]))
    return r


# ------------------------------------------------- mistakes elsewhere in it

@case
def a_mistake_elsewhere_disables_no_command():
    o = HttpOrigin()
    w = Weir(one(o))
    bad = w.conf.text().replace("pool = {", "pool = { maxx = 8; ") + \
        'nonsense = "${THIS_IS_NOT_SET}"; group = "${file:/nonexistent}";\n'
    w.write(bad)
    for argv in (["stats"], ["ready"], ["wait"], ["connections"], ["why"],
                 ["dns"], ["get", "/stats"], ["pause", "back"],
                 ["resume", "back"], ["log", "info"]):
        r = runs(0, *argv, "-c", w.file)
        check("maxx" not in r.stderr, "%s: %s" % (argv, r.stderr))
    r = runs(1, "drift", "-c", w.file)
    check("maxx" in r.stdout, r.stdout)
    r = runs(1, "plan", "-c", w.file)
    check("maxx" in r.stderr, r.stderr)
    eq(w.stats()["reloads"], [], "before the reload")
    r = runs(1, "reload", "-c", w.file)
    check(re.search(r"%s:\d+: .*maxx" % re.escape(w.file), r.stderr) and
          "the reload was refused, nothing has changed" in r.stderr, r.stderr)
    check("maxx" in w.stats()["reloads"][0]["error"], "in /stats")
    eq(w.stats()["generation"], 1, "generation")
    check("\nweir_config_last_reload_successful 0\n" in w.metrics(),
          "as a metric")
    w.wait_log("reload refused: .*maxx")
    runs(0, "stop", "-c", w.file)
    eq(w.exited(), 0, "exit status")


@case
def a_mistake_in_the_syntax_or_in_admin_is_told():
    w = Weir(one(port()))
    text = w.conf.text()
    for bad, word in ((text + "oops = = ;", "--admin"),
                      (text.replace("admin = {", "admin = { bindd = 1; "),
                       "bindd"),
                      (text.replace("admin = {",
                                    'admin = { token_file = "/none"; '),
                       "/none")):
        w.write(bad)
        for name in ("stats", "ready", "reload"):
            r = runs(1, name, "-c", w.file)
            check(word in r.stderr and "--admin ADDR" in r.stderr, r.stderr)
        runs(0, "ready", "--admin", "127.0.0.1:%d" % w.admin[1])


@case
def includes_and_variables_of_admin_are_followed():
    conf = one(port())
    put("part.conf", 'bind = "127.0.0.1:${TEST_ADMIN_PORT}";')
    text = re.sub(r"admin = \{.*?\};", 'admin = {\n@include "part.conf"\n};',
                  conf.text())
    file = put("whole.conf", text)
    env = {"TEST_ADMIN_PORT": str(conf.admin_port)}
    w = Weir(argv=["-c", file], env=env, wait=False)
    r = command("wait", "--for", "listeners", "-c", file, env=env)
    eq(r.returncode, 0, r.stderr)
    put("whole.conf", text.replace("pool = {", "pool = { maxx = 8; "))
    r = command("stop", "-c", file, env=env)
    eq(r.returncode, 0, r.stderr)
    eq(w.exited(), 0, "exit status")


run()
