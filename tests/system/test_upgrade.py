"""A new weir takes over from the old one: nobody's request fails, servers see
no new connection where the old weir had one to give, and numbers go on.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import resource
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import redis
from case import SLOW, WAIT, case, check, eq, later, run, temp_dir, until
from h2 import Client2, head
from origin import Origin, greet
from tls import Ca, TlsClient, TlsOrigin, client_context
from upgrade import Adopted, Load, Successive
from weir import Conf, command, one, port
from web import HttpOrigin, answer, ask, ok, once, read_response, request
from wire import Client


OFF = 'security = { sandbox = "off"; };'      # it runs nobody's scripts


# ------------------------------------------------------------ what goes over

@case
def idle_connections_and_numbers_go_over():
    o = HttpOrigin(keep=True)
    w = Successive(one(o, pool="min_idle = 3; max = 3;"))
    w.wait_pool(idle=3)
    ok(once(w.conf.ports["front"]))
    before, fds = w.stats(), w.base_fds
    for n in (1, 2):
        w.upgrade()
        s = w.stats()
        eq((o.accepted, o.open), (3, 3), "the origin's connections")
        w.wait_pool(idle=3, open=3)
        u, was = s["upstreams"][0], before["upstreams"][0]
        for name in ("connects_total", "closes_total", "requests_total"):
            eq(u[name], was[name], name)
        eq(s["generation"], before["generation"] + n, "generation")
        eq((s["upgrade"]["count"], s["upgrade"]["last"]), (n, "ok"),
           "upgrade")
        # One is for statistics, and opened when weir has run for a while.
        until(lambda: w.fds() - 3 <= fds + 1,
              "as many descriptors as before")
    ok(once(w.conf.ports["front"]))
    eq(w.listener()["requests_total"], 2, "requests_total")
    w.balanced(o)
    eq(o.accepted, 3, "connections")


def totals(w):
    """Every counter of /metrics."""
    return {name: float(value) for name, value in re.findall(
        r"^(weir_\S*(?:_total|_count|_sum|_bucket)(?:\{[^\n]*\})?) (\S+)$",
        w.metrics(), re.M)}


@case
def the_most_that_waited_is_no_sum_over_weirs():
    gate = threading.Event()

    def handler(q, link):
        gate.wait()
        return answer(q)
    o = HttpOrigin(handler)
    w = Successive(one(o, workers=2, pool="max = 1;"))

    def crowd(n):
        gate.clear()
        clients = [Client(w.conf.ports["front"]) for _ in range(n)]
        for c in clients:
            c.send(request())
        w.wait_pool(leased=1, waiting=n - 1)
        gate.set()
        for c in clients:
            ok(read_response(c))
            c.close()
        w.wait_pool(leased=0, waiting=0)
    crowd(12)
    most = w.pool()["waiting_max"]
    check(most >= 11, "waiting_max is %d" % most)
    w.upgrade()
    for _ in range(8):
        crowd(2)            # on either worker
    eq(w.pool()["waiting_max"], most, "waiting_max")
    w.balanced(o)


@case
def no_counter_goes_back():
    o = HttpOrigin(lambda q, link: answer(q) if q.target == "/" else False)
    w = Successive(one(o, 9, pool="min_idle = 2;", up='retry = { '
                       'max_retries = 0; }; outlier = { failures = 1000; };'))
    front = w.conf.ports["front"]
    seen = totals(w)
    for _ in range(3):
        for target in ("/", "/close", "/"):
            once(front, target=target)
        c = Client(front)
        c.send("GARBAGE\r\n\r\n").read_to_end()
        c.close()
        w.post("/reload")
        now = totals(w)
        check(sum(now.values()) > sum(seen.values()), "nothing was counted")
        w.upgrade()
        after = totals(w)
        # What depends on the process, of a server that was not asked for
        # connections anew.
        lower = {k: (v, after.get(k)) for k, v in now.items()
                 if v and after.get(k, -1) < v}
        eq(lower, {}, "counters that went back")
        seen = after


def flat(row):
    """Names and points of a row of the charts, those by reason among them."""
    return [(name, values) for name, values in row.items()
            if name != "by_reason"] + \
        [("%s.%s" % (group, reason), values)
         for group, reasons in row["by_reason"].items()
         for reason, values in reasons.items()]


def exchanges(w):
    """What /slow has, but for what differs from one call to the next."""
    rows = json.loads(w.get("/slow")[1])["exchanges"]
    return sorted((r["request"], r["outcome"], r["total_us"],
                   json.dumps({k: v for k, v in r.items() if k != "at"},
                              sort_keys=True), round(r["at"], 1))
                  for r in rows)


def alike(a, b):
    """Such rows; moments are reckoned anew from another clock's."""
    return [r[:4] for r in a] == [r[:4] for r in b] and \
        all(abs(x[4] - y[4]) < 1 for x, y in zip(a, b))


