"""What each step of the lifecycle does to jobs that are leased to it, on an open line to their scheduler."""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import close_old_connections, transaction
from django.db.models import Q, QuerySet

from jobsapi import clock, conf, previews, queueing, results
from jobsapi.backends.base import Accepted, Backend, Observation, Result
from jobsapi.dispatch import enqueue
from jobsapi.due import due, kinds_of, unleased, waiting
from jobsapi.exceptions import (
    InvalidJob,
    NoRoom,
    NotReady,
    ProcessingFailed,
    SealBroken,
    TransferFailed,
    TransitionNotAllowed,
)
from jobsapi.models import Job, JobBlob, PartWish, Purpose, Scheduler
from jobsapi.models.blobs import OF_RESULT
from jobsapi.models.text import DETAIL_LIMIT, clean
from jobsapi.processing import processed
from jobsapi.reach import REACHABLE, Line, NotNow
from jobsapi.status import ACTIVE, AT_SCHEDULER, Status

SOON = timedelta(seconds=1)
"""How often, at most, a step asks for a refresh that shall confirm it."""
LOGS_KEPT = 5
"""Of so many jobs of a batch that have failed, the logs are fetched before what they left is removed."""


def submit(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Hand jobs over; what an earlier try left at the scheduler is adopted."""
    for job in jobs:
        if job.submit_started_at and (found := line.backend.find([job])):
            _accept(line, job, found[job], "An earlier try had arrived")
        elif job.requested == "cancel":
            _end(job, Status.ABORTED, "Stopped before it was submitted.")
        elif job.submit_started_at and line.scheduler is not None and line.scheduler.is_limited:
            line.confirm(submit_started_at=None)  # it has nothing there: its place is anybody's
            return [job]
        elif not _submitted(line, job):
            return [job]
    line.next_steps.append(("cancel", Job._base_manager.filter(pk__in=[job.pk for job in jobs])))
    _asked(line, jobs)
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
        _end(job, Status.ERROR, str(error), error.detail)
        return True
    if not line.confirm(submit_started_at=clock.now()):  # staging took so long that somebody else has the job now
        return False
    try:
        for _, outcome in line.backend.submit([job]):
            if isinstance(outcome, InvalidJob):
                _end(job, Status.ERROR, str(outcome), outcome.detail)
            else:
                _accept(line, job, outcome, "Accepted")
    except NoRoom as error:
        line.confirm(
            submit_started_at=None, status_message=clean(f"Waits for its scheduler to take more jobs: {error}")
        )
        line.refused += 1
        if line.refused == REFUSALS:
            raise NotNow(f"{line.scheduler} takes no more jobs.") from error
        return False
    return True


def _accept(line: Line, job: Job, accepted: Accepted, how: str) -> None:
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


def refresh(scheduler: Scheduler, line: Line) -> None:
    """Poll the jobs of a scheduler, write what has changed, and send what comes next."""
    now = clock.now()
    jobs = list(
        Job._base_manager.filter(scheduler=scheduler.pk, completion_time=None, kind__in=kinds_of(scheduler.backend))
        .filter(_status__in=[*ACTIVE, Status.OTHER])
        .exclude(native_id="")
        .exclude(_in_our_hands(now))
        .defer("spec", "extended_properties", "description", "reported")
    )
    seen = line.backend.poll(jobs)
    missing = [job for job in jobs if job not in seen]
    mark([job for job in missing if job.missing_since is None], missing_since=now)
    since = now - timedelta(seconds=conf.get("LOST_GRACE"))
    settled = clock.CLOCK.settled
    gone = [
        job
        for job in missing
        if job.requested == "cancel" or (settled and job.missing_since and job.missing_since <= since)
    ]
    message = f"{scheduler} does not know the job any more."
    changed = Job.observe_many(seen | {job: Observation(Status.ERROR, message, lost=True) for job in gone})
    Scheduler.objects.filter(pk=scheduler.pk).update(polled_at=now, **REACHABLE)
    for verb, each in _next_steps(changed):
        enqueue(verb, each.pk, each.name)
    if scheduler.failures:
        go_on(scheduler)
    elif scheduler.is_limited and any(job._status not in AT_SCHEDULER for job in changed):
        wake("submit", Job._base_manager.filter(scheduler=scheduler.pk))


def go_on(scheduler: Scheduler) -> None:
    """A scheduler is back: whatever waited for it goes on."""
    for verb in ("submit", "cancel", "fetch_results", "cleanup"):
        wake(verb, Job._base_manager.filter(scheduler=scheduler.pk))


NEXT = {
    Status.RESULTS_READY: "fetch_results",
    Status.SUBMITTED: "submit",
    Status.ERROR: "cleanup",
    Status.ABORTED: "cleanup",
}
"""What comes next for a job whose status a refresh has changed."""

MESSAGES = 8
"""Messages of one kind that a refresh sends at most. Each worker that gets one goes on until nothing is due."""


def _next_steps(changed: list[Job]) -> list[tuple[str, Job]]:
    """The first few jobs of each step that comes next."""
    steps: defaultdict[str, list[Job]] = defaultdict(list)
    for job in changed:
        if verb := NEXT.get(Status(job._status)):
            steps[verb].append(job)
    return [(verb, job) for verb, jobs in steps.items() for job in jobs[:MESSAGES]]


def _in_our_hands(now: datetime) -> Q:
    """A worker is fetching their results, or has them: what the scheduler still knows of them does not matter."""
    return Q(_status=Status.RESULTS_READY) & (~unleased(now) | JobBlob.kept(Purpose.RESULT))


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
            _end(job, Status.ERROR, f"The result could not be fetched in {FETCHES} tries: {error}")
        except TransferFailed as error:
            mark([job], status_message=clean(str(error)))
            return [job]
        except InvalidJob as error:
            _end(job, Status.ERROR, str(error), error.detail)
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
            ended = _end(job, Status.ERROR, f"{failure} The raw result is kept.", failure.detail, backend_state=state)
        else:
            if not job.keeps_no_result:
                state["preview"] = previews.line(value)
            ended = _end(job, result.status, result.message, backend_state=state, progress_done=job.progress_total)
        if ended:
            JobBlob.discard(JobBlob.objects.filter(job_id=job.pk, purpose__in=OF_RESULT, live=True))
            for each in written:
                each.keep()
    if not ended:  # the attempt is over: its result is nobody's
        for each in written:
            each.abandon()


def cancel(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Stop jobs; those that the scheduler does not confirm at once are confirmed by a refresh."""
    tried = [job for job in jobs if job.submit_started_at and not job.native_id]
    for job, accepted in (line.backend.find(tried) if tried else {}).items():
        _accept(line, job, accepted, "Accepted before it was to be stopped")
    there = [job for job in jobs if job.native_id]
    for job in jobs:
        if not job.native_id:
            _end(job, Status.ABORTED, "Stopped before it was submitted.")
    gone = set(line.backend.cancel(there)) if there else set()
    for job in gone:
        _end(job, Status.ABORTED, "Stopped.")
    line.next_steps.append(("cleanup", Job._base_manager.filter(pk__in=[job.pk for job in gone])))
    if gone:
        _make_way(line)
    return _asked(line, [job for job in there if job not in gone])


def hold(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Hold jobs; a refresh confirms it."""
    line.backend.hold(jobs)
    return _asked(line, jobs)


def release(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Release jobs; a refresh confirms it."""
    line.backend.release(jobs)
    return _asked(line, jobs)


def control_parts(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Pass on what users want of single parts. What a scheduler refuses is told in the job's history, and forgotten."""
    for job in jobs:
        wishes: defaultdict[str, list[PartWish]] = defaultdict(list)
        for wish in PartWish.objects.filter(job_id=job.pk):
            wishes[wish.verb].append(wish)
        for verb, each in wishes.items():
            try:
                line.backend.control_parts(job, verb, [wish.part for wish in each])
            except InvalidJob as error:
                job.event("worker", str(error)).save()
            PartWish.objects.filter(pk__in=[wish.pk for wish in each]).delete()
    _asked(line, jobs)
    return []


def cleanup(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Remove what ended jobs left at the scheduler; of some that failed, keep the logs first."""
    failed = [job for job in jobs if job._status == Status.ERROR and job.native_id]
    for job in failed[:LOGS_KEPT]:
        if JobBlob.find(job, Purpose.LOGS) is None:
            with suppress(InvalidJob, TransferFailed):  # nothing that keeps anybody from clearing up
                keep_logs(line, job)
    again = list(line.backend.cleanup(jobs))
    mark([job for job in jobs if job not in again], cleanup_pending=False)
    line.next_steps.append(("submit", Job._base_manager.filter(pk__in=[job.pk for job in jobs])))
    _make_way(line)
    return again


def keep_logs(line: Line, job: Job) -> None:
    """Fetch the ends of a job's logs, for readers."""
    logs = {
        clean(name, len(name)): {
            "text": tail.text,
            "offset": tail.offset,
            "size": tail.offset + len(tail.text.encode()) if tail.size is None else tail.size,
        }
        for name, tail in line.backend.logs(job).items()
    }
    if logs:
        JobBlob.store(job, Purpose.LOGS, json.dumps(logs).encode())


def _make_way(line: Line) -> None:
    """A place may have become free: at a limited scheduler somebody waits for it."""
    if line.scheduler is not None and line.scheduler.is_limited:
        line.next_steps.append(("submit", Job._base_manager.filter(scheduler=line.scheduler.pk)))


def _asked(line: Line, jobs: list[Job]) -> list[Job]:
    """These wait for the scheduler to confirm what it was asked; have it refreshed soon."""
    if jobs and line.scheduler is not None:
        line.scheduler.request_refresh(SOON)
    return jobs


def _end(job: Job, to: Status, message: str, detail: str = "", **changes: Any) -> bool:
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
