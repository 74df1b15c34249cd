"""Bad input: one line on stderr that says what is wrong, exit 2, one line of JSON, and nothing sent."""

import base64
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.agent.scripted import AGENT, KEY_TEXT, Controller, Ended, Node, end_of, make_node, moved

Serve = Callable[..., Controller]


def assert_usage(ended: Ended, *words: str) -> None:
    """Exit 2, one clear line that holds the words, and the same in the JSON."""
    assert ended.code == 2
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr
        assert word in ended.result["detail"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no command", "usage"]),
        (["heal"], ["heal", "usage"]),
        (["claim", "--nope"], ["--nope", "usage"]),
        (["claim", "--dead", "5"], ["--dead"]),
        (["claim", "--deadline", "soon"], ["--deadline", "soon"]),
        (["claim", "--deadline", "-1"], ["--deadline"]),
        (["claim", "--deadline", "nan"], ["--deadline"]),
        (["claim", "--event", "Promoted"], ["--event", "NotifyBecomePrimary"]),
        (["claim", "--evidence", "count"], ["NAME=VALUE"]),
        (["claim", "--evidence", "x=" + "y" * 1024], ["1024 bytes"]),
        (["claim", "--member", "a\nb"], ["member"]),
    ],
)
def test_wrong_arguments_are_named(node: Node, arguments: list[str], words: list[str]) -> None:
    """An unknown command or option, or a value out of range, is usage."""
    assert_usage(node.run(*arguments), *words)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("url", "", ["url is missing"]),
        ("url", "http://10.0.0.1/api", ["https://"]),
        ("url", "http://localhost.example.org/api", ["https://"]),
        ("url", "https://app.example.org", ["/api"]),
        ("url", "https://app.example.org/api?code=x", ["query"]),
        ("url", "https://user:password@app.example.org/api", ["user"]),
        ("url", "https://app.example.org:port/api", ["url"]),
        ("url", "ftp://app.example.org/api", ["https://"]),
        ("url", "https://app.example.org/api http://10.0.0.1/api", ["https://"]),
        ("url", "; none yet", ["url is missing"]),
        ("url", "https://app..example.org/api", ["url must name a host"]),
        ("url", f"https://{'a' * 64}.example.org/api", ["url must name a host"]),
        ("proxy", "https://proxy.example.org:3128", ["proxy must look like http://"]),
        ("proxy", "proxy.example.org:3128", ["proxy must look like http://"]),
        ("proxy", "http://proxy.example.org:port", ["proxy must look like http://"]),
        ("proxy", "http://proxy.example.org:3128", ["proxy must be on this machine"]),
        ("proxy", "http://proxy..example.org:3128", ["proxy must look like http://"]),
        ("mirror", "PROD/claims", ["mirror"]),
        ("mirror", "", ["mirror is missing"]),
        ("member", "m" * 65, ["64"]),
        ("key_id", 'a"b', ["key_id"]),
        ("deadline_s", "never", ["deadline_s"]),
        ("retry_min_s", "0", ["retry_min_s"]),
        ("ca_file", "/nowhere/ca.pem", ["/nowhere/ca.pem"]),
        ("key_file", "/nowhere/key", ["/nowhere/key", "cannot be read"]),
        ("key_file", "mirrora-1.key", ["key_file must be an absolute path"]),
        ("ca_file", "ca.pem", ["ca_file must be an absolute path"]),
        ("log_file", "agent.log", ["log_file must be an absolute path"]),
        ("key_file", "/etc/\0", ["NUL"]),
        ("log_file", "/var/\0", ["NUL"]),
        ("key_path", "/etc/key", ["unknown setting key_path"]),
    ],
)
def test_wrong_settings_are_named(node: Node, setting: str, value: str, words: list[str]) -> None:
    """Each fault of the configuration is told by its setting."""
    node.settings[setting] = value

    assert_usage(node.run("claim"), *words)


def test_password_of_the_proxy_is_told_to_nobody(node: Node) -> None:
    """A fault of the setting is named without its value."""
    node.settings["proxy"] = "http://user:secret@proxy.example.org:3128/path"

    assert "secret" not in node.run("claim").stderr


