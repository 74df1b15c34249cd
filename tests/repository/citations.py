"""What comments, docstrings and pages of this repository cite, and what of it does not exist. Text only: nothing is imported.

A citation names a page (`docs/api.md section 6`, `docs/adr/0003`, a relative link), a file, a test or a module of this
repository. What a checkout does not hold cannot be cited.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_PARTS: Final = r"(?:vipcore|tests|simulator|serve|demo|bench|agent|docs|\.ci)"
_ENDINGS: Final = r"(?:py|md|mac|json|toml|txt|svg)"
_NUMBERS: Final = r"\d+(?:(?:, *|\s+and\s+|\s+to\s+)\d+)*"
_GAP: Final = r"\s+(?:#\s+)?"  # a citation may go on in the next line of a comment
_SECTIONS: Final = re.compile(
    rf"(?P<page>[\w./-]+\.md)`?{_GAP}sections?{_GAP}(?P<numbers>{_NUMBERS})(?:{_GAP}item (?P<item>\d+))?"
)
_PAGE: Final = re.compile(r"(?<![\w./-])docs/[\w/-]+\.md")
_HEADING: Final = re.compile(r'(?<![\w./-])(?P<page>docs/[\w/-]+\.md), "(?P<heading>[^"]+)"')
_DECISION: Final = re.compile(r"docs/adr/(?P<number>\d{4})")
_LINK: Final = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)(?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_PATH: Final = re.compile(rf"(?<![\w./-]){_PARTS}/[\w./-]*(?:::(?P<name>\w+))?")
_FILE: Final = re.compile(rf"`(?P<path>[\w.-][\w./-]*\.{_ENDINGS})(?:::(?P<name>\w+))?`")
_MODULE: Final = re.compile(rf"python -m (?P<module>{_PARTS}(?:\.\w+)*)")
_FACTS: Final = re.compile(
    r"(?P<before>[\w./-]*)\b(?:azure|iris|runtime|testing|peers|host-edge|azure-production|azure-2026|iris-nodes)\.md"
)
_BARE: Final = (
    re.compile(r"\bcontract(?:'s)? \(?sections?\b|\b[Tt]he contracts?\b|\bcontract's\b"),
    re.compile(r"\bpromises? \d"),
    re.compile(r"\.\./shared\b|\bshared facts\b"),
)
_SECTION: Final = re.compile(rf"(?P<before>\S*){_GAP}\(?sections?{_GAP}{_NUMBERS}|\(sections?{_GAP}{_NUMBERS}")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the repository that may cite: its path from the root, and its text."""

    path: str
    text: str

    def at(self, offset: int) -> str:
        """`file:line`, as an editor opens it."""
        return f"{self.path}:{self.text.count(chr(10), 0, offset) + 1}"


@cache
def listed() -> frozenset[str]:
    """Every file that git knows or would add, and every folder of them, by its path from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [path for path in output.splitlines() if (ROOT / path).exists()]
    return frozenset(files) | {str(parent) for path in files for parent in Path(path).parents}


@cache
def sources(*endings: str) -> tuple[Source, ...]:
    """The files with these endings. The files of this test and of its own test are left out: they are full of examples."""
    mine = ("tests/repository/citations.py", "tests/repository/test_citations.py")
    paths = sorted(path for path in listed() if path.endswith(endings) and path not in mine and (ROOT / path).is_file())
    return tuple(Source(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths)


def code() -> tuple[Source, ...]:
    """What holds comments and docstrings."""
    return sources(".py", ".mac", ".sample", "Makefile", ".toml", ".funcignore")


def pages() -> tuple[Source, ...]:
    """What people read."""
    return sources(".md")


@cache
def _headings(page: str) -> tuple[str, ...]:
    if page not in listed():
        return ()
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return tuple(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


@cache
def _anchors(page: str) -> frozenset[str]:
    """The anchors that GitHub gives a page's headings."""
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _headings(page))


@cache
def _sections(page: str) -> frozenset[int]:
    return frozenset(int(found[1]) for heading in _headings(page) if (found := re.match(r"(\d+)\. ", heading)))


def _numbers(text: str) -> Iterator[int]:
    """`3 to 6 and 8` -> 3, 4, 5, 6, 8."""
    for part in re.split(r", *|\s+and\s+", text):
        first, _, last = (piece.strip() for piece in part.partition("to"))
        yield from range(int(first), int(last or first) + 1)


def _has_item(page: str, section: int, item: int) -> bool:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {section}\. .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found is not None and re.search(rf"^{item}\. ", found[0], re.MULTILINE) is not None


def _beside(source: Source, target: str) -> str:
    """The path from the root of what a page names relative to itself."""
    path = (ROOT / source.path).parent.joinpath(target).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else "outside the repository"


