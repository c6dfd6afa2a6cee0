"""A scheduler that can be reached for so many jobs and then not any more: so a step ends when it has been measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from jobsapi.backends.base import Accepted, Result
from jobsapi.exceptions import BackendUnavailable, InvalidJob
from jobsapi.testing import FakeBackend

if TYPE_CHECKING:
    from jobsapi.models import Job


class Metered(FakeBackend):
    """``Metered.left`` jobs are submitted or fetched; for the next one it cannot be reached."""

    left: ClassVar[int] = 0
    done: ClassVar[int] = 0

    def stage(self, job: Job) -> None:
        if not Metered.left:
            raise BackendUnavailable("That is enough.")

    def submit(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Accepted | InvalidJob]]:
        self.count()
        yield from super().submit(jobs)

    def fetch_results(self, job: Job) -> Result:
        self.stage(job)
        self.count()
        return super().fetch_results(job)

    @staticmethod
    def count() -> None:
        """One more."""
        Metered.left -= 1
        Metered.done += 1
