"""The sitting of infra/README.md as far as the simulated Azure goes: its own lines, with the real az, from a fresh checkout."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from infra import mirrors
from infra.check import rules
from infra.check.evaluate import World, evaluate
from serve import azurite, process
from simulator.state.world import SUBSCRIPTION
from tests.interop import subscription
from tests.interop.azurecli import ROOT, Cli
from tests.interop.conftest import Azure
from tests.interop.subscription import DEPLOYER, PRINCIPAL, Subscription
from tests.served.processes.harness import free_port
from vipcore import VERSION

pytestmark = pytest.mark.interop


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What steps 1 and 2 need of the repository, without anything that they make."""
    folder = tmp_path / "checkout"
    kept = shutil.ignore_patterns("__pycache__", "mirrors.json", "access.json", "*.bicepparam", "main.parameters.json")
    for name in ("infra", "vipcore"):
        shutil.copytree(ROOT / name, folder / name, ignore=kept)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    return folder


def step(number: int) -> str:
    """The block of a step."""
    page = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\*\*{number}\. .*?```sh\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_first_steps_lead_to_a_deployment_without_faults(az: Cli, checkout: Path) -> None:
    """Steps 1 and 2 on the sample document as it stands; what they write, main.bicep and azd take."""
    for number in (1, 2):
        done = az.run("sh", "-euc", f"cd {checkout}\n{step(number)}")
        assert done.code == 0, done.err
        assert "warning" not in done.out

    infra = checkout / "infra"
    sample = (infra / "main.bicepparam.sample").read_text()
    given = {
        name: json.loads((infra / file).read_text()) for name, file in re.findall(r"(\w+) = loadJsonContent\('(.+?)'\)", sample)
    }
    world = evaluate(infra / "main.bicep", {"environmentName": "mirror-vip", **given})
    assert set(given) == {"mirrors", "access"}
    assert world.faults == []
    assert list(rules.check(world)) == []
    assert given["mirrors"] == mirrors.read(infra / "mirrors.json.sample")

    hook = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]["preprovision"]["posix"]["run"]
    done = az.run("sh", "-euc", f"cd {checkout}\n{hook.replace('make setup && ', '')}")
    assert done.code == 0, done.err
    assert json.loads((infra / "main.parameters.json").read_text())["parameters"]["access"]["value"] == given["access"]


_DONE: Final = "the block has ended with"


class Shell:
    """The operator's one shell, in the checkout."""

    def __init__(self, checkout: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            cwd=checkout,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, block: str) -> tuple[int, str]:
        """(exit code of the last line that failed, else 0; what was printed). Lines with `make` are left out: see below."""
        lines = "".join(line for line in block.splitlines(keepends=True) if not line.startswith("make "))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"failed=0; trap 'failed=$?' ERR\n{lines}\ntrap - ERR; echo; echo {_DONE} $failed\n")
        self._process.stdin.flush()
        said = list[str]()
        for line in self._process.stdout:
            if line.startswith(_DONE):
                return int(line.removeprefix(_DONE)), "".join(said)
            said.append(line)
        raise AssertionError("the shell has ended: " + "".join(said))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def blocks() -> dict[str, str]:
    """The page's blocks: what its paragraph is called (`3a`, `Remove`) -> its lines; a second one is `8, then`."""
    page = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    found, name = dict[str, str](), "before"
    for before, block in re.findall(r"((?:(?!```).)*)```sh\n(.*?)```", page, re.DOTALL):
        heads = re.findall(r"^(?:- )?\*\*([\w ]+?)[.*]", before, re.MULTILINE)
        name = heads[-1] if heads else name
        found[f"{name}, then" if name in found else name] = block
    return found


@pytest.fixture
def site(azure: Azure, tmp_path: Path) -> Iterator[Subscription]:
    """An empty subscription beside the members' NICs; the app that is deployed to it is served here."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(azurite.running())

        def start(world: World, secrets: dict[str, str]) -> None:
            settings = {name: str(value) for name, value in rules.settings_of(world).items() if name.startswith("VIP_")}
            secret_names = {name: subscription.secret_of(value) for name, value in settings.items()}
            settings |= {name: secrets[secret] for name, secret in secret_names.items() if secret}
            settings |= {"VIP_TABLE": table.connection_string, "FUNCTIONS_KEY": "host-key", "PORT": str(port)}
            environment = {"PATH": os.environ["PATH"], **settings, **azure.environment}
            stack.enter_context(process.running("serve", environment=environment, log=tmp_path / "app.log"))

        made = Subscription(azure.url, f"http://127.0.0.1:{port}/api", start)
        yield stack.enter_context(subscription.running(made, tmp_path / "tls"))


@pytest.fixture
def shell(az: Cli, site: Subscription, checkout: Path, tmp_path: Path) -> Iterator[Shell]:
    """Where this az is logged in to that subscription."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "bicep").write_text(subscription.BICEP.format(python=sys.executable, root=str(ROOT)))
    (bin_ / "bicep").chmod(0o755)
    az("cloud", "register", "-n", "Whole", "--endpoint-resource-manager", f"{site.https_url}/").json()
    az("cloud", "set", "-n", "Whole").json()
    az("login", "--identity", "-o", "none").json()
    own = az.environment()
    opened = Shell(
        checkout,
        {
            **own,
            "PATH": f"{bin_}:{own['PATH']}",
            "SSL_CERT_FILE": own["REQUESTS_CA_BUNDLE"],
            "AZURE_BICEP_USE_BINARY_FROM_PATH": "true",
            "AZURE_BICEP_CHECK_VERSION": "false",
        },
    )
    yield opened
    opened.close()


