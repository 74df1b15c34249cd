"""A subnet of Azure and its members, made of namespaces: real kernel, real systemd, real package managers.

Each member is a root file system of its own, as a container has it: the host's is unmounted before systemd starts as
process 1, so nothing that runs there can reach it (systemd cleans `/tmp` when it boots, for one). `/usr` is the host's
below an overlay that keeps all writes, without its units; `/sys` and `/proc/sys` are read-only, and so are clock and
kernel modules; each member has a cgroup of its own. The subnet is a bridge in a namespace of its own, where the gateway,
Azure's 168.63.129.16 and the controller live too; it plays Azure's routing: `deliver` says which member's NIC receives
a VIP's packets.

Needs root (mounts, cgroups, users). Where members cannot be built, `missing` says why, and tests skip with that reason.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from tests.agent.authority import Authority
from tests.agent.scripted import KEY_TEXT, LIMIT_S

ROOT: Final = pathlib.Path(__file__).resolve().parents[2]
VIP: Final = "10.0.0.254"
VIP6: Final = "fd00::254"
HOST: Final = "app.azurewebsites.net"
CONTROLLER: Final = "10.0.0.9"
AZURE: Final = "168.63.129.16"

# From pivot_root to `exec`: what keeps the host safe. No step may be left out, and none may fail.
MEMBER: Final = r"""
set -eu
root=$1 host=$2
test "$(readlink /proc/self/ns/mnt)" != "$3"
mount --make-rprivate /
mount -t tmpfs member "$root"
cd "$root"
mkdir -p host etc/systemd/system proc sys dev run tmp var/log root opt usr upper work
for name in bin sbin lib lib64; do [ ! -e /$name ] || ln -s usr/$name $name; done
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$root/upper,workdir=$root/work" usr
rm -rf usr/lib/systemd/system usr/lib/tmpfiles.d
mkdir -p usr/lib/systemd/system
for unit in sysinit basic network-pre network-online multi-user shutdown umount timers; do
    printf '[Unit]\nDefaultDependencies=no\n' >usr/lib/systemd/system/$unit.target
done
mount -t tmpfs dev dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
touch dev/console
ln -s /proc/self/fd dev/fd
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs run run
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
ip link set lo up
hostname "$host"
pivot_root . host
cd /
umount -l /host
rmdir /host
test -d /upper
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set=-sys_time,-sys_module,-sys_boot,-sys_rawio,-mknod \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=no
"""

FILES: Final = {
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\nirisusr:x:5177:5177::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "/etc/group": "root:x:0:\nirisusr:x:5177:\nnogroup:x:65534:\n",
    "/etc/shadow": "root:*:1::::::\nirisusr:*:1::::::\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "/etc/hosts": f"127.0.0.1 localhost\n{CONTROLLER} {HOST}\n10.0.0.4 mirrora\n10.0.0.5 mirrorb\n",
    "/etc/os-release": "ID=test\n",
    "/etc/pam.d/runuser": "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    "/usr/local/bin/iris": '#!/bin/sh\ntest "$1" = qlist && cat /etc/iris-role\n',
}

LISTENER: Final = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=family) as server:
    print("ready", flush=True)
    while True:
        connection, peer = server.accept()
        connection.sendall((socket.gethostname() + " " + peer[0]).encode()); connection.close()
"""

CONNECT: Final = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as connection:
    print(connection.recv(100).decode())
"""


WITH_US: Final = ("setpriv", "--pdeathsig=KILL")
"""Nothing outlives the tests, however they end."""


@cache
def missing() -> str:
    """Return why members cannot be built here; "" if they can."""
    if os.geteuid() != 0:
        return "mounts, cgroups and users of other ids need root"
    for program in ("ip", "unshare", "nsenter", "setpriv", "pivot_root", "/lib/systemd/systemd", "/usr/bin/python3", "dpkg"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    trial = "mount --make-rprivate / && mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m /mnt/c"
    trial += " && mount -t overlay o -o lowerdir=/usr,upperdir=/mnt/u,workdir=/mnt/w /mnt/m && mount -t cgroup2 c /mnt/c"
    tried = subprocess.run(["unshare", "-mpnfuC", "sh", "-c", trial], check=False, capture_output=True, text=True)
    return f"namespaces, overlay or cgroups cannot be had: {tried.stderr.strip()[:200]}" if tried.returncode else ""


def run(words: list[str], *, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; show what it said where it fails."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, **options)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def own_cgroup(name: str) -> pathlib.Path | None:
    """Make a cgroup for a member below this process's; None where it cannot be had, and then all share one."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    own = [line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    for place in (words[1] for words in mounts if words[2] == "cgroup2"):
        made = pathlib.Path(place, own[0].lstrip("/"), f"mirror-vip-test-{os.getpid()}-{name}")
        with suppress(OSError):
            made.mkdir()
            return made
    return None


