#!/usr/bin/env python3
"""Where twemproxy (nutcracker) puts keys and where weir's ring does: the same
server for each key, whatever the hash, ring, tag, weights and labels. The real
nutcracker writes through to real servers, which are then asked what they have.
"""
# SPDX-License-Identifier: MIT
import os
import random
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Aside, Failed, case, check, die_with_parent, eq, later, need, port
from case import put, run, temp_dir, until
from weir import Conf, Weir, command

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KEYS = 2000
FUNCTIONS = ("one_at_a_time md5 crc16 crc32 crc32a fnv1_64 fnv1a_64 fnv1_32 "
             "fnv1a_32 hsieh murmur jenkins").split()
RINGS = ("ketama", "modula", "random")


# ------------------------------------------------------------------- programs

def launch(name, argv, ready):
    """Start a program and wait until it serves; it ends with the case."""
    said = os.path.join(temp_dir(), "%s-%d.out" % (name, port()))
    with open(said, "wb") as out:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                             stderr=out, preexec_fn=die_with_parent)

    def end():
        p.kill()
        p.wait()
    later(end)

    def up():
        if p.poll() is not None:
            with open(said, errors="replace") as f:
                raise Failed("%s ended: %s" % (name, f.read()[-2000:]))
        return ready()
    until(up, "%s serving" % name)
    return p


def takes(where):
    """Can one connect there?"""
    try:
        dial(where).close()
    except OSError:
        return False
    return True


def dial(where):
    if isinstance(where, str):
        s = socket.socket(socket.AF_UNIX)
        s.connect(where)
    else:
        s = socket.create_connection(where)
    s.settimeout(20)
    return s


class Redis:
    """A real Redis on TCP and on a Unix socket."""

    def __init__(self, host="127.0.0.1", number=None):
        self.host, self.number = host, number or port()
        self.path = os.path.join(temp_dir(), "r%s-%d" % (host, self.number))
        self.process = launch(
            "redis", [need("redis-server"), "--bind", host, "--port",
                      str(self.number), "--unixsocket", self.path, "--save",
                      "", "--appendonly", "no", "--dir", temp_dir()],
            lambda: takes((host, self.number)) and takes(self.path))
        self.wire = dial((host, self.number))
        self.file = self.wire.makefile("rb")

    def keys(self):
        """All that it has, and nothing is left there."""
        send(self.wire, [(b"KEYS", b"*"), (b"FLUSHALL",)])
        got = read_reply(self.file)
        read_reply(self.file)
        return set(got)


class Memcached:
    def __init__(self, host, number):
        self.host, self.number = host, number
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self.process = launch(
            "memcached", [need("memcached"), "-l", host, "-p", str(number),
                          "-U", "0", "-t", "1", "-m", "16"] + user,
            lambda: takes((host, number)))

    def keys(self, asked):
        with dial((self.host, self.number)) as s:
            s.sendall(b"".join(b"get %s\r\n" % k for k in asked))
            file, got = s.makefile("rb"), set()
            for _ in asked:
                line = file.readline()
                if line.startswith(b"VALUE "):
                    got.add(line.split()[1])
                    file.readline(), file.readline()
            s.sendall(b"flush_all\r\n")
            eq(file.readline(), b"OK\r\n", "flush_all")
        return got


def send(s, commands):
    s.sendall(b"".join(
        b"*%d\r\n" % len(c) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a)
                                       for a in c) for c in commands))


def read_reply(file):
    line = file.readline()
    if line[:1] == b"*":
        return [read_reply(file) for _ in range(int(line[1:]))]
    if line[:1] == b"$":
        return file.read(int(line[1:]) + 2)[:-2]
    return line[:-2]


