"""DAG files, by condorpy corrected where it writes wrong lines or none. Touches neither disk nor network.

https://htcondor.readthedocs.io/en/latest/automated-workflows/dagman-introduction.html has the language.
"""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from condorpy import Node, Workflow
from condorpy.htcondor_object_base import HTCondorObjectBase

from jobsapi.backends.condor.description import SubmitDescription, describe
from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.names import check_node_name, check_word, slug
from jobsapi.htcondor.nodes import check_max_jobs, check_node_options, script_arguments
from jobsapi.htcondor.values import scalar

if TYPE_CHECKING:
    from jobsapi.models.condor import CondorWorkflow, CondorWorkflowNode

STATUS_INTERVAL = 5
"""Seconds between two writings of the node status file, at least. DAGMan writes it when something has changed."""
LINES_OF: Mapping[str, str] = {
    "JOB": "JOB",
    "DATA": "JOB",
    "FINAL": "FINAL",
    "SUBDAG": "SUBDAG EXTERNAL",
    "SPLICE": "SPLICE",
}
"""What a node's line begins with.

DAGMan 23.9 names DATA among what it expects, and then refuses it: Stork, which such nodes were for, is long gone. What
they have is a submit description like any other, so they are written as jobs.
"""


class InnerDag(HTCondorObjectBase):  # type: ignore[misc]
    """What a SUBDAG or SPLICE node runs, where another node has its submit description."""

    def __init__(self, name: str, dag_file: str) -> None:
        super().__init__()
        self.name, self.job_file = name, dag_file


class DagNode(Node):  # type: ignore[misc]
    """A condorpy Node of any kind, with all of its options."""

    def __init__(self, job: SubmitDescription | InnerDag, node: CondorWorkflowNode) -> None:
        super().__init__(
            job,
            pre_script=node.pre_script,
            pre_script_args=script_arguments(f"{node.name}: pre_script", node.pre_script_args),
            post_script=node.post_script,
            post_script_args=script_arguments(f"{node.name}: post_script", node.post_script_args),
            variables=dict(node.variables or {}),
            priority=node.priority,
            category=node.category,
            retry=node.retry,
            retry_unless_exit_value=node.retry_unless_exit_value,
            pre_skip=node.pre_skip,
            abort_dag_on=node.abort_dag_on,
            abort_dag_on_return_value=node.abort_dag_on_return_value,
            dir=node.dir,
            noop=node.noop,
            done=node.done,
        )
        self.keyword = node.keyword
        self.remote_input_files = list(node.remote_input_files)

    @property
    def type(self) -> str:
        """The word for its kind."""
        return str(self.keyword)

    @property
    def name(self) -> str:
        """The node's name in the DAG."""
        return str(self.job.name)

    @property
    def folder(self) -> str:
        """Where DAGMan submits it and runs its scripts, relative to the workflow's own folder: "" for that itself."""
        folder = posixpath.normpath(self.dir) if self.dir else ""
        return "" if folder == "." else folder

    def __str__(self) -> str:
        """Its own line. Its file, like those of its scripts, is looked for in ``DIR``."""
        words = [LINES_OF[self.keyword], self.name, self.job.job_file]
        words += ["DIR", self.folder] if self.folder else []
        words += ["NOOP"] * bool(self.noop) + ["DONE"] * bool(self.done)
        return " ".join(words) + "\n"

    def list_relations(self) -> str:
        """Which nodes wait for it."""
        children = sorted(child.name for child in self.child_nodes)
        return f"PARENT {self.name} CHILD {' '.join(children)}\n" if children else ""

    def list_scripts(self) -> str:
        """Its scripts."""
        found = (("PRE", self.pre_script, self.pre_script_args), ("POST", self.post_script, self.post_script_args))
        return "".join(f"SCRIPT {when} {self.name} {path} {args}".rstrip() + "\n" for when, path, args in found if path)

    def list_vars(self) -> str:
        """Its macros: one line each."""
        values = {name: scalar(f"{self.name}: {name}", value) for name, value in self.vars.items()}
        escaped = {name: text.replace("\\", "\\\\").replace('"', '\\"') for name, text in values.items()}
        return "".join(f'VARS {self.name} {name}="{text}"\n' for name, text in escaped.items())

    def list_options(self) -> str:
        """How often it is tried, and when it ends the DAG."""
        text = ""
        if self.retry:
            unless = self.retry_unless_exit_value
            text += f"RETRY {self.name} {self.retry}" + (f" UNLESS-EXIT {unless}" if unless is not None else "") + "\n"
        if self.abort_dag_on is not None:
            code = self.abort_dag_on_return_value
            text += f"ABORT-DAG-ON {self.name} {self.abort_dag_on}" + (f" RETURN {code}" if code is not None else "")
            text += "\n"
        return text

    def list_option(self, option: str) -> str:
        """An option that is one value. Zero is one."""
        value = getattr(self, option)
        return f"{option.upper()} {self.name} {value}\n" if value not in (None, "") else ""


LISTS: Sequence[Callable[[DagNode], str]] = (
    DagNode.__str__,
    DagNode.list_relations,
    DagNode.list_scripts,
    DagNode.list_pre_skip,
    DagNode.list_vars,
    DagNode.list_priority,
    DagNode.list_category,
    DagNode.list_options,
)


