"""Commands that change jobs, and the words of the tools, as HTCondor 23.9.6 and 25.14.1 print them."""

from __future__ import annotations

import pytest

from jobsapi.backends.condor.control import (
    cluster_id_of,
    full,
    hold_command,
    identity_of,
    plain,
    refusal,
    release_commands,
    remove_command,
    remove_marked_command,
    unreachable,
    versions_of,
)
from jobsapi.exceptions import BackendUnavailable, InvalidJob

ME = "fred@pool.example"
OURS = '(Owner =?= "fred" || User =?= "fred@pool.example")'
HEADER = "         Instruction Authentication Encryption Integrity Decision Identity\n"


def test_the_schedd_says_who_we_are() -> None:
    answer = HEADER + "               WRITE             FS        AES       AES    ALLOW condoruser@minicondor\n"
    assert identity_of(answer) == "condoruser@minicondor"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "does not answer"),
        (HEADER + "   WRITE   FAIL  FAIL FAIL FAIL FAIL  (use -verbose for more info)\n", "does not answer"),
        (HEADER + "   WRITE   none  none none DENY unauthenticated@unmapped\n", "does not let unauthenticated"),
        (HEADER + "   WRITE   FS    AES  AES  DENY eve@pool\n", "does not let eve@pool submit"),
        ("ERROR: couldn't locate (null)!\n", "does not answer"),
    ],
)
def test_who_is_nobody_at_the_schedd_is_told_what_to_do(answer: str, words: str) -> None:
    with pytest.raises(BackendUnavailable, match=words):
        identity_of(answer)


AA = '(JobsApiId =?= "aa")'
BOTH = '(JobsApiId =?= "aa" || JobsApiId =?= "bb")'


def test_attempts_are_removed_by_their_marks_and_of_workflows_dagman_alone() -> None:
    command = remove_command(ME, ["bb", "aa"], "Stopped by fred")
    assert command[:3] == ["condor_rm", "-reason", "Stopped by fred"]
    assert command[-1] == f"{OURS} && ({BOTH} && (DAGManJobId =?= undefined))"
    assert remove_command(ME, [], "x")[-1] == f"{OURS} && ((false) && (DAGManJobId =?= undefined))"


def test_parts_and_nodes_are_removed_by_number_and_mark() -> None:
    ids = "member(ClusterId, {9,12}) || (ClusterId == 13 && (member(ProcId, {4})))"
    assert remove_command(ME, ["aa"], "x", ["12", "13.4", "9"])[-1] == f"{OURS} && ({AA} && ({ids}))"
    assert remove_command(ME, ["aa"], "x", [], [7])[-1] == f"{OURS} && ({AA} && (false) || member(ClusterId, {{7}}))"


def test_what_an_attempt_left_is_removed_by_its_mark() -> None:
    assert remove_marked_command(ME, ["bb", "aa"], "x")[-1] == f"{OURS} && {BOTH}"


def test_a_workflow_is_held_and_released_with_its_nodes() -> None:
    all_of_it = f"({AA} || member(ClusterId, {{7}}) || member(DAGManJobId, {{7}}))"
    assert hold_command(ME, ["aa"], "x", sub_dags=[7])[-1] == f"{OURS} && JobStatus != 5 && {all_of_it}"
    release, wake = release_commands(ME, ["aa"], "x", sub_dags=[7])
    assert release[-1] == f"{OURS} && JobStatus == 5 && {all_of_it}"
    assert wake[0] == "condor_qedit"
    assert wake[-2:] == ["JobCoolDownExpiration", "0"]


