"""Jobs become what their scheduler says of them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from django.db.models import Q

from jobsapi import clock, conf
from jobsapi.backends.base import Observation
from jobsapi.dispatch import enqueue
from jobsapi.due import kinds_of, unleased
from jobsapi.models import Job, JobBlob, Purpose, Scheduler
from jobsapi.reach import REACHABLE, Line
from jobsapi.status import ACTIVE, AT_SCHEDULER, Status
from jobsapi.steps.after import mark, wake


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
