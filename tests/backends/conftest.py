"""Dask clusters for the tests of the backend, and stand-ins for the rows it works on."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.utils.module_loading import import_string

from jobsapi.backends.dask import DaskBackend
from jobsapi.status import Status
from tests.rig.dask import DaskCluster
from tests.rig.eventually import eventually

numbers = itertools.count(1)
PATIENT = "20"
"""Seconds to connect: nobody tries again here, and other tests may keep the machine busy."""


@dataclass(eq=False)
class FakeScheduler:
    """What the backend reads of a DaskScheduler."""

    host: str
    pk: int = field(default_factory=lambda: next(numbers))
    name: str = "test"
    timeout: str | None = None
    heartbeat_interval: str | None = None
    dashboard: str | None = None


@dataclass(eq=False)
class FakeJob:
    """What the backend reads of a DaskJob."""

    scheduler: FakeScheduler
    input: bytes | None = None
    pk: int = field(default_factory=lambda: next(numbers))
    name: str = "job"
    uid: uuid.UUID = field(default_factory=uuid.uuid4)
    submission_id: uuid.UUID = field(default_factory=uuid.uuid4)
    native_id: str = ""
    backend_state: dict[str, Any] = field(default_factory=dict)
    progress_total: int | None = None
    forget: bool = False
    process_results_function: Any = None

    @property
    def keeps_no_result(self) -> bool:
        return self.forget

    def open_input(self) -> bytes:
        assert self.input is not None
        return self.input

    def resolve_function(self, path: str) -> Callable[..., Any]:
        return import_string(path)


class Desk:
    """A backend with short words for what the lifecycle does with it."""

    def __init__(self, address: str, timeout: str | None = None) -> None:
        self.scheduler = FakeScheduler(address, timeout=timeout)
        self.backend = DaskBackend(self.scheduler)

    def prepared(self, *args: Any, **kwargs: Any) -> FakeJob:
        """A job that was given some work, not yet submitted unless the work was a Future."""
        job = FakeJob(self.scheduler)
        packed = DaskBackend.prepare(job, args, kwargs)
        job.input = packed.input
        if packed.accepted:
            self.accept(job, packed.accepted)
        return job

    def submit(self, job: FakeJob) -> FakeJob:
        ((same, outcome),) = self.backend.submit([job])
        assert same is job
        if isinstance(outcome, Exception):
            raise outcome
        self.accept(job, outcome)
        return job

    def accept(self, job: FakeJob, outcome: Any) -> None:
        job.native_id = outcome.native_id
        job.backend_state = {**job.backend_state, **outcome.state}
        job.progress_total = outcome.progress_total

    def execute(self, *args: Any, **kwargs: Any) -> FakeJob:
        return self.submit(self.prepared(*args, **kwargs))

    def seen(self, job: FakeJob) -> Any:
        """What one poll says of one job, or None; its state is merged as the lifecycle does."""
        observation = self.backend.poll([job]).get(job)
        if observation:
            job.backend_state = {**job.backend_state, **observation.state}
        return observation

    def ended(self, job: FakeJob, timeout: float = 30.0) -> Any:
        """The observation that ends the job."""

        def over() -> Any:
            seen = self.seen(job)
            return seen if seen and seen.status in (Status.RESULTS_READY, Status.ERROR) else None

        return eventually(over, timeout)

    def result(self, job: FakeJob) -> Any:
        """The job's result, once it is ready."""
        seen = self.ended(job)
        assert seen.status == Status.RESULTS_READY, seen
        return self.backend.fetch_results(job)

    def computed(self, *args: Any, **kwargs: Any) -> Any:
        """The value of a job from beginning to end."""
        return self.result(self.execute(*args, **kwargs)).value


@pytest.fixture(scope="session")
def cluster() -> Iterator[DaskCluster]:
    """Two workers, for tests that leave them alive."""
    with DaskCluster(workers=2) as cluster:
        yield cluster


@pytest.fixture
def own_cluster() -> Iterator[DaskCluster]:
    """One worker, for a test that hurts it."""
    with DaskCluster(workers=1) as cluster:
        yield cluster


@pytest.fixture
def desk(cluster: DaskCluster) -> Iterator[Desk]:
    desk = Desk(cluster.address, timeout=PATIENT)
    yield desk
    desk.backend.close()


@pytest.fixture
def own_desk(own_cluster: DaskCluster) -> Iterator[Desk]:
    desk = Desk(own_cluster.address, timeout=PATIENT)
    yield desk
    desk.backend.close()
