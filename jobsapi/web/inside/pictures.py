"""A workflow as a picture: which boxes are drawn, what stands in them, and where they lead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from jobsapi.status import Status
from jobsapi.web.bars import WIDTH, Segment
from jobsapi.web.inside import graph
from jobsapi.web.inside.graph import Point
from jobsapi.web.inside.nodes import Node, Vertex
from jobsapi.web.job import logs
from jobsapi.web.rows import TONES

MOST_ALONE, WIDEST = 80, 16
"""Nodes, and nodes side by side, up to which each has a box of its own. Otherwise those that are alike share one."""
MOST = 250
"""Boxes that are drawn. When nodes that are alike would need more, those of a layer share one."""
NAME_ROOM, WORDS_ROOM = 17, 23
"""Letters that fit into a box in most fonts: of its name, and of the words below it. What is too wide is clipped."""
NAMES_TOLD = 5

ALIKE = "Nodes that are of the same type and wait for the same are drawn as one box."
LAYERED = "Too many to be drawn one by one: nodes that are equally far from the beginning are drawn as one box."
TOO_MANY = "There are too many to be drawn."


@dataclass(frozen=True)
class Box:
    """A node, or several that are alike. Numbers are texts, so that no site's language changes them."""

    x: str
    y: str
    name: str
    title: str
    """All that is known of it, in words."""
    words: str
    tone: str
    type: str
    is_several: bool
    segments: tuple[Segment, ...]
    logs: str
    """The end of the address of its logs; empty if it leads to the page of parts."""
    parts: str


@dataclass(frozen=True)
class Picture:
    """What is drawn. No boxes when that would help nobody."""

    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    width: str
    height: str
    note: str
    """How what is drawn differs from one box for each node; empty if it does not."""


def picture(vertices: Sequence[Vertex]) -> Picture:
    """Draw a workflow."""
    parents = {vertex.name: vertex.parents for vertex in vertices}
    kinds = {vertex.name: vertex.type for vertex in vertices}
    last = [name for name, kind in kinds.items() if kind == "FINAL"]
    ranks = graph.layers(parents, last)
    groups, note = _groups(parents, kinds, ranks)
    if len(set(groups.values())) > MOST:
        return Picture((), (), "0", "0", TOO_MANY)
    members: dict[str, list[Vertex]] = {}
    for vertex in vertices:
        members.setdefault(groups[vertex.name], []).append(vertex)
    joined = {
        group: list(dict.fromkeys(groups[each] for vertex in within for each in vertex.parents if each in groups))
        for group, within in members.items()
    }
    arranged = graph.layout(joined, [groups[name] for name in last])
    boxes = (_box(members[group], arranged.places[group]) for group in members)
    paths = tuple(_path(points) for points in arranged.lines.values())
    return Picture(tuple(boxes), paths, f"{arranged.width:g}", f"{arranged.height:g}", note)


def _groups(
    parents: Mapping[str, Sequence[str]], kinds: Mapping[str, str], ranks: Mapping[str, int]
) -> tuple[Mapping[str, str], str]:
    """Which box each node is in, and what is said of that."""
    if len(parents) <= MOST_ALONE and max(Counter(ranks.values()).values(), default=0) <= WIDEST:
        return {name: name for name in parents}, ""
    same = graph.alike(parents, kinds, MOST)
    if same is not None:
        note = ALIKE if len(set(same.values())) < len(parents) else ""
        return {name: str(number) for name, number in same.items()}, note
    return {name: f"{ranks[name]} {kinds[name] == 'FINAL'}" for name in parents}, LAYERED


def _box(members: Sequence[Vertex], place: Point) -> Box:
    within = [node for vertex in members for node in vertex.nodes]
    first = members[0]
    is_splice = len(members) == 1 and within[0].name != first.name
    is_several = len(members) > 1 or is_splice
    fill = _several if is_several else _one
    name, words, tone, title, code = fill(first.name if is_splice else "", within)
    types = {vertex.type for vertex in members}
    return Box(
        x=f"{place.x:g}",
        y=f"{place.y:g}",
        name=cut(name, NAME_ROOM),
        title=title,
        words=cut(words, WORDS_ROOM),
        tone=tone,
        type=types.pop() if len(types) == 1 else "",
        is_several=is_several,
        segments=_segments(within) if is_several else (),
        logs="" if is_several else within[0].logs,
        parts=logs.address(status=code),
    )


