"""Jobs of HTCondor. One command tells of all of them, whichever way it gets to the submit host."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from jobsapi import conf
from jobsapi.backends.base import Accepted, Adoption, Backend, Found, Observation, Packed, Result, Step, Tail
from jobsapi.backends.condor import ads, control, node_status, observe, reports
from jobsapi.backends.condor.ads import Ad
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
from jobsapi.backends.condor.transport import CommandKilled, Completed, Transport, transport_of
from jobsapi.backends.condor.trial import trial
from jobsapi.exceptions import BackendUnavailable, InvalidJob, NoRoom, SchedulerMissing, SubmissionOver, TransferFailed
from jobsapi.status import Status

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from jobsapi.models import CondorJob, CondorWorkflow, CondorWorkflowJobNode, CondorWorkflowNode, Scheduler

    HTCondorJob: TypeAlias = CondorJob | CondorWorkflow

STATUS_FILE_MAX = 8 * 1024**2
"""Bytes of DAGMan's node status file that are read: 300 to 400 a node."""
LOG_TAIL = 64 * 1024
"""Bytes of the end of each log that are fetched while a job runs somewhere else."""
RECORDS = 4
"""Records of the history that are read of each node of a workflow that has ended: its tries and its procs."""
REASON = "Asked for in the portal."
"""What HTCondor tells as the reason of a removal, a hold or a release."""


