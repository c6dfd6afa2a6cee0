"""Schedulers: how to reach them, and how they fare. Secrets go in and never come out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator

from jobsapi.admin.scheduler_forms import CondorSchedulerForm
from jobsapi.admin.trials import TestedAdmin
from jobsapi.dispatch import enqueue
from jobsapi.exceptions import JobsApiError
from jobsapi.models import CondorScheduler, DaskScheduler, Job, Scheduler, Stray
from jobsapi.models.deletion import under_way
from jobsapi.models.reports import Stage

SHORT = 80
"""Characters of the last error that the list shows."""
LIMITS = ("max_active", "max_active_per_user")


class SchedulerAdmin(TestedAdmin):
    """How to reach a scheduler, and how it fares."""

    class Media:
        css: ClassVar = {"all": ["jobsapi/admin.css"]}

    change_form_template = "admin/jobsapi/scheduler/change_form.html"
    delete_confirmation_template = "admin/jobsapi/scheduler/delete_confirmation.html"
    delete_selected_confirmation_template = "admin/jobsapi/scheduler/delete_selected_confirmation.html"
    list_display: tuple[str, ...] = (
        "name",
        "host",
        "reachable",
        "active_jobs",
        "limits",
        "last_test",
        "capacity",
        "why",
    )
    search_fields = ("name", "host")
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "reachable",
        "active_jobs",
        "strays",
        "polled_at",
        "retry_at",
        "failures",
        "last_error",
        "last_test",
        "capacity",
        "given_up_at",
    )
    settings_of_connection: ClassVar[frozenset[str]] = frozenset({"host", "timeout"})
    """Fields of the form after whose change an earlier test says nothing any more."""
    actions: tuple[str, ...] = ("test_connection", "look_for_strays", "give_up")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the number of jobs that are under way at each: one query for all."""
        active = Job._base_manager.filter(under_way(), deleted_at=None, scheduler=OuterRef("pk")).order_by()
        counted = active.values("scheduler").annotate(number=Count("pk")).values("number")
        rows: QuerySet[Any] = super().get_queryset(request).annotate(active=Coalesce(Subquery(counted), 0))
        return rows

    @admin.display(description="reachable", ordering="unreachable_since")
    def reachable(self, scheduler: Scheduler) -> str:
        if scheduler.given_up_at is not None:
            return f"given up {moment(scheduler.given_up_at)}"
        if scheduler.unreachable_since is not None:
            return f"no, since {moment(scheduler.unreachable_since)}"
        report = scheduler.report
        tested_at = scheduler.checked_at if report.outcome in ("good", "doubtful") else None
        if known := [time for time in (scheduler.polled_at, tested_at) if time is not None]:
            return f"yes, {moment(max(known))}"
        return "not known, see the last test" if report.outcome else "not asked yet"

    @admin.display(description="active jobs", ordering="active")
    def active_jobs(self, scheduler: Any) -> str:
        if scheduler.pk is None:
            return "–"
        chosen = {"scheduler": scheduler.pk, "submission_id__isnull": False, "completion_time__isnull": True}
        jobs = reverse(f"{self.admin_site.name}:jobsapi_job_changelist")
        return format_html('<a href="{}?{}">{}</a>', jobs, urlencode(chosen), f"{scheduler.active:,}")

    @admin.display(description="at most")
    def limits(self, scheduler: Scheduler) -> str:
        """How many jobs may be there at a time; nothing where that is not limited."""
        limits = ((scheduler.max_active, ""), (scheduler.max_active_per_user, " per user"))
        return ", ".join(f"{limit:,}{whose}" for limit, whose in limits if limit is not None)

    @admin.display(description="strays")
    def strays(self, scheduler: Any) -> str:
        """What lies there and is no job's, on its page alone."""
        if scheduler.pk is None or scheduler.reconciled_at is None:
            return "not looked for yet"
        number = Stray.objects.seen_twice().filter(scheduler=scheduler.pk).count()
        rows = reverse(f"{self.admin_site.name}:jobsapi_stray_changelist")
        chosen = urlencode({"scheduler__id__exact": scheduler.pk})
        when = moment(scheduler.reconciled_at)
        return format_html('<a href="{}?{}">{}</a>, looked for {}', rows, chosen, f"{number:,}", when)

    @admin.display(description="last test", ordering="checked_at")
    def last_test(self, scheduler: Scheduler) -> str:
        report = scheduler.report
        if scheduler.pk is None or report.stage == Stage.NEVER:
            return report.words
        when = f", {moment(scheduler.checked_at)}" if report.outcome and scheduler.checked_at else ""
        return format_html('<a href="{}">{}</a>{}', self.test_page(scheduler), report.words, when)

    @admin.display(description="threads or slots")
    def capacity(self, scheduler: Scheduler) -> str:
        capacity = scheduler.report.capacity
        return "–" if capacity is None else f"{capacity:,}"

    @admin.display(description="last error")
    def why(self, scheduler: Scheduler) -> str:
        return Truncator(scheduler.last_error).chars(SHORT)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the way to the test; and the name of the field that actions take, for the key that was refused."""
        context = {**(extra_context or {}), "checkbox": ACTION_CHECKBOX_NAME}
        if object_id.isdecimal() and (scheduler := self.get_object(request, object_id)) is not None:
            context["test_page"] = self.test_page(scheduler)
        return super().change_view(request, object_id, form_url, context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the name of the field that actions take: one that is kept for its jobs can be given up."""
        context = {**(extra_context or {}), "action_checkbox_name": ACTION_CHECKBOX_NAME}
        return super().delete_view(request, object_id, context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A test says nothing of another host, or of another login; one that is under way loses its lease."""
        super().save_model(request, obj, form, change)
        if self.settings_of_connection & set(form.changed_data):
            Scheduler.objects.filter(pk=obj.pk).update(check_report={}, checked_at=None, check_leased_until=None)

    @admin.action(description="Look for strays at the selected schedulers", permissions=["change"])
    def look_for_strays(self, request: HttpRequest, queryset: QuerySet[Scheduler]) -> None:
        """Ask a worker to look. Nothing is touched."""
        for scheduler in queryset.filter(given_up_at=None):
            enqueue("reconcile", scheduler.pk, scheduler.name)
            message = f"A worker looks what lies at “{scheduler}”. What a second look finds again is listed as a stray."
            self.message_user(request, message, messages.SUCCESS)

    @admin.action(description="Give up the selected schedulers, as gone for good", permissions=["delete"])
    def give_up(self, request: HttpRequest, queryset: QuerySet[Scheduler]) -> TemplateResponse | None:
        """Asks first, and says how the jobs of each stand. A worker does the rest."""
        if not request.POST.get("confirmed"):
            context = {
                **self.admin_site.each_context(request),
                "title": "Give up schedulers",
                "opts": self.model._meta,
                "schedulers": [(scheduler, scheduler.standing()) for scheduler in queryset],
                "checkbox": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/jobsapi/give_up.html", context)
        for scheduler in queryset:
            scheduler.give_up()
            self.log_change(request, scheduler, "Given up.")
            message = f"“{scheduler}” is given up. A worker ends its jobs; then it can be deleted."
            self.message_user(request, message, messages.SUCCESS)
        return None


@admin.register(CondorScheduler)
class CondorSchedulerAdmin(SchedulerAdmin):
    """HTCondor schedulers."""

    form = CondorSchedulerForm
    change_form_template = "admin/jobsapi/condorscheduler/change_form.html"
    list_display = ("name", "host", "host_key_state", *SchedulerAdmin.list_display[2:])
    fields = (
        "name",
        "host",
        "port",
        "username",
        "password",
        "private_key_path",
        "private_key_pass",
        "host_key",
        "host_key_fingerprint",
        "timeout",
        *LIMITS,
        *SchedulerAdmin.readonly_fields,
    )
    readonly_fields = ("host_key_fingerprint", *SchedulerAdmin.readonly_fields)
    settings_of_connection = SchedulerAdmin.settings_of_connection | {
        "port",
        "username",
        "password",
        "private_key_path",
        "private_key_pass",
        "host_key",
    }
    actions = ("accept_host_key", *SchedulerAdmin.actions)

    @admin.display(description="host key", ordering="offered_host_key")
    def host_key_state(self, scheduler: CondorScheduler) -> str:
        if scheduler.is_local:
            return "not needed"
        if scheduler.offered_host_key:
            return "waits to be accepted"
        return "accepted" if scheduler.host_key else "none yet"

    @admin.display(description="fingerprint of the host key")
    def host_key_fingerprint(self, scheduler: CondorScheduler) -> str:
        return scheduler.host_fingerprint or "none"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What a host has shown says nothing of another one, and needs no answer when its key was typed in."""
        super().save_model(request, obj, form, change)
        if {"host", "port", "host_key"} & set(form.changed_data):
            Scheduler.objects.filter(pk=obj.pk).update(offered_host_key="", retry_at=None)
        for words in form.forgotten:
            message = (
                f"The {words} that was stored is forgotten: it was for another place. Give it again if it is needed."
            )
            self.message_user(request, message, messages.WARNING)

    @admin.action(description="Accept the host keys that the selected schedulers show", permissions=["change"])
    def accept_host_key(self, request: HttpRequest, queryset: QuerySet[CondorScheduler]) -> TemplateResponse | None:
        """Asks first, with the fingerprints to compare. What is accepted is what was shown, or nothing."""
        waiting = queryset.exclude(offered_host_key="")
        if not waiting:
            self.message_user(request, "None of them has shown a key that would have to be accepted.", messages.WARNING)
        elif not request.POST.get("confirmed"):
            context = {
                **self.admin_site.each_context(request),
                "title": "Accept host keys",
                "opts": self.model._meta,
                "schedulers": waiting,
                "checkbox": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/jobsapi/accept_host_key.html", context)
        else:
            self._accept(request, waiting)
        return None

    def _accept(self, request: HttpRequest, waiting: QuerySet[CondorScheduler]) -> None:
        for scheduler in waiting:
            shown = request.POST.get(f"fingerprint-{scheduler.pk}", "")
            try:
                scheduler.accept_host_key(shown)
            except JobsApiError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            self.log_change(request, scheduler, f"Accepted the host key {shown}.")
            message = f"The host key of “{scheduler}” is accepted: {shown}. Its jobs go on."
            self.message_user(request, message, messages.SUCCESS)


@admin.register(DaskScheduler)
class DaskSchedulerAdmin(SchedulerAdmin):
    """Dask schedulers."""

    fields = ("name", "host", "timeout", "heartbeat_interval", "dashboard", *LIMITS, *SchedulerAdmin.readonly_fields)


def moment(time: datetime) -> str:
    """A time as the lists show it: without the date when that is today's."""
    local = timezone.localtime(time)
    return f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else f"{local:%Y-%m-%d %H:%M}"
