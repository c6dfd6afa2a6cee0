"""What is refused at the door, and what is not. Each refusal was seen to do harm on HTCondor 23.9, or its kin was."""

from __future__ import annotations

from typing import Any

import pytest

from jobsapi.exceptions import InvalidJob
from jobsapi.models.condor.rules import (
    check_attributes,
    check_count,
    check_files,
    check_max_jobs,
    check_name,
    check_node_name,
    check_node_options,
    check_options,
    check_template,
    own_folder,
    slug,
)
from tests.backends.condor.stand_ins import node


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("run 7", "run-7"),
        ("Überlauf größer", "Uberlauf-groer"),
        ("../../etc/passwd", "etc-passwd"),
        (".hidden", "hidden"),
        ("--help", "help"),
        ("日本", "job"),
        ("a" * 300, "a" * 64),
        ("x$(y)`z`;w", "x-y-z-w"),
    ],
)
def test_a_slug_is_a_name_that_no_path_and_no_shell_takes_for_more(text: str, name: str) -> None:
    assert slug(text) == name


@pytest.mark.parametrize(
    ("name", "pk", "folder"),
    [
        ("run", 5, "run-5"),
        ("run_5", 5, "run_5"),
        ("run-15", 5, "run-15-5"),
        ("5", 5, "5-5"),
        ("a" * 99, 5, "a" * 64 + "-5"),
    ],
)
def test_an_own_folder_ends_in_the_number_of_its_job(name: str, pk: int, folder: str) -> None:
    assert own_folder(name, pk) == folder


@pytest.mark.parametrize("name", ["a/b", "a\\b", "$(x)", "a\nb", "a\x00b", "", "  ", "a\x85b", "\ud800", 7])
def test_a_name_that_could_lead_elsewhere_is_refused(name: Any) -> None:
    with pytest.raises(InvalidJob):
        check_name(name)


@pytest.mark.parametrize(
    "name", ["a b", "a+b", "parent", "CHILD", "ALL_NODES", ".a", "-a", "a/b", "#a", "é", "", "a\n", "n" * 101]
)
def test_a_name_that_is_no_single_word_of_its_own_for_dagman_is_refused(name: str) -> None:
    with pytest.raises(InvalidJob):
        check_node_name(name)


@pytest.mark.parametrize("name", ["A", "a_node", "S1.b-2", "JOB", "final", "3"])
def test_a_plain_name_is_good_for_a_node(name: str) -> None:
    check_node_name(name)


