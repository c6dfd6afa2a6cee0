"""The admin: schedulers, which of them an app's setting means, and jobs. What a worker writes can only be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from jobsapi.app import JobsApp
from jobsapi.exceptions import InvalidJob, JobsApiError
from jobsapi.models import CondorScheduler, DaskScheduler, Job, JobEvent, Scheduler, SchedulerAssignment

SECRETS = ("password", "private_key_pass")


class SchedulerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A scheduler's secrets go in and never come out again."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        for secret in SECRETS:
            if self.cleaned_data.get(secret):
                setattr(self.instance, secret, self.cleaned_data[secret])


def secret() -> forms.CharField:
    """A field that never shows what is stored, and keeps it when left empty."""
    hint = "Stored encrypted and never shown. Leave it empty to keep what is stored."
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(required=False, strip=False, help_text=hint, widget=widget)


class CondorSchedulerForm(SchedulerForm):
    """An HTCondor submit host."""

    password, private_key_pass = secret(), secret()


class SchedulerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """How to reach a scheduler, and how it fares."""

    list_display = ("name", "host", "polled_at", "unreachable_since", "last_error", "given_up_at")
    search_fields = ("name", "host")
    readonly_fields = ("polled_at", "unreachable_since", "retry_at", "failures", "last_error", "given_up_at")
    actions = ("give_up",)

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
    fields = (
        "name",
        "host",
        "port",
        "username",
        "password",
        "private_key_path",
        "private_key_pass",
        *SchedulerAdmin.readonly_fields,
    )


@admin.register(DaskScheduler)
class DaskSchedulerAdmin(SchedulerAdmin):
    """Dask schedulers."""

    fields = ("name", "host", "timeout", "heartbeat_interval", "dashboard", *SchedulerAdmin.readonly_fields)


class AssignmentForm(forms.ModelForm):  # type: ignore[type-arg]
    """Offers the settings that the apps of this site define, and refuses a scheduler of the wrong kind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.engines = {
            (app.package, setting.name): setting.engine
            for app in JobsApp.__subclasses__()
            for setting in app().scheduler_settings() or ()
        }
        known = ", ".join(f"{setting} of {package}" for package, setting in sorted(self.engines))
        self.fields["setting"].help_text = f"Defined by the apps of this site: {known or 'none'}."

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        engine = self.engines.get((data.get("package", ""), data.get("setting", "")))
        scheduler = data.get("scheduler")
        if engine and scheduler and scheduler.backend != engine:
            wrong = f"“{scheduler}” is a {scheduler.backend} scheduler"
            raise forms.ValidationError(f"This setting needs a {engine} scheduler; {wrong}.")
        return data


@admin.register(SchedulerAssignment)
class SchedulerAssignmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Which scheduler an app's setting means."""

    form = AssignmentForm
    list_display = ("package", "setting", "scheduler")
    list_select_related = ("scheduler",)


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
        "groups",
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
    readonly_fields = fields[4:]
    list_display = ("id", "name", "kind", "status_name", "label", "user", "scheduler", "creation_time")
    list_display_links = ("id", "name")
    list_filter = ("_status", "kind", "label")
    list_select_related = ("user", "scheduler")
    ordering = ("-id",)
    search_fields = ("name", "native_id")
    filter_horizontal = ("groups",)
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
