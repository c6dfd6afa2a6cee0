"""What ``jobsapi.policy`` says, as answers to a request."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404

from jobsapi import policy
from jobsapi.models import Job


def visible_job(user: Any, job_id: int) -> Job:
    """The job, if this user may see it; otherwise it is not there: raises ``Http404``."""
    try:
        return policy.find(user, job_id, Job.objects.select_related("scheduler"))
    except Job.DoesNotExist:
        raise Http404("There is no such job.") from None


def managed_job(user: Any, job_id: int) -> Job:
    """The job, if this user may act on it. Raises ``Http404``, or ``PermissionDenied`` for those who only see it."""
    job = visible_job(user, job_id)
    if not policy.may_manage(user, job):
        raise PermissionDenied("This job is shared with you to look at. Its owner can let your group manage it.")
    return job
