"""What packaging/ holds besides the manual, against the program and the tools
that will read it: units, completion, alerts, dashboard, container, manifests.
"""
# SPDX-License-Identifier: MIT
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Aside, Skip, case, check, eq, later, need, port, put
from case import temp_dir, until
from case import run as run_cases
from programs import run, start
from weir import BINARY, Conf, Weir, command
from web import HttpOrigin

TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PACKAGING = os.path.join(TREE, "packaging")
COMPLETION = os.path.join(PACKAGING, "completion")
PROMETHEUS = os.path.join(PACKAGING, "prometheus")
# The most that `systemd-analyze security` may find exposed, times ten.
EXPOSED = 20


def read(*path):
    with open(os.path.join(PACKAGING, *path)) as f:
        return f.read()


def documents(*path):
    try:
        import yaml
    except ImportError:
        raise Skip("python3-yaml is not installed") from None
    return list(yaml.safe_load_all(read(*path)))


def installed():
    """Folder that `make install` filled from the program under test."""
    root = os.path.join(temp_dir(), "root")
    if not os.path.isdir(root):
        # -o: what is under test is not built again.
        run(need("make"), "-C", TREE, "-o", "build/weir", "install",
            "DESTDIR=" + root, "PREFIX=/usr")
    return root


@case
def units_are_good_and_let_little_be_done():
    root = installed()
    units = os.path.join(root, "usr/lib/systemd/system")
    for name in ("weir.service", "weir@.service"):
        path = os.path.join(units, name)
        with open(path) as f:
            text = f.read()
        check("@" not in re.sub(r"weir@|@[a-z-]+( |$)|systemctl.*", "", text,
                                flags=re.M), "left to fill in: " + text)
        # A unit is looked at by an instance's name; programs where they are.
        here = os.path.join(temp_dir(), name.replace("@.", "@one."))
        with open(here, "w") as f:
            f.write(text.replace("/usr/bin/weir", BINARY))
        r = subprocess.run([need("systemd-analyze"), "verify", "--man=no",
                            here], capture_output=True, text=True)
        eq(r.stderr + r.stdout, "", "systemd-analyze verify " + name)
        eq(r.returncode, 0, name)
        run(need("systemd-analyze"), "security", "--offline=true",
            "--threshold=%d" % EXPOSED, here)


@case
def the_unit_starts_and_reloads_the_program_as_installed():
    with open(os.path.join(installed(), "usr/lib/systemd/system",
                           "weir.service")) as f:
        unit = f.read()
    w = Weir(Conf().listener("front").upstream("back", port()))

    def told(key):
        line = re.search(r"^%s=(.*)$" % key, unit, re.M)[1]
        return line.replace("/usr/bin/weir", BINARY).replace(
            "/etc/weir/weir.conf", w.file).split()
    eq(told("ExecStart"), [BINARY, "-c", w.file], "ExecStart")
    run(*told("ExecReload"))
    eq(w.stats()["generation"], 2, "generation")
    with open(w.file, "a") as f:
        f.write("nonsense = 1;\n")
    r = subprocess.run(told("ExecReload"), capture_output=True, text=True)
    eq(r.returncode, 1, "ExecReload of a wrong file")
    check("nonsense" in r.stderr, "it says " + r.stderr)


def commands():
    """{command: usage} as `weir -h` tells."""
    text = command("-h").stdout
    found = re.findall(r"^  weir (?:\[[^\]]*\] )*([a-z]+)\b(.*)$", text, re.M)
    check(len(found) > 10, "commands of -h: %r" % found)
    return dict(found)


ASK = r"""
. /usr/share/bash-completion/bash_completion
. %s/weir.bash
while IFS= read -r line; do
	read -ra COMP_WORDS <<<"$line"
	[ "${line%% }" = "$line" ] || COMP_WORDS+=("")
	COMP_LINE=$line COMP_POINT=${#line} COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMPREPLY=()
	_weir "${COMP_WORDS[0]}"
	echo "${COMPREPLY[@]}"
done
"""


def completed(*lines):
    """What bash would offer behind each line, as lists of words."""
    if not os.path.exists("/usr/share/bash-completion/bash_completion"):
        raise Aside("bash-completion is not installed")
    out = run(need("bash"), "-c", ASK % COMPLETION,
              data="".join(BINARY + " %s\n" % s for s in lines).encode())
    offered = [line.split() for line in out.split("\n")[:-1]]
    eq(len(offered), len(lines), "lines that bash wrote: " + out)
    return offered


