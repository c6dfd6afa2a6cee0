"""What HTCondor and DAGMan say of workflows, on answers of real pools."""

from __future__ import annotations

from typing import Any

import pytest

from jobsapi.backends.base import Observation
from jobsapi.backends.condor.node_status import Node, NodeState, NodeStatuses
from jobsapi.backends.condor.observe import nodes_of, observe_workflow
from jobsapi.status import Status
from tests.backends.condor.recorded import VERSIONS, Recorded


@pytest.fixture(params=VERSIONS)
def pool(request: pytest.FixtureRequest) -> Recorded:
    return Recorded(request.param)


def seen_at(pool: Recorded, case: str, moment: str) -> Observation:
    seen = pool.workflow(case, moment)
    assert seen is not None
    return seen


def nodes(pool: Recorded, case: str) -> dict[str, Any]:
    found: dict[str, Any] = pool.states[case]["nodes"]
    return found


def statuses(pool: Recorded, case: str) -> dict[str, str]:
    return {name: node["status"] for name, node in nodes(pool, case).items()}


@pytest.mark.parametrize(
    ("case", "status", "words"),
    [
        ("sub", Status.RUNNING, "0 of 1 node done, 1 running"),
        ("waiting", Status.SUBMITTED, "Waiting for a machine: 5 of this portal's jobs come first."),
        ("pre", Status.VARIOUS, "1 of 4 nodes done, 2 failed, 1 running. B: PRE script: exit code 5."),
        ("ok", Status.RUNNING, "1 of 3 nodes done, 1 waiting"),
    ],
)
def test_a_workflow_at_work_says_how_far_it_is(pool: Recorded, case: str, status: Status, words: str) -> None:
    seen = seen_at(pool, case, "late")
    assert (seen.status, seen.message) == (status, words)


@pytest.mark.parametrize(
    ("case", "outcome", "words"),
    [
        ("ok", "COM", ""),
        ("retry", "COM", ""),
        ("mixed", "COM", ""),
        ("early", "COM", "Ended early, as a node asked for (ABORT-DAG-ON): 1 of 2 nodes done."),
        ("fail", "VCP", "2 of 4 nodes failed: B: exit code 3; K: killed by signal 9 (SIGKILL). 1 not run to the end."),
        ("finalfail", "VCP", "1 of 2 nodes failed: F: exit code 3."),
        ("missing", "VCP", "1 of 2 nodes failed: A: job submit failed."),
        ("noderm", "VCP", "1 of 2 nodes failed: A: its job was removed from HTCondor's queue."),
        ("multi", "ERR", "1 of 1 node failed: M: part 1: exit code 4."),
        ("allfail", "ERR", "1 of 2 nodes failed: A: exit code 3. 1 not run to the end."),
        (
            "abort",
            "ERR",
            "1 of 3 nodes failed: A: exit code 3. This ended the workflow (ABORT-DAG-ON, return value 2). "
            "2 not run to the end.",
        ),
        (
            "abort0",
            "ERR",
            "1 of 3 nodes failed: A: exit code 3. This ended the workflow (ABORT-DAG-ON, return value 0). "
            "2 not run to the end.",
        ),
    ],
)
def test_a_workflow_is_complete_only_without_a_failed_node(pool: Recorded, case: str, outcome: str, words: str) -> None:
    seen = seen_at(pool, case, "end")
    assert (seen.status, seen.message) == (Status.RESULTS_READY, words)
    assert pool.states[case]["outcome"] == outcome
    assert seen.progress_done == seen.progress_total


def test_a_workflow_that_dagman_cannot_read_fails_in_words() -> None:
    # HTCondor 25 refuses it at the door.
    seen = seen_at(Recorded("23.9.6"), "parse", "end")
    assert seen.state["outcome"] == "ERR"
    assert seen.message == "DAGMan could not run the workflow (exit code 1): its log, .dagman.out, says why."


def test_a_removed_workflow_is_aborted_and_its_nodes_say_what_became_of_them(pool: Recorded) -> None:
    seen = seen_at(pool, "rm", "end")
    assert (seen.status, seen.message) == (Status.ABORTED, "Stopped by fred (by user condoruser).")
    assert statuses(pool, "rm") == {"A": "COM", "B": "ABT", "C": "ABT"}


def test_a_failed_node_tells_exit_code_or_signal_and_what_it_kept_from_running(pool: Recorded) -> None:
    seen_at(pool, "fail", "mid")
    seen_at(pool, "fail", "end")
    found = nodes(pool, "fail")
    assert found["B"].items() >= {"status": "ERR", "exit_code": 3, "message": "Exit code 3."}.items()
    assert found["K"].items() >= {"status": "ERR", "exit_signal": 9}.items()
    assert found["C"] == {"status": "ABT", "message": "Not run: a node before it failed."}
    assert found["B"]["native_id"].isdigit()


