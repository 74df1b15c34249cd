"""`doctor` on a member with the package installed: silent on a right node, and each planted fault is found by its name."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.nodes.azure import HOST, VIP, VIP6, Azure, Member

Pair = tuple[Member, Member]
Fault = Callable[[Azure, Member], contextlib.AbstractContextManager[None]]


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, set[str]]:
    """Return the names of the checks by their level, and hold the form: a line per check, then one line of JSON."""
    *lines, last = done.stdout.splitlines()
    found: dict[str, set[str]] = {"ok": set(), "warn": set(), "fail": set()}
    for line in lines:
        level, name, text = line.split(None, 2)
        found[level].add(name)
        assert text
    result = json.loads(last)
    assert (set(result["fail"]), set(result["warn"])) == (found["fail"], found["warn"])
    assert done.returncode == result["exit"] == (1 if found["fail"] else 0)
    return found


@pytest.fixture(scope="module")
def node(pair: Pair) -> Member:
    """A member on which all is right: primary, with IRIS listening."""
    pair[0].role("Primary")
    for address in ("0.0.0.0", "::"):
        pair[0].listen(address)
    return pair[0]


@pytest.mark.parametrize("user", ["irisusr", "root"])
def test_right_node_has_no_fault_and_no_warning(node: Member, user: str) -> None:
    """Every check is ok, for IRIS's user and for root."""
    found = verdicts(node.agent("doctor", user=user))

    assert (found["warn"], found["fail"]) == (set(), set())
    expected = {"configuration", "key-file", "user", "log-file", "dns", "tcp", "tls", "clock", "signature", "ready"}
    expected |= {"primary-check", "vip-address", "vip-prefix", "vip-interface", "vip-source", "vip-at-boot", "path-probe"}
    assert found["ok"] == expected | {"cloud-init", "nm-cloud-setup", "cloud-netconfig"}


def test_right_standby_is_silent_too(pair: Pair) -> None:
    """Not primary: nobody asks whether IRIS answers at the VIP."""
    found = verdicts(pair[1].agent("doctor"))

    assert (found["warn"], found["fail"]) == (set(), set())


def test_doctor_changes_nothing(node: Member) -> None:
    """No file, no address, no line in the log."""
    node.path("/var/log/mirror-vip/agent.log").unlink(missing_ok=True)
    before, addresses = node.files(), node.sh("ip -br address")
    node.agent("doctor")

    assert (node.files(), node.sh("ip -br address")) == (before, addresses)


@contextlib.contextmanager
def edited(node: Member, path: str, old: str, new: str) -> Iterator[None]:
    """A file with one thing replaced."""
    place = node.path(path)
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new))
    try:
        yield
    finally:
        place.write_text(text)


def setting(old: str, new: str) -> Fault:
    """A slip in agent.ini."""
    return lambda _azure, node: edited(node, "/etc/mirror-vip/agent.ini", old, new)


def file(path: str, text: str, *more: str) -> Fault:
    """A file that somebody has put there; `more`: units that are enabled."""

    @contextlib.contextmanager
    def plant(_azure: Azure, node: Member) -> Iterator[None]:
        links = [f"/etc/systemd/system/timers.target.wants/{unit}" for unit in more]
        for place, content in [(path, text), *((link, "") for link in links)]:
            node.write(place, content)
        try:
            yield
        finally:
            for place in (path, *links):
                node.path(place).unlink()

    return plant


def script(plant: str, mend: str) -> Fault:
    """Something that an administrator has done by hand."""

    @contextlib.contextmanager
    def done(_azure: Azure, node: Member) -> Iterator[None]:
        node.sh(plant)
        try:
            yield
        finally:
            node.sh(mend)

    return done


def both(first: Fault, second: Fault) -> Fault:
    """Two things at once."""

    @contextlib.contextmanager
    def done(azure: Azure, node: Member) -> Iterator[None]:
        with first(azure, node), second(azure, node):
            yield

    return done


