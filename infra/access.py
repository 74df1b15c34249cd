"""`python -m infra.access`: read the members' NICs through `az`, and write down what the identity must be granted.

The list goes to the file (infra/access.json), which main.bicep or access.bicep is given; what is told to people goes to stdout.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from infra import mirrors, rights
from infra.azure import Azure, Failure
from vipcore.model import Mirror
from vipcore.settings import document

FOLDER: Final = Path(__file__).resolve().parent
PART: Final = 150
"""Grants of one deployment. Azure takes 800 resources and 4 MB, loops written out; a grant is a template of some kB."""


def documents(azure: Azure, found: Sequence[Mirror]) -> dict[str, Any]:
    """NIC id in lower case -> its document. Raises Failure, which names every NIC that is not there."""
    made, missing = {}, []
    for nic_id in dict.fromkeys(member.nic_id for mirror in found for member in mirror.members):
        try:
            made[nic_id.lower()] = raw(azure, nic_id)
        except Failure as fault:
            missing.append(f"{nic_id}: {fault}")
    if missing:
        raise Failure(
            "these NICs could not be read; correct infra/mirrors.json or log in to their subscription:\n" + "\n".join(missing)
        )
    return made


def raw(azure: Azure, resource_id: str) -> Any:
    """A network resource as Resource Manager shows it; az puts the address of its cloud before the id."""
    return azure.az("rest", "--method", "get", "--url", f"{resource_id}?api-version=2024-05-01")


def warnings(azure: Azure, found: Sequence[Mirror], nics: Mapping[str, Any]) -> Iterator[str]:
    """What works, and will hurt."""
    for mirror in found:
        subnets = {
            part["properties"]["subnet"]["id"].lower()
            for member in mirror.members
            for part in nics[member.nic_id.lower()]["properties"]["ipConfigurations"]
            if part["properties"].get("subnet")
        }
        if len(subnets) > 1:
            yield f"{mirror.name}: its NICs are in different subnets, and an address moves within one only: {sorted(subnets)}"
        for vip in mirror.vips:
            if not vip.public_ip_id:
                continue
            shown = raw(azure, vip.public_ip_id)
            if len(shown.get("zones") or ()) == 1:
                yield f"{mirror.name}: the public IP {vip.public_ip_id} is of one zone, and is lost with it"
            if (shown.get("sku") or {}).get("name") == "Basic":
                yield f"{mirror.name}: the public IP {vip.public_ip_id} is of the Basic SKU, which Azure retires"
    for group in sorted({nic_id.split("/providers/")[0] for nic_id in nics}):
        parts = group.split("/")
        for lock in azure.az("lock", "list", "--subscription", parts[2], "--resource-group", parts[4]) or ():
            on = str(lock.get("id", "")).lower().partition("/providers/microsoft.authorization/locks/")[0]
            if lock.get("level") == "ReadOnly" and any(f"{nic_id}/".startswith(f"{on}/") for nic_id in nics):
                yield f"the lock {lock.get('name')} on {on} is read-only: Azure refuses every swap until it is removed"


def table(grants: Sequence[rights.Grant]) -> str:
    """The list, for a reviewer."""
    return "\n".join(f"{one.role:<20} {one.id}\n{'':<20} {one.why}" for one in grants)


def write(out: Path, grants: Sequence[rights.Grant]) -> list[Path]:
    """Write the list. One that is too long for a deployment is written in parts too, which are returned; older parts go."""
    rows = [{"id": one.id, "role": one.role, "why": one.why} for one in grants]
    for old in out.parent.glob(f"{out.stem}.[0-9]*.json"):
        old.unlink()
    cut = [rows[at : at + PART] for at in range(0, len(rows), PART)] if len(rows) > PART else []
    parts = [out.with_suffix(f".{number}.json") for number in range(1, len(cut) + 1)]
    for path, some in zip([out, *parts], [rows, *cut], strict=True):
        path.write_text(json.dumps(some, indent=2) + "\n", encoding="utf-8")
    return parts


def written(out: Path, grants: Sequence[rights.Grant]) -> str:
    """`write`, and what is told of it."""
    parts = write(out, grants)
    rows = [f"{len(grants)} grants in {out}"]
    if parts:
        rows.append("Too many for one deployment: set deployAccess to false, and take step 3a of infra/README.md for each of:")
    return "\n".join([*rows, *map(str, parts)])


def main(argv: Sequence[str] | None = None) -> int:
    """Write the list; 1 with a sentence where that is not possible."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.access", description="Say what the controller's identity must be granted."
    )
    parser.add_argument("--mirrors", type=Path, default=FOLDER / "mirrors.json")
    parser.add_argument("--out", type=Path, default=FOLDER / "access.json")
    parser.add_argument("--check-only", action="store_true", help="check the document and that the NICs exist; write nothing")
    options = parser.parse_args(argv)
    azure = Azure("")
    try:
        mirrors.read(options.mirrors)
        found = list(document.read(options.mirrors.read_text(encoding="utf-8")).mirrors.values())
        nics = documents(azure, found)
        grants = rights.needed(found, nics)
        for warning in warnings(azure, found, nics):
            print(f"warning: {warning}")
    except (Failure, OSError, mirrors.DocumentError, rights.UnknownReference) as fault:
        print(f"nothing was written: {fault}", file=sys.stderr)
        return 1
    print(table(grants))
    if mirrors.is_too_large(options.mirrors):
        print("the document is over 32 kB: set mirrorsPath to mirrors.json, and make package ARGS='--mirrors infra/mirrors.json'")
    if not options.check_only:
        print(written(options.out, grants))
    return 0


if __name__ == "__main__":
    sys.exit(main())
