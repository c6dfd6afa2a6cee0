"""Looking for a text in something long, a bounded piece at a time. Pure: bytes are read by what the caller gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BUDGET = 32 * 1024**2
"""Bytes that one request looks through."""
BLOCK = 1024**2
"""Bytes that are in memory at a time."""
MOST = 20
"""Hits that are found at a time."""
AROUND = 400
"""Bytes on each side of a hit that are shown, at most."""
LINES = 2
"""Lines on each side of a hit that are shown, at most."""
LONGEST = 200
"""Characters that can be looked for."""

Read = Callable[[int, int], bytes]
"""Gives at most so many bytes from an offset: ``read(offset, limit)``."""


class Hit(NamedTuple):
    """Where it is: from which byte up to which."""

    start: int
    end: int


class Found(NamedTuple):
    """What a request has found, in order, and which bytes it has looked through."""

    hits: tuple[Hit, ...]
    start: int
    end: int


class Piece(NamedTuple):
    """Text, and whether it is what is looked for."""

    text: str
    is_hit: bool
    is_chosen: bool = False


class Excerpt(NamedTuple):
    """Some lines with one hit or several."""

    hit: int
    """The offset of the first of them."""
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Needle:
    """What is looked for: plain text, as it is or in capitals and small letters alike."""

    pattern: re.Pattern[bytes]
    length: int
    """Bytes of a hit, at most."""
    ignores_case: bool

    @classmethod
    def of(cls, text: str, *, ignores_case: bool) -> Needle:
        """``text`` must not be empty."""
        letters = [_letter(letter, ignores_case) for letter in text[:LONGEST]]
        pattern = b"".join(pattern for pattern, _ in letters)
        return cls(re.compile(pattern), sum(length for _, length in letters), ignores_case)

    def hits_in(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where it is in ``data``."""
        # Bytes of ASCII letters alone change, so all offsets stay what they are.
        return (match.span() for match in self.pattern.finditer(data.lower() if self.ignores_case else data))


def _letter(letter: str, ignores_case: bool) -> tuple[bytes, int]:
    """The pattern of a letter, and its length in bytes."""
    if not ignores_case or letter.isascii():
        encoded = (letter.lower() if ignores_case else letter).encode("utf-8", "replace")
        return re.escape(encoded), len(encoded)
    variants = sorted({each.encode("utf-8", "replace") for each in (letter, letter.lower(), letter.upper())})
    return b"(?:" + b"|".join(map(re.escape, variants)) + b")", max(map(len, variants))


def forwards(read: Read, needle: Needle, start: int, end: int) -> Found:
    """The first hits that begin between ``start`` and ``end``."""
    position, last = start, min(end, start + BUDGET)
    hits: list[Hit] = []
    while position < last:
        size = min(BLOCK, last - position)
        for begin, stop in needle.hits_in(read(position, size + needle.length - 1)):
            if begin < size:
                hits.append(Hit(position + begin, position + stop))
                if len(hits) == MOST:
                    return Found(tuple(hits), start, hits[-1].end)
        position = max(position + size, hits[-1].end if hits else 0)
    return Found(tuple(hits), start, max(last, start))


def backwards(read: Read, needle: Needle, start: int, end: int) -> Found:
    """The last hits that begin between ``start`` and ``end``."""
    position, first = end, max(start, end - BUDGET)
    hits: list[Hit] = []
    while position > first:
        size = min(BLOCK, position - first)
        position -= size
        here = [
            Hit(position + begin, position + stop)
            for begin, stop in needle.hits_in(read(position, size + needle.length - 1))
            if begin < size
        ]
        hits = [*here, *hits]
        if len(hits) >= MOST:
            hits = hits[-MOST:]
            return Found(tuple(hits), hits[0].start, end)
    return Found(tuple(hits), min(first, end), end)


def excerpts(read: Read, needle: Needle, hits: Sequence[Hit], first: int) -> list[Excerpt]:
    """The hits with the lines around them; what is close together is one excerpt. ``first``: where the text begins."""
    groups: list[list[Hit]] = []
    for hit in hits:
        if groups and hit.start - groups[-1][-1].end <= AROUND and hit.end - groups[-1][0].start <= 4 * AROUND:
            groups[-1].append(hit)
        else:
            groups.append([hit])
    found = []
    for group in groups:
        begin = max(group[0].start - AROUND, first)
        data = read(begin, group[-1].end + AROUND - begin)
        head, tail = data[: group[0].start - begin], data[group[-1].end - begin :]
        head, tail = b"\n".join(head.split(b"\n")[-LINES - 1 :]), b"\n".join(tail.split(b"\n")[: LINES + 1])
        data = head + data[group[0].start - begin : group[-1].end - begin] + tail
        found.append(Excerpt(group[0].start, tuple(marked(data, needle))))
    return found


def marked(data: bytes, needle: Needle | None, chosen: int = -1) -> Iterator[Piece]:
    """``data`` as text, in pieces that are hits and pieces that are not. ``chosen``: where the chosen hit begins."""
    position = 0
    for begin, end in needle.hits_in(data) if needle else ():
        if begin > position:
            yield Piece(_text(data[position:begin]), is_hit=False)
        yield Piece(_text(data[begin:end]), is_hit=True, is_chosen=begin == chosen)
        position = end
    if position < len(data):
        yield Piece(_text(data[position:]), is_hit=False)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