def controller(**changes: object) -> Fault:
    """What the controller says."""

    @contextlib.contextmanager
    def told(azure: Azure, _node: Member) -> Iterator[None]:
        azure.tell(**changes)
        try:
            yield
        finally:
            azure.tell()

    return told


KEY = "/etc/mirror-vip/mirrora-1.key"
UNIT = f"mirror-vip-address@{VIP}.service"
NIC_FIRST = f"ip address del 10.0.0.4/24 dev eth0; ip address add {VIP}/24 dev eth0; ip address add 10.0.0.4/24 dev eth0"
NIC_AGAIN = "ip address flush dev eth0 scope global; ip address add 10.0.0.4/24 dev eth0; ip route replace default via 10.0.0.1;"
NIC_AGAIN += "ip -6 address add fd00::4/64 dev eth0 nodad; ip -6 route replace default via fd00::1"
CLOUD = "/etc/cloud/cloud.cfg"
AZURE = "/usr/lib/python3/dist-packages/cloudinit/sources/DataSourceAzure.py"
SECONDARY_OFF = "datasource: {Azure: {apply_network_config_for_secondary_ips: false}}\n"
NM = "/usr/lib/systemd/system/nm-cloud-setup.service.d/10-azure.conf"

# The fault, and which checks say so (and none else). A name in capitals is a warning.
FAULTS: dict[str, tuple[Fault, set[str]]] = {
    "an unknown setting": (setting("key_file", "key_path"), {"configuration"}),
    "a key that others can read": (script(f"chmod 0644 {KEY}", f"chmod 0640 {KEY}"), {"key-file", "VIP-ADDRESS"}),
    "a key that only root can read": (script(f"chown root:root {KEY}", f"chgrp irisusr {KEY}"), {"key-file", "VIP-ADDRESS"}),
    "another key than the app's": (
        script(f"cp {KEY} /tmp/key; head -c 32 /dev/urandom | base64 >{KEY}", f"cat /tmp/key >{KEY}"),
        {"signature", "VIP-ADDRESS"},
    ),
    "a name that does not resolve": (setting(HOST, "app.example.invalid"), {"dns", "VIP-ADDRESS"}),
    "a port that is closed": (setting(f"{HOST}/", f"{HOST}:444/"), {"tcp", "VIP-ADDRESS"}),
    "a certificate that is not trusted": (setting("ca_file = /etc/ca.pem", "ca_file ="), {"tls", "VIP-ADDRESS"}),
    "a proxy that is not there": (setting("proxy =", "proxy = http://10.0.0.1:3128"), {"tcp", "VIP-ADDRESS"}),
    "a clock that is an hour off": (controller(clock_offset_s=3600.0), {"clock"}),
    "a clock that is ten seconds off": (controller(clock_offset_s=10.0), {"CLOCK"}),
    "a frozen mirror": (controller(ready=False, reasons=["mirror-frozen"]), {"READY"}),
    "a primary_check that is not on the path": (setting("= iris", "= /usr/irissys/bin/iris"), {"primary-check"}),
    "a wrong instance name": (
        script("cp /etc/iris-role /tmp/role; : >/etc/iris-role", "cat /tmp/role >/etc/iris-role"),
        {"primary-check"},
    ),
    "no primary_check": (setting("= iris qlist IRIS", "="), {"PRIMARY-CHECK"}),
    "a log that cannot be written": (script("chmod 0550 /var/log/mirror-vip", "chmod 0750 /var/log/mirror-vip"), {"LOG-FILE"}),
    "no address in the guest": (script(f"systemctl stop {UNIT}", f"systemctl start {UNIT}"), {"vip-address", "path-probe"}),
    "an address that the next boot forgets": (script(f"systemctl disable {UNIT}", f"systemctl enable {UNIT}"), {"VIP-AT-BOOT"}),
    "an address at boot that only looks like the VIP": (
        both(
            script(f"systemctl disable {UNIT}", f"systemctl enable {UNIT}"),
            file("/etc/network/interfaces", f"address 1{VIP}/24\n"),
        ),
        {"VIP-AT-BOOT"},
    ),
    "the subnet's prefix on the NIC, first": (script(NIC_FIRST, NIC_AGAIN), {"vip-prefix", "vip-source", "VIP-INTERFACE"}),
    "the subnet's prefix on the NIC, second": (
        script(f"ip address add {VIP}/24 dev eth0", f"ip address del {VIP}/24 dev eth0"),
        {"vip-prefix", "VIP-INTERFACE"},
    ),
    "an address on the NIC": (
        script(f"ip address add {VIP}/32 dev eth0", f"ip address del {VIP}/32 dev eth0"),
        {"VIP-INTERFACE"},
    ),
    "a route that prefers the VIP": (
        script(f"ip route add 168.63.129.16 dev eth0 src {VIP}", "ip route del 168.63.129.16"),
        {"vip-source"},
    ),
    "a route to a neighbour that prefers the VIP": (
        script(f"ip route add 10.0.0.253 dev eth0 src {VIP}", "ip route del 10.0.0.253"),
        {"vip-source"},
    ),
    "cloud-init without its switch": (file(CLOUD, "datasource_list: [ Azure ]\n# apply_network_config: false\n"), {"cloud-init"}),
    "cloud-init that is too old for its switch": (
        both(file(CLOUD, SECONDARY_OFF), file(AZURE, "BUILTIN_DS_CONFIG = {'apply_network_config': True}\n")),
        {"cloud-init"},
    ),
    "the VIP in netplan by cloud-init": (file("/etc/netplan/50-cloud-init.yaml", f"addresses:\n- {VIP}/24\n"), {"cloud-init"}),
    "nm-cloud-setup": (file(NM, "[Service]\nEnvironment=NM_CLOUD_SETUP_AZURE=yes\n", "nm-cloud-setup.timer"), {"nm-cloud-setup"}),
    "cloud-netconfig": (
        file("/etc/default/cloud-netconfig", "# CLOUD_NETCONFIG_MANAGE='no'\n", "cloud-netconfig.timer"),
        {"CLOUD-NETCONFIG"},
    ),
    "cloud-netconfig that is off in one place and on for the NIC": (
        both(
            file("/etc/default/cloud-netconfig", "CLOUD_NETCONFIG_MANAGE='no'\n", "cloud-netconfig.timer"),
            file("/etc/sysconfig/network/ifcfg-eth0", "CLOUD_NETCONFIG_MANAGE='yes'\n"),
        ),
        {"CLOUD-NETCONFIG"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.replace(" ", "-"))
def test_planted_fault_is_found_by_name(subnet: Azure, node: Member, fault: str) -> None:
    """The checks that are meant say so, and no other one does."""
    plant, expected = FAULTS[fault]
    with plant(subnet, node):
        found = verdicts(node.agent("doctor"))

    assert found["fail"] | {name.upper() for name in found["warn"]} == expected


@pytest.mark.parametrize(
    "plant",
    [
        (CLOUD, SECONDARY_OFF),
        (CLOUD, "datasource:\n  Azure:\n    apply_network_config: no\n"),
        (CLOUD, "network: {config: disabled}\n"),
        (NM, "#Environment=NM_CLOUD_SETUP_AZURE=yes\n", "nm-cloud-setup.timer"),
        ("/etc/sysconfig/network/ifcfg-eth0", "CLOUD_NETCONFIG_MANAGE='no'\n", "cloud-netconfig.timer"),
    ],
    ids=["secondary-off", "network-off", "disabled", "no-provider", "netconfig-off"],
)
def test_switch_that_is_set_is_believed(subnet: Azure, node: Member, plant: tuple[str, ...]) -> None:
    """Each of the switches of docs/nodes.md ends its check with ok."""
    with file(*plant)(subnet, node):
        found = verdicts(node.agent("doctor"))

    assert (found["fail"], found["warn"]) == (set(), set())


def test_another_nic_may_be_managed(subnet: Azure, node: Member) -> None:
    """cloud-netconfig sets the addresses of a NIC in another subnet: that is no VIP."""
    off = file("/etc/sysconfig/network/ifcfg-eth0", "CLOUD_NETCONFIG_MANAGE='no'\n", "cloud-netconfig.timer")
    with both(off, file("/etc/sysconfig/network/ifcfg-eth1", "CLOUD_NETCONFIG_MANAGE='yes'\n"))(subnet, node):
        found = verdicts(node.agent("doctor"))

    assert (found["fail"], found["warn"]) == (set(), set())


@pytest.mark.parametrize(
    ("switch", "source"),
    [
        (SECONDARY_OFF, "'apply_network_config_for_secondary_ips': True"),
        ("datasource: {Azure: {apply_network_config: false}}", ""),
    ],
    ids=["new-and-known", "old"],
)
def test_switch_that_cloud_init_knows_is_believed(subnet: Azure, node: Member, switch: str, source: str) -> None:
    """What a cloud-init knows stands in its source; the older switch is known to all."""
    with both(file(CLOUD, switch), file(AZURE, f"BUILTIN_DS_CONFIG = {{{source}}}\n"))(subnet, node):
        found = verdicts(node.agent("doctor"))

    assert (found["fail"], found["warn"]) == (set(), set())


def test_another_address_by_cloud_init_is_none_of_our_business(subnet: Azure, node: Member) -> None:
    """The VIP is looked for as a whole address, not as a part of one."""
    with file("/etc/netplan/50-cloud-init.yaml", f"addresses:\n- 1{VIP}/24\n")(subnet, node):
        found = verdicts(node.agent("doctor"))

    assert (found["fail"], found["warn"]) == (set(), set())


@pytest.mark.parametrize("path", [KEY, "/etc/mirror-vip"], ids=["key", "folder"])
def test_root_is_told_what_iris_cannot_read(node: Member, path: str) -> None:
    """Run by root, doctor looks with the eyes of IRIS's user, at the folders above a file too."""
    node.sh(f"chown root:root {path}")
    try:
        found = verdicts(node.agent("doctor", user="root"))
    finally:
        node.sh(f"chgrp irisusr {path}")

    assert found["fail"] == {"user"}


def test_log_folder_of_root_is_a_warning(node: Member) -> None:
    """Before set-user nobody can say who will start the agent."""
    node.sh("chown root /var/log/mirror-vip")
    try:
        found = verdicts(node.agent("doctor", user="root"))
    finally:
        node.sh("chown irisusr /var/log/mirror-vip")

    assert (found["warn"], found["fail"]) == ({"user"}, set())


def test_port_that_is_named_is_asked(node: Member) -> None:
    """--port goes before what `iris qlist` tells."""
    found = node.agent("doctor", "--port", "1973")

    assert f"path-probe      {VIP} port 1973: " in found.stdout
    assert verdicts(found)["fail"] == {"path-probe"}


def test_peer_and_vip_can_be_named(subnet: Azure, node: Member) -> None:
    """Without a controller the VIPs are named by hand; a peer is looked at beside the usual neighbours."""
    with edited(node, "/etc/mirror-vip/agent.ini", HOST, "app.example.invalid"):
        named = verdicts(node.agent("doctor", "--vip", VIP, "--vip", VIP6, "--peer", "mirrorb"))
        with script(f"ip route add 10.0.0.77 dev eth0 src {VIP}", "ip route del 10.0.0.77")(subnet, node):
            wrong = verdicts(node.agent("doctor", "--vip", VIP, "--peer", "10.0.0.77"))

    assert named["fail"] == {"dns"}
    assert {"vip-address", "vip-source"} <= named["ok"]
    assert wrong["fail"] == {"dns", "vip-source"}


def test_iris_on_one_address_only_is_found(node: Member) -> None:
    """Where this member is primary, its superserver must answer at the VIP."""
    for listening in node.started:
        listening.kill()
        listening.wait()
    for address in (node.address, "::"):
        node.listen(address)

    found = verdicts(node.agent("doctor"))

    assert found["fail"] == {"path-probe"}