@pytest.mark.parametrize(
    "attributes",
    [
        {"arguments": "x\nqueue 100"},
        {"arguments": "x\rqueue 100"},
        {"arguments": "x\0"},
        {"arguments": "x\x0by"},
        {"arguments": "x \\"},
        {"arguments": "x\\ \t"},
        {"arguments": ["a", "b\nqueue"]},
        {"arguments": ["a", "\\"]},
        {"arguments": {"a": 1}},
        {"arguments": ["a", None]},
        {"arguments": "\ud800"},
        {"arguments": "x" * 200_000},
        {"a b": "1"},
        {"a-b": "1"},
        {"$(a)": "1"},
        {"a = 1\nb": "1"},
        {"": "1"},
        {"+": "1"},
        {"My.": "1"},
        {7: "1"},
        {"queue": "3"},
        {"Include": "/etc/passwd"},
        {"if": "true"},
        {"endif": "1"},
        {"use": "feature:x"},
        {"+JobsApiId": '"x"'},
        {"my.jobsapiportal": '"x"'},
        {"JobsApiId": '"x"'},
        {"+Owner": '"root"'},
        {"+DAGManJobId": "1"},
        {"My.Iwd": '"/etc"'},
        {"+Out": '"/etc/x"'},
        {"+Cmd": '"/bin/sh"'},
        {"dagman_log": "x"},
        {"priority": 2**40},
        {"priority": 10**30},
        {"request_cpus": float("nan")},
        {"request_cpus": float("inf")},
        {"output": "a", "Output": "b"},
        {"+Foo": "1", "MY.foo": "2"},
        {"initialdir": "a", "initial_dir": "b"},
        {"initialdir": "/etc"},
        {"initialdir": "../x"},
        {"iwd": "/etc"},
        {"job_iwd": "a/../../b"},
        {"log": "/tmp/x.log"},
        {"stdout": "../../x"},
        {"error": "$(where)/x"},
        {"error": "$(where)../x"},
        {"error": "$(SPOOL)/x"},
        {"error": "$(logdir)/x", "logdir": ".."},
        {"logdir": "/etc"},
        {"output": "$ENV(HOME)/x"},
        {"output": "a/$$(Name)"},
        {"output": "|/bin/sh"},
        {"output": "~/x"},
        {"transfer_output_remaps": '"a=/etc/x"'},
        {"transfer_output_remaps": '"a=../../x"'},
        {"transfer_output_remaps": ["a=/etc/x"]},
        {"transfer_input_files": ["a,b"]},
        {"transfer_input_files": [" a"]},
        {"a": "$(b)", "b": "$(a)"},
        {"a": "$(b)", "b": "$(c)", "c": "x$(a)"},
        {"a": "$(b$(e))", "bx": "$(a)", "e": "x"},
        {"a": "$(u:$(b))", "b": "$(u:$(a))"},
        {f"a{n}": f"$(a{n + 1})" * 10 for n in range(9)} | {"a9": "x"},
        {"+Peek": '"$ENV(BEARER_TOKEN)"'},
        {"arguments": "$env(HOME)"},
        {"environment": ["A=$ENV(HOME:x)"]},
        {"arguments": "$ENV(NAME:a(b))"},
        {"arguments": "$(where:$ENV(HOME))"},
        {"a": "$", "arguments": "$(a)ENV(HOME)"},
        {"a": "$ENV", "arguments": "$(a)(HOME)"},
        {"arguments": "$E$(nothing)NV(HOME)"},
        {"arguments": "$ENV($(a))", "a": "HOME"},
        {"arguments": "$CHOICE(0,$,x)ENV(HOME)"},
        {"arguments": "$SUBSTR(a,0,1)ENV(HOME)", "a": "$x"},
        {"getenv": True},
        {"getenv": "True"},
        {"GetEnv": "*"},
        {"getenv": "HOME, S*"},
        "executable = /bin/sh",
    ],
)
def test_attributes_that_could_say_something_else_are_refused(attributes: Any) -> None:
    with pytest.raises(InvalidJob):
        check_attributes(attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"executable": "run.sh", "arguments": "a 'b' # | $(Process) $$(Name) \"", "environment": '"A=1"'},
        {"executable": "/bin/sh", "arguments": ["-c", "echo $HOME; ls | wc > x", "", "it's", 3, 0.5]},
        {"request_memory": 1024, "request_disk": "1 GB", "priority": -3, "stream_output": False, "x": 0},
        {"+Project": '"x"', "My.Group": '"y"', "requirements": 'OpSys == "LINUX" && Memory > 3'},
        {"transfer_input_files": ("../input_1", "/data/x", "https://x/y"), "transfer_output_files": "a, b"},
        {"initialdir": "run_$(Process)", "output": "$(job_name).$(cluster).$(process).out", "error": "/dev/null"},
        {"output": "a/$INT(ProcId,%02d).out", "log": "logs/$(Cluster).log", "logdir": "logs"},
        {"transfer_output_remaps": '"a=b/a; c=https://x/y; d=../other/d"'},
        {"path": "$(path):x", "arguments": "$(path)", "queue_item": "1", "a": "$(u:$(b))", "b": "2"},
        {"output": None, "error": "", "universe": ""},
        {"getenv": False},
        {"getenv": "HOME, LANG"},
        {"arguments": "-c 'echo $HOME, $(ENV) and ENV(HOME)'"},
        {"arguments": "$INT(Process)(1) $RANDOM_CHOICE(1,2) $Fn(a)$Fx(a)", "a": "x.y"},
        {"name": "größe 日本\t\u2028"},
    ],
)
def test_attributes_that_say_what_they_seem_to_are_fine(attributes: Any) -> None:
    check_attributes(attributes)


