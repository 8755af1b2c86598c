"""A scripted TCP server: every connection runs a function, all are counted.

The script gets a Link (a Wire with a number) in a thread of its own and may
read, send, stall, half-close or reset; when it returns, the connection closes.

SPDX-License-Identifier: MIT
"""
import os
import socket
import struct
import threading

from case import WAIT, Failed, eq, later, port, temp_dir, until
from wire import Wire


class Link(Wire):
    """One accepted connection: number counts from 1 in its origin."""

    def __init__(self, sock, origin, number):
        super().__init__(sock)
        self.origin = origin
        self.number = number
        self.requests = 0       # counted by protocols above

    def more(self, limit=None):
        before = self.received
        got = super().more(limit)
        with self.origin.lock:
            self.origin.received += self.received - before
        return got

    def hold(self):
        """Stall until the case ends or the origin lets go."""
        self.origin.ending.wait()


def end_listening(sock, thread):
    """Close what that thread accepts from, once it does not any more.

    Otherwise it may be just on its way into accept() with the number of the
    descriptor, which by then is that of the next one who listens: it would
    take that one's connections.
    """
    try:
        sock.shutdown(socket.SHUT_RDWR)     # wakes it
    except OSError:
        pass
    thread.join(WAIT)
    sock.close()


class Origin:
    """kind: "tcp", "tcp6" or "unix". One thread a connection."""

    def __init__(self, script, kind="tcp", number=None):
        self.script = script
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.accepted = 0       # connections ever
        self.received = 0       # bytes ever
        self.links = []         # open ones
        self.errors = []        # what scripts raised, except for lost peers
        self.kind = kind
        self.number = number or port()
        self.path = os.path.join(temp_dir(), "o%d.sock" % self.number)
        self.sock = None
        self.listen()
        later(self.stop)

    @property
    def address(self):
        """As a configuration file writes it."""
        return {"tcp": "127.0.0.1:%d", "tcp6": "[::1]:%d"}.get(
            self.kind, "unix:" + self.path.replace("%", "%%")) % (
            (self.number,) if self.kind != "unix" else ())

    @property
    def open(self):
        with self.lock:
            return len(self.links)

    def had(self, n):
        """Until n connections have been accepted, and not one more.

        weir knows a connection as open as soon as the kernel has shaken
        hands for it; this side counts it a moment later.
        """
        try:
            until(lambda: self.accepted >= n, "")
        except Failed:
            pass
        eq(self.accepted, n, "upstream connections")

    def listen(self):
        """Begin, or begin again, to accept."""
        if self.kind == "unix":
            sock = socket.socket(socket.AF_UNIX)
            if os.path.exists(self.path):
                os.unlink(self.path)
            sock.bind(self.path)
        else:
            v6 = self.kind == "tcp6"
            sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::1" if v6 else "127.0.0.1", self.number))
        sock.listen(4096)
        self.sock = sock
        self.door = threading.Thread(target=self._accept, args=(sock,),
                                     daemon=True)
        self.door.start()

    def refuse(self):
        """Stop to listen: new connections are refused, old ones stay."""
        if self.sock is None:
            return
        end_listening(self.sock, self.door)
        self.sock = None

    def drop_all(self, rst=False):
        """End every open connection: FIN, or RST when its script is done."""
        with self.lock:
            links = list(self.links)
        for link in links:
            try:
                if rst:
                    link.sock.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
                # SHUT_RD says nothing to the peer, but wakes the script.
                link.sock.shutdown(socket.SHUT_RD if rst
                                   else socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.ending.set()
        self.refuse()
        self.drop_all()

    def _accept(self, sock):
        while True:
            try:
                got, _ = sock.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                link = Link(got, self, self.accepted)
                self.links.append(link)
            threading.Thread(target=self._serve, args=(link,),
                             daemon=True).start()

    def _serve(self, link):
        try:
            self.script(link)
        except (ConnectionError, BrokenPipeError):
            pass                # the peer left: its right
        except Exception as e:
            if not self.ending.is_set():
                self.errors.append(e)
        finally:
            # Close and be gone from links in one step, so that open is exact.
            with self.lock:
                self.links.remove(link)
                try:
                    link.sock.close()
                except OSError:
                    pass


def until_end(link):
    """The simplest script: read and drop until the peer ends."""
    link.limit = None
    while link.more():
        link.buf.clear()


def echo(link):
    """Send back what comes; FIN is answered by FIN."""
    link.limit = None
    while link.more():
        link.send(link.take(len(link.buf)))


def greet(text):
    """A server that speaks first, then echoes."""
    def script(link):
        link.send(text % link.number if b"%d" in text else text)
        echo(link)
    return script
