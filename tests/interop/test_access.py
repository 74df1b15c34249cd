"""infra/access.py with the real az: the list that it writes is the one whose roles tests/infra/test_rights.py proves."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from infra import rights
from infra.azure import Azure as Scripts
from infra.azure import Failure
from simulator.state.world import WorldPlain, WorldPublicIp
from tests.infra import worlds
from tests.interop.azurecli import Answer, Cli
from tests.interop.conftest import Azure
from tests.promises.harness import DOCUMENT
from vipcore.settings import document as settings

pytestmark = pytest.mark.interop

OUTPUTS: Final = {"MIRROR_VIP_URL": "https://func.azurewebsites.net/api", "miRROR_VIP_SITE_ID": "/subscriptions/s"}
GROUP: Final = worlds.NETWORK.partition("/providers/")[0]


@pytest.fixture
def world() -> dict[str, Any]:
    """NICs that refer to everything; a lock on their group; a public IP that hurts; the deployment of main.bicep."""
    found = worlds.connected()
    vip = WorldPublicIp(name="my_vip_ip", address="20.51.0.254", zones=("1",))
    lock = WorldPlain(
        type="Microsoft.Authorization/locks", name="frozen", document={"properties": {"level": "ReadOnly", "notes": "audit"}}
    )
    shown = {name: {"type": "String", "value": value} for name, value in OUTPUTS.items()}
    main = WorldPlain(type="Microsoft.Resources/deployments", name="main", document={"properties": {"outputs": shown}})
    others = (*found.others, lock, main)
    return dataclasses.asdict(dataclasses.replace(found, others=others, public_ips=(vip, *found.public_ips[1:])))


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """infra/mirrors.json."""
    path = tmp_path / "mirrors.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


def listed(az: Cli, document: Path) -> tuple[Answer, Path]:
    """Run it as the README says."""
    out = document.parent / "access.json"
    return az.run(sys.executable, "-m", "infra.access", "--mirrors", str(document), "--out", str(out)), out


def test_list_is_the_one_whose_roles_are_proved(az: Cli, azure: Azure, document: Path) -> None:
    """Every reference of the NICs is in it, with its role and reason; what will hurt is warned of."""
    answer, out = listed(az, document)

    assert answer.code == 0, answer.err
    nics = {f"{worlds.NETWORK}/networkinterfaces/{name}".lower(): azure.nic(name) for name in ("mirrora290_z1", "mirrorb280_z2")}
    wanted = rights.needed(list(settings.read(json.dumps(DOCUMENT)).mirrors.values()), nics)
    assert json.loads(out.read_text()) == [dataclasses.asdict(one) for one in wanted]
    assert {one.id.removeprefix(f"{worlds.NETWORK}/").partition("/")[0] for one in wanted} == {
        "networkInterfaces", "virtualNetworks", "networkSecurityGroups", "publicIPAddresses", *worlds.KINDS.values(),
    }  # fmt: skip
    assert f"the lock frozen on {GROUP.lower()} is read-only" in answer.out
    assert "is of one zone, and is lost with it" in answer.out


def test_nic_that_is_not_there_and_a_reference_of_an_unknown_kind_are_errors(az: Cli, azure: Azure, document: Path) -> None:
    """In az's own words, or with the reference; and nothing is written."""
    nic = azure.nic("mirrorb280_z2")
    nic["properties"]["futureGateway"] = {"id": f"{worlds.NETWORK}/futureGateways/f"}
    body = document.parent / "nic.json"
    body.write_text(json.dumps(nic))
    az("rest", "--method", "put", "--url", f"{nic['id']}?api-version=2024-05-01", "--body", f"@{body}").json()

    unknown, out = listed(az, document)
    document.write_text(document.read_text().replace("mirrorb280_z2", "typo"))
    missing, _ = listed(az, document)

    assert (unknown.code, missing.code, out.exists()) == (1, 1, False)
    assert "futureGateways/f as futureGateway" in unknown.err
    assert "networkInterfaces/typo: az rest" in missing.err
    assert "ResourceNotFound" in missing.err


def test_scripts_learn_of_the_deployment_through_az(
    az: Cli, azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint, a token, and the outputs, whose names Azure spells as it likes; az's own words where it has no login."""
    for name, value in az.environment().items():
        monkeypatch.setenv(name, value)
    scripts = Scripts("rg")

    assert scripts.arm() == azure.tls_url
    assert scripts.token("https://vault.azure.net").count(".") == 2
    assert (scripts.output("MIRROR_VIP_URL"), scripts.output("MIRROR_VIP_SITE_ID")) == tuple(OUTPUTS.values())
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "another"))
    with pytest.raises(Failure, match="az login"):
        Scripts("rg").token("https://vault.azure.net")
