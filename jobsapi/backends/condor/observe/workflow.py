"""What HTCondor and DAGMan say of a workflow and its nodes. Pure functions; odd ads of a foreign pool raise nothing.

DAGMan's file has the states of all nodes but lags a few seconds behind; the ads of the queue tell which of the
submitted nodes run, wait or are held. ``state["nodes"]`` has, by name, ``status`` (a status code), and where there is
something to say: ``message``, ``retries``, ``native_id`` (the newest cluster of a node that was retried),
``exit_code``, ``exit_signal``, ``held`` (how many parts), ``where``, ``run_time`` (s), ``memory`` (MB). ``sub_dags``:
clusters of the DAGMans of sub-DAGs, by which their nodes are found. ``outcome`` and ``outcome_message``: as for a job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jobsapi.backends.base import Observation
from jobsapi.backends.condor import words
from jobsapi.backends.condor.ads import Ad, number, text
from jobsapi.backends.condor.node_status import NodeStatuses
from jobsapi.backends.condor.observe.job import FAILED_SHOWN
from jobsapi.backends.condor.observe.nodes import node_states, sub_dags
from jobsapi.backends.condor.observe.order import waiting_words
from jobsapi.backends.condor.observe.part import COMPLETED, HELD, REMOVED, changed, hold_of, moment, phase_of
from jobsapi.status import Status

ABORTED_BY_NODE = 3
"""DAG_Status of a workflow that a node has ended (ABORT-DAG-ON)."""


def observe_workflow(
    dagman: Ad | None,
    from_history: bool,
    nodes: Sequence[Ad],
    status: NodeStatuses | None,
    state: Mapping[str, Any],
    positions: Mapping[int, int] | None = None,
    records: Sequence[Ad] = (),
) -> Observation | None:
    """What is seen of a workflow; None when its DAGMan is neither in the queue nor in the history.

    ``dagman`` is the ad of DAGMan's own job, and ``from_history`` says where it was found. ``nodes`` comes from
    ``nodes_of``, ``status`` from the node status file if it could be read, ``records`` of nodes from the history.
    """
    if dagman is None:
        return None
    if status is not None and status.written < (number(dagman, "QDate") or 0):
        status = None  # left by an earlier attempt in the same folder
    ended = from_history or number(dagman, "JobStatus") == COMPLETED
    told = node_states(dagman, nodes, records, status, state.get("nodes") or {}, ended=ended)
    counts = Counter(Status(node["status"]) for node in told.values())
    total = max(number(dagman, "DAG_NodesTotal") or 0, len(told)) or None
    held = [ad for ad in (dagman, *nodes) if phase_of(ad) is Status.PAUSED] if not ended else []
    found: dict[str, Any] = {
        "nodes": told,
        "sub_dags": sub_dags(nodes, state),
        "hold": hold_of(held),
        "position": None,
    }
    if ended:
        seen, message = _ended(dagman, told, counts, total, found)
    else:
        unseen = found["sub_dags"] != (state.get("sub_dags") or [])
        seen, message = _going(dagman, nodes, told, counts, total, positions or {}, found, unseen=unseen)
    done = sum(counts[each] for each in (Status.COMPLETE, Status.ERROR, Status.ABORTED))
    return Observation(
        seen,
        message=message,
        progress_done=done if total is not None else None,
        progress_total=total,
        start_time=moment(number(dagman, "JobStartDate")),
        state=changed(found, state),
        held=len(held),
    )


def _going(
    dagman: Ad,
    ads: Sequence[Ad],
    nodes: Mapping[str, Mapping[str, Any]],
    counts: Mapping[Status, int],
    total: int | None,
    positions: Mapping[int, int],
    found: dict[str, Any],
    *,
    unseen: bool,
) -> tuple[Status, str]:
    """Status and message of a workflow whose DAGMan is in the queue.

    ``unseen``: there are sub-DAGs of which this is the first that is heard, so that their nodes were not asked for.

    Running means that work goes on as it should. It is Various only when some nodes failed or are held while others go
    on, and Paused when nothing goes on until somebody releases what is held.
    """
    busy, waiting = counts.get(Status.RUNNING, 0), counts.get(Status.SUBMITTED, 0)
    failed, stuck = counts.get(Status.ERROR, 0), counts.get(Status.PAUSED, 0)
    partly = any(node.get("held") for node in nodes.values())
    message = _progress(counts, total)
    if number(dagman, "JobStatus") == REMOVED:
        reason = text(dagman, "RemoveReason")
        return phase_of(dagman), words.sentence(
            f"being removed from the queue: {reason}" if reason else "being removed"
        )
    if number(dagman, "JobStatus") == HELD:
        goes_on = unseen or any(number(ad, "JobStatus") not in (HELD, REMOVED, COMPLETED) for ad in ads)
        why = f"{words.sentence(words.held(dagman))} {message}".strip()
        return (Status.VARIOUS if goes_on else Status.PAUSED), why
    if phase_of(dagman) is Status.SUBMITTED:
        return (Status.RUNNING if busy else Status.SUBMITTED), _not_started(dagman)
    ready = busy or waiting or _ready(nodes, counts, total)
    if stuck and not ready:
        return Status.PAUSED, _with(message, _first(nodes, Status.PAUSED))
    if failed or partly or stuck:
        reasons = [_first(nodes, Status.ERROR), _first(nodes, Status.PAUSED)]
        if not stuck and partly:
            reasons.append(next(_named(name, node) for name, node in nodes.items() if node.get("held")))
        return Status.VARIOUS, _with(message, *reasons)
    if not busy and waiting and not counts.get(Status.COMPLETE):
        idle = [ad for ad in ads if phase_of(ad) is Status.SUBMITTED]
        places = [positions.get(number(ad, "ClusterId") or 0) for ad in idle]
        found["position"] = min((place for place in places if place is not None), default=None)
        first = next(iter(idle), {})
        return Status.SUBMITTED, waiting_words(found["position"], first)
    if not nodes and not total:
        return Status.SUBMITTED, "DAGMan reads the workflow."
    started = busy or counts.get(Status.COMPLETE)
    return (Status.RUNNING if started else Status.SUBMITTED), message


def _ready(nodes: Mapping[str, Mapping[str, Any]], counts: Mapping[Status, int], total: int | None) -> bool:
    """Whether DAGMan may have nodes to submit although none is in the queue: it does not know all of them yet."""
    return not nodes or (total is not None and sum(counts.values()) < total)


def _not_started(dagman: Ad) -> str:
    """Why DAGMan's own job, which needs no machine, is idle."""
    exit_code = number(dagman, "ExitCode")
    if exit_code is not None and exit_code > 2 and number(dagman, "DAG_Status") == ABORTED_BY_NODE:
        return (
            f"A node ended the workflow with return value {exit_code}, and HTCondor starts it anew: "
            "it takes only 0, 1 and 2 for an end (on_exit_remove). Stop the workflow and use one of these."
        )
    wait = (number(dagman, "JobCoolDownExpiration") or 0) - (number(dagman, "ServerTime") or 0)
    if 0 < wait < 86_400:
        return "HTCondor waits some minutes before it starts the workflow's DAGMan again."
    return "Waiting for HTCondor to start the workflow's DAGMan."


