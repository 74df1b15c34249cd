"""The configuration's values: no secret in a fault or a `repr`."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from tests.vipcore.settings.environ import load

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
