"""keygen: the key file of this member, made once, told to nobody."""

import base64
import os
import pathlib
import resource

import pytest

from tests.agent.scripted import Node, make_node
from tests.agent.test_input import assert_usage


@pytest.fixture
def bare(node: Node) -> Node:
    """A node without a key."""
    pathlib.Path(node.settings["key_file"]).unlink()
    return node


def test_key_is_made_and_its_setting_named(bare: Node) -> None:
    """A file of one line that only its owner reads; the key itself is not printed."""
    bare.settings["key_id"] = "mirror-a.1"

    ended = bare.run("keygen")

    path = pathlib.Path(bare.settings["key_file"])
    text = path.read_text()
    assert ended.code == 0
    assert len(base64.b64decode(text.strip(), validate=True)) == 32
    assert text.endswith("\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (ended.result["setting"], ended.result["key_file"]) == ("VIP_KEY_MIRROR_A_1", str(path))
    assert text.strip() not in ended.stdout + ended.stderr + bare.log


def test_show_prints_the_key_too(bare: Node) -> None:
    """--show is for pasting it into the app setting."""
    ended = bare.run("keygen", "--show")

    assert ended.result["key"] + "\n" == pathlib.Path(bare.settings["key_file"]).read_text()


def test_two_keys_differ(bare: Node) -> None:
    """Each key is made of fresh random bytes."""
    first = bare.run("keygen", "--show").result["key"]
    pathlib.Path(bare.settings["key_file"]).unlink()

    assert bare.run("keygen", "--show").result["key"] != first


def test_key_that_exists_is_kept(node: Node) -> None:
    """A second run would cut this member off: it is refused, and the file is as it was. So is a link to nowhere."""
    path = pathlib.Path(node.settings["key_file"])
    before = path.read_text()

    assert_usage(node.run("keygen", "--show"), "exists")

    assert path.read_text() == before
    path.unlink()
    path.symlink_to(node.folder / "elsewhere")
    assert_usage(node.run("keygen"), "exists")
    assert not (node.folder / "elsewhere").exists()


def test_key_whose_folder_is_missing_is_told(tmp_path: pathlib.Path) -> None:
    """Exit 2 and the path."""
    node = make_node(tmp_path)
    node.settings["key_file"] = "/nowhere/mirror.key"

    assert_usage(node.run("keygen"), "/nowhere/mirror.key")


def test_key_that_cannot_be_written_leaves_no_file(bare: Node) -> None:
    """A full disk: exit 2 and the path, and nothing that would keep the next run from making the key."""
    full = bare.run("keygen", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))

    assert_usage(full, bare.settings["key_file"], "cannot be written")
    assert not pathlib.Path(bare.settings["key_file"]).exists()
    assert bare.run("keygen").code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_key_made_by_root_belongs_to_the_user_of_the_agent(bare: Node) -> None:
    """That is the owner of the log's folder: a key that IRIS's user cannot read would be found out in the failover."""
    folder = bare.folder / "log"
    folder.mkdir()
    os.chown(folder, 4711, 4711)
    bare.settings["log_file"] = str(folder / "agent.log")

    assert bare.run("keygen").code == 0

    found = pathlib.Path(bare.settings["key_file"]).stat()
    assert (found.st_uid, found.st_mode & 0o777) == (4711, 0o600)
