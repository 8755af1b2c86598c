"""The sandbox: what an intruder would try fails, what weir has to do works, and
a reload that needs more says so.
"""
# SPDX-License-Identifier: MIT
import errno
import json
import os
import pwd
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
import weir
from case import Aside, Skip, case, check, eq, later, run, until
from fault import VARIANT
from shim import Shim
from upgrade import Successive
from weir import Weir, listening, one, unix_listening
from web import HttpOrigin, answer, ok, once, request
from wire import Client

ATTEMPTS = ("sh", "itself", "outside", "unlink", "packet", "ptrace",
            "namespace", "code", "tiocsti", "signal", "mkdir", "memfd",
            "read", "log")


def folder(name):
    """A new folder that anybody may write to."""
    path = os.path.join(cases.temp_dir(), "%s%d" % (
        name, time.monotonic_ns()))
    os.mkdir(path)
    os.chmod(path, 0o777)
    return path


def logging(conf, path):
    conf.log = 'level = "info"; access = "%s";' % path
    return conf


def sandbox(w):
    s = w.stats()["sandbox"]
    if s["state"] == "unavailable" or "unavailable" in s["landlock"]:
        raise Aside("not in this kernel: %r" % s)
    return s


def helpers(w):
    """Its children: one that looks at other processes for it."""
    with open("/proc/%d/task/%d/children" % (w.pid, w.pid)) as f:
        pids = f.read().split()
    eq(len(pids), 1, "children")
    return pids


def attempts(mode, workers=2):
    """What all that came to, of main and of a worker: two dictionaries."""
    shim = Shim("intruder")
    logs, outside = folder("logs"), folder("outside")
    conf = logging(one(HttpOrigin(), workers=workers, more='security = { '
                       'sandbox = "%s"; };' % mode), logs + "/access.log")
    w = Weir(conf, env={**shim.env, "WEIR_LOGS": logs,
                        "WEIR_OUTSIDE": outside})
    if mode == "on":
        sandbox(w)
    shim.page[0:4] = struct.pack("i", 1)

    def tried():
        w.get("/healthz")
        once(w.conf.ports["front"])
        return struct.unpack_from("i", shim.page, 4)[0] > workers
    until(tried, "all threads have tried")
    found = [dict(zip(ATTEMPTS, struct.unpack_from(
        "%di" % len(ATTEMPTS), shim.page, 4 * at))) for at in (16, 48)]
    ok(once(w.conf.ports["front"]))
    w.stop()
    return found


@case
def what_an_intruder_would_try_fails():
    not_here = errno.ENOSYS
    no = errno.EACCES
    for found in attempts("on"):
        if VARIANT != "release":        # a sanitizer's calls are permitted
            found["ptrace"] = found["mkdir"] = not_here
        eq(found, {"sh": no, "itself": 0, "outside": no, "unlink": no,
                   "packet": not_here, "ptrace": not_here,
                   "namespace": not_here, "code": not_here,
                   "tiocsti": not_here, "signal": found["signal"],
                   "mkdir": not_here, "memfd": not_here, "read": 0,
                   "log": 0}, "attempts")
        check(found["signal"] in (0, errno.EPERM), "signal")


@case
def without_it_nothing_is_refused():
    for mode in ("off", "log"):
        for found in attempts(mode, 1):
            for name in ("sh", "outside", "memfd", "read", "log", "code"):
                eq(found[name], 0, "%s: %s" % (mode, name))


