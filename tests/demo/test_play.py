"""`make play`: what its menu says is what happens, for each of its commands."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from demo.play import COMMAND, FUNCTIONS, MENU
from tests.demo import running
from tests.demo.running import Place
from tests.served.runbooks import page

COMMAND_S: Final = 90.0


def steps(menu: str) -> list[tuple[str, str]]:
    """The menu's commands, those before one answer together, with the answer."""
    found: list[tuple[str, str]] = []
    for line in menu.splitlines():
        if COMMAND.match(line):
            if not found or found[-1][1]:
                found.append(("", ""))
            found[-1] = (f"{found[-1][0]}{line}\n", "")
        elif line.startswith("  #"):
            found[-1] = (found[-1][0], f"{found[-1][1]}{line[4:]}\n")
    return found


def test_every_command_of_the_menu_answers_as_the_menu_says(tmp_path: Path) -> None:
    """One who pastes the menu's lines from top to bottom gets the answers below them; Ctrl-C then leaves nothing behind.

    Each command is run in a shell of its own, in another folder, as from another terminal.
    """
    place = Place(tmp_path)
    wrong = []
    with running.started(place, "demo.play", "--latency", "fixed:0.6", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        said = running.until(iter(process.stdout), "Ctrl-C")
        first = re.search(r"^  (\. .+/env)$", said, re.MULTILINE)
        assert first, said
        menu = said[said.index("\n1. ") :]
        for command, answer in steps(menu):
            shell = subprocess.run(
                ["bash", "-c", f"{first[1]}\n{command}"], cwd=tmp_path, env=place.environment, timeout=COMMAND_S, check=False,
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if not page.same(shell.stdout, answer):
                wrong.append(f"{command}printed\n{shell.stdout}\ninstead of\n{answer}")
        process.send_signal(signal.SIGINT)
        rest, complained = process.communicate(timeout=running.LIMIT_S)

    assert "\n".join(wrong) == ""
    assert len(steps(menu)) == len(steps(MENU.read_text(encoding="utf-8"))) >= 18
    assert [line[10:] for line in rest.splitlines()] == [
        "The app has ended (-9); it is started again.",
        "The app is up again.",
    ] * 2
    assert (process.returncode, complained) == (0, "play: ended, with everything that it had started\n")
    assert place.left() == []


def test_the_menu_fits_a_terminal_and_its_reader_finds_all_of_it() -> None:
    """Lines of 80 columns; titles, commands over several lines, and answers are told apart."""
    text = "1. A title,\n   with a second line\n  first \\\n    --more\n  second\n  # answer\n  #\n  #   deep\n  third\n"

    assert steps(text) == [("  first \\\n    --more\n  second\n", "answer\n\n  deep\n"), ("  third\n", "")]
    assert max(map(len, MENU.read_text(encoding="utf-8").splitlines())) <= 80


def test_the_functions_are_sound_shell() -> None:
    """They are read into somebody's own shell: shellcheck has nothing against them."""
    shellcheck = Path(sys.executable).parent / "shellcheck"

    subprocess.run([shellcheck, "-s", "bash", FUNCTIONS], check=True, timeout=60)
