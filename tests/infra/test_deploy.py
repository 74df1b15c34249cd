"""infra/deploy.py against a small deployment service: every answer that the real one gives, and what is made of it."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import pytest

from infra import deploy
from infra.azure import Azure, Failure
from tests.infra.fakes import LOST, SITE, Fakes

VERSION: Final = "1.2.3"
HEALTHY: Final = (200, {"status": "ok"})
DATA: Final = b"PK package"


@pytest.fixture
def zip_file(tmp_path: Path) -> Path:
    """A package with its SHA-256."""
    path = tmp_path / f"mirror-vip-{VERSION}.zip"
    path.write_bytes(DATA)
    path.with_suffix(".zip.sha256").write_text(f"{hashlib.sha256(DATA).hexdigest()}  {path.name}\n")
    return path


@pytest.fixture
def service(fakes: Fakes) -> Fakes:
    """All goes well: 202, twice under way, done; the app is of the version."""
    hosts = {"properties": {"enabledHostNames": ["func-a1b2.region.azurewebsites.net", f"{fakes.url}#.scm."]}}
    fakes.replies = {
        ("GET", f"{SITE}?"): [(200, hosts)],
        ("POST", "/api/publish"): [(202, "id-7")],
        ("GET", "/api/deployments/id-7"): [(200, {"status": 1}), (404, None), (200, {"status": 4})],
        ("GET", "/api/health"): [(503, None), HEALTHY],
    }
    fakes.headers["x-mirror-vip-version"] = VERSION
    return fakes


def deployed(zip_file: Path, document: Path, *arguments: str, timeout: str = "10") -> int:
    """Run it."""
    common = ["-g", "rg-vip", "--package", str(zip_file), "--mirrors", str(document), "--timeout", timeout]
    return deploy.main([*common, *arguments], pause_s=0.01)


def test_package_is_handed_over_and_waited_for(service: Fakes, zip_file: Path, document: Path) -> None:
    """The very bytes, without a remote build, to the host that Azure names; then the deployment, then the app's version."""
    assert deployed(zip_file, document) == 0

    posted = [(path, body) for method, path, body in service.asked if method == "POST"]
    assert posted == [("/api/publish?RemoteBuild=false", DATA)]
    said = service.printed()
    assert hashlib.sha256(DATA).hexdigest() in said
    assert "mirrors/PROD/moves" in said
    assert any("update-strategy" in command for command in service.commands())


def test_region_without_rolling_updates_gets_the_package_too(service: Fakes, zip_file: Path, document: Path) -> None:
    """What was deployed is served, so that step is a warning and no failure."""
    path = service.az_log.parent / "answers.json"
    refused = ("update-strategy set", {"fails": "not in this region"})
    path.write_text(json.dumps([refused, *json.loads(path.read_text())]))

    assert deployed(zip_file, document) == 0

    said = service.printed()
    assert "warning: no rolling updates here" in said
    assert "mirrors/PROD/moves" in said


def test_no_token_travels_in_the_clear(fakes: Fakes) -> None:
    """An address that is neither https nor this machine is refused before a token is asked for."""
    with pytest.raises(Failure, match=r"http://vault\.example/ is not https"):
        Azure("rg-vip").ask("GET", "http://vault.example/", resource="https://vault.azure.net")

    assert fakes.commands() == []


def test_no_token_follows_a_redirect(service: Fakes, zip_file: Path, document: Path) -> None:
    """The deployment service sends us elsewhere, as one that wants another login does: nobody there is asked."""
    service.headers["location"] = f"{service.url}/elsewhere"
    service.replies["POST", "/api/publish"] = [(302, None)]

    assert deployed(zip_file, document) == 1

    assert [path for _, path, _ in service.asked if "elsewhere" in path] == []
    assert "refused the package: 302" in service.printed()


@pytest.mark.parametrize("first", [(409, {"message": "another deployment"}), (429, None), (503, None), LOST], ids=str)
def test_what_passes_is_tried_again(service: Fakes, zip_file: Path, document: Path, first: tuple[int, Any]) -> None:
    """A deployment under way, a busy service, a lost reply: the same package again does no harm."""
    service.replies["POST", "/api/publish"] = [first, (202, "id-7")]

    assert deployed(zip_file, document) == 0


