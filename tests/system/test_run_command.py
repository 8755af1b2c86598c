"""`weir run -- COMMAND`: the application starts when the pools are warm, is
stopped first, and its exit status is that of the whole.
"""
# SPDX-License-Identifier: MIT
import os
import pty
import re
import resource
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import SLOW, WAIT, case, check, eq, later, port, put, run, until
from manager import Manager
from origin import Origin
from weir import BINARY, Weir, command, one
from web import HttpOrigin, answer, ok, once, request
from wire import Client

PYTHON = sys.executable


def paths():
    """Names of files that an application may write, new in each case."""
    n = time.monotonic_ns()
    return [os.path.join(cases.temp_dir(), "%s%d" % (name, n))
            for name in ("begun", "ended", "more")]


def shell(text):
    return ["--", "sh", "-c", text]


def under(conf, *argv, **more):
    """weir run with those words; it is up, its own process is .inner."""
    w = Weir(conf, argv=["run", *argv], **more)
    w.inner = w.stats()["pid"]
    check(w.inner != w.pid, "weir is the process itself")
    return w


def gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def read(path):
    with open(path) as f:
        return f.read()


@case
def it_starts_when_warm_and_its_status_is_returned():
    begun, _, _ = paths()
    number = port()
    w = under(one(number, pool="min_idle = 2;"),
              *shell("echo x >%s; exit 7" % begun))
    eq(w.get("/readyz")[0], 503, "/readyz")
    check(not os.path.exists(begun), "started while nothing was warm")
    o = HttpOrigin(number=number)
    eq(w.exited(), 7, "exit status")
    check(os.path.exists(begun), "did not run")
    check(gone(w.inner), "weir lives on")
    o.had(2)


@case
def logged_in_is_what_warm_means():
    """A server that has been connected to, and has not let weir in yet."""
    begun, _, _ = paths()
    gate = threading.Event()

    def script(link):
        while link.more():
            gate.wait(3 * WAIT)
            # An answer for each command.
            link.send(b"+OK\r\n" * link.take(len(link.buf)).count(b"*"))
    o = Origin(script)
    w = under(one(o, protocol="redis", pool="min_idle = 1;",
                  up='redis = { user = "u"; password = "secret"; };'),
              *shell("echo x >%s" % begun))
    until(lambda: o.received > 0, "the login is there")
    eq(w.get("/readyz")[0], 503, "/readyz")
    check(not os.path.exists(begun), "started")
    gate.set()
    eq(w.exited(), 0, "exit status")
    check(os.path.exists(begun), "not started")


@case
def a_signal_ends_the_application_first_and_it_is_served_meanwhile():
    begun, ended, _ = paths()
    o = HttpOrigin()
    conf = one(o)
    p = conf.listener("front").ports["front"]
    w = under(conf, "--", PYTHON, "-c", """
import signal, sys, urllib.request
def end(number, frame):
    body = urllib.request.urlopen("http://127.0.0.1:%d/last").read()
    open(%r, "w").write("%%d bytes" %% len(body))
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
open(%r, "w")
while True:
    signal.pause()
""" % (p, ended, begun))
    until(lambda: os.path.exists(begun), "the application runs")
    w.signal(signal.SIGTERM)
    eq(w.exited(), 5, "exit status")
    check("bytes" in read(ended), "what it got in its end")
    eq(o.seen[-1].target, "/last", "last request")


@case
def one_that_does_not_end_is_killed_with_its_children():
    begun, _, _ = paths()
    w = under(one(HttpOrigin()), "--stop-timeout", "%dms" % (300 * SLOW),
              *shell("trap '' TERM; sleep 1000 & echo $! >%s; wait; "
                     "sleep 1000" % begun))
    until(lambda: os.path.exists(begun) and read(begun), "it runs")
    w.signal(signal.SIGTERM)
    eq(w.exited(), 128 + 9, "exit status")
    until(lambda: gone(int(read(begun))), "its child is gone")
    check("sh has not ended within" in w.log(), w.log())