@case
def what_there_was_before_is_there_to_compare_with():
    late = threading.Event()

    def handler(q, link):
        if q.path == "/late":
            late.wait(3 * WAIT)
        return answer(q, status=500 if q.path in ("/bad", "/late") else 200)
    o = HttpOrigin(handler)
    w = Successive(one(o, pool="max = 4;", workers=2))
    front = w.conf.ports["front"]
    for target in ("/", "/bad?token=x", "/", "/bad"):
        once(front, target=target)
    w.conf.log = 'level = "debug";'
    w.write()
    w.reload()
    w.write("nonsense")
    eq(w.post("/reload")[0], 422, "a reload of nonsense")
    w.write()
    history = until(lambda: (lambda h: h["at"][1:] and h)(json.loads(
        w.get("/stats/history")[1])), "a point of the charts after the first",
        3 * WAIT)
    for n in (1, 2):
        s, slow = w.stats(), exchanges(w)
        eq([r[1] for r in slow].count("5xx"), n + 1, "failures kept")
        last = Client(front).send(request(target="/late"))
        until(lambda: o.requests == 4 + n, "the request")
        leaving = w.upgrade(ended=False)
        eq(w.stats()["reloads"], s["reloads"], "reloads")
        until(lambda: alike(exchanges(w), slow), "what was slow or failed")
        now = json.loads(w.get("/stats/history")[1])
        for key in ("listeners", "upstreams"):
            for was, row in zip(history[key], now[key]):
                for name, values in flat(was):
                    eq(dict(flat(row))[name][:len(values)], values, name)
        eq(now["at"][:len(history["at"])], history["at"], "times")
        says = command("connections", "back", "--leased", "--admin",
                       "127.0.0.1:%d" % w.admin[1]).stdout
        eq(says, "no connections\n1 more with process %d, which drains\n" %
           leaving.pid, "weir connections --leased")
        eq(w.stats()["upgrade"]["before_pid"], leaving.pid, "before_pid")
        late.set()
        eq(read_response(last).status, 500, "what was under way")
        last.close()
        leaving.wait()
        # What failed there at last is told here, too.
        until(lambda: "/late" in [r[0][4:9] for r in exchanges(w)],
              "the exchange that failed there")
        late.clear()
    s = until(lambda: (lambda s: s["upgrade"]["before_pid"] is None and s)(
        w.stats()), "its end")
    eq([r["result"] for r in s["reloads"]], ["refused", "ok"], "reloads")


@case
def what_was_changed_by_hand_stays():
    o, other = HttpOrigin(), HttpOrigin()
    conf = Conf().listener("front").listener("second", "calm") \
        .upstream("back", '{ name = "a"; address = "%s"; }' % o.address,
                  '{ name = "b"; address = "%s"; }' % other.address) \
        .upstream("calm", '{ name = "c"; address = "%s"; }' % o.address)
    w = Successive(conf)
    w.post("/upstreams/back/endpoints/a?state=drain&for=1h")
    w.post("/upstreams/back/endpoints/b?weight=7")
    w.post("/upstreams/calm/pause")
    before = w.upstream()["endpoints"]
    w.upgrade()
    rows = w.upstream()["endpoints"]
    for was, row in zip(before, rows):
        eq((row["state"], row["weight"], row["since"]),
           (was["state"], was["weight"], was["since"]), row["name"])
    check(abs(rows[0]["override"]["until"] -
              before[0]["override"]["until"]) <= 1, "until when")
    eq(rows[1]["override"], before[1]["override"], "override of b")
    check(w.upstream("calm")["paused"], "it is not paused")
    for _ in range(4):
        ok(once(w.conf.ports["front"]))
    eq((o.accepted, other.accepted), (0, 1), "connections")


