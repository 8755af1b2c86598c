"""The unit under a real systemd: that of this machine, started as process 1 of
namespaces of its own, on a copy of this machine's files in which what is
written goes elsewhere (overlayfs). Start, reload, upgrade, crash, stop, sockets
that systemd binds, a second instance.
"""
# SPDX-License-Identifier: MIT
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
sys.path.insert(0, os.path.join(HERE, ".."))
from case import Aside, case, check, eq, need, put, temp_dir
from case import run as run_cases
from programs import run

TREE = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
INIT = "/lib/systemd/systemd"

# Only /dev/null and the like are this machine's; its kernel's settings and
# devices are read-only or not there.
BOOT = r"""
cd "$1"
mkdir -p upper work root
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root &&
	mkdir -p root/old || exit 77
cp -R installed/. root/
: >root/etc/fstab
cp trial.service root/etc/systemd/system/
cp trial.sh root/usr/local/bin/
mount -t proc proc root/proc
mount --bind root/proc/sys root/proc/sys
mount -o remount,bind,ro root/proc/sys
mount -t sysfs -o ro sysfs root/sys
mount -t cgroup2 cgroup2 root/sys/fs/cgroup || exit 77
for d in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs root/$d; done
chmod 1777 root/tmp
for d in null zero full random urandom tty; do
	: >root/dev/$d
	mount --bind /dev/$d root/dev/$d
done
mkdir root/dev/shm root/dev/pts root/dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666 devpts root/dev/pts
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
cd root
pivot_root . old
exec chroot . sh -c 'umount -l /old; container=docker exec "$0" \
	--unit=trial.service --log-target=journal --show-status=0' "$2" </dev/null
"""

UNIT = """
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/bash -eux /usr/local/bin/trial.sh
StandardOutput=truncate:/trial.out
StandardError=truncate:/trial.err
TimeoutStartSec=200
"""

# A client that has sent half a request holds descriptor 3.
SCRIPT = r"""
show() { systemctl show weir -p "$1" --value; }
half() { exec 3<>/dev/tcp/127.0.0.1/$1; printf 'GET / HTTP/1.1\r\n' >&3; }
rest() { printf 'Host: x\r\n\r\n' >&3; head -1 <&3; exec 3>&-; }
ask() { half $1; rest; }
# The old one has something to end: so it still is the new one's parent when
# systemd hears of that.
upgrade() { half $1; weir upgrade; rest; sleep 0.3; }

ip link set lo up
systemd-sysusers
systemctl start weir
ask 8080
systemctl reload weir
weir get /stats | grep -o '"generation": *2'

cp /etc/weir/weir.conf /tmp/good
echo 'nonsense = 1;' >>/etc/weir/weir.conf
! systemctl reload weir
cp /tmp/good /etc/weir/weir.conf
systemctl is-active weir

sed -i 's|^# log = .*|log = { access = "/var/log/weir/access.log"; };|
	s|127.0.0.1:8080|127.0.0.1:80|' /etc/weir/weir.conf
systemctl reload weir
ask 80

before=$(show MainPID)
upgrade 80
[ "$(show MainPID)" != $before ]
grep -h -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$(show MainPID)/status
ask 80
systemctl reload weir

upgrade 80
half 80
(sleep 1; rest) & systemctl stop weir
wait $!
exec 3>&-
echo stop $(show Result)

# The new one dies while the old one still drains, which replaces it and says
# who is the main one; and that one dies when there is no other.
settled() { until weir get /stats | grep -q "\"pid\": *$(show MainPID)[,}]"; do
	sleep 0.1; done; }
systemctl start weir
half 80
weir upgrade
was=$(show MainPID)
kill -KILL $was
weir wait --for listeners --timeout 10s
settled
[ "$(show MainPID)" != $was ]
rest
sleep 0.3
ask 80
settled
echo replaced, restarted $(show NRestarts)
was=$(show MainPID)
kill -KILL $was
while [ "$(show MainPID)" = $was ] || [ "$(show MainPID)" = 0 ]; do
	sleep 0.1; done
weir wait --for listeners --timeout 10s
echo restarted $(show NRestarts)
systemctl stop weir

cp /tmp/good /etc/weir/weir.conf
cp /usr/share/doc/weir/examples/weir.socket /etc/systemd/system/
systemctl daemon-reload
systemctl start weir.socket
! systemctl is-active weir
ask 8080
systemctl is-active weir
systemctl stop weir.socket weir

sed 's/9901/9911/; s/8080/8090/' /etc/weir/weir.conf >/etc/weir/shop.conf
systemctl start weir@shop
[ -d /run/weir-shop ]
ask 8090
systemctl reload weir@shop
systemctl stop weir@shop
stat -c 'log of %U' /var/log/weir/access.log
echo done
"""


@case
def the_unit_lives_under_systemd():
    if os.getuid() != 0:
        raise Aside("only root may make namespaces")
    if not os.path.exists(INIT):
        raise Aside("there is no systemd")
    run(need("make"), "-C", TREE, "-o", "build/weir", "install",
        "DESTDIR=" + os.path.join(temp_dir(), "installed"), "PREFIX=/usr")
    put("trial.service", UNIT)
    put("trial.sh", SCRIPT)
    r = subprocess.run(
        [need("unshare"), "--mount", "--pid", "--fork", "--uts", "--ipc",
         "--net", "--cgroup", "--kill-child", "sh", "-eu", "-c", BOOT, "sh",
         temp_dir(), INIT], capture_output=True, text=True, timeout=240)
    if r.returncode == 77:
        raise Aside("no overlayfs or no cgroup2: " + r.stderr)

    def said(name):
        path = os.path.join(temp_dir(), "upper", name)
        if not os.path.exists(path):
            return ""
        with open(path) as f:
            return f.read()
    out = said("trial.out")
    check(out.endswith("\ndone\n"), "it ended early: %s %s %s" % (
        r.stderr, out, said("trial.err")[-3000:]))
    eq(out.count("HTTP/1.1 502"), 10, "answers, of servers that are not there")
    check("generation" in out, "reloaded: " + out)
    check(re.search(r"^CapEff:\t0*400\nNoNewPrivs:\t1\nSeccomp:\t2$", out,
                    re.M), "what it may do: " + out)
    check("stop success" in out, "ended by itself: " + out)
    check("replaced, restarted 0\n" in out, "replaced: " + out)
    check("\nrestarted 1\n" in out, "restarted: " + out)
    check("log of weir" in out, "owner of the log: " + out)


run_cases()
