"""The parts of a job of HTCondor's that runs one program many times, as the last refresh saw them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, NamedTuple

from jobsapi.models import CondorJob, Job
from jobsapi.status import Status
from jobsapi.web.bars import count, runs
from jobsapi.web.job import logs
from jobsapi.web.rows import TONES

OUTCOMES: Mapping[str, Status] = {"ok": Status.COMPLETE, "bad": Status.ERROR, "removed": Status.ABORTED}
"""The status of parts that have ended, by the name under which ``backend_state["ended"]`` keeps their numbers."""
PRESENT: Mapping[str, tuple[str, Status]] = {
    "held": (str(Status.PAUSED.label), Status.PAUSED),
    "running": (str(Status.RUNNING.label), Status.RUNNING),
    "waiting": ("Waiting", Status.SUBMITTED),
}
"""Name and status of parts that have not ended, by the name under which ``backend_state["now"]`` keeps them."""
LINKED = 20
"""Parts that are held for one reason, and lead to their logs one by one."""


class Group(NamedTuple):
    """How many parts of a job are in one state, and which, as far as it is known."""

    name: str
    tone: str
    amount: int
    numbers: str = ""


class Part(NamedTuple):
    """A part, and the end of the address of its logs."""

    number: str
    logs: str


class Hold(NamedTuple):
    """A reason for which parts are held."""

    parts: tuple[Part, ...]
    more: int
    """How many others are held for it."""
    words: str


class Failed(NamedTuple):
    """A part that ended badly."""

    number: str
    words: str
    logs: str


def groups(job: Job) -> Iterator[Group]:
    """The parts of a job by status."""
    if not _has_many(job):
        return
    ended, left = job.backend_state.get("ended") or {}, job.progress_total
    for outcome, status in OUTCOMES.items():
        if amount := count(ended.get(outcome)):
            left -= amount
            yield Group(str(status.label), TONES[status], amount, _spaced(ended[outcome]))
    present = _present(job)
    for key, (name, status) in PRESENT.items():
        if amount := int(present.get(key, {}).get("parts") or 0):
            left -= amount
            numbers = present[key].get("numbers")
            cut = " …" if numbers and count(numbers) < amount else ""
            yield Group(name, TONES[status], amount, _spaced(numbers) + cut)
    if left > 0:
        name, status = ("Never run", Status.ABORTED) if job.ended else (_rest(present), Status.RUNNING)
        yield Group(name, TONES[status], left)


def holds(job: Job) -> tuple[list[Hold], int]:
    """Why parts of a job that has several are held, and how many are for other reasons than these."""
    if not _has_many(job) or job.ended:
        return [], 0
    found = []
    for hold in job.backend_state.get("holds") or []:
        numbers = chain.from_iterable(range(first, last + 1) for first, last in runs(hold.get("numbers")))
        parts = tuple(Part(str(number), logs_of(job, number)) for number in islice(numbers, LINKED))
        found.append(Hold(parts, int(hold.get("parts") or 0) - len(parts), str(hold.get("words") or "")))
    held = int((job.backend_state.get("hold") or {}).get("parts") or 0)
    return found, max(held - sum(len(hold.parts) + hold.more for hold in found), 0) if found else 0


def failed(job: Job) -> Iterator[Failed]:
    """The parts that failed, of a job that has several: the first of them, if there are many."""
    if _has_many(job):
        for part in job.backend_state.get("failed") or []:
            number = str(part.get("part", ""))
            yield Failed(number, str(part.get("words", "")), logs_of(job, number))


def logs_of(job: Job, number: int | str) -> str:
    """The end of the address of a part's logs."""
    return logs.address(find=f".{job.native_id}.{number}.")


def _has_many(job: Job) -> bool:
    return isinstance(job, CondorJob) and job.progress_total > 1


def _present(job: Job) -> Mapping[str, Mapping[str, Any]]:
    """Those that have not ended; of what was held it is known how much, though not which, when it is all that is."""
    held = (job.backend_state.get("hold") or {}).get("parts")
    known: Mapping[str, Mapping[str, Any]] = {} if job.ended else job.backend_state.get("now") or {}
    return known or ({"held": {"parts": held}} if held else {})


def _rest(present: Mapping[str, Any]) -> str:
    """What is told of parts that have neither ended nor are in the queue, as far as that has been looked at."""
    return "Just ended" if any("numbers" in each for each in present.values()) else "Running or waiting"


def _spaced(numbers: object) -> str:
    return str(numbers or "").replace(",", ", ")