@case
def an_ejected_endpoint_stays_out():
    bad = HttpOrigin(lambda q, link: False)
    good = HttpOrigin()
    w = Successive(one(bad, good, up='outlier = { failures = 1; eject_for = '
                       '"1h"; };'))
    until(lambda: once(w.conf.ports["front"]) and
          w.upstream()["endpoints"][0]["state"] == "ejected", "ejection")
    n = bad.accepted
    w.upgrade()
    e = w.upstream()["endpoints"][0]
    eq((e["state"], e["ejections_total"]), ("ejected", 1), "endpoint")
    for _ in range(4):
        ok(once(w.conf.ports["front"]))
    eq(bad.accepted, n, "connections there")


@case
def clients_resume_their_tls_sessions():
    ca = Ca()
    cert = ca.cert("a.test")
    w = Successive(one(HttpOrigin(), front=" tls = { %s };" % cert.conf()))
    context = client_context(ca)

    def visit(session=None):
        c = TlsClient(w.conf.ports["front"], context, "a.test", session)
        ok(ask(c))
        got, reused = c.sock.session, c.sock.session_reused
        c.close()
        return got, reused
    session, _ = visit()
    check(visit(session)[1], "sessions are not resumed at all")
    w.upgrade()
    check(visit(session)[1], "not resumed by the new one")
    eq(w.listener()["tls"]["resumed_total"], 2, "resumed_total")


@case
def what_is_encrypted_is_warm_anew():
    ca = Ca()
    o = TlsOrigin(ca.cert("localhost", "DNS:localhost,IP:127.0.0.1"))
    w = Successive(one(o, pool="min_idle = 2; max = 4;",
                       up='tls = { ca = "%s"; };' % ca.crt))
    w.wait_pool(idle=2)
    w.upgrade()
    check(w.stats()["ready"], "it took over before it was ready")
    w.wait_pool(open=2, idle=2)
    eq((o.accepted, w.upstream()["connects_total"],
        w.upstream()["closes_total"]), (4, 4, 2), "connections")
    ok(once(w.conf.ports["front"]))
    w.balanced(o)


@case
def what_a_server_has_said_to_its_first_client_goes_along():
    o = Origin(greet(b"hello %d\n"))
    w = Successive(one(o, protocol="tcp", pool="min_idle = 2; max = 2;"))
    w.wait_pool(idle=2)
    w.upgrade()
    w.wait_pool(idle=2)
    eq(o.accepted, 2, "connections")
    said = set()
    clients = [Client(w.conf.ports["front"]) for _ in range(2)]
    for c in clients:
        said.add(bytes(c.read_until(b"\n")))
        c.send("echo")
        eq(bytes(c.read_exact(4)), b"echo", "the rest")
    eq(said, {b"hello 1\n", b"hello 2\n"}, "what was said")


@case
def an_upstream_may_change_its_protocol_or_go():
    o = HttpOrigin(keep=True)
    conf = one(o, pool="min_idle = 2; max = 2;") \
        .listener("side", "gone").upstream("gone", o, pool="min_idle = 1;")
    w = Successive(conf)
    w.wait_pool(idle=2)
    w.wait_pool(name="gone", idle=1)
    w.conf.listeners.pop("side")
    w.conf.upstreams.pop("gone")
    w.conf.listener("front", protocol="tcp") \
        .upstream("back", o, pool="max = 2;")
    w.write()
    w.upgrade()
    until(lambda: o.open == 0, "the end of what is of no use")
    eq(w.pool()["open"], 0, "open")
    for _ in range(3):
        ok(once(w.conf.ports["front"]))
    w.wait_pool(open=0)
    # And back: the entries are those that have always been counted in.
    w.conf.listener("front")
    w.write()
    w.upgrade()
    for _ in range(3):
        ok(once(w.conf.ports["front"]))
    w.wait_pool(open=1, idle=1)


# ------------------------------------------------------------------ under load

