"""A client of PostgreSQL, and a real server, as a test wants them. Messages are
in postgres_wire.py, the scripted server in postgres_origin.py.

The client reads strictly: an answer that is not owed is a failure. PostgreSQL
chapter 55 has the order (55.2).

SPDX-License-Identifier: MIT
"""
import glob
import itertools
import os
import pwd
import struct
import subprocess

import case
import certs
from case import Failed, Skip, check, eq, later, port, temp_dir, until
from postgres_wire import *         # whoever has the client has messages, too
from wire import Client as WireClient

_tokens = itertools.count(1)


def token():
    """A text that no other call has returned."""
    return "t%s%06d" % (os.urandom(8).hex(), next(_tokens))


# --------------------------------------------------------------- the order

class Order:
    """What a client has sent that is to be answered: an answer that is not due
    is a failure (55.2.2, 55.2.3, 55.2.6)."""

    ANSWERS = {"1": "P", "2": "B", "3": "C", "t": "D", "T": "DQ", "n": "D",
               "D": "EQ", "C": "EQ", "s": "E", "I": "EQ", "G": "EQ",
               "H": "EQ", "d": "EQ", "c": "EQ", "V": "F", "Z": "QFS"}
    ENDS = {"1": "P", "2": "B", "3": "C", "T": "D", "n": "D", "C": "E",
            "s": "E", "I": "E", "Z": "QFS"}

    def __init__(self):
        self.part = b""         # of what was sent: not a whole message yet
        self.owed = []
        self.copying = False    # the server takes CopyData
        self.skipping = False   # up to the next Sync
        self.spare = 0          # ReadyForQuery that may come in addition

    def sent(self, data):
        self.part += data
        while len(self.part) >= 5:
            size = struct.unpack("!I", self.part[1:5])[0] + 1
            if not 5 <= size <= len(self.part):
                return
            kind = chr(self.part[0])
            self.part = self.part[size:]
            self._sent(kind)

    def _sent(self, kind):
        if self.copying:
            self.copying = kind not in "cf"
        elif not self.skipping or kind in "SQF":
            self.skipping = False
            self.owed.append(kind)

    def _copy_begins(self):
        """Sync and Flush are not answered until the copy's end."""
        behind = self.owed[1:]
        ends = [i for i, kind in enumerate(behind) if kind in "cf"]
        self.copying = not ends
        upto = ends[0] + 1 if ends else len(behind)
        self.spare += behind[:upto].count("S")
        self.owed[1:] = behind[upto:]

    def _error(self, report):
        if report["V"] in ("FATAL", "PANIC"):
            self.owed = []
            return
        check(self.owed, "an error that nothing was asked for: %r" % report)
        if self.owed[0] in "QF":
            self.copying = False
            return
        if self.copying:
            self.copying = False
        while self.owed and self.owed[0] != "S":
            self.owed.pop(0)
        self.skipping = not self.owed

    def got(self, m):
        if m.kind in "NSA":
            return
        while self.owed and self.owed[0] in "Hdcf":
            self.owed.pop(0)
        if m.kind == "E":
            return self._error(m.value)
        if m.kind == "Z" and (not self.owed or self.owed[0] not in "QFS") \
                and self.spare:
            self.spare -= 1
            return None
        if not self.owed or self.owed[0] not in self.ANSWERS[m.kind]:
            raise Failed("%r is not due; owed: %r" % (m, self.owed[:10]))
        if m.kind == "G":
            self._copy_begins()
        if self.owed[0] in self.ENDS.get(m.kind, ""):
            self.owed.pop(0)
        return None


# ------------------------------------------------------------------ a client

class SqlError(Failed):
    """An ErrorResponse that was not expected; .report has its fields."""

    def __init__(self, report):
        super().__init__("%(S)s %(C)s: %(M)s" % report)
        self.report = report
        self.code = report["C"]