def test_sample_of_the_specification_is_understood(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A blank and a semicolon begin a comment, but in a command and a name, which may hold them."""
    node = make_node(tmp_path, serve([moved()]).url)
    node.settings["url"] += "        ; several, separated by spaces, are tried in turn"
    node.settings |= {"ca_file": "", "proxy": "                 ; none by default", "primary_check": "sh -c 'false ; exit 0'"}

    assert node.run("claim").result["outcome"] == "moved"


def test_all_faults_are_told_at_once(node: Node) -> None:
    """Whoever edits the file sees every fault in one go."""
    node.settings |= {"mirror": "", "deadline_s": "x", "url": "nothing"}

    assert_usage(node.run("claim"), "mirror", "deadline_s", "url")


@pytest.mark.parametrize("change", [b"\xef\xbb\xbf%s", b"\xef\xbb\xbf; a comment\n%s"], ids=["bom", "bom-and-comment"])
def test_file_of_a_windows_editor_is_understood(serve: Serve, tmp_path: pathlib.Path, change: bytes) -> None:
    """Lines end in CR LF, and a byte order mark comes first."""
    node = make_node(tmp_path, serve([moved()]).url)
    path = tmp_path / "windows.ini"
    path.write_bytes(change % node.config.read_bytes().replace(b"\n", b"\r\n"))

    assert node.run("claim", "--config", str(path)).code == 0


@pytest.mark.parametrize(
    "text",
    ["", "url = x\n", "[agent\n", "[other]\nurl = x\n", "[agent]\nurl = x\nurl = y\n", "\0" * 99],
    ids=["empty", "no-section", "open", "other-section", "twice", "zeros-of-a-crash"],
)
def test_file_that_is_no_configuration_is_named(node: Node, text: str) -> None:
    """A broken INI file is told by its path."""
    path = node.folder / "broken.ini"
    path.write_text(text)

    assert_usage(node.run("claim", "--config", str(path)), "broken.ini")


def test_absent_configuration_is_named(node: Node) -> None:
    """A missing file is told by its path, with the option that names another."""
    assert_usage(node.run("claim", "--config", "/nowhere/agent.ini"), "/nowhere/agent.ini", "--config")


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o620, 0o602, 0o601])
def test_key_that_others_can_read_is_refused(node: Node, mode: int) -> None:
    """The key is a secret: no right for others, none to write for the group."""
    pathlib.Path(node.settings["key_file"]).chmod(mode)

    assert_usage(node.run("claim"), "key_file", f"{mode:04o}", "chmod")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_key_of_the_owner_and_its_group_is_used(serve: Serve, tmp_path: pathlib.Path, mode: int) -> None:
    """The group may read: the file is root's, the agent runs as IRIS's user."""
    node = make_node(tmp_path, serve([moved()]).url)
    pathlib.Path(node.settings["key_file"]).chmod(mode)

    assert node.run("claim").code == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        base64.b64encode(bytes(31)).decode(),
        KEY_TEXT + "\n" + KEY_TEXT,
        KEY_TEXT[:20] + " " + KEY_TEXT[20:],
        KEY_TEXT.rstrip("="),
        "\u00e4" * 44,
    ],
    ids=["empty", "other", "short", "two-lines", "blank", "padding", "latin"],
)
def test_file_that_holds_no_key_is_refused(node: Node, text: str) -> None:
    """One line of base64 of at least 32 bytes; what was found is never printed."""
    pathlib.Path(node.settings["key_file"]).write_text(text)

    ended = node.run("claim")

    assert_usage(ended, "key_file", "base64", "32")
    assert not text or text not in ended.stderr


def test_key_file_that_is_no_file_is_refused(node: Node) -> None:
    """A folder or a pipe is refused; nothing waits for a writer."""
    os.mkfifo(node.folder / "pipe", 0o600)
    for path in (node.folder, node.folder / "pipe"):
        node.settings["key_file"] = str(path)
        assert_usage(node.run("claim"), "no regular file")


def test_faults_are_told_before_detaching(node: Node) -> None:
    """With --detach too, the caller learns that the configuration is unusable."""
    node.settings["key_file"] = "/nowhere/key"

    assert_usage(node.run("claim", "--detach"), "/nowhere/key")
    assert "agent.stopped exit=2" in node.log


def test_config_after_the_command_counts(serve: Serve, tmp_path: pathlib.Path) -> None:
    """--config is understood before and after the command; the later one wins."""
    good = make_node(tmp_path, serve([moved()]).url).config
    for words in (["--config", str(good), "claim"], ["claim", "--config", str(good)]):
        process = subprocess.Popen([sys.executable, AGENT, *words], stdout=-1, stderr=-1, text=True)
        assert end_of(process).code == 0


def test_help_is_printed_and_ends_with_0(node: Node) -> None:
    """--help is no fault."""
    ended = node.run("claim", "--help")

    assert ended.code == 0
    assert "--deadline" in ended.stdout