@case
def a_second_signal_does_not_wait():
    begun, _, _ = paths()
    w = under(one(HttpOrigin()), "--stop-timeout", "1h", *shell(
        "trap '' TERM; echo x >%s; while :; do sleep 1000; done" % begun))
    until(lambda: os.path.exists(begun), "it runs")
    w.signal(signal.SIGTERM)
    w.signal(signal.SIGINT)
    eq(w.exited(), 128 + 9, "exit status")


@case
def not_warm_in_time_it_is_not_started():
    begun, _, _ = paths()
    w = under(one(port(), pool="min_idle = 1;"), "--timeout",
              "%dms" % (500 * SLOW), *shell("echo x >%s" % begun))
    eq(w.exited(), 1, "exit status")
    check(re.search(r"not warm within \S+: .*back.*sh is not started",
                    w.log()), w.log())
    check(not os.path.exists(begun), "it was started")


@case
def what_is_waited_for_is_said_once():
    begun, _, _ = paths()
    o = HttpOrigin()
    o.refuse()
    w = under(one(o, pool="min_idle = 1;"), *shell("echo x >%s" % begun))
    w.wait_log("sh is not started yet: upstream back: 0 of 1 connections are "
               "open")
    o.listen()
    eq(w.exited(), 0, "exit status")
    check(os.path.exists(begun), "it was not started")
    eq(w.log().count("not started"), 1, "how often")


@case
def or_it_is_with_anyway():
    begun, _, _ = paths()
    w = under(one(port(), pool="min_idle = 1;"), "--timeout",
              "%dms" % (500 * SLOW), "--anyway",
              *shell("echo x >%s; exit 3" % begun))
    eq(w.exited(), 3, "exit status")
    check(os.path.exists(begun), "it was not started")


@case
def a_signal_before_the_start_ends_weir():
    begun, _, _ = paths()
    w = under(one(port(), pool="min_idle = 1;"), *shell("echo x >%s" % begun))
    w.signal(signal.SIGTERM)
    eq(w.exited(), 128 + 15, "exit status")
    check(not os.path.exists(begun), "it was started")


@case
def statuses_of_the_shell():
    for text, status in (("kill -KILL $$", 137), ("exit 0", 0)):
        w = under(one(port()), *shell("sleep 0.3; " + text))
        eq(w.exited(), status, text)
    plain = put("plain", "x")
    for name, status, why in (
            ("/nowhere/to/be/found", 127, "No such file"),
            (plain, 126, "Permission denied")):
        w = Weir(one(port()), argv=["run", "--", name], wait=False)
        eq(w.exited(), status, name)
        check("cannot run %s: %s" % (name, why) in w.log(), w.log())


@case
def a_file_with_mistakes_starts_nothing():
    begun, _, _ = paths()
    r = command("-c", put("bad.conf", "workers = x;"), "run",
                *shell("echo x >%s" % begun))
    eq(r.returncode, 1, "exit status")
    check("bad.conf:1:" in r.stderr, r.stderr)
    check(not os.path.exists(begun), "it was started")


@case
def mistakes_of_the_command_line():
    for words, why in (([], "needs -- and"), (["--"], "needs -- and"),
                       (["sh"], "does not expect sh"),
                       (["--timeout"], "--timeout needs a value"),
                       (["--timeout", "5", "--", "sh"], "duration")):
        r = command("run", *words)
        eq(r.returncode, 2, repr(words))
        check(why in r.stderr and "usage: " in r.stderr, r.stderr)


@case
def hup_is_a_reload_and_winch_is_the_applications():
    begun, ended, _ = paths()
    o = HttpOrigin()
    w = under(one(o), *shell(
        "trap 'echo w >%s' WINCH; trap 'exit 9' HUP USR1; echo x >%s; "
        "while [ ! -e %s ]; do sleep 0.02; done; sleep 0.3; exit 4" % (
            ended, begun, ended)))
    until(lambda: os.path.exists(begun), "it runs")
    w.signal(signal.SIGHUP)
    w.signal(signal.SIGUSR1)
    w.wait_log("reload: generation 2")
    ok(once(w.conf.ports["front"]))
    w.signal(signal.SIGWINCH)
    eq(w.exited(), 4, "exit status")


