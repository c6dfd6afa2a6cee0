"""Who may see which job: asked by every page."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from jobsapi.models import Job


def may_act_on_all(user: Any) -> bool:
    """Whether the user sees, and acts on, the jobs of everybody."""
    return bool(user.is_staff or user.has_perm("jobsapi.jobs_table_actions"))


def visible_job(user: Any, job_id: int) -> Job:
    """The job, if this user may see it; otherwise it is not there: raises ``Http404``."""
    job: Job | None = Job.objects.select_related("scheduler").filter(pk=job_id).first()
    if job is None or (job.user_id != user.pk and not may_act_on_all(user)):
        raise Http404("There is no such job.")
    return job
