"""The tapes and documents match their sources."""

from pathlib import Path

import pytest

from tests.simulator.conformance.extract import SELECTIONS, dumps, find, steps
from tests.simulator.conformance.tapes import DATA, nic_documents

ROOT = Path(__file__).parents[3]
RECORDINGS = ROOT / ".." / "shared" / "recordings"
SDISTS = ROOT / ".cache" / "sdists"


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_tape_is_what_its_recording_holds(name: str) -> None:
    """Extracting the recording again gives the same tape. Skipped if the recordings are not available."""
    selection = SELECTIONS[name]
    recording = find(RECORDINGS, SDISTS, selection.recording)
    if not recording.exists():
        pytest.skip(f"the recording {selection.recording} is not on this machine")
    if recording.suffix == ".yaml":
        pytest.importorskip("yaml", reason="reading this recording needs PyYAML")

    anew = dumps({"source": selection.recording, "steps": list(steps(recording, selection))})

    assert anew == (DATA / "tapes" / f"{name}.json").read_text()


def test_every_recorded_nic_has_its_source_in_the_readme() -> None:
    """data/README.md names the recording of each NIC document."""
    readme = (DATA / "README.md").read_text()

    assert [name for name in nic_documents() if f"| {name}.json |" not in readme] == []