@pytest.mark.parametrize("bad", ["1; true", "1) || (true", "x", "1.2.3"])
def test_what_is_no_number_of_a_job_reaches_no_command(bad: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        remove_command(ME, ["aa"], "x", [bad])


def test_a_reason_cannot_be_an_expression() -> None:
    assert plain('He said "stop" \\ ${x}\n`id`') == "He said 'stop' x id"
    assert len(plain("x" * 10_000)) == 300


GONE = "SECMAN:2007:Failed to end classad message.\n"
ADDRESS = "<127.0.0.1:9618?addrs=127.0.0.1-9618&alias=localhost&noUDP&sock=schedd_1_2>"


@pytest.mark.parametrize(
    "err",
    [
        f"\n-- Failed to fetch ads from: {ADDRESS} : localhost\n{GONE}",
        f"\n-- Failed to fetch ads from: {ADDRESS} : localhost\n\n{GONE}",
        "\nERROR: Failed to connect to local queue manager\nSECMAN:2011:Connection closed during command "
        "authorization. Probably due to an unknown command.\n",
        f"{GONE}Couldn't find/hold all jobs matching constraint (ClusterId==1)\n",
        f"{GONE}Couldn't find/remove all jobs in cluster 1\n",
        "SECMAN:2007:This service is running, but did not respond in a reasonable time. It may be overloaded.\n",
        "Error: CEDAR:6001:Failed to connect to <127.0.0.1:9618>\n\nExtra Info: You probably saw this error because\n",
        "\nERROR: Can't find address of local schedd\n",
        "condor_hold: CEDAR:6001:Failed to connect to <127.0.0.1:9618>\n",
        "\nERROR: Failed to create proc\n",
        "\nERROR: Failed to commit job submission into the queue.\n",
        "Renaming rescue DAGs newer than number 0\n\nERROR: Can't find address of local schedd\n"
        "ERROR: condor_submit failed; aborting.\n",
    ],
    ids=lambda err: err.split("\n")[0] or err.split("\n")[1],
)
def test_a_schedd_that_was_not_reached_or_died_meanwhile_is_told_from_a_refusal(err: str) -> None:
    assert unreachable(1, err)
    assert not unreachable(0, err)


@pytest.mark.parametrize(
    "err",
    [
        "\nERROR: Executable file /nonexistent/x does not exist\n",
        "ERROR: I don't know about the 'nonsense' universe.\n",
        'ERROR: Parse error in expression: \n\tx = "unbalanced\n\t\n',
        "\nERROR: Failed to open command file (nothere.sub) (No such file or directory)\n",
        "\nERROR: Executable file /data/SECMAN:2007: Failed to connect to local queue manager does not exist\n",
        "ERROR: d.dag:2 'JOBB' is not a valid DAG command\n",
        "Couldn't find/remove all jobs in cluster 99999\n",
        "\nERROR: Failed to create proc\nNumber of submitted jobs would exceed MAX_JOBS_PER_OWNER\n",
        "\nERROR: Failed to commit job submission into the queue.\nERROR: Ask for memory, please.\n",
        "",
    ],
)
def test_a_refusal_is_the_jobs_own_fault(err: str) -> None:
    assert not unreachable(1, err)


@pytest.mark.parametrize(
    ("limit", "is_full"),
    [("MAX_JOBS_PER_OWNER", True), ("MAX_JOBS_SUBMITTED", True), ("MAX_JOBS_PER_SUBMISSION", False)],
)
def test_a_schedd_that_is_full_is_told_from_one_that_never_takes_so_many_at_once(limit: str, is_full: bool) -> None:
    err = f"\nERROR: Failed to create proc\nNumber of submitted jobs would exceed {limit}\n"

    assert full(err) is is_full


DAG_SUBMITTED = """Submitting job(s).
1 job(s) submitted to cluster 18.

-----------------------------------------------------------------------
File for submitting this DAG to HTCondor           : a.dag.condor.sub
"""


@pytest.mark.parametrize(
    ("out", "cluster"),
    [
        ("1.0 - 1.1\n", 1),
        ("154.0 - 154.0\n", 154),
        (DAG_SUBMITTED, 18),
        ("Submitting job(s).....\n5 job(s) submitted to cluster 7.\n", 7),
        ("12.0 - 12.4\n12.5 - 12.9\n", 12),
    ],
)
def test_the_cluster_is_read_from_what_a_submission_prints(out: str, cluster: int) -> None:
    assert cluster_id_of(out) == cluster


@pytest.mark.parametrize("out", ["", "1.0 - 1.0\n2.0 - 2.0\n", "Submitting job(s)\n"])
def test_a_submission_makes_one_cluster(out: str) -> None:
    with pytest.raises(InvalidJob, match="One cluster was expected"):
        cluster_id_of(out)


def test_a_refusal_is_told_without_notices() -> None:
    err = "Renaming rescue DAGs newer than number 0\nWARNING: x\n\nERROR: Executable file /x\n does not exist\n"
    assert refusal(err) == "ERROR: Executable file /x does not exist"
    assert refusal("To monitor your job(s), run: condor_watch_q\n") == "HTCondor refused it and gave no reason."


def test_the_versions_of_both_sides_are_read() -> None:
    answer = (
        "Destination:                 local schedd\n"
        "Remote Version:              $CondorVersion: 25.1.1 2026-07-12 PackageID: 25.1.1-1 $\n"
        "Local  Version:              $CondorVersion: 23.9.6 2026-07-12 PackageID: 23.9.6+dfsg-2.1+b10 $\n"
    )
    assert versions_of(answer) == ("23.9.6", "25.1.1")
    assert versions_of("nothing of the kind") == ("", "")


EXTRA = (
    "Extra Info: You probably saw this error because the condor_schedd is not running on the machine you are trying "
    "to query. If the condor_schedd is not running, the Condor system will not be able to find an address and port.\n\n"
    "Extra Info: If the condor_schedd is running, the most likely cause is that you have setup a personal Condor.\n"
)


def test_what_a_tool_guesses_of_its_error_is_left_out_unless_it_says_nothing_else() -> None:
    assert refusal(f"Error: Can't find address for schedd pool@\n\n{EXTRA}") == (
        "Error: Can't find address for schedd pool@"
    )
    assert refusal(EXTRA) == (
        "You probably saw this error because the condor_schedd is not running on the machine you are trying to query"
    )
