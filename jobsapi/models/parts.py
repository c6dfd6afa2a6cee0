"""What users want of single parts of a job (a proc, a node) that its scheduler has."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Exists, OuterRef


class PartWish(models.Model):
    """Recorded by a command, removed by the worker that has passed it on to the scheduler."""

    job = models.ForeignKey("jobsapi.Job", models.CASCADE, related_name="part_wishes")
    verb = models.CharField(max_length=10)
    """What its scheduler is to do: cancel, hold or release."""
    part = models.CharField(max_length=255)
    """The part as the scheduler names it: the number of a proc, the name of a node."""

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "verb", "part"], name="jobsapi_one_wish_per_part")
        ]

    def __str__(self) -> str:
        return f"{self.verb} part {self.part} of job {self.job_id}"

    @classmethod
    def waiting(cls) -> Exists:
        """For a query of jobs: those with parts of which somebody wants something."""
        return Exists(cls.objects.filter(job=OuterRef("pk")))
