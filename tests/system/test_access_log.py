"""Every exchange has one line in the access log, true to what happened; and
whatever becomes of the log, requests never wait for it.
"""
# SPDX-License-Identifier: MIT
import contextlib
import json
import os
import pwd
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case as cases
from case import Skip, case, check, eq, later, run, temp_dir, until
from origin import Origin, echo
from postgres import Client as PgClient, SqlError
from postgres_origin import PgOrigin
from tls import Ca, TlsClient, client_context
from weir import Weir, command, one
from web import HttpOrigin, answer, ask, ok, once, request
from wire import Client

KEYS = {"time", "client", "listener", "upstream", "endpoint", "request",
        "host", "agent", "status", "outcome", "received", "sent", "queue_us",
        "connect_us", "first_byte_us", "total_us", "reused", "retries",
        "failure"}
TEXT = re.compile(
    r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) (\S+) (\S+)/(\S+) '
    r'"((?:[^"\\]|\\.)*)" (\d{3}|-) (\S+) (\d+) (\d+) (\d+)/(\d+)/(\d+)/(\d+) '
    r'(new|reused) (\d+) (\S+) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"')
numbers = iter(range(1000))


def new_path(folder=None):
    return os.path.join(folder or temp_dir(), "access%d.log" % next(numbers))


def log_keys(path, fmt="json", more=""):
    return 'level = "info"; format = "%s"; access = "%s"; %s' % (
        fmt, path, more)


def start(origin, path, fmt="json", more="", **others):
    """weir before that origin with an access log."""
    conf = one(origin, **others)
    conf.log = log_keys(path, fmt, more)
    return Weir(conf)


def lines(path):
    try:
        with open(path, "rb") as f:
            text = f.read()
    except FileNotFoundError:
        return []
    # An unfinished line at the end is being written.
    return text.split(b"\n")[:-1]


def records(path, n):
    """Until there are n lines; as dictionaries, checked."""
    until(lambda: len(lines(path)) >= n, "%d lines in %s" % (n, path))
    got = lines(path)
    eq(len(got), n, "lines of the access log")
    out = [json.loads(line.decode("utf-8")) for line in got]
    for r in out:
        eq(set(r), KEYS, "keys")
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                           r["time"]), "time: %r" % r["time"])
    return out


def dropped(w):
    n = w.stats()["process"]["log_dropped_total"]
    check(isinstance(n, int), "log_dropped_total: %r" % n)
    return n


def flows(w, n=50):
    """Requests are answered, and soon."""
    began = time.monotonic()
    c = Client(w.conf.ports["front"])
    for _ in range(n):
        ok(ask(c))
    c.close()
    took = time.monotonic() - began
    check(took < cases.WAIT, "%d requests took %.1f s" % (n, took))


@contextlib.contextmanager
def flood(w, field=("X-Long", "y")):
    """Requests without end meanwhile, from two clients; pipelined."""
    ending = threading.Event()
    errors = []
    batch = request(fields=[field, ("User-Agent", "flood " * 20)]) * 50

    def client():
        try:
            c = Client(w.conf.ports["front"])
            while not ending.is_set():
                c.send(batch)
                seen = 0
                while seen < 50:
                    c.read_until(b"\r\n\r\n")
                    c.read_exact(len(b"hello" * 2))
                    seen += 1
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=client, daemon=True) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        yield
    finally:
        ending.set()
        for t in threads:
            t.join(cases.WAIT)
    check(not errors, "a client failed: %r" % errors)


# ------------------------------------------------------------------ the facts

