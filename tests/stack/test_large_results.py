"""Large results through real processes: in little memory, whole, and once, whoever is killed meanwhile."""

from __future__ import annotations

import io
import os
import signal
from datetime import timedelta
from pathlib import Path

import dask
import numpy
import pytest
from django.utils import timezone

from jobsapi import storage
from jobsapi.models import JobBlob, Purpose
from tests.rig.eventually import eventually
from tests.rig.services import process
from tests.stack import work

pytestmark = pytest.mark.services

SIZE = 250_000_000


@pytest.fixture
def job(manager, user, dask):
    return manager.create_job("job {id}", user, job_type="DASK", scheduler=dask)


def highest_memory(pid, *, forget=False):
    """The most bytes of memory that a process has had since this was last told to ``forget``; proc(5)."""
    if forget:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_a_large_array_costs_its_worker_less_than_two_and_a_half_times_its_size(workers, job):
    pid = process(workers, "celery-work").pid
    highest_memory(pid, forget=True)

    job.execute(dask.delayed(work.numbers)(SIZE))

    assert job.wait(90) == "Complete", job.status_message
    assert highest_memory(pid) < 2.5 * SIZE
    assert numpy.array_equal(job.result, work.numbers(SIZE))
    with job.result_file.open() as file:
        content = io.BytesIO(file.read())
    assert numpy.array_equal(numpy.load(content, allow_pickle=False), work.numbers(SIZE))
    for blob in JobBlob.objects.filter(in_storage=True):
        blob.delete_file()


def test_a_worker_killed_while_it_stores_a_result_leaves_one_result_and_nothing_for_ever(workers, job):
    job.execute(dask.delayed(work.numbers)(SIZE))
    begun = JobBlob.objects.filter(purpose=Purpose.RESULT, live=False)
    eventually(lambda: any(begun.exists() for _ in range(500)), timeout=60)  # it takes a second or two: do not miss it

    os.kill(process(workers, "celery-work").pid, signal.SIGKILL)

    eventually(lambda: workers.tend() or job.status == "Complete", timeout=90)
    assert numpy.array_equal(job.result, work.numbers(SIZE))
    assert job.attempts == 1
    cut_short = JobBlob.dead(timezone.now() + timedelta(hours=2)).get()
    for blob in [cut_short, *job.blobs.all()]:
        blob.delete_file()
    assert not list(Path(storage.storage().path(str(job.uid))).iterdir())
