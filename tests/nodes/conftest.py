"""Fixtures: the packages, a subnet, and two members with the package installed."""

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.nodes import azure
from tests.nodes.azure import ROOT, VIP, VIP6, Azure, Member

Packages = dict[str, pathlib.Path]


def skip(why: str) -> None:
    """Skip, and say so where it cannot be missed."""
    print(f"\n*** tests/nodes: {why} ***", file=sys.stderr)
    pytest.skip(why)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The packages of this checkout and a next version of them: deb, rpm, next-deb, next-rpm."""
    folder = tmp_path_factory.mktemp("packages")
    found: Packages = {}
    for version, prefix in (("", ""), ("99.1", "next-")):
        target = folder / (prefix + "build")
        words = ["make", "-s", "-C", str(ROOT), "packages", f"BUILD={target}", *([f"AGENT_VERSION={version}"] if version else [])]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        subprocess.run(words, check=True, capture_output=True, timeout=120, env=environment)
        found |= {prefix + path.suffix[1:]: path for path in target.iterdir() if path.suffix in (".deb", ".rpm")}
    return found


@pytest.fixture(scope="session")
def subnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """An empty subnet."""
    if why := azure.missing():
        skip(f"members cannot be built here: {why}")
    made = Azure(tmp_path_factory.mktemp("azure"))
    try:
        yield made
    finally:
        made.end()


def install(member: Member, package: pathlib.Path) -> str:
    """Install or upgrade with the member's own package manager, and return what that said."""
    place = f"/tmp/{package.name}"
    shutil.copy(package, member.path(place))
    if package.suffix == ".deb":
        status = member.path("/var/lib/dpkg/status")
        if not status.exists():
            for folder in ("info", "updates", "triggers"):
                member.path(f"/var/lib/dpkg/{folder}").mkdir(parents=True, exist_ok=True)
            known = "Package: {}\nStatus: install ok installed\nMaintainer: x\nArchitecture: all\nVersion: 3.6\nDescription: x\n"
            status.write_text("\n".join(known.format(name) for name in ("python3", "iproute2")))
        done = member.run("dpkg", "-i", place)
    else:
        done = member.run("rpm", "--force-debian", "-U", "--nodeps", place)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def pair(subnet: Azure, packages: Packages) -> tuple[Member, Member]:
    """Two members, one with the .deb and one with the .rpm, set up as docs/nodes.md says; the VIP is on the first one's NIC."""
    if shutil.which("rpm") is None:
        skip("rpm is not installed: apt-get install rpm")
    members = subnet.add("mirrora", 4), subnet.add("mirrorb", 5)
    for member, kind, name in zip(members, ("deb", "rpm"), ("MIRRORA", "MIRRORB"), strict=True):
        install(member, packages[kind])
        azure.configure(member, name=name)
        for vip in (VIP, VIP6):
            member.run("systemctl", "enable", "--now", f"mirror-vip-address@{vip}.service")
    subnet.deliver(members[0].address)
    return members
