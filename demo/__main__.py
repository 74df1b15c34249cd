"""`python -m demo`: MIRRORA has the VIP and dies; MIRRORB becomes primary; its agent claims; the VIP moves.

Exit code 0 if the VIP moved and the audit trail holds, 1 otherwise.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from demo import agents, ending, harness, timeline
from demo.ending import NotAsPromisedError
from demo.harness import MEMBERS, MIRROR, VIP_ADDRESS, Harness
from demo.show import Screen, cell_s
from demo.timeline import Timeline
from trail import chain, sources

if TYPE_CHECKING:
    from azure.data.tables import TableClient

ROOT: Final = Path(__file__).resolve().parent.parent
MEASURED: Final = ROOT / "bench" / "results" / "swaps.json"
LOOK_EVERY_S: Final = 0.1


def main(words: list[str]) -> int:
    """Play it; the exit code."""
    asked = arguments(words)
    return ending.run("demo", lambda screen, folder: play(screen, folder, asked), interrupted=ending.INTERRUPTED)


def arguments(words: list[str]) -> argparse.Namespace:
    """The seed of the simulated Azure, and how long its NIC operations take."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=5, help="another one gives other times where they vary (default %(default)s)")
    parser.add_argument(
        "--latency", type=harness.latency, default="fixed:8", help="fixed:SECONDS, modern, 2022 or 2019 (default %(default)s)"
    )
    return parser.parse_args(words)


def play(screen: Screen, folder: Path, asked: argparse.Namespace) -> None:
    """The story. Raises NotAsPromisedError where it ends otherwise than it should."""
    screen.line(screen.paint("bold", "Mirror VIP: one failover, on this machine"))
    screen.line("  real:       the Function app, its table (Azurite), the agents")
    screen.line("  simulated:  Azure's network, and the mirror")
    screen.line()
    began = time.monotonic()
    with harness.standing(folder, seed=asked.seed, latency=asked.latency, say=lambda what: starting(screen, what)) as standing:
        before = agents.claim(standing, "MIRRORA", "startup")
        if before["outcome"] != "confirmed" or timeline.accepted(standing):
            raise NotAsPromisedError(f"the first claim was not just confirmed: {before['outcome']}")
        screen.line(f"  All is up after {time.monotonic() - began:.1f} s. MIRRORA is primary and has the VIP, {VIP_ADDRESS}.")
        screen.line()
        with sources.open_table(harness.TABLE_NAME, connection=standing.table) as table:
            seen, answer = failover(screen, standing, table)
            rows = [*sources.rows(table, MIRROR)][::-1]
        show_trail(screen, rows)
        check(answer, standing, rows)
    show_seconds(screen, seen, asked.latency)
    verdict = "the VIP is on MIRRORB; each NIC write is in the trail, which is intact"
    screen.line(f"{screen.paint('green', 'PASSED')}  {verdict}")


def starting(screen: Screen, what: str) -> None:
    """What is being started, where a line can move."""
    screen.check_reader()
    screen.live(f"  starting: {what}")


def failover(screen: Screen, standing: Harness, table: "TableClient") -> tuple[dict[str, float], dict[str, Any]]:
    """MIRRORA dies; print what happens as it happens. The seconds at which it did, and the agent's answer."""
    began = time.time()
    standing.set_page("MIRRORA", "refuse")
    standing.set_page("MIRRORB", "primary")
    seen = Timeline(standing, table, began)

    def told(now: float) -> None:
        for at_s, stage in seen.news(now):
            tell(screen, at_s, stage.word, stage.sentence)

    tell(screen, 0.0, "died", "MIRRORA; IRIS makes MIRRORB primary, which starts its agent")
    with agents.claiming(standing, "MIRRORB", "NotifyBecomePrimary") as running:
        while running.poll() is None:
            now = time.time()
            told(now)
            waited_s = now - began
            until = {"red": seen.at_s.get("attached", waited_s), "green": waited_s}
            bar = screen.bar(until, cell_s(waited_s), room=True)
            screen.live(f"{waited_s:7.1f} s  ", bar, f"  {seen.next.awaited}")
            screen.check_reader()
            time.sleep(LOOK_EVERY_S)
        ended = time.time()
        answer = agents.answered(running, "MIRRORB")
    told(ended)
    if seen.next is not timeline.STAGES[-1]:
        raise NotAsPromisedError(f"the agent has its answer, and this was not seen: {seen.next.sentence}")
    at_s, stage = seen.proven(ended)
    tell(screen, at_s, stage.word, stage.sentence)
    return seen.at_s, answer


