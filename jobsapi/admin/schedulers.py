"""Schedulers, and which of them an app's setting means. Secrets go in and never come out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from jobsapi.app import JobsApp
from jobsapi.exceptions import JobsApiError
from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.models import CondorScheduler, DaskScheduler, Scheduler, SchedulerAssignment

SECRETS = ("password", "private_key_pass")
PUBLIC_KEY = re.compile(r"(?:^|\s)((?:ssh|ecdsa|sk)-[a-z0-9@.-]+)\s+([A-Za-z0-9+/=]+)(?=\s|$)")
"""A public key in a line of ssh-keyscan's, which has the host in front, or of a .pub file, which has a comment behind.

https://man.openbsd.org/sshd.8#SSH_KNOWN_HOSTS_FILE_FORMAT
"""


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

    class Meta:
        widgets: ClassVar[Mapping[str, forms.Widget]] = {"host_key": forms.Textarea(attrs={"rows": 3})}
        help_texts: ClassVar[Mapping[str, str]] = {
            "host": "Name or address of the submit host. Empty, or localhost without a user name: this machine’s own "
            "schedd, which needs nothing of what follows.",
            "port": "The SSH port of the submit host.",
            "username": "Whose jobs they are at the submit host. Empty: the account that the workers run as.",
            "private_key_path": "A file on the machine of the workers, readable for their account. Empty, and without "
            "a password: the keys of that account.",
            "host_key": "Type and key; a line of ssh-keyscan’s or of the host’s .pub file will do. Nothing is sent to "
            "a host that shows another key. Empty: it can be accepted here when the host has been called once.",
            "timeout": "Seconds until an attempt to connect and log in is given up. Empty: SSH_TIMEOUT.",
        }

    def clean_host_key(self) -> str:
        """The key alone, as it is compared with what a host shows."""
        given = str(self.cleaned_data["host_key"])
        if not given.strip():
            return ""
        keys = [" ".join(words) for words in PUBLIC_KEY.findall(given)]
        if len(keys) != 1 or not fingerprint(keys[0]):
            raise forms.ValidationError("Give one public key, as its type and the key itself: ssh-ed25519 AAAA…")
        return keys[0]

    def clean_timeout(self) -> str:
        """A time."""
        given = str(self.cleaned_data["timeout"])
        with suppress(ValueError):
            if not given or 0 < float(given) < float("inf"):
                return given
        raise forms.ValidationError("Give seconds, as a number.")


class SchedulerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """How to reach a scheduler, and how it fares."""

    list_display: tuple[str, ...] = (
        "name",
        "host",
        "polled_at",
        "unreachable_since",
        "last_error",
        "given_up_at",
    )
    search_fields = ("name", "host")
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "polled_at",
        "unreachable_since",
        "retry_at",
        "failures",
        "last_error",
        "given_up_at",
    )
    actions: tuple[str, ...] = ("give_up",)

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
        *SchedulerAdmin.readonly_fields,
    )
    readonly_fields = ("host_key_fingerprint", *SchedulerAdmin.readonly_fields)
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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the way to accept a key that was refused: the template needs the name of the action's field."""
        context = {**(extra_context or {}), "checkbox": ACTION_CHECKBOX_NAME}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What a host has shown says nothing of another one, and needs no answer when its key was typed in."""
        super().save_model(request, obj, form, change)
        if {"host", "port", "host_key"} & set(form.changed_data):
            Scheduler.objects.filter(pk=obj.pk).update(offered_host_key="", retry_at=None)

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
