"""What a page that shows other rows has to do to show these. Pure: it works on numbers and versions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from jobsapi.web.table.versions import Glance


class Arrival(NamedTuple):
    """A row that is put behind another; behind the head of the table when ``behind`` is 0."""

    behind: int
    number: int


class Changes(NamedTuple):
    """In the order in which they are to be made: first go, then replace, then put in."""

    gone: list[int]
    changed: list[int]
    arrived: list[Arrival]

    @classmethod
    def between(cls, seen: Mapping[int, str], rows: Sequence[Glance]) -> Self | None:
        """From what is seen (versions by number, from top to bottom) to ``rows``.

        None if the list is better shown anew: it is empty now, or nothing of it stays.
        """
        now = {row.number for row in rows}
        common = [number for number in seen if number in now]
        if not common:
            return None if now or seen else cls([], [], [])
        places = {row.number: place for place, row in enumerate(rows)}
        kept = _in_order([places[number] for number in common])
        stay = {rows[place].number for place in kept}
        gone = [number for number in seen if number not in stay]
        changed = [row.number for row in rows if row.number in stay and row.version != seen[row.number]]
        above, arrived = 0, []
        for row in rows:
            if row.number not in stay:
                arrived.append(Arrival(above, row.number))
            above = row.number
        return cls(gone, changed, arrived)


def seen_of(items: Iterable[str]) -> dict[int, str]:
    """The versions of the rows that a page shows, by number. What is malformed is left out."""
    pairs = (item.partition(".")[::2] for item in items)
    return {int(number): version for number, version in pairs if number.isdecimal() and len(number) < 20}


def _in_order(places: Sequence[int]) -> list[int]:
    """The longest run of places that rise: rows that need not be moved."""
    ends: list[int] = []
    ends_at: list[int] = []
    before: list[int | None] = []
    for index, place in enumerate(places):
        length = bisect_left(ends, place)
        before.append(ends_at[length - 1] if length else None)
        ends[length : length + 1] = [place]
        ends_at[length : length + 1] = [index]
    found: list[int] = []
    at: int | None = ends_at[-1] if ends_at else None
    while at is not None:
        found.append(places[at])
        at = before[at]
    return found[::-1]
