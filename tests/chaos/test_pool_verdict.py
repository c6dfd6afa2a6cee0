"""The verdict on HTCondor's jobs finds what is wrong, and nothing else."""

from __future__ import annotations

import pytest

from tests.chaos import pool_verdict
from tests.chaos.cases import Wrong
from tests.chaos.ground import Ground, append

MARK = 32 * "a"
"""Of an attempt."""


def ad(cluster, proc=0, mark=MARK, **said):
    ended = {"JobStatus": 4, "ExitCode": 0, "NumJobStarts": 1, "NumShadowStarts": 1}
    return {"ClusterId": cluster, "ProcId": proc, "JobsApiId": mark, **ended, **said}


@pytest.fixture
def ground(tmp_path):
    made = Ground(tmp_path)
    made.make()
    return made


def found(cases):
    return [case.wrong for case in cases]


def test_an_attempt_with_two_clusters_was_doubled_and_one_with_two_procs_was_not(db):
    procs = [ad(1), ad(1, 1)]
    assert found(pool_verdict._twice(procs)) == []
    assert found(pool_verdict._twice([*procs, ad(2)])) == [Wrong.DOUBLED]


def test_the_nodes_of_a_workflow_are_no_other_clusters_of_its_attempt(db):
    assert found(pool_verdict._twice([ad(1, JobUniverse=7), ad(2, DAGManJobId=1, DAGNodeName="A")])) == []


def test_a_part_may_run_as_often_as_htcondor_has_started_it_and_no_more(db, ground):
    for _ in range(2):
        append(ground.ran / "job", f"{MARK} 0 1.0 1")

    assert found(pool_verdict._too_often(ground, [ad(1)])) == [Wrong.DOUBLED]
    assert found(pool_verdict._too_often(ground, [ad(1, NumJobStarts=2)])) == []


def test_what_ended_well_and_has_noted_nothing_is_lost(db, ground):
    assert found(pool_verdict._never_ran(ground, [ad(1), ad(2, mark=32 * "b", ExitCode=3)])) == [Wrong.LOST]
    append(ground.ran / "job", f"{MARK} 0 1.0 1")
    assert found(pool_verdict._never_ran(ground, [ad(1)])) == []


@pytest.mark.parametrize(
    ("ads", "status"),
    [
        ([ad(1), ad(1, 1)], "Complete"),
        ([ad(1), ad(1, 1, ExitCode=3)], "Various-Complete"),
        ([ad(1, ExitCode=3)], "Error"),
        ([ad(1, JobStatus=3)], "Aborted"),
    ],
)
def test_what_a_job_deserves_follows_from_how_its_parts_ended(ads, status):
    assert pool_verdict._told(ads) == status
