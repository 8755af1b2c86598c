#!/usr/bin/env python3
"""weir's HTTP parser and Node's llhttp on the same bytes: what weir accepts,
llhttp reads as the same messages. llhttp_compare.mjs does it and tells what it
compares; this builds its input and runs it.
"""
# SPDX-License-Identifier: MIT
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, need, run, temp_dir

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DAMAGED = 50000


def build_dump():
    cc = os.environ.get("CC", "cc").split()
    need(cc[0])
    dump = os.path.join(temp_dir(), "parse_dump")
    subprocess.check_call(
        cc + ["-std=c11", "-D_GNU_SOURCE", "-O1", "-I" + ROOT, "-o", dump,
              os.path.join(HERE, "parse_dump.c")] +
        [os.path.join(ROOT, "proxy", "proto", "http", name + ".c")
         for name in ("parse", "fields", "chunks")])
    return dump


def compare(dump, damaged):
    rows = subprocess.Popen([dump, str(damaged)], stdout=subprocess.PIPE)
    node = subprocess.run(
        ["node", os.path.join(HERE, "llhttp_compare.mjs")], stdin=rows.stdout,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=150)
    rows.stdout.close()
    check(rows.wait() == 0, "parse_dump failed")
    text = node.stdout.decode(errors="replace")
    check(node.returncode == 0, text[-8000:])
    print("# " + " / ".join(text.split("\n")[-3:-1]))


@case
def every_row_is_read_alike():
    need("node")
    compare(build_dump(), 0)


@case
def damaged_rows_are_read_alike():
    need("node")
    compare(build_dump(), DAMAGED)


run()
