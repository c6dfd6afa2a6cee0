"""Where results and workspaces lie: nobody may fetch them but through the portal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from jobsapi import conf, storage
from jobsapi.models import workspace

RESULTS, WORKSPACES = 'JOBSAPI["RESULT_ROOT"]', 'JOBSAPI["WORKSPACE_ROOT"]'


def check() -> Iterator[CheckMessage]:
    """What is wrong with the folders and the storage."""
    name = f'STORAGES["{storage.ALIAS}"]' if storage.ALIAS in settings.STORAGES else RESULTS
    try:
        results = storage.storage()
    except Exception as error:  # noqa: BLE001  (a storage of the site's own may raise anything)
        hint = "Correct its BACKEND and OPTIONS, or install what it imports. Without it results lie in RESULT_ROOT."
        yield Error(f"{name} cannot be used: {type(error).__name__}: {error}", hint=hint, id="jobsapi.E007")
        results = None
    places = {WORKSPACES: workspace.root()}
    if location := getattr(results, "location", ""):
        places[name] = Path(location).resolve()
    for place, path in places.items():
        yield from _served(place, path)
    yield from _apart(places[WORKSPACES], name, places.get(name))
    if not hasattr(settings, "BASE_DIR"):
        relative = {WORKSPACES: conf.get("WORKSPACE_ROOT"), RESULTS: conf.get("RESULT_ROOT")}
        for place, path in relative.items():
            if place in places and not Path(path).is_absolute():
                hint = "Write the whole path, or set BASE_DIR: processes started elsewhere would look elsewhere."
                yield Warning(f"{place} is the relative path {str(path)!r}.", hint=hint, id="jobsapi.W003")


def _served(name: str, path: Path) -> Iterator[CheckMessage]:
    for setting, folder in _public():
        if path == folder or path.is_relative_to(folder):
            hint = "Choose a folder outside of it: what lies there is served to everybody."
            yield Warning(f"{name} ({path}) lies in {setting} ({folder}).", hint=hint, id="jobsapi.W002")


def _public() -> Iterator[tuple[str, Path]]:
    folders: list[tuple[str, Any]] = [(name, getattr(settings, name, None)) for name in ("MEDIA_ROOT", "STATIC_ROOT")]
    folders += [("STATICFILES_DIRS", each) for each in getattr(settings, "STATICFILES_DIRS", ())]
    for name, folder in folders:
        if folder:
            yield name, Path(folder[1] if isinstance(folder, list | tuple) else folder).resolve()


def _apart(workspaces: Path, name: str, results: Path | None) -> Iterator[CheckMessage]:
    if results and (results.is_relative_to(workspaces) or workspaces.is_relative_to(results)):
        hint = "Keep them apart: jobs write to their workspaces, and the portal deletes whole folders of results."
        yield Error(f"{name} ({results}) and {WORKSPACES} ({workspaces}) overlap.", hint=hint, id="jobsapi.E008")
