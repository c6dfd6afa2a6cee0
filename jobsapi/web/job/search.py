"""Looking for a text in something long, a bounded piece at a time. Pure: bytes are read by what the caller gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import AnyStr, NamedTuple

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

    text: str
    length: int
    """Bytes of a hit, at most."""
    ignores_case: bool

    @classmethod
    def of(cls, text: str, *, ignores_case: bool) -> Needle:
        """``text`` must not be empty."""
        text = text[:LONGEST].encode("utf-8", "replace").decode()
        # A capital may have more bytes than its small letter, but not more than three: those with four have it both.
        length = sum(max(len(letter.encode()), 3 if ignores_case else 0) for letter in text)
        return cls(_folded(text) if ignores_case else text, length, ignores_case)

    def hits_in(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where it is in ``data``. Linear in its length, whatever is looked for: no pattern is tried at each place."""
        if not self.ignores_case or self.text.isascii():
            # Bytes of ASCII letters alone change, so all offsets stay what they are.
            yield from _places(data.lower() if self.ignores_case else data, self.text.encode())
            return
        letters = data.decode("utf-8", "surrogateescape")
        before, position = 0, 0
        for begin, end in _places(_folded(letters), self.text):
            start = position + _length(letters[before:begin])
            before, position = end, start + _length(letters[begin:end])
            yield start, position


def _folded(text: str) -> str:
    """In small letters, and as long as before: İ alone would become two, and Σ is one of two at the end of a word."""
    return text.replace("İ", "I").lower().replace("ς", "σ")


def _places(text: AnyStr, part: AnyStr) -> Iterator[tuple[int, int]]:
    begin = text.find(part)
    while begin >= 0:
        end = begin + len(part)
        yield begin, end
        begin = text.find(part, end)


def _length(letters: str) -> int:
    return len(letters.encode("utf-8", "surrogateescape"))


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
        places = needle.hits_in(read(position, size + needle.length - 1))
        last = deque((place for place in places if place[0] < size), maxlen=MOST)
        hits = [*(Hit(position + begin, position + stop) for begin, stop in last), *hits]
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
