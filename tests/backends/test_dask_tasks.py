"""How far the tasks of a Dask job are, by name: on a real scheduler, and what is kept of what it forgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dask import array
from dask.delayed import Delayed, delayed

from jobsapi.backends.dask.observe import remembered
from jobsapi.backends.dask.tasks import NAMES_SHOWN, Named, shortened, task_name
from tests.backends.conftest import Desk
from tests.rig.dask_tasks import add_one, simulate, total, until
from tests.rig.eventually import eventually

on_a_cluster = pytest.mark.services


def tasks(job: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(numbers) for name, *numbers in job.backend_state.get("tasks", [])}


@on_a_cluster
def test_tasks_are_counted_by_name_in_the_order_in_which_they_run(desk: Desk, tmp_path: Path) -> None:
    go = tmp_path / "go"
    held = delayed(until)(str(go), 1)
    graph = delayed(total)([delayed(add_one)(held) for _ in range(5)])
    job = desk.execute(graph)

    eventually(lambda: desk.seen(job) and tasks(job).get("until") == (0, 1, 0, 0, 0))
    assert list(tasks(job).items()) == [
        ("until", (0, 1, 0, 0, 0)),
        ("add_one", (0, 0, 5, 0, 0)),
        ("total", (0, 0, 1, 0, 0)),
    ]
    go.touch()
    desk.ended(job)
    assert tasks(job) == {"until": (1, 0, 0, 0, 0), "add_one": (5, 0, 0, 0, 0), "total": (1, 0, 0, 0, 0)}


@on_a_cluster
def test_a_failed_task_is_told_from_those_that_are_not_run_because_of_it(desk: Desk) -> None:
    bad = delayed(add_one)(delayed(simulate)(-1))
    job = desk.execute([bad, delayed(total)([1, 2])])

    desk.ended(job)

    assert tasks(job) == {"simulate": (0, 0, 0, 1, 0), "add_one": (0, 0, 0, 0, 1), "total": (1, 0, 0, 0, 0)}


@on_a_cluster
def test_names_of_several_words_stay_apart_and_no_attempt_is_in_them(desk: Desk) -> None:
    graph = {"load-data": (add_one, 1), "load-mean": (add_one, "load-data"), "end": (add_one, "load-mean")}
    job = desk.execute(Delayed("end", graph))
    desk.ended(job)
    assert list(tasks(job)) == ["load-data", "load-mean", "end"]
    other = desk.execute((array.ones((4, 4), chunks=2) + 1).sum())
    desk.ended(other)
    assert not [name for name in tasks(other) if "@" in name]


@on_a_cluster
def test_the_numbers_by_name_add_up_to_the_progress(desk: Desk) -> None:
    job = desk.execute(delayed(total)([delayed(add_one)(number) for number in range(40)]))
    seen = desk.ended(job)
    assert sum(done for done, *_ in tasks(job).values()) == seen.progress_done == 41
    assert sum(map(sum, tasks(job).values())) == seen.progress_total == 41


def test_of_very_many_names_those_of_most_tasks_are_told_and_the_others_together() -> None:
    counted = [Named(f"n{number}", number, 0, 1, 0, 0) for number in range(100)]

    few = shortened(counted)

    assert len(few) == NAMES_SHOWN
    assert few[0].name == "n71"
    assert few[-1] == Named("", sum(range(71)), 0, 71, 0, 0)
    assert sum(sum(named[1:]) for named in few) == sum(sum(named[1:]) for named in counted)
    assert shortened(counted[:NAMES_SHOWN]) == counted[:NAMES_SHOWN]


def test_what_dask_has_forgotten_altogether_was_done() -> None:
    before = [["load", 8, 1, 1, 0, 0], ["sum", 0, 0, 1, 0, 0]]
    assert remembered(before, [("load", 2, 1, 1, 0, 0), ("sum", 0, 1, 0, 0, 0)]) == [
        ["load", 8, 1, 1, 0, 0],
        ["sum", 0, 1, 0, 0, 0],
    ]
    assert remembered([["load", 10, 0, 0, 0, 0]], [("sum", 1, 0, 0, 0, 0)]) == [
        ["load", 10, 0, 0, 0, 0],
        ["sum", 1, 0, 0, 0, 0],
    ]


def test_what_has_to_be_computed_again_is_not_done_any_more() -> None:
    before = [["load", 8, 0, 0, 0, 0]]
    assert remembered(before, [("load", 5, 2, 1, 0, 0)]) == [["load", 5, 2, 1, 0, 0]]


def test_the_order_of_names_stays_and_the_others_are_last() -> None:
    before = [["b", 1, 0, 0, 0, 0], ["a", 1, 0, 0, 0, 0]]
    now = [("a", 1, 0, 0, 0, 0), ("", 3, 0, 0, 0, 0), ("b", 1, 0, 0, 0, 0), ("c", 1, 0, 0, 0, 0)]
    assert [name for name, *_ in remembered(before, now)] == ["b", "a", "c", ""]


@pytest.mark.parametrize("key", ["simulate-0@abc", "simulate-1234abcd-@abc", ("simulate-1234-@abc", 0, 1), "simulate"])
def test_a_task_goes_by_its_function(key: Any) -> None:
    assert task_name(key) == "simulate"
