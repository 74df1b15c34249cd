"""watch: claims for a primary whose VIP is elsewhere, and for nobody else; tells of a wrong key before the failover."""

import contextlib
import pathlib
import subprocess
from collections.abc import Callable, Iterator

from tests.agent.scripted import Controller, Node, Reply, Request, eventually, make_node, moved, planned, problem

Serve = Callable[..., Controller]


@contextlib.contextmanager
def watching(node: Node, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run watch with short waits until the block ends."""
    with (node.folder / "stderr").open("w") as stderr:
        words = node.words("watch", "--every", "0.05", *(arguments or ("--report-every", "600")))
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def said(node: Node) -> str:
    """What watch has written to stderr, which is the journal."""
    return (node.folder / "stderr").read_text()


def claims(controller: Controller) -> list[Request]:
    """The requests that were no dry claims."""
    return [request for request in controller.requests if "dry_run" not in request.body]


def looked(node: Node, times: int) -> None:
    """Wait until primary_check, a command that writes a line, has been asked so often."""
    eventually(lambda: (node.folder / "looks").exists() and (node.folder / "looks").read_text().count("x") >= times)


def asked(node: Node, code: int = 0) -> None:
    """Let primary_check count its runs, and end with a code."""
    node.settings["primary_check"] = f"sh -c 'echo x >>{node.folder}/looks; exit {code}'"


def test_primary_whose_vip_is_elsewhere_claims_it(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Three looks that say primary, another holder: one claim with event watch, and none after it."""
    holder = ["MIRRORB"]

    def script(request: Request) -> Reply:
        if request.body.get("dry_run"):
            return planned(holder[0])
        holder[0] = "MIRRORA"
        return moved()

    controller = serve(script)
    node = make_node(tmp_path, controller.url)
    asked(node)
    with watching(node):
        eventually(lambda: bool(claims(controller)))
        looks = (node.folder / "looks").read_text().count("x")
        looked(node, looks + 3)

    (claim,) = claims(controller)
    assert claim.body["event"] == "watch"
    assert claim.body["evidence"]["holder"] == "MIRRORB"
    assert looks >= 3
    assert "MIRRORA is primary and MIRRORB holds the VIP" in said(node)


def nobody_claims(node: Node, controller: Controller) -> None:
    """Eight looks, no claim."""
    with watching(node):
        looked(node, 8)
    assert claims(controller) == []


def test_member_that_is_not_primary_claims_nothing(serve: Serve, tmp_path: pathlib.Path) -> None:
    """It says once at its start that it lives, and then looks at IRIS only."""
    controller = serve([planned("MIRRORB")])
    node = make_node(tmp_path, controller.url)
    asked(node, 1)

    nobody_claims(node, controller)

    assert len(controller.requests) == 1


def test_unknown_is_not_primary(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A check that does not say primary never leads to a claim."""
    controller = serve([planned("MIRRORB")])
    node = make_node(tmp_path, controller.url)
    asked(node, 7)

    nobody_claims(node, controller)


def test_two_looks_are_not_enough(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Primary, primary, not, again and again: three in a row are needed."""
    controller = serve([planned("MIRRORB")])
    node = make_node(tmp_path, controller.url)
    count = f"echo x >>{node.folder}/looks; test $(($(wc -l <{node.folder}/looks) % 3)) -ne 0"
    node.settings["primary_check"] = f"sh -c '{count}'"

    nobody_claims(node, controller)


def test_holder_itself_claims_nothing(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The VIP is here: all is well."""
    controller = serve([planned("MIRRORA")])
    node = make_node(tmp_path, controller.url)
    asked(node)

    nobody_claims(node, controller)


def test_swap_freeze_and_unknown_holder_are_left_alone(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Somebody is at work, an operator said stop, or nobody knows: the controller's timer is in charge."""
    replies = [planned("MIRRORB", in_progress={"to": "MIRRORA"}), planned("MIRRORB", frozen={"reason": "works"}), planned(None)]
    for number, reply in enumerate(replies):
        (tmp_path / str(number)).mkdir()
        controller = serve([reply])
        node = make_node(tmp_path / str(number), controller.url)
        asked(node)

        nobody_claims(node, controller)


def test_wrong_key_shows_before_the_failover(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The dry claim at the start, and one every ten minutes, finds it on the backup too; said once, and it goes on."""
    controller = serve([problem(401, "signature-invalid")])
    node = make_node(tmp_path, controller.url)
    asked(node, 1)
    with watching(node, "--report-every", "0.1") as process:
        controller.wait_for(3)
        assert process.poll() is None

    assert said(node).count("a dry claim failed") == 1
    assert node.log.count("watch.controller") == 1
    assert claims(controller) == []


def test_dry_claim_is_repeated(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The controller keeps when it last heard from a member; each answer's correlation id is in the log."""
    controller = serve([planned("MIRRORB")])
    node = make_node(tmp_path, controller.url)
    asked(node, 1)
    with watching(node, "--report-every", "0.1"):
        controller.wait_for(3)

    assert all(request.body["dry_run"] is True for request in controller.requests)
    assert "correlation_id=c0ffee" in node.log
    assert "claim.attempt" not in node.log


def test_check_that_cannot_run_is_said_loudly(serve: Serve, tmp_path: pathlib.Path) -> None:
    """A wrong path would make watch useless for ever: one line in journal and log."""
    controller = serve([planned("MIRRORB")])
    node = make_node(tmp_path, controller.url, primary_check="/nowhere/iris qlist IRIS")
    with watching(node, "--report-every", "0.1"):
        controller.wait_for(3)

    assert said(node).count("primary_check cannot run") == 1
    assert claims(controller) == []


def test_new_key_is_used_without_a_restart(serve: Serve, tmp_path: pathlib.Path) -> None:
    """The configuration is read for each look; one that breaks meanwhile leaves the last good one, and is told."""
    controller = serve([planned("MIRRORB")])
    node = make_node(tmp_path, controller.url)
    asked(node, 1)
    with watching(node, "--report-every", "0.1"):
        controller.wait_for(1)
        node.settings["key_id"] = "mirrora-2"
        _ = node.config
        eventually(lambda: controller.requests[-1].parameter("keyid") == "mirrora-2")
        (node.folder / "agent.ini").write_text("[agent]\n")
        eventually(lambda: "url is missing" in said(node))
        controller.wait_for(len(controller.requests) + 2)


def test_key_that_breaks_meanwhile_is_said_once(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Once in the journal, once in the log, and nothing says that the agent has stopped: it goes on."""
    node = make_node(tmp_path, serve([planned("MIRRORB")]).url)
    asked(node, 1)
    with watching(node):
        looked(node, 1)
        pathlib.Path(node.settings["key_file"]).chmod(0o644)
        eventually(lambda: "mode 0644" in said(node))
        looked(node, (node.folder / "looks").read_text().count("x") + 5)

    assert said(node).count("mode 0644") == 1
    assert node.log.count("mode 0644") == 1
    assert "agent.stopped" not in node.log


def test_refused_claims_come_later_and_later(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Where there are no status pages the controller refuses a watch claim: it is reported once, and not repeated at once."""
    controller = serve(lambda request: planned("MIRRORB") if request.body.get("dry_run") else problem(403, "key-not-for-member"))
    node = make_node(tmp_path, controller.url)
    asked(node)
    with watching(node):
        eventually(lambda: bool(claims(controller)))
        looked(node, (node.folder / "looks").read_text().count("x") + 5)

    assert len(claims(controller)) == 1
    assert said(node).count("the claim was not carried out") == 1


def test_fault_of_the_configuration_ends_it_at_the_start(node: Node) -> None:
    """Exit 2, as systemd shows it."""
    node.settings["key_file"] = "/nowhere/key"

    assert node.run("watch").code == 2
