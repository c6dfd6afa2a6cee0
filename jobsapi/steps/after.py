"""What every step does when it has done its work: write rows, and have somebody take the next step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from jobsapi import queueing
from jobsapi.dispatch import enqueue
from jobsapi.due import due
from jobsapi.exceptions import TransitionNotAllowed
from jobsapi.models import Job
from jobsapi.models.text import DETAIL_LIMIT, clean
from jobsapi.reach import Line
from jobsapi.status import Status

SOON = timedelta(seconds=1)
"""How often, at most, a step asks for a refresh that shall confirm it."""


def end(job: Job, to: Status, message: str, detail: str = "", **changes: Any) -> bool:
    """End an attempt. False, and nothing written, when the job has gone on to something else meanwhile."""
    if detail:
        changes["backend_state"] = {
            **job.backend_state,
            **changes.get("backend_state", {}),
            "traceback": clean(detail, DETAIL_LIMIT),
        }
    try:
        job.transition(to, by="worker", message=message, detail=detail, **changes)
    except TransitionNotAllowed:
        return False
    return True


def mark(jobs: list[Job], **changes: Any) -> None:
    """Write columns of the worker's that are no status, on many jobs at once."""
    if jobs:
        Job._base_manager.filter(pk__in=[job.pk for job in jobs]).update(**changes)
        for job in jobs:
            job.absorb(changes)


def wake(verb: str, rows: QuerySet[Job]) -> None:
    """Send one message if a step is due for any of these."""
    first = rows.filter(due(verb)).order_by(*queueing.ORDER).values_list("pk", "name").first()
    if first:
        enqueue(verb, *first)


def asked(line: Line, jobs: list[Job]) -> list[Job]:
    """These wait for the scheduler to confirm what it was asked; have it refreshed soon."""
    if jobs and line.scheduler is not None:
        line.scheduler.request_refresh(SOON)
    return jobs


def make_way(line: Line) -> None:
    """A place may have become free: at a limited scheduler somebody waits for it."""
    if line.scheduler is not None and line.scheduler.is_limited:
        line.next_steps.append(("submit", Job._base_manager.filter(scheduler=line.scheduler.pk)))
