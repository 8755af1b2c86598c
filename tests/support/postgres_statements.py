"""The statements that the scripted PostgreSQL knows, each as what runs it.

SPDX-License-Identifier: MIT
"""
import itertools

from postgres_sql import Plan, SqlError, Words, setting_name


class Statements:
    """Of an origin: what a text's words ask of a session."""

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


def _demote(s):
    s.origin.standby = True
    return ""


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
    "error": _error, "fatal": _fatal, "demote": _demote, "notice": _notice,
    "pg_sleep": _sleep,
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
