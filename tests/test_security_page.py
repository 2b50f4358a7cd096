"""Every test that the page on security relies on is there."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "security.md"
NAMED = re.compile(r"`(tests/[\w/.]+)(?:::(\w+))?`")


def test_promises_name_tests_that_there_are() -> None:
    text = PAGE.read_text()
    named = NAMED.findall(text)
    assert named
    for path, function in named:
        tests = PAGE.parent.parent / path
        assert tests.exists(), path
        assert not function or f"def {function}(" in tests.read_text(), f"{path}::{function}"


def test_every_promise_names_one() -> None:
    promises = PAGE.read_text().partition("## What is promised")[2].partition("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")]
    headings = promises.count("\n### ")
    assert len([row for row in rows if NAMED.search(row)]) == len(rows) - headings
