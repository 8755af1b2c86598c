"""Clients with addresses of their own: all of 127.0.0.0/8 is this machine.

SPDX-License-Identifier: MIT
"""
import socket

from case import WAIT, later
from web import ask, read_response, refused
from wire import Wire


class From(Wire):
    """A client that connects from that source address; closed at the end.

    Accepted and reset before connect() has returned is like reset after it.
    """

    def __init__(self, source, number, host="127.0.0.1"):
        sock = socket.socket()
        sock.bind((source, 0))
        sock.settimeout(WAIT)
        ended = None
        try:
            sock.connect((host, number))
        except ConnectionResetError:
            sock.close()
            sock, there = socket.socketpair()
            there.close()
            ended = "rst"
        super().__init__(sock)
        self.ended = ended
        later(self.close)


def turned_away(wire):
    """What a client that is refused at accept is told, up to the end."""
    try:
        return wire.read_to_end()
    except ConnectionError:
        return b""


def statuses(wire, n, **more):
    """Of n requests, one after the other."""
    return [ask(wire, **more).status for _ in range(n)]


def limited(r, status=429, reason="limited", most=3600):
    """Check a refusal for a limit's sake; its Retry-After in seconds."""
    refused(r, status, reason)
    text = r.get("Retry-After") or ""
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise AssertionError("Retry-After: %r" % text)
    return int(text)


def limited_at_accept(wire):
    """The same for an HTTP client that has not asked yet."""
    r = read_response(wire)
    limited(r)
    if r.get("Connection") != "close" or wire.read_to_end():
        raise AssertionError("not closed: %r" % r.raw)
