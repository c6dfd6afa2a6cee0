"""DAGMan's node status file, as two versions of HTCondor write it."""

from __future__ import annotations

import time

import pytest

from jobsapi.backends.condor.node_status import Node, NodeState, NodeStatuses, parse
from tests.backends.condor.recorded import MOMENTS, VERSIONS, Recorded


@pytest.mark.parametrize("version", VERSIONS)
def test_every_node_is_told_of_even_those_that_htcondor_never_had(version: str) -> None:
    found = parse(Recorded(version).status_file("mixed", "end"))
    assert found is not None
    assert set(found.nodes) == {"N", "D", "SD", "F", "SP+X", "SP+Y"}
    assert found.nodes["D"] == Node(NodeState.DONE, "User defined as DONE")
    assert found.written > 1_700_000_000


@pytest.mark.parametrize("version", VERSIONS)
def test_reasons_and_retries_are_told(version: str) -> None:
    failed = parse(Recorded(version).status_file("fail", "end"))
    retried = parse(Recorded(version).status_file("retry", "end"))
    assert failed is not None
    assert retried is not None
    assert failed.nodes["B"].state is NodeState.ERROR
    assert failed.nodes["B"].details.endswith("failed with status 3")
    assert failed.nodes["C"] == Node(NodeState.FUTILE, "Had an ancestor node fail")
    assert retried.nodes["A"].retries == 1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_caught_half_written_tells_nothing(version: str, moment: str) -> None:
    whole = Recorded(version).status_file("nodehold", moment)
    end = whole.rindex("]")
    assert parse(whole) is not None
    for cut in range(0, end, 7):
        assert parse(whole[:cut]) is None


@pytest.mark.parametrize("text", ["", "[\n]\n", "no file of DAGMan", '[\n  Type = "StatusEnd";\n]\n', "[" * 1000])
def test_something_else_tells_nothing(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("line", ["[\n", "]\n", "[\n]\n", "[", "\n", 'Type = "', "Type =\\", '\\"', " ", "a = 1;"])
def test_a_long_file_of_nonsense_is_read_in_no_time(line: str) -> None:
    began = time.thread_time()
    assert parse(line * 500_000) is None
    assert parse(f"[\n{line * 500_000}\n]\n") is None
    assert time.thread_time() - began < 10


def test_what_is_whole_in_an_odd_file_is_told() -> None:
    node = '[\n  Type = "NodeStatus";\n  Node = "A";\n  NodeStatus = 5;\n'
    status = '[\n  Type = "DagStatus";\n  Timestamp = 7;\n]\n'
    text = f'{status}{node}{node}]\n]\nno line\n[\n]\n[\n  Type = "StatusEnd";\n]\n[ ['
    assert parse(text) == NodeStatuses(7, {"A": Node(NodeState.DONE)})


def test_quotes_odd_values_and_foreign_lines_do_no_harm() -> None:
    text = """[
  Type = "DagStatus";
  Timestamp = "soon"; /* 5 */
]
[
  Type = "NodeStatus";
  Node = "a\\"b\\\\c";
  NodeStatus = 6; /* "STATUS_ERROR" */
  StatusDetails = "said \\"no; ]\\" twice";
  RetryCount = many;
  JobProcsHeld = -1;
]
[
  Type = "NodeStatus";
  Node = "unheard of";
  NodeStatus = 99;
]
[
  Type = "NodeStatus";
  NodeStatus = 5;
]
[
  Type = "SomethingNew";
]
[
  Type = "StatusEnd";
]
"""
    node = Node(NodeState.ERROR, 'said "no; ]" twice', procs_held=-1)
    assert parse(text) == NodeStatuses(0, {'a"b\\c': node})
    assert parse(text.replace("\n", "\r\n")) == NodeStatuses(0, {'a"b\\c': node})
