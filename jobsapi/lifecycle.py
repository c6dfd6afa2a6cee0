"""What a worker does to a job. Every function is safe to run twice, at the same time, on two machines.

A message says only which job to look at: each function takes the step for that job and for all others of its scheduler
that are due for the same step. So a lost message costs nothing but time, since ``rescue`` sends another for whatever is
due.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet
from django.utils import timezone

from jobsapi import conf, steps
from jobsapi.dispatch import enqueue
from jobsapi.due import VERBS, due, kinds_of, unleased
from jobsapi.exceptions import BackendUnavailable
from jobsapi.lease import lease
from jobsapi.models import Job, JobBlob, Purpose, Scheduler
from jobsapi.models.text import clean
from jobsapi.reach import Line, NotNow, reach

logger = logging.getLogger(__name__)

BATCH = 100

Step = Callable[[Line, list[Job]], Iterable[Job]]
"""Takes one step for some leased jobs; returns those for which it has to be taken again later."""


def submit(job_id: int) -> None:
    """Hand jobs to their scheduler, each once per attempt."""
    _take(job_id, "submit", steps.submit)


def fetch_results(job_id: int) -> None:
    """Bring and process the results of jobs that their scheduler is done with, and end them."""
    _take(job_id, "fetch_results", steps.fetch_results)


def cancel(job_id: int) -> None:
    """Stop jobs whose users wish it. Aborted is written when the scheduler confirms it, here or at a refresh."""
    _take(job_id, "cancel", steps.cancel, BATCH)


def hold(job_id: int) -> None:
    """Hold jobs whose users wish it; a refresh confirms it."""
    _take(job_id, "hold", steps.hold, BATCH)


def release(job_id: int) -> None:
    """Release held jobs whose users wish it; a refresh confirms it."""
    _take(job_id, "release", steps.release, BATCH)


def cleanup(job_id: int) -> None:
    """Remove what jobs that have ended left at their scheduler."""
    _take(job_id, "cleanup", steps.cleanup, BATCH)


def remove(job_id: int) -> None:
    """Delete rows that users have deleted, once nothing of them is left at their scheduler."""
    cancel(job_id)
    cleanup(job_id)
    with transaction.atomic():  # locked, so that no worker submits it meanwhile
        for job in Job._base_manager.select_for_update().filter(due("remove"), pk=job_id):
            Job._base_manager.filter(pk=job.pk).delete()


def fetch_logs(job_id: int) -> None:
    """Bring the logs of a job, for readers."""
    job = _find(job_id)
    if job is None or not job.native_id or job.ended or JobBlob.fresh(job, Purpose.LOGS, seconds=2):
        return
    try:
        with reach(job.scheduler, job.backend_class()) as line:
            JobBlob.store(job, Purpose.LOGS, json.dumps(line.backend.logs(job)).encode())
    except NotNow:
        return


def refresh(scheduler_id: int) -> None:
    """Ask a scheduler, in one exchange, for the state of all its jobs, and write what has changed."""
    with lease(Scheduler.objects.filter(pk=scheduler_id), "poll_leased_until") as held:
        for scheduler in held.rows:
            try:
                with reach(scheduler, conf.backend_class(scheduler.backend)) as line:
                    steps.refresh(scheduler, line)
            except NotNow:
                return


def refresh_due() -> None:
    """Have those schedulers refreshed that have jobs under way and were not asked for ``REFRESH_INTERVAL`` seconds."""
    now = timezone.now()
    stale = Q(polled_at=None) | Q(polled_at__lte=now - timedelta(seconds=conf.get("REFRESH_INTERVAL")))
    polled = [kind for kind, cls in Job.registry.items() if cls.scheduler_type is not None]
    under_way = Job._base_manager.filter(scheduler=OuterRef("pk"), completion_time=None, kind__in=polled)
    under_way = under_way.filter(submission_id__isnull=False)
    for scheduler in Scheduler.objects.filter(stale, _awake(now), Exists(under_way)):
        enqueue("refresh", scheduler.pk, scheduler.name)


def rescue() -> None:
    """Send a message for whatever is due, whoever has lost the first one: one per scheduler, job type and step."""
    now = timezone.now()
    resting = Scheduler.objects.filter(retry_at__gt=now).values("pk")
    for verb in VERBS:
        found = Job._base_manager.filter(due(verb, now), unleased(now), kind__in=[*Job.registry])
        found = found.exclude(scheduler__in=resting)
        group = ("pk", "name") if verb == "remove" else ("scheduler", "kind")
        for row in found.order_by().values(*group).annotate(first=Min("pk")):
            enqueue(verb, row["first"], row.get("name", "rescued"))


def _take(job_id: int, verb: str, step: Step, batch: int = 1) -> None:
    """Take a step for this job and for all others of its scheduler that are due, until none is left."""
    job = _find(job_id)
    if job is None:
        return
    again: set[int] = set()

    def rows() -> QuerySet[Job]:
        found = Job._base_manager.filter(due(verb), scheduler=job.scheduler_id, kind__in=kinds_of(job.backend))
        return found.filter(unleased(timezone.now())).exclude(pk__in=again).order_by("-priority", "pk")

    while rows().exists():
        try:
            with reach(job.scheduler, job.backend_class()) as line:
                while line.inside and (taken := _turn(line, verb, step, rows(), batch)) is not None:
                    again |= taken
        except NotNow:
            return


def _turn(line: Line, verb: str, step: Step, rows: QuerySet[Job], batch: int) -> set[int] | None:
    """Take a step for the next jobs, under a lease; the keys of those left for later, None if there were none."""
    with lease(rows, "leased_until", batch) as held:
        if not held.rows:
            return None
        try:
            again = _tried(line, verb, step, held.rows)
        finally:  # a submission that was cut short may still land: nobody else may try before that is over
            held.keep([job for job in held.rows if job.submit_started_at and not job.native_id and not job.ended])
    while line.next_steps:
        steps.wake(*line.next_steps.pop())
    return again


def _tried(line: Line, verb: str, step: Step, jobs: list[Job]) -> set[int]:
    """Take a step. A job that makes it fail as nobody has thought of holds up no other: it says so, and is left."""
    try:
        return {left.pk for left in step(line, jobs)}
    except BackendUnavailable:
        raise
    except Exception as error:
        logger.exception("%s failed for %s", verb, jobs)
        if len(jobs) > 1:
            return {key for job in jobs for key in _tried(line, verb, step, [job])}
        steps.mark(jobs, status_message=clean(f"{verb} failed: {type(error).__name__}: {error}"))
        return {job.pk for job in jobs}


def _find(job_id: int) -> Job | None:
    return Job._base_manager.select_related("scheduler").filter(pk=job_id).first()


def _awake(now: datetime) -> Q:
    return Q(retry_at=None) | Q(retry_at__lte=now)
