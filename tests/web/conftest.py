"""Jobs for pages to show. Every message is lost: pages show rows, whoever writes them."""

from __future__ import annotations

import itertools
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from jobsapi.compute import create_condor_scheduler, create_dask_scheduler
from jobsapi.models import CondorJob, CondorWorkflow, CondorWorkflowJobNode, DaskJob, Job, JobBlob, Purpose
from jobsapi.status import TERMINAL, Status
from tests.rig.chromium import Readers, browser


@pytest.fixture(scope="package")
def chromium():
    """The one browser of all these tests."""
    with browser() as chromium:
        yield chromium


@pytest.fixture
def readers(chromium, live_server):
    """Pages for whoever is named; see ``tests.rig.chromium``."""
    readers = Readers(chromium, live_server.url)
    yield readers
    readers.close()


@pytest.fixture
def page(readers, client, ada):
    """A page for ada, who is logged in through ``client``."""
    return readers.page(ada, client)


@pytest.fixture(autouse=True)
def lost_messages(settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.DummyDispatcher"}


@pytest.fixture
def ada(django_user_model, db):
    return django_user_model.objects.create_user("ada", password="pw")


@pytest.fixture
def bob(django_user_model, db):
    return django_user_model.objects.create_user("bob", password="pw")


@pytest.fixture
def cluster_row(db):
    """A Dask scheduler that has just told how its jobs are."""
    row = create_dask_scheduler("cluster", "127.0.0.1:1")
    row.save()
    row.absorb({"polled_at": timezone.now()})
    type(row).objects.filter(pk=row.pk).update(polled_at=row.polled_at)
    return row


@pytest.fixture
def row(ada, cluster_row):
    """Write a job as it would be after a while: ``row("name", Status.RUNNING, progress_total=10)``."""
    numbers = itertools.count(1)

    def write(name="job", status=Status.RUNNING, user=ada, **columns):
        started = timezone.now() - timedelta(seconds=90)
        known = {"native_id": f"key-{next(numbers)}", "attempts": 1, "execute_time": started, "start_time": started}
        known["submission_id"] = uuid4()
        if status == Status.PENDING:
            known = {}
        if status in TERMINAL:
            known["completion_time"] = started + timedelta(seconds=20)
        job = DaskJob(name=name, user=user, label="tests", scheduler=cluster_row, **{**known, **columns})
        job._status = status
        job.save()
        if status != Status.PENDING:
            JobBlob.store(job, Purpose.INPUT, b"what execute() was given")
        return job

    return write


@pytest.fixture
def pool_row(db):
    """The schedd of this machine, which has just told how its jobs are."""
    row = create_condor_scheduler("pool", "")
    row.save()
    type(row).objects.filter(pk=row.pk).update(polled_at=timezone.now())
    row.refresh_from_db()
    return row


@pytest.fixture
def condor_row(ada, pool_row, settings, tmp_path):
    """Write a job of HTCondor as it would be after a while: ``condor_row("flood", progress_total=8)``."""
    settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": tmp_path}
    numbers = itertools.count(13)

    def write(name="flood", status=Status.RUNNING, user=ada, nodes=None, **columns):
        work = {"name": name, "user": user, "label": "tests", "scheduler": pool_row, "workspace": str(tmp_path / "ada")}
        program = {"attributes": {"executable": "/bin/true"}}
        if nodes is None:
            job = CondorJob(**work, **program, num_jobs=columns.get("progress_total") or 1)
        else:
            job = CondorWorkflow(**work)
        job.save()
        for node in nodes or ():
            CondorWorkflowJobNode(name=node, workflow=job, **program).save()
        if status != Status.PENDING:
            started = timezone.now() - timedelta(seconds=90)
            ended = started + timedelta(seconds=20) if status in TERMINAL else None
            known = {"native_id": str(next(numbers)), "submission_id": uuid4(), "attempts": 1}
            times = {"execute_time": started, "start_time": started, "completion_time": ended}
            columns = {**known, **times, "_status": status, **columns}
        Job._base_manager.filter(pk=job.pk).update(**columns)
        return Job.objects.select_related("scheduler").get(pk=job.pk)

    return write


@pytest.fixture
def workflow_row(condor_row):
    """Write a workflow of nodes in these states: ``workflow_row(A={"status": "COM"}, B={"status": "RUN"})``."""

    def write(name="flow", status=Status.RUNNING, **states):
        return condor_row(name, status, nodes=states, backend_state={"nodes": states})

    return write


@pytest.fixture
def received_async(async_client, ada):
    """The pieces of an answer that an asynchronous server sends."""

    @async_to_sync
    async def ask(address):
        await async_client.aforce_login(ada)
        answer = await async_client.get(address)
        assert answer.is_async
        return [piece async for piece in answer]

    return ask


@pytest.fixture
def change():
    """Write columns of a job as a worker does."""

    def write(job, **columns):
        Job._base_manager.filter(pk=job.pk).update(**columns)

    return write
