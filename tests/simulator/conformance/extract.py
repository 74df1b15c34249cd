"""Copies the exchanges that the tests replay from recordings of real Azure into data/tapes/.

Run `.venv/bin/python -m tests.simulator.conformance.extract RECORDINGS SDISTS`. RECORDINGS is a folder of recordings
(data/README.md names them), SDISTS a folder with the two unpacked source distributions named below. Needs PyYAML.
Only the form changes: header lists are joined, JSON bodies are parsed (and their style noted), runs of `x` that
replaced signatures are counted.
"""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

TAPES: Final = Path(__file__).parent / "data" / "tapes"
_KEPT_OF_REQUEST: Final = ("accept", "accept-language", "content-type", "x-ms-client-request-id")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which interactions of a recording are kept, in the order of replay (.NET recordings are grouped by request)."""

    recording: str
    numbers: tuple[int, ...]


def _span(*parts: int | tuple[int, int]) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in parts:
        numbers += range(part[0], part[1] + 1) if isinstance(part, tuple) else [part]
    return tuple(numbers)


_NEW = "azure-mgmt-network-19.3.0/tests/recordings/"
_OLD = "azure-mgmt-network-10.2.0/tests/recordings/"
SELECTIONS: Final = {
    "cli-2024-ip-config": Selection(
        "azure-cli-2024/test_network_nic_subresources.yaml", _span((1, 4), (6, 14), (16, 19), (21, 24), (52, 83))
    ),
    "cli-2024-several-configs": Selection(
        "azure-cli-2024/test_multiple_ipconfigs_remove_by_shorthand.yaml", _span((1, 4), (6, 16))
    ),
    "cli-2020-nic-on-vm": Selection("azure-cli-hybrid/test_vm_lb_integration.hybrid_2020_09_01.yaml", _span((36, 47), (52, 57))),
    "cli-2020-busy": Selection("azure-cli-hybrid/test_vm_lb_integration.hybrid_2020_09_01.yaml", (59,)),
    "cli-2020-locked": Selection("azure-cli-2020-21/test_connection_monitor_v2_test_group.yaml", (1,)),
    "dotnet-2019-attach-detach": Selection(
        "dotnet-fluent-2019/ManageIPAddressTest.json",
        _span((2, 4), (6, 9), 12, 13, 5, (26, 28), 14, 10, (31, 35), 15, 16, 29, 17, 30, 11, (36, 41), 18, (42, 44)),
    ),
    "dotnet-2019-create-update-delete": Selection(
        "dotnet-fluent-2019/NIC_CreateUpdate.json", _span((1, 3), (5, 8), 10, 4, 11, 12, 9, (13, 16))
    ),
    "aso-2024-public-ip": Selection("aso-2024/Test_Networking_PublicIP_CRUD.yaml", _span((2, 13))),
    "aso-2024-busy": Selection("aso-2024/Test_Networking_NatGateway_CRUD.yaml", (3, 2)),
    "aso-2024-no-group": Selection("aso-2024/Test_Networking_NatGateway_CRUD.yaml", (17,)),
    "sdk-2021-base": Selection(_NEW + "test_cli_mgmt_network_base.test_network.yaml", _span((0, 5), (9, 17), 57, (115, 120))),
    "sdk-2021-nic": Selection(_NEW + "test_mgmt_network.test_network_interface_card.yaml", _span((0, 11), 14, 15)),
    "sdk-2021-public-ip": Selection(_NEW + "test_mgmt_network.test_public_ip_addresses.yaml", _span((0, 3), 6, 7)),
    "sdk-2021-subnets": Selection(_NEW + "test_mgmt_network.test_subnets.yaml", _span((0, 10))),
    "sdk-2020-nic": Selection(_OLD + "test_mgmt_network.test_network_interface_card.yaml", _span((0, 9), 12, 13)),
    "sdk-2020-public-ip": Selection(_OLD + "test_mgmt_network.test_public_ip_addresses.yaml", _span((0, 3), 6, 7)),
    "sdk-2020-subnets": Selection(_OLD + "test_mgmt_network.test_subnets.yaml", _span((0, 10))),
}


def _raw(path: Path) -> list[dict[str, Any]]:
    """The interactions of a recording of any of the three formats: method, url, headers, bodies as text, status."""
    if path.suffix == ".json":
        entries = json.loads(path.read_text())["Entries"]
        return [
            {
                "method": e["RequestMethod"],
                "url": e["RequestUri"],
                "sent": (e.get("RequestHeaders") or {}, e.get("RequestBody")),
                "status": int(e["StatusCode"]),
                "got": (e["ResponseHeaders"], e["ResponseBody"]),
            }
            for e in entries
        ]
    yaml: Any = importlib.import_module("yaml")  # only this tool needs it
    return [_interaction(item) for item in yaml.safe_load(path.read_text())["interactions"]]


def _interaction(item: dict[str, Any]) -> dict[str, Any]:
    request, response = item["request"], item["response"]
    body, status = response["body"], response.get("status")
    return {
        "method": request["method"],
        "url": request.get("uri") or request["url"],
        "sent": (request["headers"], request.get("body")),
        "status": status["code"] if isinstance(status, dict) else response["code"],
        "got": (response["headers"], body["string"] if isinstance(body, dict) else body),
    }


def _headers(headers: dict[str, list[str]]) -> dict[str, str]:
    return {name.lower(): _counted(", ".join(values)) for name, values in headers.items()}


def _counted(text: str) -> str:
    """Runs of 20 or more x as `{x*N}`: the recorders replaced signatures by x, and only their length matters."""
    return re.sub(r"x{20,}", lambda run: f"{{x*{len(run[0])}}}", text)


def _json(text: Any) -> Any:
    if isinstance(text, bytes):
        text = text.decode()
    if text and text.startswith("b'"):  # a recorder that wrote Python's repr
        text = text[2:-1]
    return json.loads(text) if text else None


def steps(recording: Path, selection: Selection) -> Iterator[dict[str, Any]]:
    """The kept exchanges of one recording, in the form of data/tapes/."""
    interactions = _raw(recording)
    for number in selection.numbers:
        raw = interactions[number]
        url = urlsplit(raw["url"])
        sent, body = raw["sent"]
        got, answer = raw["got"]
        headers = {k: v for k, v in _headers(sent).items() if k in _KEPT_OF_REQUEST}
        yield {
            "no": number,
            "request": {
                "method": raw["method"],
                "target": _counted(url.path + (f"?{url.query}" if url.query else "")),
                "headers": headers,
                "body": _json(body),
            },
            "answer": {
                "status": raw["status"],
                "headers": _headers(got),
                "style": "pretty" if answer and "\n" in answer else "compact",
                "body": _json(answer),
            },
        }


def find(recordings: Path, sdists: Path, name: str) -> Path:
    """The path of a recording: in an sdist unpacked anywhere below `sdists`, or below `recordings`."""
    return next(iter(sdists.glob(f"**/{name}")), sdists / name) if name.startswith("azure-mgmt") else recordings / name


def main(recordings: str, sdists: str) -> None:
    """Write all tapes."""
    TAPES.mkdir(parents=True, exist_ok=True)
    for name, selection in SELECTIONS.items():
        path = find(Path(recordings), Path(sdists), selection.recording)
        tape = {"source": selection.recording, "steps": list(steps(path, selection))}
        (TAPES / f"{name}.json").write_text(dumps(tape))


def dumps(tape: dict[str, Any]) -> str:
    """The text of a tape, with one line per step, so that a diff shows one line per change."""
    lines = ",\n".join(json.dumps(step, separators=(",", ":")) for step in tape["steps"])
    return f'{{"source":{json.dumps(tape["source"])},"steps":[\n{lines}\n]}}\n'


if __name__ == "__main__":
    main(*sys.argv[1:])
