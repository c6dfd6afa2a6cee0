"""What is told of each node of a workflow, from DAGMan's word and from the queue."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobsapi.backends.condor import words
from jobsapi.backends.condor.ads import SCHEDULER_UNIVERSE, Ad, number, text
from jobsapi.backends.condor.node_status import Node, NodeState, NodeStatuses
from jobsapi.backends.condor.observe.part import end_of, machine_of, megabytes, phase_of
from jobsapi.status import Status

NEVER_RUN = "Not run: a node before it failed."

STATUSES: Mapping[NodeState, Status] = {
    NodeState.NOT_READY: Status.PENDING,
    NodeState.READY: Status.PENDING,
    NodeState.PRERUN: Status.RUNNING,
    NodeState.SUBMITTED: Status.SUBMITTED,
    NodeState.POSTRUN: Status.RUNNING,
    NodeState.DONE: Status.COMPLETE,
    NodeState.ERROR: Status.ERROR,
    NodeState.FUTILE: Status.ABORTED,
}
"""What DAGMan's word means to a user. Pending: DAGMan has not submitted it yet."""
MACHINES_SHOWN = 3
SCRIPTS = {NodeState.PRERUN: "Its PRE script runs.", NodeState.POSTRUN: "Its POST script runs."}


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of one node that are in the queue."""

    cluster: int
    phases: Mapping[Status, int]
    hold: str
    """Why the first held one is held."""
    where: str


@dataclass(frozen=True, slots=True)
class _Try:
    """The newest try of a node, as the history has it."""

    cluster: int
    parts: Sequence[Ad]


def nodes_of(queue: Iterable[Ad], dagman: int) -> list[Ad]:
    """The ads of all nodes below a DAGMan, those of sub-DAGs included."""
    below: dict[int, list[Ad]] = defaultdict(list)
    for ad in queue:
        parent = number(ad, "DAGManJobId")
        if parent is not None:
            below[parent].append(ad)
    found: list[Ad] = []
    todo, seen = [dagman], {dagman}
    while todo:
        for ad in below.get(todo.pop(), ()):
            found.append(ad)
            cluster = number(ad, "ClusterId")
            if cluster is not None and cluster not in seen:
                seen.add(cluster)
                todo.append(cluster)
    return found


def node_states(
    dagman: Ad,
    ads: Sequence[Ad],
    records: Sequence[Ad],
    status: NodeStatuses | None,
    before: Mapping[str, Any],
    *,
    ended: bool,
) -> dict[str, dict[str, Any]]:
    """All that is known of each node, as it is kept in the state. ``records``: of its jobs that have left the queue."""
    queued = {} if ended else _by_node(dagman, ads)
    ran = _newest(dagman, records)
    listed: Mapping[str, Node | None]
    if status is not None:
        listed = status.nodes
    else:
        listed = dict.fromkeys([*before, *queued, *ran])
        if ended:
            before = {name: _without_word(dagman, before.get(name) or {}, ran.get(name)) for name in listed}
    told = {name: _node(node, queued.get(name), before.get(name) or {}, ended=ended) for name, node in listed.items()}
    return told | {name: _with_record(told[name], run) for name, run in ran.items() if name in told}


def _newest(dagman: Ad, records: Sequence[Ad]) -> dict[str, _Try]:
    """The last try of each node of this DAGMan."""
    own = number(dagman, "ClusterId")
    tries: defaultdict[str, defaultdict[int, list[Ad]]] = defaultdict(lambda: defaultdict(list))
    for ad in records:
        name, cluster = text(ad, "DAGNodeName"), number(ad, "ClusterId")
        if name and cluster is not None and number(ad, "DAGManJobId") == own:
            tries[name][cluster].append(ad)
    return {name: _Try(max(clusters), clusters[max(clusters)]) for name, clusters in tries.items()}


def _with_record(told: Mapping[str, Any], run: _Try) -> dict[str, Any]:
    """What is told of a node, with how its newest try ran, all its parts together. DAGMan's own word goes first."""
    parts = sorted(run.parts, key=lambda ad: number(ad, "ProcId") or 0)
    ends = [end_of(ad) for ad in parts]
    failed = [end.facts for end in ends if end.outcome == "bad"]
    facts = {} if {"exit_code", "exit_signal"} & told.keys() else [*failed, ends[0].facts][0]
    ran = {
        "native_id": str(max(run.cluster, int(told.get("native_id") or 0))),
        "where": _machines(parts),
        "run_time": sum(number(ad, "RemoteWallClockTime") or 0 for ad in parts),
        "memory": max(map(megabytes, parts)),
    }
    return {**told, **facts, **{key: value for key, value in ran.items() if value != ""}}