Filled = tuple[str, str, str, str, str]
"""Name, words, tone, title, and the code of the status that the page of parts is opened with."""


def _one(_: str, within: Sequence[Node]) -> Filled:
    (node,) = within
    retries = f"{node.retries} retr{'y' if node.retries == 1 else 'ies'}" if node.retries else ""
    words = node.wish or node.status
    title = [f"{node.name}: {node.status}", node.wish, retries, node.ran, node.message]
    if node.type not in ("JOB", ""):
        title.insert(1, node.type)
    if node.parents:
        title.append(f"after {', '.join(node.parents[:NAMES_TOLD])}{' …' if len(node.parents) > NAMES_TOLD else ''}")
    shown = f"{words} · {retries}" if retries else words
    return node.name, shown, node.tone, ", ".join(filter(None, title)), node.code


def _several(name: str, within: Sequence[Node]) -> Filled:
    counted = Counter(Status(node.code) for node in within)
    told = ", ".join(f"{counted[status]:,} {status.label}" for status in Status if counted[status])
    worst = next((status for status in WORST_FIRST if counted[status]), None)
    names = ", ".join(node.name for node in within[:NAMES_TOLD]) + (" …" if len(within) > NAMES_TOLD else "")
    stem = _beginning([node.name for node in within])
    amount = f"{len(within):,} × {stem}…" if len(stem) > 2 else f"{len(within):,} nodes"
    failed, done = counted[Status.ERROR], counted[Status.COMPLETE]
    words = f"{failed:,} failed, {done:,} done" if failed else f"{done:,} of {len(within):,} done"
    if len(counted) == 1:
        words = f"all {next(iter(counted)).label}"
    title = f"{name or amount}: {told} ({names})"
    return name or amount, words, _tone(counted), title, worst.value if worst else ""


def _beginning(names: Sequence[str]) -> str:
    """What all names begin with, up to where they are numbered."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    return "".join(letter for letter, _ in pairs).rstrip("0123456789_-.+ ")


WORST_FIRST = (Status.ERROR, Status.PAUSED)
"""Statuses that somebody who looks at many nodes wants to see first."""


def _tone(counted: Mapping[Status, int]) -> str:
    if len(counted) == 1:
        return TONES[next(iter(counted))]
    for status in (*WORST_FIRST, Status.ABORTED):
        if counted.get(status):
            return TONES[status]
    return TONES[Status.RUNNING]


SEGMENT_ORDER: Callable[[str], int] = ("good", "mixed", "bad", "stopped", "held", "running", "waiting").index


def _segments(within: Sequence[Node]) -> tuple[Segment, ...]:
    counted = Counter(node.tone for node in within)
    pieces, x = [], 0.0
    for tone in sorted(counted, key=SEGMENT_ORDER):
        width = WIDTH * counted[tone] / len(within)
        pieces.append(Segment(round(x, 2), round(width, 2), tone, ""))
        x += width
    return tuple(pieces)


def cut(text: str, room: int) -> str:
    """What of a text fits into a box."""
    return text if len(text) <= room else text[: room - 1].rstrip() + "…"


def _path(points: Sequence[Point]) -> str:
    """A line with soft bends, from its upper to its lower end."""
    start = points[0]
    pieces = [f"M{start.x:g} {start.y:g}"]
    for here, there in pairwise(points):
        middle = (here.y + there.y) / 2
        if here.x == there.x:
            pieces.append(f"V{there.y:g}")
        else:
            pieces.append(f"C{here.x:g} {middle:g} {there.x:g} {middle:g} {there.x:g} {there.y:g}")
    return "".join(pieces)
