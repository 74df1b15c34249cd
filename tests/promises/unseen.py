"""Plant each mutant that no seed shows, and run the test that must fail under it.

    python -m tests.promises.unseen [NAME ...]

One process of pytest for each mutant. A mutant survives if its test passes, and also if pytest cannot run the test.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.promises.line_mutants import UNSEEN

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT_S: Final = 300.0
FAILED: Final = 1
"""pytest's exit code for "tests ran and some failed"; see https://docs.pytest.org/en/stable/reference/exit-codes.html."""


def survives(name: str) -> str | None:
    """Why the mutant is not caught by its test: pytest's output. None if the test fails, as it should."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.promises.plant", "--plant", name]
    done = subprocess.run([*words, UNSEEN[name]], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return None if done.returncode == FAILED else done.stdout[-2000:] + done.stderr[-2000:]


def main(words: list[str]) -> int:
    """Try every such mutant, or those whose names contain one of these words."""
    survivors = 0
    for name, test in UNSEEN.items():
        if words and not any(word in name for word in words):
            continue
        why = survives(name)
        survivors += why is not None
        print(f"{name}: {'SURVIVES ' if why else 'caught by'} {test}{why or ''}", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
