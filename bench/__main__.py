"""`python -m bench [--quick | --full] [--only NAME ...]`: measure, print the tables and the goals, write bench/results/.

Everything runs on this machine: simulated Azures, Azurite and served apps on loopback, each a process that is ended by its id.
Exit code 0 if everything could be measured, whether or not a goal was missed; the table says which.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import agents, cold, fleet, load, overlap, plot, small, status, swaps, warm
from bench.numbers import Goal, Section, markdown_table, text_table
from bench.swaps import Say

RESULTS: Final = Path(__file__).resolve().parent / "results"
GOALS_HEADER: Final = ("goal", "wanted", "measured", "")


def parts(folder: Path, *, full: bool, seed: int, say: Say) -> dict[str, Callable[[], Section]]:
    """Each measurement by its name, in the order in which they run."""
    size = swaps.FULL if full else swaps.QUICK
    many = 3 if full else 1
    return {
        "agent": lambda: agents.measure(folder, runs=20 * many, say=say),
        "cold": lambda: asyncio.run(cold.measure(folder, runs=4 * many, bare_runs=many, seed=seed, say=say)),
        "confirmed": lambda: asyncio.run(warm.measure(folder, runs=25 * many, each=10, seed=seed, say=say)),
        "swaps": lambda: asyncio.run(swaps.measure(folder, size=size, seed=seed, say=say)),
        "overlap": lambda: asyncio.run(overlap.measure(folder, full=full, seed=seed, say=say)),
        "status": lambda: asyncio.run(status.measure(folder, runs=10 * many, seed=seed, say=say)),
        "load": lambda: load.measure(folder, mirrors=1_000 if full else 300, seed=seed, say=say),
        "small": lambda: asyncio.run(
            small.measure(
                folder, starts=3 if full else 2, swaps=1_000 if full else 300, mirrors=1_000 if full else 100, seed=seed, say=say
            )
        ),
        "fleet": lambda: fleet.measure(full=full, seed=seed, say=say),
    }


def main(words: Sequence[str]) -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="about 18 minutes on two quiet cores (the default)")
    how.add_argument(
        "--full", action="store_true", help="more runs, 1,000 swaps in one process, outages of 10,000 mirrors: an hour or more"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="some of: agent cold confirmed swaps overlap status load small fleet"
    )
    parser.add_argument("--seed", type=int, default=1)
    found = parser.parse_args(words)
    # SIGTERM ends it like Ctrl-C does: everything it started is ended first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {text}", file=sys.stderr, flush=True)

    folder = Path(tempfile.mkdtemp(prefix="mirror-vip-bench-"))
    chosen = parts(folder, full=found.full, seed=found.seed, say=say)
    if unknown := set(found.only or ()) - chosen.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    say(f"{'full' if found.full else 'quick'} bench, seed {found.seed}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    try:
        sections = [measure() for name, measure in chosen.items() if not found.only or name in found.only]
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    except Exception as fault:  # noqa: BLE001  # the end of the command: what failed, and where its logs are
        print(f"bench: {type(fault).__name__}: {fault}\nThe logs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    show(sections)
    command = f"python -m bench {'--full' if found.full else '--quick'} --seed {found.seed}"
    write(sections, command=command, took_s=time.monotonic() - began)
    say(f"written to {RESULTS.relative_to(RESULTS.parent.parent)}/")
    return 0


def show(sections: Sequence[Section]) -> None:
    """Everything, for a terminal."""
    for section in sections:
        for title, header, rows in section.tables:
            print(f"\n{title}\n{text_table(header, rows)}")
    print(f"\nGoals\n{text_table(GOALS_HEADER, [goal.row() for section in sections for goal in section.goals])}")
    for goal in _missed(sections):
        print(f"MISSED: {goal.what}{f': {goal.why}' if goal.why else ''}")


def _missed(sections: Sequence[Section]) -> list[Goal]:
    return [goal for section in sections for goal in section.goals if not goal.met]


def write(sections: Sequence[Section], *, command: str, took_s: float) -> None:
    """One JSON and one page per part, the goals, and the plot; what was not measured this time stays as it was."""
    RESULTS.mkdir(exist_ok=True)
    where = {
        "command": command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[2],
        "seconds": round(took_s),
    }
    for section in sections:
        goals = [{"what": g.what, "limit": g.limit, "measured": g.measured, "unit": g.unit, "met": g.met} for g in section.goals]
        stored = {**where, "goals": goals, **section.raw}
        (RESULTS / f"{section.name}.json").write_text(json.dumps(stored, indent=1) + "\n")
        lines = [f"# {section.name}", "", f"`{command}`, {where['at']}, Python {where['python']}, {where['cores']} cores.", ""]
        for title, header, rows in section.tables:
            lines += [f"**{title}**", "", markdown_table(header, rows), ""]
        lines += [markdown_table(GOALS_HEADER, [goal.row() for goal in section.goals]), "", *section.remarks, ""]
        (RESULTS / f"{section.name}.md").write_text("\n".join(lines))
        if section.name == "swaps":
            drawn = plot.svg(section.raw["runs"], swaps.OPERATION_S, swaps.RETRY_AFTER)
            (RESULTS / "swaps.svg").write_text(drawn)
    rows = [goal.row() for section in sections for goal in section.goals]
    if len(sections) > 1:
        notes = [f"Missed: {goal.what}. {goal.why}" for goal in _missed(sections) if goal.why]
        page = ["# Goals", "", f"`{command}`, {where['at']}.", "", markdown_table(GOALS_HEADER, rows), "", *notes, ""]
        (RESULTS / "goals.md").write_text("\n".join(page))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