class Pool:
    """One pool of nutcracker, and the same for key_dump. Servers are
    (server, name or None, weight); unix: by their sockets."""

    def __init__(self, servers, function="fnv1a_64", ring="ketama", tag="",
                 unix=False, redis=True, eject=False):
        self.number = port()
        self.servers, self.function, self.ring = servers, function, ring
        self.tag, self.unix, self.redis, self.eject = tag, unix, redis, eject

    def text(self):
        rows = []
        for s, name, weight in self.servers:
            at = s.path if self.unix else "%s:%d" % (s.host, s.number)
            rows.append("  - %s:%d%s" % (at, weight,
                                         " " + name if name else ""))
        more = '  hash_tag: "%s"\n' % self.tag if self.tag else ""
        if self.eject:
            more += "  auto_eject_hosts: true\n  server_failure_limit: 1\n" \
                "  server_retry_timeout: 600000\n"
        return "p%d:\n  listen: 127.0.0.1:%d\n  hash: %s\n  distribution: " \
            "%s\n  redis: %s\n%s  servers:\n%s\n" % (
                self.number, self.number, self.function, self.ring,
                "true" if self.redis else "false", more, "\n".join(
                    "  " + r for r in rows))

    def said(self, dump, keys, gone=None):
        """The ring's word for each key, by index of the server."""
        lines = ["%d %d %s %d" % (FUNCTIONS.index(self.function),
                                  RINGS.index(self.ring), self.tag or "-",
                                  len(self.servers))]
        for s, name, weight in self.servers:
            lines.append("%s %s %d %d %d" % (
                name or "-", s.path if self.unix else s.host,
                0 if self.unix else s.number, weight, s is not gone))
        lines += [k.hex() for k in keys]
        r = subprocess.run([dump], input="\n".join(lines), text=True,
                           stdout=subprocess.PIPE, timeout=60, check=True)
        return dict(zip(keys, map(int, r.stdout.split())))

    def weir(self, workers):
        """A weir in front of the same servers."""
        rows = []
        for s, name, weight in self.servers:
            rows.append('{ %saddress = "%s"; weight = %d; }' % (
                'name = "%s"; ' % name if name else "",
                "unix:" + s.path if self.unix else "%s:%d" % (
                    s.host, s.number), weight))
        conf = Conf(workers).listener("front", "back", "redis").upstream(
            "back", *rows, extra='balance = "key_hash"; key_hash = { function '
            '= "%s"; ring = "%s"; tag = "%s"; };' % (
                self.function, self.ring, self.tag))
        if "redis has no keys" in command("-t", "-c", put(
                "try.conf", conf.text())).stderr:
            raise Aside("redis does not go by keys in this weir")
        return Weir(conf)

    def __str__(self):
        return "%s %s tag %r%s" % (self.function, self.ring, self.tag,
                                   " unix" if self.unix else "")


def nutcracker(pools):
    number = port()
    conf = put("nutcracker-%d.yml" % number, "".join(p.text() for p in pools))
    launch("nutcracker", [
        need("nutcracker"), "-c", conf, "-s", str(number), "-a", "127.0.0.1",
        "-p", os.path.join(temp_dir(), "nutcracker-%d.pid" % number),
        "-o", os.path.join(temp_dir(), "nutcracker-%d.log" % number)],
        lambda: all(takes(("127.0.0.1", p.number)) for p in pools))


def build_dump():
    cc = os.environ.get("CC", "cc").split()
    need(cc[0])
    dump = os.path.join(temp_dir(), "key_dump")
    if os.path.exists(dump):
        return dump
    subprocess.check_call(
        cc + ["-std=c11", "-D_GNU_SOURCE", "-O1", "-I" + ROOT, "-o", dump,
              os.path.join(HERE, "key_dump.c")] +
        [os.path.join(ROOT, name + ".c") for name in (
            "pool/keyring", "pool/keyhash", "net/patient")] +
        ["-lcrypto", "-lm"])
    return dump


# ----------------------------------------------------------------------- keys

def make_keys(seed, tags=False, text=False):
    """All lengths up to 40, then longer ones; half of any bytes; tags: many
    with braces and dollars, well formed and not."""
    dice = random.Random(seed)
    signs = b"abcdefghijklmnopqrstuvwxyz0123456789:._-"
    odd = bytes(range(0x21, 0x7f)) + bytes(range(0x80, 0x100)) if text else \
        bytes(range(256))
    keys, turn = set(), 0
    while len(keys) < KEYS:
        turn += 1
        n = turn % 40 + 1 if len(keys) < KEYS - 100 else \
            dice.randrange(40, 200)
        of = odd if turn // 40 % 2 else signs
        k = bytes(dice.choice(of) for _ in range(n))
        if tags and n > 3:
            parts = [bytes([dice.choice(b"{}$")]) if dice.random() < 0.3 else
                     k[i:i + 1] for i in range(n)]
            k = b"".join(parts)
        keys.add(k)
    return sorted(keys)