class Result:
    """Everything up to a ReadyForQuery."""

    def __init__(self):
        self.messages = []
        self.rows = []          # of all statements; bytes, None
        self.tags = []
        self.copied = b""       # by COPY TO
        self.error = None       # its fields
        self.status = None

    def add(self, m):
        self.messages.append(m)
        if m.kind == "D":
            self.rows.append(tuple(
                None if v is None else v.decode("utf-8", "replace")
                for v in m.value))
        elif m.kind == "C":
            self.tags.append(m.value)
        elif m.kind == "d":
            self.copied += m.value
        elif m.kind == "E":
            check(self.error is None, "two errors in one answer")
            self.error = m.value
        elif m.kind == "Z":
            self.status = m.value

    @property
    def kinds(self):
        return "".join(m.kind for m in self.messages)

    @property
    def code(self):
        return self.error and self.error["C"]

    @property
    def tag(self):
        eq(len(self.tags), 1, "number of results")
        return self.tags[0]

    @property
    def one(self):
        """The one value of the one row."""
        eq([len(r) for r in self.rows], [1], "rows and columns")
        return self.rows[0][0]


def begin_tls(wire, context, direct=False):
    """As libpq does (55.2.11)."""
    if not direct:
        wire.send(SSL_REQUEST)
        eq(wire.read_exact(1), b"S", "answer to SSLRequest")
    return certs.encrypt(wire, context, "localhost")


