"""Values that come from the environment and from files reach the upstream, are
read again at a reload, and are shown to nobody who asks weir.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, put, run
from weir import Weir, command, one
from web import HttpOrigin, ok, once


def start(text, env=None):
    o = HttpOrigin()
    conf = one(o, up='http = { set_headers = { X-Key = "%s"; }; };' % text)
    w = Weir(conf, env=env)
    return o, w


def sent(o, w):
    ok(once(w.conf.ports["front"]))
    return o.seen[-1].get("X-Key")


@case
def a_file_is_read_again_at_a_reload():
    path = put("key", "first-secret\n")
    o, w = start("Bearer ${file:%s}" % path)
    eq(sent(o, w), "Bearer first-secret", "sent")
    put("key", "second-secret\n")
    eq(sent(o, w), "Bearer first-secret", "before the reload")
    w.reload()
    eq(sent(o, w), "Bearer second-secret", "after it")
    for page in ("/config", "/stats", "/metrics", "/connections", "/"):
        check("-secret" not in w.get(page)[1], page + " tells it")
    r = command("-c", w.file, "check")
    check("-secret" not in r.stdout + r.stderr + w.log(), "told")
    o.had(1)


@case
def a_file_that_is_gone_refuses_the_reload():
    path = put("key", "kept")
    o, w = start("${file:%s}" % path)
    os.unlink(path)
    status, body = w.post("/reload")
    check(status != 200 and path in body, "%d %s" % (status, body))
    eq(sent(o, w), "kept", "sent")
    o.had(1)


@case
def the_environment_and_its_defaults():
    o, w = start("${WEIR_TEST_A}-${WEIR_TEST_B:-dflt}-$${C}",
                 {"WEIR_TEST_A": "a"})
    eq(sent(o, w), "a-dflt-${C}", "sent")
    r = command("-t", "-c", w.file)
    check(r.returncode == 1 and "WEIR_TEST_A" in r.stderr + r.stdout,
          "an unset variable: " + r.stderr)
    r = command("-t", "-c", w.file, env={"WEIR_TEST_A": "b"})
    eq(r.returncode, 0, "with it: " + r.stderr)
    o.had(1)


run()