@case
def a_line_says_what_happened():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path)
    c = Client(w.conf.ports["front"])
    here = "127.0.0.1:%d" % c.sock.getsockname()[1]
    sent = request("POST", "/a?b=c", [("User-Agent", "me/1")], b"x" * 1000)
    c.send(sent)
    head = c.read_until(b"\r\n\r\n")
    c.read_exact(1000)
    r, = records(path, 1)
    eq({k: r[k] for k in ("client", "listener", "upstream", "endpoint",
                          "request", "host", "agent", "status", "outcome",
                          "received", "sent", "reused", "retries",
                          "failure")},
       {"client": here, "listener": "front", "upstream": "back",
        "endpoint": o.address, "request": "POST /a?b=c HTTP/1.1",
        "host": "x.test", "agent": "me/1", "status": 200, "outcome": "2xx",
        "received": len(sent), "sent": len(head) + 1000, "reused": False,
        "retries": 0, "failure": ""}, "the line")
    check(0 < r["first_byte_us"] <= r["total_us"], "times: %r" % r)
    ok(ask(c))
    r = records(path, 2)[1]
    eq((r["reused"], r["connect_us"]), (True, 0), "the second one")
    c.close()
    w.balanced(o)


@case
def text_says_the_same():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path, "text")
    c = Client(w.conf.ports["front"])
    c.send(request(fields=[("User-Agent", 'a "b" \\ \xe9')]))
    c.read_until(b"hellohello")
    until(lambda: lines(path), "a line")
    line, = lines(path)
    m = TEXT.fullmatch(line.decode("ascii"))
    check(m, "not as it should be: %r" % line)
    eq(m.group(3, 4, 5, 6, 7, 8, 15, 16, 17, 18, 19),
       ("front", "back", o.address, "GET / HTTP/1.1", "200", "2xx", "new",
        "0", "-", "x.test", 'a \\"b\\" \\\\ \\xe9'), "the line")


