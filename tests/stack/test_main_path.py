"""From a view's call to the stored result, through real processes."""

from __future__ import annotations

import dask
import dask.array
import dask.bag
import dask.dataframe
import numpy
import pandas
import pytest

from jobsapi.compute import create_dask_scheduler
from jobsapi.models import DaskJob, JobEvent
from tests.rig.dask import DaskCluster
from tests.rig.eventually import eventually
from tests.stack import work

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("workers")]


@pytest.fixture
def job(manager, user, dask):
    return manager.create_job("job {id}", user, job_type="DASK", scheduler=dask)


def ended(job, timeout=60):
    """The job when it has ended and nothing of it is left at its scheduler: the next test empties the database."""
    job.wait(timeout)
    eventually(lambda: job.refresh_from_db() or not job.cleanup_pending, timeout=30)
    return job


def test_a_graph_is_computed_and_its_result_is_stored(job, cluster):
    job.execute(dask.delayed(work.add)(1, dask.delayed(work.add)(2, 3)))

    assert ended(job).cached_status == "Complete", job.status_message
    assert job.result == 6
    assert (job.progress_done, job.progress_total) == (2, 2)
    assert [event.get_status_display() for event in job.events.all()][-2:] == ["Results-Ready", "Complete"]
    eventually(lambda: not cluster.datasets() and not cluster.known_keys(), timeout=30)


@pytest.mark.parametrize(
    ("make", "same"),
    [
        (lambda: dask.array.arange(10, chunks=3) * 2, lambda r: numpy.array_equal(r, numpy.arange(10) * 2)),
        (lambda: dask.bag.from_sequence(range(6), npartitions=3).map(str), lambda r: list(r) == list("012345")),
        (
            lambda: dask.dataframe.from_pandas(pandas.DataFrame({"a": [1, 2, 3]}), npartitions=2).assign(b=4),
            lambda r: r.equals(pandas.DataFrame({"a": [1, 2, 3], "b": [4, 4, 4]})),
        ),
        (lambda: dask.delayed(lambda: None)(), lambda r: r is None),
        (lambda: [dask.delayed(work.add)(i, i) for i in range(3)], lambda r: r == [0, 2, 4]),
    ],
    ids=["array", "bag", "dataframe", "none", "list of leaves"],
)
def test_every_kind_of_work_gives_its_own_result(job, make, same):
    job.execute(make())

    assert ended(job).cached_status == "Complete", job.status_message
    assert same(job.result)


def test_a_function_given_by_name_is_called_by_the_worker_with_a_client(job):
    job.execute("tests.stack.work.graph", 10)

    assert ended(job).cached_status == "Complete", job.status_message
    assert job.result == sum(i * i for i in range(10))


def test_a_failed_task_keeps_type_message_and_traceback(job):
    job.execute(dask.delayed(work.fail)(3.5))

    assert ended(job).cached_status == "Error"
    assert "ValueError: bad depth 3.5" in job.status_message
    assert "tests/stack/work.py" in job.backend_state["traceback"]
    assert "raise ValueError" in JobEvent.objects.filter(job=job, status="ERR").get().detail


def test_the_processing_function_runs_in_the_worker_and_gives_the_result(job):
    job.process_results_function = work.doubled

    job.execute(dask.delayed(work.add)(20, 1))

    assert ended(job).cached_status == "Complete", job.status_message
    assert job.result == 42


def test_a_future_made_in_the_request_outlives_its_client(job, cluster):
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        job.execute(client.submit(work.add, 40, 2))

    assert ended(job).cached_status == "Complete", job.status_message
    assert job.result == 42


def test_a_running_job_is_stopped_when_the_scheduler_confirms(job, cluster, tmp_path):
    job.execute(dask.delayed(work.held)(str(tmp_path), "slow"))
    eventually(lambda: job.status == "Running", timeout=60)

    job.stop()

    assert ended(job).cached_status == "Aborted"
    (tmp_path / "go").touch()
    eventually(lambda: not cluster.datasets())


def test_logs_of_scheduler_and_workers_are_fetched_for_the_reader(job, tmp_path):
    job.execute(dask.delayed(work.held)(str(tmp_path), "slow"))
    eventually(lambda: job.status == "Running", timeout=60)

    logs = eventually(lambda: len(found := job.get_logs()) > 1 and found, timeout=60)

    (tmp_path / "go").touch()

    assert {"history", "scheduler"} <= set(logs)
    assert any(name.startswith("worker tcp://") for name in logs)
    assert ended(job).cached_status == "Complete"


@pytest.mark.timeout(240)
def test_a_hundred_jobs_of_ten_seconds_and_a_hundred_short_ones_all_get_their_own_result(
    manager, user, dask, cluster, tmp_path
):
    with DaskCluster(workers=1, threads=100) as wide:
        other = create_dask_scheduler("wide", wide.address)
        other.save()
        long = [manager.create_job(f"long {i}", user, job_type="DASK", scheduler=other) for i in range(100)]
        short = [manager.create_job(f"short {i}", user, job_type="DASK", scheduler=dask) for i in range(100)]
        for i, job in enumerate(long):
            job.execute(delayed_note(tmp_path, i))
        for i, job in enumerate(short):
            job.execute(delayed_add(i))

        eventually(lambda: not DaskJob.objects.unended().exists(), timeout=200)

    assert [DaskJob.objects.get(pk=job.pk).result for job in short] == [i + 1 for i in range(100)]
    assert [DaskJob.objects.get(pk=job.pk).result for job in long] == [f"job-{i}" for i in range(100)]
    assert all((tmp_path / f"job-{i}").read_text().count("\n") == 1 for i in range(100))
    eventually(lambda: not cluster.datasets() and not cluster.known_keys(), timeout=30)


def delayed_note(folder, i):
    return dask.delayed(work.noted)(str(folder), f"job-{i}", 10)


def delayed_add(i):
    return dask.delayed(work.add)(i, 1)
