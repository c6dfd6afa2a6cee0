"""For tests of apps: a scheduler that lives in this process and does what it is told.

In the settings of a test::

    JOBSAPI = {
        "BACKENDS": {"dask": "jobsapi.testing.FakeBackend"},
        "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher",
    }

Then ``job.execute(...)`` hands the job to the fake before it returns, ``FakeBackend.finish(job, value)`` ends its work,
and ``lifecycle.refresh(job.scheduler_id)`` has the worker notice.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jobsapi.backends.base import Accepted, Adoption, Backend, Finding, Found, Observation, Packed, Result, Step, Tail
from jobsapi.exceptions import BackendUnavailable, InvalidJob, NoRoom, WorkNotPicklable
from jobsapi.status import AT_SCHEDULER, Status

if TYPE_CHECKING:
    from jobsapi.models import Job


@dataclass
class FakeScheduler:
    """What the fake holds: each attempt by its ``submission_id``, what was called, how it shall fail."""

    attempts: dict[Any, Observation] = field(default_factory=dict)
    jobs: dict[Any, int] = field(default_factory=dict)
    """The primary key of each attempt's job."""
    uids: dict[Any, Any] = field(default_factory=dict)
    """The ``uid`` of each attempt's job."""
    results: dict[Any, Result] = field(default_factory=dict)
    submitted: list[int] = field(default_factory=list)
    """Primary keys in the order in which the jobs were accepted."""
    exchanges: list[str] = field(default_factory=list)
    """Names of the calls, in order."""
    controlled: list[tuple[str, str]] = field(default_factory=list)
    """What was done to parts of jobs: verb and part."""
    unavailable: str = ""
    """While set, every call raises ``BackendUnavailable`` with this text."""
    refuses: str = ""
    """While set, every submitted job is refused with this text."""
    takes: int | None = None
    """While set, it has room for so many jobs that have not ended, as an HTCondor schedd with MAX_JOBS_PER_OWNER."""
    findings: dict[str, Finding] = field(default_factory=dict)
    """What a test of the scheduler finds instead of all being well, by the step: "check", "workers", "tiny job"."""
    cancel_takes_a_while: bool = False
    """Whether ``cancel`` leaves it to a later poll to confirm."""


