"""`python -m infra.deploy`: the package to the app, and wait until the app says that it runs it.

Our own POST, since `az` builds Python packages anew in Azure whatever it is told (docs/adr/0020). If we die, or a reply is lost,
the same command is run again: the same package twice does no harm. The way back is the same command with the former zip.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from infra import mirrors, package
from infra.azure import Answer, Azure, Failure, Lost

ROOT: Final = Path(__file__).resolve().parent.parent
DONE: Final = 4
ENDED_BADLY: Final[Mapping[int, str]] = {3: "failed", -1: "was cancelled", 5: "was cancelled"}
TRIES: Final = 5


def checked(path: Path) -> tuple[bytes, str]:
    """The zip, and the version that its name says. Raises Failure unless its SHA-256 is the one beside it."""
    if not path.exists():
        raise Failure(f"there is no {path}; run make package")
    data, beside = path.read_bytes(), path.with_suffix(".zip.sha256")
    sha256 = hashlib.sha256(data).hexdigest()
    if not beside.exists() or beside.read_text(encoding="utf-8").split()[0] != sha256:
        raise Failure(f"{path} is not what {beside.name} says; run make package again")
    found = re.fullmatch(r"mirror-vip-(.+)", path.stem)
    if found is None:
        raise Failure(f"{path.name} is not named mirror-vip-VERSION.zip")
    print(f"{path.name} sha256 {sha256}")
    return data, found[1]


def scm(azure: Azure) -> str:
    """The address of the app's deployment service. Its name has a hash in it for newer apps, so Azure is asked."""
    shown = azure.ask("GET", f"{azure.arm()}{azure.output('MIRROR_VIP_SITE_ID')}?api-version=2024-11-01", resource=azure.arm())
    if shown.status != 200:
        raise Failure(f"the app could not be read: {shown.said}")
    names = shown.json()["properties"].get("enabledHostNames", ())
    host = next((name for name in names if ".scm." in name), None)
    if host is None:
        raise Failure(f"the app names no deployment service among its host names {list(names)}")
    return host.split("#")[0] if "://" in host else f"https://{host}"


def publish(azure: Azure, host: str, data: bytes) -> str:
    """Hand the zip over; the id of the deployment. Raises Failure."""
    for _ in range(TRIES):
        try:
            answer = azure.ask(
                "POST", f"{host}/api/publish?RemoteBuild=false", resource=azure.arm(), data=data, content_type="application/zip"
            )
        except Lost as fault:
            print(f"no answer ({fault}); trying again, which does no harm")
            azure.wait()
            continue
        if answer.status in (200, 202):
            return str(answer.json() or answer.body.decode()).strip('"')
        _judge(answer)
        print(f"the deployment service says {answer.said}; trying again")
        azure.wait()
    raise Failure("the package could not be handed over; run this again")


def _judge(answer: Answer) -> None:
    if answer.status == 401:
        raise Failure(
            "the deployment service does not take az's token; run az login again, and take Website Contributor on the app"
        )
    if answer.status == 403:
        raise Failure(
            f"{answer.said}: the app's network lets nobody in from here; deploy from inside of it (docs/azure.md section 5)"
        )
    if answer.status < 500 and answer.status not in (409, 429):
        raise Failure(f"the deployment service refused the package: {answer.said}")


def wait_until_done(azure: Azure, host: str, deployment: str, *, within_s: float) -> None:
    """Raises Failure with the service's words where it does not succeed."""
    seen: Any = None
    for _ in azure.looks(within_s):
        try:
            answer = azure.ask("GET", f"{host}/api/deployments/{deployment}", resource=azure.arm())
        except Lost as fault:
            seen = str(fault)
            continue
        seen = answer.said
        if answer.status == 200:
            seen = answer.json()
            if seen.get("status") == DONE:
                return
            if seen.get("status") in ENDED_BADLY:
                raise Failure(f"the deployment {ENDED_BADLY[seen['status']]}: {seen.get('status_text') or seen.get('message')}")
    raise Failure(
        f"the deployment did not end in time (last seen: {json.dumps(seen)[:300]}); look at the portal, then run this again"
    )


def wait_until_served(azure: Azure, version: str, *, within_s: float) -> None:
    """Until /health is ok and of that version. Raises Failure with what was seen last."""
    url, seen = f"{azure.output('MIRROR_VIP_URL')}/health", "no answer"
    for _ in azure.looks(within_s):
        try:
            answer = azure.ask("GET", url, resource=None)
            running, body = answer.headers.get("x-mirror-vip-version"), answer.json() or {}
            seen = f"{answer.status} {body.get('status')} of version {running}"
            if (answer.status, body.get("status"), running) == (200, "ok", version):
                print(f"{url}: ok, version {version}")
                return
        except Lost as fault:
            seen = str(fault)
    raise Failure(f"{url} is not ok with version {version}; last seen: {seen}. Its log says why (docs/codes.md)")


def roll(azure: Azure, name: str) -> None:
    """From the next change on, instances are replaced in turn. Best effort: not every region has it."""
    try:
        azure.az(
            "functionapp", "update-strategy", "config", "set", "-g", azure.resource_group, "-n", name, "--type", "RollingUpdate"
        )
    except Failure as fault:
        print(f"warning: no rolling updates here, so each change stops the app for up to 30 s: {fault}")


def next_steps(url: str, document: Mapping[str, Any]) -> str:
    """The dry runs that show whether the rights suffice; they change nothing."""
    rows = ['Dry runs, with KEY="x-functions-key: ...". Every check says ok: true, but for status pages of who is not primary:']
    for mirror, one in document.get("mirrors", {}).items():
        for member in one["members"]:
            body = json.dumps({"to": member, "reason": "first look", "operator": "me", "dry_run": True})
            rows.append(f"curl -sS -H \"$KEY\" {url}/mirrors/{mirror}/moves -d '{body}'")
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None, *, pause_s: float = 5.0) -> int:
    """Deploy; 1 with a sentence where it does not end well."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy", description="Deploy the package, and wait until it is served."
    )
    parser.add_argument("-g", "--resource-group", required=True)
    parser.add_argument("--package", type=Path, default=ROOT / "build" / f"mirror-vip-{package.version()}.zip")
    parser.add_argument("--mirrors", type=Path, default=ROOT / "infra" / "mirrors.json")
    parser.add_argument(
        "--timeout", type=float, default=900.0, help="seconds for the deployment, and for the app after it (default 900)"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the package and the way to the app; deploy nothing")
    options = parser.parse_args(argv)
    azure = Azure(options.resource_group, pause_s)
    try:
        data, version = checked(options.package)
        host = scm(azure)
        if options.dry_run:
            print(f"would deploy to {host}")
            return 0
        wait_until_done(azure, host, publish(azure, host, data), within_s=options.timeout)
        wait_until_served(azure, version, within_s=options.timeout)
        roll(azure, azure.output("AZURE_FUNCTION_NAME"))
        print(next_steps(azure.output("MIRROR_VIP_URL"), mirrors.read(options.mirrors)))
    except (Failure, Lost, OSError, mirrors.DocumentError) as fault:
        print(f"not finished: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
