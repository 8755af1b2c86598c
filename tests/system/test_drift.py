"""What runs otherwise than the file on disk says is named, whatever made it so;
the last reloads are remembered with what they changed.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import case, check, eq, run, until
from weir import Weir, command, one
from web import HttpOrigin

UNTIL = r" until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+ s\)"


def drift(w):
    status, body = w.get("/drift")
    eq(status, 200, "/drift")
    return json.loads(body)


def printed(w, *patterns):
    """weir drift prints lines that match these, and no others."""
    r = command("drift", "-c", w.file)
    eq(r.returncode, 0 if patterns == (NOTHING,) else 1,
       "weir drift: " + r.stderr)
    eq(command("drift", "--json", "-c", w.file).returncode, r.returncode,
       "weir drift --json")
    lines = r.stdout.splitlines()
    eq(len(lines), len(patterns), "lines: %r" % lines)
    for line, pattern in zip(lines, patterns):
        check(re.fullmatch(pattern, line), "%r is not %r" % (line, pattern))
    eq(drift(w)["text"] if "s)" not in r.stdout else lines, lines, "/drift")


def left(w, what):
    """How many seconds it is said to last yet."""
    [text] = [r["text"] for r in drift(w)["overrides"] if r["what"] == what]
    return int(re.search(r"\((\d+) s\)", text).group(1))


NOTHING = "nothing differs from the file"


@case
def a_file_that_has_changed_is_named():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 8; max_idle = 4; max_pinned = 1;"))
    printed(w, NOTHING)
    text = w.conf.text()
    w.write(text.replace("max = 8;", "max = 9;"))
    printed(w, "file: upstream back: pool.max 8 -> 9")
    j = drift(w)
    eq(j["file"]["result"], "ok", "result")
    eq(j["file"]["changes"][0]["path"], "upstreams.back.pool.max", "path")
    eq(j["overrides"], [], "by hand")
    w.reload()
    printed(w, NOTHING)
    w.write("mistake")
    r = command("drift", "--admin", "127.0.0.1:%d" % w.admin[1])
    check(r.stdout.startswith("file: %s:1: " % w.file), r.stdout)
    eq(r.returncode, 1, "exit status")
    eq(drift(w)["file"]["result"], "invalid", "result")
    eq(w.stats()["generation"], 2, "generation")


@case
def what_was_changed_by_hand_is_named_until_it_ends():
    o = HttpOrigin()
    w = Weir(one(o))
    end = "/upstreams/back/endpoints/%s?" % o.address
    who = "upstream back endpoint " + re.escape(o.address) + ": "
    w.post(end + "state=drain&for=10m&weight=3")
    printed(w, who + "drain, weight 3 by hand" + UNTIL)
    eq([r["what"] for r in drift(w)["overrides"]],
       ["upstream back endpoint " + o.address], "what")
    w.post(end + "state=up")
    printed(w, who + "up, weight 3 by hand")
    w.post("/upstreams/back/pause")
    w.post("/log?level=debug&for=5m")
    printed(w, who + "up, weight 3 by hand", "upstream back: paused by hand",
            "log: level debug by hand" + UNTIL + ", the file says info")
    w.post("/upstreams/back/resume")
    w.post("/log?level=info")
    w.post("/upstreams/back/fault?delay=200ms&reset=1&percent=2.5&for=5m")
    printed(w, who + "up, weight 3 by hand", "upstream back: faults by hand, "
            "for 2.5 % of its exchanges: 200 ms of delay, then a reset" + UNTIL)
    check(left(w, "upstream back") <= 300, "longer than was asked for")
    w.post("/upstreams/back/fault?error=1&percent=50&for=5m")
    printed(w, who + "up, weight 3 by hand", "upstream back: faults by hand, "
            "for 50 % of its exchanges: an error" + UNTIL)
    w.post("/upstreams/back/fault?off=1")
    w.post(end + "state=conf")
    printed(w, NOTHING)
    w.post("/log?level=warn")
    printed(w, "log: level warn by hand, the file says info")
    w.reload()
    printed(w, NOTHING)


@case
def what_waits_for_a_confirmation_or_the_next_start_is_named():
    o = HttpOrigin()
    w = Weir(one(o))
    text = w.conf.text()
    w.write(text.replace("workers = 1;", "workers = 2;"))
    w.post("/reload?confirm=1h")
    start = "workers: 1 since the start, 2 in the file: takes effect at the " \
        "next start"
    printed(w, "reload: generation 2 awaits its confirmation" + UNTIL +
            ", then what was before is back", start)
    check(left(w, "reload") <= 3600, "more than that was promised")
    eq(w.post("/confirm")[0], 200, "/confirm")
    printed(w, start)
    w.write(text.replace("workers = 1;", "workers = 3;"))
    w.reload()
    printed(w, start.replace("2", "3"))
    w.write(text)
    w.reload()
    printed(w, NOTHING)
    w.wait_log("workers 1 -> 2: takes effect at the next start")


@case
def the_last_ten_reloads_are_remembered_with_what_they_changed():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 64; max_idle = 9; max_pinned = 1;"))
    eq(w.stats()["reloads"], [], "before the first")
    text = w.conf.text()
    for k in range(1, 12):
        w.write(text.replace("max = 64;", "max = %d;" % (64 + k)))
        w.reload()
    w.write("mistake")
    eq(w.post("/reload")[0], 422, "a mistake")
    rows = w.stats()["reloads"]
    eq(len(rows), 10, "remembered")
    eq([r["result"] for r in rows], ["refused"] + ["ok"] * 9, "results")
    check(":1: " in rows[0]["error"], rows[0]["error"])
    eq(rows[0]["changes"], [], "changes of what was refused")
    eq(rows[1]["changes"], ["upstream back: pool.max 74 -> 75"], "changes")
    eq([r["generation"] for r in rows], [12] + list(range(12, 3, -1)),
       "generations")
    check(all(r["at"] > 1700000000 for r in rows), "times")
    w.wait_log(r"info reload: upstream back: pool\.max 74 -> 75")
    # However much one has changed, little is kept of it.
    w.write(text.replace('protocol = "http";', 'protocol = "http"; allow = ( '
                         '%s );' % ", ".join('"10.%d.%d.0/24"' % divmod(i, 250)
                                             for i in range(10000))))
    w.reload()
    change, _ = w.stats()["reloads"][0]["changes"]
    check("allow" in change and len(change) <= 2000, len(change))


@case
def the_command_says_what_a_reload_has_changed():
    o = HttpOrigin()
    w = Weir(one(o, pool="max = 64; max_idle = 9; max_pinned = 1;"))
    w.write(w.conf.text().replace("max = 64;", "max = 63;"))
    r = command("reload", "-c", w.file)
    eq(r.stdout, "reloaded: generation 2\nupstream back: pool.max "
       "64 -> 63\n", "weir reload")
    r = command("reload", "-c", w.file)
    eq(r.stdout, "reloaded: generation 3\nnothing has changed\n",
       "weir reload again")


run()