class Client(WireClient):
    """Connects and, unless login is False, logs in."""

    def __init__(self, address, user="alice", database="shop", word=None,
                 version=V3_0, login=True, rcvbuf=None, tls=None,
                 direct=False, **params):
        super().__init__(address, rcvbuf=rcvbuf)
        self.address = address
        self.order = None       # from the first ReadyForQuery on
        self.tls, self.direct = tls, direct     # an SSLContext, or None
        if tls is not None:
            begin_tls(self, tls, direct)
        self.user, self.word, self.version = user, word, version
        self.parameters = {}    # ParameterStatus, the last of each
        self.news = []          # every one: (name, value)
        self.notices = []       # their fields
        self.notified = []      # (pid, channel, payload)
        self.pid = self.key = self.negotiated = None
        self.methods = []       # codes of Authentication requests
        self.status = None
        self.params = {"user": user, "database": database, **params}
        if login:
            self.login()

    def send(self, data):
        if self.order is not None:
            self.order.sent(bytes(data))
        return super().send(data)

    # ------------------------------------------------------------- log in

    def login(self):
        self.send(startup(self.version, **{
            n: v for n, v in self.params.items() if v is not None}))
        return self.logged_in()

    def logged_in(self):
        """Answer what the server asks, up to its ReadyForQuery."""
        scram = Scram(self.word)
        while True:
            m = read_message(self, BACKEND)
            if m.kind == "R":
                self._prove(m.value, scram)
            elif m.kind == "K":
                self.pid, self.key = m.value
                check(4 <= len(self.key) <= 256, "length of a key")
            elif m.kind == "v":
                self.negotiated = m.value
            elif m.kind == "E":
                raise SqlError(m.value)
            elif m.kind == "Z":
                eq((m.value, self.methods[-1:]), ("I", [0]), "a login")
                check(self.pid is not None, "a login without key")
                self.status = m.value
                self.order = Order()
                return self
            elif not self._aside(m):
                raise Failed("in a login: %r" % (m,))

    def _prove(self, value, scram):
        code, data = value
        self.methods.append(code)
        if code == 3:
            self.send(password(cstr(self.word)))
        elif code == 5:
            self.send(password(cstr(md5_response(self.word, self.user,
                                                 data))))
        elif code == 10:
            check("SCRAM-SHA-256" in data, "mechanisms: %r" % data)
            self.send(sasl_initial("SCRAM-SHA-256", scram.first()))
        elif code == 11:
            self.send(password(scram.final(data)))
        elif code == 12:
            scram.verify(data)
        else:
            eq((code, data), (0, b""), "Authentication")

    # ------------------------------------------------------------ reading

    def _aside(self, m):
        """What may come at any time."""
        if m.kind == "S":
            self.parameters[m.value[0]] = m.value[1]
            self.news.append(m.value)
        elif m.kind == "N":
            self.notices.append(m.value)
        elif m.kind == "A":
            self.notified.append(m.value)
        return m.kind in "SNA"

    def any(self):
        """The next message, whatever it is."""
        m = read_message(self, BACKEND)
        if self.order is not None:
            self.order.got(m)
        self._aside(m)
        if m.kind == "Z":
            self.status = m.value
        return m

    def read(self):
        """The next one that is an answer."""
        while True:
            m = self.any()
            if m.kind not in "SNA":
                return m

    def expect(self, kinds):
        """Messages of these kinds, in order; those that are answers."""
        got = []
        for n, kind in enumerate(kinds):
            m = self.read()
            if m.kind != kind:
                raise Failed("got %r, wanted the last of %r" % (
                    m, kinds[:n + 1]))
            got.append(m)
        return got

    def error(self, code=None):
        """The next answer is an error."""
        m = self.read()
        eq(m.kind, "E", "kind of %r" % (m,))
        if code is not None:
            eq(m.value["C"], code, "code of %r" % m.value)
        return m.value

    def notification(self):
        """The next NotificationResponse: (pid, channel, payload)."""
        while not self.notified:
            m = self.any()
            check(m.kind in "SNA", "%r before a notification" % (m,))
        return self.notified.pop(0)

    def result(self):
        """Up to ReadyForQuery, an error included."""
        got = Result()
        while got.status is None:
            got.add(self.read())
        return got

    def results(self, n):
        return [self.result() for _ in range(n)]

    # ------------------------------------------------------------- asking

    def write(self, *messages):
        """All at once."""
        return self.send(b"".join(messages))

    def ask(self, *messages):
        """They end with what ReadyForQuery answers: one Query or Sync."""
        return self.write(*messages).result()

    def query(self, sql):
        """A simple query that shall not fail."""
        got = self.ask(query(sql))
        if got.error:
            raise SqlError(got.error)
        return got

    def one(self, sql):
        return self.query(sql).one

    def ok(self, *texts):
        for sql in texts:
            self.query(sql)
        return self

    def fails(self, sql, code):
        got = self.ask(query(sql))
        eq(got.code, code, "SQLSTATE of %r (%r)" % (sql[:80], got.error))
        return got

    def prepare(self, name, sql, *types):
        eq(self.ask(parse(name, sql, *types), SYNC).kinds, "1Z", "a Parse")
        return self

    def run(self, name, *values):
        """Bind and execute a prepared statement, which shall not fail."""
        got = self.ask(bind("", name, *values), execute(), SYNC)
        if got.error:
            raise SqlError(got.error)
        return got

    def extended(self, sql, *values):
        """By the unnamed statement."""
        got = self.ask(parse("", sql), bind("", "", *values),
                       describe("P"), execute(), SYNC)
        if got.error:
            raise SqlError(got.error)
        return got

    def where(self):
        """The process that serves it now."""
        return int(self.one("SELECT pg_backend_pid()"))

    def setting(self, name):
        return self.one("SHOW " + name)

    def ask_cancel(self, pid=None, key=None, plainly=False):
        """Ask for it; the connection, that ends when it is over. By TLS as
        itself, or if not plainly."""
        link = WireClient(self.address)
        if self.tls is not None and not plainly:
            begin_tls(link, self.tls, self.direct)
        link.send(cancel_request(self.pid if pid is None else pid,
                                 self.key if key is None else key))
        return link

    def cancel(self, pid=None, key=None, plainly=False):
        """Ask for it, to the end of that connection."""
        link = self.ask_cancel(pid, key, plainly)
        eq(link.read_to_end(), b"", "an answer to a cancel")
        link.close()
        return self

    def prove(self):
        """What comes next is the answer to what is asked next: nothing was
        left over, nobody else's comes."""
        t = token()
        eq(self.one("SELECT '%s'" % t), t, "what was selected")
        eq((bytes(self.buf), self.order.owed), (b"", []), "left over")
        return self

    def quit(self):
        self.send(TERMINATE)
        self.closed()
        self.close()

    def closed(self, how=None):
        """Nothing more comes, and the peer ends."""
        eq(self.read_to_end(), b"", "bytes before the end")
        if how:
            eq(self.ended, how, "how the connection ended")


# ------------------------------------------------------------- a real server

