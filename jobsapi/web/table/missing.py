"""What an administrator still has to do before an app's jobs can be run."""

from __future__ import annotations

from collections.abc import Iterator

from jobsapi.app import JobsApp
from jobsapi.models import Scheduler, SchedulerAssignment


def missing_schedulers(package: str) -> list[str]:
    """A sentence for each required setting of this app without a scheduler; of no app: whether there is none at all."""
    if not package:
        return [] if Scheduler.objects.exists() else ["No scheduler has been set up on this site yet."]
    required = {
        setting.name
        for app in _apps(JobsApp)
        if getattr(app, "package", None) == package
        for setting in app().scheduler_settings() or ()
        if setting.required
    }
    if not required:
        return []
    assigned = SchedulerAssignment.objects.filter(package=package, setting__in=required)
    unassigned = sorted(required.difference(assigned.values_list("setting", flat=True)))
    return [
        f"No scheduler is assigned to the setting “{name}” of {package}, so its jobs cannot run." for name in unassigned
    ]


def _apps(base: type[JobsApp]) -> Iterator[type[JobsApp]]:
    for app in base.__subclasses__():
        yield app
        yield from _apps(app)
