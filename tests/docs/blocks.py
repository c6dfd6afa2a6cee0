"""The fenced blocks of the pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))

FILES = {
    "python": re.compile(r"# ([\w/]+\.py)\n"),
    "html+django": re.compile(r"\{# ([\w/]+\.html) #\}\n"),
    "css": re.compile(r"/\* ([\w/]+\.css) \*/\n"),
    "sh": re.compile(r"#!/bin/sh\n# ([\w/]+\.sh)\n"),
}
"""How a block begins that stands for a file, by its kind."""


@dataclass(frozen=True)
class Block:
    """One block of a page. ``line`` is the number of its first line of code."""

    page: Path
    line: int
    kind: str
    source: str

    @property
    def place(self) -> str:
        """Where an editor finds it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def first_line(self) -> str:
        return self.source.partition("\n")[0]

    @property
    def file(self) -> str | None:
        """The path that its beginning names, of a file that it stands for."""
        found = FILES[self.kind].match(self.source) if self.kind in FILES else None
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    """All blocks of code of a page, those that are only indented with the kind ``indented``."""
    return [
        Block(page, token.map[0] + (2 if token.type == "fence" else 1), kind_of(token), token.content)
        for token in MarkdownIt().parse(page.read_text())
        if token.type in ("fence", "code_block") and token.map
    ]


def kind_of(token: object) -> str:
    """The word after the fence."""
    if token.type == "code_block":  # type: ignore[attr-defined]
        return "indented"
    return (token.info.split() or [""])[0]  # type: ignore[attr-defined]


def all_blocks() -> list[Block]:
    """Those of all pages."""
    return [block for page in PAGES for block in blocks_of(page)]
