"""infra/access.py: the list for main.bicep out of NICs as `az` shows them, and what is warned of."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator

from infra import access, azd, mirrors, rights
from infra.check.cases import FOLDER, OTHER, SUBSCRIPTION
from infra.check.evaluate import evaluate
from tests.infra.fakes import Fakes

SUBNET: Final = f"{OTHER}/virtualNetworks/v/subnets/s"
ADDRESS: Final = f"{OTHER}/publicIPAddresses/p"


HOOK: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["shell", "run"],
    "properties": {"shell": {"enum": ["sh", "pwsh"]}, "run": {"type": "string"}},
}
ON_POSIX: Final = {"type": "object", "additionalProperties": False, "required": ["posix"], "properties": {"posix": HOOK}}
AZURE_YAML: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "infra", "hooks"],
    "properties": {
        "name": {"type": "string", "minLength": 2, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
        "infra": {
            "type": "object",
            "additionalProperties": False,
            "required": ["provider", "path", "module"],
            "properties": {"provider": {"enum": ["bicep"]}, "path": {"type": "string"}, "module": {"type": "string"}},
        },
        "hooks": {
            "type": "object",
            "additionalProperties": False,
            "required": ["preprovision", "postprovision"],
            "properties": {"preprovision": ON_POSIX, "postprovision": ON_POSIX},
        },
    },
}
"""What azd's own schema (schemas/v1.0/azure.yaml.json of Azure/azure-dev, ae35809) has of the parts that azure.yaml uses; closed
where that one is open, so that a misspelt part is found."""


def nic(name: str, *, subnet: str = SUBNET, **properties: Any) -> dict[str, Any]:
    """A NIC's document."""
    own = f"{OTHER}/networkInterfaces/{name}"
    part = {
        "id": f"{own}/ipConfigurations/ipconfig1",
        "name": "ipconfig1",
        "properties": {"subnet": {"id": subnet}, **properties},
    }
    vm = {"id": "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/vm"}
    return {"id": own, "properties": {"ipConfigurations": [part], "virtualMachine": vm}}


def shown(fakes: Fakes, *documents: dict[str, Any], address: dict[str, Any], locks: list[Any] | None = None) -> None:
    """What `az` answers."""
    path = fakes.az_log.parent / "answers.json"
    answers = json.loads(path.read_text())
    found: list[tuple[str, Any]] = [(f"rest {one['id']}?api-version=2024-05-01", one) for one in documents]
    found += [(f"rest {ADDRESS}?api-version=2024-05-01", address), ("lock list", locks or [])]
    path.write_text(json.dumps([*found, *answers]))


def lock(name: str, scope: str) -> dict[str, str]:
    """A read-only lock, as `az lock list` shows it."""
    return {"id": f"{scope}/providers/Microsoft.Authorization/locks/{name}", "level": "ReadOnly", "name": name}


def listed(document: Path, *arguments: str) -> tuple[int, Path]:
    """Run it."""
    out = document.parent / "access.json"
    return access.main(["--mirrors", str(document), "--out", str(out), *arguments]), out


def test_list_is_what_bicep_is_given(fakes: Fakes, document: Path) -> None:
    """NICs, subnet, network, and public IP, each with its role; people read why."""
    pool = f"{OTHER}/loadBalancers/l/backendAddressPools/p"
    shown(fakes, nic("a", loadBalancerBackendAddressPools=[{"id": pool}]), nic("b"), address={"sku": {"name": "Standard"}})

    code, out = listed(document)

    assert code == 0
    assert {(one["id"].removeprefix(OTHER), one["role"]) for one in json.loads(out.read_text())} == {
        ("/networkInterfaces/a", rights.NIC),
        ("/networkInterfaces/b", rights.NIC),
        ("/virtualNetworks/v/subnets/s", rights.JOIN),
        ("/virtualNetworks/v", rights.ADDRESS),
        ("/publicIPAddresses/p", rights.JOIN),
        ("/loadBalancers/l", rights.JOIN),
    }
    assert all(one["why"] for one in json.loads(out.read_text()))
    assert "loadBalancers/backendAddressPools/join/action for the NIC of PROD, MIRRORA" in fakes.printed()


def test_document_too_large_for_a_setting_is_told(fakes: Fakes, document: Path) -> None:
    """Over 32 kB it travels in the package: what is to be set, and how the package is made then."""
    shown(fakes, nic("a"), nic("b"), address={})
    assert listed(document)[0] == 0
    assert "over 32 kB" not in fakes.printed()
    document.write_text(document.read_text() + " " * mirrors.SETTING_BYTES_MAX)

    assert listed(document)[0] == 0

    assert "set mirrorsPath to mirrors.json, and make package ARGS='--mirrors infra/mirrors.json'" in fakes.printed()


def test_what_will_hurt_is_warned_of(fakes: Fakes, document: Path) -> None:
    """Different subnets, a zonal or Basic public IP, a read-only lock on a NIC or above: each in a sentence; no other lock."""
    basic = {"zones": ["1"], "sku": {"name": "Basic"}}
    locks = [
        lock("frozen", OTHER.partition("/providers/")[0]),
        lock("own", f"{OTHER}/networkInterfaces/a"),
        lock("other", f"{OTHER}/networkInterfaces/a-database-s"),
        {**lock("kept", OTHER.partition("/providers/")[0]), "level": "CanNotDelete"},
    ]
    shown(fakes, nic("a"), nic("b", subnet=f"{SUBNET}2"), address=basic, locks=locks)

    code, out = listed(document, "--check-only")

    said = fakes.printed()
    assert (code, out.exists()) == (0, False)
    assert [
        word for word in ("different subnets", "of one zone", "Basic SKU", "lock frozen", "lock own") if word not in said
    ] == []
    assert [word for word in ("lock other", "lock kept") if word in said] == []