@case
def every_exchange_has_exactly_one_line():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path, workers=2)
    n, each = 20, 50

    def client(number):
        c = Client(w.conf.ports["front"])
        # Pipelined in parts.
        for part in range(0, each, 10):
            c.send(b"".join(request(target="/%d/%d" % (number, part + i))
                            for i in range(10)))
            for _ in range(10):
                c.read_until(b"hellohello")
        c.close()
    threads = [threading.Thread(target=client, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    got = records(path, n * each)
    eq(len({r["request"] for r in got}), n * each, "different requests")
    eq(dropped(w), 0, "dropped")
    # One client's are in their order.
    for i in range(n):
        of = [r["request"] for r in got
              if r["request"].startswith("GET /%d/" % i)]
        eq(of, ["GET /%d/%d HTTP/1.1" % (i, k) for k in range(each)], "order")


@case
def a_failure_has_its_name():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path)
    o.refuse()
    eq(once(w.conf.ports["front"]).status, 502, "status")
    c = Client(w.conf.ports["front"])
    c.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    c.read_to_end()
    got = {r["failure"]: r for r in records(path, 2)}
    eq(set(got), {"connect_failed", "bad_request"}, "failures")
    r = got["connect_failed"]
    eq((r["status"], r["outcome"]), (502, "5xx"), "no server")
    check(r["sent"] > 0, "bytes of the answer: %r" % r)
    eq(got["bad_request"]["status"], 400, "status of a bad request")
    eq((got["bad_request"]["upstream"], got["bad_request"]["endpoint"]),
       ("", ""), "it went nowhere")


@case
def a_client_that_leaves_is_told_as_such():
    ready = threading.Event()

    def never(q, link):
        ready.set()
        link.hold()
    o = HttpOrigin(never)
    path = new_path()
    w = start(o, path)
    c = Client(w.conf.ports["front"])
    c.send(request(target="/slow"))
    check(ready.wait(cases.WAIT), "the request arrives")
    c.rst()
    r, = records(path, 1)
    eq((r["outcome"], r["failure"], r["request"]),
       ("client_abort", "client_abort", "GET /slow HTTP/1.1"), "the line")
    eq(r["endpoint"], o.address, "endpoint")


@case
def a_tcp_session_has_one_line_at_its_end():
    o = Origin(echo)
    path = new_path()
    w = start(o, path, protocol="tcp")
    c = Client(w.conf.ports["front"])
    c.send("x" * 5000)
    c.read_exact(5000)
    eq(lines(path), [], "lines before its end")
    c.shut()
    c.read_to_end()
    r, = records(path, 1)
    eq((r["received"], r["sent"], r["outcome"], r["status"], r["endpoint"]),
       (5000, 5000, "done", 0, o.address), "the line")
    check(r["total_us"] > 0, "its time: %r" % r)


@case
def waiting_shows_where_the_time_went():
    gate = threading.Event()

    def slow(q, link):
        if q.target == "/first":
            gate.wait(cases.WAIT)
        return answer(q, "hellohello")
    o = HttpOrigin(slow)
    path = new_path()
    w = start(o, path, pool="max = 1;")
    a, b = (Client(w.conf.ports["front"]) for _ in range(2))
    a.send(request(target="/first"))
    w.wait_pool(leased=1)
    b.send(request(target="/second"))
    w.wait_pool(waiting=1)
    time.sleep(0.3)
    gate.set()
    first, second = records(path, 2)
    check(first["first_byte_us"] > 250000, "first: %r" % first)
    check(second["queue_us"] > 250000, "second: %r" % second)
    check(second["first_byte_us"] < second["queue_us"], "second: %r" % second)
    check(second["total_us"] >= second["queue_us"], "second: %r" % second)


# ------------------------------------------------------------- hostile clients

@case
def nobody_forges_a_line():
    """Field values may hold any byte from 0x80 on, and tabs."""
    for fmt in ("json", "text"):
        o = HttpOrigin()
        path = new_path()
        w = start(o, path, fmt)
        c = Client(w.conf.ports["front"])
        agents = [b'","status":999,"x":"', b"\\", b'"', b"\\\"", b"\xff\xfe",
                  b"\xc0\xaf\x80", b"caf\xc3\xa9", b"a\tb", b"\xc2\x85\xc2\x9b",
                  b"\xe2\x80\xa8{}", bytes(range(0x80, 0x100)), b"\xe2\x82"]
        for agent in agents:
            c.send(b"GET /?q=%22%0a HTTP/1.1\r\nHost: a\r\nUser-Agent: " +
                   agent + b"\r\n\r\n")
            c.read_until(b"hellohello")
        until(lambda: len(lines(path)) >= len(agents), "lines")
        with open(path, "rb") as f:
            text = f.read()
        eq(len(text.decode("utf-8").splitlines()), len(agents),
           "lines, however they are counted")
        if fmt == "text":
            for line in lines(path):
                check(TEXT.fullmatch(line.decode("ascii")), "%r" % line)
            continue
        got = records(path, len(agents))
        eq([r["status"] for r in got], [200] * len(agents), "statuses")
        eq(got[0]["agent"], agents[0].decode(), "the agent")
        eq(got[4]["agent"], "\xff\xfe", "bytes that are no UTF-8")
        eq(got[6]["agent"], "café", "UTF-8")
        eq(got[8]["agent"], "\x85\x9b", "controls beyond ASCII")


@case
def a_long_target_is_cut():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path)
    target = "/" + "a" * 20000
    ok(once(w.conf.ports["front"], target=target))
    r, = records(path, 1)
    eq(len(r["request"]), 2048 + 3, "length of what is logged")
    check(r["request"].startswith("GET /aaa") and
          r["request"].endswith("a..."), "its mark: " + r["request"][-20:])
    check(r["received"] > 20000, "bytes received: %r" % r)


# ------------------------------------------------------------------------ when

@case
def only_what_is_asked_for():
    def handler(q, link):
        if q.target == "/slow":
            time.sleep(0.3)
        return answer(q, "x", int(q.get("X-Status") or 200))
    o = HttpOrigin(handler)
    for when, wanted in (("failed", {"/500"}), ("slow", {"/500", "/slow"}),
                         ("always", {"/", "/404", "/500", "/slow", "/end"})):
        path = new_path()
        w = start(o, path, more='access_when = "%s"; slow = "200ms";' % when)
        c = Client(w.conf.ports["front"])
        for target, status in (("/", 200), ("/404", 404), ("/slow", 200),
                               ("/500", 500), ("/end", 200)):
            eq(ask(c, target=target,
                   fields=[("X-Status", str(status))]).status, status,
               "status")
        c.close()
        w.stop()
        got = {r["request"].split()[1] for r in
               records(path, len(wanted))}
        eq(got, wanted, "lines with " + when)


