"""A node whose log and syslog both stand still, as with a full or hanging disk: what the agent does goes on."""

import json
import subprocess

from tests.nodes.azure import Member

FULL = """
import socket, time
journal, writer = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "ab")
journal.bind("/dev/log")
writer.connect("/dev/log")
writer.setblocking(False)
try:
    while True:
        writer.send(b"x")
except BlockingIOError:
    print("ready", flush=True)
time.sleep(987)
"""


def test_syslog_that_takes_no_line_does_not_stop_the_agent(pair: tuple[Member, Member]) -> None:
    """Its lines go to syslog as the log cannot be written, and nobody reads there: syslog(3) waits without end."""
    node = pair[0]
    words = node.words("setpriv", "--pdeathsig=KILL", "/usr/bin/python3", "-c", FULL)
    node.sh("chmod 0550 /var/log/mirror-vip")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as journal:
        try:
            assert journal.stdout is not None
            assert journal.stdout.readline() == "ready\n"
            node.sh("chmod 0666 /dev/log")

            done = node.agent("status")
        finally:
            journal.kill()
            node.sh("rm -f /dev/log; chmod 0750 /var/log/mirror-vip")

    assert json.loads(done.stdout)["exit"] == 0
