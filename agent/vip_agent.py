#!/usr/bin/env python3
"""The agent of a mirror member: tells the controller "I am primary" until the VIP is here.

One file, standard library only, Python 3.6 to 3.14. README.md beside it says how to install it. docs/api.md section 11
is its specification, docs/api.md sections 6 and 7 say what goes over the wire. It shares no code with the controller: both are
held to tests/vectors. Heavy modules (ssl, http.client, subprocess) are imported where they are used: the time from
start to the first byte on the wire is part of every failover.

Exit codes: 0 the VIP is here (status: answered; doctor: no fault; sign: printed; --detach: started); 1 doctor found a
fault; 2 usage or configuration; 3 not or no longer primary, or superseded; 4 refused for good; 5 deadline passed. One
line of JSON on stdout says which, after doctor's lines; sign prints headers instead.

Which answers are final: only the controller's own, never what a platform, a proxy or a cold host says in its place. Its
own are a 200 with a JSON object that holds one of our outcomes, and an application/problem+json document that holds one
of our codes. The result ends a claim with 0, claim-superseded with 3, signature-invalid, signature-missing and any code
under status 403 or 404 with 4. Everything else is tried again. README.md has the table.

A name with several addresses: the next address is tried beside the one before it when that has failed or has been silent
for half a second; the first that completes TCP connection and TLS handshake is used (RFC 8305). Of several urls, each
attempt takes the next; in the first round a dead one costs 2 s at most.
"""

import argparse
import base64
import binascii
import configparser
import errno
import fcntl
import hashlib
import hmac
import json
import os
import re
import stat
import sys
import threading
import time
from functools import partial

VERSION = "1.0"
PROGRAM = "vip_agent"
DEFAULT_CONFIG = "/etc/mirror-vip/agent.ini"
EVENTS = ("CheckBecomePrimaryOK", "NotifyBecomePrimary", "startup", "watch", "manual")
EXIT_PLACED, EXIT_FAULTS, EXIT_USAGE, EXIT_NOT_PRIMARY, EXIT_REFUSED, EXIT_DEADLINE, EXIT_INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

CONNECT_LIMIT_S = 10.0
FIRST_LOOK_S = 2.0  # for each of several urls but the last, in the first round
ADDRESS_LEAD_S = 0.5  # silent for so long, an address gets the next one beside it
ANSWER_LIMIT_S = 210.0  # the controller answers within 200 s in any case
TURN_LIMIT_S = 240.0  # longer than any attempt, primary_check and connecting included
CHECK_LIMIT_S = 5.0
NOT_PRIMARY_YET_S = 600.0  # CheckBecomePrimaryOK runs before IRIS calls itself primary
STATUS_DEADLINE_S = 30.0
WATCH_LOOKS = 3  # so often primary_check must have said primary in a row before watch acts
WATCH_ANSWER_S = 15.0
WATCH_CLAIM_S = 60.0  # how long one claim of watch goes on; the next one is made later and later
WATCH_PAUSE_MAX_S = 600.0
RETRY_AFTER_MAX_S = 300.0
FOREIGN_RETRY_AFTER_MAX_S = 30.0  # a platform or proxy does not know when the controller is back
SIGNATURE_LIFETIME_S = 60
ANSWER_BYTES_MAX = 65536
EXCERPT_CHARACTERS = 200
EVIDENCE_BYTES_MAX = 1024
KEY_BYTES_MIN = 32
FIRST_ATTEMPT_S = 1.0  # younger than this, the first attempt states age 0


class Stop(Exception):  # noqa: N818  (an end, not always an error)
    """The end of a command: the exit code, what to call it, and a sentence that an operator can act on."""

    def __init__(self, exit_code: int, outcome: str, detail: str = "", **fields: object) -> None:
        super().__init__(detail)
        self.exit_code = exit_code
        self.outcome = outcome
        self.detail = detail
        self.fields = fields


class TimedOut(Exception):  # noqa: N818  (its name says all)
    """A piece of work did not end within its limit."""


# --- time ------------------------------------------------------------------------------------------------


CLOCK_BOOTTIME = 7  # of Linux; Python names it since 3.7


def steady() -> float:
    """Return seconds on a clock that never steps; on Linux it counts suspended time too."""
    if sys.platform.startswith("linux"):
        return time.clock_gettime(CLOCK_BOOTTIME)
    return time.monotonic()


class WallClock:
    """What goes into signatures: the node's clock, or the controller's once it has told us that ours is wrong.

    A correction is anchored to the steady clock, so a later step of the node's clock does not matter. Nothing is kept
    on disk.
    """

    def __init__(self) -> None:
        self._offset = None  # seconds since 1970 at steady() == 0, by the controller's Date
        self._last_us = 0
        self._before_us = 0

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time() if self._offset is None else self._offset + steady()

    def issue(self) -> tuple:
        """Return (second, microsecond) for one attempt, strictly later than the attempt before it."""
        self._before_us = self._last_us
        self._last_us = max(int(self.now() * 1000000), self._last_us + 1)
        return divmod(self._last_us, 1000000)

    def correct(self, date: str, *, spent: bool) -> bool:
        """Adopt the Date header of an authenticated answer if our clock is off by more than such a header can tell.

        `spent`: the controller has accepted a claim of the last attempt's time or a later one, so time must not go back
        behind it. Otherwise it has refused that time as none of its own. Then a clock that was ahead goes back, and so do
        the times of earlier attempts: the controller has accepted none that is later than its own.
        """
        seconds = date_seconds(date)
        if seconds is None:
            return False
        middle = seconds + 0.5  # the header has whole seconds only
        ahead = not spent and self._last_us > (middle + 1.0) * 1000000  # by a clock that may have been set right since
        if abs(middle - self.now()) <= 1.0 and not ahead:
            return False
        self._offset = middle - steady()
        if not spent:
            self._last_us = min(self._before_us, int(middle * 1000000))
        return True


def date_seconds(text: str):
    """Return an HTTP date as seconds since 1970; None for what is no date, or none of a year that a calendar has."""
    from email.utils import mktime_tz, parsedate_tz

    try:
        parsed = parsedate_tz(text or "")
        return None if parsed is None else mktime_tz(parsed)
    except (ValueError, OverflowError, LookupError, TypeError):
        return None


class Task(threading.Thread):
    """Work in a daemon thread, so that what hangs (DNS, a command, a silent server) costs its limit and no more."""

    def __init__(self, work, *arguments) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._arguments = arguments
        self._value = None
        self._error = None
        self.start()

    def run(self) -> None:
        """Do the work; called by the thread."""
        try:
            self._value = self._work(*self._arguments)
        except Exception as error:  # handed to whoever asks for the result
            self._error = error

    def result(self, limit_s):
        """Return the value, raise what the work raised, or TimedOut after limit_s seconds (None: no limit)."""
        self.join(None if limit_s is None else max(0.0, limit_s))
        if self.is_alive():
            raise TimedOut
        if self._error is not None:
            raise self._error
        return self._value


# --- output ----------------------------------------------------------------------------------------------


def write_out(descriptor: int, text: str) -> None:
    """Write without ever failing: a full disk or a closed pipe behind stdout changes nothing about the claim."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass


def complain(sentence: str) -> None:
    """Write one line to stderr."""
    write_out(2, PROGRAM + ": " + " ".join(sentence.split()) + "\n")


def print_result(result: dict) -> None:
    """Write one line of JSON to stdout."""
    write_out(1, json.dumps(result, sort_keys=False) + "\n")


class Log:
    """Appends lines to the log file; falls back to syslog, and to silence, rather than stop a claim."""

    _nobody_reads = False  # syslog has not taken a line in time

    def __init__(self, path: str, *, without=()) -> None:
        self._path = path
        self._without = without  # names of events that are not worth a line

    def write(self, name: str, **fields: object) -> None:
        """Append one line: the event's name and its fields, empty ones left out."""
        if name in self._without:
            return
        words = [name] + ["%s=%s" % (field, _word(value)) for field, value in fields.items() if value not in (None, "")]
        line = " ".join(words)
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03dZ" % (now % 1 * 1000)
        if not self._append("%s [%d] %s\n" % (stamp, os.getpid(), line)):
            self._syslog(line)

    def _append(self, line: str) -> bool:
        if not self._path:
            return True
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            folder = os.stat(os.path.dirname(self._path))
            foreign = os.geteuid() == 0 and folder.st_uid != 0  # run by hand as root: a link there is none of root's
            descriptor = os.open(self._path, flags | (os.O_NOFOLLOW if foreign else 0), 0o640)
            try:
                if foreign and os.fstat(descriptor).st_size == 0:
                    # The log must stay writable for the user that IRIS runs as.
                    os.fchown(descriptor, folder.st_uid, folder.st_gid)
                os.write(descriptor, line.encode("utf-8", "backslashreplace"))
            finally:
                os.close(descriptor)
        except (OSError, ValueError):
            return False
        return True

    def shout(self, name: str, sentence: str) -> None:
        """Tell in the log, in syslog and on stderr what somebody has to mend, although the agent goes on."""
        self.write(name, detail=sentence)
        self._syslog("%s: %s" % (name, sentence))
        complain(sentence)

    @classmethod
    def _syslog(cls, line: str) -> None:
        """Send a line, within a second: syslog(3) waits for ever where nobody takes it, as on a node whose disk is full."""
        if cls._nobody_reads:
            return
        try:
            Task(to_syslog, line).result(1.0)
        except TimedOut:
            cls._nobody_reads = True
        except Exception:  # there may be no syslog module or service; the claim goes on
            pass


def to_syslog(line: str) -> None:
    """Send a line to the node's syslog."""
    import syslog

    syslog.openlog(PROGRAM, syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, line)


def _word(value: object) -> str:
    text = str(value)
    return text if re.match(r"[\x21-\x7e]+\Z", text) and '"' not in text else json.dumps(text)


# --- configuration ---------------------------------------------------------------------------------------

REQUIRED = ("url", "mirror", "member", "key_id", "key_file")
OPTIONAL = {
    "primary_check": "",
    "ca_file": "",
    "proxy": "",
    "deadline_s": "0",
    "log_file": "",
    "retry_min_s": "0.5",
    "retry_max_s": "15",
}
VERBATIM = ("member", "primary_check")  # in all others a blank and a semicolon begin a comment


