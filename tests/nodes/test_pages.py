"""docs/nodes.md is run: each of its lines for a shell, in order, on members that are set up by nothing else."""

import json
import re
import shutil
from typing import Final

import pytest

from tests.agent.scripted import KEY_TEXT
from tests.nodes.azure import CONTROLLER, FILES, ROOT, VIP, Azure, Member
from tests.nodes.conftest import Packages, skip

PAGE: Final = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")
UNVERIFIED: Final = (ROOT / "docs" / "unverified.md").read_text(encoding="utf-8")

# Programs that nobody here has; the lines stand in docs/unverified.md.
CANNOT_RUN: Final = ("docker ", "netplan ", "nmcli ", "restorecon ", "netsh ", "Find-NetRoute ")

STAND_INS: Final = {
    # Both managers are real. Debian's rpm wants a word, and the database of the member knows no other packages.
    "/usr/local/bin/rpm": '#!/bin/sh\nexec /usr/bin/rpm --force-debian $([ "$1" != -U ] || echo --nodeps) "$@"\n',
    "/etc/systemd/system/nm-cloud-setup.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "/etc/systemd/system/nm-cloud-setup.timer": "[Timer]\nOnBootSec=1h\n[Install]\nWantedBy=timers.target\n",
    "/etc/sysconfig/network/ifcfg-eth0": "CLOUD_NETCONFIG_MANAGE='yes'\n",
    "/etc/default/README": "",
    "/usr/bin/iris": FILES["/usr/local/bin/iris"],
}