def tell(screen: Screen, at_s: float, word: str, sentence: str) -> None:
    """One line of the timeline."""
    colour = {"died": "red", "attached": "green", "proven": "green"}.get(word, "yellow")
    screen.line(f"{at_s:7.1f} s  {screen.paint(colour, f'{word:<8}')}  {sentence}")


def show_trail(screen: Screen, rows: list[dict[str, Any]]) -> None:
    """The audit rows, a line each."""
    screen.line()
    screen.line(screen.paint("bold", "The audit trail, read back from the table"))
    for row in rows:
        outcome = row.get("Outcome") or ""
        if row["Event"] == "nic.write":
            outcome += f" by Azure as {str(row.get('ArmRequestIds'))[:8]}…"
        screen.line(f"  {row['Seq']:>3}  {row['At'][11:23]}  {row['Event']:<15}  {row.get('Member') or '':<7}  {outcome}")


def show_seconds(screen: Screen, seen: dict[str, float], latency: str) -> None:
    """How long it took, and how long `az` takes where that has been measured under the same conditions."""
    az = measured_az(latency)
    bars = {"without VIP": {"red": seen["attached"]}, "until proven": {"red": seen["attached"], "green": seen["proven"]}}
    bars |= {"az, measured": {"yellow": az["took_s"]}} if az else {}
    scale = cell_s(max(max(until.values()) for until in bars.values()))
    screen.line()
    screen.line(screen.paint("bold", "Seconds"))
    for name, until in bars.items():
        screen.line(f"  {name:<12}  {max(until.values()):5.1f}  {screen.bar(until, scale)}")
    if az:
        screen.line("  az: the commands `az network nic ip-config delete` and `create`, until the")
        screen.line(f"  second ends; not run now but by `make bench`, on {az['at'][:10]}, where Azure's")
        screen.line(f"  operations take {az['operation_s']} s, as here (bench/results/swaps.md).")
    screen.line()


def measured_az(latency: str) -> dict[str, Any]:
    """The bench's figure for `az` where Azure's operations take as long as here, or nothing."""
    found = json.loads(MEASURED.read_bytes())
    for run in found["runs"]:
        # base-4 is the simulated Azure's `Retry-After` here, too.
        if (run["way"], run["retry_after"], f"fixed:{run['operation_s']}") == ("az", "base-4", latency):
            return {**run, "at": found["at"]}
    return {}


def check(answer: dict[str, Any], standing: Harness, rows: list[dict[str, Any]]) -> None:
    """Hold what was shown against what is promised. Raises NotAsPromisedError."""
    placement = standing.status()["placement"]
    if answer["outcome"] != "moved" or placement != {"state": "placed", "members": ["MIRRORB"]}:
        raise NotAsPromisedError(f"the VIP did not move: {answer['outcome']}, {placement}")
    if standing.carrier() != MEMBERS["MIRRORB"]:
        raise NotAsPromisedError("the simulated network does not deliver the VIP to MIRRORB's NIC")
    stated = " ".join(str(row.get("ArmRequestIds")) for row in rows if row["Event"] == "nic.write")
    for asked in timeline.accepted(standing):
        if asked["request_id"] not in stated:
            raise NotAsPromisedError(f"Azure accepted the write {asked['request_id']}, and the trail has no row of it")
    if fault := chain.check(reversed(rows)).fault:
        raise NotAsPromisedError(f"the audit trail is broken: {fault}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
