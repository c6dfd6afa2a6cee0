"""Jobs, workflows and nodes as descriptions, DAG files and layouts read them, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

ATTEMPT = UUID(int=7)
JOB = UUID(int=8)


def marks(name: str) -> list[str]:
    """The lines by which a job of this name is found again."""
    return [
        f'My.JobsApiId = "{ATTEMPT.hex}"',
        'My.JobsApiPortal = "jobsapi"',
        f'My.JobsApiJob = "{JOB.hex}"',
        'My.JobsApiApp = "tests"',
        f'My.JobsApiName = "{name}"',
    ]


@dataclass
class StandIn:
    name: str = "job"
    workspace: str = ""
    remote_input_files: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    num_jobs: int = 1
    condorpy_template_name: str = ""
    submit_options: list[str] = field(default_factory=list)
    submission_id: UUID | None = ATTEMPT
    uid: UUID = JOB
    label: str = "tests"
    resubmitted: bool = False
    reports: bool = False
    is_workflow: ClassVar[bool] = False
    MARK: ClassVar[str] = ".jobsapi"


@dataclass
class NodeStandIn:
    name: str = "A"
    keyword: str = "JOB"
    parent_names: list[str] = field(default_factory=list)
    remote_input_files: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=lambda: {"executable": "/bin/true"})
    num_jobs: int = 1
    condorpy_template_name: str = "vanilla_transfer_files"
    pre_script: str = ""
    pre_script_args: Any = ""
    post_script: str = ""
    post_script_args: Any = ""
    variables: dict[str, Any] = field(default_factory=dict)
    priority: Any = None
    category: Any = ""
    retry: Any = None
    retry_unless_exit_value: Any = None
    pre_skip: Any = None
    abort_dag_on: Any = None
    abort_dag_on_return_value: Any = None
    dir: str = ""
    noop: bool = False
    done: bool = False
    dag_file: str = ""
    workflow: Any = None


@dataclass
class WorkflowStandIn(StandIn):
    name: str = "flow"
    nodes: list[NodeStandIn] = field(default_factory=list)
    max_jobs: dict[str, int] = field(default_factory=dict)
    config: str = ""
    from_start: bool = False
    is_workflow: ClassVar[bool] = True

    def graph(self) -> list[NodeStandIn]:
        for node in self.nodes:
            node.workflow = self
        return self.nodes


def flow(*nodes: NodeStandIn, **kwargs: Any) -> Any:
    """A workflow of ``nodes``."""
    return WorkflowStandIn(nodes=list(nodes), **kwargs)


def node(name: str = "A", *parents: str, **kwargs: Any) -> Any:
    """A node that waits for ``parents``."""
    return NodeStandIn(name, parent_names=list(parents), **kwargs)


def job(name: str = "job", **kwargs: Any) -> Any:
    return StandIn(name, **kwargs)
