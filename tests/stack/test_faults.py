"""Real processes, killed for real: the job still ends in the right state, accepted once, with one result."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import dask
import pytest

from jobsapi.compute import create_dask_scheduler
from jobsapi.exceptions import TransitionNotAllowed
from jobsapi.models import DaskJob, JobEvent
from tests.rig.dask import DaskCluster
from tests.rig.eventually import eventually
from tests.rig.services import celery_workers, process
from tests.stack import work

pytestmark = pytest.mark.services


@pytest.fixture
def make(manager, user, dask):
    """Create a DaskJob on the real cluster, not saved."""

    def make(name="job {id}", scheduler=dask):
        return manager.create_job(name, user, job_type="DASK", scheduler=scheduler)

    return make


def all_ended(supervisor=None, timeout=90):
    def ended():
        if supervisor is not None:
            supervisor.tend()
        return not DaskJob.objects.unended().exists()

    eventually(ended, timeout=timeout)


def kill(supervisor, name):
    os.kill(process(supervisor, name).pid, signal.SIGKILL)


def acceptances():
    """How often each job was accepted, in all of its attempts."""
    return Counter(JobEvent.objects.filter(message__contains=" by cluster as ").values_list("job_id", flat=True))


def test_a_worker_killed_while_it_submits_loses_no_job_and_doubles_none(workers, make, tmp_path):
    job = make()
    job.execute("tests.stack.work.slowly_made", str(tmp_path), 3)
    eventually(lambda: (tmp_path / "called").exists(), timeout=60)

    kill(workers, "celery-work")

    all_ended(workers)
    job.refresh_from_db()
    assert job.cached_status == "Complete", job.status_message
    assert job.result == "ran"
    assert acceptances() == {job.pk: 1}
    assert (tmp_path / "ran").read_text().count("\n") == 1


def test_both_workers_killed_with_twenty_jobs_under_way_run_each_once(workers, make, tmp_path, cluster):
    jobs = [make() for _ in range(20)]
    for i, job in enumerate(jobs):
        job.execute(dask.delayed(work.noted)(str(tmp_path), f"job-{i}", 0.2))
        if i == 10:
            kill(workers, "celery-work")
    eventually(lambda: any(tmp_path.iterdir()) or workers.tend(), timeout=60)

    kill(workers, "celery-work")
    kill(workers, "celery-control")

    all_ended(workers)
    assert {job.result for job in DaskJob.objects.all()} == {f"job-{i}" for i in range(20)}
    assert all((tmp_path / f"job-{i}").read_text().count("\n") == 1 for i in range(20))
    assert acceptances() == {job.pk: 1 for job in jobs}
    eventually(lambda: not cluster.datasets() and not cluster.known_keys(), timeout=30)


@pytest.mark.usefixtures("workers")
def test_a_task_whose_dask_worker_is_killed_runs_again(make, dask, tmp_path):
    with DaskCluster(workers=2) as cluster:
        frail = create_dask_scheduler("frail", cluster.address)
        frail.save()
        job = make(scheduler=frail)
        job.execute(held_note(tmp_path))
        note = eventually(lambda: (tmp_path / "task").exists() and (tmp_path / "task").read_text(), timeout=60)

        os.kill(int(note), signal.SIGKILL)
        (tmp_path / "go").touch()

        assert job.wait(60) == "Complete", job.status_message
        assert (tmp_path / "task").read_text().count("\n") == 2


@pytest.mark.usefixtures("workers", "dask")
def test_a_restarted_dask_scheduler_makes_running_jobs_a_new_attempt(make, tmp_path):
    with DaskCluster(workers=1) as cluster:
        frail = create_dask_scheduler("frail", cluster.address)
        frail.save()
        job = make(scheduler=frail)
        job.execute(held_note(tmp_path))
        eventually(lambda: (tmp_path / "task").exists(), timeout=60)

        cluster.restart_scheduler()
        (tmp_path / "go").touch()

        assert job.wait(60) == "Complete", job.status_message
        job.refresh_from_db()
        assert job.attempts == 2
        assert "restarted" in JobEvent.objects.get(job=job, by="lost").message
        assert job.result == "task"


@pytest.mark.usefixtures("workers")
def test_jobs_of_a_scheduler_that_is_down_wait_while_others_run(make, tmp_path):
    cluster = DaskCluster(workers=1)
    down = create_dask_scheduler("down", cluster.address)
    down.save()
    waiting, other = make(scheduler=down), make()
    waiting.execute(delayed_note(tmp_path))
    other.execute(dask.delayed(work.add)(1, 1))

    assert other.wait(60) == "Complete"
    waiting.refresh_from_db()
    assert waiting.cached_status == "Submitted"
    assert "“down” unreachable since" in eventually(lambda: waiting.status and waiting.status_message, timeout=30)

    with cluster:
        assert waiting.wait(60) == "Complete", waiting.status_message
        down.refresh_from_db()
        assert (down.unreachable_since, down.last_error) == (None, "")


@pytest.mark.usefixtures("workers")
def test_a_frozen_dask_scheduler_changes_no_status_and_stops_nobody_else(make, tmp_path):
    with DaskCluster(workers=1) as cluster:
        frozen = create_dask_scheduler("frozen", cluster.address)
        frozen.save()
        job, other = make(scheduler=frozen), make()
        job.execute(held_note(tmp_path))
        eventually(lambda: job.status == "Running", timeout=60)
        with cluster.frozen():
            eventually(lambda: frozen.refresh_from_db() or frozen.unreachable_since, timeout=60)
            other.execute(dask.delayed(work.add)(1, 1))
            assert other.wait(60) == "Complete"
            assert job.status == "Running"

        (tmp_path / "go").touch()
        assert job.wait(60) == "Complete", job.status_message


@pytest.mark.usefixtures("workers")
def test_two_sets_of_workers_and_beats_submit_each_job_once(worker_environment, make, tmp_path):
    jobs = [make() for _ in range(20)]
    with celery_workers(worker_environment, beat=True):
        for i, job in enumerate(jobs):
            job.execute(dask.delayed(work.noted)(str(tmp_path), f"job-{i}"))

        all_ended()

    assert acceptances() == {job.pk: 1 for job in jobs}
    assert all((tmp_path / f"job-{i}").read_text().count("\n") == 1 for i in range(20))


@pytest.mark.usefixtures("workers")
def test_a_double_click_submits_once(make, tmp_path):
    job = make()
    job.save()
    refused, together = [], threading.Barrier(2)

    def click():
        from django.db import connection

        same = DaskJob.objects.get(pk=job.pk)
        together.wait()
        try:
            same.execute(delayed_note(tmp_path))
        except TransitionNotAllowed as error:
            refused.append(str(error))
        finally:
            connection.close()

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()

    assert job.wait(60) == "Complete", job.status_message
    assert len(refused) == 1
    assert (tmp_path / "task").read_text().count("\n") == 1


def delayed_note(folder):
    return dask.delayed(work.noted)(str(folder), "task")


def held_note(folder):
    """Runs until there is a file called ``go`` in the folder."""
    return dask.delayed(work.held)(str(folder), "task")
