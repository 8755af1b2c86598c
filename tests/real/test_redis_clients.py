"""Real clients of Redis through weir: redis-cli, redis-benchmark, redis-py,
ioredis and node-redis find what they find without it.
"""
# SPDX-License-Identifier: MIT
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import BRIEF, SLOW, Skip, case, check, die_with_parent, eq, need
from case import run as run_cases
from npm import play
from programs import HERE, run
from redis import RedisServer
from weir import Weir, one

EACH = "4000" if BRIEF else "20000"         # requests of a benchmark

def pair(pool="max = 16;", workers=1):
    server = RedisServer()
    w = Weir(one(server, protocol="redis", pool=pool, workers=workers))
    return server, w, str(w.conf.ports["front"])


def ended(w, server, most=16):
    w.balanced(server)
    made = w.upstream()["connects_total"]
    check(1 <= made <= most, "%d upstream connections" % made)


@case
def redis_cli_says_the_same():
    server, w, number = pair()
    script = "\n".join([
        "SET k v", "GET k", "INCR n", "LPUSH l a b c", "LRANGE l 0 -1",
        "HSET h f 1 g 2", "HGETALL h", "MULTI", "INCR n", "GET k", "EXEC",
        "SELECT 3", "SET k three", "GET k", "SELECT 0", "GET k", "NOSUCH",
        "EVAL 'return {1,ARGV[1]}' 0 x", "WATCH k", "UNWATCH", "DEL l",
        "CLIENT SETNAME me", "CLIENT GETNAME", "BLPOP none 0.01",
        "EXPIRE k 100", "OBJECT ENCODING n", "TYPE h", "PING", "ECHO hello",
        "HELLO 3", "GET none", "HGETALL h", "ZADD z 1.5 m", "ZSCORE z m",
        "FLUSHALL", ""]).encode()
    cli = need("redis-cli")
    here = run(cli, "-p", number, data=script)
    there = run(cli, "-p", str(server.number), data=script)
    # HELLO tells of the connection.
    strip = re.compile(r"^.*\bid\b.*$", re.M)
    eq(strip.sub("", here), strip.sub("", there), "what redis-cli printed")
    ended(w, server)


@case
def redis_cli_with_its_modes():
    server, w, number = pair()
    cli = need("redis-cli")
    run(cli, "-p", number, "-n", "2", "SET", "k", "two")
    eq(run(cli, "-p", number, "-n", "2", "GET", "k"), "two\n", "-n 2")
    eq(run(cli, "-p", number, "GET", "k"), "\n", "-n 0")
    eq(run(cli, "-3", "-p", number, "--no-raw", "GET", "k"), "(nil)\n", "-3")
    eq(run(cli, "-p", number, "-r", "5", "INCR", "n"), "1\n2\n3\n4\n5\n",
       "-r 5")
    eq(run(cli, "-p", number, "-x", "SET", "b", data=b"a" * 200000), "OK\n",
       "-x")
    mass = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n" % (
        len(k), k) for k in (b"m%d" % n for n in range(20000)))
    out = run(cli, "-p", number, "--pipe", data=mass)
    check("errors: 0, replies: 20000" in out, out)
    out = run(cli, "-p", number, "--scan", "--pattern", "m*")
    eq(len(out.split()), 20000, "--scan")
    out = run(cli, "-p", number, "--bigkeys")
    check("Biggest string found" in out, out[-300:])
    ended(w, server)


