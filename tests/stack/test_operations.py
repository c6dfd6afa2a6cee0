"""What an administrator sees and asks for, done by real workers and beat."""

from __future__ import annotations

import pytest
from dask import array, delayed
from django.utils import timezone

from jobsapi import storage
from jobsapi.compute import create_dask_scheduler
from jobsapi.models import Heartbeat, Job, JobBlob, Scheduler
from tests.rig.eventually import eventually

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("workers")]


def test_workers_and_beat_show_that_they_live(publishing):
    def live():
        return {tuple(queues) for queues in Heartbeat.objects.values_list("queues", flat=True)}

    eventually(lambda: not Heartbeat.silent(timezone.now()), timeout=40)
    eventually(lambda: live() >= {("control", "refresh"), ("results", "submit")}, timeout=40)


def test_a_scheduler_that_is_gone_is_given_up_and_then_deleted(publishing, manager, user):
    gone = create_dask_scheduler("gone", "127.0.0.1:1")
    gone.save()
    job = manager.create_job("waits for ever", user, job_type="DASK", scheduler=gone)
    job.execute(delayed(sum)([1, 2]))
    eventually(lambda: Scheduler.objects.get(pk=gone.pk).failures, timeout=30)

    gone.give_up()

    assert job.wait(60) == "Error"
    assert job.status_message.startswith("An administrator gave the scheduler “gone” up")
    eventually(lambda: gone.standing().settled, timeout=30)
    gone.delete()
    assert Job.objects.get(pk=job.pk).scheduler is None


def test_the_file_of_a_large_result_goes_with_its_job(dask, manager, user):
    job = manager.create_job("large", user, job_type="DASK", scheduler=dask)
    job.execute(array.ones(2**19))
    assert job.wait(60) == "Complete", job.status_message
    paths = [blob.path for blob in JobBlob.objects.filter(job=job, in_storage=True)]
    assert paths
    assert all(storage.storage().exists(path) for path in paths)

    job.delete()
    eventually(lambda: not Job._base_manager.filter(pk=job.pk).exists(), timeout=60)

    assert not any(storage.storage().exists(path) for path in paths)
