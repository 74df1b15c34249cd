"""Members that claim in turn, round after round, while something else goes on (kills, outages)."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from simulator.worlds import FleetMirror
from tests.served.processes import judge
from tests.served.processes.agents import SUPERSEDED, Agent
from tests.served.processes.harness import Harness, member

CLAIM_WITHIN_S = 900.0


@dataclass(slots=True)
class Churn:
    """The claims of a whole fleet. `last`: mirror -> the side that claimed last."""

    harness: Harness
    url: str
    rng: random.Random
    rounds: int
    until: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: nobody begins another round."""
    last: dict[str, str] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    claims: int = 0
    faults: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Let all mirrors claim side by side, to the end of their claims."""
        await asyncio.gather(*(self._mirror(mirror, random.Random(self.rng.random())) for mirror in self.harness.mirrors))

    async def _mirror(self, mirror: FleetMirror, rng: random.Random) -> None:
        side = "A"
        for _ in range(self.rounds):
            if self.until.is_set():
                return
            side = "B" if side == "A" else "A"
            await asyncio.sleep(rng.uniform(0.0, 1.5))
            first = await self._agent(mirror, side)
            rival = None
            if rng.random() < 0.25:
                # The other member becomes primary while the first one's swap is under way: the newer claim wins. Claims that
                # begin at nearly the same time are not told apart here: their order is that of arrival less age, and an app
                # that is just starting takes seconds to receive what was sent.
                await self._decided(mirror, side, first)
                await asyncio.sleep(rng.uniform(0.0, 1.5))
                side = "B" if side == "A" else "A"
                rival = await self._agent(mirror, side)
            if rival is not None:
                await self._end(mirror, rival, {0})
            await self._end(mirror, first, {0} if rival is None else {0, SUPERSEDED})

    async def _decided(self, mirror: FleetMirror, side: str, claiming: Agent) -> None:
        """Until the table says that this side shall have the VIP, or its agent has ended."""
        while claiming.running.returncode is None:
            head = await asyncio.to_thread(judge.head, self.harness, mirror)
            if head.get("Desired") == member(mirror, side):
                return
            await asyncio.sleep(0.3)

    async def _agent(self, mirror: FleetMirror, side: str) -> Agent:
        self.last[mirror.name] = side
        self.claims += 1
        return await Agent.start(self.harness.agent(mirror, side, self.url))

    async def _end(self, mirror: FleetMirror, agent: Agent, allowed: set[int]) -> None:
        try:
            ended = await agent.end(CLAIM_WITHIN_S)
        except TimeoutError:
            self.faults.append(f"I1 {mirror.name}: a claim was not carried out within {CLAIM_WITHIN_S:.0f} s")
            return
        self.ends[str(ended.result.get("outcome", ended.code))] += 1
        if ended.code not in allowed:
            self.faults.append(f"a claim of {mirror.name} ended with {ended.code}: {ended.result}")
