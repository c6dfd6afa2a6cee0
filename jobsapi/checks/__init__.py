"""System checks: what would make jobs fail later is said when the site starts. ``docs/settings.md`` lists them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, router
from django.utils.module_loading import import_string

from jobsapi import conf
from jobsapi.checks import places, site, values
from jobsapi.clock import database_time
from jobsapi.models import Heartbeat, Job


@register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Every mistake in the settings that can be seen without connecting to anything."""
    found = list(values.check())
    if any(each.id == values.WRONG_TYPE for each in found):  # there is no looking at it any further
        return found
    return [*found, *_backends(), *_dispatcher(), *places.check(), *site.check()]


@register(Tags.security, deploy=True)
def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    """What is worth to be known before going into production."""
    if conf.get("SEALING_KEYS"):
        return []
    hint = "Set keys of their own before there are results, or follow docs/operations.md whenever SECRET_KEY changes."
    message = 'JOBSAPI["SEALING_KEYS"] is empty: SECRET_KEY seals results and encrypts credentials.'
    return [Info(message, hint=hint, id="jobsapi.I001")]


@register(Tags.database)
def check_processes(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether beat and the workers are at work. Says nothing about a database that has no tables yet."""
    alias = router.db_for_read(Heartbeat)
    if alias not in (databases or ()):
        return []
    try:
        if Heartbeat._meta.db_table not in connections[alias].introspection.table_names():
            return []
        sentences = Heartbeat.silent(database_time())
    except (DatabaseError, ImportError):  # said by others
        return []
    hint = "docs/operations.md says which processes there have to be."
    return [Warning(sentence, hint=hint, id="jobsapi.W008") for sentence in sentences]


def _backends() -> Iterator[CheckMessage]:
    for name in getattr(settings, "JOBSAPI", {}).get("BACKENDS", {}):
        try:
            conf.backend_class(name)
        except ImproperlyConfigured as error:
            hint = f'Correct JOBSAPI["BACKENDS"]["{name}"], or install what it imports.'
            yield Error(str(error), hint=hint, id="jobsapi.E002")
    known = conf.get("BACKENDS")
    for kind, cls in Job.registry.items():
        if cls.backend not in known:
            hint = f'Add it to JOBSAPI["BACKENDS"]: {{"{cls.backend}": "<its dotted path>"}}.'
            message = f"The job type {kind} needs the backend “{cls.backend}”, and there is none of that name."
            yield Error(message, hint=hint, id="jobsapi.E010")


def _dispatcher() -> Iterator[CheckMessage]:
    path = conf.get("DISPATCHER")
    try:
        dispatcher = import_string(path)
    except ImportError as error:
        hint = 'Install the extra (pip install "jobsapi[worker]"), or name another dispatcher in JOBSAPI["DISPATCHER"].'
        yield Error(f"The dispatcher {path} cannot be imported: {error}", hint=hint, id="jobsapi.E003")
        return
    if hasattr(dispatcher, "check"):
        yield from dispatcher.check()
