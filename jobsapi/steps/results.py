"""Results are brought, processed and stored, and their jobs end."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

from django.db import close_old_connections, transaction

from jobsapi import previews, results
from jobsapi.backends.base import Backend, Result
from jobsapi.exceptions import InvalidJob, NotReady, ProcessingFailed, SealBroken, TransferFailed
from jobsapi.models import Job, JobBlob, Purpose
from jobsapi.models.blobs import OF_RESULT
from jobsapi.models.text import clean
from jobsapi.processing import processed
from jobsapi.reach import Line
from jobsapi.status import Status
from jobsapi.steps.after import end, mark


def fetch_results(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Bring results, process and store them, and end the jobs."""
    for job in jobs:
        try:
            result = _kept(job) or line.backend.fetch_results(job)
            line.hang_up()  # processing may take hours, and the scheduler is not needed for it
            _finish(job, result, line.backend)
        except NotReady as error:
            if _tries_left(job, str(error)):
                return [job]
            end(job, Status.ERROR, f"The result could not be fetched in {FETCHES} tries: {error}")
        except TransferFailed as error:
            mark([job], status_message=clean(str(error)))
            return [job]
        except InvalidJob as error:
            end(job, Status.ERROR, str(error), error.detail)
        line.next_steps.append(("cleanup", Job._base_manager.filter(pk=job.pk)))
    return []


FETCHES = 10
"""How often a result is tried to be fetched while its scheduler is reachable."""


def _tries_left(job: Job, message: str) -> bool:
    """Count a try to fetch a result that was in vain; whether there may be another."""
    tries = int(job.backend_state.get("fetches", 0)) + 1
    mark([job], status_message=clean(message), backend_state={**job.backend_state, "fetches": tries})
    return tries < FETCHES


def _kept(job: Job) -> Result | None:
    """The raw result of an attempt whose processing has failed: it is processed again without the scheduler."""
    kept = JobBlob.of(job, Purpose.RESULT)
    if kept is None:
        return None
    try:
        with kept.open() as file:
            value = pickle.load(file)  # noqa: S301  (every byte is verified before it gets here)
    except SealBroken:
        raise
    except Exception as error:
        raise InvalidJob(f"The kept raw result cannot be opened: {type(error).__name__}: {error}") from error
    return Result(value, Status(job.backend_state["outcome"]))


def _finish(job: Job, result: Result, backend: Backend) -> None:
    """Process and store a result, and end the job, in one transaction: a job is Complete when its result is stored."""
    try:
        value, failure = processed(job, result.value), None
    except ProcessingFailed as error:
        value, failure = result.value, error
    close_old_connections()  # processing may have taken hours
    if failure is not None:
        written = results.raw(job, backend, value)
    else:
        written = [] if job.keeps_no_result else results.whole(job, backend, value)
    close_old_connections()  # and so may writing
    state = {**job.backend_state, "outcome": result.status}
    with transaction.atomic():
        if failure is not None:
            ended = end(job, Status.ERROR, f"{failure} The raw result is kept.", failure.detail, backend_state=state)
        else:
            if not job.keeps_no_result:
                state["preview"] = previews.line(value)
            ended = end(job, result.status, result.message, backend_state=state, progress_done=job.progress_total)
        if ended:
            JobBlob.discard(JobBlob.objects.filter(job_id=job.pk, purpose__in=OF_RESULT, live=True))
            for each in written:
                each.keep()
    if not ended:  # the attempt is over: its result is nobody's
        for each in written:
            each.abandon()