@dataclass
class Member:
    """One node: commands run in its namespaces, as root unless another user is named."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    cgroup: pathlib.Path | None
    pid: int = 0
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def words(self, *command: str, user: str = "root") -> list[str]:
        """Return the command line that runs a command in the member."""
        entered = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i", "LC_ALL=C.UTF-8"]
        entered.append("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        other = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user != "root" else []
        return [*entered, *other, *command]

    def run(self, *command: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the member to its end."""
        return run(self.words(*command, user=user), check=check)

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a shell script in the member, and return what it printed."""
        return self.run("sh", "-euc", script, check=check).stdout

    def agent(self, *arguments: str, user: str = "irisusr") -> subprocess.CompletedProcess[str]:
        """Run the installed agent, as IRIS does."""
        return self.run("/opt/mirror-vip/vip_agent.py", *arguments, user=user, check=False)

    def path(self, path: str) -> pathlib.Path:
        """Where a file of the member is, seen from the host."""
        return pathlib.Path("/proc", str(self.pid), "root", path.lstrip("/"))

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the member."""
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def listen(self, address: str = "0.0.0.0", port: int = 1972) -> subprocess.Popen[str]:
        """Start a server that tells each caller where it is and whom it sees, as IRIS's superserver would."""
        words = self.words("setpriv", "--pdeathsig=KILL", "/usr/bin/python3", "-c", LISTENER, address, str(port))
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        self.started.append(process)
        return process

    def call(self, address: str, port: int = 1972) -> str:
        """Connect from here, and return the name of the other end and the address it saw; "" where it is not reached."""
        return self.run("/usr/bin/python3", "-c", CONNECT, address, str(port), check=False).stdout.strip()

    def role(self, role: str) -> None:
        """Say what `iris qlist` shall print."""
        line = f"IRIS^/usr/irissys^2025.1^running, since Mon^iris.cpf^1972^52773^0^ok^IRIS^Failover^{role}^/usr/irissys\n"
        self.write("/etc/iris-role", line)

    def files(self) -> dict[str, str]:
        """Return every file and folder that is neither the host's nor the kernel's, with owner, mode and content."""
        places = "/etc /opt /var/log /upper"
        sums = self.sh(f"find {places} -type f -exec sha256sum {{}} +").splitlines()
        content = {path: digest for digest, path in (line.split("  ", 1) for line in sums)}
        listed = self.sh(f"find {places} -mindepth 1 -printf '%p|%U:%G %#m %l\\n'").splitlines()
        return {path: f"{facts} {content.get(path, '')}" for path, facts in (line.split("|", 1) for line in listed)}

    def end(self) -> None:
        """Kill the member's processes."""
        everything: list[subprocess.Popen[Any]] = [*self.started, self.process]
        for process in everything:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        ends = time.monotonic() + LIMIT_S
        while self.cgroup is not None and self.cgroup.exists() and time.monotonic() < ends:
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                with suppress(OSError):  # its processes are still dying
                    pathlib.Path(folder).rmdir()
            time.sleep(0.01)


