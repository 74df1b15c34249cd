"""The geometry of the swaps' timeline."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipcore.page.timeline import TICKS_MAX, Bar, Span, bars, longest, ticks, told

SPANS = st.lists(st.builds(Span, st.sampled_from(["read", "detach", "attach"]), st.integers(-5, 10**9)), max_size=12)


@given(swaps=st.lists(SPANS, min_size=1, max_size=6))
def test_bars_are_to_one_scale(swaps: list[list[Span]]) -> None:
    """A bar's width is its share of the longest swap; bars follow each other without a gap, none leaves the drawing."""
    whole = longest(swaps)
    for spans in swaps:
        at = 0.0
        drawn = bars(spans, whole)
        for bar, span in zip(drawn, [span for span in spans if span.ms > 0], strict=True):
            assert bar.x == pytest.approx(at, abs=1e-6)
            assert bar.width * whole == pytest.approx(100 * span.ms)
            assert bar.x <= bar.middle <= bar.x + bar.width
            at = bar.x + bar.width
        assert at <= 100 + 1e-6
    assert whole == 1 or any(sum(bar.width for bar in bars(spans, whole)) == pytest.approx(100) for spans in swaps)


@given(whole=st.integers(1, 10**12))
def test_ticks_are_few_round_and_within(whole: int) -> None:
    """From 0 on in equal steps of 1, 2 or 5 times a power of ten, none behind the end, two at least and few at most."""
    found = ticks(whole)

    steps = {later.ms - former.ms for former, later in itertools.pairwise(found)}
    assert found[0].ms == 0
    assert 2 <= len(found) <= TICKS_MAX
    assert len(steps) == 1
    assert str(steps.pop()).rstrip("0") in {"1", "2", "5"}
    assert all(0 <= tick.x <= 100 and tick.x * whole == pytest.approx(100 * tick.ms) for tick in found)


def test_only_a_bar_with_room_has_its_name() -> None:
    """A name that would not fit is left out; it stands below the drawing with all others."""
    assert [Bar("attach", 1, 0.0, width).has_label for width in (13.9, 14.0, 100.0)] == [False, True, True]


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (6339, "6.3 s"), (59_949, "59.9 s"), (59_950, "1 min"),
        (65_000, "1 min 5 s"),         (3_600_000, "1 h 0 min"), (5_430_000, "1 h 30 min"),
    ],
)  # fmt: skip
def test_lengths_of_time_are_told_for_people(ms: int, text: str) -> None:
    """In the unit that says enough."""
    assert told(ms) == text