def _page_of(source: Source, name: str) -> str | None:
    """The page that a citation names: from the root; in a page also from docs/, or beside it."""
    candidates = (name, f"docs/{name}", _beside(source, name)) if source.path.endswith(".md") else (name,)
    return next((page for page in candidates if page in listed()), None)


def missing_sections() -> list[str]:
    """Citations of a section, an item of it or a heading that does not exist. Bare ones are told by `bare_citations`."""
    wrong = []
    for source in (*code(), *pages()):
        found = [one for one in _SECTIONS.finditer(source.text) if one["page"].startswith("docs/") or source.path.endswith(".md")]
        wrong += [f"{source.at(one.start())}: {one[0]!r}" for one in found if not _section_exists(source, one)]
        quoted = [one for one in _HEADING.finditer(source.text) if one["heading"] not in _headings(one["page"])]
        wrong += [f"{source.at(one.start())}: {one[0]!r}" for one in quoted]
    return wrong


def _section_exists(source: Source, found: re.Match[str]) -> bool:
    page, numbers = _page_of(source, found["page"]), set(_numbers(found["numbers"]))
    if page is None or not numbers <= _sections(page):
        return False
    return not found["item"] or _has_item(page, max(numbers), int(found["item"]))


def missing_pages() -> list[str]:
    """Citations of a page under docs/, or of a decision by its number, that does not exist."""
    wrong = []
    decisions = {path.removeprefix("docs/adr/")[:4] for path in listed() if re.match(r"docs/adr/\d{4}-", path)}
    for source in (*code(), *pages()):
        wrong += [f"{source.at(f.start())}: {f[0]!r}" for f in _PAGE.finditer(source.text) if f[0] not in listed()]
        wrong += [f"{source.at(f.start())}: {f[0]!r}" for f in _DECISION.finditer(source.text) if f["number"] not in decisions]
    return wrong


def missing_links() -> list[str]:
    """Relative links of pages whose file or anchor does not exist."""
    wrong = []
    for source in pages():
        for found in _LINK.finditer(source.text):
            target = _beside(source, found["target"]) if found["target"] else source.path
            anchor = found["anchor"]
            if target not in listed() or (anchor and target.endswith(".md") and anchor not in _anchors(target)):
                wrong.append(f"{source.at(found.start())}: {found[0]!r}")
    return wrong


def missing_files() -> list[str]:
    """Files, folders, tests and modules that a page names and that do not exist."""
    wrong = []
    for source in pages():
        for found in _PATH.finditer(source.text):
            path = found[0].partition("::")[0].rstrip("/.")
            if _DECISION.fullmatch(path):
                continue
            if path not in listed() or (found["name"] and found["name"] not in _functions(path)):
                wrong.append(f"{source.at(found.start())}: {found[0]!r}")
        for found in _FILE.finditer(source.text):
            path = found["path"]
            if not path.startswith("NNNN") and not any(name == path or name.endswith(f"/{path}") for name in listed()):
                wrong.append(f"{source.at(found.start())}: {found[0]!r}")
        for found in _MODULE.finditer(source.text):
            path = found["module"].replace(".", "/")
            if not {f"{path}.py", f"{path}/__main__.py"} & listed():
                wrong.append(f"{source.at(found.start())}: {found[0]!r}")
    return wrong


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def bare_citations() -> list[str]:
    """Citations of what no checkout holds, or of a section of nothing: a reader cannot follow them."""
    wrong = []
    for source in (*code(), *pages()):
        found = [one for one in _FACTS.finditer(source.text) if not _has_folder(source, one)]
        found += [one for pattern in _BARE for one in pattern.finditer(source.text)]
        wrong += [f"{source.at(one.start())}: {one[0]!r}" for one in found]
    for source in code():
        for one in _SECTION.finditer(source.text):
            standard = re.search(r"RFC \d+[;,:]?$", source.text[: one.end("before")])
            if not (one["before"] or "").rstrip("`").endswith(".md") and not standard:
                wrong.append(f"{source.at(one.start())}: {one[0].strip()!r}")
    return wrong


def _has_folder(source: Source, found: re.Match[str]) -> bool:
    """Whether a fact page is named with its folder; pages may name it relative to themselves, as the text or target of a link.

    docs/ may have a page of the same name.
    """
    in_docs = f"docs/{found[0].removeprefix(found['before'])}" in listed()
    if not source.path.endswith(".md"):
        return found["before"] == "docs/facts/" or (in_docs and found["before"] == "docs/")
    if in_docs and (found["before"].endswith("docs/") or (not found["before"] and source.path.startswith("docs/"))):
        return True
    return found["before"].endswith("facts/") or (
        source.path.startswith("docs/facts/") and source.text[found.start() - 1] in "[("
    )
