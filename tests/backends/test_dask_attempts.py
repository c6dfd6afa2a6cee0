"""Accepted once, stopped, cleaned up, lost: what becomes of attempts on a real Dask cluster."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from dask import delayed
from distributed import Client

from jobsapi.backends.dask import DaskBackend
from jobsapi.exceptions import BackendUnavailable, InvalidJob
from jobsapi.portal.ports import free_ports
from jobsapi.status import Status
from tests.backends.conftest import Desk
from tests.rig import dask_tasks as tasks
from tests.rig.dask import DaskCluster, silent_listener
from tests.rig.eventually import eventually

pytestmark = pytest.mark.services


def test_a_second_submit_of_an_attempt_adopts_it_and_runs_nothing_twice(desk: Desk, tmp_path: Path) -> None:
    job = desk.execute(delayed(tasks.noted)(str(tmp_path), "value"))
    first = job.native_id
    desk.result(job)
    assert desk.submit(job).native_id == first
    assert desk.result(job).value == "value"
    assert (tmp_path / "runs").read_text() == "x"


def test_a_function_is_not_called_again_for_an_attempt_that_arrived(desk: Desk, tmp_path: Path) -> None:
    job = desk.execute(tasks.noted, str(tmp_path), "value")
    desk.submit(job)
    assert (tmp_path / "runs").read_text() == "x"


def test_another_worker_process_finds_what_was_submitted_and_only_that(desk: Desk) -> None:
    job, never = desk.execute([delayed(tasks.add_one)(1), delayed(tasks.add_one)(2)]), desk.prepared(tasks.add_one, 1)
    another = Desk(desk.scheduler.host)
    found = another.backend.find([job, never])
    another.backend.close()
    assert list(found) == [job]
    assert found[job].native_id == job.native_id
    assert found[job].state["scheduler_id"] == job.backend_state["scheduler_id"]
    assert found[job].progress_total == job.progress_total == 2


def test_a_poll_of_a_thousand_jobs_is_one_exchange(desk: Desk) -> None:
    job = desk.execute(delayed(tasks.add_one)(1))
    others = [desk.prepared(tasks.add_one, 1) for _ in range(999)]
    before = desk.backend.exchanges.connection.exchanges
    assert list(desk.backend.poll([job, *others])) == [job]
    assert desk.backend.exchanges.connection.exchanges == before + 1


def test_progress_and_running_are_seen_while_it_runs(desk: Desk, tmp_path: Path) -> None:
    slow = delayed(tasks.until)(str(tmp_path / "go"), 1)
    job = desk.execute(delayed(tasks.total)([slow, *(delayed(tasks.add_one)(n) for n in range(5))]))
    seen = eventually(lambda: (seen := desk.seen(job)) and seen.progress_done == 5 and seen)
    assert (seen.status, seen.progress_total) == (Status.RUNNING, 7)
    (tmp_path / "go").touch()
    assert desk.result(job).value == 1 + 15


def test_parts_that_differ_make_various(desk: Desk, tmp_path: Path) -> None:
    job = desk.execute([delayed(tasks.add_one)(1), delayed(tasks.until)(str(tmp_path / "go"))])
    seen = eventually(lambda: (seen := desk.seen(job)) and seen.status == Status.VARIOUS and seen)
    assert seen.message == "1 of 2 parts done"
    (tmp_path / "go").touch()
    assert desk.result(job).value == [2, "done"]


def test_a_cancel_is_confirmed_and_leaves_nothing(desk: Desk, cluster: DaskCluster, tmp_path: Path) -> None:
    slow = delayed(tasks.until)(str(tmp_path / "go"))
    first = delayed(tasks.noted)(str(tmp_path), slow)
    job = desk.execute([first, delayed(tasks.noted)(str(tmp_path), delayed(tasks.noted)(str(tmp_path), first))])
    eventually(lambda: (tmp_path / "go.started").exists())
    assert list(desk.backend.cancel([job])) == [job]
    (tmp_path / "go").touch()
    assert desk.seen(job) is None
    assert not [key for key in cluster.known_keys() if job.submission_id.hex in key]
    assert not (tmp_path / "runs").exists()


def test_a_cancel_of_shared_work_leaves_it_to_the_other_job(desk: Desk) -> None:
    with Client(desk.scheduler.host, set_as_default=False) as client:
        future = client.submit(tasks.add_one, 1)
        stopped, kept = desk.prepared(future), desk.prepared(future)
        desk.backend.cancel([stopped])
    assert desk.result(kept).value == 2


def test_a_cancel_takes_the_future_from_the_client_that_made_it(desk: Desk, tmp_path: Path) -> None:
    with Client(desk.scheduler.host, set_as_default=False) as client:
        future = client.submit(tasks.until, str(tmp_path / "go"))
        desk.backend.cancel([desk.prepared(future)])
        eventually(lambda: future.status == "cancelled")
    (tmp_path / "go").touch()


def test_a_cleanup_leaves_nothing_of_any_attempt_and_may_be_repeated(desk: Desk, cluster: DaskCluster) -> None:
    job, other = desk.execute(tasks.graph_of(3)), desk.execute(delayed(tasks.add_one)(1))
    attempts = [job.submission_id.hex]
    job.submission_id = uuid.uuid4()
    desk.submit(job)
    attempts.append(job.submission_id.hex)
    desk.ended(job)
    desk.backend.cleanup([job])
    desk.backend.cleanup([job])
    assert not [name for name in cluster.datasets() if job.uid.hex in name]
    eventually(lambda: not [key for key in cluster.known_keys() if any(attempt in key for attempt in attempts)])
    assert desk.result(other).value == 2


def test_a_future_is_pinned_and_survives_its_client(desk: Desk) -> None:
    with Client(desk.scheduler.host, set_as_default=False) as client:
        job = desk.prepared(client.submit(tasks.add_one, 1, key=f"mine-{uuid.uuid4()}"))
        assert job.native_id.startswith("mine-")
        many = desk.prepared(client.map(tasks.add_one, [1, 2]))
    assert job.input is None
    assert job.backend_state["from_future"]
    assert desk.result(job).value == 2
    assert desk.result(many).value == [2, 3]


def test_a_future_of_a_cancelled_task_is_refused(desk: Desk) -> None:
    with Client(desk.scheduler.host, set_as_default=False) as client:
        future = client.submit(tasks.add_one, 1, key=f"mine-{uuid.uuid4()}")
        future.result()
        future.cancel(force=True)
        eventually(lambda: future.status == "cancelled")
        with pytest.raises(InvalidJob, match="cancelled"):
            desk.prepared(future)


def test_a_future_of_another_scheduler_or_of_a_closed_client_is_refused(desk: Desk) -> None:
    with Client(desk.scheduler.host, set_as_default=False) as client:
        future = client.submit(tasks.add_one, 1)
        with pytest.raises(InvalidJob, match="The future is at the Dask scheduler"):
            Desk("tcp://127.0.0.1:1").prepared(future)
    with pytest.raises(InvalidJob, match="is closed"):
        desk.prepared(future)


def test_a_killed_worker_has_its_task_run_again(own_desk: Desk, own_cluster: DaskCluster, tmp_path: Path) -> None:
    job = own_desk.execute(delayed(tasks.kill_once)(str(tmp_path / "killed")))
    eventually(lambda: "none is connected" in own_desk.seen(job).message, timeout=30)
    own_cluster.start_worker()
    assert own_desk.result(job).value == "ran again"


def test_a_restarted_scheduler_has_lost_the_job_and_takes_it_again(own_desk: Desk, own_cluster: DaskCluster) -> None:
    job = own_desk.execute(delayed(tasks.add_one)(1))
    own_cluster.restart_scheduler()
    seen = own_desk.seen(job)
    assert seen.lost
    assert "restarted" in seen.message
    own_desk.backend.cleanup([job])
    job.submission_id = uuid.uuid4()
    assert own_desk.result(own_desk.submit(job)).value == 2


def test_a_frozen_scheduler_is_unavailable_until_it_thaws(
    own_desk: Desk, own_cluster: DaskCluster, settings: Any
) -> None:
    settings.JOBSAPI = {"POLL_TIMEOUT": 0.5, "CONNECT_TIMEOUT": 0.5, "RESULT_TIMEOUT": 0.5, "SUBMIT_TIMEOUT": 0.5}
    job, other = own_desk.execute(delayed(tasks.add_one)(1)), own_desk.prepared(delayed(tasks.add_one)(2))
    own_desk.ended(job)
    newcomer = Desk(own_cluster.address)
    client = Client(own_cluster.address, set_as_default=False)
    future = client.submit(tasks.add_one, 1)
    backend = own_desk.backend
    calls = [
        lambda: backend.poll([job]),
        lambda: backend.find([job]),
        lambda: list(backend.submit([other])),
        lambda: backend.cancel([job]),
        lambda: backend.fetch_results(job),
        lambda: backend.cleanup([job]),
        lambda: backend.logs(job),
        newcomer.backend.open,
        lambda: own_desk.prepared(future),
    ]
    with own_cluster.frozen():
        for call in calls:
            with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1"):
                call()
    client.close()
    settings.JOBSAPI = {}
    assert own_desk.seen(job) is None or own_desk.seen(job).status == Status.RESULTS_READY
    assert own_desk.result(own_desk.submit(other)).value == 3


def test_a_scheduler_that_stays_silent_is_unavailable(settings: Any) -> None:
    settings.JOBSAPI = {"CONNECT_TIMEOUT": 0.3}
    with silent_listener() as address:
        desk = Desk(address)
        with pytest.raises(BackendUnavailable, match=f"answered at {address} within 0.3 s"):
            desk.backend.poll([desk.prepared(tasks.add_one, 1)])


def test_a_scheduler_that_refuses_is_unavailable_after_its_own_timeout() -> None:
    desk = Desk(f"tcp://127.0.0.1:{free_ports(0)[0]}", timeout="300ms")
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1.*0\.3 s"):
        desk.backend.open()


def test_the_client_is_kept_and_made_anew_after_it_was_closed(desk: Desk) -> None:
    client = desk.backend.client
    again = DaskBackend(desk.scheduler)
    assert again.client is client
    again.close()
    assert desk.backend.client is not client
    assert desk.backend.client.status == "running"


def test_a_scheduler_that_moves_gets_another_client(own_cluster: DaskCluster, desk: Desk) -> None:
    client = desk.backend.client
    desk.scheduler.host = own_cluster.address
    assert DaskBackend(desk.scheduler).client.scheduler.address == own_cluster.address
    assert client.status == "closed"
