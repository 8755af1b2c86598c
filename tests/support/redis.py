"""RESP as a test wants it, a real redis-server, and scripted ones.

Client reads strictly: a length that is wrong, a byte too many, an unknown type
is a failure. What comes is kept apart by type: bulk strings are bytes, simple
strings Simple, errors Error, maps dict, sets Set, pushes Push (in pushes, never
among the replies), nil None, doubles float, big numbers Big.

SPDX-License-Identifier: MIT
"""
import itertools
import os
import re
import subprocess
import threading

import case
from case import Failed, eq, later, need, port, temp_dir, until
from origin import Origin
from weir import listening
from wire import Client as WireClient
from wire import Ended

_tokens = itertools.count(1)


def token():
    """32 hexadecimal digits that no other call has returned."""
    return b"%024x" % int.from_bytes(os.urandom(12), "big") + \
        b"%08x" % next(_tokens)


class Simple(str):
    """+TEXT. Equal to the text, but never to bytes."""


class Error(str):
    """-TEXT, or !N with the same; returned, not raised."""


class Big(int):
    """(NUMBER"""


class Verbatim(bytes):
    """=N with its three letters before it."""


class Push(list):
    """>N"""


class Set(list):
    """~N, in the order of the wire."""


def words(args):
    """bytes of each; numbers and texts as redis-cli would send them."""
    return [a if isinstance(a, (bytes, bytearray)) else str(a).encode()
            for a in args]


def command(*args):
    """One command as an array of bulk strings."""
    return b"*%d\r\n" % len(args) + b"".join(
        b"$%d\r\n%s\r\n" % (len(a), a) for a in words(args))


def commands(*many):
    """A pipeline: each a tuple, or a text that is split at spaces."""
    return b"".join(command(*(c.split() if isinstance(c, str) else c))
                    for c in many)


