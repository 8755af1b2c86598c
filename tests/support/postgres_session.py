"""A session of the scripted PostgreSQL: one connection from its start-up packet
to its end, with all that is set up on it.

SPDX-License-Identifier: MIT
"""
import base64
import itertools
import os
import re
import struct

from case import check
from postgres_sql import (FIXED, PID, REPORTED, SILENT, Portal, SqlError,
                          columns, complete, ready, report, row, setting_name,
                          setting_value, split)
from postgres_wire import (FRONTEND, attributes, cstr, hmac_sha256,
                           md5_response, message, raw, read_message, xor)


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
        client = xor(base64.b64decode(proof), hmac_sha256(keys.stored, signed))
        if word is None or client != keys.client or got["r"] != nonce or \
                base64.b64decode(got["c"]) != header:
            raise wrong
        self.send(message("R", struct.pack("!I", 12) + b"v=" +
                          base64.b64encode(hmac_sha256(keys.server, signed))))

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
