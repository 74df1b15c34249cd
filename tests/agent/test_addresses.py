"""A name with several addresses: each gets its turn, and a dead one costs at most 2 s."""

import pathlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.agent.authority import Authority
from tests.agent.scripted import Controller, Node, Reply, dead, make_node, moved, mute, problem, serving
from tests.agent.test_vectors import load_agent

Serve = Callable[..., Controller]
LIVE, FIRST, SECOND = "127.0.0.1", "127.0.0.2", "127.0.0.3"
NAME = "controller.example"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is entered ends with the test."""
    with ExitStack() as entered:
        yield entered


def node_of(folder: pathlib.Path, controller: Controller, addresses: list[str], **settings: str) -> Node:
    """A node that reaches the controller by a name with these addresses."""
    name, scheme = (NAME, "https") if controller.url.startswith("https") else ("localhost", "http")
    node = make_node(folder, f"{scheme}://{name}:{controller.port}/api", **settings)
    node.hosts[name] = addresses
    return node


@pytest.mark.parametrize("dead_ones", [[FIRST], [FIRST, SECOND]], ids=["one", "two"])
def test_dead_first_address_costs_at_most_2_s(
    serve: Serve, stack: ExitStack, tmp_path: pathlib.Path, dead_ones: list[str]
) -> None:
    """An address that drops packets is not waited for: the first attempt reaches the next one."""
    controller = serve([moved()])
    for address in dead_ones:
        stack.enter_context(dead(address, controller.port))

    ended = node_of(tmp_path, controller, [*dead_ones, LIVE]).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 1)
    assert ended.result["elapsed_ms"] < 2000


def test_address_that_refuses_costs_nothing(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The next address is tried at once."""
    controller = serve([moved()])

    ended = node_of(tmp_path, controller, [FIRST, SECOND, "127.0.0.4", "127.0.0.5", LIVE]).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 1)
    assert ended.result["elapsed_ms"] < 2000


def test_only_address_may_be_slow(tmp_path: pathlib.Path, stack: ExitStack) -> None:
    """The short limit is for the next address to begin; one that is alone has the whole limit."""
    listener = stack.enter_context(dead(LIVE, 0))
    node = make_node(tmp_path, f"http://{LIVE}:{listener.getsockname()[1]}/api")
    process = node.start("claim", "--deadline", "9")
    stack.callback(process.communicate)
    stack.callback(process.kill)
    time.sleep(1.5)  # the queue is full for three times the lead of an address

    arrived = ""
    while not arrived:  # those that filled the queue say nothing
        with listener.accept()[0] as connection:
            arrived = connection.recv(4).decode()

    assert arrived == "POST"
    assert node.log.count("claim.attempt attempt=1 ") == 1


@pytest.mark.parametrize("silence", [dead, mute], ids=["no-connection", "no-handshake"])
def test_tls_is_verified_by_name_at_the_next_address(stack: ExitStack, tmp_path: pathlib.Path, silence: Any) -> None:
    """TCP and the handshake count together; SNI and certificate are those of the name."""
    authority, names = Authority(tmp_path, "ours"), []
    tls = authority.server(NAME)

    def note(_connection: Any, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(name)

    tls.sni_callback = note
    controller = stack.enter_context(serving(Controller([moved()]), tls))
    stack.enter_context(silence(FIRST, controller.port))

    ended = node_of(tmp_path, controller, [FIRST, LIVE], ca_file=str(authority.file)).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 1)
    assert ended.result["elapsed_ms"] < 2000
    assert names == [NAME]


