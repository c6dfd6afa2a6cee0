"""Layouts on a real pool: what was written does what it says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jobsapi.backends.condor.layout import Layout, layout_of
from jobsapi.htcondor.values import quoted
from tests.backends.condor.stand_ins import ATTEMPT, flow, job, node
from tests.rig.condor import CondorPool, workspace
from tests.rig.eventually import eventually

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

OK, FAILED = 0, 2
"""Values of DAG_Status."""


class Place:
    """A workspace on a pool, with own folders in it."""

    def __init__(self, pool: CondorPool, folder: Path) -> None:
        self.pool, self.workspace = pool, folder

    def write(self, name: str, text: str) -> str:
        """A file of the workspace that can be run; its path."""
        path = self.workspace / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
        path.chmod(0o777)
        return str(path)

    def submit(self, layout: Layout, folder: Path) -> int:
        """Lay out and submit as a backend does; the cluster."""
        for name in layout.folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, source in layout.inputs.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, folder / name, dirs_exist_ok=True)
            else:
                shutil.copy(source, folder / name)
        for name, text in layout.texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        said = self.pool.condor(*layout.submit, cwd=folder)
        return int(re.search(r"(?:cluster |^)(\d+)\.", said, re.MULTILINE).group(1))

    def run(self, part: Any, folder: str = "own") -> tuple[Path, dict[str, Any]]:
        """Submit and wait: the own folder, and the ad of the job or of DAGMan as history has it."""
        part.workspace = str(self.workspace)
        own = self.workspace / folder
        cluster = self.submit(layout_of(part), own)
        return own, self.ended(cluster)

    def ended(self, cluster: int) -> dict[str, Any]:
        """The ad of a cluster's first proc, once it is in the history."""
        return eventually(lambda: self.pool.history(str(cluster), "-limit", "1"), timeout=100)[0]

    def nodes(self, dagman: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """The ads of the nodes that DAGMan has submitted, each node's tries in turn."""
        found: dict[str, list[dict[str, Any]]] = {}
        ads = self.pool.history("-constraint", f"DAGManJobId == {dagman['ClusterId']}")
        for ad in sorted(ads, key=lambda ad: ad["ClusterId"]):
            found.setdefault(ad["DAGNodeName"], []).append(ad)
        return found


@pytest.fixture
def place(condor_pool: CondorPool) -> Iterator[Place]:
    with workspace() as folder:
        yield Place(condor_pool, folder)


def shell(name: str, command: str, *parents: str, **kwargs: Any) -> Any:
    """A node that runs a shell command."""
    attributes = {"executable": "/bin/sh", "transfer_executable": False, "arguments": ["-c", command]}
    return node(name, *parents, attributes={**attributes, **kwargs.pop("attributes", {})}, **kwargs)


def out(folder: Path, name: str) -> str:
    """What the tries of a job or node have printed, one after the other."""
    found = folder.glob(f"{name}/logs/*.out")
    return "".join(path.read_text() for path in sorted(found, key=lambda path: int(path.name.split(".")[-3])))


def test_the_reference_s_example_runs(place: Place) -> None:
    example = job(
        "myjob_7",
        attributes={"attribute1": "attr1", "transfer_input_files": ("../input_1", "../input_2")},
        condorpy_template_name="vanilla_transfer_files",
        remote_input_files=[
            place.write("my_script.py", "#!/bin/sh\ncat input_1 input_2 | tee output; echo $# args\n"),
            place.write("input_1", "one\n"),
            place.write("input_2", "two\n"),
        ],
    )
    example.attributes["executable"] = "my_script.py"

    folder, ad = place.run(example)

    assert (ad["ExitCode"], ad["JobsApiId"], ad["JobsApiPortal"]) == (0, ATTEMPT.hex, "jobsapi")
    assert (folder / "myjob_7/output").read_text() == "one\ntwo\n"
    layout = layout_of(example)
    logs = {path.name: path.read_text() for pattern in layout.logs for path in folder.glob(pattern)}
    assert sorted(logs) == [f"myjob_7.{ad['ClusterId']}.{end}" for end in ("0.err", "0.out", "log")]
    assert logs[f"myjob_7.{ad['ClusterId']}.0.out"] == "one\ntwo\n0 args\n"


def test_arguments_and_environment_arrive_as_they_were_given(place: Place) -> None:
    arguments = ["a b", "it's", 'say "hi"', "", "\\x", "# | ; $HOME `id`", "größe", "$(Process)", "tab\there"]
    script = place.write("say.sh", '#!/bin/sh\nfor each; do echo "[$each]"; done; echo "$GREETING"\n')
    example = job(
        attributes={"executable": "say.sh", "arguments": arguments, "environment": ['GREETING=it\'s "me"']},
        remote_input_files=[script],
        num_jobs=2,
    )

    folder, ad = place.run(example)
    eventually(lambda: not place.pool.queue(str(ad["ClusterId"])), timeout=60)

    said = "".join(f"[{each}]\n" for each in arguments) + 'it\'s "me"\n'
    printed = [path.read_text() for path in sorted((folder / "logs").glob("*.out"))]
    assert printed == [said.replace("$(Process)", proc) for proc in "01"]


def test_odd_values_that_are_accepted_queue_what_was_asked_for_and_nothing_else(place: Place) -> None:
    odd = [
        "queue 9",
        "= 1",
        ": x",
        "@=end",
        "# 1",
        "a | b |",
        '"',
        "'",
        "$$(x)",
        "$(x)",
        "$",
        "((",
        "é\u2028",
        "\t",
        "\\ x",
    ]
    names = {f"x{number}": value for number, value in enumerate(odd)} | {"queue_item": "1", "warning": "w"}
    layout = layout_of(job(attributes={**names, "executable": "/bin/true"}, num_jobs=2))

    own = place.workspace / "own"
    (own / "logs").mkdir(parents=True)
    (own / "job.job").write_text(layout.texts["job.job"])
    place.pool.condor("condor_submit", "-terse", "-dry-run", "ads", "job.job", cwd=own)

    ads = (own / "ads").read_text()
    assert ads.count("ProcId=") == 2
    assert f'JobsApiId="{ATTEMPT.hex}"' in ads


def test_each_proc_writes_to_its_folder(place: Place) -> None:
    attributes = {"executable": "/bin/sh", "arguments": ["-c", "echo $(Process)"], "initialdir": "run_$(Process)"}

    folder, ad = place.run(job(attributes={**attributes, "output": "out/it.txt"}, num_jobs=3))
    eventually(lambda: not place.pool.queue(str(ad["ClusterId"])), timeout=60)

    assert [(folder / f"run_{proc}/out/it.txt").read_text() for proc in range(3)] == ["0\n", "1\n", "2\n"]


def test_outputs_of_a_node_are_inputs_of_the_next(place: Place) -> None:
    step = place.write("step.sh", '#!/bin/sh\ncat "$1" > "$2"; echo "$2" >> "$2"\n')
    place.write("start", "start\n")

    def a_step(name: str, taken: str, *parents: str) -> Any:
        attributes = {
            "executable": "step.sh",
            "arguments": [Path(taken).name, f"{name}_output"],
            "transfer_input_files": [taken],
            "transfer_output_files": [f"{name}_output"],
        }
        return node(name, *parents, attributes=attributes, remote_input_files=[step])

    folder, dagman = place.run(
        flow(
            a_step("c_node", "../b_node/b_node_output", "b_node"),
            a_step("b_node", "../a_node/a_node_output", "a_node"),
            a_step("a_node", "../start"),
        )
    )

    assert (dagman["ExitCode"], dagman["DAG_Status"], dagman["DAG_NodesDone"]) == (0, OK, 3)
    assert (folder / "c_node/c_node_output").read_text() == "start\na_node_output\nb_node_output\nc_node_output\n"
    assert dagman["JobsApiId"] == ATTEMPT.hex
    assert {ad["JobsApiId"] for tries in place.nodes(dagman).values() for ad in tries} == {ATTEMPT.hex}
    assert "DagStatus = 5" in (folder / layout_of(flow(node())).status_file).read_text()


def test_each_kind_of_node_runs(place: Place) -> None:
    inner = (
        "executable = /bin/sh\narguments = \"-c 'echo $(JOB) > made-by-$(JOB)'\"\n"
        "should_transfer_files = yes\ntransfer_executable = false\nlog = inner.log\nqueue\n"
    )
    files = [
        place.write("inner.job", inner),
        place.write("subdag.dag", "JOB I inner.job\n"),
        place.write("splice.dag", "JOB I inner.job\nJOB K inner.job\nPARENT I CHILD K\n"),
    ]

    folder, dagman = place.run(
        flow(
            shell("job", "echo job"),
            shell("data", "echo data", "job", keyword="DATA"),
            node("subdag", "data", keyword="SUBDAG", dag_file="subdag.dag"),
            node("splice", "data", keyword="SPLICE", dag_file="splice.dag"),
            shell("last", "echo last", "subdag", "splice"),
            shell("final", "echo final", keyword="FINAL"),
            remote_input_files=files,
        )
    )

    assert (dagman["ExitCode"], dagman["DAG_Status"], dagman["DAG_NodesTotal"]) == (0, OK, 7)
    assert [out(folder, name) for name in ("job", "data", "last", "final")] == ["job\n", "data\n", "last\n", "final\n"]
    assert sorted(path.name for path in folder.glob("made-by-*")) == [
        "made-by-I",
        "made-by-splice+I",
        "made-by-splice+K",
    ]
    assert (folder / "subdag.dag.dagman.out").exists()


def test_options_of_nodes_have_their_effects(place: Place) -> None:
    place.write("say.sh", '#!/bin/sh\necho "$# $*" >> said-by-"$1"\n')
    place.write("skip.sh", "#!/bin/sh\nexit 7\n")
    place.write("sub/here.sh", "#!/bin/sh\npwd > where\n")
    place.write("dagman.config", "DAGMAN_USER_LOG_SCAN_INTERVAL = 1\n")
    said = 'say "hi" \\ # 1'

    folder, dagman = place.run(
        flow(
            shell("vars", "echo '[$(v)] $(n)'", variables={"v": "\\ $(JOB) # 1;", "n": 0, "+Said": quoted(said)}),
            shell("scripts", "exit 3", pre_script="say.sh", pre_script_args=["pre", "a;b", "$JOB"],
                  post_script="say.sh", post_script_args="post $RETURN | x"),
            shell("retried", "echo $(tries); exit $((2 - $(tries)))", variables={"tries": "$(RETRY)"}, retry=5),
            shell("skipped", "exit 1", pre_script="skip.sh", pre_skip=7),
            shell("noop", "exit 1", noop=True),
            shell("done", "exit 1", done=True),
            shell("elsewhere", "echo elsewhere", dir="sub", pre_script="here.sh"),
            *(shell(f"one_{n}", "sleep 1", category="one", priority=n) for n in (1, 3, 2)),
            max_jobs={"one": 1},
            config="dagman.config",
        )
    )  # fmt: skip
    tries = place.nodes(dagman)

    assert (dagman["ExitCode"], dagman["DAG_Status"]) == (0, OK)
    assert out(folder, "vars") == "[\\ vars # 1;] 0\n"
    assert tries["vars"][0]["Said"] == said
    assert (folder / "said-by-pre").read_text() == "3 pre a;b scripts\n"
    assert (folder / "said-by-post").read_text() == "4 post 3 | x\n"
    assert out(folder, "retried") == "0\n1\n2\n"
    assert not {"skipped", "noop", "done"} & set(tries)
    assert out(folder, "sub/elsewhere") == "elsewhere\n"
    assert (folder / "sub/where").read_text() == f"{folder}/sub\n"
    one_at_a_time = sorted(
        (ad for name in tries if name.startswith("one_") for ad in tries[name]), key=lambda ad: ad["ClusterId"]
    )
    assert [ad["DAGNodeName"] for ad in one_at_a_time] == ["one_3", "one_2", "one_1"]
    assert [ad["JobPrio"] for ad in one_at_a_time] == [3, 2, 1]
    for before, after in pairwise(one_at_a_time):
        assert before["CompletionDate"] <= after["JobCurrentStartDate"]
    assert "DAGMAN_USER_LOG_SCAN_INTERVAL setting: 1" in (folder / "flow.dag.dagman.out").read_text()


def test_a_node_is_not_tried_again_after_the_exit_code_that_says_so(place: Place) -> None:
    _, dagman = place.run(
        flow(
            shell("never", "exit 3", retry=5, retry_unless_exit_value=3),
            shell("once", "exit 4", retry=1, retry_unless_exit_value=3),
            shell("futile", "exit 0", "never"),
        )
    )
    tries = place.nodes(dagman)

    assert (dagman["ExitCode"], dagman["DAG_Status"]) == (1, FAILED)
    assert {name: len(ads) for name, ads in tries.items()} == {"never": 1, "once": 2}


@pytest.mark.parametrize("code", [9, 0])
def test_a_node_can_end_the_workflow_with_a_code(place: Place, code: int) -> None:
    _, dagman = place.run(
        flow(
            shell("ends", "exit 4", abort_dag_on=4, abort_dag_on_return_value=code, retry=5),
            shell("runs", "sleep 300"),
            shell("waits", "exit 0", "runs"),
        )
    )
    tries = eventually(lambda: len(found := place.nodes(dagman)) == 2 and found)

    assert dagman["ExitCode"] == code
    assert {name: [ad["JobStatus"] for ad in ads] for name, ads in tries.items()} == {"ends": [4], "runs": [3]}


def test_a_failed_workflow_goes_on_where_it_failed_or_starts_anew(place: Place) -> None:
    nodes = [shell("A", "echo A"), shell("B", "", "A")]
    first, second, third = flow(*nodes), flow(*nodes, resubmitted=True), flow(*nodes, resubmitted=True, from_start=True)

    nodes[1].attributes["arguments"] = ["-c", "exit 5"]
    folder, failed = place.run(first)
    nodes[1].attributes["arguments"] = ["-c", "echo B"]
    (folder / "flow.dag.lock").write_text("PID = 999999999\n")  # as a DAGMan leaves it that was killed
    _, resumed = place.run(second)
    (folder / "flow.dag.lock").write_text("PID = 999999999\n")
    _, anew = place.run(third)

    assert [ad["DAG_Status"] for ad in (failed, resumed, anew)] == [FAILED, OK, OK]
    assert [sorted(place.nodes(ad)) for ad in (failed, resumed, anew)] == [["A", "B"], ["B"], ["A", "B"]]
    assert out(folder, "A") == "A\nA\n"
    assert out(folder, "B") == "B\nB\n"
