"""Who finds the admin port by a file: a mistake elsewhere in the file keeps
nobody from asking, and a weir that was started with another file takes no
orders.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, put, run, temp_dir, until
from weir import Weir, command, one
from web import HttpOrigin

FIELD = "weir-file"
ORDERS = (["wait"], ["ready"], ["stop"], ["stop", "--now"], ["reload"],
          ["confirm"], ["upgrade"], ["endpoint", "back", "x:1", "down"],
          ["pause", "back"], ["resume", "back"], ["kill", "1"],
          ["fault", "back", "--reset", "--percent", "5"], ["log", "debug"])
READS = (["stats"], ["get", "/healthz"], ["connections"], ["why"], ["dns"],
         ["drift"], ["stats", "--json"], ["drift", "--json"])


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


# ------------------------------------------------------- another's weir there

def other_file(w, name="other.conf"):
    """A file that says the same address, and was not what w was started with."""
    return put(name, w.conf.text())


@case
def orders_do_not_reach_the_weir_of_another_file():
    w = Weir(one(port()))
    file, at = other_file(w), "127.0.0.1:%d" % w.admin[1]
    for argv in ORDERS:
        r = runs(1, *argv, "-c", file)
        check("the weir at %s was started with %s, not with %s; --admin %s "
              "asks it all the same" % (at, w.file, file, at) in r.stderr,
              "%s: %s" % (argv, r.stderr))
        eq(r.stdout, "", "stdout of weir %s" % argv)
    eq(set(json.loads(runs(1, "stop", "--json", "-c", file).stdout)),
       {"error"}, "as JSON")
    j = w.stats()
    eq((j["generation"], j["reloads"], j["draining"]), (1, [], False),
       "untouched")
    runs(0, "pause", "back", "--admin", at)
    runs(0, "resume", "back", "--admin", at, "-c", file)
    eq(w.stats()["pid"], w.pid, "pid")


@case
def who_only_reads_is_told_and_goes_on():
    w = Weir(one(port()))
    file = other_file(w)
    for argv in READS:
        r = runs(0, *argv, "-c", file)
        eq(r.stderr.count("was started with " + w.file), 1,
           "%s: %s" % (argv, r.stderr))
        check(r.stdout, "%s says nothing" % argv)
        eq(command(*argv, "-c", w.file).stderr, "", "of its own file")
    # Another file is what this one is for.
    eq(runs(0, "plan", "-c", file).stderr, "", "plan")


@case
def the_demo_is_nobodys():
    demo = Weir(argv=["demo"], wait=False)
    demo.wait_log(r"http://127\.0\.0\.1:\d+")
    text = demo.log()
    found = None
    for number in re.findall(r"127\.0\.0\.1:(\d+)", text):
        at = ("127.0.0.1", int(number))
        status, _, fields = demo.admin_request("GET", "/healthz", at=at)
        if status == 200 and FIELD in fields:
            found = at, fields[FIELD]
    check(found, text)
    (host, number), value = found
    eq(value, "(built in)", "field")
    conf = one(port())
    file = put("cache.conf", conf.text().replace(
        "127.0.0.1:%d" % conf.admin_port, "%s:%d" % (host, number)))
    for argv in (["wait"], ["stop"], ["stop", "--now"]):
        r = runs(1, *argv, "-c", file)
        check("was started with (built in), not with " + file in r.stderr,
              r.stderr)
    eq(demo.admin_request("GET", "/healthz", at=(host, number))[0], 200,
       "the demo")
    runs(0, "stop", "--now", "--admin", "%s:%d" % (host, number))
    eq(demo.exited(), 0, "exit status")


@case
def one_file_by_another_path_is_the_same():
    w = Weir(one(port()))
    link = os.path.join(temp_dir(), "link.conf")
    os.symlink(w.file, link)
    hard = os.path.join(temp_dir(), "hard.conf")
    os.link(w.file, hard)
    winding = os.path.join(temp_dir(), ".", os.path.basename(w.file))
    for path in (link, hard, winding):
        for argv in (["ready"], ["wait"], ["stats"], ["reload"],
                     ["pause", "back"], ["resume", "back"]):
            eq(runs(0, *argv, "-c", path).stderr, "", "%s %s" % (argv, path))
    eq(w.stats()["generation"], 4, "generation")
    runs(0, "stop", "-c", link)
    eq(w.exited(), 0, "exit status")


# ------------------------------------------------------------ over the wire

@case
def answers_carry_the_file_and_requests_for_another_are_refused():
    probe, token = port(), put("token", "s3cret")
    w = Weir(one(port(), admin='token_file = "%s"; probe_bind = '
                 '"127.0.0.1:%d"' % (token, probe)), wait=False)
    until(lambda: command("ready", "-c", w.file).returncode == 0, "ready")
    key = {"Authorization": "Bearer s3cret"}
    ask = w.admin_request
    for path in ("/stats", "/nothing", "/healthz", "/"):
        eq(ask("GET", path, key)[2][FIELD], w.file, path)
    # Who has not shown that he may ask, or only probes, is not told.
    for path in ("/stats", "/"):
        check(FIELD not in ask("GET", path)[2], path)
    check(FIELD not in ask("GET", "/stats", {**key, "Host": "evil.test"})[2],
          "Host")
    at = ("127.0.0.1", probe)
    status, _, fields = ask("GET", "/readyz", {"Weir-File": "/x"}, at=at)
    eq((status, FIELD in fields), (200, False), "probe")
    for method, path in (("POST", "/stop"), ("POST", "/drain"),
                         ("POST", "/reload"), ("GET", "/stats")):
        status, body, fields = ask(method, path, {**key, "Weir-File": "/x"})
        eq((status, fields[FIELD]), (409, w.file), path)
        check(w.file in json.loads(body)["error"], body)
    eq(ask("POST", "/plan", {**key, "Weir-File": "/x"}, "x" * 9000)[0], 409,
       "with a body")
    eq(ask("POST", "/stop", {"Weir-File": w.file})[0], 401, "without token")
    eq(ask("POST", "/reload", {**key, "Weir-File": w.file})[0], 200, "its own")
    eq(json.loads(ask("GET", "/stats", key)[1])["generation"], 2, "generation")


@case
def an_odd_path_stays_one_field():
    conf = one(port())
    file = put("o d%d\r\nX-Y: z\u00e9.conf", conf.text())
    w = Weir(argv=["-c", file], wait=False)
    runs(0, "wait", "--for", "listeners", "-c", file)
    fields = w.admin_request("GET", "/healthz",
                             at=("127.0.0.1", conf.admin_port))[2]
    eq(os.path.basename(fields[FIELD]), "o d%25d%0D%0AX-Y: z%C3%A9.conf",
       "field")
    check("x-y" not in fields, fields)
    runs(0, "stop", "-c", file)
    eq(w.exited(), 0, "exit status")


run()