def _progress(counts: Mapping[Status, int], total: int | None) -> str:
    if not total:
        return ""
    told = {
        "failed": counts.get(Status.ERROR, 0),
        "running": counts.get(Status.RUNNING, 0),
        "waiting": counts.get(Status.SUBMITTED, 0),
        "held": counts.get(Status.PAUSED, 0),
    }
    return ", ".join(
        each
        for each in (f"{counts.get(Status.COMPLETE, 0)} of {_nodes_words(total)} done", words.counted(told))
        if each
    )


def _ended(
    dagman: Ad,
    nodes: Mapping[str, Mapping[str, Any]],
    counts: Mapping[Status, int],
    total: int | None,
    found: dict[str, Any],
) -> tuple[Status, str]:
    """Status and message of a workflow whose DAGMan has ended; puts the outcome into ``found``.

    Only an exit code of 0 without a failed node is well: ABORT-DAG-ON and a FINAL node can make DAGMan say 0 all the
    same.
    """
    found["run_time"] = number(dagman, "RemoteWallClockTime")
    if number(dagman, "JobStatus") != COMPLETED:
        return Status.ABORTED, words.sentence(text(dagman, "RemoveReason") or "removed from HTCondor's queue")
    exit_code, verdict = number(dagman, "ExitCode"), number(dagman, "DAG_Status")
    failed = max(number(dagman, "DAG_NodesFailed") or 0, counts.get(Status.ERROR, 0))
    done = max(number(dagman, "DAG_NodesDone") or 0, counts.get(Status.COMPLETE, 0))
    if exit_code == 0 and not failed and verdict in (0, None) and dagman.get("ExitBySignal") is not True:
        early = total is not None and done < total
        outcome = Status.COMPLETE
        message = (
            f"Ended early, as a node asked for (ABORT-DAG-ON): {done} of {_nodes_words(total or 0)} done."
            if early
            else ""
        )
    else:
        outcome = Status.VARIOUS_COMPLETE if done else Status.ERROR
        message = _why(dagman, nodes, failed, done, total)
    found |= {"outcome": outcome.value, "outcome_message": message}
    return Status.RESULTS_READY, message


def _why(dagman: Ad, nodes: Mapping[str, Mapping[str, Any]], failed: int, done: int, total: int | None) -> str:
    """What went wrong in a workflow."""
    exit_code = number(dagman, "ExitCode")
    if dagman.get("ExitBySignal") is True:
        own = words.killed(number(dagman, "ExitSignal") or 0)
    else:
        own = "no exit code recorded" if exit_code is None else words.exited(exit_code)
    if not total or not failed:
        which = f" after {done} of {_nodes_words(total)}" if total else ""
        return f"DAGMan could not run the workflow{which} ({own}): its log, .dagman.out, says why."
    named = [_named(name, node).rstrip(".") for name, node in nodes.items() if node["status"] == Status.ERROR.value]
    shown = named[:FAILED_SHOWN] + ([f"and {failed - FAILED_SHOWN} more"] if failed > FAILED_SHOWN and named else [])
    sentences = [f"{failed} of {_nodes_words(total)} failed" + (f": {'; '.join(shown)}." if shown else ".")]
    if number(dagman, "DAG_Status") == ABORTED_BY_NODE or (exit_code == 0 and total > done + failed):
        sentences.append(f"This ended the workflow (ABORT-DAG-ON, return value {exit_code}).")
    not_run = total - done - failed
    if not_run > 0:
        sentences.append(f"{not_run} not run to the end.")
    return " ".join(sentences)


def _named(name: str, node: Mapping[str, Any]) -> str:
    why = str(node.get("message") or "it failed")
    return f"{name}: {why if why[1:2].isupper() else why[:1].lower() + why[1:]}"


def _nodes_words(total: int) -> str:
    return "1 node" if total == 1 else f"{total} nodes"


def _first(nodes: Mapping[str, Mapping[str, Any]], status: Status) -> str:
    return next((_named(name, node) for name, node in nodes.items() if node["status"] == status.value), "")


def _with(message: str, *reasons: str) -> str:
    return ". ".join(each.rstrip(".") for each in (message, *reasons) if each) + "."