@case
def off_is_the_default():
    o = HttpOrigin()
    w = Weir(one(o))
    ok(once(w.conf.ports["front"]))
    eq(dropped(w), 0, "dropped")
    check("GET /" not in w.log(), "a line on standard error: " + w.log())


# ----------------------------------------------------------- files come and go

@case
def a_renamed_file_is_left_within_a_second():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path)
    c = Client(w.conf.ports["front"])
    ok(ask(c, target="/before"))
    records(path, 1)
    os.rename(path, path + ".1")
    began = time.monotonic()

    def moved():
        ok(ask(c, target="/after"))
        return lines(path)
    until(moved, "lines in the new file")
    check(time.monotonic() - began < 1.5 * cases.SLOW,
          "it took %.1f s" % (time.monotonic() - began))
    old = [json.loads(line)["request"] for line in lines(path + ".1")]
    eq(old[0], "GET /before HTTP/1.1", "the first of the old file")
    eq(dropped(w), 0, "dropped")
    os.unlink(path)
    until(moved, "lines in a file that had been removed")


@case
def sigusr1_opens_it_again():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path)
    ok(once(w.conf.ports["front"], target="/before"))
    records(path, 1)
    time.sleep(1.2)     # its own look at the file is over: none follows
    os.rename(path, path + ".1")
    w.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(path), "the file without a line")
    ok(once(w.conf.ports["front"], target="/after"))
    r, = records(path, 1)
    eq(r["request"], "GET /after HTTP/1.1", "the new file's line")
    eq(len(lines(path + ".1")), 1, "the old file's lines")
    eq(os.stat(path).st_mode & 0o137, 0, "permissions beyond 0640")


@case
def a_file_that_cannot_be_opened_again_stays():
    o = HttpOrigin()
    folder = os.path.join(temp_dir(), "logs")
    os.mkdir(folder)
    path = new_path(folder)
    w = start(o, path)
    ok(once(w.conf.ports["front"]))
    records(path, 1)
    os.rename(folder, folder + ".away")
    w.signal(signal.SIGUSR1)
    w.wait_log("cannot open .* again")
    ok(once(w.conf.ports["front"]))
    records(os.path.join(folder + ".away", os.path.basename(path)), 2)
    eq(dropped(w), 0, "dropped")


@case
def without_root_it_is_still_opened_again():
    if os.getuid() != 0:
        raise Skip("not root")
    o = HttpOrigin()
    folder = os.path.join(temp_dir(), "shared")
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    path = new_path(folder)
    conf = one(o, more='user = "nobody";')
    conf.log = log_keys(path)
    w = Weir(conf)
    eq(os.stat(path).st_uid, pwd.getpwnam("nobody").pw_uid, "the file's user")
    w.signal(signal.SIGUSR1)
    ok(once(w.conf.ports["front"]))
    records(path, 1)
    check("cannot open" not in w.log(), "not opened again: " + w.log())


@case
def a_reload_changes_where_it_goes():
    o = HttpOrigin()
    first, second = new_path(), new_path()
    w = start(o, first)
    c = Client(w.conf.ports["front"])
    ok(ask(c, target="/1"))
    records(first, 1)
    w.conf.log = log_keys(second, "text")
    w.write()
    w.reload()
    ok(ask(c, target="/2"))
    until(lambda: lines(second), "a line in the second file")
    check(TEXT.fullmatch(lines(second)[0].decode()), "%r" % lines(second))
    w.conf.log = log_keys("off")
    w.write()
    w.reload()
    ok(ask(c, target="/3"))
    w.conf.log = log_keys(first)
    w.write()
    w.reload()
    ok(ask(c, target="/4"))
    eq([r["request"] for r in records(first, 2)],
       ["GET /1 HTTP/1.1", "GET /4 HTTP/1.1"], "the first file")
    eq(len(lines(second)), 1, "lines of the second file")
    eq(dropped(w), 0, "dropped")
    o.had(1)


