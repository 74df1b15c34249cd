"""The controller of the subnet: verifies a claim's signature, and answers a dry claim by a file that the test writes."""

import base64
import json
import pathlib
import ssl
import sys
from typing import Any

from tests.agent.scripted import Controller, Reply, Request, _Handler, _Server, moved, planned, problem, signature_of
from tests.nodes.azure import CONTROLLER


class _Subnet(Controller):
    """Reads for each request what to answer."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(self.reply)
        self.folder = folder

    def told(self) -> dict[str, Any]:
        """What the test has written."""
        told: dict[str, Any] = json.loads((self.folder / "answer.json").read_text())
        return told

    def now(self) -> float:
        """The controller's time of day, by the test."""
        self.clock_offset_s = self.told()["clock_offset_s"]
        return super().now()

    def reply(self, request: Request) -> Reply:
        """Answer one claim."""
        told = self.told()
        if request.headers["signature"] != f"mirror-vip=:{signature_of(request, base64.b64decode(told['key']))}:":
            return problem(401, "signature-invalid")
        if abs(int(request.parameter("created")) - self.now()) > 60:
            return problem(401, "signature-expired")
        if not request.body.get("dry_run"):
            return moved(holder=request.body["member"])
        del told["clock_offset_s"], told["key"]
        return planned(**told)


def main(folder: pathlib.Path) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    with _Server((CONTROLLER, 443), _Handler) as server:
        server.controller = _Subnet(folder)
        server.tls = context
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
