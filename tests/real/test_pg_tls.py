"""A real PostgreSQL with ssl = on and its own programs, with TLS on one side of
weir, on the other, and on both.
"""
# SPDX-License-Identifier: MIT
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import certs
from case import SLOW, Skip, case, check, die_with_parent, eq, later, need
from case import run, temp_dir, until
from pg import LEFT_OVER, PYTHON, has_module
from postgres import Postgres
from weir import Weir, one

ca = None


def authority():
    global ca
    ca = ca or certs.Authority()
    return ca


def own_file(server, path, name):
    """A copy that the server is content with."""
    to = os.path.join(server.dir, name)
    shutil.copy(path, to)
    os.chmod(to, 0o600)
    if "user" in server.as_user:
        os.chown(to, server.as_user["user"], server.as_user["group"])
    return to


class Both:
    """weir between libpq and a server that speaks nothing but TLS over TCP, for
    roles by SCRAM, and for "robot" by certificate alone."""

    def __init__(self, front="", own="", up="", pool="max = 4;", workers=2):
        self.server = s = Postgres(scram=True)
        pair = authority().server()
        for name, path in (("crt", pair.file), ("key", pair.key),
                           ("ca", authority().file)):
            own_file(s, path, "s." + name)
        with s.desk() as d:
            d.ok("CREATE ROLE robot LOGIN")
        s.stop()
        with open(os.path.join(s.dir, "data", "pg_hba.conf"), "w") as f:
            f.write("hostssl all robot all cert\n"
                    "hostnossl all postgres all scram-sha-256\n"
                    "hostssl all all all scram-sha-256\n")
        s.settings.update({
            "ssl": "on", "ssl_cert_file": s.dir + "/s.crt",
            "ssl_key_file": s.dir + "/s.key", "ssl_ca_file": s.dir + "/s.ca"})
        s.start()
        users = 'users = ( { name = "alice"; password = "alice-word"; }, ' \
            '{ name = "bob"; secret = "%s"; } );' % s.ask(
                "SELECT rolpassword FROM pg_authid WHERE rolname = 'bob'").one
        self.w = Weir(one(
            s, protocol="postgres", pool=pool, workers=workers,
            front="postgres = { %s }; tls = { certificate = \"%s\"; key = "
            "\"%s\"; %s };" % (own or users, pair.file, pair.key, front),
            up=up or 'tls = { ca = "%s"; };' % authority().file))
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("PG")}
        self.env.update(
            PGHOST="localhost", PGPORT=str(self.w.conf.ports["front"]),
            PGUSER="alice", PGDATABASE="shop", PGPASSWORD="alice-word",
            PGSSLMODE="verify-full", PGSSLROOTCERT=authority().file,
            PGHOSTADDR="127.0.0.1", LC_ALL="C.UTF-8", PSQLRC="/dev/null",
            PGSSLCERT="/nonexistent", PGSSLKEY="/nonexistent")

    def run(self, program, *argv, data=None, status=0, timeout=60, **env):
        path = os.path.join(self.server.bin, program)
        r = subprocess.run(
            [path if os.path.exists(path) else need(program),
             *map(str, argv)], input=data, capture_output=True, text=True,
            timeout=timeout * SLOW, env={**self.env, **env},
            preexec_fn=die_with_parent)
        eq(r.returncode, status, "exit status of %s, which said %s%s" % (
            program, r.stdout[-1500:], r.stderr[-3000:]))
        return r.stdout, r.stderr

    def psql(self, text, status=0, **env):
        return self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text,
                        status=status, **env)

    def rest(self, most):
        """All that the server has from weir came by TLS."""
        until(lambda: self.server.ask(LEFT_OVER).rows == [], "nothing left")
        eq(self.server.ask(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity "
            "USING (pid) WHERE backend_type = 'client backend' AND pid <> "
            "pg_backend_pid()").rows, [("t",)], "by TLS")
        self.w.balanced(self.server)
        made = self.w.upstream()["connects_total"]
        check(1 <= made <= most, "%d upstream connections" % made)


@case
def psql_by_every_sslmode():
    p = Both()
    for mode in ("require", "verify-ca", "verify-full", "prefer", "allow"):
        out, _ = p.psql("SELECT current_user", PGSSLMODE=mode)
        eq(out, "alice\n", mode)
    out, _ = p.run("psql", "-XAtq", data="\\conninfo\n")
    check("SSL connection (protocol: TLSv1.3" in out, out)
    _, err = p.psql("SELECT 1", status=2, PGSSLMODE="disable")
    check("no encryption" in err, err)
    _, err = p.psql("SELECT 1", status=2, PGSSLROOTCERT=certs.Authority(
        "another").file)
    check("certificate verify failed" in err, err)
    _, err = p.psql("SELECT 1", status=2, PGPASSWORD="x")
    check("password authentication failed" in err, err)
    # Whose password only he knows, and the keys of it are passed on.
    out, _ = p.psql("SELECT current_user", PGUSER="bob", PGPASSWORD="bob-word")
    eq(out, "bob\n", "by a secret")
    p.rest(8)


