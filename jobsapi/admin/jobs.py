"""Jobs of every type, with their history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from jobsapi import policy
from jobsapi.admin.filters import (
    AppFilter,
    Capped,
    JobList,
    KindFilter,
    OwnerFilter,
    SchedulerFilter,
    StatusFilter,
)
from jobsapi.admin.history import History
from jobsapi.admin.tasks import tasks_of
from jobsapi.exceptions import InvalidJob, JobsApiError
from jobsapi.models import Job, JobShare, Scheduler
from jobsapi.models.deletion import CARRIED

AT_ONCE = 500
"""Jobs that one request stops or runs again: each costs some ten statements, and a browser waits for all of them."""
TOLD = 5
"""Refusals of one action that are told one by one: browsers keep few messages, and nobody reads a thousand."""
TO_THE_SECOND = "%Y-%m-%d %H:%M:%S"
SOON = timedelta(seconds=1)
"""How often, at most, the refresh of a scheduler is asked for here."""


KEPT = ("extended_properties", "spec", "backend_state")


class Sharing(admin.TabularInline):  # type: ignore[type-arg]
    """The groups that may see a job, or manage it. Whoever may change the job may share it."""

    model = JobShare
    verbose_name, verbose_name_plural = "group", "shared with"
    fields = ("group", "right")
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobsapi.view_job") or self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobsapi.change_job")

    has_add_permission = has_delete_permission = has_change_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobShare]:
        return super().get_queryset(request).select_related("group")

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any], request: HttpRequest, **kwargs: Any) -> Any:
        """The groups are read once, and not for each of those that the job is shared with."""
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        field.choices = list(field.choices)
        return field


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
    change_form_template = "admin/jobsapi/job/change_form.html"
    fieldsets = (
        (None, {"fields": ("name", "description", "priority")}),
        (
            "How it stands",
            {
                "fields": (
                    "status_name",
                    "status_message",
                    "requested",
                    "progress",
                    ("creation_time", "execute_time"),
                    ("start_time", "completion_time"),
                )
            },
        ),
        ("What it is", {"fields": ("type_name", "app", "user", "scheduler", "native_id", "attempts", "workspace")}),
        ("What apps and backends keep", {"fields": KEPT, "classes": ("collapse",)}),
    )
    readonly_fields = (
        *("status_name", "status_message", "requested", "progress"),
        *("creation_time", "execute_time", "start_time", "completion_time"),
        *("type_name", "app", "user", "scheduler", "native_id", "attempts", "workspace"),
        *KEPT,
    )
    list_display = ("id", "name", "type_name", "status_name", "app", "user", "scheduler", "made")
    list_display_links = ("id", "name")
    list_filter = (StatusFilter, KindFilter, AppFilter, SchedulerFilter, OwnerFilter)
    list_select_related = ("user", "scheduler")
    paginator = Capped
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    search_fields = ("name", "native_id", "id__exact")
    search_help_text = "A name, a number, a scheduler’s own id, or a user."
    inlines = (Sharing,)
    actions = ("stop", "resubmit", "refresh")

    @admin.display(description="status", ordering="_status")
    def status_name(self, job: Job) -> str:
        return job.cached_status

    @admin.display(description="type", ordering="kind")
    def type_name(self, job: Job) -> str:
        return job.kind

    @admin.display(description="app", ordering="label")
    def app(self, job: Job) -> str:
        return job.label

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        return f"{job.progress_done:,} of {job.progress_total:,}" if job.progress_total else "not told"

    @admin.display(description="made", ordering="creation_time")
    def made(self, job: Job) -> str:
        return f"{timezone.localtime(job.creation_time):{TO_THE_SECOND}}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """What the policy lets the user see."""
        return policy.visible(request.user, super().get_queryset(request))  # type: ignore[arg-type]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.search_fields, f"user__{get_user_model().USERNAME_FIELD}")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobList]:
        return JobList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or policy.may_manage(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or policy.may_manage(request.user, obj))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the way to the job's own pages, its history, and what Celery has kept of it."""
        found: dict[str, Any] = {}
        if (job := self.get_object(request, object_id)) is not None:
            found = {"job_page": page_of("jobsapi:job", job), "logs_page": page_of("jobsapi:job-logs", job)}
            found |= {"history": History.of(job), "celery_tasks": tasks_of(job)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **found})

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Names the first jobs alone: their history and results go with them, when a worker has cleared up."""
        refused = set() if self.has_delete_permission(request) else {"job"}
        count = objs.count() if isinstance(objs, QuerySet) else len(objs)
        names = [str(job) for job in objs[:CARRIED]]
        if count > CARRIED:
            names.append(f"and {count - CARRIED:,} others")
        return names, {"jobs": count}, refused, []

    @admin.action(description="Stop the selected jobs", permissions=["change"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(request, queryset, lambda job: job.stop(), "asked to stop")

    @admin.action(description="Run the selected jobs again", permissions=["change"])
    def resubmit(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(request, queryset, lambda job: job.resubmit(), "submitted again")

    @admin.action(description="Ask the schedulers of the selected jobs how they are", permissions=["change"])
    def refresh(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """One message for each scheduler, which tells of all its jobs at once."""
        chosen = queryset.filter(scheduler__isnull=False).order_by().values("scheduler")
        asked = []
        for scheduler in Scheduler.objects.filter(pk__in=chosen).order_by("name"):
            if reason := why_silent(scheduler):
                self.message_user(request, reason, messages.WARNING)
                continue
            scheduler.request_refresh(SOON)
            asked.append(f"“{scheduler}”")
        if asked:
            names = ", ".join(asked)
            done = f"Asked {names}. This list shows what comes of it when it is loaded again."
            self.message_user(request, done, messages.SUCCESS)
        if count := queryset.filter(scheduler__isnull=True).count():
            words = "1 job has no scheduler" if count == 1 else f"{count:,} jobs have no scheduler"
            self.message_user(request, f"{words} to ask.", messages.WARNING)

    def _each(self, request: HttpRequest, jobs: QuerySet[Job], command: Callable[[Job], None], done: str) -> None:
        """Do it to each job by itself; what is refused says why, and keeps none of the others from it."""
        if jobs.order_by()[: AT_ONCE + 1].count() > AT_ONCE:
            much = f"Nothing was done: these are more than {AT_ONCE} jobs, too many for one request."
            self.message_user(request, f"{much} Search, or choose a filter, until fewer match.", messages.ERROR)
            return
        count, refused = 0, 0
        for job in jobs.iterator(chunk_size=500):
            try:
                command(job)
                count += 1
            except JobsApiError as error:
                refused += 1
                if refused <= TOLD:
                    self.message_user(request, f"{job}: {error}", messages.ERROR)
        if refused > TOLD:
            self.message_user(request, f"{refused - TOLD:,} others were refused, too.", messages.ERROR)
        if count:
            self.message_user(request, f"{count:,} {done}.", messages.SUCCESS)


def page_of(name: str, job: Job) -> str:
    """The address of one of the job's own pages; empty on a site that has none."""
    try:
        return reverse(name, args=[job.pk])
    except NoReverseMatch:
        return ""


def why_silent(scheduler: Scheduler) -> str:
    """Why nobody calls a scheduler now, in a sentence; empty when somebody does."""
    if scheduler.given_up_at is not None:
        return f"“{scheduler}” was given up: nobody asks it any more."
    if scheduler.retry_at is not None and scheduler.retry_at > timezone.now():
        again = f"{timezone.localtime(scheduler.retry_at):%H:%M:%S}"
        return f"{scheduler.outage} It is asked again at {again}; “Test connection” asks it now."
    return ""
