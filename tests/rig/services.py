"""Real servers for tests, each a context manager. None of them outlives the tests, however these end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import pytest

from jobsapi.portal.demo import ROOT, processes
from jobsapi.portal.supervisor import Command, Process, Supervisor

POSTGRES = "postgres"
"""The account that runs the server when the tests run as root, which PostgreSQL refuses."""


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
def valkey() -> Iterator[str]:
    """The broker address of a Valkey server of our own, on a unix socket."""
    with valkey_server() as (url, _):
        yield url


@contextlib.contextmanager
def valkey_server() -> Iterator[tuple[str, Supervisor]]:
    """As ``valkey``, with its supervisor for a test that kills it; ``supervisor.tend()`` starts it again, empty."""
    with folder() as home, Supervisor(home / "logs") as supervisor:
        path = home / "valkey.sock"
        server = supervisor.start(processes.valkey(path))
        supervisor.wait_until(server, lambda: processes.answers(path))
        yield f"redis+socket://{path}", supervisor


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The DATABASE_URL of a PostgreSQL server of our own, on a unix socket, fast and forgetful."""
    programs = _postgresql_programs()
    user = POSTGRES if os.geteuid() == 0 else None
    with folder(user) as home, Supervisor(home / "logs") as supervisor:
        data = home / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", POSTGRES, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            user=user,
            cwd=home,
            check=True,
            capture_output=True,
        )
        options = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses="]
        server = supervisor.start(
            Command(
                name="postgresql",
                argv=[str(programs / "postgres"), "-D", str(data), "-k", str(home), *(f"-c{one}" for one in options)],
                user=user,
                cwd=home,
                stop_signal=signal.SIGINT,  # "fast": does not wait for clients
            )
        )
        ask = [programs / "pg_isready", "-q", "-h", home]
        supervisor.wait_until(server, lambda: subprocess.run(ask, check=False).returncode == 0)
        yield f"postgres://{POSTGRES}@{quote(str(home), safe='')}/{POSTGRES}"


def _postgresql_programs() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    if found is None:
        missing("PostgreSQL's server is not installed: run scripts/install-test-services")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(POSTGRES)
        except KeyError:
            missing(f"PostgreSQL does not run as root, and there is no account called {POSTGRES}")
    return Path(found).resolve().parent


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
            supervisor.wait_until(worker, lambda worker=worker: " ready." in worker.tail(200))  # type: ignore[misc]
        yield supervisor


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