@case
def a_target_that_cannot_be_opened_refuses_the_reload():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path)
    bad = os.path.join(temp_dir(), "none", "access.log")
    w.conf.log = log_keys(bad)
    w.write()
    status, body = w.post("/reload")
    check(status != 200 and bad in body, "%d %s" % (status, body))
    ok(once(w.conf.ports["front"]))
    records(path, 1)
    conf = one(o)
    conf.log = log_keys(bad)
    w = Weir(conf, wait=False)
    check(w.exited() != 0, "it started")
    check(bad in w.log() and "No such file" in w.log(), w.log())


# ---------------------------------------------------------------- full and slow

@case
def a_full_disk_never_stops_traffic():
    o = HttpOrigin(keep=False)
    w = start(o, "/dev/full")
    with flood(w):
        until(lambda: dropped(w) > 1000, "dropped lines")
        flows(w)
    w.wait_log(r"lines lost: \d+ \(No space left on device\)")
    check(w.log().count("lines lost") < 5, "too many words about it")
    metric = re.search(r"^weir_log_dropped_total (\d+)", w.metrics(), re.M)
    check(metric and int(metric[1]) > 1000, "the metric")


@case
def a_disk_with_room_again_has_whole_lines():
    """64 KiB of file system: the last line is cut, its rest comes first."""
    if os.getuid() != 0:
        raise Skip("not root: cannot mount")
    folder = os.path.join(temp_dir(), "small")
    os.mkdir(folder)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777",
                           "tmpfs", folder], capture_output=True)
    if done.returncode != 0:
        raise Skip("cannot mount here")
    later(lambda: subprocess.run(["umount", "-l", folder]))
    o = HttpOrigin(keep=False)
    path = new_path(folder)
    w = start(o, path)
    with flood(w):
        until(lambda: dropped(w) > 100, "dropped lines")
        flows(w)
        until(lambda: os.statvfs(folder).f_bfree == 0, "a full disk")
        flows(w)
    subprocess.run(["mount", "-o", "remount,size=10m", folder], check=True)
    time.sleep(0.1)
    before = dropped(w)
    ok(once(w.conf.ports["front"], target="/last"))
    until(lambda: any(b"/last" in line for line in lines(path)), "a line")
    eq(dropped(w), before, "dropped when there was room")
    for line in lines(path):
        eq(set(json.loads(line)), KEYS, "keys")


@case
def a_fifo_that_nobody_reads_never_stops_traffic():
    path = new_path()
    os.mkfifo(path)
    o = HttpOrigin(keep=False)
    w = start(o, path)
    with flood(w):
        until(lambda: dropped(w) > 1000, "dropped lines")
        flows(w)
        # The error log goes another way.
        w.wait_log("lines lost: ")
    # A reader comes: whole lines, from then on all of them.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    text = b""
    while select.select([fd], [], [], 1)[0]:
        text += os.read(fd, 65536)
    got = text.split(b"\n")
    eq(got.pop(), b"", "the end of the last line")
    check(len(got) > 100, "%d lines" % len(got))
    for line in got:
        eq(set(json.loads(line)), KEYS, "keys")
    before = dropped(w)
    ok(once(w.conf.ports["front"], target="/last"))
    check(select.select([fd], [], [], cases.WAIT)[0], "nothing came")
    eq(json.loads(os.read(fd, 65536))["request"], "GET /last HTTP/1.1",
       "the line")
    eq(dropped(w), before, "dropped while it was read")
    os.close(fd)


def piped(conf, redirect):
    """weir with that output into a FIFO, which a stopped `cat` reads."""
    fifo, copy = new_path(), new_path()
    os.mkfifo(fifo)
    reader = subprocess.Popen(
        ["sh", "-c", 'exec cat <"$0" >"$1"', fifo, copy],
        preexec_fn=cases.die_with_parent)
    later(reader.wait)
    later(reader.kill)
    w = Weir(conf, before=("sh", "-c", 'exec "$@" ' + redirect, fifo))
    reader.send_signal(signal.SIGSTOP)
    return w, reader, copy


