"""Settings from the environment: every fault at once, none fatal that need not be, no secret in a fault or a `repr`."""

import base64
import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vipcore.settings.environ import DOCUMENT, GOOD, SECRETS, load, where
from vipcore.settings import environment


def test_good_settings_are_ok() -> None:
    """Settings without a fault give every documented default."""
    loaded = load({})

    assert (loaded.faults, loaded.status) == ((), "ok")
    assert (loaded.table_name, loaded.clock_skew_s, loaded.max_changes, loaded.max_changes_s) == ("MirrorVip", 30.0, 6, 600.0)
    assert loaded.arm_endpoint == loaded.arm_audience == "https://management.azure.com"
    assert {key.key_id: (key.mirror, key.member) for key in loaded.keys.values()} == {"a-1": ("PROD", "A"), "b-1": ("PROD", "B")}


GLOBAL: dict[str, dict[str, str | None]] = {
    "no mirrors": {"VIP_MIRRORS": None},
    "mirrors in no file": {"VIP_MIRRORS": "nowhere.json"},
    "mirrors no JSON": {"VIP_MIRRORS": "{"},
    "no table": {"VIP_TABLE": None},
    "table neither URL nor connection string": {"VIP_TABLE": "account"},
    "table of no account": {"VIP_TABLE": "AccountKey=eA=="},
    "table without a key": {"VIP_TABLE": "AccountName=x"},
    "table with a broken key": {"VIP_TABLE": "AccountName=x;AccountKey=?"},
    "table with half a part": {"VIP_TABLE": "AccountName=x;AccountKey=eA==;rest"},
    "table endpoint half a bracket": {"VIP_TABLE": "AccountName=x;AccountKey=eA==;TableEndpoint=http://[::1"},
    "table by http": {"VIP_TABLE": "DefaultEndpointsProtocol=http;AccountName=x;AccountKey=eA=="},
    "table endpoint by http": {"VIP_TABLE": "AccountName=x;AccountKey=eA==;TableEndpoint=http://x.table.core.windows.net"},
    "table in the clear": {"VIP_TABLE": "http://account.table.core.windows.net"},
    "table name": {"VIP_TABLE_NAME": "1x"},
    "cloud": {"VIP_CLOUD": "moon"},
    "endpoint in the clear": {"VIP_ARM_ENDPOINT": "http://management.azure.com"},
    "endpoint no URL": {"VIP_ARM_ENDPOINT": "management.azure.com"},
    "endpoint half a bracket": {"VIP_ARM_ENDPOINT": "https://[::1"},
    "skew": {"VIP_CLOCK_SKEW_S": "-1"},
    "skew too large": {"VIP_CLOCK_SKEW_S": "301"},
    "changes": {"VIP_MAX_CHANGES": "6"},
    "no changes": {"VIP_MAX_CHANGES": "0/600"},
    "schedule": {"VIP_RECONCILE_SCHEDULE": "every minute"},
    "schedule of six words": {"VIP_RECONCILE_SCHEDULE": "run it at every full minute"},
    "schedule out of range": {"VIP_RECONCILE_SCHEDULE": "99 * * * * *"},
    "schedule that steps nowhere": {"VIP_RECONCILE_SCHEDULE": "*/0 * * * * *"},
    "schedule with a month of its own": {"VIP_RECONCILE_SCHEDULE": "0 0 0 * foo *"},
    "schedule that never comes": {"VIP_RECONCILE_SCHEDULE": "0 0 0 31 2,4 *"},
    "schedule of no length": {"VIP_RECONCILE_SCHEDULE": "00:00:00"},
    "audit key": {"VIP_AUDIT_KEY": "c2hvcnQ="},
    "previous audit key": {"VIP_AUDIT_KEY_PREVIOUS": "?"},
}


@pytest.mark.parametrize("name", GLOBAL)
def test_faulty_global_setting_stops_all(name: str) -> None:
    """A faulty global setting is reported by its name and makes the app `misconfigured`."""
    changes = GLOBAL[name]

    loaded = load(changes)

    assert where(loaded) == list(changes)
    assert loaded.status == "misconfigured"