class CondorBackend(Backend):
    """Speaks to one schedd, on this machine or over the one SSH connection that this process keeps to its host."""

    def __init__(self, scheduler: Scheduler | None) -> None:
        if scheduler is None:
            raise SchedulerMissing("A job of HTCondor needs a CondorScheduler. Give it one with scheduler=...")
        super().__init__(scheduler)
        self.transport: Transport = transport_of(scheduler)
        self.remote = not scheduler.is_local  # type: ignore[attr-defined]

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
        """See ``Backend``. Queue first and then history: a job may have gone from the one to the other."""
        found = self._clusters(job.submission_id.hex for job in jobs)
        return {job: self._accepted(job, found[mark]) for job in jobs if (mark := job.submission_id.hex) in found}

    def stage(self, job: Any) -> None:
        """See ``Backend``. Everything is put into the job's own folder; what an earlier attempt left there goes."""
        folder = self._folder(job)
        self._take_home(job, folder)
        layout = layout_of(job)
        kept = self._make_room(job, layout)
        if not self.remote:
            claim(job)
        texts = {**layout.texts, job.MARK: job.folder_mark}
        folders = [each for each in layout.folders if each != "."]
        private = dict.fromkeys(layout.report_files, reports.access(job) if layout.report_files else "")
        inputs = {**kept, **layout.inputs}
        self.transport.stage(folder, texts=texts, folders=folders, inputs=inputs, private=private)

    def submit(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, Accepted | InvalidJob]]:
        """See ``Backend``."""
        for job in jobs:
            try:
                yield job, self._submit(job)
            except InvalidJob as refusal:
                yield job, refusal

    def poll(self, jobs: Sequence[Any]) -> dict[Any, Observation]:
        """See ``Backend``. At most two commands and one read: the queue, the history, DAGMan's files.

        Of very many jobs that have left the queue some are asked for, and the others stay as they are until the next
        poll. One that is about to be called lost is searched for once more, far back in the history.
        """
        flows = [job for job in jobs if job.is_workflow]
        dagmans = {cluster for job in flows for cluster in dagmans_of(job)}
        queue = self._ads(ads.queue_command(conf.get("PORTAL"), self.identity, dagmans))
        waiting = observe.positions(queue)
        present = ads_of(jobs, queue)
        missing = {job.cluster_id: numbers for job in jobs if (numbers := missing_of(job, present[job]))}
        asked = ads.affordable(missing)
        gone = ads_of(jobs, self._history(asked, flows) if asked else [])
        statuses = self._node_statuses(flows)

        def look(job: Any) -> Observation | None:
            if job.cluster_id in missing and job.cluster_id not in asked:
                return Observation(Status(job._status))
            if job.is_workflow:
                return observe_flow(job, present[job], gone[job], statuses.get(job), waiting)
            position = waiting.get(job.cluster_id)
            return observe.observe_job(present[job], gone[job], job.backend_state, None, position)

        seen = {job: look(job) for job in jobs}
        if lost := [job for job in jobs if seen[job] is None and is_overdue(job)]:
            try:
                wanted = {job.cluster_id: missing[job.cluster_id] for job in lost}
                gone = ads_of(lost, self._history(wanted, lost, far=True))
                seen |= {job: look(job) for job in lost}
            except BackendUnavailable:  # it takes too long: nobody can say that they are lost
                seen |= {job: Observation(Status(job._status)) for job in lost}
        return {job: observation for job, observation in seen.items() if observation is not None}

    def cancel(self, jobs: Sequence[Any]) -> Iterable[Any]:
        """See ``Backend``. HTCondor takes its time; only those that it is done with are known to be gone."""
        self._tell(control.remove_command(self.identity, marks_of(jobs), REASON))
        return [job for job in jobs if job._status == Status.RESULTS_READY]

    def hold(self, jobs: Sequence[Any]) -> None:
        """See ``Backend``. A workflow is held with all its nodes that HTCondor has."""
        self._tell(control.hold_command(self.identity, marks_of(jobs), REASON, sub_dags=sub_dags_of(jobs)))

    def release(self, jobs: Sequence[Any]) -> None:
        """See ``Backend``."""
        for command in control.release_commands(self.identity, marks_of(jobs), REASON, sub_dags=sub_dags_of(jobs)):
            self._tell(command)

    def control_parts(self, job: Any, verb: str, parts: Sequence[str]) -> None:
        """See ``Backend``. Parts are procs by their number, or nodes by their name. Raises ``InvalidJob``."""
        ids = nodes_of(job, parts) if job.is_workflow else [f"{job.native_id}.{part}" for part in parts]
        inner = [int(each) for each in ids if job.is_workflow and int(each) in sub_dags_of([job])]
        if verb == "cancel":
            commands = [control.remove_command(self.identity, marks_of([job]), REASON, ids, inner)]
        elif verb == "hold":
            commands = [control.hold_command(self.identity, marks_of([job]), REASON, ids, inner)]
        else:
            commands = control.release_commands(self.identity, marks_of([job]), REASON, ids, inner)
        for command in commands:
            self._tell(command)

    def fetch_results(self, job: Any) -> Result:
        """See ``Backend``. The result is its files: they are in ``job.folder`` when this returns, or when it fails."""
        left_out = self._bring(job)
        outcome = Status(job.backend_state.get("outcome", Status.COMPLETE))
        message = " ".join([job.backend_state.get("outcome_message", ""), *left_out]).strip()
        if outcome == Status.ERROR:
            raise InvalidJob(message)
        return Result(None, outcome, message)

    def cleanup(self, jobs: Sequence[Any]) -> Iterable[Any]:
        """See ``Backend``. What lies at a submit host comes home before it is removed, unless the job is deleted."""
        if marks := marks_of(jobs):
            self._tell(control.remove_marked_command(self.identity, marks, "The job has ended in the portal."))
        if not self.remote:
            for job in jobs:
                forget_reports(job)
            return []
        unfetched = [job for job in jobs if job.deleted_at is None and job._status in (Status.ABORTED, Status.ERROR)]
        stuck = []
        for job in self._marks_at_host(unfetched):
            try:
                self._bring(job)
            except TransferFailed as error:
                logger.warning("What job %s left at %s cannot be fetched now: %s", job.pk, self.scheduler, error)
                stuck.append(job)
        self.transport.remove([self._folder(job) for job in jobs if job not in stuck])
        return stuck

    def logs(self, job: Any) -> dict[str, Tail]:
        """See ``Backend``. Those of a job on this machine are files of its folder, so nobody has to fetch them."""
        if not self.remote:
            return {}
        tails = self.transport.tails(self._folder(job), job.backend_state.get("logs", ()), LOG_TAIL)
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
            self._tell(command)
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
    def identity(self) -> str:
        """Who we are at the schedd, as ``user@domain``: asked once for each connection."""
        if not self.transport.identity:
            said = self._run(control.WHOAMI)
            self.transport.identity = control.identity_of(said.out)
        return self.transport.identity

    @property
    def _inventory(self) -> Inventory:
        return Inventory(self.transport, self.identity, self._ads, remote=self.remote)

    def _submit(self, job: HTCondorJob) -> Accepted:
        layout = layout_of(job, inputs_are_there=True)
        try:
            said = self.transport.run(layout.submit, folder=self._folder(job), timeout=conf.get("SUBMIT_TIMEOUT"))
        except CommandKilled as error:
            raise SubmissionOver(str(error)) from error
        if control.unreachable(said.status, said.err):
            raise SubmissionOver(control.refusal(said.err))
        try:
            if said.status == 0:
                return self._accepted(job, control.cluster_id_of(said.out), layout)
            refused = NoRoom if control.full(said.err) else InvalidJob
            raise refused(control.refusal(said.err))
        except (InvalidJob, NoRoom):  # whatever it said, what counts is whether the schedd has it
            cluster = self._clusters([layout.mark]).get(layout.mark)
            if cluster is None:
                raise
            return self._accepted(job, cluster, layout)

    def _accepted(self, job: HTCondorJob, cluster: int, layout: Layout | None = None) -> Accepted:
        layout = layout or layout_of(job, inputs_are_there=True)
        state = {
            "logs": list(layout.logs),
            "parts": layout.parts,
            "remote": self.remote,
            "status_file": layout.status_file,
        }
        return Accepted(str(cluster), state, layout.parts)

    def _take_home(self, job: HTCondorJob, folder: str) -> None:
        """Bring home and remove what an earlier attempt has left at the submit host."""
        for mark in self._marks_at_host([job] if job.resubmitted else []).values():
            if mark != job.folder_mark:
                self._remove_attempt(mark.split()[-1])
                self._bring(job)
                self.transport.remove([folder])

    def _marks_at_host(self, jobs: Sequence[HTCondorJob]) -> dict[HTCondorJob, str]:
        """What stands in the marks of jobs whose folders are at a submit host, in one exchange."""
        paths = {job: f"{self._folder(job)}/{job.MARK}" for job in jobs if self.remote}
        found = self.transport.read(list(paths.values()), limit=1_000) if paths else {}
        return {job: found[path].decode("ascii", "replace") for job, path in paths.items() if path in found}

    def _make_room(self, job: HTCondorJob, layout: Layout) -> Mapping[str, Any]:
        """Remove what an earlier attempt has left here, unless this one goes on with it: then that goes to the host."""
        earlier = job.attempt_in_folder()
        if earlier in (None, layout.mark):
            return {}
        if not self.remote:
            self._remove_attempt(earlier)
        if layout.resumes:
            written = {job.MARK, *layout.texts, *layout.inputs}
            return {name: path for name, path in files_in(job.folder) if name not in written} if self.remote else {}
        job.remove_files()
        return {}

    def _remove_attempt(self, mark: str) -> None:
        """Have HTCondor forget an attempt that the portal has ended."""
        self._tell(control.remove_marked_command(self.identity, [mark], "It was submitted again in the portal."))

    def _bring(self, job: HTCondorJob) -> tuple[str, ...]:
        """Have all files of a job on this machine; what was left out, in sentences."""
        if not self.remote:
            return ()
        try:
            if job.attempt_in_folder() is None:
                claim(job)
        except InvalidJob as error:
            raise TransferFailed(str(error)) from error
        return self.transport.bring(self._folder(job), job.folder).skipped

    def _history(self, wanted: Mapping[int, Any], jobs: Iterable[Any], *, far: bool = False) -> list[Ad]:
        """The records of what has left the queue, those of nodes included; ``far`` back if nothing else helps."""
        flows = (job for job in jobs if job.is_workflow and job.cluster_id in wanted)
        nodes = {job.cluster_id: RECORDS * job.backend_state.get("parts", 1) for job in flows}
        if far:
            command = ads.history_command(self.identity, wanted, nodes, ads.THOROUGH_SCAN)
            return self._ads(command, conf.get("TRANSFER_TIMEOUT"))
        return self._ads(ads.history_command(self.identity, wanted, nodes))

    def _node_statuses(self, flows: Sequence[Any]) -> dict[Any, node_status.NodeStatuses | None]:
        paths = {job: f"{self._folder(job)}/{job.backend_state.get('status_file')}" for job in flows}
        files = self.transport.read(list(paths.values()), limit=STATUS_FILE_MAX) if paths else {}
        texts = {job: files[path].decode(errors="replace") for job, path in paths.items() if path in files}
        return {job: node_status.parse(text) for job, text in texts.items()}

    def _clusters(self, marks: Iterable[str]) -> dict[str, int]:
        """The clusters that attempts have become, by the hex of their ``submission_id``."""
        in_queue, in_history = ads.find_commands(self.identity, marks)
        return ads.accepted(self._ads(in_queue), self._ads(in_history))

    def _folder(self, job: HTCondorJob) -> str:
        return self.transport.folder_of(job.workspace, job.folder.name, job.uid.hex, conf.get("PORTAL"))

    def _ads(self, command: Sequence[str], timeout: float | None = None) -> list[Ad]:
        said = self._run(command, timeout)
        if said.status:
            raise BackendUnavailable(control.refusal(said.err))
        return ads.parse_ads(said.out)

    def _tell(self, command: Sequence[str]) -> None:
        """Run a command whose exit status says little: the next poll tells what came of it."""
        said = self._run(command)
        if control.unreachable(said.status, said.err):
            raise BackendUnavailable(control.refusal(said.err))

    def _run(self, command: Sequence[str], timeout: float | None = None) -> Completed:
        return self.transport.run(command, folder=None, timeout=timeout or conf.get("POLL_TIMEOUT"))


def forget_reports(job: HTCondorJob) -> None:
    """Remove what told a job on this machine how to report. Its token is good for nothing once it has ended."""
    if job.reports:
        with suppress(InvalidJob):  # it was described otherwise since
            reports.forget(job.folder, layout_of(job, inputs_are_there=True).report_files)


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """All plain files in a folder, by their path relative to it. Links are left out."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path


def claim(job: HTCondorJob) -> None:
    """Make the job's own folder. Raises ``TransferFailed`` when there is no room or no right to."""
    try:
        job.claim_folder()
    except OSError as error:
        raise TransferFailed(f"The folder of the job cannot be made: {error}") from error