@case
def its_state_is_told():
    for mode, state in (("on", "on"), ("log", "log"), ("off", "off")):
        w = Weir(one(HttpOrigin(), more='security = { sandbox = "%s"; };' %
                     mode))
        s = sandbox(w)
        eq((s["state"], s["seccomp"]), (state, state), mode)
        eq(s["landlock"], "on" if mode == "on" else "off", "landlock")
        eq(s["no_new_privs"], mode != "off", "no_new_privs")
        user = pwd.getpwuid(os.getuid()).pw_name
        eq(s["user"], user, "user")
        check('\nweir_sandbox_info{state="%s",user="%s"} 1\n' % (
            state, user) in w.metrics(), "metric")
        w.wait_log("sandbox: %s" % state)
        for thread in os.listdir("/proc/%d/task" % w.pid):
            if VARIANT == "tsan":       # has a thread of its own
                break
            with open("/proc/%d/task/%s/status" % (w.pid, thread)) as f:
                status = dict(line.split(":", 1) for line in f)
            eq(int(status["Seccomp"]), 0 if mode == "off" else 2, thread)
        w.stop()


@case
def a_reload_keeps_to_the_places_of_the_start():
    o = HttpOrigin()
    logs, other = folder("logs"), folder("other")
    conf = logging(one(o), logs + "/access.log")
    conf.listener("unix", bind='"unix:%s/one.sock"' % logs)
    w = Weir(conf)
    sandbox(w)
    ok(once(w.conf.ports["front"]))
    # Other names in the same places.
    conf.listener("unix", bind='"unix:%s/two.sock"' % logs)
    w.write(logging(conf, logs + "/another.log").text())
    w.reload()
    ok(once(w.conf.ports["front"]))
    until(lambda: os.path.getsize(logs + "/another.log") > 0, "a line")
    until(lambda: unix_listening(logs + "/two.sock"), "the new socket")
    until(lambda: not os.path.exists(logs + "/one.sock"), "the old one")
    # Rotation.
    os.rename(logs + "/another.log", logs + "/old.log")
    w.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(logs + "/another.log"), "opened again")
    # Other places.
    w.write(logging(conf, other + "/access.log").text())
    status, body = w.post("/reload")
    check(status != 200 and "needs a restart: security.sandbox does not "
          "permit to make files in %s" % other in body, body)
    conf.listener("unix", bind='"unix:%s/two.sock"' % other)
    w.write(logging(conf, logs + "/another.log").text())
    status, body = w.post("/reload")
    check(status != 200 and "permit to make sockets in %s" % other in body,
          body)
    check(not os.listdir(other), "something was made")
    ok(once(w.conf.ports["front"]))
    eq(w.stats()["generation"], 2, "generation")


@case
def a_log_that_is_a_link_is_opened_again_where_it_leads():
    logs, real = folder("logs"), folder("real")
    os.symlink("../%s/a.log" % os.path.basename(real), logs + "/access.log")
    w = Weir(logging(one(HttpOrigin()), logs + "/access.log"))
    sandbox(w)
    os.rename(real + "/a.log", real + "/b.log")
    w.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(real + "/a.log"), "opened again")
    ok(once(w.conf.ports["front"]))
    until(lambda: os.path.getsize(real + "/a.log") > 0, "a line")
    # Another link, to elsewhere, is known for what it is.
    other = folder("other")
    os.close(os.open(other + "/c.log", os.O_CREAT | os.O_WRONLY, 0o666))
    os.symlink(other + "/c.log", logs + "/c.log")
    w.write(logging(w.conf, logs + "/c.log").text())
    status, body = w.post("/reload")
    check(status != 200 and "permit to make files in %s" % other in body,
          body)


@case
def folders_of_systemd_are_permitted():
    o = HttpOrigin()
    logs, run_ = folder("logs"), folder("run")
    conf = one(o)
    w = Weir(conf, env={"LOGS_DIRECTORY": "/nowhere:" + logs,
                        "RUNTIME_DIRECTORY": run_})
    sandbox(w)
    conf.listener("unix", bind='"unix:%s/one.sock"' % run_)
    w.write(logging(conf, logs + "/access.log").text())
    w.reload()
    until(lambda: unix_listening(run_ + "/one.sock"), "the socket")
    w.stop()
    check(not os.path.exists(run_ + "/one.sock"), "the socket file stays")


