"""What the commands of the client answer: only what was asked for, as JSON also
when they fail, and an exit status that tells of an answer nobody has got.
"""
# SPDX-License-Identifier: MIT
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, case, check, eq, port, put, run
from weir import BINARY, Weir, command, one
from web import HttpOrigin, once

USAGE, BAD = 2, 1


def json_of(status, *argv):
    r = command(*argv)
    eq(r.returncode, status, "exit of weir %s: %s" % (argv, r.stderr))
    try:
        return json.loads(r.stdout)
    except ValueError:
        raise Failed("weir %s says %r" % (argv, r.stdout)) from None


def start():
    """Two upstreams and two listeners, one exchange by each that failed or
    was slow, and a connection to one."""
    o = HttpOrigin()
    conf = one(o)
    conf.upstream("dead", port()).listener("other", "dead")
    w = Weir(conf)
    eq(once(conf.ports["front"]).status, 200, "front")
    eq(once(conf.ports["other"]).status, 502, "other")
    return o, w


@case
def rows_are_those_that_are_asked_for_in_json_too():
    o, w = start()

    def rows(key, *argv):
        return json_of(0, "-c", w.file, *argv, "--json")[key]
    eq([r["upstream"] for r in rows("connections", "connections")], ["back"],
       "all")
    for argv, n in ((["back"], 1), (["dead"], 0), (["--leased"], 0),
                    (["back", "--leased"], 0), (["--older", "1h"], 0),
                    (["--older", "0s"], 1)):
        eq(len(rows("connections", "connections", *argv)), n, argv)
    for name in ("back", "front", "dead", "other"):
        got = rows("exchanges", "why", name)
        eq(len([r for r in got if r["failure"]]), name in ("dead", "other"),
           "why %s" % name)
        check(all(name in (r["upstream"], r["listener"]) for r in got), got)
    eq(rows("names", "dns", "back"), [], "dns")
    for argv, said in ((["connections", "dead"], "no connections\n"),
                       (["dns", "back"], "no names are looked up\n")):
        eq(command("-c", w.file, *argv).stdout, said, argv)
    check("dead" in command("-c", w.file, "why", "other").stdout, "why")
    w.balanced(o)


@case
def a_name_that_nobody_has_is_an_error():
    o, w = start()
    for what, names in (("connections", ["nobody", "front"]),
                        ("why", ["nobody"]), ("dns", ["nobody", "front"])):
        for name in names:
            r = command("-c", w.file, what, name)
            eq((r.returncode, r.stdout), (BAD, ""), "weir %s" % what)
            check("there is no upstream" in r.stderr and name in r.stderr,
                  r.stderr)
            check(name in json_of(BAD, "-c", w.file, what, name,
                                  "--json")["error"], "weir %s" % what)
    w.balanced(o)


@case
def json_is_json_when_it_fails():
    nowhere = "127.0.0.1:%d" % port()
    none = "/nonexistent/weir.conf"
    off = put("off.conf", one(port()).text().replace(
        'bind = "127.0.0.1', 'bind = "off"; # ', 1))
    for words in (["top"], ["plan"], ["stats"], ["drift"], ["confirm"],
                  ["upgrade"], ["fault", "back", "--off"], ["kill", "1"]):
        for where in (["-c", none], ["--admin", nowhere]):
            check(json_of(BAD, *where, *words, "--json")["error"], words)
    check(json_of(BAD, "-c", off, "stats", "--json")["error"], "no port")
    for words in (["stats", "--nonsense"], ["stats", "word"], ["key", "back"],
                  ["log", "loud"], ["wait", "--timeout"], ["kill", "x"],
                  ["wait", "--timeout", "x"], ["frobnicate"],
                  ["check", "--nonsense"], ["--admin", "::", "stats"]):
        # Whatever is wrong may stand before it.
        check(json_of(USAGE, *words, "--json")["error"], words)
    check(json_of(USAGE, "stats", "--json", "--nonsense")["error"], "behind")


@case
def check_says_json_too():
    conf = one(port())
    file = put("fine.conf", conf.text())
    r = command("-c", file, "check", "--json")
    said = json.loads(r.stdout)
    eq((r.returncode, said["result"], said["errors"]), (0, "ok", []), "fine")
    eq(["warning: " + x for x in said["warnings"]], r.stderr.splitlines(),
       "warnings")
    wrong = put("wrong.conf", conf.text() + "x = 1;")
    said = json_of(BAD, "-c", wrong, "check", "--offline", "--json")
    eq((said["result"], said["warnings"]), ("invalid", []), "wrong")
    check(any("wrong.conf" in e for e in said["errors"]), said)
    said = json_of(BAD, "-c", "/nonexistent/weir.conf", "check", "--json")
    check(said["result"] == "invalid" and said["errors"], said)


@case
def an_answer_that_cannot_be_written_is_no_success():
    o, w = start()
    full = os.open("/dev/full", os.O_WRONLY)
    for words in (["get", "/stats", "--json"], ["get", "/stats"],
                  ["get", "/stats/stream", "--json"],
                  ["get", "/stats/stream"], ["stats", "--json"], ["stats"],
                  ["ready", "--json"], ["wait", "--json"], ["top"],
                  ["top", "--json"], ["check"], ["check", "--json"], ["-h"],
                  ["-h", "config"], ["-h", "stats"], ["-V"], ["why"]):
        r = subprocess.run([BINARY, "-c", w.file, *words], stdout=full,
                           stderr=subprocess.PIPE, text=True, timeout=60,
                           stdin=subprocess.DEVNULL)
        eq(r.returncode, BAD, "weir %s" % words)
        check("standard output" in r.stderr, "weir %s: %s" % (words, r.stderr))
    os.close(full)
    w.balanced(o)


run()
