"""Reading the settings: environment variables -> Config, with every fault at once.

A fault hurts no more than it must. A fault inside a mirror disables that mirror, one of a key that key; only a document that
cannot be parsed or a faulty global setting stops all (`Config.fatal`). No value is corrected, no secret is shown.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from vipcore.errors import Refusal
from vipcore.ledger.audit import Seal
from vipcore.model import Key, Mirror
from vipcore.settings import document
from vipcore.settings.document import Fault
from vipcore.settings.schedule import schedule_fault

PUBLIC_CLOUD: Final = "https://management.azure.com"
CLOUDS: Final[Mapping[str, str]] = {
    "public": PUBLIC_CLOUD,
    "usgov": "https://management.usgovcloudapi.net",
    "china": "https://management.chinacloudapi.cn",
}
CHANGES_MAX: Final = 200
SCHEDULE: Final = "*/30 * * * * *"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Config:
    """Everything the app is told. It holds secrets, so it has no `repr` of its own."""

    mirrors: Mapping[str, Mirror] = field(default_factory=dict)
    faulty: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    """The mirrors that cannot be served, with their faults."""
    keys: Mapping[str, Key] = field(default_factory=dict)
    """By key id; a key with a fault is left out."""
    disabled_keys: Set[str] = frozenset()
    """The ids of the keys that the document names and that cannot be used, so that their claims are told so."""
    keys_of: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(mirror, member) -> the ids of its keys, disabled ones included."""
    table: str = ""
    """The Table endpoint's URL, or a connection string."""
    table_name: str = "MirrorVip"
    arm_endpoint: str = PUBLIC_CLOUD
    arm_audience: str = PUBLIC_CLOUD
    client_id: str | None = None
    clock_skew_s: float = 30.0
    max_changes: int = 6
    max_changes_s: float = 600.0
    seal: Seal = field(default_factory=Seal)
    faults: tuple[Fault, ...] = ()
    """All of them, of the settings and of the mirrors document."""
    fatal: bool = False
    """Whether nothing can be served."""

    @property
    def status(self) -> str:
        """`ok`, `degraded` or `misconfigured`, as `/health` says it."""
        return "misconfigured" if self.fatal else "degraded" if self.faults else "ok"

    def told(self, environ: Mapping[str, str]) -> dict[str, str | int]:
        """What the log says of it at start: settings by name alone, since values may be secrets; mirrors with their members."""
        names = sorted(name for name in environ if name.startswith("VIP_") or name == "AZURE_CLIENT_ID")
        served = "; ".join(
            f"{mirror.name} ({', '.join(member.name for member in mirror.members)})" for mirror in self.mirrors.values()
        )
        return {
            "health": self.status,
            "mirrors": len(self.mirrors),
            "keys": len(self.keys),
            "faults": len(self.faults),
            "settings": " ".join(names),
            "detail": f"Served: {served or 'no mirror'}.",
        }

    def why_no_key(self, mirror: str, member: str) -> str | None:
        """Why no claim of this member can be verified, and what to do, or None."""
        ids = self.keys_of.get((mirror, member), ())
        if any(key_id in self.keys for key_id in ids):
            return None
        if not ids:
            return f"The mirrors document names no key for {member}, so its claims are refused: add one to keys."
        names = [setting_name(key_id) for key_id in ids]
        whys = [f"{fault.where} {fault.what}" for fault in self.faults if fault.where in names] or names
        return f"No key of {member} can be used: the app setting {'; the app setting '.join(whys)}."

    def check_usable(self) -> None:
        """Raises Refusal `configuration-invalid` where nothing can be served; the log has said which faults."""
        if self.fatal:
            where = ", ".join(sorted({fault.where for fault in self.faults})[:20])
            raise Refusal("configuration-invalid", f"The controller's settings are faulty ({where}); its log says what is wrong.")


def schedule(environ: Mapping[str, str]) -> str:
    """The timer's NCRONTAB; a faulty one is a fault of the configuration, and the default keeps the timer alive to say so."""
    text = environ.get("VIP_RECONCILE_SCHEDULE", "").strip() or SCHEDULE
    return SCHEDULE if schedule_fault(text) else text


