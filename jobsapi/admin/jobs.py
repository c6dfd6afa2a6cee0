"""Jobs of every type, with their history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from jobsapi.exceptions import InvalidJob, JobsApiError
from jobsapi.models import Job, JobEvent


class History(admin.TabularInline):  # type: ignore[type-arg]
    """What happened to a job."""

    model = JobEvent
    verbose_name_plural = "history"
    fields = readonly_fields = ("time", "attempt", "status", "by", "message", "detail")
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission


class JobForm(forms.ModelForm):  # type: ignore[type-arg]
    """Says what ``Job.save()`` would refuse."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        try:
            self.instance.validate()
        except InvalidJob as error:
            self.add_error(None, str(error))


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Jobs of every type. Talks to no scheduler: what is asked for here is done by a worker."""

    form = JobForm
    fields = (
        "name",
        "description",
        "priority",
        "kind",
        "label",
        "user",
        "scheduler",
        "status_name",
        "status_message",
        "native_id",
        "attempts",
        "requested",
        "progress_done",
        "progress_total",
        "creation_time",
        "execute_time",
        "start_time",
        "completion_time",
        "workspace",
        "extended_properties",
        "spec",
        "backend_state",
    )
    readonly_fields = fields[3:]
    list_display = ("id", "name", "kind", "status_name", "label", "user", "scheduler", "creation_time")
    list_display_links = ("id", "name")
    list_filter = ("_status", "kind", "label")
    list_select_related = ("user", "scheduler")
    ordering = ("-id",)
    search_fields = ("name", "native_id")
    inlines = (History,)
    actions = ("stop", "resubmit")

    @admin.display(description="status", ordering="_status")
    def status_name(self, job: Job) -> str:
        return job.cached_status

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Names the jobs alone: their history and results go with them, when a worker has cleared up."""
        refused = set() if self.has_delete_permission(request) else {"job"}
        return [str(job) for job in objs], {"jobs": len(objs)}, refused, []

    @admin.action(description="Stop the selected jobs", permissions=["change"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(request, queryset, lambda job: job.stop(), "asked to stop")

    @admin.action(description="Run the selected jobs again", permissions=["change"])
    def resubmit(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(request, queryset, lambda job: job.resubmit(), "submitted again")

    def _each(self, request: HttpRequest, jobs: QuerySet[Job], command: Callable[[Job], None], done: str) -> None:
        count = 0
        for job in jobs:
            try:
                command(job)
                count += 1
            except JobsApiError as error:
                self.message_user(request, f"{job}: {error}", messages.ERROR)
        if count:
            self.message_user(request, f"{count} {done}.", messages.SUCCESS)
