"""gRPC through weir: calls of all shapes, what weir says of those that it fails,
and grpc.health.v1 as a check.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from h2 import CANCEL, DATA, END_STREAM, Client2, frame, head
from h2_origin import scripted, serve
from origin import Origin
from web import HttpOrigin
from weir import Weir, command, one

CALL = ("content-type", "application/grpc+proto"), ("te", "trailers")


def call(path="/shop.Orders/Get", *more):
    return head(path, "POST", *CALL, *more)


def message(data):
    return b"\0" + len(data).to_bytes(4, "big") + data


def through(o, up="", **more):
    w = Weir(one(o, up='http = { version = "2"; }; ' + up, **more))
    return w, w.conf.ports["front"]


def failed_with(a, status, word):
    """Trailers-Only: one head that is the end."""
    eq((a.status, a.body, a.trailers), (200, b"", None), "shape")
    eq(a.get("content-type"), "application/grpc", "type")
    eq(a.get("grpc-status"), str(status), "grpc-status")
    check((a.get("grpc-message") or "").startswith(word + ": "),
          "grpc-message: %r" % a.get("grpc-message"))


@case
def a_unary_call_has_its_trailers():
    seen = []

    def handler(talk, q):
        seen.append(q)
        talk.answer(q, message(b"answer"), fields=[CALL[0]],
                    trailers=[("grpc-status", "0"), ("grpc-message", "")])
    o = serve(handler)
    w, front = through(o)
    a = Client2(front).fetch(call("/a/B", ("grpc-timeout", "5S")),
                             body=message(b"ask"))
    eq((a.status, a.body), (200, message(b"answer")), "answer")
    eq(a.trailers, [("grpc-status", "0"), ("grpc-message", "")], "trailers")
    q = seen[0]
    eq((q.body, q.get("te"), q.get("grpc-timeout"), q.get("content-type")),
       (message(b"ask"), "trailers", "5S", CALL[0][1]), "request")
    o.had(1)


@case
def trailers_only_stays_one_head():
    def handler(talk, q):
        talk.head(q, 200, CALL[0], ("grpc-status", "5"),
                  ("grpc-message", "no such"), ends=True)
    o = serve(handler)
    w, front = through(o)
    a = Client2(front).fetch(call(), body=message(b""))
    eq((a.get("grpc-status"), a.trailers, a.body), ("5", None, b""), "answer")


@case
def errors_of_servers_are_counted_and_told_of():
    """Those that OpenTelemetry calls a server's; what is no call is none."""
    def handler(talk, q):
        status = ("grpc-status", q.get(":path")[1:])
        if q.body:
            talk.answer(q, message(b"part"), fields=[CALL[0]],
                        trailers=[status, ("grpc-message", "m\xc3")])
        else:
            talk.head(q, 200, CALL[0], status, ends=True)
    w, front = through(serve(handler))
    c = Client2(front)
    names = {"2": "unknown", "4": "deadline_exceeded", "12": "unimplemented",
             "13": "internal", "14": "unavailable", "15": "data_loss"}
    for status in [str(n) for n in range(17)] + ["14x", "", "114"]:
        for body in (b"", message(b"ask")):
            a = c.fetch(call("/" + status), body=body)
            eq((a.status, dict(a.trailers or a.fields)["grpc-status"]),
               (200, status), "passed on")
    c.fetch(head("/14", "POST"), body=b"no call")
    errors = w.upstream()["server_errors_total"]
    eq({k: n for k, n in errors.items() if n},
       {"grpc_" + name: 2 for name in names.values()}, "counted")
    check('errors_total{upstream="back",reason="grpc_unavailable",'
          'whose="server"} 2' in w.metrics(), "in /metrics")
    rows = [r for r in json.loads(w.get("/slow")[1])["exchanges"] if r["said"]]
    eq([r["said"].split(", ")[1].lower() for r in reversed(rows)],
       [name for name in names.values() for _ in range(2)], "in /slow")
    eq({(r["outcome"], r["failure"], r["cause"]) for r in rows},
       {("2xx", "", "server_error")}, "as what")
    why = " ".join(command("-c", w.file, "why").stdout.split())
    check("12 of the 12 failures kept: server_error at upstream back" in why and
          "answered the call with grpc-status 15, DATA_LOSS, and" in why, why)


@case
def messages_go_both_ways_as_they_come():
    def script(talk):
        q = talk.request()
        talk.head(q, 200, CALL[0])
        for i in range(20):
            while len(q.body) < 6 * (i + 1):
                talk.take_frame()
            talk.data(q, q.body[-6:])
        while not q.ended:
            talk.take_frame()
        talk.trailers(q, ("grpc-status", "0"))
        talk.to_end()
    o = scripted(script)
    w, front = through(o)
    c = Client2(front)
    s = c.ask(call(), ends=False)
    for i in range(20):
        c.send(frame(DATA, 0, s, message(b"%c" % (65 + i))))
        while len(c.on(s).body) < 6 * (i + 1):
            c.take_frame()
    c.send(frame(DATA, END_STREAM, s))
    a = c.answer(s)
    eq(a.body, b"".join(message(b"%c" % (65 + i)) for i in range(20)), "echo")
    eq(a.trailers, [("grpc-status", "0")], "trailers")
    o.had(1)