class Dag(Workflow):  # type: ignore[misc]
    """A condorpy Workflow whose text is the same whenever it is written: parents first, else as nodes were given."""

    def __init__(self, name: str, config: str, max_jobs: Mapping[str, int], status_file: str) -> None:
        super().__init__(name, config, dict(max_jobs))
        self.status_file = status_file
        self.ordered: list[DagNode] = []

    def __str__(self) -> str:
        """The text of the DAG file."""
        head = [f"CONFIG {self.config}\n"] if self.config else []
        head.append(f"NODE_STATUS_FILE {self.status_file} {STATUS_INTERVAL}\n")
        blocks = ["".join(head)]
        blocks += ["".join(block(node) for node in self.ordered) for block in LISTS]
        blocks.append("".join(f"MAXJOBS {category} {number}\n" for category, number in self.max_jobs.items()))
        return "\n".join(filter(None, blocks))

    def add_node(self, node: DagNode) -> None:
        """Add a node behind those that are there."""
        super().add_node(node)
        self.ordered.append(node)


def dag_of(workflow: CondorWorkflow) -> Dag:
    """The DAG of a workflow. Raises ``InvalidJob`` for what DAGMan would not take, or take for something else."""
    check_max_jobs(workflow.max_jobs)
    nodes = in_order(workflow.graph())
    config = PurePath(workflow.config).name if workflow.config else ""
    check_word("config", config)
    dag = Dag(slug(workflow.name), config, workflow.max_jobs, status_file_of(workflow))
    made: dict[str, DagNode] = {}
    for node in nodes:
        made[node.name] = made_node = node_of(node)
        for parent in node.parent_names:
            made_node.add_parent(made[parent])
        dag.add_node(made_node)
    return dag


def node_of(node: CondorWorkflowNode) -> DagNode:
    """One node, without its parents. Raises ``InvalidJob`` as ``dag_of``."""
    check_node_name(node.name)
    check_node_options(node)
    inner: Any = node
    if node.keyword in ("SUBDAG", "SPLICE"):
        return DagNode(InnerDag(node.name, inner.dag_file), node)
    if not hasattr(node, "num_jobs"):
        raise InvalidJob(f"{node.name} has nothing to run. Make it a CondorWorkflowJobNode, or one of another kind.")
    try:
        return DagNode(describe(inner), node)
    except InvalidJob as error:
        raise InvalidJob(f"{node.name}: {error}") from error


def in_order(nodes: Iterable[CondorWorkflowNode]) -> list[CondorWorkflowNode]:
    """The nodes, parents before children and a FINAL node last, else as they are given.

    Raises ``InvalidJob`` for what is no graph: circles, unknown parents, two nodes of one name, more than one FINAL
    node, one with parents or children, and for none at all.
    """
    given = list(nodes)
    if not given:
        raise InvalidJob("The workflow has no nodes. Save some before it is executed.")
    names = Counter(node.name for node in given)
    for name, count in names.items():
        if count > 1:
            raise InvalidJob(f"The workflow has {count} nodes called {name}. Give each its own name.")
    finals = [node.name for node in given if node.keyword == "FINAL"]
    if len(finals) > 1:
        raise InvalidJob(f"{' and '.join(finals)} are both FINAL nodes. A workflow has one at most.")
    for node in given:
        for parent in node.parent_names:
            if parent not in names:
                raise InvalidJob(f"{node.name} waits for {parent}, which is no node of the workflow.")
            if parent in finals:
                raise InvalidJob(f"{node.name} cannot wait for {parent}: a FINAL node runs last.")
        if node.keyword == "FINAL" and node.parent_names:
            raise InvalidJob(f"{node.name} is a FINAL node: it runs last anyway, so it has no parents. Remove them.")
    return _parents_first(sorted(given, key=lambda node: node.keyword == "FINAL"))


def _parents_first(given: Sequence[CondorWorkflowNode]) -> list[CondorWorkflowNode]:
    missing = [len(set(node.parent_names)) for node in given]
    waiting: defaultdict[str, list[int]] = defaultdict(list)
    for place, node in enumerate(given):
        for parent in set(node.parent_names):
            waiting[parent].append(place)
    ready = [place for place, count in enumerate(missing) if not count]
    ordered = list[int]()
    while ready:
        ordered.append(place := heappop(ready))
        for child in waiting[given[place].name]:
            missing[child] -= 1
            if not missing[child]:
                heappush(ready, child)
    if len(ordered) < len(given):
        circle = ", ".join(node.name for place, node in enumerate(given) if missing[place])
        raise InvalidJob(f"These nodes wait for one another in a circle: {circle}. Remove one of the links.")
    return [given[place] for place in ordered]


def status_file_of(workflow: CondorWorkflow) -> str:
    """The name of the file in which DAGMan writes how its nodes are.

    One for each attempt: DAGMan leaves an old one as it is until it has read the DAG file and the log.
    """
    attempt = workflow.submission_id.hex[:8] if workflow.submission_id else "0"
    return f"{slug(workflow.name)}.{attempt}.status"
