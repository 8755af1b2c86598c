"""Node's http server behind weir and Node's http.Agent in front of it: bodies,
trailers, interim responses, aborts of either. The cases are in node_http.mjs.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, run
from programs import node
from weir import Weir, one


def play(name, pool="max = 8;"):
    """(weir, connections that the origin accepted) after a case."""
    origin = port()
    w = Weir(one(origin, pool=pool))
    out = node("node_http.mjs", name, w.conf.ports["front"], origin)
    n = json.loads(out)["connections"]
    eq(w.upstream()["connects_total"], n, "connects_total")
    w.balanced()
    return w, n


def undisturbed(name, most=1):
    w, n = play(name)
    check(1 <= n <= most, "%d upstream connections" % n)
    eq(w.failures(), {}, "failures")


@case
def bodies_go_both_ways():
    undisturbed("bodies_go_both_ways", most=8)


@case
def trailers_follow_bodies():
    undisturbed("trailers_follow_bodies")


@case
def bodies_wait_for_100_continue():
    # One more after the refusal, whose body was never sent.
    undisturbed("bodies_wait_for_100_continue", most=2)


@case
def early_hints_come_early():
    undisturbed("early_hints_come_early")


@case
def an_agent_keeps_its_connection():
    undisturbed("an_agent_keeps_its_connection")


@case
def no_body_where_none_may_be():
    undisturbed("no_body_where_none_may_be")


@case
def a_client_aborts_a_response():
    w, n = play("a_client_aborts_a_response")
    check(n <= 11, "%d upstream connections for 10 aborts" % n)
    eq(w.failures(), {"client_abort": 10}, "failures")


@case
def a_client_aborts_an_upload():
    w, n = play("a_client_aborts_an_upload")
    check(n <= 11, "%d upstream connections for 10 aborts" % n)
    eq(w.failures(), {"client_abort": 10}, "failures")


@case
def an_origin_aborts():
    w, n = play("an_origin_aborts")
    check(n >= 15, "%d upstream connections for 15 aborts" % n)
    check(sum(w.failures().values()) == 15, "failures: %r" % w.failures())


@case
def an_origin_that_closes_idle_connections():
    w, n = play("an_origin_that_closes_idle_connections")
    check(n <= 60, "%d upstream connections" % n)
    eq(w.failures(), {}, "failures")


run()
