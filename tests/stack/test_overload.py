"""For a scheduler that does not answer nobody waits but its own jobs; and limits hold between workers."""

from __future__ import annotations

import json
import os
import signal

import dask as dask_library
import pytest

from jobsapi.compute import create_dask_scheduler
from jobsapi.models import DaskJob, JobEvent, Scheduler
from tests.rig.eventually import eventually
from tests.rig.held import held
from tests.rig.services import celery_workers
from tests.stack.conftest import WORKER_SETTINGS

pytestmark = pytest.mark.services

PATIENT = {
    **WORKER_SETTINGS,
    **dict.fromkeys(("CONNECT_TIMEOUT", "SUBMIT_TIMEOUT", "POLL_TIMEOUT"), 300.0),
    "REFRESH_INTERVAL": 3.0,
}
"""A call to a scheduler that does not answer is open for as long as a test takes.

A message to refresh one expires after the interval: on a busy machine a shorter one would be over before its turn.
"""


@pytest.fixture
def patient_workers(worker_environment, running_workers):
    for impatient in running_workers.processes:  # they would take the same messages; the next test finds them again
        os.kill(impatient.pid, signal.SIGKILL)
    env = {**worker_environment, "JOBSAPI_TEST_SETTINGS": json.dumps(PATIENT)}
    with celery_workers(env, beat=True) as supervisor:
        yield supervisor


@pytest.fixture
def make(manager, user, dask):
    def make(scheduler=dask):
        return manager.create_job("job {id}", user, job_type="DASK", scheduler=scheduler)

    return make


def ended(scheduler):
    return DaskJob.objects.filter(scheduler=scheduler, completion_time__isnull=False).count()


def test_nine_schedulers_are_on_time_while_the_tenth_does_not_answer(patient_workers, make, cluster):
    with held(cluster.port) as bad:
        silent = create_dask_scheduler("silent", bad.address)
        good = [create_dask_scheduler(f"good {number}", cluster.address) for number in range(9)]
        for scheduler in (silent, *good):
            scheduler.save()
        for _ in range(20):  # more than there are threads in all workers
            make(silent).execute(dask_library.delayed(int)(0))
        eventually(lambda: bad.connections, timeout=60)

        for scheduler in good:
            make(scheduler).execute(dask_library.delayed(int)(1))
        eventually(lambda: [ended(scheduler) for scheduler in good] == [1] * 9, timeout=60)

        assert ended(silent) == 0
        assert not Scheduler.objects.exclude(last_error="").exists(), "the first call is still open"
        bad.released.set()
        eventually(lambda: ended(silent) == 20, timeout=90)


def test_two_workers_and_many_jobs_never_exceed_a_limit(workers, make, dask):
    Scheduler.objects.filter(pk=dask.pk).update(max_active=2)
    jobs = [make() for _ in range(8)]
    for job in jobs:
        job.execute(dask_library.delayed(int)(job.pk or 0))

    eventually(lambda: ended(dask) == 8, timeout=90)

    there, most = 0, 0
    for event in JobEvent.objects.filter(job__scheduler=dask).order_by("pk"):
        there += (" by cluster as " in event.message) - (event.status == "RES")
        most = max(most, there)
    assert most <= 2
    assert {job.cached_status for job in DaskJob.objects.all()} == {"Complete"}
