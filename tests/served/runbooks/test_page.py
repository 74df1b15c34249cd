"""How the page of operations is read as a script."""

from pathlib import Path

from tests.served.runbooks import page, site

TEXT = """## One
<!-- given: a table -->
```console
$ first \\
    --more
printed
second line
$ second
```
## Two
no commands
"""


def test_commands_and_what_they_print_are_found() -> None:
    """A command goes on after a backslash; what follows it, up to the next one, is what it prints."""
    (section,) = page.sections(TEXT)

    given, first, second = section.parts
    assert isinstance(first, page.Step)
    assert isinstance(second, page.Step)
    assert (section.title, given) == ("One", "a table")
    assert (first.command, first.printed) == ("first \\\n    --more\n", "printed\nsecond line\n")
    assert TEXT[slice(*first.span)] == first.printed
    assert (second.command, second.printed) == ("second\n", "")


def test_only_what_differs_from_run_to_run_is_let_pass() -> None:
    """Times, ids and durations differ; words and states do not, and `...` is lines, not a part of one."""
    assert page.same("held since 2026-01-01T00:00:01Z, 12 s\n", "held since 2027-02-03T10:20:30Z, 3.4 s\n")
    assert page.same("a\nb\nc\nd\n", "a\n...\nd\n")
    assert not page.same("MIRRORA holds it\n", "MIRRORB holds it\n")
    assert not page.same("a b\n", "a ...\n")
    assert page.same("a b c d\n", "a … d\n")
    assert page.same("one\n  two\n", "one two\n")
    assert not page.same("a\n", "a\nb\n")


def test_every_command_of_the_page_prints_what_the_page_says(tmp_path: Path) -> None:
    """An operator who pastes a line at three in the morning gets the answer that stands below it.

    The commands run in the page's order, in one world. `python -m tests.served.runbooks.page` writes the answers anew.
    """
    wrong = []
    with site.standing(tmp_path) as made:
        for section in page.sections(page.PAGE.read_text(encoding="utf-8")):
            for part in section.parts:
                if isinstance(part, str):
                    made.given(part)
                elif not page.same(printed := made.run(part.command), part.printed):
                    wrong.append(f"{section.title}\n$ {part.command}{printed}instead of\n{part.printed}")
        assert "\n".join(wrong) == ""

        steps = [part for section in page.sections(page.PAGE.read_text(encoding="utf-8")) for part in section.parts]
        loop = next(step.command for step in steps if isinstance(step, page.Step) and "year.csv" in step.command)
        whole, rows = int(made.run(loop)), (tmp_path / "year.csv").read_text()
        paged = int(made.run(loop.replace("format=csv", "format=csv&limit=7")))

    assert whole == paged > 30, "the loop puts any number of pages together"
    assert (tmp_path / "year.csv").read_text() == rows
