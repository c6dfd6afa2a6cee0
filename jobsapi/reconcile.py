"""What lies at a scheduler is compared with the rows, and what is no job's is adopted or removed as somebody wishes.

Rows and schedulers part when a database is restored from a back-up, when rows are deleted by hand, and when a request
dies between pinning a Future and writing its row. Nothing is touched unless an administrator says so.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, Q, QuerySet, Value
from django.db.models.functions import Least

from jobsapi import clock, conf
from jobsapi.backends.base import Accepted, Found
from jobsapi.due import due, waiting
from jobsapi.exceptions import BackendError, BackendUnavailable, InvalidJob, TransitionNotAllowed
from jobsapi.lease import lease
from jobsapi.models import Job, Scheduler, Stray
from jobsapi.models.deletion import under_way
from jobsapi.models.text import clean
from jobsapi.models.workspace import user_workspace
from jobsapi.reach import REACHABLE, Line
from jobsapi.status import Status
from jobsapi.steps import SOON, go_on

logger = logging.getLogger(__name__)

BATCH = 500
COMPARED = (
    *("id", "kind", "uid", "submission_id", "native_id", "scheduler", "name", "attempts"),
    *("_status", "custom_status", "completion_time", "cleanup_pending", "deleted_at"),
)
SEEN_ANEW = ("what", "uid", "job_number", "words", "why", "can_adopt", "since", "size")
"""Columns of a stray that each look writes: never what an administrator has said."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why something at a scheduler is a stray."""

    why: str
    job: Job | None = None
    """The row that it has to do with."""
    can_adopt: bool = False


def reconcile(scheduler: Scheduler, line: Line) -> None:
    """Look what lies at a scheduler, write down the strays, and do with them what administrators wish."""
    found = look(scheduler, line)
    wishes = list(Stray.objects.seen_twice().filter(scheduler=scheduler.pk).exclude(wish=""))
    for stray in wishes:
        if stray.native_id in found:
            carry_out(scheduler, line, stray, found[stray.native_id])
    if wishes:
        look(scheduler, line)
        scheduler.request_refresh(SOON)


def look(scheduler: Scheduler, line: Line) -> dict[str, Found]:
    """Have the strays of a scheduler written as they are now. Returns all that lies there, by its id."""
    now = clock.now()
    found = {each.id: each for each in line.backend.inventory()}
    write(scheduler, found, compare(scheduler, found.values()), now)
    Scheduler.objects.filter(pk=scheduler.pk).update(reconciled_at=now, **REACHABLE)
    if scheduler.failures:
        go_on(scheduler)
        scheduler.refresh_from_db()
    return found


def compare(scheduler: Scheduler, found: Collection[Found]) -> dict[str, Verdict]:
    """The strays among ``found``, by id. A number of statements bounded by theirs over the batch size."""
    verdicts: dict[str, Verdict] = {}
    rest = iter(found)
    while batch := list(islice(rest, BATCH)):
        rows = rows_of(batch)
        for each in batch:
            if verdict := judge(each, rows.get(each.uid or each.submission_id), scheduler):
                verdicts[each.id] = verdict
    return verdicts


def rows_of(found: Iterable[Found]) -> Mapping[Any, Job]:
    """The rows that these have to do with, by what ties them: the job's ``uid``, or else the attempt."""
    uids = [each.uid for each in found if each.uid]
    attempts = [each.submission_id for each in found if not each.uid]
    rows = Job._base_manager.only(*COMPARED)
    by_attempt = {job.submission_id: job for job in rows.filter(submission_id__in=attempts)} if attempts else {}
    return by_attempt | ({job.uid: job for job in rows.filter(uid__in=uids)} if uids else {})


def judge(found: Found, job: Job | None, scheduler: Scheduler) -> Verdict | None:
    """Why this is a stray; None if it is a job's, or is cleared up by itself."""
    if job is None:
        return Verdict("No job of the portal knows of it.", None, bool(found.kind))
    if job.deleted_at is not None or (job.ended and job.cleanup_pending):
        return None  # a worker clears up
    if job.ended:
        return Verdict(f"Job {job.pk} is {job.cached_status}, and was to have left nothing.", job)
    if job.submission_id == found.submission_id:
        twice = found.native_id and job.native_id and found.native_id != job.native_id
        own = found.what == "workflow" or not getattr(job, "is_workflow", False)  # scripts of a DAG may submit jobs
        if not (twice and own and job.scheduler_id == scheduler.pk):
            return None
        return Verdict(f"It is there twice: job {job.pk} goes by {job.native_id}.", job)
    if found.what == "folder" and job.submission_id is not None:
        return None  # all attempts have one folder
    if job.scheduler_id != scheduler.pk:
        return Verdict(f"Job {job.pk} is for another scheduler.", job)
    if job.submission_id is None:
        return Verdict(f"Job {job.pk} is {job.cached_status}, and does not know that it was executed.", job, True)
    if not job.native_id:
        return Verdict(f"Job {job.pk} waits to be submitted, as another attempt than this.", job, True)
    return Verdict(f"Job {job.pk} is under way as another attempt, {job.native_id}.", job)


