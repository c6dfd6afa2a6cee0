"""The nodes of workflows: a graph, so a table of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models, transaction
from django.db.models import QuerySet

from jobsapi.exceptions import InvalidJob
from jobsapi.models.condor import rules
from jobsapi.models.condor.described import Described, as_text, paths
from jobsapi.models.condor.workflow import CondorWorkflow
from jobsapi.models.job import Job
from jobsapi.models.kinds import Kinded
from jobsapi.models.spec import spec_property
from jobsapi.shown import shown
from jobsapi.status import Status


class NodeQuerySet(models.QuerySet[Any]):
    """Nodes, each an instance of its own class."""

    def select_subclasses(self, *classes: Any) -> NodeQuerySet:
        """This queryset: its rows have the right classes anyway. Here for apps that call it."""
        return self.filter(kind__in=[kind for each in classes for kind in each.kinds()]) if classes else self

    def get_subclass(self, *args: Any, **kwargs: Any) -> CondorWorkflowNode:
        """``get``, under the name that ported apps use."""
        return self.get(*args, **kwargs)  # type: ignore[no-any-return]


class NodeRows(models.Manager.from_queryset(NodeQuerySet)):  # type: ignore[misc]
    """The nodes of one kind and its subkinds; those of all kinds where no kind is named."""

    def get_queryset(self) -> NodeQuerySet:
        rows: NodeQuerySet = super().get_queryset()
        return rows.filter(kind__in=list(self.model.kinds())) if self.model._meta.proxy else rows


class CondorWorkflowNode(Kinded):
    """A node of a workflow. What can be said of it in a DAG file is an attribute of the same name.

    https://htcondor.readthedocs.io/en/latest/automated-workflows/ has the meaning of each.
    """

    workflow = models.ForeignKey(CondorWorkflow, models.CASCADE, related_name="node_set")
    name = models.CharField(max_length=255)
    parent_nodes = models.ManyToManyField("self", symmetrical=False, related_name="child_nodes", blank=True)
    spec = models.JSONField(default=dict, blank=True)

    objects = NodeRows()

    registry: ClassVar[dict[str, type[CondorWorkflowNode]]] = {}
    keyword: ClassVar[str] = "JOB"
    """The word for it in a DAG file."""
    TYPES: ClassVar[tuple[str, ...]] = ("JOB", "DATA", "SUBDAG", "SPLICE", "FINAL")

    pre_script = spec_property(
        "", convert=as_text, doc="A program that DAGMan runs on the submit host before the node."
    )
    pre_script_args = spec_property("", doc="Its arguments, as text or as a list.")
    post_script = spec_property(
        "", convert=as_text, doc="A program run after the node; its exit code decides how the node has ended."
    )
    post_script_args = spec_property("", doc="Its arguments, as text or as a list. $RETURN is the node's exit code.")
    variables = spec_property(dict, doc="Macros for the submit description, by name.")
    priority = spec_property(None, doc="Nodes that are ready are submitted highest first.")
    category = spec_property("", doc="Its category; ``workflow.max_jobs`` limits how many of one run at a time.")
    retry = spec_property(None, doc="How often it is tried again when it fails.")
    retry_unless_exit_value = spec_property(None, doc="The exit code with which it is not tried again.")
    pre_skip = spec_property(None, doc="The exit code of its PRE script that ends the node well without running it.")
    abort_dag_on = spec_property(None, doc="The exit code that ends the whole workflow.")
    abort_dag_on_return_value = spec_property(None, doc="The exit code that DAGMan then has; 0 counts as success.")
    dir = spec_property("", convert=as_text, doc="A folder below the workflow's own in which the node is submitted.")
    noop = spec_property(False, doc="Its scripts run, itself does not.")
    done = spec_property(False, doc="It counts as done already.")
    remote_input_files = spec_property(list, convert=paths, doc="Files and folders put beside the DAG file.")

    parent_names: list[str]
    """The names of its parents, on the nodes that ``workflow.graph()`` gives."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workflow", "name"], name="jobsapi_one_node_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def type(self) -> str:
        """The word for it in a DAG file."""
        return self.keyword

    @property
    def parents(self) -> QuerySet[CondorWorkflowNode]:
        """The nodes that have to end well before this one starts."""
        return self.parent_nodes.order_by("pk")

    @property
    def children_nodes(self) -> QuerySet[CondorWorkflowNode]:
        """The nodes that wait for this one."""
        return self.child_nodes.order_by("pk")

    def add_parent(self, parent: CondorWorkflowNode) -> None:
        """Have ``parent`` end well before this node starts. Both have to be saved.

        Raises ``InvalidJob`` for what is no node, one of another workflow, one that comes after this one, and a FINAL
        node.
        """
        if not isinstance(parent, CondorWorkflowNode):
            raise InvalidJob(f"{shown(parent)} is no node, so {self.name} cannot wait for it. Give a node.")
        if self.pk is None or parent.pk is None:
            raise InvalidJob("Save both nodes before one becomes the other's parent.")
        if parent.workflow_id != self.workflow_id:
            raise InvalidJob(f"{parent.name} is a node of another workflow, so {self.name} cannot wait for it.")
        if parent.keyword == CondorWorkflowFinalNode.keyword:
            raise InvalidJob(f"{self.name} cannot wait for {parent.name}: a FINAL node runs last.")
        if parent.pk == self.pk or parent.comes_after(self):
            raise InvalidJob(f"{parent.name} waits for {self.name} already: a workflow has no circles.")
        with transaction.atomic():
            self._require_editable()
            self.parent_nodes.add(parent)

    def comes_after(self, other: CondorWorkflowNode) -> bool:
        """Whether this node waits for ``other``, directly or through others."""
        links = CondorWorkflowNode.parent_nodes.through.objects
        waits_for = dict[int, list[int]]()
        rows = links.filter(from_condorworkflownode__workflow=self.workflow_id)
        for child, parent in rows.values_list("from_condorworkflownode", "to_condorworkflownode"):
            waits_for.setdefault(child, []).append(parent)
        seen, todo = {self.pk}, [self.pk]
        while todo:
            for parent in waits_for.get(todo.pop(), ()):
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
        return other.pk in seen and other.pk != self.pk

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the node, with “_” for each blank in its name.

        Raises ``InvalidJob`` for what cannot be written to a DAG file, or while it runs.
        """
        self.name = rules.without_blanks(self.name)
        self.validate()
        with transaction.atomic():
            self._require_editable()
            super().save(*args, **kwargs)

    def validate(self) -> None:
        """Raises ``InvalidJob`` for what cannot be written to a DAG file or a submit description."""
        if self.workflow_id is None:
            raise InvalidJob(f"Save the workflow before its node {self.name}.")
        if not isinstance(self.workflow, CondorWorkflow):
            raise InvalidJob(f"{self.name} is to be a node of {self.workflow}, which is no CondorWorkflow.")
        rules.check_node_name(self.name)
        rules.check_files(self.remote_input_files)
        rules.check_node_options(self)
        twins = CondorWorkflowNode.objects.filter(workflow=self.workflow_id, name=self.name).exclude(pk=self.pk)
        if twins.exists():
            raise InvalidJob(f"The workflow has a node “{self.name}” already. Give each its own name.")

    def _require_editable(self) -> None:
        """Raises ``InvalidJob`` while the workflow is under way: its nodes are HTCondor's until it has ended."""
        under_way = Job._base_manager.select_for_update().filter(pk=self.workflow_id, completion_time=None)
        if under_way.exclude(_status=Status.PENDING).values_list("pk").first():
            raise InvalidJob("The workflow is under way. Its nodes can be changed when it has ended.")

    @property
    def state(self) -> dict[str, Any]:
        """How it was at the last refresh: ``status`` (a code), ``message``, ``retries``, ``native_id`` …"""
        return dict(self.workflow.node_states.get(self.name, {}))

    @property
    def cached_status(self) -> str:
        """The display name of its status as the workflow's instance holds it. Touches nothing."""
        return str(Status(self.state.get("status", Status.PENDING)).label)

    @property
    def status(self) -> str:
        """The display name of its status as the workflow's row has it now; see ``Job.status``."""
        self.workflow.update_status()
        return self.cached_status

    @property
    def status_message(self) -> str:
        """Why, in HTCondor's words."""
        return str(self.state.get("message", ""))

    @property
    def cluster_id(self) -> int:
        """HTCondor's number of its newest try; 0 while there is none."""
        native_id = str(self.state.get("native_id", ""))
        return int(native_id) if native_id.isdecimal() else 0

    def stop(self) -> None:
        """Have what HTCondor runs of it stopped: it has failed then, and is tried again if ``retry`` allows it."""
        self.workflow.request_part("cancel", self.name)

    def pause(self) -> None:
        """Have what HTCondor runs of it held."""
        self.workflow.request_part("hold", self.name)

    def resume(self) -> None:
        """Have what is held of it released."""
        self.workflow.request_part("release", self.name)

    @property
    def condorpy_node(self) -> Any:
        """The condorpy Node that its lines of the DAG file are written from, made anew at each access."""
        return self.workflow.backend_class().condorpy_node(self)  # type: ignore[attr-defined]


