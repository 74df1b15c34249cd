"""What every use case shares: the table that nothing can be decided without."""

import pytest

from vipcore.decision.controller import storage_needed
from vipcore.errors import NoIdentity, Refusal, Unreachable


@pytest.mark.parametrize(
    ("error", "code"), [(Unreachable("gone"), "storage-unavailable"), (NoIdentity("no token"), "identity-unavailable")]
)
def test_a_table_that_is_away_is_told_by_its_cause(error: Unreachable, code: str) -> None:
    """Where the identity gave no token for the table, the answer names the identity, since the table is well."""
    with pytest.raises(Refusal) as refused, storage_needed():
        raise error

    assert (refused.value.code, refused.value.status) == (code, 503)
    assert str(error) in refused.value.detail
