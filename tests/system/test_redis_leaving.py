"""A client dies with replies owed, in the middle of a command, or waits longer
than is allowed: exactly what was owed is swallowed, whoever is next gets its own.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import threading

from case import WAIT, case, check, eq, run, until
from redis import (DIRECT, NOT_OURS, Client, Error, Raw, RedisOrigin,
                   RedisServer, Simple, command, commands, encode, through,
                   token, upstreams)


SHARE = 'redis = { unknown = "share"; };'


class Held:
    """A server that answers X TOKEN only when it is let go."""

    def __init__(self, **options):
        self.go = threading.Event()
        self.origin = RedisOrigin(self.answer)
        # Its commands are none of Redis: they shall travel among others.
        self.w = through(self.origin, front=SHARE, **options)
        self.front = self.w.conf.ports["front"]

    def answer(self, args, play):
        if args[0] == b"HELD":
            self.go.wait(5 * WAIT)
        return args[1]

    def asked(self, n):
        until(lambda: self.origin.asked("HELD", "X") >= n,
              "%d commands upstream" % n)


@case
def five_owed_are_five_swallowed():
    for end in ("close", "rst"):
        s = Held(pool="max = 1;")
        a, b = Client(s.front), Client(s.front)
        a.send(commands(("HELD", token()), *((("X", token()),) * 4)))
        s.asked(1)
        t = [token() for _ in range(5)]
        b.send(commands(*(("X", x) for x in t)))
        (a.rst if end == "rst" else a.close)()
        s.w.stats()
        s.go.set()
        eq(b.reads(5), t, "the replies of the other")
        b.close()
        c = Client(s.front)
        for x in t:
            eq(c.ask("X", x), x, "the next client")
        c.close()
        s.w.balanced(s.origin)
        upstreams(s.w, s.origin, 1 if not DIRECT else 9)
        s.go.clear()


@case
def a_death_between_replies_swallows_the_rest():
    """Some of five have been read."""
    if DIRECT:
        return
    gate = threading.Semaphore(0)

    def answer(args, play):
        if args[0] == b"STEP":
            gate.acquire(timeout=5 * WAIT)
        return args[1]
    o = RedisOrigin(answer)
    w = through(o, front=SHARE, pool="max = 1;")
    front = w.conf.ports["front"]
    for n in range(6):
        a, b = Client(front), Client(front)
        mine = [token() for _ in range(5)]
        a.send(commands(*(("STEP", x) for x in mine)))
        for x in mine[:n]:
            gate.release()
            eq(a.read(), x, "reply")
        t = token()
        b.write("X", t)
        a.rst()
        w.stats()
        for _ in range(5 - n):
            gate.release()
        eq(b.read(), t, "the other's")
        b.close()
    w.balanced(o)
    upstreams(w, o, 1)


@case
def dead_in_the_middle_of_a_command_it_never_was():
    server = RedisServer()
    w = through(server, pool="max = 2;")
    front = w.conf.ports["front"]
    whole = command("SET", "k", "x" * 100)
    b = Client(front)
    for at in range(1, len(whole), 3):
        a = Client(front)
        a.send(command("INCR", "n") + whole[:at])
        check(isinstance(a.read(), int), "INCR")
        (a.rst if at % 2 else a.close)()
        b.prove()
    eq(b.ask("EXISTS", "k"), 0, "k")
    b.close()
    w.balanced(server)
    upstreams(w, server, 2)


@case
def a_reply_that_is_late_is_an_error_once():
    s = Held(pool="max = 1;", up='timeouts = { response = "300ms"; };')
    if DIRECT:
        return
    a = Client(s.front)
    a.write("HELD", token())
    got = a.read()
    check(isinstance(got, Error) and got.startswith("ERR weir: "), repr(got))
    s.go.set()
    for _ in range(5):
        t = token()
        eq(a.ask("X", t), t, "after it")
    b = Client(s.front)
    t = token()
    eq(b.ask("X", t), t, "another's")
    check(not a.wants(), "the late reply came after all")
    a.close()
    b.close()
    s.w.balanced(s.origin)
    upstreams(s.w, s.origin, 1)
    check(s.w.failures().get("response_timeout", 0) >= 1,
          "counted: %r" % s.w.failures())


@case
def those_behind_a_late_one_get_theirs():
    s = Held(pool="max = 1;", up='timeouts = { response = "500ms"; };')
    if DIRECT:
        return
    a, b = Client(s.front), Client(s.front)
    a.write("HELD", token())
    s.asked(1)
    t = token()
    got = a.read()
    check(got.startswith("ERR weir: "), repr(got))
    b.write("X", t)
    s.go.set()
    eq(b.read(), t, "who asked after it was late")
    a.close()
    b.close()
    s.w.balanced(s.origin)
    upstreams(s.w, s.origin, 1)


@case
def the_servers_end_fails_what_is_owed_and_nothing_else():
    def answer(args, play):
        if args[0] == b"DIE":
            play.send(encode(args[1])[:int(args[2])])
            if args[3] == b"rst":
                play.rst()
            raise ConnectionError       # ends the script, and so it closes
        return args[1]
    o = RedisOrigin(answer)
    w = through(o, front=SHARE, pool="max = 1;")
    if DIRECT:
        return
    for at in (0, 1, 5, 20):
        for how in ("rst", "fin"):
            a, b = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
            a.prove()
            t = token()
            a.write("DIE", t, at, how)
            if at == 0:
                got = a.read()
                check(isinstance(got, Error) and
                      got.startswith("ERR weir: "), repr(got))
                a.prove()
            else:
                # Part of it may have gone out: then only an end is honest.
                rest = a.read_to_end() if not a.more() or a.buf[:1] == b"$" \
                    else bytes(a.buf)
                check(rest.startswith(b"-ERR weir: ") or
                      encode(t).startswith(rest) and len(rest) <= at,
                      "got %r" % rest)
            b.prove()
            a.close()
            b.close()
    w.balanced(o)


@case
def an_error_before_the_whole_command_came_ends_the_connection():
    """The server refuses a large command while it is still being sent."""
    def script(play):
        while play.more():
            if b"PING" in play.buf:
                play.buf.clear()
                play.send(b"+PONG\r\n")
            elif b"BIGSET" in play.buf and len(play.buf) > 100:
                play.send(b"-ERR Protocol error: invalid bulk length\r\n")
                play.shut()
                play.buf.clear()
                while play.more():
                    play.buf.clear()
                return
            elif b"ECHO" in play.buf and play.buf.endswith(b"\r\n"):
                args = play.value()
                play.send(encode(args[1]))
    o = RedisOrigin(script=script)
    w = through(o, front=SHARE, pool="max = 4;")
    a, b = Client(w.conf.ports["front"]), Client(w.conf.ports["front"])
    a.send(b"*3\r\n$6\r\nBIGSET\r\n$1\r\nk\r\n$1000000\r\n" + b"x" * 500000)
    got = a.read()
    check(isinstance(got, Error), repr(got))
    b.prove()
    a.close()
    b.close()
    w.balanced(o)


@case
def a_half_sent_command_is_left_to_nobody():
    """The server answers a large SET early, and goes on reading: what comes
    next on that connection would be the value's."""
    if DIRECT:
        return
    early = b"-ERR Protocol error: invalid bulk length\r\n"

    def script(play):
        while True:
            while not play.buf:
                if not play.more():
                    return
            if not play.buf.startswith(b"*3\r\n$3\r\nSET\r\n"):
                args = play.command()
                if args is None:
                    return
                got = play.origin._own(args, play)
                play.reply(args[1] if got is NOT_OURS else got)
                continue
            while len(play.buf) < 100000 and play.more():
                pass
            play.send(early)
            while play.more():          # all that follows is swallowed
                play.buf.clear()
            return
    o = RedisOrigin(script=script)
    w = through(o, pool="max = 1;")
    front = w.conf.ports["front"]
    for end in ("stay", "close", "rst"):
        a, b = Client(front), Client(front)
        t = token()
        eq(b.ask("GET", t), t, "GET before it")
        a.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\n" + b"v" * 150000)
        got = a.read()
        check(isinstance(got, Error), repr(got))
        if end != "stay":
            (a.rst if end == "rst" else a.close)()
        for _ in range(3):
            t = token()
            eq(b.ask("GET", t), t, "another's GET")
        if end == "stay":
            a.close()
        b.close()
    w.balanced(o)


