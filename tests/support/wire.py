"""A socket as tests want it: exact reads, how the peer ended, RST on demand.

Wire is either side; Client is the one that connects. Every read has a time
limit, so a hung proxy is a failure with a name and not a hung test.

SPDX-License-Identifier: MIT
"""
import select
import socket
import ssl
import struct
import time

from case import WAIT, Failed, later


class Ended(Failed):
    """The peer ended while more was wanted."""


class Wire:
    def __init__(self, sock):
        self.sock = sock
        self.buf = bytearray()      # read, not taken yet
        self.ended = None           # "fin" or "rst" once seen; of TLS also
                                    # "cut": an end without leave
        self.received = 0
        self.limit = WAIT
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.sock.settimeout(self.limit)
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.sock.sendall(data)
        return self

    def send_pieces(self, data, size=1, pause=0.0):
        """Send in pieces of that size, a system call each."""
        for at in range(0, len(data), size):
            self.send(data[at:at + size])
            if pause:
                time.sleep(pause)
        return self

    def more(self, limit=None):
        """Read once; False at the peer's end. TimeoutError after the limit."""
        if self.ended:
            return False
        self.sock.settimeout(self.limit if limit is None else limit)
        try:
            got = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "rst"
            return False
        except ssl.SSLEOFError:
            self.ended = "cut"
            return False
        except TimeoutError:
            raise TimeoutError("nothing came; so far %r" %
                               bytes(self.buf[:300])) from None
        if not got:
            self.ended = "fin"
            return False
        self.received += len(got)
        self.buf += got
        return True

    def take(self, n):
        got = bytes(self.buf[:n])
        del self.buf[:n]
        return got

    def read_exact(self, n):
        while len(self.buf) < n:
            if not self.more():
                raise Ended("%s after %d of %d bytes: %r" % (
                    self.ended, len(self.buf), n, bytes(self.buf[:300])))
        return self.take(n)

    def read_until(self, mark):
        """Up to and with mark."""
        seen = 0
        while True:
            at = self.buf.find(mark, max(0, seen - len(mark)))
            if at >= 0:
                return self.take(at + len(mark))
            seen = len(self.buf)
            if not self.more():
                raise Ended("%s before %r: %r" % (
                    self.ended, mark, bytes(self.buf[:300])))

    def read_line(self):
        return self.read_until(b"\n")

    def read_to_end(self):
        """All until the peer ends; self.ended says how."""
        while self.more():
            pass
        return self.take(len(self.buf))

    def at_end(self):
        """Has the peer ended, by now? Takes what has come into buf."""
        while not self.ended and select.select([self.sock], [], [], 0)[0]:
            self.more()
        return self.ended is not None

    def wants(self):
        """Has something come, or the end, that was not taken?"""
        return bool(self.buf) or self.ended is not None or \
            bool(select.select([self.sock], [], [], 0)[0])

    def shut(self):
        """Say FIN, keep reading."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def rst(self):
        """End with RST: linger 0 (on a Unix socket: just close)."""
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def dial(address, rcvbuf=None):
    """address: port number, (host, port), "host:port" or "unix:/path"."""
    if isinstance(address, int):
        address = ("127.0.0.1", address)
    if isinstance(address, str) and not address.startswith("unix:"):
        host, _, number = address.rpartition(":")
        address = (host.strip("[]"), int(number))
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        address = address[5:]
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0]
                             else socket.AF_INET)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.settimeout(WAIT)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


class Client(Wire):
    """Connects; closed at the end of the case.

    Accepted and reset before connect() has returned is like reset after it.
    """

    def __init__(self, address, rcvbuf=None):
        try:
            super().__init__(dial(address, rcvbuf))
        except ConnectionResetError:
            here, there = socket.socketpair()
            there.close()
            super().__init__(here)
            self.ended = "rst"
        later(self.close)
