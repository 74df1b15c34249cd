"""A small vault, deployment service and Resource Manager on loopback, and an `az` on PATH that knows where they are."""

import json
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

TOKEN: Final = "token-that-nobody-may-see"
SITE: Final = "/subscriptions/s/resourceGroups/rg-vip/providers/Microsoft.Web/sites/func"
_AZ: Final = """#!{python} -IS
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.load(open({answers!r}))
words = [word for word in sys.argv[1:] if word not in ("-o", "json")]
for key, value in answers:
    if all(part in words for part in key.split()):
        if isinstance(value, dict) and "fails" in value:
            sys.exit(value["fails"])
        print(json.dumps(value))
        sys.exit(0)
sys.exit("az: no answer for " + " ".join(words))
"""

Reply = tuple[int, Any]
LOST: Final[Reply] = (0, None)
"""The connection closes after the request was taken."""


@dataclass
class Fakes:
    """What is asked of them, and what they answer: per (method, part of the path) a list whose last entry stays."""

    url: str = ""
    replies: dict[tuple[str, str], list[Reply]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Of every answer."""
    az_log: Path = Path()
    read: Callable[[], str] = str
    """What was printed since the last call."""
    printed_so_far: str = ""

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """The scripted answer; the vault keeps what it is given."""
        self.asked.append((method, path, body))
        for (wanted, part), left in self.replies.items():
            if wanted == method and part in path:
                return left.pop(0) if len(left) > 1 else left[0]
        if "/secrets/" in path:
            name = path.partition("/secrets/")[2].partition("?")[0]
            if method == "PUT":
                self.secrets[name] = json.loads(body)["value"]
            return (
                (200, {"value": self.secrets[name]}) if name in self.secrets else (404, {"error": {"message": "no such secret"}})
            )
        return 404, {"error": {"message": f"nothing at {path}"}}

    def printed(self) -> str:
        """What was printed since the last call; it is also kept, for the search for secrets at the end."""
        new = self.read()
        self.printed_so_far += new
        return new

    def commands(self) -> list[list[str]]:
        """Every argv of `az`."""
        return [json.loads(line) for line in self.az_log.read_text().splitlines()] if self.az_log.exists() else []


def _handler(fakes: Fakes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answered(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer = fakes.answer(self.command, self.path, body)
            if status == 0:
                self.close_connection = True
                self.connection.close()
                return
            data = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**fakes.headers, "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = answered  # noqa: N815  # names of the standard library

        def log_message(self, *_: Any) -> None:
            return

    return Handler


@contextmanager
def running(folder: Path, set_path: Callable[[str], None]) -> Iterator[Fakes]:
    """The fakes, and `az` in a folder that `set_path` is told of."""
    fakes = Fakes(az_log=folder / "az.log")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fakes))
    fakes.url = f"http://127.0.0.1:{server.server_address[1]}"
    outputs = {
        "MIRROR_VIP_VAULT": fakes.url + "/",
        "MIRROR_VIP_SITE_ID": SITE,
        "MIRROR_VIP_URL": f"{fakes.url}/api",
        "AZURE_FUNCTION_NAME": "func",
        "MIRROR_VIP_PRINCIPAL_ID": "principal",
        "MIRROR_VIP_WORKSPACE_ID": "/workspace",
    }
    answers = [
        ("cloud show", fakes.url + "/"),
        ("account get-access-token", TOKEN),
        ("deployment group show", {name: {"value": value} for name, value in outputs.items()}),
        ("update-strategy set", {}),
        ("scale config show", {"alwaysReady": [{"name": "http", "instanceCount": 2}]}),
        ("role assignment list", [{"roleDefinitionName": "Mirror VIP: network interface (s)"}]),
        ("log-analytics workspace show", "customer"),
        ("log-analytics query", [{"Count": 120, "TableName": "x"}]),
    ]
    (folder / "answers.json").write_text(json.dumps(answers))
    az = folder / "bin" / "az"
    az.parent.mkdir()
    az.write_text(_AZ.format(python=sys.executable, log=str(fakes.az_log), answers=str(folder / "answers.json")))
    az.chmod(az.stat().st_mode | stat.S_IXUSR)
    set_path(f"{az.parent}:/usr/bin:/bin")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fakes
    finally:
        server.shutdown()
        server.server_close()