def encode(value):
    """A reply of a scripted server. bytes bulk, Simple +, Error -, int :,
    None $-1, list *, dict %, Push >, float ,, bool #."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, bool):
        return b"#t\r\n" if value else b"#f\r\n"
    if isinstance(value, Error):
        return b"-%s\r\n" % value.encode()
    if isinstance(value, str):
        return b"+%s\r\n" % value.encode()
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, float):
        return b",%r\r\n" % value
    if isinstance(value, dict):
        return b"%%%d\r\n" % len(value) + b"".join(
            encode(k) + encode(v) for k, v in value.items())
    sign = b">" if isinstance(value, Push) else \
        b"~" if isinstance(value, Set) else b"*"
    return sign + b"%d\r\n" % len(value) + b"".join(map(encode, value))


class Reader:
    """Mixed into a Wire: RESP values from what comes."""

    def line(self):
        got = self.read_until(b"\r\n")[:-2]
        if b"\n" in got or b"\r" in got:
            raise Failed("a bare CR or LF in %r" % got)
        return got

    def integer(self, text, least=0):
        if not re.fullmatch(rb"-?(0|[1-9][0-9]*)", text) or int(text) < least:
            raise Failed("no number: %r" % text)
        return int(text)

    def value(self):
        """One value, of whatever type."""
        line = self.line()
        sign, rest = line[:1], line[1:]
        if sign == b"+":
            return Simple(rest.decode("latin-1"))
        if sign == b"-":
            return Error(rest.decode("latin-1"))
        if sign == b":":
            return self.integer(rest, -1 << 63)
        if sign in b"$!=":
            n = self.integer(rest, -1)
            if n < 0:
                eq(sign, b"$", "type of a nil")
                return None
            got = self.read_exact(n + 2)
            eq(got[-2:], b"\r\n", "end of a bulk string")
            return got[:-2] if sign == b"$" else \
                Error(got[:-2].decode("latin-1")) if sign == b"!" else \
                Verbatim(got[:-2])
        if sign == b"_":
            eq(rest, b"", "a nil")
            return None
        if sign == b"#":
            return {b"t": True, b"f": False}[rest]
        if sign == b",":
            return float(rest)
        if sign == b"(":
            return Big(rest)
        if sign in b"*~>":
            n = self.integer(rest, -1)
            if n < 0:
                return None
            made = {b"*": list, b"~": Set, b">": Push}[sign]
            return made([self.value() for _ in range(n)])
        if sign == b"%":
            pairs = [(self.value(), self.value())
                     for _ in range(self.integer(rest))]
            return {_key(k): v for k, v in pairs}
        if sign == b"|":
            for _ in range(self.integer(rest)):
                self.attributes.append((self.value(), self.value()))
            return self.value()
        raise Failed("no RESP: %r" % line[:200])


def _key(k):
    return tuple(k) if isinstance(k, list) else k


class Client(WireClient, Reader):
    """Connects to a Redis port. One reply for each command is expected by
    ask(); write() and read() are its halves."""

    def __init__(self, address, resp=2, rcvbuf=None):
        super().__init__(address, rcvbuf=rcvbuf)
        self.pushes = []
        self.attributes = []
        if resp != 2:
            eq(self.ask("HELLO", resp)[b"proto"], resp, "HELLO's proto")

    def write(self, *args):
        return self.send(command(*args))

    def inline(self, text):
        return self.send(text + "\r\n")

    def pipe(self, *many):
        """Send all at once; all the replies."""
        self.send(commands(*many))
        return self.reads(len(many))

    def read(self):
        """The next reply; pushes before it are put into pushes."""
        while True:
            got = self.value()
            if not isinstance(got, Push):
                return got
            self.pushes.append(got)

    def reads(self, n):
        return [self.read() for _ in range(n)]

    def push(self):
        """The next push."""
        if not self.pushes:
            got = self.value()
            if not isinstance(got, Push):
                raise Failed("a reply where a push was due: %r" % (got,))
            return got
        return self.pushes.pop(0)

    def ask(self, *args):
        return self.write(*args).read()

    def ok(self, *args):
        eq(self.ask(*args), "OK", "reply to %r" % (args[:3],))
        return self

    def prove(self):
        """What comes next is the answer to what is asked next: nothing was
        left over, nobody else's comes."""
        t = token()
        eq(self.ask("ECHO", t), t, "reply to ECHO")
        eq((bytes(self.buf), self.pushes), (b"", []), "bytes nobody asked for")
        return self

    def closed(self, how=None):
        """Nothing more comes, and the peer ends."""
        eq(self.read_to_end(), b"", "bytes before the end")
        if how:
            eq(self.ended, how, "how the connection ended")


class RedisServer:
    """A real redis-server on a free port, nothing on disk. For balanced() and
    had() it counts clients as a scripted origin does, without its own."""

    def __init__(self, *options, number=None):
        self.program = need("redis-server")
        self.number = number or port()
        self.options = options
        self.errors = []
        self.process = None
        self.desk = None
        self.asked = 0          # connections that were our own
        later(self.stop)
        self.start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.number

    def start(self):
        path = os.path.join(temp_dir(), "redis%d.out" % self.number)
        with open(path, "ab") as out:
            self.process = subprocess.Popen(
                [self.program, "--port", str(self.number), "--bind",
                 "127.0.0.1", "-::1", "--save", "", "--appendonly", "no",
                 "--dir", temp_dir(), "--protected-mode", "no",
                 "--enable-debug-command", "yes", *self.options],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=case.die_with_parent)

        def up():
            if self.process.poll() is not None:
                with open(path, errors="replace") as f:
                    raise Failed("redis-server: " + f.read()[-2000:])
            return listening(self.number)
        until(up, "redis-server listening")
        self.asked = 0
        self.desk = None

    def stop(self):
        if self.desk is not None:
            self.desk.close()
            self.desk = None
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def client(self, **options):
        """A client of its own, beside weir."""
        self.asked += 1
        return Client(self.number, **options)

    def ask(self, *args):
        if self.desk is None:
            self.desk = self.client()
        return self.desk.ask(*args)

    def info(self, name):
        """One number of INFO."""
        found = re.search(rb"^%s:(\d+)" % name.encode(), self.ask("INFO"),
                          re.M)
        if not found:
            raise Failed("INFO has no %s" % name)
        return int(found[1])

    @property
    def open(self):
        return len(self.clients())

    @property
    def accepted(self):
        total = self.info("total_connections_received")
        return total - self.asked

    def clients(self):
        """CLIENT LIST without our own, each a table."""
        mine = self.ask("CLIENT", "ID")
        rows = [dict(w.partition("=")[::2] for w in line.split(" "))
                for line in self.ask("CLIENT", "LIST").decode().splitlines()]
        return [r for r in rows if int(r["id"]) != mine]

    def calls(self, name):
        """How often a command ran."""
        found = re.search(rb"^cmdstat_%s:calls=(\d+)" % name.encode(),
                          self.ask("INFO", "commandstats"), re.M)
        return int(found[1]) if found else 0


