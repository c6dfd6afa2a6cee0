"""The parts of a job of HTCondor's that runs one program many times, as the last refresh saw them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jobsapi.models import CondorJob, Job
from jobsapi.status import Status
from jobsapi.web.bars import count
from jobsapi.web.job import logs
from jobsapi.web.rows import TONES

OUTCOMES: Mapping[str, Status] = {"ok": Status.COMPLETE, "bad": Status.ERROR, "removed": Status.ABORTED}
"""The status of parts that have ended, by the name under which ``backend_state["ended"]`` keeps their numbers."""


class Group(NamedTuple):
    """How many parts of a job are in one state, and which, as far as it is known."""

    name: str
    tone: str
    amount: int
    numbers: str = ""


class Failed(NamedTuple):
    """A part that ended badly."""

    number: str
    words: str
    logs: str


def groups(job: Job) -> Iterator[Group]:
    """The parts of a job by status."""
    if not isinstance(job, CondorJob) or job.progress_total < 2:
        return
    ended, left = job.backend_state.get("ended") or {}, job.progress_total
    for outcome, status in OUTCOMES.items():
        if amount := count(ended.get(outcome)):
            left -= amount
            yield Group(str(status.label), TONES[status], amount, str(ended[outcome]).replace(",", ", "))
    held = int((job.backend_state.get("hold") or {}).get("parts") or 0)
    if held:
        yield Group(str(Status.PAUSED.label), TONES[Status.PAUSED], held)
    if left > held:
        name, status = ("Never run", Status.ABORTED) if job.ended else ("Running or waiting", Status.RUNNING)
        yield Group(name, TONES[status], left - held)


def failed(job: Job) -> Iterator[Failed]:
    """The parts that failed, of a job that has several: the first of them, if there are many."""
    if isinstance(job, CondorJob) and job.progress_total > 1:
        for part in job.backend_state.get("failed") or []:
            number = str(part.get("part", ""))
            yield Failed(number, str(part.get("words", "")), logs.address(find=f".{job.native_id}.{number}."))
