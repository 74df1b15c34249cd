"""infra/keys.py against a small vault: what exists is kept, what is missing is made, and no secret is shown."""

import base64
import json
from pathlib import Path
from typing import Final

import pytest

from infra import keys, mirrors
from infra.check.cases import MIRRORS
from tests.infra.fakes import LOST, SITE, Fakes

REFERENCES: Final = f"{SITE}/config/configreferences/appsettings"
RESOLVED: Final = (200, {"properties": {"keyToReferenceStatuses": {"VIP_KEY_MIRRORA_1": {"status": "Resolved"}}}})
A: Final = "vip-key-mirrora-1"


def made(fakes: Fakes, document: Path, *arguments: str, wait: str = "5") -> int:
    """Run it; the app's references are resolved at once unless the test has said otherwise."""
    fakes.replies.setdefault(("POST", f"{REFERENCES}/refresh"), [(200, {})])
    fakes.replies.setdefault(("GET", REFERENCES), [RESOLVED])
    out = ["--out", str(document.parent / "keys"), "--wait", wait]
    return keys.main(["-g", "rg-vip", "--mirrors", str(document), *out, *arguments], pause_s=0.01)


def test_missing_keys_are_made_and_written_for_their_members(fakes: Fakes, document: Path) -> None:
    """A secret for each key and one for the trail, 32 random bytes each; a file for each member that its owner alone can read."""
    assert made(fakes, document) == 0

    assert sorted(fakes.secrets) == sorted([*map(mirrors.secret_name, MIRRORS["keys"]), mirrors.AUDIT_SECRET])
    assert {len(base64.b64decode(value)) for value in fakes.secrets.values()} == {32}
    assert len(set(fakes.secrets.values())) == 3
    files = {path.name: path for path in (document.parent / "keys").iterdir()}
    assert set(files) == {"mirrora-1.key", "Mirror_B.1.key"}
    assert files["mirrora-1.key"].read_text() == fakes.secrets[A] + "\n"
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}


def test_a_secret_that_exists_is_never_overwritten(fakes: Fakes, document: Path) -> None:
    """The second run makes nothing, and writes the file that is missing from what the vault has."""
    made(fakes, document)
    before = dict(fakes.secrets)
    (document.parent / "keys" / "mirrora-1.key").unlink()
    fakes.asked.clear()

    assert made(fakes, document) == 0

    assert fakes.secrets == before
    assert [method for method, path, _ in fakes.asked if method == "PUT"] == []
    assert (document.parent / "keys" / "mirrora-1.key").read_text().strip() == before[A]


def test_a_file_with_another_key_is_not_overwritten(fakes: Fakes, document: Path) -> None:
    """Which of the two the member uses is for a person to say."""
    (document.parent / "keys").mkdir()
    (document.parent / "keys" / "mirrora-1.key").write_text("another")

    assert made(fakes, document) == 1

    assert "holds another key than the vault" in fakes.printed()
    assert (document.parent / "keys" / "mirrora-1.key").read_text() == "another"


def test_a_lost_reply_is_settled_by_a_look(fakes: Fakes, document: Path) -> None:
    """The reply to the making of a secret is lost: the next look shows whether it was made."""
    fakes.replies["PUT", A] = [LOST]
    fakes.replies["GET", A] = [(404, {}), (200, {"value": "QUJD" * 11})]

    assert made(fakes, document) == 0

    assert (document.parent / "keys" / "mirrora-1.key").read_text().strip() == "QUJD" * 11


@pytest.mark.parametrize(
    ("method", "reply", "said"),
    [
        ("GET", (401, {}), "Key Vault Secrets Officer"),
        ("GET", (403, {"error": {"message": "ForbiddenByRbac"}}), "ForbiddenByRbac"),
        ("PUT", (409, {"error": {"code": "ObjectIsDeletedButRecoverable"}}), "az keyvault secret recover"),
        ("GET", (400, {"error": {"message": "bad name"}}), "bad name"),
        ("GET", (503, {}), "did not answer"),
        ("GET", LOST, "did not answer"),
    ],
)
def test_what_the_vault_refuses_is_told_with_what_to_do(
    fakes: Fakes, document: Path, method: str, reply: tuple[int, object], said: str
) -> None:
    """Every answer of the vault ends in a sentence, and nothing half made is left as done."""
    fakes.replies[method, A] = [reply]

    assert made(fakes, document) == 1

    assert said in fakes.printed()