@case
def its_scout_reads_and_no_more_and_ends_with_it():
    w = Weir(one(HttpOrigin()))
    sandbox(w)
    scout, = helpers(w)

    def state():
        with open("/proc/%s/status" % scout) as f:
            lines = dict(line.split(":", 1) for line in f)
        return [lines[k].strip() for k in ("Name", "Seccomp", "NoNewPrivs")]
    # It is another process, and may be a moment later.
    until(lambda: state() == ["weir-scout", "2", "1"], "its state")
    eq(len(os.listdir("/proc/%s/fd" % scout)), 1, "descriptors")
    w.stop()
    until(lambda: not os.path.exists("/proc/" + scout), "its end")


def thread_names(w):
    found = set()
    for tid in os.listdir("/proc/%d/task" % w.pid):
        with open("/proc/%d/task/%s/comm" % (w.pid, tid)) as f:
            found.add(f.read().strip())
    return found


def holding(workers=1):
    """A weir, confined, with one client that waits for an answer."""
    gate = threading.Event()

    def handler(q, link):
        gate.wait(60)
        return answer(q)
    w = Weir(one(HttpOrigin(handler), workers=workers))
    later(gate.set)
    sandbox(w)
    Client(w.conf.ports["front"]).send(request())
    w.wait_pool(leased=1)
    return w


def process_of_client(w):
    status, body = w.get("/connections")
    eq(status, 200, "/connections")
    return [h["process"] for r in json.loads(body)["connections"]
            for h in r["holders"]]


@case
def threads_have_names_though_it_hides_where_they_lie():
    """Also one that begins when it is confined."""
    w = holding(workers=2)
    process_of_client(w)
    wanted = {"weir-log", "weir-0", "weir-1", "weir-find"}
    until(lambda: wanted <= thread_names(w), "names")


@case
def the_end_of_its_scout_is_told_once():
    w = holding()
    eq([p["pid"] for p in process_of_client(w)], [os.getpid()], "before")
    scout, = helpers(w)
    os.kill(int(scout), signal.SIGKILL)
    w.wait_log("warn.*looks at other processes has ended")
    for _ in range(2):
        eq(process_of_client(w), [None], "after")
    eq(w.log().count("has ended"), 1, "warnings")


@case
def changing_it_takes_a_restart():
    w = Weir(one(HttpOrigin()))
    w.write(w.conf.text() + 'security = { sandbox = "off"; };')
    w.reload()
    w.wait_log("security.sandbox.* takes effect at the next start")
    eq(sandbox(w)["state"], "on", "state")


@case
def a_low_port_can_be_bound_by_a_reload_though_root_is_given_up():
    if os.getuid() != 0:
        raise Skip("not root")
    number = next(n for n in range(1023, 600, -1) if not listening(n))
    o = HttpOrigin()
    w = Weir(one(o, more='user = "nobody";'))
    with open("/proc/%d/status" % w.pid) as f:
        status = dict(line.split(":", 1) for line in f)
    for name in ("CapPrm", "CapEff", "CapAmb"):
        eq(int(status[name], 16), 1 << 10, name)
    eq(w.stats()["sandbox"]["user"], "nobody", "user")
    w.conf.listener("low", bind='"127.0.0.1:%d"' % number)
    w.write()
    w.reload()
    until(lambda: listening(number), "the low port")
    ok(once(number))