@case
def what_is_lost_twice_is_asked_a_third_time():
    """And as it was: the copy that is sent again is not another's."""
    if DIRECT:
        return
    lost = threading.Semaphore(0)
    lose = [0]

    def answer(args, play):
        if args[0] == b"GET" and lose[0] > 0:
            lose[0] -= 1
            lost.release()
            play.rst()
            raise ConnectionError
        return args[1]
    o = RedisOrigin(answer)
    w = through(o, pool="max = 4; min_idle = 0;", up='retry = { max_retries '
                '= 2; budget = 1.0; backoff = "1ms"; };')
    front = w.conf.ports["front"]
    for _ in range(5):
        a, b = Client(front), Client(front)
        # It is asked on a connection that has been used.
        t, t2 = token(), token()
        eq(a.ask("SET", t, "v"), t, "SET")
        lose[0] = 2
        a.write("GET", t)
        for _ in range(2):
            check(lost.acquire(timeout=WAIT), "it was not asked again")
        b.write("GET", t2)
        eq(a.read(), t, "the third answer")
        eq(b.read(), t2, "the other's")
        a.close()
        b.close()
    w.balanced(o)


@case
def who_only_ends_to_send_gets_all_answers():
    def answer(args, play):
        play.origin.ending.wait(0.05)
        return args[-1]
    server, slow = RedisServer(), RedisOrigin(answer)
    for o in (server, slow):
        w = through(o, pool="max = 4;")
        for many in (("SET a 1", "GET a", "SELECT 1", "GET b"),
                     ("GET a", "NOSUCH z", "GET b"),
                     ("GET a", "MULTI", "GET b", "EXEC", "GET c"),
                     ("GET a", "SELECT 1", "SELECT 0", "GET b", "GET a")):
            c = Client(w.conf.ports["front"])
            c.send(commands(*many)).shut()
            got = c.reads(len(many))
            if o is slow:
                eq(got, ["OK" if m.startswith("SELECT") else
                         m.split()[-1].encode() for m in many], "answers")
            c.closed("fin")
        w.balanced(o)


@case
def many_random_deaths_shift_nothing():
    server = RedisServer()
    w = through(server, pool="max = 4;")
    front = w.conf.ports["front"]
    stay = [Client(front) for _ in range(4)]
    for n in range(250):
        a = Client(front)
        a.send(commands(*(("ECHO", token()),) * (1 + n % 7))[:-(n % 5) or
                                                            None])
        (a.rst if n % 3 else a.close)()
        t = token()
        c = stay[n % 4]
        eq(c.ask("ECHO", t), t, "a reply")
    for c in stay:
        c.prove().close()
    w.balanced(server)
    upstreams(w, server, 4)


run()
