"""What tells one state of a row from another: read of many rows at once, without making jobs of them.

A page sends the versions of its rows with every poll. Most polls find them all as they were, and cost no more than
reading these columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from jobsapi.models import Job
from jobsapi.models.rows import JobQuerySet
from jobsapi.web.rows import HEAVY, READ

COLUMNS = (
    "pk",
    "completion_time",
    "kind",
    "name",
    "description",
    "label",
    "user_id",
    "owner_name",
    "is_shared_to_manage",
    "priority",
    "_status",
    "custom_status",
    "status_message",
    "requested",
    "attempts",
    "native_id",
    "progress_done",
    "progress_total",
    "creation_time",
    "execute_time",
    "start_time",
    "scheduler_id",
    *READ,
)
"""What a row shows, or what it shows is made of."""

OF_SCHEDULER = ("name", "unreachable_since", "last_error")
"""What the row of a job that has not ended shows of its scheduler."""


class Glance(NamedTuple):
    """A row without what it shows."""

    number: int
    version: str
    has_ended: bool
    scheduler: int | None
    """The scheduler that the job is at, while it has not ended."""
    seen_at: datetime | None
    """When that scheduler last told how its jobs are."""
    has_shares: bool = True
    """Whether anything at all is shared with who looks."""


def glances(jobs: JobQuerySet, *, with_heavy: bool) -> list[Glance]:
    """The rows of jobs that were read as a table does, in their order."""
    names = [*COLUMNS, *(HEAVY if with_heavy else ())]
    others = [*(f"scheduler__{name}" for name in (*OF_SCHEDULER, "polled_at")), "has_shares"]
    return [_glance(values[: len(names)], *values[len(names) :]) for values in jobs.values_list(*names, *others)]


def version_of(job: Job, *, with_heavy: bool, more: Any = None) -> str:
    """The version of a job that was just read as a table does; ``more``: what the columns do not tell.

    To be asked first: reading attributes of a job puts defaults into what it was read with.
    """
    names = [*COLUMNS, *(HEAVY if with_heavy else ())]
    related = [getattr(job.scheduler, name, None) for name in OF_SCHEDULER]
    return _version([getattr(job, name, None) for name in names], related, more)


def _glance(
    values: Sequence[Any], name: str, unreachable_since: Any, error: str, seen_at: Any, has_shares: bool
) -> Glance:
    has_ended = values[1] is not None
    scheduler = None if has_ended else values[COLUMNS.index("scheduler_id")]
    version = _version(values, (name, unreachable_since, error))
    return Glance(values[0], version, has_ended, scheduler, seen_at, has_shares)


def summary(rows: Sequence[Glance]) -> str:
    """What is told to screen readers when it changes."""
    return f"{len(rows)} jobs on this page, {sum(row.has_ended for row in rows)} of them ended."


def _version(values: Iterable[Any], related: Iterable[Any], more: Any = None) -> str:
    # An instance shows its custom status among the properties of the app, too.
    values = [_without_label(value) if isinstance(value, dict) else value for value in values]
    ended = values[1] is not None
    shown = repr((values, [] if ended else list(related), more))
    return blake2b(shown.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _without_label(value: dict[str, Any]) -> dict[str, Any]:
    return {key: entry for key, entry in value.items() if key != Job.OTHER_STATUS_KEY}
