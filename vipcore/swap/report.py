"""What a drive tells the audit trail: the rows that wait for their commit, and what its last row says. Pure."""

from collections.abc import Sequence
from typing import Final

from vipcore.ledger.audit import Entry

NOTES_MAX: Final = 8


class Report:
    """Times are loop seconds. `closing_event`: the event that ends with this swap besides `swap.completed`, or None."""

    __slots__ = ("began", "closing_event", "notes", "overlap_memory", "phase_began", "phases", "waiting")

    def __init__(self, began: float, closing_event: str | None = None) -> None:
        self.began = self.phase_began = began
        self.closing_event = closing_event
        self.waiting: list[Entry] = []
        """Entries in the order in which they happened."""
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
