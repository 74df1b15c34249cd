"""The public face: the same seed gives the same answers."""

from tests.simulator.client import NIC_A, PIP, Client


def test_same_seed_same_answers() -> None:
    """Two clouds with the same seed give identical answers; another seed gives other ids."""
    runs = []
    for seed in (7, 7, 8):
        client = Client(seed=seed)
        answers = [client.detach(), client.ask("GET", NIC_A)]
        client.clock.advance(10)
        runs.append([*answers, client.attach(), client.ask("GET", PIP)])

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
