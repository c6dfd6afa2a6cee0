"""Lists of jobs: the right class for each row, deleted jobs hidden, and deletion that goes through the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.models import Case, Min, Value, When
from django.utils import timezone

from jobsapi.dispatch import enqueue
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.models.job import Job


class JobQuerySet(models.QuerySet[Any]):
    """Jobs, each an instance of its own class."""

    recipe: Mapping[str, Any] | None = None
    """How ``list_jobs`` made this queryset, as JSON; ``manager.follow`` makes it again. Lost when anything is chained:
    what comes of that is another list."""

    def delete(self) -> tuple[int, dict[str, int]]:
        """Hide the jobs at once. A worker stops each at its scheduler, removes what lies there, then the row.

        One message for each scheduler and type of job: the worker that gets it goes on until none is left.
        """
        if self.query.is_sliced:
            raise TypeError("Cannot use 'limit' or 'offset' with delete().")
        with transaction.atomic():
            rows = self.model._base_manager.filter(pk__in=self.order_by().values("pk"), deleted_at=None)
            firsts = list(rows.order_by().values_list("scheduler", "kind").annotate(Min("pk")))
            wish = Case(When(completion_time=None, then=Value("cancel")), default=Value(""))
            count = rows.update(deleted_at=timezone.now(), requested=wish)
            for *_, pk in firsts:
                enqueue("remove", pk, "deleted")
        return count, {self.model._meta.label: count}

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def select_subclasses(self, *classes: Any) -> JobQuerySet:
        """This queryset: its rows have the right classes anyway. Here for apps that call it."""
        return self.filter(kind__in=[kind for each in classes for kind in each.kinds()]) if classes else self

    def get_subclass(self, *args: Any, **kwargs: Any) -> Job:
        """``get``, under the name that ported apps use."""
        return self.get(*args, **kwargs)  # type: ignore[no-any-return]

    def ended(self) -> JobQuerySet:
        """Those that have ended, well or not."""
        return self.filter(completion_time__isnull=False)

    def unended(self) -> JobQuerySet:
        """Those that were executed and have not ended."""
        return self.filter(completion_time=None).exclude(_status=Status.PENDING)


class JobRows(models.Manager.from_queryset(JobQuerySet)):  # type: ignore[misc]
    """The jobs of one type and its subtypes that are not deleted."""

    def get_queryset(self) -> JobQuerySet:
        rows: JobQuerySet = super().get_queryset().filter(deleted_at=None)
        return rows.filter(kind__in=list(self.model.kinds())) if self.model._meta.proxy else rows
