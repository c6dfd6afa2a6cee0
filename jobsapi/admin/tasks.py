"""What Celery has kept of the messages about a job, and where Flower shows them. Knows no Celery: it reads the table
of django-celery-results if that is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.apps import apps

from jobsapi import conf
from jobsapi.admin.history import ending, shortened
from jobsapi.dispatch import message_ids
from jobsapi.models import Job

SHOWN = 50
"""The newest so many are shown."""


@dataclass(frozen=True)
class CeleryTask:
    """One message about a job, and what became of it."""

    verb: str
    state: str
    began: datetime | None
    took: timedelta | None
    """None while it runs, and when nobody noted when it began."""
    worker: str
    error: str
    """The last line of ``traceback``."""
    traceback: str
    """Its end, if it is long."""
    flower: str
    """The address of its page in Flower; empty when Flower's is not known."""

    @classmethod
    def of(cls, row: Any) -> CeleryTask:
        """From a row of django-celery-results, with the ``end`` of its traceback."""
        traceback = shortened(str(row.end or "").rstrip())
        over = row.status not in ("STARTED", "RETRY")
        return cls(
            verb=str(row.task_name or "").removeprefix("jobsapi."),
            state=str(row.status),
            began=row.date_started or row.date_created,
            took=row.date_done - row.date_started if row.date_started and over else None,
            worker=str(row.worker or ""),
            error=traceback.rpartition("\n")[2],
            traceback=traceback,
            flower=flower_page(str(row.task_id)),
        )


def tasks_of(job: Job) -> Sequence[CeleryTask] | None:
    """The newest messages about a job, the last one first. None when nobody keeps them. One query, by an index."""
    if not apps.is_installed("django_celery_results"):
        return None
    results: Any = apps.get_model("django_celery_results", "TaskResult")
    rows = results.objects.filter(task_id__range=message_ids("job", job.pk)).order_by("-pk")
    rows = rows.annotate(end=ending("traceback")).defer("traceback", "result", "meta", "task_args", "task_kwargs")
    return [CeleryTask.of(row) for row in rows[:SHOWN]]


def flower_page(task_id: str) -> str:
    """Where Flower shows a task; empty when ``JOBSAPI["FLOWER_URL"]`` is."""
    flower = str(conf.get("FLOWER_URL")).rstrip("/")
    return f"{flower}/task/{quote(task_id, safe='')}" if flower else ""