def loaded(workers, upgrades=3):
    o = HttpOrigin(keep=False)
    w = Successive(one(o, pool="min_idle = 4; max = 4;", workers=workers[0]))
    w.wait_pool(idle=4)
    load = Load(w.conf.ports["front"])
    for n in range(upgrades):
        load.more()
        w.conf.workers = workers[n % len(workers)]
        w.write()
        w.upgrade()
    load.more()
    n = load.end()
    u = w.upstream()
    eq((u["requests_total"], w.listener()["requests_total"]), (n, n),
       "requests")
    eq(w.failures(), {}, "failures")
    w.balanced(o)
    return o, u


@case
def under_load_nothing_fails():
    o, u = loaded([1])
    eq((o.accepted, u["connects_total"], u["closes_total"]), (4, 4, 0),
       "upstream connections")


@case
def with_two_workers_nothing_fails():
    o, u = loaded([2])
    eq((o.accepted, u["connects_total"], u["closes_total"]), (4, 4, 0),
       "upstream connections")


@case
def the_number_of_workers_may_change():
    loaded([2, 1, 3])


# ---------------------------------------------------------------------- the cap

class Stays(redis.Client):
    """Never idle, and so it does not go over: the first byte of its next command
    comes with each."""
    ahead = 0

    def write(self, *args):
        text = redis.command(*args)[self.ahead:] + b"*"
        self.ahead = 1
        return self.send(text)


def redis_back(most):
    o = redis.RedisOrigin(lambda args, play: args[1])
    w = Successive(one(o, protocol="redis", pool="max = %d; min_idle = 0;" %
                       most))
    w.conf.drain_timeout = "%ds" % (20 * SLOW)
    return o, w


@case
def one_connection_serves_clients_of_both():
    """The old weir keeps its client, the new one has the only connection, and
    they pass it to and fro."""
    o, w = redis_back(1)
    w.write()
    w.reload()
    old = Stays(w.conf.ports["front"])
    eq(old.ask("ECHO", "1"), b"1", "an answer")
    leaving = w.upgrade(ended=False)
    new = redis.Client(w.conf.ports["front"])
    for n in range(4):
        eq(old.ask("ECHO", n), b"%d" % n, "by the old one")
        eq(new.ask("ECHO", n), b"%d" % n, "by the new one")
    eq((o.accepted, o.open), (1, 1), "connections")
    old.close()
    eq(leaving.wait(), 0, "its status")
    new.close()
    w.wait_pool(open=1, idle=1)


@case
def who_stays_uses_his_connection_again():
    """One goes over, the old weir opens another for its client, and keeps that;
    the rest is given when the client has gone."""
    o, w = redis_back(8)
    w.write()
    w.reload()
    old = Stays(w.conf.ports["front"])
    eq(old.ask("ECHO", "1"), b"1", "an answer")
    leaving = w.upgrade(ended=False)
    w.wait_pool(idle=1)
    for n in range(5):
        eq(old.ask("ECHO", n), b"%d" % n, "by the old one")
        # It says so long after it could have given the connection away.
        until(lambda: w.upstream()["requests_total"] == n + 2, "its count")
    w.wait_pool(idle=1, elsewhere=1, open=2)
    old.close()
    eq(leaving.wait(), 0, "its status")
    w.wait_pool(open=2, idle=2)
    eq((o.accepted, o.open), (2, 2), "connections")


@case
def the_cap_holds_for_both_where_nothing_can_be_passed():
    """Connections of a database are closed for those who wait elsewhere, and
    never is there a second one."""
    most = []

    def answering(args, play):
        most.append(o.open)
        return args[1]
    o = redis.RedisOrigin(answering)
    w = Successive(one(o, protocol="redis", pool="max = 1; min_idle = 0;"))
    w.conf.drain_timeout = "%ds" % (20 * SLOW)
    w.write()
    w.reload()
    old = Stays(w.conf.ports["front"]).ok("SELECT", 1)
    eq(old.ask("ECHO", "1"), b"1", "an answer")
    leaving = w.upgrade(ended=False)
    new = redis.Client(w.conf.ports["front"]).ok("SELECT", 2)
    for n in range(3):
        eq(new.ask("ECHO", n), b"%d" % n, "by the new one")
        eq(old.ask("ECHO", n), b"%d" % n, "by the old one")
        check(w.pool()["open"] <= 1, "open: %d" % w.pool()["open"])
    check(max(most) <= 2, "%d connections at once" % max(most))
    old.close()
    eq(leaving.wait(), 0, "its status")
    eq(new.ask("ECHO", "x"), b"x", "the last")
    new.close()
    w.wait_pool(open=1, idle=1)


