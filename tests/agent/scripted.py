"""A controller that answers by script, and a node with the real agent: real sockets and processes, nothing patched."""

import base64
import email.utils
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

AGENT = pathlib.Path(__file__).parents[2] / "agent" / "vip_agent.py"
SECRET = bytes(range(32))
KEY_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
LIMIT_S = 20.0


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The claim."""
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed

    def parameter(self, name: str) -> str:
        """Return a parameter of the signature, without quotes."""
        parts = dict(part.split("=", 1) for part in self.headers["signature-input"].split(";")[1:])
        return parts[name].strip('"')


@dataclass(frozen=True)
class Reply:
    """What to answer, and when: not before `gate` is set; `drop` closes the connection instead."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    gate: threading.Event | None = None
    drop: bool = False


def signature_of(request: Request, secret: bytes = SECRET) -> str:
    """Compute the signature of a request as RFC 9421 says, from what arrived."""
    parameters = request.headers["signature-input"].partition("=")[2]
    lines = [
        f'"@method": {request.method}',
        f'"@path": {request.path}',
        f'"content-type": {request.headers["content-type"]}',
        f'"content-digest": {request.headers["content-digest"]}',
        f'"@signature-params": {parameters}',
    ]
    return base64.b64encode(hmac.new(secret, "\n".join(lines).encode(), hashlib.sha256).digest()).decode()


def moved(**changes: Any) -> Reply:
    """Return the answer that the VIP has been moved."""
    body = {"outcome": "moved", "mirror": "PROD", "holder": "MIRRORA", "epoch": 1, "phases": [], "total_ms": 5}
    return Reply(200, {**body, **changes}, {"Content-Type": "application/json"})


def planned(holder: str | None = "MIRRORA", **changes: Any) -> Reply:
    """Return the answer to a dry claim, as docs/api.md section 6 has it."""
    body: dict[str, Any] = {"outcome": "planned", "desired": holder, "epoch": 1, "frozen": None, "in_progress": None}
    body |= {"holder": holder, "holder_seen_at": "2026-11-28T01:02:03.000004Z", "ready": True, "reasons": []}
    body["vips"] = [{"name": "vip", "private_ip": "127.0.0.1"}]
    return Reply(200, body | changes, {"Content-Type": "application/json", "x-correlation-id": "c0ffee"})


