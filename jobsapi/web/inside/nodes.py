"""The nodes of a workflow as pages show them: made by the app, and as the last refresh saw them.

The keys of ``backend_state["nodes"]`` are those of ``jobsapi/backends/condor/observe/``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, Self

from jobsapi.models import CondorWorkflow, CondorWorkflowNode, CondorWorkflowSubdagNode, PartWish
from jobsapi.models.progress import words
from jobsapi.status import RUNNING, Status
from jobsapi.web.job import logs
from jobsapi.web.rows import TONES, WISHES, duration

NEVER_SEEN = {Status.PENDING, Status.ABORTED}
"""Statuses of nodes that, as far as is known, HTCondor has never had: unless they have a cluster."""


@dataclass(frozen=True)
class Node:
    """A node of a workflow."""

    name: str
    type: str
    parents: tuple[str, ...]
    code: str
    status: str
    tone: str
    wish: str
    message: str
    retries: int
    native_id: str
    ran: str
    """Where, how long, and with how much memory."""
    can_stop: bool
    can_pause: bool
    can_resume: bool
    logs: str
    """The end of the address of its logs; empty before there can be any, and for what has none."""

    @classmethod
    def of(
        cls,
        name: str,
        state: Mapping[str, Any],
        wish: str,
        type: str = "",
        parents: Sequence[str] = (),
        *,
        find: str = "",
    ) -> Self:
        """A node as ``backend_state["nodes"]`` has it. ``find``: what its logs are found by."""
        status = Status(state.get("status", Status.PENDING))
        native_id = str(state.get("native_id") or "")
        is_there = bool(native_id) and status in RUNNING | {Status.SUBMITTED, Status.PAUSED} and wish != "cancel"
        return cls(
            name=name,
            type=type,
            parents=tuple(parents),
            code=status.value,
            status=str(status.label),
            tone=TONES[status],
            wish=WISHES.get(wish, ""),
            message=str(state.get("message") or ""),
            retries=int(state.get("retries") or 0),
            native_id=native_id,
            ran=", ".join(_ran(state)),
            can_stop=is_there,
            can_pause=is_there and status in RUNNING and wish != "hold",
            can_resume=is_there and (status is Status.PAUSED or bool(state.get("held"))) and wish != "release",
            logs=logs.address(find=find) if find and (native_id or status not in NEVER_SEEN) else "",
        )


@dataclass(frozen=True)
class Vertex:
    """A node as the app made it, with what is known of it: of a splice the nodes in it, of all others itself."""

    name: str
    type: str
    parents: tuple[str, ...]
    nodes: tuple[Node, ...]


def vertices(job: CondorWorkflow) -> list[Vertex]:
    """The graph of a workflow, in the order in which it was made. Three queries, however large it is."""
    wishes = dict(PartWish.objects.filter(job=job.pk).values_list("part", "verb"))
    states, made = _with_own_words(job), job.graph()
    inner: defaultdict[str, list[Node]] = defaultdict(list)
    for name in sorted(states.keys() - {node.name for node in made}):
        # HTCondor knows of a splice only the nodes in it, which are called SPLICE+NODE.
        find = "" if "+" in name else f"/{name}/"
        inner[name.partition("+")[0]].append(Node.of(name, states[name], wishes.get(name, ""), find=find))
    found = []
    for node in made:
        within = tuple(inner.pop(node.name, ())) if node.name not in states else ()
        state, wish = states.get(node.name, {}), wishes.get(node.name, "")
        own = Node.of(node.name, state, wish, node.type, node.parent_names, find=_logs_of(node))
        found.append(Vertex(node.name, node.type, own.parents, within or (own,)))
    return found + [Vertex(each.name, "", (), (each,)) for left in inner.values() for each in left]


def _logs_of(node: CondorWorkflowNode) -> str:
    """What its logs are found by: they lie in a folder of its name, those of a sub-DAG's DAGMan beside its DAG file.

    What is not run has none, and nobody knows where the nodes of a splice write theirs.
    """
    if node.noop or node.done or node.keyword == "SPLICE":
        return ""
    return f"/{PurePosixPath(node.dag_file).name}." if isinstance(node, CondorWorkflowSubdagNode) else f"/{node.name}/"


def _with_own_words(job: CondorWorkflow) -> Mapping[str, Mapping[str, Any]]:
    """The states of nodes, each with what it says itself where HTCondor says nothing of it."""
    states, said = job.node_states, job.reported.get("parts", {})
    return {
        name: {**state, "message": words(said[name])}
        if name in said and not state.get("message") and state.get("status") != Status.COMPLETE
        else state
        for name, state in states.items()
    }


def listed(found: Iterable[Vertex]) -> list[Node]:
    """The nodes, as they were made, and behind them those of splices."""
    every = [node for vertex in found for node in vertex.nodes]
    return sorted(every, key=lambda node: (not node.type, node.name if not node.type else ""))


def _ran(state: Mapping[str, Any]) -> Iterator[str]:
    if state.get("where"):
        yield f"on {state['where']}"
    if state.get("run_time"):
        yield duration(timedelta(seconds=float(state["run_time"])))
    if state.get("memory"):
        yield f"{state['memory']:,} MB"
