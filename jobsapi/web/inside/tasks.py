"""The tasks of a Dask job by name, as bars. The entries of ``backend_state["tasks"]`` are those of the Dask backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jobsapi.models import DaskJob
from jobsapi.status import Status
from jobsapi.web.bars import WIDTH, Segment

COUNTED = (
    ("good", "done"),
    ("running", "at workers"),
    ("bad", "failed"),
    ("stopped", "not run"),
    ("waiting", "waiting"),
)
"""Tone and word for each number, in the order in which they stand in a bar. What waits leaves the bar empty."""

OTHERS = "other tasks"


class Task(NamedTuple):
    """The tasks of one name."""

    name: str
    is_named: bool
    segments: tuple[Segment, ...]
    words: str


def tasks(job: DaskJob) -> Iterator[Task]:
    """The tasks of a job by name. Of one that is complete all are done, whenever they were counted last."""
    for name, done, at_workers, waiting, failed, not_run in job.backend_state.get("tasks") or ():
        total = done + at_workers + waiting + failed + not_run
        if job._status == Status.COMPLETE:
            done, at_workers, waiting, failed, not_run = total, 0, 0, 0, 0
        elif job.ended:  # nothing waits any more, nor is at a worker
            at_workers, waiting, not_run = 0, 0, not_run + at_workers + waiting
        numbers = dict(zip((word for _, word in COUNTED), (done, at_workers, failed, not_run, waiting), strict=True))
        yield Task(name or OTHERS, bool(name), _segments(numbers, total), _words(numbers, total))


def _words(numbers: dict[str, int], total: int) -> str:
    others = [f"{number:,} {word}" for word, number in numbers.items() if number and word != "done"]
    return ", ".join([f"{numbers['done']:,} of {total:,} done", *others])


def _segments(numbers: dict[str, int], total: int) -> tuple[Segment, ...]:
    pieces, x = [], 0.0
    for tone, word in COUNTED:
        width = WIDTH * numbers[word] / total if total else 0
        if width and tone != "waiting":
            pieces.append(Segment(round(x, 2), round(width, 2), tone, f"{numbers[word]:,} {word}"))
        x += width
    return tuple(pieces)
