"""memcached's text, meta and binary protocols as a test wants them, a real
memcached, and scripted ones. Source: memcached's doc/protocol.txt and its
binary protocol.

SPDX-License-Identifier: MIT
"""
import os
import re
import struct
import subprocess
import threading

import case
from case import Failed, eq, later, need, port, temp_dir, until
from origin import Origin
from redis import token
from weir import listening
from wire import Client as WireClient
from wire import Ended

__all__ = ["token"]

# DIRECT=1: see redis.py.
DIRECT = os.environ.get("DIRECT") == "1"


def through(*origins, pool="", front="", up="", **more):
    """The usual weir: its clients speak memcached to it."""
    from weir import Weir, one
    if DIRECT:
        return Weir(one(*origins, protocol="tcp"))
    return Weir(one(*origins, protocol="memcached", pool=pool, front=front,
                    up=up, **more))


def upstreams(w, origin, most, least=1):
    """How many connections were made upstream."""
    if DIRECT:
        return
    made = w.upstream()["connects_total"]
    if not least <= made <= most:
        raise Failed("%d upstream connections, wanted %d to %d" % (
            made, least, most))


def data(b):
    return b if isinstance(b, (bytes, bytearray)) else str(b).encode()


class Client(WireClient):
    """Text and meta: strict lines, strict data blocks."""

    def line(self):
        got = self.read_until(b"\r\n")[:-2]
        if b"\n" in got or b"\r" in got:
            raise Failed("a bare CR or LF in %r" % got)
        return got

    def ask(self, text):
        """One line for one line, both without their ends."""
        return self.send(data(text) + b"\r\n").line()

    def put(self, key, value, verb="set", flags=0, more=""):
        """The bytes of a storage command."""
        value = data(value)
        return b"%s %s %d 0 %d%s\r\n%s\r\n" % (
            data(verb), data(key), flags, len(value),
            b" " + data(more) if more else b"", value)

    def set(self, key, value, **options):
        return self.send(self.put(key, value, **options)).line()

    def stored(self, key, value, **options):
        eq(self.set(key, value, **options), b"STORED", "set of %s" % key)
        return self

    def values(self):
        """The reply to get and its like: [(key, flags, value, cas)]."""
        got = []
        while True:
            line = self.line()
            if line == b"END":
                return got
            found = re.fullmatch(rb"VALUE (\S+) (\d+) (\d+)(?: (\d+))?", line)
            if not found:
                raise Failed("no VALUE: %r" % line[:200])
            value = self.read_exact(int(found[3]) + 2)
            eq(value[-2:], b"\r\n", "end of a value")
            got.append((found[1], int(found[2]), value[:-2],
                        int(found[4]) if found[4] else None))

    def gets(self, *keys, verb="get"):
        """{key: value}."""
        self.send(b" ".join(map(data, (verb, *keys))) + b"\r\n")
        return {k: v for k, _, v, _ in self.values()}

    def get(self, key):
        return self.gets(key).get(data(key))

    def meta(self):
        """One reply of a meta command: (words, value or None)."""
        words = self.line().split(b" ")
        if words[0] != b"VA":
            return words, None
        value = self.read_exact(int(words[1]) + 2)
        eq(value[-2:], b"\r\n", "end of a value")
        return words, value[:-2]

    def prove(self):
        """What comes next answers what is asked next."""
        t = token()
        key = b"prove-" + t
        self.send(self.put(key, t) + b"get " + key + b"\r\ndelete " + key +
                  b"\r\n")
        eq(self.line(), b"STORED", "set")
        eq(self.values(), [(key, 0, t, None)], "get")
        eq(self.line(), b"DELETED", "delete")
        eq(bytes(self.buf), b"", "bytes that nobody asked for")
        return self

    def closed(self, how=None):
        eq(self.read_to_end(), b"", "bytes before the end")
        if how:
            eq(self.ended, how, "how the connection ended")


OPS = {name: n for n, name in enumerate(
    "get set add replace delete increment decrement quit flush getq noop "
    "version getk getkq append prepend stat setq addq replaceq deleteq "
    "incrementq decrementq quitq flushq appendq prependq".split())}
OPS.update(touch=0x1c, gat=0x1d, gatq=0x1e)


def packet(op, key=b"", value=b"", extras=b"", opaque=0, cas=0):
    key, value = data(key), data(value)
    return struct.pack("!BBHBBHIIQ", 0x80, OPS[op], len(key), len(extras), 0,
                       0, len(extras) + len(key) + len(value), opaque, cas) + \
        extras + key + value


