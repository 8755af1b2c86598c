"""@grpc/grpc-js, client and server, through weir: calls of all four kinds ride on
few upstream connections, and each side is told what the other said.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, port, run
from npm import installed
from programs import node
from weir import Weir, one


def play(name, most=1, failures=None):
    origin = port()
    w = Weir(one(origin, up='http = { version = "2"; };'))
    node("node_grpc.mjs", installed("@grpc/grpc-js"), name,
         w.conf.ports["front"], origin)
    n = w.upstream()["connects_total"]
    check(n <= most, "%d upstream connections" % n)
    eq(w.failures(), failures or {}, "failures")


@case
def unary():
    play("unary", 2)


@case
def failures_pass():
    play("failures_pass")


@case
def upload():
    play("upload")


@case
def download():
    play("download")


@case
def chat():
    play("chat")


@case
def a_server_ends_a_chat():
    play("a_server_ends_a_chat")


@case
def cancelled_and_late():
    play("cancelled_and_late", 2, failures={"client_abort": 1})


@case
def many_clients():
    play("many_clients")


@case
def nobody_there():
    play("nobody_there", failures={"connect_failed": 1})


run()