class Postgres:
    """A real PostgreSQL on a free port, in a folder of its own. Roles and
    databases: alice, bob and shop, blog; postgres is the superuser. scram:
    the roles' passwords are their names and "-word"."""

    def __init__(self, scram=False, **settings):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"),
                       key=lambda p: int(p.split("/")[4]))
        if not found:
            raise Skip("postgres is not installed")
        self.bin = os.path.dirname(found[-1])
        self.scram = scram
        self.number = port()
        self.errors = []
        self.process = None
        self.settings = settings
        self.dir = os.path.join(temp_dir(), "pg%d" % self.number)
        # It refuses to run as root.
        self.as_user = {}
        os.mkdir(self.dir, 0o700)
        if os.getuid() == 0:
            try:
                who = pwd.getpwnam("postgres")
            except KeyError:
                raise Skip("there is no user postgres") from None
            os.chown(self.dir, who.pw_uid, who.pw_gid)
            self.as_user = {"user": who.pw_uid, "group": who.pw_gid,
                            "extra_groups": []}
        later(self.stop)
        self._create()
        self.start()
        self._fill()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.number

    def _create(self):
        word = os.path.join(self.dir, "word")
        data = os.path.join(self.dir, "data")
        with open(word, "w") as f:
            f.write("postgres-word\n")
        os.chmod(word, 0o644)
        subprocess.run(
            [self.bin + "/initdb", "-D", data, "-U", "postgres", "-N",
             "-E", "UTF8", "--locale=C", "--pwfile", word, "-A",
             "scram-sha-256" if self.scram else "trust"], check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            cwd=self.dir, **self.as_user)

    def start(self):
        from weir import listening
        options = {"listen_addresses": "127.0.0.1", "port": self.number,
                   "unix_socket_directories": "", "fsync": "off",
                   "max_connections": 60, **self.settings}
        self.out = os.path.join(temp_dir(), "pg%d.out" % self.number)
        with open(self.out, "ab") as out:
            self.process = subprocess.Popen(
                [self.bin + "/postgres", "-D",
                 os.path.join(self.dir, "data"),
                 *("--%s=%s" % o for o in options.items())],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                cwd=self.dir, preexec_fn=case.die_with_parent,
                **self.as_user)

        def up():
            if self.process.poll() is not None:
                with open(self.out, errors="replace") as f:
                    raise Failed("postgres: " + f.read()[-2000:])
            if not listening(self.number):
                return False
            try:
                self.client().quit()
            except SqlError as e:       # "is starting up"
                if e.code == "57P03":
                    return False
                raise
            return True
        until(up, "postgres answering")

    def _fill(self):
        with self.desk() as d:
            for role in ("alice", "bob"):
                d.ok("CREATE ROLE %s LOGIN PASSWORD '%s-word'" % (
                    role, role))
            d.ok("CREATE DATABASE shop OWNER alice",
                 "CREATE DATABASE blog OWNER bob")

    def client(self, user="postgres", database="postgres", **more):
        """One of its own, beside weir."""
        return Client(self.number, user, database, user + "-word", **more)

    def desk(self, **more):
        return _Desk(self.client(**more))

    def ask(self, sql):
        with self.desk() as d:
            return d.query(sql)

    @property
    def open(self):
        """Connections of clients but our own."""
        return int(self.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE pid <> "
            "pg_backend_pid() AND backend_type = 'client backend'").one)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(3)         # SIGQUIT: at once
            self.process.wait()


class _Desk:
    def __init__(self, client):
        self.client = client

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.client.quit()


# --------------------------------------------------------------------- weir

# DIRECT=1 puts raw TCP in the place of the protocol: it proves the tests
# themselves, but for what they say about connections upstream.
DIRECT = os.environ.get("DIRECT") == "1"


def through(*origins, pool="", front='auth = "trust";', up="", **more):
    """The usual weir: its clients speak PostgreSQL at its port "front"."""
    from weir import Weir, one
    if DIRECT:
        return Weir(one(*origins, protocol="tcp"))
    return Weir(one(*origins, protocol="postgres", pool=pool,
                    front="postgres = { %s };" % front, up=up, **more))


def upstreams(w, origin, most, least=1):
    """How many connections were made upstream, as both sides count."""
    if DIRECT:
        return
    made = w.upstream()["connects_total"]
    if not least <= made <= most:
        raise Failed("%d upstream connections, wanted %d to %d" % (
            made, least, most))
    if hasattr(origin, "logins"):
        until(lambda: len(origin.logins) >= made, "logins at the server")
        eq(len(origin.logins), made, "logins at the server")


def pins(w):
    """What clients have been pinned for: {reason: times}, without 0."""
    return {reason: n for reason, n in
            w.upstream()["pinned_total"].items() if n}
