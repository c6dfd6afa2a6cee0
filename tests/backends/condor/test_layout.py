"""What has to lie in a job's own folder, and how it is submitted from there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobsapi.backends.condor.layout import AFTER_SWEEPING, layout_of
from jobsapi.exceptions import InvalidJob
from tests.backends.condor.stand_ins import ATTEMPT, flow, job, marks, node

MARKS = tuple(word for line in marks("flow") for word in ("-append", line))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A user's workspace with some files in it, beside a file that is none of the user's."""
    (tmp_path / "secret").write_text("")
    folder = tmp_path / "workspace"
    (folder / "data").mkdir(parents=True)
    (folder / "sub").mkdir()
    for name in ("run.sh", "input_1", "data/one", "inner.dag", "my.config", "sub/run.sh", "sub/pre.sh"):
        (folder / name).write_text(name)
    (folder / "leads-out").symlink_to(tmp_path)
    return folder


def a_job(workspace: Path, **attributes: Any) -> Any:
    return job(
        workspace=str(workspace),
        attributes={"executable": "/bin/true", **attributes},
        condorpy_template_name="vanilla_transfer_files",
    )


def test_the_reference_s_example_lies_flat_in_its_folder(workspace: Path) -> None:
    example = a_job(workspace, executable="run.sh", transfer_input_files="../input_1")
    example.remote_input_files = [str(workspace / "run.sh"), str(workspace / "input_1"), str(workspace / "data")]

    layout = layout_of(example)

    assert layout.submit == ("condor_submit", "-terse", "job/job.job")
    assert set(layout.texts) == {"job/job.job"}
    assert layout.folders == ("job", "job/logs")
    assert layout.inputs == {name: workspace / name for name in ("run.sh", "input_1", "data")}
    assert layout.logs == ("job/logs/job.*.log", "job/logs/job.*.*.out", "job/logs/job.*.*.err")
    assert (layout.initial_dir, layout.parts, layout.mark, layout.resumes) == ("job", 1, ATTEMPT.hex, False)


def test_what_a_job_names_without_staging_it_comes_from_the_workspace(workspace: Path) -> None:
    layout = layout_of(
        a_job(
            workspace, executable="run.sh", transfer_input_files=["../input_1", "../data/", "../made-later", "/etc/x"]
        )
    )

    assert layout.inputs == {name: workspace / name for name in ("run.sh", "input_1", "data")}


@pytest.mark.parametrize(
    "path", ["../leads-out/secret", "../../secret", "../leads-out", "https://x/y", "../$(Process)"]
)
def test_nothing_comes_from_outside_the_workspace_that_was_not_asked_for(workspace: Path, path: str) -> None:
    assert layout_of(a_job(workspace, transfer_input_files=path)).inputs == {}


def test_what_was_staged_as_part_of_a_folder_is_there(workspace: Path) -> None:
    example = a_job(workspace, executable="data/one")
    example.remote_input_files = ["data"]

    assert layout_of(example).inputs == {"data": workspace / "data"}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"executable": "nowhere.sh"}, "nowhere.sh is neither"),
        ({"executable": "leads-out/secret"}, "leads-out/secret is neither"),
        ({"executable": ""}, "no executable"),
        ({"output": "$(cluster)/x"}, "known only when it runs"),
    ],
)
def test_a_job_that_could_not_start_is_refused(workspace: Path, attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidJob, match=words):
        layout_of(a_job(workspace, **attributes))


@pytest.mark.parametrize("attributes", [{"transfer_executable": False}, {"universe": "docker"}])
def test_a_program_that_is_where_the_job_runs_need_not_be_here(workspace: Path, attributes: dict[str, Any]) -> None:
    assert layout_of(a_job(workspace, executable="nowhere.sh", **attributes)).inputs == {}


def test_an_input_that_is_not_there_is_named(workspace: Path) -> None:
    example = a_job(workspace)
    example.remote_input_files = [str(workspace / "gone")]

    with pytest.raises(InvalidJob, match="workspace/gone is not there"):
        layout_of(example)
    assert layout_of(example, inputs_are_there=True).logs == layout_of(a_job(workspace)).logs


@pytest.mark.parametrize("name", ["job", ".jobsapi"])
def test_an_input_does_not_take_the_place_of_what_the_job_needs(workspace: Path, name: str) -> None:
    (workspace / name).write_text("")
    example = a_job(workspace)
    example.remote_input_files = [name]

    with pytest.raises(InvalidJob, match="Rename it"):
        layout_of(example)


def test_an_input_folder_may_have_the_name_of_a_folder_that_is_made(workspace: Path) -> None:
    (workspace / "job" / "logs").mkdir(parents=True)
    example = a_job(workspace)
    example.remote_input_files = ["job"]
    assert layout_of(example).inputs == {"job": workspace / "job"}

    (workspace / "job" / "job.job").write_text("")
    with pytest.raises(InvalidJob, match="Rename it"):
        layout_of(example)


