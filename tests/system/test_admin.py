"""Who may talk to the admin port and how: browsers led astray are refused, GET
changes nothing, probes see only probes, and bad requests get clear errors.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, need, port, put, run, temp_dir, until
from weir import Weir, command, listening, one
from web import HttpOrigin, answer, ok, once, read_response, refused, request
from wire import Client


def start(admin="", **more):
    o = HttpOrigin()
    return o, Weir(one(o, admin=admin, **more))


def raw(at, data):
    c = Client(at)
    c.send(data)
    r = read_response(c, data.split(b" ")[0].decode("latin-1"))
    c.close()
    return r


def get(w, path="/stats", **fields):
    return w.admin_request("GET", path, fields)[0]


def admin_get(w, host, path="/stats"):
    return raw(w.conf.admin_port, b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (
        path.encode(), host.encode())).status


@case
def foreign_host_is_refused():
    o, w = start('hosts = ( "weir.internal" );')
    p = ":%d" % w.conf.admin_port
    for host in ("127.0.0.1" + p, "127.0.0.1", "localhost", "localhost" + p,
                 "[::1]" + p, "10.1.2.3" + p, "weir.internal" + p,
                 "WEIR.internal"):
        eq(admin_get(w, host), 200, host)
    for host in ("evil.test", "evil.test" + p, "localhost.evil.test",
                 "127.0.0.1.evil.test", "weir.internal.evil.test",
                 "1.2.3", "0x7f.1"):
        for path in ("/stats", "/", "/metrics", "/config", "/readyz"):
            eq(admin_get(w, host, path), 403, host + path)
    check(admin_get(w, "") in (400, 403), "empty Host")
    o.had(0)


@case
def foreign_origin_is_refused():
    o, w = start()
    p = w.conf.admin_port
    generation = w.stats()["generation"]
    for origin in ("http://evil.test", "null", "https://127.0.0.1.evil.test",
                   "http://127.0.0.1:1"):
        eq(w.admin_request("POST", "/reload", {"Origin": origin})[0], 403,
           origin)
        eq(get(w, Origin=origin), 403, "GET from " + origin)
    eq(w.stats()["generation"], generation, "generation")
    eq(w.admin_request("POST", "/reload", {
        "Origin": "http://127.0.0.1:%d" % p})[0], 200, "its own page")
    check(w.stats()["generation"] > generation, "generation")
    o.had(0)


@case
def get_changes_nothing_and_changes_are_post_only():
    o, w = start()
    ok(once(w.conf.ports["front"]))
    generation = w.stats()["generation"]
    for path in ("/reload", "/drain", "/stop"):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            status, _, fields = w.admin_request(method, path)
            eq(status, 405, "%s %s" % (method, path))
            check("POST" in fields.get("allow", ""), "Allow")
    for path in ("/stats", "/metrics", "/", "/config", "/readyz"):
        eq(w.post(path)[0], 405, "POST " + path)
    s = w.stats()
    eq((s["generation"], s["draining"]), (generation, False), "state")
    ok(once(w.conf.ports["front"]))
    o.had(1)


@case
def head_is_get_without_its_body():
    o, w = start()
    for path in ("/stats", "/metrics", "/healthz", "/"):
        r = raw(w.conf.admin_port, b"HEAD %s HTTP/1.1\r\nHost: localhost\r\n"
                b"\r\n" % path.encode())
        eq((r.status, r.body), (200, b""), path)
    o.had(0)


@case
def bad_requests_get_a_clear_answer_and_harm_nothing():
    o, w = start()
    for data, statuses in (
            (b"GARBAGE\r\n\r\n", (400,)),
            (b"GET /stats HTTP/1.1\r\n\r\n", (400,)),
            (b"GET /stats HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
            (b"GET /stats HTTP/3.0\r\nHost: localhost\r\n\r\n", (505, 400)),
            (b"GET /stats HTTP/1.1\r\nHost: localhost\r\nA: " +
             b"a" * 100000 + b"\r\n\r\n", (431,)),
            (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n", (414, 431)),
            (b"POST /reload HTTP/1.1\r\nHost: localhost\r\n"
             b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
             (400,)),
            (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", (404,)),
            (b"GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
             (400, 404)),
            (b"GET /upstreams/none HTTP/1.1\r\nHost: localhost\r\n\r\n",
             (404, 405)),
            (b"\x16\x03\x01\0\xa5\r\n\r\n", (400,))):
        r = raw(w.conf.admin_port, data)
        check(r.status in statuses, "%r: %d" % (data[:40], r.status))
    for _ in range(50):
        Client(w.conf.admin_port).send(b"GET /st").rst()
    ok(once(w.conf.ports["front"]))
    eq(w.get("/healthz")[0], 200, "/healthz")
    o.had(1)
    w.balanced(o)


@case
def keep_alive_and_slow_peers():
    o, w = start()
    c = Client(w.conf.admin_port)
    for _ in range(3):
        c.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eq(read_response(c).status, 200, "kept connection")
    # One that stalls in its head does not keep others from being served.
    Client(w.conf.admin_port).send(b"GET /stats HTTP/1.1\r\nHo")
    eq(w.get("/healthz")[0], 200, "beside a stalled one")
    o.had(0)


@case
def a_token_guards_a_bind_that_is_not_loopback():
    o = HttpOrigin()
    conf = one(o)
    loopback = conf.text().replace(
        'admin = { bind = "127.0.0.1', 'admin = { bind = "0.0.0.0')
    bad = put("open.conf", loopback)
    r = command("-t", "-c", bad)
    check(r.returncode == 1 and "token" in r.stdout + r.stderr,
          "accepted without a token: " + r.stdout + r.stderr)
    # 0.0.0.0 is not loopback, though only loopback is talked to here.
    token = put("token", "s3cret-token\n")
    conf.admin = 'token_file = "%s";' % token
    file = put("guarded.conf", conf.text().replace(
        'admin = { bind = "127.0.0.1', 'admin = { bind = "0.0.0.0'))
    w = Weir(argv=["-c", file], wait=False)
    w.admin = ("127.0.0.1", conf.admin_port)
    until(lambda: listening(conf.admin_port), "the admin port")
    for fields in ({}, {"Authorization": "Bearer wrong"},
                   {"Authorization": "Bearer s3cret-token2"},
                   {"Authorization": "Bearer s3cret-toke"},
                   {"Authorization": "Basic s3cret-token"},
                   {"Authorization": "s3cret-token"}):
        for path in ("/stats", "/stats/stream", "/metrics", "/config",
                     "/healthz", "/?stats", "/index.html"):
            eq(get(w, path, **fields), 200 if path == "/?stats" else 401,
               "%r %s" % (fields, path))
        eq(w.admin_request("POST", "/reload", fields)[0], 401, "POST")
        # The page itself holds nothing; it asks for the token.
        eq(get(w, "/", **fields), 200, "%r /" % fields)
        eq(w.admin_request("POST", "/", fields)[0], 405, "POST /")
    good = {"Authorization": "Bearer s3cret-token"}
    eq(get(w, **good), 200, "with the token")
    status, body, _ = w.admin_request("GET", "/config", good)
    check(status == 200 and "s3cret" not in body, "/config tells the token")
    r = command("-c", file, "stats", "--json")
    eq(r.returncode, 0, "weir stats takes the token: " + r.stderr)
    o.had(0)


@case
def probe_bind_serves_probes_only():
    number = port()
    o, w = start('probe_bind = "127.0.0.1:%d";' % number)
    until(lambda: listening(number), "the probe port")
    at = ("127.0.0.1", number)
    for path in ("/healthz", "/readyz", "/metrics"):
        eq(w.admin_request("GET", path, at=at)[0], 200, path)
        # A kubelet sends the pod's address or any name: no rule on Host.
        eq(raw(number, b"GET %s HTTP/1.1\r\nHost: pod.test\r\n\r\n" %
               path.encode()).status, 200, path)
    for method, path in (("GET", "/stats"), ("GET", "/"), ("GET", "/config"),
                         ("GET", "/connections"), ("POST", "/reload"),
                         ("POST", "/stop"), ("POST", "/healthz")):
        status = w.admin_request(method, path, at=at)[0]
        check(status in (403, 404, 405), "%s %s: %d" % (
            method, path, status))
    eq(w.get("/healthz")[0], 200, "admin still there")
    o.had(0)


@case
def the_admin_port_may_be_a_unix_socket():
    o = HttpOrigin()
    conf = one(o)
    path = os.path.join(temp_dir(), "admin.sock")
    file = put("unixadmin.conf", conf.text().replace(
        'bind = "127.0.0.1:%d"' % conf.admin_port, 'bind = "unix:%s"' % path))
    w = Weir(argv=["-c", file], wait=False)
    until(lambda: os.path.exists(path), "the socket")
    until(lambda: listening(conf.ports["front"]), "the listener")
    # It is bound before it listens.
    until(lambda: command("-c", file, "get", "/healthz").returncode == 0,
          "the admin port")
    r = raw("unix:" + path, b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
    eq(json.loads(r.body)["pid"], w.pid, "pid")
    for argv in (("-c", file, "get", "/healthz"),
                 ("--admin", "unix:" + path, "get", "/healthz")):
        eq(command(*argv).returncode, 0, "weir " + " ".join(argv))
    o.had(0)


@case
def the_stream_of_stats_goes_on():
    o, w = start()
    c = Client(w.conf.admin_port)
    c.send(b"GET /stats/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = c.read_until(b"\r\n\r\n")
    check(b" 200 " in head and b"text/event-stream" in head, repr(head))
    seen = []
    for _ in range(3):
        c.read_until(b"data: ")
        event = c.read_until(b"\n\n")
        event = event[:event.rindex(b"}") + 1]
        seen.append(json.loads(event)["upstreams"][0]["requests_total"])
        ok(once(w.conf.ports["front"]))
    eq((seen[0], sorted(seen)), (0, seen), "requests_total")
    check(seen[-1] >= 1, "the stream is of one moment: %r" % seen)
    o.had(1)
    c.rst()
    w.balanced(o)


@case
def connections_tell_who_holds_what():
    gate = threading.Event()

    def handler(q, link):
        gate.wait(60)
        return answer(q)
    o = HttpOrigin(handler)
    w = Weir(one(o))
    c = Client(w.conf.ports["front"]).send(request())
    until(lambda: o.requests == 1, "request upstream")
    text = w.get("/connections")[1]
    check(json.loads(text) and o.address in text and '"back"' in text and
          "leased" in text, "/connections: " + text)
    r = command("-c", w.file, "connections", "back", "--leased")
    check(o.address in r.stdout, "weir connections: " + r.stdout)
    r = command("-c", w.file, "connections", "--older", "1h")
    check(o.address not in r.stdout, "--older: " + r.stdout)
    gate.set()
    ok(read_response(c))
    o.had(1)


@case
def metrics_are_well_formed():
    o, w = start()
    for _ in range(3):
        ok(once(w.conf.ports["front"]))
    w.balanced(o)
    text = w.metrics()
    kind, seen = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, what = line.split(" ")
            check(name not in kind, "TYPE twice: " + name)
            kind[name] = what
        elif line and not line.startswith("#"):
            m = re.fullmatch(r"([a-z_:][a-z0-9_:]*)(\{[^}]*\})? "
                             r"([-+0-9.eE]+|\+Inf|NaN)", line)
            check(m, "not a sample: " + line)
            base = re.sub("_(bucket|sum|count)$", "", m[1])
            check(m[1] in kind or kind.get(base) == "histogram",
                  "no TYPE: " + line)
            check((m[1], m[2]) not in seen, "sample twice: " + line)
            seen.add((m[1], m[2]))
            if kind.get(m[1]) == "counter":
                check(m[1].endswith("_total"), "counter: " + m[1])
    for name in ("weir_build_info", "weir_pool_connections",
                 "weir_pool_max_connections", "weir_pool_wait_seconds",
                 "weir_request_duration_seconds",
                 "weir_config_last_reload_successful",
                 "weir_config_last_reload_success_timestamp_seconds",
                 "process_open_fds", "process_cpu_seconds_total"):
        check(name in kind, "no " + name)
    for reason in ("queue_timeout", "queue_full", "connect_failed"):
        check(re.search(r'reason="%s"[^}]*\} 0' % reason, text),
              "no reason %s at 0" % reason)
    m = re.search(r'weir_request_duration_seconds_count\{[^}]*\} (\d+)', text)
    eq(int(m[1]), 3, "requests in the histogram")
    last = 0
    for m in re.finditer(r'weir_request_duration_seconds_bucket\{[^}]*'
                         r'le="([^"]+)"[^}]*\} (\d+)', text):
        check(int(m[2]) >= last, "buckets fall: " + m[0])
        last = int(m[2])
    eq((m[1], last), ("+Inf", 3), "last bucket")
    o.had(1)


@case
def what_limits_did_is_in_all_numbers():
    o, w = start(front="limits = { request_rate_per_client = { rate = "
                 '"1/m"; burst = 2; }; request_rate = { rate = "1/m"; '
                 "burst = 1; shadow = true; }; };")
    statuses = [once(w.conf.ports["front"]).status for _ in range(5)]
    eq(statuses, [200, 200, 429, 429, 429], "statuses")
    s = w.listener()
    eq({k: n for k, n in s["limited_total"].items() if n},
       {"request_rate_per_client": 3}, "limited_total")
    eq({k: n for k, n in s["shadow_total"].items() if n},
       {"request_rate": 1}, "shadow_total")
    for line in ('limited_total{listener="front",'
                 'reason="request_rate_per_client"} 3',
                 'limited_total{listener="front",reason="denied"} 0',
                 'shadow_limited_total{listener="front",'
                 'reason="request_rate"} 1'):
        check("weir_listener_%s\n" % line in w.metrics(), "no " + line)
    text = command("-c", w.file, "stats").stdout
    check(re.search("listener front +request_rate_per_client +3 +0 +0\n",
                    text) and
          re.search("listener front +request_rate +0 +0 +1\n", text) and
          "denied" not in text, "weir stats: " + text)
    o.had(1)


@case
def the_table_of_stats_fits_a_terminal():
    # Names as short as they are in examples; what is long makes it wider.
    o, w = start()
    ok(once(w.conf.ports["front"]))
    wide = [line for line in command("-c", w.file, "stats").stdout.split("\n")
            if len(line) > 80]
    eq(wide, [], "lines of more than 80 columns")
    o.had(1)


@case
def the_dashboard_asks_for_nothing_outside():
    o, w = start()
    status, page, fields = w.admin_request("GET", "/")
    eq(status, 200, "/")
    # SVG's namespace is a name, not an address.
    outside = set(re.findall(r"""(?:https?:)?//[^\s'"]+\.[^\s'"]+""", page)) - {
        "http://www.w3.org/2000/svg"}
    eq(outside, set(), "addresses in the page")
    check("innerHTML" not in page and "document.write" not in page,
          "what comes from elsewhere may become markup")
    policy = fields["content-security-policy"]
    check("default-src 'none'" in policy, "policy: " + policy)
    check(re.search("script-src 'sha256-[^' ]+';", policy) and
          "unsafe" not in policy, "policy: " + policy)
    check(len(page) < 100000, "%d bytes" % len(page))
    o.had(0)