@case
def bash_completes_every_command_and_option():
    told = commands()
    offered = completed("", "re", "wait --for ", "-h ", "log info --for ",
                        "log --for 5m ", "log --for 5m info ", *[
        name + " --" for name in told])
    eq(set(told) - set(offered[0]), set(), "commands not offered")
    check("ready" in offered[1] and "stats" not in offered[1],
          "for re: %r" % offered[1])
    eq(offered[2], ["warm", "listeners"], "for wait --for")
    eq(offered[3], ["config"], "for -h")
    eq(offered[4], ["5m"], "for log --for")
    eq(offered[5][:4], ["error", "warn", "info", "debug"], "behind it")
    check("--for" in offered[6] and "info" not in offered[6],
          "behind all: %r" % offered[6])
    for name, offer in zip(told, offered[7:]):
        options = set(re.findall(r"--[a-z][a-z-]*", told[name].split("  ")[0]))
        eq(options - set(offer), set(), "options of %s not offered" % name)


@case
def bash_completes_names_of_the_running_program():
    origin = HttpOrigin()
    number = origin.number
    w = Weir(Conf().listener("front", "one").listener("other", "two")
             .upstream("one", origin, pool="min_idle = 1;")
             .upstream("two", '{ name = "far"; address = "127.0.0.1:%d"; }' %
                       number))
    until(lambda: w.get("/readyz")[0] == 200, "the connection kept open")
    to = "--admin 127.0.0.1:%d " % w.conf.admin_port
    names, endpoints, others, begun, states, ids = completed(
        to + "endpoint ", to + "endpoint two ", "-c %s endpoint one " % w.file,
        to + "endpoint one 127.0.0.1:", to + "endpoint two far ",
        to + "kill ")
    eq(names[:2], ["one", "two"], "upstreams")
    eq(endpoints[:1], ["far"], "endpoints of two")
    eq(others[:1], ["127.0.0.1:%d" % number], "endpoints of one")
    eq(begun, [str(number)], "behind the colon, where bash begins a word")
    eq(states[:4], ["up", "drain", "down", "conf"], "states")
    open_ids = [str(c["id"]) for c in json.loads(
        w.get("/connections")[1])["connections"]]
    eq(len(open_ids), 1, "connections")
    eq(ids[:1], open_ids, "ids of connections")


@case
def other_shells_read_the_same_help():
    """The same awk stands in each, and is what they all rest upon."""
    def script(name):
        found = re.search(r"-h 2>/dev/null \| awk '\n(.*?)'$", read(
            "completion", name), re.M | re.S)
        return re.sub(r"\s+", " ", found[1])
    for name in ("_weir", "weir.fish"):
        eq(script(name), script("weir.bash"), name)
    for shell, name in (("zsh", "_weir"), ("fish", "weir.fish")):
        if shutil.which(shell):
            run(shell, "-n", os.path.join(COMPLETION, name))
    if shutil.which("fish"):
        bin_dir = os.path.join(temp_dir(), "bin")
        os.makedirs(bin_dir)
        os.symlink(BINARY, os.path.join(bin_dir, "weir"))
        out = run("fish", "-c", "set -x PATH %s $PATH; source %s/weir.fish; "
                  "complete -C 'weir '; complete -C 'weir wait --for '" % (
                      bin_dir, COMPLETION))
        offered = {line.split("\t")[0] for line in out.split("\n")}
        eq(set(commands()) - offered, set(), "commands fish does not offer")
        check("listeners" in offered, "fish offers %r" % offered)


@case
def alerts_fire_when_they_should():
    run(need("promtool"), "check", "config",
        os.path.join(PROMETHEUS, "prometheus.yml"))
    run("promtool", "test", "rules",
        os.path.join(PROMETHEUS, "weir.rules.test.yml"))
    alerts = {r["alert"] for g in documents(
        "prometheus", "weir.rules.yml")[0]["groups"] for r in g["rules"]}
    tests = documents("prometheus", "weir.rules.test.yml")[0]["tests"][0]
    eq({t["alertname"] for t in tests["alert_rule_test"] if t["exp_alerts"]},
       alerts, "alerts of which the test says when they fire")
    seen = " ".join(s["series"] for s in tests["input_series"])
    eq({a for a in alerts if 'instance="not %s"' % a not in seen}, set(),
       "alerts of which the test does not say when they do not")


def expressions(value):
    """Every PromQL expression in a piece of JSON or YAML."""
    if isinstance(value, list):
        for v in value:
            yield from expressions(v)
    elif isinstance(value, dict):
        for k, v in value.items():
            if k in ("expr", "query") and isinstance(v, str):
                yield v
            else:
                yield from expressions(v)


