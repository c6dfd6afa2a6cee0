"""Where the boxes of a graph stand and how its lines run: layers from top to bottom. Pure, and the same every time.

The steps are those of Sugiyama, Tagawa and Toda (1981): layers, an order in each layer with few crossings, places.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

WIDTH, HEIGHT = 150.0, 52.0
"""Of a box."""
BESIDE, BETWEEN = 16.0, 40.0
"""From one box to the next one beside it, and from one layer to the next."""
LINE = 16.0
"""What a line that passes a layer takes up in it."""
MARGIN = 8.0
SWEEPS = 8
MOST_BENDS = 3_000
"""Places that long lines are led through, in all. What is beyond that runs straight: nobody follows it by eye."""


class Bend(NamedTuple):
    """Where a line from ``parent`` to ``child`` passes the layer ``rank``, on its way through several."""

    parent: Hashable
    child: Hashable
    rank: int


class Point(NamedTuple):
    """From the left and from the top."""

    x: float
    y: float


@dataclass(frozen=True)
class Layout:
    """A graph that can be drawn."""

    places: Mapping[str, Point]
    """The upper left corner of each box."""
    lines: Mapping[tuple[str, str], tuple[Point, ...]]
    """From the lower edge of a parent to the upper edge of its child, with the bends between."""
    width: float
    height: float
    widest: int
    """Boxes in the layer that has most."""


def layout(parents: Mapping[str, Collection[str]], last: Collection[str] = ()) -> Layout:
    """Arrange a graph, given as the parents of each node; those of ``last`` stand below all others."""
    ranks = layers(parents, last)
    edges = [(each, name) for name, of_name in parents.items() for each in of_name if each in ranks]
    edges = [(parent, child) for parent, child in edges if ranks[parent] < ranks[child]]
    rows, links = _with_bends(ranks, _led(ranks, edges))
    rows = _ordered(rows, links)
    xs = _placed(rows, links)
    top = [MARGIN + rank * (HEIGHT + BETWEEN) for rank in range(len(rows))]
    places = {name: Point(xs[name] - WIDTH / 2, top[rank]) for name, rank in ranks.items()}
    lines = {}
    for parent, child in edges:
        bends = [Bend(parent, child, rank) for rank in range(ranks[parent] + 1, ranks[child])]
        passed = [Point(xs[bend], top[bend.rank] + y) for bend in bends if bend in xs for y in (0, HEIGHT)]
        end = Point(xs[child], top[ranks[child]])
        lines[parent, child] = (Point(xs[parent], top[ranks[parent]] + HEIGHT), *passed, end)
    right = max((xs[each] + _width(each) / 2 for row in rows for each in row), default=0.0)
    bottom = top[-1] + HEIGHT if top else 0.0
    widest = max((sum(not isinstance(each, Bend) for each in row) for row in rows), default=0)
    return Layout(places, lines, round(right + MARGIN, 1), bottom + MARGIN, widest)


def layers(parents: Mapping[str, Collection[str]], last: Collection[str] = ()) -> dict[str, int]:
    """The layer of each node: below all its parents, and a node without parents right above its children.

    Those of ``last`` are below all others, also below what is said to wait for them.
    """
    below_all = frozenset(last)
    children: defaultdict[str, list[str]] = defaultdict(list)
    missing = {}
    for name, of_name in parents.items():
        known = {each for each in of_name if each in parents and each not in below_all}
        missing[name] = len(known)
        for each in known:
            children[each].append(name)
    ranks = dict.fromkeys(parents, 0)
    todo = [name for name in parents if not missing[name]]
    for name in todo:  # grows meanwhile
        for child in children[name]:
            ranks[child] = max(ranks[child], ranks[name] + 1)
            missing[child] -= 1
            if not missing[child]:
                todo.append(child)
    for name in parents:
        if ranks[name] == 0 and children[name]:
            ranks[name] = max(min(ranks[child] for child in children[name]) - 1, 0)
    lowest = max((rank for name, rank in ranks.items() if name not in below_all), default=-1)
    return {**ranks, **{name: lowest + 1 for name in below_all if name in ranks}}


def alike(parents: Mapping[str, Collection[str]], kinds: Mapping[str, str], most: int) -> dict[str, int] | None:
    """A number for each node, equal for nodes that nobody can tell apart by their kind and by what they are joined to.

    None if there are more than ``most`` such groups. Between them lines run downwards, too, since those of a group are
    in one layer.
    """
    joined = _joined(parents)
    ranks = layers(parents)
    numbers: dict[Hashable, int] = {}
    groups = {name: numbers.setdefault((ranks[name], kinds.get(name, "")), len(numbers)) for name in parents}
    members: defaultdict[int, list[str]] = defaultdict(list)
    for name, group in groups.items():
        members[group].append(name)
    todo: Iterable[int] = list(members)
    while todo and len(members) <= most:
        moved: list[str] = []
        for group in todo:
            parts: defaultdict[Hashable, list[str]] = defaultdict(list)
            for name in members[group]:
                parts[tuple(frozenset(groups[each] for each in side) for side in joined[name])].append(name)
            # The largest keeps the number, so that fewest others have to be looked at again.
            members[group], *others = sorted(parts.values(), key=len, reverse=True)
            for other in others:
                groups.update(dict.fromkeys(other, len(members)))
                members[len(members)] = other
                moved += other
        todo = list(dict.fromkeys(groups[each] for name in moved for side in joined[name] for each in side))
    return groups if len(members) <= most else None


def _joined(parents: Mapping[str, Collection[str]]) -> dict[str, tuple[list[str], list[str]]]:
    """The parents and the children of each node."""
    joined: dict[str, tuple[list[str], list[str]]] = {name: ([], []) for name in parents}
    for name, of_name in parents.items():
        for each in of_name:
            if each in joined:
                joined[name][0].append(each)
                joined[each][1].append(name)
    return joined


Row = list[Hashable]
Links = Mapping[Hashable, Sequence[Hashable]]


class _Sides(NamedTuple):
    above: Links
    """What each box or bend is joined to in the layer above it."""
    below: Links


def _led(ranks: Mapping[str, int], edges: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The edges that are led from layer to layer: the shorter ones first, as long as there are bends for them."""
    left = MOST_BENDS
    for parent, child in sorted(edges, key=lambda edge: ranks[edge[1]] - ranks[edge[0]]):
        left -= ranks[child] - ranks[parent] - 1
        if left < 0:
            return
        yield parent, child


