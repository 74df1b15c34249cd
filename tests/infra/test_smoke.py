"""infra/smoke.py: every question is asked, and one that fails keeps no other from being asked."""

from infra import smoke
from tests.infra.fakes import SITE, Fakes


def test_every_question_is_a_row(fakes: Fakes) -> None:
    """The table has what was seen; the app that does not answer is a row too, and the exit code says so."""
    states = {"A": {"status": "Resolved"}, "B": {"status": "Resolved"}}
    references = (200, {"properties": {"keyToReferenceStatuses": states}})
    fakes.replies = {("GET", f"{SITE}/config"): [references], ("GET", "/api/health"): [(200, {"status": "ok"})]}
    fakes.headers["x-mirror-vip-version"] = "1.2.3"

    assert smoke.main(["-g", "rg-vip"]) == 0

    said = fakes.printed()
    assert "| 200 ok version 1.2.3 |" in said
    assert "| Resolved: 2 |" in said
    assert "| http 2 |" in said
    assert "| Count=120 |" in said

    fakes.replies["GET", "/api/health"] = [(0, None)]
    assert smoke.main(["-g", "rg-vip"]) == 1
    assert "could not be asked" in fakes.printed()