@case
def a_stopped_reader_of_standard_output_never_stops_traffic():
    o = HttpOrigin(keep=False)
    conf = one(o)
    conf.log = log_keys("stdout")
    w, reader, copy = piped(conf, '>"$0"')
    with flood(w):
        until(lambda: dropped(w) > 1000, "dropped lines")
        flows(w)
        w.wait_log("lines lost: ")
    w.reload()
    # It wakes up: what was kept is whole, and new lines come. Until there is
    # room again a line may be lost, so it is not asked for only once.
    reader.send_signal(signal.SIGCONT)

    def heard():
        ok(once(w.conf.ports["front"], target="/last"))
        return any(b"/last" in line for line in lines(copy))
    until(heard, "a line")
    for line in lines(copy):
        eq(set(json.loads(line)), KEYS, "keys")


@case
def both_logs_in_one_blocked_pipe_and_it_still_ends():
    o = HttpOrigin(keep=False)
    conf = one(o)
    conf.log = log_keys("stdout")
    w, reader, copy = piped(conf, '>"$0" 2>&1')
    with flood(w):
        until(lambda: dropped(w) > 1000, "dropped lines")
        flows(w)
        w.reload()
    began = time.monotonic()
    w.stop()
    check(time.monotonic() - began < 8 * cases.SLOW, "ending took %.1f s" %
          (time.monotonic() - began))
    # What had been written: whole lines of both, none within another.
    reader.send_signal(signal.SIGCONT)
    eq(reader.wait(), 0, "the reader's end")
    got = [json.loads(line) for line in lines(copy)]
    check(any("request" in r for r in got), "no line of the access log")
    check(any("level" in r for r in got), "no line of the error log")


@case
def lines_that_wait_are_written_at_the_end():
    o = HttpOrigin()
    path = new_path()
    w = start(o, path)
    c = Client(w.conf.ports["front"])
    c.send(request() * 100)
    for _ in range(100):
        c.read_until(b"hellohello")
    c.close()
    w.stop()
    eq(len(lines(path)), 100, "lines after the end")


@case
def syslog_gets_a_message_for_each():
    if os.path.lexists("/dev/log") or os.getuid() != 0:
        raise Skip("/dev/log is taken, or not ours to make")

    def daemon():
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind("/dev/log")
        s.settimeout(cases.WAIT)
        return s
    s = daemon()
    later(lambda: os.path.exists("/dev/log") and os.unlink("/dev/log"))
    o = HttpOrigin()
    w = start(o, "syslog")
    ok(once(w.conf.ports["front"], target="/1"))
    m = re.fullmatch(rb"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
                     rb"weir\[(\d+)\]: (\{.*\})", s.recv(65536))
    check(m, "not as it should be")
    eq(int(m[1]), w.pid, "pid")
    eq(json.loads(m[2])["request"], "GET /1 HTTP/1.1", "the line")
    # Its daemon goes and comes.
    s.close()
    os.unlink("/dev/log")
    flows(w)
    until(lambda: dropped(w) >= 50, "dropped lines")
    s = daemon()
    s.settimeout(0.2)

    def comes():
        ok(once(w.conf.ports["front"], target="/2"))
        try:
            return b"/2" in s.recv(65536)
        except TimeoutError:
            return False
    until(comes, "a message to the new daemon")


@case
def fields_are_those_of_the_file_and_a_reload_changes_them():
    o, path = HttpOrigin(), new_path()
    w = start(o, path, "json", 'fields = ( "status", "request", '
              '"header:Referer", "client_ip", "upstream" );')
    front = w.conf.ports["front"]
    ok(once(front, target="/a?b", fields=[("Referer", "\"x\" y")]))
    first = until(lambda: lines(path), "a line")[0]
    eq(list(json.loads(first).items()), [
        ("status", 200), ("request", "GET /a?b HTTP/1.1"),
        ("header:Referer", '"x" y'), ("client_ip", "127.0.0.1"),
        ("upstream", "back")], "the line")
    w.conf.log = log_keys(path, "text", 'fields = ( "endpoint", "status", '
                          '"header:X-None", "retries" );')
    w.write()
    w.reload()
    ok(once(front))
    eq(until(lambda: lines(path)[1:], "a second line")[0].decode(),
       '%s 200 "-" 0' % o.address, "after a reload")
    w.conf.log = log_keys(path)
    w.write()
    w.reload()
    ok(once(front))
    third = until(lambda: lines(path)[2:], "a third line")[0]
    eq(set(json.loads(third)), KEYS, "the usual line again")
    w.balanced(o)
    eq(o.accepted, 1, "upstream connections")


