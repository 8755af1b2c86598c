"""`weir top`: on a terminal it shows, sorts, opens an upstream, holds and gives
the terminal back on every way out; elsewhere it prints lines or JSON.
"""
# SPDX-License-Identifier: MIT
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, die_with_parent, eq, later, port, run
from case import until
from weir import BINARY, Weir, one
from web import HttpOrigin, answer, ok, once, read_response, request
from wire import Client


class Terminal:
    """`weir top` with a terminal of its own; a screen as ncurses draws it for
    TERM=ansi and the like: text, moves of the cursor, erasing."""

    def __init__(self, w, rows=24, columns=80, term="linux", **env):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.raw = b""
        self.pos = 0
        self.process = subprocess.Popen(
            [BINARY, "--admin", "127.0.0.1:%d" % w.admin[1], "top"],
            stdin=self.slave, stdout=self.slave, stderr=self.slave,
            preexec_fn=self._own, env={**os.environ, "TERM": term, **env})
        later(self.end)

    def _own(self):
        die_with_parent()
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        self.lines = [[" "] * columns for _ in range(rows)]
        self.y = self.x = 0

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def read(self, seconds=0.02):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                self.raw += os.read(self.master, 65536)
            except OSError:
                break
            seconds = 0
        self._play()

    def keys(self, text):
        os.write(self.master, text.encode())

    # ------------------------------------------------------------- drawing

    TOKEN = re.compile(rb"\x1b\[([?0-9;]*)([A-Za-z@`])|\x1b([()].|[^\[()])|"
                       rb"([\r\n\b\t\x0e\x0f\x07])|([^\x00-\x1f\x7f]+)")

    def _play(self):
        while True:
            m = self.TOKEN.match(self.raw, self.pos)
            if not m or (m[5] is None and m.end() == len(self.raw) and
                         m[0] == b"\x1b"):
                return
            self.pos = m.end()
            if m[2]:
                self._control(m[1].decode(), m[2].decode())
            elif m[5]:
                for c in m[5].decode(errors="replace"):
                    self._put(c)
            elif m[4] == b"\r":
                self.x = 0
            elif m[4] == b"\n":
                self.y = min(self.y + 1, self.rows - 1)
            elif m[4] == b"\b":
                self.x = max(self.x - 1, 0)

    def _put(self, c):
        if self.x >= self.columns:
            self.x, self.y = 0, min(self.y + 1, self.rows - 1)
        self.lines[self.y][self.x] = self.last = c
        self.x += 1

    def _control(self, numbers, what):
        n = [int(x or 0) for x in numbers.split(";") if x.isdigit() or not x]
        first = n[0] if n and n[0] else 1
        blank = [" "] * self.columns
        if what in "Hf":
            self.y = min(first, self.rows) - 1
            self.x = min(n[1] if len(n) > 1 and n[1] else 1,
                         self.columns) - 1
        elif what == "J":
            whole = n and n[0] == 2
            for y in range(0 if whole else self.y + 1, self.rows):
                self.lines[y] = blank[:]
            if not whole:
                self.lines[self.y][self.x:] = blank[self.x:]
        elif what == "K":
            if n and n[0] == 1:
                self.lines[self.y][:self.x + 1] = blank[:self.x + 1]
            else:
                self.lines[self.y][self.x:] = blank[self.x:]
        elif what == "A":
            self.y = max(self.y - first, 0)
        elif what == "B":
            self.y = min(self.y + first, self.rows - 1)
        elif what == "C":
            self.x = min(self.x + first, self.columns - 1)
        elif what == "D":
            self.x = max(self.x - first, 0)
        elif what in "G`":
            self.x = first - 1
        elif what == "d":
            self.y = first - 1
        elif what == "X":
            for x in range(self.x, min(self.x + first, self.columns)):
                self.lines[self.y][x] = " "
        elif what == "b":
            for _ in range(first):
                self._put(self.last)
        elif what == "P":
            line = self.lines[self.y]
            self.lines[self.y] = (line[:self.x] + line[self.x + first:] +
                                  blank)[:self.columns]
        elif what == "@":
            line = self.lines[self.y]
            self.lines[self.y] = (line[:self.x] + blank[:first] +
                                  line[self.x:])[:self.columns]
        elif what == "L":
            for _ in range(first):
                self.lines.insert(self.y, blank[:])
                self.lines.pop()
        elif what == "M":
            for _ in range(first):
                self.lines.pop(self.y)
                self.lines.append(blank[:])

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.lines)

    def shows(self, pattern):
        """Until the screen has it; the match."""
        found = []

        def seen():
            self.read()
            found[:] = [re.search(pattern, self.text(), re.M)]
            return found[0]
        try:
            return until(seen, "")
        except AssertionError:
            raise AssertionError("%r never came on the screen:\n%s" % (
                pattern, self.text())) from None

    def given_back(self, status=0):
        """It has ended so, and the terminal is as before."""
        def ended():
            self.read()
            return self.process.poll() is not None
        until(ended, "the end of top", 3 * WAIT)
        eq(self.process.returncode, status, "exit status of top")
        eq(termios.tcgetattr(self.slave), self.before, "modes of the terminal")


