"""One schedd, whichever way its tools are reached: asked questions, and told what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from jobsapi import conf
from jobsapi.backends.condor import ads, control
from jobsapi.backends.condor.ads import Ad
from jobsapi.backends.condor.transport import CommandKilled, Completed, Transport
from jobsapi.exceptions import BackendUnavailable, InvalidJob, NoRoom, SubmissionOver

if TYPE_CHECKING:
    from jobsapi.backends.condor.layout import Layout

Ids: TypeAlias = Collection[str] | None


class Schedd:
    """What is asked of a schedd, and what it is told, in its own tools' commands."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @property
    def identity(self) -> str:
        """Who we are there, as ``user@domain``: asked once for each connection."""
        if not self.transport.identity:
            said = self.run(control.WHOAMI)
            self.transport.identity = control.identity_of(said.out)
        return self.transport.identity

    def ads(self, command: Sequence[str], timeout: float | None = None) -> list[Ad]:
        """The ads that a question is answered with. Raises ``BackendUnavailable``."""
        said = self.run(command, timeout)
        if said.status:
            raise BackendUnavailable(control.refusal(said.err))
        return ads.parse_ads(said.out)

    def queue(self, dagmans: Iterable[int]) -> list[Ad]:
        """All of this portal's parts that are in the queue, with those of the sub-DAGs among ``dagmans``."""
        return self.ads(ads.queue_command(conf.get("PORTAL"), self.identity, set(dagmans)))

    def history(self, wanted: Mapping[int, Any], jobs: Iterable[Any], *, far: bool = False) -> list[Ad]:
        """The records of what has left the queue, those of nodes included; ``far`` back if nothing else helps."""
        dagmans = [job.cluster_id for job in jobs if job.is_workflow and job.cluster_id in wanted]
        if far:
            command = ads.history_command(self.identity, wanted, dagmans, ads.THOROUGH_SCAN)
            return self.ads(command, conf.get("TRANSFER_TIMEOUT"))
        return self.ads(ads.history_command(self.identity, wanted, dagmans))

    def clusters(self, marks: Iterable[str]) -> dict[str, int]:
        """The clusters that attempts have become, by the hex of their ``submission_id``.

        Queue first and then history: a job may have gone from the one to the other.
        """
        in_queue, in_history = ads.find_commands(self.identity, marks)
        return ads.accepted(self.ads(in_queue), self.ads(in_history))

    def submit(self, layout: Layout, folder: str) -> int:
        """Hand over what lies in a folder; its cluster. Raises ``InvalidJob``, ``NoRoom`` and ``SubmissionOver``."""
        try:
            said = self.transport.run(layout.submit, folder=folder, timeout=conf.get("SUBMIT_TIMEOUT"))
        except CommandKilled as error:
            raise SubmissionOver(str(error)) from error
        if control.unreachable(said.status, said.err):
            raise SubmissionOver(control.refusal(said.err))
        try:
            if said.status == 0:
                return control.cluster_id_of(said.out)
            refused = NoRoom if control.full(said.err) else InvalidJob
            raise refused(control.refusal(said.err))
        except (InvalidJob, NoRoom):  # whatever it said, what counts is whether the schedd has it
            cluster = self.clusters([layout.mark]).get(layout.mark)
            if cluster is None:
                raise
            return cluster

    def remove(self, marks: Collection[str], reason: str, ids: Ids = None, sub_dags: Collection[int] = ()) -> None:
        """See ``control.remove_command``."""
        self.tell(control.remove_command(self.identity, marks, reason, ids, sub_dags))

    def remove_marked(self, marks: Collection[str], reason: str) -> None:
        """See ``control.remove_marked_command``."""
        self.tell(control.remove_marked_command(self.identity, marks, reason))

    def hold(self, marks: Collection[str], reason: str, ids: Ids = None, sub_dags: Collection[int] = ()) -> None:
        """See ``control.hold_command``."""
        self.tell(control.hold_command(self.identity, marks, reason, ids, sub_dags))

    def release(self, marks: Collection[str], reason: str, ids: Ids = None, sub_dags: Collection[int] = ()) -> None:
        """See ``control.release_commands``."""
        for command in control.release_commands(self.identity, marks, reason, ids, sub_dags):
            self.tell(command)

    def tell(self, command: Sequence[str]) -> None:
        """Run a command whose exit status says little: the next poll tells what came of it."""
        said = self.run(command)
        if control.unreachable(said.status, said.err):
            raise BackendUnavailable(control.refusal(said.err))

    def run(self, command: Sequence[str], timeout: float | None = None) -> Completed:
        """What one of its tools says."""
        return self.transport.run(command, folder=None, timeout=timeout or conf.get("POLL_TIMEOUT"))
