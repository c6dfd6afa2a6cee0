"""What is kept beside a job: its history, and the sealed bytes of its input and result. Never joined into a list."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from jobsapi import sealing
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.models.columns import JobColumns


class JobEvent(models.Model):
    """One line of a job's history. Only ever added."""

    job = models.ForeignKey("jobsapi.Job", models.CASCADE, related_name="events")
    time = models.DateTimeField()
    by = models.CharField(max_length=20)
    """What caused it: an edge's ``by`` (see ``jobsapi.status.EDGES``), or a command that changed no status."""
    status = models.CharField(max_length=3, choices=Status.choices)
    """The status after it."""
    attempt = models.PositiveIntegerField()
    message = models.TextField(blank=True)
    detail = models.TextField(blank=True)
    """More than a line: a traceback."""

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M:%S} {self.get_status_display()}: {self.message}"


class Purpose(models.TextChoices):
    """What sealed bytes are for; part of their seal."""

    INPUT = "input"
    """What ``execute()`` was given; bound to the job, for all its attempts."""
    RESULT = "result"
    """What ``job.result`` gives; bound to the attempt that made it."""
    LOGS = "logs"
    """The logs as they were last fetched, as JSON; bound to the attempt."""


class JobBlob(models.Model):
    """Sealed bytes of a job."""

    job = models.ForeignKey("jobsapi.Job", models.CASCADE, related_name="blobs")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    attempt = models.UUIDField()
    """The ``submission_id`` it belongs to; the job's own ``uid`` for an input."""
    sealed = models.BinaryField()
    stored_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "purpose", "attempt"], name="jobsapi_one_blob_per_purpose")
        ]

    def __str__(self) -> str:
        return f"{self.purpose} of job {self.job_id}"

    @classmethod
    def store(cls, job: JobColumns, purpose: Purpose, data: bytes) -> None:
        """Seal and keep ``data``, in place of what was kept for this job, attempt and purpose."""
        attempt = cls._attempt(job, purpose)
        sealed = sealing.seal(data, str(job.uid), str(attempt), purpose)
        cls.objects.update_or_create(job_id=job.pk, purpose=purpose, attempt=attempt, defaults={"sealed": sealed})

    @classmethod
    def find(cls, job: JobColumns, purpose: Purpose) -> bytes | None:
        """The verified bytes, or None when none are kept. Raises ``SealBroken``."""
        attempt = cls._attempt(job, purpose)
        sealed = (
            cls.objects.filter(job_id=job.pk, purpose=purpose, attempt=attempt).values_list("sealed", flat=True).first()
        )
        return None if sealed is None else sealing.unseal(bytes(sealed), str(job.uid), str(attempt), purpose)

    @classmethod
    def kept(cls, purpose: Purpose) -> Q:
        """Jobs for which ``find`` would find something of this purpose."""
        attempt = OuterRef("uid" if purpose is Purpose.INPUT else "submission_id")
        return Q(Exists(cls.objects.filter(job=OuterRef("pk"), purpose=purpose, attempt=attempt)))

    @classmethod
    def fresh(cls, job: JobColumns, purpose: Purpose, seconds: float) -> bool:
        """Whether this was stored less than ``seconds`` ago."""
        since = timezone.now() - timedelta(seconds=seconds)
        return cls.objects.filter(
            job_id=job.pk, purpose=purpose, attempt=cls._attempt(job, purpose), stored_at__gt=since
        ).exists()

    @staticmethod
    def _attempt(job: JobColumns, purpose: Purpose) -> UUID | Any:
        return job.uid if purpose is Purpose.INPUT else job.submission_id
