"""The file in which DAGMan keeps the states of a workflow's nodes (``NODE_STATUS_FILE``). Pure.

It alone knows of nodes that were skipped, marked as done, never submitted, or stopped by a script: they appear in
neither queue nor history. Its form is that of ClassAds, one per node, between one of the DAG and one that ends it.
https://htcondor.readthedocs.io/en/latest/automated-workflows/dagman-information-files.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class NodeState(IntEnum):
    """DAGMan's own states of a node."""

    NOT_READY = 0
    """A parent has not ended."""
    READY = 1
    PRERUN = 2
    """Its PRE script runs."""
    SUBMITTED = 3
    """In the queue: idle, running or held."""
    POSTRUN = 4
    """Its POST script runs."""
    DONE = 5
    ERROR = 6
    FUTILE = 7
    """Can never run, since a node before it failed."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as DAGMan sees it."""

    state: NodeState
    details: str = ""
    retries: int = 0
    """How many times it was tried again."""
    procs_queued: int = 0
    procs_held: int = 0


@dataclass(frozen=True, slots=True)
class NodeStatuses:
    """A whole file."""

    written: int
    """Seconds since 1970, by the clock of the submit host."""
    nodes: Mapping[str, Node]
    """By name; those of a splice are called ``SPLICE+NODE``."""


_VALUE = re.compile(r'\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|(-?\d{1,18}))\s*;')
_ESCAPED = re.compile(r"\\(.)")


def parse(text: str) -> NodeStatuses | None:
    """The nodes of a file; None when it is half written, empty or something else."""
    written: int | None = None
    nodes: dict[str, Node] = {}
    for block in _blocks(text):
        values = _values(block)
        kind = values.get("Type")
        if kind == "DagStatus":
            written = _number(values, "Timestamp")
        elif kind == "NodeStatus":
            state = _number(values, "NodeStatus", -1)
            if isinstance(values.get("Node"), str) and state in NodeState.__members__.values():
                nodes[values["Node"]] = Node(
                    NodeState(state),
                    " ".join(str(values.get("StatusDetails", "")).split()),
                    _number(values, "RetryCount"),
                    _number(values, "JobProcsQueued"),
                    _number(values, "JobProcsHeld"),
                )
        elif kind == "StatusEnd" and written is not None:
            return NodeStatuses(written, nodes)
    return None


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines of each whole ClassAd. Each line is looked at once, whatever the file holds: a job can write it."""
    block: list[str] | None = None
    for line in text.split("\n"):
        word = line.rstrip(" \t\r")
        if word == "[":
            block = []
        elif word == "]":
            if block is not None:
                yield block
            block = None
        elif block is not None:
            block.append(line)


def _values(lines: Iterable[str]) -> dict[str, Any]:
    found = (match.groups() for match in map(_VALUE.match, lines) if match)
    return {name: int(digits) if digits else _ESCAPED.sub(r"\1", text) for name, text, digits in found}


def _number(values: Mapping[str, Any], name: str, default: int = 0) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else default
