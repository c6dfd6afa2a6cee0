"""Writes ``docs/status.md`` and its picture from the table that guards the code: ``python docs/make_status.py``."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

from drawing import Picture, Point

from jobsapi.status import ACTIVE, AT_SCHEDULER, EDGES, NON_TERMINAL, PRE_RUNNING, RUNNING, TERMINAL, Status

DOCS = Path(__file__).parent
PAGE, PICTURE = DOCS / "status.md", DOCS / "images" / "status.svg"

CAUSES = {
    "execute": "`job.execute()`",
    "resubmit": "`job.resubmit()`",
    "process_results": "`job.process_results()`",
    "stop": "`job.stop()`",
    "scheduler": "what the scheduler says",
    "lost": "what the scheduler has lost",
    "worker": "the worker",
    "admin": "an administrator",
    "app": "`job.update_status(...)`",
}

PEN, SUB, RUN, VAR, PAS = Status.PENDING, Status.SUBMITTED, Status.RUNNING, Status.VARIOUS, Status.PAUSED
RES, OTH, COM, VCP = Status.RESULTS_READY, Status.OTHER, Status.COMPLETE, Status.VARIOUS_COMPLETE
ERR, ABT = Status.ERROR, Status.ABORTED
UNDER_WAY = ACTIVE | {OTH}
NOT_ENDED = UNDER_WAY | {PEN}

WIDTH, HEIGHT = 104, 38
PLACES: dict[Status, tuple[Point, str]] = {
    PEN: ((92, 158), "idle"),
    SUB: ((330, 170), "busy"),
    RUN: ((500, 170), "busy"),
    PAS: ((330, 285), "halt"),
    VAR: ((500, 285), "busy"),
    RES: ((664, 230), "busy"),
    OTH: ((415, 425), "idle"),
    COM: ((938, 150), "good"),
    VCP: ((938, 237), "halt"),
    ERR: ((938, 345), "bad"),
    ABT: ((938, 440), "idle"),
}


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """An arrow of the picture, and all the edges of the table that it stands for."""

    by: frozenset[str]
    sources: frozenset[Status]
    targets: frozenset[Status]
    points: tuple[Point, ...]
    kind: str
    note: str = ""
    at: Point = (0, 0)
    anchor: str = "middle"
    both: bool = False
    dashed: bool = False

    def edges(self) -> set[tuple[str, Status, Status]]:
        """Each as its cause, from where, to where."""
        ways = {(source, to) for source in self.sources for to in self.targets}
        ways |= {(to, source) for source, to in ways if self.both}
        return {(by, source, to) for by in self.by for source, to in ways}


def edges() -> set[tuple[str, Status, Status]]:
    """Those of the table, each as its cause, from where, to where."""
    return {(edge.by, source, edge.to) for edge in EDGES for source in edge.sources}


def arrows() -> list[Arrow]:
    """All that is drawn. A test holds their edges equal to the table's."""

    def arrow(by: str, sources: object, targets: object, kind: str, *points: Point, **more: object) -> Arrow:
        return Arrow(
            by=frozenset(by.split()),
            sources=frozenset([sources] if isinstance(sources, Status) else sources),
            targets=frozenset([targets] if isinstance(targets, Status) else targets),
            points=points,
            kind=kind,
            **more,
        )

    # fmt: off
    return [
        *(
            arrow("scheduler", one, other, "scheduler", *_gap(one, other), both=True)
            for one, other in combinations(PLACES, 2) if {one, other} <= AT_SCHEDULER
        ),
        arrow("execute admin", PEN, SUB, "app", (144, 158), (277, 158), note="execute()", at=(222, 149)),
        arrow("lost", UNDER_WAY, SUB, "scheduler", (180, 330), (150, 330), (150, 171), (277, 171), dashed=True,
              note="lost: again", at=(142, 262), anchor="end"),
        arrow("execute resubmit admin", OTH, SUB, "app", (362, 425), (225, 425), (225, 184), (277, 184),
              note="execute(), resubmit()", at=(230, 446), anchor="start"),
        arrow("scheduler", AT_SCHEDULER, RES, "scheduler", (566, 230), (601, 230), note="done", at=(583, 221)),
        arrow("scheduler", OTH, RES, "scheduler", (468, 425), (644, 425), (644, 251), note="done", at=(556, 417)),
        arrow("worker", RES, COM, "worker", (727, 222), (796, 222), (796, 150), (865, 150),
              note="stored", at=(824, 141)),
        arrow("worker", RES, VCP, "worker", (727, 237), (865, 237), note="stored in part", at=(811, 255)),
        arrow("process_results", ERR, RES, "app", (866, 334), (684, 334), (684, 251),
              note="process_results()", at=(811, 325)),
        arrow("scheduler worker admin", UNDER_WAY, ERR, "scheduler", (754, 357), (865, 357),
              note="fails", at=(811, 374)),
        arrow("scheduler worker", UNDER_WAY, ABT, "scheduler", (754, 430), (865, 430),
              note="is stopped", at=(811, 421)),
        arrow("stop", NOT_ENDED, ABT, "app", (772, 450), (865, 450), note="stop()", at=(818, 468)),
        arrow("resubmit", TERMINAL, SUB, "app", (938, 60), (938, 28), (330, 28), (330, 150),
              note="resubmit()", at=(640, 21)),
        arrow("app", NOT_ENDED, set(Status) - {PEN}, "app", (180, 500), (180, 537), (212, 537),
              note="update_status(…)", at=(170, 530), anchor="end", dashed=True),
    ]
    # fmt: on


