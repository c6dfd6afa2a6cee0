"""The job: one table for all types."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from jobsapi.models.outcome import Outcome
from jobsapi.models.rows import JobRows
from jobsapi.status import TERMINAL, Status


class Job(Outcome):
    """Work that is run by a scheduler, or by the app itself.

    The row is the truth: an instance shows what it was when it was read. ``save()`` writes what the app owns (name,
    description, attributes); the worker writes what happens to the job. A job type is a proxy of this class.
    """

    objects = JobRows()

    registry: ClassVar[dict[str, type[Job]]] = {}

    class Meta:
        ordering: ClassVar = ["id"]
        permissions: ClassVar = [("jobs_table_actions", "Can act on the jobs of everybody")]
        indexes: ClassVar = [
            # Lists of jobs, newest first: of an app's user, of a user, of one status, of a user's in one status.
            models.Index(fields=["label", "user", "id"], name="jobsapi_job_owner"),
            models.Index(fields=["user", "id"], name="jobsapi_job_user", condition=Q(deleted_at=None)),
            models.Index(fields=["_status", "id"], name="jobsapi_job_status", condition=Q(deleted_at=None)),
            models.Index(
                fields=["user", "_status", "id"], name="jobsapi_job_user_status", condition=Q(deleted_at=None)
            ),
            models.Index(fields=["scheduler", "_status"], name="jobsapi_job_scheduler"),
            models.Index(fields=["native_id"], name="jobsapi_job_native_id"),
            # Who is next at a scheduler, in the order of ``jobsapi.queueing``.
            models.Index(
                "scheduler",
                "native_id",
                F("priority").desc(),
                Coalesce("submit_started_at", "execute_time").asc(),
                "id",
                name="jobsapi_job_queue",
                condition=Q(submission_id__isnull=False, completion_time=None),
            ),
            models.Index(fields=["scheduler"], name="jobsapi_job_wish", condition=~Q(requested="")),
            models.Index(fields=["scheduler"], name="jobsapi_job_cleanup", condition=Q(cleanup_pending=True)),
            models.Index(fields=["deleted_at"], name="jobsapi_job_deleted", condition=Q(deleted_at__isnull=False)),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(name="jobsapi_known_status", condition=Q(_status__in=Status.values)),
            models.CheckConstraint(
                name="jobsapi_ended_at", condition=~Q(_status__in=sorted(TERMINAL)) | Q(completion_time__isnull=False)
            ),
        ]
