"""What stands in a submit description."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from jobsapi.backends.condor.description import SubmitDescription, describe, template
from jobsapi.exceptions import InvalidJob
from tests.backends.condor.stand_ins import ATTEMPT, flow, job, marks, node


def text_of(**attributes: Any) -> list[str]:
    return str(SubmitDescription("job", attributes)).splitlines()


def test_the_reference_s_example_reads_as_condorpy_users_know_it() -> None:
    described = describe(
        job(
            "my job",
            condorpy_template_name="vanilla_transfer_files",
            attributes={"attribute1": "attr1", "executable": "my_script.py", "transfer_input_files": ("../a", "../b")},
        )
    )

    assert str(described) == (
        "job_name = my-job\n"
        "universe = vanilla\n"
        "executable = my_script.py\n"
        "initialdir = $(job_name)\n"
        "logdir = logs\n"
        "log = $(logdir)/$(job_name).$(cluster).log\n"
        "output = $(logdir)/$(job_name).$(cluster).$(process).out\n"
        "error = $(logdir)/$(job_name).$(cluster).$(process).err\n"
        "transfer_executable = TRUE\n"
        "should_transfer_files = YES\n"
        "when_to_transfer_output = ON_EXIT_OR_EVICT\n"
        "transfer_input_files = ../a, ../b\n"
        "attribute1 = attr1\n"
        "stream_output = true\n"
        "stream_error = true\n" + "".join(f"{line}\n" for line in marks("my-job")) + "\n"
        "queue 1\n"
    )


def test_the_object_answers_as_condorpy_s_does() -> None:
    described = describe(job("my job", condorpy_template_name="vanilla_base", num_jobs=4))

    assert described.name == described.get("job_name") == described.job_name == "my-job"
    assert described.initial_dir == "my-job"
    assert described.job_file == "my-job/my-job.job"
    assert described.log_file == "my-job/logs/my-job.0.log"
    assert described.get("output") == "logs/my-job.0.$(process).out"
    assert described.get("output", resolve=False) == "$(logdir)/$(job_name).$(cluster).$(process).out"
    assert described.attributes["universe"] == "vanilla"
    assert described.num_jobs == 4
    assert described.no_such_attribute is None
    assert described.get("no_such_attribute", "default") == "default"


def test_what_is_set_later_is_written() -> None:
    described = describe(job(attributes={"executable": "a"}))

    described.set("Executable", "b")
    described.priority = 0
    described.num_jobs = 3

    assert "executable = b" in str(described)
    assert "executable = a" not in str(described)
    assert "priority = 0" in str(described)
    assert str(described).endswith("\nqueue 3\n")
    assert described.get("priority") == "0"
    with pytest.raises(InvalidJob):
        described.set("arguments", "a\nqueue 5")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (False, "false"),
        (True, "true"),
        (0.5, "0.5"),
        (-3, "-3"),
        ("0", "0"),
        ("  a b ", "a b"),
        ([1, 2], "1, 2"),
    ],
)
def test_falsy_values_and_numbers_are_values(value: Any, written: str) -> None:
    assert f"x = {written}" in text_of(x=value)


@pytest.mark.parametrize("value", [None, "", "  ", [], ()])
def test_nothing_leaves_a_line_out(value: Any) -> None:
    assert not any(line.startswith("x =") for line in text_of(x=value))


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["a", "b"], '"a b"'),
        (["a b", "c"], "\"'a b' c\""),
        (["it's"], "\"'it''s'\""),
        (['say "hi"', '"'], '"\'say ""hi""\' """'),
        (["", "\t"], "\"'' '\t'\""),
        ([1, 2.5], '"1 2.5"'),
        (["$(Process)", "a;b|c#d"], '"$(Process) a;b|c#d"'),
    ],
)
def test_a_list_of_arguments_is_written_in_the_new_syntax(arguments: list[Any], written: str) -> None:
    assert f"arguments = {written}" in text_of(arguments=arguments)
    assert f"Arguments = {written}" in text_of(Arguments=arguments)
    assert f"environment = {written}" in text_of(environment=arguments)


def test_other_lists_are_written_as_their_lines_take_them() -> None:
    assert "transfer_output_files = a, b c" in text_of(transfer_output_files=["a", "b c"])
    assert 'transfer_output_remaps = "a=b; c=d"' in text_of(transfer_output_remaps=["a=b", "c=d"])


def test_attributes_that_are_given_are_not_changed() -> None:
    attributes: dict[str, Any] = {"executable": "a", "arguments": ["x"], "priority": 0}
    described = describe(job(attributes=attributes))
    described.set("executable", "b")

    assert attributes == {"executable": "a", "arguments": ["x"], "priority": 0}
    assert template("vanilla_base")["executable"] == ""


