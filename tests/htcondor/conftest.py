"""Schedulers of the test pool, and a worker in this process that takes every step that is due."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobsapi import lifecycle
from jobsapi.backends.condor.transport import transport_of
from jobsapi.compute import create_condor_scheduler
from jobsapi.due import VERBS
from jobsapi.exceptions import BackendUnavailable
from jobsapi.models import Job, Scheduler
from tests.rig.eventually import eventually


class Worker:
    """Does what Celery's workers would do, now and in this thread, whatever the breaker says."""

    def step(self, scheduler_id: int) -> None:
        """Each step once, for all jobs of a scheduler that are due for it; a scheduler that is away is left alone."""
        for verb in VERBS:
            job = Job._base_manager.filter(scheduler=scheduler_id).order_by("pk").first()
            if job is not None:
                with suppress(BackendUnavailable):
                    getattr(lifecycle, verb)(job.pk)
            if verb == "submit":
                with suppress(BackendUnavailable):
                    lifecycle.refresh(scheduler_id)

    def until(self, job: Any, *wanted: str | Callable[[Any], Any], timeout: float = 60.0) -> Any:
        """The job when it has one of these statuses, or when a condition holds for it."""

        def look() -> Any:
            Scheduler._base_manager.update(retry_at=None)
            self.step(job.scheduler_id)
            found = Job._base_manager.select_related("scheduler").get(pk=job.pk)
            return found if any(found.cached_status == w if isinstance(w, str) else w(found) for w in wanted) else None

        try:
            return eventually(look, timeout)
        except TimeoutError as error:
            now = Job._base_manager.select_related("scheduler").get(pk=job.pk)
            told = "\n".join(f"{event} {event.detail}" for event in now.events.all())
            state = (
                f"{now.cached_status}: {now.status_message}\n{now.backend_state}\n{now.scheduler.last_error}\n{told}"
            )
            raise AssertionError(f"{wanted} was not reached in {timeout} s. {state}") from error

    def ended(self, job: Any, timeout: float = 90.0) -> Any:
        """The job when it has ended and all is cleared up."""
        return self.until(job, lambda found: found.ended and not found.cleanup_pending, timeout=timeout)


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def ready(settings: Any, condor_tools: Any, condor_workspace: Path, transactional_db: None) -> Path:
    """Real backends, and messages that are lost: the tests' worker looks by itself."""
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.DummyDispatcher", "REFRESH_INTERVAL": 0.0}
    return condor_workspace


@pytest.fixture
def local(ready: Path) -> Any:
    """This machine's own schedd."""
    scheduler = create_condor_scheduler("local", "")
    scheduler.save()
    yield scheduler
    transport_of(scheduler).close()


@pytest.fixture
def remote(ready: Path, condor_pool: Any) -> Any:
    """The same schedd over SSH."""
    login = condor_pool.ssh
    scheduler = create_condor_scheduler(
        "remote",
        login.host,
        login.user,
        private_key_path=str(login.key("ed25519")),
        port=login.port,
        host_key=login.host_key,
    )
    scheduler.save()
    yield scheduler
    transport_of(scheduler).close()


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest) -> Any:
    """Both ways to the schedd, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def scripts(ready: Path) -> Path:
    """A folder for the app's own scripts and inputs."""
    folder = ready / "app"
    folder.mkdir()
    return folder


@pytest.fixture
def script(scripts: Path) -> Callable[..., str]:
    """Write a shell script and return its path."""

    def write(name: str, text: str) -> str:
        path = scripts / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def make(manager: Any, user: Any) -> Callable[..., Any]:
    """Create a job for a scheduler, not saved."""

    def create(scheduler: Any, name: str = "job", job_type: str = "CONDOR", **kwargs: Any) -> Any:
        defaults = {} if job_type == "CONDORWORKFLOW" else {"condorpy_template_name": "vanilla_transfer_files"}
        return manager.create_job(name, user, job_type=job_type, scheduler=scheduler, **{**defaults, **kwargs})

    return create


@pytest.fixture
def execute(make: Any) -> Callable[..., Any]:
    """Create and execute a job that runs ``executable`` with ``arguments``; files are named by ``script``."""

    def run(scheduler: Any, executable: str, arguments: str = "", **kwargs: Any) -> Any:
        attributes = {"executable": Path(executable).name if Path(executable).suffix else executable}
        if arguments:
            attributes["arguments"] = arguments
        files = [executable] if Path(executable).suffix else []
        attributes |= kwargs.pop("attributes", {})
        files += kwargs.pop("remote_input_files", [])
        job = make(scheduler, attributes=attributes, remote_input_files=files, **kwargs)
        job.execute()
        return job

    return run


@pytest.fixture(autouse=True)
def _leave_the_queue_empty(request: pytest.FixtureRequest) -> Any:
    """What a test leaves in the queue would run beside the next one."""
    yield
    if "condor_pool" in request.fixturenames:
        pool = request.getfixturevalue("condor_pool")
        with suppress(Exception):
            pool.condor("condor_rm", "-constraint", "true")
            pool.condor("condor_release", "-constraint", "true")