def test_every_kind_of_node_is_told_of(pool: Recorded) -> None:
    seen_at(pool, "mixed", "end")
    assert statuses(pool, "mixed") == dict.fromkeys(["N", "D", "SD", "F", "SP+X", "SP+Y"], "COM")


def test_a_retried_node_counts_its_retries_and_is_known_by_its_newest_cluster(pool: Recorded) -> None:
    seen_at(pool, "retry", "late")
    seen_at(pool, "retry", "end")
    assert nodes(pool, "retry")["A"]["retries"] == 1
    assert statuses(pool, "retry") == {"A": "COM", "B": "COM"}


def test_one_held_node_beside_others_makes_it_various_with_the_reason(pool: Recorded) -> None:
    seen = seen_at(pool, "nodehold", "late")
    assert (seen.status, seen.held) == (Status.VARIOUS, 1)
    assert ". H: held: Error from slot" in seen.message
    assert statuses(pool, "nodehold")["H"] == "PAS"
    assert pool.states["nodehold"]["hold"].items() >= {"code": 6, "subcode": 2, "parts": 1}.items()


def test_a_held_workflow_is_paused_with_all_its_nodes_and_goes_on_when_released(pool: Recorded) -> None:
    assert seen_at(pool, "allheld", "mid").status is Status.VARIOUS  # there may be more below the sub-DAG
    held = seen_at(pool, "allheld", "mid")
    assert (held.status, held.held) == (Status.PAUSED, 5)
    assert held.message.startswith("Held: Paused in the 'portal' (by user condoruser) (1/0). ")
    assert ". 0 of 4 nodes done" in held.message
    assert statuses(pool, "allheld").items() >= {"A": "PAS", "SD": "PAS", "C": "PEN"}.items()
    released = seen_at(pool, "allheld", "late")
    assert (released.status, released.held) == (Status.RUNNING, 0)
    assert pool.states["allheld"]["hold"] is None


def test_sub_dags_are_remembered_since_their_nodes_are_found_by_them(pool: Recorded) -> None:
    seen = seen_at(pool, "sub", "late")
    dagman = pool.cluster("sub")
    below = nodes_of(pool.queue("late"), dagman)
    inner = next(ad["ClusterId"] for ad in below if ad["DAGManJobId"] == dagman)
    assert seen.state["sub_dags"] == [inner]
    assert {"SD", "Y"} <= {ad["DAGNodeName"] for ad in below}


def test_a_return_value_that_makes_htcondor_start_it_over_and_over_is_told() -> None:
    seen = seen_at(Recorded("25.14.1"), "loop", "late")
    assert seen.status is Status.SUBMITTED
    assert "return value 42" in seen.message


@pytest.mark.parametrize("case", ["pre", "nodehold", "sub", "waiting", "fail", "ok"])
def test_what_did_not_change_is_not_written_again(pool: Recorded, case: str) -> None:
    seen_at(pool, case, "late")
    assert seen_at(pool, case, "late").state == {}


def dagman(**more: Any) -> dict[str, Any]:
    return {"ClusterId": 7, "ProcId": 0, "JobStatus": 2, "JobUniverse": 7, "QDate": 100, **more}


def node(name: str, status: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "ClusterId": 8,
        "ProcId": 0,
        "JobStatus": status,
        "JobUniverse": 5,
        "DAGNodeName": name,
        "DAGManJobId": 7,
    } | more


def file(**states: NodeState) -> NodeStatuses:
    return NodeStatuses(100, {name: Node(state) for name, state in states.items()})


def test_without_dagmans_own_job_nothing_is_known() -> None:
    assert observe_workflow(None, False, [node("A")], None, {}) is None


def test_before_the_first_file_the_queue_alone_tells() -> None:
    seen = observe_workflow(dagman(DAG_NodesTotal=3), False, [node("A", 2)], None, {})
    assert seen is not None
    assert (seen.status, seen.progress_total) == (Status.RUNNING, 3)
    assert seen.state["nodes"] == {"A": {"status": "RUN", "native_id": "8"}}


def test_a_file_that_cannot_be_read_now_changes_no_node_that_has_ended() -> None:
    before = {
        "A": {"status": "ERR", "message": "Exit code 3.", "exit_code": 3},
        "B": {"status": "RUN", "native_id": "8"},
    }
    seen = observe_workflow(dagman(), False, [node("B", 2)], None, {"nodes": before})
    assert seen is not None
    assert (seen.status, seen.state) == (Status.VARIOUS, {})


def test_a_file_of_an_earlier_attempt_is_not_believed() -> None:
    seen = observe_workflow(dagman(QDate=101), False, [], file(A=NodeState.ERROR), {})
    assert seen is not None
    assert (seen.status, seen.state) == (Status.SUBMITTED, {})