def load(environ: Mapping[str, str], app_dir: Path) -> Config:
    """The configuration of these settings; relative paths are below `app_dir`. Never raises: faults are in the result."""
    settings = _Settings(environ)
    endpoint, audience = settings.arm()
    table, table_name = settings.table()
    changes, changes_s = settings.numbers(
        "VIP_MAX_CHANGES", "6/600", r"([1-9]\d{0,2})/([1-9]\d{0,5})", CHANGES_MAX,
        f"must be CHANGES/SECONDS, such as 6/600, with at most {CHANGES_MAX} changes",
    )  # fmt: skip
    (skew,) = settings.numbers("VIP_CLOCK_SKEW_S", "30", r"(\d{1,3}(?:\.\d+)?)", 300, "must be a number of seconds from 0 to 300")
    seal = Seal(settings.secret("VIP_AUDIT_KEY"), settings.secret("VIP_AUDIT_KEY_PREVIOUS"))
    if what := schedule_fault(environ.get("VIP_RECONCILE_SCHEDULE", "").strip() or SCHEDULE):
        settings.fault("VIP_RECONCILE_SCHEDULE", what)
    text = settings.mirrors_text(app_dir)
    parsed = document.Document() if text is None else document.read(text)
    keys, key_faults = _keys(parsed.key_ids, environ)
    keys_of: dict[tuple[str, str], tuple[str, ...]] = {}
    for key_id, whose in parsed.key_ids.items():
        keys_of[whose] = (*keys_of.get(whose, ()), key_id)
    return Config(
        mirrors=parsed.mirrors,
        faulty=parsed.faulty,
        keys=keys,
        disabled_keys=parsed.named_keys - keys.keys(),
        keys_of=keys_of,
        table=table,
        table_name=table_name,
        arm_endpoint=endpoint,
        arm_audience=audience,
        client_id=environ.get("AZURE_CLIENT_ID") or None,
        clock_skew_s=skew,
        max_changes=int(changes),
        max_changes_s=changes_s,
        seal=seal,
        faults=(*settings.faults, *parsed.faults, *key_faults),
        fatal=bool(settings.faults) or parsed.fatal,
    )


def setting_name(key_id: str) -> str:
    """`mirrora-1` -> `VIP_KEY_MIRRORA_1`."""
    return "VIP_KEY_" + re.sub(r"[^A-Z0-9]", "_", key_id.upper())


def secret_of(value: str) -> bytes:
    """The bytes of a base64 setting of at least 32 bytes. Raises ValueError with a sentence that shows nothing of it."""
    if value.startswith("@Microsoft.KeyVault("):
        raise ValueError("is a Key Vault reference that is not resolved; look at the app's 'Key Vault references' for the reason")
    try:
        secret = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ValueError("is not base64") from exc
    if len(secret) < 32:
        raise ValueError(f"has {len(secret)} bytes; at least 32 random bytes are needed (openssl rand -base64 32)")
    return secret


def _keys(wanted: Mapping[str, tuple[str, str]], environ: Mapping[str, str]) -> tuple[dict[str, Key], list[Fault]]:
    """The usable keys. A key with a fault is disabled alone; of two that clash both are."""
    keys: dict[str, Key] = {}
    faults: list[Fault] = []
    shared: dict[str, list[str]] = {}
    for key_id in wanted:
        shared.setdefault(setting_name(key_id), []).append(key_id)
    for key_id, (mirror, member) in wanted.items():
        name = setting_name(key_id)
        same = [other for other in shared[name] if other != key_id]
        value = environ.get(name, "")
        if same:
            faults.append(Fault(name, f"key ids {key_id!r} and {same[0]!r} would share this one setting; rename one"))
        elif not value:
            faults.append(Fault(name, f"is not set, so key {key_id!r} is disabled; set it to the text of that member's key file"))
        else:
            try:
                keys[key_id] = Key(key_id=key_id, mirror=mirror, member=member, secret=secret_of(value))
            except ValueError as exc:
                faults.append(Fault(name, f"{exc}, so key {key_id!r} is disabled"))
    holders = Counter(key.secret for key in keys.values())
    equal = {key_id for key_id, key in keys.items() if holders[key.secret] > 1}
    faults += [
        Fault(setting_name(key_id), "has the same secret as another key, so both are disabled; make a new one")
        for key_id in sorted(equal)
    ]
    return {key_id: key for key_id, key in keys.items() if key_id not in equal}, faults