class FakeBackend(Backend):
    """A scheduler in this process. ``FakeBackend.world`` is all it knows; ``FakeBackend.reset()`` forgets it."""

    world: ClassVar[FakeScheduler] = FakeScheduler()

    @classmethod
    def reset(cls) -> FakeScheduler:
        """A new world, empty."""
        cls.world = FakeScheduler()
        return cls.world

    @classmethod
    def say(cls, job: Job, observation: Observation) -> None:
        """What the scheduler will tell of this attempt from now on."""
        job.refresh_from_db()
        cls.world.attempts[job.submission_id] = observation

    @classmethod
    def finish(cls, job: Job, value: Any = None, status: Status = Status.COMPLETE) -> None:
        """The work is done, with this result."""
        cls.say(job, Observation(Status.RESULTS_READY))
        cls.world.results[job.submission_id] = Result(value, status)

    @classmethod
    def forget(cls, job: Job) -> None:
        """The scheduler does not know this attempt any more."""
        job.refresh_from_db()
        cls.world.attempts.pop(job.submission_id, None)

    @classmethod
    def prepare(cls, job: Job, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Packed:
        try:
            return Packed(input=pickle.dumps((args, dict(kwargs))))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise WorkNotPicklable(f"The work cannot be pickled: {error}") from error

    def open(self) -> None:
        self._call("open")

    def find(self, jobs: Sequence[Job]) -> dict[Job, Accepted]:
        self._call("find")
        return {job: self._accepted(job) for job in jobs if job.submission_id in self.world.attempts}

    def submit(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Accepted | InvalidJob]]:
        for job in jobs:
            self._call("submit")
            if self.world.refuses:
                yield job, InvalidJob(self.world.refuses)
                continue
            if self.world.takes is not None and self._active() >= self.world.takes:
                raise NoRoom(f"Number of submitted jobs would exceed {self.world.takes}")
            try:
                job.open_input()
            except InvalidJob as error:
                yield job, error
                continue
            self.world.attempts[job.submission_id] = Observation(Status.SUBMITTED)
            self.world.jobs[job.submission_id] = job.pk
            self.world.uids[job.submission_id] = job.uid
            self.world.submitted.append(job.pk)
            yield job, self._accepted(job)

    def poll(self, jobs: Sequence[Job]) -> dict[Job, Observation]:
        self._call("poll")
        return {job: self.world.attempts[job.submission_id] for job in jobs if job.submission_id in self.world.attempts}

    def cancel(self, jobs: Sequence[Job]) -> Iterable[Job]:
        self._call("cancel")
        for job in jobs:
            self.world.attempts[job.submission_id] = Observation(Status.ABORTED, "Removed by the user.")
        return [] if self.world.cancel_takes_a_while else jobs

    def hold(self, jobs: Sequence[Job]) -> None:
        self._call("hold")
        for job in jobs:
            self.world.attempts[job.submission_id] = Observation(Status.PAUSED, "Held by the user.")

    def release(self, jobs: Sequence[Job]) -> None:
        self._call("release")
        for job in jobs:
            self.world.attempts[job.submission_id] = Observation(Status.RUNNING)

    def control_parts(self, job: Job, verb: str, parts: Sequence[str]) -> None:
        self._call("control_parts")
        self.world.controlled += [(verb, part) for part in parts]

    def fetch_results(self, job: Job) -> Result:
        self._call("fetch_results")
        return self.world.results.get(job.submission_id, Result(None))

    def stage(self, job: Job) -> None:
        self._call("stage")

    def cleanup(self, jobs: Sequence[Job]) -> Iterable[Job]:
        self._call("cleanup")
        for job in jobs:
            for attempt in [job.submission_id, *(each for each, pk in self.world.jobs.items() if pk == job.pk)]:
                self.world.attempts.pop(attempt, None)
        return []

    def logs(self, job: Job) -> dict[str, Tail]:
        self._call("logs")
        return {"scheduler": Tail(f"job {job.pk} was here")}

    def inventory(self) -> Iterable[Found]:
        self._call("inventory")
        return [self._found_here(attempt, seen) for attempt, seen in self.world.attempts.items()]

    def adopt(self, found: Found) -> Adoption:
        self._call("adopt")
        return Adoption(Accepted(found.native_id, {"adopted": True}), found.kind, found.name)

    def discard(self, found: Found) -> None:
        self._call("discard")
        self.world.attempts.pop(found.submission_id, None)

    def check(self) -> Iterator[Step]:
        yield Step("Connection", lambda: self._found("check", Finding("The fake is here.")))
        yield Step("Workers", lambda: self._found("workers", Finding("There is one worker.", capacity=1)))
        yield Step("A tiny job", lambda: self._found("tiny job", Finding("It ran through.")))

    def _active(self) -> int:
        return sum(seen.status in AT_SCHEDULER for seen in self.world.attempts.values())

    def _found_here(self, attempt: Any, seen: Observation) -> Found:
        native_id = f"fake-{attempt}"
        uid, words = self.world.uids.get(attempt), str(seen.status.label)
        return Found(native_id, "dataset", attempt, uid, "DaskJob", native_id, "found", words=words)

    def _found(self, name: str, finding: Finding) -> Finding:
        self._call(name)
        return self.world.findings.get(name, finding)

    def _call(self, name: str) -> None:
        self.world.exchanges.append(name)
        if self.world.unavailable:
            raise BackendUnavailable(self.world.unavailable)

    @staticmethod
    def _accepted(job: Job) -> Accepted:
        return Accepted(f"fake-{job.submission_id}")
