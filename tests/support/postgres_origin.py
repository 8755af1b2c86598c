"""A scripted PostgreSQL: enough of one to show what a pooler gets wrong.

Each connection is a session with settings, transactions, prepared statements,
portals, locks and temporary tables of its own, as PostgreSQL 15 has them; what
is not known there is an error as the real one's. Statements are the simplest
forms; beyond the real ones there are SELECT error('SQLSTATE'), fatal(..),
notice('text'), and pg_sleep(), which lasts until origin.wake() or a cancel.

SPDX-License-Identifier: MIT
"""
import base64
import itertools
import os
import re
import ssl
import struct
import threading

import certs
from case import check, until
from origin import Origin
from postgres import (FRONTEND, ScramKeys, _values, attributes, cstr,
                      md5_response, message, raw, read_message, xor, _hmac)
from wire import Ended

TOKEN = re.compile(r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/) |
    (?P<string>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*') |
    (?P<dollar>\$\$.*?\$\$) |
    (?P<quoted>"(?:[^"]|"")*") |
    (?P<param>\$\d+) |
    (?P<number>-?\d+(?:\.\d+)?) |
    (?P<word>[A-Za-z_][A-Za-z_0-9]*) |
    (?P<sign>::|.)""", re.X | re.S)

PID = 1000                      # of the connection number 0

REPORTED = {"application_name": "", "client_encoding": "UTF8",
            "DateStyle": "ISO, MDY", "default_transaction_read_only": "off",
            "IntervalStyle": "postgres", "standard_conforming_strings": "on",
            "TimeZone": "Etc/UTC"}
FIXED = {"in_hot_standby": "off", "integer_datetimes": "on",
         "is_superuser": "off", "server_encoding": "UTF8",
         "server_version": "15.0"}
SILENT = {"extra_float_digits": "1", "search_path": '"$user", public',
          "statement_timeout": "0", "work_mem": "4MB", "role": "none",
          "lock_timeout": "0"}
CHOICES = {"client_encoding": {"utf8": "UTF8", "latin1": "LATIN1",
                               "sql_ascii": "SQL_ASCII"},
           "standard_conforming_strings": {"on": "on", "off": "off"},
           "default_transaction_read_only": {"on": "on", "off": "off"},
           "intervalstyle": {"postgres": "postgres",
                             "iso_8601": "iso_8601"},
           "datestyle": {"iso, mdy": "ISO, MDY", "iso, dmy": "ISO, DMY",
                         "german, dmy": "German, DMY", "iso": "ISO, MDY",
                         "german": "German, DMY"}}
SPELT = {n.lower(): n for n in (*REPORTED, *FIXED, *SILENT)}


class SqlError(Exception):
    def __init__(self, code, text, severity="ERROR"):
        super().__init__(text)
        self.code, self.text, self.severity = code, text, severity

    def message(self, kind="E"):
        return report(kind, self.severity, self.code, self.text)


def report(kind, severity, code, text):
    return message(kind, b"".join(
        raw(letter) + cstr(value) for letter, value in
        (("S", severity), ("V", severity), ("C", code), ("M", text))) +
        b"\0")


def ready(status):
    return message("Z", raw(status))


def row(*values):
    return message("D", _values([None if v is None else raw(v)
                                 for v in values]))


def columns(*names):
    return message("T", struct.pack("!H", len(names)) + b"".join(
        cstr(n) + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)
        for n in names))


def complete(tag):
    return message("C", cstr(tag))


def tokens(sql):
    """[(kind, text)] without white space; literals are taken apart."""
    got = []
    for m in TOKEN.finditer(sql):
        kind, text = m.lastgroup, m.group()
        if kind == "space":
            continue
        if kind == "string":
            body = text[text.index("'") + 1:-1].replace("''", "'")
            if text[0] in "eE":
                body = re.sub(r"\\(.)", r"\1", body, flags=re.S)
            text = body
        elif kind == "quoted":
            kind, text = "word", text[1:-1].replace('""', '"')
        elif kind == "dollar":
            kind, text = "string", text[2:-2]
        got.append((kind, text))
    return got


def split(sql):
    """The statements of a simple query, each as its tokens."""
    got = [[]]
    for t in tokens(sql):
        if t == ("sign", ";"):
            got.append([])
        else:
            got[-1].append(t)
    return [s for s in got if s]


class Words:
    """The tokens of a statement, from left to right."""

    def __init__(self, list_):
        self.list, self.at = list_, 0

    def peek(self, ahead=0):
        i = self.at + ahead
        return self.list[i] if i < len(self.list) else ("end", "")

    def next(self):
        got = self.peek()
        self.at += 1
        return got

    def takes(self, *words):
        """Are these next? Then they are taken."""
        for i, w in enumerate(words):
            if self.peek(i)[1].upper() != w or self.peek(i)[0] == "string":
                return False
        self.at += len(words)
        return True

    def need(self, word):
        if not self.takes(word):
            self.bad()

    def bad(self):
        raise SqlError("42601", 'syntax error at or near "%s"' %
                       self.peek()[1])

    def end(self):
        if self.at < len(self.list):
            self.bad()

    def name(self):
        """Perhaps with parts: a.b"""
        kind, text = self.next()
        if kind != "word":
            self.at -= 1
            self.bad()
        while self.takes("."):
            text += "." + self.next()[1]
        return text

    def rest(self):
        got = self.list[self.at:]
        self.at = len(self.list)
        return got


class Plan:
    """A statement that can be run: columns is None when it has no rows."""

    def __init__(self, run, names=None, tag=None, ends=False, kind=""):
        self.run = run          # (session, values) -> rows or tag or None
        self.columns, self.tag = names, tag
        self.ends = ends        # may run in a failed transaction
        self.kind = kind
        self.types = []


class Portal:
    def __init__(self, plan, values):
        self.plan, self.values = plan, values
        self.rows = None        # an iterator, once it has begun
        self.n = 0


def setting_name(name):
    return SPELT.get(name.lower(), name)


def setting_value(name, value):
    """As the server keeps it; an error when it would not take it."""
    choices = CHOICES.get(name.lower())
    if name in FIXED or name == "session_authorization":
        raise SqlError("55P02", 'parameter "%s" cannot be changed' % name)
    if name not in REPORTED and name not in SILENT and "." not in name:
        raise SqlError("42704", 'unrecognized configuration parameter "%s"'
                       % name)
    if choices is not None:
        if value.lower() not in choices:
            raise SqlError("22023", 'invalid value for parameter "%s": "%s"'
                           % (name, value))
        return choices[value.lower()]
    return value


class Session:
    """One connection, from its first message on."""

    def __init__(self, origin, link):
        self.origin, self.link = origin, link
        self.number = link.number
        self.pid = PID + link.number
        self.key = os.urandom(origin.key_len)
        self.status = "I"
        self.skipping = False
        self.params = {}
        self.start = {}         # settings as of the log in
        self.settings = {}
        self.locals = {}        # of SET LOCAL
        self.before = None      # settings when the transaction began
        self.reported = {}
        self.pending = []       # rows of this transaction: (table, row)
        self.statements = {}    # the protocol's and PREPARE's
        self.portals = {}
        self.cursors = {}       # name: [rows, with hold]
        self.temp = {}
        self.listening = set()
        self.cancelled = False
        self.busy = False

    # ------------------------------------------------------------- talking

    def send(self, *messages):
        self.link.send(b"".join(messages))

    def read(self):
        m = read_message(self.link, FRONTEND)
        self.origin.note(self, m)
        return m

    def changed(self):
        """ParameterStatus for what is not as it was told last (the server
        does that before ReadyForQuery)."""
        now = {**FIXED, **{n: self.get(n) for n in REPORTED},
               **self.origin.parameters,
               "session_authorization": self.params["user"]}
        for n, v in now.items():
            if self.reported.get(n) != v:
                self.reported[n] = v
                self.send(message("S", cstr(n) + cstr(v)))

    def ready(self):
        self.changed()
        with self.origin.said:
            self.busy = self.cancelled = False
        self.send(ready(self.status))

    # -------------------------------------------------------------- log in

    def login(self, body):
        f = body[:-1].split(b"\0")
        check(body.endswith(b"\0\0") and len(f) % 2 == 1,
              "a startup packet: %r" % body)
        self.params = dict(zip((w.decode() for w in f[::2]),
                               (w.decode() for w in f[1::2])))
        check(self.params.get("user"), "a startup packet without user")
        self.params["database"] = self.params.get("database") or \
            self.params["user"]
        with self.origin.said:
            self.origin.logins.append((self.number, self.params))
            self.origin.said.notify_all()
        try:
            self._prove()
            self._begin()
        except SqlError as e:
            e.severity = "FATAL"
            self.send(e.message())
            return False
        self.send(message("R", struct.pack("!I", 0)))
        self.changed()
        self.send(message("K", struct.pack("!I", self.pid) + self.key))
        with self.origin.said:
            self.origin.sessions[self.pid] = self
        self.ready()
        return True

    def _begin(self):
        o = self.origin
        if o.turn_away is not None:
            raise SqlError(*o.turn_away)
        self.settings = {**REPORTED, **SILENT, **o.settings}
        asked = {n: v for n, v in self.params.items() if n not in (
            "user", "database", "options", "replication")}
        for n, v in re.findall(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)",
                               self.params.get("options", "")):
            asked[n.replace("-", "_")] = re.sub(r"\\(.)", r"\1", v)
        for n, v in asked.items():
            n = setting_name(n)
            self.settings[n] = setting_value(n, v)
        self.start = dict(self.settings)

    def _prove(self):
        user, auth = self.params["user"], self.origin.auth
        word = self.origin.users.get(user)
        if auth == "trust":
            return
        wrong = SqlError("28P01", 'password authentication failed for user '
                         '"%s"' % user)
        if auth == "scram-sha-256":
            return self._scram(word, wrong)
        salt = os.urandom(4)
        self.send(message("R", struct.pack("!I", 5) + salt if auth == "md5"
                          else struct.pack("!I", 3)))
        got = self._response()
        wanted = word if auth == "password" else \
            md5_response(word or "", user, salt)
        if word is None or got != cstr(wanted):
            raise wrong
        return None

    def _response(self):
        m = self.read()
        check(m.kind == "p", "in a login: %r" % (m,))
        return m.value

    def _scram(self, word, wrong):
        self.send(message("R", struct.pack("!I", 10) +
                          cstr("SCRAM-SHA-256") + b"\0"))
        mechanism, _, rest = self._response().partition(b"\0")
        check(mechanism == b"SCRAM-SHA-256" and
              struct.unpack("!I", rest[:4])[0] == len(rest) - 4,
              "SASLInitialResponse %r" % rest)
        first = rest[4:]
        check(re.match(rb"[ny],,n=", first), "client-first %r" % first)
        header, bare = first[:3], first[3:]
        nonce = attributes(bare)["r"] + base64.b64encode(os.urandom(18))
        keys = self.origin.scram_keys(self.params["user"], word)
        challenge = b"r=%s,s=%s,i=%d" % (
            nonce, base64.b64encode(keys.salt), keys.iterations)
        self.send(message("R", struct.pack("!I", 11) + challenge))
        final = self._response()
        without, _, proof = final.rpartition(b",p=")
        got = attributes(without)
        signed = b",".join((bare, challenge, without))
        client = xor(base64.b64decode(proof), _hmac(keys.stored, signed))
        if word is None or client != keys.client or got["r"] != nonce or \
                base64.b64decode(got["c"]) != header:
            raise wrong
        self.send(message("R", struct.pack("!I", 12) + b"v=" +
                          base64.b64encode(_hmac(keys.server, signed))))

    # ------------------------------------------------------------ its life

    def serve(self):
        """Until Terminate, the end, or FATAL."""
        while True:
            m = self.read()
            if m.kind == "X":
                return
            if self.skipping and m.kind not in "S":
                continue
            if m.kind in "dcf":     # late: the copy has failed
                continue
            with self.origin.said:
                self.busy = True
            try:
                self.origin.asked(self, m)
                self._dispatch(m)
            except SqlError as e:
                self.send(e.message())
                if e.severity == "FATAL":
                    return
                self._failed()
                if m.kind in "QF":
                    self.ready()
                else:
                    self.skipping = m.kind != "S"

    def _dispatch(self, m):
        if m.kind == "Q":
            self._query(m.value)
        elif m.kind == "S":
            self.skipping = False
            if self.status == "I":
                self._commit()      # what was implicit
            self.ready()
        elif m.kind == "H":
            pass
        elif m.kind == "F":
            self._may_run(None)
            self.send(message("V", struct.pack("!I", 4) + b"call"))
            self.ready()
        else:
            {"P": self._parse, "B": self._bind, "D": self._describe,
             "E": self._execute, "C": self._close}[m.kind](*m.value)

    def _failed(self):
        if self.status == "I":
            self._rollback()
        else:
            self.status = "E"
        self.portals.clear()

    def _query(self, sql):
        self.statements.pop("", None)
        self.portals.pop("", None)
        parts = split(sql)
        if not parts:
            self.send(message("I"))
        self._read_all(parts)
        if self.before is None:
            self.before = dict(self.settings)
        for words in parts:
            plan = self.origin.plan(self, words)
            self._may_run(plan)
            rows = plan.run(self, ())
            if plan.columns is not None:
                self.send(columns(*plan.columns))
            self._result(plan, rows)
        if self.status == "I":
            self._commit()
        self.ready()

    def _read_all(self, parts):
        """Nothing is carried out of a text that does not read."""
        for words in parts:
            try:
                self.origin.plan(self, words)
            except SqlError as e:
                if e.code == "42601":
                    raise

    def _may_run(self, plan):
        if self.status == "E" and not (plan and plan.ends):
            raise SqlError("25P02", "current transaction is aborted, "
                           "commands ignored until end of transaction block")

    def _result(self, plan, rows):
        """All rows, and the tag."""
        if plan.columns is None:
            self.send(complete(rows if isinstance(rows, str) else plan.tag))
            return
        n, batch = 0, []
        for values in rows:
            batch.append(row(*values))
            n += 1
            if len(batch) >= 256:
                self.send(*batch)
                batch = []
        self.send(*batch, complete("%s %d" % (plan.tag, n)))

    # ------------------------------------------------ the extended protocol

    def _parse(self, name, sql, types):
        parts = split(sql)
        if name == "":
            self.statements.pop("", None)
        if len(parts) > 1:
            raise SqlError("42601", "cannot insert multiple commands into "
                           "a prepared statement")
        plan = self.origin.plan(self, parts[0]) if parts else None
        self._may_run(plan)
        if name in self.statements:
            raise SqlError("42P05", 'prepared statement "%s" already exists'
                           % name)
        if plan is not None:
            n = max([int(t[1][1:]) for t in parts[0] if t[0] == "param"],
                    default=0)
            plan.types = [types[i] if i < len(types) and types[i] else 25
                          for i in range(max(n, len(types)))]
        self.statements[name] = plan
        self.send(message("1"))

    def _statement(self, name):
        if name not in self.statements:
            raise SqlError("26000", 'prepared statement "%s" does not exist'
                           % name if name else
                           "unnamed prepared statement does not exist")
        return self.statements[name]

    def _bind(self, portal, name, formats, values, results):
        plan = self._statement(name)
        wanted = len(plan.types) if plan else 0
        if len(values) != wanted:
            raise SqlError("08P01", "bind message supplies %d parameters, "
                           "but prepared statement requires %d" % (
                               len(values), wanted))
        self._may_run(plan)
        if portal and portal in self.portals:
            raise SqlError("42P03", 'cursor "%s" already exists' % portal)
        self.portals[portal] = Portal(plan, values)
        self.send(message("2"))

    def _portal(self, name):
        if name not in self.portals:
            raise SqlError("34000", 'portal "%s" does not exist' % name)
        return self.portals[name]

    def _describe(self, what, name):
        plan = self._statement(name) if what == "S" else \
            self._portal(name).plan
        if what == "S":
            types = plan.types if plan else []
            self.send(message("t", struct.pack(
                "!H%dI" % len(types), len(types), *types)))
        self.send(message("n") if plan is None or plan.columns is None
                  else columns(*plan.columns))

    def _execute(self, name, most):
        portal = self._portal(name)
        plan = portal.plan
        if plan is None:
            self.send(message("I"))
            return
        self._may_run(plan)
        if self.before is None:
            self.before = dict(self.settings)
        if plan.columns is None:
            self._result(plan, plan.run(self, portal.values))
            return
        if portal.rows is None:
            portal.rows = iter(plan.run(self, portal.values))
        got = list(itertools.islice(portal.rows, most) if most
                   else portal.rows)
        portal.n += len(got)
        self.send(*(row(*r) for r in got),
                  message("s") if most and len(got) == most else
                  complete("%s %d" % (plan.tag, len(got))))

    def _close(self, what, name):
        (self.statements if what == "S" else self.portals).pop(name, None)
        self.send(message("3"))

    # --------------------------------------------------------- transactions

    def _commit(self):
        with self.origin.said:
            for table, value in self.pending:
                self.origin.tables.setdefault(table, []).append(value)
        self._over()

    def _rollback(self):
        if self.before is not None:
            self.settings = self.before
        for name in [n for n, c in self.cursors.items() if c[2]]:
            del self.cursors[name]
        self._over()

    def _over(self):
        self.pending = []
        self.before = None
        self.locals = {}
        self.portals.clear()
        for name, c in list(self.cursors.items()):
            if c[1]:
                c[2] = False
            else:
                del self.cursors[name]

    def transact(self, word):
        """BEGIN, COMMIT, ROLLBACK; the tag."""
        if word == "BEGIN":
            if self.status == "I":
                self.before = dict(self.settings)
                self.status = "T"
            else:
                self.notice("there is already a transaction in progress",
                            "25001")
            return "BEGIN"
        if self.status == "I":
            self.notice("there is no transaction in progress", "25P01")
        if word == "ROLLBACK" or self.status == "E":
            self._rollback()
            word = "ROLLBACK"
        else:
            self._commit()
        self.status = "I"
        return word

    def notice(self, text, code="00000"):
        self.send(report("N", "WARNING", code, text))

    # ------------------------------------------------------------- settings

    def get(self, name):
        name = setting_name(name)
        value = self.locals.get(name, self.settings.get(name, FIXED.get(
            name)))
        if value is None and name == "session_authorization":
            value = self.params["user"]
        if value is None:
            raise SqlError("42704", "unrecognized configuration parameter "
                           '"%s"' % name)
        return value

    def set(self, name, value, local=False):
        name = setting_name(name)
        value = setting_value(name, value)
        if not local:
            self.settings[name] = value
            self.locals.pop(name, None)
        elif self.status == "T":
            self.locals[name] = value

    def reset(self, name):
        name = setting_name(name)
        if name not in self.start and "." not in name:
            raise SqlError("42704", "unrecognized configuration parameter "
                           '"%s"' % name)
        self.locals.pop(name, None)
        self.settings.pop(name, None)
        if name in self.start:
            self.settings[name] = self.start[name]

    def discard_all(self):
        if self.status != "I":
            raise SqlError("25001", "DISCARD ALL cannot run inside a "
                           "transaction block")
        self.settings = dict(self.start)
        self.statements.clear()
        self.cursors.clear()
        self.temp.clear()
        self.listening.clear()
        self.origin.unlock(self)

    # -------------------------------------------------------------- waiting

    def wait(self, condition):
        """Inside a statement, until it holds; a cancel ends it."""
        o = self.origin
        with o.said:
            o.waiting += 1
            o.said.notify_all()
            while not condition() and not self.cancelled and \
                    not o.ending.is_set():
                o.said.wait(0.2)
            o.waiting -= 1
            if self.cancelled:
                self.cancelled = False
                raise SqlError("57014", "canceling statement due to user "
                               "request")

    # ----------------------------------------------------------------- COPY

    def copy_in(self, name):
        """A row "bad" fails at once; the client may not know yet."""
        self.send(message("G", struct.pack("!bHH", 0, 1, 0)))
        data, n = b"", 0
        while True:
            m = self.read()
            if m.kind == "d":
                *lines, data = (data + m.value).split(b"\n")
                for line in lines:
                    if line == b"bad":
                        raise SqlError("22P02", "invalid input: bad")
                    self.insert(name, line.decode())
                    n += 1
            elif m.kind == "c":
                return "COPY %d" % n
            elif m.kind == "f":
                raise SqlError("57014", "COPY from stdin failed: " + m.value)
            elif m.kind not in "SH":
                raise SqlError("08P01", "unexpected message type during COPY"
                               " from stdin", "FATAL")

    def copy_out(self, name):
        rows = self.rows(name)
        self.send(message("H", struct.pack("!bHH", 0, 1, 0)),
                  *(message("d", raw(r) + b"\n") for r in rows),
                  message("c"))
        return "COPY %d" % len(rows)

    def insert(self, name, value):
        if name in self.temp:
            self.temp[name].append(value)
        else:
            self.rows(name)
            self.pending.append((name, value))

    def rows(self, name):
        if name in self.temp:
            return list(self.temp[name])
        with self.origin.said:
            if name not in self.origin.tables:
                raise SqlError("42P01", 'relation "%s" does not exist' %
                               name)
            return self.origin.tables[name] + [
                v for t, v in self.pending if t == name]


class PgOrigin(Origin):
    """A scripted PostgreSQL. Things that tests look at: logins, messages,
    cancels, tables, waiting. Things that they set: before(session, message) is
    called for every message before it is carried out and may raise SqlError,
    send, or return; script(session) plays in the place of the sessions' life
    behind their login; greet(session, code, body) in the place of that, too."""

    def __init__(self, auth="trust", users=None, key_len=4, settings=None,
                 parameters=None, before=None, script=None, greet=None,
                 tls=None, tls_answer=b"S", direct=False, leave=True,
                 **options):
        self.auth, self.users, self.key_len = auth, users or {}, key_len
        self.settings = settings or {}          # other defaults than usual
        self.parameters = parameters or {}      # more that it reports
        self.before, self.play, self.greet = before, script, greet
        self.turn_away = None   # (SQLSTATE, text) for everybody who logs in
        self.said = threading.Condition()
        self.standby = False    # is it in recovery?
        self.logins = []        # (number of the connection, parameters)
        self.messages = []      # (number of the connection, Message)
        self.cancels = []       # (pid, key)
        self.cancel_gate = threading.Event()    # clear: they are carried out
        self.cancel_gate.set()                  # and closed later
        self.deaf = False       # cancels are taken, and not carried out
        self.sessions = {}      # by pid
        self.tables = {}        # name: rows, each a text
        self.locks = {}         # advisory: key: [session, count]
        self.waiting = 0        # sessions inside of pg_sleep or for a lock
        self.woken = 0
        self._keys = {}
        self.tls = tls          # an SSLContext; None: speaks no TLS
        self.tls_answer = tls_answer    # in the place of "S", or of TLS
        self.direct = direct    # TLS comes at once
        self.leave = leave      # says so when it ends a connection of TLS
        self.secured = []       # numbers of connections
        self.tls_errors = []
        super().__init__(self._script, **options)

    def _script(self, link):
        link.limit = None
        session = Session(self, link)
        try:
            if self.direct and not self._secure(link):
                return None
            size, code = struct.unpack("!II", link.read_exact(8))
            while code in (80877103, 80877104):     # encryption
                if code == 80877103 and self.tls is not None:
                    link.send(self.tls_answer)
                    if self.tls_answer != b"S":
                        link.read_to_end()
                        return None
                    if not self._secure(link):
                        return None
                else:
                    link.send("N")
                size, code = struct.unpack("!II", link.read_exact(8))
            check(8 < size <= 10000, "length of a first packet: %d" % size)
            body = link.read_exact(size - 8)
            if code == 80877102:
                return self._cancel(body)
            if self.greet is not None:
                return self.greet(session, code, body)
            check(code >> 16 == 3, "version %x" % code)
            if session.login(body):
                (self.play or Session.serve)(session)
        except Ended:
            pass
        finally:
            self._gone(session)
            self._leave(link)
        return None

    def _secure(self, link):
        """False when nothing comes of it."""
        try:
            certs.encrypt(link, self.tls, server_side=True)
        except (ssl.SSLError, OSError) as e:
            self.tls_errors.append(e)
            return False
        with self.said:
            self.secured.append(link.number)
        return True

    def _leave(self, link):
        if self.leave and isinstance(link.sock, ssl.SSLSocket):
            try:
                link.sock = link.sock.unwrap()
            except (ssl.SSLError, OSError, ValueError):
                pass

    def _gone(self, session):
        with self.said:
            self.sessions.pop(session.pid, None)
            self.said.notify_all()
        self.unlock(session)

    def _cancel(self, body):
        """Carried out, then closed: as the real one."""
        pid = struct.unpack("!I", body[:4])[0]
        with self.said:
            self.cancels.append((pid, bytes(body[4:])))
            self.said.notify_all()
        self.cancel_gate.wait()
        with self.said:
            session = self.sessions.get(pid)
            if session is not None and session.key == body[4:] and \
                    session.busy and not self.deaf:
                session.cancelled = True
            self.said.notify_all()

    def note(self, session, m):
        with self.said:
            self.messages.append((session.number, m))
            self.said.notify_all()

    def asked(self, session, m):
        if self.before is not None:
            self.before(session, m)

    def scram_keys(self, user, word):
        with self.said:
            if user not in self._keys:
                self._keys[user] = ScramKeys(word or "", os.urandom(16),
                                             4096)
            return self._keys[user]

    # ------------------------------------------------- what tests look at

    def seen(self, kind, value=None):
        """How many messages of that kind have come; with a value, whose text
        has it in it."""
        with self.said:
            return sum(m.kind == kind and (value is None or
                                           value in repr(m.value))
                       for _, m in self.messages)

    def sent_by(self, number):
        """Kinds of the messages of one connection, in order."""
        with self.said:
            return "".join(m.kind for n, m in self.messages if n == number)

    def texts(self, number=None):
        """Simple queries that have come, in order."""
        with self.said:
            return [m.value for n, m in self.messages if m.kind == "Q" and
                    number in (None, n)]

    def wait_for(self, n):
        """Until n sessions are inside of pg_sleep or wait for a lock."""
        until(lambda: self.waiting == n, "%d waiting sessions" % n)

    def wake(self):
        """End all pg_sleep() that have begun."""
        with self.said:
            self.woken += 1
            self.said.notify_all()

    def stop(self):
        self.cancel_gate.set()
        super().stop()

    # ---------------------------------------------------------------- locks

    def take_lock(self, session, key):
        """Take it if it can be taken; with said held."""
        has = self.locks.setdefault(key, [session, 0])
        if has[0] is session:
            has[1] += 1
            return True
        return False

    def unlock(self, session, key=None):
        with self.said:
            for k in [k for k, has in self.locks.items()
                      if has[0] is session and key in (None, k)]:
                del self.locks[k]
            self.said.notify_all()

    def notify(self, sender, channel, payload):
        m = message("A", struct.pack("!I", sender.pid) + cstr(channel) +
                    cstr(payload))
        with self.said:
            who = [s for s in self.sessions.values()
                   if channel in s.listening]
        for s in who:
            s.send(m)

    # ------------------------------------------------------------ statements

    def plan(self, session, list_):
        w = Words(list_)
        kind, first = w.next()
        make = getattr(self, "_" + first.lower(), None) \
            if kind == "word" and first.upper() in STATEMENTS else None
        if make is None:
            w.at = 0
            w.bad()
        got = make(w, session)
        got.kind = first.upper()
        w.end()
        return got

    def _begin(self, w, session, tag="BEGIN"):
        w.rest()
        return Plan(lambda s, v: s.transact(tag), ends=tag != "BEGIN")

    _start = _begin

    def _commit(self, w, session):
        return self._begin(w, session, "COMMIT")

    _end = _commit

    def _rollback(self, w, session):
        if w.takes("TO"):
            w.rest()

            def back(s, v):
                s.status = "T"
                return "ROLLBACK"
            return Plan(back, ends=True)
        return self._begin(w, session, "ROLLBACK")

    _abort = _rollback

    def _savepoint(self, w, session):
        w.rest()
        return Plan(lambda s, v: "SAVEPOINT")

    def _release(self, w, session):
        w.rest()
        return Plan(lambda s, v: "RELEASE")

    def _set(self, w, session):
        local = w.takes("LOCAL")
        w.takes("SESSION")
        if w.takes("TIME", "ZONE"):
            name = "TimeZone"
        else:
            name = w.name()
            if name.lower() not in ("role", "authorization"):
                w.takes("=") or w.need("TO")
        value = ", ".join(t for _, t in w.rest() if t != ",")

        def run(s, v):
            if value.upper() == "DEFAULT":
                s.reset(name)
            else:
                s.set(name, value, local)
            return "SET"
        return Plan(run)

    def _reset(self, w, session):
        name = w.name()

        def run(s, v):
            for n in [*s.settings] if name.upper() == "ALL" else [name]:
                s.reset(n)
            return "RESET"
        return Plan(run)

    def _show(self, w, session):
        name = "TimeZone" if w.takes("TIME", "ZONE") else w.name()
        return Plan(lambda s, v: [(s.get(name),)], [setting_name(name)],
                    "SHOW")

    def _discard(self, w, session):
        what = w.name().upper()

        def run(s, v):
            if what == "ALL":
                s.discard_all()
            elif what.startswith("TEMP"):
                s.temp.clear()
            return "DISCARD " + what
        return Plan(run)

    def _listen(self, w, session):
        name = w.name()

        def run(s, v):
            s.listening.add(name)
            return "LISTEN"
        return Plan(run)

    def _unlisten(self, w, session):
        name = w.next()[1]

        def run(s, v):
            s.listening = set() if name == "*" else s.listening - {name}
            return "UNLISTEN"
        return Plan(run)

    def _notify(self, w, session):
        name = w.name()
        payload = w.next()[1] if w.takes(",") else ""

        def run(s, v):
            self.notify(s, name, payload)
            return "NOTIFY"
        return Plan(run)

    def _prepare(self, w, session):
        name = w.name()
        w.need("AS")
        rest = w.rest()

        def run(s, v):
            if name in s.statements:
                raise SqlError("42P05", 'prepared statement "%s" already '
                               "exists" % name)
            s.statements[name] = self.plan(s, rest)
            return "PREPARE"
        return Plan(run)

    def _execute(self, w, session):
        plan = session._statement(w.name())
        if plan is None:
            raise SqlError("26000", "empty")
        w.rest()
        return Plan(plan.run, plan.columns, plan.tag)

    def _deallocate(self, w, session):
        w.takes("PREPARE")
        name = w.name()

        def run(s, v):
            if name.upper() == "ALL":
                s.statements.clear()
                return "DEALLOCATE ALL"
            s._statement(name)
            del s.statements[name]
            return "DEALLOCATE"
        return Plan(run)

    def _declare(self, w, session):
        name = w.name()
        w.need("CURSOR")
        hold = w.takes("WITH", "HOLD")
        w.need("FOR")
        plan = self.plan(session, w.rest())

        def run(s, v):
            if s.status == "I" and not hold:
                raise SqlError("25P01", "DECLARE CURSOR can only be used in "
                               "transaction blocks")
            # Whether it is from this transaction stands last.
            s.cursors[name] = [iter(list(plan.run(s, ()))), hold, True]
            return "DECLARE CURSOR"
        return Plan(run)

    def _fetch(self, w, session):
        n = None if w.takes("ALL") else \
            int(w.next()[1]) if w.peek()[0] == "number" else 1
        w.takes("FROM") or w.takes("IN")
        name = w.name()

        def run(s, v):
            if name not in s.cursors:
                raise SqlError("34000", 'cursor "%s" does not exist' % name)
            return list(itertools.islice(s.cursors[name][0], n))
        return Plan(run, ["?column?"], "FETCH")

    def _close(self, w, session):
        name = w.name()

        def run(s, v):
            if name.upper() == "ALL":
                s.cursors.clear()
                return "CLOSE CURSOR ALL"
            if s.cursors.pop(name, None) is None:
                raise SqlError("34000", 'cursor "%s" does not exist' % name)
            return "CLOSE CURSOR"
        return Plan(run)

    def _create(self, w, session):
        temp = w.takes("TEMP") or w.takes("TEMPORARY")
        w.need("TABLE")
        name = w.name()
        w.rest()

        def run(s, v):
            where = s.temp if temp else self.tables
            if name in where:
                raise SqlError("42P07", 'relation "%s" already exists' %
                               name)
            where[name] = []
            return "CREATE TABLE"
        return Plan(run)

    def _drop(self, w, session):
        w.need("TABLE")
        name = w.name()

        def run(s, v):
            s.rows(name)
            (s.temp if name in s.temp else self.tables).pop(name)
            return "DROP TABLE"
        return Plan(run)

    def _insert(self, w, session):
        w.need("INTO")
        name = w.name()
        w.need("VALUES")
        w.need("(")
        value = self._expression(w)
        w.need(")")

        def run(s, v):
            s.insert(name, value(s, v))
            return "INSERT 0 1"
        return Plan(run)

    def _table(self, w, session):
        name = w.name()
        return Plan(lambda s, v: [(r,) for r in s.rows(name)], ["v"],
                    "SELECT")

    def _copy(self, w, session):
        name = w.name()
        out = w.takes("TO", "STDOUT")
        if not out:
            w.need("FROM")
            w.need("STDIN")
        return Plan(lambda s, v: s.copy_out(name) if out
                    else s.copy_in(name))

    def _load(self, w, session):
        w.next()
        return Plan(lambda s, v: "LOAD")

    def _do(self, w, session):
        w.next()
        return Plan(lambda s, v: "DO")

    def _select(self, w, session):
        if w.takes("*"):
            w.need("FROM")
            return self._table(w, session)
        if w.peek()[0] == "end":
            return Plan(lambda s, v: [()], [], "SELECT")
        series = w.takes("generate_series".upper(), "(")
        if series:
            first = self._expression(w)
            w.need(",")
            last = self._expression(w)
            w.need(")")
            return Plan(lambda s, v: ((n,) for n in range(
                int(first(s, v)), int(last(s, v)) + 1)),
                ["generate_series"], "SELECT")
        parts, names = [], []
        while True:
            names.append(w.peek()[1] if w.peek(1)[1] in "(." else "?column?")
            parts.append(self._expression(w))
            if w.takes("AS"):
                names[-1] = w.name()
            if not w.takes(","):
                break
        return Plan(lambda s, v: [tuple(p(s, v) for p in parts)], names,
                    "SELECT")

    def _expression(self, w):
        """One value: (session, values) -> text or None."""
        kind, text = w.next()
        if kind == "param":
            i = int(text[1:]) - 1
            got = lambda s, v: None if v[i] is None else v[i].decode()
        elif kind in ("string", "number"):
            got = lambda s, v: text
        elif kind == "word" and text.upper() in ("NULL", "TRUE", "FALSE"):
            value = {"NULL": None, "TRUE": "t", "FALSE": "f"}[text.upper()]
            got = lambda s, v: value
        elif kind == "word" and text.lower() in ("current_user",
                                                 "session_user"):
            got = lambda s, v: s.params["user"] \
                if s.get("role") == "none" else s.get("role")
        elif kind == "word":
            w.at -= 1
            got = self._function(w)
        else:
            w.at -= 1
            w.bad()
        while w.takes("::"):
            w.name()
        return got

    def _function(self, w):
        name = w.name().lower().rpartition(".")[2]
        w.need("(")
        args = []
        while not w.takes(")"):
            args.append(self._expression(w))
            w.takes(",")
        function = FUNCTIONS.get(name)
        if function is None:
            raise SqlError("42883", "function %s() does not exist" % name)
        return lambda s, v: function(s, *(a(s, v) for a in args))


def _error(s, code, text="error on demand"):
    raise SqlError(code, text)


def _fatal(s, code, text="terminating connection"):
    raise SqlError(code, text, "FATAL")


def _notice(s, text):
    s.notice(text)


def _sleep(s, _):
    woken = s.origin.woken
    s.wait(lambda: s.origin.woken > woken)
    return ""


def _set_config(s, name, value, local):
    s.set(name, value, local in ("t", "true"))
    return s.get(name)


def _lock(s, key):
    s.wait(lambda: s.origin.take_lock(s, key))
    return ""


def _try_lock(s, key):
    with s.origin.said:
        return "t" if s.origin.take_lock(s, key) else "f"


def _unlock(s, key=None):
    with s.origin.said:
        held = s.origin.locks.get(key, [None])[0] is s
    if held or key is None:
        s.origin.unlock(s, key)
    return "t" if held else "f"


def _pg_notify(s, channel, payload):
    s.origin.notify(s, channel, payload)
    return ""


FUNCTIONS = {
    "error": _error, "fatal": _fatal, "notice": _notice, "pg_sleep": _sleep,
    "pg_is_in_recovery": lambda s: "t" if s.origin.standby else "f",
    "pg_backend_pid": lambda s: str(s.pid), "set_config": _set_config,
    "current_setting": lambda s, name, *_: s.get(name),
    "current_database": lambda s: s.params["database"],
    "repeat": lambda s, text, n: text * int(n), "pg_notify": _pg_notify,
    "pg_advisory_lock": _lock, "pg_try_advisory_lock": _try_lock,
    "pg_advisory_unlock": _unlock, "pg_advisory_unlock_all": _unlock,
}

STATEMENTS = set(
    "BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE SET RESET SHOW "
    "DISCARD LISTEN UNLISTEN NOTIFY PREPARE EXECUTE DEALLOCATE DECLARE FETCH "
    "CLOSE CREATE DROP INSERT TABLE COPY LOAD DO SELECT".split())
