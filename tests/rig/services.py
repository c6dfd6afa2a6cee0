"""Real processes for tests, each a context manager. None of them outlives the tests, however these end."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import pytest

from jobsapi.portal.demo import ROOT, processes
from jobsapi.portal.supervisor import Process, Supervisor
from tests.rig.eventually import eventually


def missing(reason: str) -> NoReturn:
    """End the test that needs what is not there: skipped at home, failed in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def folder(owner: str | None = None) -> Iterator[Path]:
    """A private folder with a short path, as unix sockets need; ``owner``'s when given."""
    with tempfile.TemporaryDirectory(prefix="jobsapi-", dir="/tmp", ignore_cleanup_errors=True) as name:
        if owner:
            shutil.chown(name, owner)
        yield Path(name)


@contextlib.contextmanager
def celery_workers(env: Mapping[str, str], *, beat: bool = False) -> Iterator[Supervisor]:
    """The two Celery workers as the demo runs them, and beat if asked for. ``env`` is added to the environment.

    The supervisor is for the test to kill: ``process(supervisor, "celery-work").pid``. Nothing is restarted unless the
    test calls ``supervisor.tend()``.
    """
    with folder() as home, Supervisor(home / "logs") as supervisor:
        environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **env}
        for command in processes.celery(home):
            if beat or command.name != "celery-beat":
                supervisor.start(replace(command, env=environment, cwd=ROOT))
        for worker in supervisor.processes[:2]:
            supervisor.wait_until(worker, lambda worker=worker: _ready(worker))  # type: ignore[misc]
        yield supervisor


def all_ready(workers: Supervisor) -> None:
    """Wait until all of ``celery_workers`` are there, those that were killed started again."""
    eventually(lambda: workers.tend() or all(map(_ready, workers.processes)), timeout=60)


def _ready(process: Process) -> bool:
    """Whether a Celery worker has said so since it was last started; beat has no word for it."""
    said = process.command.name == "celery-beat" or process.log.read_text().count(" ready.") > process.restarts
    return process.alive and said


def process(supervisor: Supervisor, name: str) -> Process:
    """The process of that name."""
    return next(process for process in supervisor.processes if process.command.name == name)


def database_url() -> str:
    """DATABASE_URL of the database that the tests use now, for processes that shall share it."""
    from django.db import connection

    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    account = quote(settings["USER"], safe="") + (
        f":{quote(settings['PASSWORD'], safe='')}" * bool(settings["PASSWORD"])
    )
    port = f":{settings['PORT']}" if settings["PORT"] else ""
    return f"postgres://{account}@{quote(settings['HOST'], safe='')}{port}/{settings['NAME']}"
