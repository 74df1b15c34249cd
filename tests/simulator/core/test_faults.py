"""Faults as values, from JSON."""

import pytest

from simulator.core.faults import Ends, Hangs, fault_from_json


def test_faults_from_json() -> None:
    """JSON gives the same faults; unknown kinds, members and values raise ValueError."""
    assert fault_from_json({"kind": "ends", "how": "gone"}) == Ends(how="gone")
    assert fault_from_json({"kind": "hangs", "for_s": 3}) == Hangs(for_s=3)
    for bad in ({}, {"kind": "x"}, {"kind": "late"}, {"kind": "late", "y": 1}, {"kind": "answer", "name": "Nope"}):
        with pytest.raises(ValueError, match=r"fault|error"):
            fault_from_json(bad)
