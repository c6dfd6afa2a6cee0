"""What HTCondor is asked about jobs, and its answers as ads. Pure functions: argument lists out, text in.

Any user of a pool can write our attributes into a job of their own, so every question also asks for our own account,
which the schedd sets itself. Strings are compared with ``=?=``: ``==`` ignores case, and is undefined where an
attribute is missing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from jobsapi.backends.condor import parts
from jobsapi.exceptions import BackendUnavailable

Ad: TypeAlias = Mapping[str, Any]
"""The attributes of one job or part. Any may be missing, null, or of a type that nobody expected."""

ATTRIBUTES = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "LastJobStatus",
    "JobUniverse",
    "JobsApiId",
    "JobPrio",
    "QDate",
    "JobStartDate",
    "JobCoolDownExpiration",
    "ServerTime",
    "ExitCode",
    "JobSuccessExitCode",
    "ExitBySignal",
    "ExitSignal",
    "HoldReason",
    "HoldReasonCode",
    "HoldReasonSubCode",
    "RemoveReason",
    "RemoteHost",
    "LastRemoteHost",
    "RemoteWallClockTime",
    "ResidentSetSize",
    "TotalSubmitProcs",
    "JobMaterializeNextProcId",
    "LastRejMatchReason",
    "DAGManJobId",
    "DAGNodeName",
    "DAG_Status",
    "DAG_NodesTotal",
    "DAG_NodesDone",
    "DAG_NodesFailed",
)
"""All that ``observe`` reads, and no more: an answer holds them once per part.

Memory is ``ResidentSetSize`` (KiB), since ``MemoryUsage`` is an expression and comes unevaluated in JSON.
"""

FOUND = ("ClusterId", "ProcId", "JobUniverse", "JobsApiId", "TotalSubmitProcs", "JobStatus", "QDate")
"""Enough to adopt what an earlier try left behind."""

SCHEDULER_UNIVERSE = 7
"""The universe of DAGMan's own jobs, which run on the submit host."""

SCAN = 20_000
"""How many records of the history one refresh reads at most: 1.4 s on a slow machine (70 µs each)."""
FIND_SCAN = 50_000
"""The same for a search after a try that may have failed, which must not miss: 3.5 s."""
QUESTION_MAX = 60_000
"""Characters of the list of parts that one question names."""
THOROUGH_SCAN = 300_000
"""How many records are read before a job is called lost: 20 s."""
NODES_AT_ONCE = 10_000
"""How many records of nodes one refresh reads at most: each try of each part of a node is one, of some 700 bytes."""
ASKED_AT_ONCE = 2_000
"""How many parts of one job a refresh asks the history for; the others wait for the next one."""


def quoted(text: str) -> str:
    """``text`` as a string of the ClassAd language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char for char in escaped if char.isprintable()) + '"'


def ours(identity: str) -> str:
    """An expression that is true of the jobs of ``identity``, as ``control.identity_of`` gives it."""
    name = identity.partition("@")[0]
    return f"(Owner =?= {quoted(name)} || User =?= {quoted(identity)})"


def queue_command(portal: str, identity: str, dagman_ids: Collection[int] = ()) -> list[str]:
    """Ask for all jobs of this portal at once: jobs, their parts, DAGMan's own jobs and the nodes of workflows.

    A sub-DAG's own DAGMan carries no mark of ours: it and its nodes are found only through ``dagman_ids``, the
    cluster ids of the workflows and of the sub-DAGs that were seen before (``state["sub_dags"]``).
    """
    marked = f"JobsApiPortal =?= {quoted(portal)}"
    below = f" || member(DAGManJobId, {listed(dagman_ids)})" if dagman_ids else ""
    # Without -allusers condor_q adds a constraint of its own, made of the name of the account that runs it.
    return _query("condor_q", ATTRIBUTES, f"{ours(identity)} && ({marked}{below})", "-allusers")


def history_command(
    identity: str,
    wanted: Mapping[int, Collection[int]],
    dagmans: Collection[int] = (),
    scan: int | None = None,
) -> list[str]:
    """Ask the history for parts that have left the queue, by cluster.

    Only what is not recorded yet should be asked for (``observe.missing``): the history is read from its newest
    record backwards until as many were found, so that parts recorded long ago would crowd out those wanted. Of a
    workflow that is part 0 of DAGMan's own cluster; of those in ``dagmans`` the records of their nodes come with it,
    which are the ones before its own.
    """
    asked = {cluster: sorted(numbers)[:ASKED_AT_ONCE] for cluster, numbers in wanted.items()}
    terms = [among(cluster, numbers) for cluster, numbers in asked.items()]
    if dagmans:
        terms.append(f"member(DAGManJobId, {listed(dagmans)})")
    limit = sum(map(len, asked.values())) + (NODES_AT_ONCE if dagmans else 0)
    bounds = ("-limit", str(max(limit, 1)), "-scanlimit", str(scan or SCAN))
    return _query("condor_history", ATTRIBUTES, f"{ours(identity)} && ({' || '.join(terms) or 'false'})", *bounds)


def affordable(wanted: Mapping[int, Collection[int]]) -> dict[int, Collection[int]]:
    """As many of them, chosen by chance, as one question may ask for: an argument has at most 128 KiB on Linux."""
    chosen: dict[int, Collection[int]] = {}
    length = 0
    for cluster in random.sample(sorted(wanted), len(wanted)):
        numbers = sorted(wanted[cluster])[:ASKED_AT_ONCE]
        length += len(among(cluster, numbers)) + len(" || ")
        if chosen and length > QUESTION_MAX:
            break
        chosen[cluster] = numbers
    return chosen


def find_commands(identity: str, submission_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Ask the queue, and then the history, for jobs and workflows by the hex of their attempts' ``submission_id``.

    In this order, since a job may move from the one to the other in between. Both must answer before anybody may say
    that an attempt has not arrived. ``accepted`` reads the answers.
    """
    ids = list(submission_ids)
    marked = " || ".join(f"JobsApiId =?= {quoted(each)}" for each in ids) or "false"
    # The nodes of a workflow carry its mark too.
    constraint = f"{ours(identity)} && ({marked}) && DAGManJobId =?= undefined"
    bounds = ("-limit", str(2 * len(ids) + 1), "-scanlimit", str(FIND_SCAN))
    return (
        _query("condor_q", FOUND, constraint, "-allusers"),
        _query("condor_history", FOUND, f"{constraint} && ProcId == 0", *bounds),
    )


