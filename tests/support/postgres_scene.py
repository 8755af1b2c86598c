"""weir before a scripted PostgreSQL, its clients, and what they leave behind.

SPDX-License-Identifier: MIT
"""
from case import until
from postgres import through
from postgres_origin import PgOrigin

LARGE = "SELECT '%s'" % ("x" * 300000)  # to be kept only for who may be pinned


def start(pool="max = 2;", more="", **options):
    o = PgOrigin(**options)
    w = through(o, pool=pool, front='auth = "trust"; ' + more)
    return o, w, w.conf.ports["front"]


def leave(*clients):
    for c in clients:
        c.prove().quit()


def clean(o):
    """Nothing is left on any connection that nobody has."""
    def rest():
        for s in list(o.sessions.values()):
            if s.temp or s.listening or s.cursors or s.status != "I":
                return False
        return not o.locks
    until(rest, "sessions without a state: %r" % [
        (s.temp, s.listening, s.cursors, o.locks)
        for s in o.sessions.values()])