def start(**more):
    o = HttpOrigin()
    conf = one(o, **more)
    conf.upstream("other", o)
    conf.listener("second", "other")
    return o, Weir(conf)


@case
def it_shows_all_opens_one_sorts_and_holds():
    o, w = start()
    t = Terminal(w)
    t.shows(r"^LISTENER +PROTOCOL")
    t.shows(r"^all is well")
    t.shows(r"^front +http")
    t.shows(r"^back +ok .* 0/64 +0 +1/1$")
    for _ in range(20):
        ok(once(w.conf.ports["second"]))
    # Most requests first; both rates are known by then.
    t.shows(r"^other +ok +[1-9][^\n]*\n^back ")
    check(all(len(line.rstrip()) <= 80 for line in t.text().split("\n")),
          "too wide: " + t.text())
    t.keys("n")
    t.shows(r"^back [^\n]*\n^other ")
    t.shows(r"by name")
    t.keys("j" * 5 + "\r")
    t.shows(r"^upstream other: http, request pool, ok")
    t.shows(r"^\[i\.+\] of 64")
    t.shows(r"^%s +up " % re.escape(o.address))
    t.shows(r"^\d+ +%s +idle " % re.escape(o.address))
    t.keys("?")
    t.shows(r"sort by requests")
    t.keys("\x7f")
    t.shows(r"^UPSTREAM")
    t.keys("p")
    t.shows(r"^HELD")
    held = t.shows(r"up \d+s")[0]
    frames = w.stats()["uptime_s"]
    until(lambda: w.stats()["uptime_s"] > frames + 2.5, "two frames")
    t.read()
    eq(t.shows(r"up \d+s")[0], held, "the screen that is held")
    t.keys("pq")
    t.given_back()
    eq(o.accepted, 1, "upstream connections")


@case
def it_says_what_is_wrong_first():
    dead = port()
    w = Weir(one(dead, up='health = { type = "tcp"; interval = "100ms"; '
                 'fall = 1; };'))
    t = Terminal(w)
    t.shows(r"^! back: 1 of 1 endpoints not usable \(127.0.0.1:%d is down" %
            dead)
    t.shows(r"^back +DOWN")
    t.keys("\r")
    t.shows(r"^127.0.0.1:%d +!down" % dead)
    t.keys("q")
    t.given_back()


@case
def errors_limits_and_leaks_are_named_and_words_have_pages():
    # /bad is a server's own error; one request a minute and no more; a lease
    # that lasts.
    door = threading.Event()
    later(door.set)

    def handler(q, link):
        if q.path == "/held":
            door.wait(3 * WAIT)
        return answer(q, status=500 if q.path == "/bad" else 200)
    o = HttpOrigin(handler)
    conf = one(o, pool='leak_after = "10ms";')
    conf.listener("few", "back",
                  extra='limits = { request_rate = "1/h"; };')
    w = Weir(conf)
    t = Terminal(w)
    t.shows(r"^all is well")
    t.shows(r"^LISTENER +PROTOCOL +REQ/S +FAIL/S +5XX/S")
    eq([once(conf.ports["few"], target="/bad").status for _ in range(3)],
       [500, 429, 429], "answers")
    t.shows(r"^! back: servers answered 1 of 1 requests with errors in the "
            r"last \d+ s \(500 1\)")
    t.shows(r"^back +ERRORS ")
    held = Client(conf.ports["front"]).send(request(target="/held"))
    t.shows(r"^  and 2 more \(t\)")
    t.keys("t")
    t.shows(r"^! back: 1 connection held longer than pool.leak_after")
    t.shows(r"^! few: limits refused 2 in the last \d+ s \(request_rate 2\)")
    conf.upstream("back", o, pool='leak_after = "10ms"; max = 9;')
    w.write()
    w.reload()
    t.shows(r"^\d{4}-[^ ]+Z ok, generation 2$")
    t.shows(r"^ +upstream back: pool.max 64 -> 9")
    t.keys("s")
    t.shows(r"^1 of the 3 failures kept: server_error at upstream back:")
    t.keys("t")
    t.shows(r"^LAST RELOADS")
    t.keys("t")
    t.shows(r"^UPSTREAM")
    t.keys("\x1b[A\r")
    t.shows(r"^listener few: http at 127.0.0.1:\d+")
    t.shows(r"^outcomes: 4xx 2, 5xx 1")
    t.shows(r"^refused by limits: request_rate 2")
    t.keys("q")
    t.given_back()
    # One that begins now knows of the minute before.
    t = Terminal(w)
    t.shows(r"^! back: servers answered 1 of 2 requests with errors in the "
            r"last (\d+ s|minute) \(500 1\)")
    t.keys("tq")
    t.given_back()
    door.set()
    read_response(held)
    held.close()


