"""Reads and writes do less than they could, are interrupted, or would block
without reason: every exchange still completes, to the byte.
"""
# SPDX-License-Identifier: MIT
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run
from fault import VARIANT
from p1 import Load, P1Origin
from shim import Shim
from weir import Weir, one
from web import HttpOrigin, ok, once

POOL = 'max = 8; max_waiting = 1000; queue_timeout = "60s";'
EXCHANGES = 4000 if VARIANT == "release" else 1500


def completes(rates, protocol="http", workers=1, exchanges=EXCHANGES):
    """Under these rates all exchanges with a fair origin are answered."""
    s = Shim("io")
    seed = random.randrange(1 << 32)
    print("seeds %d, %d" % (s.seed, seed))
    tcp = protocol == "tcp"
    o = P1Origin(*(["sessions"] if tcp else []))
    w = Weir(one(o, protocol=protocol, pool=POOL, workers=workers), env=s.env)
    for fault, share in rates.items():
        s.rate(fault, share)
    r = Load(w, tcp=tcp, mix="mild", clients=100, exchanges=exchanges,
             seed=seed, body=300000).result()
    eq((r["answered"], r["failed"]), (r["exchanges"], {}),
       "answered, failed")
    # The admin port goes through the same.
    eq(w.get("/metrics")[0], 200, "/metrics")
    for fault in rates:
        check(s.hits(fault) > 100, "%s struck only %d times" % (
            fault, s.hits(fault)))
    s.quiet()
    w.balanced(o)
    o.judge()
    check(set(w.failures()) <= {"client_abort"}, repr(w.failures()))
    eq(w.upstream()["connects_total"], o.accepted, "connects_total")


@case
def short_reads_and_writes():
    completes({"short": 0.7})


@case
def interrupted_calls():
    completes({"eintr": 0.4})


@case
def calls_that_would_block_without_reason():
    completes({"eagain": 0.4})


@case
def all_of_it_at_once():
    completes({"short": 0.4, "eintr": 0.2, "eagain": 0.2})


@case
def all_of_it_on_raw_connections():
    completes({"short": 0.4, "eintr": 0.2, "eagain": 0.2}, "tcp")


@case
def all_of_it_with_two_workers():
    completes({"short": 0.4, "eintr": 0.2, "eagain": 0.2}, workers=2)


def failing(fault, error, share=0.3):
    """A share of the calls fails for want of something; later none does."""
    s = Shim("io")
    o = P1Origin()
    w = Weir(one(o, pool=POOL), env=s.env)
    s.rate(fault, share, error)
    r = Load(w, mix="mild", clients=100, exchanges=2000).result()
    # How often there is such a call goes by how much is in use at once.
    check(s.hits(fault) > 0, "it never struck")
    check(r["answered"] > r["exchanges"] / 4, "answered: %r" % r)
    s.quiet()
    w.balanced(o)
    o.judge()
    r = Load(w, mix="mild", clients=50, exchanges=500).result()
    eq(r["answered"], r["exchanges"], "answered later")
    w.balanced(o)
    return w, r


@case
def accept_that_fails_is_tried_again():
    for error in ("ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM",
                  "EPROTO"):
        w, r = failing("accept", error)
        check(set(w.failures()) <= {"client_abort"}, "%s: %r" % (
            error, w.failures()))


@case
def connect_that_fails_is_told_and_hurts_no_other():
    for error in ("EADDRNOTAVAIL", "ENOBUFS", "ECONNREFUSED",
                  "ENETUNREACH"):
        failing("connect", error)


@case
def no_socket_for_the_upstream_is_told():
    failing("socket", "EMFILE")


@case
def all_connects_fail_and_then_none():
    s = Shim("io")
    o = HttpOrigin()
    w = Weir(one(o), env=s.env)
    s.rate("connect", 1, "EADDRNOTAVAIL")
    r = once(w.conf.ports["front"])
    eq(r.status, 503, "status")
    check(b"no_descriptors" in r.body, repr(r.body))
    # That is this machine's shortage, not the endpoint's fault.
    e, = w.upstream()["endpoints"]
    eq(sum(e["failures_total"].values()), 0, "the endpoint is blamed")
    s.quiet()
    ok(once(w.conf.ports["front"]))
    w.balanced(o)


run()
