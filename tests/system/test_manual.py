"""The manual pages against the program: every key of the file with its bounds
and default, every command, page, number and reason is there under its name.
"""
# SPDX-License-Identifier: MIT
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(__file__)
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from case import case, check, eq, need, run
from weir import Weir, command, one
from web import HttpOrigin, ok, once

# Groups named after them are not keys of a table.
PROTOCOLS = {"http", "tcp", "redis", "postgres"}
PAGES = os.path.join(HERE, "..", "..", "packaging", "man")


class Page:
    """items: {(section, name): first line below}; words: all that is marked.

    A section is the latest .Ss or .Sh; an item's name is the first word of
    .It Cm, .It Pa or the like.
    """

    def __init__(self, name):
        self.path = os.path.join(PAGES, name)
        self.items, self.words = {}, set()
        section = item = None
        with open(self.path) as f:
            lines = f.read().split("\n")
        for line in lines:
            m = re.match(r"\.(S[hs]|It|Cm|Fl|Pa|Ic) ?(.*)", line)
            if m and m[1] in ("Sh", "Ss"):
                section, item = m[2], None
            elif m and m[1] == "It":
                words = m[2].split()
                self.words.update(w.lstrip("-") for w in words)
                item = (section, words[-1 if len(words) < 2 else 1])
                self.items[item] = ""
            elif m:
                self.words.update(m[2].split())
            elif item and not line.startswith(".") and line:
                self.items[item] = self.items[item] or line
                if self.items[item].startswith("(") and \
                        self.items[item] != line and \
                        not closed(self.items[item]):
                    self.items[item] += " " + line

    def of(self, section):
        """Names of the items of a section."""
        return {name for s, name in self.items if s == section}


def closed(text):
    return text.count("(") == text.count(")")


def differences(theirs, ours, where):
    check(not theirs - ours, "%s lacks %s" % (where, sorted(theirs - ours)))
    check(not ours - theirs, "%s tells of %s, which there is not" % (
        where, sorted(ours - theirs)))


def keys_of_help():
    """{(section, key): "(kind; default)"} as `weir -h config` prints them."""
    r = command("-h", "config")
    eq(r.returncode, 0, "exit status")
    keys, section, key = {}, None, None
    for line in r.stdout.split("\n"):
        m = re.match(r"(Keys|Fields) of ([^:]*)", line)
        if m and m[1] == "Fields":
            break                       # what is no key follows
        if m:
            section, key = m[2], None
        elif not line.startswith("  "):
            continue
        elif line.startswith("      "):
            key = None                  # its help; the next begins anew
        elif key is None:
            key = (section, line.split()[0])
            keys[key] = line.split(None, 1)[1]
        else:
            keys[key] += " " + line.strip()
    return keys


@case
def every_key_is_there_with_its_bounds_and_default():
    keys = keys_of_help()
    check(len(keys) > 60, "only %d keys read from -h config" % len(keys))
    page = Page("weir.conf.5")
    sections = {s for s, _ in keys}
    there = {k: v for k, v in page.items.items() if k[0] in sections}
    differences(set(keys), set(there), "weir.conf.5")
    for key, kind in keys.items():
        eq(there[key], kind, "weir.conf.5: %s of %s" % (key[1], key[0]))


@case
def every_field_of_the_access_log_is_there():
    said = command("-h", "config").stdout.split("Fields of log.fields:\n")[1]
    fields = dict(re.findall(r"^  (\S+) +(.+)$", said.split("\n\n")[0], re.M))
    check(len(fields) > 20, "fields: %r" % fields)
    page = Page("weir.conf.5")
    differences(set(fields), page.of("Fields of log.fields"), "weir.conf.5")
    for name, text in fields.items():
        eq(page.items["Fields of log.fields", name].lower(),
           text.lower() + ".", "weir.conf.5: " + name)


def commands_of_help():
    r = command("-h")
    eq(r.returncode, 0, "exit status")
    commands = set(re.findall(r"^  weir (?:\[[^\]]*\] )*([a-z]+)\b",
                              r.stdout, re.M)) - {"run"}
    check(len(commands) > 6, "commands read from -h: %r" % commands)
    return commands


@case
def every_command_and_option_is_there():
    commands = commands_of_help()
    page = Page("weir.8")
    missing = commands - page.of("COMMANDS")
    check(not missing, "weir.8 lacks the commands %s" % sorted(missing))
    options = re.findall(r"--([a-z][a-z-]*)", command("-h").stdout)
    for option in set(options):
        check(option in page.words, "weir.8 lacks --" + option)
    for name in page.of("COMMANDS") - commands:
        # Wrong use, not an unknown command: it is there.
        said = command(name, "--nonsense").stderr
        check(said and "unknown command" not in said,
              "weir.8 tells of %s: %s" % (name, said))


