"""A network of the test's own, with few local ports or none.

SPDX-License-Identifier: MIT
"""
import ctypes
import fcntl
import os
import socket
import struct

from case import Aside

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
RANGE = "/proc/sys/net/ipv4/ip_local_port_range"

_entered = False


def enter():
    """From now on this process, and what it starts, has a loopback network of
    its own. Before any thread is started."""
    global _entered
    if _entered:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise Aside("no network namespace: %s" % os.strerror(
            ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name = struct.pack("16sH14x", b"lo", 0)
        flags, = struct.unpack_from("H", fcntl.ioctl(s, SIOCGIFFLAGS, name),
                                    16)
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo",
                                                 flags | IFF_UP))
    _entered = True


def local_ports(first, last):
    """The numbers that connections to one address may come from."""
    try:
        with open(RANGE, "w") as f:
            f.write("%d %d\n" % (first, last))
    except OSError as e:
        raise Aside("%s: %s" % (RANGE, e)) from None
