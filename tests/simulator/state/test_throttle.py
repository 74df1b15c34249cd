"""Rate limits of ARM and of Microsoft.Network."""

from tests.simulator.client import NIC_A, NIC_B, Client, error_of


def test_arm_buckets_empty_and_refill() -> None:
    """With throttling=arm a burst gets 429 with Retry-After; refused calls take no tokens, and tokens return with time."""
    client = Client(throttling="arm", arm_reads=(5, 2))

    answers = [client.ask("GET", NIC_A) for _ in range(7)]
    assert [a.status for a in answers] == [200] * 5 + [429] * 2
    assert error_of(answers[-1])[1] == "SubscriptionRequestsThrottled"
    assert answers[-1].headers["retry-after"] == "1"
    assert [a.headers.get("x-ms-ratelimit-remaining-subscription-reads") for a in answers[:5]] == ["4", "3", "2", "1", "0"]
    assert client.ask("GET", NIC_A, authorization=client.cloud.bearer("other")).status == 200
    client.clock.advance(1)
    assert [client.ask("GET", NIC_A).status for _ in range(3)] == [200, 200, 429]
    assert client.ask("PUT", NIC_B, {}).status == 400


def test_polls_count_as_reads() -> None:
    """Polls take tokens from the read bucket."""
    client = Client(throttling="arm", arm_reads=(3, 0.1))
    put = client.detach()

    assert [client.poll(put).status for _ in range(3)] == [200, 200, 429]


def test_the_network_providers_five_minutes() -> None:
    """With throttling=nrp, writes beyond the limit of five minutes get 429 RetryableErrorDueToTooManyCalls for a while."""
    client = Client(throttling="nrp", nrp_writes_per_5min=2)

    answers = [client.ask("PUT", NIC_A, client.get(NIC_A)) for _ in range(3)]
    assert [a.status for a in answers] == [200, 200, 429]
    assert error_of(answers[2])[1] == "RetryableErrorDueToTooManyCalls"
    assert answers[2].headers["retry-after"] == "300"
    client.clock.advance(300)
    assert client.ask("PUT", NIC_A, client.get(NIC_A)).status == 200


def test_throttling_may_come_without_retry_after() -> None:
    """Without throttle_retry_after, a 429 of throttling has no Retry-After."""
    client = Client(throttling="arm", arm_reads=(0.5, 1), throttle_retry_after=False)

    assert "retry-after" not in client.ask("GET", NIC_A).headers
