"""The real azure-cli as a child process, pointed at the simulated Azure with the environment of an App Service."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
AZ: Final = ROOT / ".venv-az" / "bin" / "az"
_LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The JSON that the command printed; an AssertionError with its complaint if it failed."""
        assert self.code == 0, self.err
        return json.loads(self.out) if self.out.strip() else None


@dataclass(frozen=True, slots=True)
class Cli:
    """az with a configuration directory of its own. ca_file: PEM of the simulator's certificate authority."""

    config: Path
    ca_file: Path
    identity_endpoint: str
    identity_header: str

    def __call__(self, *arguments: str) -> Answer:
        """Run one command to its end; raises subprocess.TimeoutExpired after two minutes."""
        return self.run(str(AZ), *arguments)

    def run(self, *command: str) -> Answer:
        """Run a program that finds this az on its PATH."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def environment(self) -> dict[str, str]:
        """That of a machine where this az is logged in."""
        return {
            "PATH": f"{AZ.parent}:{os.environ['PATH']}",
            "HOME": str(self.config),
            "LANG": "C.UTF-8",
            "AZURE_CONFIG_DIR": str(self.config),
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "NO_PROXY": "localhost,127.0.0.1",
            "IDENTITY_ENDPOINT": self.identity_endpoint,
            "IDENTITY_HEADER": self.identity_header,
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_SURVEY_MESSAGE": "false",
            "AZURE_CORE_NO_COLOR": "true",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            "AZURE_CORE_ENABLE_BROKER_ON_WINDOWS": "false",
            "AZURE_AUTO_UPGRADE_ENABLE": "false",
        }