@case
def without_weir_the_application_is_ended():
    begun, ended, _ = paths()
    w = under(one(HttpOrigin()), *shell(
        "trap 'echo x >%s; exit 0' TERM; echo x >%s; "
        "while :; do sleep 0.02; done" % (ended, begun)))
    until(lambda: os.path.exists(begun), "it runs")
    os.kill(w.inner, signal.SIGKILL)
    eq(w.exited(), 1, "exit status")
    check(os.path.exists(ended), "it was not told")
    check("ended by signal 9" in w.log(), w.log())


@case
def weir_is_upgraded_under_it():
    begun, _, _ = paths()
    o = HttpOrigin()
    w = under(one(o, pool="min_idle = 1;"), *shell(
        "trap 'exit 6' TERM; echo x >>%s; while :; do sleep 0.02; done" %
        begun))
    until(lambda: os.path.exists(begun), "it runs")
    for _ in range(2):
        w.signal(signal.SIGUSR2)
        until(lambda: w.stats()["pid"] != w.inner, "the new one")
        old_one_goes(w)
        w.wait_log("upgrade: process %d has drained" % w.inner)
        w.inner = w.stats()["pid"]
        ok(once(w.conf.ports["front"]))
    eq(read(begun), "x\n", "starts of the application")
    w.signal(signal.SIGHUP)
    w.wait_log("reload: generation")
    w.signal(signal.SIGTERM)
    eq(w.exited(), 6, "exit status")
    check(gone(w.inner), "weir lives on")


@case
def one_that_took_over_and_dies_is_replaced_under_it():
    begun, _, _ = paths()
    gate = threading.Event()
    later(gate.set)

    def handler(q, link):
        gate.wait(6 * WAIT)
        return answer(q)
    o = HttpOrigin(handler)
    conf = one(o)
    conf.drain_timeout = "%ds" % (60 * SLOW)
    w = under(conf, *ready_loop(begun))
    until(lambda: os.path.exists(begun), "it runs")
    c = Client(conf.ports["front"])
    c.send(request())
    until(lambda: o.requests == 1, "the request")
    w.signal(signal.SIGUSR2)
    until(lambda: w.stats()["pid"] != w.inner, "the new one")
    dead = w.stats()["pid"]
    w.wait_log("process %d serves" % dead)
    os.kill(dead, signal.SIGKILL)
    w.wait_log("process %d, which took over, was killed" % dead)
    newest = w.stats()["pid"]
    check(newest not in (dead, w.inner), "who serves")
    gate.set()
    old_one_goes(w)
    w.signal(signal.SIGTERM)
    eq(w.exited(), 6, "exit status")
    check(gone(newest), "weir lives on")


def old_one_goes(w):
    """It would stay for some seconds when it has drained."""
    w.wait_log("process %d, this one, has drained; stays" % w.inner)
    os.kill(w.inner, signal.SIGTERM)
    until(lambda: gone(w.inner), "the old one is gone")


def ready_loop(begun):
    return shell("trap 'exit 6' TERM; echo x >>%s; "
                 "while :; do sleep 0.02; done" % begun)


@case
def what_weir_said_last_is_heard_before_its_end():
    """It says other things first, then who takes over, and has ended when
    that is read."""
    begun, _, _ = paths()
    w = under(one(HttpOrigin(), pool="min_idle = 1;"), *ready_loop(begun))
    until(lambda: os.path.exists(begun), "it runs")
    w.signal(signal.SIGSTOP)
    try:
        w.reload()
        os.kill(w.inner, signal.SIGUSR2)
        until(lambda: w.stats()["pid"] != w.inner, "the new one")
        old_one_goes(w)
    finally:
        w.signal(signal.SIGCONT)
    w.inner = w.stats()["pid"]
    w.signal(signal.SIGHUP)
    w.wait_log("(?s)took over.*reload: generation")
    ok(once(w.conf.ports["front"]))
    w.signal(signal.SIGTERM)
    eq(w.exited(), 6, "exit status")
    check(gone(w.inner), "weir lives on")


@case
def nor_is_one_that_has_taken_over_left():
    begun, _, _ = paths()
    w = under(one(HttpOrigin()), *ready_loop(begun))
    until(lambda: os.path.exists(begun), "it runs")
    w.signal(signal.SIGUSR2)
    until(lambda: w.stats()["pid"] != w.inner, "the new one")
    new = w.stats()["pid"]
    w.signal(signal.SIGKILL)
    eq(w.exited(), -9, "exit status")
    for pid in (w.inner, new):
        until(lambda: gone(pid), "weir is gone")


