from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from serve import schedule
from serve.schedule import ScheduleError

START = datetime(2026, 1, 1, tzinfo=UTC)


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    """One field of a schedule: all, a value, a range, a step over a range, or a list of them."""
    values = st.integers(low, high)
    # croniter takes a range of one value, 1-1, for the whole field; 1 alone is read alike by both.
    pairs = st.tuples(values, values).filter(lambda pair: pair[0] != pair[1])
    spans = pairs.map(lambda pair: f"{min(pair)}-{max(pair)}")
    stepped = st.tuples(st.one_of(st.just("*"), spans), st.integers(1, 15)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    one = st.one_of(st.just("*"), values.map(str), spans, stepped)
    return st.one_of(one, st.lists(values.map(str), min_size=2, max_size=3).map(",".join))


@given(
    text=st.tuples(fields(0, 59), fields(0, 59), fields(0, 23), fields(1, 28), fields(1, 12), fields(0, 6)).map(" ".join),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2029, 12, 31)),  # noqa: DTZ001 - hypothesis wants naive bounds
)
def test_next_time_is_the_one_croniter_finds(text: str, at: datetime) -> None:
    """The next time of a schedule agrees with an independent reader, days and weekdays both being required."""
    at = at.replace(tzinfo=UTC)
    judge = croniter(text, at, second_at_beginning=True, day_or=False, max_years_between_matches=40)

    assert schedule.parse(text).after(at) == judge.get_next(datetime)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("*/30 * * * * *", START + timedelta(seconds=30)),
        ("*/5 * * * *", START + timedelta(minutes=5)),
        ("0 0 9-17 * * mon-fri", START + timedelta(hours=9)),
        ("0 0 0 * feb sun", datetime(2026, 2, 1, tzinfo=UTC)),
        ("0 0 0 * * 7", datetime(2026, 1, 4, tzinfo=UTC)),
        ("10/20 * * * * *", START + timedelta(seconds=10)),
        ("0 0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("00:00:30", START + timedelta(seconds=30)),
    ],
)
def test_forms_that_azure_documents_are_read(text: str, first: datetime) -> None:
    """Six fields, five fields, names, steps from a value, and the interval form are all schedules."""
    assert schedule.parse(text).after(START) == first


def test_every_thirty_seconds_keeps_its_beat() -> None:
    """A schedule's times are those of the clock, however many there have been."""
    when = schedule.parse("*/30 * * * * *")
    times = [START]
    for _ in range(1000):
        times.append(when.after(times[-1]))

    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=30)}


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * * *", "*/0 * * * * *", "a * * * * *", "5-1 * * * * *", "00:00:00", "* * * 0 * *"]
)
def test_text_that_is_no_schedule_is_refused(text: str) -> None:
    """What is no schedule is refused, never run at a guess."""
    with pytest.raises(ScheduleError):
        schedule.parse(text)


def test_schedule_that_never_comes_is_refused() -> None:
    """30 February is found out instead of being searched for ever."""
    with pytest.raises(ScheduleError, match="never"):
        schedule.parse("0 0 0 30 2 *").after(START)


def test_settings_in_percent_signs_are_expanded() -> None:
    """`%NAME%` is replaced by the app setting of that name; an absent one is named."""
    assert schedule.expand("%EVERY%", {"EVERY": "0 * * * * *"}) == "0 * * * * *"
    assert schedule.expand("0 * * * * *", {}) == "0 * * * * *"
    with pytest.raises(ScheduleError, match="EVERY"):
        schedule.expand("%EVERY%", {})
