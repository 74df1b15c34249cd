"""The ObjectScript routines: parsed, and held to structural rules.

A hook that throws, waits or returns anything but 1 can hold up a failover; these rules are about that. What the routines do is
tested by running their text: test_zvip.py and test_zvipsend.py.
"""

import pathlib
import re
from collections.abc import Iterator

import pytest
import tree_sitter_objectscript_routine
from tree_sitter import Language, Node, Parser

FOLDER = pathlib.Path(__file__).parents[2] / "agent"
PAGE = (FOLDER.parent / "docs/iris.md").read_text()
LANGUAGE = Language(tree_sitter_objectscript_routine.language_objectscript_routine())
ROUTINES = {
    "ZMIRROR.mac": {"ZMIRROR", "CheckBecomePrimaryOK", "NotifyBecomePrimary"},
    "ZVIP.mac": {
        *("ZVIP", "Claim", "Start", "HasSender", "Missing", "LogFile", "Follow", "Watch", "Word", "Ended"),
        *("Settings", "Doctor", "Hooks", "Hook", "Mirror", "Say", "Note", "Log"),
    },
    "ZVIPSend.mac": {
        *("ZVIPSend", "Setup", "Launch", "Run", "Work", "Once", "Show", "Prepare", "Claim", "End", "MayClaim", "Judge", "Is"),
        *("Known", "Describe", "Pause", "Asked", "Post", "Sign", "Body", "Clock", "Now", "Correct", "Seconds", "Key", "Nonce"),
        "Uuid",
    },
    "ZSTART.mac": {"%ZSTART", "SYSTEM"},
}
HOOKS = {
    "ZMIRROR": ["CheckBecomePrimaryOK", "NotifyBecomePrimary"],
    "%ZSTART": ["SYSTEM"],
    "ZVIP": ["Claim", "Start", "Log"],
    "ZVIPSend": ["Launch"],
}
"""What runs while IRIS fails over, in its own process, and has to trap whatever it calls."""
CALLED = {"ZVIP": ["HasSender", "Missing", "LogFile", "Settings"]}
"""What those call, inside of their TRY."""
ENTRY_POINTS = {
    "CanNodeStartToBecomePrimary",
    "CheckBecomePrimaryOK",
    "NotifyBecomePrimary",
    "NotifyBecomePrimaryFailed",
}


def parse(source: str) -> Node:
    """Return the syntax tree of a routine."""
    return Parser(LANGUAGE).parse(source.encode()).root_node


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text_of(node: Node) -> str:
    """Return a node's source."""
    return (node.text or b"").decode()


def of_type(node: Node, kind: str) -> list[Node]:
    """Return all nodes of a type."""
    return [one for one in walk(node) if one.type == kind]


def procedures(root: Node) -> dict[str, Node]:
    """Return the procedures by label."""
    return {text_of(of_type(one, "tag")[0]): one for one in of_type(root, "procedure")}


def statements(procedure: Node) -> list[Node]:
    """Return the statements of a procedure's body, comments left out."""
    return [one for one in procedure.children if one.type == "statement"]


def breaches(source: str) -> list[str]:
    """Return the rules that a routine breaks, as sentences."""
    root = parse(source)
    name = source.split()[1]
    found = ["it does not parse"] if root.has_error else []
    known = procedures(root)
    for label in HOOKS[name]:
        body = statements(known[label]) if label in known else []
        outside = [one for one in body if one.children[0].type not in ("command_trycatch", "command_quit")]
        if outside or not body or not of_type(known[label], "command_trycatch"):
            found.append(f"{label}: work outside TRY")
        if label == "CheckBecomePrimaryOK" and text_of(body[-1]) != "quit 1":
            found.append(f"{label}: does not end in the constant 1")
        if label == "NotifyBecomePrimary" and [text_of(one) for one in body[-2:]] != ["quit:$quit 1", "quit"]:
            found.append(f"{label}: does not return 1 where a value is asked for")
    for block in of_type(root, "command_trycatch"):
        if any(of_type(one, "expression") for one in of_type(block, "command_quit")):
            found.append("an argumented QUIT inside TRY does not compile")
        if not of_type(block, "catch_block"):
            found.append("a TRY without CATCH")
    hooks = "\n".join(text_of(known[label]) for label in HOOKS[name] + CALLED.get(name, []) if label in known)
    code = "\n".join(re.sub(r"\s;.*", "", line) for line in hooks.splitlines()).lower()
    if not all(re.match(r'\$zf\(-100, "/async", "/', call) for call in re.findall(r"\$zf\(.*", code)):
        found.append("$zf(-100) is not /ASYNC alone with an absolute program")
    if not all(re.search(r"\)::2$", call) for call in re.findall(r"^\s*job .*", code, re.MULTILINE)):
        found.append("job without a timeout of 2 s")
    words = r"^\s*(?:hang|lock|read|open|halt|zwrite)\b|\$zf\(-[12]\b|%net\.|/shell|secret|password|\.key"
    found += [f"{word.strip()} waits, or tells a secret" for word in re.findall(words, code, re.MULTILINE)]
    return found


