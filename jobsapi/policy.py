"""Who may do what with which job. Nothing else says so: the table, the pages, the admin and the API all ask here.

- Its **owner** sees a job and manages it (stop, pause, resume, run again, delete), and shares it.
- A **group** that it is shared with sees it; one with the right to manage it manages it, too.
- **Staff**, and users with the permission ``jobsapi.jobs_table_actions``, see and manage the jobs of everybody.
- For all others a job does not exist: neither its page, nor in a list, nor in a count.

A ``user`` is Django's, of a request; one who is not logged in, or not active, sees nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, Q

from jobsapi.models import Job, JobShare, Right
from jobsapi.models.rows import JobQuerySet

EVERYBODYS = "jobsapi.jobs_table_actions"
"""The permission to see, and to act on, the jobs of everybody."""


def manages_all(user: Any) -> bool:
    """Whether the user sees and manages the jobs of everybody. Costs queries unless the user is staff."""
    return bool(user.is_active and (user.is_staff or user.has_perm(EVERYBODYS)))


def visible(user: Any, jobs: JobQuerySet | None = None) -> JobQuerySet:
    """Those of ``jobs`` (or of all) that the user may see."""
    jobs = Job.objects.all() if jobs is None else jobs
    return jobs if manages_all(user) else jobs.filter(_concerns(user)) if user.is_active else jobs.none()


def branches(user: Any, jobs: JobQuerySet, *, has_shares: bool = True) -> Sequence[JobQuerySet]:
    """What ``visible`` gives of ``jobs`` to a user who does not manage all, in parts that each follow an index.

    ``has_shares``: what ``any_share`` says; most users have none, and their own jobs are all there is.
    """
    if not user.is_active:
        return [jobs.none()]
    own = jobs.filter(user=user.pk)
    return [own, jobs.filter(pk__in=_shared(user))] if has_shares else [own]


def any_share(user: Any) -> Exists:
    """For a query: whether anything at all is shared with the user."""
    return Exists(JobShare.with_user(user))


def find(user: Any, job_id: int, jobs: JobQuerySet | None = None) -> Job:
    """The job of this number. Raises ``Job.DoesNotExist`` when there is none, and when the user may not see it."""
    jobs = Job.objects.all() if jobs is None else jobs
    job: Job | None = jobs.filter(_concerns(user), pk=job_id).first() if user.is_active else None
    if job is None:  # most ask for their own: whether the user may see everybody's is asked of the others
        job = visible(user, jobs).get(pk=job_id)
    return job


def may_manage(user: Any, job: Job) -> bool:
    """Whether the user may act on a job, beyond looking at it."""
    if not user.is_active:
        return False
    return job.user_id == user.pk or manages_all(user) or _shared(user, Right.MANAGE).filter(job=job.pk).exists()


def manageable(user: Any, jobs: JobQuerySet | None = None) -> JobQuerySet:
    """Those of ``jobs`` (or of all) that the user may act on."""
    jobs = Job.objects.all() if jobs is None else jobs
    return jobs if manages_all(user) else jobs.filter(_concerns(user, Right.MANAGE)) if user.is_active else jobs.none()


def may_share(user: Any, job: Job) -> bool:
    """Whether the user may say with whom a job is shared: its owner, and who manages all."""
    return bool(user.is_active) and (job.user_id == user.pk or manages_all(user))


def _concerns(user: Any, *rights: Right) -> Q:
    return Q(user=user.pk) | Q(pk__in=_shared(user, *rights))


def _shared(user: Any, *rights: Right) -> Any:
    return JobShare.with_user(user, *rights).values("job")