@case
def a_manager_that_does_not_read_hears_later_that_it_is_ready():
    begun, _, _ = paths()
    m = Manager()
    m.fill()
    w = under(one(HttpOrigin()), *ready_loop(begun), env=m.env)
    until(lambda: os.path.exists(begun), "it runs")
    m.wait("READY", "1")
    w.signal(signal.SIGTERM)
    eq(w.exited(), 6, "exit status")


@case
def weir_stop_ends_both():
    begun, _, _ = paths()
    w = under(one(HttpOrigin()), *shell(
        "trap 'exit 6' TERM; echo x >%s; while :; do sleep 0.02; done" %
        begun))
    until(lambda: os.path.exists(begun), "it runs")
    eq(w.post("/stop")[0], 200, "POST /stop")
    eq(w.exited(), 6, "exit status")


@case
def nobody_is_left_when_it_is_killed():
    begun, _, _ = paths()
    w = under(one(HttpOrigin()), *shell(
        "echo $$ >%s; exec sleep 1000" % begun))
    until(lambda: os.path.exists(begun) and read(begun), "it runs")
    w.signal(signal.SIGKILL)
    eq(w.exited(), -9, "exit status")
    until(lambda: gone(w.inner), "weir is gone")
    until(lambda: gone(int(read(begun))), "the application is gone")


@case
def the_application_has_what_was_there_before():
    begun, _, _ = paths()
    m = Manager()
    resource_was = resource.getrlimit(resource.RLIMIT_NOFILE)
    w = under(one(HttpOrigin()), "--", PYTHON, "-c", """
import os, resource
fds = sorted(int(n) for n in os.listdir("/proc/self/fd"))
status = dict(l.split(":", 1) for l in open("/proc/self/status"))
with open(%r, "w") as f:
    print(fds[:3], len(fds), file=f)
    print(resource.getrlimit(resource.RLIMIT_NOFILE), file=f)
    for name in ("SigBlk", "Seccomp", "NoNewPrivs"):
        print(name, status[name].strip(), file=f)
    print([n for n in os.environ if n.startswith(("NOTIFY", "WATCHDOG",
                                                  "LISTEN_"))], file=f)
os.rename(%r, %r)
""" % (begun + ".new", begun + ".new", begun), env=m.env)
    eq(w.exited(), 0, "exit status")
    # The fourth descriptor is that of the folder which is read.
    eq(read(begun), "[0, 1, 2] 4\n%r\nSigBlk %s\nSeccomp 0\n"
       "NoNewPrivs 0\n[]\n" % (resource_was, "0" * 16), "its state")
    m.wait("READY", "1")


@case
def the_terminal_is_the_applications():
    """Ctrl-C is for it alone, and once."""
    begun, ended, _ = paths()
    conf = one(HttpOrigin())
    file = put("terminal.conf", conf.text())
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BINARY, [BINARY, "-c", file, "run", "--", "sh", "-c",
                 "trap 'echo x >>%s' INT; trap 'exit 8' QUIT; echo x >%s; "
                 "while :; do sleep 0.02; done" % (ended, begun)])
    later(lambda: os.close(fd))
    until(lambda: os.path.exists(begun), "it runs")
    os.write(fd, b"\x03")
    until(lambda: os.path.exists(ended), "it was interrupted")
    os.write(fd, b"\x1c")
    status = until(lambda: [s for p, s in [os.waitpid(pid, os.WNOHANG)] if p],
                   "the end")[0]
    eq(os.waitstatus_to_exitcode(status), 8, "exit status")
    eq(read(ended), "x\n", "interrupts")


