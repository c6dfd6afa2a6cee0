"""What becomes of a job that is run again, said before it is: a workflow that failed goes on where it failed."""

from __future__ import annotations

from collections.abc import Sequence

from jobsapi.models import CondorJob, CondorWorkflow, CondorWorkflowFinalNode, Job
from jobsapi.status import Status

NAMED, LETTERS = 6, 200
"""Nodes that are named, and letters of their names; of more their number is told."""


def goes_on(job: Job) -> bool:
    """Whether it keeps what an earlier run has done, unless it is told to begin anew."""
    return isinstance(job, CondorWorkflow) and job.ended and not job.all_ran_well


def may_have_done_nodes(job: Job) -> bool:
    """Whether to begin anew may be something else than to go on, as far as it is known without a look at the nodes."""
    return goes_on(job) and bool(job.progress_done)


def question(job: Job) -> str:
    """What is asked in a table, where the nodes are not read."""
    if goes_on(job):
        return f"Run “{job.name}” again? It goes on where it failed: nodes that have ended well are kept."
    return f"Run “{job.name}” again? {_what_goes(job)}"


def question_from_start(job: Job) -> str:
    """What is asked before all nodes run."""
    return f"Run all nodes of “{job.name}” again, those that have ended well, too? Its files are removed."


class Again:
    """What a job's own page asks, with the nodes by name. One query for a workflow that goes on."""

    def __init__(self, job: Job) -> None:
        self.question = f"Run job {job.pk} again? {_what_goes(job)}"
        self.from_start = ""
        """What is asked before all nodes run; empty where that is nothing else."""
        if isinstance(job, CondorWorkflow) and goes_on(job):
            kept, again = _parted(job)
            if kept and again:
                left, runs = _named(kept, "is", "are"), _named(again, "runs", "run")
                how = f"It goes on where it failed: {left} kept, {runs} again."
            elif kept or (job.resubmitted and not job.node_states):
                how = "It goes on where it failed: nodes that have ended well are kept."
            else:
                return
            self.question = f"Run job {job.pk} again? {how}"
            self.from_start = (
                f"Run all nodes of job {job.pk} again, those that have ended well, too? Its files are removed."
            )


def _what_goes(job: Job) -> str:
    if isinstance(job, CondorJob | CondorWorkflow):
        return "Its present result is dropped, and its files are removed."
    return "Its present result is dropped."


def _parted(job: CondorWorkflow) -> tuple[list[str], list[str]]:
    """The nodes that have ended well, and those that run when it goes on, in the order in which they were made."""
    states = job.node_states
    made = dict(job.nodes.values_list("name", "kind"))
    order = {name: place for place, name in enumerate(made)}
    inner = {name.partition("+")[0] for name in states if name not in made}
    every = [*states, *(name for name in made if name not in states and name not in inner)]
    # HTCondor knows of a splice only the nodes in it, which are called SPLICE+NODE.
    every.sort(key=lambda name: (order.get(name.partition("+")[0], len(order)), name))
    final = set(CondorWorkflowFinalNode.kinds())  # runs last each time
    done = {name for name, state in states.items() if state.get("status") == Status.COMPLETE}
    kept = [name for name in every if name in done and made.get(name) not in final]
    stays = set(kept)
    return kept, [name for name in every if name not in stays]


def _named(names: Sequence[str], one: str, several: str) -> str:
    """``A, B and E are``; of many, how many they are."""
    if len(names) > NAMED or sum(map(len, names)) > LETTERS:
        return f"{len(names):,} nodes {several}"
    if len(names) == 1:
        return f"{names[0]} {one}"
    return f"{', '.join(names[:-1])} and {names[-1]} {several}"
