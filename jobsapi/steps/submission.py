"""Jobs are handed over, and what an earlier try left at the scheduler is adopted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from jobsapi import clock
from jobsapi.backends.base import Accepted
from jobsapi.due import waiting
from jobsapi.exceptions import InvalidJob, NoRoom, TransferFailed
from jobsapi.models import Job
from jobsapi.models.text import clean
from jobsapi.reach import Line, NotNow
from jobsapi.status import Status
from jobsapi.steps.after import asked, end, mark


def submit(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Hand jobs over; what an earlier try left at the scheduler is adopted."""
    for job in jobs:
        if job.submit_started_at and (found := line.backend.find([job])):
            accept(line, job, found[job], "An earlier try had arrived")
        elif job.requested == "cancel":
            end(job, Status.ABORTED, "Stopped before it was submitted.")
        elif job.submit_started_at and line.scheduler is not None and line.scheduler.is_limited:
            line.confirm(submit_started_at=None)  # it has nothing there: its place is anybody's
            return [job]
        elif not _submitted(line, job):
            return [job]
    line.next_steps.append(("cancel", Job._base_manager.filter(pk__in=[job.pk for job in jobs])))
    asked(line, jobs)
    return []


REFUSALS = 3
"""After so many refusals of a scheduler that is full the others are not tried: a smaller job may have had room."""


def _submitted(line: Line, job: Job) -> bool:
    """Hand a job over. False when it has to be tried again later, and nothing was handed over."""
    mark([job], cleanup_pending=True)
    try:
        line.backend.stage(job)
    except TransferFailed as error:
        mark([job], status_message=clean(str(error)))
        return False
    except InvalidJob as error:
        end(job, Status.ERROR, str(error), error.detail)
        return True
    if not line.confirm(submit_started_at=clock.now()):  # staging took so long that somebody else has the job now
        return False
    try:
        for _, outcome in line.backend.submit([job]):
            if isinstance(outcome, InvalidJob):
                end(job, Status.ERROR, str(outcome), outcome.detail)
            else:
                accept(line, job, outcome, "Accepted")
    except NoRoom as error:
        line.confirm(
            submit_started_at=None, status_message=clean(f"Waits for its scheduler to take more jobs: {error}")
        )
        line.refused += 1
        if line.refused == REFUSALS:
            raise NotNow(f"{line.scheduler} takes no more jobs.") from error
        return False
    return True


def accept(line: Line, job: Job, accepted: Accepted, how: str) -> None:
    """Record that the scheduler has the job. An attempt that is over, or a job that has ended, is left as it is."""
    message = f"{how} by {line.scheduler or 'its backend'} as {accepted.native_id}."
    written: dict[str, Any] = {
        "native_id": accepted.native_id,
        "backend_state": dict(accepted.state),
        "status_message": "",
        "progress_total": accepted.progress_total or 0,
        "cleanup_pending": True,
    }
    with transaction.atomic():
        if Job._base_manager.filter(waiting(), pk=job.pk, submission_id=job.submission_id).update(**written):
            job.absorb(written)
            job.event("worker", message).save()
        else:  # it ended, or another worker was faster: what has just arrived is removed when it has ended
            Job._base_manager.filter(pk=job.pk).update(cleanup_pending=True)