def _with_bends(ranks: Mapping[str, int], edges: Iterable[tuple[str, str]]) -> tuple[list[Row], _Sides]:
    """The layers, where a long edge has a bend in each one that it passes; and what is joined from layer to layer."""
    rows: list[Row] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    above: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
    below: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
    for name, rank in ranks.items():
        rows[rank].append(name)
    for parent, child in edges:
        upper: Hashable = parent
        for rank in range(ranks[parent] + 1, ranks[child] + 1):
            lower: Hashable = child if rank == ranks[child] else Bend(parent, child, rank)
            if isinstance(lower, Bend):
                rows[rank].append(lower)
            below[upper].append(lower)
            above[lower].append(upper)
            upper = lower
    return rows, _Sides(above, below)


def _ordered(rows: list[Row], links: _Sides) -> list[Row]:
    """Each layer in the order with the fewest crossings that sweeps down and up by barycentres have come upon."""
    best, fewest = rows, crossings(rows, links.below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        side = links.above if sweep % 2 == 0 else links.below
        order = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        for rank in order:
            there = {each: index for index, each in enumerate(rows[rank - 1 if sweep % 2 == 0 else rank + 1])}
            rows[rank] = _by_barycentre(rows[rank], there, side)
        found = crossings(rows, links.below)
        if found < fewest:
            best, fewest = rows, found
    return best


def _by_barycentre(row: Row, there: Mapping[Hashable, int], links: Links) -> Row:
    """Sorted by the mean position of what each is joined to. What is joined to nothing stays where it is."""
    means = {each: _mean([there[other] for other in links[each]]) for each in row if each in links}
    ordered = iter(sorted(means, key=lambda each: means[each]))
    return [next(ordered) if each in means else each for each in row]


def crossings(rows: Sequence[Row], below: Links) -> int:
    """How often lines cross."""
    count = 0
    for upper, lower in pairwise(rows):
        position = {each: index for index, each in enumerate(lower)}
        seen: list[int] = []
        for each in upper:
            ends = sorted(position[other] for other in below.get(each, ()))
            count += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _placed(rows: Sequence[Row], links: _Sides) -> dict[Hashable, float]:
    """The middle of each box and bend from the left: near what it is joined to, and never over its neighbour."""
    xs: dict[Hashable, float] = {}
    for row in rows:
        xs.update(zip(row, _apart([0.0] * len(row), row), strict=True))
    for sweep in range(SWEEPS):
        side, order = (links.above, rows) if sweep % 2 == 0 else (links.below, rows[::-1])
        for row in order:
            wanted = [_mean([xs[other] for other in side[each]]) if each in side else xs[each] for each in row]
            xs.update(zip(row, _apart(wanted, row), strict=True))
    left = min((x - _width(each) / 2 for each, x in xs.items()), default=0.0)
    right = max((x + _width(each) / 2 for each, x in xs.items()), default=0.0)
    for row in rows:
        if not any(each in links.above or each in links.below for each in row):  # nothing draws it anywhere
            aside = (left + right) / 2 - (xs[row[0]] + xs[row[-1]]) / 2
            xs.update({each: xs[each] + aside for each in row})
    return {each: round(x - left + MARGIN, 1) for each, x in xs.items()}


def _apart(wanted: Sequence[float], row: Row) -> list[float]:
    """The places nearest to those wanted, by least squares, at which nothing overlaps: neighbours move as one block."""
    offsets, offset = [], 0.0
    for index, each in enumerate(row):
        if index:
            offset += (_width(row[index - 1]) + _width(each)) / 2 + BESIDE
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []  # the sum of what the members want, and their number
    for want, offset in zip(wanted, offsets, strict=True):
        total, size = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            before, many = blocks.pop()
            total, size = total + before, size + many
        blocks.append((total, size))
    starts = [total / size for total, size in blocks for _ in range(size)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def _width(each: Hashable) -> float:
    return LINE if isinstance(each, Bend) else WIDTH


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
