"""WebSocket by npm's ws on both sides of weir: a 101 makes a tunnel that takes
one upstream connection, and the connection is never pooled after it.
"""
# SPDX-License-Identifier: MIT
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, eq, port, run
from programs import node
from weir import Weir, one


def play(name, wanted, plain=0):
    """A case of ws.mjs that takes so many upstream connections, that many of
    them for plain requests. A tunnel's end is no failure."""
    origin = port()
    w = Weir(one(origin, pool="max = 64;"))
    out = node("ws.mjs", name, w.conf.ports["front"], origin)
    eq(json.loads(out)["connections"], wanted, "upstream connections")
    u = w.upstream()
    eq((u["connects_total"], u["pinned_total"]["upgrade"]),
       (wanted, wanted - plain), "connects_total, pinned by an upgrade")
    w.wait_pool(open=0)             # Node has ended, and closed the pooled
    eq(w.failures(), {}, "failures")
    w.balanced()


@case
def text_and_binary():
    play("text_and_binary", 1)


@case
def compressed():
    play("compressed", 1)


@case
def ping_and_pong():
    play("ping_and_pong", 1)


@case
def the_server_closes_first():
    play("the_server_closes_first", 1)


@case
def either_end_is_cut():
    play("either_end_is_cut", 6)


@case
def fifty_at_once():
    play("fifty_at_once", 50)


@case
def plain_requests_beside_tunnels():
    play("plain_requests_beside_tunnels", 2, plain=1)


run()
