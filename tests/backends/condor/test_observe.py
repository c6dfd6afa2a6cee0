"""What HTCondor's ads mean for a job: on answers of real pools, and on what no pool should ever answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsapi.backends.base import Observation
from jobsapi.backends.condor.ads import ATTRIBUTES, Ad
from jobsapi.backends.condor.observe import left, missing, observe_job, observe_workflow, positions
from jobsapi.status import Status
from tests.backends.condor.recorded import VERSIONS, Recorded


@pytest.fixture(params=VERSIONS)
def pool(request: pytest.FixtureRequest) -> Recorded:
    return Recorded(request.param)


def idle(proc: int = 0, **more: Any) -> dict[str, Any]:
    return {"ClusterId": 5, "ProcId": proc, "JobStatus": 1, "JobUniverse": 5, **more}


def running(proc: int = 0, **more: Any) -> dict[str, Any]:
    return idle(proc, **{"JobStatus": 2, "JobStartDate": 1_000, "RemoteHost": "slot1_3@node7", **more})


def held(proc: int = 0, **more: Any) -> dict[str, Any]:
    return idle(proc, **{"JobStatus": 5, "HoldReason": "No", "HoldReasonCode": 3, "HoldReasonSubCode": 0, **more})


def done(proc: int = 0, exit_code: int | None = 0, **more: Any) -> dict[str, Any]:
    return idle(proc, **{"JobStatus": 4, "ExitCode": exit_code, "RemoteWallClockTime": 2.0, **more})


def removed(proc: int = 0, **more: Any) -> dict[str, Any]:
    return idle(proc, **{"JobStatus": 3, "RemoveReason": "Stopped by fred", **more})


def see(queue: list[Ad], history: list[Ad], state: dict[str, Any], total: int = 1) -> Observation | None:
    """Observe as a refresh does: what was learned is kept."""
    seen = observe_job(queue, history, state, total)
    state.update(seen.state if seen else {})
    return seen


@pytest.mark.parametrize(
    ("case", "moment", "status", "words"),
    [
        ("idle", "mid", Status.SUBMITTED, "Waiting for a machine: no machine of the pool has fitted so far."),
        ("running", "mid", Status.RUNNING, ""),
        ("suspended", "mid", Status.RUNNING, "Suspended on its machine."),
        ("leave", "mid", Status.RESULTS_READY, ""),
        ("exit0", "end", Status.RESULTS_READY, ""),
        ("exit1", "end", Status.RESULTS_READY, "Exit code 1."),
        ("killed", "end", Status.RESULTS_READY, "Killed by signal 9 (SIGKILL)."),
        ("removed", "end", Status.ABORTED, "Stopped by fred (by user condoruser)."),
    ],
)
def test_each_state_of_a_real_job_is_told(pool: Recorded, case: str, moment: str, status: Status, words: str) -> None:
    seen = pool.job(case, moment)
    assert seen is not None
    assert (seen.status, seen.message) == (status, words)


@pytest.mark.parametrize(
    ("case", "start", "code"),
    [
        ("heldbyuser", "Held: Paused in the portal (by user condoruser)", "(1/0)"),
        ("missinginput", "Held: Transfer input files failure at access point localhost", "(13/2)"),
        ("missingoutput", "Held: Transfer output files failure at execution point slot3@localhost", "(12/2)"),
        ("noexec", "Held: Error from slot4@localhost: Failed to execute", "(6/2)"),
    ],
)
def test_what_the_scheduler_holds_is_paused_with_its_reason_and_code(
    pool: Recorded, case: str, start: str, code: str
) -> None:
    seen = pool.job(case, "mid")
    assert seen is not None
    assert seen.status is Status.PAUSED
    assert seen.message.startswith(start)
    assert f" {code}" in seen.message
    assert seen.held == 1


@pytest.mark.parametrize("case", ["exit0", "killed", "removed"])
def test_a_job_that_has_left_the_queue_is_unknown_until_the_history_is_read(pool: Recorded, case: str) -> None:
    assert pool.job(case, "mid") is None
    assert pool.job(case, "late") is None
    assert pool.job(case, "end") is not None


@pytest.mark.parametrize(
    ("case", "outcome", "facts"),
    [
        ("exit0", "COM", {"exit_code": 0}),
        ("exit1", "ERR", {"exit_code": 1}),
        ("killed", "ERR", {"exit_signal": 9}),
    ],
)
def test_the_outcome_is_kept_for_when_the_results_are_there(
    pool: Recorded, case: str, outcome: str, facts: dict[str, int]
) -> None:
    seen = pool.job(case, "end")
    assert seen is not None
    assert seen.state["outcome"] == outcome
    assert seen.state.items() >= facts.items()
    assert seen.state["where"] == ["localhost"]
    assert (seen.progress_done, seen.progress_total) == (1, 1)
    assert seen.start_time is not None
    assert seen.start_time.tzinfo is UTC


def test_memory_is_rough_while_it_runs_and_exact_at_the_end(pool: Recorded) -> None:
    pool.job("mem", "mid")
    assert pool.states["mem"]["memory"] == 200
    pool.job("mem", "end")
    assert pool.states["mem"]["memory"] == 171


def test_parts_in_different_states_are_counted(pool: Recorded) -> None:
    pool.job("five", "mid")
    seen = pool.job("five", "end")
    assert seen is not None
    assert seen.status is Status.VARIOUS
    assert seen.message.startswith(
        "3 of 5 parts done, 2 failed, 1 running, 1 held. Part 1: exit code 1; part 2: killed by signal 9 (SIGKILL). "
        "Held: Paused in the portal (by user condoruser) (1/0)"
    )
    assert (seen.progress_done, seen.progress_total, seen.held) == (3, 5, 1)
    assert pool.states["five"]["ended"] == {"ok": "0", "bad": "1-2"}


def test_parts_that_are_not_made_yet_are_waiting_and_not_missing(pool: Recorded) -> None:
    seen = pool.job("factory", "mid")
    queue = [ad for ad in pool.queue("mid") if ad["ClusterId"] == pool.cluster("factory")]
    assert seen is not None
    assert (seen.status, seen.progress_total) == (Status.SUBMITTED, 6)
    assert left(queue, {}, None) == 0


@pytest.mark.parametrize("case", ["running", "five", "mem", "idle", "heldbyuser", "leave"])
def test_what_did_not_change_is_not_written_again(pool: Recorded, case: str) -> None:
    pool.job(case, "mid")
    before = dict(pool.states[case])
    seen = pool.job(case, "mid")
    assert seen is not None
    assert seen.state == {}
    assert pool.states[case] == before


def test_nothing_known_is_no_observation() -> None:
    assert observe_job([], [], {}, 1) is None
    assert observe_job([], [], {"ended": {"ok": "0-2"}}, 5) is None


def test_what_the_history_did_not_give_at_once_is_asked_for_again() -> None:
    state: dict[str, Any] = {}
    # Given a job of four parts that have all left, when the history gives two at a time
    first = see([], [done(0), done(3)], state, 4)
    assert first is not None
    assert first.status is Status.VARIOUS
    assert missing([], state, 4) == {1, 2}
    second = see([], [done(1), done(2)], state, 4)
    # Then the second answer makes it whole
    assert second is not None
    assert second.status is Status.RESULTS_READY
    assert left([], state, 4) == 0


@pytest.mark.parametrize(
    ("history", "outcome", "message"),
    [
        ([done(0), done(1)], "COM", ""),
        ([done(0, 3), done(1, 4)], "ERR", "All 2 parts failed: part 0: exit code 3; part 1: exit code 4."),
        ([done(0), done(1, 127)], "VCP", "1 of 2 parts failed: part 1: exit code 127 (a command was not found)."),
        ([done(0), removed(1)], "VCP", "1 of 2 parts removed: Stopped by fred."),
        (
            [done(0, 1), removed(1)],
            "ERR",
            "1 of 2 parts failed: part 0: exit code 1. 1 of 2 parts removed: Stopped by fred.",
        ),
    ],
)
def test_ends_of_all_parts_make_an_outcome(history: list[Ad], outcome: str, message: str) -> None:
    seen = see([], history, state := {}, 2)
    assert seen is not None
    assert (seen.status, seen.message) == (Status.RESULTS_READY, message)
    assert state["outcome"] == outcome
    assert state.get("outcome_message", "") == message


def test_a_job_all_of_whose_parts_were_removed_is_aborted() -> None:
    seen = see([], [removed(0), removed(1)], {}, 2)
    assert seen is not None
    assert (seen.status, seen.message) == (Status.ABORTED, "Stopped by fred.")


@pytest.mark.parametrize("ad", [done(exit_code=None), {**done(), "ExitCode": "0"}, {**done(), "ExitCode": None}])
def test_an_end_without_an_exit_code_is_not_well(ad: Ad) -> None:
    seen = see([], [ad], state := {})
    assert seen is not None
    assert state["outcome"] == "ERR"
    assert seen.message == "HTCondor recorded no exit code."


@pytest.mark.parametrize(("last", "status"), [(1, Status.SUBMITTED), (2, Status.RUNNING), (5, Status.PAUSED)])
def test_what_is_being_removed_keeps_its_status_until_it_is_gone(last: int, status: Status) -> None:
    seen = see([removed(LastJobStatus=last)], [], {})
    assert seen is not None
    assert (seen.status, seen.message) == (status, "Being removed from the queue: Stopped by fred.")


def test_files_on_their_way_to_the_schedd_are_no_hold() -> None:
    seen = see([held(HoldReasonCode=16)], [], {})
    assert seen is not None
    assert (seen.status, seen.held) == (Status.SUBMITTED, 0)
    assert seen.message == "Its input files are on their way to HTCondor."


def test_a_hold_without_a_reason_is_told_by_its_code() -> None:
    seen = see([held(HoldReason=None, HoldReasonCode=34, HoldReasonSubCode=102)], [], {})
    assert seen is not None
    assert seen.message.partition(".")[0] == "Held: it used more memory or disk than it asked for (34/102)"


def test_a_job_is_paused_when_all_that_has_not_ended_is_held() -> None:
    seen = see([held(1), held(2)], [done(0)], {}, 3)
    assert seen is not None
    assert (seen.status, seen.held) == (Status.PAUSED, 2)
    assert seen.message.startswith("1 of 3 parts done, 2 held. Held: No (3/0)")


def test_a_hold_that_is_over_is_forgotten() -> None:
    state: dict[str, Any] = {}
    see([held()], [], state)
    assert state["hold"] == {"reason": "No", "code": 3, "subcode": 0, "parts": 1}
    see([running()], [], state)
    assert state["hold"] is None


def test_which_parts_are_held_run_and_wait_is_kept_until_they_have_ended() -> None:
    state: dict[str, Any] = {}
    queue = [held(7), held(3), running(1), running(2), idle(0), held(8, HoldReasonCode=16)]
    see(queue, [done(4)], state, 10)
    assert state["now"] == {
        "held": {"parts": 2, "numbers": "3,7"},
        "running": {"parts": 2, "numbers": "1-2"},
        "waiting": {"parts": 2, "numbers": "0,8"},
    }
    again = see(queue, [], state, 10)
    assert again is not None
    assert again.state == {}
    see([], [done(proc) for proc in range(10)], state, 10)
    assert (state["now"], state["holds"]) == (None, None)


def test_parts_that_are_not_made_yet_wait_by_their_numbers_even_when_all_others_are_held() -> None:
    state: dict[str, Any] = {}
    seen = see([held(0, JobMaterializeNextProcId=2), held(1, JobMaterializeNextProcId=2)], [], state, 5)
    assert seen is not None
    assert seen.status is Status.PAUSED
    assert state["now"] == {"held": {"parts": 2, "numbers": "0-1"}, "waiting": {"parts": 3, "numbers": "2-4"}}


def test_a_job_of_one_part_keeps_no_numbers() -> None:
    state: dict[str, Any] = {}
    see([held()], [], state)
    assert "now" not in state
    assert "holds" not in state


def test_parts_that_are_held_for_the_same_reason_are_one_group_whatever_their_slots_and_files_are_called() -> None:
    state: dict[str, Any] = {}
    missing = "Transfer output files failure at slot{0}@node: reading from file /x/dir_{0}/out.{0}: (errno 2)"
    codes = {"HoldReasonCode": 12, "HoldReasonSubCode": 2}
    queue = [held(proc, HoldReason=missing.format(proc), **codes) for proc in (31, 17, 7)]
    see([*queue, held(2), held(5, HoldReasonSubCode=9), running(0)], [], state, 50)
    assert [(each["parts"], each["numbers"]) for each in state["holds"]] == [(3, "7,17,31"), (1, "2"), (1, "5")]
    starts = [f"{missing.format(7)} (12/2)", "No (3/0)", "No (3/9)"]
    assert all(each["words"].startswith(start) for each, start in zip(state["holds"], starts, strict=True))


def test_of_ten_thousand_parts_in_all_states_little_is_kept() -> None:
    state: dict[str, Any] = {}
    each_for_itself = {"HoldReason": "x" * 5_000, "HoldReasonCode": 3}
    queue = [idle(proc) for proc in range(0, 10_000, 3)] + [running(proc) for proc in range(1, 10_000, 3)]
    queue += [held(proc, HoldReasonSubCode=proc, **each_for_itself) for proc in range(2, 10_000, 3)]
    see(queue, [], state, 10_000)
    assert {name: each["parts"] for name, each in state["now"].items()} == {
        "held": 3_333,
        "running": 3_333,
        "waiting": 3_334,
    }
    assert len(state["holds"]) == 10
    assert len(json.dumps([state["now"], state["holds"]])) < 15_000


def test_the_history_is_newer_than_the_queue() -> None:
    seen = see([running()], [done()], {})
    assert seen is not None
    assert seen.status is Status.RESULTS_READY


@pytest.mark.parametrize(("queue", "status"), [([running(0), idle(1)], "VAR"), ([running(0), running(1)], "RUN")])
def test_running_and_waiting_parts_are_various(queue: list[Ad], status: str) -> None:
    seen = see(queue, [], {}, 2)
    assert seen is not None
    assert seen.status == status


def test_the_start_is_that_of_the_first_part_even_when_it_is_long_gone() -> None:
    state: dict[str, Any] = {}
    see([running(0, JobStartDate=1_000), running(1, JobStartDate=5_000)], [], state, 2)
    seen = see([running(1, JobStartDate=5_000)], [done(0, JobStartDate=1_000)], state, 2)
    assert seen is not None
    assert seen.start_time == datetime.fromtimestamp(1_000, UTC)
    assert state["where"] == ["node7"]


def test_ten_thousand_parts_stay_small() -> None:
    state: dict[str, Any] = {}
    # Given a job of 10,000 parts of which every tenth fails, when they end in two halves
    history = [done(proc, int(proc % 10 == 3), RemoteHost=f"s@node{proc}") for proc in range(10_000)]
    see([running(proc) for proc in range(5_000, 10_000)], history[:5_000], state, 10_000)
    seen = see([], history[5_000:], state, 10_000)
    # Then all are counted, and what is kept of them fits a row
    assert seen is not None
    assert seen.state["outcome"] == "VCP"
    assert seen.message.startswith("1000 of 10000 parts failed: part 3: exit code 1; part 13:")
    assert seen.message.endswith("; and 995 more.")
    assert seen.progress_done == 10_000
    assert state["run_time"] == 20_000
    assert len(state["failed"]) == 20
    assert len(json.dumps(state)) < 20_000


def test_a_part_counts_once_however_often_it_is_seen() -> None:
    state: dict[str, Any] = {}
    for _ in range(3):
        seen = see([done(0), running(1)], [done(0)], state, 2)
        assert seen is not None
        assert seen.progress_done == 1
    assert state["run_time"] == 2


def test_htcondors_own_count_of_parts_is_right() -> None:
    seen = see([idle(0, TotalSubmitProcs=3), idle(1, TotalSubmitProcs=3), idle(2)], [], {}, 1)
    assert seen is not None
    assert seen.progress_total == 3


def test_the_place_in_the_queue_is_by_priority_and_then_by_time() -> None:
    queue = [
        idle(ClusterId=1, JobPrio=0, QDate=10),
        idle(ClusterId=2, JobPrio=5, QDate=30),
        idle(ClusterId=3, JobPrio=0, QDate=5),
        running(ClusterId=4),
        idle(ClusterId=6, JobUniverse=7, QDate=1),
        idle(ClusterId=None),
    ]
    assert positions(queue) == {2: 0, 3: 1, 1: 2}


def test_far_places_are_rough_so_that_not_every_change_is_written() -> None:
    queue = [idle(ClusterId=cluster, QDate=cluster) for cluster in range(1, 501)]
    places = positions(queue)
    assert [places[each] for each in (1, 10, 11, 20, 21, 100, 101, 450)] == [0, 9, 10, 10, 20, 90, 100, 400]


@pytest.mark.parametrize(
    ("position", "words"),
    [
        (None, "Waiting for a machine."),
        (0, "Waiting for a machine."),
        (1, "Waiting for a machine: 1 of this portal's jobs comes first."),
        (7, "Waiting for a machine: 7 of this portal's jobs come first."),
        (200, "Waiting for a machine: about 200 of this portal's jobs come first."),
    ],
)
def test_the_place_in_the_queue_is_told(position: int | None, words: str) -> None:
    seen = observe_job([idle()], [], {}, 1, position)
    assert seen is not None
    assert (seen.message, seen.state.get("position")) == (words, position)


ODD = st.sampled_from([None, True, -1, 0, 1, 1.5, 2**70, float("nan"), float("inf"), "", "7", "/Expr(a + 1)/", [], {}])
SMALL = st.integers(0, 8)
ADS = st.lists(
    st.builds(
        dict,
        st.dictionaries(st.sampled_from(ATTRIBUTES), ODD, max_size=6),
        ClusterId=SMALL | ODD,
        ProcId=SMALL | ODD,
        JobStatus=SMALL | ODD,
        DAGManJobId=SMALL | ODD,
        DAGNodeName=st.sampled_from(["A", "B", None]),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(queue=ADS, history=ADS, total=st.none() | st.integers(0, 8), again=st.booleans())
def test_odd_ads_of_a_foreign_pool_raise_nothing(
    queue: list[Ad], history: list[Ad], total: int | None, again: bool
) -> None:
    state: dict[str, Any] = {}
    observers: list[Callable[[], Observation | None]] = [
        lambda: observe_job(queue, history, state, total, positions(queue).get(1)),
        lambda: observe_workflow((queue or [None])[0], again, queue, None, state, positions(queue)),
    ]
    for observe in observers:
        state.clear()
        for _ in range(2):
            seen = observe()
            if seen is not None:
                json.dumps(seen.state)
                state.update(seen.state)
    missing(queue, state, total)


def test_parts_lost_beside_others_that_ended_count_as_failed_and_say_so() -> None:
    state: dict[str, Any] = {}
    see([], [done(0), done(2)], state, 4)
    assert see([], [], state, 4) is None
    seen = observe_job([], [], state, 4, None, {1, 3})
    assert seen is not None
    assert (seen.status, seen.state["outcome"], seen.progress_done) == (Status.RESULTS_READY, "VCP", 4)
    assert seen.message == (
        "2 of 4 parts failed: part 1: lost (in neither queue nor history); part 3: lost (in neither queue nor history)."
    )
    assert seen.state["ended"] == {"ok": "0,2", "bad": "1,3"}


def test_parts_that_were_never_made_went_with_those_that_were_removed() -> None:
    state: dict[str, Any] = {}
    see([running(0), running(1)], [], state, 2_000)
    see([], [removed(0), removed(1)], state, 2_000)
    seen = observe_job([], [], state, 2_000, None, {2, 3})
    assert seen is not None
    assert (seen.status, seen.message) == (Status.ABORTED, "Stopped by fred.")


def test_a_job_that_is_lost_as_a_whole_is_left_to_the_grace_period() -> None:
    assert observe_job([], [], {}, 2, None, {0, 1}) is None


@pytest.mark.parametrize(
    ("exit_code", "outcome", "words"),
    [
        (3, "COM", ""),
        (0, "ERR", "Exit code 0 (success_exit_code is 3)."),
        (None, "ERR", "HTCondor recorded no exit code."),
    ],
)
def test_the_exit_code_that_the_job_names_is_the_good_one(exit_code: int | None, outcome: str, words: str) -> None:
    state: dict[str, Any] = {}
    seen = see([], [done(0, exit_code, JobSuccessExitCode=3)], state)
    assert seen is not None
    assert (state["outcome"], seen.message) == (outcome, words)


def test_a_job_that_goes_on_after_it_was_suspended_says_so() -> None:
    state: dict[str, Any] = {}
    assert [
        seen.message if (seen := see([running(0, JobStatus=status)], [], state)) else None for status in (2, 7, 2, 2)
    ] == ["", "Suspended on its machine.", "Runs again after it was suspended.", ""]