def test_each_proc_gets_its_folder(workspace: Path) -> None:
    example = a_job(
        workspace, initialdir="run_$(Process)", output="out/$(ProcId).txt", log="all.log", error="/dev/null"
    )
    example.num_jobs = 2

    layout = layout_of(example)

    assert layout.folders == (".", "run_0", "run_0/out", "run_1", "run_1/out")
    assert layout.logs == ("run_*/all.log", "run_*/out/*.txt")
    assert layout.submit[-1] == "job.job"
    example.num_jobs = 10_001
    with pytest.raises(InvalidJob, match="10000 at most"):
        layout_of(example)


def test_logs_of_odd_names_are_found_by_their_patterns(workspace: Path) -> None:
    layout = layout_of(a_job(workspace, output="[a]*$(Cluster)-$(u)$(Process)?.out"))

    (workspace / "job").mkdir()
    (workspace / "job" / "[a]*12-0?.out").write_text("")
    (workspace / "job" / "a12-0x.out").write_text("")
    assert [path.name for path in workspace.glob(layout.logs[1])] == ["[a]*12-0?.out"]


def test_where_outputs_are_put_is_made(workspace: Path) -> None:
    layout = layout_of(a_job(workspace, transfer_output_remaps='"a=maps/a; b=https://x/b; c=../tables/c"'))

    assert layout.folders == ("job", "job/logs", "job/maps", "tables")


def test_options_are_handed_on(workspace: Path) -> None:
    example = a_job(workspace)
    example.submit_options = ["-batch-name", "mine"]

    assert layout_of(example).submit == ("condor_submit", "-terse", "-batch-name", "mine", "job/job.job")


def a_flow(workspace: Path, *nodes: Any, **kwargs: Any) -> Any:
    return flow(*nodes, workspace=str(workspace), **kwargs)


def test_a_workflow_lies_in_one_folder_with_the_inputs_of_all_its_nodes(workspace: Path) -> None:
    script = {"executable": "run.sh", "transfer_input_files": ["../input_1"]}
    workflow = a_flow(
        workspace,
        node("A", attributes=script, remote_input_files=[str(workspace / "run.sh")]),
        node("B", "A", attributes={**script, "transfer_input_files": "../A/a_output"}, remote_input_files=["run.sh"]),
        node("S", keyword="SUBDAG", dag_file="inner.dag", retry=1),
        config="my.config",
        remote_input_files=["data"],
    )

    layout = layout_of(workflow)

    assert layout.submit == ("condor_submit_dag", "-f", *MARKS, "flow.dag")
    assert set(layout.texts) == {"flow.dag", "A/A.job", "B/B.job"}
    assert layout.folders == ("A", "A/logs", "B", "B/logs")
    assert layout.inputs == {name: workspace / name for name in ("data", "my.config", "run.sh", "input_1", "inner.dag")}
    assert {"flow.dag.dagman.out", "flow.dag.rescue*", "inner.dag.dagman.out", "B/logs/B.*.*.out"} <= set(layout.logs)
    assert (layout.dag_file, layout.status_file, layout.parts) == ("flow.dag", "flow.00000000.status", 3)


def test_what_belongs_to_a_node_with_a_folder_goes_there(workspace: Path) -> None:
    attributes = {"executable": "run.sh", "transfer_input_files": "../input_1"}
    workflow = a_flow(
        workspace,
        node("A", dir="sub", attributes=attributes, pre_script="pre.sh", remote_input_files=["data"]),
        node("B", attributes={"executable": "run.sh"}),
    )

    layout = layout_of(workflow)

    assert "sub/A/A.job" in layout.texts
    assert "JOB A A/A.job DIR sub" in layout.texts["flow.dag"]
    assert layout.inputs == {
        "sub/data": workspace / "data",
        "sub/pre.sh": workspace / "sub/pre.sh",
        "sub/run.sh": workspace / "sub/run.sh",
        "sub/input_1": workspace / "input_1",
        "run.sh": workspace / "run.sh",
    }
    assert layout.folders[:2] == ("sub/A", "sub/A/logs")
    assert "sub/A/logs/A.*.log" in layout.logs


def test_two_files_of_one_name_are_refused(workspace: Path) -> None:
    both = node("A", remote_input_files=["run.sh"]), node("B", remote_input_files=["sub/run.sh"])

    with pytest.raises(InvalidJob, match=r"both called run\.sh"):
        layout_of(a_flow(workspace, *both))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pre_script": "gone.sh"}, "A: gone.sh is neither"),
        ({"post_script": "leads-out/secret"}, "A: leads-out/secret is neither"),
        ({"keyword": "SPLICE", "dag_file": "gone.dag"}, "A: gone.dag is neither"),
        ({"attributes": {}}, "A has no executable"),
        ({"remote_input_files": ["gone"]}, "gone is not there"),
        ({"remote_input_files": ["/dev/null"]}, "/dev/null is neither a file nor a folder"),
    ],
)
def test_a_node_that_could_not_start_is_refused(workspace: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidJob, match=words):
        layout_of(a_flow(workspace, node("A", **options)))


def test_what_another_node_may_make_need_not_be_there(workspace: Path) -> None:
    made_later = (
        node("B", "A", attributes={"executable": "A/compiled"}),
        node("S", keyword="SUBDAG", dag_file="A/s.dag"),
    )

    assert layout_of(a_flow(workspace, node("A"), *made_later)).inputs == {}


