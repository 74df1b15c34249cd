"""What a drive tells the audit trail: the rows that wait for their commit, and what its last row says. Pure."""

from collections.abc import Sequence
from typing import Final

from vipcore.ledger.audit import Entry

NOTES_MAX: Final = 8
REFUSED_MAX: Final = 64
"""Request ids that one row carries at most: a column of the table has a limit."""


class Report:
    """Times are loop seconds. `closing_event`: the event that ends with this swap besides `swap.completed`, or None."""

    __slots__ = ("began", "closing_event", "notes", "overlap_memory", "phase_began", "phases", "refused", "waiting")

    def __init__(self, began: float, closing_event: str | None = None) -> None:
        self.began = self.phase_began = began
        self.closing_event = closing_event
        self.waiting: list[Entry] = []
        """Entries in the order in which they happened."""
        self.refused: list[str] = []
        """ARM's ids of writes that Azure refused and that no row has told of yet (I3)."""
        self.phases: dict[str, int] = {}
        """Name -> milliseconds, in order."""
        self.notes: list[str] = []
        self.overlap_memory: dict[str, str] = {}
        """What overlapping taught about this mirror, for `Head.overlap_memory`."""

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
        return ",".join(one for one in (*self.refused, own) if one) or None

    def told_refused(self) -> None:
        """A row with `request_ids` waits for its commit, or is in the trail."""
        self.refused.clear()

    def end_phase(self, name: str, now: float) -> None:
        """The phase of that name ends now; stretches of one name add up."""
        self.phases[name] = self.phases.get(name, 0) + round((now - self.phase_began) * 1000)
        self.phase_began = now

    def note(self, sentence: str) -> None:
        """A sentence for the row that ends this drive; the first few are kept."""
        if len(self.notes) < NOTES_MAX:
            self.notes.append(sentence[:300])

    def release_seen(self, when: str) -> None:
        """Azure let go of an address at `acceptance` of the detach, or not before its `completion`."""
        self.overlap_memory["release"] = when

    def ms_so_far(self, now: float) -> int:
        """Milliseconds since the request came."""
        return round((now - self.began) * 1000)
