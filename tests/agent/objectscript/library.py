"""The IRIS around our routines: its clock, log, jobs, files and classes, as far as the routines use them.

Names, arguments and properties are those of the class reference, and nothing else exists, so a misspelt one shows. Strings that
hold bytes have one character for each, as in IRIS. The time is virtual: HANG moves it. What the network answers is a
function of the test.
"""

import base64
import datetime as dt
import functools
import hashlib
import hmac
import json
import os
import pathlib
import re
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.agent.objectscript.language import IrisError, Routine, Subscripts, Value, Variables, number, text

ROUTINES = pathlib.Path(__file__).parents[3] / "agent"
DAY_ZERO = dt.date(1840, 12, 31)
NOW = Decimal(1790000000)


compiled = functools.lru_cache(maxsize=None)(Routine)


@dataclass(frozen=True)
class Sent:
    """One request as it left IRIS."""

    host: str
    port: int
    path: str
    headers: dict[str, str]
    body: bytes
    proxy: str
    at: Decimal
    open_timeout: int


@dataclass(frozen=True)
class Received:
    """What came back. `failed`: why nothing did."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failed: str = ""


class Iris:
    """One instance, with the routines that are loaded."""

    def __init__(self, *loaded: str, answer: Callable[[Sent], Received] | None = None, now: Decimal = NOW) -> None:
        self.globals: Variables = {}
        self.answer = answer or (lambda _: Received(failed="nobody listens"))
        self.now = now
        self.began = now  # where $ZHOROLOG is 0
        self.clock_error = Decimal(0)  # how far $ZTIMESTAMP is ahead of the true time
        self.member, self.primary = 1, 1
        self.this: Any = None  # the object whose method runs
        self.windows = False
        self.files: dict[str, str] = {}  # stands for a real file elsewhere
        self.missing: set[str] = set()
        self.started: list[list[str]] = []
        self.started_with = 0  # what $ZF(-100) returns
        self.jobs: list[tuple[str, list[Value]]] = []
        self.jobs_start = True
        self.sent: list[Sent] = []
        self.logged: list[tuple[int, str]] = []
        self.hung: list[Decimal] = []
        self.while_hung: Callable[[], None] = lambda: None
        self.locks: set[str] = set()
        self.written = ""
        self.without_source: set[str] = set()  # routines that are there as compiled code alone
        self.own_vip = ""  # Virtual Address of the mirror's configuration
        self.test = 1
        self.tls: dict[str, dict[str, str]] = {}
        self.routines = {name: compiled(name, (ROUTINES / f"{name}.mac").read_text()) for name in loaded}

    def load(self, name: str, source: str) -> None:
        """Load a routine from a text."""
        self.routines[name] = compiled(name, source)

    def call(self, label: str, *arguments: Value) -> Value:
        """Call label^routine from outside, as by $$."""
        name, _, routine = label.partition("^")
        return self.routine(routine).call(self, name, list(arguments), outside=True)

    def routine(self, name: str) -> Routine:
        """Return a loaded routine."""
        if name not in self.routines:
            raise IrisError(f"<NOROUTINE>{name}")
        return self.routines[name]

    def run_jobs(self) -> None:
        """Run the jobs that were started, one after the other."""
        while self.jobs:
            label, arguments = self.jobs.pop(0)
            self.call(label, *arguments)

    # --- commands

    def lock(self, sign: str, name: str, subscripts: Subscripts, timeout: Value) -> None:
        """LOCK + with a timeout sets $TEST; nobody else holds a lock here."""
        assert sign == "-" or timeout is not None, "LOCK without a timeout waits for ever"
        (self.locks.add if sign == "+" else self.locks.discard)(f"{name}{subscripts}")
        self.test = 1

    def hang(self, seconds: int | Decimal) -> None:
        """HANG."""
        self.hung.append(Decimal(seconds))
        assert len(self.hung) < 10000, "it waits for ever"
        self.now += Decimal(seconds)
        self.while_hung()

    def write(self, what: str) -> None:
        """WRITE."""
        self.written += what

    def job(self, label: str, arguments: list[Value], timeout: Value) -> None:
        """JOB label^routine(arguments)::timeout."""
        assert number(timeout) > 0
        self.test = int(self.jobs_start)
        if self.jobs_start:
            self.jobs.append((label, arguments))

    # --- functions

    def special(self, name: str) -> Value:
        """A special variable."""
        days, seconds = divmod(self.now + self.clock_error, 86400)
        known: dict[str, Value] = {
            "$ztimestamp": f"{int(days) + 47117},{text(Decimal(seconds))}",
            "$zhorolog": self.now - self.began,
            "$test": self.test,
            "$username": "%SYSTEM",
            "$roles": "%All",
            "$quit": 1,  # IRIS calls the entry points of ^ZMIRROR by $$
        }
        return known[name]

    def line_of(self, label: str, offset: int, routine: str) -> str:
        """$TEXT: a line by its label, or by its number. Lines of the header and empty ones do not count."""
        source = self.routines[routine].source if routine in self.routines and routine not in self.without_source else ""
        if not label:
            lines = [line for line in source.splitlines() if line.strip() and not line.startswith(("ROUTINE ", "#"))]
            return lines[offset - 1] if 0 < offset <= len(lines) else ""
        found = re.search(rf"^{re.escape(label)}\b.*", source, re.MULTILINE)
        return found[0] if found else ""

    def function(self, name: str, a: list[Value]) -> Value:
        """A function."""
        return FUNCTIONS[name](self, a)

    # --- classes and objects

    def class_method(self, name: str, a: list[Value]) -> Value:
        """A method of a class, `$system.X.Y` included."""
        method = CLASS_METHODS.get(name.lower() if name.startswith("$") else name)
        if method is None:
            raise IrisError(f"<METHOD DOES NOT EXIST>{name}")
        return method(self, a)

    @staticmethod
    def exception(error: IrisError) -> "_Exception":
        """What CATCH gets."""
        return _Exception(error)

    @staticmethod
    def method_of(target: Value, name: str) -> Callable[..., Value]:
        """A method of an object."""
        found = getattr(target, name.replace("%", "m_"), None)
        if not callable(found) or isinstance(target, str | int | Decimal):
            raise IrisError(f"<METHOD DOES NOT EXIST>{name}")
        return found  # type: ignore[no-any-return]

    @staticmethod
    def property_of(target: Value, name: str) -> Value:
        """A property of an object."""
        if isinstance(target, str | int | Decimal) or not hasattr(target, name):
            raise IrisError(f"<PROPERTY DOES NOT EXIST>{name}")
        return getattr(target, name)

    @staticmethod
    def set_property(target: Value, name: str, value: Value) -> None:
        """SET object.property."""
        if not hasattr(target, name):
            raise IrisError(f"<PROPERTY DOES NOT EXIST>{name}")
        setattr(target, name, value)

    def path_of(self, name: str) -> pathlib.Path:
        """The real file behind a name."""
        return pathlib.Path(self.files.get(name, name))


@dataclass
class _Exception:
    error: IrisError

    def DisplayString(self) -> str:
        return str(self.error)


class _File:
    """%Stream.FileCharacter and %Stream.FileBinary."""

    def __init__(self, iris: Iris, *, binary: bool) -> None:
        self.TranslateTable = ""
        self._iris = iris
        self._encoding = "latin-1" if binary else "utf-8"
        self._rest = ""

    def LinkToFile(self, name: str) -> int:
        path = self._iris.path_of(name)
        self._rest = path.read_bytes().decode(self._encoding) if path.is_file() else ""
        return 1

    @property
    def AtEnd(self) -> int:
        return int(not self._rest)

    def ReadLine(self) -> str:
        line, _, self._rest = self._rest.partition("\n")
        return line

    def Read(self, length: int) -> str:
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken


class _Stream:
    def __init__(self, content: str = "") -> None:
        self.content = content

    def Write(self, more: str) -> int:
        self.content += text(more)
        return 1

    def Read(self, length: int) -> str:
        taken, self.content = self.content[:length], self.content[length:]
        return taken


class _Json:
    """%DynamicObject and %DynamicArray."""

    def __init__(self, content: Any) -> None:
        self._content = content

    def __str__(self) -> str:
        return "1@%Library.DynamicAbstractObject"

    def m_Get(self, name: str) -> Value:
        found = self._content.get(name)
        return _Json(found) if isinstance(found, dict | list) else "" if found is None else found

    def m_IsDefined(self, name: str) -> int:
        return int(name in self._content)

    def m_Set(self, name: str, value: Value, kind: str = "") -> None:
        self._content[name] = bool(number(value)) if kind == "boolean" else number(value) if kind == "number" else text(value)

    def m_ToJSON(self) -> str:
        return json.dumps(self._content, separators=(",", ":"), ensure_ascii=False)


class _Response:
    def __init__(self, received: Received) -> None:
        self.StatusCode = received.status
        self.Data = _Stream(received.body.decode("latin-1"))
        self._headers = {name.upper(): value for name, value in received.headers.items()}

    def GetHeader(self, name: str) -> str:
        return self._headers.get(name, "")


class _Request:
    """%Net.HttpRequest."""

    def __init__(self, iris: Iris) -> None:
        self.Server = self.SSLConfiguration = self.ContentType = self.SSLError = self.ProxyServer = self.ProxyAuthorization = ""
        self.Port = self.ProxyPort = self.ProxyTunnel = self.ProxyHTTPS = self.Https = self.WriteRawMode = 0
        self.OpenTimeout = self.Timeout = self.WriteTimeout = self.FollowRedirect = self.SSLCheckServerIdentity = -1
        self.EntityBody = _Stream()
        self.HttpResponse: Any = ""
        self._headers: dict[str, str] = {}
        self._iris = iris

    def SetHeader(self, name: str, value: str) -> int:
        assert name not in ("Content-Type", "Content-Length"), "IRIS ignores it"
        self._headers[name] = value
        return 1

    def Post(self, path: str, test: int) -> Value:
        assert self.Https == 1
        assert self.SSLCheckServerIdentity == 1
        assert self.WriteRawMode == 1
        assert self.SSLConfiguration
        assert 0 < self.OpenTimeout <= 10
        assert 0 < self.Timeout < 230
        headers = {"Content-Type": self.ContentType, **self._headers}
        if test == 1:
            lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
            self._iris.write(f"POST {path} HTTP/1.1\n{lines}\n{self.EntityBody.content}\n")
            return 1
        iris, proxy = (
            self._iris,
            f"{self.ProxyServer}:{self.ProxyPort} {self.ProxyAuthorization}".strip() if self.ProxyServer else "",
        )
        body = self.EntityBody.content.encode("latin-1")
        opening = int(number(self.OpenTimeout))
        iris.sent.append(Sent(text(self.Server), int(number(self.Port)), path, headers, body, proxy, iris.now, opening))
        received = iris.answer(iris.sent[-1])
        if received.failed:
            return "0 " + received.failed
        self.HttpResponse = _Response(received)
        return 1


def _piece(a: list[Value]) -> str:
    parts = text(a[0]).split(text(a[1]))
    first = int(number(a[2])) if len(a) > 2 else 1
    last = int(number(a[3])) if len(a) > 3 else first
    return text(a[1]).join(parts[max(first, 1) - 1 : last])


def _translate(a: list[Value]) -> str:
    source, target = text(a[1]), text(a[2]) if len(a) > 2 else ""
    table = {one: (target[at] if at < len(target) else "") for at, one in reversed(list(enumerate(source)))}
    return "".join(table.get(one, one) for one in text(a[0]))


def _strip(a: list[Value]) -> str:
    value, action = text(a[0]), text(a[1])
    kinds = {"W": r"\s", "C": r"\x00-\x1f\x7f"}
    marks = "".join(kinds[letter] for letter in action if letter in kinds) + re.escape(text(a[2]) if len(a) > 2 else "")
    value = re.sub(f"^[{marks}]+", "", value) if "<" in action else value
    value = re.sub(f"[{marks}]+$", "", value) if ">" in action else value
    value = re.sub(f"([{marks}])\\1+", r"\1", value) if "=" in action else value
    return re.sub(f"[{marks}]", "", value) if "*" in action else value


def _justify(a: list[Value]) -> str:
    value = text(a[0])
    if len(a) > 2:
        value = str(Decimal(number(a[0])).quantize(Decimal(1).scaleb(-int(number(a[2]))), ROUND_HALF_UP))
    return value.rjust(int(number(a[1])))


def _convert(a: list[Value]) -> str:
    if [text(one) for one in a[1:]] == ["O", "UTF8"]:
        return text(a[0]).encode().decode("latin-1")
    if [text(one) for one in a[1:]] == ["I", "URL"]:  # %C3 is $CHAR(195)
        return urllib.parse.unquote_to_bytes(text(a[0]).encode("latin-1")).decode("latin-1")
    assert a[1] == "L"
    return text(a[0]).lower()


def _extract(a: list[Value]) -> str:
    first = int(number(a[1])) if len(a) > 1 else 1
    last = int(number(a[2])) if len(a) > 2 else first
    return text(a[0])[first - 1 : last]


def _find(a: list[Value]) -> int:
    at = text(a[0]).find(text(a[1])) if text(a[1]) else 0
    return 0 if at < 0 else at + len(text(a[1])) + 1


def _date(a: list[Value]) -> str:
    assert number(a[1]) == 3
    return (DAY_ZERO + dt.timedelta(int(number(a[0])))).isoformat()


def _date_of(a: list[Value]) -> int:
    assert number(a[1]) == 3
    try:
        return (dt.date.fromisoformat(text(a[0])) - DAY_ZERO).days
    except ValueError as error:
        raise IrisError("<ILLEGAL VALUE>") from error


def _time(a: list[Value]) -> str:
    assert number(a[1]) == 1
    return str(dt.timedelta(seconds=int(number(a[0])))).rjust(8, "0")


def _start(iris: Iris, a: list[Value]) -> int:
    """$ZF(-100, flags, program, .arguments): the count is at the root of the array."""
    assert number(a[0]) == -100
    given = a[3]
    words = [text(given[(str(place),)]) for place in range(1, int(number(given[()])) + 1)]
    assert len(words) == len(given) - 1
    iris.started.append([text(a[1]), text(a[2]), *words])
    return iris.started_with


FUNCTIONS: dict[str, Callable[[Iris, list[Value]], Value]] = {
    "$char": lambda _, a: "".join(chr(int(number(one))) for one in a),
    "$extract": lambda _, a: _extract(a),
    "$find": lambda _, a: _find(a),
    "$isobject": lambda _, a: int(not isinstance(a[0], str | int | Decimal)),
    "$justify": lambda _, a: _justify(a),
    "$length": lambda _, a: text(a[0]).count(text(a[1])) + 1 if len(a) > 1 else len(text(a[0])),
    "$piece": lambda _, a: _piece(a),
    "$random": lambda _, a: int.from_bytes(os.urandom(4), "big") % int(number(a[0])),
    "$translate": lambda _, a: _translate(a),
    "$zconvert": lambda _, a: _convert(a),
    "$zdate": lambda _, a: _date(a),
    "$zdateh": lambda _, a: _date_of(a),
    "$zf": _start,
    "$zstrip": lambda _, a: _strip(a),
    "$ztime": lambda _, a: _time(a),
    "$zversion": lambda iris, _: 2 if iris.windows else 3,
}


def _bytes(value: Value) -> bytes:
    return text(value).encode("latin-1")


def _sha(a: list[Value]) -> str:
    assert number(a[0]) == 256
    return hashlib.sha256(_bytes(a[1])).digest().decode("latin-1")


def _hmac(a: list[Value]) -> str:
    """HMACSHA(bits, text, key)."""
    assert number(a[0]) == 256
    return hmac.new(_bytes(a[2]), _bytes(a[1]), hashlib.sha256).digest().decode("latin-1")


def _encode(a: list[Value]) -> str:
    assert number(a[1]) == 1, "else a line break after 76 characters"
    return base64.b64encode(_bytes(a[0])).decode()


def _decode(a: list[Value]) -> str:
    try:
        return base64.b64decode(text(a[0]).encode("latin-1")).decode("latin-1")  # passes over what is no base64, as IRIS may
    except ValueError as error:
        raise IrisError("<ILLEGAL VALUE>") from error


def _parse_json(a: list[Value]) -> _Json:
    try:
        return _Json(json.loads(text(a[0])))
    except ValueError as error:
        raise IrisError("<THROW> Parsing error") from error


def _log(iris: Iris, a: list[Value]) -> int:
    """WriteToConsoleLog(text, flag, severity, event)."""
    assert [number(a[1]), a[3]] == [0, "ZMIRROR.VIP"]
    iris.logged.append((int(number(a[2])), text(a[0])))
    return 1


def _tls(iris: Iris, a: list[Value]) -> int:
    iris.tls[text(a[0])] = {key[0]: text(value) for key, value in a[1].items()}
    return 1


def _member_settings(_: Iris, a: list[Value]) -> int:
    """Get(.Properties): what the section MirrorMember of the configuration file has."""
    a[0][("SystemName",)] = "MIRRORA"
    return 1


def _mirror_settings(iris: Iris, a: list[Value]) -> int:
    """Get(Name, .Properties)."""
    assert a[0] == "PROD"
    a[1][("VirtualAddress",)] = iris.own_vip
    return 1


CLASS_METHODS: dict[str, Callable[[Iris, list[Value]], Value]] = {
    "$system.Encryption.SHAHash".lower(): lambda _, a: _sha(a),
    "$system.Encryption.HMACSHA".lower(): lambda _, a: _hmac(a),
    "$system.Encryption.Base64Encode".lower(): lambda _, a: _encode(a),
    "$system.Encryption.Base64Decode".lower(): lambda _, a: _decode(a),
    "$system.Encryption.GenCryptRand".lower(): lambda _, a: os.urandom(int(number(a[0]))).decode("latin-1"),
    "$system.Util.CreateGUID".lower(): lambda _, __: str(uuid.uuid1()).upper(),
    "$system.Mirror.IsPrimary".lower(): lambda iris, _: iris.primary,
    "$system.Mirror.IsMember".lower(): lambda iris, _: iris.member,
    "$system.Mirror.MirrorName".lower(): lambda _, __: "PROD",
    "$system.Status.GetErrorText".lower(): lambda _, a: text(a[0])[2:],
    "%DynamicObject.%New": lambda _, __: _Json({}),
    "%DynamicObject.%FromJSON": lambda _, a: _parse_json(a),
    "%File.Exists": lambda iris, a: int(a[0] not in iris.missing and iris.path_of(text(a[0])).exists()),
    "%Net.HttpRequest.%New": lambda iris, _: _Request(iris),
    "%Stream.FileBinary.%New": lambda iris, _: _File(iris, binary=True),
    "%Stream.FileCharacter.%New": lambda iris, _: _File(iris, binary=False),
    "%SYS.System.WriteToConsoleLog": _log,
    "Config.MirrorMember.Get": _member_settings,
    "Config.Mirrors.Get": _mirror_settings,
    "Security.SSLConfigs.Exists": lambda iris, a: int(a[0] in iris.tls),
    "Security.SSLConfigs.Create": _tls,
    "Security.SSLConfigs.Modify": _tls,
}
