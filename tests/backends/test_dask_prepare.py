"""What execute() takes and what it refuses, with no scheduler anywhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dask.array as da
import dask.dataframe as dd
import pandas as pd
import pytest
from dask import delayed
from distributed import Future

from jobsapi.backends.dask import DaskBackend
from jobsapi.backends.dask.graph import attempt_graph, use_portable_shuffles
from jobsapi.backends.dask.work import check_client
from jobsapi.exceptions import DaskJobException, InvalidJob, NotSupported, SchedulerMissing, WorkNotPicklable
from tests.backends.conftest import Desk, FakeScheduler
from tests.rig import dask_tasks as tasks

desk = Desk("tcp://127.0.0.1:1")


@pytest.mark.parametrize("nothing", [(), (None,), (5,), ([1, 2],), ([],)])
def test_what_cannot_be_run_is_refused_with_what_can(nothing: Any) -> None:
    with pytest.raises(InvalidJob, match="Give it a Delayed"):
        desk.prepared(*nothing)


def test_arguments_without_a_function_are_refused() -> None:
    with pytest.raises(InvalidJob, match="only with a function"):
        desk.prepared(delayed(tasks.add_one)(1), 5)


def test_arguments_that_do_not_fit_are_refused_at_once() -> None:
    with pytest.raises(InvalidJob, match="missing a required argument: 'number'"):
        desk.prepared("tests.rig.dask_tasks.with_client")


def test_a_client_that_the_worker_gives_is_no_missing_argument() -> None:
    assert desk.prepared(tasks.with_client, 1).input


def test_a_graph_that_cannot_be_pickled_is_refused_with_the_reason() -> None:
    with pytest.raises(WorkNotPicklable, match=r"The graph cannot be packed .*cannot pickle '_thread.lock'"):
        desk.prepared(delayed(tasks.add_one)(tasks.lock()))


def test_the_argument_that_cannot_be_pickled_is_named() -> None:
    with pytest.raises(WorkNotPicklable, match='The argument "number" cannot be packed'):
        desk.prepared(tasks.add_one, number=tasks.lock())


def test_a_graph_with_a_future_inside_is_refused() -> None:
    with pytest.raises(InvalidJob, match="contains the future 'lent'"):
        desk.prepared(delayed(tasks.add_one)(delayed(Future("lent"))))
    with pytest.raises(InvalidJob, match="contains the future 'lent'"):
        desk.prepared(tasks.add_one, [Future("lent")])


def test_work_that_is_too_large_is_refused_with_its_size(settings: Any) -> None:
    settings.JOBSAPI = {"INPUT_MAX_BYTES": 1024**2}
    with pytest.raises(InvalidJob, match=r"The work is 3\.00 MiB when packed; at most 1\.00 MiB"):
        desk.prepared(len, bytes(3 * 1024**2))


def test_a_repeat_of_an_attempt_has_the_same_keys_and_another_attempt_has_none_of_them() -> None:
    array = da.ones(6, chunks=2) + 1
    first, repeat, other = (attempt_graph([array], attempt) for attempt in ("a", "a", "b"))
    assert first.leaves == repeat.leaves
    assert all(str(key[0] if isinstance(key, tuple) else key).endswith("@a") for key in first.tasks)
    assert not set(first.tasks) & set(other.tasks)


def test_a_leaf_is_one_text_key_whatever_the_collection() -> None:
    frame = dd.from_pandas(pd.DataFrame({"a": [1, 2]}), npartitions=2)
    graph = attempt_graph([frame, frame.a.sum(), delayed(1)], "x")
    assert all(isinstance(leaf, str) and leaf in graph.tasks for leaf in graph.leaves)
    assert len(set(graph.leaves)) == 3


def test_names_of_the_users_own_never_collide_with_those_of_results() -> None:
    first, second = delayed(tasks.add_one)(1, dask_key_name="f"), delayed(tasks.add_one)(2, dask_key_name="f-0")

    graph = attempt_graph([first, delayed(tasks.total)([second]), first], "x")

    assert len(set(graph.leaves)) == 3
    assert {"f-@x", "f-0-@x"} <= set(graph.tasks)


def test_a_shuffle_that_cannot_be_a_job_is_refused_with_a_way_out() -> None:
    use_portable_shuffles()
    frame = dd.from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=3).shuffle("a", shuffle_method="p2p")
    with pytest.raises(InvalidJob, match="p2p"):
        attempt_graph([frame], "x")


def test_a_job_without_a_scheduler_is_told_so() -> None:
    with pytest.raises(SchedulerMissing):
        DaskBackend(None)


def test_a_scheduler_that_is_described_wrongly_says_what_to_set() -> None:
    with pytest.raises(DaskJobException, match="has no host"):
        DaskBackend(FakeScheduler(""))
    with pytest.raises(DaskJobException, match='The time-out "soon"'):
        DaskBackend(FakeScheduler("tcp://127.0.0.1:1", timeout="soon"))


def test_pause_and_resume_are_refused_in_words() -> None:
    with pytest.raises(NotSupported, match="Dask cannot pause"):
        desk.backend.hold([])
    with pytest.raises(NotSupported, match="Dask cannot pause"):
        desk.backend.release([])


def test_an_asynchronous_client_is_refused() -> None:
    client: Any = SimpleNamespace(asynchronous=True)
    with pytest.raises(InvalidJob, match="asynchronous"):
        check_client(desk.prepared(tasks.add_one, 1), client)