class Azure:
    """The subnet 10.0.0.0/24, what lives in it beside the members, and what the controller answers."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.members: dict[str, Member] = {}
        self.authority = Authority(folder, "ours")
        self.authority.server(HOST)
        self._fabric = subprocess.Popen([*WITH_US, "unshare", "-n", "sleep", "infinity"])
        mine, ends = pathlib.Path("/proc/self/ns/net").readlink(), time.monotonic() + LIMIT_S
        while pathlib.Path(f"/proc/{self._fabric.pid}/ns/net").readlink() == mine:
            assert time.monotonic() < ends
            os.sched_yield()
        script = f"""
            ip link set lo up; ip link add azure address 12:34:56:78:9a:bc type bridge; ip link set azure up
            ip address add 10.0.0.1/24 dev azure; ip address add {CONTROLLER}/24 dev azure; ip address add {AZURE}/32 dev azure
            ip -6 address add fd00::1/64 dev azure nodad; ip route add unreachable {VIP}/32 metric 9"""
        self.sh(script)
        self.tell()
        words = [*WITH_US, *self._enter(), sys.executable, "-m", "tests.nodes.controller", str(folder)]
        self._controller = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._controller.stdout is not None
        assert self._controller.stdout.readline() == "ready\n"

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self._fabric.pid), "-n"]

    def sh(self, script: str) -> str:
        """Run a shell script in the subnet, and return what it printed."""
        return run([*self._enter(), "sh", "-euc", script]).stdout

    def tell(self, **changes: Any) -> None:
        """Say what the controller answers to a dry claim, by which clock (`clock_offset_s`), and which key it knows."""
        vips = [{"name": "vip", "private_ip": VIP}, {"name": "vip6", "private_ip": VIP6}]
        told = {"holder": "MIRRORA", "vips": vips, "ready": True, "reasons": [], "clock_offset_s": 0.0, "key": KEY_TEXT}
        (self.folder / "answer.json.new").write_text(json.dumps(told | changes))
        (self.folder / "answer.json.new").rename(self.folder / "answer.json")

    def deliver(self, address: str) -> None:
        """Let the packets of the VIP go to the NIC with this address: what a move of the controller does."""
        number = address.rpartition(".")[2]
        self.sh(f"ip route replace {VIP}/32 via {address}; ip -6 route replace {VIP6}/128 via fd00::{number}")

    def call(self, address: str, port: int = 1972) -> str:
        """Connect as a client of the subnet; return the name of the other end and the address it saw."""
        return run([*self._enter(), sys.executable, "-c", CONNECT, address, str(port)], check=False).stdout.strip()

    def add(self, name: str, number: int) -> Member:
        """Boot a member whose NIC is eth0 with 10.0.0.NUMBER/24, set up as Azure's DHCP leaves it."""
        root = self.folder / name
        root.mkdir()
        cgroup = own_cgroup(name)
        enter = f"echo $$ >{cgroup}/cgroup.procs; " if cgroup else ""
        words = [*WITH_US, "sh", "-euc", enter + 'exec unshare -mpnfuiC --kill-child sh -c "$@"', "sh"]
        words += [MEMBER, "sh", str(root), name, str(pathlib.Path("/proc/self/ns/mnt").readlink())]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        member = Member(name, f"10.0.0.{number}", process, cgroup)
        self.members[name] = member
        self._boot(member)
        self.sh(f"ip link add {name} type veth peer name eth0 netns {member.pid}; ip link set {name} master azure up")
        script = f"""
            ip link set eth0 up
            ip address add {member.address}/24 dev eth0; ip -6 address add fd00::{number}/64 dev eth0 nodad
            ip route add default via 10.0.0.1; ip -6 route add default via fd00::1"""
        member.sh(script)
        for path, text in FILES.items():
            member.write(path, text, 0o755 if path.startswith("/usr") else 0o644)
        shutil.copy(self.authority.file, member.path("/etc/ca.pem"))
        member.role("Backup")
        return member

    @staticmethod
    def _boot(member: Member) -> None:
        """Wait until the member's systemd answers."""
        ends = time.monotonic() + LIMIT_S
        while True:
            assert member.process.poll() is None, "the member did not start"
            assert time.monotonic() < ends, "the member's systemd did not come up"
            with suppress(OSError, IndexError):
                children = pathlib.Path(f"/proc/{member.process.pid}/task/{member.process.pid}/children").read_text()
                member.pid = int(children.split()[0])
                name = pathlib.Path(f"/proc/{member.pid}/comm").read_text().strip()
                if name == "systemd" and member.run("systemctl", "is-system-running", check=False).stdout == "running\n":
                    return
            time.sleep(0.02)

    def end(self) -> None:
        """Kill everything."""
        for member in self.members.values():
            member.end()
        for process in (self._controller, self._fabric):
            process.send_signal(signal.SIGKILL)
            process.wait()
        if self._controller.stdout is not None:
            self._controller.stdout.close()


def configure(member: Member, *, name: str = "MIRRORA") -> None:
    """Edit agent.ini as an operator does, and put the key in."""
    path = member.path("/etc/mirror-vip/agent.ini")
    text = path.read_text().replace("https://APP.", "https://app.").replace("member = MIRRORA", f"member = {name}")
    text = text.replace("ca_file =\n", "ca_file = /etc/ca.pem\n")
    path.write_text(text)
    member.write("/etc/mirror-vip/mirrora-1.key", KEY_TEXT + "\n", 0o600)
    member.run("/opt/mirror-vip/set-user")