def _machines(ads: Iterable[Ad]) -> str:
    """Where parts of a node run or ran: the first few machines."""
    found = list(dict.fromkeys(filter(None, map(machine_of, ads))))
    more = [f"{len(found) - MACHINES_SHOWN} more"] if len(found) > MACHINES_SHOWN else []
    return ", ".join(found[:MACHINES_SHOWN] + more)


def _without_word(dagman: Ad, before: Mapping[str, Any], run: _Try | None) -> Mapping[str, Any]:
    """What is known of a node of a workflow that has ended when DAGMan's file cannot be read: from other sources."""
    done, failed, total = (number(dagman, f"DAG_Nodes{which}") for which in ("Done", "Failed", "Total"))
    if number(dagman, "ExitCode") == 0 and not failed and total and done == total:
        return {**before, "status": Status.COMPLETE.value}
    if run is None or Status(before.get("status", Status.PENDING)) in (Status.COMPLETE, Status.ERROR):
        return before
    bad = [end.words for end in map(end_of, run.parts) if end.outcome != "ok"]
    if bad:
        return {**before, "status": Status.ERROR.value, "message": words.sentence(bad[0])}
    return {**before, "status": Status.COMPLETE.value}


def _by_node(dagman: Ad, ads: Sequence[Ad]) -> dict[str, _Parts]:
    """The newest cluster of each node of this DAGMan; what is held below a sub-DAG counts for the sub-DAG's node."""
    own = number(dagman, "ClusterId")
    inner: dict[int | None, list[Ad]] = defaultdict(list)
    by_name: dict[str, dict[int, list[Ad]]] = defaultdict(lambda: defaultdict(list))
    for ad in ads:
        name, cluster = text(ad, "DAGNodeName"), number(ad, "ClusterId")
        if number(ad, "DAGManJobId") != own:
            inner[number(ad, "DAGManJobId")].append(ad)
        elif name and cluster is not None:
            by_name[name][cluster].append(ad)
    parts = {}
    for name, clusters in by_name.items():
        newest = max(clusters)
        members = clusters[newest]
        below = nodes_of([ad for group in inner.values() for ad in group], newest) if inner else []
        phases = Counter(phase_of(ad) for ad in members)
        held = [ad for ad in (*members, *below) if phase_of(ad) is Status.PAUSED]
        phases[Status.PAUSED] = len(held)
        running = [ad for ad in members if phase_of(ad) is Status.RUNNING]
        parts[name] = _Parts(newest, phases, words.sentence(words.held(held[0])) if held else "", _machines(running))
    return parts


