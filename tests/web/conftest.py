"""Jobs for pages to show. Every message is lost: pages show rows, whoever writes them."""

from __future__ import annotations

import itertools
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from jobsapi.compute import create_dask_scheduler
from jobsapi.models import DaskJob, Job, JobBlob, Purpose
from jobsapi.status import TERMINAL, Status


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
def change():
    """Write columns of a job as a worker does."""

    def write(job, **columns):
        Job._base_manager.filter(pk=job.pk).update(**columns)

    return write
