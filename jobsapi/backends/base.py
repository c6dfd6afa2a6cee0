"""The contract between the lifecycle and a scheduler. A backend owns no thread, no retry and no database row."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobsapi.exceptions import InvalidJob, NotSupported
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.models import Job, Scheduler


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a scheduler says of a job that it has taken."""

    native_id: str
    """The scheduler's own name for it: a cluster id, a Dask key. Never empty."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """JSON that only the backend reads; merged into ``job.backend_state``."""
    progress_total: int | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """What ``execute()`` was given, ready to be stored.

    Bytes for the worker, or work that the scheduler has already.
    """

    input: bytes | None = None
    """Sealed and stored as the job's input; None when there is nothing to keep."""
    accepted: Accepted | None = None
    """Set when the scheduler has the work already (a Dask Future); nothing is left to submit."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a scheduler says of a job now. Fields left at None are not known and change nothing."""

    status: Status
    """One of Submitted, Running, Various, Paused, Results-Ready, Error, Aborted."""
    message: str = ""
    """One line for the user, in the scheduler's words."""
    detail: str = ""
    """More than a line: a traceback."""
    progress_done: int | None = None
    progress_total: int | None = None
    start_time: datetime | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    """JSON merged into ``job.backend_state``."""
    held: int = 0
    """How many parts are held. A wish to resume is fulfilled when none is."""
    lost: bool = False
    """The scheduler surely does not know the job any more.

    It is submitted again if that can be done, else it is an Error.
    """


@dataclass(frozen=True, slots=True)
class Result:
    """What a job has computed."""

    value: Any
    status: Status = Status.COMPLETE
    """Complete, or Various-Complete when parts of it failed."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log."""

    text: str
    offset: int = 0
    """Where it begins, in bytes from the log's beginning."""
    size: int | None = None
    """How long the log is, in bytes; None if it is no longer than this."""


class Outcome(StrEnum):
    """How a step of a test of a scheduler has ended."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    """It works, and somebody should look at it: jobs may wait, or fail."""
    BAD = "bad"
    """It does not work: jobs cannot run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a step of a test of a scheduler has found."""

    message: str
    """A sentence or two for an administrator: what was found, and what to do if that is not good."""
    outcome: Outcome = Outcome.GOOD
    facts: Mapping[str, str] = field(default_factory=dict)
    """What was found in single things: the version of each package at each place."""
    capacity: int | None = None
    """Threads or slots that there are for jobs; None from a step that does not ask for them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is tried at a scheduler."""

    title: str
    run: Callable[[], Finding]
    """Tries it, in bounded time. Raises ``BackendUnavailable`` when the scheduler cannot be reached or is silent, and
    another ``BackendError`` when it answers and this cannot be done; what comes later needs not be tried then."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing of this portal's that lies at a scheduler, whether or not a row knows of it."""

    id: str
    """The scheduler's own name for it, which no other thing there has: a cluster, a dataset, a folder."""
    what: str
    """A noun for users: "job", "workflow", "dataset", "folder"."""
    submission_id: UUID
    """The attempt that it is of."""
    uid: UUID | None = None
    """The job that it is of; None when it does not say."""
    kind: str = ""
    """The job type that can take it over when there is no row; empty if none can."""
    native_id: str = ""
    """The ``native_id`` of a row that has it; empty if it has none."""
    name: str = ""
    """What a row that takes it over is called."""
    label: str = ""
    """The app that its job is of, if it says so."""
    words: str = ""
    """How it is there, in words."""
    since: datetime | None = None
    size: int | None = None
    """Bytes that it takes there; None when that is not known."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a new row needs, so that something found at a scheduler goes on as its job."""

    accepted: Accepted
    kind: str
    """Its job type."""
    name: str = ""
    label: str = ""
    """The app that it is of, if that is known."""
    workspace: str = ""
    """Where its files are; empty for a workspace of the user's."""


