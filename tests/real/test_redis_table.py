#!/usr/bin/env python3
"""The table of Redis commands against the server that is installed: each of
its commands has a row that says the same of keys, "write" and "movable", and
the keys of generated commands are those that COMMAND GETKEYS names.
"""
# SPDX-License-Identifier: MIT
import os
import random
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import WAIT, case, check, eq, later, need, port, temp_dir
from case import run as run_cases
from programs import start

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# Of 7.2, which the server may not have; and what no server lists.
ADDED = {"waitaof", "client|no-touch", "client|setinfo", "cluster|myshardid"}
UNLISTED = {"host:", "post"}


class Redis:
    """A server of its own, and one connection to it."""

    def __init__(self):
        number = port()
        start("redis", number, [
            need("redis-server"), "--port", str(number), "--bind", "127.0.0.1",
            "--save", "", "--dir", temp_dir()])
        sock = socket.create_connection(("127.0.0.1", number), WAIT)
        later(sock.close)
        self.sock, self.file = sock, sock.makefile("rb")
        later(self.file.close)

    def ask(self, *words):
        self.sock.sendall(encode(words))
        return self.read()

    def read(self):
        line = self.file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        check(kind in (b"+", b"-", b":"), "a reply of RESP2: %r" % line)
        return int(rest) if kind == b":" else line


