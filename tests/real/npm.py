"""Packages of npm for these tests, installed beside the binary under test when
they are first needed; without the registry the case is skipped.

SPDX-License-Identifier: MIT
"""
import fcntl
import os
import subprocess

from case import Skip, need
from programs import HERE, run
from weir import BINARY

FOLDER = os.path.join(os.path.dirname(BINARY), "npm")


def installed(package):
    """Folder under whose node_modules the package is."""
    npm = need("npm")
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(os.path.join(FOLDER, "node_modules", package)):
            try:
                r = subprocess.run(
                    [npm, "install", "--no-audit", "--no-fund",
                     "--ignore-scripts", "--prefix", FOLDER, package],
                    capture_output=True, text=True, timeout=120)
            except subprocess.TimeoutExpired:
                raise Skip("npm install %s takes too long" % package) from None
            if r.returncode != 0:
                raise Skip("npm cannot install %s: %s" % (
                    package, r.stderr.strip()[-200:]))
    return FOLDER


def play(package, number):
    """Run what node_redis.mjs has for that package against a port."""
    run(need("node"), os.path.join(HERE, "node_redis.mjs"),
        installed(package), str(number), package, timeout=60)