@case
def when_the_old_one_is_killed_its_places_are_free():
    o, w = redis_back(1)
    w.write()
    w.reload()
    old = redis.Client(w.conf.ports["front"])
    eq(old.ask("ECHO", "1"), b"1", "an answer")
    # It waits for an answer, on the only connection.
    o.answer = lambda args, play: redis.SILENT
    old.write("ECHO", "never")
    until(lambda: o.asked("ECHO") == 2, "the question")
    pid = w.pid
    w.upgrade(ended=False)
    eq(w.pool()["open"], 1, "open")
    o.answer = lambda args, play: args[1]
    new = redis.Client(w.conf.ports["front"])
    new.write("ECHO", "2")
    until(lambda: w.pool()["waiting"] == 1, "who waits for it")
    os.kill(pid, signal.SIGKILL)
    eq(new.read(), b"2", "an answer")
    w.wait_log("process %d has ended before it had drained" % pid)
    new.close()
    w.wait_pool(open=1, idle=1)


@case
def a_connection_for_which_there_is_no_descriptor_is_lost_alone():
    o, w = redis_back(1)
    w.write()
    w.reload()
    old = Stays(w.conf.ports["front"])
    eq(old.ask("ECHO", "1"), b"1", "an answer")
    leaving = w.upgrade(ended=False)
    new = redis.Client(w.conf.ports["front"])
    eq(new.ask("ECHO", "2"), b"2", "by the new one")
    eq(old.ask("ECHO", "3"), b"3", "by the old one")
    most = resource.prlimit(w.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(w.pid, resource.RLIMIT_NOFILE, (5, most[1]))
    new.write("ECHO", "4")
    w.wait_log("out of descriptors: what the other weir sent is lost")
    resource.prlimit(w.pid, resource.RLIMIT_NOFILE, most)
    new.read()          # for want of one it may have failed
    eq(new.ask("ECHO", "5"), b"5", "an answer")
    # They still pass it to and fro, and nobody was taken for dead.
    for n in range(2):
        eq(old.ask("ECHO", n), b"%d" % n, "by the old one")
        eq(new.ask("ECHO", n), b"%d" % n, "by the new one")
    eq((o.accepted, o.open, w.pool()["open"]), (2, 1, 1), "connections")
    old.close()
    eq(leaving.wait(), 0, "its status")
    new.close()
    w.wait_pool(open=1, idle=1)


# ------------------------------------------------------------------ it fails

@case
def one_that_does_not_come_up_leaves_the_files_of_sockets():
    o = HttpOrigin()
    path = os.path.join(temp_dir(), "left.sock")
    w = Successive(one(o).listener("local", bind='"unix:%s"' % path))
    w.write(w.conf.text() + "oops = 1;\n")
    check("oops" in w.refused(), "what is wrong")
    ok(once("unix:" + path))
    eq(w.log().count("handed in is closed"), 0, "warnings")


@case
def one_that_does_not_come_up_changes_nothing():
    o = HttpOrigin()
    w = Successive(one(o, pool="min_idle = 2; max = 2;", more=OFF))
    w.wait_pool(idle=2)
    c = Client(w.conf.ports["front"])
    ok(ask(c))
    good = w.conf.text()
    w.write(good + "oops = ;\n")
    check(re.search(r"weir\d+\.conf:\d+: ", w.refused()), "where it is wrong")
    w.write(good)
    for text, word in (("exit 3", "status 3"), ("kill -9 $$", "signal 9"),
                       ("echo hm", "status 0")):
        w.script(text)
        check(word in w.refused(), "%s is not told" % word)
    os.unlink(w.program)
    status, said = w.order()
    eq(status, 1, "status")
    check("No such file" in said, said)
    w.conf.listener("second", bind='"127.0.0.1:%d"' % o.number)
    w.write()
    w.script('exec $WEIR "$@"')
    check(str(o.number) in w.refused(), "the address that is in use")
    ok(ask(c))
    c.close()
    w.wait_pool(idle=2)
    eq(o.accepted, 2, "connections")
    w.write(good)
    w.upgrade()
    eq((o.accepted, w.stats()["upgrade"]["count"]), (2, 1), "at last")
    w.balanced(o)


def state_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


@case
def killed_at_any_moment_it_costs_no_request():
    o = HttpOrigin(keep=False)
    w = Successive(one(o, pool="min_idle = 2; max = 4;", workers=2))
    w.wait_pool(idle=2)
    load = Load(w.conf.ports["front"])
    begun = time.monotonic()
    before = w.upgrade(ended=False)
    whole = time.monotonic() - begun
    eq(before.wait(), 0, "its status")
    w.wait_log("process %d has drained" % before.pid)
    killed = taken = 0
    for step in range(12):
        status, body = w.post("/upgrade")
        eq(status, 202, "/upgrade")
        pid = json.loads(body)["pid"]
        w.sleep_until(whole * (step / 12) ** 2)
        # Stopped, it has either begun to serve or will not.
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid) in "TZX", "its stop")
        if "process %d serves" % pid in w.log() or \
                re.search(r"took over from process %d\n" % w.pid, w.log()):
            os.kill(pid, signal.SIGCONT)
            w.follow()
            taken += 1
        else:
            os.kill(pid, signal.SIGKILL)
            until(lambda: w.stats()["upgrade"]["state"] == "idle", "its end")
            s = w.stats()
            eq((s["pid"], s["upgrade"]["last"], s["draining"]),
               (w.pid, "failed", False), "afterwards")
            killed += 1
        load.more()
    check(killed > 2, "%d were killed, %d took over" % (killed, taken))
    load.end()
    eq(w.failures(), {}, "failures")
    w.balanced(o)


