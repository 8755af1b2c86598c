"""What the scripted PostgreSQL understands of a text: its words, its statements
one by one, its settings; and the messages that it answers with.

SPDX-License-Identifier: MIT
"""
import re
import struct

from postgres_wire import cstr, message, raw, value_list

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
    return message("D", value_list([None if v is None else raw(v)
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