def test_copies_are_equal_and_apart() -> None:
    described = describe(job(attributes={"executable": "a"}, num_jobs=2))

    for twin in (copy.copy(described), copy.deepcopy(described)):
        assert str(twin) == str(described)
        twin.set("executable", "b")
        assert "executable = a" in str(described)


def test_without_a_template_logs_are_kept_all_the_same() -> None:
    described = describe(job(attributes={"executable": "a", "Output": "mine.txt"}))

    assert described.initial_dir == "."
    assert described.job_file == "job.job"
    assert described.get("output") == "mine.txt"
    assert described.get("error") == "logs/job.0.$(process).err"
    assert described.get("log") == "logs/job.0.log"


@pytest.mark.parametrize(
    ("attributes", "streamed"),
    [
        ({}, ["stream_output", "stream_error"]),
        ({"output": "result.txt"}, ["stream_error"]),
        ({"Stream_Output": False}, ["stream_error"]),
        ({"universe": "docker"}, []),
        ({"universe": "Vanilla"}, ["stream_output", "stream_error"]),
    ],
)
def test_what_it_says_is_streamed_unless_it_may_be_its_result(attributes: dict[str, Any], streamed: list[str]) -> None:
    text = str(describe(job(attributes={"executable": "a", **attributes}, condorpy_template_name="base")))

    assert [line.removesuffix(" = true") for line in text.splitlines() if line.endswith(" = true")] == streamed


def test_a_log_that_is_set_to_nothing_is_not_kept() -> None:
    assert "error" not in str(describe(job(attributes={"error": "", "executable": "a"})))


def test_each_proc_may_have_a_folder_of_its_own() -> None:
    described = describe(job(attributes={"executable": "a", "initialdir": "run_$(Process)"}))

    assert (described.job_file, described.folder) == ("job.job", ".")


@pytest.mark.parametrize("name", ["nobody", "__class__", "save"])
def test_an_unknown_template_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InvalidJob, match="base, vanilla_base, vanilla_transfer_files, vanilla_nfs"):
        describe(job(condorpy_template_name=name))


def test_the_name_of_its_files_is_the_job_s_own_whatever_attributes_say() -> None:
    described = describe(job(attributes={"job_name": "../../x", "executable": "a"}, condorpy_template_name="base"))

    assert described.job_file == "job/job.job"
    assert "../" not in str(described)


def test_a_template_s_path_is_checked_with_what_it_is_made_of() -> None:
    with pytest.raises(InvalidJob, match="logdir"):
        describe(job(condorpy_template_name="base", attributes={"logdir": "../.."}))


def test_a_node_is_marked_with_the_attempt_of_its_workflow() -> None:
    first = node("first")
    flow(first).graph()

    assert f'My.JobsApiId = "{ATTEMPT.hex}"' in str(describe(first))
    assert describe(first).job_file == "first/first.job"


def test_a_job_that_was_never_executed_has_no_marks() -> None:
    assert "JobsApi" not in str(describe(job(submission_id=None)))


def test_quotes_in_the_portal_s_name_stay_in_it(settings: Any) -> None:
    settings.JOBSAPI = {**settings.JOBSAPI, "PORTAL": 'a"\\b'}

    assert 'My.JobsApiPortal = "a\\"\\b"' in str(describe(job()))


def test_macros_in_a_circle_are_refused_before_anything_hangs_on_them() -> None:
    with pytest.raises(InvalidJob, match="circle"):
        describe(job(attributes={"a": "$(b)", "b": "$(a)"}))
    assert SubmitDescription("job", {"path": "$(path):x"}).get("path") == ":x"


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("leave_in_queue", True, "(JobStatus =!= 3) && (true)"),
        ("Leave_In_Queue", "time() - CompletionDate < 600", "(JobStatus =!= 3) && (time() - CompletionDate < 600)"),
        ("+LeaveJobInQueue", "true", "(JobStatus =!= 3) && (true)"),
        ("My.LeaveJobInQueue", "true", "(JobStatus =!= 3) && (true)"),
        ("leave_in_queue", "", None),
    ],
)
def test_what_stays_in_the_queue_when_it_has_ended_goes_when_it_is_removed(
    name: str, value: Any, written: str | None
) -> None:
    assert describe(job(attributes={name: value})).get(name) == written


def test_of_a_very_large_job_some_procs_are_made_at_a_time() -> None:
    assert describe(job(num_jobs=2_000)).get("max_materialize") is None
    assert describe(job(num_jobs=2_001)).get("max_materialize") == "2000"
    assert describe(job(num_jobs=9_999, attributes={"max_materialize": 7})).get("max_materialize") == "7"
    assert describe(job(num_jobs=9_999, attributes={"Max_Idle": 7})).get("max_materialize") is None
