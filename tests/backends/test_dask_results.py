"""What goes in comes out right, on a real Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from distributed import get_client

from jobsapi.exceptions import InvalidJob, ResultTooLarge
from jobsapi.status import Status
from tests.backends.conftest import PATIENT, Desk
from tests.rig import dask_tasks as tasks
from tests.rig.dask import DaskCluster
from tests.rig.eventually import eventually

pytestmark = pytest.mark.services


def test_a_delayed_gives_its_value(desk: Desk) -> None:
    assert desk.computed(delayed(tasks.add_one)(1)) == 2


def test_a_delayed_by_its_old_keyword_gives_its_value(desk: Desk) -> None:
    assert desk.computed(future_or_delayed=delayed(tasks.add_one)(1)) == 2


def test_keyword_arguments_of_tasks_arrive(desk: Desk) -> None:
    assert desk.computed(delayed(dict)(a=delayed(tasks.add_one)(number=1), b=None)) == {"a": 2, "b": None}


def test_none_is_a_result(desk: Desk) -> None:
    assert desk.computed(delayed(print)()) is None


def test_an_array_gives_a_numpy_array(desk: Desk) -> None:
    value = desk.computed(da.arange(10, chunks=3).reshape(5, 2).T + 1)
    np.testing.assert_array_equal(value, np.arange(10).reshape(5, 2).T + 1)


def test_a_bag_gives_a_list(desk: Desk) -> None:
    assert desk.computed(db.from_sequence(range(4), npartitions=2).map(tasks.add_one)) == [1, 2, 3, 4]


def test_a_dataframe_gives_a_dataframe(desk: Desk) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": list("wxyz")})
    value = desk.computed(dd.from_pandas(frame, npartitions=3))
    pd.testing.assert_frame_equal(value.astype({"b": object}), frame.astype({"b": object}))


def test_a_dataframe_that_is_shuffled_gives_the_right_groups(desk: Desk) -> None:
    frame = pd.DataFrame({"key": [1, 2, 1, 2, 3], "value": [1, 10, 2, 20, 100]})
    grouped = dd.from_pandas(frame, npartitions=3).merge(dd.from_pandas(frame, npartitions=2), on="key")
    value = desk.computed(grouped.groupby("key").value_x.sum())
    assert value.to_dict() == frame.merge(frame, on="key").groupby("key").value_x.sum().to_dict()


def test_a_list_of_leaves_is_one_job_with_parts_in_order(desk: Desk) -> None:
    one = delayed(tasks.add_one)(1)
    job = desk.execute([one, da.ones(3, chunks=2).sum(), delayed(tasks.add_one)(one), one])
    assert job.native_id.endswith(job.submission_id.hex)
    assert desk.result(job).value == [2, 3.0, 3, 2]


def test_one_leaf_goes_by_a_key_that_ends_in_its_attempt(desk: Desk) -> None:
    job = desk.execute(dd.from_pandas(pd.DataFrame({"a": [1, 2]}), npartitions=2))
    assert job.native_id.endswith(f"@{job.submission_id.hex}")
    assert desk.backend.future(job).key == job.native_id


def test_a_function_is_called_with_its_arguments(desk: Desk) -> None:
    assert desk.computed(tasks.add_one, number=4) == 5


def test_a_function_that_makes_a_graph_has_it_computed(desk: Desk) -> None:
    assert desk.computed(tasks.without_client, 1) == 2


def test_a_function_gets_the_client_it_asks_for_and_its_future_is_the_result(desk: Desk) -> None:
    assert desk.computed(tasks.with_client, 41) == 42


def test_a_function_by_name_is_found_by_the_worker(desk: Desk) -> None:
    assert desk.computed("tests.rig.dask_tasks.with_client", 41) == 42


def test_a_function_that_returns_a_dict_of_futures_has_a_dict_as_result(desk: Desk) -> None:
    def work(client: Any) -> Any:
        first = client.submit(tasks.add_one, 1)
        return {"first": first, 2: client.submit(tasks.add_one, first)}

    assert desk.computed(work) == {"first": 2, 2: 3}


def test_a_function_that_persists_has_its_collection_computed(desk: Desk) -> None:
    np.testing.assert_array_equal(desk.computed(lambda client: client.persist(da.ones(4, chunks=2)) + 1), np.full(4, 2))


def test_a_function_that_raises_says_so_with_its_traceback(desk: Desk) -> None:
    with pytest.raises(InvalidJob, match="ValueError: bad depth") as refusal:
        desk.execute(tasks.simulate, -1)
    assert "in simulate" in refusal.value.detail


def test_one_job_that_cannot_be_opened_spoils_no_other(desk: Desk) -> None:
    bad, good = desk.prepared(tasks.add_one, 1), desk.prepared(tasks.add_one, 1)
    bad.input = b"not a pickle"
    outcomes = dict(desk.backend.submit([bad, good]))
    assert isinstance(outcomes[bad], InvalidJob)
    assert outcomes[good].native_id.endswith(good.submission_id.hex)


def test_a_hundred_short_jobs_all_end_right(desk: Desk) -> None:
    jobs = [desk.prepared(delayed(tasks.add_one)(number)) for number in range(100)]
    for job, outcome in desk.backend.submit(jobs):
        desk.accept(job, outcome)
    eventually(lambda: {seen.status for seen in desk.backend.poll(jobs).values()} == {Status.RESULTS_READY})
    assert [desk.backend.fetch_results(job).value for job in jobs] == list(range(1, 101))


@pytest.fixture
def ample_desk() -> Iterator[Desk]:
    """For very many tasks: the workers get all at once, and not each when another one has ended. That is far faster."""
    with DaskCluster(workers=2, settings={"SCHEDULER__WORKER_SATURATION": "inf"}) as cluster:
        desk = Desk(cluster.address, timeout=PATIENT)
        yield desk
        desk.backend.close()


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:Sending large graph")
def test_twenty_thousand_tasks_end_right_and_are_counted(ample_desk: Desk) -> None:
    job = ample_desk.execute(tasks.graph_of(20_000))
    assert job.progress_total == 20_001
    seen = ample_desk.ended(job, timeout=240)  # some 10 s on an idle machine
    assert (seen.progress_done, seen.progress_total) == (20_001, 20_001)
    assert ample_desk.backend.fetch_results(job).value == sum(range(20_000)) + 20_000


def test_a_failed_task_keeps_type_message_and_traceback(desk: Desk) -> None:
    job = desk.execute(delayed(tasks.add_one)(delayed(tasks.simulate)(-1)))
    seen = desk.ended(job)
    assert (seen.status, seen.message) == (Status.ERROR, "ValueError: bad depth (in task 'simulate')")
    assert 'raise ValueError("bad depth")' in seen.detail
    with pytest.raises(InvalidJob, match="bad depth"):
        desk.backend.fetch_results(job)


def test_a_new_attempt_does_not_meet_the_old_error(desk: Desk, tmp_path: Path) -> None:
    job = desk.execute(delayed(tasks.needs)(str(tmp_path / "input")))
    assert "FileNotFoundError" in desk.ended(job).message
    (tmp_path / "input").write_text("there now")
    job.submission_id = desk.prepared(tasks.add_one, 1).submission_id
    assert desk.result(desk.submit(job)).value == "there now"


def test_some_failed_parts_leave_the_results_of_the_others(desk: Desk) -> None:
    job = desk.execute([delayed(tasks.simulate)(depth) for depth in (1, -1, 2)])
    result = desk.result(job)
    assert result.value == [1, None, 2]
    assert result.status == Status.VARIOUS_COMPLETE
    assert result.message == "1 of 3 parts failed: ValueError: bad depth (in task 'simulate')"
    assert job.backend_state["failed"] == 1


def test_a_job_that_forgets_its_result_moves_none(desk: Desk, settings: Any) -> None:
    settings.JOBSAPI = {"RESULT_MAX_BYTES": 10}
    job = desk.execute(delayed(tasks.zeros)(1000))
    job.forget = True
    assert desk.result(job).value is None


def test_a_result_that_is_too_large_is_refused_with_both_sizes(desk: Desk, settings: Any) -> None:
    settings.JOBSAPI = {"RESULT_MAX_BYTES": 1024**2}
    job = desk.execute(delayed(tasks.zeros)(3 * 1024**2))
    desk.ended(job)
    with pytest.raises(ResultTooLarge, match=r"3\.00 MiB; at most 1\.00 MiB"):
        desk.backend.fetch_results(job)


def test_a_task_that_returns_a_future_is_refused_and_does_not_hang(desk: Desk) -> None:
    job = desk.execute(delayed(lambda: [get_client().submit(tasks.add_one, 1)])())
    desk.ended(job)
    with pytest.raises(InvalidJob, match="future, not a value"):
        desk.backend.fetch_results(job)


def test_annotations_of_tasks_reach_the_scheduler(desk: Desk, cluster: DaskCluster) -> None:
    with dask.annotate(priority=7):
        job = desk.execute(delayed(tasks.add_one)(1))
    desk.ended(job)

    def annotations_of_the_leaf(key: str, dask_scheduler: Any = None) -> Any:
        (leaf,) = dask_scheduler.tasks[key].dependencies
        return leaf.annotations

    assert cluster.ask(annotations_of_the_leaf, job.native_id) == {"priority": 7}


def test_logs_are_those_of_the_scheduler_and_of_the_workers_involved(desk: Desk) -> None:
    job = desk.execute(delayed(tasks.add_one)(1))
    desk.ended(job)
    logs = desk.backend.logs(job)
    assert "Receive client connection" in logs.pop("scheduler").text
    assert len(logs) == 1
