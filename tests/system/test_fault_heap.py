"""Each allocation fails in turn: at start that is a word and an exit, later
one exchange that visibly fails; the process lives, the next one is served.

STRIDE=1 sweeps every allocation, which takes minutes; else a run takes every
n-th, from a random first one on.
"""
# SPDX-License-Identifier: MIT
import copy
import http.client
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import case
from case import Failed, check, eq, run, until
from origin import Origin, echo
from shim import Shim, places
from weir import BINARY, Weir, listening, one
from web import (HttpOrigin, answer, chunks, ok, once, read_response,
                 request)
from wire import Client

STRIDE = int(os.environ.get("STRIDE", "0"))
# When all are swept.
if STRIDE:
    case.FILE_LIMIT = 24 * 3600


def swept(total, about):
    """Numbers of the allocations to fail: some `about` many, or all."""
    stride = STRIDE or max(1, total // about)
    return range(random.randrange(stride) + 1, total + 1, stride)


def story(log):
    return "\n".join(places(log)) or log[-3000:]


class Sweep:
    """What became of each number; the case fails at its end, with all."""

    def __init__(self, total, about):
        self.total, self.about = total, about
        self.count = 0
        self.bad = {}           # story: numbers

    def each(self):
        for number in swept(self.total, self.about):
            self.count += 1
            yield number
            # One weir's output is enough to tell of.
            case.on_failure.clear()

    def failed(self, number, what, log):
        self.bad.setdefault(what + "\n" + story(log), []).append(number)

    def over(self, note):
        print("%d of %d allocations failed; %s" % (
            self.count, self.total, note))
        for text, numbers in self.bad.items():
            print("allocations %r of %d: %s" % (
                numbers[:10], self.total, text[:1500]))
        eq(sum(map(len, self.bad.values())), 0, "not as it should be")


def handler(q, link):
    if q.path == "/big":
        return answer(q, b"", fields=[("Transfer-Encoding", "chunked")]) + \
            chunks(*[b"%06d" % i * 500 for i in range(200)],
                   trailers=[(b"X-End", b"yes")])
    return answer(q, (q.token or "hello") + "%d" % len(q.body))


class Wrong(Exception):
    """An answer that looks right and is not."""


def right(holds, what):
    if not holds:
        raise Wrong(what)


LOST = (Failed, OSError, http.client.HTTPException)


# ------------------------------------------------------------------- start


def words(log):
    """What was said beside what the preloaded object says."""
    return [line for line in log.splitlines()
            if "shim" not in line and "[0x" not in line]


def bound(w):
    """True when its ports are open, False when it has ended."""
    def known():
        return w.process.poll() is not None or all(
            listening(p) for p in (w.admin[1], *w.conf.ports.values()))
    until(known, "ports bound, or the end")
    return w.process.poll() is None


def came_up(w):
    try:
        w.wait_up()
    except Failed:
        if w.process.poll() is None:
            raise
    return w.process.poll() is None


def start_with(s, conf, number, sweep):
    """Let that allocation fail at the start. True if it came up; it served."""
    s.heap_fail(number)
    w = Weir(conf, env=s.env, wait=False)
    try:
        up = bound(w)
        s.heap_fail(0)
        # Its threads come after its ports.
        if up and came_up(w):
            ok(once(w.conf.ports["front"]))
            w.stop()
            return True
        status = w.process.wait()
        if status < 0:
            raise Failed("died with %d" % status)
        check(words(w.log()), "ended without a word")
    except LOST as e:
        sweep.failed(number, str(e), w.log())
    put_down(w)
    return False


@case.case
def each_allocation_of_the_start():
    o = HttpOrigin(handler)
    conf = one(o, pool="max = 4; min_idle = 1;")
    s = Shim("heap")
    w = Weir(conf, env=s.env, wait=False)
    check(bound(w), "it did not start")
    total = s.heap_seen
    put_down(w)
    sweep, ended = Sweep(total, 50), 0
    for number in sweep.each():
        ended += not start_with(s, conf, number, sweep)
    sweep.over("%d of these starts ended" % ended)
    check(ended > 0, "none was of consequence")


@case.case
def each_allocation_of_a_check():
    conf = one(1, pool="max = 4; min_idle = 1;")
    path = case.put("check.conf", conf.text())
    s = Shim("heap")

    def judge(number):
        s.heap_fail(number)
        return subprocess.run([BINARY, "-t", "-c", path], timeout=60,
                              capture_output=True, text=True,
                              env={**os.environ, **s.env})
    eq(judge(0).returncode, 0, "exit status")
    sweep, told = Sweep(s.heap_seen, 40), 0
    for number in sweep.each():
        r = judge(number)
        told += r.returncode > 0
        if r.returncode < 0:
            sweep.failed(number, "died with %d" % r.returncode, r.stderr)
        elif r.returncode > 0 and not words(r.stderr):
            sweep.failed(number, "ended without a word", r.stderr)
    sweep.over("%d checks said no" % told)
    check(told > 0, "none was of consequence")


def put_down(w):
    """It is of no use any more."""
    if w.process.poll() is None:
        w.process.kill()
    w.status = w.process.wait()


# --------------------------------------------------------------- exchanges


def attempt(function, *args, **more):
    """True if it went as it should. What was not right was a failure that
    shows; a wrong answer is not caught."""
    try:
        return bool(function(*args, **more))
    except LOST:
        return False


def shape(value):
    """A document without its values."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    return [shape(v) for v in value] if isinstance(value, list) else None


shapes = {}


def whole(path, text):
    """An answer of the admin port that looks whole is."""
    try:
        document = json.loads(text)
    except ValueError as e:
        raise Wrong("%s is no JSON: %s" % (path, e)) from None
    want = shapes.setdefault(path, shape(document))
    right(shape(document) == want, path + " lacks something")


def exchanges_http(w):
    """How many of the fixed series of exchanges succeeded."""
    port = w.conf.ports["front"]

    def get():
        r = once(port)
        return r.status == 200

    def post():
        body = os.urandom(150000).hex().encode()
        r = once(port, "POST", "/", body=body)
        if r.status == 200:
            right(r.body[32:] == b"300000", "length that the origin got")
        return r.status == 200

    def big():
        r = once(port, target="/big")
        if r.status == 200:
            right(len(r.body) == 600000, "length of a whole answer")
        return r.status == 200

    def pipelined():
        c = Client(port).send(request() + request() + request())
        done = all([read_response(c).status == 200 for _ in range(3)])
        c.close()
        return done

    def chunked():
        c = Client(port).send(request("POST", "/", [
            ("Transfer-Encoding", "chunked")]))
        c.send(chunks(b"a" * 3000, b"b" * 70000, trailers=[(b"X-T", b"1")]))
        r = read_response(c)
        c.close()
        return r.status == 200

    def together():
        clients = [Client(port).send(request()) for _ in range(30)]
        done = [attempt(lambda: read_response(c).status == 200)
                for c in clients]
        for c in clients:
            c.close()
        return all(done)

    def leaves():
        c = Client(port).send(request("POST", "/", body=b"x" * 5000)[:3000])
        c.rst()
        return True

    return [attempt(get), attempt(post), attempt(big), attempt(pipelined),
            attempt(chunked), attempt(together), attempt(leaves),
            attempt(get)]


def admin_pages(w):
    def page(path):
        status, body = w.get(path)
        if status == 200 and path == "/stats":
            whole(path, body)
        return status == 200
    return [attempt(page, path) for path in ("/stats", "/metrics",
                                             "/connections", "/config")]


def reloads(w):
    """Also of a file that changes something, and back."""
    o = w.conf.origin
    done = []
    for conf in (w.conf.other, w.conf):
        w.write(conf.text())
        done.append(attempt(lambda: w.post("/reload")[0] == 200))
        done.append(attempt(lambda: once(w.conf.ports["front"]).status ==
                            200))
        done.append(attempt(lambda: w.get("/readyz")[0] == 200))
    check(not o.errors, repr(o.errors))
    return done


def ways_back(w):
    """A plan, a reload that is confirmed, one that goes back by itself."""
    def plan():
        was = w.stats()["generation"]
        status, body, _ = w.admin_request("POST", "/plan", None,
                                          w.conf.other.text())
        eq(w.stats()["generation"], was, "generation after a plan")
        if status != 200 or json.loads(body)["result"] != "ok":
            return False
        right(any("pool.max 4 -> 6" in t for t in json.loads(body)["text"]),
              "the plan lacks something")
        return True

    def reload(conf, confirm):
        w.write(conf.text())
        return w.post("/reload" + confirm)[0] == 200

    def still():
        # Whatever came of it: both files have this one.
        return once(w.conf.ports["front"]).status == 200

    def over():
        until(lambda: w.stats()["reload"]["confirm_until"] is None, "the end")
        return True
    return [attempt(reload, w.conf, ""), attempt(plan),
            attempt(lambda: w.get("/drift")[0] == 200),
            attempt(reload, w.conf.other, "?confirm=60s"), attempt(still),
            attempt(lambda: w.post("/confirm")[0] == 200), attempt(still),
            attempt(reload, w.conf, "?confirm=20ms"), attempt(still), attempt(over),
            attempt(still)]


def exchanges_tcp(w):
    port = w.conf.ports["front"]

    def session(size, count=1):
        clients = [Client(port) for _ in range(count)]
        text = os.urandom(size)
        try:
            for c in clients:
                c.send(text).shut()
            for c in clients:
                # An end before the last byte is a failure; another byte not.
                got = c.read_to_end()
                right(text.startswith(got), "another's bytes")
                if len(got) < size:
                    return False
        finally:
            for c in clients:
                c.close()
        return True

    return [attempt(session, 100), attempt(session, 150000),
            attempt(session, 1000, 12), attempt(session, 1)]


def torture(conf, origin, exchanges, about, felt=True):
    """Fail an allocation of the series in a fresh process each time."""
    s = Shim("heap")
    w = Weir(conf, env=s.env)
    before = s.heap_seen
    check(all(exchanges(w)), "the series without a fault")
    sweep, noticed = Sweep(s.heap_seen - before, about), 0
    w.stop()
    for number in sweep.each():
        w = Weir(conf, env=s.env)
        try:
            s.heap_fail(number)
            noticed += not all(exchanges(w))
            s.heap_fail(0)
            if w.process.poll() is not None:
                raise Failed("died with %d" % w.process.returncode)
            done = exchanges(w)
            check(all(done), "later exchanges fail: %r" % done)
            w.balanced(origin)
            w.stop()
        except (Failed, Wrong) as e:
            s.heap_fail(0)
            sweep.failed(number, str(e), w.log())
            put_down(w)
    sweep.over("%d series noticed" % noticed)
    check(noticed > 0 or not felt, "none was of consequence")


@case.case
def each_allocation_of_http_exchanges():
    o = HttpOrigin(handler, keep=False)
    torture(one(o, pool="max = 40; max_idle = 2;"), o, exchanges_http, 12)


@case.case
def each_allocation_of_the_admin_pages():
    o = HttpOrigin(handler, keep=False)
    torture(one(o, pool="max = 4;"), o, admin_pages, 14, felt=False)


@case.case
def each_allocation_of_a_reload():
    o = HttpOrigin(handler, keep=False)
    conf = one(o, pool="max = 4;")
    conf.other = copy.deepcopy(conf).listener("more").upstream(
        "back", o, pool="max = 6;").upstream("two", o)
    conf.origin = o
    torture(conf, o, reloads, 10, felt=False)


@case.case
def each_allocation_of_a_plan_and_of_ways_back():
    o = HttpOrigin(handler, keep=False)
    conf = one(o, pool="max = 4;").listener("less").upstream("three", o)
    conf.other = copy.deepcopy(conf).listener("more").upstream(
        "back", o, pool="max = 6;").upstream("two", o)
    conf.other.listeners.pop("less")
    conf.other.ports.pop("less")
    conf.origin = o
    torture(conf, o, ways_back, 10, felt=False)


@case.case
def each_allocation_of_raw_sessions():
    o = Origin(echo)
    torture(one(o, protocol="tcp", pool="max = 40;"), o, exchanges_tcp, 12)


run()
