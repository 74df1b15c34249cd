"""The packages: installed, upgraded and removed by dpkg and rpm in a root of their own, with real maintainer scripts."""

import pathlib
import shutil
import stat
import subprocess

import pytest

from tests.agent.scripted import KEY_TEXT
from tests.nodes import azure
from tests.nodes.azure import ROOT, VIP, Azure, Member
from tests.nodes.conftest import Packages, install, skip
from tests.nodes.test_pages import CANNOT_RUN, lines

SHIPPED = {
    "/opt/mirror-vip/vip_agent.py",
    "/opt/mirror-vip/set-user",
    "/opt/mirror-vip/ZVIP.mac",
    "/opt/mirror-vip/ZMIRROR.mac",
    "/opt/mirror-vip/ZVIPMetrics.cls",
    "/opt/mirror-vip/hooks/patroni-callback",
    "/usr/lib/systemd/system/mirror-vip-address@.service",
    "/usr/lib/systemd/system/mirror-vip-watch.service",
    "/etc/mirror-vip/agent.ini",
    "/etc/logrotate.d/mirror-vip",
    "/usr/share/doc/mirror-vip-agent/nodes.md",
    "/usr/share/doc/mirror-vip-agent/clients.md",
    "/usr/share/doc/mirror-vip-agent/migration.md",
}


def test_packages_are_reproducible(packages: Packages, tmp_path: pathlib.Path) -> None:
    """The same checkout makes the same bytes."""
    words = ["make", "-s", "-C", str(ROOT), "packages", f"BUILD={tmp_path}"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)

    for kind in ("deb", "rpm"):
        assert (tmp_path / packages[kind].name).read_bytes() == packages[kind].read_bytes()