def names_in(value):
    """Every name in a piece of JSON, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(names_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    return set()


def started():
    o = HttpOrigin()
    w = Weir(one(o))
    ok(once(w.conf.ports["front"]))
    w.balanced(o)
    eq(o.accepted, 1, "upstream connections")
    return w


@case
def every_number_and_reason_is_there():
    stats = started().stats()
    page = Page("weir-admin.7")
    listener, upstream = stats["listeners"][0], stats["upstreams"][0]
    for section, names in (
            ("Outcomes", listener.pop("outcomes_total")),
            ("Failures", listener.pop("failures_total")),
            ("Discards", upstream.pop("discarded_total")),
            ("Endpoint failures",
             upstream["endpoints"][0].pop("failures_total"))):
        check(len(names) > 4, "%s: %r" % (section, names))
        differences(set(names), page.of(section), "weir-admin.7, " + section)
    missing = names_in(stats) - {"listeners", "upstreams"} - page.words
    check(not missing, "weir-admin.7 lacks %s" % sorted(missing))
    differences(set(listener), page.of("listeners") -
                {"outcomes_total", "failures_total"}, "weir-admin.7")
    differences(set(upstream), page.of("upstreams") - {"discarded_total"},
                "weir-admin.7")
    top = set(stats) - {"listeners", "upstreams"}
    differences(top, page.of("the program"), "weir-admin.7")


@case
def every_field_of_slow_exchanges_is_there():
    page = json.loads(started().get("/slow")[1])
    differences(set(page["exchanges"][0]),
                Page("weir-admin.7").of("Exchanges of /slow"), "weir-admin.7")


@case
def every_metric_is_there():
    names = set(re.findall(r"^# TYPE (\S+)", started().metrics(), re.M))
    check(len(names) > 30, "metrics: %r" % names)
    differences(names, Page("weir-admin.7").of("METRICS"), "weir-admin.7")


@case
def every_page_and_order_told_of_exists():
    w = started()
    page = Page("weir-admin.7")
    told = page.of("PAGES")
    check(len(told) > 7, "pages: %r" % told)
    for path in told - {"/stats/stream"}:       # that one has no end
        # Of this one without words.
        wanted = 400 if path == "/key" else 200
        eq(w.get(path)[0], wanted, "GET " + path)
        eq(w.post(path)[0], 405, "POST " + path)
    eq(w.post("/stats/stream")[0], 405, "POST /stats/stream")
    check(len(page.of("ORDERS")) > 3, "orders: %r" % page.of("ORDERS"))
    for path in page.of("ORDERS"):
        eq(w.get(path)[0], 405, "GET " + path)


@case
def the_sample_file_is_good_and_so_are_the_keys_in_its_comments():
    sample = os.path.join(PAGES, "..", "weir.conf")
    r = command("-t", "-c", sample)
    eq(r.returncode, 0, "weir -t of the sample: " + r.stderr[:500])
    with open(sample) as f:
        named = set(re.findall(r"\b([a-z_]+) =", f.read()))
    unknown = named - {key for _, key in keys_of_help()} - PROTOCOLS
    check(not unknown, "the sample names %s" % sorted(unknown))


@case
def examples_of_the_manual_are_good():
    with open(os.path.join(PAGES, "weir.conf.5")) as f:
        examples = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", f.read(),
                              re.M | re.S)
    check(len(examples) >= 2, "examples in weir.conf.5")
    for text in examples:
        r = command("check", "--offline", "-c", "/dev/stdin", stdin=text)
        eq(r.returncode, 0, "example: %s%s" % (text, r.stderr[:500]))


@case
def commands_in_examples_are_there():
    told, shown = commands_of_help() | {"run"}, 0
    for name in ("weir.8", "weir-admin.7"):
        with open(os.path.join(PAGES, name)) as f:
            blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", f.read(),
                                re.M | re.S)
        for line in re.findall(r"^weir .*", "".join(blocks), re.M):
            words = re.sub(r" (-c|--admin) \S+| -[th]\b| &$", "", line).split()
            shown += 1
            check(len(words) < 2 or words[1] in told,
                  "%s shows %s" % (name, line))
    check(shown >= 5, "%d commands in examples" % shown)


@case
def each_failure_stands_once():
    with open(os.path.join(PAGES, "weir-admin.7")) as f:
        listed = f.read().split(".Ss Failures", 1)[1].split(".El", 1)[0]
    names = re.findall(r"^\.It Cm (\w+)", listed, re.M)
    check(len(names) > 40, "%d failures" % len(names))
    eq(sorted(set(names)), sorted(names), "names")


@case
def what_is_opened_on_a_page_is_closed():
    names = sorted(os.listdir(PAGES))
    check(len(names) >= 3, "pages: %r" % names)
    for name in names:
        with open(os.path.join(PAGES, name)) as f:
            text = f.read()
        for opens, closes in (("Bl", "El"), ("Bd", "Ed"), ("Oo", "Oc")):
            eq(len(re.findall(r"(?:^\.| )%s\b" % opens, text, re.M)),
               len(re.findall(r"(?:^\.| )%s\b" % closes, text, re.M)),
               "%s: %s and %s" % (name, opens, closes))
        eq([line for line in text.split("\n") if line != line.rstrip()], [],
           "%s: lines that end in blanks" % name)


@case
def programs_that_show_the_pages_have_nothing_to_say():
    for name in sorted(os.listdir(PAGES)):
        path = os.path.join(PAGES, name)
        r = subprocess.run([need("mandoc"), "-T", "lint", "-W", "warning",
                            path], capture_output=True, text=True)
        eq(r.stdout + r.stderr, "", "mandoc of " + name)


run()
