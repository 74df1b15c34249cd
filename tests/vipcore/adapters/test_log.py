"""The form of a log line, and the level of each event."""

import logging

import pytest

from vipcore.adapters.log import EVENTS, level_of, line, log
from vipcore.errors import NEEDS_SOMEBODY, STATUS_OF_CODE


@pytest.mark.parametrize(
    "value", ["a\nb", "a\r\nfake.event x=1", 'a "quoted" b', "ä", "\x1b[31m", "\x7f", "\u2028", "", "a=b", "\\", 'x" mirror=EVIL']
)
def test_one_event_is_one_line(value: str) -> None:
    """No value can begin a line, a field or an escape sequence of its own."""
    text = line("claim.refused", {"actor": value, "epoch": 7, "member": None, "plain": "key:mirrora-1"})

    assert text.isascii()
    assert text.isprintable()
    assert text.startswith('claim.refused actor="')
    assert text.endswith('" epoch=7 plain=key:mirrora-1')
    assert text.count("=") == 3


def test_fields_stand_in_one_order() -> None:
    """Whoever reads or parses a line finds the same fields in the same places: the sentence is the last."""
    fields = {"detail": "A b.", "zone": 1, "correlation": "c", "claim": "k", "ms": 12, "to": "B", "from_": "A", "mirror": "PROD"}

    assert line("swap.completed", fields) == (
        'swap.completed mirror=PROD from=A to=B ms=12 claim=k correlation=c zone=1 detail="A b."'
    )


def test_levels_say_whether_somebody_should_look(caplog: pytest.LogCaptureFixture) -> None:
    """WARNING and ERROR are for events that need somebody, nothing else."""
    caplog.set_level(logging.INFO, logger="mirror_vip")

    log("audit.head", mirror="PROD", seq=1)
    log("timer.skipped", detail="away")
    log("timer.failed", mirror="PROD")
    log("swap.failed", code="busy")
    log("swap.failed", code="azure-failed")
    log("readiness.changed", code="not-ready")

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "audit.head mirror=PROD seq=1"),
        ("WARNING", "timer.skipped detail=away"),
        ("ERROR", "timer.failed mirror=PROD"),
        ("INFO", "swap.failed code=busy"),
        ("WARNING", "swap.failed code=azure-failed"),
        ("WARNING", "readiness.changed code=not-ready"),
    ]


def test_what_is_the_callers_to_mend_disturbs_nobody() -> None:
    """A request with a wrong body or a wrong key is no reason to wake somebody, and neither is what passes by itself."""
    asked = {code: level_of("request.refused", {"code": code}) for code in STATUS_OF_CODE}

    assert {code for code, level in asked.items() if level == logging.WARNING} == NEEDS_SOMEBODY
    assert {code for code, status in STATUS_OF_CODE.items() if status < 500} & NEEDS_SOMEBODY == {"flapping", "address-taken"}
    assert level_of("no.such-event", {}) == logging.WARNING
    assert "no.such-event" not in EVENTS