def test_certificate_of_another_name_is_not_accepted(stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """Not even at the address that the certificate names: the name counts."""
    authority = Authority(tmp_path, "ours")
    controller = stack.enter_context(serving(Controller([moved()]), authority.server(LIVE)))

    ended = node_of(tmp_path, controller, [LIVE], ca_file=str(authority.file)).run("claim")

    assert (ended.code, ended.result["outcome"]) == (2, "tls")
    assert controller.requests == []


def test_address_with_an_untrusted_certificate_is_passed_over(stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """Another address may be the controller's."""
    authority = Authority(tmp_path, "ours")
    controller = stack.enter_context(serving(Controller([moved()]), authority.server(NAME)))
    theirs = Authority(tmp_path, "theirs").server(NAME)
    other = stack.enter_context(serving(Controller([moved()]), theirs, address=FIRST, port=controller.port))

    ended = node_of(tmp_path, controller, [FIRST, LIVE], ca_file=str(authority.file)).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 1)
    assert other.requests == []


def test_untrusted_certificate_beside_an_unreachable_address_is_tried_again(stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """A refused certificate is final only if every address shows one: the unreachable one may come back."""
    theirs = Authority(tmp_path, "theirs").server(NAME)
    controller = stack.enter_context(serving(Controller([moved()]), theirs))
    node = node_of(tmp_path, controller, [FIRST, LIVE], ca_file=str(Authority(tmp_path, "ours").file))

    ended = node.run("claim", "--deadline", "2")

    assert ended.code == 5
    assert ended.result["attempts"] > 1
    assert controller.requests == []


def test_foreign_answer_gives_the_next_address_its_turn(serve: Serve, stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """An address whose front end is broken does not get every attempt."""
    controller = serve([moved()])
    broken = Controller([Reply(404, b"")])
    stack.enter_context(serving(broken, address=FIRST, port=controller.port))

    ended = node_of(tmp_path, controller, [FIRST, LIVE]).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 2)
    assert len(broken.requests) == 1


def test_answer_of_the_controller_keeps_the_address(serve: Serve, stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """`busy` is no reason to go elsewhere."""
    controller = serve([problem(503, "busy"), problem(503, "busy"), moved()])
    other = Controller([moved()])
    stack.enter_context(serving(other, address=FIRST, port=controller.port))

    ended = node_of(tmp_path, controller, [LIVE, FIRST]).run("claim")

    assert (ended.code, ended.result["attempts"]) == (0, 3)
    assert other.requests == []


def test_page_behind_a_dead_first_address_is_asked(serve: Serve, stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """primary_check finds the page at the next address, well within its 5 s: its "not" ends the claim."""
    controller = serve([moved()])
    stack.enter_context(dead(FIRST, controller.port))
    node = make_node(tmp_path, controller.url, primary_check=f"http://member.example:{controller.port}/503")
    node.hosts["member.example"] = [FIRST, LIVE]

    ended = node.run("claim")

    assert ended.code == 3
    assert ended.result["elapsed_ms"] < 2000


def test_dns_that_hangs_does_not_hold_up_the_deadline(tmp_path: pathlib.Path) -> None:
    """A look-up has no time limit of its own; the claim's deadline ends it."""
    node = make_node(tmp_path, "https://app.example/api")
    node.hosts = {"app.example": None}

    assert node.run("claim", "--deadline", "0.5").code == 5


def test_dns_that_hangs_costs_doctor_5_s(tmp_path: pathlib.Path) -> None:
    """It says so by `dns`, asks no second time, and looks at all the rest."""
    node = make_node(tmp_path, "https://app.example/api")
    node.hosts = {"app.example": None}

    ended = node.run("doctor", "--vip", "192.0.2.1")

    assert "fail dns             app.example: no answer in 5 s" in ended.stdout
    assert "ok   vip-source " in ended.stdout


def test_deadline_bounds_all_addresses(serve: Serve, stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """Dead addresses only: exit 5 when the deadline has passed."""
    controller = serve([moved()])
    for address in (FIRST, SECOND):
        stack.enter_context(dead(address, controller.port))

    ended = node_of(tmp_path, controller, [FIRST, SECOND]).run("claim", "--deadline", "0.8")

    assert ended.code == 5
    assert 800 <= ended.result["elapsed_ms"] < 2000
    assert controller.requests == []


def found(*addresses: str, port: int = 443) -> list[Any]:
    """What getaddrinfo returns for the addresses."""
    return [one for address in addresses for one in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]


def test_families_take_turns() -> None:
    """A site whose IPv6 leads nowhere reaches IPv4 with the second try, and each later attempt begins one further."""
    agent = load_agent()
    answer = found("2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2")

    orders = [[one[4][0] for one in agent.in_turn(answer, first)] for first in (0, 1, 4)]

    assert orders[0] == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]
    assert orders[1] == [*orders[0][1:], orders[0][0]]
    assert orders[2] == orders[0]


def test_error_names_what_each_address_said(stack: ExitStack) -> None:
    """One silent, one that refuses: both are in the error, and the race ends in time."""
    agent = load_agent()
    listener = stack.enter_context(socket.create_server((LIVE, 0)))
    port = listener.getsockname()[1]
    stack.enter_context(dead(FIRST, port))

    with pytest.raises(agent.Unconnected) as caught:
        agent.Race(None, NAME, agent.steady() + 0.8, False).run(found(FIRST, SECOND, port=port))

    assert f"{FIRST}: TimedOut: no connection in time" in str(caught.value)
    assert f"{SECOND}: ConnectionRefusedError" in str(caught.value)


def test_connection_that_lost_is_closed(stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """The slower address is let go when another one is ready; nothing waits for it."""
    agent, authority = load_agent(), Authority(tmp_path, "ours")
    controller = stack.enter_context(serving(Controller([moved()]), authority.server(NAME)))
    silent = stack.enter_context(mute(FIRST, controller.port))
    context = ssl.create_default_context(cafile=authority.file)

    winner = agent.Race(context, NAME, agent.steady() + 20, False).run(found(FIRST, LIVE, port=controller.port))
    stack.enter_context(winner)
    lost = stack.enter_context(silent.accept()[0])
    lost.settimeout(5)

    assert winner.getpeername()[0] == LIVE
    while lost.recv(4096):
        pass


def test_refused_certificate_ends_a_strict_race(stack: ExitStack, tmp_path: pathlib.Path) -> None:
    """While only some of the system's certificates are loaded, all are loaded next, without waiting for a dead address."""
    agent = load_agent()
    controller = stack.enter_context(serving(Controller([moved()]), Authority(tmp_path, "theirs").server(NAME)))
    stack.enter_context(mute(FIRST, controller.port))
    addresses = found(LIVE, FIRST, port=controller.port)
    began = time.monotonic()

    with pytest.raises(agent.Unconnected) as caught:
        agent.Race(ssl.create_default_context(), NAME, agent.steady() + 20, True).run(addresses)

    assert agent.certificate_refused(caught.value.errors[0])
    assert time.monotonic() - began < 5
