"""PostgreSQL's protocol: messages, strictly, and SCRAM.

Builders give the bytes of one message; what comes is read strictly (a length
that is wrong, a byte too many, an unknown type is a failure) as Message(kind,
value), kind being the letter on the wire. PostgreSQL chapter 55 has the formats
(55.7).

SPDX-License-Identifier: MIT
"""
import base64
import collections
import hashlib
import hmac
import os
import struct

from case import Failed, check, eq

V3_0 = 3 << 16
V3_2 = 3 << 16 | 2
MOST = 1 << 30                  # bytes of a message


def raw(value):
    return value if isinstance(value, (bytes, bytearray)) \
        else str(value).encode()


def cstr(value):
    return raw(value) + b"\0"


# ------------------------------------------------------- what a client sends

def message(kind, body=b""):
    return raw(kind) + struct.pack("!I", len(body) + 4) + body


def packet(code, body=b""):
    """One without a type: the first of a connection."""
    return struct.pack("!II", len(body) + 8, code) + body


def startup(version=V3_0, **params):
    """A name with a dot or the like: startup(**{"_pq_.x": 1})."""
    return packet(version, b"".join(
        cstr(n) + cstr(v) for n, v in params.items()) + b"\0")


def cancel_request(pid, key):
    return packet(80877102, struct.pack("!I", pid) + key)


SSL_REQUEST = packet(80877103)
GSSENC_REQUEST = packet(80877104)
SYNC = message("S")
FLUSH = message("H")
TERMINATE = message("X")
COPY_DONE = message("c")


def query(sql):
    return message("Q", cstr(sql))


def parse(name, sql, *types):
    return message("P", cstr(name) + cstr(sql) + struct.pack(
        "!H%dI" % len(types), len(types), *types))


def value_list(values):
    return struct.pack("!H", len(values)) + b"".join(
        b"\xff\xff\xff\xff" if v is None else
        struct.pack("!I", len(raw(v))) + raw(v) for v in values)


def bind(portal="", statement="", *values, formats=(), results=()):
    def codes(list_):
        return struct.pack("!H%dH" % len(list_), len(list_), *list_)
    return message("B", cstr(portal) + cstr(statement) + codes(formats) +
                   value_list(values) + codes(results))


def describe(what, name=""):
    """what: S a statement, P a portal."""
    return message("D", raw(what) + cstr(name))


def execute(portal="", rows=0):
    return message("E", cstr(portal) + struct.pack("!I", rows))


def close(what, name=""):
    return message("C", raw(what) + cstr(name))


def copy_data(data):
    return message("d", raw(data))


def copy_fail(text):
    return message("f", cstr(text))


def call(oid, *values):
    return message("F", struct.pack("!IH", oid, 0) + value_list(values) +
                   struct.pack("!H", 0))


def password(data):
    """Also SASLResponse; PasswordMessage brings its end itself."""
    return message("p", raw(data))


def sasl_initial(mechanism, data):
    return password(cstr(mechanism) + struct.pack("!I", len(data)) + data)


# ----------------------------------------------------------------- reading

Message = collections.namedtuple("Message", "kind value")


class Fields:
    """The body of a message; all of it has to be read."""

    def __init__(self, kind, body):
        self.kind, self.body, self.at = kind, body, 0

    def take(self, n):
        if n < 0 or self.at + n > len(self.body):
            raise Failed("%r is short: %r" % (self.kind, self.body[:200]))
        got = self.body[self.at:self.at + n]
        self.at += n
        return got

    def number(self, form):
        return struct.unpack("!" + form, self.take(struct.calcsize(form)))[0]

    def numbers(self, form):
        return [self.number(form) for _ in range(self.number("H"))]

    def text(self):
        end = self.body.find(b"\0", self.at)
        if end < 0:
            raise Failed("%r has a text without end" % self.kind)
        return self.take(end + 1 - self.at)[:-1].decode("utf-8", "replace")

    def rest(self):
        return self.take(len(self.body) - self.at)

    def value(self):
        n = self.number("i")
        return None if n == -1 else bytes(self.take(n))

    def values(self):
        return [self.value() for _ in range(self.number("H"))]

    def end(self):
        eq(bytes(self.body[self.at:]), b"", "bytes behind a %r" % self.kind)


def _report(f):
    """ErrorResponse, NoticeResponse: {letter: text}."""
    got = {}
    while True:
        letter = f.take(1).decode()
        if letter == "\0":
            break
        check(letter not in got, "a field twice in %r" % f.body)
        got[letter] = f.text()
    for needed in "SVCM":
        check(needed in got, "%r has no field %s" % (got, needed))
    return got


def _columns(f):
    got = []
    for _ in range(f.number("H")):
        name = f.text()
        f.take(18)
        got.append(name)
    return got


def _copy(f):
    check(f.number("b") in (0, 1), "format of a COPY")
    return f.numbers("H")


