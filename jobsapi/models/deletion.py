"""Deleting a row that jobs need is refused, in a sentence that says what to do. No job is loaded for it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from django.db.models import Count, ForeignKey, ProtectedError, Q, QuerySet

OnDelete = Callable[[Any, "ForeignKey[Any, Any]", "QuerySet[Any]", str], None]

CARRIED = 10
"""So many of the rows that are in the way, or cannot be deleted, are told one by one."""


def under_way() -> Q:
    """Jobs that were executed and have not ended."""
    return Q(submission_id__isnull=False, completion_time=None)


def left_behind() -> Q:
    """Jobs that have ended and may have left something at their scheduler."""
    return Q(completion_time__isnull=False, cleanup_pending=True)


def unsettled() -> Q:
    """Jobs for which somebody still has something to do."""
    return under_way() | left_behind() | Q(deleted_at__isnull=False)


class Standing(NamedTuple):
    """How the jobs of a scheduler, or of a user, stand: how many of them there are of each sort."""

    jobs: int
    under_way: int
    left_behind: int
    deleted: int
    """Deleted by their users, and still to be cleared up by a worker."""

    @classmethod
    def of(cls, jobs: QuerySet[Any]) -> Standing:
        """Of all these rows, deleted ones included."""
        return cls(**jobs.order_by().aggregate(**COUNTS))

    @property
    def settled(self) -> bool:
        """Whether nobody has anything to do for them any more."""
        return not (self.under_way or self.left_behind or self.deleted)

    @property
    def visible(self) -> int:
        """How many of them users see."""
        return self.jobs - self.deleted

    def __str__(self) -> str:
        parts = [
            count(self.jobs, "job"),
            f"{self.under_way or 'none'} of them under way",
            f"{self.deleted} deleted and not yet cleared up" if self.deleted else "",
        ]
        return ", ".join(filter(None, parts))


COUNTS = {
    "jobs": Count("pk"),
    "under_way": Count("pk", filter=under_way()),
    "left_behind": Count("pk", filter=left_behind()),
    "deleted": Count("pk", filter=Q(deleted_at__isnull=False)),
}


def counted(on_delete: OnDelete) -> OnDelete:
    """Has Django not load the rows before it calls ``on_delete``: there may be 100,000."""
    on_delete.lazy_sub_objs = True  # type: ignore[attr-defined]
    return on_delete


@counted
def keep_user_of_jobs(collector: Any, field: ForeignKey[Any, Any], jobs: QuerySet[Any], using: str) -> None:
    """``on_delete`` of a job's user."""
    refused = {}
    for user, standing in _standings(field, jobs, using):
        first = "Delete them first" if standing.visible else "Wait until workers have done so"
        advice = f"{first}, or keep the account and make it inactive (is_active)."
        refused[f"“{user}” has {standing}. {advice}"] = jobs.filter(user=user.pk, deleted_at=None)
    _refuse(collector, refused)


@counted
def keep_scheduler_of_jobs(collector: Any, field: ForeignKey[Any, Any], jobs: QuerySet[Any], using: str) -> None:
    """``on_delete`` of a job's scheduler. The settled jobs of one that was given up stay, and lose it."""
    refused, given_up = {}, []
    for scheduler, standing in _standings(field, jobs, using):
        if scheduler.given_up_at is not None and standing.settled:
            given_up.append(scheduler.pk)
            continue
        first = "Delete or move them first" if standing.visible else "Wait until workers have done so"
        advice = f"{first}, or give it up: manage.py give_up_scheduler {shlex.quote(scheduler.name)}"
        if scheduler.given_up_at is not None:
            advice = "It was given up, and workers are still clearing up: try again in a minute."
        refused[f"“{scheduler}” has {standing}. {advice}"] = jobs.filter(scheduler=scheduler.pk, deleted_at=None)
    _refuse(collector, refused)
    if given_up:  # a job that is run again at this moment keeps its scheduler: then the database refuses
        collector.add_field_update(field, None, jobs.filter(~unsettled(), scheduler__in=given_up))


@counted
def keep_assigned_scheduler(collector: Any, field: ForeignKey[Any, Any], rows: QuerySet[Any], using: str) -> None:
    """``on_delete`` of the scheduler of an assignment."""
    assigned: dict[str, list[str]] = {}
    for scheduler, package, setting in rows.order_by("pk").values_list("scheduler__name", "package", "setting"):
        assigned.setdefault(scheduler, []).append(f"“{setting}” of {package}")
    refused = {}
    for scheduler, settings in assigned.items():
        more = f" and {len(settings) - CARRIED} more" if len(settings) > CARRIED else ""
        where = f"{', '.join(settings[:CARRIED])}{more}"
        advice = "Assign another one, or delete the assignment: in the admin, under Scheduler assignments."
        refused[f"“{scheduler}” is assigned to the setting {where}. {advice}"] = rows.filter(scheduler__name=scheduler)
    _refuse(collector, refused)


def count(number: int, noun: str) -> str:
    """``3 jobs``, ``1 job``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _standings(field: ForeignKey[Any, Any], jobs: QuerySet[Any], using: str) -> Iterator[tuple[Any, Standing]]:
    """Each row that has jobs, with how they stand."""
    found = {row.pop(field.name): Standing(**row) for row in jobs.order_by().values(field.name).annotate(**COUNTS)}
    owners = field.remote_field.model._base_manager.using(using).filter(pk__in=[*found])
    yield from ((owner, found[owner.pk]) for owner in owners.order_by("pk"))


def _refuse(collector: Any, refused: Mapping[str, QuerySet[Any]]) -> None:
    """Have the deletion that ``collector`` prepares raise ``ProtectedError`` with our words, and nothing be deleted.

    An error that is raised at once loses its words: Django's collector puts others in their place. Only that of the
    admin, which asks what is in the way of a deletion, has to be told at once.
    """
    refused = dict(list(refused.items())[:CARRIED])
    if refused and hasattr(collector, "protected"):
        reasons = {Reason(sentence, rows.model) for sentence, rows in refused.items()}
        raise ProtectedError(" ".join(refused), reasons)  # type: ignore[arg-type]
    for sentence, rows in refused.items():
        refusal = collector.delete if isinstance(collector.delete, Refusal) else Refusal()
        refusal.sentences.append(sentence)
        refusal.rows += rows[: max(0, CARRIED - len(refusal.rows))]
        collector.delete = refusal


class Refusal:
    """Stands in the place of a collector's ``delete``."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.rows: list[Any] = []

    def __call__(self) -> tuple[int, dict[str, int]]:
        raise ProtectedError(" ".join(self.sentences), set(self.rows))


class Reason:
    """A sentence among the rows that the admin lists as being in the way of a deletion."""

    def __init__(self, sentence: str, model: Any) -> None:
        self.sentence = sentence
        self._meta = SimpleNamespace(
            verbose_name=model._meta.verbose_name_plural,
            app_label=model._meta.app_label,
            model_name=model._meta.model_name,
        )

    def __str__(self) -> str:
        return self.sentence
