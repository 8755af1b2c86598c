"""The service manager's end of NOTIFY_SOCKET (sd_notify(3)).

SPDX-License-Identifier: MIT
"""
import os
import socket
import time

import case
from case import WAIT, Failed, later, until


class Manager:
    """The manager's end of NOTIFY_SOCKET."""

    def __init__(self, abstract=False):
        name = "weir-notify-%d-%d" % (os.getpid(), time.monotonic_ns())
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if abstract:
            self.socket.bind("\0" + name)
            self.env = {"NOTIFY_SOCKET": "@" + name}
        else:
            path = os.path.join(case.temp_dir(), name)
            self.socket.bind(path)
            self.env = {"NOTIFY_SOCKET": path}
        self.socket.setblocking(False)
        later(self.socket.close)
        self.heard = []

    def listen(self):
        try:
            while True:
                text = self.socket.recv(65536).decode()
                self.heard.append(dict(line.split("=", 1)
                                       for line in text.split("\n")))
        except BlockingIOError:
            return self.heard

    def fill(self):
        """Until it listens again, no more goes into its queue."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.setblocking(False)
            try:
                while True:
                    s.sendto(b"FILLED=1", self.socket.getsockname())
            except BlockingIOError:
                pass

    def wait(self, name, value=None, wait=WAIT, like=""):
        """The first datagram with that; it and those before it are heard.
        like: what the value has to begin with."""
        def came():
            for i, datagram in enumerate(self.listen()):
                if name in datagram and value in (None, datagram[name]) and \
                        datagram[name].startswith(like):
                    del self.heard[:i + 1]
                    return datagram
            return None
        try:
            return until(came, "", wait)
        except Failed:
            raise Failed("never said %s=%s: %r" % (
                name, value, self.heard)) from None

    def said(self, name):
        return [d for d in self.listen() if name in d]
