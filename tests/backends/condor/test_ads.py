"""What HTCondor is asked, and how its answers are read."""

from __future__ import annotations

import json

import pytest

from jobsapi.backends.condor import parts
from jobsapi.backends.condor.ads import (
    ASKED_AT_ONCE,
    NODES_AT_ONCE,
    accepted,
    affordable,
    find_commands,
    history_command,
    number,
    parse_ads,
    queue_command,
    quoted,
    text,
)
from jobsapi.exceptions import BackendUnavailable
from tests.backends.condor.recorded import VERSIONS, Recorded

ME = "fred@pool.example"
OURS = '(Owner =?= "fred" || User =?= "fred@pool.example")'


def constraint(command: list[str]) -> str:
    return command[command.index("-constraint") + 1]


def option(command: list[str], name: str) -> int:
    return int(command[command.index(name) + 1])


def test_one_command_asks_for_all_jobs_of_this_portal_and_of_our_account() -> None:
    command = queue_command("demo", ME)
    assert command[:2] == ["condor_q", "-json"]
    assert "-allusers" in command
    assert constraint(command) == f'{OURS} && (JobsApiPortal =?= "demo")'


def test_nodes_of_sub_dags_which_carry_no_mark_are_asked_for_by_their_dagman() -> None:
    command = queue_command("demo", ME, {31, 7})
    assert constraint(command) == f'{OURS} && (JobsApiPortal =?= "demo" || member(DAGManJobId, {{7,31}}))'


def test_a_name_cannot_break_out_of_a_constraint() -> None:
    assert quoted('a" || true || "\\') == '"a\\" || true || \\"\\\\"'
    assert quoted("a\n\0b") == '"ab"'


def test_the_history_is_asked_for_the_missing_parts_alone_and_for_no_more() -> None:
    command = history_command(ME, {12: {0, 1, 2, 3, 7, 9}, 13: {0}})
    assert constraint(command) == (
        f"{OURS} && ((ClusterId == 12 && ((ProcId >= 0 && ProcId <= 3) || member(ProcId, {{7,9}})))"
        " || (ClusterId == 13 && (member(ProcId, {0}))))"
    )
    assert option(command, "-limit") == 7
    assert option(command, "-scanlimit") > 0


def test_with_a_workflow_come_its_nodes_whatever_number_of_parts_and_tries_they_have() -> None:
    command = history_command(ME, {12: {0}, 13: {0}}, [13])
    assert constraint(command).endswith(" || (ClusterId == 13 && (member(ProcId, {0}))) || member(DAGManJobId, {13}))")
    assert option(command, "-limit") == 2 + NODES_AT_ONCE


def test_a_question_to_the_history_stays_short_whatever_is_missing() -> None:
    command = history_command(ME, {12: set(range(0, 100_000, 2))})
    assert option(command, "-limit") == ASKED_AT_ONCE
    assert len(constraint(command)) < 20_000


def test_nothing_wanted_asks_for_nothing() -> None:
    assert constraint(history_command(ME, {})) == f"{OURS} && (false)"
    assert constraint(history_command(ME, {5: set()})) == f"{OURS} && ((ClusterId == 5 && (false)))"


def test_an_attempt_is_looked_for_in_queue_and_history_but_not_among_nodes() -> None:
    in_queue, in_history = find_commands(ME, ["aa", "bb"])
    marked = f'{OURS} && (JobsApiId =?= "aa" || JobsApiId =?= "bb") && DAGManJobId =?= undefined'
    assert constraint(in_queue) == marked
    assert constraint(in_history) == f"{marked} && ProcId == 0"
    assert in_queue[0], in_history[0] == ("condor_q", "condor_history")


def test_what_is_found_is_the_first_cluster_and_of_a_workflow_dagmans_own() -> None:
    queue = [
        {"JobsApiId": "aa", "ClusterId": 9, "ProcId": 1, "JobUniverse": 5},
        {"JobsApiId": "aa", "ClusterId": 8, "ProcId": 1, "JobUniverse": 5},
        {"JobsApiId": "flow", "ClusterId": 3, "JobUniverse": 5},
        {"JobsApiId": "flow", "ClusterId": 4, "JobUniverse": 7},
        {"ClusterId": 1},
    ]
    history = [{"JobsApiId": "bb", "ClusterId": 2, "ProcId": 0}, {"JobsApiId": "bb", "ClusterId": None}]
    assert accepted(queue, history) == {"aa": 8, "bb": 2, "flow": 4}


@pytest.mark.parametrize(("answer", "ads"), [("", []), ("\n", []), ("[\n]\n", []), ('[{"a": 1}, 5]', [{"a": 1}])])
def test_no_job_is_an_empty_list_whether_it_is_printed_or_not(answer: str, ads: list[object]) -> None:
    assert parse_ads(answer) == ads


@pytest.mark.parametrize("version", VERSIONS)
def test_answers_of_real_pools_are_read(version: str) -> None:
    pool = Recorded(version)
    assert {number(ad, "ClusterId") for ad in pool.queue("mid")} >= {pool.cluster("idle"), pool.cluster("nodehold")}
    assert {text(ad, "JobsApiId") for ad in pool.history()} >= {"exit1", "d_rm"}


def test_an_answer_that_was_cut_is_no_answer() -> None:
    whole = json.dumps([{"ClusterId": 1}, {"ClusterId": 2}])
    for cut in range(1, len(whole)):
        with pytest.raises(BackendUnavailable, match="not whole"):
            parse_ads(whole[:cut])


@pytest.mark.parametrize("answer", ["-- Failed to fetch ads", '{"a": 1}', "null", '"text"', "[1"])
def test_anything_else_is_said_in_words(answer: str) -> None:
    with pytest.raises(BackendUnavailable, match="HTCondor's answer is"):
        parse_ads(answer)


@pytest.mark.parametrize("odd", [None, "5", "/Expr(1 + 1)/", True, [], {}, float("nan"), float("inf"), 10**30])
def test_what_is_no_number_is_unknown(odd: object) -> None:
    assert number({"a": odd}, "a") is None
    assert number({}, "a") is None


def test_a_number_is_whole_and_a_text_is_one_line() -> None:
    assert number({"a": 7.0}, "a") == 7
    assert text({"a": " two\n lines "}, "a") == "two lines"
    assert text({"a": "/Expr(b)/"}, "a") == text({"a": 5}, "a") == text({}, "a") == ""


def test_numbers_of_parts_are_kept_as_ranges() -> None:
    assert parts.text([3, 1, 2, 7, 9, 8, 20]) == "1-3,7-9,20"
    assert parts.parse("1-3,7-9,20") == {1, 2, 3, 7, 8, 9, 20}
    assert parts.text([]) == ""
    assert parts.parse(None) == parts.parse("x,-,3-999999999999,1.5") == set()


def test_what_one_question_cannot_ask_for_is_left_for_the_next() -> None:
    few, many = {5: {0}, 6: {1, 2}}, {cluster: {0} for cluster in range(1_000_000, 1_010_000)}
    scattered = {cluster: set(range(0, 10_000, 2)) for cluster in range(20)}
    assert affordable(few) == {5: [0], 6: [1, 2]}
    for wanted in (many, scattered):
        chosen = affordable(wanted)
        assert 0 < len(chosen) < len(wanted)
        assert len(" ".join(history_command(ME, chosen))) < 100_000
    assert affordable({}) == {}