class Play(Reader):
    """A Link of a scripted server that understands commands."""

    def __init__(self, link):
        self.__dict__["link"] = link
        self.__dict__["attributes"] = []

    def __getattr__(self, name):
        return getattr(self.link, name)

    def __setattr__(self, name, value):
        setattr(self.link, name, value)


class RedisOrigin(Origin):
    """A scripted Redis. answer(args, play) is asked for every command that is
    not about the connection (PING, HELLO, AUTH, SELECT, CLIENT, MULTI...: see
    _own); it returns a value to encode(), raw bytes as Raw, or SILENT. Or give
    script(play), which reads with play.command() and sends itself."""

    def __init__(self, answer=None, script=None, **options):
        self.answer = answer
        self.play = script
        self.commands = []      # (number of the connection, words)
        self.said = threading.Condition()
        super().__init__(self._script, **options)

    def _script(self, link):
        play = Play(link)
        link.limit = None
        link.command = lambda: self._read(play)
        link.reply = lambda value: link.send(encode(value))
        if self.play is not None:
            return self.play(play)
        while True:
            args = link.command()
            if args is None:
                return None
            got = self._own(args, play)
            if got is NOT_OURS:
                got = self.answer(args, play) if self.answer else \
                    Error("ERR unknown command")
            if got is SILENT:
                continue
            link.send(got.bytes if isinstance(got, Raw) else encode(got))

    def _read(self, play):
        """The words of the next command, None at the end."""
        try:
            args = play.value()
        except Ended:
            return None
        with self.said:
            self.commands.append((play.number, args))
            self.said.notify_all()
        return args

    def asked(self, *names):
        """How many commands of these names have come."""
        with self.said:
            return sum(a[0].decode().upper() in names
                       for _, a in self.commands)

    @staticmethod
    def _own(args, play):
        name = args[0].upper()
        if name == b"PING":
            return args[1] if len(args) > 1 else Simple("PONG")
        if name == b"HELLO":
            play.link.resp = int(args[1]) if len(args) > 1 else 2
            pairs = {b"server": b"redis", b"version": b"7.0.15",
                     b"proto": play.link.resp, b"id": play.number,
                     b"mode": b"standalone", b"role": b"master",
                     b"modules": []}
            return pairs if play.link.resp == 3 else \
                [x for pair in pairs.items() for x in pair]
        if name in (b"AUTH", b"SELECT", b"CLIENT", b"UNWATCH"):
            return Simple("OK")
        if name == b"RESET":
            return Simple("RESET")
        return NOT_OURS


class Raw:
    def __init__(self, data):
        self.bytes = data


SILENT = object()
NOT_OURS = object()


# DIRECT=1 puts raw TCP in the place of the protocol: it proves the tests
# themselves, but for what they say about connections upstream.
DIRECT = os.environ.get("DIRECT") == "1"


def through(*origins, pool="", front="", up="", **more):
    """The usual weir: its clients speak Redis to it at port(w)."""
    from weir import Weir, one
    if DIRECT:
        return Weir(one(*origins, protocol="tcp"))
    return Weir(one(*origins, protocol="redis", pool=pool, front=front, up=up,
                    **more))


def upstreams(w, origin, most, least=1):
    """How many connections were made upstream, as both sides count."""
    if DIRECT:
        return
    made = w.upstream()["connects_total"]
    if not least <= made <= most:
        raise Failed("%d upstream connections, wanted %d to %d" % (
            made, least, most))
    until(lambda: origin.accepted >= made, "connections at the server")
