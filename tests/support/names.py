"""Names of the test's own: a DNS server on port 53 of a network of its own,
which is the only one that programs started from here know of.

SPDX-License-Identifier: MIT
"""
import ctypes
import os
import socket
import struct
import threading

import case
from case import Aside, later
from netns import enter
from origin import end_listening

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
A, OK, SERVFAIL, NXDOMAIN = 1, 0, 2, 3

_libc = ctypes.CDLL(None, use_errno=True)
_known = False


def _mount(what, where, flags):
    if _libc.mount(what, where, None, flags, None) != 0:
        raise Aside("mount: %s" % os.strerror(ctypes.get_errno()))


def enter_names():
    """From now on 127.0.0.1 is asked for names. Before any thread."""
    global _known
    if _known:
        return
    enter()
    if _libc.unshare(CLONE_NEWNS) != 0:
        raise Aside("no mount namespace: %s" % os.strerror(
            ctypes.get_errno()))
    _mount(None, b"/", MS_REC | MS_PRIVATE)
    path = case.put("resolv.conf", "nameserver 127.0.0.1\n"
                    "options timeout:1 attempts:2\n")
    _mount(path.encode(), b"/etc/resolv.conf", MS_BIND)
    _known = True


class Names:
    """answer(name, count) gives IPv4 addresses as a list, OK for "there is
    none", SERVFAIL, NXDOMAIN, bytes to be sent as they are, or None: nothing
    is said. Only questions for A are counted; AAAA has none."""

    def __init__(self, answer, ttl=0):
        self.answer, self.ttl, self.asked = answer, ttl, 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        later(self.end)

    def end(self):
        end_listening(self.sock, self.thread)

    def _serve(self):
        while True:
            try:
                question, peer = self.sock.recvfrom(2048)
                if not question:
                    return      # that was end()
                reply = self._reply(question)
                if reply is not None:
                    self.sock.sendto(reply, peer)
            except OSError:
                return

    def _reply(self, question):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]])
            at += 1 + question[at]
        kind, = struct.unpack_from("!H", question, at + 1)
        said = OK
        if kind == A:
            self.asked += 1
            said = self.answer(b".".join(labels).decode(), self.asked)
        if said is None or isinstance(said, bytes):
            return said
        found = said if isinstance(said, list) else []
        code = 0 if isinstance(said, list) else said
        head = question[:2] + struct.pack("!HHHHH", 0x8180 | code, 1,
                                          len(found), 0, 0)
        return head + question[12:at + 5] + b"".join(
            struct.pack("!HHHIH4s", 0xC00C, A, 1, self.ttl, 4,
                        socket.inet_aton(a)) for a in found)
