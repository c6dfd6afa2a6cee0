"""What a worker does to a job. Every function is safe to run twice, at the same time, on two machines.

A message says only which job to look at: each function takes the step for that job and for all others of its scheduler
that are due for the same step. So a lost message costs nothing but time, since ``rescue`` sends another for whatever is
due.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet
from django.utils import timezone

from jobsapi import conf
from jobsapi.backends.base import Accepted, Backend, Observation, Result
from jobsapi.dispatch import enqueue
from jobsapi.exceptions import BackendUnavailable, InvalidJob, NotReady, ProcessingFailed, TransitionNotAllowed
from jobsapi.lease import lease
from jobsapi.models import Job, JobBlob, Purpose, Scheduler
from jobsapi.models.text import DETAIL_LIMIT, clean
from jobsapi.processing import processed, shown
from jobsapi.reach import Line, NotNow, reach
from jobsapi.status import ACTIVE, AWAITS_SCHEDULER, Status

Step = Callable[[Line, list[Job]], Iterable[Job]]
"""Takes one step for some leased jobs; returns those for which it has to be taken again later."""


def submit(job_id: int) -> None:
    """Hand jobs to their scheduler, each once per attempt."""
    _take(job_id, "submit", _submit)


def fetch_results(job_id: int) -> None:
    """Bring and process the results of jobs that their scheduler is done with, and end them."""
    _take(job_id, "fetch_results", _fetch_results, batch=1)


def cancel(job_id: int) -> None:
    """Stop jobs whose users wish it. Aborted is written when the scheduler confirms it, here or at a refresh."""
    _take(job_id, "cancel", _cancel)


def hold(job_id: int) -> None:
    """Hold jobs whose users wish it; a refresh confirms it."""
    _take(job_id, "hold", _hold)


def release(job_id: int) -> None:
    """Release held jobs whose users wish it; a refresh confirms it."""
    _take(job_id, "release", _release)


def cleanup(job_id: int) -> None:
    """Remove what jobs that have ended left at their scheduler."""
    _take(job_id, "cleanup", _cleanup)


def remove(job_id: int) -> None:
    """Delete rows that users have deleted, once nothing of them is left at their scheduler."""
    cancel(job_id)
    cleanup(job_id)
    Job._base_manager.filter(due("remove"), pk=job_id).delete()


def fetch_logs(job_id: int) -> None:
    """Bring the logs of a job, for readers."""
    job = _find(job_id)
    if job is None or not job.native_id or JobBlob.fresh(job, Purpose.LOGS, seconds=2):
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
                    _refresh(scheduler, line)
            except NotNow:
                return


def refresh_due() -> None:
    """Have those schedulers refreshed that have jobs under way and were not asked for ``REFRESH_INTERVAL`` seconds."""
    now = timezone.now()
    stale = Q(polled_at=None) | Q(polled_at__lte=now - timedelta(seconds=conf.get("REFRESH_INTERVAL")))
    under_way = Job._base_manager.filter(scheduler=OuterRef("pk"), completion_time=None).exclude(_status=Status.PENDING)
    for scheduler in Scheduler.objects.filter(stale, _awake(now), Exists(under_way)):
        enqueue("refresh", scheduler.pk, scheduler.name)


def rescue() -> None:
    """Send a message for whatever is due, whoever has lost the first one: one per scheduler, job type and step."""
    now = timezone.now()
    resting = Scheduler.objects.filter(retry_at__gt=now).values("pk")
    for verb in ("submit", "fetch_results", "cancel", "hold", "release", "cleanup", "remove"):
        found = Job._base_manager.filter(due(verb, now), _unleased(now), kind__in=[*Job.registry])
        found = found.exclude(scheduler__in=resting)
        group = ("pk", "name") if verb == "remove" else ("scheduler", "kind")
        for row in found.order_by().values(*group).annotate(first=Min("pk")):
            enqueue(verb, row["first"], row.get("name", "rescued"))


def due(verb: str, now: datetime | None = None) -> Q:
    """Which jobs a step has to be taken for.

    A try to submit that was cut short may still land: it is over when its lease and the submit call's own time-out are.
    """
    now = now or timezone.now()
    landed = now - timedelta(seconds=conf.get("SUBMIT_TIMEOUT"))
    settled = Q(submit_started_at=None) | Q(leased_until=None) | Q(leased_until__lt=landed) | ~Q(native_id="")
    unended = Q(completion_time=None) & ~Q(_status=Status.PENDING)
    never_there = Q(_status=Status.PENDING) | Q(
        _status=Status.SUBMITTED, native_id="", submit_started_at=None, leased_until=None
    )
    return {
        "submit": Q(_status__in=AWAITS_SCHEDULER, native_id="", completion_time=None)
        & Q(submission_id__isnull=False)
        & settled,
        "fetch_results": Q(_status=Status.RESULTS_READY, completion_time=None) & ~Q(requested="cancel"),
        "cancel": unended & settled & Q(requested="cancel"),
        "hold": unended & ~Q(native_id="") & Q(requested="hold"),
        "release": unended & ~Q(native_id="") & Q(requested="release"),
        "cleanup": Q(completion_time__isnull=False, cleanup_pending=True),
        "remove": Q(deleted_at__isnull=False, cleanup_pending=False) & (Q(completion_time__isnull=False) | never_there),
    }[verb]


def _take(job_id: int, verb: str, step: Step, batch: int = 100) -> None:
    """Take a step for this job and for all others of its scheduler that are due, until none is left."""
    job = _find(job_id)
    if job is None:
        return
    again: set[int] = set()
    while True:
        rows = (
            Job._base_manager.filter(due(verb), scheduler=job.scheduler_id, kind__in=_kinds_of(job.backend))
            .filter(_unleased(timezone.now()))
            .exclude(pk__in=again)
            .order_by("-priority", "pk")
        )
        if not rows.exists():
            return
        try:
            with reach(job.scheduler, job.backend_class()) as line, lease(rows, "leased_until", batch) as held:
                if not held.rows:  # another worker was faster; there may be more
                    continue
                try:
                    again |= {left.pk for left in step(line, held.rows)}
                except BackendUnavailable:
                    held.keep([each for each in held.rows if each.submit_started_at and not each.native_id])
                    raise
        except NotNow:
            return
        for next_verb, next_rows in line.next_steps:
            _wake(next_verb, next_rows)


def _submit(line: Line, jobs: list[Job]) -> Iterable[Job]:
    tried = [job for job in jobs if job.submit_started_at]
    found = line.backend.find(tried) if tried else {}
    for job, accepted in found.items():
        _accept(job, accepted, "An earlier try had arrived")
    unwanted = [job for job in jobs if job not in found and job.requested == "cancel"]
    for job in unwanted:
        _end(job, Status.ABORTED, "Stopped before it was submitted.")
    fresh = [job for job in jobs if job not in found and job not in unwanted]
    _mark(fresh, submit_started_at=timezone.now(), cleanup_pending=True)
    for job, outcome in line.backend.submit(fresh) if fresh else ():
        if isinstance(outcome, InvalidJob):
            _end(job, Status.ERROR, str(outcome), outcome.detail)
        else:
            _accept(job, outcome, "Accepted")
    line.next_steps.append(("cancel", Job._base_manager.filter(pk__in=[job.pk for job in jobs])))
    _asked(jobs[:1])
    return []


def _accept(job: Job, accepted: Accepted, how: str) -> None:
    """Record that the scheduler has the job. An attempt that is over, or a job that has ended, is left as it is."""
    message = f"{how} by {job.scheduler or 'its backend'} as {accepted.native_id}."
    written: dict[str, Any] = {
        "native_id": accepted.native_id,
        "backend_state": dict(accepted.state),
        "status_message": "",
        "progress_total": accepted.progress_total or 0,
        "cleanup_pending": True,
    }
    with transaction.atomic():
        waiting = Job._base_manager.filter(
            pk=job.pk, submission_id=job.submission_id, native_id="", _status__in=AWAITS_SCHEDULER
        )
        if waiting.update(**written):
            job.absorb(written)
            job.event("worker", message).save()


def _refresh(scheduler: Scheduler, line: Line) -> None:
    now = timezone.now()
    jobs = list(
        Job._base_manager.filter(scheduler=scheduler.pk, completion_time=None, _status__in=[*ACTIVE, Status.OTHER])
        .filter(kind__in=_kinds_of(scheduler.backend))
        .exclude(native_id="")
        .defer("spec", "extended_properties", "description")
    )
    seen = line.backend.poll(jobs) if jobs else {}
    missing = [job for job in jobs if job not in seen]
    _mark([job for job in missing if job.missing_since is None], missing_since=now)
    grace = timedelta(seconds=conf.get("LOST_GRACE"))
    gone = [
        job for job in missing if job.requested == "cancel" or (job.missing_since and now - job.missing_since >= grace)
    ]
    message = f"{scheduler} does not know the job any more."
    changed = Job.observe_many(seen | {job: Observation(Status.ERROR, message, lost=True) for job in gone})
    Scheduler.objects.filter(pk=scheduler.pk).update(polled_at=now)
    for job in changed:
        if verb := NEXT.get(Status(job._status)):
            enqueue(verb, job.pk, job.name)
    if scheduler.failures:  # it is back: whatever waited for it goes on
        for verb in ("submit", "cancel", "fetch_results", "cleanup"):
            _wake(verb, Job._base_manager.filter(scheduler=scheduler.pk))


NEXT = {
    Status.RESULTS_READY: "fetch_results",
    Status.SUBMITTED: "submit",
    Status.ERROR: "cleanup",
    Status.ABORTED: "cleanup",
}
"""What comes next for a job whose status a refresh has changed."""


def _fetch_results(line: Line, jobs: list[Job]) -> Iterable[Job]:
    for job in jobs:
        try:
            result = _kept(job) or line.backend.fetch_results(job)
            line.hang_up()  # processing may take hours, and the scheduler is not needed for it
            _finish(job, result, line.backend)
        except NotReady as error:
            _mark([job], status_message=clean(str(error)))
            return [job]
        except InvalidJob as error:
            _end(job, Status.ERROR, str(error), error.detail)
        line.next_steps.append(("cleanup", Job._base_manager.filter(pk=job.pk)))
    return []


def _kept(job: Job) -> Result | None:
    """The raw result of an attempt whose processing has failed: it is processed again without the scheduler."""
    packed = JobBlob.find(job, Purpose.RESULT)
    if packed is None:
        return None
    try:
        value = pickle.loads(packed)  # noqa: S301  (find() has verified the seal)
    except Exception as error:
        raise InvalidJob(f"The kept raw result cannot be opened: {type(error).__name__}: {error}") from error
    return Result(value, Status(job.backend_state["outcome"]))


def _finish(job: Job, result: Result, backend: Backend) -> None:
    """Process and store a result, and end the job, in one transaction: a job is Complete when its result is stored."""
    try:
        value, failure = processed(job, result.value), None
    except ProcessingFailed as error:
        value, failure = result.value, error
    packed = backend.pack_result(value) if failure or not job.keeps_no_result else None
    state = {**job.backend_state, "outcome": result.status, "preview": shown(value)}
    with transaction.atomic():
        if packed is not None:
            JobBlob.store(job, Purpose.RESULT, packed)
        else:
            JobBlob.objects.filter(job_id=job.pk, purpose=Purpose.RESULT).delete()
        if failure is not None:
            raw = {**job.backend_state, "outcome": result.status}
            ended = _end(job, Status.ERROR, f"{failure} The raw result is kept.", failure.detail, backend_state=raw)
        else:
            ended = _end(job, result.status, result.message, backend_state=state, progress_done=job.progress_total)
        if not ended:
            transaction.set_rollback(True)  # the attempt is over: its result is nobody's


def _cancel(line: Line, jobs: list[Job]) -> Iterable[Job]:
    tried = [job for job in jobs if job.submit_started_at and not job.native_id]
    for job, accepted in (line.backend.find(tried) if tried else {}).items():
        _accept(job, accepted, "Accepted before it was to be stopped")
    there = [job for job in jobs if job.native_id]
    for job in jobs:
        if not job.native_id:
            _end(job, Status.ABORTED, "Stopped before it was submitted.")
    gone = set(line.backend.cancel(there)) if there else set()
    for job in gone:
        _end(job, Status.ABORTED, "Stopped.")
    line.next_steps.append(("cleanup", Job._base_manager.filter(pk__in=[job.pk for job in gone])))
    return _asked(job for job in there if job not in gone)


def _hold(line: Line, jobs: list[Job]) -> Iterable[Job]:
    line.backend.hold(jobs)
    return _asked(jobs)


def _release(line: Line, jobs: list[Job]) -> Iterable[Job]:
    line.backend.release(jobs)
    return _asked(jobs)


def _cleanup(line: Line, jobs: list[Job]) -> Iterable[Job]:
    line.backend.cleanup(jobs)
    _mark(jobs, cleanup_pending=False)
    return []


def _asked(jobs: Iterable[Job]) -> list[Job]:
    """These wait for the scheduler to confirm what it was asked; have it refreshed soon."""
    waiting = list(jobs)
    for scheduler in {job.scheduler for job in waiting if job.scheduler}:
        enqueue("refresh", scheduler.pk, scheduler.name)
    return waiting


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


def _mark(jobs: list[Job], **changes: Any) -> None:
    """Write columns of the worker's that are no status, on many jobs at once."""
    if jobs:
        Job._base_manager.filter(pk__in=[job.pk for job in jobs]).update(**changes)
        for job in jobs:
            job.absorb(changes)


def _wake(verb: str, rows: QuerySet[Job]) -> None:
    """Send one message if a step is due for any of these."""
    first = rows.filter(due(verb)).order_by("-priority", "pk").values_list("pk", "name").first()
    if first:
        enqueue(verb, *first)


def _kinds_of(backend: str) -> list[str]:
    """The job types that a backend runs. Rows of a type that is not installed any more are left alone."""
    return [kind for kind, cls in Job.registry.items() if cls.backend == backend]


def _find(job_id: int) -> Job | None:
    return Job._base_manager.select_related("scheduler").filter(pk=job_id).first()


def _unleased(now: datetime) -> Q:
    return Q(leased_until=None) | Q(leased_until__lt=now)


def _awake(now: datetime) -> Q:
    return Q(retry_at=None) | Q(retry_at__lte=now)
