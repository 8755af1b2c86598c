"""wrk with many connections against nginx behind weir: no request fails, and
nginx never sees more connections than the pool may have.
"""
# SPDX-License-Identifier: MIT
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, need
from case import run as run_cases
from programs import Nginx, run
from weir import Conf, Weir, one


def wrk(w, nginx, *argv, target="/1k", clients=200, seconds=1):
    """Run it; (requests done, connections that nginx had seen before the
    clients began to leave). No request failed."""
    early = []
    sample = threading.Timer(seconds * 0.6,
                             lambda: early.append(nginx.connections()))
    sample.start()
    out = run(need("wrk"), "-t2", "-c%d" % clients, "-d%ds" % seconds,
              "--timeout", "20s", *argv,
              "http://127.0.0.1:%d%s" % (w.conf.ports["front"], target))
    bad = re.findall(r"Socket errors.*|Non-2xx.*", out)
    eq(bad, [], "what wrk complains of")
    done = int(re.search(r"(\d+) requests in", out)[1])
    check(done > 0, "no request was done")
    sample.join()
    return done, early[0]


def served():
    nginx = Nginx("")
    nginx.file("1k", b"w" * 1024)
    nginx.file("1m", b"w" * (1 << 20))
    return nginx


def as_wanted(w, nginx, done, early, most=20):
    """At rest, and the numbers agree: wrk's, weir's and nginx's."""
    w.balanced()
    check(early <= most, "nginx has seen %d connections" % early)
    u, aborts = w.upstream(), w.failures()
    eq(u["connects_total"], nginx.connections(), "connects_total")
    # wrk stops in the middle of requests, which it does not count. A
    # connection whose answer nobody takes is closed, and a client that was
    # waiting and leaves next may get a new one.
    check(set(aborts) <= {"client_abort"}, "failures: %r" % aborts)
    late = nginx.connections() - most
    check(late <= aborts.get("client_abort", 0),
          "%d connections more, failures: %r" % (late, aborts))
    check(done <= u["requests_total"] <= done + 400,
          "%d requests, weir counts %d" % (done, u["requests_total"]))


@case
def two_hundred_clients_over_twenty_connections():
    nginx = served()
    w = Weir(one(nginx.number, pool="max = 20; queue_timeout = \"20s\";"))
    as_wanted(w, nginx, *wrk(w, nginx))


@case
def two_workers_keep_one_cap():
    nginx = served()
    w = Weir(one(nginx.number, workers=2,
                 pool="max = 20; queue_timeout = \"20s\";"))
    as_wanted(w, nginx, *wrk(w, nginx))


@case
def clients_that_close_after_each_answer():
    nginx = served()
    w = Weir(one(nginx.number, pool="max = 20; queue_timeout = \"20s\";"))
    as_wanted(w, nginx, *wrk(w, nginx, "-H", "Connection: close"))


@case
def large_answers():
    nginx = served()
    w = Weir(one(nginx.number, pool="max = 20; queue_timeout = \"20s\";"))
    done, early = wrk(w, nginx, target="/1m", clients=100, seconds=1)
    as_wanted(w, nginx, done, early)


@case
def reloads_in_the_middle_lose_nothing():
    nginx = served()
    w = Weir(one(nginx.number, pool="max = 20; queue_timeout = \"20s\";"))
    ending = threading.Event()

    def reload_often():
        while not ending.is_set():
            w.reload()
            ending.wait(0.1)
    t = threading.Thread(target=reload_often)
    t.start()
    try:
        done, early = wrk(w, nginx)
    finally:
        ending.set()
        t.join()
    check(w.stats()["generation"] > 5, "reloads were made")
    as_wanted(w, nginx, done, early)


@case
def raw_tcp():
    nginx = served()
    w = Weir(Conf().listener("front", protocol="tcp")
             .upstream("back", nginx.number))
    _, early = wrk(w, nginx)
    # One for each client, and wrk begins with a trial connection.
    eq(early, 201, "upstream connections")
    w.balanced()
    eq(w.upstream()["connects_total"], nginx.connections(), "connects_total")


run_cases()