@case
def ctrl_z_stops_both_and_fg_goes_on():
    # One process: a shell that just starts another would not be stopped as
    # long as that, stopped, has not begun (vfork(2)).
    begun, _, _ = paths()
    conf = one(HttpOrigin())
    file = put("job.conf", conf.text())
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BINARY, [BINARY, "-c", file, "run", "--", "sh", "-c",
                 "echo x >%s; exec sleep 1000" % begun])
    later(lambda: os.close(fd))
    until(lambda: os.path.exists(begun), "it runs")

    def stopped():
        p, s = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        return p and os.WIFSTOPPED(s)
    os.write(fd, b"\x1a")
    until(stopped, "it is stopped")
    os.kill(pid, signal.SIGCONT)
    until(lambda: os.tcgetpgrp(fd) != pid, "it has the terminal again")
    os.write(fd, b"\x03")
    status = until(lambda: [s for p, s in [os.waitpid(pid, os.WNOHANG)] if p],
                   "the end")[0]
    eq(os.waitstatus_to_exitcode(status), 128 + 2, "exit status")


def job_of_a_shell(app, then):
    """weir run in front of a shell with job control, which is played: when it
    has stopped and goes on behind, then(its pid). The shell's terminal."""
    file = put("job.conf", one(HttpOrigin()).text())
    shell_pid, fd = pty.fork()
    if shell_pid > 0:
        later(lambda: os.close(fd))
        return shell_pid, fd
    status = 99
    try:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.execv(BINARY, [BINARY, "-c", file, "run", "--", PYTHON, "-c",
                              app])
        os.waitpid(pid, os.WUNTRACED)
        os.tcsetpgrp(0, os.getpgrp())
        os.killpg(pid, signal.SIGCONT)
        status = then(pid)
    finally:
        os._exit(status)


def ended_with(pid):
    status = until(lambda: [s for p, s in [os.waitpid(pid, os.WNOHANG)] if p],
                   "the end")[0]
    return os.waitstatus_to_exitcode(status)


@case
def bg_of_a_shell_leaves_the_shell_its_terminal():
    begun, ended, _ = paths()

    def then(pid):
        until(lambda: os.path.exists(ended), "it goes on")
        front = os.tcgetpgrp(0) == os.getpgrp()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status if front and os.tcgetpgrp(0) == os.getpgrp() else 98
    shell_pid, fd = job_of_a_shell("""
import signal, sys
def on(*_):
    open(%r, "w").close()
    sys.exit(7)
signal.signal(signal.SIGCONT, on)
open(%r, "w").close()
while True:
    signal.pause()
""" % (ended, begun), then)
    until(lambda: os.path.exists(begun), "it runs")
    os.write(fd, b"\x1a")
    eq(ended_with(shell_pid), 7, "status; 98: the terminal was taken")


@case
def fg_of_what_runs_behind_gives_it_the_terminal():
    """Nothing is said to it then: it asks for the terminal by reading."""
    begun, ended, more = paths()

    def then(pid):
        until(lambda: os.path.exists(ended), "it goes on")
        os.tcsetpgrp(0, pid)
        open(more, "w").close()
        status = os.waitpid(pid, os.WUNTRACED)[1]
        if os.WIFSTOPPED(status):
            os.kill(pid, signal.SIGKILL)
            return 98
        return os.waitstatus_to_exitcode(status)
    shell_pid, fd = job_of_a_shell("""
import os, signal, sys, time
signal.signal(signal.SIGCONT, lambda *_: open(%r, "w").close())
open(%r, "w").close()
while not os.path.exists(%r):
    time.sleep(0.01)
sys.exit(len(sys.stdin.readline()))
""" % (ended, begun, more), then)
    until(lambda: os.path.exists(begun), "it runs")
    os.write(fd, b"\x1a")
    until(lambda: os.path.exists(more), "it is in front again")
    os.write(fd, b"four\n")
    eq(ended_with(shell_pid), 5, "bytes read; 98: it was stopped")


@case
def who_was_started_with_signals_ignored_hears_them_all_the_same():
    deaf = (sys.executable, "-c", "import os, signal, sys\n"
            "for n in signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP:\n"
            "    signal.signal(n, signal.SIG_IGN)\n"
            "os.execvp(sys.argv[1], sys.argv[1:])")
    begun, _, _ = paths()
    w = under(one(HttpOrigin()), *ready_loop(begun), before=deaf)
    until(lambda: os.path.exists(begun), "it runs")
    w.signal(signal.SIGTERM)
    eq(w.exited(), 6, "exit status")
    check(gone(w.inner), "weir lives on")


run()