@case
def it_fits_the_terminal_and_follows_its_size():
    o = HttpOrigin()
    conf = one(o)
    conf.upstreams.clear()
    for n in range(40):
        conf.upstream("u%02d" % n, o)
    conf.listeners.clear()
    conf.ports.clear()
    conf.listener("front", None, extra="routes = ( %s );" % ", ".join(
        '{ path = "/%d/"; upstream = "u%02d"; }' % (n, n) for n in range(40)))
    w = Weir(conf)
    t = Terminal(w, 12, 60)
    t.shows(r"^u00 ")
    t.shows(r"^q quit")
    check("u20" not in t.text(), "more than fits: " + t.text())
    t.keys("\x1b[F\x1b[4~" + "j" * 60)
    t.shows(r"^u39 ")
    t.resize(50, 100)
    t.process.send_signal(signal.SIGWINCH)
    t.shows(r"^u00 (.|\n)*^u39 ")
    t.keys("q")
    t.given_back()


@case
def every_way_out_gives_the_terminal_back():
    o, w = start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                   signal.SIGQUIT):
        t = Terminal(w)
        t.shows(r"^UPSTREAM")
        t.process.send_signal(number)
        t.given_back()
    # By its own keyboard.
    t = Terminal(w)
    t.shows(r"^UPSTREAM")
    t.keys("\x03")
    t.given_back()
    o.had(0)


@case
def stopped_it_leaves_the_terminal_and_takes_it_again():
    o, w = start()
    t = Terminal(w)
    t.shows(r"^UPSTREAM")
    t.process.send_signal(signal.SIGTSTP)

    def stopped():
        t.read()
        with open("/proc/%d/stat" % t.process.pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "T"
    until(stopped, "top stopped")
    eq(termios.tcgetattr(t.slave), t.before, "modes while it is stopped")
    # Whatever the shell had written there.
    t.lines = [[" "] * t.columns for _ in range(t.rows)]
    t.process.send_signal(signal.SIGCONT)
    t.shows(r"^UPSTREAM")
    t.keys("q")
    t.given_back()
    o.had(0)


@case
def weir_gone_it_waits_a_while_and_says_so():
    o, w = start()
    t = Terminal(w)
    t.shows(r"^UPSTREAM")
    w.stop()
    t.shows(r"^NO CONNECTION")
    # The same weir again, as after an upgrade: it goes on.
    again = Weir(w.conf)
    t.shows(r"^q quit")
    t.shows(r"pid %d" % again.pid)
    again.stop()
    t.given_back(1)
    t.read()
    check(b"cannot reach weir" in t.raw[-400:], "said: %r" % t.raw[-400:])
    o.had(0)


@case
def colours_are_only_where_they_are_wanted():
    o, w = start()
    colour = re.compile(rb"\x1b\[[0-9;]*3[0-7]m")
    for env, wanted in (({}, True), ({"NO_COLOR": "1"}, False),
                        ({"term": "vt100"}, False)):
        t = Terminal(w, **env)
        t.shows(r"^all is well")
        eq(bool(colour.search(t.raw)), wanted, "colours with %r" % env)
        t.keys("q")
        t.given_back()
    # A terminal that cannot be drawn on gets lines.
    for term in ("dumb-as-bread", "dumb"):
        t = Terminal(w, term=term)
        t.shows(r"upstream=back")
        check(b"\x1b" not in t.raw, "TERM=%s: %r" % (term, t.raw))
        t.process.send_signal(signal.SIGKILL)
    o.had(0)


def piped(w, *argv):
    p = subprocess.Popen(
        [BINARY, "--admin", "127.0.0.1:%d" % w.admin[1], "top", *argv],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    later(p.wait)
    later(p.kill)
    return p


@case
def without_a_terminal_it_prints_lines():
    o, w = start()
    p = piped(w)
    lines = [p.stdout.readline() for _ in range(4)]
    for line, name in zip(lines, ("back", "other") * 2):
        check(re.fullmatch(
            r"\d\d:\d\d:\d\d upstream=%s state=ok requests_per_s=\d+\.\d "
            r"failures_per_s=0\.0 (\w+=\d+ )+endpoints_up=1/1 "
            r"server_errors_per_s=0\.0\n" % name, line), "line: %r" % line)
    p.send_signal(signal.SIGTERM)
    eq(p.wait(WAIT), -signal.SIGTERM, "its end")
    j = piped(w, "--json")
    for _ in range(2):
        eq(json.loads(j.stdout.readline())["pid"], w.pid, "pid")
    # Nobody reads any more.
    j.stdout.close()
    until(lambda: j.poll() is not None, "the end of top")
    o.had(0)


@case
def a_weir_that_is_not_there_is_told_of_at_once():
    o, w = start()
    w.stop()
    begin = time.monotonic()
    for argv in ((), ("--json",)):
        p = piped(w, *argv)
        eq(p.wait(WAIT), 1, "exit status")
        check("cannot reach weir" in p.stderr.read(), "no sentence")
    t = Terminal(w)
    t.given_back(1)
    check(time.monotonic() > begin and b"\x1b" not in t.raw,
          "it drew: %r" % t.raw)
    o.had(0)


run()