@case
def only_one_at_a_time_and_no_reload_meanwhile():
    w = Successive(one(HttpOrigin(), more=OFF))
    w.script("sleep 300 & wait")
    eq(w.post("/upgrade")[0], 202, "/upgrade")
    eq(w.stats()["upgrade"]["state"], "starting", "state")
    status, body = w.post("/upgrade")
    check(status == 409 and "under way" in body, "%d %s" % (status, body))
    status, body = w.post("/reload")
    check(status == 422 and "under way" in body, "%d %s" % (status, body))
    # An address that may be the new one's is no mistake of the file.
    taken = socket.create_server(("127.0.0.1", 0))
    later(taken.close)
    w.conf.listener("more", "back", bind='"127.0.0.1:%d"' %
                    taken.getsockname()[1])
    w.write()
    plan = json.loads(w.post("/plan")[1])
    eq((plan["result"], plan["errors"], plan["barred"]),
       ("ok", [], "an upgrade is under way"), "plan")
    drift = json.loads(w.get("/drift")[1])
    eq((drift["barred"], drift["file"]["errors"], drift["text"][0]),
       (plan["barred"], [], plan["text"][0]), "drift")
    # It is told to end: the new one does not stay behind.
    w.stop()


@case
def when_the_old_one_dies_after_its_go_the_new_one_serves():
    w = Successive(one(HttpOrigin()))
    # As long as it owes an answer it does not say go.
    caller = Client(w.admin[1]).send("GET /stats HTTP/1.1\r\n")
    pid = json.loads(w.post("/upgrade")[1])["pid"]
    w.wait_log("process %d is ready" % pid)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) in "TX", "its stop")
    caller.read_to_end()
    # It says go in the same breath, and then has nothing to do.
    until(lambda: state_of(w.pid) == "S", "its rest")
    before, w.process, w.pid = w.process, Adopted(pid), pid
    before.kill()
    before.wait()
    os.kill(pid, signal.SIGCONT)
    w.wait_log("ended before it had drained")
    ok(once(w.conf.ports["front"]))
    eq(w.stats()["pid"], pid, "who serves")


