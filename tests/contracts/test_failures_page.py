"""docs/reference/failures.md: every case of the catalogue once, and no test that does not exist."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.simulation.mistakes import MISTAKES

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/reference/failures.md").read_text(encoding="utf-8")
CASES = range(1, 73)
INVARIANTS = [f"I{number}" for number in range(1, 17)]
NAMED = re.compile(r"`([\w/]+\.py)::([\w:]+)(?:\[([^]`]+)])?`")
UNREAD = re.compile(r"`[^`|]*::[^`|]*`")


def rows(first: str) -> Iterator[tuple[str, str]]:
    """What stands in the first column of every table row that begins like this, and the rest of the row."""
    for line in PAGE.splitlines():
        found = re.match(rf"\| ({first})[ :](.*)\|$", line)
        if found:
            yield found[1], found[2]


def names_of(file: Path) -> set[str]:
    """The tests of a file, those of a class with its name before them."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        names |= {f"{prefix}{each.name}" for each in inner if isinstance(each, ast.FunctionDef)}
    return {name for name in names if name.rpartition("::")[2].startswith("test_")}


def is_known_beside(file: Path, parameter: str) -> bool:
    """A scenario or mistake of this name is in the test's folder."""
    text = re.compile(rf"\b{re.escape(parameter)}\b")
    return any(text.search(beside.read_text(encoding="utf-8")) for beside in file.parent.glob("*.py"))


def test_every_case_stands_here_once() -> None:
    counted = Counter(int(number) for number, _ in rows(r"\d+"))
    assert {number: counted[number] for number in counted if number not in CASES} == {}
    assert {number: counted[number] for number in CASES if counted[number] != 1} == {}


def test_every_invariant_stands_here_once() -> None:
    assert [name for name, _ in rows(r"I\d+")] == INVARIANTS


def test_every_case_and_invariant_names_a_test() -> None:
    silent = [first for first, rest in (*rows(r"\d+"), *rows(r"I\d+")) if not NAMED.search(rest)]
    assert silent == []


def test_every_test_that_is_named_exists() -> None:
    named = set(NAMED.findall(PAGE))
    there = {file: names_of(TESTS / file) if (TESTS / file).exists() else set() for file, _, _ in named}
    missing = [f"{file}::{name}" for file, name, _ in named if name not in there[file]]
    unknown = [f"{file} [{each}]" for file, _, each in named if each and not is_known_beside(TESTS / file, each)]
    assert (missing, unknown) == ([], [])


def test_no_name_is_written_in_a_way_that_nobody_checks() -> None:
    assert [text for text in UNREAD.findall(PAGE) if not NAMED.fullmatch(text) and "PATH" not in text] == []


def test_every_mistake_named_here_is_planted() -> None:
    section = PAGE.split("## Mistakes that the simulation must find")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert len(named) == len(set(named)) >= 22
    assert set(named) <= set(MISTAKES)
