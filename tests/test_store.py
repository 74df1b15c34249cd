"""A transaction whose answer is lost, settled by reading what is there now."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.sim.ledger import MemoryLedger
from tests.sim.loop import run
from tests.sim.stage import Stage
from vipcore import store
from vipcore.audit import Draft, Row
from vipcore.errors import CommitUnknown
from vipcore.head import Head


class Lossy(MemoryLedger):
    """Commits, then loses the answer of the first commit; `meanwhile` lets somebody else go on before we can look."""

    def __init__(self, *, lands: bool, meanwhile: bool) -> None:
        super().__init__()
        self.lands, self.meanwhile, self.lost = lands, meanwhile, False

    async def commit(self, head: Head, rows: Sequence[Row]) -> Head:
        if self.lost:
            return await super().commit(head, rows)
        self.lost = True
        if self.lands:
            stored = await super().commit(head, rows)
            if self.meanwhile:
                await super().commit(replace(stored, desired="B"), [])
        raise CommitUnknown("lost")


def decide(head: Head) -> tuple[Head, list[Draft]]:
    """A decision for A, with its row."""
    return replace(head, desired="A"), [Draft(event="claim.accepted", actor="key:a")]


@pytest.mark.parametrize(("lands", "meanwhile"), [(True, False), (True, True), (False, False)])
def test_lost_answer_of_a_commit(lands: bool, meanwhile: bool) -> None:
    """Our row is there once, whether the first try landed or not; what is returned is what we decided, never what others did."""

    async def main() -> None:
        ledger = Lossy(lands=lands, meanwhile=meanwhile)
        ports = Stage().node("n").controller.ports
        ports.ledger = ledger

        stored = await store.commit(ports, Head(mirror="PROD"), decide)

        assert stored.desired == "A"
        assert (stored.etag == store.OUTDATED) is meanwhile
        assert [row.columns["Event"] for row in await ledger.rows_from("PROD", 1, limit=9)] == ["claim.accepted"]

        again = await store.commit(ports, stored, lambda head: (replace(head, drift="seen"), []))

        assert again.drift == "seen"
        assert again.desired == ("B" if meanwhile else "A")

    run(main())
