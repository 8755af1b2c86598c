"""`weir demo` needs no file and no other server: it says which URLs to open,
and they answer.
"""
# SPDX-License-Identifier: MIT
import os
import re
import signal
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Skip, WAIT, case, check, eq, run, until
from weir import Weir


@case
def demo_starts_says_where_and_serves():
    w = Weir(argv=["demo"], wait=False)

    def urls():
        return re.findall(r"http://(?:127\.0\.0\.1|localhost):\d+[^\s\"']*",
                          w.log())
    try:
        until(lambda: len(set(urls())) >= 2 or w.process.poll() is not None,
              "URLs of the demo")
        if w.process.poll() is not None and "in use" in w.log().lower():
            w.status = w.process.poll()
            raise Skip("the demo's port is taken on this machine")
        check(w.process.poll() is None, "it ended: " + w.log()[-500:])
        pages = {}
        for url in sorted(set(urls())):
            with urllib.request.urlopen(url.rstrip(".,"), timeout=WAIT) as r:
                eq(r.status, 200, url)
                pages[url] = r.read().decode("utf-8", "replace")
        check(any("<html" in p.lower() for p in pages.values()), "dashboard")
        check(any("/stats" in p or "upstream" in p for p in pages.values()),
              "nothing of weir's")
    finally:
        if w.status is None:
            w.signal(signal.SIGTERM)
            w.exited()
    w.clean()
    eq(w.status, 0, "exit status")


run()
