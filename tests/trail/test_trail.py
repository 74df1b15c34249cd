"""The auditor's command: on the table and on copies of it, in plain words and by its exit code."""

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient, UpdateMode

from tests.promises.harness import Harness
from tests.promises.helpers import agent, virtual
from tests.vipcore.adapters.ledgers import extended, grown, table_ledger
from trail import __main__ as command
from trail import chain, sources
from vipcore.entry import trail
from vipcore.ledger.audit import Entry, Row, Seal, append, digest, row_key

AT = "2026-11-23T00:29:00.000000Z"
SECRET = b"k" * 32
ODD = ["=1+2", "+1", "-1", "@x", "'=quoted", "a,b", 'a "b"', "ä€\U0001f512", "two\r\nlines", "\tx"]


def rows(count: int = 5, seal: Seal | None = None, after: Row | None = None) -> list[Row]:
    """A trail of the app's own making."""
    seq, end = (after.seq, after.hash) if after else (0, chain.FIRST_PREVIOUS)
    entries = [Entry("nic.write", actor="operator:é", duration_ms=n, detail=ODD[n % len(ODD)]) for n in range(count)]
    return list(append("PROD", seq, end, entries, at=AT, epoch=2**31, seal=seal or Seal()))


def newest_first(made: list[Row]) -> list[dict[str, Any]]:
    """As the table has them."""
    return [row.to_entity() for row in reversed(made)]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, first line, and everything that the command printed."""
    capsys.readouterr()
    try:
        code = command.main(arguments)
    except SystemExit as exc:
        code = int(str(exc.code))
    said = capsys.readouterr()
    return code, (said.out or said.err).partition("\n")[0], said.out + said.err


Rows = list[dict[str, Any]]
DAMAGE: dict[str, Callable[[Rows], object]] = {
    "row 3 is not what was written": lambda found: found[2].update(Detail="nothing happened"),
    "row 4 is not what was written": lambda found: found[1].update(Extra=1),
    "row 3 is missing": lambda found: found.pop(2),
    "row 2 is missing, and so are those before it": lambda found: (found.pop(), found.pop()),
    "there is a row under the key audit-9999999999999999996x": lambda found: found.insert(
        2, {**found[2], "RowKey": found[2]["RowKey"] + "x"}
    ),
    "there is a row under the key audit-9999999999999999996 that says Seq 9": lambda found: found[2].update(Seq=9),
    "row 4 does not follow row 3": lambda found: (
        found[2].update(Detail="nothing happened"),
        found[2].update(Hash=digest(found[2], None)),
    ),
}


@pytest.mark.parametrize("says", DAMAGE)
def test_every_damage_is_found_and_named(says: str) -> None:
    """A row that was changed, taken away, added or rewritten with its hash is named as the first that is wrong. (I8)"""
    found = newest_first(rows())
    assert chain.check(found) == (5, 1, 5, found[0]["Hash"], None, "", False)

    DAMAGE[says](found)

    assert chain.check(found).fault.startswith(says)


def test_keyed_rows_need_their_key() -> None:
    """Without the key nobody can tell; with it the rows verify, and a plain row after a keyed one is a break. (I8)"""
    plain = rows(2)
    keyed = rows(2, Seal(SECRET), plain[-1])
    found = newest_first([*plain, *keyed])

    assert chain.check(found).unknown_key
    assert chain.check(found, chain.keys(SECRET)) == (4, 1, 4, keyed[-1].hash, 3, "", False)
    broken = chain.check(newest_first([*plain, *keyed, *rows(1, Seal(), keyed[-1])]), chain.keys(SECRET))
    assert (broken.fault, broken.unknown_key) == (
        "row 5 is plain although row 4 before it is sealed with an audit key",
        False,
    )


@virtual
async def test_the_apps_own_answers_are_copies_that_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the app hands out as CSV or JSON holds all that the hashes are made of, whatever people typed. (I8)"""
    harness = Harness()
    node = harness.node("n1")
    await agent(node, "MIRRORB")
    odd, sealed = extended(await harness.head(), *(Entry("frozen", actor=f"operator:{text}", detail=text) for text in ODD))
    await harness.ledger.commit(odd, sealed)

    text = await trail.audit_csv(node.controller, "PROD", {})
    (tmp_path / "a.csv").write_bytes(text.text.encode())
    for name, before in (("newest.json", odd.seq + 1), ("oldest.json", odd.seq - 5)):
        page = await trail.audit(node.controller, "PROD", {"before": str(before), "limit": "6" if before > odd.seq else "99"})
        (tmp_path / name).write_text(json.dumps(page))

    code, said, _ = run(capsys, "PROD", "--copy", str(tmp_path / "a.csv"))
    assert (code, said.partition(" (")[0]) == (0, f"intact: PROD, rows 1 to {odd.seq}, newest hash {odd.head_hash}")
    code, said, _ = run(capsys, "PROD", "--copy", str(tmp_path / "newest.json"))
    assert (code, said.partition(", newest")[0]) == (0, f"intact: PROD, rows {odd.seq - 5} to {odd.seq}")
    code, said, _ = run(capsys, "PROD", "--copy", *(str(tmp_path / name) for name in ("newest.json", "oldest.json")))
    assert (code, said.partition(", newest")[0]) == (0, f"intact: PROD, rows 1 to {odd.seq}")

    (tmp_path / "a.csv").write_bytes(text.text.replace("two\r\nlines", "two lines").encode())
    code, said, _ = run(capsys, "PROD", "--copy", str(tmp_path / "a.csv"))
    assert code == 1
    assert re.match(r"broken: PROD, row \d+ is not what was written: its hash differs$", said)


