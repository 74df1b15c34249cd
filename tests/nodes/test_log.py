"""A node whose log cannot be written: its lines go to syslog, and where that stands still too, the agent goes on."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import IO

from tests.nodes.azure import Member

BIND = """
import socket, time
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/dev/log")
print("ready", flush=True)
"""
READ = f"""{BIND}
while True:
    print(journal.recv(9999).decode(), flush=True)
"""
FULL = f"""{BIND}
writer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
writer.connect("/dev/log")
writer.setblocking(False)
try:
    while True:
        writer.send(b"x")
except BlockingIOError:
    print("full", flush=True)
time.sleep(987)
"""


@contextlib.contextmanager
def journal(node: Member, script: str) -> Iterator[IO[str]]:
    """The node's syslog, and what it prints, while IRIS's user cannot write the log."""
    words = node.words("setpriv", "--pdeathsig=KILL", "/usr/bin/python3", "-c", script)
    node.sh("chmod 0550 /var/log/mirror-vip")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            node.sh("chmod 0666 /dev/log")
            yield process.stdout
        finally:
            process.kill()
            node.sh("rm -f /dev/log; chmod 0750 /var/log/mirror-vip")


def test_lines_of_a_log_that_cannot_be_written_go_to_syslog(pair: tuple[Member, Member]) -> None:
    """Each line, under the agent's name."""
    with journal(pair[0], READ) as printed:
        pair[0].agent("status")
        lines = [printed.readline() for _ in range(3)]

    assert [line.partition("]: ")[2].split()[0] for line in lines] == ["claim.began", "claim.attempt", "claim.ended"]
    assert all("vip_agent[" in line for line in lines)


def test_syslog_that_takes_no_line_does_not_stop_the_agent(pair: tuple[Member, Member]) -> None:
    """With a full disk both stand still: syslog(3) waits without end where nobody reads."""
    with journal(pair[0], FULL) as printed:
        assert printed.readline() == "full\n"
        done = pair[0].agent("status")

    assert json.loads(done.stdout)["exit"] == 0