@case
def a_silent_call_outlives_stall_and_body():
    """Both are 100 ms; the other call shows that as much has passed twice."""
    gate = threading.Event()

    def script(talk):
        q = talk.request()
        talk.head(q, 200, CALL[0])
        gate.wait()
        talk.data(q, message(b"late"))
        talk.trailers(q, ("grpc-status", "0"))
        talk.to_end()

    def hang(talk, q):
        talk.head(q)
        talk.data(q, b"half")
    o, p = scripted(script), serve(hang)
    conf = one(o, up='http = { version = "2"; }; timeouts = '
               '{ stall = "100ms"; };', front='timeouts = { body = "100ms"; };')
    conf.listener("other", "hangs")
    conf.upstream("hangs", p, extra='http = { version = "2"; }; timeouts = '
                  '{ stall = "150ms"; };')
    w = Weir(conf)
    c = Client2(conf.ports["front"])
    s = c.ask(call(), ends=False)
    while c.on(s).fields is None:
        c.take_frame()
    d = Client2(conf.ports["other"])
    for _ in range(2):
        check(d.fetch().error is not None, "the other one did not stall")
    gate.set()
    a = c.answer(s)
    eq((a.body, a.trailers), (message(b"late"), [("grpc-status", "0")]),
       "answer")
    eq(w.failures(), {}, "failures")


@case
def nobody_there_is_unavailable():
    o = serve()
    o.refuse()
    w, front = through(o)
    c = Client2(front)
    failed_with(c.fetch(call(), body=message(b"")), 14, "connect_failed")
    a = c.fetch(head("/", "POST", ("content-type", "application/grpcx")),
                body=b"")
    eq(a.status, 502, "what is no call")


@case
def too_late_is_deadline_exceeded():
    o = scripted(lambda talk: talk.to_end())
    w, front = through(o, up='timeouts = { response = "50ms"; };')
    failed_with(Client2(front).fetch(call(), body=message(b"")), 4,
                "response_timeout")


@case
def a_limit_is_resource_exhausted():
    o = serve()
    w, front = through(o, front='limits = { request_rate = '
                       '{ rate = "1/h"; burst = 1; }; };')
    c = Client2(front)
    c.fetch(call(), body=message(b""))
    failed_with(c.fetch(call(), body=message(b"")), 8, "limited")


@case
def a_client_that_cancels_cancels_there():
    got = []

    def script(talk):
        q = talk.request()
        talk.head(q, 200, CALL[0])
        while q.error is None:
            talk.take_frame()
        got.append(q.error)
        talk.to_end()
    o = scripted(script)
    w, front = through(o)
    c = Client2(front)
    s = c.ask(call(), ends=False)
    while c.on(s).fields is None:
        c.take_frame()
    c.send(frame(3, 0, s, b"\0\0\0\x08"))
    until(lambda: got, "the reset")
    eq(got, [CANCEL], "its code")
    w.wait_pool(leased=0, idle=1)


def health_of(state):
    def handler(talk, q):
        eq((q.path, q.method), ("/grpc.health.v1.Health/Check", "POST"),
           "question")
        state["asked"] = q.body
        if "status" in state:
            talk.head(q, 200, CALL[0], ("grpc-status", state["status"]),
                      ends=True)
        else:
            talk.answer(q, message(state["answer"]), fields=[CALL[0]],
                        trailers=[("grpc-status", "0")])
    return handler


def checks(state, service="", version=2):
    o = serve(health_of(state))
    w, _ = through(o, up='health = { type = "grpc"; interval = "20ms"; '
                   'rise = 1; fall = 1; %s };' % service)

    def endpoint():
        return w.upstream()["endpoints"][0]
    return w, endpoint


@case
def grpc_health_says_who_is_up():
    state = {"answer": b"\x08\x01"}
    w, endpoint = checks(state)
    until(lambda: endpoint()["state"] == "up" and "asked" in state, "up")
    eq(state["asked"], message(b""), "question")
    state["answer"] = b"\x08\x02"
    until(lambda: endpoint()["state"] == "down", "down")
    check("not serving" in str(endpoint()), str(endpoint()))
    state["answer"] = b"\x08\x01"
    until(lambda: endpoint()["state"] == "up", "up again")
    state["status"] = "5"
    until(lambda: endpoint()["state"] == "down", "down again")
    check("service unknown" in str(endpoint()), str(endpoint()))


@case
def grpc_health_asks_after_a_service():
    state = {"answer": b"\x08\x01"}
    w, endpoint = checks(state, 'service = "shop.Orders";')
    until(lambda: "asked" in state, "a question")
    eq(state["asked"], message(b"\x0a\x0bshop.Orders"), "question")


@case
def http_checks_speak_the_upstreams_version():
    state = {"status": 200}

    def handler(talk, q):
        eq((q.path, q.method), ("/up", "GET"), "question")
        talk.answer(q, "fine", state["status"])
    o = serve(handler)
    w, _ = through(o, up='health = { path = "/up"; interval = "20ms"; '
                   'rise = 1; fall = 1; };')
    until(lambda: o.accepted > 1, "checks")
    eq(w.upstream()["endpoints"][0]["state"], "up", "state")
    state["status"] = 500
    until(lambda: w.upstream()["endpoints"][0]["state"] == "down", "down")


if __name__ == "__main__":
    run()
