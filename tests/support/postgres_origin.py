"""A scripted PostgreSQL: enough of one to show what a pooler gets wrong.

Each connection is a session with settings, transactions, prepared statements,
portals, locks and temporary tables of its own, as PostgreSQL 15 has them; what
is not known there is an error as the real one's. Statements are the simplest
forms; beyond the real ones there are SELECT error('SQLSTATE'), fatal(..),
notice('text'), demote(), which makes it a standby, and pg_sleep(), which lasts
until origin.wake() or a cancel.

SPDX-License-Identifier: MIT
"""
import os
import ssl
import struct
import threading

import certs
from case import check, until
from origin import Origin
from postgres_session import Session
from postgres_sql import SqlError, columns, complete, ready, report, row
from postgres_statements import Statements
from postgres_wire import ScramKeys, cstr, message
from wire import Ended

__all__ = ["PgOrigin", "SqlError", "columns", "complete", "cstr", "message",
           "ready", "report", "row"]


class PgOrigin(Statements, Origin):
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