def _connection_fault(text: str) -> str | None:
    """What keeps a storage connection string from use, as the end of a sentence that shows nothing of it, or None."""
    pairs = [part.partition("=") for part in text.strip().rstrip(";").split(";")]
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    endpoint, key = found.get("tableendpoint", ""), found.get("accountkey", "")
    if found.get("usedevelopmentstorage", "").lower() == "true":
        return None
    try:
        parts = urlsplit(endpoint or f"{found.get('defaultendpointsprotocol') or 'https'}://{found.get('accountname', '')}")
        host, signs = parts.hostname, bool(base64.b64decode(key, validate=True) or found.get("sharedaccesssignature"))
    except (binascii.Error, ValueError):
        return "has a TableEndpoint that is no URL, or an AccountKey that is no base64"
    wrong = {
        "has a part without =": not all(equals for _, equals, _ in pairs),
        "names neither AccountName nor TableEndpoint": not host,
        "has neither AccountKey nor SharedAccessSignature": not signs,
        "says http://, which is for loopback only": parts.scheme.lower() != "https" and host not in _LOOPBACK,
    }
    return next((sentence for sentence, applies in wrong.items() if applies), None)


class _Settings:
    """Reads the global settings one by one and gathers their faults."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[Fault] = []

    def fault(self, name: str, what: str) -> None:
        self.faults.append(Fault(name, what))

    def url(self, name: str, value: str) -> str:
        try:
            parts = urlsplit(value)
            host = parts.hostname or ""
        except ValueError:
            self.fault(name, "is not a URL")
            return value
        if parts.scheme not in ("https", "http") or not host:
            self.fault(name, "must be an https:// URL")
        elif parts.scheme == "http" and host not in _LOOPBACK:
            self.fault(name, "http:// is for loopback only: tokens would travel in the clear")
        return value.rstrip("/")

    def arm(self) -> tuple[str, str]:
        cloud = self.environ.get("VIP_CLOUD") or "public"
        if cloud not in CLOUDS:
            self.fault("VIP_CLOUD", f"must be one of {', '.join(CLOUDS)}")
        default = CLOUDS.get(cloud, CLOUDS["public"])
        endpoint = self.environ.get("VIP_ARM_ENDPOINT") or default
        audience = self.environ.get("VIP_ARM_AUDIENCE") or (endpoint if endpoint.startswith("https") else default)
        return self.url("VIP_ARM_ENDPOINT", endpoint), audience.rstrip("/")

    def table(self) -> tuple[str, str]:
        table = self.environ.get("VIP_TABLE", "").strip()
        name = self.environ.get("VIP_TABLE_NAME") or "MirrorVip"
        if not table:
            what = "is not set: the Table endpoint https://ACCOUNT.table.core.windows.net, or a connection string"
            self.fault("VIP_TABLE", what)
        elif "://" in table.split(";")[0].split("=")[0]:
            self.url("VIP_TABLE", table)
        elif "=" not in table:
            self.fault("VIP_TABLE", "is neither a URL nor a connection string")
        elif wrong := _connection_fault(table):
            self.fault("VIP_TABLE", f"is a connection string that {wrong}")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,62}", name):
            self.fault("VIP_TABLE_NAME", "must be 3 to 63 letters and digits and begin with a letter")
        return table, name

    def numbers(self, name: str, default: str, form: str, first_max: int, what: str) -> list[float]:
        """The numbers in a setting of this form, the default's where it is at fault."""
        match = re.fullmatch(form, self.environ.get(name) or default)
        if match and float(match[1]) <= first_max:
            return [float(number) for number in match.groups()]
        self.fault(name, what)
        return [float(number) for number in default.split("/")]

    def secret(self, name: str) -> bytes | None:
        value = self.environ.get(name, "")
        try:
            return secret_of(value) if value else None
        except ValueError as exc:
            self.fault(name, str(exc))
            return None

    def mirrors_text(self, app_dir: Path) -> str | None:
        value = self.environ.get("VIP_MIRRORS", "").strip()
        if not value:
            self.fault("VIP_MIRRORS", "is not set: the mirrors document, inline or as a path relative to the app")
            return None
        if value.startswith("{"):
            return value
        try:
            return (app_dir / value).read_bytes().decode("utf-8-sig")
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
            self.fault("VIP_MIRRORS", f"the file {value[:200]!r} cannot be read: {reason}")
            return None
