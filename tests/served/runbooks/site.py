"""Where the runbooks are run: the served app on a simulated Azure and a real Table service, and what an operator has at hand.

`given` brings about what a part of the page is for. `run` carries out one of its commands: `az` is played here, since the real
one runs in tests/interop; everything else is the shell's.
"""

import base64
import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from demo.harness import MEMBERS
from serve import azurite, process
from tests.served.processes.harness import free_port

ROOT: Final = Path(__file__).resolve().parents[3]
SUB: Final = "00000000-0000-0000-0000-000000000000"
NETWORK: Final = f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.Network"
ETC: Final = "/etc/mirror-vip"
COMMAND_S: Final = 60.0


class Site:
    """One mirror, PROD, on the default world; its VIP is on MIRRORA."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder, self.etc = folder, folder / "etc"
        self.etc.mkdir()
        log = folder / "simulator.log"
        arguments = ["--port", "0", "--switches", json.dumps({"latency": "fixed:0.2"})]
        plain = {"PATH": os.environ["PATH"]}
        self.simulator = stack.enter_context(process.running("simulator", environment=plain, log=log, arguments=arguments)).url
        lines = [line.removeprefix("export ") for line in log.read_text().splitlines() if line.startswith("export ")]
        self.arm = dict(line.split("=", 1) for line in lines)
        self._outdated = False
        """Whether the app has to be started with other settings before it is asked again."""
        self.port, self._table_port = free_port(), free_port()
        self._table, self._app = contextlib.ExitStack(), contextlib.ExitStack()
        stack.callback(self._table.close)
        stack.callback(self._app.close)
        self._start_table()
        self.settings = {
            "VIP_TABLE": azurite.Azurite(pid=0, port=self._table_port).connection_string,
            "VIP_MIRRORS": json.dumps(_mirrors(f"{self.simulator}/pages")),
            "VIP_RECONCILE_SCHEDULE": "0 0 0 29 2 *",  # passes are asked for
            **{f"VIP_KEY_{member}_1": self._key(member) for member in MEMBERS},
        }
        (folder / "mirrors.json").write_text(self.settings["VIP_MIRRORS"])
        agent = folder / "vip_agent.py"
        agent.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/agent/vip_agent.py "$@"\n')
        agent.chmod(0o755)
        self.restart()

    def given(self, words: str) -> None:
        """Bring about what the page's words say. Raises KeyError for words that nobody knows."""
        acts: Mapping[str, Callable[[], object]] = {
            "the timer has looked": self._pass,
            "the table is away": self._table.close,
            "the table is back": self._start_table,
            "the app is down": self._app.close,
            "MIRRORA's agent claimed": lambda: self._claim("mirrora"),
            "MIRRORB's agent claimed": lambda: self._claim("mirrorb"),
            "MIRRORA's agent claimed in vain": lambda: self._claim("mirrora", 5),
            "kim froze the mirror": self._freeze,
            "MIRRORA became primary": lambda: self._pages(MIRRORA="primary", MIRRORB="backup"),
            "MIRRORB became primary": lambda: self._pages(MIRRORA="backup", MIRRORB="primary"),
            "the identity may not write MIRRORB's NIC": self._deny,
            "the right is granted": lambda: self._ask("PUT", "switches", {"denied": []}),
            "Azure refuses every attach to MIRRORB": self._refuse_attach,
            "the cause is gone": lambda: self._ask("DELETE", "scripts"),
            "somebody took the VIP off": lambda: self._ask("POST", "nics/mirrorb280_z2", {"what": "drops-config"}),
            "mirrors.json names mirrorb-2 too": lambda: self._name_keys("mirrora-1", "mirrorb-1", "mirrorb-2"),
            "mirrors.json no longer names mirrorb-1": lambda: self._name_keys("mirrora-1", "mirrorb-2"),
        }
        acts[words]()

    def run(self, command: str) -> str:
        """What it prints, on stdout and stderr. A command may fail: then what it prints says so."""
        command = command.replace("\\\n", "").strip().replace(ETC, str(self.etc))
        if command.startswith("az "):
            return self._az(shlex.split(self._shell(f"printf '%q ' {command}")))
        if self._outdated:
            self.restart()
        return self._shell(command).replace(str(self.etc), ETC)

    def _shell(self, command: str) -> str:
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "API": self.url,
            "KEY": "x-functions-key: key",
            "HOME": str(self.folder),
        }
        ran = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=COMMAND_S, check=False, text=True,
        )  # fmt: skip
        return ran.stdout

    def _az(self, words: list[str]) -> str:
        """The few commands of the page, all with `-o none`."""
        options = {word: words[index + 1] for index, word in enumerate(words[:-1]) if word.startswith("-")}
        assert options.get("-o") == "none", words
        match words[1:5]:
            case ["network", "nic", "ip-config", "delete"]:
                self._write_nic(options["--nic-name"], lambda found: [one for one in found if one["name"] != options["-n"]])
            case ["network", "nic", "ip-config", "create"]:
                self._write_nic(options["--nic-name"], lambda found: [*found, _configuration(found[0], options)])
            case ["functionapp", "config", "appsettings", "set"]:
                self.settings |= dict(word.split("=", 1) for word in words[words.index("--settings") + 1 :])
                self._outdated = True
            case ["functionapp", "config", "appsettings", "delete"]:
                for name in words[words.index("--setting-names") + 1 :]:
                    del self.settings[name]
                self._outdated = True
            case ["functionapp", "restart", *_]:
                self.restart()
            case _:
                raise AssertionError(f"nobody plays this command: {words}")
        return ""

    @property
    def url(self) -> str:
        """Where the app answers."""
        return f"http://127.0.0.1:{self.port}/api"

    def restart(self) -> None:
        """Start the app with the settings of now, as Azure does after a change of them."""
        self._app.close()
        self._outdated = False
        environment = {"PATH": os.environ["PATH"], **self.arm, "FUNCTIONS_KEY": "key", "PORT": str(self.port), **self.settings}
        self._app.enter_context(process.running("serve", environment=environment, log=self.folder / "app.log"))

    def _start_table(self) -> None:
        self._table.enter_context(azurite.running(port=self._table_port, directory=self.folder / "azurite"))

    def _key(self, member: str) -> str:
        """A member's first key; the key file and the configuration of its agent are written too."""
        secret, name = base64.b64encode(secrets.token_bytes(32)).decode(), member.lower()
        path = self.etc / f"{name}-1.key"
        path.touch(mode=0o600)
        path.write_text(secret + "\n")
        (self.etc / f"{name}.ini").write_text(
            f"[agent]\nurl = {self.url}\nmirror = PROD\nmember = {member}\nkey_id = {name}-1\nkey_file = {path}\n"
            f"primary_check = {self.simulator}/pages/{member}/csp/bin/mirror_status.cxw\nlog_file = {self.folder}/{name}.log\n"
        )
        return secret

    def _name_keys(self, *names: str) -> None:
        path = self.folder / "mirrors.json"
        keys = {name: {"mirror": "PROD", "member": name.rpartition("-")[0].upper()} for name in names}
        path.write_text(json.dumps({**json.loads(path.read_text()), "keys": keys}))

    def _pages(self, **modes: str) -> None:
        for member, mode in modes.items():
            self._ask("PUT", f"pages/{member}", {"mode": mode})

    def _claim(self, member: str, ends: int = 0) -> None:
        options = f"--event NotifyBecomePrimary --deadline {2 if ends else 60} --config {ETC}/{member}.ini"
        said = json.loads(self.run(f"vip_agent.py claim {options} 2>&-"))
        assert said["exit"] == ends, said

    def _pass(self) -> None:
        _exchange("POST", f"{self.url}/reconcile", {}, headers={"x-functions-key": "key"})

    def _freeze(self) -> None:
        body = {"reason": "storage work tonight", "operator": "kim"}
        _exchange("PUT", f"{self.url}/mirrors/PROD/freeze", body, headers={"x-functions-key": "key"})

    def _deny(self) -> None:
        denial = {"action": "Microsoft.Network/networkInterfaces/write", "scope": f"{NETWORK}/networkInterfaces/mirrorb280_z2"}
        self._ask("PUT", "switches", {"denied": [denial]})
        self._outdated = True  # a process trusts what it has read for a while

    def _refuse_attach(self) -> None:
        match = {"method": "PUT", "kind": "nic", "name": "mirrorb280_z2"}
        fault = {"kind": "answer", "name": "NetworkInterfaceIPConfigurationLimitExceeded"}
        self._ask("POST", "scripts", {"match": match, "fault": fault, "times": 1000})

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return _exchange(method, f"{self.simulator}/simulator/{path}", body)

    def _write_nic(self, name: str, change: Callable[[list[Any]], list[Any]]) -> None:
        """What `az network nic ip-config` does: read the NIC, change its ip configurations, write it back, wait for the end."""
        endpoint, secret = self.arm["IDENTITY_ENDPOINT"], {"X-IDENTITY-HEADER": self.arm["IDENTITY_HEADER"]}
        asked = f"{endpoint}?resource=https://management.azure.com/&api-version=2019-08-01"
        headers = {"Authorization": f"Bearer {_exchange('GET', asked, headers=secret)['access_token']}"}
        url = f"{self.simulator}{NETWORK}/networkInterfaces/{name}?api-version=2024-05-01"
        nic = _exchange("GET", url, headers=headers)
        nic["properties"]["ipConfigurations"] = change(nic["properties"]["ipConfigurations"])
        _exchange("PUT", url, nic, headers=headers)
        while _exchange("GET", url, headers=headers)["properties"]["provisioningState"] == "Updating":
            pass


