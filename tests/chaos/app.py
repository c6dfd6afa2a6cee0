"""The app that the campaign's jobs are of."""

from __future__ import annotations

from typing import Any

from jobsapi.app import JobsApp
from tests.chaos.ground import Ground
from tests.chaos.kinds import all_kinds, name_of


class Chaos(JobsApp):
    """Breaks, and ought not to."""

    package = "tests.chaos"


manager = Chaos.get_job_manager()


def run(number: int, kind: str, user: Any) -> Any:
    """Create and execute one job through the public API, as an app does."""
    from jobsapi.compute import get_scheduler

    chosen = all_kinds()[kind]
    scheduler = get_scheduler(chosen.scheduler)
    return chosen.execute(manager, user, scheduler, name_of(number, kind), Ground.here())
