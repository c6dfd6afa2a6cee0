"""What happened to a job. Never joined into a list."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from jobsapi.status import Status


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