@case
def channel_binding_on_both_sides():
    p = Both()
    for binding in ("require", "prefer", "disable"):
        for user in ("alice", "bob"):
            p.psql("SELECT 1", PGCHANNELBINDING=binding, PGUSER=user,
                   PGPASSWORD=user + "-word")
    _, err = p.psql("SELECT 1", status=2, PGCHANNELBINDING="require",
                    PGPASSWORD="x")
    check("password authentication failed" in err, err)
    # Without TLS there is nothing to bind to.
    _, err = p.psql("SELECT 1", status=2, PGCHANNELBINDING="require",
                    PGSSLMODE="disable")
    p.rest(8)


@case
def large_things_go_both_ways():
    p = Both()
    rows = "".join("%d\t%s\n" % (n, "x%d" % n * 200) for n in range(20000))
    path = os.path.join(temp_dir(), "in")
    with open(path, "w") as f:
        f.write(rows)
    p.psql("CREATE TABLE t (n int, x text)")
    p.run("psql", "-Xq", "-c", "\\copy t FROM " + path)
    out, _ = p.run("psql", "-XAtq", "-c", "\\copy (SELECT * FROM t ORDER BY "
                   "n) TO STDOUT")
    eq(len(out), len(rows), "length")
    check(out == rows, "what came back")
    p.rest(4)


@case
def control_c_is_a_cancel():
    """psql 15 sends it in the clear; weir does not."""
    p = Both(pool="max = 1;")
    psql = subprocess.Popen(
        [p.server.bin + "/psql", "-XAtq", "-c", "SELECT pg_sleep(1000)"],
        env=p.env, stderr=subprocess.PIPE, text=True,
        preexec_fn=die_with_parent)
    later(psql.kill)
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = " \
        "'PgSleep'"
    for _ in range(3):
        until(lambda: p.server.ask(asleep).one == "1", "it sleeps")
        psql.send_signal(signal.SIGINT)
        _, err = psql.communicate(timeout=60 * SLOW)
        check("canceling statement" in err, err)
        psql = subprocess.Popen(
            [p.server.bin + "/psql", "-XAtq", "-c", "SELECT pg_sleep(1000)"],
            env=p.env, stderr=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent)
        later(psql.kill)
    until(lambda: p.server.ask(asleep).one == "1", "it sleeps")
    psql.send_signal(signal.SIGINT)
    psql.communicate(timeout=60 * SLOW)
    eq(p.psql("SELECT 1")[0], "1\n", "the connection is good")
    p.rest(1)


@case
def a_certificate_in_the_place_of_a_password():
    p = Both(front='client_auth = "required"; client_ca = "%s";' %
             authority().file,
             own='auth = "cert"; users = ( { name = "alice"; password = '
             '"alice-word"; database = "shop"; } );')
    alice, bob = (authority().client(n) for n in ("alice", "bob"))
    expired = authority().expired_client("alice")

    def shown(pair):
        return {"PGSSLCERT": pair.file, "PGSSLKEY": pair.key,
                "PGPASSWORD": ""}
    eq(p.psql("SELECT current_user", **shown(alice))[0], "alice\n", "who")
    for env in (shown(bob), {**shown(bob), "PGUSER": "bob"},
                {**shown(alice), "PGDATABASE": "blog"}):
        _, err = p.psql("SELECT 1", status=2, **env)
        check("certificate authentication failed" in err, err)
    _, err = p.psql("SELECT 1", status=2, **shown(expired))
    check("certificate expired" in err or "closed" in err, err)
    _, err = p.psql("SELECT 1", status=2)
    check("certificate required" in err or "closed" in err, err)
    p.rest(1)


@case
def weir_itself_by_certificate():
    robot = authority().client("robot")
    p = Both(up='tls = { ca = "%s"; certificate = "%s"; key = "%s"; }; '
             'postgres = { user = "robot"; }; health = { interval = "50ms"; '
             'timeout = "5s"; rise = 1; };' % (
                 authority().file, robot.file, robot.key))
    until(lambda: p.w.upstream()["endpoints"][0]["health"]["last"] == "ok",
          "a check is passed")
    eq(p.psql("SELECT current_user")[0], "robot\n", "who")
    p.rest(2)


@case
def pgbench_on_a_few_connections():
    p = Both()
    p.run("pgbench", "-i", "-q", "-s", "1")
    for mode in ("simple", "extended", "prepared"):
        # It waits for PREPARE with all that a thread has to do.
        out, _ = p.run("pgbench", "-n", "-M", mode, "-c", "10", "-j", "10",
                       "-t", "20", timeout=120)
        check("200/200" in out, out)
    # Each comes anew: sessions of TLS, and of the pool.
    out, _ = p.run("pgbench", "-n", "-C", "-S", "-c", "4", "-t", "25",
                   timeout=120)
    check("100/100" in out, out)
    p.rest(8)


PSYCOPG2 = """
import os, psycopg2
for n in range(20):
    c = psycopg2.connect("")
    assert c.info.ssl_in_use, "no TLS"
    with c, c.cursor() as k:
        k.execute("SELECT %s, repeat('x', 100000)", (n,))
        assert k.fetchone() == (n, "x" * 100000)
    c.close()
"""


@case
def psycopg2_knows_that_it_is_tls():
    has_module("psycopg2")
    p = Both()
    p.run(PYTHON, "-c", PSYCOPG2)
    p.rest(4)


run()
