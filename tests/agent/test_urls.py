"""Several controllers, and the proxy: which one an attempt goes to, and what a dead one costs."""

import base64
import http.client
import http.server
import pathlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.agent.answers import TURNS
from tests.agent.authority import Authority
from tests.agent.scripted import Controller, Reply, Request, dead, make_node, moved, planned, problem, serving

Serve = Callable[..., Controller]


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_second_controller_is_tried_at_once_where_the_first_refuses(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Nobody listens at the first url: the second one's answer counts, without a wait in between."""
    controller = serve([moved()])
    node = make_node(tmp_path, f"http://127.0.0.1:{free_port()}/api {controller.url}", retry_min_s="9", retry_max_s="9")
    began = time.monotonic()

    ended = node.run("claim")

    assert ended.result["outcome"] == "moved"
    assert ended.result["attempts"] == 2
    assert time.monotonic() - began < 4


def test_silent_first_controller_costs_two_seconds(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The first url drops connection requests: the second one has its turn after 2 s."""
    controller = serve([moved()])
    port = free_port()
    with dead("127.0.0.1", port):
        node = make_node(tmp_path, f"http://127.0.0.1:{port}/api {controller.url}")
        began = time.monotonic()
        ended = node.run("claim")

    assert ended.code == 0
    assert 1.9 < time.monotonic() - began < 5


def test_attempts_go_to_the_controllers_in_turn(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A controller that cannot carry the claim out now leaves the next attempt to the other one; one claim_id, signed anew."""
    first, second = serve([problem(503, "storage-unavailable")]), serve([problem(503, "busy"), moved()])
    node = make_node(tmp_path, f"{first.url} {second.url}")

    ended = node.run("claim")

    assert ended.result["attempts"] == 4
    assert (len(first.requests), len(second.requests)) == (2, 2)
    assert len({request.body["claim_id"] for request in first.requests + second.requests}) == 1


@pytest.mark.parametrize(("replies", "asked", "waits"), TURNS.values(), ids=TURNS)
def test_urls_take_turns(serve: Serve, tmp_path: pathlib.Path, replies: list[Reply], asked: str, waits: list[bool]) -> None:
    """The table that ^ZVIPSend is held to as well."""
    left, order = list(replies), []

    def answering(name: str) -> Callable[[Request], Reply]:
        def answer(_: Request) -> Reply:
            order.append(name)
            return left.pop(0)

        return answer

    urls = " ".join(serve(answering(name)).url for name in "AB")
    node = make_node(tmp_path, urls, retry_min_s="0.2", retry_max_s="0.2")

    ended = node.run("claim")

    assert (ended.code, "".join(order)) == (0, asked)
    assert ["in_s=0.0" not in line for line in node.log.splitlines() if " claim.retry " in line] == waits


def test_certificate_that_is_not_trusted_ends_the_claim_only_where_all_show_one(serve: Serve, tmp_path: pathlib.Path) -> None:
    """One controller behind a strange certificate says nothing about the other one."""
    authority = Authority(tmp_path, "ours")
    with serving(Controller([moved()]), authority.server("localhost")) as strange:
        url = strange.url.replace("127.0.0.1", "localhost")
        both = make_node(tmp_path, f"{url} {serve([moved()]).url}").run("claim")
        alone = make_node(tmp_path, url).run("claim")

    assert both.result["outcome"] == "moved"
    assert (alone.code, alone.result["outcome"]) == (2, "tls")


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Opens tunnels, and forwards what is sent to an absolute address."""

    server: "_ProxyServer"

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.requestline, self.headers.get("Proxy-Authorization", "")))
        if self.server.refuses:
            self.send_response(407, "Proxy Authentication Required")
            self.end_headers()
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response_only(200, "Connection established")
            self.end_headers()
            ends = [self.connection, there]
            with suppress(OSError):
                while True:
                    for one in select.select(ends, [], [], 10)[0]:
                        data = one.recv(65536)
                        if not data:
                            return
                        ends[one is self.connection].sendall(data)

    def do_POST(self) -> None:
        self.server.asked.append((self.requestline, self.headers.get("Proxy-Authorization", "")))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        host, _, path = self.path.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(host)
        connection.request("POST", "/" + path, body, {name: value for name, value in self.headers.items() if name != "Host"})
        answer = connection.getresponse()
        data = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _ProxyServer(http.server.ThreadingHTTPServer):
    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.asked: list[tuple[str, str]] = []
        self.refuses = refuses
        self.daemon_threads = True


@contextmanager
def proxy(*, refuses: bool = False) -> Iterator[_ProxyServer]:
    """Serve a proxy until the block ends."""
    with _ProxyServer(refuses=refuses) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def secure(tmp_path: pathlib.Path) -> Iterator[tuple[Controller, str]]:
    """A controller behind TLS that moves, and the file that makes it trusted."""
    authority = Authority(tmp_path, "ours")
    context = authority.server("localhost")
    with serving(Controller([moved()]), context) as controller:
        controller.url = controller.url.replace("127.0.0.1", "localhost")
        yield controller, str(authority.file)


def test_proxy_opens_a_tunnel_to_the_controller(secure: tuple[Controller, str], tmp_path: pathlib.Path) -> None:
    """The proxy sees the controller's name and its own credentials; TLS goes through it, checked by the controller's name."""
    controller, ca_file = secure
    with proxy() as server:
        address = f"http://user:p%40ss@127.0.0.1:{server.server_address[1]}"
        ended = make_node(tmp_path, controller.url, ca_file=ca_file, proxy=address).run("claim")

    assert ended.result["outcome"] == "moved"
    credentials = "Basic " + base64.b64encode(b"user:p@ss").decode()
    assert server.asked == [(f"CONNECT localhost:{controller.port} HTTP/1.1", credentials)]


def test_proxy_forwards_what_is_plain(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A controller on this machine without TLS is asked by its whole address, under the signature of its path."""
    controller = serve([moved()])
    with proxy() as server:
        node = make_node(tmp_path, controller.url, proxy=f"http://127.0.0.1:{server.server_address[1]}")
        assert node.run("claim").result["outcome"] == "moved"

    assert server.asked[0][0] == f"POST {controller.url}/mirrors/PROD/claims HTTP/1.1"
    assert controller.requests[0].path == "/api/mirrors/PROD/claims"


def test_proxy_that_refuses_is_told(secure: tuple[Controller, str], tmp_path: pathlib.Path) -> None:
    """What the proxy said is in the log, and the claim goes on until its deadline."""
    controller, ca_file = secure
    with proxy(refuses=True) as server:
        node = make_node(tmp_path, controller.url, ca_file=ca_file, proxy=f"http://127.0.0.1:{server.server_address[1]}")
        ended = node.run("claim", "--deadline", "0.5")

    assert ended.code == 5
    assert "the proxy answered HTTP/1.0 407 Proxy Authentication Required" in node.log


def test_proxy_of_the_environment_is_not_asked(serve: Serve, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only agent.ini names a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert make_node(tmp_path, serve([moved()]).url).run("claim").code == 0


def test_status_says_who_holds_the_vip_and_who_is_primary_here(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The controller names the holder, primary_check this member's role; whether they agree is for the reader."""
    node = make_node(tmp_path, serve([planned("MIRRORB")]).url, primary_check="true")

    result = node.run("status").result

    assert (result["outcome"], result["holder"], result["desired"]) == ("answered", "MIRRORB", "MIRRORB")
    assert (result["primary"], result["primary_check"]) == (True, "the command ended with 0")


@pytest.mark.parametrize(("check", "primary"), [("false", False), ("", None), ("/nowhere/iris qlist IRIS", None)])
def test_status_never_guesses_who_is_primary(serve: Serve, tmp_path: pathlib.Path, check: str, primary: bool | None) -> None:
    """Not, not asked and cannot be asked are three answers; the controller's stands beside each."""
    result = make_node(tmp_path, serve([planned()]).url, primary_check=check).run("status").result

    assert (result["primary"], result["holder"]) == (primary, "MIRRORA")


def test_status_tells_the_role_without_a_controller_too(tmp_path: pathlib.Path) -> None:
    """No answer in time is exit 5; who is primary here is said all the same."""
    result = make_node(tmp_path, primary_check="false").run("status", "--deadline", "0.2").result

    assert (result["exit"], result["primary"]) == (5, False)


def test_every_answer_is_in_the_log_by_its_correlation_id(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The controller's log has the same ids: one search joins both."""
    replies = [problem(503, "busy", x_correlation_id="one"), Reply(502, b"", {"x-correlation-id": "two"})]
    last = Reply(200, moved().body, {"x-correlation-id": "three"})
    node = make_node(tmp_path, serve([*replies, last]).url)

    node.run("claim")

    assert [word for word in node.log.split() if word.startswith("correlation_id=")] == [
        "correlation_id=one",
        "correlation_id=two",
        "correlation_id=three",
    ]