class Backend(ABC):
    """Speaks to one scheduler.

    Every call has its own time-out and raises ``BackendUnavailable`` when the scheduler cannot be reached or does not
    answer in time; then nothing is known about what it did, and the caller asks again later. ``InvalidJob`` is final
    for one job and never spoils the others of a call. All calls may be repeated.
    """

    def __init__(self, scheduler: Scheduler | None) -> None:
        self.scheduler = scheduler

    @classmethod
    @abstractmethod
    def prepare(cls, job: Job, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Packed:
        """Pack what ``execute()`` was given. Runs in the request and connects to nothing. Raises ``InvalidJob``."""

    @abstractmethod
    def open(self) -> None:
        """Connect if not connected. Raises ``BackendUnavailable``, and then nothing was sent."""

    @abstractmethod
    def find(self, jobs: Sequence[Job]) -> dict[Job, Accepted]:
        """What an earlier try left at the scheduler, looked up by ``submission_id``; jobs it never got are left out."""

    def stage(self, job: Job) -> None:  # noqa: B027  (most need none)
        """Bring what a job needs to its scheduler, however long that takes; nothing of it runs yet.

        Raises ``InvalidJob``, and ``TransferFailed`` when it cannot be brought now though the scheduler answers.
        """

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Accepted | InvalidJob]]:
        """Hand jobs over, one outcome each, yielded as it comes. After ``Accepted`` the scheduler surely knows the job.

        Reads ``job.open_input()`` and, for functions given by name, ``job.resolve_function(path)``. Raises ``NoRoom``
        when the scheduler has as many jobs as it takes; then nothing of the job that it was raised for is there.
        """

    @abstractmethod
    def poll(self, jobs: Sequence[Job]) -> dict[Job, Observation]:
        """The state of all jobs, in one exchange however many there are.

        Jobs that the scheduler does not know are left out.
        """

    @abstractmethod
    def cancel(self, jobs: Sequence[Job]) -> Iterable[Job]:
        """Stop jobs. Returns those that the scheduler confirms to be gone; a later ``poll`` tells of the others."""

    def hold(self, jobs: Sequence[Job]) -> None:
        """Hold jobs; a later ``poll`` confirms it."""
        raise NotSupported(f"{type(self).__name__} cannot pause jobs.")

    def release(self, jobs: Sequence[Job]) -> None:
        """Release held jobs; a later ``poll`` confirms it."""
        raise NotSupported(f"{type(self).__name__} cannot resume jobs.")

    def control_parts(self, job: Job, verb: str, parts: Sequence[str]) -> None:
        """Stop (``cancel``), ``hold`` or ``release`` single parts of a job; a later ``poll`` tells what came of it."""
        raise NotSupported(f"{type(self).__name__} knows no parts of a job.")

    @abstractmethod
    def fetch_results(self, job: Job) -> Result:
        """What the job has computed. Raises ``InvalidJob`` if it can never be had."""

    def write_result(self, value: Any, file: Any) -> None:
        """Write ``value`` so that ``pickle.load`` reads it again. Raises ``InvalidJob`` if it cannot be kept."""
        try:
            pickle.dump(value, file, protocol=5)
        except Exception as error:  # a class of the app's own may raise anything
            raise InvalidJob(f"The result cannot be stored: {error}") from error

    @abstractmethod
    def cleanup(self, jobs: Sequence[Job]) -> Iterable[Job]:
        """Remove all that any attempt of jobs that have ended has left at the scheduler.

        Returns those for which it has to be done again later.
        """

    @abstractmethod
    def logs(self, job: Job) -> dict[str, Tail]:
        """The ends of the logs that concern the job, by name, in one exchange or a few."""

    @abstractmethod
    def check(self) -> Iterator[Step]:
        """Test the scheduler, step by step, from the connection to a tiny job that runs through.

        A connection of its own is made and closed, so that what was kept proves nothing and nobody's is cut. The caller
        takes the steps in turn, each to its end before it asks for the next, and closes the iterator. Nothing of the
        test is left at the scheduler then.
        """

    def inventory(self) -> Iterable[Found]:
        """All that this portal has at the scheduler, in a few exchanges however much there is.

        Never anything of another portal's, of another account's, or that a user made there himself.
        """
        return ()

    def adopt(self, found: Found) -> Adoption:
        """What a row that is made for something of ``inventory`` needs. Changes nothing at the scheduler.

        Raises ``InvalidJob`` when it cannot be followed any more, with why not.
        """
        raise NotSupported(f"{type(self).__name__} cannot have jobs taken over.")

    def discard(self, found: Found) -> None:
        """Remove from the scheduler this one thing of ``inventory``, and of the same job nothing else.

        It may take the scheduler a while. What is not there any more, or is not ours any more, is left alone.
        """
        raise NotSupported(f"{type(self).__name__} cannot remove what no job of the portal has.")

    def discard_files(self, found: Found) -> None:  # noqa: B027  (most have none)
        """Remove the files at the scheduler of a job of ``inventory`` that has no row."""

    def close(self) -> None:  # noqa: B027  (most keep none)
        """Let go of connections that this process keeps to the scheduler."""