def test_all_faults_come_at_once() -> None:
    """Every faulty setting, mirror and key is in one list."""
    document = {**DOCUMENT, "mirrors": {"PROD": {**DOCUMENT["mirrors"]["PROD"], "hold_s": -1}}}
    changes = {name: value for change in GLOBAL.values() for name, value in change.items()}

    loaded = load({**changes, "VIP_MIRRORS": json.dumps(document), "VIP_KEY_A_1": "?", "VIP_TABLE": None})

    expected = {*changes, "/mirrors/PROD/hold_s", "VIP_KEY_A_1"} - {"VIP_MIRRORS"}
    assert set(where(loaded)) == expected


KEYS = {
    "absent": None,
    "empty": "",
    "no base64": "not base64!",
    "too short": base64.b64encode(bytes(31)).decode(),
    "reference that is not resolved": "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/x)",
    "url-safe base64": base64.urlsafe_b64encode(b"\xff" * 33).decode(),
}


@pytest.mark.parametrize("name", KEYS)
def test_unusable_key_is_disabled_alone(name: str) -> None:
    """A key whose setting is absent or unusable is reported and disabled; the other key still works."""
    loaded = load({"VIP_KEY_A_1": KEYS[name]})

    assert where(loaded) == ["VIP_KEY_A_1"]
    assert set(loaded.keys) == {"b-1"}
    assert loaded.disabled_keys == {"a-1"}
    assert loaded.status == "degraded"


def test_a_member_without_a_usable_key_is_told_what_to_set() -> None:
    """A member has a key as long as one of its keys can be used; where none can, each setting is named with its fault."""
    assert load({}).why_no_key("PROD", "A") is None
    assert load({"VIP_KEY_A_1": None}).why_no_key("PROD", "A") == (
        "No key of A can be used: the app setting VIP_KEY_A_1 is not set, so key 'a-1' is disabled; set it to the text of that "
        "member's key file."
    )
    unnamed = json.dumps({**DOCUMENT, "keys": {"b-1": DOCUMENT["keys"]["b-1"]}})
    assert "names no key for A" in str(load({"VIP_MIRRORS": unnamed}).why_no_key("PROD", "A"))


def test_two_key_ids_with_one_setting_are_both_disabled() -> None:
    """`a-1` and `A_1` would read one setting, so one secret would speak for two members: neither is used."""
    keys = {**DOCUMENT["keys"], "A_1": {"mirror": "PROD", "member": "B"}}

    loaded = load({"VIP_MIRRORS": json.dumps({**DOCUMENT, "keys": keys})})

    assert where(loaded) == ["VIP_KEY_A_1", "VIP_KEY_A_1"]
    assert set(loaded.keys) == {"b-1"}


def test_two_keys_with_equal_secrets_are_both_disabled() -> None:
    """One secret for two keys would let one member sign for the other."""
    loaded = load({"VIP_KEY_B_1": f" {SECRETS['a']}\n"})

    assert where(loaded) == ["VIP_KEY_A_1", "VIP_KEY_B_1"]
    assert loaded.keys == {}
    assert loaded.disabled_keys == {"a-1", "b-1"}
    assert loaded.status == "degraded"


@given(st.text(alphabet=string.printable, min_size=1, max_size=64))
def test_setting_names_are_names_an_environment_takes(key_id: str) -> None:
    """Whatever the key id, its setting's name has capital letters, digits and `_` only."""
    assert set(environment.setting_name(key_id)) <= set(string.ascii_uppercase + string.digits + "_")


def test_document_in_a_file_is_read_relative_to_the_app(tmp_path: Path) -> None:
    """`VIP_MIRRORS` that does not begin with `{` is a path below the app; a byte order mark is no harm."""
    (tmp_path / "mirrors.json").write_text(json.dumps(DOCUMENT), encoding="utf-8-sig")

    assert set(load({"VIP_MIRRORS": "mirrors.json"}, app_dir=tmp_path).mirrors) == {"PROD"}


def test_file_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    """A file that is not UTF-8 is reported, not raised."""
    (tmp_path / "mirrors.json").write_bytes(b"\xff\xfe{")

    assert where(load({"VIP_MIRRORS": "mirrors.json"}, app_dir=tmp_path)) == ["VIP_MIRRORS"]