@pytest.mark.parametrize("unit", ["mirror-vip-watch.service", "mirror-vip-address@.service"])
def test_systemd_accepts_the_units(unit: str, tmp_path: pathlib.Path) -> None:
    """systemd-analyze finds no fault in them."""
    if shutil.which("systemd-analyze") is None:
        skip("systemd-analyze is not installed")
    (tmp_path / unit).write_text((ROOT / "agent" / unit).read_text())

    done = subprocess.run(["systemd-analyze", "verify", tmp_path / unit], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(params=["deb", "rpm"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both packages."""
    if request.param == "rpm" and shutil.which("rpm") is None:
        skip("rpm is not installed: apt-get install rpm")
    return str(request.param)


@pytest.fixture
def member(subnet: Azure, kind: str) -> Member:
    """A fresh member for each test."""
    number = 10 + len(subnet.members)
    return subnet.add(f"{kind}{number}", number)


def remove(member: Member, kind: str, how: str = "--remove") -> None:
    """Remove the package with its own manager."""
    words = ["dpkg", how] if kind == "deb" else ["rpm", "--force-debian", "-e"]
    member.run(*words, "mirror-vip-agent")


def test_life_of_a_package(member: Member, kind: str, packages: Packages) -> None:
    """Installed, set up, upgraded and removed: what the operator wrote stays, nothing else does, and the VIP goes at the end."""
    for shared in (
        "/opt/other",
        "/etc/logrotate.d/other",
        "/usr/share/doc/other",
        "/etc/systemd/system/multi-user.target.wants/other",
    ):
        member.write(shared, "of another package")
    before = member.files()
    install(member, packages[kind])
    facts = member.path("/etc/mirror-vip/agent.ini").stat()
    assert all(member.path(path).exists() for path in SHIPPED)
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o640, 0, 5177)
    assert member.path("/var/log/mirror-vip").stat().st_uid == 5177
    assert member.sh("systemctl show -p User mirror-vip-watch.service") == "User=irisusr\n"

    edited = member.path("/etc/mirror-vip/agent.ini").read_text().replace("PROD", "TEST")
    member.write("/etc/mirror-vip/agent.ini", edited, 0o640)
    member.write("/etc/mirror-vip/mirrora-1.key", "kept\n", 0o600)
    member.run("systemctl", "enable", "--now", f"mirror-vip-address@{VIP}.service")
    install(member, packages["next-" + kind])
    assert member.path("/etc/mirror-vip/agent.ini").read_text() == edited
    assert member.path("/etc/mirror-vip/agent.ini").stat().st_gid == 5177
    assert stat.S_IMODE(member.path("/etc/mirror-vip/mirrora-1.key").stat().st_mode) == 0o640
    assert f"{VIP}/32" in member.sh("ip -br address show lo")
    assert member.sh(f"systemctl is-active mirror-vip-address@{VIP}.service") == "active\n"

    remove(member, kind)
    assert VIP not in member.sh("ip -br address show lo")
    assert member.path("/etc/mirror-vip/mirrora-1.key").read_text() == "kept\n"
    if kind == "deb":
        remove(member, kind, "--purge")
    left = set(member.files()) - set(before)
    kept = {"/etc/mirror-vip", "/etc/mirror-vip/mirrora-1.key"} | (
        {"/etc/mirror-vip/agent.ini.rpmsave"} if kind == "rpm" else set()
    )
    managers = {path for path in left if "dpkg" in path or "alternatives" in path or path.startswith("/upper/lib/sysimage")}
    assert left - managers == kept


@pytest.mark.parametrize("kind", ["rpm"], indirect=True)
def test_user_of_another_name_is_kept_over_an_upgrade(member: Member, kind: str, packages: Packages) -> None:
    """set-user NAME once; log, key, configuration and watch are that user's from then on. (rpm sets owners anew.)"""
    install(member, packages[kind])
    member.sh("echo 'dbadmin:x:6001:6001::/:/bin/sh' >>/etc/passwd; echo 'dbadmin:x:6001:' >>/etc/group")
    member.run("/opt/mirror-vip/set-user", "dbadmin")

    install(member, packages["next-" + kind])

    assert member.path("/var/log/mirror-vip").stat().st_uid == 6001
    assert member.path("/etc/mirror-vip/agent.ini").stat().st_gid == 6001
    assert member.sh("systemctl show -p User mirror-vip-watch.service") == "User=dbadmin\n"


def test_container_s_user_is_kept_over_an_upgrade(member: Member, kind: str, packages: Packages) -> None:
    """The lines of docs/nodes.md on a host without IRIS: the image's uid reads the key and writes the log, upgraded or not."""
    member.sh("sed -i /irisusr/d /etc/passwd /etc/group /etc/shadow")
    install(member, packages[kind])
    azure.configure(member)
    for line in lines("## Containers"):
        if not line.startswith(CANNOT_RUN):
            member.sh(line)
    member.role("Primary")
    inside = ["setpriv", "--reuid=51773", "--regid=51773", "--clear-groups"]

    install(member, packages["next-" + kind])

    script = "cat /etc/mirror-vip/agent.ini >/dev/null; cat /etc/mirror-vip/mirrora-1.key; touch /var/log/mirror-vip/agent.log"
    assert member.run(*inside, "sh", "-euc", script).stdout == KEY_TEXT + "\n"
    assert member.run(
        "setpriv", "--reuid=51774", "--regid=51774", "--clear-groups", "ls", "/etc/mirror-vip", check=False
    ).returncode
    member.run("systemctl", "start", "mirror-vip-watch.service")
    assert member.sh("systemctl show -p User -p SubState mirror-vip-watch.service") == "User=irisowner\nSubState=running\n"


@pytest.mark.parametrize("kind", ["deb"], indirect=True)
def test_node_without_iris_is_told_what_to_do(member: Member, kind: str, packages: Packages) -> None:
    """Installed before IRIS, nothing is given away, and one line says what to call later."""
    member.sh("sed -i /irisusr/d /etc/passwd /etc/group")

    said = install(member, packages[kind])

    assert "/opt/mirror-vip/set-user NAME" in said
    assert member.path("/var/log/mirror-vip").stat().st_uid == 0


def test_logrotate_accepts_the_log(pair: tuple[Member, Member]) -> None:
    """A log of IRIS's user is renamed, and the agent goes on in a new one."""
    if shutil.which("logrotate") is None:
        skip("logrotate is not installed: apt-get install logrotate")
    node = pair[1]
    node.agent("status")
    assert node.path("/var/log/mirror-vip/agent.log").exists()

    node.run("logrotate", "--force", "--state", "/tmp/state", "/etc/logrotate.d/mirror-vip")

    assert node.path("/var/log/mirror-vip/agent.log.1").stat().st_uid == 5177
    assert not node.path("/var/log/mirror-vip/agent.log").exists()
