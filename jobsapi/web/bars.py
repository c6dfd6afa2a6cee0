"""A bar of segments: how many parts of a job are in which state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

WIDTH = 100.0

ENDED: Mapping[str, tuple[str, str]] = {
    "ok": ("good", "complete"),
    "bad": ("bad", "failed"),
    "removed": ("stopped", "stopped"),
}
"""Tone and word for parts that have ended, by the name under which ``backend_state["ended"]`` keeps their numbers."""


class Segment(NamedTuple):
    """A piece of the bar, in hundredths of it."""

    x: float
    width: float
    tone: str
    words: str


def segments(total: int, ended: object, held: object, *, under_way: bool) -> tuple[Segment, ...]:
    """The bar of a job of ``total`` parts; empty unless they are in different states.

    ``ended`` and ``held`` are what ``backend_state`` has of them, as a dict and a number or as a database gives them.
    """
    if total < 2:
        return ()
    numbers = loaded(ended) if isinstance(ended, str) else ended
    found = numbers if isinstance(numbers, Mapping) else {}
    counts = [(tone, word, count(found.get(name))) for name, (tone, word) in ENDED.items()]
    counts.append(("held", "held", int(str(held)) if str(held).isdecimal() else 0))
    left = total - sum(number for *_, number in counts)
    counts.append(("running", "running or waiting", left) if under_way else ("waiting", "never run", left))
    pieces, x = [], 0.0
    for tone, word, number in counts:
        if number > 0:
            width = WIDTH * number / total
            pieces.append(Segment(round(x, 2), round(width, 2), tone, f"{number:,} {word}"))
            x += width
    return tuple(pieces) if len(pieces) > 1 and x <= WIDTH + 0.01 else ()


def runs(ranges: object) -> list[tuple[int, int]]:
    """First and last number of each unbroken run that ``"0-41,43"`` names."""
    pieces = [piece.partition("-") for piece in str(ranges or "").split(",") if piece]
    return [(int(first), int(last or first)) for first, _, last in pieces]


def count(ranges: object) -> int:
    """How many numbers ``"0-41,43"`` names."""
    return sum(last - first + 1 for first, last in runs(ranges))


def loaded(text: str) -> Any:
    """The JSON that a database gives as text; None if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