class CondorWorkflowJobNode(Described, CondorWorkflowNode):
    """A job as a node."""

    class Meta:
        proxy = True

    def validate(self) -> None:
        """See ``CondorWorkflowNode``."""
        super().validate()
        self.check_description()

    @property
    def condorpy_job(self) -> Any:
        """See ``Described``."""
        return self.workflow.backend_class().condorpy_job(self)  # type: ignore[attr-defined]

    @property
    def job(self) -> Any:
        """The same as ``condorpy_job``."""
        return self.condorpy_job

    @property
    def initial_dir(self) -> str:
        """Where its output files are, on this machine, once the workflow has ended."""
        return str(self.workflow.folder / (self.dir or "") / self.condorpy_job.initial_dir)


class CondorWorkflowDataNode(CondorWorkflowJobNode):
    """What used to be a data placement job. DAGMan knows no such thing any more: it is run as a job."""

    keyword = "DATA"

    class Meta:
        proxy = True


class CondorWorkflowFinalNode(CondorWorkflowJobNode):
    """A job that runs last, however the others have ended. It has no parents; if it fails, the workflow has failed."""

    keyword = "FINAL"

    class Meta:
        proxy = True


class InnerDag:
    """What a node has that stands for another DAG file."""

    spec: dict[str, Any]

    dag_file = spec_property("", convert=as_text, doc="The DAG file: the name of one of ``remote_input_files``.")


class CondorWorkflowSubdagNode(InnerDag, CondorWorkflowNode):
    """Another workflow, run by a DAGMan of its own when its turn comes."""

    keyword = "SUBDAG"

    class Meta:
        proxy = True


class CondorWorkflowSpliceNode(InnerDag, CondorWorkflowNode):
    """Nodes of another DAG file, spliced into this workflow; theirs are named ``NODE+name``."""

    keyword = "SPLICE"

    class Meta:
        proxy = True