def went(pool, keys):
    """Send all keys through nutcracker; where each one has come."""
    with dial(("127.0.0.1", pool.number)) as s:
        file = s.makefile("rb")
        for i in range(0, len(keys), 100):
            some = keys[i:i + 100]
            send(s, [(b"SET", k, b"x") for k in some])
            for k in some:
                eq(read_reply(file), b"+OK", "%s: SET %r" % (pool, k))
    return gathered(keys, [r[0].keys() for r in pool.servers
                           if r[0].process.poll() is None],
                    [i for i, r in enumerate(pool.servers)
                     if r[0].process.poll() is None])


def gathered(keys, sets, indexes):
    where = {}
    for i, got in zip(indexes, sets):
        for k in got:
            check(k not in where, "%r is on two servers" % k)
            where[k] = i
    eq(set(where), set(keys), "keys on the servers")
    return where


def compare(pool, keys, where, gone=None):
    said = pool.said(build_dump(), keys, gone)
    wrong = [k for k in keys if said[k] != where[k]]
    check(not wrong, "%s: %d of %d keys elsewhere, the first is %r: "
          "nutcracker %s, weir %s" % (
              pool, len(wrong), len(keys), wrong and wrong[0],
              wrong and where[wrong[0]], wrong and said[wrong[0]]))
    return len(set(where.values()))


def compare_all(pools, seed, **how):
    nutcracker(pools)
    keys = make_keys(seed, **how)
    for pool in pools:
        used = compare(pool, keys, went(pool, keys))
        # Of 15 bits, all are below a ketama ring's first points.
        check(used > 1 or (pool.function, pool.ring) == ("crc32", "ketama"),
              "%s: one server has all keys" % pool)
    print("# %d pools, %d keys each" % (len(pools), len(keys)))


# ---------------------------------------------------------------------- cases

@case
def every_function_on_every_ring():
    redis = [Redis() for _ in range(5)]
    servers = [(r, None, 1) for r in redis]
    compare_all([Pool(servers, f, r) for f in FUNCTIONS
                 for r in ("ketama", "modula")], 1)


@case
def tags():
    redis = [Redis() for _ in range(4)]
    servers = [(r, None, 1) for r in redis]
    compare_all([Pool(servers, f, r, t) for t in ("{}", "$$", "}{")
                 for f, r in (("fnv1a_64", "ketama"), ("crc16", "modula"),
                              ("md5", "ketama"))], 2, tags=True)


@case
def weights_names_and_sockets():
    redis = [Redis() for _ in range(6)]
    names = ["alpha", "b", "gamma-server.example", None, "node-10", "node-9"]
    weights = [1, 3, 10, 2, 7, 1]
    plain = [(r, None, 1) for r in redis]
    weighted = [(r, None, w) for r, w in zip(redis, weights)]
    named = [(r, n, 1) for r, n in zip(redis, names)]
    both = [(r, n, w) for r, n, w in zip(redis, names, weights)]
    far_apart = [(r, None, w) for r, w in zip(redis, (1000, 1, 500, 33, 7,
                                                      999))]
    sets = [weighted, named, both, far_apart, list(reversed(both)), plain[:2],
            weighted[:3]]
    pools = [Pool(s, "fnv1a_64", r) for s in sets for r in ("ketama",
                                                            "modula")]
    pools += [Pool(s, "murmur", r, unix=True) for s in (plain, both)
              for r in ("ketama", "modula")]
    compare_all(pools, 3)


@case
def one_server_has_all_keys():
    redis = Redis()
    pools = [Pool([(redis, None, 1)], f, r) for f in ("md5", "fnv1a_64")
             for r in RINGS]
    nutcracker(pools)
    keys = make_keys(4)
    for pool in pools:
        eq(compare(pool, keys, went(pool, keys)), 1, "servers")