class Settings:
    """The checked configuration: the settings of agent.ini by name, the urls and the proxy taken apart."""

    def __init__(self, values: dict) -> None:
        faults = ["%s is missing" % name for name in REQUIRED if not values.get(name)]
        self.mirror = values.get("mirror", "")
        self.member = values.get("member", "")
        self.key_id = values.get("key_id", "")
        self.key_file = values.get("key_file", "")
        self.primary_check = values["primary_check"]
        self.ca_file = values["ca_file"]
        self.log_file = values["log_file"]
        self.deadline_s = _seconds(values, "deadline_s", faults)
        self.retry_min_s = _seconds(values, "retry_min_s", faults)
        self.retry_max_s = _seconds(values, "retry_max_s", faults)
        self.urls = [Url(text, faults) for text in values.get("url", "").split()]
        self.proxy = Proxy(values["proxy"], faults) if values["proxy"] else None
        if self.proxy and not all(url.secure for url in self.urls) and not _is_loopback(self.proxy.host):
            faults.append("proxy must be on this machine where a url is http://")
        self._check_names(faults)
        self._check_files(faults)
        if faults:
            raise Stop(EXIT_USAGE, "configuration", "; ".join(faults))

    @property
    def key_setting(self) -> str:
        """The name of the app setting that holds the same key."""
        return "VIP_KEY_" + re.sub("[^A-Z0-9]", "_", self.key_id.upper())

    def _check_names(self, faults: list) -> None:
        if self.mirror and not re.match(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z", self.mirror):
            faults.append("mirror must be letters, digits, _ and -, at most 63, as in the mirrors document")
        if len(self.member) > 64 or not self.member.isprintable():
            faults.append("member must be at most 64 printable characters, as in the mirrors document")
        if self.key_id and not re.match(r"[\x20-\x7e]{1,128}\Z", self.key_id) or set('"\\') & set(self.key_id):
            faults.append('key_id must be printable ASCII without " and \\')
        if None not in (self.retry_min_s, self.retry_max_s) and not 0 < self.retry_min_s <= self.retry_max_s:
            faults.append("retry_min_s must be above 0 and at most retry_max_s")

    def _check_files(self, faults: list) -> None:
        files = {"key_file": self.key_file, "ca_file": self.ca_file, "log_file": self.log_file}
        # A detached agent has another working directory.
        faults += ["%s must be an absolute path" % name for name, path in files.items() if not os.path.isabs(path or "/")]
        if self.ca_file and not os.access(self.ca_file, os.R_OK):
            faults.append("ca_file %s cannot be read; name a PEM file, or nothing for the system's" % self.ca_file)


def _seconds(values: dict, name: str, faults: list):
    try:
        return parse_seconds(values[name])
    except ValueError as error:
        faults.append("%s %s" % (name, error))
        return None


def parse_seconds(text: str) -> float:
    """Return a finite number of seconds, 0 or more. Raises ValueError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise ValueError("must be a number of seconds, 0 or more, not %r" % text)
    return seconds


class Url:
    """The base of one controller: its text, scheme, host, port and path."""

    def __init__(self, text: str, faults: list) -> None:
        from urllib.parse import urlsplit

        self.text = text.rstrip("/")
        self.secure, self.host, self.port, self.path = True, "", None, ""
        try:
            parts = urlsplit(text)
            self.host, self.port, self.path = parts.hostname or "", parts.port, parts.path.rstrip("/")
        except ValueError as error:
            faults.append("url is no URL: %s" % error)
            return
        self.secure = parts.scheme == "https"
        if parts.scheme not in ("https", "http") or not self.host or parts.query or parts.fragment or "@" in parts.netloc:
            faults.append("url must look like https://APP.azurewebsites.net/api, without user, query or fragment")
        elif parts.scheme == "http" and not _is_loopback(self.host):
            faults.append("url must be https:// (http:// only for this machine itself)")
        elif not self.path.endswith("/api"):
            faults.append("url must end in /api")
        elif not re.match(r"[\x21-\x7e]+\Z", text):
            faults.append("url must be printable ASCII")
        elif not is_name(self.host):
            faults.append("url must name a host, not %s" % self.host)


class Proxy:
    """The HTTP proxy of agent.ini, the only one that is ever asked: host, port and its credentials as a header line."""

    def __init__(self, text: str, faults: list) -> None:
        from urllib.parse import unquote, urlsplit

        self.host, self.port, self.credentials = "", 80, ""
        try:
            parts = urlsplit(text)
            self.host, self.port = parts.hostname or "", parts.port or 80
        except ValueError:
            parts = urlsplit("")
        if parts.scheme != "http" or not is_name(self.host) or parts.path.strip("/") or parts.query or parts.fragment:
            faults.append("proxy must look like http://PROXY:3128 or http://USER:PASSWORD@PROXY:3128")
        elif parts.username is not None:
            pair = unquote(parts.username) + ":" + unquote(parts.password or "")
            self.credentials = "Basic " + _base64(pair.encode("utf-8"))


def is_name(host: str) -> bool:
    """Say whether DNS can be asked for the name, or it is an address: no part is empty or longer than 63 characters."""
    return re.match(r"[^.]{1,63}(\.[^.]{1,63})*\.?\Z", host) is not None


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or re.match(r"127(\.\d{1,3}){3}\Z", host) is not None


def load_settings(path: str, member: str) -> Settings:
    """Read agent.ini. Raises Stop with every fault found in it."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8-sig") as file:  # editors of Windows begin a file with a byte order mark
            parser.read_file(file)
    except OSError as error:
        advice = "name the file with --config; it must be readable by uid %d" % os.geteuid()
        detail = "%s cannot be read (%s); %s" % (path, error.strerror, advice)
        raise Stop(EXIT_USAGE, "configuration", detail) from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Stop(EXIT_USAGE, "configuration", "%s is no INI file in UTF-8: %s" % (path, error)) from error
    if not parser.has_section("agent"):
        raise Stop(EXIT_USAGE, "configuration", "%s has no section [agent]" % path)
    values = dict(OPTIONAL)
    for name, value in parser.items("agent"):
        values[name] = (value if name in VERBATIM else re.split(r"(?:^|\s);", value)[0]).strip()
        if "\0" in value:
            raise Stop(EXIT_USAGE, "configuration", "%s: %s has a NUL character; write the file anew" % (path, name))
    unknown = sorted(set(values) - set(REQUIRED) - set(OPTIONAL))
    if unknown:
        known = ", ".join(REQUIRED + tuple(OPTIONAL))
        detail = "%s: unknown setting %s; known are %s" % (path, ", ".join(unknown), known)
        raise Stop(EXIT_USAGE, "configuration", detail)
    if member:
        values["member"] = member
    try:
        return Settings(values)
    except Stop as stop:
        raise Stop(stop.exit_code, stop.outcome, "%s: %s" % (path, stop.detail)) from stop


def load_key(path: str) -> bytes:
    """Return the secret in the key file. Raises Stop if the file is no safe place for one or holds none."""

    def refuse(what: str) -> Stop:
        return Stop(EXIT_USAGE, "configuration", "key_file %s %s" % (path, what))

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise refuse("cannot be read (%s) by uid %d" % (error.strerror, os.geteuid())) from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise refuse("is no regular file")
        if facts.st_mode & 0o027:
            mode = stat.S_IMODE(facts.st_mode)
            raise refuse("has mode %04o: others can read it or the group can write it; use chmod 0600 or 0640" % mode)
        text = os.read(descriptor, 8192)
    except OSError as error:
        raise refuse("cannot be read (%s)" % error.strerror) from error
    finally:
        os.close(descriptor)
    line = text.strip()
    try:
        secret = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) < KEY_BYTES_MIN:
        advice = "as in: head -c 32 /dev/urandom | base64"
        raise refuse("must hold one line: base64 of at least %d random bytes, %s" % (KEY_BYTES_MIN, advice))
    return secret


# --- signature: RFC 9421 and RFC 9530 --------------------------------------------------------------------