def member_claims(checkout: Path, url: str, key: str) -> int:
    """What the agent says where step 7 has put the file: its exit code. The member is key's, in capitals."""
    member = key.rpartition("-")[0].upper()
    ini, file = checkout / "agent.ini", checkout / "build" / "keys" / f"{key}.key"
    ini.write_text(f"[agent]\nurl = {url}\nmirror = PROD\nmember = {member}\nkey_id = {key}\nkey_file = {file}\n")
    ini.write_text(ini.read_text() + f"log_file = {checkout}/agent.log\n")
    words = ["claim", "--event", "NotifyBecomePrimary", "--deadline", "60", "--config", str(ini)]
    return subprocess.run([sys.executable, str(ROOT / "agent" / "vip_agent.py"), *words], check=False).returncode


def test_whole_sitting_as_the_page_prints_it(shell: Shell, site: Subscription, azure: Azure, checkout: Path) -> None:
    """Every block from the first to Remove, in one shell, but `make` (its parts have tests) and azd.

    The compiler is played (subscription.BICEP); the deployment that az sends is evaluated, the app that it describes is served
    with the keys of step 4, and moves a VIP.
    """
    page, infra = blocks(), checkout / "infra"

    def take(name: str, **changes: str) -> str:
        block = page[name]
        for old, new in changes.items():
            block = block.replace(old, new)
        code, said = shell(block)
        assert code == 0, f"{name}: {said}"
        return said

    assert "westeurope" in take("before")
    assert {f"Microsoft.{name}" for name in ("App", "Web", "Network", "Insights", "KeyVault")} < set(site.registered)
    take("1")
    assert "6 grants in" in take("2")

    sample = infra / "main.bicepparam.sample"
    (who,) = re.findall(r"// a person: (.*)", sample.read_text())
    deployer = shell(who)[1].strip()
    sample.write_text(sample.read_text().replace("param deployerId = ''", f"param deployerId = '{deployer}'"))
    take("3")
    assert deployer == DEPLOYER
    assert set(site.deployed) == {"main.bicep"}
    before = site.ids(subscription.ASSIGNMENT), site.ids(subscription.LOCK)
    on_vault = [site.there[key]["properties"]["principalId"] for key in before[0] if "/vaults/" in key]
    assert sorted(on_vault) == [PRINCIPAL, DEPLOYER]
    take("3a")
    listed = {one["id"].lower() for one in json.loads((infra / "access.json").read_text())}
    apart = site.deployed["access.bicep"].of(subscription.ASSIGNMENT)
    assert {str(one.id).lower().partition("/providers/microsoft.authorization/")[0] for one in apart} == listed

    take("4")
    keys = {path.stem: path for path in (checkout / "build" / "keys").iterdir()}
    assert set(keys) == {"mirrora-1", "mirrorb-1"}
    assert {path.stat().st_mode & 0o777 for path in keys.values()} == {0o600}
    zip_ = checkout / "build" / f"mirror-vip-{VERSION}.zip"
    zip_.write_bytes(b"what tests/infra/test_package.py looks into")
    zip_.with_suffix(".zip.sha256").write_text(hashlib.sha256(zip_.read_bytes()).hexdigest())
    deployed = take("5")
    assert f"ok, version {VERSION}" in deployed
    assert "warning" not in deployed
    (app,) = (site.there[key] for key in site.ids(subscription.SITE))
    assert app["properties"]["functionAppConfig"]["siteUpdateStrategy"] == {"type": "RollingUpdate"}
    assert take("4").count("kept") == 3

    take("6")
    lines = re.findall(r"^curl .*", deployed, re.MULTILINE)
    for line in lines:
        checks = json.loads(shell(line)[1])["checks"]
        assert [one for one in checks if one["ok"] is not True] == []
    assert member_claims(checkout, site.app_url, "mirrorb-1") == 0
    assert azure.call("GET", "carrier/10.0.0.254")["carrier"].endswith("mirrorb280_z2")
    real = [json.loads(shell(line.replace(', "dry_run": true', ""))[1]) for line in lines]
    assert [(one["outcome"], one["holder"]) for one in real] == [("moved", "MIRRORA"), ("moved", "MIRRORB")]

    seen = shell(".venv/bin/python -m infra.smoke -g $RG")[1]  # what `make smoke ARGS="-g $RG"` runs
    assert f"200 ok version {VERSION} |" in seen
    assert "| all Resolved | Resolved: 3 |" in seen
    assert "http 2, function:reconcile_timer 2 |" in seen
    assert re.search(r"\| the same counts \| .*Key Vault Secrets User: 1", seen)
    assert seen.count("could not be asked") == seen.count("log-analytics query") == 3, seen
    take("8, then")
    assert site.ids(subscription.LOCK) == before[1]
    (taken,) = before[0] - site.ids(subscription.ASSIGNMENT)
    assert "/vaults/" in taken

    take("Remove", SUBSCRIPTION_OF_THE_NICS=SUBSCRIPTION, **{"az group delete": "az group delete --yes"})
    assert [key for key in site.there if "/deployments/" not in key and not key.rpartition("/")[0].endswith(SUBSCRIPTION)] == []
    assert site.unknown == []