@pytest.mark.parametrize(
    "options",
    [
        {"name": "flow.dag"},
        {"name": "flow.dag.lock"},
        {"name": "flow.dag.rescue001"},
        {"name": "A", "dir": "flow.dag"},
        {"name": "A", "dir": "flow.dag.lock"},
        {"name": "A", "attributes": {"executable": "/bin/true", "initialdir": ".jobsapi"}},
        {"name": "A", "attributes": {"executable": "/bin/true", "output": "A.job/x"}},
    ],
)
def test_a_node_does_not_take_the_place_of_what_the_workflow_needs(workspace: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob, match="Call the node otherwise"):
        layout_of(a_flow(workspace, node(**options)))


def test_a_node_elsewhere_may_be_called_like_the_dag(workspace: Path) -> None:
    assert layout_of(a_flow(workspace, node("flow.dag", dir="sub"))).folders[0] == "sub/flow.dag"


def test_an_input_file_does_not_take_the_place_of_a_folder_with_inputs(workspace: Path) -> None:
    (workspace / "made").write_text("")
    subdag = node("S", keyword="SUBDAG", dag_file="s.dag", dir="made", remote_input_files=["sub/run.sh"])

    with pytest.raises(InvalidJob, match="Rename it"):
        layout_of(a_flow(workspace, subdag, remote_input_files=["made"]))


def test_a_job_s_file_and_folder_cannot_have_one_name(workspace: Path) -> None:
    with pytest.raises(InvalidJob, match=r"both a file and a folder called job/job\.job"):
        layout_of(a_job(workspace, output="job.job/out"))


def test_an_option_and_an_attribute_do_not_read_the_environment_together(workspace: Path) -> None:
    example = a_job(workspace, x="$E")
    example.submit_options = ["-append", "+Peek = $(x)NV(HOME)"]

    with pytest.raises(InvalidJob, match="everybody at the pool"):
        layout_of(example)


@pytest.mark.parametrize("name", ["flow.dag", "flow.dag.rescue001", "A"])
def test_an_input_does_not_take_the_place_of_what_dagman_writes(workspace: Path, name: str) -> None:
    (workspace / name).write_text("")

    with pytest.raises(InvalidJob, match="Rename it"):
        layout_of(a_flow(workspace, node("A"), remote_input_files=[name]))


def test_a_later_attempt_goes_on_unless_it_is_to_start_anew(workspace: Path) -> None:
    subdag = node("S", keyword="SUBDAG", dag_file="inner.dag", dir="sub")
    again = layout_of(a_flow(workspace, subdag, resubmitted=True))
    anew = layout_of(a_flow(workspace, node("A"), resubmitted=True, from_start=True))

    sweep = ("sh", "-c", AFTER_SWEEPING, "sh")
    assert again.resumes
    assert again.submit == (*sweep, "condor_submit_dag", "-update_submit", *MARKS, "flow.dag")
    assert not anew.resumes
    assert anew.submit == (*sweep, "condor_submit_dag", "-f", *MARKS, "flow.dag")


def test_the_command_is_no_longer_for_more_nodes(workspace: Path) -> None:
    subdags = [node(f"N{number}", keyword="SUBDAG", dag_file=f"later/{number}.dag") for number in range(5_000)]

    layout = layout_of(a_flow(workspace, *subdags, resubmitted=True))

    assert sum(map(len, layout.submit)) < 2_000


def test_dagman_may_end_with_the_codes_that_its_nodes_give_it(workspace: Path) -> None:
    ending = [
        node("A", abort_dag_on=4),
        node("B", abort_dag_on=1, abort_dag_on_return_value=9),
        node("C", abort_dag_on=0),
    ]
    ending.append(node("D", abort_dag_on=-9))

    submit = layout_of(a_flow(workspace, *ending)).submit

    assert submit[-3] == "-append"
    assert submit[-2].endswith("ExitCode <= 2) || member(ExitCode, {4, 9, 247}))")


def test_locks_of_dagmans_that_are_gone_are_swept_and_no_others(tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", "read _ # dagman", "dagman"], stdin=subprocess.PIPE) as running:
        pids = {"alive": running.pid, "dead": 999999999, "in/a folder/de$(e)p": 999999999, "other": 1}
        for name, pid in pids.items():
            lock = tmp_path / f"{name}.dag.lock"
            lock.parent.mkdir(parents=True, exist_ok=True)
            lock.write_text(f"PPID = 1\nPID = {pid}\n")
            lock.with_suffix(".dagman.out").touch()
        (tmp_path / "empty.dag.lock").touch()
        (tmp_path / "empty.dag.dagman.out").touch()
        (tmp_path / "mine.lock").write_text("PID = 999999999\n")
        said = subprocess.run(
            ["sh", "-c", AFTER_SWEEPING, "sh", "printf", "%s.", "a b", "$(c)"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        left = sorted(path.name for path in tmp_path.rglob("*.lock"))
        running.communicate(b"\n")

    assert (said.stdout, said.stderr, left) == ("a b.$(c).", "", ["alive.dag.lock", "mine.lock"])