def test_exports_of_other_tools_are_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Storage Explorer's CSV names each column's type beside it; az shows an Edm.Int64 with its type. Rows of others are left."""
    (entity,) = newest_first(rows(1))
    names = [*entity, "Seq@type", "Timestamp", "ClaimId"]
    cells = [*(str(value) for value in entity.values()), "Edm.Int32", AT, ""]
    (tmp_path / "explorer.csv").write_text(
        "\ufeff" + "\r\n".join(",".join(f'"{one}"' for one in line) for line in (names, cells))
    )
    shown = {**entity, "Epoch": {"edmType": "Edm.Int64", "value": str(entity["Epoch"])}, "etag": "x", "Timestamp": AT}
    (tmp_path / "az.json").write_text(json.dumps({"items": [shown, {**shown, "PartitionKey": "OTHER"}], "nextMarker": {}}))

    for name in ("explorer.csv", "az.json"):
        assert run(capsys, "PROD", "--copy", str(tmp_path / name))[0] == 0, name


async def test_the_table_is_verified_to_its_head(
    azurite: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the table: one line and exit code 0; 1 where it is broken or its end is not the head's; 2 without rows. (I8)"""
    async with table_ledger(azurite) as ledger:
        head = await grown(ledger, "PROD", 30)
        asked = ("PROD", "--connection-string", azurite, "--table", ledger.table.name)

        code, said, printed = await asyncio.to_thread(run, capsys, *asked, "--rows", "3")
        assert (code, said) == (0, f"intact: PROD, rows 1 to 30, newest hash {head.head_hash}")
        assert [line.split()[0] for line in printed.splitlines()[2:]] == ["Seq", "30", "29", "28"]

        code, said, _ = await asyncio.to_thread(run, capsys, "TEST", *asked[1:])
        assert (code, said) == (2, "trail: no rows of a mirror TEST are there; check the names of mirror, table and account")
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite)
        assert (await asyncio.to_thread(run, capsys, "PROD", "--table", ledger.table.name))[0] == 0

        with TableClient.from_connection_string(azurite, ledger.table.name) as client:
            client.delete_entity("PROD", row_key(30))
            code, said, _ = await asyncio.to_thread(run, capsys, *asked)
            assert (code, said) == (1, "broken: PROD, the head says 30 rows, and the newest row is 29: the tail was cut off")
            client.update_entity({"PartitionKey": "PROD", "RowKey": row_key(7), "Detail": "\x1b[2J"}, mode=UpdateMode.MERGE)
            code, said, printed = await asyncio.to_thread(run, capsys, *asked, "--rows", "99")
            assert (code, said) == (1, "broken: PROD, row 7 is not what was written: its hash differs")
            assert "\x1b" not in printed