def sign(secret: bytes, key_id: str, path: str, body: bytes, created: int, expires: int, nonce: str) -> dict:
    """Return the headers of a signed POST: Content-Type, Content-Digest, Signature-Input, Signature."""
    content_type = "application/json"
    digest = "sha-256=:" + _base64(hashlib.sha256(body).digest()) + ":"
    parameters = '("@method" "@path" "content-type" "content-digest")'
    parameters += ";created=%d;expires=%d" % (created, expires)
    parameters += ';nonce="%s";alg="hmac-sha256";keyid="%s";tag="mirror-vip"' % (nonce, key_id)
    base = '"@method": POST\n"@path": %s\n"content-type": %s\n' % (path, content_type)
    base += '"content-digest": %s\n"@signature-params": %s' % (digest, parameters)
    signature = hmac.new(secret, base.encode("ascii"), hashlib.sha256).digest()
    return {
        "Content-Type": content_type,
        "Content-Digest": digest,
        "Signature-Input": "mirror-vip=" + parameters,
        "Signature": "mirror-vip=:" + _base64(signature) + ":",
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def new_claim_id() -> str:
    """Return a random UUID (RFC 9562, version 4). The uuid module would cost more time than all of a signature."""
    data = bytearray(os.urandom(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    digits = binascii.hexlify(bytes(data)).decode("ascii")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def rfc3339(second: int, microsecond: int) -> str:
    """Return the UTC time as in 2026-11-23T01:02:03.000004Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)) + ".%06dZ" % microsecond


# --- who is primary --------------------------------------------------------------------------------------

PRIMARY, NOT_PRIMARY, UNKNOWN = "primary", "not", "unknown"
CANNOT_RUN = "cannot-run"  # unknown, and so it stays until somebody mends the setting


class CannotRun(Exception):  # noqa: N818
    """primary_check is no command that can be run."""


class PrimaryCheck:
    """One asking of primary_check. It runs beside the connecting, as it must only be known before the claim is sent."""

    def __init__(self, check: str, context) -> None:
        self._check = check
        self._context = context  # makes the TLS context for an https:// page
        self._process = self._page = None
        self.port = None  # of the superserver, if `iris qlist` tells it
        self._began = steady()
        self._task = Task(self._ask)

    def verdict(self) -> tuple:
        """Return (PRIMARY, NOT_PRIMARY, UNKNOWN or CANNOT_RUN, why). What does not answer within 5 s is UNKNOWN."""
        try:
            return self._task.result(self._began + CHECK_LIMIT_S - steady())
        except CannotRun as error:
            return CANNOT_RUN, str(error)
        except TimedOut:
            return UNKNOWN, "no answer within %d s" % CHECK_LIMIT_S
        except Exception as error:
            return UNKNOWN, describe(error)
        finally:
            self._end()

    def _ask(self) -> tuple:
        return self._ask_page() if re.match(r"https?://", self._check) else self._ask_command()

    def _ask_command(self) -> tuple:
        import shlex
        import subprocess

        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        try:
            words = shlex.split(self._check)
            self._process = subprocess.Popen(words, cwd="/", start_new_session=True, **quiet)
        except (OSError, ValueError) as error:  # ValueError: an open quote
            raise CannotRun(describe(error)) from error
        output = self._process.stdout.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
        self._process.stdout.close()
        line = output.split("^")
        self.port = int(line[5]) if len(line) > 11 and re.match(r"\d{1,5}\Z", line[5]) else None
        return judge_check(words, self._process.wait(), output)

    def _end(self) -> None:
        """Kill a command that still runs, with its children; hang up on a page that still answers."""
        if self._page is not None and self._task.is_alive():
            hang_up(self._page)
        if self._process is not None and self._task.is_alive():
            try:
                os.killpg(self._process.pid, 9)
            except OSError:
                pass  # it has ended meanwhile, or is another user's (sudo): its answer is not waited for either way

    def _ask_page(self) -> tuple:
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(self._check)
            where = parts.hostname or "", parts.port
        except ValueError as error:
            raise CannotRun(describe(error)) from error
        if not is_name(where[0]):
            raise CannotRun("%s names no host" % self._check)
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        context = self._context() if parts.scheme == "https" else None
        self._page = connection = open_connection(context, *where, CHECK_LIMIT_S)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            status = connection.getresponse().status
        finally:
            connection.close()
        return {200: PRIMARY, 503: NOT_PRIMARY}.get(status, UNKNOWN), "the page answered %d" % status


def judge_check(words: list, status: int, output: str) -> tuple:
    """Return (verdict, why) for a command's words, its exit status and its output.

    `iris qlist` ends with 0 whatever the role: field 12 of its line counts. It is recognized by the command's words, or
    by its shape if a script calls it. Only the settled roles decide; a hung instance, or one between two roles, is
    unknown.
    """
    lines = [line.split("^") for line in output.splitlines() if line.count("^") >= 11]
    if "qlist" in words or (status == 0 and lines):
        if status != 0 or len(lines) != 1:
            return CANNOT_RUN, "qlist ended with %d and told of %d instances; name one" % (status, len(lines))
        state, role = lines[0][8].strip().lower(), lines[0][11].strip()
        if state == "hung":
            return UNKNOWN, "qlist says that the instance is hung"
        settled = {"primary": PRIMARY, "backup": NOT_PRIMARY, "connected": NOT_PRIMARY, "waiting": NOT_PRIMARY}
        return settled.get(role.lower(), UNKNOWN), "qlist says %s" % (role or "nothing about a mirror")
    verdicts = {0: PRIMARY, 1: NOT_PRIMARY, 126: CANNOT_RUN, 127: CANNOT_RUN}  # the last two: what sh and env say
    return verdicts.get(status, UNKNOWN), "the command ended with %d" % status


# --- HTTP ------------------------------------------------------------------------------------------------


def make_tls_context(ca_file: str, *, lean=False):
    """Return a context that verifies certificate and host name. Raises Stop if ca_file holds no certificates.

    `lean`: reading the system's whole bundle takes as long as all imports together, so where the system also keeps its
    certificates by hash (Debian, Ubuntu, SLES, RHEL 10), OpenSSL looks up the one that it needs.
    """
    import ssl

    try:
        if lean and not ca_file and hashed_certificates():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies both, as create_default_context does
            context.load_verify_locations(capath=hashed_certificates())
        else:
            context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        detail = "ca_file %s holds no usable certificates (%s)" % (ca_file, error)
        raise Stop(EXIT_USAGE, "configuration", detail) from error
    if hasattr(context, "minimum_version"):
        context.minimum_version = 0x0303  # TLS 1.2; Python 3.6 has no such attribute and takes what the system allows
    return context


def hashed_certificates() -> str:
    """Return the system's folder of certificates named by hash; "" if there is none or the environment names others."""
    import ssl

    paths = ssl.get_default_verify_paths()
    if os.environ.get(paths.openssl_cafile_env) or not paths.capath:
        return ""
    try:
        names = os.listdir(paths.capath)
    except OSError:
        return ""
    return paths.capath if any(re.match(r"[0-9a-f]{8}\.0\Z", name) for name in names) else ""


def open_connection(context, host: str, port, limit_s: float, *, first=0, strict=False, proxy=None):
    """Return a connected http.client connection, over TLS if a context is given, through a proxy if one is.

    The name's addresses are tried from number `first` on; `strict`: up to one whose certificate is refused. Raises OSError;
    Unconnected if there were addresses to try.
    """
    import http.client
    import socket

    if context is None:
        connection = http.client.HTTPConnection(host, port or 80, timeout=limit_s)
    else:
        connection = http.client.HTTPSConnection(host, port or 443, timeout=limit_s, context=context)
    to = (host, connection.port) if proxy is None else (proxy.host, proxy.port)
    addresses = in_turn(socket.getaddrinfo(to[0], to[1], 0, socket.SOCK_STREAM), first)
    ends = steady() + limit_s
    connection.sock = Race(None if proxy else context, host, ends, strict).run(addresses)
    if proxy is not None and context is not None:
        connection.sock.settimeout(max(0.01, ends - steady()))
        through_proxy(connection.sock, host, connection.port, proxy.credentials)
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
    return connection


def through_proxy(sock, host: str, port: int, credentials: str) -> None:
    """Ask the proxy for a way to the controller (RFC 9110 section 9.3.6). Raises OSError if it gives none."""
    to = ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)
    more = "Proxy-Authorization: %s\r\n" % credentials if credentials else ""
    sock.sendall(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (to, to, more)).encode("ascii"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)  # not one more: what follows is TLS
        if not byte or len(head) > 8192:
            raise OSError("the proxy hung up")
        head += byte
    line = printable(head.split(b"\r\n")[0].decode("latin-1"))
    if not re.match(r"HTTP/1\.[01] 2\d\d\b", line):
        raise OSError("the proxy answered %s" % line)


def in_turn(addresses: list, first: int) -> list:
    """Return the addresses of getaddrinfo with their families in turn (RFC 8305 section 4), beginning with number `first`."""
    count_of, ranked = {}, []
    for position, address in enumerate(addresses):
        rank = count_of.get(address[0], 0)
        count_of[address[0]] = rank + 1
        ranked.append((rank, position))
    ordered = [addresses[position] for _, position in sorted(ranked)]
    start = first % len(ordered)
    return ordered[start:] + ordered[:start]


class Unconnected(OSError):
    """No address of a name could be connected to. `errors`: what each of them said."""

    def __init__(self, errors: list) -> None:
        super().__init__("; ".join("%s: %s" % (address, describe(error)) for address, error in errors))
        self.errors = [error for _, error in errors]


class Race:
    """Connects to the addresses of one name; the first that is ready, TLS handshake included, is used.

    The next address is tried when the one before it has failed, or has said nothing for ADDRESS_LEAD_S. The one before
    goes on meanwhile, so that a slow address is as good as any if it is the only one.
    """

    def __init__(self, context, host: str, ends: float, strict) -> None:
        self._context = context
        self._host = host  # for SNI and the check of the certificate, whichever address is used
        self._ends = ends
        self._strict = strict  # a refused certificate ends the race
        self._changed = threading.Condition()
        self._under_way = {}  # number: socket
        self._failed = {}  # number: error
        self._won = None
        self._decided = False  # there is a winner, or there shall be none
        self._over = False

    def run(self, addresses: list):
        """Return the socket of the first address that is ready. Raises Unconnected."""
        started = 0
        with self._changed:
            while started < len(addresses) and not self._decided and steady() < self._ends:
                Task(self._try, started, addresses[started])
                started += 1
                self._changed.wait_for(partial(self._is_answered, started - 1), min(ADDRESS_LEAD_S, self._left()))
            self._changed.wait_for(lambda: self._decided or len(self._failed) == started, self._left())
            self._over = True
            for sock in self._under_way.values():
                wake(sock)
            if self._won is not None:
                return self._won
            silent = TimedOut("no connection in time")
            errors = [(address[4][0], self._failed.get(number, silent)) for number, address in enumerate(addresses)]
            raise Unconnected(errors[:started])

    def _left(self) -> float:
        return max(0.0, self._ends - steady())

    def _is_answered(self, number: int) -> bool:
        return self._decided or number in self._failed

    def _try(self, number: int, address: tuple) -> None:
        """Connect to one address; called in a thread of its own."""
        import socket

        try:
            sock = socket.socket(*address[:3])
        except OSError as error:
            self._end(number, None, error)
            return
        failure = None
        try:
            sock.settimeout(max(0.01, self._left()))
            self._keep(number, sock)
            sock.connect(address[4])
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
                self._keep(number, sock)
                sock.do_handshake()
        except Exception as error:
            failure = error
        self._end(number, sock, failure)

    def _keep(self, number: int, sock) -> None:
        """Note the socket as the one to wake when the race is over. Raises TimedOut if it is over already."""
        with self._changed:
            self._under_way[number] = sock
            if self._over:
                raise TimedOut

    def _end(self, number: int, sock, failure) -> None:
        with self._changed:
            self._under_way.pop(number, None)
            if failure is not None:
                self._failed[number] = failure
                self._decided = self._decided or (self._strict and certificate_refused(failure))
            elif not self._decided and not self._over:
                self._won, sock = sock, None
                self._decided = True
            self._changed.notify_all()
        if sock is not None:
            sock.close()


# The codes of the controller's problem documents; docs/codes.md explains them.
CODES = tuple(
    """
    body-invalid signature-missing signature-invalid signature-expired claim-replayed key-not-for-member
    mirror-unknown member-unknown claim-superseded move-superseded peer-still-primary claimant-not-primary flapping
    address-taken body-too-large mirror-frozen too-many-requests configuration-invalid internal azure-denied
    azure-failed busy azure-throttled outcome-unknown storage-unavailable identity-unavailable
    """.split()  # noqa: SIM905  (a line for each would be a page)
)


class Answer:
    """What came back: status, headers (by any case), the body, and its JSON object ({} if it holds none).

    `code` and `detail` are those of the controller's own problem document, and empty for any other answer.
    """

    def __init__(self, status: int, headers, data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.at = time.time()
        self._text = data.decode("utf-8", "replace")
        try:
            parsed = json.loads(data.decode("utf-8"))
        except ValueError:
            parsed = None
        self.body = parsed if isinstance(parsed, dict) else {}
        self.code = self.detail = ""
        if self.media_type == "application/problem+json" and self.body.get("code") in CODES:
            self.code = self.body["code"]
            self.detail = str(self.body.get("detail", ""))[:500]

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters; "" if none is stated."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def correlation_id(self) -> str:
        """What finds this answer in the controller's log; "" if it carries none."""
        return printable(self.headers.get("x-correlation-id") or "")[:100]

    def describe(self) -> str:
        """Return one line: the controller's own words, or how the answer of somebody else begins."""
        if self.code:
            return "the controller answered %d %s: %s" % (self.status, self.code, self.detail)
        excerpt = printable(self._text)[:EXCERPT_CHARACTERS] or "an empty body"
        kind = printable(self.media_type)[:100] or "no media type"
        return "not the controller's answer (a platform, a proxy, or a wrong url): %d, %s: %s" % (self.status, kind, excerpt)

    def retry_after_s(self, now: float) -> float:
        """Return the seconds that Retry-After asks for (a number or a date), 0 if it asks for none."""
        most_s = RETRY_AFTER_MAX_S if self.code else FOREIGN_RETRY_AFTER_MAX_S
        text = (self.headers.get("Retry-After") or "").strip()
        if re.match(r"\d{1,9}\Z", text):
            return min(float(text), most_s)
        seconds = date_seconds(text)
        return 0.0 if seconds is None else max(0.0, min(seconds - now, most_s))


def printable(text: str) -> str:
    """Return the text on one line, without what could disturb a terminal."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def post(connection, path: str, headers: dict, body: bytes) -> Answer:
    """Send one claim and read its answer. The caller bounds the time, and hangs up when it is over."""
    connection.sock.settimeout(None)  # one clock decides: a second one here could end the wait first, by another error
    connection.request("POST", path, body, headers)  # bytes: http.client states their Content-Length
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read(ANSWER_BYTES_MAX))


def hang_up(connection) -> None:
    """Close, and wake a thread that still reads."""
    if connection.sock is not None:
        wake(connection.sock)
    connection.close()


def wake(sock) -> None:
    """Let a thread that waits for the socket go on; the thread closes it."""
    try:
        sock.shutdown(2)
    except OSError:
        pass  # never connected, or closed already: then nobody waits for it


def describe(error: Exception) -> str:
    """Return the error's type and text."""
    return "%s: %s" % (type(error).__name__, error) if str(error) else type(error).__name__


def certificate_refused(error: Exception) -> bool:
    """Say whether the server's certificate is refused, for whatever reason."""
    return type(error).__name__ == "CertificateError" or getattr(error, "reason", "") == "CERTIFICATE_VERIFY_FAILED"


def never_trusted(error: Exception) -> bool:
    """Say whether the server's certificate is refused for a reason that no retry can mend.

    A certificate that is not valid yet or any more is retried: right after boot a node's clock may be wrong until it is
    set. Python 3.6 does not tell the reason; there only a wrong host name is final. Of several addresses, all have to be
    refused: what one of them shows says nothing about the others.
    """
    if isinstance(error, Unconnected):
        return bool(error.errors) and all(never_trusted(one) for one in error.errors)
    if type(error).__name__ == "CertificateError":
        return True
    code = getattr(error, "verify_code", None)
    return code is not None and code not in (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


# --- turns -----------------------------------------------------------------------------------------------


class Turn:
    """The right to send with one key: agents on one node take turns, as an issued_at older than the last is a replay.

    A turn is one attempt, so an agent that waits for its next attempt is in nobody's way. An flock dies with its
    process, so there are no stale locks. The lock file lies beside the log; where none can be made (a full disk, a
    read-only folder) the key file, which is always there, is locked instead. Without any, the claim goes on.
    """

    def __init__(self, settings: Settings) -> None:
        own = re.sub(r"[^A-Za-z0-9_-]", "_", settings.key_id)
        self._paths = ["%s.%s.lock" % (settings.log_file, own)] if settings.log_file else []
        self._paths.append(settings.key_file)
        self._descriptor = None

    def take(self, limit_s) -> bool:
        """Wait for the turn; False if it did not come within limit_s seconds (None: no limit)."""
        self._descriptor = self._open()
        if self._descriptor is None or self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
        try:
            Task(self._lock, fcntl.LOCK_EX).result(limit_s)
        except TimedOut:
            return False
        return True

    def give_back(self) -> None:
        """Let the next agent send."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self):
        for path in self._paths:
            for flags in (0, os.O_CREAT):
                try:
                    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o644)
                except OSError:  # noqa: PERF203  (the next way may work)
                    continue
        return None

    def _lock(self, how: int) -> bool:
        try:
            fcntl.flock(self._descriptor, how)
        except OSError as error:
            return error.errno not in (errno.EAGAIN, errno.EACCES)  # a file system without locks: go on
        return True


# --- a claim ---------------------------------------------------------------------------------------------


class Claim:
    """One claim over all its attempts: one claim_id, one beginning, every attempt signed anew."""

    def __init__(self, settings: Settings, secret: bytes, log: Log, began: float, **what) -> None:
        self.settings = settings
        self.secret = secret
        self.log = log
        self.began = began
        self.event = what["event"]
        self.dry_run = what["dry_run"]
        self.evidence = what["evidence"]
        self.ask_first = bool(settings.primary_check) and not what["force"]
        self.deadline_s = what["deadline_s"]
        self.ends = began + self.deadline_s if self.deadline_s else None
        self.claim_id = new_claim_id()
        self.clock = WallClock()
        self.attempts = 0
        self.last = ""  # how the last attempt failed
        self.answer = None  # the last one
        self.warning = ""  # what somebody has to mend, although the claim goes on
        self._turns = 0  # attempts that decided nothing: the next one is the next url's
        self._unanswered = 0  # those without an answer of the controller: the next address of the url's name is tried
        self._untrusted = set()  # urls that showed a certificate which is not trusted
        self._has_been_primary = False
        self._tls = None
        self._lean_tls = not settings.ca_file
        self.turn_limit_s = TURN_LIMIT_S

    def run(self) -> Stop:
        """Try until the claim is decided. Returns the Stop that says how, exit code 0 included."""
        fields = {"mirror": self.settings.mirror, "member": self.settings.member, "claim_id": self.claim_id}
        self.log.write("claim.began", event=self.event, deadline_s=self.deadline_s, **fields)
        try:
            self._try_until_decided()
        except Stop as stop:
            stop.fields = dict(fields, attempts=self.attempts, elapsed_ms=self._age_ms(), **stop.fields)
            if self.warning:
                stop.fields["warning"] = self.warning
            ended = {name: value for name, value in stop.fields.items() if name != "answer"}
            self.log.write("claim.ended", exit=stop.exit_code, outcome=stop.outcome, detail=stop.detail, **ended)
            return stop

    @property
    def url(self) -> Url:
        """The controller of this attempt."""
        return self.settings.urls[self._turns % len(self.settings.urls)]

    @property
    def path(self) -> str:
        """The path that this attempt is posted to, as it is signed."""
        return self.url.path + "/mirrors/" + self.settings.mirror + "/claims"

    def request(self) -> tuple:
        """Return (body, headers) of a fresh, signed attempt."""
        second, microsecond = self.clock.issue()
        body = {
            "mirror": self.settings.mirror,
            "member": self.settings.member,
            "claim_id": self.claim_id,
            "issued_at": rfc3339(second, microsecond),
            "age_ms": self._age_ms(),
            "event": self.event,
        }
        if self.attempts <= 1 and body["age_ms"] < FIRST_ATTEMPT_S * 1000:
            body["age_ms"] = 0
        if self.evidence:
            body["evidence"] = self.evidence
        if self.dry_run:
            body["dry_run"] = True
        data = json.dumps(body, separators=(",", ":")).encode("ascii")
        nonce = base64.urlsafe_b64encode(os.urandom(18)).decode("ascii")
        expires = second + SIGNATURE_LIFETIME_S
        return data, sign(self.secret, self.settings.key_id, self.path, data, second, expires, nonce)

    def _age_ms(self) -> int:
        return int((steady() - self.began) * 1000)

    def _remaining(self, limit_s=None):
        """Return limit_s cut to what is left until the deadline; None if there is neither."""
        if self.ends is None:
            return limit_s
        left = max(0.0, self.ends - steady())
        return left if limit_s is None else min(limit_s, left)

    def _try_until_decided(self) -> None:
        failures, corrected = 0, False
        while True:
            if self.ends is not None and steady() >= self.ends:
                raise self._too_late()
            answer = self._take_turn()
            delay_s = backoff_s(failures, self.settings.retry_min_s, self.settings.retry_max_s)
            at_once = False
            if answer is not None:
                # Right after a correction the next attempt can succeed at once; a second one in a row has to wait.
                at_once = self._heed_clock(answer) and not corrected
                asked_s = answer.retry_after_s(self.clock.now())
                delay_s = asked_s + delay_s / 10 if asked_s else 0.0 if at_once else delay_s
            corrected = at_once
            failures += 1
            if answer is None or not answer.code:
                self._unanswered += 1
            if not at_once:
                self._turns += 1
                if answer is None and self._turns < len(self.settings.urls):
                    delay_s = 0.0  # the first round: another controller may be there
            correlation_id = "" if answer is None else answer.correlation_id
            told = {"because": self.last, "in_s": "%.1f" % delay_s, "correlation_id": correlation_id}
            self.log.write("claim.retry", attempt=self.attempts, **told)
            complain("attempt %d: %s; next in %.1f s" % (self.attempts, self.last, delay_s))
            time.sleep(self._remaining(delay_s))

    def _too_late(self) -> Stop:
        last = self.last or "another agent of this node had its turn"
        detail = "the deadline passed after %d attempts; last: %s" % (self.attempts, last)
        return Stop(EXIT_DEADLINE, "deadline", detail)

    def _take_turn(self):
        """Make one attempt in turn. Returns the answer that asks for another, None if there was none; raises Stop."""
        turn = Turn(self.settings)
        try:
            if not self.dry_run and not turn.take(self._remaining(self.turn_limit_s)):
                if self.ends is not None and steady() >= self.ends:
                    raise self._too_late()
                # Whoever has the turn is frozen. At worst the controller says claim-replayed, and that is tried again.
                self.log.write("claim.out_of_turn", waited_s=self.turn_limit_s)
            self.attempts += 1
            try:
                answer = self._attempt()
            except TimedOut:
                if not self.last or self._remaining(1.0) > 0:  # that our deadline cut it short says less than the answer before
                    self.last = "no answer in time from %s" % self.url.text
                return None
            except Stop:
                raise
            except Exception as error:  # whatever went wrong here, giving up would lose the VIP
                self._stop_if_untrusted(error)
                self.last = "%s: %s" % (self.url.text, describe(error))
                return None
            self.answer = answer
            self._stop_if_decided(answer)
            self.last = answer.describe()
            return answer
        finally:
            turn.give_back()

    def _attempt(self) -> Answer:
        check = PrimaryCheck(self.settings.primary_check, self._context) if self.ask_first else None
        failure = connection = None
        try:
            connection = Task(self._connect).result(self._remaining(self._connect_limit_s()))
        except Exception as error:  # kept for now: that this member is not primary counts more
            failure = error
        try:
            if check is not None:
                self._stop_if_not_primary(*check.verdict())
            if failure is not None:
                raise failure
            body, headers = self.request()
            headers["User-Agent"] = "mirror-vip-agent/" + VERSION
            sent = {"claim_id": self.claim_id, "to": connection.sock.getpeername()[0], "bytes": len(body)}
            self.log.write("claim.attempt", attempt=self.attempts, **sent)
            target, proxy = self.path, self.settings.proxy
            if proxy is not None and not self.url.secure:  # RFC 9112 section 3.2.2
                target = self.url.text[: -len(self.url.path)] + target
                headers.update({"Proxy-Authorization": proxy.credentials} if proxy.credentials else {})
            return Task(post, connection, target, headers, body).result(self._remaining(ANSWER_LIMIT_S))
        finally:
            if connection is not None:
                hang_up(connection)

    def _context(self):
        if self._tls is None:
            self._tls = make_tls_context(self.settings.ca_file, lean=self._lean_tls)
        return self._tls

    def _connect_limit_s(self) -> float:
        return FIRST_LOOK_S if self._turns + 1 < len(self.settings.urls) else CONNECT_LIMIT_S

    def _connect(self):
        url = self.url
        where = (url.host, url.port, self._connect_limit_s())
        how = {"first": self._unanswered // len(self.settings.urls), "proxy": self.settings.proxy}
        try:
            return open_connection(self._context() if url.secure else None, *where, strict=self._lean_tls, **how)
        except OSError as error:
            if not self._lean_tls or not any(certificate_refused(one) for one in getattr(error, "errors", [error])):
                raise
        self._lean_tls, self._tls = False, None  # the bundle may hold more than the folder
        return open_connection(self._context(), *where, **how)

    def _stop_if_not_primary(self, verdict: str, why: str) -> None:
        self._has_been_primary = self._has_been_primary or verdict == PRIMARY
        if verdict == CANNOT_RUN and not self.warning:
            self.warning = "primary_check cannot run (%s): nobody asks IRIS before a claim; see doctor" % why
            self.log.shout("primary_check.cannot_run", self.warning)
        elif verdict in (UNKNOWN, CANNOT_RUN):
            self.log.write("primary_check.unknown", why=why)
        if verdict != NOT_PRIMARY:
            return
        becoming = self.event == "CheckBecomePrimaryOK" and not self._has_been_primary
        if becoming and steady() - self.began < NOT_PRIMARY_YET_S:
            self.log.write("primary_check.not_yet", why=why)
            return
        raise Stop(EXIT_NOT_PRIMARY, "not-primary", "primary_check: this member is not primary (%s)" % why)

    def _stop_if_untrusted(self, error: Exception) -> None:
        if not never_trusted(error):
            return
        self._untrusted.add(self.url.text)
        if len(self._untrusted) == len({url.text for url in self.settings.urls}):
            detail = "the certificate of %s is not trusted (%s); check url and ca_file"
            raise Stop(EXIT_USAGE, "tls", detail % (self.url.text, error))

    def _stop_if_decided(self, answer: Answer) -> None:
        """Raise Stop for the answers that are final: README.md, "Which answers are final"."""
        fields = {"status": answer.status}
        if answer.code:
            fields["code"] = answer.code
        if answer.correlation_id:
            fields["correlation_id"] = answer.correlation_id
        if self._is_result(answer):
            outcome = "answered" if self.dry_run else answer.body["outcome"]
            raise Stop(EXIT_PLACED, outcome, "", answer=answer.body, **fields)
        if answer.code == "claim-superseded":
            raise Stop(EXIT_NOT_PRIMARY, "superseded", answer.describe(), **fields)
        if answer.code in ("signature-invalid", "signature-missing"):
            advice = "; check that key_id and key_file are those of the app's setting"
            raise Stop(EXIT_REFUSED, "refused", answer.describe() + advice, **fields)
        if answer.code and answer.status in (403, 404):
            raise Stop(EXIT_REFUSED, "refused", answer.describe() + "; check url, mirror, member and key_id", **fields)

    def _is_result(self, answer: Answer) -> bool:
        """Say whether this is the controller's result for this mirror and this member."""
        outcome, mirror, member = answer.body.get("outcome"), self.settings.mirror, self.settings.member
        if answer.status != 200 or answer.body.get("mirror", mirror) != mirror:
            return False
        if self.dry_run:
            return outcome == "planned"
        return outcome in ("moved", "confirmed") and answer.body.get("holder", member) == member

    def _heed_clock(self, answer: Answer) -> bool:
        """Adopt the controller's time if it says that ours is wrong; say whether that changed our clock.

        The answer is authenticated: by TLS, or because it came from this machine.
        """
        if answer.code not in ("signature-expired", "claim-replayed"):
            return False
        return self.clock.correct(answer.headers.get("Date"), spent=answer.code == "claim-replayed")


def backoff_s(failures: int, least_s: float, most_s: float) -> float:
    """Return the next wait: it doubles from least_s to most_s, less up to half of it by chance."""
    chance = int.from_bytes(os.urandom(4), "big") / 2.0**32
    return min(most_s, least_s * 2.0 ** min(failures, 30)) * (0.5 + chance / 2)


# --- commands --------------------------------------------------------------------------------------------


def parse_evidence(pairs: list) -> dict:
    """Return the claim's evidence: what the caller states, and which host and agent it came from. Raises Stop."""
    evidence = {"host": os.uname().nodename, "agent": VERSION}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not name or not separator:
            raise Stop(EXIT_USAGE, "usage", "--evidence %r must be NAME=VALUE" % pair)
        evidence[name] = int(value) if re.match(r"-?\d{1,15}\Z", value) else value
    if len(json.dumps(evidence)) > EVIDENCE_BYTES_MAX:
        raise Stop(EXIT_USAGE, "usage", "--evidence is longer than %d bytes as JSON" % EVIDENCE_BYTES_MAX)
    return evidence


def detach() -> int:
    """Fork twice into a new session without terminal, standard streams and other inherited files.

    Returns 0 in the agent that goes on, and its pid in the caller's process. Where no process can be had, the caller
    goes on itself: a claim in the foreground is better than none.
    """
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:
        return 0
    if child:
        os.close(writer)
        pid = os.read(reader, 32)
        os.close(reader)
        os.waitpid(child, 0)
        return int(pid or 0)
    os.setsid()
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    os.write(writer, b"%d" % os.getpid())
    os.chdir("/")
    close_inherited_files()
    return 0


def close_inherited_files() -> None:
    """Close all files but the standard streams, which go nowhere.

    IRIS's files and sockets must not stay open in an agent that outlives it.
    """
    try:
        inherited = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        inherited = list(range(256))
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    for descriptor in inherited + [nothing]:
        if descriptor > 2:
            try:
                os.close(descriptor)
            except OSError:
                pass  # the one that listed the folder


def prepare(options) -> tuple:
    """Return (settings, secret, log). Raises Stop; an unusable key is in the log too, as IRIS throws stderr away."""
    settings = load_settings(options.config, options.member)
    log = Log(settings.log_file)
    try:
        return settings, load_key(settings.key_file), log
    except Stop as stop:
        log.write("agent.stopped", exit=stop.exit_code, outcome=stop.outcome, detail=stop.detail)
        raise


def command_claim(options, began: float) -> Stop:
    """Claim the VIP until it is here. Faults of the configuration are told before anything is detached."""
    settings, secret, log = prepare(options)
    evidence = parse_evidence(options.evidence)
    if settings.ca_file:
        make_tls_context(settings.ca_file)  # a file without certificates is told here, where somebody may read it
    if options.detach:
        pid = detach()
        if pid:
            return Stop(EXIT_PLACED, "detached", "", pid=pid, log_file=settings.log_file)
    claim = Claim(
        settings,
        secret,
        log,
        began,
        event=options.event,
        dry_run=False,
        evidence=evidence,
        force=options.force,
        deadline_s=settings.deadline_s if options.deadline is None else options.deadline,
    )
    return claim.run()


def dry_claim(settings: Settings, secret: bytes, log: Log, deadline_s: float, began: float) -> Claim:
    """Return a claim that is verified like any other and changes nothing: nodes hold no function key."""
    what = {"event": "manual", "dry_run": True, "evidence": None, "force": True, "deadline_s": deadline_s}
    return Claim(settings, secret, log, began, **what)


def command_status(options, began: float) -> Stop:
    """Say who holds the VIP, by the controller, and whether this member is primary, by primary_check."""
    settings, secret, log = prepare(options)
    check = PrimaryCheck(settings.primary_check, partial(make_tls_context, settings.ca_file))
    deadline_s = STATUS_DEADLINE_S if options.deadline is None else options.deadline
    stop = dry_claim(settings, secret, log, deadline_s, began).run()
    if stop.exit_code == EXIT_PLACED:
        stop.fields.update((name, stop.fields["answer"].get(name)) for name in ("holder", "desired"))
    verdict, why = check.verdict() if settings.primary_check else (UNKNOWN, "primary_check is empty")
    stop.fields.update(primary={PRIMARY: True, NOT_PRIMARY: False}.get(verdict), primary_check=why)
    return stop


def command_keygen(options, _began: float) -> Stop:
    """Make the configuration's key_file, and name the app setting that has to hold the same text."""
    settings = load_settings(options.config, options.member)
    path, text = settings.key_file, _base64(os.urandom(KEY_BYTES_MIN))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        advice = "to rotate, name another key_id and key_file"
        raise Stop(EXIT_USAGE, "configuration", "key_file %s exists; %s" % (path, advice)) from error
    except OSError as error:
        raise Stop(EXIT_USAGE, "configuration", "key_file %s cannot be made (%s)" % (path, error.strerror)) from error
    try:
        owner = user_of_the_agent(settings)
        if os.geteuid() == 0 and owner is not None:
            os.fchown(descriptor, owner, -1)
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, text.encode("ascii") + b"\n")
        os.fsync(descriptor)
    except OSError as error:
        os.unlink(path)  # it holds no key, and would keep the next run from making one
        raise Stop(EXIT_USAGE, "configuration", "key_file %s cannot be written (%s)" % (path, error.strerror)) from error
    finally:
        os.close(descriptor)
    shown = {"key": text} if options.show else {}
    return Stop(
        EXIT_PLACED, "created", "", key_file=path, owner=user_name(os.stat(path).st_uid), setting=settings.key_setting, **shown
    )


def user_of_the_agent(settings: Settings):
    """Return the uid that IRIS starts the agent with, which is the owner of the log's folder; None if there is none."""
    try:
        return os.stat(os.path.dirname(os.path.abspath(settings.log_file))).st_uid if settings.log_file else None
    except OSError:
        return None


def user_name(uid: int) -> str:
    """Return the user's name, or the number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def command_sign(options, began: float):
    """Print one signed claim for curl: header lines, an empty line and the body, or the whole command."""
    settings, secret, _log = prepare(options)
    what = {"event": options.event, "dry_run": options.dry_run, "force": True, "deadline_s": 0}
    what["evidence"] = parse_evidence(options.evidence)
    claim = Claim(settings, secret, Log(""), began, **what)
    body, headers = claim.request()
    lines = ["%s: %s" % (name, value) for name, value in headers.items()]
    if not options.curl:
        write_out(1, "\n".join(lines) + "\n\n" + body.decode("ascii") + "\n")
        return
    from shlex import quote

    words = ["curl", "-sS", "-X", "POST", settings.urls[0].text + "/mirrors/" + settings.mirror + "/claims"]
    words += ["--noproxy", "*"] if settings.proxy is None else ["-x", "http://%s:%d" % (settings.proxy.host, settings.proxy.port)]
    words += ["--cacert", settings.ca_file] if settings.ca_file else []
    for line in lines:
        words += ["-H", line]
    words += ["--data-binary", body.decode("ascii")]
    write_out(1, " ".join(quote(word) for word in words) + "\n")


# --- watch -----------------------------------------------------------------------------------------------


class Watch:
    """Looks at primary_check for ever, for systemd: claims for a primary whose VIP is elsewhere, and tells of a wrong key early.

    It claims when primary_check has said primary for three looks and the controller names another holder, unless a swap
    is under way or an operator has frozen the mirror. It may be killed at any instant: it remembers nothing. What stays
    wrong is said once, and again when it has changed. The configuration is read anew for every look.
    """

    def __init__(self, options) -> None:
        self._options = options
        self._ready = prepare(options)  # a fault at the start ends it; a later one leaves the last good configuration
        self._looks = 0  # so often primary_check has said primary in a row
        self._ask_at = self._claim_at = steady()
        self._pause_s = WATCH_CLAIM_S
        self._told = {}

    def run(self) -> None:
        """Look until killed."""
        settings, _, log = self._ready
        log.write("watch.began", mirror=settings.mirror, member=settings.member, every_s=self._options.every)
        if not settings.primary_check:
            log.shout("watch.primary_check", "primary_check is empty: watch claims nothing, it only reports")
        while True:
            began = steady()
            self.look()
            time.sleep(max(0.0, began + self._options.every - steady()))

    def look(self) -> None:
        """Ask primary_check, the controller where it matters, and claim where the VIP is elsewhere."""
        try:
            settings = load_settings(self._options.config, self._options.member)
            self._ready = settings, load_key(settings.key_file), Log(settings.log_file)
            self._tell("configuration", "")
        except Stop as stop:
            self._tell("configuration", stop.detail + "; going on with the configuration of before")
        settings, _, log = self._ready
        verdict, why = UNKNOWN, ""
        if settings.primary_check:
            verdict, why = PrimaryCheck(settings.primary_check, partial(make_tls_context, settings.ca_file)).verdict()
            self._tell("primary_check", "primary_check cannot run (%s); see doctor" % why if verdict == CANNOT_RUN else "")
        if self._told.get("verdict") != verdict:
            log.write("watch.look", verdict=verdict, why=why)
        self._told["verdict"] = verdict
        self._looks = self._looks + 1 if verdict == PRIMARY else 0
        if steady() >= self._ask_at or (self._looks >= WATCH_LOOKS and not self._told.get("controller")):
            self._ask()

    def _ask(self) -> None:
        settings, secret, log = self._ready
        quiet = Log(settings.log_file, without=("claim.began", "claim.attempt"))
        stop = dry_claim(settings, secret, quiet, WATCH_ANSWER_S, steady()).run()
        self._tell("controller", stop.detail and "a dry claim failed: " + stop.detail)
        placed = stop.exit_code == EXIT_PLACED
        self._ask_at = steady() + (self._options.report_every if placed else min(WATCH_CLAIM_S, self._options.report_every))
        if not placed:
            return
        answer = stop.fields["answer"]
        holder = answer.get("holder")
        if self._told.get("holder") != holder:
            log.write("watch.holder", holder=holder, desired=answer.get("desired"))
        self._told["holder"] = holder
        elsewhere = holder not in (None, settings.member) and not answer.get("in_progress") and not answer.get("frozen")
        if elsewhere and self._looks >= WATCH_LOOKS and steady() >= self._claim_at:
            self._claim(holder)

    def _claim(self, holder: str) -> None:
        settings, secret, log = self._ready
        log.shout("watch.claims", "%s is primary and %s holds the VIP: claiming it" % (settings.member, holder))
        evidence = parse_evidence(["holder=" + holder])
        what = {"event": "watch", "dry_run": False, "force": False, "evidence": evidence, "deadline_s": WATCH_CLAIM_S}
        stop = Claim(settings, secret, log, steady(), **what).run()
        placed = stop.exit_code == EXIT_PLACED
        self._tell("claim", "" if placed else "the claim was not carried out: %s" % stop.detail)
        self._pause_s = WATCH_CLAIM_S if placed else min(2 * self._pause_s, WATCH_PAUSE_MAX_S)
        self._claim_at = steady() + (0.0 if placed else self._pause_s)

    def _tell(self, about: str, sentence: str) -> None:
        """Say what is wrong once, and that it is right again."""
        known = self._told.get(about, "")
        self._told[about] = sentence
        # Counts and times in a sentence are no news.
        if sentence and re.sub(r"\d+", "", known) != re.sub(r"\d+", "", sentence):
            self._ready[2].shout("watch." + about, sentence)
        elif known and not sentence:
            self._ready[2].write("watch.%s" % about, detail="right again")


def command_watch(options, _began: float) -> None:
    """Watch until killed."""
    Watch(options).run()


# --- doctor ----------------------------------------------------------------------------------------------

AZURE = "168.63.129.16"  # Azure's own services for a VM: DHCP, DNS, health
TIMER_GLOBS = ("/etc/systemd/system/*.wants/%s", "/usr/lib/systemd/system/*.wants/%s", "/lib/systemd/system/*.wants/%s")
NETWORK_GLOBS = (
    "/etc/netplan/*.yaml", "/etc/NetworkManager/system-connections/*", "/etc/sysconfig/network/ifcfg-*",
    "/etc/sysconfig/network-scripts/ifcfg-*", "/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/systemd/network/*",
)  # fmt: skip
CLOUD_INIT_GLOBS = ["/usr/lib/python3*/%s-packages/cloudinit/sources/DataSourceAzure.py" % kind for kind in ("dist", "site")]
IFF_LOOPBACK, IFF_NOARP = 0x8, 0x80


class Doctor:
    """Looks at all that a claim, and the VIP on this node, need. Changes nothing, needs no root.

    Each check says `ok`, `warn` (works today) or `fail` by its name; docs/nodes.md explains each.
    """

    def __init__(self, options) -> None:
        self._options = options
        self.found = {"ok": [], "warn": [], "fail": []}
        self._answer = {}
        self._verdict, self._port = UNKNOWN, None
        self._addresses = []
        self._controllers = []  # their addresses, or the proxy's
        self._vips = options.vip

    def run(self) -> None:
        """Make every check that can be made."""
        settings = secret = None
        try:
            settings = load_settings(self._options.config, self._options.member)
            self._say(
                "ok", "configuration", "%s, mirror %s, member %s" % (self._options.config, settings.mirror, settings.member)
            )
        except Stop as stop:
            self._say("fail", "configuration", stop.detail)
            return
        try:
            secret = load_key(settings.key_file)
            text = "%s; the app setting %s must hold the same text" % (settings.key_file, settings.key_setting)
            self._say("ok", "key-file", text)
        except Stop as stop:
            self._say("fail", "key-file", stop.detail + "; or make one with keygen")
        self._check("user", self._user, settings)
        self._check("log-file", self._log_file, settings)
        for url in settings.urls:
            if self._check("tcp", self._network, settings, url) and secret is not None:
                self._check("signature", self._signature, settings, secret, url)
        self._check("primary-check", self._primary_check, settings)
        self._check("vip-address", self._vip_addresses)
        for check in (self._cloud_init, self._nm_cloud_setup, self._cloud_netconfig):
            self._check(check.__name__[1:].replace("_", "-"), check)

    def _say(self, level: str, name: str, text: str) -> None:
        self.found[level].append(name)
        write_out(1, "%-4s %-15s %s\n" % (level, name, printable(text)))

    def _check(self, name: str, check, *arguments):
        try:
            return check(*arguments)
        except Exception as error:  # one thing that cannot be looked at does not hide the others
            self._say("fail", name, "could not be looked at: %s" % describe(error))
            return None

    def _user(self, settings: Settings) -> None:
        uid = os.geteuid()
        iris = user_of_the_agent(settings)
        if uid or iris is None:
            self._say("ok", "user", "these checks run as %s" % user_name(uid))
            return
        if iris == 0:
            who = "the log's folder belongs to root: give it to the user that IRIS starts the agent with"
            self._say("warn", "user", who + ", /opt/mirror-vip/set-user NAME")
            return
        shut = [path for path in (self._options.config, settings.key_file) if not readable_by(iris, path)]
        text = "IRIS starts the agent as %s (the owner of the log's folder)" % user_name(iris)
        self._say("fail" if shut else "ok", "user", text + (", who cannot read %s" % " and ".join(shut) if shut else ""))

    def _log_file(self, settings: Settings) -> None:
        path = settings.log_file
        if not path:
            self._say("warn", "log-file", "log_file is empty: nothing will tell what happened")
        elif os.access(path if os.path.exists(path) else os.path.dirname(os.path.abspath(path)), os.W_OK):
            self._say("ok", "log-file", path)
        else:
            self._say("warn", "log-file", "%s cannot be written by %s: its lines go to syslog" % (path, user_name(os.geteuid())))

    def _network(self, settings: Settings, url: Url) -> bool:
        """Look up the name, connect to each of its addresses, and make a TLS handshake; say whether a claim has a way."""
        import socket

        goal = settings.proxy or url
        port = goal.port or (443 if url.secure else 80)
        try:
            found = Task(socket.getaddrinfo, goal.host, port, 0, socket.SOCK_STREAM).result(5.0)
        except (OSError, TimedOut) as error:
            why = "no answer in 5 s" if isinstance(error, TimedOut) else error.strerror or str(error)
            self._say("fail", "dns", "%s: %s; check url, proxy and this node's DNS" % (goal.host, why))
            return False
        self._controllers += [address[4][0] for address in found if not _is_loopback(address[4][0])]
        self._say("ok", "dns", "%s has %d address%s" % (goal.host, len(found), "" if len(found) == 1 else "es"))
        said = [(address[4][0], task.result(4.0)) for address, task in [(one, Task(connect_once, one, 3.0)) for one in found]]
        failed = ["%s: %s" % one for one in said if one[1]]
        level = "ok" if not failed else "fail" if len(failed) == len(found) else "warn"
        text = "; ".join(failed) + "; check firewall, NSG and proxy" if failed else ", ".join(one for one, _ in said) + " answers"
        self._say(level, "tcp", "port %d: %s" % (port, text))
        if level == "fail" or not url.secure:
            return level != "fail"
        try:
            context = make_tls_context(settings.ca_file)
            connection = Task(partial(open_connection, proxy=settings.proxy), context, url.host, url.port, 8.0).result(10.0)
            self._say("ok", "tls", "%s with %s" % (url.host, connection.sock.version()))
            connection.close()
        except (OSError, TimedOut, Stop) as error:
            self._say("fail", "tls", "%s: %s; check ca_file, the proxy and the clock" % (url.host, describe(error)))
            return False
        return True

    def _signature(self, settings: Settings, secret: bytes, url: Url) -> None:
        """Make a dry claim: signature, clock, and what the controller tells of this member."""
        import copy

        one = copy.copy(settings)
        one.urls = [url]
        claim = dry_claim(one, secret, Log(""), STATUS_DEADLINE_S, steady())
        stop = claim.run()
        if claim.answer is not None:
            self._clock(claim.answer)
        correlation = stop.fields.get("correlation_id", "none")
        if stop.exit_code != EXIT_PLACED:
            self._say("fail", "signature", "%s: %s (correlation id %s)" % (url.text, stop.detail, correlation))
            return
        self._say("ok", "signature", "%s takes this key's claims (correlation id %s)" % (url.text, correlation))
        self._answer = stop.fields["answer"]
        ready, why = self._answer.get("ready"), ", ".join(str(reason) for reason in self._answer.get("reasons") or [])
        if ready is False:
            self._say("warn", "ready", "if IRIS failed over to this member now, its claim would not be carried out: %s" % why)
        elif "ready" in self._answer:
            self._say(
                "ok", "ready", "a claim of this member would be carried out" if ready else "the controller has not looked yet"
            )

    def _clock(self, answer: Answer) -> None:
        seconds = date_seconds(answer.headers.get("Date"))
        if seconds is None:
            return
        off = answer.at - (seconds + 0.5)
        level = "ok" if abs(off) < 2.5 else "warn" if abs(off) < 30 else "fail"
        advice = "" if level == "ok" else "; claims go by the controller's time all the same, but mend it (chronyc tracking)"
        self._say(
            level,
            "clock",
            "within 2 s of the controller's" if level == "ok" else "%+.0f s off the controller's%s" % (off, advice),
        )

    def _primary_check(self, settings: Settings) -> None:
        if not settings.primary_check:
            self._say("warn", "primary-check", "primary_check is empty: a claim is never stopped, and watch only reports")
            return
        check = PrimaryCheck(settings.primary_check, partial(make_tls_context, settings.ca_file))
        self._verdict, why = check.verdict()
        self._port = check.port
        definite = self._verdict in (PRIMARY, NOT_PRIMARY)
        advice = "" if definite else "; give an absolute path and run it by hand as IRIS's user: %s" % settings.primary_check
        self._say("ok" if definite else "fail", "primary-check", "%s (%s)%s" % (self._verdict, why, advice))

    def _vip_addresses(self) -> None:
        """Look for each VIP on this node's interfaces, and at who would send with it."""
        from ipaddress import ip_address

        told = [vip.get("private_ip") for vip in self._answer.get("vips") or []]
        self._vips = [str(ip_address(vip)) for vip in self._vips or told]
        self._addresses = local_addresses()
        if not self._vips:
            self._say("warn", "vip-address", "the controller did not tell the VIPs; name them with --vip ADDRESS")
            return
        for vip in self._vips:
            places = [place for place in self._addresses if place[1] == vip]
            if places:
                text = ", ".join("%s/%d on %s" % (address, prefix, name) for name, address, prefix, _ in places)
                self._say("ok", "vip-address", text)
                for place in places:
                    self._place(*place)
            else:
                advice = "systemctl enable --now mirror-vip-address@%s.service" % vip
                self._say(
                    "fail", "vip-address", "%s is on no interface: Azure would deliver and this node drop; %s" % (vip, advice)
                )
            self._at_boot(vip)
            self._path_probe(vip)
        self._check("vip-source", self._source)

    def _place(self, name: str, address: str, prefix: int, flags: int) -> None:
        whole = 128 if ":" in address else 32
        mend = "ip address del %s/%d dev %s" % (address, prefix, name)
        if prefix == whole:
            self._say("ok", "vip-prefix", "%s/%d" % (address, prefix))
        else:
            harm = "it can become the source of this node's traffic, which Azure drops when the VIP is elsewhere"
            self._say("fail", "vip-prefix", "%s/%d on %s must be /%d: %s; %s" % (address, prefix, name, whole, harm, mend))
        vf = os.path.exists("/sys/class/net/%s/master" % name)
        if flags & (IFF_LOOPBACK | IFF_NOARP):
            self._say("ok", "vip-interface", name)
        elif vf:
            self._say(
                "fail", "vip-interface", "%s is an accelerated port (VF) of another interface: put %s on lo" % (name, address)
            )
        else:
            self._say("warn", "vip-interface", "%s: duplicate address detection can take %s away; put it on lo" % (name, address))

    def _at_boot(self, vip: str) -> None:
        import glob

        unit = [path for pattern in TIMER_GLOBS for path in glob.glob(pattern % ("mirror-vip-address@%s.service" % vip))]
        named = [path for path, line in config_lines(NETWORK_GLOBS) if has_address(line, vip) and "50-cloud-init" not in path]
        if unit or named:
            self._say("ok", "vip-at-boot", "%s by %s" % (vip, (unit or named)[0]))
        else:
            advice = "systemctl enable mirror-vip-address@%s.service" % vip
            self._say("warn", "vip-at-boot", "found nothing that sets %s at the next boot; %s" % (vip, advice))

    def _path_probe(self, vip: str) -> None:
        import socket

        port = self._options.port or self._port
        if self._verdict != PRIMARY:
            self._say("ok", "path-probe", "not primary here, so %s is not asked" % vip)
            return
        probe = re.match(r"(?:tcp|https?)://[^/]*:(\d+)", str(self._answer.get("path_probe") or ""))
        port = port or (int(probe.group(1)) if probe else 1972)
        try:
            socket.create_connection((vip, port), 3.0).close()
            self._say("ok", "path-probe", "%s port %d answers on this node" % (vip, port))
        except OSError as error:
            advice = "IRIS must listen on every address (or name another port with --port)"
            self._say("fail", "path-probe", "%s port %d: %s; %s" % (vip, port, describe(error), advice))

    def _source(self) -> None:
        """Ask the kernel, without sending anything, whom this node's traffic would come from."""
        goals = [AZURE] + self._controllers + self._options.peer
        goals += [neighbour for vip in self._vips for neighbour in neighbours(self._addresses, vip)]
        sources = {to: source_towards(to) for to in goals}
        wrong = sorted("%s for %s" % (source, to) for to, source in sources.items() if source in self._vips)
        if wrong:
            advice = "Azure drops that when the VIP is elsewhere; find who set it on the NIC, and see vip-prefix"
            self._say("fail", "vip-source", "the VIP would be the source: %s; %s" % (", ".join(wrong), advice))
        else:
            self._say("ok", "vip-source", "no VIP is the source towards the other members, the controller or Azure")

    def _cloud_init(self) -> None:
        netplan = config_lines(["/etc/netplan/50-cloud-init.yaml"])
        listed = [line for _, line in netplan if any(has_address(line, vip) for vip in self._vips)]
        files = list(config_lines(["/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg"]))
        off = [line for _, line in files if re.search(r"apply_network_config['\"]?\s*:\s*(false|no|off)\b", line, re.I)]
        off += [line for _, line in files if re.search(r"\bconfig\s*:\s*['\"]?disabled", line)]
        newer = r"apply_network_config_for_secondary_ips['\"]?\s*:\s*(false|no|off)\b"
        unheard = [line for _, line in files if re.search(newer, line, re.I)]
        source = list(config_lines(CLOUD_INIT_GLOBS))
        if not source or any("apply_network_config_for_secondary_ips" in line for _, line in source):
            off, unheard = off + unheard, []
        switch = (
            "datasource: {Azure: {apply_network_config_for_secondary_ips: false}} in /etc/cloud/cloud.cfg.d/95-mirror-vip.cfg"
        )
        if listed:
            advice = "take it out there, netplan apply, and set %s" % switch
            self._say("fail", "cloud-init", "/etc/netplan/50-cloud-init.yaml has %s; %s" % (listed[0].strip(), advice))
        elif not files or os.path.exists("/etc/cloud/cloud-init.disabled"):
            self._say("ok", "cloud-init", "is not in use")
        elif off:
            self._say("ok", "cloud-init", off[0].strip())
        elif unheard:
            advice = "{apply_network_config: false} there, or a newer cloud-init"
            self._say("fail", "cloud-init", "is too old for %s; %s" % (unheard[0].strip(), advice))
        else:
            harm = "at the next boot it sets a VIP that is here with the subnet's prefix, first in line"
            self._say("fail", "cloud-init", "%s; set %s" % (harm, switch))

    def _nm_cloud_setup(self) -> None:
        drop_ins = ["%s/systemd/system/nm-cloud-setup.service.d/*.conf" % place for place in ("/etc", "/run", "/usr/lib")]
        named = [path for path, line in config_lines(drop_ins) if re.search(r"NM_CLOUD_SETUP_AZURE=['\"]?(yes|1|true)", line)]
        if named and enabled("nm-cloud-setup.timer"):
            advice = "systemctl disable --now nm-cloud-setup.timer nm-cloud-setup.service"
            self._say("fail", "nm-cloud-setup", "sets a VIP that is here with the subnet's prefix (%s); %s" % (named[0], advice))
        else:
            self._say("ok", "nm-cloud-setup", "is not in use")

    def _cloud_netconfig(self) -> None:
        from ipaddress import ip_address, ip_interface

        files = ["/etc/default/cloud-netconfig", "/etc/sysconfig/network/ifcfg-*"]
        off = [path for path, line in config_lines(files) if re.search(r"CLOUD_NETCONFIG_MANAGE=['\"]?no", line)]
        near = set()  # the NICs that the VIP could be added to
        for name, address, prefix, _ in self._addresses:
            network = ip_interface("%s/%d" % (address, prefix)).network
            near |= {"ifcfg-" + name for vip in self._vips if ip_address(vip) in network}
        places = [(path, line) for path, line in config_lines(files) if os.path.basename(path) in near]
        on = [path for path, line in places if re.search(r"CLOUD_NETCONFIG_MANAGE=['\"]?yes", line)]
        if enabled("cloud-netconfig.timer") and (on or not off):
            advice = "CLOUD_NETCONFIG_MANAGE='no' in /etc/sysconfig/network/ifcfg-eth0, or /etc/default/cloud-netconfig"
            self._say("warn", "cloud-netconfig", "adds a VIP that is here with the subnet's prefix each minute; %s" % advice)
        else:
            self._say("ok", "cloud-netconfig", "is switched off in %s" % off[0] if off else "is not in use")


def readable_by(uid: int, path: str) -> bool:
    """Say whether owner, group and mode of the file, and of the folders above it, let the user read it."""
    import pwd

    try:
        known = pwd.getpwuid(uid)
        groups = os.getgrouplist(known.pw_name, known.pw_gid)
    except KeyError:  # a number without a name
        groups = []

    def lets(what: str, bit: int) -> bool:
        facts = os.stat(what)
        shift = 6 if facts.st_uid == uid else 3 if facts.st_gid in groups else 0
        return bool(facts.st_mode >> shift & bit)

    place = os.path.realpath(path)
    try:
        readable = lets(place, 4)
        while readable and place != "/":
            place = os.path.dirname(place)
            readable = lets(place, 1)
    except OSError:
        return False
    return readable


def connect_once(address: tuple, limit_s: float) -> str:
    """Connect to one address of getaddrinfo, and hang up; say what went wrong, "" if nothing did."""
    import socket

    try:
        with socket.socket(*address[:3]) as sock:
            sock.settimeout(limit_s)
            sock.connect(address[4])
    except OSError as error:
        return describe(error)
    return ""


def local_addresses() -> list:
    """Return (interface, address, prefix length, interface's flags) for each address of this node, from the kernel.

    rtnetlink(7): no program is needed, and no root.
    """
    import socket
    import struct

    found, more = [], True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock, socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as any_socket:
        sock.settimeout(2.0)
        sock.send(struct.pack("=IHHIIBBBBI", 24, 22, 0x301, 1, 0, 0, 0, 0, 0, 0))  # RTM_GETADDR, REQUEST and DUMP
        while more:
            data = sock.recv(65536)
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                more = more and kind != 3  # NLMSG_DONE
                if kind == 20:  # RTM_NEWADDR
                    family, prefix, _, _, index = struct.unpack_from("=BBBBI", data, 16)
                    values, at = {}, 24
                    while at + 4 <= length:
                        size, name = struct.unpack_from("=HH", data, at)
                        values[name] = data[at + 4 : at + size]
                        at += max(4, size + 3 & ~3)
                    interface = socket.if_indextoname(index)
                    asked = fcntl.ioctl(
                        any_socket.fileno(), 0x8913, struct.pack("16sH14x", interface.encode(), 0)
                    )  # SIOCGIFFLAGS
                    address = values.get(2) or values.get(1)  # IFA_LOCAL, IFA_ADDRESS
                    found.append((interface, socket.inet_ntop(family, address), prefix, struct.unpack("16sH14x", asked)[1]))
                data = data[max(16, length + 3 & ~3) :]
    return found


def source_towards(to: str) -> str:
    """Return the address that a packet to there would come from; "" if there is no way, or no name. Nothing is sent."""
    import socket

    try:
        family, kind, protocol, _, where = Task(socket.getaddrinfo, to, 9, 0, socket.SOCK_DGRAM).result(5.0)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.connect(where)
            return sock.getsockname()[0]
    except (OSError, UnicodeError, TimedOut):
        return ""


def neighbours(addresses: list, vip: str) -> list:
    """Return some addresses that the other members could have: beside the VIP, in this node's subnets."""
    from ipaddress import ip_address, ip_interface

    own = {address for _, address, _, _ in addresses}
    near = []
    for _, address, prefix, flags in addresses:
        network = ip_interface("%s/%d" % (address, prefix)).network
        if flags & IFF_LOOPBACK or network.num_addresses < 4 or ip_address(address).is_link_local:
            continue
        if ip_address(vip) in network:
            near += [str(ip_address(int(ip_address(vip)) + step)) for step in (-2, -1, 1)]
        near += [str(network[step]) for step in (1, 4, 5) if step < network.num_addresses - 1]
    return sorted(set(near) - own)


def config_lines(patterns: list):
    """Yield (path, line) for each line that is no comment of the files that can be read."""
    import glob

    for path in sorted(path for pattern in patterns for path in glob.glob(pattern)):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read(1048576).splitlines()
        except OSError:
            continue
        for line in lines:
            if line.strip() and not line.lstrip().startswith(("#", ";")):
                yield path, line


def has_address(line: str, address: str) -> bool:
    """Say whether the address stands in the line, and not as a part of a longer one: 10.0.0.25 is not in 10.0.0.254."""
    return re.search(r"(?<![0-9A-Fa-f.:])%s(?![0-9A-Fa-f.:])" % re.escape(address), line) is not None


def enabled(unit: str) -> bool:
    """Say whether systemd starts the unit at boot."""
    import glob

    return any(glob.glob(pattern % unit) for pattern in TIMER_GLOBS)


def command_doctor(options, _began: float) -> Stop:
    """Print a line per check, and which of them failed."""
    doctor = Doctor(options)
    doctor.run()
    faults, warnings = (list(dict.fromkeys(doctor.found[level])) for level in ("fail", "warn"))
    return Stop(EXIT_FAULTS if faults else EXIT_PLACED, "faults" if faults else "healthy", "", fail=faults, warn=warnings)


# --- command line ----------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Raises Stop instead of printing several lines, so that every end has its one line and its JSON."""

    def error(self, message: str) -> None:
        """Raise Stop with the message and the usage."""
        usage = " ".join(re.sub("\x1b\\[[0-9;]*m", "", self.format_usage()).split())  # Python 3.14 may colour it
        raise Stop(EXIT_USAGE, "usage", "%s; %s; see --help" % (message, usage))


def _deadline(text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _pause(text: str) -> float:
    seconds = _deadline(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return seconds


def make_parser() -> Parser:
    """Return the command line. A new command is one more subparser with its `run`."""
    parser = Parser(prog=PROGRAM, description="Claims the VIP of an IRIS mirror for this member.", allow_abbrev=False)
    config_help = "configuration file, before or after the command (default: %s)" % DEFAULT_CONFIG
    parser.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help=config_help)
    parser.add_argument("--version", action="version", version="%s %s" % (PROGRAM, VERSION))
    commands = parser.add_subparsers(dest="command", metavar="{claim,status,doctor,watch,keygen,sign}", parser_class=Parser)

    def add(name: str, run, text: str) -> Parser:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=config_help)
        command.add_argument("--member", metavar="NAME", default="", help="instead of the configuration's member")
        command.set_defaults(run=run)
        return command

    claim = add("claim", command_claim, "claim the VIP, and go on until it is here")
    status = add("status", command_status, "say who holds the VIP and whether this member is primary; changes nothing")
    doctor = add("doctor", command_doctor, "check all that a claim and the VIP on this node need; changes nothing")
    watch = add("watch", command_watch, "for systemd: claim for a primary whose VIP is elsewhere, and tell of a wrong key")
    keygen = add("keygen", command_keygen, "make the key file, and name the app setting that holds the same key")
    signer = add("sign", command_sign, "print one signed claim for curl; it is good for a minute, once")
    for command in (claim, signer):
        command.add_argument("--event", choices=EVENTS, default="manual", help="what happened (default: manual)")
        command.add_argument("--evidence", metavar="NAME=VALUE", action="append", default=[], help="for the trail")
    for command in (claim, status):
        command.add_argument("--deadline", metavar="S", type=_deadline, help="give up after so many seconds; 0: never")
    doctor.add_argument(
        "--vip", metavar="ADDRESS", action="append", default=[], help="instead of those that the controller tells"
    )
    doctor.add_argument("--peer", metavar="ADDRESS", action="append", default=[], help="of another member or the arbiter")
    doctor.add_argument("--port", metavar="N", type=int, help="where IRIS answers (default: that of iris qlist, else 1972)")
    watch.add_argument("--every", metavar="S", type=_pause, default=15.0, help="from look to look (default: 15)")
    watch.add_argument("--report-every", metavar="S", type=_pause, default=600.0, help="between dry claims (default: 600)")
    keygen.add_argument("--show", action="store_true", help="print the key too, to paste it into the setting")
    claim.add_argument("--detach", action="store_true", help="go on in the background, detached from the caller")
    claim.add_argument("--force", action="store_true", help="do not ask primary_check")
    signer.add_argument("--dry-run", action="store_true", help="a claim that changes nothing")
    signer.add_argument("--curl", action="store_true", help="the whole curl command instead of headers and body")
    return parser


def open_standard_streams() -> None:
    """Make sure that 0, 1 and 2 are taken: else a lock file or socket could get the number of a closed stdout."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def main(arguments: list) -> int:
    """Run one command and return its exit code."""
    began = steady()
    open_standard_streams()
    try:
        parser = make_parser()
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.error("no command given")
        stop = options.run(options, began)
    except Stop as refused:
        stop = refused
        Log._syslog("%s: %s" % (stop.outcome, stop.detail))  # started by IRIS, nobody reads stderr
    except KeyboardInterrupt:
        stop = Stop(EXIT_INTERRUPTED, "interrupted", "interrupted; the claim may have been accepted all the same")
    if stop is None:
        return EXIT_PLACED
    if stop.detail:
        complain(stop.detail)
    result = {"exit": stop.exit_code, "outcome": stop.outcome}
    if stop.detail:
        result["detail"] = stop.detail
    result.update(stop.fields)
    print_result(result)
    return stop.exit_code


if __name__ == "__main__":
    _code = main(sys.argv[1:])
    # Threads that hang (a DNS look-up) must not delay the end; all output has been written without buffers.
    os._exit(_code)