def test_a_variable_and_an_attribute_do_not_read_the_environment_together() -> None:
    with pytest.raises(InvalidJob, match=r"Write the value itself instead, or have getenv name the variable\."):
        check_attributes({"arguments": "$(v)NV(HOME)"}, {"v": "$E"})


@pytest.mark.parametrize(
    "paths",
    ["a", None, [7], [""], ["a\nb"], ["a\0"], ["/"], [".."], ["a/.."], ["/x/a", "/y/a"], ["x"] * 501],
)
def test_inputs_that_cannot_lie_side_by_side_are_refused(paths: Any) -> None:
    with pytest.raises(InvalidJob):
        check_files(paths)


def test_inputs_may_be_files_and_folders_and_the_same_one_twice() -> None:
    check_files(["/x/a", "/x/a", "relative/b/", "with space", "größe", "it's"])


NODE_OPTIONS: list[dict[str, Any]] = [
    {"retry": -1},
    {"retry": 2**31},
    {"retry": "3"},
    {"retry": True},
    {"retry": 1, "retry_unless_exit_value": 1.5},
    {"pre_skip": 256},
    {"pre_skip": -1},
    {"priority": 2**40},
    {"abort_dag_on": 1, "abort_dag_on_return_value": 256},
    {"abort_dag_on": 1, "abort_dag_on_return_value": -1},
    {"abort_dag_on_return_value": 1},
    {"category": "big one"},
    {"category": "a\nJOB B b.job"},
    {"category": '"a"'},
    {"category": 7},
    {"pre_script": "my pre.sh"},
    {"pre_script": "../pre.sh"},
    {"pre_script": "-x"},
    {"pre_script": "pre.sh\nJOB B b.job"},
    {"post_script": "/bin/my post"},
    {"pre_script_args": "a"},
    {"pre_script": "p.sh", "pre_script_args": "a\nb"},
    {"pre_script": "p.sh", "pre_script_args": "a \\"},
    {"pre_script": "p.sh", "pre_script_args": ["a b"]},
    {"pre_script": "p.sh", "pre_script_args": [""]},
    {"pre_script": "p.sh", "pre_script_args": {"a": 1}},
    {"variables": {"a-b": "1"}},
    {"variables": {"queue_size": "1"}},
    {"variables": {"if": "1"}},
    {"variables": {"v": "a\nb"}},
    {"variables": {"v": "a\\"}},
    {"variables": {"v": ["a"]}},
    {"variables": {"v": "1", "V": "2"}},
    {"variables": {"initialdir": "B"}},
    {"variables": {"+JobsApiId": '"x"'}},
    {"variables": {"v": "$ENV(HOME)"}},
    {"variables": "v=1"},
    {"dir": "/etc"},
    {"dir": "a/../.."},
    {"dir": "a b"},
    {"dir": "a\nb"},
    {"keyword": "SUBDAG"},
    {"keyword": "SUBDAG", "dag_file": "/x.dag"},
    {"keyword": "SPLICE", "dag_file": "../x.dag"},
    {"keyword": "SPLICE", "dag_file": "a b.dag"},
    {"keyword": "SPLICE", "dag_file": "x.dag", "retry": 1},
    {"keyword": "SPLICE", "dag_file": "x.dag", "noop": True},
    {"keyword": "SPLICE", "dag_file": "x.dag", "variables": {"a": "1"}},
    {"keyword": "FINAL", "retry": 1},
    {"keyword": "FINAL", "priority": 1},
    {"keyword": "FINAL", "category": "c"},
    {"keyword": "FINAL", "abort_dag_on": 0},
    {"keyword": "FINAL", "done": True},
]