@case
def a_path_has_no_secret_and_tls_is_told_of():
    o, path, ca = HttpOrigin(), new_path(), Ca()
    pair = ca.cert("x.test")
    w = start(o, path, more='fields = ( "method", "path", "tls_version", '
              '"sni", "user", "said" );',
              front='http = { trace = true; }; tls = { certificate = "%s"; '
              'key = "%s"; };' % (pair.crt, pair.key))
    c = TlsClient(w.conf.ports["front"], client_context(), "x.test")
    for target in ("/a/b?token=hunter2", "http://x.test/c?hunter2"):
        ok(ask(c, "POST", target))
    w.conf.log = log_keys(path, "text")
    w.write()
    w.reload()
    ok(ask(c, target="/e"))
    version = c.sock.version()
    c.close()
    until(lambda: len(lines(path)) == 3, "three lines")
    eq([json.loads(line) for line in lines(path)[:2]], [
        {"method": "POST", "path": p, "tls_version": version,
         "sni": "x.test", "user": "", "said": ""} for p in ("/a/b", "/c")],
       "lines")
    # The usual line, with the trace behind it.
    line, trace = lines(path)[2].decode().rsplit(" ", 1)
    check(TEXT.fullmatch(line), line)
    eq(trace, o.seen[-1].get("traceparent")[3:35], "its trace")
    w.balanced(o)


@case
def logins_say_whose_they_are_and_why_they_are_refused():
    o, path = PgOrigin(), new_path()
    conf = one(o, protocol="postgres", front='postgres = { auth = "trust"; '
               'users = ( { name = "a\\"b"; password = "right-word"; '
               'auth = "scram-sha-256"; } ); };')
    conf.log = log_keys(path, more='fields = ( "request", "user", "database", '
                        '"outcome", "failure", "endpoint", "said" );')
    w = Weir(conf)
    front = conf.ports["front"]

    def not_in(code, *who, **more):
        c = PgClient(front, *who, login=False, **more)
        try:
            c.login()
            raise cases.Failed("%r was let in" % (who,))
        except SqlError as e:
            eq(e.code, code, "its code")
        c.close()
    not_in("28P01", 'a"b', word="wrong-word")
    o.turn_away = ("3D000", 'database "\033[2J\u009b" does not exist')
    not_in("3D000", "app", "no where")
    o.turn_away = None
    c = PgClient(front, "app")
    c.ok("SELECT 1")
    c.quit()
    until(lambda: len(lines(path)) == 4, "four lines")
    login = "login user=%s database=%s"
    got = [json.loads(line) for line in lines(path)]
    eq([tuple(r.values()) for r in got], [
        (login % ('a"b', "shop"), 'a"b', "shop", "failed", "auth_failed", "",
         "wrong password"),
        (login % ("app", "no\\x20where"), "app", "no where", "failed",
         "login_refused", o.address,
         '3D000 database " [2J  " does not exist'),
        (login % ("app", "shop"), "app", "shop", "done", "", o.address, ""),
        ("", "app", "shop", "done", "", o.address, "")], "lines")
    for line in lines(path):
        check(b"-word" not in line and b"\033" not in line, line)
    # And what was slow and what failed has the same of them.
    rows = [r for r in json.loads(w.get("/slow")[1])["exchanges"]
            if r["failure"] != ""]
    eq([{k: r[k] for k in got[0]} for r in rows], [got[1], got[0]], "/slow")
    eq([r["cause"] for r in rows], ["login", "client"], "causes")
    why = " ".join(command("-c", w.file, "why").stdout.split())
    check('%s refused the login that user app needs for database '
          'no\\x20where: 3D000 database " [2J " does not exist;' % o.address
          in why and 'did not let 127.0.0.1 in as user a"b of database shop: '
          'wrong password;' in why, why)
    eq(w.failures(), {"auth_failed": 1, "login_refused": 1}, "counted")
    w.balanced(o)


run()
