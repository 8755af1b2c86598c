"""The commands of the weir program: what they print, what they do to a running
weir, and that each kind of mistake has a clear text and the right exit status.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import (Failed, case, check, die_with_parent, eq, port, put, run,
                  until)
from weir import BINARY, Weir, command, one
from web import HttpOrigin, ok, once, request
from wire import Client

USAGE, BAD = 2, 1


def said(r):
    return r.stdout + r.stderr


def prints(status, *words, argv):
    r = command(*argv)
    eq(r.returncode, status, "exit of weir %s (%s)" % (
        " ".join(argv), said(r)[:300]))
    for word in words:
        check(word in said(r), "weir %s does not say %r: %s" % (
            " ".join(argv), word, said(r)[:500]))
    return r


@case
def version_and_help():
    r = prints(0, "weir", "libev", "libconfig", "c-ares", "jansson",
               argv=["-V"])
    eq(r.stderr, "", "-V on stderr")
    r = prints(0, "-c", "stats", "reload", "demo", "config", argv=["-h"])
    check(r.stdout and not r.stderr, "help belongs on stdout")
    r = prints(0, "queue_timeout", "max_waiting", "drain_timeout",
               "min_idle", "forwarded", "1024", argv=["-h", "config"])
    check(r.stdout.count("\n") > 40, "-h config is short")


@case
def help_on_some_of_it():
    r = prints(0, "Keys of upstreams[].pool", "max_per_user",
               argv=["-h", "config", "pool.max"])
    check("min_idle" not in r.stdout and "adapt" not in r.stdout, r.stdout)
    eq(r.stdout.count("Keys of"), 1, "sections")
    r = prints(0, argv=["-h", "config", "upstreams.pool"])
    eq(prints(0, argv=["-h", "config", "upstreams[].pool"]).stdout, r.stdout,
       "with and without []")
    check("min_idle" in r.stdout and "Durations" not in r.stdout, r.stdout)
    prints(0, "Fields of log.fields", "first_byte_us",
           argv=["-h", "config", "fields.first"])
    every = prints(0, argv=["-h"]).stdout
    for name in sorted(set(re.findall(r"^  weir ([a-z]+)", every, re.M))):
        r = prints(0, "usage:", "weir", argv=[name, "-h"])
        check(re.search(r"\b%s\b" % name, r.stdout), r.stdout)
        eq(prints(0, argv=["-h", name]).stdout, r.stdout, "weir -h " + name)
    check("--weight" in prints(0, argv=["endpoint", "--help"]).stdout,
          "weir endpoint --help")
    names = re.findall(r"^  weir ([a-z]+)", every, re.M)
    eq(names[names.index("connections") + 1], "kill", "behind connections")


@case
def version_and_help_as_json():
    text = prints(0, argv=["-V"]).stdout
    for argv in (["-V", "--json"], ["--json", "--version"]):
        said = json.loads(prints(0, argv=argv).stdout)
        for name, version in said["libraries"].items():
            check("%s %s" % (name, version) in text, name)
        eq("weir %s\n" % said["version"] + "kernel TLS %s\n" %
           said["kernel_tls"], re.sub(r"libev.*\n", "", text), "of -V")
    text = prints(0, argv=["-h"]).stdout
    said = json.loads(prints(0, argv=["--json", "-h"]).stdout)
    eq([c["name"] for c in said["commands"]],
       re.findall(r"^  weir ([a-z]+)", text, re.M), "commands")
    for c in said["commands"]:
        line = ("  weir %s %s" % (c["name"], c["usage"])).rstrip()
        check(line in text and c["help"] in " ".join(text.split()), c)
    for argv in (["-h", "run"], ["run", "-h"], ["demo", "--help"]):
        row = json.loads(prints(0, argv=[*argv, "--json"]).stdout)
        check(row in said["commands"], row)
    said = json.loads(prints(0, argv=["-h", "config", "--json"]).stdout)
    rows = {k["key"]: k for k in said["keys"]}
    check(len(rows) == len(said["keys"]) > 200, "keys")
    eq(rows["log.level"], {
        "key": "log.level", "kind": '"error", "warn", "info" or "debug"',
        "default": '"info"', "help": "least important line that is written"},
       "a key")
    check("default" not in rows["upstreams[].redis.user"], "without one")
    check("request_id" in [f["name"] for f in said["fields"]], "fields")
    said = json.loads(prints(0, argv=["-h", "config", "--json",
                                      "fields.first"]).stdout)
    eq((said["keys"], len(said["fields"])), ([], 1), "with a word")
    for argv in (["--json"], ["-h", "config", "nonsense", "--json"],
                 ["-h", "config", "a", "b", "--json"]):
        check(json.loads(prints(USAGE, argv=argv).stdout)["error"], argv)


@case
def mistakes_in_usage_exit_2():
    for argv, word in ((["--nonsense"], "nonsense"), (["-Z"], "Z"),
                       (["-c"], "-c"), (["nonsense"], "nonsense"),
                       (["stats", "extra"], "extra"), (["get"], "PATH"),
                       (["-h", "nonsense"], "nonsense"),
                       (["-h", "config", "nonsense"], "nonsense"),
                       (["-h", "config", "pool", "nonsense"], "nonsense"),
                       (["wait", "--for", "tea"], "tea"),
                       (["wait", "--timeout", "soon"], "soon"),
                       (["statz"], '(did you mean "stats"?)'),
                       (["-h", "chek"], '(did you mean "check"?)'),
                       (["--admin", "nowhere", "stats"], "nowhere")):
        r = prints(USAGE, word, argv=argv)
        eq(r.stdout, "", "stdout of weir %s" % argv)


@case
def a_missing_file_is_named():
    r = prints(BAD, "/nonexistent/weir.conf", "No such file",
               argv=["-c", "/nonexistent/weir.conf"])
    check(r.stderr, "on stderr")
    prints(BAD, "/nonexistent/weir.conf", argv=[
        "-t", "-c", "/nonexistent/weir.conf"])


@case
def t_and_check_judge_a_file_without_binding():
    o = HttpOrigin()
    w = Weir(one(o))
    # The very file of a running weir: every address is taken.
    prints(0, argv=["-t", "-c", w.file])
    prints(0, argv=["check", "-c", w.file])
    prints(0, argv=["-c", w.file, "check", "--offline"])
    bad = put("bad.conf", w.conf.text().replace("pool = {",
                                                "pool = { maxx = 3; "))
    for argv in (["-t", "-c", bad], ["check", "-c", bad]):
        r = prints(BAD, "bad.conf:", "maxx", '"max"', argv=argv)
    line = [n for n, text in enumerate(open(bad), 1) if "maxx" in text][0]
    check("bad.conf:%d: " % line in said(r), "line: " + said(r))
    o.had(0)


@case
def check_warns_of_what_is_legal_but_hurts():
    conf = one(port())
    conf.drain_timeout = "10m"
    file = put("warn.conf", conf.text())
    prints(0, "drain_timeout", argv=["check", "-c", file])


@case
def check_warns_of_what_hurts_on_shared_connections():
    for protocol, front, up, word in (
            ("redis", 'redis = { auth = "check"; };', "", "no password"),
            ("redis", 'redis = { auth = "check"; password = "x"; };', "", ""),
            ("redis", 'redis = { auth = "check"; };',
             'redis = { password = "x"; };', ""),
            ("redis", 'redis = { auth = "check"; user = "u"; };',
             'redis = { password = "x"; };', "redis.user has no"),
            ("redis", 'redis = { password = "x"; };', "", "not looked at"),
            ("redis", 'redis = { auth = "forward"; };', "",
             "max_lifetime is off"),
            ("redis", 'redis = { auth = "forward"; };',
             'pool = { max_lifetime = "10m"; };', ""),
            ("redis", "", 'redis = { role = "master"; };', "asked by nobody"),
            ("redis", "", 'redis = { role = "master"; }; '
             'health = { type = "tcp"; };', "asked by nobody"),
            ("redis", "", 'redis = { role = "master"; }; health = { };', ""),
            ("redis", "", 'pool = { max = 1; };', "of its own"),
            ("redis", "", 'pool = { max = 2; };', ""),
            ("memcached", "", 'pool = { max = 1; };', "of its own")):
        conf = one(port(), protocol=protocol, front=front, up=up)
        told(conf.text().replace("pool = {  }; ", ""), word)
    for protocol, up, word in (
            ("redis", "", "any of its endpoints"),
            ("redis", 'balance = "key_hash";', ""),
            ("redis", 'redis = { role = "master"; }; health = { };', ""),
            ("memcached", "", "expected balance"),
            ("memcached", 'balance = "key_hash";', "")):
        told(one(port(), port(), protocol=protocol, up=up).text(), word)
    for bind, more, word in (("0.0.0.0", "", "has the login"),
                             ("0.0.0.0", 'allow = "10.0.0.0/8";', ""),
                             ("0.0.0.0", 'redis = { auth = "check"; };', ""),
                             ("127.0.0.1", "", "")):
        conf = one(port(), protocol="redis",
                   up='redis = { password = "x"; };')
        conf.listener("front", "back", "redis",
                      bind='"%s:%d"' % (bind, port()), extra=more)
        told(conf.text(), word)


def told(text, word):
    """`weir check` warns so of that file; "": it warns of nothing that this
    case is about."""
    said_of = prints(0, argv=["check", "-c", put("warn.conf", text)])
    lines = [line for line in said(said_of).split("\n")
             if "front" in line or "back" in line]
    if word:
        check(len(lines) == 1 and word in lines[0], "%s: %r, wanted %r" % (
            text, lines, word))
    else:
        eq(lines, [], "warnings of " + text)


@case
def all_errors_come_at_once():
    conf = one(port())
    text = conf.text().replace("workers = 1", "workers = -1") \
        .replace('protocol = "http"', 'protocol = "htpp"') \
        .replace('drain_timeout = "1s"', "drain_timeout = 10")
    prints(BAD, "workers", "htpp", "drain_timeout", '"10s"',
           argv=["-t", "-c", put("many.conf", text)])


@case
def clients_talk_to_the_running_one():
    o = HttpOrigin()
    w = Weir(one(o))
    ok(once(w.conf.ports["front"]))
    w.balanced(o)
    r = prints(0, "front", "back", argv=["-c", w.file, "stats"])
    check(o.address in r.stdout, "endpoint in the table: " + r.stdout)
    r = prints(0, argv=["-c", w.file, "stats", "--json"])
    eq(json.loads(r.stdout)["pid"], w.pid, "pid")
    at = "127.0.0.1:%d" % w.conf.admin_port
    r = prints(0, argv=["--admin", at, "stats", "--json"])
    eq(json.loads(r.stdout)["upstreams"][0]["requests_total"], 1, "requests")
    prints(0, "weir_build_info", argv=["-c", w.file, "get", "/metrics"])
    prints(BAD, "404", argv=["-c", w.file, "get", "/nothing"])
    prints(0, argv=["-c", w.file, "ready"])
    prints(0, argv=["-c", w.file, "wait"])
    prints(0, argv=["-c", w.file, "wait", "--for", "listeners",
                    "--timeout", "5s"])
    prints(0, argv=["-c", w.file, "connections"])
    generation = w.stats()["generation"]
    prints(0, argv=["-c", w.file, "reload"])
    eq(w.stats()["generation"], generation + 1, "generation")
    w.write(w.conf.text() + "oops = = ;")
    prints(BAD, os.path.basename(w.file), argv=["--admin", at, "reload"])
    eq(w.stats()["generation"], generation + 1, "generation")
    w.write()
    prints(0, argv=["-c", w.file, "stop"])
    eq(w.exited(), 0, "exit status")
    o.had(1)


def json_of(status, *argv):
    r = command(*argv)
    eq(r.returncode, status, "exit of weir %s: %s" % (argv, said(r)))
    try:
        return json.loads(r.stdout)
    except ValueError:
        raise Failed("weir %s says %r" % (argv, r.stdout)) from None


@case
def each_client_command_says_json_when_asked():
    help_ = command("-h").stdout.split("Of a running weir:")[1]
    names = set(re.findall(r"^  weir ([a-z]+)", help_, re.M)) - {"top"}
    check(len(names) > 10, names)
    for name in names:
        # An option that there is not comes second: the first one is taken.
        check("--nonsense" in command(name, "--json", "--nonsense").stderr,
              "weir %s has no --json" % name)
    o = HttpOrigin()
    conf = one(o)
    conf.drain_timeout = "1s"
    w = Weir(conf)
    ok(once(conf.ports["front"]))
    at = "127.0.0.1:%d" % conf.admin_port

    def says(status, *argv):
        return json_of(status, "--admin", at, *argv, "--json")
    for argv in (["stats"], ["connections"], ["why"], ["dns"],
                 ["pause", "back"], ["resume", "back"],
                 ["endpoint", "back", o.address, "up"],
                 ["log", "debug", "--for", "1m"], ["get", "/stats"],
                 ["get", "/config"], ["reload"]):
        check("error" not in says(0, *argv), argv)
    eq(says(0, "get", "/healthz"), {"status": 200, "text": "ok\n"}, "get")
    check(says(0, "get", "/metrics")["text"].startswith("# HELP"), "metrics")
    for argv in (["ready"], ["wait"], ["wait", "--for", "listeners"]):
        eq(says(0, *argv), {"ready": True}, "weir %s" % argv)
    for argv in (["get", "/nothing"], ["pause", "nobody"],
                 ["key", "back", "k"], ["endpoint", "back", "nobody", "up"]):
        check(says(BAD, *argv)["error"], argv)
    w.write(conf.text() + "oops = = ;")
    check(says(BAD, "reload")["errors"], "a reload that is refused")
    w.write()
    w.balanced(o)
    eq(says(0, "stop"), {"stopped": True}, "stop")
    eq(w.exited(), 0, "exit status")
    for argv in (["stats"], ["get", "/stats"], ["get", "/stats/stream"],
                 ["ready"], ["wait", "--timeout", "1ms"], ["reload"]):
        check(at in says(BAD, *argv)["error"], argv)
    o.had(1)


@case
def the_stream_is_an_object_a_line():
    w = Weir(one(port()))
    p = subprocess.Popen([BINARY, "--admin", "127.0.0.1:%d" %
                          w.conf.admin_port, "get", "/stats/stream",
                          "--json"], stdout=subprocess.PIPE,
                         preexec_fn=die_with_parent)
    try:
        for _ in range(2):
            eq(json.loads(p.stdout.readline())["pid"], w.pid, "pid")
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


@case
def stop_now_does_not_wait():
    o = HttpOrigin(lambda q, link: link.hold())
    conf = one(o)
    conf.drain_timeout = "1h"
    w = Weir(conf)
    Client(conf.ports["front"]).send(request())
    until(lambda: o.requests == 1, "request upstream")
    prints(0, argv=["-c", w.file, "stop", "--now"])
    w.exited()
    o.had(1)


@case
def no_weir_there_is_said_so():
    conf = one(port())
    file = put("none.conf", conf.text())
    at = "127.0.0.1:%d" % conf.admin_port
    for name in (["stats"], ["reload"], ["ready"], ["get", "/healthz"],
                 ["stop"]):
        # It may listen where the file said when it was started.
        prints(BAD, at, "admin.bind of %s has changed" % file, "--admin ADDR",
               argv=["-c", file, *name])
        check("changed" not in said(prints(BAD, at, argv=[
            "--admin", at, *name])), "that is where it is meant to be")
    prints(BAD, at, argv=["-c", file, "wait", "--timeout", "200ms"])


@case
def wait_says_once_what_it_waits_for():
    conf = one(port())
    file = put("weir%d.conf" % conf.admin_port, conf.text())
    p = subprocess.Popen([BINARY, "-c", file, "wait", "--timeout", "1h"],
                         stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True, preexec_fn=die_with_parent)
    eq(p.stderr.readline(), "weir: still waiting: nobody answers at "
       "127.0.0.1:%d yet\n" % conf.admin_port, "what it says")
    w = Weir(conf)
    eq(w.file, file, "the file")
    eq(p.communicate(), ("", ""), "and no more")
    eq(p.returncode, 0, "exit status")


@case
def wait_returns_when_it_becomes_ready():
    o = HttpOrigin()
    o.refuse()
    w = Weir(one(o, pool="min_idle = 1;"))
    prints(BAD, "back", argv=["-c", w.file, "ready"])
    prints(BAD, "back", argv=["-c", w.file, "wait", "--timeout", "2s"])
    o.listen()
    prints(0, argv=["-c", w.file, "wait", "--timeout", "60s"])
    prints(0, argv=["-c", w.file, "ready"])
    o.had(1)


run()
