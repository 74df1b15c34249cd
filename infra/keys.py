"""`python -m infra.keys`: the members' keys and the audit key, in the vault; and each member's file.

What exists in the vault is kept, so the step may be repeated. If we die between making a secret and writing its file, the next
run writes the file. Secrets are in bodies of requests and in files that their owner alone can read, nowhere else.
"""

import argparse
import base64
import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from infra import mirrors
from infra.azure import Answer, Azure, Failure, Lost

ROOT: Final = Path(__file__).resolve().parent.parent
_RIGHTS: Final = "take the role Key Vault Secrets Officer on the vault (deployerId of main.bicep gives it), and wait five minutes"


def secret(azure: Azure, name: str) -> tuple[str, bool]:
    """The secret's value, and whether it was made now. Raises Failure."""
    vault = azure.output("MIRROR_VIP_VAULT")
    url = f"{vault.rstrip('/')}/secrets/{name}?api-version=7.4"
    for _ in range(3):
        try:
            shown = azure.ask("GET", url, resource=audience(vault))
            if shown.status == 200:
                return str(shown.json()["value"]), False
            if shown.status == 404:
                value = base64.b64encode(secrets.token_bytes(32)).decode()
                shown = azure.ask("PUT", url, resource=audience(vault), body={"value": value})
                if shown.status == 200:
                    return value, True
        except Lost:
            azure.wait()
            continue  # whether it was made, the next look shows
        if shown.status in (401, 403):
            raise Failure(f"the vault refuses ({shown.said}): {_RIGHTS}")
        if shown.status == 409:
            raise Failure(
                f"{name} was deleted and can be recovered: az keyvault secret recover --name {name}; then run this again"
            )
        if shown.status < 500 and shown.status != 429:
            raise Failure(f"the vault says of {name}: {shown.said}")
        azure.wait()
    raise Failure(f"the vault did not answer for {name}; run this again")


def audience(vault: str) -> str:
    """Whom a token for a vault is for, in its cloud: `https://kv1.vault.azure.net/` -> `https://vault.azure.net`."""
    return f"https://{str(urlsplit(vault).hostname).partition('.')[2]}"


def write_file(path: Path, value: str) -> bool:
    """The member's file, readable by its owner alone; True if it was made now. Raises Failure for one with another content."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.read_text(encoding="ascii").strip() != value:
            raise Failure(f"{path} holds another key than the vault; remove the file and run this again") from None
        path.chmod(0o600)
        return False
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(value + "\n")
    return True


def _references(azure: Azure, method: str, action: str = "", *, data: bytes | None = None) -> Answer:
    url = f"{azure.arm()}{azure.output('MIRROR_VIP_SITE_ID')}/config/configreferences/appsettings{action}?api-version=2022-03-01"
    return azure.ask(method, url, resource=azure.arm(), data=data)


def references(azure: Azure) -> dict[str, str]:
    """The app's settings that refer to the vault: name -> what Azure says of it, `Resolved` where all is well. Raises Failure."""
    answer = _references(azure, "GET")
    if answer.status >= 400:
        raise Failure(f"the app's references could not be read: {answer.said}")
    shown = answer.json() or {}
    found = shown.get("properties", {}).get("keyToReferenceStatuses") or {
        one["name"]: one["properties"] for one in shown.get("value", ())
    }
    return {name: str(one.get("status")) for name, one in sorted(found.items())}


def refresh(azure: Azure, *, within_s: float) -> list[str]:
    """Have the app read its references again, and wait for all. What is then not resolved, a sentence each. Raises Failure."""
    asked = _references(azure, "POST", "/refresh", data=b"")
    if asked.status >= 400:
        raise Failure(f"the app's references could not be refreshed: {asked.said}")
    waiting = list[str]()
    for _ in azure.looks(within_s):
        try:
            found = references(azure)
        except (Failure, Lost) as fault:
            waiting = [str(fault)]
            continue
        waiting = [f"the app cannot read {name}: {state}" for name, state in found.items() if state != "Resolved"]
        if not found:
            waiting = ["the app names no references; deploy infra/main.bicep first"]
        if not waiting:
            break
    return waiting


def rotated(key_id: str) -> str:
    """The id of the next key of a member: `mirrora-1` -> `mirrora-2`."""
    found = re.fullmatch(r"(.*?)(\d+)", key_id)
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{key_id}-2"


def _rotate(azure: Azure, document: dict[str, object], key_id: str, folder: Path) -> None:
    keys = document.get("keys")
    if not isinstance(keys, dict) or key_id not in keys:
        raise Failure(f"infra/mirrors.json has no key {key_id}")
    new = rotated(key_id)
    value, _ = secret(azure, mirrors.secret_name(new))
    write_file(folder / f"{new}.key", value)
    print(f"{new} is in the vault and in {folder / f'{new}.key'}. Now, in this order:")
    print(f'1. infra/mirrors.json, "keys": add "{new}": {keys[key_id]}, and deploy main.bicep'.replace("'", '"'))
    print(f"2. on the member: copy the file, set key_id = {new}, vip_agent.py doctor")
    print(f'3. infra/mirrors.json: remove "{key_id}", deploy main.bicep, and az keyvault secret delete the old secret')


def main(argv: Sequence[str] | None = None, *, pause_s: float = 5.0) -> int:
    """Make what is missing; 1 with a sentence where that fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.keys", description="Make missing keys, write the members' files.")
    parser.add_argument("-g", "--resource-group", required=True)
    parser.add_argument("--mirrors", type=Path, default=ROOT / "infra" / "mirrors.json")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "keys", help="folder of the members' files")
    parser.add_argument("--rotate", metavar="KEY_ID", help="make the next key of this one's member, and say what to do with it")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and ask nothing")
    parser.add_argument("--wait", type=float, default=300.0, help="seconds to wait for the app's references (default 300)")
    options = parser.parse_args(argv)
    azure = Azure(options.resource_group, pause_s)
    try:
        document = mirrors.read(options.mirrors)
        if options.rotate:
            _rotate(azure, document, options.rotate, options.out)
            return 0
        wanted = {mirrors.secret_name(key_id): f"{key_id}.key" for key_id in document.get("keys", {})}
        for name, file in {**wanted, mirrors.AUDIT_SECRET: ""}.items():
            if options.dry_run:
                print(f"{name}: made if missing" + (f"; {options.out / file}" if file else ""))
                continue
            value, made = secret(azure, name)
            written = bool(file) and write_file(options.out / file, value)
            print(f"{name}: {'made' if made else 'kept'}" + (f"; {options.out / file}" if written else ""))
        unresolved = [] if options.dry_run else refresh(azure, within_s=options.wait)
    except (Failure, Lost, OSError, mirrors.DocumentError) as fault:
        print(f"not finished: {fault}", file=sys.stderr)
        return 1
    for one in unresolved:
        print(one, file=sys.stderr)
    return bool(unresolved)


if __name__ == "__main__":
    sys.exit(main())
