"""``/readyz`` on real workers: one that is stopped, one that has no thread left, and a broker that is away."""

from __future__ import annotations

import os
import signal

import pytest
from django.utils import timezone

from jobsapi.compute import create_dask_scheduler
from jobsapi.models import DaskJob, Heartbeat
from tests.rig.eventually import eventually
from tests.rig.services import process

pytestmark = pytest.mark.services

THREADS = 8
"""Of the worker that submits. Each scheduler gets one of them at most for submissions."""


@pytest.fixture
def failed(publishing, client):
    """The names of the parts that are not ready."""

    def failed():
        answer = client.get("/readyz", headers={"accept": "application/json"})
        parts = {part["name"] for part in answer.json()["parts"] if not part["ready"]}
        assert answer.status_code == (503 if parts else 200)
        return parts

    eventually(lambda: not failed(), timeout=40)
    return failed


WORK = {"queue submit", "queue results"}


def test_a_worker_that_is_stopped_makes_the_portal_unready_until_it_goes_on(workers, failed):
    worker = process(workers, "celery-work").pid
    os.kill(worker, signal.SIGSTOP)
    try:
        eventually(lambda: failed() == WORK, timeout=40)
    finally:
        os.kill(worker, signal.SIGCONT)

    eventually(lambda: not failed(), timeout=40)


@pytest.mark.usefixtures("workers")
def test_a_worker_without_a_free_thread_lives_and_makes_the_portal_unready(failed, manager, user, cluster, tmp_path):
    for i in range(THREADS):
        scheduler = create_dask_scheduler(f"slow {i}", cluster.address)
        scheduler.save()
        job = manager.create_job(f"holds {i}", user, job_type="DASK", scheduler=scheduler)
        job.execute("tests.stack.work.held_up", str(tmp_path), str(i))

    eventually(lambda: failed() == WORK, timeout=40)
    said = eventually(
        lambda: [each for each in Heartbeat.silent(timezone.now()) if "is there, and" in each], timeout=20
    )
    assert "All of its threads are busy, or it hangs" in said[0]

    (tmp_path / "go").touch()
    eventually(lambda: not failed(), timeout=40)
    eventually(lambda: not DaskJob.objects.unended().exists() and not left_behind(), timeout=60)


def test_a_broker_that_is_away_makes_the_portal_unready_until_it_is_back(broker, workers, failed):
    broker.signal(signal.SIGKILL)

    eventually(lambda: WORK | {"beat"} <= failed(), timeout=40)

    eventually(lambda: broker.tend() or workers.tend() or not failed(), timeout=60)


def left_behind():
    return DaskJob._base_manager.filter(cleanup_pending=True).exists()
