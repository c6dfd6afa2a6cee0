"""Which scheduler each app's setting means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from jobsapi.app import SchedulerSetting, installed
from jobsapi.models import SchedulerAssignment

ENGINES = {SchedulerSetting.DASK: "Dask", SchedulerSetting.HTCONDOR: "HTCondor"}


@dataclass(frozen=True)
class Place:
    """A setting that an app of this site defines."""

    package: str
    setting: SchedulerSetting

    @property
    def key(self) -> str:
        """How the form names it."""
        return key_of(self.package, self.setting.name)

    def __str__(self) -> str:
        engine = ENGINES.get(self.setting.engine, self.setting.engine)
        needed = "required" if self.setting.required else "optional"
        return f"{self.setting.name} of {self.package} ({engine}, {needed})"


def places() -> Iterator[Place]:
    """The settings of all apps of this site, by app."""
    for app in sorted(installed(), key=lambda app: app.package):
        for setting in app().scheduler_settings() or ():
            yield Place(app.package, setting)


def missing() -> list[Place]:
    """The settings that an app cannot do without and that no scheduler is assigned to. One query."""
    assigned = set(SchedulerAssignment.objects.values_list("package", "setting"))
    return [each for each in places() if each.setting.required and (each.package, each.setting.name) not in assigned]


def key_of(package: str, setting: str) -> str:
    """A setting of an app as one text."""
    return urlencode({"package": package, "setting": setting})


class AssignmentForm(forms.ModelForm):  # type: ignore[type-arg]
    """Offers the settings that the apps of this site define, and refuses a scheduler of the wrong kind."""

    place = forms.ChoiceField(label="Setting", help_text="Defined by the apps of this site.")

    class Meta:
        model = SchedulerAssignment
        fields = ("scheduler",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places = {place.key: place for place in places()}
        choices = [(key, str(place)) for key, place in self.places.items()]
        if self.instance.pk:
            current = key_of(self.instance.package, self.instance.setting)
            self.initial["place"] = current
            if current not in self.places:
                gone = f"{self.instance.setting} of {self.instance.package} (no app of this site defines it)"
                choices.append((current, gone))
        self.fields["place"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        place = self.places.get(data.get("place", ""))
        if place is None:
            return data
        scheduler = data.get("scheduler")
        if scheduler and scheduler.backend != place.setting.engine:
            wrong = f"“{scheduler}” is a {scheduler.backend} scheduler"
            raise forms.ValidationError(f"This setting needs a {place.setting.engine} scheduler; {wrong}.")
        others = SchedulerAssignment.objects.filter(package=place.package, setting=place.setting.name)
        if taken := others.exclude(pk=self.instance.pk).select_related("scheduler").first():
            raise forms.ValidationError(f"“{taken.scheduler}” is assigned to it already. Change that assignment.")
        self.instance.package, self.instance.setting = place.package, place.setting.name
        return data


@admin.register(SchedulerAssignment)
class SchedulerAssignmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Which scheduler an app's setting means."""

    form = AssignmentForm
    fields = ("place", "scheduler")
    change_list_template = "admin/jobsapi/schedulerassignment/change_list.html"
    list_display = ("package", "setting", "scheduler")
    list_select_related = ("scheduler",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the required settings that nothing is assigned to."""
        return super().changelist_view(request, {**(extra_context or {}), "missing": missing()})
