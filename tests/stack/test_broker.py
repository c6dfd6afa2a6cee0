"""The broker may be refused, killed, stopped or silent: ``execute()`` returns, and the job is found when it is back."""

from __future__ import annotations

import signal

import dask
import pytest

from jobsapi.models import DaskJob
from tests.rig.dask import silent_listener
from tests.rig.eventually import eventually
from tests.stack import work

pytestmark = pytest.mark.services


@pytest.fixture
def job(manager, user, dask):
    return manager.create_job("job {id}", user, job_type="DASK", scheduler=dask)


@pytest.mark.parametrize("fault", ["refused", "silent"])
@pytest.mark.usefixtures("workers")
def test_a_job_executed_while_the_broker_does_not_answer_is_rescued(job, publish_to, fault):
    with silent_listener() as silent:
        publish_to("redis://127.0.0.1:1/0" if fault == "refused" else silent.replace("tcp", "redis") + "/0")

        job.execute(dask.delayed(work.add)(1, 1))

    assert job.cached_status == "Submitted"
    assert job.wait(60) == "Complete", job.status_message


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
def test_jobs_go_on_when_a_broker_that_failed_is_back(job, broker, workers, fault):
    broker.signal(fault)

    job.execute(dask.delayed(work.add)(1, 1))

    assert job.cached_status == "Submitted"
    if fault == signal.SIGSTOP:
        broker.signal(signal.SIGCONT)

    def ended():
        broker.tend()
        workers.tend()
        return not DaskJob.objects.unended().exists()

    eventually(ended, timeout=90)
    job.refresh_from_db()
    assert job.cached_status == "Complete", job.status_message