@pytest.mark.parametrize("grows", ["before the rows are read", "after them"])
def test_a_trail_that_grows_meanwhile_is_intact(
    grows: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is read before the rows, and where they are more, once more behind them: a swap during a look is no break. (I8)"""
    found, length = newest_first(rows(4)), [3]

    def read(*_: object) -> Iterator[dict[str, Any]]:
        length[0] += grows == "before the rows are read"
        yield from found[4 - length[0] :]
        length[0] = 4

    monkeypatch.setattr(sources, "open_table", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(sources, "head", lambda *_: {"Seq": length[0], "HeadHash": found[4 - length[0]]["Hash"]})
    monkeypatch.setattr(sources, "rows", read)

    code, said, _ = run(capsys, "PROD", "--account", "x")

    last = 4 if grows == "before the rows are read" else 3
    assert (code, said.partition(", newest")[0]) == (0, f"intact: PROD, rows 1 to {last}")


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ({"Seq": 6, "HeadHash": "h6"}, "the head says 6 rows, and the newest row is 5: the tail was cut off"),
        ({"Seq": 5, "HeadHash": "0" * 64}, "the Hash of row 5 is not the head's: the tail was replaced"),
        ({"Seq": 4, "HeadHash": "h4"}, "the head says 4 rows, and the newest row is 5: the head was set back or removed"),
        ({}, "the head says 0 rows, and the newest row is 5: the head was set back or removed"),
        ({"Seq": 5, "HeadHash": "h5"}, ""),
    ],
)
def test_the_end_is_the_heads(head: dict[str, Any], says: str) -> None:
    """Whatever the rows say of themselves, the head knows where they end. (I8)"""
    assert command.end_fault(head, head, 5, {4: "h4", 5: "h5"}.get(head.get("Seq", 0), "")) == says
    assert command.end_fault({"Seq": 4, "HeadHash": "h4"}, {"Seq": 5}, 5, "h4") == ""  # written while the rows were read


def test_what_cannot_be_looked_at_is_neither_intact_nor_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file, a key that is none, a row under a key that nobody gave: exit code 2, and a sentence."""
    (tmp_path / "copy.json").write_text(json.dumps(newest_first(rows(2, Seal(SECRET)))))
    copied = ("PROD", "--copy", str(tmp_path / "copy.json"))

    assert run(capsys, "PROD", "--copy", str(tmp_path / "none"))[0] == 2
    other = tmp_path / "other"
    for data in (b"[1]", b"{", b'{"records": 1}', b"\xff", b"Seq\n" + b"x" * 200_000):
        other.write_bytes(data)
        code, said, _ = run(capsys, "PROD", "--copy", str(other))
        assert code == 2, data[:20]
        assert said.startswith(f"trail: cannot look: {other} is no copy of a trail: ")
    code, said, _ = run(capsys, *copied)
    assert (code, said[:40]) == (2, "cannot tell: PROD, row 1 is sealed with ")
    monkeypatch.setenv("VIP_AUDIT_KEY", "?")
    assert run(capsys, *copied)[:2] == (2, "trail: cannot look: VIP_AUDIT_KEY is not base64")
    monkeypatch.setenv("VIP_AUDIT_KEY", base64.b64encode(SECRET).decode())
    code, said, _ = run(capsys, *copied)
    assert (code, "keyed from row 1" in said) == (0, True)
    monkeypatch.setenv("VIP_AUDIT_KEY_PREVIOUS", base64.b64encode(SECRET).decode())
    monkeypatch.setenv("VIP_AUDIT_KEY", base64.b64encode(b"n" * 32).decode())
    assert run(capsys, *copied)[0] == 0


def test_copies_that_differ_are_no_copies_of_one_trail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which of the two is genuine cannot be known here: exit code 2, and the row is named."""
    found = newest_first(rows(2))
    for name, detail in (("one.json", found[0]["Detail"]), ("two.json", "nothing happened")):
        (tmp_path / name).write_text(json.dumps([{**found[0], "Detail": detail}, found[1]]))

    code, said, _ = run(capsys, "PROD", "--copy", str(tmp_path / "one.json"), str(tmp_path / "two.json"))

    two = tmp_path / "two.json"
    assert (code, said) == (2, f"trail: cannot look: {two}: another copy has the row 2 with other columns")