def write(scheduler: Scheduler, found: Mapping[str, Found], verdicts: Mapping[str, Verdict], now: datetime) -> None:
    """Make the rows of strays those of ``verdicts``."""
    known = {stray.native_id: stray for stray in Stray.objects.filter(scheduler=scheduler.pk)}
    gone = [
        stray.pk for id, stray in known.items() if id not in verdicts or stray.submission_id != found[id].submission_id
    ]
    for start in range(0, len(gone), BATCH):
        Stray.objects.filter(pk__in=gone[start : start + BATCH]).delete()
    left = {id: stray for id, stray in known.items() if stray.pk not in set(gone)}
    fresh: list[Stray] = []
    changed: list[Stray] = []
    for id, verdict in verdicts.items():
        columns = columns_of(found[id], verdict)
        stray = left.get(id) or Stray(
            scheduler=scheduler,
            native_id=id,
            submission_id=found[id].submission_id,
            name=clean(found[id].name),
            label=clean(found[id].label)[:255],
            first_seen=now,
            last_seen=now,
        )
        if any(getattr(stray, name) != value for name, value in columns.items()):
            for name, value in columns.items():
                setattr(stray, name, value)
            (changed if id in left else fresh).append(stray)
    _write_seen(scheduler, now)
    Stray.objects.bulk_create(fresh, BATCH, ignore_conflicts=True)
    Stray.objects.bulk_update(changed, SEEN_ANEW, BATCH)


def _write_seen(scheduler: Scheduler, now: datetime) -> None:
    """Write that the strays known so far are there now.

    After the clock was set nobody knows how long ago a look was: what was not seen twice before is seen anew.
    """
    if clock.CLOCK.settled:
        first_seen = Least("first_seen", Value(now, DateTimeField()))
        Stray.objects.filter(scheduler=scheduler.pk).update(first_seen=first_seen, last_seen=now)
    else:
        Stray.objects.seen_once().filter(scheduler=scheduler.pk).update(first_seen=now, last_seen=now)


def columns_of(found: Found, verdict: Verdict) -> dict[str, Any]:
    """What a look writes of a stray, whether it was known or not: ``SEEN_ANEW``."""
    return {
        "what": found.what,
        "uid": found.uid,
        "job_number": verdict.job.pk if verdict.job else None,
        "words": clean(found.words),
        "why": clean(verdict.why),
        "can_adopt": verdict.can_adopt,
        "since": found.since,
        "size": found.size,
    }


def carry_out(scheduler: Scheduler, line: Line, stray: Stray, found: Found) -> None:
    """Adopt or remove one, if it still is a stray. What cannot be done is said, and the wish is over."""
    job = rows_of([found]).get(found.uid or found.submission_id)
    verdict = judge(found, job, scheduler)
    if verdict is None:
        return
    with lease(leasable(job), "leased_until") as held:
        if job is not None and not held.rows:
            Stray.objects.filter(pk=stray.pk).update(outcome=f"Not yet: a worker has job {job.pk} in its hands.")
            return
        row = next(iter(held.rows), None)
        try:
            outcome = remove(line, row, found) if stray.wish == Stray.REMOVE else adopt(line, row, stray, found)
        except BackendUnavailable:
            raise
        except (BackendError, TransitionNotAllowed, IntegrityError) as error:
            outcome = f"Not done: {error}"
        except Exception as error:
            logger.exception("%s cannot be had as wished", stray)
            outcome = f"Not done: {type(error).__name__}: {error}"
    logger.info("%s of %s: %s (wished by %s)", stray, scheduler, outcome, stray.wished_by)
    Stray.objects.filter(pk=stray.pk, wish=stray.wish).update(wish="", outcome=clean(outcome))


def leasable(job: Job | None) -> QuerySet[Job]:
    """The row, unless a try to submit it may still land."""
    if job is None:
        return Job._base_manager.none()
    return Job._base_manager.filter(due("submit") | ~waiting(), pk=job.pk)


