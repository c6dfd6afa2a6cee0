"""The columns of a table that an app has chosen: which attributes of a job there are, and each as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from inspect import isroutine
from typing import Any, NamedTuple, Self

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils import timezone

from jobsapi.models import CondorWorkflow, Job
from jobsapi.web.rows import HEAVY, duration

PROPERTIES = "extended_properties"

LIGHT = frozenset(
    {"type", "cached_status", "status", "run_time", "ended", "last_status_update", "pk", "user", "scheduler"}
)
"""Attributes without a column of their own that need none of the large ones."""

STORED = {"status": "_status", "cached_status": "_status", "type": "kind", "pk": "id", "run_time": ""}
"""The column behind an attribute that a table is sorted by; empty if there is none."""

# fmt: off
INTERNAL = frozenset({
    "leased_until", "rests_until", "missing_since", "submit_started_at", "deleted_at", "cleanup_pending",
})
# fmt: on
"""Columns that mean something to workers alone."""


NOT_FOR_LISTS = frozenset(
    {"result", "client", "future", "condorpy_job", "condorpy_workflow", "nodes", "result_file", "result_preview"}
)
"""What asks the database or a scheduler, unpickles, or makes another object, for each job anew."""

SECRET = frozenset({"report_token", "report_url"})
"""What is for the job alone."""


class Cell(NamedTuple):
    """A value as it is shown: text; a moment; or the time since a moment, which the page counts on."""

    text: str
    moment: datetime | None = None
    since: datetime | None = None
    heading: str = ""
    is_link: bool = False
    """Whether it leads to the page of the job."""


@dataclass(frozen=True)
class Column:
    """One column: its heading, and the attribute of a job that it shows."""

    heading: str
    field: str

    @classmethod
    def of(cls, given: str | Sequence[str]) -> Self:
        """From what ``column_fields`` has of it: a name, or a heading and a name. Raises ``ValueError``."""
        if isinstance(given, str):
            heading, field = "", given
        else:
            try:
                heading, field = given
            except (TypeError, ValueError):
                raise ValueError(f'A column is the name of a field or ("Heading", "field"), not {given!r}.') from None
            if not isinstance(heading, str) or not isinstance(field, str):
                raise ValueError(f'A column is the name of a field or ("Heading", "field"), not {given!r}.')
        root, _, key = field.partition(".")
        if root != PROPERTIES if key else field not in possible():
            raise ValueError(
                f"There is no field “{field}” of a job for a column. Possible are {', '.join(sorted(possible()))}, "
                f"and {PROPERTIES}.<key> for what the app keeps in {PROPERTIES}."
            )
        return cls(heading or _heading(key or field), field)

    @property
    def is_heavy(self) -> bool:
        """Whether it needs a column that lists are read without."""
        root = self.field.partition(".")[0]
        return root in HEAVY or not (root in LIGHT or _is_stored(root))

    @property
    def sorts_by(self) -> str:
        """The column of the database that sorts by it; empty if there is none."""
        name = STORED.get(self.field, self.field)
        return name if "." not in name and name not in HEAVY and _is_stored(name) and not _is_relation(name) else ""

    def cell(self, job: Job) -> Cell:
        """The value of a job. One that such a job does not have is empty."""
        if self.field == "run_time" and not job.ended:  # it would differ at every look
            start = job.start_time or job.execute_time
            return Cell(duration(timezone.now() - start) if start else "", since=start)
        return _shown(self._value(job))

    def _value(self, job: Job) -> Any:
        root, _, key = self.field.partition(".")
        if root == "user" and "owner_name" in vars(job):  # as a table reads it, without the rest of the user
            return job.owner_name  # type: ignore[attr-defined]
        if root == "num_jobs" and isinstance(job, CondorWorkflow):  # it would count the nodes, job by job
            return job.progress_total or None
        if key:
            value: Any = job.extended_properties
            for step in key.split("."):
                value = value.get(step) if isinstance(value, dict) else None
            return value
        # Reading `status` would ask for a refresh, job by job.
        return getattr(job, "cached_status" if root in ("status", "_status") else root, None)


def possible() -> frozenset[str]:
    """The names that a column may have: fields and properties of any type of job."""
    names = {field.name for field in Job._meta.concrete_fields} - INTERNAL
    types: list[type[Job]] = [Job, *Job.registry.values()]
    for cls in types:
        for each in cls.__mro__:
            if each.__module__.partition(".")[0] == "django":
                continue
            names |= {name for name, value in vars(each).items() if isinstance(value, property)}
    names -= NOT_FOR_LISTS | SECRET
    return frozenset(name for name in names if not name.startswith("_")) | {"status", "pk"}


def _is_stored(name: str) -> bool:
    try:
        return bool(getattr(Job._meta.get_field(name), "concrete", False))
    except FieldDoesNotExist:
        return False


def _is_relation(name: str) -> bool:
    return Job._meta.get_field(name).is_relation


def _heading(name: str) -> str:
    words = name.rpartition(".")[2].strip("_").replace("_", " ")
    return "No." if words in ("id", "pk") else words[:1].upper() + words[1:]


def _shown(value: Any) -> Cell:
    if value is None or isroutine(value):
        return Cell("")
    if isinstance(value, datetime):
        return Cell("", moment=value)
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, timedelta):
        return Cell(duration(value))
    if isinstance(value, date):
        return Cell(value.isoformat())
    if isinstance(value, float):
        return Cell(f"{value:.6g}")
    if isinstance(value, models.Model):
        return Cell(value.get_username() if hasattr(value, "get_username") else str(value))
    if isinstance(value, dict):
        return Cell(", ".join(f"{key}: {_shown(entry).text}" for key, entry in value.items()))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return Cell(", ".join(_shown(entry).text for entry in value))
    return Cell(str(value))