def _node(node: Node | None, parts: _Parts | None, before: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
    """One node, from DAGMan's word, its parts in the queue and what was known of it."""
    told: dict[str, Any] = {}
    if node is None:
        told = {key: value for key, value in before.items() if key not in ("held", "message")}
        told.setdefault("status", Status.PENDING.value)
        if "message" in before and Status(told["status"]) in (Status.ERROR, Status.ABORTED):
            told["message"] = before["message"]
    else:
        told = {"status": STATUSES[node.state].value}
        if node.retries:
            told["retries"] = node.retries
        told |= {key: before[key] for key in ("native_id", "where") if key in before}
        told |= _details(node)
    if parts is not None:
        told["native_id"] = str(parts.cluster)
        if node is None or node.state in (NodeState.NOT_READY, NodeState.READY, NodeState.SUBMITTED):
            told |= _queued(parts)
    elif node is not None and node.state is NodeState.SUBMITTED and not ended:
        # It has left the queue and DAGMan has not read its log yet, or the queue was asked a moment before.
        told["status"] = Status.RUNNING.value
    if ended and Status(told["status"]) not in (Status.COMPLETE, Status.ERROR, Status.ABORTED):
        told |= {"status": Status.ABORTED.value, "message": "Not finished when the workflow ended."}
    return told


def _queued(parts: _Parts) -> dict[str, Any]:
    held, running = parts.phases.get(Status.PAUSED, 0), parts.phases.get(Status.RUNNING, 0)
    waiting = parts.phases.get(Status.SUBMITTED, 0)
    told: dict[str, Any] = {"where": parts.where} if parts.where else {}
    if held:
        told["held"] = held
    if held and not running and not waiting:
        told |= {"status": Status.PAUSED.value, "message": parts.hold}
    else:
        told["status"] = (Status.RUNNING if running else Status.SUBMITTED).value
        if held + running + waiting > 1:
            counts = words.counted({"running": running, "waiting": waiting, "held": held})
            told["message"] = f"{counts}. {parts.hold}" if held else f"{counts}."
    return told


_PROC = re.compile(r"Job proc \((\d{1,18})\.(-?\d{1,18})\.-?\d{1,18}\)")
_HOW = re.compile(r"(?<!Script )failed with (status|signal) (-?\d{1,9})(?!\d)")
_SCRIPT = re.compile(r"(PRE|POST) Script failed with (status|signal) (-?\d{1,9})(?!\d)", re.IGNORECASE)


def _details(node: Node) -> dict[str, Any]:
    """What DAGMan says of a node, in words, with the exit code or signal taken out of them."""
    if node.state in SCRIPTS:
        return {"message": SCRIPTS[node.state]}
    if node.state is NodeState.FUTILE:
        return {"message": NEVER_RUN}
    if node.state is not NodeState.ERROR:
        return {}
    if node.details.startswith("Was STATUS_"):
        return {"status": Status.ABORTED.value, "message": "Stopped with the workflow."}
    if "JOB_ABORTED event" in node.details:
        return {"message": "Its job was removed from HTCondor's queue."}
    told: dict[str, Any] = {}
    reasons = []
    proc, how, script = _PROC.search(node.details), _HOW.search(node.details), _SCRIPT.search(node.details)
    if proc is not None:
        told["native_id"] = proc[1]
    if proc is not None and how is not None:
        code = int(how[2])
        told["exit_code" if how[1] == "status" else "exit_signal"] = code
        part = f"part {proc[2]}: " if proc[2] not in ("0", "-1") else ""
        reasons.append(part + (words.exited(code) if how[1] == "status" else words.killed(code)))
    if script is not None:
        code = int(script[3])
        how_words = words.exited(code) if script[2] == "status" else words.killed(code)
        reasons.append(f"{script[1].upper()} script: {how_words}")
    told["message"] = words.sentence(" and ".join(reasons) or node.details or "it failed")
    return told


def sub_dags(nodes: Sequence[Ad], state: Mapping[str, Any]) -> list[int]:
    """Clusters of the DAGMans of sub-DAGs. Those that are gone are kept: their nodes may not be."""
    known = {each for each in state.get("sub_dags") or [] if isinstance(each, int)}
    for ad in nodes:
        cluster = number(ad, "ClusterId")
        if number(ad, "JobUniverse") == SCHEDULER_UNIVERSE and cluster is not None:
            known.add(cluster)
    return sorted(known)
