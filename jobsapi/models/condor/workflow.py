"""A graph of jobs that HTCondor's DAGMan runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet

from jobsapi.models.condor import rules
from jobsapi.models.condor.at_htcondor import AtHTCondor, option_list
from jobsapi.models.condor.described import as_text, kept, paths
from jobsapi.models.job import Job
from jobsapi.models.spec import spec_property
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.models.condor.nodes import CondorWorkflowNode


class CondorWorkflow(AtHTCondor, Job):
    """Nodes and which of them come before which. Save it, then make its nodes, then ``execute()`` it.

    One failed node makes it Various-Complete, or Error if none has ended well. Resubmitted, it goes on where it failed.
    """

    job_type = "CONDORWORKFLOW"
    is_workflow = True

    max_jobs = spec_property(dict, convert=kept, doc="How many nodes of each category may be at HTCondor at a time.")
    config = spec_property("", convert=as_text, doc="The path of a configuration file for DAGMan.")
    remote_input_files = spec_property(
        list,
        convert=paths,
        doc="Paths of files and folders that are put beside the DAG file, as those of its nodes are.",
    )
    from_start = spec_property(False, doc="Whether the next attempt runs all nodes again, those that ended well too.")

    class Meta:
        proxy = True

    def execute(self, options: Iterable[str] | str | None = None) -> None:
        """Have the workflow run. ``options``: further options of condor_submit_dag. Raises as ``Job.execute`` does."""
        if options is not None:
            self.submit_options = option_list(options)
        super().execute()

    def resubmit(self, from_start: bool = False) -> None:
        """Run a workflow that has ended again: the nodes that did not end well, or with ``from_start`` all of them.
        If all have ended well, all run again.

        Raises as ``Job.resubmit`` does.
        """
        # DAGMan's list of what was done survives a run that ended well: with it nothing would run.
        with self._unchanged_on_failure(), transaction.atomic():
            self._specify(from_start=from_start or self.all_ran_well)
            super().resubmit()

    @property
    def all_ran_well(self) -> bool:
        """Whether all its nodes have ended well, whatever a function has made of their results."""
        return Status.COMPLETE in (self._status, self.backend_state.get("outcome"))

    def validate(self) -> None:
        """Raises a subclass of ``InvalidJob`` when the workflow could not be stored or run as it is described."""
        super().validate()
        rules.check_max_jobs(self.max_jobs)
        rules.check_files([*self.remote_input_files, *filter(None, [self.config])])
        rules.check_options(self.submit_options, for_dag=True)

    def add_max_jobs_throttle(self, category: str, max_jobs: int) -> None:
        """Let at most ``max_jobs`` nodes of a category be at HTCondor at a time. ``save()`` keeps it."""
        self.max_jobs = {**self.max_jobs, category: max_jobs}

    @property
    def nodes(self) -> QuerySet[CondorWorkflowNode]:
        """Its nodes, each of its own class, in the order in which they were made."""
        nodes: QuerySet[CondorWorkflowNode] = self.node_set.order_by("pk")
        return nodes

    @property
    def num_jobs(self) -> int:
        """How many nodes it has."""
        return self.nodes.count()

    def load_nodes(self) -> None:
        """Nothing to load: ``nodes`` reads them. Here for apps that call it."""

    def get_job(self, name: str) -> CondorWorkflowNode | None:
        """The node of that name, or None."""
        return self.nodes.filter(name=rules.without_blanks(name)).first()

    def graph(self) -> list[CondorWorkflowNode]:
        """Its nodes, each with its ``parent_names``: two queries however many there are.

        A parent in another workflow has a name that no node can have.
        """
        nodes = list(self.nodes)
        names = {node.pk: node.name for node in nodes}
        parents: defaultdict[int, list[str]] = defaultdict(list)
        for node in nodes[:1]:
            links = type(node).parent_nodes.through.objects.filter(from_condorworkflownode__workflow=self.pk)
            for child, parent in links.values_list("from_condorworkflownode", "to_condorworkflownode"):
                parents[child].append(names.get(parent, f"node {parent} of another workflow"))
        for node in nodes:
            node.workflow = self
            node.parent_names = sorted(parents[node.pk])
        return nodes

    @property
    def node_states(self) -> Mapping[str, Mapping[str, Any]]:
        """How each node is, by name, as the last refresh saw it: status code, message, retries, native id."""
        states: Mapping[str, Mapping[str, Any]] = self.backend_state.get("nodes", {})
        return states

    @property
    def condorpy_workflow(self) -> Any:
        """The condorpy Workflow that the DAG file is written from, with its nodes; made anew at each access."""
        return self.backend_class().condorpy_workflow(self)  # type: ignore[attr-defined]
