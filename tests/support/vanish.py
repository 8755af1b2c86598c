"""A peer that is gone without a word: neither FIN nor RST is sent.

The kernel lets a socket be taken out for moving it elsewhere (TCP_REPAIR, for
which CAP_NET_ADMIN is needed); closed like that, the other side is half-open.

SPDX-License-Identifier: MIT
"""
import fcntl
import socket
import struct
import termios

from case import Aside, until

TCP_REPAIR = 19


def permitted():
    """Skip the case where this cannot be done."""
    with socket.socket() as s:
        try:
            s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except OSError as e:
            raise Aside("TCP_REPAIR: %s" % e) from None


def vanish(sock):
    """Whatever comes for it from now on is answered by RST. What was sent
    before has arrived: the kernel's queue of it (SIOCOUTQ) is empty."""
    def unsent():
        return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ,
                                              b"\0" * 4))[0]
    until(lambda: unsent() == 0, "what was sent has arrived")
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()
