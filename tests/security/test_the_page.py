"""The threat model names tests for what it says."""

from __future__ import annotations

import re

from tests.docs.blocks import DOCS, ROOT

PAGE = (DOCS / "security.md").read_text()


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`([\w/]*test_\w+\.py)`", PAGE))

    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).is_file()] == []


def test_every_test_of_security_is_named_by_the_page():
    ours = {path.name for path in (ROOT / "tests" / "security").glob("test_*.py")} - {"test_the_page.py"}

    assert [name for name in sorted(ours) if f"`security/{name}`" not in PAGE] == []
