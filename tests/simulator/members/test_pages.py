"""The status pages of the members."""

from tests.simulator.client import Client, page


def test_status_pages_say_what_the_member_is() -> None:
    """A primary answers 200 SUCCESS, others 503 FAILED. Mode lie answers SUCCESS; hang and refuse give no answer."""
    client = Client()
    client.cloud.members["HOST/INST"] = "primary"

    assert (page(client, "MIRRORA").status, page(client, "MIRRORA").body) == (200, b"SUCCESS")
    assert (page(client, "MIRRORB").status, page(client, "MIRRORB").body) == (503, b"FAILED")
    assert page(client, "HOST%2FINST").status == 200
    assert page(client, "NOBODY").status == 404
    client.cloud.members["MIRRORB"] = "lie"
    assert page(client, "MIRRORB").body == b"SUCCESS"
    client.cloud.members["MIRRORB"] = "hang"
    assert page(client, "MIRRORB").delay_s >= 600
    client.cloud.members["MIRRORB"] = "refuse"
    assert (page(client, "MIRRORB").lost, page(client, "MIRRORB").reset) == (True, True)