@case
def one_that_is_started_inside_does_not_put_layer_on_layer():
    """As a weir that takes over: it finds itself confined already. 20 times is
    more than the kernel would permit."""
    logs, other = folder("logs"), folder("other")
    shim = Shim("intruder")
    conf = logging(one(HttpOrigin()), logs + "/access.log")
    # Where those that are confined can open it.
    os.link(shim.path, logs + "/page")
    w = Weir(conf, env={**shim.env, "WEIR_SHIM": logs + "/page"})
    sandbox(w)
    ok(once(w.conf.ports["front"]))
    scouts = helpers(w)

    def started():
        return struct.unpack_from("i", shim.page, 8)[0]

    def again():
        shim.page[12:16] = struct.pack("i", started() + 1)
    for i in range(20):
        again()
        until(lambda: started() == i + 2, "the next one")
    w.wait_up()
    eq(sandbox(w)["state"], "on", "state")
    w.wait_log("sandbox: on, as in the weir before")
    with open("/proc/%d/status" % w.pid) as f:
        status = dict(line.split(":", 1) for line in f)
    eq(int(status["Seccomp_filters"]), 1, "filters")
    eq(helpers(w), scouts, "who looks at other processes")
    ok(once(w.conf.ports["front"]))
    # One that would need more than it is permitted.
    w.write(logging(conf, other + "/access.log").text())
    again()
    eq(w.exited(), 1, "exit status")
    check("needs a restart: security.sandbox does not permit to make files "
          "in %s" % other in w.log(), w.log()[-500:])


@case
def what_a_narrower_one_after_it_has_left_is_known():
    place = folder("sockets")
    conf = one(HttpOrigin())
    without = conf.text()
    conf.listener("unix", bind='"unix:%s/one.sock"' % place)
    w = Successive(conf)
    sandbox(w)
    w.write(without)
    w.reload()
    w.upgrade()
    eq(sandbox(w)["state"], "on", "state")
    w.write()
    status, body = w.post("/reload")
    check(status != 200 and "needs a restart: security.sandbox does not "
          "permit to make sockets in %s" % place in body, body)
    check("needs a restart" in w.refused(), "an upgrade")
    ok(once(w.conf.ports["front"]))


def cores_are_files():
    with open("/proc/sys/kernel/core_pattern") as f:
        piped = f.read(1) == "|"
    return not piped and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0


@case
def an_abort_that_could_leave_no_core_takes_a_restart():
    o = HttpOrigin()

    def text(w, action):
        return w.conf.text() + 'watchdog = { action = "%s"; };' % action
    w = Successive(one(o))
    sandbox(w)
    w.write(text(w, "abort"))
    status, body = w.post("/reload")
    if cores_are_files():
        sentence = "needs a restart: security.sandbox does not permit to " \
            "make cores, since watchdog.action was not "
        check(status != 200 and sentence in body, body)
        check(sentence in w.refused(), "an upgrade")
    else:
        eq(status, 200, body)
    w.stop()
    # One that was started so has them, and goes on having them.
    w = Successive(one(o, more='watchdog = { action = "abort"; };'))
    for _ in range(2):
        w.upgrade()
        w.reload()
    # Without the sandbox there is nothing to wait for.
    w = Weir(one(o, more='security = { sandbox = "off"; };'))
    w.write(text(w, "abort"))
    w.reload()


@case
def its_loader_may_be_anywhere():
    """A weir whose loader no list knows can be upgraded: its own name of it is
    written over by that of a copy."""
    with open(weir.BINARY, "rb") as f:
        program = f.read()
    name = re.search(rb"/lib(?:64)?/ld[-.\w]+\0", program)
    if not name:
        raise Skip("its loader is elsewhere already")
    place = tempfile.mkdtemp(dir="/tmp")        # a short one
    later(lambda: shutil.rmtree(place))
    os.chmod(place, 0o755)
    loader = place + "/ld"
    shutil.copy(name[0][:-1], loader)
    path = os.path.join(folder("bin"), "weir")
    with open(path, "wb") as f:
        f.write(program.replace(name[0], os.fsencode(loader).ljust(
            len(name[0]), b"\0"), 1))
    os.chmod(path, 0o755)
    before, weir.BINARY = weir.BINARY, path
    try:
        w = Successive(one(HttpOrigin()), copied=True)
    finally:
        weir.BINARY = before
    sandbox(w)
    with open("/proc/%d/maps" % w.pid) as f:
        check(loader in f.read(), "another loader")
    w.upgrade()
    ok(once(w.conf.ports["front"]))


run()
