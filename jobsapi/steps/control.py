"""Jobs, and single parts of them, are stopped, held and released."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from jobsapi.exceptions import InvalidJob
from jobsapi.models import Job, PartWish
from jobsapi.reach import Line
from jobsapi.status import Status
from jobsapi.steps.after import asked, end, make_way
from jobsapi.steps.submission import accept


def cancel(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Stop jobs; those that the scheduler does not confirm at once are confirmed by a refresh."""
    tried = [job for job in jobs if job.submit_started_at and not job.native_id]
    for job, accepted in (line.backend.find(tried) if tried else {}).items():
        accept(line, job, accepted, "Accepted before it was to be stopped")
    there = [job for job in jobs if job.native_id]
    for job in jobs:
        if not job.native_id:
            end(job, Status.ABORTED, "Stopped before it was submitted.")
    gone = set(line.backend.cancel(there)) if there else set()
    for job in gone:
        end(job, Status.ABORTED, "Stopped.")
    line.next_steps.append(("cleanup", Job._base_manager.filter(pk__in=[job.pk for job in gone])))
    if gone:
        make_way(line)
    return asked(line, [job for job in there if job not in gone])


def hold(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Hold jobs; a refresh confirms it."""
    line.backend.hold(jobs)
    return asked(line, jobs)


def release(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Release jobs; a refresh confirms it."""
    line.backend.release(jobs)
    return asked(line, jobs)


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
    asked(line, jobs)
    return []