@case
def redis_benchmark_to_its_end():
    # Fifty large commands at once are fifty connections.
    server, w, number = pair("max = 128;", workers=2)
    out = run(need("redis-benchmark"), "-p", number, "-n", EACH, "-c", "50",
              "-q", "--csv", timeout=100)
    rows = [line.split(",") for line in out.strip().splitlines()[1:]]
    check(len(rows) >= 18, "tests: %r" % out)
    for args in (("-P", "16", "-t", "set,get,incr"), ("-3", "-t", "get"),
                 ("--threads", "2", "-t", "set,get"),
                 ("-d", "100000", "-n", "500", "-t", "set,get"),
                 ("-r", "1000", "-t", "lpush,lpop,sadd,zadd"),
                 ("-n", "1000", "EVAL", "return ARGV[1]", "0", "x")):
        run(need("redis-benchmark"), "-p", number, "-n", EACH, "-c", "50",
            "-q", *args, timeout=60)
    ended(w, server, 128)


PYTHON = '''
import sys, threading
import redis
number = int(sys.argv[1])
def new(**more):
    return redis.Redis(port=number, **more)
r = new()
assert r.ping() and r.set("k", "v") and r.get("k") == b"v"
r3 = new(db=3, client_name="three")
assert r3.get("k") is None and r3.client_getname() in (b"three", "three")
assert r.client_getname() is None
with r.pipeline() as p:
    assert p.set("a", 1).incr("a").get("a").execute() == [True, 2, b"2"]
with r.pipeline(transaction=False) as p:
    for n in range(1000):
        p.set("p%d" % n, n)
    assert all(p.execute())
with r.pipeline() as p:
    p.watch("k")
    r.set("k", "w")
    p.multi()
    p.set("k", "x")
    try:
        p.execute()
        assert False
    except redis.WatchError:
        pass
assert r.transaction(lambda p: p.multi() or p.set("t", 1),
                     "t") == [True]
with r.lock("lock", timeout=5):
    assert r.exists("lock")
twice = r.register_script("return redis.call('get', KEYS[1]) .. ARGV[1]")
assert twice(keys=["k"], args=["!"]) == b"w!"
got = []
t = threading.Thread(target=lambda: got.append(r.blpop("list", 10)))
t.start()
r.rpush("list", "x")
t.join()
assert got == [(b"list", b"x")]
sub = r.pubsub()
sub.subscribe("c")
assert sub.get_message(timeout=5)["type"] == "subscribe"
assert r.publish("c", "hello") == 1
assert sub.get_message(timeout=5)["data"] == b"hello"
sub.psubscribe("p*")
assert sub.get_message(timeout=5)["type"] == "psubscribe"
sub.unsubscribe()
sub.punsubscribe()
sub.close()
r.xadd("s", {"f": "v"})
assert len(r.xread({"s": 0})) == 1
assert r.zadd("z", {"m": 1.5}) == 1 and r.zscore("z", "m") == 1.5
big = b"x" * 5000000
assert r.set("big", big) and r.get("big") == big
assert len(list(r.scan_iter("p*"))) == 1000
try:
    r.execute_command("NOSUCH")
    assert False
except redis.ResponseError as e:
    assert "unknown command" in str(e)
def worker(n):
    c = new()
    for i in range(200):
        c.set("w%d" % n, i)
        assert c.get("w%d" % n) == b"%d" % i
        if i % 20 == 0:
            assert c.pipeline().incr("all").get("w%d" % n).execute()[1] == \\
                b"%d" % i
    done.append(n)
done = []
threads = [threading.Thread(target=worker, args=(n,)) for n in range(20)]
for t in threads:
    t.start()
for t in threads:
    t.join()
assert len(done) == 20 and r.get("all") == b"200"
print("fine")
'''


@case
def redis_py():
    python = "/usr/bin/python3"         # Debian's packages are for this one
    if subprocess.run([python, "-c", "import redis"],
                      capture_output=True).returncode != 0:
        raise Skip("python3-redis is not installed")
    server, w, number = pair()
    eq(run(python, "-W", "ignore", "-c", PYTHON, number, timeout=60), "fine\n",
       "redis-py")
    ended(w, server)


@case
def ioredis():
    server, w, number = pair()
    play("ioredis", number)
    ended(w, server)


@case
def node_redis():
    server, w, number = pair()
    play("redis", number)
    ended(w, server)


run_cases()