@case
def what_cannot_be_told_is_a_reason_at_once():
    w = Successive(one(HttpOrigin()).listener(
        "odd", bind='"unix:%s/\\xfe.sock"' % temp_dir()))
    w.upgrade()
    check(os.path.exists(temp_dir().encode() + b"/\xfe.sock"), "the socket")
    w.conf.upstream("back", '"unix:%s/\\xff.sock"' % temp_dir())
    w.write()
    w.reload()
    check("cannot be told all" in w.refused(), "why")


@case
def one_that_is_told_to_end_does_not_take_over():
    o = HttpOrigin()
    w = Successive(one(o))
    w.conf.more = 'drain_delay = "1m";'
    w.conf.upstream("cold", port(), pool="min_idle = 1;") \
        .listener("other", "cold")
    w.write()
    pid = json.loads(w.post("/upgrade")[1])["pid"]
    w.wait_log("runs: 2 listeners")
    os.kill(pid, signal.SIGTERM)
    until(lambda: w.stats()["upgrade"]["state"] == "idle", "its end")
    s = w.stats()
    eq((s["pid"], s["upgrade"]["error"]), (w.pid, "the new weir was told to "
       "end"), "afterwards")
    ok(once(w.conf.ports["front"]))


@case
def what_lies_there_now_is_started():
    w = Successive(one(HttpOrigin()), copied=True)
    w.install()
    check(os.readlink("/proc/%d/exe" % w.pid).endswith("(deleted)"),
          "it was not replaced")
    w.upgrade()
    eq(os.stat("/proc/%d/exe" % w.pid).st_ino, os.stat(w.program).st_ino,
       "the file that runs")
    ok(once(w.conf.ports["front"]))


@case
def none_while_a_reload_awaits_its_confirmation():
    w = Successive(one(HttpOrigin()))
    w.conf.log = 'level = "debug";'
    w.write()
    eq(w.post("/reload?confirm=60s")[0], 200, "/reload")
    status, body = w.post("/upgrade")
    check(status == 409 and "confirm" in body, "%d %s" % (status, body))
    eq(w.post("/confirm")[0], 200, "/confirm")
    w.upgrade()


@case
def it_can_be_asked_for_by_a_signal():
    w = Successive(one(HttpOrigin()))
    w.signal(signal.SIGUSR2)
    until(lambda: w.stats()["pid"] != w.pid, "another process")
    w.follow()
    ok(once(w.conf.ports["front"]))


# ------------------------------------------------------------------- the sockets

@case
def unix_sockets_stay_and_those_that_left_the_file_go():
    o = HttpOrigin()
    path, gone = (os.path.join(temp_dir(), n) for n in ("f.sock", "g.sock"))
    conf = Conf(workers=2).listener("front", bind='"unix:%s"' % path) \
        .upstream("back", o, pool="max = 2;")
    kept = conf.text()
    conf.listener("other", bind='"unix:%s"' % gone)
    w = Successive(conf)
    inode = os.stat(path).st_ino
    load = Load("unix:" + path, 2)
    for n in range(3):
        load.more()
        if n == 1:
            w.write(kept)
        w.upgrade()
        eq(os.stat(path).st_ino, inode, "the socket file")
        eq(os.path.exists(gone), n == 0, "the file of the other")
    load.more()
    load.end()
    w.stop()
    check(not os.path.exists(path), "the socket file stays behind")


@case
def streams_of_an_old_client_are_answered():
    gate = threading.Event()

    def handler(q, link):
        if q.path == "/slow":
            gate.wait(3 * WAIT)
        return answer(q, q.path)
    o = HttpOrigin(handler)
    w = Successive(one(o, pool="max = 2;"))
    w.conf.drain_timeout = "%ds" % (20 * SLOW)
    w.write()
    w.reload()
    c = Client2(w.conf.ports["front"])
    slow = c.ask(head("/slow"))
    until(lambda: o.requests == 1, "the request")
    leaving = w.upgrade(ended=False)
    c.till_goaway()
    gate.set()
    eq(c.answer(slow).body, b"/slow", "what was under way")
    c.read_to_end()
    c.close()
    eq(leaving.wait(), 0, "its status")
    eq(w.listener()["requests_total"], 1, "requests")


run()
