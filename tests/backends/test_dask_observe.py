"""What the scheduler's answer means, on answers written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from jobsapi.backends.dask.observe import exception_words, observation
from jobsapi.status import Status

BAD = "ValueError: bad (in task 'simulate')"
NONE_CONNECTED = "Waiting for a worker: none is connected to the Dask scheduler."


def seen(leaves: dict[str, int], *, workers: int = 1, state: dict[str, Any] | None = None, **changes: Any) -> Any:
    failures = [{"task": "simulate-1@x", "exception": "ValueError('bad')", "traceback": ""}] * leaves.get("erred", 0)
    pinned = {"key": None, "leaves": leaves, "failures": failures, "nbytes": 0, "busy": False, "done": 0, "total": 9}
    pinned["tasks"] = None
    datasets = {"name": {**pinned, **changes}}
    answer: Any = {"scheduler_id": "s", "started": 1.0, "workers": workers, "datasets": datasets}
    return observation("name", answer, state or {"scheduler_id": "s"})


@pytest.mark.parametrize(
    ("leaves", "changes", "status", "message"),
    [
        ({"memory": 2}, {}, Status.RESULTS_READY, ""),
        ({"erred": 1}, {}, Status.ERROR, BAD),
        ({"erred": 2}, {}, Status.ERROR, f"All 2 parts failed: {BAD}"),
        (
            {"erred": 1, "memory": 1},
            {},
            Status.RESULTS_READY,
            f"1 of 2 parts failed: {BAD}",
        ),
        ({"memory": 3, "waiting": 5}, {}, Status.VARIOUS, "3 of 8 parts done"),
        ({"erred": 1, "memory": 2, "waiting": 5}, {}, Status.VARIOUS, "3 of 8 parts done, 1 failed"),
        ({"waiting": 1}, {"busy": True}, Status.RUNNING, ""),
        ({"waiting": 1}, {"done": 4}, Status.RUNNING, ""),
        ({"waiting": 1}, {}, Status.SUBMITTED, ""),
        ({"waiting": 1}, {"done": None, "state": {"ran": True}}, Status.RUNNING, ""),
        (
            {"waiting": 1},
            {"done": 4, "workers": 0},
            Status.SUBMITTED,
            NONE_CONNECTED,
        ),
        ({"no-worker": 1}, {}, Status.SUBMITTED, "Waiting for a worker: none of those connected fits the job."),
    ],
)
def test_states_of_leaves_make_a_status(leaves: Any, changes: Any, status: Status, message: str) -> None:
    observed = seen(leaves, **changes)
    assert (observed.status, observed.message) == (status, message)


def test_a_key_that_the_same_scheduler_does_not_know_is_left_out() -> None:
    assert seen({"memory": 1, "missing": 1}) is None


def test_what_did_not_change_is_not_written_again() -> None:
    assert seen({"processing": 1}, busy=True).state == {"ran": True}
    assert seen({"processing": 1}, busy=True, state={"ran": True}).state == {}
    tasks = [("simulate", 3, 1, 5, 0, 0)]
    assert seen({"waiting": 1}, tasks=tasks, state={"ran": True}).state == {"tasks": [["simulate", 3, 1, 5, 0, 0]]}
    known = {"ran": True, "tasks": [["simulate", 3, 1, 5, 0, 0]]}
    assert seen({"waiting": 1}, tasks=tasks, state=known).state == {}
    assert seen({"waiting": 1}, tasks=None, state=known).state == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ValueError('bad depth')", "ValueError: bad depth"),
        ("KeyError(3)", "KeyError: 3"),
        ("ValueError()", "ValueError"),
        ("OSError(2, 'No such file')", "OSError: (2, 'No such file')"),
        ("Weird(<object at 0x1>)", "Weird(<object at 0x1>)"),
        ("something else", "something else"),
    ],
)
def test_an_exception_reads_as_python_prints_it(text: str, words: str) -> None:
    assert exception_words(text) == words
