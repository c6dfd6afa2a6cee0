"""For work that the app does itself: accepted at once, and never asked for its state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobsapi.backends.base import Accepted, Backend, Finding, Observation, Packed, Result, Step, Tail
from jobsapi.exceptions import InvalidJob

if TYPE_CHECKING:
    from jobsapi.models import Job


class BasicBackend(Backend):
    """No scheduler at all: the app reports what it does."""

    @classmethod
    def prepare(cls, job: Job, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Packed:
        return Packed(accepted=Accepted(str(job.uid)))

    def open(self) -> None:
        """There is nothing to connect to."""

    def find(self, jobs: Sequence[Job]) -> dict[Job, Accepted]:
        return {job: Accepted(str(job.uid)) for job in jobs}

    def submit(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Accepted | InvalidJob]]:
        for job in jobs:
            yield job, Accepted(str(job.uid))

    def poll(self, jobs: Sequence[Job]) -> dict[Job, Observation]:
        return {}

    def cancel(self, jobs: Sequence[Job]) -> Iterable[Job]:
        return jobs

    def fetch_results(self, job: Job) -> Result:
        return Result(None)

    def cleanup(self, jobs: Sequence[Job]) -> Iterable[Job]:
        return []

    def logs(self, job: Job) -> dict[str, Tail]:
        return {}

    def check(self) -> Iterator[Step]:
        yield Step("Connection", lambda: Finding("The app runs these jobs itself."))