@case
def port_11211_is_no_part_of_a_label():
    # Addresses of loopback that nobody else uses have that port free.
    hosts = ["127.%d.%d.%d" % (random.randrange(2, 250), random.randrange(
        1, 250), i + 1) for i in range(3)]
    servers = [Memcached(h, 11211) for h in hosts]
    servers.append(Memcached("127.0.0.1", port()))
    names = [None, "m1", None, None]
    pools = [Pool([(s, None, 1) for s in servers], "fnv1a_64", "ketama",
                  redis=False),
             Pool([(s, n, i + 1) for i, (s, n) in enumerate(zip(
                 servers, names))], "jenkins", "ketama", redis=False),
             Pool([(s, n, 1) for s, n in zip(servers, names)], "hsieh",
                  "modula", redis=False)]
    nutcracker(pools)
    keys = make_keys(5, text=True)
    for pool in pools:
        with dial(("127.0.0.1", pool.number)) as s:
            file = s.makefile("rb")
            for i in range(0, len(keys), 100):
                some = keys[i:i + 100]
                s.sendall(b"".join(b"set %s 0 0 1\r\nx\r\n" % k
                                   for k in some))
                for k in some:
                    eq(file.readline(), b"STORED\r\n", "set %r" % k)
        used = compare(pool, keys, gathered(keys, [
            s.keys(keys) for s in servers], range(len(servers))))
        check(used > 1, "one server has all keys")


@case
def keys_of_an_ejected_server_move_alike():
    redis = [Redis() for _ in range(4)]
    servers = [(r, None, w) for r, w in zip(redis, (1, 2, 1, 5))]
    pools = [Pool(servers, "fnv1a_64", r, eject=True) for r in ("ketama",
                                                                "modula")]
    nutcracker(pools)
    keys = make_keys(6)
    before = [went(p, keys) for p in pools]
    gone = redis[1]
    gone.process.kill()
    gone.process.wait()
    for pool, was in zip(pools, before):
        compare(pool, keys, was)
        lost = [k for k in keys if was[k] == 1]

        def ejected():
            with dial(("127.0.0.1", pool.number)) as s:
                send(s, [(b"SET", lost[0], b"x")])
                return read_reply(s.makefile("rb")) == b"+OK"
        until(ejected, "the dead server ejected")
        compare(pool, keys, went(pool, keys), gone)


@case
def weir_finds_what_nutcracker_has_written():
    redis = [Redis() for _ in range(5)]
    plain = [(r, None, 1) for r in redis]
    mixed = [(r, n, w) for r, n, w in zip(
        redis, ["alpha", None, "node-10", "node-9", None], [1, 4, 2, 9, 3])]
    pools = [Pool(plain), Pool(plain, "md5", "modula", "{}"),
             Pool(mixed, "murmur", "ketama", "$$"),
             Pool(mixed, "hsieh", "ketama", unix=True)]
    nutcracker(pools)
    keys = make_keys(7, tags=True)
    for workers, pool in enumerate(pools, 1):
        with dial(("127.0.0.1", pool.number)) as s:
            send(s, [(b"SET", k, b"<%s>" % k) for k in keys])
            file = s.makefile("rb")
            for k in keys:
                eq(read_reply(file), b"+OK", "SET")
        w = pool.weir(workers % 2 + 1)
        with dial(("127.0.0.1", w.conf.ports["front"])) as s:
            file = s.makefile("rb")
            for i in range(0, len(keys), 100):
                send(s, [(b"GET", k) for k in keys[i:i + 100]])
                for k in keys[i:i + 100]:
                    eq(read_reply(file), b"<%s>" % k, "%s: GET" % pool)
            # And what weir writes is where nutcracker writes it.
            send(s, [(b"SET", k, b"w") for k in keys])
            for k in keys:
                eq(read_reply(file), b"+OK", "SET through weir")
        gathered(keys, [r.keys() for r in redis], range(len(redis)))
        w.clean()


run()