@pytest.mark.parametrize(
    ("key", "reply", "said"),
    [
        (("POST", "/api/publish"), (401, None), "az login"),
        (("POST", "/api/publish"), (403, {"message": "Ip Forbidden"}), "from inside of it"),
        (("POST", "/api/publish"), (400, {"message": "not a zip"}), "not a zip"),
        (("POST", "/api/publish"), (409, {"message": "another deployment"}), "could not be handed over"),
        (("POST", "/api/publish"), LOST, "could not be handed over"),
        (("GET", "/api/deployments/id-7"), (200, {"status": 3, "status_text": "no space"}), "failed: no space"),
        (("GET", "/api/deployments/id-7"), (200, {"status": -1}), "was cancelled"),
        (("GET", "/api/deployments/id-7"), (200, {"status": 5}), "was cancelled"),
        (("GET", "/api/deployments/id-7"), (200, {"status": 1}), "did not end in time"),
        (("GET", "/api/deployments/id-7"), (401, {"error": {"message": "token over"}}), '(last seen: "401 token over")'),
        (("GET", "/api/deployments/id-7"), LOST, '(last seen: "GET 127.0.0.1: '),
        (("GET", "/api/health"), (503, {"status": "misconfigured"}), "last seen: 503 misconfigured"),
        (("GET", "/api/health"), (200, {"status": "degraded"}), "last seen: 200 degraded"),
        (("GET", "/api/health"), LOST, "is not ok with version"),
        (("GET", f"{SITE}?"), (404, {"error": {"message": "no site"}}), "no site"),
        (("GET", f"{SITE}?"), (200, {"properties": {"enabledHostNames": ["x.net"]}}), "names no deployment service"),
    ],
)
def test_what_does_not_pass_is_told_with_what_to_do(
    service: Fakes,
    zip_file: Path,
    document: Path,
    key: tuple[str, str],
    reply: tuple[int, Any],
    said: str,
) -> None:
    """Exit 1 and a sentence, for each answer."""
    service.replies["GET", "/api/deployments/id-7"] = [(200, {"status": 4})]
    service.replies[key] = [reply]

    assert deployed(zip_file, document, timeout="0") == 1

    assert said in service.printed()


def test_app_of_the_former_version_is_not_taken_for_the_new_one(service: Fakes, zip_file: Path, document: Path) -> None:
    """It is healthy, and it is not what was deployed."""
    service.headers["x-mirror-vip-version"] = "1.2.2"
    service.replies["GET", "/api/deployments/id-7"] = [(200, {"status": 4})]
    service.replies["GET", "/api/health"] = [HEALTHY]

    assert deployed(zip_file, document, timeout="0") == 1

    assert "of version 1.2.2" in service.printed()


def test_package_that_is_not_what_was_built_is_not_deployed(service: Fakes, zip_file: Path, document: Path) -> None:
    """Changed since it was built, or without its SHA-256: nothing is asked of Azure."""
    zip_file.write_bytes(b"other")
    assert deployed(zip_file, document) == 1
    zip_file.with_suffix(".zip.sha256").unlink()
    assert deployed(zip_file, document) == 1
    assert service.asked == []


def test_package_that_is_missing_or_of_no_version_is_told(service: Fakes, zip_file: Path, document: Path, tmp_path: Path) -> None:
    """What to do, before anything is asked of Azure."""
    assert deployed(tmp_path / "mirror-vip-9.zip", document) == 1
    assert "run make package" in service.printed()
    other = zip_file.rename(tmp_path / "app.zip")
    zip_file.with_suffix(".zip.sha256").rename(tmp_path / "app.zip.sha256")

    assert deployed(other, document) == 1

    assert "is not named mirror-vip-VERSION.zip" in service.printed()
    assert service.asked == []


def test_dry_run_deploys_nothing(service: Fakes, zip_file: Path, document: Path) -> None:
    """It checks the package, and the way to the app."""
    assert deployed(zip_file, document, "--dry-run") == 0
    assert [path for method, path, _ in service.asked if method == "POST"] == []
