"""What the last row of a drive tells: how long each phase took, what an auditor should know, and what was learnt. Pure."""

from typing import Final

from vipcore.model import Phase

NOTES_MAX: Final = 8


class Report:
    """Times are loop seconds. `closing_event`: the event that ends with this swap besides `swap.completed`, or None."""

    __slots__ = ("began", "closing_event", "notes", "overlap_memory", "phase_began", "phases")

    def __init__(self, began: float, closing_event: str | None = None) -> None:
        self.began = self.phase_began = began
        self.closing_event = closing_event
        self.phases: list[Phase] = []
        self.notes: list[str] = []
        self.overlap_memory: dict[str, str] = {}
        """What overlapping taught about this mirror, for `Head.overlap_memory`."""

    def end_phase(self, name: str, now: float) -> None:
        """The phase of that name ends now; stretches of one name add up."""
        ms, self.phase_began = round((now - self.phase_began) * 1000), now
        for index, phase in enumerate(self.phases):
            if phase.name == name:
                self.phases[index] = Phase(name=name, ms=phase.ms + ms)
                return
        self.phases.append(Phase(name=name, ms=ms))

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