def _mirrors(pages: str) -> dict[str, Any]:
    members = {name: {"nic": nic, "status_url": f"{pages}/{name}/csp/bin/mirror_status.cxw"} for name, nic in MEMBERS.items()}
    vips = [{"name": "vip", "private_ip": "10.0.0.254", "public_ip": "my_vip_ip"}]
    return {
        "defaults": {"subscription_id": SUB, "resource_group": "rg"},
        "mirrors": {"PROD": {"members": members, "vips": vips}},
        "keys": {f"{name.lower()}-1": {"mirror": "PROD", "member": name} for name in MEMBERS},
    }


def _configuration(beside: Any, options: Mapping[str, str]) -> Any:
    """The ip configuration that `az network nic ip-config create` makes of these options."""
    properties = {
        "privateIPAddress": options["--private-ip-address"],
        "privateIPAllocationMethod": "Static",
        "subnet": beside["properties"]["subnet"],
        "publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/{options['--public-ip-address']}"},
    }
    return {"name": options["-n"], "properties": properties}


def _exchange(method: str, url: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method, headers=sent), timeout=COMMAND_S) as answer:
        return json.loads(answer.read() or b"null")


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[Site]:
    """A site until the block ends."""
    with contextlib.ExitStack() as stack:
        yield Site(folder, stack)
