"""Programs of others for these tests: start, wait, end, and ask what they saw.

SPDX-License-Identifier: MIT
"""
import os
import re
import subprocess
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from case import SLOW, Failed, Skip, die_with_parent, eq, later, need, port
from case import put, temp_dir, until
from weir import listening


def start(name, number, argv):
    """Start a server and wait for its port; it ends with the case."""
    said = os.path.join(temp_dir(), "%s%d.out" % (name, number))
    with open(said, "wb") as out:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                             stderr=out, preexec_fn=die_with_parent)

    def end():
        p.terminate()
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    later(end)

    def up():
        if p.poll() is not None:
            with open(said, errors="replace") as f:
                raise Failed("%s ended: %s" % (name, f.read()[-2000:]))
        return listening(number)
    until(up, "%s listening" % name)


def run(*argv, timeout=30, data=None):
    """Run a client to its end; its output as text, exit status 0 checked.
    77 says that it lacks something."""
    r = subprocess.run(argv, capture_output=True, timeout=timeout * SLOW,
                       input=data, preexec_fn=die_with_parent)
    out = r.stdout.decode(errors="replace")
    if r.returncode == 77:
        raise Skip(out.strip())
    eq(r.returncode, 0, "exit status of %s, which said %s%s" % (
        os.path.basename(argv[0]), out[-1500:],
        r.stderr.decode(errors="replace")[-3000:]))
    return out


class Nginx:
    """One nginx: body is what stands in its server, more outside of it."""

    def __init__(self, body, more=""):
        program = need("nginx")
        self.number, self.status = port(), port()
        self.root = os.path.join(temp_dir(), "nginx%d" % self.number)
        os.makedirs(self.root + "/www")
        for d in (temp_dir(), self.root, self.root + "/www"):
            os.chmod(d, 0o777)
        user = "user root;" if os.getuid() == 0 else ""
        temps = " ".join("%s_temp_path %s/%s;" % (k, self.root, k) for k in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = put("nginx%d.conf" % self.number, """daemon off;
worker_processes 1; pid %(root)s/pid; %(user)s error_log stderr error;
events { worker_connections 4000; }
http { access_log off; %(temps)s keepalive_requests 100000000;
 client_max_body_size 0; absolute_redirect off;
 server { listen 127.0.0.1:%(status)d; location / { stub_status; } }
 server { listen 127.0.0.1:%(number)d backlog=1000; root %(root)s/www;
  %(body)s }
 %(more)s }
""" % {"root": self.root, "user": user, "temps": temps, "body": body,
            "status": self.status, "number": self.number, "more": more})
        start("nginx", self.number, [program, "-e", "stderr", "-p",
                                     self.root, "-c", conf])

    def file(self, name, data):
        with open(os.path.join(self.root, "www", name), "wb") as f:
            f.write(data)

    def connections(self):
        """Connections accepted so far, without those of this question."""
        self.asked = getattr(self, "asked", 0) + 1
        with urllib.request.urlopen("http://127.0.0.1:%d/" %
                                    self.status) as answer:
            return int(re.search(r"requests\s+(\d+)",
                                 answer.read().decode())[1]) - self.asked


def haproxy(front, back, http=True):
    """An HAProxy on port front whose only server is port back. Its checks
    take their turn among the clients, and weir is not down for being slow:
    without an own limit they would have 100 ms."""
    more = "http-reuse always\n option http-keep-alive\n option httpchk" \
        if http else ""
    conf = put("haproxy%d.cfg" % front, """
global
 maxconn 500
 nbthread 1
defaults
 mode %s
 timeout connect 5s
 timeout client 60s
 timeout server 60s
 timeout check 60s
 %s
listen it
 bind 127.0.0.1:%d
 server weir 127.0.0.1:%d check inter 100ms fall 1000
""" % ("http" if http else "tcp", more, front, back))
    start("haproxy", front, [need("haproxy"), "-db", "-f", conf])


def node(script, *argv, timeout=30):
    """Run a script of this folder with Node to its end."""
    return run(need("node"), os.path.join(HERE, script), *map(str, argv),
               timeout=timeout)
