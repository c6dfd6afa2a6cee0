"""What jobsapi needs of the site around it."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import router

from jobsapi.checks import values
from jobsapi.models import Job

TESTED = ("sqlite", "postg")
"""Parts of the names of database engines that the guards and locks of jobsapi are tested with."""


def check() -> Iterator[CheckMessage]:
    """What is wrong with other settings than ``JOBSAPI``, and what is doubtful."""
    yield from _sqlite()
    engine = settings.DATABASES.get(router.db_for_write(Job), {}).get("ENGINE", "")
    if engine and not any(part in engine for part in TESTED):
        hint = "Use PostgreSQL, or SQLite. Partial unique indexes and row locks decide who gets a job."
        yield Warning(f"jobsapi was never tested with {engine}.", hint=hint, id="jobsapi.W006")
    if not settings.USE_TZ:
        hint = "Set USE_TZ = True: leases and retention compare moments, which local times do not tell apart."
        yield Error("USE_TZ is off.", hint=hint, id="jobsapi.E009")
    if not apps.is_installed("django_htmx"):
        hint = 'Add "django_htmx" to INSTALLED_APPS.'
        yield Warning("The pages of jobsapi cannot be shown without django_htmx.", hint=hint, id="jobsapi.W007")
    yield from values.doubts()


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