def picture() -> str:
    """The graph as SVG."""
    drawn = Picture(1044, 565, "The status of a job", "Every status of a job and every way from one to another.")
    drawn.frame((20, 60), (752, 440), "not ended")
    drawn.frame((180, 90), (574, 392), "under way", "inner")
    drawn.frame((268, 128), (298, 212), "at the scheduler", low=True)
    drawn.frame((852, 60), (172, 440), "ended")
    for arrow in arrows():
        drawn.arrow(arrow.points, arrow.kind, both=arrow.both, dashed=arrow.dashed)
        if arrow.note:
            drawn.note(arrow.at, arrow.note, arrow.kind, arrow.anchor)
    for status, (centre, style) in PLACES.items():
        wide = 144 if status in TERMINAL else 124 if status == RES else WIDTH
        drawn.box(centre, (wide, HEIGHT), [str(status.label)], style)
    drawn.box((312, 537), (196, 30), ["any status but Pending"], "open")
    for x, kind, words in (
        (470, "app", "your code"),
        (590, "scheduler", "the scheduler, or a worker"),
        (820, "worker", "a worker alone"),
    ):
        drawn.arrow([(x, 537), (x + 34, 537)], kind)
        drawn.text(x + 42, 541, words, "soft", anchor="start")
    return drawn.svg()


def _gap(one: Status, other: Status) -> tuple[Point, Point]:
    """The ends of a straight line between two boxes."""
    (ax, ay), (bx, by) = PLACES[one][0], PLACES[other][0]
    dx, dy = bx - ax, by - ay
    room = 3
    part = min((WIDTH / 2 + room) / abs(dx) if dx else 1, (HEIGHT / 2 + room) / abs(dy) if dy else 1)
    return (ax + dx * part, ay + dy * part), (bx - dx * part, by - dy * part)


def page() -> str:
    """The page as it should be."""
    meanings = docstrings(Status)
    groups = {
        "before running": PRE_RUNNING,
        "running": RUNNING,
        "active": ACTIVE,
        "not ended": NON_TERMINAL,
        "ended": TERMINAL,
    }
    own, others = [edge for edge in EDGES if edge.by == "app"], [edge for edge in EDGES if edge.by != "app"]
    return "\n".join(
        [
            "# The status of a job",
            "",
            "![Every status of a job, and every way from one to another](images/status.svg)",
            "",
            "An arrow from a frame leads from every status in it.",
            "",
            "| code | name | meaning |",
            "| --- | --- | --- |",
            *(f"| {status.value} | {status.label} | {meanings[status.name]} |" for status in Status),
            "",
            *(f"- **{name}**: {_names(group)}" for name, group in groups.items()),
            "",
            "## Every edge",
            "",
            "| caused by | from | to | what it means |",
            "| --- | --- | --- | --- |",
            *(f"| {CAUSES[edge.by]} | {_names(edge.sources)} | {edge.to.label} | {edge.sentence} |" for edge in others),
            f"| {CAUSES['app']} | {_names(own[0].sources)} | {_names({edge.to for edge in own})} | {own[0].sentence} |",
            "",
            "A job that has ended stays as it ended, whatever is observed and however late: only `resubmit()` and",
            "`process_results()` lead out of an end.",
            "",
            "This page and its picture are written by `python docs/make_status.py` from `jobsapi/status.py`, the table",
            "that guards every change in the database.",
            "",
        ]
    )


def docstrings(cls: type) -> dict[str, str]:
    """What stands below each member of a class, in Markdown."""
    body = ast.parse(inspect.getsource(cls)).body[0].body
    return {
        member.targets[0].id: text.value.value.replace("``", "`")
        for member, text in pairwise(body)
        if isinstance(member, ast.Assign)
    }


def _names(statuses: set[Status] | frozenset[Status]) -> str:
    return ", ".join(str(status.label) for status in Status if status in statuses)


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture())
    PAGE.write_text(page())