@pytest.mark.parametrize("name", ROUTINES)
def test_routine_keeps_the_rules(name: str) -> None:
    """Each routine parses; all work is inside TRY/CATCH; nothing waits; $zf(-100) is always /ASYNC."""
    assert breaches((FOLDER / name).read_text()) == []


@pytest.mark.parametrize(("name", "labels"), ROUTINES.items())
def test_labels_are_the_documented_entry_points_and_our_own(name: str, labels: set[str]) -> None:
    """A misspelt entry point would never be called: IRIS knows four names (docs/facts/iris.md section 1)."""
    found = [text_of(one) for one in of_type(parse((FOLDER / name).read_text()), "tag")]

    assert sorted(found) == sorted(labels)
    assert name != "ZMIRROR.mac" or labels - {"ZMIRROR"} <= ENTRY_POINTS


def test_calls_between_routines_name_public_labels() -> None:
    """What ^ZMIRROR and ^%ZSTART call exists in ^ZVIP and is PUBLIC, with the number of arguments it takes."""
    claim = procedures(parse((FOLDER / "ZVIP.mac").read_text()))["Claim"]
    assert of_type(claim, "keyword_public")
    assert text_of(of_type(claim, "parameter_list")[0]) == "(event)"
    for name in ("ZMIRROR.mac", "ZSTART.mac"):
        calls = [text_of(one) for one in of_type(parse((FOLDER / name).read_text()), "routine_tag_call")]
        assert calls
        assert all(re.fullmatch(r'Claim\^ZVIP\("\w+"\)', call) for call in calls)


def test_events_are_the_contracts() -> None:
    """Each entry point passes its own name; a start passes `startup`."""
    root = parse((FOLDER / "ZMIRROR.mac").read_text())
    for label, procedure in procedures(root).items():
        assert f'Claim^ZVIP("{label}")' in text_of(procedure)
    assert 'Claim^ZVIP("startup")' in (FOLDER / "ZSTART.mac").read_text()


def test_arguments_are_counted_right() -> None:
    """The array that $zf(-100) gets has its count at its root, and no gap."""
    for procedure in procedures(parse((FOLDER / "ZVIP.mac").read_text())).values():
        source = text_of(procedure)
        numbers = [int(number) for number in re.findall(r"set args\((\d+)\)", source)]

        assert numbers == list(range(1, len(numbers) + 1))
        assert not numbers or f"set args = {len(numbers)}\n" in source


def test_lines_for_an_existing_zmirror_parse() -> None:
    """The lines that docs/iris.md tells sites to add are right in a brace procedure and in an old-style routine."""
    lines = re.findall(r"^(try \{ do Claim\^ZVIP.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        old = f"ROUTINE ZMIRROR [Type=MAC]\nZMIRROR ;\n    quit\nNotifyBecomePrimary() ;\n    {line}\n    quit 1\n"
        new = f"ROUTINE ZMIRROR [Type=MAC]\nNotifyBecomePrimary() PUBLIC {{\n    {line}\n    quit 1\n}}\n"
        assert not parse(old).has_error
        assert not parse(new).has_error


def test_zmirror_to_paste_is_the_one_that_is_shipped() -> None:
    """docs/iris.md shows the whole procedures, and they are those of ZMIRROR.mac."""
    shown = procedures(parse(re.findall(r"```objectscript\n(CheckBecome.*?)```", PAGE, re.DOTALL)[0]))

    assert set(shown) == {"CheckBecomePrimaryOK", "NotifyBecomePrimary"}
    for label, procedure in procedures(parse(GOOD)).items():
        code = [text_of(one) for one in statements(procedure)]
        assert [text_of(one) for one in statements(shown[label])] == code


GOOD = (FOLDER / "ZMIRROR.mac").read_text()
STARTS = (FOLDER / "ZVIP.mac").read_text()


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        (GOOD.replace("    quit 1\n}", "    quit 0\n}"), "constant 1"),
        (GOOD.replace("    quit 1\n}", '    quit $$Claim^ZVIP("x")\n}'), "constant 1"),
        (GOOD.replace("quit:$quit 1", "quit:$quit 0"), "return 1"),
        (GOOD.replace("    try {", "    do Before\n    try {", 1), "outside TRY"),
        (GOOD.replace("    try {", "    try {\n        quit 1", 1), "argumented QUIT"),
        (GOOD.replace("    try {", "    try {\n        hang 5", 1), "hang waits"),
        (GOOD.replace("    try {", "    try", 1), "does not parse"),
        (STARTS.replace('"/ASYNC"', '""'), "/ASYNC"),
        (STARTS.replace('"/ASYNC"', '"/ASYNC/SHELL"'), "/ASYNC"),
        (STARTS.replace('"/usr/bin/env"', '"env"'), "absolute"),
        (STARTS.replace('args(1) = "-u"', 'args(1) = "--secret=x"'), "secret"),
        (STARTS.replace("since)::2", "since)"), "timeout"),
    ],
)
def test_rules_see_a_breach(source: str, breach: str) -> None:
    """Each rule is seen to fail: a checker that passes everything would pass these routines too."""
    assert any(breach in one for one in breaches(source))