def test_scripts_that_run_are_work() -> None:
    seen = observe_workflow(dagman(), False, [], file(A=NodeState.PRERUN, B=NodeState.POSTRUN), {})
    assert seen is not None
    assert seen.status is Status.RUNNING
    assert seen.state["nodes"]["A"] == {"status": "RUN", "message": "Its PRE script runs."}


def test_a_node_that_left_the_queue_before_dagman_noticed_still_runs() -> None:
    seen = observe_workflow(dagman(), False, [], file(A=NodeState.SUBMITTED), {})
    assert seen is not None
    assert seen.status is Status.RUNNING


def test_all_that_could_go_on_being_held_is_paused_whatever_waits_for_it() -> None:
    states = file(A=NodeState.DONE, B=NodeState.SUBMITTED, C=NodeState.NOT_READY)
    seen = observe_workflow(dagman(), False, [node("B", 5, HoldReason="No", HoldReasonCode=3)], states, {})
    assert seen is not None
    assert (seen.status, seen.held) == (Status.PAUSED, 1)
    assert seen.message.startswith("1 of 3 nodes done, 1 held. B: held: No (3/0). ")


def test_one_held_part_of_a_node_at_work_is_told() -> None:
    ads = [node("A", 2), node("A", 5, ProcId=1, HoldReason="No", HoldReasonCode=3)]
    seen = observe_workflow(dagman(), False, ads, file(A=NodeState.SUBMITTED), {})
    assert seen is not None
    assert (seen.status, seen.held) == (Status.VARIOUS, 1)
    assert seen.state["nodes"]["A"]["message"].startswith("1 running, 1 held. Held: No (3/0). ")


def test_a_workflow_being_removed_keeps_its_status_until_it_is_gone() -> None:
    ad = dagman(JobStatus=3, LastJobStatus=2, RemoveReason="Stopped by fred")
    seen = observe_workflow(ad, False, [], file(A=NodeState.SUBMITTED), {})
    assert seen is not None
    assert (seen.status, seen.message) == (Status.RUNNING, "Being removed from the queue: Stopped by fred.")


def test_a_dagman_that_cools_down_after_a_hold_says_so() -> None:
    ad = dagman(JobStatus=1, JobCoolDownExpiration=400, ServerTime=200)
    seen = observe_workflow(ad, False, [], file(A=NodeState.SUBMITTED), {})
    assert seen is not None
    assert seen.message == "HTCondor waits some minutes before it starts the workflow's DAGMan again."


@pytest.mark.parametrize(
    ("ad", "outcome"),
    [
        ({"ExitCode": 0, "DAG_Status": 0, "DAG_NodesTotal": 1, "DAG_NodesDone": 1, "DAG_NodesFailed": 0}, "COM"),
        ({"ExitCode": 0, "DAG_Status": 0, "DAG_NodesTotal": 2, "DAG_NodesDone": 1, "DAG_NodesFailed": 1}, "VCP"),
        ({"ExitCode": 1, "DAG_Status": 2, "DAG_NodesTotal": 2, "DAG_NodesDone": 0, "DAG_NodesFailed": 0}, "ERR"),
        ({"ExitBySignal": True, "ExitSignal": 11}, "ERR"),
        ({}, "ERR"),
    ],
)
def test_without_a_file_dagmans_own_counts_decide(ad: dict[str, Any], outcome: str) -> None:
    seen = observe_workflow(dagman(JobStatus=4, **ad), True, [], None, {})
    assert seen is not None
    assert seen.status is Status.RESULTS_READY
    assert seen.state["outcome"] == outcome


def record(name: str, proc: int = 0, **more: Any) -> dict[str, Any]:
    """What the history has of a part of a node."""
    return node(name, 4, ProcId=proc, **{"ExitCode": 0, "RemoteWallClockTime": 2.0, "LastRemoteHost": "a@m0", **more})