def remove(line: Line, job: Job | None, found: Found) -> str:
    """Remove it from the scheduler, with its files there if no row has them."""
    line.backend.discard(found)
    if job is None:
        line.backend.discard_files(found)
    return "The scheduler was asked to remove it."


def adopt(line: Line, job: Job | None, stray: Stray, found: Found) -> str:
    """Make it the present attempt of its row, or make a row for it. Raises ``InvalidJob``, ``TransitionNotAllowed``."""
    message = f"Adopted, as {found.id}, as {stray.wished_by or 'an administrator'} wished."
    if job is None:
        return f"It is job {new_row(line, stray, found, message).pk} now."
    take_back(line, job, found, message)
    return f"It is job {job.pk}'s now."


def take_back(line: Line, job: Job, found: Found, message: str) -> None:
    """Have a row that is Pending, or that waits to be submitted, go on with what its scheduler has of it."""
    before = job.submission_id
    if not (before is None or (job.native_id == "" and not job.ended)):
        raise InvalidJob(f"Job {job.pk} goes on as another attempt.")
    if before is not None and line.backend.find([job]):
        raise InvalidJob(f"Job {job.pk} is at the scheduler as another attempt, too. A worker adopts that.")
    job.absorb({"submission_id": found.submission_id})
    accepted = line.backend.find([job]).get(job)
    if accepted is None:
        raise InvalidJob("The scheduler knows nothing of its job any more, so nobody can tell how that has ended.")
    state = {**accepted.state, **({} if before else {"adopted": True})}  # what was never executed has no input
    changes = accepted_columns(found, Accepted(accepted.native_id, state, accepted.progress_total), job)
    if before is None:
        job.transition(Status.SUBMITTED, by="admin", message=message, only=Q(submission_id=None), **changes)
        return
    with transaction.atomic():
        if not Job._base_manager.filter(waiting(), pk=job.pk, submission_id=before).update(**changes):
            raise TransitionNotAllowed(f"Job {job.pk} has gone on meanwhile.")
        job.absorb(changes)
        job.event("admin", message).save()


def new_row(line: Line, stray: Stray, found: Found, message: str) -> Job:
    """A row for something of which none is left."""
    if found.uid is None or stray.user is None:
        raise InvalidJob("It does not say which job it is." if stray.user else "Say whose job it shall become.")
    adoption = line.backend.adopt(found)
    cls, label = Job.registry[adoption.kind], stray.label or adoption.label
    job: Job = cls(
        name=adoption.name or f"adopted {found.submission_id.hex[:8]}",
        label=label,
        user=stray.user,
        scheduler=line.scheduler,
        uid=found.uid,
        workspace=adoption.workspace or user_workspace(label or "adopted", stray.user),
        description=f"Found at {line.scheduler} without a row.",
    )
    with transaction.atomic():
        job.save()
        changes = accepted_columns(found, adoption.accepted, job)
        job.transition(Status.SUBMITTED, by="admin", message=message, **changes)
    return job


def accepted_columns(found: Found, accepted: Accepted, job: Job) -> dict[str, Any]:
    """The columns of a job that its scheduler has."""
    now = clock.now()
    return {
        "submission_id": found.submission_id,
        "native_id": accepted.native_id,
        "backend_state": dict(accepted.state),
        "progress_total": accepted.progress_total or 0,
        "attempts": max(1, job.attempts),
        "execute_time": job.execute_time or found.since or now,
        "submit_started_at": now,
        "cleanup_pending": True,
        "status_message": "",
    }


def missing(scheduler: Scheduler, now: datetime) -> QuerySet[Job]:
    """Rows without a job: the scheduler does not know them, or they were handed over and nobody knows what came of it.

    Nothing has to be done for them: a refresh, or another try, finds out.
    """
    begun = Q(submit_started_at__lt=now - timedelta(seconds=conf.get("LOST_GRACE")), native_id="")
    rows: QuerySet[Job] = Job._base_manager.filter(under_way(), Q(missing_since__isnull=False) | begun)
    return rows.filter(scheduler=scheduler.pk).order_by("pk")


def look_before_submitting() -> int:
    """After a restore: have every job that waits looked for at its scheduler before it is submitted. How many wait.

    A back-up may say of a job that was handed over since that it was never tried.
    """
    rows = Job._base_manager.filter(waiting(), submit_started_at=None)
    return int(rows.update(submit_started_at=clock.now()))


def schedulers(names: Collection[str] = ()) -> Iterator[Scheduler]:
    """Those that can be asked, all or some by name."""
    rows = Scheduler.objects.filter(given_up_at=None, kind__in=[*Scheduler.registry])
    yield from rows.filter(name__in=names) if names else rows
