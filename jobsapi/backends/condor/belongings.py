"""Which marks, clusters and ads belong to which job. Pure functions of rows and answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jobsapi import clock, conf
from jobsapi.backends.base import Observation
from jobsapi.backends.condor import ads, node_status, observe
from jobsapi.backends.condor.ads import Ad
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.models import CondorJob, CondorWorkflow


def dagmans_of(job: CondorWorkflow) -> set[int]:
    """The clusters of a workflow's DAGMan and of those of its sub-DAGs."""
    return {job.cluster_id, *map(int, job.backend_state.get("sub_dags", ()))}


def sub_dags_of(jobs: Iterable[Any]) -> list[int]:
    """The clusters of the DAGMans of nodes that are workflows themselves."""
    return [int(each) for job in jobs for each in job.backend_state.get("sub_dags", ())]


def marks_of(jobs: Iterable[Any]) -> list[str]:
    """What jobs and all their parts carry in the queue: the hex of their ``submission_id``."""
    return [job.submission_id.hex for job in jobs if job.submission_id]


def nodes_of(job: CondorWorkflow, names: Iterable[str]) -> dict[str, str]:
    """The clusters of nodes by their names; empty for one that HTCondor has never had."""
    return {name: str(job.node_states.get(name, {}).get("native_id") or "") for name in names}


def missing_of(job: CondorJob | CondorWorkflow, present: Sequence[Ad]) -> set[int]:
    """The parts of a job's cluster that are not in the queue, nor known to have ended. DAGMan is one part."""
    if not job.is_workflow:
        return observe.missing(present, job.backend_state, None)
    is_known = has_ended(job) or any(ads.number(ad, "ClusterId") == job.cluster_id for ad in present)
    return set() if is_known else {0}


def has_ended(job: CondorJob | CondorWorkflow) -> bool:
    """Whether it was seen how its DAGMan has ended: nobody needs the history for that any more, which may forget it."""
    return job._status == Status.RESULTS_READY and "outcome" in job.backend_state


def is_overdue(job: CondorJob | CondorWorkflow) -> bool:
    """Whether it has been missing for so long that it would be called lost now."""
    grace = timedelta(seconds=conf.get("LOST_GRACE"))
    return clock.CLOCK.settled and job.missing_since is not None and clock.now() - job.missing_since >= grace


def ads_of(jobs: Iterable[Any], answer: Iterable[Ad]) -> Mapping[Any, list[Ad]]:
    """The ads of each job: of its procs, or of its DAGMans and nodes.

    A cluster of that number from before the schedd was set up anew is none of the job's.
    """
    by_cluster: dict[int, Any] = {}
    by_dagman: dict[int, Any] = {}
    for job in jobs:
        by_cluster[job.cluster_id] = job
        if job.is_workflow:
            by_dagman |= dict.fromkeys(dagmans_of(job), job)
    found: defaultdict[Any, list[Ad]] = defaultdict(list)
    for ad in answer:
        job = by_cluster.get(ads.number(ad, "ClusterId") or 0)
        if job is not None and job.submission_id and ads.text(ad, "JobsApiId") == job.submission_id.hex:
            found[job].append(ad)
        elif (flow := by_dagman.get(ads.number(ad, "DAGManJobId") or 0)) is not None:
            found[flow].append(ad)
    return found


def observe_flow(
    job: CondorWorkflow,
    present: Sequence[Ad],
    gone: Sequence[Ad],
    status: node_status.NodeStatuses | None,
    waiting: Mapping[int, int],
) -> Observation | None:
    """What is seen of a workflow whose DAGMan is in the queue, in the history, or nowhere."""
    own = [[ad for ad in each if ads.number(ad, "ClusterId") == job.cluster_id] for each in (present, gone)]
    dagman = next(iter(own[0] or own[1]), None)
    if dagman is None and has_ended(job):
        return Observation(Status.RESULTS_READY)
    nodes, records = ([ad for ad in each if ad is not dagman] for each in (present, gone))
    return observe.observe_workflow(dagman, not own[0], nodes, status, job.backend_state, waiting, records)