def ended(status: NodeStatuses | None, records: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The nodes of a workflow that has ended."""
    seen = observe_workflow(dagman(JobStatus=4, **more), True, [], status, {}, None, records)
    assert seen is not None
    found: dict[str, Any] = seen.state["nodes"]
    return found


def test_a_node_of_many_parts_is_told_of_as_a_whole_and_fails_with_the_code_that_dagman_names() -> None:
    details = "Job proc (8.1.0) failed with status 4"
    status = NodeStatuses(100, {"A": Node(NodeState.ERROR, details)})
    machines = [f"slot1@m{number}" for number in range(6)]
    records = [
        record("A", proc, ExitCode=4 if proc == 1 else 0, LastRemoteHost=machines[proc], ResidentSetSize=1024 * proc)
        for proc in reversed(range(6))
    ]
    found = ended(status, [*records, record("A", ClusterId=7, RemoteWallClockTime=50.0, ExitCode=9)], ExitCode=1)
    assert found["A"] == {
        "status": "ERR",
        "message": "Part 1: exit code 4.",
        "exit_code": 4,
        "native_id": "8",
        "where": "m0, m1, m2, 3 more",
        "run_time": 12,
        "memory": 5,
    }


def test_a_node_of_which_dagman_names_no_code_has_that_of_its_first_failed_part() -> None:
    records = [record("A", 1, ExitBySignal=True, ExitSignal=9, ExitCode=None), record("A", 0), record("B", ExitCode=5)]
    found = ended(file(A=NodeState.ERROR, B=NodeState.DONE), records, ExitCode=1)
    assert (found["A"]["exit_signal"], "exit_code" in found["A"]) == (9, False)
    assert (found["B"]["status"], found["B"]["exit_code"]) == ("COM", 5)


def test_where_a_node_runs_is_told_while_it_does_and_stays_when_it_has_ended() -> None:
    seen = observe_workflow(dagman(), False, [node("A", 2, RemoteHost="slot1@m7")], file(A=NodeState.SUBMITTED), {})
    assert seen is not None
    assert seen.state["nodes"]["A"] == {"status": "RUN", "native_id": "8", "where": "m7"}
    later = observe_workflow(dagman(), False, [], file(A=NodeState.DONE), seen.state)
    assert later is not None
    assert later.state["nodes"]["A"] == {"status": "COM", "native_id": "8", "where": "m7"}


def test_without_a_file_the_nodes_of_a_workflow_that_ended_well_have_ended_well() -> None:
    counts = {"ExitCode": 0, "DAG_Status": 0, "DAG_NodesTotal": 2, "DAG_NodesDone": 2, "DAG_NodesFailed": 0}
    found = ended(None, [record("A"), record("B", ExitCode=1)], **counts)  # a POST script said that B is well
    assert [found[name]["status"] for name in "AB"] == ["COM", "COM"]


def test_without_a_file_the_records_of_nodes_tell_how_they_have_ended() -> None:
    counts = {"ExitCode": 1, "DAG_Status": 2, "DAG_NodesTotal": 3, "DAG_NodesDone": 1, "DAG_NodesFailed": 1}
    seen = observe_workflow(
        dagman(JobStatus=4, **counts),
        True,
        [],
        None,
        {"nodes": {"A": {"status": "RUN"}, "B": {"status": "SUB"}, "C": {"status": "PEN"}}},
        None,
        [record("A"), record("B", ExitCode=3, ClusterId=9)],
    )
    assert seen is not None
    found = seen.state["nodes"]
    assert {name: found[name]["status"] for name in "ABC"} == {"A": "COM", "B": "ERR", "C": "ABT"}
    assert (found["B"]["message"], found["B"]["exit_code"]) == ("Exit code 3.", 3)


def test_a_held_dagman_whose_nodes_go_on_is_not_paused() -> None:
    ad = dagman(JobStatus=5, HoldReason="Asked for", HoldReasonCode=1)
    below = node("Y", 2, DAGManJobId=8)
    seen = observe_workflow(ad, False, [node("SD", 5, JobUniverse=7), below], file(SD=NodeState.SUBMITTED), {})
    assert seen is not None
    assert (seen.status, seen.message[:23]) == (Status.VARIOUS, "Held: Asked for (1/0). ")


def test_a_held_sub_dag_is_paused_when_its_nodes_have_been_looked_for() -> None:
    ads = [node("SD", 5, JobUniverse=7)]
    first = observe_workflow(dagman(JobStatus=5), False, ads, file(SD=NodeState.SUBMITTED), {})
    assert first is not None
    assert first.status is Status.VARIOUS
    second = observe_workflow(dagman(JobStatus=5), False, ads, file(SD=NodeState.SUBMITTED), first.state)
    assert second is not None
    assert second.status is Status.PAUSED


def test_a_dagman_left_in_the_queue_after_its_end_has_ended() -> None:
    seen = observe_workflow(dagman(JobStatus=4, ExitCode=0, DAG_Status=0), False, [], file(A=NodeState.DONE), {})
    assert seen is not None
    assert seen.state["outcome"] == "COM"


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ("PRE Script failed with signal 9", "PRE script: killed by signal 9 (SIGKILL)."),
        (
            "Job proc (12.0.0) failed with status 3 and POST Script failed with status 5",
            "Exit code 3 and POST script: exit code 5.",
        ),
        ("Job failed due to DAGMAN error 0 and POST Script failed with status 5", "POST script: exit code 5."),
        ("Something new", "Something new."),
        ("", "It failed."),
    ],
)
def test_dagmans_details_are_put_into_words(details: str, message: str) -> None:
    status = NodeStatuses(100, {"A": Node(NodeState.ERROR, details)})
    seen = observe_workflow(dagman(), False, [], status, {})
    assert seen is not None
    assert seen.state["nodes"]["A"]["message"] == message
