"""The campaign replays a plan from its seed, kills where it is told to, and its verdict finds what is broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from jobsapi.models import Job
from jobsapi.portal.demo import ROOT
from jobsapi.status import Status
from tests.chaos import points, table, verdict
from tests.chaos.campaign import Injected
from tests.chaos.cases import Case, Wrong
from tests.chaos.ground import VARIABLE, Ground, append
from tests.chaos.kinds import all_kinds, kind_of, name_of
from tests.chaos.plan import planned

FAULTS = ["one", "two", "three"]


@pytest.fixture
def ground(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    ground = Ground.here()
    ground.make()
    return ground


def pass_point(name):
    """A process of its own comes to a point; how it ended."""
    code = f"from tests.chaos.points import passing; passing({name!r})"
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)


def test_the_same_seed_gives_the_same_plan_and_another_one_another():
    same, again, other = (planned(50, seed, FAULTS, ["dask"], 10) for seed in (7, 7, 8))

    assert same == again != other


def test_each_fault_comes_and_each_kind_of_job_is_among_few_jobs():
    plan = planned(40, 7, FAULTS, ["dask"], 7)

    assert Counter(turn.fault for turn in plan.turns) == {"one": 3, "two": 3, "three": 3}
    assert set(plan.kinds) == {kind.name for kind in all_kinds().values() if kind.scheduler == "dask"}
    assert [turn.after for turn in plan.turns] == sorted(turn.after for turn in plan.turns)


def test_a_charge_kills_the_first_process_that_comes_and_no_other(ground):
    assert pass_point("submit: after publish").returncode == 0
    points.charge("submit: after publish")

    assert pass_point("submit: before publish").returncode == 0
    assert pass_point("submit: after publish").returncode == -signal.SIGKILL
    assert pass_point("submit: after publish").returncode == 0

    assert points.known() == ["submit: after publish", "submit: before publish"]
    assert points.killed() == {"submit: after publish": 1}


def test_a_broken_promise_is_counted_for_each_fault_that_its_job_was_under_way_at():
    injected = [Injected("one", 0, 1, [], [1, 2]), Injected("two", 2, 1, [], [2]), Injected("one", 4, 1, [], [3])]

    lines = table.rows(injected, [Case(Wrong.LOST, "job 1 is gone", 1), Case(Wrong.LEFT, "a file")], 3)

    assert lines == [
        ("one", "2", "3", "1", "0", "0", "0"),
        ("two", "1", "1", "0", "0", "0", "0"),
        ("All", "3", "3", "1", "0", "0", "1"),
    ]


@pytest.mark.django_db
def test_a_second_acceptance_of_one_attempt_is_found_and_one_of_another_attempt_is_none(make_job):
    job = make_job(name_of(1, "quick"))
    job.save()
    for by, message in [("execute", ""), ("worker", "Accepted by a."), ("lost", ""), ("worker", "Accepted by a.")]:
        job.event(by, message).save()

    assert not [*verdict.accepted_once(job)]

    job.event("worker", "An earlier try had arrived by a.").save()
    assert [case.wrong for case in verdict.accepted_once(job)] == [Wrong.DOUBLED]


@pytest.mark.django_db
def test_a_job_that_has_not_ended_is_lost_and_one_that_ended_otherwise_than_deserved_is_in_a_wrong_state(
    make_job, ground
):
    job = make_job(name_of(1, "failing"))
    job.save()
    campaign = SimpleNamespace(ground=ground)
    append(ground.ran / str(job.uid), "key - 0 1")

    def found():
        return [case.wrong for case in verdict.ended_rightly(campaign, Job.objects.get(pk=job.pk))]

    assert found() == [Wrong.LOST]
    job.update_status("Error")
    assert found() == [Wrong.STATE]  # it does not say which depth was wrong
    Job._base_manager.filter(pk=job.pk).update(status_message="ValueError: no depth 1")
    assert found() == []
    Job._base_manager.filter(pk=job.pk).update(_status=Status.COMPLETE)
    assert Wrong.STATE in found()


@pytest.mark.django_db
def test_a_task_that_ran_more_often_than_its_scheduler_knows_is_found(make_job, ground):
    job = make_job(name_of(1, "quick"))
    job.save()
    campaign = SimpleNamespace(ground=ground)
    for _ in range(2):
        append(ground.ran / str(job.uid), "quick-1@attempt - 0 1")
    append(ground.home / "dask-1.log", "started quick-1@attempt")

    assert [case.wrong for case in verdict.ran_once(campaign)] == [Wrong.DOUBLED]

    append(ground.home / "dask-1.log", "lost quick-1@attempt")
    assert not [*verdict.ran_once(campaign)]


def test_the_name_of_a_job_says_its_kind():
    assert [kind_of(name_of(12, name)).name for name in all_kinds()] == [*all_kinds()]
