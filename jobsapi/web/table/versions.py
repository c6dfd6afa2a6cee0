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
from jobsapi.queueing import Waiter, places
from jobsapi.status import Status
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

OF_SCHEDULER = ("name", "unreachable_since", "last_error", "max_active", "max_active_per_user")
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
    rows = [(values[: len(names)], values[len(names) :]) for values in jobs.values_list(*names, *others)]
    told = places(waiter for own, related in rows if (waiter := _waiter(own, related)))
    return [_glance(own, related[:-2], related[-2], related[-1], told.get(own[0], "")) for own, related in rows]


def version_of(job: Job, *, with_heavy: bool, place: str = "", more: Any = None) -> str:
    """The version of a job that was just read as a table does; ``place``, ``more``: what the columns do not tell.

    To be asked first: reading attributes of a job puts defaults into what it was read with.
    """
    names = [*COLUMNS, *(HEAVY if with_heavy else ())]
    related = [getattr(job.scheduler, name, None) for name in OF_SCHEDULER]
    return _version([getattr(job, name, None) for name in names], related, place, more)


def _waiter(values: Sequence[Any], related: Sequence[Any]) -> Waiter | None:
    """The job, if it waits at a limited scheduler that can be reached; see ``jobsapi.web.rows.places_of``."""
    name, unreachable_since, _, most, most_per_user = related[: len(OF_SCHEDULER)]
    if (most is None and most_per_user is None) or unreachable_since is not None:
        return None
    job = dict(zip(COLUMNS, values, strict=False))
    if job["_status"] != Status.SUBMITTED or job["native_id"] or job["completion_time"] is not None:
        return None
    return Waiter(job["pk"], job["scheduler_id"], name, most, most_per_user)


def _glance(values: Sequence[Any], related: Sequence[Any], seen_at: Any, has_shares: bool, place: str) -> Glance:
    has_ended = values[1] is not None
    scheduler = None if has_ended else values[COLUMNS.index("scheduler_id")]
    version = _version(values, related, place)
    return Glance(values[0], version, has_ended, scheduler, seen_at, has_shares)


def summary(rows: Sequence[Glance]) -> str:
    """What is told to screen readers when it changes."""
    return f"{len(rows)} jobs on this page, {sum(row.has_ended for row in rows)} of them ended."


def _version(values: Iterable[Any], related: Iterable[Any], place: str, more: Any = None) -> str:
    # An instance shows its custom status among the properties of the app, too.
    values = [_without_label(value) if isinstance(value, dict) else value for value in values]
    ended = values[1] is not None
    shown = repr((values, [] if ended else [*related, place], more))
    return blake2b(shown.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _without_label(value: dict[str, Any]) -> dict[str, Any]:
    return {key: entry for key, entry in value.items() if key != Job.OTHER_STATUS_KEY}
