"""Jobs of HTCondor. One command tells of all of them, whichever way it gets to the submit host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobsapi.backends.base import Accepted, Adoption, Backend, Found, Observation, Packed, Result, Step, Tail
from jobsapi.backends.condor import ads, node_status, observe
from jobsapi.backends.condor.belongings import (
    ads_of,
    dagmans_of,
    is_overdue,
    marks_of,
    missing_of,
    nodes_of,
    observe_flow,
    sub_dags_of,
)
from jobsapi.backends.condor.dag import dag_of, node_of
from jobsapi.backends.condor.description import describe
from jobsapi.backends.condor.inventory import Inventory
from jobsapi.backends.condor.layout import Layout, layout_of
from jobsapi.backends.condor.own_folders import OwnFolders
from jobsapi.backends.condor.schedd import Schedd
from jobsapi.backends.condor.transport import transport_of
from jobsapi.backends.condor.trial import trial
from jobsapi.exceptions import BackendUnavailable, InvalidJob, SchedulerMissing
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.backends.condor.own_folders import HTCondorJob
    from jobsapi.models import CondorJob, CondorWorkflow, CondorWorkflowJobNode, CondorWorkflowNode, Scheduler

STATUS_FILE_MAX = 8 * 1024**2
"""Bytes of DAGMan's node status file that are read: 300 to 400 a node."""
LOG_TAIL = 64 * 1024
"""Bytes of the end of each log that are fetched while a job runs somewhere else."""
REASON = "Asked for in the portal."
"""What HTCondor tells as the reason of a removal, a hold or a release."""