@pytest.mark.parametrize("options", NODE_OPTIONS)
def test_options_of_a_node_that_would_end_or_change_the_dag_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob, match="A: "):
        check_node_options(node(**options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retry": 0, "retry_unless_exit_value": 3, "pre_skip": 0, "priority": -5, "category": "+big.one"},
        {"abort_dag_on": 0, "abort_dag_on_return_value": 0},
        {"pre_script": "/bin/sh", "pre_script_args": "a; b | c 'd e' $RETRY", "post_script": "sub/p.sh"},
        {"pre_script": "p.sh", "pre_script_args": ["a;b", "$JOB", 3]},
        {"variables": {"v": 'a "b" \\ c $(JOB)', "n": 0, "+Foo": '"x"', "empty": ""}, "dir": "a/b", "noop": True},
        {"keyword": "SPLICE", "dag_file": "x.dag", "dir": "sub"},
        {"keyword": "SUBDAG", "dag_file": "sub/x.dag", "retry": 2, "priority": 1},
        {"keyword": "FINAL", "noop": True, "pre_script": "p.sh", "variables": {"a": 1}},
    ],
)
def test_options_that_dagman_has_are_fine(options: dict[str, Any]) -> None:
    check_node_options(node(**options))


@pytest.mark.parametrize(
    "max_jobs", [{"a b": 1}, {"a": 0}, {"a": -1}, {"a": 2**31}, {"a": "1"}, {"a": True}, ["a"], {7: 1}]
)
def test_a_throttle_that_would_let_nothing_run_is_refused(max_jobs: Any) -> None:
    with pytest.raises(InvalidJob):
        check_max_jobs(max_jobs)


@pytest.mark.parametrize(
    "options",
    [
        ["-remote", "other"],
        ["-name", "other"],
        ["-pool", "other"],
        ["-spool"],
        ["-dry-run", "/tmp/x"],
        ["-interactive"],
        ["other.sub"],
        ["-append"],
        ["-a", "My.JobsApiId = 1"],
        ["-a", "+jobsapiportal=1"],
        ["-a", "queue 3"],
        ["-a", "queue = 3"],
        ["-a", "x = 1\nqueue"],
        ["-a", "initialdir = /etc"],
        ["-a", "executable = /bin/sh"],
        ["-a", "getenv = true"],
        ["-a", '+Peek = "$ENV(HOME)"'],
        ["-a", "x = $", "-append", "+Peek = $(X)ENV(HOME)"],
        ["-batch-name", "$ENV(HOME)"],
        ["-ap", "x = 1"],
        ["x = 1"],
        ["-maxjobs", "many"],
        [7],
        "-disable",
    ],
)
def test_options_of_condor_submit_that_send_a_job_elsewhere_or_hide_it_are_refused(options: Any) -> None:
    with pytest.raises(InvalidJob):
        check_options(options, for_dag=False)


@pytest.mark.parametrize(
    "options",
    [["-no_submit"], ["-import_env"], ["-insert_sub_file", "x"], ["-outfile_dir", "/x"], ["-usedagdir"],
     ["-dagman", "/x"], ["-r", "x"], ["-maxjobs"], ["-maxjobs", "-"], ["-append", "+JobsApiId=1"],
     ["-append", "arguments = x"], ["-append", "+Peek = $ENV(HOME)"], ["other.dag"], ["-config", "/x"]],
)  # fmt: skip
def test_options_of_condor_submit_dag_that_run_something_else_are_refused(options: Any) -> None:
    with pytest.raises(InvalidJob):
        check_options(options, for_dag=True)


def test_options_that_shape_the_run_are_fine() -> None:
    check_options(["-a", "+Project = 3", "-batch-name", "x y"], for_dag=False)
    check_options(["-MaxJobs", "3", "-maxidle", "5", "-priority", "-2", "-append", "+Project = 3", "-f"], for_dag=True)
    check_options((), for_dag=True)


@pytest.mark.parametrize("number", [0, -1, "3", 2.0, True, None, 10**7])
def test_a_number_of_procs_that_cannot_be_queued_is_refused(number: Any) -> None:
    with pytest.raises(InvalidJob, match="num_jobs"):
        check_count("num_jobs", number)


def test_an_unknown_template_is_refused_with_those_that_there_are() -> None:
    check_template("", ("base",))
    check_template("base", ("base", "vanilla"))
    with pytest.raises(InvalidJob, match="base, vanilla"):
        check_template("nobody", ("base", "vanilla"))
