"""What a drive still has to tell the audit trail: entries that wait for their commit, and request ids of refused writes. Pure."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from vipcore.ledger.audit import Entry

REFUSED_MAX: Final = 64
"""Request ids that one row carries at most: a column of the table has a limit."""


class Journal:
    """`waiting`: entries in the order in which they happened. `refused`: ARM's ids of writes that Azure refused (I3)."""

    __slots__ = ("refused", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Entry] = []
        self.refused: list[str] = []

    def add(self, entry: Entry) -> None:
        """One more entry for the next commit."""
        self.waiting.append(entry)

    def committed(self, sent: Sequence[Entry]) -> None:
        """These very entries are in the trail."""
        self.waiting = [entry for entry in self.waiting if not any(entry is one for one in sent)]

    def refusal(self, request_id: str) -> None:
        """Azure refused a write; the next row tells its id, as every answer that arrived is told (I3)."""
        if request_id and len(self.refused) < REFUSED_MAX:
            self.refused.append(request_id)

    def request_ids(self, own: str = "") -> str | None:
        """The ArmRequestIds of a row, joined by commas: the refused writes before it, and its own."""
        refused, self.refused = self.refused, []
        return ",".join(one for one in (*refused, own) if one) or None

    @contextlib.contextmanager
    def telling_refused(self) -> Iterator[str | None]:
        """The ids of the refused writes, for a row. Where the row is not committed, another one has to tell them."""
        refused = list(self.refused)
        try:
            yield self.request_ids()
        except BaseException:
            self.refused = refused + self.refused
            raise
