"""`make deb`, and the package's life in a scratch root: a copy of this machine
in which what is written goes elsewhere (overlayfs). Installed, run as its unit
would, given a newer version, purged: what is left is what was not its own.
"""
# SPDX-License-Identifier: MIT
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..",
                                "support"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from case import Aside, case, check, eq, need, temp_dir
from case import run as run_cases
from programs import run

TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..",
                                    ".."))

# Within a mount namespace of its own; $1 is the folder, the rest what to run.
INSIDE = r"""
cd "$1"; shift
mkdir -p upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root || exit 77
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
cp packages/*.deb root/tmp
printf '#!/bin/sh\nexit 101\n' >root/usr/sbin/policy-rc.d
chmod 755 root/usr/sbin/policy-rc.d
exec chroot root /bin/sh -eu -c "$*"
"""


def inside(script):
    """Run a script in the scratch root; what it printed. The root lasts."""
    r = subprocess.run(
        [need("unshare"), "--mount", "--net", "--pid", "--fork",
         "--kill-child", "sh", "-c", INSIDE, "sh", os.path.join(temp_dir(), "scratch"),
         "cd /tmp\n" + script], capture_output=True, text=True, timeout=120)
    if r.returncode == 77:
        raise Aside("no overlayfs: " + r.stderr)
    eq(r.returncode, 0, "exit status; said %s%s" % (
        r.stdout[-1500:], r.stderr[-3000:]))
    return r.stdout


def packages():
    """The package, and one that is newer by its number only."""
    if os.getuid() != 0:
        raise Aside("only root installs packages")
    for program in ("make", "dpkg-buildpackage", "dh"):
        need(program)
    run("make", "-C", TREE, "-o", "build/weir", "deb", timeout=120)
    folder = os.path.join(temp_dir(), "scratch", "packages")
    os.makedirs(folder)
    new = os.path.join(temp_dir(), "new")
    found, = glob.glob(os.path.join(TREE, "build", "weir_*.deb"))
    shutil.copy(found, folder + "/old.deb")
    run("dpkg-deb", "-R", found, new)
    with open(new + "/DEBIAN/control") as f:
        text = f.read()
    with open(new + "/DEBIAN/control", "w") as f:
        f.write(re.sub(r"^Version: .*", "Version: 99.0", text, flags=re.M))
    run("dpkg-deb", "--root-owner-group", "-b", new, folder + "/new.deb")
    return found


# As the unit starts it: that user, those folders, that capability alone.
START = r"""
exec_start=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/weir.service)
reload=$(sed -n 's/^ExecReload=//p' /lib/systemd/system/weir.service)
install -d -o weir -g weir /run/weir /var/log/weir
as='setpriv --reuid weir --regid weir --clear-groups --no-new-privs
	--bounding-set=-all,+net_bind_service
	--inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service'
"""


@case
def the_package_is_put_in_runs_is_renewed_and_goes():
    found = packages()
    if shutil.which("lintian"):
        run("lintian", "--allow-root", "--fail-on", "error,warning", found,
            timeout=120)

    out = inside("dpkg -i old.deb; dpkg --verify weir; id weir\n" + START + r"""
	ls -d /etc/systemd/system/multi-user.target.wants/weir.service
	# A port of root's, and a log, as the unit allows.
	sed -i 's|127.0.0.1:8080|127.0.0.1:80|
		s|^# log = .*|log = { access = "/var/log/weir/access.log"; };|' \
		/etc/weir/weir.conf
	ip link set lo up
	$as $exec_start 2>/tmp/err & pid=$!
	weir wait --for listeners --timeout 10s
	curl -s -o /dev/null 127.0.0.1:80 || true
	$as $reload
	weir get /stats | grep -o '"generation": *[0-9]*'
	grep -i cap /proc/$pid/status
	kill $pid; wait $pid
	cat /tmp/err >&2
	stat -c '%U %a' /var/log/weir/access.log
	if command -v logrotate >/dev/null; then
		logrotate -f /etc/logrotate.d/weir
	fi
	ls /var/log/weir
    """)
    check("uid=" in out and "nologin" not in out, "user: " + out)
    check("multi-user.target.wants/weir.service" in out, "enabled: " + out)
    check(re.search(r'"generation": *2', out), "reloaded: " + out)
    check(re.search(r"^CapEff:\t0*400$", out, re.M) and
          re.search(r"^CapBnd:\t0*400$", out, re.M), "capabilities: " + out)
    check(re.search(r"^weir 6[04]0$", out, re.M), "owner of the log: " + out)
    if shutil.which("logrotate", path="/usr/sbin:/usr/bin"):
        check("access.log.1" in out, "rotated: " + out)

    # The file is the administrator's now, and stays; and who runs goes on in
    # the new program. There is no systemd here to say that it does.
    out = inside(START + r"""
	echo foreign >/etc/weir/own.pem; echo foreign >/var/log/weir/notes
	ip link set lo up
	mkdir -p /run/systemd/system
	printf '#!/bin/sh\n' >/usr/local/bin/systemctl
	chmod 755 /usr/local/bin/systemctl
	$as $exec_start 2>/tmp/err & pid=$!
	weir wait --for listeners --timeout 10s
	dpkg -i new.deb; dpkg -s weir | grep ^Version
	rm /usr/local/bin/systemctl
	grep -c 127.0.0.1:80\" /etc/weir/weir.conf
	cat /tmp/err >&2
	now=$(weir get /stats | sed 's/.*"pid": *\([0-9]*\).*/\1/')
	[ $now != $pid ] && echo another
	grep -E '^(CapEff|Uid)' /proc/$now/status
	weir stop
	""")
    check("Version: 99.0" in out and "\n1\n" in out, "renewed: " + out)
    check("another\n" in out and re.search(r"^CapEff:\t0*400$", out, re.M),
          "in the new program: " + out)

    inside("dpkg -r weir; test -e /etc/weir/weir.conf; dpkg -P weir")
    upper = os.path.join(temp_dir(), "scratch", "upper")
    left = []
    for folder, _, files in os.walk(upper):
        for f in files:
            path = os.path.join(folder, f)
            # What was taken away stands there as a device 0:0.
            if "weir" in path[len(upper):] and \
                    not os.path.stat.S_ISCHR(os.lstat(path).st_mode):
                left.append(path[len(upper):])
    eq(sorted(left), ["/etc/weir/own.pem", "/var/log/weir/notes"],
       "what is left")


run_cases()
