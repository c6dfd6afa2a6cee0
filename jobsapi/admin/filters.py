"""What the list of jobs can be narrowed down by, and how far it is counted. None of it reads all jobs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from jobsapi.app import installed
from jobsapi.models import Job, Scheduler
from jobsapi.status import Status

COUNTED = 10_000
"""Jobs that a list is counted, and can be leafed through, up to."""
OWNERS = 50
"""Owners that are offered to choose from. Jobs of others are found by searching for their names."""
DIGITS = 18
"""What a number of a row has at most: SQLite refuses to compare with one beyond 64 bits."""
HEAVY = ("spec", "backend_state", "extended_properties", "description")
"""What no row of the list shows; of a large workflow it may be a megabyte."""


class Capped(Paginator):  # type: ignore[type-arg]
    """Counts no further than ``COUNTED``."""

    @cached_property
    def count(self) -> int:
        """How many there are, or ``COUNTED`` if there are more."""
        jobs: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return jobs[:COUNTED].count()


class JobList(ChangeList):
    """One page of jobs, with what its rows show and no more."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = self.result_list.defer(*HEAVY)

    @property
    def is_capped(self) -> bool:
        """Whether there are more jobs than were counted."""
        return bool(self.result_count >= COUNTED)


class Chosen(admin.SimpleListFilter):
    """A filter on one column, by its value."""

    def choices_of(self) -> list[tuple[str, str]]:
        """Value and name of each. The one that is chosen need not be among them."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = self.choices_of()
        current = self.used_parameters.get(str(self.parameter_name))
        return found if current is None or current in dict(found) else [*found, (str(current), str(current))]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(**{str(self.parameter_name): value})


class StatusFilter(Chosen):
    """By status."""

    title, parameter_name = "status", "_status"

    def choices_of(self) -> list[tuple[str, str]]:
        return [(str(status.value), str(status.label)) for status in Status]


class KindFilter(Chosen):
    """By type of job."""

    title, parameter_name = "type", "kind"

    def choices_of(self) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in sorted(Job.registry)]


class AppFilter(Chosen):
    """By app."""

    title, parameter_name = "app", "label"

    def choices_of(self) -> list[tuple[str, str]]:
        return [(package, package) for package in sorted({app.package for app in installed()})]


class ByNumber(Chosen):
    """A filter on a foreign key."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = str(self.value() or "")
        is_number = value.isdecimal() and len(value) <= DIGITS
        return super().queryset(request, queryset) if not value or is_number else queryset.none()


class SchedulerFilter(ByNumber):
    """By scheduler."""

    title, parameter_name = "scheduler", "scheduler"

    def choices_of(self) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Scheduler.objects.order_by("name").values_list("pk", "name")]


class OwnerFilter(ByNumber):
    """By owner: the first ``OWNERS`` who have jobs."""

    title, parameter_name = "owner", "user"

    def choices_of(self) -> list[tuple[str, str]]:
        users = get_user_model()._default_manager.filter(Exists(Job.objects.filter(user=OuterRef("pk"))))
        name = get_user_model().USERNAME_FIELD
        return [(str(pk), str(each)) for pk, each in users.order_by(name).values_list("pk", name)[:OWNERS]]
