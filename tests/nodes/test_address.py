"""The VIP in the guest: arrival, source addresses, nothing left after undo; and what the usual recipe does instead."""

import contextlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.nodes.azure import ROOT, VIP, VIP6, Azure, Member
from tests.nodes.conftest import skip

Pair = tuple[Member, Member]

SOURCE = f"ip route get 10.0.0.5 | grep -q 'src {VIP}' && echo VIP || echo own"


PORT = 51773


@pytest.fixture(scope="module")
def servers(pair: Pair) -> Pair:
    """Both members serve on every address, as IRIS does."""
    for member in pair:
        for address in ("0.0.0.0", "::"):
            member.listen(address, PORT)
    return pair


def test_vip_arrives_at_the_member_that_azure_delivers_to(subnet: Azure, servers: Pair) -> None:
    """Both members have the address for good; who is reached is Azure's decision alone, before and after a move."""
    for member in reversed(servers):
        subnet.deliver(member.address)

        assert subnet.call(VIP, PORT) == f"{member.name} 10.0.0.1"
        assert subnet.call(VIP6, PORT) == f"{member.name} fd00::1"


def test_without_the_address_azure_delivers_and_the_guest_drops(subnet: Azure, servers: Pair) -> None:
    """The reason for all this: the NIC has the VIP, the guest does not."""
    servers[0].run("systemctl", "stop", f"mirror-vip-address@{VIP}.service")
    without = subnet.call(VIP, PORT)
    servers[0].run("systemctl", "start", f"mirror-vip-address@{VIP}.service")

    assert (without, subnet.call(VIP, PORT)) == ("", "mirrora 10.0.0.1")


def test_traffic_between_members_never_has_the_vip_as_source(servers: Pair) -> None:
    """Azure drops what a NIC sends with an address that it does not have: the partner must see the member's own."""
    first, second = servers

    assert first.call(second.address, PORT) == "mirrorb 10.0.0.4"
    assert second.call(first.address, PORT) == "mirrora 10.0.0.5"
    assert first.call("fd00::5", PORT) == "mirrorb fd00::4"
    assert second.call("fd00::4", PORT) == "mirrora fd00::5"


@contextlib.contextmanager
def nic_without_address(member: Member) -> Iterator[None]:
    """The moment at boot before DHCP has answered: the NIC has a route and no address."""
    member.sh("ip address del 10.0.0.4/24 dev eth0; ip route add 10.0.0.0/24 dev eth0")
    try:
        yield
    finally:
        member.sh("ip route del 10.0.0.0/24 dev eth0; ip address add 10.0.0.4/24 dev eth0; ip route replace default via 10.0.0.1")


def test_vip_is_no_source_before_dhcp_has_answered(pair: Pair) -> None:
    """Of scope host the VIP is nobody's source, whatever else is missing; an address of lo that `ip address add` makes is."""
    with nic_without_address(pair[0]):
        ours = pair[0].sh(SOURCE)
        pair[0].sh(f"ip address del {VIP} dev lo; ip address add {VIP}/32 dev lo")
        usual = pair[0].sh(SOURCE)
        pair[0].sh(f"ip address del {VIP}/32 dev lo; systemctl restart mirror-vip-address@{VIP}.service")

    assert (ours, usual) == ("own\n", "VIP\n")


def test_usual_recipe_makes_the_vip_the_source(servers: Pair) -> None:
    """The subnet's prefix, on the NIC, before DHCP: what goes to the partner has the VIP as source, and nothing comes back."""
    first, second = servers
    first.sh(f"ip address del 10.0.0.4/24 dev eth0; ip address add {VIP}/24 dev eth0; ip address add 10.0.0.4/24 dev eth0")
    try:
        assert first.sh(SOURCE) == "VIP\n"
        assert first.call(second.address, PORT) == ""
    finally:
        first.sh("ip address flush dev eth0 scope global; ip address add 10.0.0.4/24 dev eth0")
        first.sh("ip -6 address add fd00::4/64 dev eth0 nodad; ip -6 route replace default via fd00::1")
        first.sh("ip route replace default via 10.0.0.1")


def test_process_on_a_standby_that_calls_the_vip_reaches_its_own_node(servers: Pair) -> None:
    """The price of an address that every member has: jobs of a member use the partner's own address."""
    assert servers[1].call(VIP, PORT).startswith("mirrorb ")


def test_undo_leaves_nothing(subnet: Azure) -> None:
    """After `systemctl disable --now` addresses, routes and files are as they were; enabling twice changes nothing."""
    member = subnet.add("plain", 6)
    unit = "mirror-vip-address@.service"
    member.write(f"/etc/systemd/system/{unit}", (ROOT / "agent" / unit).read_text())
    member.run("systemctl", "daemon-reload")
    looks = "(ip -br address show; ip route show table all; ip -6 route show table all; ip rule) | grep -v 'fe80::\\|ff00::'"
    before, files = member.sh(looks), member.files()
    for vip in (VIP, VIP, VIP6, VIP6):
        member.run("systemctl", "enable", "--now", f"mirror-vip-address@{vip}.service")
    assert f"{VIP}/32" in member.sh(looks)
    assert f"{VIP6}/128" in member.sh(looks)

    for vip in (VIP, VIP6):
        member.run("systemctl", "disable", "--now", f"mirror-vip-address@{vip}.service")

    assert member.sh(looks) == before
    assert {path: what for path, what in member.files().items() if not path.endswith("multi-user.target.wants")} == files


@pytest.mark.parametrize(("vip", "partner"), [(VIP, "10.0.0.5"), (VIP6, "fd00::5")])
def test_unit_does_the_same_without_systemd_and_without_root(vip: str, partner: str) -> None:
    """Its two lines, in a namespace that any user may make: there as a whole address, never the source, gone after the undo."""
    unit = (ROOT / "agent" / "mirror-vip-address@.service").read_text().replace("%i", vip)
    start, stop = (re.search(rf"^{name}=-?(.*)$", unit, re.MULTILINE)[1] for name in ("ExecStart", "ExecStop"))  # type: ignore[index]
    script = f"""
        ip link set lo up; ip link add eth0 type veth peer name wire; ip link set wire up; ip link set eth0 up
        ip address add 10.0.0.4/24 dev eth0; ip address add fd00::4/64 dev eth0 nodad
        {start}; {start}; ip -br address show lo; ip route get {partner}; {stop}; ip -br address show lo"""

    done = subprocess.run(["unshare", "-rn", "sh", "-euc", script], check=False, capture_output=True, text=True)
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        skip(f"no user namespaces: {done.stderr.strip()}")

    assert done.returncode == 0, done.stderr
    during, route, *_, after = done.stdout.splitlines()
    assert f" {vip}/{128 if ':' in vip else 32} " in during
    assert f"src {'fd00::4' if ':' in vip else '10.0.0.4'} " in route
    assert vip not in after


def test_address_that_is_none_fails_loudly(pair: Pair) -> None:
    """A slip in the unit's name is an error of systemctl, not silence."""
    assert pair[0].run("systemctl", "start", "mirror-vip-address@10.0.0.999.service", check=False).returncode != 0
