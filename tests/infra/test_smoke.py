"""infra/smoke.py: every question is asked, and one that fails keeps no other from being asked."""

import json
from typing import Any

import pytest

from infra import smoke
from infra.azure import Azure, Failure
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

    fakes.replies["GET", "/api/health"] = [(200, {"status": "ok"})]
    fakes.replies["GET", f"{SITE}/config"] = [(403, {"error": {"message": "no right"}})]
    assert smoke.main(["-g", "rg-vip"]) == 1
    assert "| key references | all Resolved | could not be asked: the app's references could not be read: 403 no right |" in (
        fakes.printed()
    )


def test_outputs_of_a_deployment_that_azd_named(fakes: Fakes) -> None:
    """Without `main` the newest that succeeded and has our outputs is read, not a failed one, nor somebody else's."""

    def made(at: str, state: str, **outputs: str) -> dict[str, Any]:
        return {"timestamp": at, "provisioningState": state, "outputs": {name: {"value": text} for name, text in outputs.items()}}

    path = fakes.az_log.parent / "answers.json"
    missing = {"fails": "ERROR: (DeploymentNotFound) Deployment 'main' could not be found."}
    listed = [
        made("2026-01-01", "Succeeded", mirroR_VIP_SITE_ID="older"),
        made("2026-01-02", "Succeeded", mirroR_VIP_SITE_ID="ours"),
        made("2026-01-03", "Failed", mirroR_VIP_SITE_ID="failed"),
        made("2026-01-04", "Succeeded", id="a module's"),
        {"timestamp": "2026-01-05", "provisioningState": "Succeeded", "outputs": None},
    ]
    answers = [("deployment group show", missing), ("deployment group list", listed), *json.loads(path.read_text())]
    path.write_text(json.dumps(answers))

    assert Azure("rg").output("MIRROR_VIP_SITE_ID") == "ours"

    path.write_text(json.dumps([("deployment group show", missing), ("deployment group list", [])]))
    with pytest.raises(Failure, match="has the output"):
        Azure("rg").output("MIRROR_VIP_SITE_ID")