def lines(heading: str) -> list[str]:
    """Return the shell lines below a heading, up to the next one."""
    _, _, after = PAGE.partition(f"{heading}\n")
    assert after, heading
    section = re.split(r"^##+ ", after, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def all_lines() -> list[str]:
    """Return every line of every block: for a shell, PowerShell and IRIS. Only what is marked `text` is no command."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    return [line.strip() for kind, block in blocks if kind != "text" for line in block.splitlines() if line.strip()]


def spans() -> list[str]:
    """Return what stands between backticks in the text and has more than one word, settings of agent.ini left out."""
    text = re.sub(r"^ *```\w*\n.*?```", "", PAGE, flags=re.DOTALL | re.MULTILINE)
    found = [span for span in dict.fromkeys(re.findall(r"`([^`]+)`", text)) if " " in span]
    return [span for span in found if not re.match(r"\w+ = ", span)]


WAYS: Final = {
    "rhel": ("### RHEL, Oracle Linux, Rocky 8 to 10", "rpm"),
    "sles": ("### SLES 15 and 16", "rpm"),
    "ubuntu": ("### Ubuntu, Debian", "deb"),
}
ON_THE_NIC: Final = "### Where the VIP is on the NIC already"
EVERYWHERE: Final = ("### Then, on all of them", ON_THE_NIC, "## Check", "## Undo", "## SELinux")
DOCTOR: Final = "runuser -u irisusr -- /opt/mirror-vip/vip_agent.py doctor"

# Commands between backticks: typed in as they are, or as short names of something that a test does.
IN_THE_TEXT: Final = ("command -v iris", "iris qlist IRIS", "openssl rand -base64 32")
SHORT: Final = {
    "doctor --vip 10.0.0.254": f"{DOCTOR} --vip 10.0.0.254",
    "doctor --vip": f"{DOCTOR} --vip 10.0.0.254",
    "doctor --port 51773": "test_doctor.py: --port 1973",
}
NO_COMMANDS: Final = (
    '"ready": true',
    '"force": true',
    "Caught up",
    "not (...)",
    "VIP moved here after ...",
    "cannot be configured because it is already in use",
    "/usr/irissys/bin/iris qlist IRIS",
    "ip address add",
)


LOOP: Final = lines("## Try it")[0]
"""What a client runs: it never ends, so the test runs what is between `do` and `done`."""


def test_every_command_of_the_page_is_run_or_listed() -> None:
    """What no test runs stands in docs/unverified.md, word by word. A new command is in neither, and this test is red."""
    headings = (*(way[0] for way in WAYS.values()), *EVERYWHERE, "## Containers")  # the last: test_packages.py
    run = ["make packages", LOOP, *(line for heading in headings for line in lines(heading))]
    run = [line for line in run if not line.startswith(CANNOT_RUN)]
    objectscript = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "agent").glob("test_z*.py"))
    not_run = [line for line in all_lines() if line not in run and not is_interpreted(line, objectscript)]
    known = (*IN_THE_TEXT, *SHORT, *NO_COMMANDS)
    not_run += [span for span in spans() if span not in known and not any(span in line for line in run)]
    not_run = [line for line in not_run if not is_interpreted(line, objectscript)]

    assert not_run
    assert [line for line in not_run if line.replace("|", "\\|") not in UNVERIFIED] == []
    assert [name for name in known if name not in spans()] == []


def is_interpreted(line: str, tests: str) -> bool:
    """Say whether the line calls an entry point of our routines that tests/agent runs in the interpreter."""
    called = re.fullmatch(r"(?:do |write \$\$)(\w+\^\w+)(?:\(\))?", line)
    return called is not None and f'.call("{called[1]}"' in tests


@pytest.mark.parametrize("way", WAYS)
def test_page_leads_from_an_empty_node_to_a_silent_doctor_and_back(subnet: Azure, packages: Packages, way: str) -> None:
    """Install, check and undo by the page alone: doctor prints what the page shows, and nothing is left at the end."""
    heading, kind = WAYS[way]
    if shutil.which("rpm") is None and kind == "rpm":
        skip("rpm is not installed: apt-get install rpm")
    node = subnet.add(way, 20 + len(subnet.members))
    for path, text in STAND_INS.items():
        node.write(path, text, 0o755 if path.startswith("/usr") else 0o644)
    place = node.path("/var/lib/dpkg")
    for folder in ("info", "updates", "triggers"):
        (place / folder).mkdir(parents=True)
    known = "Package: {}\nStatus: install ok installed\nMaintainer: x\nArchitecture: all\nVersion: 3.6\nDescription: x\n"
    (place / "status").write_text("\n".join(known.format(name) for name in ("python3", "iproute2")))
    node.run("systemctl", "daemon-reload")
    node.run("systemctl", "enable", "--now", "nm-cloud-setup.timer")
    shutil.copy(packages[kind], node.path(f"/root/{packages[kind].name}"))
    before = node.sh("ip -br address; ip route")

    said = {line: type_in(node, line) for line in lines(heading)}
    node.sh("sed -i 's|^ca_file =|ca_file = /etc/ca.pem|' /etc/mirror-vip/agent.ini")  # the authority of this test
    node.write("/root/mirrora-1.key", KEY_TEXT + "\n", 0o600)
    for line in lines("### Then, on all of them"):
        if "keygen" in line:  # the other one of two ways
            assert node.sh("runuser -u irisusr -- cat /etc/mirror-vip/mirrora-1.key; ls /root/*.key || true") == KEY_TEXT + "\n"
            node.sh("rm /etc/mirror-vip/mirrora-1.key")
        said[line] = type_in(node, line)
    node.sh(f"ip address add {VIP}/24 dev eth0")
    said |= {line: type_in(node, line) for line in lines(ON_THE_NIC)}
    assert f"{VIP}/24" in said["ip -br address show eth0"]
    assert VIP not in node.sh("ip -br address show eth0")
    key = json.loads(said["/opt/mirror-vip/vip_agent.py keygen --show"])
    assert key["setting"] == "VIP_KEY_MIRRORA_1"
    subnet.tell(key=key["key"], vips=[{"name": "vip", "private_ip": VIP}])
    node.role("Primary")
    node.listen()
    said |= {line: type_in(node, line) for line in lines("## Check")}

    shown = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    printed = said[DOCTOR].replace(CONTROLLER, "203.0.113.9")
    cloud = re.compile(r"^ok   (cloud-init|nm-cloud-setup|cloud-netconfig) .*\n", re.MULTILINE)
    assert cloud.sub("", printed) == cloud.sub("", shown[1])
    assert len(cloud.findall(printed)) == 3
    assert f"{VIP}/32" in said["ip -br address show lo"]
    assert f"src {node.address} " in said["ip route get 10.0.0.5"]
    assert "active (running)" in said["systemctl status --no-pager mirror-vip-watch.service"]
    assert json.loads(said["runuser -u irisusr -- /opt/mirror-vip/vip_agent.py status"])["primary"] is True

    said |= {span: type_in(node, span) for span in IN_THE_TEXT}
    assert said["command -v iris"].endswith("/bin/iris\n")
    assert len(said["openssl rand -base64 32"].strip()) == 44
    assert "^Primary^" in said["iris qlist IRIS"]
    assert f"{VIP}/32" in type_in(node, SHORT["doctor --vip"])
    look = LOOP.removeprefix("while sleep 1; do ").removesuffix("; done")
    assert node.sh(look).endswith(" open\n")
    assert node.sh(look.replace("/1972", "/1973")).endswith(" closed\n")

    undo = [line for line in lines("## Undo") if ("dpkg" in line or "cloud.cfg.d" in line) <= (kind == "deb")]
    for line in undo:
        if not (line.startswith("rpm") or "/var/log" in line) or kind == "rpm":
            type_in(node, line)
    assert node.sh("ip -br address; ip route") == before
    assert node.sh("find / -xdev -name '*mirror-vip*' ! -path '/root/*' ! -path '/proc/*' ! -path '*/lib/dpkg/*'") == ""


def type_in(node: Member, line: str) -> str:
    """Run a line in root's shell, in the folder with the package."""
    if line.startswith(CANNOT_RUN):
        return ""
    return node.sh(f"cd /root\n{line}")
