"""What happens in a failover, and when: seen in Azure's own records and in the audit trail, not in what the app answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.data.tables import TableClient

from demo.harness import MEMBERS, MIRROR, VIP_ADDRESS, Harness
from trail import sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One moment of the failover: its word, its sentence, and what is waited for until then."""

    word: str
    sentence: str
    awaited: str


STAGES: Final = (
    Stage(word="claim", sentence='MIRRORB\'s agent says "I am primary", signed; accepted', awaited="the claim of MIRRORB"),
    Stage(word="detach", sentence="Azure accepts the write that takes the VIP off MIRRORA", awaited="the first write of a NIC"),
    Stage(word="released", sentence="Azure lets go of the address", awaited="Azure takes it off MIRRORA"),
    Stage(word="attach", sentence="Azure accepts the write that puts the VIP on MIRRORB", awaited="the second write of a NIC"),
    Stage(word="attached", sentence=f"the network delivers {VIP_ADDRESS} to MIRRORB", awaited="Azure puts it on MIRRORB"),
    Stage(word="proven", sentence="a read after the last write shows it; the agent gets 200", awaited="Azure ends the write"),
)


class Timeline:
    """The stages of one failover, from `began` (seconds since 1970, as the simulated Azure counts them)."""

    def __init__(self, standing: Harness, table: TableClient, began: float) -> None:
        self._standing, self._table, self._began = standing, table, began
        self.at_s: dict[str, float] = {}
        """Seconds from the beginning, by the word of a stage that has been seen."""

    @property
    def next(self) -> Stage:
        """What is waited for now."""
        return STAGES[min(len(self.at_s), len(STAGES) - 1)]

    def news(self, now: float) -> Iterator[tuple[float, Stage]]:
        """The stages that are there since the last look, but the last one, of which only the agent's end tells."""
        looks: dict[str, Callable[[], float]] = {
            "claim": self._claimed,
            "detach": lambda: self._accepted("MIRRORA"),
            "released": self._released,
            "attach": lambda: self._accepted("MIRRORB"),
            "attached": lambda: now if self._standing.carrier() == MEMBERS["MIRRORB"] else 0.0,
        }
        while (stage := self.next).word in looks and (at := looks[stage.word]()):
            yield self._seen(stage, at)

    def proven(self, now: float) -> tuple[float, Stage]:
        """The end: the agent has its answer."""
        return self._seen(STAGES[-1], now)

    def _seen(self, stage: Stage, at: float) -> tuple[float, Stage]:
        self.at_s[stage.word] = max(0.0, at - self._began)
        return self.at_s[stage.word], stage

    def _claimed(self) -> float:
        for row in sources.rows(self._table, MIRROR):
            if row["Event"] == "claim.accepted" and row["Member"] == "MIRRORB":
                return datetime.fromisoformat(row["At"]).timestamp()
        return 0.0

    def _accepted(self, member: str) -> float:
        """When Azure accepted a write of the member's NIC."""
        return next((asked["at"] for asked in accepted(self._standing) if nic_of(asked) == MEMBERS[member]), 0.0)

    def _released(self) -> float:
        """When Azure ended the operation that took the VIP off."""
        ended = (one for one in self._standing.operations() if one["resource"].lower().endswith(f"/{MEMBERS['MIRRORA']}"))
        return next((float(one["finished_at"] or 0.0) for one in ended), 0.0)


def accepted(standing: Harness) -> list[dict[str, Any]]:
    """The writes of NICs that Azure took, oldest first."""
    return [asked for asked in standing.writes() if asked["status"] in (200, 201)]


def nic_of(asked: dict[str, Any]) -> str:
    """The NIC that a request is about."""
    return str(asked["target"]).partition("?")[0].rpartition("/")[2]
