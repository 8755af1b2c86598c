"""What every system test stands on: cases, their clean-up, bounded waiting.

A test file marks functions with @case and ends with run(). Whatever a case
starts registers its end with later(); it runs last in, first out, also when
the case fails. Exit status: 0 all held, 1 some did not, 77 skipped.

SPDX-License-Identifier: MIT
"""
import ctypes
import faulthandler
import inspect
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
import types

# Waits are bounds, not expectations: SLOW=10 stretches all of them, for
# sanitizers, valgrind and crowded machines.
SLOW = float(os.environ.get("SLOW", "1"))
WAIT = 10 * SLOW
# make check runs a part of what make real does.
BRIEF = os.environ.get("BRIEF") == "1"
# The longest that one file may take.
FILE_LIMIT = 290 * SLOW

_cases = []
_laters = []
_ports = []
_dir = None


class Skip(Exception):
    """Something that the test needs is not on this machine."""


class Aside(Skip):
    """It means nothing in this build, or this machine does not permit it: no
    failure anywhere, nothing can be installed against it."""


class Failed(AssertionError):
    """The claim of the case does not hold."""


def case(function):
    """Mark a function as a case; its name is the claim."""
    _cases.append(function)
    return function


def later(function):
    """Run function when the case ends, before what was registered earlier."""
    _laters.append(function)


def check(holds, text):
    if not holds:
        raise Failed(text)


def eq(got, wanted, what):
    if got != wanted:
        raise Failed("%s: got %s, wanted %s" % (what, _short(got),
                                                _short(wanted)))


def _short(value):
    text = repr(value)
    return text if len(text) < 600 else text[:400] + "..." + text[-100:]


def until(condition, what, wait=None):
    """Poll condition until it returns something true, and return that."""
    end = time.monotonic() + (WAIT if wait is None else wait)
    pause = 0.001
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed("never came: %s" % what)
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def need(program):
    """Path of a program of the machine; skips the file without it."""
    path = shutil.which(program, path=os.environ.get("PATH", "") +
                        ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Skip("%s is not installed" % program)
    return path


def port():
    """A TCP port on loopback that no other test takes while this one runs."""
    return ports(1)


def ports(count):
    """The first of so many TCP ports in a row, each as port() says.

    A UDP socket held on the same number is the claim; numbers are below the
    kernel's ephemeral range, so no outgoing connection takes one either.
    """
    for _ in range(10000):
        first = random.randrange(10240, 32000 - count)
        claims = []
        try:
            for number in range(first, first + count):
                claims.append(_claim(number))
        except OSError:
            for claim in claims:
                claim.close()
            continue
        _ports.extend(claims)
        return first
    raise Failed("no free port")


def _claim(number):
    """The socket that holds that number; OSError when it is in use."""
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", number))
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", number))
    except OSError:
        claim.close()
        raise
    return claim


def temp_dir():
    """This process's own folder; removed at the end."""
    global _dir
    if _dir is None:
        _dir = tempfile.mkdtemp(prefix="weir-test-")
        os.chmod(_dir, 0o755)
    return _dir


def put(name, text):
    """Write a file into temp_dir(), whole or not at all; its path."""
    path = os.path.join(temp_dir(), name)
    with open(path + ".new", "wb" if isinstance(text, bytes) else "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
    return path


_libc = ctypes.CDLL(None)


def die_with_parent():
    """For preexec_fn: a test that is killed takes its programs with it."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)         # PR_SET_PDEATHSIG


def _clean():
    """End what the case started; the first failure of doing so, or None."""
    first = None
    while _laters:
        try:
            _laters.pop()()
        except Exception as e:                      # one must not hide others
            first = first or e
    return first


def _one(function):
    """Run a case; the exception that ended it or None."""
    failure = None
    try:
        function()
    except Exception as e:
        failure = e
        for f in list(on_failure):
            f()
    on_failure.clear()
    after = _clean()
    return failure or after


def _has_threads(thing, module, seen):
    """Does a function, or what it uses of its module, speak of workers? To one
    that takes their number it is its caller who does."""
    code = getattr(thing, "__code__", thing)
    if isinstance(thing, types.FunctionType):
        usual = inspect.signature(thing).parameters.get("workers")
        if usual is not None or "workers" in thing.__name__:
            return usual is None or usual.default != 1
    if isinstance(code, type):
        return any(_has_threads(f, module, seen)
                   for f in vars(code).values() if hasattr(f, "__code__"))
    if isinstance(code, str):
        return "workers" in code
    if isinstance(code, (tuple, list)):
        return any(_has_threads(c, module, seen) for c in code)
    if not isinstance(code, types.CodeType) or code in seen:
        return False
    seen.add(code)
    return _has_threads(code.co_consts, module, seen) or \
        _has_threads(code.co_names, module, seen) or any(
            _has_threads(module[name], module, seen)
            for name in code.co_names if name in module)


def _chosen():
    """The cases to run. ThreadSanitizer sees next to nothing in a weir of one
    worker: its build runs those that have more."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    some = [f for f in _cases if wanted in f.__name__]
    if os.environ.get("VARIANT") != "tsan" or wanted:
        return some
    threaded = [f for f in some if _has_threads(f, f.__globals__, set())]
    if len(threaded) < len(some):
        print("aside %d cases: their weir has one worker" % (
            len(some) - len(threaded)))
    return threaded


on_failure = []     # called when a case failed, before its things are ended


def run():
    """Run the cases whose names contain the first argument; exit."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    faulthandler.dump_traceback_later(FILE_LIMIT, exit=True)
    failed = skipped = ran = 0
    try:
        for function in _chosen():
            begin = time.monotonic()
            failure = _one(function)
            name = function.__name__
            took = "%.2fs" % (time.monotonic() - begin)
            if failure is None:
                ran += 1
                print("ok    %s (%s)" % (name, took), flush=True)
            elif isinstance(failure, Aside):
                ran += 1
                print("aside %s: %s" % (name, failure), flush=True)
            elif isinstance(failure, Skip):
                skipped += 1
                print("skip  %s: %s" % (name, failure), flush=True)
            else:
                failed += 1
                print("FAIL  %s (%s): %s: %s" % (
                    name, took, type(failure).__name__, failure), flush=True)
                traceback.print_exception(failure, file=sys.stdout)
    finally:
        _clean()
        if _dir is not None:
            shutil.rmtree(_dir, ignore_errors=True)
    sys.stdout.flush()
    # Threads of scripted peers are daemons; do not wait for them.
    os._exit(1 if failed else 77 if skipped and not ran else 0)
