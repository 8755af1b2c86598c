"""Tools of the fault tests: C helpers made on the spot, and who can use what.

Programs and preloaded objects are compiled once for each text of theirs, into
the folder of the binary under test.

SPDX-License-Identifier: MIT
"""
import hashlib
import os
import subprocess

import case
from case import Aside, need
from weir import BINARY, HERE

VARIANT = os.environ.get("VARIANT", "release")
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra"]


def built(name, *sources, flags=(), libs=()):
    """Path of what sources (paths in tests/support) were compiled to."""
    cc = os.environ.get("CC", "cc").split()
    need(cc[0])
    paths = [os.path.join(HERE, s) for s in sources]
    text = hashlib.sha256(repr((cc, flags, libs)).encode())
    for path in paths:
        folder = os.path.dirname(path)
        for near in sorted(os.listdir(folder)):
            if near.endswith((".c", ".h")):
                with open(os.path.join(folder, near), "rb") as f:
                    text.update(f.read())
    folder = os.path.join(os.path.dirname(BINARY), "support")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        folder = case.temp_dir()
    made = os.path.join(folder, "%s-%s" % (name, text.hexdigest()[:16]))
    if not os.path.exists(made):
        # Others may be doing the same: the last one's is as good.
        new = "%s.%d" % (made, os.getpid())
        subprocess.run([*cc, *FLAGS, *flags, "-o", new, *paths, *libs],
                       check=True)
        os.rename(new, made)
    return made


def not_in(*variants, why):
    """Skip the case in these variants of the build."""
    if VARIANT in variants:
        raise Aside("%s build: %s" % (VARIANT, why))


def namespace(*kinds):
    """The command that runs others in namespaces of their own: unshare."""
    argv = [need("unshare"), *kinds]
    if subprocess.run([*argv, "true"], capture_output=True).returncode != 0:
        raise Aside("not permitted here: %s" % " ".join(argv))
    return argv