def accepted(queue: Sequence[Ad], history: Sequence[Ad]) -> dict[str, int]:
    """The cluster that each attempt became, by the hex of its ``submission_id``; the first, should there be two.

    Of a workflow that is DAGMan's own job (universe 7), whatever else its scripts may have submitted with its mark.
    """
    found: dict[str, tuple[bool, int]] = {}
    for ad in (*queue, *history):
        mark, cluster = text(ad, "JobsApiId"), number(ad, "ClusterId")
        if mark and cluster is not None:
            rank = (number(ad, "JobUniverse") != SCHEDULER_UNIVERSE, cluster)
            found[mark] = min(rank, found.get(mark, rank))
    return {mark: cluster for mark, (_, cluster) in found.items()}


def parse_ads(answer: str) -> list[Ad]:
    """The ads of an answer. Raises ``BackendUnavailable`` when it was cut short or is no answer at all.

    ``condor_q`` prints nothing when no job matches; ``condor_history`` prints an empty list.
    """
    if not answer.strip():
        return []
    try:
        ads = json.loads(answer, strict=False)
    except (ValueError, RecursionError) as error:
        start = " ".join(answer.split())[:200]
        raise BackendUnavailable(f"HTCondor's answer is not whole ({error}). It begins with: {start}") from error
    if not isinstance(ads, list):
        raise BackendUnavailable(f"HTCondor's answer is no list of jobs, but: {answer.strip()[:200]}")
    return [ad for ad in ads if isinstance(ad, dict)]


def number(ad: Ad, name: str) -> int | None:
    """A whole number, or None for anything else: missing, null, text, an expression."""
    value = ad.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 2**53:
        return None
    return int(value)


def text(ad: Ad, name: str) -> str:
    """A text on one line, or "" for anything else."""
    value = ad.get(name)
    return " ".join(value.split()) if isinstance(value, str) and not value.startswith("/Expr(") else ""


def listed(numbers: Collection[int]) -> str:
    """Numbers as a list of the ClassAd language."""
    return "{" + ",".join(str(int(each)) for each in sorted(numbers)) + "}"


def among(cluster: int, numbers: Collection[int]) -> str:
    """An expression that is true of these parts of a cluster; runs of neighbours stay short, as most of them are."""
    runs = [f"(ProcId >= {first} && ProcId <= {last})" for first, last in parts.ranges(numbers) if first != last]
    singles = [first for first, last in parts.ranges(numbers) if first == last]
    if singles:
        runs.append(f"member(ProcId, {listed(singles)})")
    return f"(ClusterId == {int(cluster)} && ({' || '.join(runs) or 'false'}))"


def _query(tool: str, attributes: Sequence[str], constraint: str, *options: str) -> list[str]:
    return [tool, "-json", "-attributes", ",".join(attributes), *options, "-constraint", constraint]
