"""Whatever a Dask scheduler says of tasks, versions and logs, whose exceptions show themselves as they like."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from jobsapi.backends.dask import health, observe
from jobsapi.backends.dask.tasks import task_name
from tests.properties.texts import HUGE, json_values, texts

STATES = ("memory", "erred", "waiting", "processing", "no-worker", "released", "missing")

arguments = (
    texts | st.builds(repr, json_values) | st.sampled_from(["{[]: 1}", "{{}}", "0x" + "f" * 9_000, "'\\d'", "1 is 2"])
)
failures = st.fixed_dictionaries(
    {
        "task": texts | st.tuples(texts, st.integers()),
        "exception": st.builds("E({})".format, arguments),
        "traceback": texts,
    }
)
rows = st.tuples(texts, *([st.integers(0, 2**40)] * 5))


@given(st.builds("{}({})".format, st.sampled_from(["ValueError", "a.b", "KilledWorker", ""]), arguments) | texts)
@example("KeyError({[]: 1})")
@example(f"E({'-' * 10_000}1)")
@example(f"E({'(' * 3_000})")
@example(f"E(0x{'f' * 9_000})")
@example(r"E('\d')")
def test_every_exception_has_words(text):
    assert isinstance(observe.exception_words(text), str)


@st.composite
def pinned(draw):
    """What the scheduler says of a dataset: some leaves, and a failure if any has failed."""
    leaves = draw(st.dictionaries(st.sampled_from(STATES), st.integers(1, 2**40), min_size=1, max_size=3))
    return {
        "key": draw(st.none() | texts),
        "leaves": leaves,
        "failures": draw(st.lists(failures, min_size=1 if leaves.get("erred") else 0, max_size=2)),
        "nbytes": draw(st.integers(-1, 2**63)),
        "busy": draw(st.booleans()),
        "done": draw(st.none() | st.integers(0, 2**40)),
        "total": draw(st.none() | st.integers(0, 2**40)),
        "tasks": draw(st.none() | st.lists(rows, max_size=3)),
    }


@given(pinned(), st.integers(0, 3), st.lists(rows.map(list), max_size=2), st.booleans())
def test_what_is_said_of_a_job_makes_an_observation_that_can_be_kept(said, workers, before, ran):
    snapshot = {"scheduler_id": "Scheduler-1", "started": 1.0, "workers": workers, "datasets": {"name": said}}
    state = {"tasks": before, "ran": ran}

    for _ in range(2):
        seen = observe.observation("name", snapshot, state)
        if seen is not None:
            state |= json.loads(json.dumps(seen.state))
    observe.accepted("name", snapshot)


versions = st.fixed_dictionaries(
    {
        "host": st.dictionaries(texts, json_values, max_size=2) | st.just({"python": "3.11.2.final.0"}),
        "packages": st.dictionaries(st.sampled_from(health.COMPARED), json_values),
    }
)


@given(versions, versions, st.dictionaries(texts, versions | texts, max_size=3), st.integers(0, 10**6))
def test_versions_that_nobody_expects_are_told_as_they_are(client, scheduler, workers, threads):
    answer = {"client": client, "scheduler": scheduler, "workers": workers}

    json.dumps(health.fit(answer).facts)
    health.workers(answer, threads)


@given(st.lists(st.tuples(texts, texts), max_size=3), texts)
def test_lines_of_a_log_are_texts(lines, attempt):
    assert isinstance(health.text(lines, attempt), str)


@given(texts | st.tuples(texts, st.integers()) | st.integers())
@example(f"a-{HUGE}@{HUGE}")
def test_every_key_has_the_name_of_a_task(key):
    assert len(task_name(key)) <= 80