@case
def what_alerts_and_dashboard_look_at_is_there():
    w = Weir(Conf().listener("front", extra='limits = { connections = 9; };')
             .upstream("back", port(), extra="health = { }; outlier = { };")
             .listener("cache", "cache", protocol="redis")
             .upstream("cache", port())
             .listener("memo", "memo", protocol="memcached")
             .upstream("memo", port())
             .listener("db", "db", protocol="postgres").upstream("db", port()))
    text = w.metrics()
    metrics = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    reasons = set(re.findall(r'reason="([^"]*)"', text))
    states = set(re.findall(r'state="([^"]*)"', text))
    check(len(reasons) > 30 and len(states) > 6, "%r %r" % (reasons, states))
    asked = list(expressions(documents("prometheus", "weir.rules.yml"))) + \
        list(expressions(json.loads(read("grafana", "weir.json"))))
    check(len(asked) > 50, "%d expressions" % len(asked))
    for expr in asked:
        for name in re.findall(r"\b(?:weir|process)_[a-z_]+", expr):
            check(re.sub("_bucket$", "", name) in metrics,
                  "there is no %s: %s" % (name, expr))
        for label, known in (("reason", reasons), ("state", states),
                             ("whose", {"client", "server", "nobody"})):
            for words in re.findall(label + r'!?=~?"([^"]*)"', expr):
                for word in words.split("|"):
                    check(any(re.fullmatch(word, r) for r in known),
                          "no %s is %s: %s" % (label, word, expr))


@case
def the_dashboard_of_grafana_holds_together():
    board = json.loads(read("grafana", "weir.json"))
    panels = board["panels"]
    eq(len({p["id"] for p in panels}), len(panels), "numbers of panels")
    known = {v["name"] for v in board["templating"]["list"]}
    rules = []
    for expr in expressions(panels):
        used = set(re.findall(r"\$([a-z]+)", expr))
        check(used <= known, "unknown variables in " + expr)
        expr = expr.replace("$__rate_interval", "1m")
        rules.append({"record": "a:%d" % len(rules), "expr": expr})
    # What promtool takes in a rule is good PromQL.
    run(need("promtool"), "check", "rules", put("board.yml", json.dumps(
        {"groups": [{"name": "board", "rules": rules}]})))
    taken = set()
    for p in panels:
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                 for y in range(g["y"], g["y"] + g["h"])}
        check(g["x"] + g["w"] <= 24 and not cells & taken,
              "%s lies on others or outside" % p["title"])
        taken |= cells