@case
def errors_of_servers_are_told_apart_from_those_of_weir():
    o = HttpOrigin(lambda q, link: answer(q, status=int(q.target[1:])))
    w = Weir(one(o))
    front = w.conf.ports["front"]
    for status in (200, 404, 500, 500, 502, 504, 599):
        eq(once(front, target="/%d" % status).status, status, "status")
    o.stop()
    refused(once(front, target="/200"), 502)
    errors = {"500": 2, "502": 1, "503": 0, "504": 1, "5xx": 1}
    eq(w.upstream()["server_errors_total"], errors, "errors")
    for name, n in errors.items():
        check('weir_upstream_server_errors_total{upstream="back",reason="%s",'
              'whose="server"} %d\n' % (name, n) in w.metrics(), name)
    eq(w.listener()["outcomes_total"]["5xx"], 6, "with that of weir")
    o.had(1)


@case
def whose_failures_and_errors_are_is_told_the_same_everywhere():
    conf = one(1)
    for name in ("redis", "memcached", "postgres"):
        conf.listener(name, name, protocol=name).upstream(name, 1)
    w = Weir(conf)
    s, text = w.stats(), w.metrics()

    def told(metric, label, name):
        found = re.findall(r'^weir_%s{%s="%s",reason="([^"]+)",whose="([^"]+)"}'
                           % (metric, label, name), text, re.M)
        return {whose: [r for r, at in found if at == whose]
                for _, whose in found}
    failures = told("failures_total", "listener", "front")
    eq(failures["client"], s["failures_of_clients"], "of clients")
    check({"client_abort", "auth_failed", "no_route"} < set(
        failures["client"]), "%r" % failures["client"])
    eq(failures["nobody"], ["upstream_limited", "tunnel_timeout", "killed",
                            "fault_injected", "drained"], "of nobody")
    check({"queue_full", "login_refused", "overloaded"} < set(
        failures["server"]), "%r" % failures["server"])
    eq(sum(map(len, failures.values())), len(w.listener()["failures_total"]), "all")
    for up, client in (("back", 0), ("redis", 13), ("memcached", 3),
                       ("postgres", 5)):
        errors = told("upstream_server_errors_total", "upstream", up)
        row = next(u for u in s["upstreams"] if u["name"] == up)
        eq(errors["server"], row["errors_of_server"], up)
        eq(len(errors.get("client", [])), client, up)
    check("LOADING" in next(u for u in s["upstreams"] if u["name"] == "redis")
          ["errors_of_server"], "LOADING")


@case
def promtool_accepts_the_metrics():
    promtool = need("promtool")
    o, w = start()
    ok(once(w.conf.ports["front"]))
    r = subprocess.run([promtool, "check", "metrics"], input=w.metrics(),
                       capture_output=True, text=True)
    eq((r.returncode, r.stdout + r.stderr), (0, ""), "promtool")
    o.had(1)


run()
