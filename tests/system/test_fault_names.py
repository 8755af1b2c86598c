"""A name's answers fail, lie and flap: what was known stays in use, what is
new is taken up, and neither servers nor name servers are hammered.
"""
# SPDX-License-Identifier: MIT
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import SLOW, WAIT, case, check, eq, run, until
from names import NXDOMAIN, OK, SERVFAIL, Names, enter_names
from upgrade import Successive
from weir import Weir, one
from web import HttpOrigin, answer, ask, ok, once
from wire import Client


class Everywhere(HttpOrigin):
    """On all addresses of loopback; says at which it was found."""

    def listen(self):
        super().listen()
        self.refuse()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", self.number))
        sock.listen(1024)
        self.sock = sock
        threading.Thread(target=self._accept, args=(sock,),
                         daemon=True).start()


def everywhere():
    return Everywhere(lambda q, link: answer(
        q, link.sock.getsockname()[0]))


def named(w):
    """What /dns says of the only name."""
    return json.loads(w.get("/dns")[1])["names"][0]


def start(o, kind=Weir, **more):
    w = kind(one('"app.test:%d"' % o.number, **more))
    until(lambda: once(w.conf.ports["front"]).status == 200, "it resolves")
    return w


@case
def what_was_known_is_kept_while_the_name_does_not_resolve():
    enter_names()
    state = {"say": ["127.0.0.1"]}
    n = Names(lambda name, count: state["say"])
    o = everywhere()
    w = start(o)
    c = Client(w.conf.ports["front"])
    for say in (SERVFAIL, NXDOMAIN, OK, None, b"\0" * 5, b"\xff" * 40):
        state["say"] = say
        before, begin = n.asked, time.monotonic()
        until(lambda: n.asked > before or time.monotonic() - begin > 2 * SLOW,
              "a look-up")
        eq(ok(ask(c)).body, b"127.0.0.1", "who served with %r" % (say,))
        passed = time.monotonic() - begin
        # Look-ups are a second apart at least, each asks twice at most and
        # another name server's turn counts for one.
        check(n.asked - before <= 4 + 4 * passed, "asked %d times in %.1f s" %
              (n.asked - before, passed))
    eq(w.failures(), {}, "failures")
    o.had(1)
    # It is said when it begins and when it is over, whatever comes between.
    before = n.asked
    w.reload()
    until(lambda: n.asked > before, "a look-up after a reload")
    state["say"] = ["127.0.0.1"]
    w.reload()
    w.wait_log("info upstream back endpoint app.test:%d: resolves again, "
               "1 address" % o.number)
    eq(w.log().count("goes on with what is known"), 1, "lines of its begin")
    eq(ok(ask(c)).conn, 1, "who served")
    c.close()
    w.balanced(o)


@case
def how_old_an_answer_is_goes_over_in_an_upgrade():
    enter_names()
    state = {"say": ["127.0.0.1"]}
    Names(lambda name, count: state["say"])
    o = everywhere()
    w = start(o, kind=Successive)
    state["say"] = SERVFAIL
    until(lambda: named(w)["last_error"], "a look-up that fails")
    before = named(w)["age_ms"]
    w.upgrade()
    now = named(w)
    eq(now["addresses"], ["127.0.0.1:%d" % o.number], "addresses")
    check(now["age_ms"] >= before > 0, "%r" % now)


@case
def a_new_address_is_taken_up_and_the_old_one_left():
    enter_names()
    state = {"say": ["127.0.0.1"]}
    Names(lambda name, count: state["say"])
    o = everywhere()
    w = start(o)
    eq(once(w.conf.ports["front"]).body, b"127.0.0.1", "at first")
    state["say"] = ["127.0.0.2"]
    until(lambda: ok(once(w.conf.ports["front"])).body == b"127.0.0.2",
          "the new address", 3 * WAIT)
    for _ in range(10):
        eq(ok(once(w.conf.ports["front"])).body, b"127.0.0.2", "who served")
    eq(w.failures(), {}, "failures")
    w.balanced(o)


@case
def an_answer_that_flaps_hammers_nobody():
    enter_names()
    both = ["127.0.0.1"], ["127.0.0.2"], SERVFAIL, ["127.0.0.2", "127.0.0.1"]
    n = Names(lambda name, count: both[count % 4])
    o = everywhere()
    w = start(o, pool="min_idle = 2; max = 8;")
    before = w.failures()       # of who came before there was an answer
    begin, asked, made = time.monotonic(), n.asked, o.accepted
    served = 0
    while time.monotonic() - begin < 4:
        ok(once(w.conf.ports["front"]))
        served += 1
    passed = time.monotonic() - begin
    check(served > 20, "served: %d" % served)
    check(n.asked - asked <= 4 + 3 * passed, "asked %d times" % n.asked)
    # A warm set for each new address, not more.
    check(o.accepted - made <= 12 * (passed + 2), "connections: %d" %
          (o.accepted - made))
    eq(w.failures(), before, "failures")
    w.balanced(o)


run()
