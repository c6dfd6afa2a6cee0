"""What every benchmark stands on: Django on a fresh SQLite database, a user, and a way to count and to time."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def django() -> Iterator[None]:
    """Django with the tests' settings on a database of its own, migrated."""
    with tempfile.TemporaryDirectory(prefix="jobsapi-benchmark-") as folder:
        os.environ["JOBSAPI_VAR"] = folder
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/db.sqlite3")
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django as framework
        from django.core.management import call_command

        framework.setup()
        call_command("migrate", verbosity=0)
        yield


def user(name: str = "bench") -> Any:
    """Somebody who owns the jobs."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.create_user(name)


def manager() -> Any:
    """A job manager of an app called benchmarks."""
    from jobsapi.app import JobsApp

    class App(JobsApp):
        package = "benchmarks"

    return App.get_job_manager()


def times(call: Callable[[], Any], count: int) -> list[float]:
    """How long each of ``count`` calls took, in milliseconds."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def percentiles(taken: list[float]) -> tuple[float, float, float]:
    """The median, the 95th percentile and the longest."""
    ordered = sorted(taken)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], ordered[-1]


def row(*cells: Any) -> None:
    """One line of a table."""
    print("  ".join(f"{cell:>12.2f}" if isinstance(cell, float) else f"{cell!s:>12}" for cell in cells), flush=True)