def test_references_are_waited_for(fakes: Fakes, document: Path) -> None:
    """The app is asked to read again; what stays unresolved is named with the reason, and the exit code says so."""
    denied = {"VIP_AUDIT_KEY": {"status": "AccessToKeyVaultDenied"}, "VIP_KEY_MIRRORA_1": {"status": "Resolved"}}
    waiting = (200, {"properties": {"keyToReferenceStatuses": denied}})
    fakes.replies["GET", REFERENCES] = [waiting, RESOLVED]
    assert made(fakes, document) == 0

    fakes.replies["GET", REFERENCES] = [waiting]
    assert made(fakes, document, wait="0") == 1

    assert "VIP_AUDIT_KEY: AccessToKeyVaultDenied" in fakes.printed()


@pytest.mark.parametrize(
    ("key", "reply", "said"),
    [
        (("POST", f"{REFERENCES}/refresh"), (403, {"error": {"message": "no right"}}), "could not be refreshed: 403 no right"),
        (("GET", REFERENCES), (403, {"error": {"message": "no right"}}), "could not be read: 403 no right"),
        (("GET", REFERENCES), LOST, "GET 127.0.0.1: "),
        (("GET", REFERENCES), (200, {"properties": {}}), "the app names no references"),
    ],
)
def test_references_that_cannot_be_read_are_told(
    fakes: Fakes, document: Path, key: tuple[str, str], reply: tuple[int, object], said: str
) -> None:
    """What Azure refuses is no app without references; what passes until the time is over is waited for."""
    fakes.replies[key] = [reply]

    assert made(fakes, document, wait="0") == 1

    assert said in fakes.printed()

    if key[0] == "GET":
        fakes.replies[key] = [reply, RESOLVED]
        assert made(fakes, document) == 0


def test_rotation_makes_the_next_key_and_says_what_to_do(fakes: Fakes, document: Path) -> None:
    """The old key stays as it is; the new one is in the vault and in a file, and the three steps are printed."""
    made(fakes, document)
    old = fakes.secrets[A]

    assert made(fakes, document, "--rotate", "mirrora-1") == 0

    assert fakes.secrets[A] == old
    assert fakes.secrets["vip-key-mirrora-2"] != old
    assert (document.parent / "keys" / "mirrora-2.key").exists()
    assert '"mirrora-2": {"mirror": "PROD", "member": "MIRRORA"}' in fakes.printed()
    assert made(fakes, document, "--rotate", "nobody-1") == 1


@pytest.mark.parametrize(
    ("vault", "audience"),
    [
        ("https://kv1.vault.azure.net/", "https://vault.azure.net"),
        ("https://kv1.vault.usgovcloudapi.net/", "https://vault.usgovcloudapi.net"),
        ("https://kv1.vault.azure.cn/", "https://vault.azure.cn"),
    ],
)
def test_token_is_for_the_vaults_of_its_cloud(vault: str, audience: str) -> None:
    """Another cloud's vaults do not take a token for the public ones."""
    assert keys.audience(vault) == audience


def test_dry_run_asks_nothing(fakes: Fakes, document: Path) -> None:
    """It says what would be made."""
    assert made(fakes, document, "--dry-run") == 0
    assert fakes.asked == []


@pytest.mark.parametrize(
    ("ids", "said"), [(["a/b"], "use letters, digits"), (["a_1", "a-1"], "rename one"), (["a.b-1", "A_b-1"], "rename one")]
)
def test_ids_that_collide_in_the_vault_are_refused(fakes: Fakes, document: Path, ids: list[str], said: str) -> None:
    """Before anything is made."""
    document.write_text(json.dumps({**MIRRORS, "keys": {one: {"mirror": "PROD", "member": "MIRRORA"} for one in ids}}))

    assert made(fakes, document) == 1
    assert said in fakes.printed()
    assert fakes.asked == []


def test_az_that_is_missing_is_said(fakes: Fakes, document: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not a stack trace."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert made(fakes, document) == 1
    assert "az is missing; install the Azure CLI" in fakes.printed()