def setting(flags=0, expires=0):
    return struct.pack("!II", flags, expires)


class Binary(WireClient):
    """The binary protocol."""

    def reply(self):
        """(operation, status, opaque, key, value, extras, cas)."""
        head = self.read_exact(24)
        magic, op, key, extras, kind, status, body, opaque, cas = \
            struct.unpack("!BBHBBHIIQ", head)
        eq((magic, kind), (0x81, 0), "magic, data type")
        rest = self.read_exact(body)
        return (op, status, opaque, rest[extras:extras + key],
                rest[extras + key:], rest[:extras], cas)

    def ask(self, op, key=b"", value=b"", extras=b"", opaque=7, cas=0):
        """(status, value); operation and opaque are checked."""
        self.send(packet(op, key, value, extras, opaque, cas))
        got = self.reply()
        eq((got[0], got[2]), (OPS[op], opaque), "operation, opaque")
        return got[1], got[4]

    def prove(self):
        t = token()
        eq(self.ask("set", b"prove-" + t, t, setting(), 1)[0], 0, "set")
        eq(self.ask("get", b"prove-" + t, opaque=2), (0, t), "get")
        eq(self.ask("delete", b"prove-" + t, opaque=3)[0], 0, "delete")
        eq(bytes(self.buf), b"", "bytes that nobody asked for")
        return self


class Memcached:
    """A real memcached on a free port. For balanced() it counts connections
    as a scripted origin does, without its own."""

    def __init__(self, *options, number=None):
        self.program = need("memcached")
        self.number = number or port()
        self.options = options
        self.errors = []
        self.process = self.desk = None
        self.mine = 0
        later(self.stop)
        self.start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.number

    def start(self):
        path = os.path.join(temp_dir(), "memcached%d.out" % self.number)
        user = ["-u", "root"] if os.getuid() == 0 else []
        with open(path, "ab") as out:
            self.process = subprocess.Popen(
                [self.program, "-p", str(self.number), "-l", "127.0.0.1",
                 "-U", "0", "-t", "2", "-m", "256", *user, *self.options],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=case.die_with_parent)

        def up():
            if self.process.poll() is not None:
                with open(path, errors="replace") as f:
                    raise Failed("memcached: " + f.read()[-2000:])
            return listening(self.number)
        until(up, "memcached listening")
        self.desk = Client(self.number)
        self.base = self.stats()
        self.mine = 0

    def stop(self):
        if self.desk is not None:
            self.desk.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def client(self, kind=Client):
        """A client of its own, beside weir. It must stay open."""
        self.mine += 1
        return kind(self.number)

    def stats(self):
        self.desk.send(b"stats\r\n")
        table = {}
        while True:
            words = self.desk.line().split(b" ", 2)
            if words[0] == b"END":
                return table
            table[words[1].decode()] = words[2].decode()

    def since(self, name):
        return int(self.stats()[name]) - int(self.base[name])

    @property
    def open(self):
        return self.since("curr_connections") - self.mine

    @property
    def accepted(self):
        return self.since("total_connections") - self.mine


class MemcachedOrigin(Origin):
    """A scripted memcached for text and meta: answer(line, value, link) is
    asked for each command, with the value of a storage command, and returns
    the bytes to send. version is answered by itself."""

    STORES = {b"set", b"add", b"replace", b"append", b"prepend", b"cas"}

    def __init__(self, answer, **options):
        self.answer = answer
        self.commands = []
        self.said = threading.Lock()
        super().__init__(self._script, **options)

    def _script(self, link):
        link.limit = None
        while True:
            try:
                line = link.read_until(b"\r\n")[:-2]
                words = line.split(b" ")
                value = None
                if words[0] in self.STORES:
                    value = link.read_exact(int(words[4]) + 2)[:-2]
                elif words[0] == b"ms":
                    value = link.read_exact(int(words[2]) + 2)[:-2]
            except Ended:
                return
            with self.said:
                self.commands.append((link.number, line))
            if line == b"version":
                link.send(b"VERSION 1.6.18\r\n")
                continue
            if line == b"mn":
                link.send(b"MN\r\n")
                continue
            got = self.answer(line, value, link)
            if got:
                link.send(got)
            if link.sock.fileno() < 0:
                return          # it has reset the connection

    def asked(self, verb):
        with self.said:
            return sum(line.split(b" ")[0] == data(verb)
                       for _, line in self.commands)
