"""Sets of part numbers as short text, ``"0-41,43"``: what a job of 10,000 parts keeps must stay small."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 1_000_000
"""More parts than that no job has; what says so is not believed, since their numbers are held in memory."""

_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


def parse(text: object) -> set[int]:
    """The numbers that ``text`` names. What is no range is skipped."""
    numbers: set[int] = set()
    for piece in str(text or "").split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        if last < MOST:
            numbers.update(range(first, last + 1))
    return numbers


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last number of each unbroken run, in order."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def text(numbers: Iterable[int]) -> str:
    """The shortest text that ``parse`` reads back."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges(numbers))
