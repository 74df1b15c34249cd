"""The data path of an address."""

import pytest

from tests.simulator.client import Client


@pytest.mark.parametrize(
    ("data_path", "left", "reached"),
    [("before-completion", 2, 14), ("after-completion", 12, 24), ("never", None, None)],
)
def test_the_data_path_is_not_what_arm_says(data_path: str, left: float | None, reached: float | None) -> None:
    """Traffic moves some time after acceptance, after completion, or never, depending on the switch data_path."""
    client = Client(data_path=data_path)
    start = client.clock()
    client.detach()
    client.clock.advance(12)
    client.attach()
    client.clock.advance(60)

    def carrier(after: float) -> str:
        return client.cloud.carrier("10.0.0.254", start + after)

    if left is None or reached is None:
        assert carrier(70) == "mirrora290_z1"
        return
    assert [carrier(left - 0.1), carrier(left), carrier(reached - 0.1), carrier(reached)] == [
        "mirrora290_z1",
        "",
        "",
        "mirrorb280_z2",
    ]
