"""The mirrors document on its way to Azure: read, checked as the app checks it, and the names that its keys get there."""

import json
import re
from pathlib import Path
from typing import Any, Final

from vipcore.settings import document

AUDIT_SECRET: Final = "vip-audit-key"
SETTING_BYTES_MAX: Final = 32_768


class DocumentError(ValueError):
    """The document cannot be deployed; the message lists every fault."""


def secret_name(key_id: str) -> str:
    """`mirrora-1` -> `vip-key-mirrora-1`, as modules/app.bicep names it: a vault allows letters, digits and hyphens."""
    return "vip-key-" + re.sub(r"[_.]", "-", key_id).lower()


def read(path: Path) -> dict[str, Any]:
    """The document of a file. Raises DocumentError with all that the app, or Azure, would refuse."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        why = fault.strerror or fault
        raise DocumentError(
            f"{path} cannot be read ({why}): it is made in step 1 of infra/README.md, or name another file"
        ) from None
    found = [f"{fault.where}: {fault.what}" for fault in document.read(text).faults]
    if found:
        raise DocumentError("\n".join(found))
    parsed: dict[str, Any] = json.loads(text)
    names: dict[str, str] = {}
    for key_id in parsed.get("keys", {}):
        if not re.fullmatch(r"[A-Za-z0-9._-]+", key_id):
            found.append(f"keys.{key_id}: use letters, digits, hyphen, dot and underscore, as the vault's names are made of them")
        elif other := names.get(secret_name(key_id)):
            found.append(f"keys.{key_id}: its secret would have the name of {other}'s, {secret_name(key_id)}; rename one")
        names[secret_name(key_id)] = key_id
    if found:
        raise DocumentError("\n".join(found))
    return parsed


def is_too_large(path: Path) -> bool:
    """Whether it must travel in the package rather than as a setting."""
    return path.stat().st_size > SETTING_BYTES_MAX
