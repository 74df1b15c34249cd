"""TLS: the controller is verified, and what cannot be mended is not retried."""

import datetime as dt
import pathlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.agent.authority import DAY, NOW, Authority
from tests.agent.scripted import Controller, Reply, make_node, moved, serving


@contextmanager
def controller_over(tls: ssl.SSLContext) -> Iterator[Controller]:
    """Serve over TLS."""
    with serving(Controller([moved()]), tls) as controller:
        yield controller


def test_controller_of_the_configured_authority_is_trusted(tmp_path: pathlib.Path) -> None:
    """ca_file is used instead of the system's certificates."""
    authority = Authority(tmp_path, "ours")
    with controller_over(authority.server("127.0.0.1")) as controller:
        ended = make_node(tmp_path, controller.url, ca_file=str(authority.file)).run("claim")

    assert ended.code == 0


@pytest.mark.parametrize("ca_file", ["theirs", ""], ids=["another-authority", "the-system's"])
def test_unknown_authority_ends_the_claim(tmp_path: pathlib.Path, ca_file: str) -> None:
    """A controller that cannot be trusted gets no claim: exit 2, one line, no retry."""
    theirs = Authority(tmp_path, "theirs")
    with controller_over(Authority(tmp_path, "ours").server("127.0.0.1")) as controller:
        ended = make_node(tmp_path, controller.url, ca_file=str(theirs.file) if ca_file else "").run("claim")

    assert ended.code == 2
    assert ended.result["outcome"] == "tls"
    assert ended.stderr.count("\n") == 1
    assert "ca_file" in ended.stderr
    assert controller.requests == []


def test_wrong_host_name_ends_the_claim(tmp_path: pathlib.Path) -> None:
    """The certificate must name the host of the url."""
    authority = Authority(tmp_path, "ours")
    with controller_over(authority.server("127.0.0.2")) as controller:
        ended = make_node(tmp_path, controller.url, ca_file=str(authority.file)).run("claim")

    assert ended.code == 2
    assert controller.requests == []


@pytest.mark.parametrize("shift", [-2 * DAY, 2 * DAY], ids=["expired", "not-valid-yet"])
def test_certificate_out_of_its_time_is_tried_again(tmp_path: pathlib.Path, shift: dt.timedelta) -> None:
    """Right after boot the node's clock may be wrong: such a certificate gets no claim, but another attempt."""
    authority = Authority(tmp_path, "ours")
    tls = authority.server("127.0.0.1", begins=NOW - DAY + shift, ends=NOW + DAY + shift)
    with controller_over(tls) as controller:
        ended = make_node(tmp_path, controller.url, ca_file=str(authority.file)).run("claim", "--deadline", "2")

    assert ended.code == 5
    assert ended.result["attempts"] > 1
    assert controller.requests == []


def test_server_without_tls_gets_no_claim(tmp_path: pathlib.Path) -> None:
    """An https url never falls back to http."""
    with serving(Controller([Reply(200, {})])) as controller:
        url = controller.url.replace("http:", "https:")
        ended = make_node(tmp_path, url).run("claim", "--deadline", "2")

    assert ended.code == 5
    assert controller.requests == []


def test_ca_file_without_certificates_is_named(tmp_path: pathlib.Path) -> None:
    """A file that holds no certificates is a fault of the configuration, told before detaching."""
    (tmp_path / "empty.pem").write_text("nothing\n")

    node = make_node(tmp_path, "https://127.0.0.1:9/api", ca_file=str(tmp_path / "empty.pem"))

    for options in ([], ["--detach"]):
        ended = node.run("claim", *options)
        assert ended.code == 2
        assert "empty.pem" in ended.stderr