def problem(status: int, code: str, **headers: str) -> Reply:
    """Return an error as docs/api.md section 6 has it."""
    body = {"type": "about:blank", "title": code, "status": status, "detail": f"about {code}", "code": code}
    sent = {"Content-Type": "application/problem+json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, body, sent)


Script = list[Reply] | Callable[[Request], Reply]


class Controller:
    """Answers requests in order; the last reply repeats. `together` is the most requests that were open at one time."""

    def __init__(self, script: Script, *, clock_offset_s: float = 0.0) -> None:
        self.script = script
        self.clock_offset_s = clock_offset_s
        self.requests: list[Request] = []
        self.together = 0
        self.url = ""
        self.port = 0
        self._open = 0
        self._changed = threading.Condition()

    def now(self) -> float:
        """The controller's time of day."""
        return time.time() + self.clock_offset_s

    def arrive(self, request: Request) -> Reply:
        """Record a request and choose its reply."""
        with self._changed:
            self.requests.append(request)
            number = len(self.requests)
            self._open += 1
            self.together = max(self.together, self._open)
            self._changed.notify_all()
        if callable(self.script):
            return self.script(request)
        return self.script[min(number, len(self.script)) - 1]

    def leave(self) -> None:
        """Record that a request has been answered."""
        with self._changed:
            self._open -= 1

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, LIMIT_S)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "_Server"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        controller = self.server.controller
        reply = controller.arrive(Request(self.command, self.path, headers, raw))
        try:
            if reply.gate is not None:
                reply.gate.wait(LIMIT_S)
            if not reply.drop:
                self._answer(reply, controller.now())
        except OSError:
            pass  # the agent was killed
        finally:
            controller.leave()

    def do_GET(self) -> None:
        """Answer as a member's status page: the path is the status."""
        self._answer(Reply(int(self.path.strip("/")), b"SUCCESS"), time.time())

    def _answer(self, reply: Reply, now: float) -> None:
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response_only(reply.status)
        headers = {"Date": email.utils.formatdate(now, usegmt=True), "Content-Length": str(len(data)), **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _Server(http.server.ThreadingHTTPServer):
    controller: Controller
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the handshake in the request's own thread."""
        connection = self.tls.wrap_socket(request, server_side=True) if self.tls else request
        super().finish_request(connection, client_address)
        if self.tls:
            connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A handshake that the agent refuses is no error of the test."""


@contextmanager
def serving(
    controller: Controller, tls: ssl.SSLContext | None = None, *, address: str = "127.0.0.1", port: int = 0
) -> Iterator[Controller]:
    """Serve on a loopback address, by default on a free port, until the block ends."""
    with _Server((address, port), _Handler) as server:
        server.controller = controller
        server.tls = tls
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        controller.port = server.server_address[1]
        controller.url = f"{'https' if tls else 'http'}://{address}:{controller.port}/api"
        try:
            yield controller
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def mute(address: str, port: int) -> Iterator[socket.socket]:
    """An address whose kernel completes connections that nobody serves, as a hung process leaves it."""
    with socket.create_server((address, port)) as listener:
        listener.settimeout(LIMIT_S)
        yield listener


@contextmanager
def dead(address: str, port: int) -> Iterator[socket.socket]:
    """An address that drops connection requests: a listener whose queue is full until somebody accepts from it."""
    with socket.create_server((address, port), backlog=0) as listener:
        listener.settimeout(LIMIT_S)
        with suppress(TimeoutError):
            while True:
                socket.create_connection(listener.getsockname(), timeout=0.2).close()  # stays in the queue all the same
        yield listener


@dataclass(frozen=True)
class Ended:
    """How a run of the agent ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The one line of JSON on stdout."""
        assert self.stdout.count("\n") == 1
        parsed: dict[str, Any] = json.loads(self.stdout)
        assert parsed["exit"] == self.code
        return parsed


RESOLVER = """
import json, runpy, socket, sys, time
known, sys.argv = json.loads(sys.argv[1]), sys.argv[2:]
genuine = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if known.get(host, "") is None:
        time.sleep(987)
    return [found for address in known.get(host, [host]) for found in genuine(address, *rest, **more)]
socket.getaddrinfo = getaddrinfo
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Stands in for the node's DNS, and only for that, then runs the agent's file as it is."""


@dataclass
class Node:
    """A folder with agent.ini and a key, as on a mirror member. `hosts`: what its DNS knows, by name; None: it hangs."""

    folder: pathlib.Path
    settings: dict[str, str]
    hosts: dict[str, list[str] | None] = field(default_factory=dict)

    @property
    def config(self) -> pathlib.Path:
        """The configuration file, written anew."""
        path = self.folder / "agent.ini"
        path.write_text("[agent]\n" + "".join(f"{name} = {value}\n" for name, value in self.settings.items()))
        return path

    @property
    def log(self) -> str:
        """The agent's log so far."""
        path = pathlib.Path(self.settings["log_file"])
        return path.read_text() if path.exists() else ""

    def words(self, *arguments: str) -> list[str]:
        """Return the command line that runs the agent."""
        resolver = ["-c", RESOLVER, json.dumps(self.hosts)] if self.hosts else []
        return [sys.executable, *resolver, str(AGENT), "--config", str(self.config), *arguments]

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the agent."""
        words = self.words(*arguments)
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def run(self, *arguments: str, **options: Any) -> Ended:
        """Run the agent to its end."""
        return end_of(self.start(*arguments, **options))


def end_of(process: subprocess.Popen[str]) -> Ended:
    """Wait for a started agent."""
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def make_node(folder: pathlib.Path, url: str = "http://127.0.0.1:9/api", **settings: str) -> Node:
    """Return a node whose waits between attempts are short."""
    key = folder / "mirrora-1.key"
    key.write_text(KEY_TEXT + "\n")
    key.chmod(0o600)
    given = {"url": url, "mirror": "PROD", "member": "MIRRORA", "key_id": "mirrora-1", "key_file": str(key)}
    given |= {"log_file": str(folder / "agent.log"), "retry_min_s": "0.01", "retry_max_s": "0.05"}
    return Node(folder, given | settings)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait, within bounds, for what another process does and reports to nobody."""
    ends = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        os.sched_yield()
        threading.Event().wait(0.01)