def _status(f):
    got = f.take(1).decode()
    check(got in "ITE", "status %r" % got)
    return got


def _authentication(f):
    code = f.number("I")
    if code == 10:
        names = []
        while True:
            name = f.text()
            if not name:
                return code, names
            names.append(name)
    return code, bytes(f.rest())


def _negotiate(f):
    return f.number("I"), [f.text() for _ in range(f.number("I"))]


def _nothing(f):
    return None


BACKEND = {
    "R": _authentication, "K": lambda f: (f.number("I"), bytes(f.rest())),
    "S": lambda f: (f.text(), f.text()), "v": _negotiate,
    "E": _report, "N": _report, "Z": _status,
    "A": lambda f: (f.number("I"), f.text(), f.text()),
    "T": _columns, "D": lambda f: f.values(), "C": lambda f: f.text(),
    "I": _nothing, "1": _nothing, "2": _nothing, "3": _nothing,
    "n": _nothing, "s": _nothing, "t": lambda f: f.numbers("I"),
    "G": _copy, "H": _copy, "c": _nothing,
    "d": lambda f: bytes(f.rest()), "V": lambda f: f.value(),
}

FRONTEND = {
    "Q": lambda f: f.text(),
    "P": lambda f: (f.text(), f.text(), f.numbers("I")),
    "B": lambda f: (f.text(), f.text(), f.numbers("H"), f.values(),
                    f.numbers("H")),
    "D": lambda f: (f.take(1).decode(), f.text()),
    "C": lambda f: (f.take(1).decode(), f.text()),
    "E": lambda f: (f.text(), f.number("I")),
    "S": _nothing, "H": _nothing, "X": _nothing, "c": _nothing,
    "d": lambda f: bytes(f.rest()), "f": lambda f: f.text(),
    "F": lambda f: (f.number("I"), f.numbers("H"), f.values(),
                    f.number("H")),
    "p": lambda f: bytes(f.rest()),
}


def parsed(table, kind, body):
    read = table.get(kind)
    if read is None:
        raise Failed("no such message: %r %r" % (kind, body[:100]))
    f = Fields(kind, body)
    got = Message(kind, read(f))
    f.end()
    return got


def read_message(wire, table):
    """The next one of a Wire."""
    kind, size = struct.unpack("!cI", wire.read_exact(5))
    if not 4 <= size <= MOST:
        raise Failed("length %d of a %r" % (size, kind))
    return parsed(table, kind.decode("latin-1"), wire.read_exact(size - 4))


# ------------------------------------------------------------------- SCRAM

def hmac_sha256(key, data):
    return hmac.digest(key, data, "sha256")


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


class ScramKeys:
    """What a password comes to (RFC 5802, 3)."""

    def __init__(self, secret, salt, iterations):
        salted = hashlib.pbkdf2_hmac("sha256", raw(secret), salt, iterations)
        self.salt, self.iterations = salt, iterations
        self.client = hmac_sha256(salted, b"Client Key")
        self.stored = hashlib.sha256(self.client).digest()
        self.server = hmac_sha256(salted, b"Server Key")

    def secret(self):
        """As pg_authid has it."""
        def b64(data):
            return base64.b64encode(data).decode()
        return "SCRAM-SHA-256$%d:%s$%s:%s" % (
            self.iterations, b64(self.salt), b64(self.stored),
            b64(self.server))


def scram_secret(word, iterations=4096):
    return ScramKeys(word, os.urandom(16), iterations).secret()


def attributes(data):
    return dict((w[:1].decode(), w[2:]) for w in data.split(b","))


class Scram:
    """The client's side (RFC 7677; PostgreSQL 55.3.1: no user name)."""

    def __init__(self, word, user=""):
        self.word = word
        self.nonce = base64.b64encode(os.urandom(18))
        self.bare = b"n=%s,r=%s" % (raw(user), self.nonce)

    def first(self):
        return b"n,," + self.bare

    def final(self, challenge, channel=b"n,,"):
        got = attributes(challenge)
        check(got["r"].startswith(self.nonce) and
              len(got["r"]) > len(self.nonce), "the server's nonce")
        keys = ScramKeys(self.word, base64.b64decode(got["s"]),
                         int(got["i"]))
        without = b"c=%s,r=%s" % (base64.b64encode(channel), got["r"])
        signed = b",".join((self.bare, challenge, without))
        self.signature = hmac_sha256(keys.server, signed)
        proof = xor(keys.client, hmac_sha256(keys.stored, signed))
        return without + b",p=" + base64.b64encode(proof)

    def verify(self, outcome):
        eq(base64.b64decode(attributes(outcome)["v"]), self.signature,
           "the server's signature")


def md5_response(word, user, salt):
    inner = hashlib.md5(raw(word) + raw(user)).hexdigest()
    return "md5" + hashlib.md5(raw(inner) + salt).hexdigest()