def encode(words):
    words = [w if isinstance(w, bytes) else w.encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def build():
    cc = os.environ.get("CC", "cc").split()
    need(cc[0])
    dump = os.path.join(temp_dir(), "redis_table_dump")
    folder = os.path.join(ROOT, "proxy", "proto", "redis")
    subprocess.check_call(
        cc + ["-std=c11", "-D_GNU_SOURCE", "-O1", "-I" + ROOT, "-o", dump,
              os.path.join(HERE, "redis_table_dump.c")] +
        [os.path.join(folder, name) for name in sorted(os.listdir(folder))
         if name.split(".")[0] in ("commands", "table") and name[-2:] == ".c" or
         name.startswith("resp") and name[-2:] == ".c"])
    return dump


def rows(dump):
    """name: (container, write, movable, first, last, step)"""
    out = subprocess.check_output([dump, "rows"], text=True)
    table = [line.split() for line in out.splitlines()]
    return {r[0]: tuple(int(x) for x in r[1:]) for r in table}


def listed(redis):
    """The same as the server has it."""
    table = {}

    def add(entry):
        name, _, flags, first, last, step = entry[:6]
        table[name.decode()] = (
            int(bool(entry[9])), int(b"+write" in flags),
            int(b"+movablekeys" in flags), first, last, step)
        for sub in entry[9]:
            add(sub)
    for entry in redis.ask("COMMAND"):
        add(entry)
    return table


def key_specs(redis):
    """name: does any of its "keys" stand for something else (a channel)?"""
    table = {}

    def add(entry):
        table[entry[0].decode()] = any(
            b"+not_key" in spec[spec.index(b"flags") + 1] for spec in entry[8])
        for sub in entry[9]:
            add(sub)
    for entry in redis.ask("COMMAND"):
        add(entry)
    return table


@case
def each_command_of_the_server_has_its_row():
    redis, ours = Redis(), rows(build())
    theirs = listed(redis)
    check(len(theirs) > 300, "%d commands listed" % len(theirs))
    docs = redis.ask("COMMAND", "DOCS")[::2]
    eq(sorted(n.decode() for n in docs if n.decode() not in ours), [],
       "documented without a row")
    missing = sorted(set(theirs) - set(ours))
    eq(missing, [], "listed without a row")
    for name in sorted(theirs):
        eq(ours[name], theirs[name], "row of %s (container, write, movable, "
           "first, last, step)" % name)
    eq(sorted(set(ours) - set(theirs) - ADDED - UNLISTED), [],
       "rows of no command")


@case
def info_of_each_row_is_the_same_by_name():
    """Subcommands as well, as COMMAND INFO finds them."""
    redis, ours = Redis(), rows(build())
    for name in sorted(set(ours) - ADDED - UNLISTED):
        entry = redis.ask("COMMAND", "INFO", name.upper())[0]
        check(entry is not None, "COMMAND INFO %s knows nothing" % name)
        eq(entry[0].decode(), name, "name")
        eq(ours[name][3:], tuple(entry[3:6]), "keys of %s" % name)


# ---------------------------------------------------------------------- keys

# What may stand in a key: words that are options elsewhere, too.
WORDS = ["a", "bb", "", "store", "BY", "get", "limit", "count", "block", "keys",
         "1", "0", "-1", "{tag}x", "a\r\n$1", "w" * 40, "auth", "copy"]
SAFE = ["a", "bb", "", "{tag}x", "k1", "w" * 40, "a\r\n$1"]


def some(rng, least=1, most=5, words=WORDS):
    return [rng.choice(words) for _ in range(rng.randint(least, most))]


def counted(rng, *before):
    keys = some(rng)
    return [*before, str(len(keys)), *keys]


def streams(rng):
    keys = some(rng, words=SAFE)
    return ["streams", *keys, *(rng.choice(["0", "$", "1-1"]) for _ in keys)]


def options(rng, *choices):
    """Some of the options, each at most once, in any order."""
    picked = [c for c in choices if rng.random() < 0.5]
    rng.shuffle(picked)
    return [word for option in picked for word in option]


def key(rng):
    return rng.choice(WORDS)


# Movable ones: name and what follows it. GETKEYS looks for STREAMS and STORE
# anywhere, the commands themselves only where an option may be: so neither is
# a group, a member or a stored key here. Where the two differ, the unit tests
# say what the command does.
SHAPES = [
    (("eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"),
     lambda r: counted(r, "script") + some(r, 0)),
    (("eval", "fcall_ro"), lambda r: ["script", "0"] + some(r, 0)),
    (("zunion", "zinter", "zdiff", "zintercard", "sintercard"),
     lambda r: counted(r) + options(r, ["withscores"], ["limit", "2"])),
    (("zunionstore", "zinterstore", "zdiffstore"),
     lambda r: counted(r, key(r)) + options(r, ["aggregate", "max"])),
    (("lmpop", "zmpop"), lambda r: counted(r) + ["left", "count", "2"]),
    (("blmpop", "bzmpop"), lambda r: counted(r, "0") + ["left"]),
    (("xread",), lambda r: options(r, ["count", "2"], ["block", "0"]) +
     streams(r)),
    (("xreadgroup",), lambda r: ["group", "g", "c"] + options(
        r, ["count", "2"], ["block", "0"], ["noack"]) + streams(r)),
    (("migrate",), lambda r: ["h", "1", r.choice(SAFE), "0", "10"] + options(
        r, ["copy"], ["replace"], ["auth", "keys"])),
    (("migrate",), lambda r: ["h", "1", "", "0", "10"] + options(
        r, ["copy"], ["replace"], ["auth2", "keys", "auth"]) +
     ["keys"] + some(r)),
    (("sort",), lambda r: [key(r)] + options(
        r, ["limit", "0", "5"], ["by", "store"], ["get", "store"], ["alpha"],
        ["store", r.choice(SAFE)], ["get", "limit"], ["desc"])),
    (("sort_ro",), lambda r: [key(r)] + options(
        r, ["by", "w_*"], ["get", "#"], ["alpha"])),
    (("georadius",), lambda r: [r.choice(SAFE), "1", "2", "3", "km"] + options(
        r, ["withdist"], ["count", "3"], ["asc"]) +
     r.choice([[], ["store", r.choice(SAFE)], ["storedist", r.choice(SAFE)]])),
    (("georadiusbymember",), lambda r: [r.choice(SAFE), "m", "3", "km"] +
     options(r, ["withdist"], ["count", "3"], ["asc"]) +
     r.choice([[], ["store", r.choice(SAFE)], ["storedist", r.choice(SAFE)]])),
]


def by_position(rng, arities, name):
    """Arguments that the command's arity and positions allow."""
    arity, first, last, step = arities[name]
    words = name.split("|")
    # GETKEYS wants a source of PFMERGE, which itself does without.
    size = 3 if name == "pfmerge" else abs(arity)
    if arity < 0:
        size += rng.randint(0, 4)
    if last < 0 and step == 2:
        size += (size - first) % 2
    return words + [rng.choice(WORDS) for _ in range(size - len(words))]


def generated(redis, table, fake):
    rng = random.Random(7)
    arities = {}

    def add(entry):
        arities[entry[0].decode()] = (entry[1], *entry[3:6])
        for sub in entry[9]:
            add(sub)
    for entry in redis.ask("COMMAND"):
        add(entry)
    made = [[name, *shape(rng)] for names, shape in SHAPES for name in names
            for _ in range(25)]
    for name in sorted(table):
        _, _, movable, first, _, _ = table[name]
        if first and not movable and not fake[name]:
            made += [by_position(rng, arities, name) for _ in range(5)]
    return made


@case
def keys_are_those_of_getkeys():
    redis, dump = Redis(), build()
    table = listed(redis)
    commands = generated(redis, table, key_specs(redis))
    out = subprocess.run([dump, "keys"], stdout=subprocess.PIPE, check=True,
                         input=b"".join(encode(c) for c in commands)).stdout
    lines = out.decode().split("\n")[:-1]
    eq(len(lines), len(commands), "answers")
    with_keys = 0
    for command, line in zip(commands, lines):
        check(line != "unknown", "no row for %r" % command)
        ours = [b"" if w == "-" else bytes.fromhex(w) for w in line.split()]
        theirs = redis.ask("COMMAND", "GETKEYS", *command)
        eq(ours, theirs, "keys of %r" % (command,))
        with_keys += bool(ours)
    check(with_keys > 1000, "%d commands with keys" % with_keys)
    print("# %d commands, %d with keys" % (len(commands), with_keys))


run_cases()
