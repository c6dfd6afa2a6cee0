"""What stands in a DAG file."""

from __future__ import annotations

from typing import Any

import pytest

from jobsapi.backends.condor.dag import dag_of, node_of
from jobsapi.exceptions import InvalidJob
from tests.backends.condor.stand_ins import flow, node


def text_of(*nodes: Any, **kwargs: Any) -> str:
    return str(dag_of(flow(*nodes, **kwargs)))


def test_a_workflow_reads_as_its_nodes_and_then_what_is_said_of_them() -> None:
    text = text_of(
        node("C", "A", "B", post_script="post.sh", post_script_args=["$RETURN", 1], noop=True),
        node("A", pre_script="/bin/pre", retry=3, retry_unless_exit_value=0, priority=-1, category="big", pre_skip=2),
        node("B", "A", variables={"v": 'say "hi" \\ $(JOB)', "n": 0, "+F": '"x"'}, abort_dag_on=0, done=True),
        node("D", dir="sub/", abort_dag_on=3, abort_dag_on_return_value=0, priority=0),
        max_jobs={"big": 2},
        config="/home/ada/dag man/dagman.config",
    )

    assert text == (
        "CONFIG dagman.config\n"
        "NODE_STATUS_FILE flow.00000000.status 5\n"
        "\n"
        "JOB A A/A.job\n"
        "JOB B B/B.job DONE\n"
        "JOB C C/C.job NOOP\n"
        "JOB D D/D.job DIR sub\n"
        "\n"
        "PARENT A CHILD B C\n"
        "PARENT B CHILD C\n"
        "\n"
        "SCRIPT PRE A /bin/pre\n"
        "SCRIPT POST C post.sh $RETURN 1\n"
        "\n"
        "PRE_SKIP A 2\n"
        "\n"
        'VARS B v="say \\"hi\\" \\\\ $(JOB)"\n'
        'VARS B n="0"\n'
        'VARS B +F="\\"x\\""\n'
        "\n"
        "PRIORITY A -1\n"
        "PRIORITY D 0\n"
        "\n"
        "CATEGORY A big\n"
        "\n"
        "RETRY A 3 UNLESS-EXIT 0\n"
        "ABORT-DAG-ON B 0\n"
        "ABORT-DAG-ON D 3 RETURN 0\n"
        "\n"
        "MAXJOBS big 2\n"
    )


def test_each_kind_of_node_has_its_own_line() -> None:
    text = text_of(
        node("J"),
        node("T", keyword="DATA"),
        node("F", keyword="FINAL"),
        node("S", keyword="SUBDAG", dag_file="sub/inner.dag", dir="x"),
        node("P", keyword="SPLICE", dag_file="inner.dag"),
    )

    lines = text.splitlines()[2:7]
    assert lines == [
        "JOB J J/J.job",
        "JOB T T/T.job",  # DAGMan knows no DATA any more
        "SUBDAG EXTERNAL S sub/inner.dag DIR x",
        "SPLICE P inner.dag",
        "FINAL F F/F.job",
    ]


def test_the_same_workflow_reads_the_same_each_time() -> None:
    nodes = [node(f"n{n}", *(f"n{parent}" for parent in range(n))) for n in range(30)]
    text = text_of(*nodes)

    assert {text_of(*nodes) for _ in range(5)} == {text}


def test_parents_stand_before_their_children_in_however_large_a_workflow() -> None:
    chain = [node(f"n{n}", *([f"n{n + 1}"] if n < 999 else [])) for n in range(1000)]

    dag = dag_of(flow(*chain))

    assert [each.name for each in dag.ordered] == [f"n{n}" for n in reversed(range(1000))]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([], "no nodes"),
        ([node("A"), node("A")], "2 nodes called A"),
        ([node("A", "B")], "B, which is no node"),
        ([node("A", "A")], "circle: A"),
        ([node("A", "C"), node("B", "A"), node("C", "B"), node("D")], "circle: A, B, C"),
        ([node("F", keyword="FINAL"), node("G", keyword="FINAL")], "F and G are both FINAL"),
        ([node("A"), node("F", "A", keyword="FINAL")], "F is a FINAL node"),
        ([node("F", keyword="FINAL"), node("A", "F")], "A cannot wait for F"),
        ([node("a b")], "cannot be called"),
        ([node("A", retry=-1)], "A: retry"),
        ([node("A", attributes={"queue": "1"})], "A: queue"),
        ([node("A", attributes={"log": "$(v)/x"}, variables={"v": "/tmp"})], "A: log"),
    ],
)
def test_what_is_no_graph_that_dagman_takes_is_refused(nodes: list[Any], words: str) -> None:
    with pytest.raises(InvalidJob, match=words):
        dag_of(flow(*nodes))


def test_a_configuration_file_needs_a_name_without_spaces() -> None:
    with pytest.raises(InvalidJob, match="config"):
        dag_of(flow(node(), config="/x/my config"))


def test_each_attempt_has_a_status_file_of_its_own() -> None:
    assert dag_of(flow(node())).status_file == "flow.00000000.status"
    assert dag_of(flow(node(), submission_id=None)).status_file == "flow.0.status"


def test_the_objects_answer_as_condorpy_s_do() -> None:
    dag = dag_of(flow(node("A"), node("B", "A"), name="my flow", max_jobs={"c": 1}))
    second = next(each for each in dag.node_set if each.job.name == "B")

    assert (dag.name, dag.dag_file, dag.num_jobs, dag.max_jobs) == ("my-flow", "my-flow.dag", 2, {"c": 1})
    assert (second.type, second.job.get("executable")) == ("JOB", "/bin/true")
    assert [parent.job.name for parent in second.parent_nodes] == ["A"]


def test_a_node_is_made_without_the_rest_of_its_workflow() -> None:
    alone = node("B", "A", retry=2)
    flow(alone).graph()

    assert str(node_of(alone)) == "JOB B B/B.job\n"
    assert node_of(alone).list_options() == "RETRY B 2\n"