def test_reference_of_an_unknown_kind_is_an_error(fakes: Fakes, document: Path) -> None:
    """A right that is left out would show at the first swap only."""
    shown(fakes, nic("a", futureGateway={"id": f"{OTHER}/futureGateways/f"}), nic("b"), address={})

    code, out = listed(document)

    assert (code, out.exists()) == (1, False)
    assert "futureGateway" in fakes.printed()


def test_long_list_is_deployed_in_parts(tmp_path: Path) -> None:
    """Over 150 grants: parts make the very assignments of the whole list, and those of an earlier list do not stay."""
    grants = [rights.Grant(id=f"{OTHER}/networkInterfaces/n{n}", role=rights.NIC, why="a NIC") for n in range(access.PART + 1)]
    out = tmp_path / "access.json"
    made = [*access.write(out, [*grants, *grants]), *access.write(out, grants)]

    parts = sorted(tmp_path.glob("access.[0-9].json"))
    assert [path.name for path in made] == [f"access.{n}.json" for n in (1, 2, 3, 1, 2)]
    assert parts == made[-2:]
    assert max(len(json.loads(path.read_text())) for path in parts) == access.PART
    assert [one for path in parts for one in json.loads(path.read_text())] == json.loads(out.read_text())
    assert set.union(*(assigned(path) for path in parts)) == assigned(out)
    assert len(assigned(out)) == len(grants)
    said = access.written(out, grants).splitlines()
    assert (said[0], said[2:]) == (f"151 grants in {out}", [str(path) for path in parts])
    assert "set deployAccess to false" in said[1]
    assert access.written(out, grants[1:]) == f"150 grants in {out}"
    assert list(tmp_path.iterdir()) == [out]


def assigned(path: Path) -> set[str]:
    """Ids of the role assignments that access.bicep makes of a list."""
    world = evaluate(FOLDER / "access.bicep", {"principalId": "p", "grants": json.loads(path.read_text())}, scope=SUBSCRIPTION)
    assert world.faults == []
    return {str(one.id) for one in world.of("Microsoft.Authorization/roleAssignments")}


def test_nic_that_is_not_there_is_named(fakes: Fakes, document: Path) -> None:
    """All of them at once."""
    shown(fakes, nic("a"), address={})

    assert listed(document)[0] == 1

    assert f"{OTHER}/networkInterfaces/b: az rest" in fakes.printed()


def test_document_that_is_not_there_is_named(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file and what to do, not the number of an error."""
    document.unlink()

    code, out = listed(document)

    said = capsys.readouterr().err
    assert (code, out.exists()) == (1, False)
    assert f"{document} cannot be read" in said
    assert "step 1 of infra/README.md" in said
    assert "Errno" not in said


@pytest.mark.parametrize("name", ["mirrors.json.sample"])
def test_sample_document_can_be_deployed(name: str) -> None:
    """The document to start from has no fault."""
    assert mirrors.read(FOLDER / name)["mirrors"]


def test_azd_gets_the_same_parameters(tmp_path: Path, document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that azd reads has both documents, and names that main.bicep has."""
    (tmp_path / "access.json").write_text("[]")

    monkeypatch.setenv("MIRROR_VIP_PROFILE", "lean")
    monkeypatch.setenv("MIRROR_VIP_ALERT_EMAILS", "a@example.org b@example.org")
    monkeypatch.setenv("MIRROR_VIP_DEPLOY_ACCESS", "false")

    assert azd.main([], tmp_path) == 0

    given = json.loads((tmp_path / "main.parameters.json").read_text())["parameters"]
    declared = [line.split()[1] for line in (FOLDER / "main.bicep").read_text().splitlines() if line.startswith("param ")]
    assert set(given) <= set(declared)
    chosen = [given[name]["value"] for name in ("profile", "alertEmails", "deployAccess")]
    assert chosen == ["lean", ["a@example.org", "b@example.org"], False]
    assert set(azd.chosen({})) == set()


@pytest.mark.parametrize("missing", ["access.json", "mirrors.json"])
def test_azd_gets_nothing_of_half_a_step(
    tmp_path: Path, document: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the list, or the document, azd's first hook ends with a sentence, and azd with it."""
    (tmp_path / "access.json").write_text("[]")
    (tmp_path / missing).unlink()

    assert azd.main([], tmp_path) == 1

    assert missing in capsys.readouterr().err
    assert not (tmp_path / "main.parameters.json").exists()


def test_azure_yaml_is_what_azd_reads() -> None:
    """Its parts are those of azd's schema, it names main.bicep, and its hooks run scripts that are there."""
    whole = yaml.safe_load((FOLDER.parent / "azure.yaml").read_text())

    assert list(Draft202012Validator(AZURE_YAML).iter_errors(whole)) == []
    assert (FOLDER.parent / whole["infra"]["path"] / f"{whole['infra']['module']}.bicep").exists()
    for hook in whole["hooks"].values():
        for module in [word for word in hook["posix"]["run"].split() if word.startswith("infra.")]:
            assert (FOLDER / f"{module.removeprefix('infra.')}.py").exists()
    assert shutil.which("make")


def test_azd_prints_its_help_and_writes_nothing(tmp_path: Path, document: Path) -> None:
    """A question is no run."""
    (tmp_path / "access.json").write_text("[]")

    with pytest.raises(SystemExit) as left:
        azd.main(["--help"], tmp_path)

    assert left.value.code == 0
    assert not (tmp_path / "main.parameters.json").exists()
