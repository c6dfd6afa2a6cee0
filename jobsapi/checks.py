"""System checks: what would make jobs fail later is said when the site starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from jobsapi import conf


@register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Every mistake in ``JOBSAPI`` that can be seen without connecting to anything."""
    return [*_unknown_settings(), *_backends(), *_dispatcher(), *_sqlite()]


def _unknown_settings() -> Iterator[CheckMessage]:
    for name in sorted(set(getattr(settings, "JOBSAPI", {})) - set(conf.DEFAULTS)):
        yield Error(
            f'JOBSAPI["{name}"] is not a setting.', hint=f"Known are {', '.join(conf.DEFAULTS)}.", id="jobsapi.E001"
        )


def _backends() -> Iterator[CheckMessage]:
    for name in getattr(settings, "JOBSAPI", {}).get("BACKENDS", {}):
        try:
            conf.backend_class(name)
        except ImproperlyConfigured as error:
            hint = f'Correct JOBSAPI["BACKENDS"]["{name}"], or install what it imports.'
            yield Error(str(error), hint=hint, id="jobsapi.E002")


def _dispatcher() -> Iterator[CheckMessage]:
    try:
        import_string(conf.get("DISPATCHER"))
    except ImportError as error:
        hint = 'Install the extra (pip install "jobsapi[worker]"), or name another dispatcher in JOBSAPI["DISPATCHER"].'
        yield Error(
            f"The dispatcher {conf.get('DISPATCHER')} cannot be imported: {error}", hint=hint, id="jobsapi.E003"
        )


def _sqlite() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if "sqlite3" not in database.get("ENGINE", ""):
            continue
        if database.get("ATOMIC_REQUESTS"):
            hint = "Every request would hold SQLite's only write lock to its end. Use transaction.atomic() instead."
            yield Error(f"ATOMIC_REQUESTS is on for the SQLite database “{alias}”.", hint=hint, id="jobsapi.E004")
        if database.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE":
            hint = (
                'Set OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20, ...}, as in jobsapi/portal/settings.py.'
            )
            yield Warning(
                f"The SQLite database “{alias}” will fail with “database is locked”.", hint=hint, id="jobsapi.W001"
            )
