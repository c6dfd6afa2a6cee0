"""What a worker does to a job. Every function is safe to run twice, at the same time, on two machines.

A message says only which job to look at: each function takes the step for that job and for all others of its scheduler
that are due for the same step. So a lost message costs nothing but time, since ``rescue`` sends another for whatever is
due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from jobsapi import clock, conf, queueing, steps
from jobsapi.dispatch import enqueue
from jobsapi.due import UNREAD, VERBS, due, kinds_of, unleased
from jobsapi.exceptions import BackendUnavailable, SubmissionOver, TransitionNotAllowed
from jobsapi.lease import lease
from jobsapi.models import Heartbeat, Job, JobBlob, Purpose, RefreshWish, Scheduler, Stray
from jobsapi.models.deletion import left_behind, under_way
from jobsapi.models.text import clean
from jobsapi.reach import BULKHEAD, Line, NotNow, reach
from jobsapi.reconcile import reconcile as reconciled
from jobsapi.removal import remove_jobs
from jobsapi.status import Status
from jobsapi.trial import put_to_the_test

logger = logging.getLogger(__name__)

BATCH = 100

TO_BE_CHECKED = Q(check_requested_at__isnull=False, given_up_at=None)
"""Schedulers for which a test was asked that no worker has begun."""

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


def control_parts(job_id: int) -> None:
    """Stop, hold or release single parts of jobs as users wish; a refresh confirms it."""
    _take(job_id, "control_parts", steps.control_parts)


def cleanup(job_id: int) -> None:
    """Remove what jobs that have ended left at their scheduler."""
    _take(job_id, "cleanup", steps.cleanup, BATCH)


def remove(job_id: int) -> None:
    """Delete jobs that users have deleted, once nothing of them is left at their scheduler: files first, then rows."""
    job = _find(job_id)
    if job is None:
        return
    try:
        cancel(job_id)
        cleanup(job_id)
    finally:
        remove_jobs(job.scheduler_id)


def give_up(scheduler_id: int) -> None:
    """End the jobs of a scheduler that an administrator has given up, and forget what they left. It is sent nothing.

    What a worker has in its hands is left to it; ``rescue`` comes back for the rest.
    """
    scheduler = Scheduler.objects.filter(pk=scheduler_id, given_up_at__isnull=False).first()
    if scheduler is None:
        return
    message = (
        f"An administrator gave the scheduler “{scheduler}” up: it is gone for good. What became of this job, and "
        "whether it has left anything, cannot be known any more."
    )
    last = 0
    while jobs := list(_in_nobodys_hands(scheduler).filter(under_way(), pk__gt=last).order_by("pk")[:BATCH]):
        last = jobs[-1].pk
        with transaction.atomic():
            for job in jobs:
                with suppress(TransitionNotAllowed):  # a worker has it now
                    free = unleased(clock.now())
                    job.transition(Status.ERROR, by="admin", message=message, only=free, cleanup_pending=False)
    while left := list(_in_nobodys_hands(scheduler).filter(left_behind()).values_list("pk", flat=True)[:BATCH]):
        _in_nobodys_hands(scheduler).filter(left_behind(), pk__in=left).update(cleanup_pending=False)
    Stray.objects.filter(scheduler=scheduler.pk).delete()
    remove_jobs(scheduler.pk)


def fetch_logs(job_id: int) -> None:
    """Bring the logs of a job, for readers."""
    job = _find(job_id)
    if job is None or not job.native_id or job.ended or JobBlob.fresh(job, Purpose.LOGS, seconds=2):
        return
    try:
        with reach(job.scheduler, job.backend_class(), "fetch_logs") as line:
            steps.keep_logs(line, job)
    except NotNow:
        return


def refresh(scheduler_id: int) -> None:
    """Ask a scheduler, in one exchange, for the state of all its jobs, and write what has changed."""
    _look(scheduler_id, "refresh", "poll_leased_until", steps.refresh)


def check(scheduler_id: int) -> None:
    """Test a scheduler for which that was asked, whatever its breaker says; see ``jobsapi.trial``."""
    if not BULKHEAD.enter(scheduler_id, "check"):
        return  # it has its share of threads; rescue comes back
    try:
        with lease(Scheduler.objects.filter(TO_BE_CHECKED, pk=scheduler_id), "check_leased_until") as held:
            for scheduler in held.rows:
                put_to_the_test(scheduler, held)
    finally:
        BULKHEAD.leave(scheduler_id, "check")


def reconcile(scheduler_id: int) -> None:
    """Look what of ours lies at a scheduler, and do with strays what administrators wish; see ``jobsapi.reconcile``."""
    _look(scheduler_id, "reconcile", "reconcile_leased_until", reconciled)


def reconcile_due() -> None:
    """Have all schedulers looked at, but those where somebody just was."""
    now = clock.now()
    before = now - timedelta(seconds=conf.get("RECONCILE_INTERVAL") / 2)
    due_for_it = Q(reconciled_at=None) | Q(reconciled_at__lte=before)
    for scheduler in Scheduler.objects.filter(
        due_for_it, _awake(now), given_up_at=None, kind__in=[*Scheduler.registry]
    ):
        enqueue("reconcile", scheduler.pk, scheduler.name)


def refresh_due() -> None:
    """Have those schedulers refreshed that have jobs under way and were not asked for ``REFRESH_INTERVAL`` seconds.

    Those as well for which somebody has asked for it at a time that has come: see ``RefreshWish``.
    """
    now = clock.now()
    stale = Q(polled_at=None) | Q(polled_at__lte=now - timedelta(seconds=conf.get("REFRESH_INTERVAL")))
    polled = [kind for kind, cls in Job.registry.items() if cls.scheduler_type is not None]
    waiting = Job._base_manager.filter(under_way(), scheduler=OuterRef("pk"), kind__in=polled)
    RefreshWish.forget_fulfilled(now)
    wanted = stale | Q(RefreshWish.due(now))
    for scheduler in Scheduler.objects.filter(wanted, _awake(now), Exists(waiting), given_up_at=None):
        enqueue("refresh", scheduler.pk, scheduler.name)


def rescue() -> None:
    """Send a message for whatever is due, whoever has lost the first one: one per scheduler, job type and step.

    Beat has this called; so this is also where it shows that it lives.
    """
    now = clock.now()
    Heartbeat.record(Heartbeat.BEAT)
    if clock.CLOCK.settles_doubt():
        _forget_the_future(now)
    not_called = Scheduler.objects.filter(Q(retry_at__gt=now) | Q(given_up_at__isnull=False)).values("pk")
    for verb in VERBS:
        found = Job._base_manager.filter(due(verb, now), unleased(now), kind__in=[*Job.registry])
        if verb != "remove":  # no scheduler has anything of these
            found = found.exclude(scheduler__in=not_called)
        for row in found.order_by().values("scheduler", "kind").annotate(first=Min("pk")):
            enqueue(verb, row["first"], "rescued")
    unsettled = Exists(Job._base_manager.filter(under_way() | left_behind(), scheduler=OuterRef("pk")))
    gone = Q(unsettled, given_up_at__isnull=False)
    unchecked = TO_BE_CHECKED & unleased(now, "check_leased_until")
    for scheduler in Scheduler.objects.filter(gone | unchecked):
        enqueue("check" if scheduler.given_up_at is None else "give_up", scheduler.pk, scheduler.name)
    wished = Exists(Stray.objects.seen_twice().exclude(wish="").filter(scheduler=OuterRef("pk")))
    free = unleased(now, "reconcile_leased_until")
    for scheduler in Scheduler.objects.filter(wished, free, _awake(now), given_up_at=None):
        enqueue("reconcile", scheduler.pk, scheduler.name)


def _look(scheduler_id: int, verb: str, column: str, step: Callable[[Scheduler, Line], None]) -> None:
    """Ask a scheduler for all that it has, under the lease in ``column``, so that nobody else asks meanwhile."""
    with lease(Scheduler.objects.filter(pk=scheduler_id), column) as held:
        for scheduler in held.rows:
            try:
                with reach(scheduler, conf.backend_class(scheduler.backend), verb) as line:
                    step(scheduler, line)
            except NotNow:
                return


def _take(job_id: int, verb: str, step: Step, batch: int = 1) -> None:
    """Take a step for this job and for all others of its scheduler that are due, until none is left."""
    job = _find(job_id)
    if job is None:
        return
    again: set[int] = set()

    def rows() -> QuerySet[Job]:
        found = Job._base_manager.filter(due(verb), scheduler=job.scheduler_id, kind__in=kinds_of(job.backend))
        free = found.filter(unleased(clock.now())).exclude(pk__in=again).order_by(*queueing.ORDER)
        return queueing.admitted(free, job.scheduler) if verb == "submit" else free

    while rows().exists():
        try:
            with reach(job.scheduler, job.backend_class(), verb, job.pk) as line:
                while line.inside and (taken := _turn(line, verb, step, rows, batch)) is not None:
                    again |= taken
        except NotNow:
            return


def _turn(line: Line, verb: str, step: Step, rows: Callable[[], QuerySet[Job]], batch: int) -> set[int] | None:
    """Take a step for the next jobs, under a lease; the keys of those left for later, None if there were none."""
    with ExitStack() as hands:
        with queueing.gate(line.scheduler, verb):
            held = hands.enter_context(lease(rows(), "leased_until", batch, UNREAD))
        if not held.rows:
            return None
        in_flight, line.lease = True, held
        try:
            again = _tried(line, verb, step, held.rows)
            line.proven()
        except SubmissionOver:
            in_flight = False
            raise
        finally:  # a submission that was cut short may still land: nobody else may try before that is over
            if in_flight:
                held.keep([job for job in held.rows if job.submit_started_at and not job.native_id and not job.ended])
    while line.next_steps:
        steps.wake(*line.next_steps.pop())
    return again


def _tried(line: Line, verb: str, step: Step, jobs: list[Job]) -> set[int]:
    """Take a step. A job that makes it fail as nobody has thought of holds up no other: it says so, and is left."""
    try:
        return {left.pk for left in step(line, jobs)}
    except (BackendUnavailable, NotNow):
        raise
    except Exception as error:
        logger.exception("%s failed for %s", verb, jobs)
        if len(jobs) > 1:
            return {key for job in jobs for key in _tried(line, verb, step, [job])}
        # Not again at once: the lease is left to run out by itself.
        rest = clock.now() + timedelta(seconds=conf.get("BREAKER_MAX"))
        message = clean(f"{verb} failed: {type(error).__name__}: {error}")
        steps.mark(jobs, status_message=message, leased_until=rest, rests_until=rest)
        return {job.pk for job in jobs}


def _forget_the_future(now: datetime) -> None:
    """Take back what was written by a clock that has been set back: nobody would come to it for so long.

    Whoever lives has prolonged his leases by the new time already.
    """
    ahead = now + timedelta(seconds=2 * (conf.get("BREAKER_MAX") + conf.get("LEASE")))
    Job._base_manager.filter(leased_until__gt=ahead).update(leased_until=now)
    for column in (
        "polled_at",
        "refresh_requested_at",
        "retry_at",
        "poll_leased_until",
        "check_leased_until",
        "reconcile_leased_until",
        "reconciled_at",
    ):
        Scheduler.objects.filter(**{f"{column}__gt": ahead}).update(**{column: now})
    Stray.objects.seen_once().update(first_seen=now, last_seen=now)  # nobody knows how long ago that was


def _in_nobodys_hands(scheduler: Scheduler) -> QuerySet[Job]:
    return Job._base_manager.filter(unleased(clock.now()), scheduler=scheduler.pk)


def _find(job_id: int) -> Job | None:
    return Job._base_manager.select_related("scheduler").filter(pk=job_id).defer(*UNREAD).first()


def _awake(now: datetime) -> Q:
    return Q(retry_at=None) | Q(retry_at__lte=now)