@case
def manifests_are_a_sidecar_that_may_do_little():
    deployment, service = documents("kubernetes", "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    weir = pod["initContainers"][0]
    eq(weir["restartPolicy"], "Always", "restartPolicy of a sidecar")
    for c in [weir] + pod["containers"]:
        s = {**pod["securityContext"], **c["securityContext"]}
        eq([s["runAsNonRoot"], s["allowPrivilegeEscalation"],
            s["capabilities"]["drop"], s["seccompProfile"]["type"]],
           [True, False, ["ALL"], "RuntimeDefault"],
           "what the restricted profile asks of %s" % c["name"])
    eq(weir["securityContext"]["readOnlyRootFilesystem"], True, "root")
    volumes = {v["name"] for v in pod["volumes"]}
    eq({m["name"] for m in weir["volumeMounts"]}, volumes, "volumes")
    eq(deployment["spec"]["selector"]["matchLabels"],
       service["spec"]["selector"], "labels selected")
    ports = {p["name"]: p["containerPort"] for p in weir["ports"]}
    # A Service does not find a sidecar's ports by their names.
    check(service["spec"]["ports"][0]["targetPort"] in ports.values(),
          "target port")
    check("runAsUser" not in pod["securityContext"], "the application's user")
    eq(weir["securityContext"]["runAsUser"], 65532, "weir's user")

    path = os.path.join(PACKAGING, "kubernetes", "weir.conf")
    os.environ.update({e["name"]: e["value"] for e in weir["env"]})
    eq(command("check", "-c", path).returncode, 0, "weir check")
    conf = read("kubernetes", "weir.conf")
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = weir[name]["httpGet"]
        check(':%d"' % ports[probe["port"]] in conf, name + ": port")
        check(probe["path"] in ("/readyz", "/healthz"), name + ": path")
    drains = int(re.search(r'drain_timeout = "(\d+)s"', conf)[1])
    slept = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    check(pod["terminationGracePeriodSeconds"] > drains + slept, "grace")
    generated = documents("kubernetes", "kustomization.yaml")[0]
    eq(generated["configMapGenerator"][0]["files"], ["weir.conf"], "ConfigMap")
    if shutil.which("kubectl"):
        run("kubectl", "kustomize", os.path.join(PACKAGING, "kubernetes"))


@case
def the_compose_example_counts_visits():
    services = documents("compose", "compose.yaml")[0]["services"]
    folder = os.path.join(PACKAGING, "compose")
    build = services["weir"]["build"]
    check(os.path.exists(os.path.join(folder, build["context"],
                                      build["dockerfile"])), "container file")
    eq(command("check", "-c", folder + "/weir.conf").returncode, 0, "check")
    # The same three on this machine: other ports, else the files as they are.
    redis, app, web, cache, admin, probe = (port() for _ in range(6))
    conf = read("compose", "weir.conf")
    for old, new in (("redis:6379", redis), ("127.0.0.1:3000", app),
                     ("0.0.0.0:8080", web), ("127.0.0.1:6379", cache),
                     ("127.0.0.1:9901", admin), ("0.0.0.0:9902", probe)):
        check('"%s"' % old in conf, "weir.conf of Compose lacks " + old)
        conf = conf.replace('"%s"' % old, '"127.0.0.1:%d"' % new)
    path = os.path.join(temp_dir(), "compose.conf")
    with open(path, "w") as f:
        f.write(conf)
    start("redis", redis, [need("redis-server"), "--port", str(redis),
                           "--save", "", "--dir", temp_dir()])
    start("weir", web, [BINARY, "-c", path])
    run(BINARY, "-c", path, "wait", "--timeout", "10s")
    argv = services["app"]["command"]
    eq(argv[-1], "/app/app.py", "the application's file")
    start("app", app, ["env", "PORT=%d" % app, "REDIS_PORT=%d" % cache] +
          argv[:-1] + [os.path.join(folder, "app.py")])
    for visit in (1, 2, 3):
        eq(run(need("curl"), "-sf", "127.0.0.1:%d" % web),
           "visit %d\n" % visit, "answer")
    stats = json.loads(run(BINARY, "-c", path, "get", "/stats"))
    eq({u["name"]: u["connects_total"] for u in stats["upstreams"]},
       {"app": 1, "redis": 1}, "connections made")
    eq(run(BINARY, *services["weir"]["healthcheck"]["test"][2:], "-c", path)
       .strip(), "ready", "health check")


@case
def the_package_is_built_from_what_the_program_is():
    listed = re.search(r"\tbuild\) cat <<-END\n(.*?)\tEND", read("deps"),
                       re.S)[1]
    needed = {line.split()[0] for line in listed.strip().split("\n")}
    # What every package may take for granted (build-essential).
    needed -= {"gcc", "libc6-dev", "make"}
    told = re.search(r"^Build-Depends: (.*?)^\S", read("debian", "control"),
                     re.M | re.S)[1]
    told = {d.split()[0] for d in told.split(",")} - {"debhelper-compat"}
    eq(told, needed, "Build-Depends")


def on_a_terminal(argv, awaited, keys):
    """Run argv on an xterm of 80x24; what it drew until it showed something.
    Then keys are pressed, which end it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave,
                               env={**os.environ, "TERM": "xterm"},
                               start_new_session=True)
    later(process.kill)
    drawn = b""

    def shown():
        nonlocal drawn
        if select.select([master], [], [], 0.1)[0]:
            drawn += os.read(master, 65536)
        return awaited in drawn
    until(shown, "%r on the screen" % awaited)
    os.write(master, keys)
    until(lambda: process.poll() is not None, "the end of " + argv[-1])
    return drawn


@case
def the_image_holds_all_that_it_needs():
    if os.getuid() != 0:
        raise Aside("only root may chroot")
    text = read("container", "Containerfile")
    for path in re.findall(r"packaging/\S+", text):
        check(os.path.exists(os.path.join(TREE, path)), "no " + path)
    root = os.path.join(temp_dir(), "image")
    run(os.path.join(PACKAGING, "container", "rootfs"), BINARY, root)
    conf = Conf().listener("front").upstream("back", port())
    with open(os.path.join(root, "etc/weir/weir.conf"), "w") as f:
        f.write(conf.text())
    user = re.search(r"^USER (\d+:\d+)$", text, re.M)[1]
    inside = ["chroot", "--userspec=" + user, root]
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.M)[1])
    probe = json.loads(re.search(r"CMD (\[.*\])$", text, re.M)[1])
    start("image", conf.ports["front"], inside + entry)
    eq(run(*inside, *probe).strip(), "ready", "health check")
    # It knows terminals: what it draws for one moves the cursor.
    drawn = on_a_terminal(inside + ["/usr/bin/weir", "top"], b"front", b"q")
    check(re.search(rb"\x1b\[[0-9;]*H", drawn), "weir top: %r" % drawn)
    used = sum(os.path.getsize(os.path.join(d, f))
               for d, _, files in os.walk(root) for f in files)
    check(used < 20e6, "%d bytes" % used)


run_cases()