CLOUDS: dict[str, tuple[dict[str, str], str, str]] = {
    "usgov": ({"VIP_CLOUD": "usgov"}, "https://management.usgovcloudapi.net", "https://management.usgovcloudapi.net"),
    "china": ({"VIP_CLOUD": "china"}, "https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
    "both": (
        {"VIP_ARM_ENDPOINT": "https://arm.example/", "VIP_ARM_AUDIENCE": "https://audience.example/"},
        "https://arm.example",
        "https://audience.example",
    ),
    "loopback": ({"VIP_ARM_ENDPOINT": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080", "https://management.azure.com"),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds(name: str) -> None:
    """Where tokens are for and where requests go; http is for loopback alone."""
    changes, endpoint, audience = CLOUDS[name]

    loaded = load(changes)

    assert (loaded.faults, loaded.arm_endpoint, loaded.arm_audience) == ((), endpoint, audience)


@pytest.mark.parametrize(
    "table",
    [
        "UseDevelopmentStorage=true",
        "AccountName=x;AccountKey=eA==;TableEndpoint=http://127.0.0.1:1/x;",
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=eA==;EndpointSuffix=core.windows.net",
        "TableEndpoint=https://x.table.core.windows.net;SharedAccessSignature=sv=2022&sig=eA%3D%3D",
    ],
)
def test_table_may_be_a_connection_string(table: str) -> None:
    """`VIP_TABLE` takes a connection string, the emulator's short form included."""
    assert load({"VIP_TABLE": table}).faults == ()


def test_timer_keeps_its_default_when_its_schedule_is_faulty() -> None:
    """A faulty schedule is a fault; the timer itself is indexed with the default, or the app would not load at all."""
    for good in ("0 */5 * * * *", "0,30 5-59/10 * 1 JAN-MAR,12 Mon-Fri", "0 0 3/4 31 january *", "00:00:30"):
        assert environment.schedule({"VIP_RECONCILE_SCHEDULE": f" {good} "}) == good
    assert environment.schedule({"VIP_RECONCILE_SCHEDULE": "often"}) == environment.SCHEDULE == environment.schedule({})


VALUES = st.text(max_size=40) | st.sampled_from([*SECRETS.values(), *(v for v in GOOD.values()), "https://x", "@", "6/600"])


@given(st.dictionaries(st.sampled_from([*GOOD, *(n for change in GLOBAL.values() for n in change)]), VALUES))
def test_any_settings_are_read(changes: dict[str, str]) -> None:
    """Any values of the settings: reading never raises, and what is fatal says why."""
    loaded = load({name: value.replace("\0", "") for name, value in changes.items()})

    assert bool(loaded.faults) >= loaded.fatal


SECRET_VALUES = st.builds(
    lambda raw, end: base64.b64encode(raw).decode() + end, st.binary(min_size=16, max_size=80), st.sampled_from(["", "!"])
)


@given(st.dictionaries(st.sampled_from(["VIP_KEY_A_1", "VIP_KEY_B_1", "VIP_AUDIT_KEY", "VIP_AUDIT_KEY_PREVIOUS"]), SECRET_VALUES))
def test_no_secret_is_shown(secrets: dict[str, str]) -> None:
    """Whatever stands in a secret's setting, good or bad, is in no fault and in no `repr`."""
    loaded = load(secrets)

    text = repr(loaded) + "".join(map(str, loaded.faults))
    assert not [value for value in secrets.values() if value in text]
    assert not [key for key in loaded.keys.values() if repr(key.secret) in text or key.secret.hex() in text]


def test_connection_string_is_not_shown() -> None:
    """The table's connection string holds the account's key: it is in no `repr`."""
    assert "AccountKey" not in repr(load({"VIP_TABLE": "AccountName=x;AccountKey=eA==;TableEndpoint=http://127.0.0.1:1/x;"}))


def test_what_the_log_says_of_it_names_settings_and_shows_none() -> None:
    """At start an operator reads which settings there are, and which mirrors with which members. A value may be a secret."""
    changes = {"VIP_AUDIT_KEY": SECRETS["c"], "AZURE_CLIENT_ID": "client-7"}

    told = load(changes).told({**GOOD, **changes, "OTHER": "x"})

    assert told == {
        "health": "ok",
        "mirrors": 1,
        "keys": 2,
        "faults": 0,
        "settings": "AZURE_CLIENT_ID VIP_AUDIT_KEY VIP_KEY_A_1 VIP_KEY_B_1 VIP_MIRRORS VIP_TABLE",
        "detail": "Served: PROD (A, B).",
    }
