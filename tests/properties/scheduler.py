"""A scheduler that does what a test has planned: it answers, is silent before or after the effect, or is very slow."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from jobsapi.backends.base import Accepted, Backend, Observation, Packed, Result, Step, Tail
from jobsapi.exceptions import BackendUnavailable, InvalidJob, NotReady, TransferFailed
from jobsapi.status import Status

CALLS = (*("open", "find", "stage", "submit", "poll", "cancel", "hold", "release", "fetch_results", "cleanup", "logs"),)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, or comes between, at the next call of this name."""

    call: str
    how: str
    """``before`` or ``after`` the effect: no answer. ``late``: no answer, and the effect comes later (of ``submit``).
    ``refused``: the job is not taken. ``meanwhile``: somebody else does something first."""


@dataclass
class Attempt:
    """What the scheduler has of an attempt."""

    job: int
    native_id: str
    seen: Observation


@dataclass
class World:
    """One scheduler."""

    attempts: dict[UUID, Attempt] = field(default_factory=dict)
    accepted: dict[UUID, list[str]] = field(default_factory=dict)
    """Every id that it has ever given, by attempt."""
    in_flight: list[tuple[float, UUID, int]] = field(default_factory=list)
    """Submissions that have not arrived yet: when they do, by the clock of the test; attempt and job."""
    hidden: set[UUID] = field(default_factory=set)
    """Attempts that it does not tell of, though it has them."""
    faults: list[Fault] = field(default_factory=list)

    def take(self, attempt: UUID, job: int) -> str:
        """Accept a submission: another job, each time."""
        ids = self.accepted.setdefault(attempt, [])
        ids.append(f"{job}-{attempt.hex[:8]}-{len(ids)}")
        self.attempts[attempt] = Attempt(job, ids[-1], Observation(Status.SUBMITTED))
        return ids[-1]

    def land(self, now: float) -> None:
        """What was on its way until now arrives."""
        for when, attempt, job in [each for each in self.in_flight if each[0] <= now]:
            self.in_flight.remove((when, attempt, job))
            self.take(attempt, job)


class Scripted(Backend):
    """Speaks to the ``World`` of its scheduler."""

    worlds: ClassVar[dict[int, World]] = {}
    clock: ClassVar[Callable[[], float]] = staticmethod(lambda: 0.0)
    meanwhile: ClassVar[Callable[[str], None]] = staticmethod(lambda call: None)
    """What comes between."""

    @property
    def world(self) -> World:
        assert self.scheduler is not None
        return self.worlds[self.scheduler.pk]

    @classmethod
    def prepare(cls, job: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Packed:
        return Packed(input=pickle.dumps((args, dict(kwargs))))

    def open(self) -> None:
        self._after(self._before("open"))

    def find(self, jobs: Sequence[Any]) -> dict[Any, Accepted]:
        fault = self._before("find")
        found = {
            job: self.world.attempts[job.submission_id] for job in jobs if job.submission_id in self.world.attempts
        }
        self._after(fault)
        return {job: Accepted(attempt.native_id) for job, attempt in found.items()}

    def stage(self, job: Any) -> None:
        fault = self._before("stage")
        if fault == "refused":
            raise TransferFailed("The disk there is full.")
        self._after(fault)

    def submit(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, Accepted | InvalidJob]]:
        for job in jobs:
            fault = self._before("submit")
            if fault == "refused":
                yield job, InvalidJob("No such queue.", "a traceback")
                continue
            try:
                job.open_input()
            except InvalidJob as error:
                yield job, error
                continue
            if fault == "late":
                self.world.in_flight.append((self.clock() + 15, job.submission_id, job.pk))
                raise BackendUnavailable("The line broke while the job was on its way.")
            native_id = self.world.take(job.submission_id, job.pk)
            self._after(fault)
            yield job, Accepted(native_id, progress_total=3)

    def poll(self, jobs: Sequence[Any]) -> dict[Any, Observation]:
        fault = self._before("poll")
        there = self.world.attempts.keys() - self.world.hidden
        found = {job: self.world.attempts[job.submission_id].seen for job in jobs if job.submission_id in there}
        self._after(fault)
        return found

    def cancel(self, jobs: Sequence[Any]) -> Iterable[Any]:
        fault = self._before("cancel")
        for job in jobs:
            if attempt := self.world.attempts.get(job.submission_id):
                attempt.seen = Observation(Status.ABORTED, "Removed by the user.")
        self._after(fault)
        return [] if fault == "refused" else jobs

    def hold(self, jobs: Sequence[Any]) -> None:
        self._change("hold", jobs, Observation(Status.PAUSED, "Held by the user.", held=1))

    def release(self, jobs: Sequence[Any]) -> None:
        self._change("release", jobs, Observation(Status.RUNNING))

    def fetch_results(self, job: Any) -> Result:
        fault = self._before("fetch_results")
        if fault == "refused":
            raise InvalidJob("The result is lost.", "a traceback")
        attempt = self.world.attempts.get(job.submission_id)
        if attempt is None or attempt.seen.status != Status.RESULTS_READY:
            raise NotReady("It has not ended.")
        self._after(fault)
        well = attempt.seen.message != "Some parts failed."
        return Result(str(job.submission_id), Status.COMPLETE if well else Status.VARIOUS_COMPLETE)

    def cleanup(self, jobs: Sequence[Any]) -> Iterable[Any]:
        fault = self._before("cleanup")
        if fault == "refused":
            return jobs
        gone = {job.pk for job in jobs}
        for key in [key for key, attempt in self.world.attempts.items() if attempt.job in gone]:
            del self.world.attempts[key]
        self._after(fault)
        return []

    def logs(self, job: Any) -> dict[str, Tail]:
        self._after(self._before("logs"))
        return {"out": Tail("hello")}

    def check(self) -> Iterator[Step]:
        yield from ()

    def _change(self, call: str, jobs: Sequence[Any], seen: Observation) -> None:
        fault = self._before(call)
        for job in jobs:
            attempt = self.world.attempts.get(job.submission_id)
            if attempt and attempt.seen.status in (Status.SUBMITTED, Status.RUNNING, Status.VARIOUS, Status.PAUSED):
                attempt.seen = seen
        self._after(fault)

    def _before(self, call: str) -> str:
        """Have happen what is planned for this call; the fault that is still to come."""
        fault = next((each for each in self.world.faults if each.call == call), None)
        if fault is None:
            return ""
        self.world.faults.remove(fault)
        if fault.how == "meanwhile":
            self.meanwhile(call)
        if fault.how == "before":
            raise BackendUnavailable(f"No answer to {call}.")
        return fault.how

    @staticmethod
    def _after(how: str) -> None:
        if how == "after":
            raise BackendUnavailable("The answer was lost.")