class CondorBackend(Backend):
    """Speaks to one schedd, on this machine or over the one SSH connection that this process keeps to its host."""

    def __init__(self, scheduler: Scheduler | None) -> None:
        if scheduler is None:
            raise SchedulerMissing("A job of HTCondor needs a CondorScheduler. Give it one with scheduler=...")
        super().__init__(scheduler)
        self.transport = transport_of(scheduler)
        self.remote = not scheduler.is_local  # type: ignore[attr-defined]
        self.schedd = Schedd(self.transport)
        self.folders = OwnFolders(self.schedd, remote=self.remote)

    @classmethod
    def prepare(cls, job: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Packed:
        """See ``Backend``. All that has to lie in the job's folder is made up once, so what is wrong shows now."""
        if args or kwargs:
            raise InvalidJob("HTCondor runs an executable: name it with set_attribute('executable', ...).")
        layout_of(job)
        return Packed()

    def open(self) -> None:
        """See ``Backend``."""
        self.transport.open()

    def close(self) -> None:
        """See ``Backend``."""
        self.transport.close()

    def find(self, jobs: Sequence[Any]) -> dict[Any, Accepted]:
        """See ``Backend``."""
        found = self.schedd.clusters(job.submission_id.hex for job in jobs)
        return {job: self._accepted(job, found[mark]) for job in jobs if (mark := job.submission_id.hex) in found}

    def stage(self, job: Any) -> None:
        """See ``Backend``. Everything is put into the job's own folder; what an earlier attempt left there goes."""
        self.folders.fill(job)

    def submit(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, Accepted | InvalidJob]]:
        """See ``Backend``."""
        for job in jobs:
            try:
                layout = layout_of(job, inputs_are_there=True)
                yield job, self._accepted(job, self.schedd.submit(layout, self.folders.path(job)), layout)
            except InvalidJob as refusal:
                yield job, refusal

    def poll(self, jobs: Sequence[Any]) -> dict[Any, Observation]:
        """See ``Backend``. At most two commands and one read: the queue, the history, DAGMan's files.

        Of very many jobs that have left the queue some are asked for, and the others stay as they are until the next
        poll. One that is about to be called lost is searched for once more, far back in the history.
        """
        flows = [job for job in jobs if job.is_workflow]
        dagmans = {cluster for job in flows for cluster in dagmans_of(job)}
        queue = self.schedd.queue(dagmans)
        waiting = observe.positions(queue)
        present = ads_of(jobs, queue)
        missing = {job.cluster_id: numbers for job in jobs if (numbers := missing_of(job, present[job]))}
        asked = ads.affordable(missing)
        gone = ads_of(jobs, self.schedd.history(asked, flows) if asked else [])
        statuses = self._node_statuses(flows)

        def look(job: Any, given_up: Collection[int] = ()) -> Observation | None:
            if job.cluster_id in missing and job.cluster_id not in asked:
                return Observation(Status(job._status))
            if job.is_workflow:
                return observe_flow(job, present[job], gone[job], statuses.get(job), waiting)
            position = waiting.get(job.cluster_id)
            return observe.observe_job(present[job], gone[job], job.backend_state, None, position, given_up)

        seen = {job: look(job) for job in jobs}
        if lost := [job for job in jobs if seen[job] is None and is_overdue(job)]:
            try:
                asked = ads.affordable({job.cluster_id: missing[job.cluster_id] for job in lost})
                gone = ads_of(lost, self.schedd.history(asked, lost, far=True))
                seen |= {job: look(job, asked.get(job.cluster_id, ())) for job in lost}
            except BackendUnavailable:  # it takes too long: nobody can say that they are lost
                seen |= {job: Observation(Status(job._status)) for job in lost}
        return {job: observation for job, observation in seen.items() if observation is not None}

    def cancel(self, jobs: Sequence[Any]) -> Iterable[Any]:
        """See ``Backend``. HTCondor takes its time; only those that it is done with are known to be gone."""
        self.schedd.remove(marks_of(jobs), REASON)
        return [job for job in jobs if job._status == Status.RESULTS_READY]

    def hold(self, jobs: Sequence[Any]) -> None:
        """See ``Backend``. A workflow is held with all its nodes that HTCondor has."""
        self.schedd.hold(marks_of(jobs), REASON, sub_dags=sub_dags_of(jobs))

    def release(self, jobs: Sequence[Any]) -> None:
        """See ``Backend``."""
        self.schedd.release(marks_of(jobs), REASON, sub_dags=sub_dags_of(jobs))

    def control_parts(self, job: Any, verb: str, parts: Sequence[str]) -> None:
        """See ``Backend``. Parts are procs by their number, or nodes by their name.

        Raises ``InvalidJob`` for nodes that HTCondor does not have now, when the others have been seen to.
        """
        clusters = nodes_of(job, parts) if job.is_workflow else {part: f"{job.native_id}.{part}" for part in parts}
        ids = [each for each in clusters.values() if each]
        inner = [int(each) for each in ids if job.is_workflow and int(each) in sub_dags_of([job])]
        ask = {"cancel": self.schedd.remove, "hold": self.schedd.hold, "release": self.schedd.release}[verb]
        if ids:
            ask(marks_of([job]), REASON, ids, inner)
        if absent := [part for part, cluster in clusters.items() if not cluster]:
            raise InvalidJob(f"Node {', '.join(absent)} is not at HTCondor now, so nothing can be asked of it.")

    def fetch_results(self, job: Any) -> Result:
        """See ``Backend``. The result is its files: they are in ``job.folder`` when this returns, or when it fails."""
        left_out = self.folders.bring(job)
        outcome = Status(job.backend_state.get("outcome", Status.COMPLETE))
        message = " ".join([job.backend_state.get("outcome_message", ""), *left_out]).strip()
        if outcome == Status.ERROR:
            raise InvalidJob(message)
        return Result(None, outcome, message)

    def cleanup(self, jobs: Sequence[Any]) -> Iterable[Any]:
        """See ``Backend``. What lies at a submit host comes home before it is removed, unless the job is deleted."""
        if marks := marks_of(jobs):
            self.schedd.remove_marked(marks, "The job has ended in the portal.")
        unfetched = [job for job in jobs if job.deleted_at is None and job._status in (Status.ABORTED, Status.ERROR)]
        return self.folders.clear(jobs, unfetched)

    def logs(self, job: Any) -> dict[str, Tail]:
        """See ``Backend``. Those of a job on this machine are files of its folder, so nobody has to fetch them."""
        if not self.remote:
            return {}
        tails = self.transport.tails(self.folders.path(job), job.backend_state.get("logs", ()), LOG_TAIL)
        return {name: Tail(tail.text, tail.offset, tail.size) for name, tail in tails.items()}

    def check(self) -> Iterator[Step]:
        """See ``Backend``."""
        return trial(self.scheduler)

    def inventory(self) -> Iterable[Found]:
        """See ``Backend``. Jobs and workflows in the queue; at a submit host also the folders of jobs."""
        return self._inventory.found()

    def adopt(self, found: Found) -> Adoption:
        """See ``Backend``."""
        return self._inventory.adoption(found)

    def discard(self, found: Found) -> None:
        """See ``Backend``. A workflow goes with all its nodes."""
        if command := self._inventory.removal(found):
            self.schedd.tell(command)
        else:
            self.discard_files(found)

    def discard_files(self, found: Found) -> None:
        """See ``Backend``. On this machine they are its user's, and stay."""
        self._inventory.discard_files(found)

    @classmethod
    def condorpy_job(cls, part: CondorJob | CondorWorkflowJobNode) -> Any:
        """The condorpy Job of a job or of a node."""
        return describe(part)

    @classmethod
    def condorpy_workflow(cls, job: CondorWorkflow) -> Any:
        """The condorpy Workflow of a workflow, with its nodes."""
        return dag_of(job)

    @classmethod
    def condorpy_node(cls, node: CondorWorkflowNode) -> Any:
        """The condorpy Node of a node."""
        return node_of(node)

    @property
    def _inventory(self) -> Inventory:
        return Inventory(self.transport, self.schedd.identity, self.schedd.ads, remote=self.remote)

    def _accepted(self, job: HTCondorJob, cluster: int, layout: Layout | None = None) -> Accepted:
        layout = layout or layout_of(job, inputs_are_there=True)
        state = {
            "logs": list(layout.logs),
            "parts": layout.parts,
            "remote": self.remote,
            "status_file": layout.status_file,
        }
        return Accepted(str(cluster), state, layout.parts)

    def _node_statuses(self, flows: Sequence[Any]) -> dict[Any, node_status.NodeStatuses | None]:
        paths = {job: f"{self.folders.path(job)}/{job.backend_state.get('status_file')}" for job in flows}
        files = self.transport.read(list(paths.values()), limit=STATUS_FILE_MAX) if paths else {}
        texts = {job: files[path].decode(errors="replace") for job, path in paths.items() if path in files}
        return {job: node_status.parse(text) for job, text in texts.items()}
