"""The own folders of jobs at both ends: made, filled for an attempt, brought home, removed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from jobsapi import conf
from jobsapi.backends.condor import reports
from jobsapi.backends.condor.layout import Layout, layout_of
from jobsapi.backends.condor.schedd import Schedd
from jobsapi.exceptions import InvalidJob, TransferFailed

if TYPE_CHECKING:
    from jobsapi.models import CondorJob, CondorWorkflow

    HTCondorJob: TypeAlias = CondorJob | CondorWorkflow

logger = logging.getLogger(__name__)


class OwnFolders:
    """Those of a schedd's jobs: on this machine in their workspaces, at a submit host in one place."""

    def __init__(self, schedd: Schedd, *, remote: bool) -> None:
        self.schedd = schedd
        self.transport = schedd.transport
        self.remote = remote
        """Whether the submit host is another machine."""

    def path(self, job: HTCondorJob) -> str:
        """Where the schedd finds a job's own folder."""
        return self.transport.folder_of(job.workspace, job.folder.name, job.uid.hex, conf.get("PORTAL"))

    def fill(self, job: HTCondorJob) -> None:
        """Put all that an attempt needs into the own folder; what an earlier one left there goes."""
        self._take_home(job)
        layout = layout_of(job)
        kept = self._make_room(job, layout)
        if not self.remote:
            claim(job)
        self.transport.stage(
            self.path(job),
            texts={**layout.texts, job.MARK: job.folder_mark},
            folders=[each for each in layout.folders if each != "."],
            inputs={**kept, **layout.inputs},
            private=dict.fromkeys(layout.report_files, reports.access(job) if layout.report_files else ""),
        )

    def bring(self, job: HTCondorJob) -> tuple[str, ...]:
        """Have all files of a job on this machine; what was left out, in sentences."""
        if not self.remote:
            return ()
        try:
            if job.attempt_in_folder() is None:
                claim(job)
        except InvalidJob as error:
            raise TransferFailed(str(error)) from error
        return self.transport.bring(self.path(job), job.folder).skipped

    def clear(self, jobs: Sequence[HTCondorJob], unfetched: Sequence[HTCondorJob]) -> list[HTCondorJob]:
        """Remove what lies at a submit host, that of ``unfetched`` jobs once it is home; whose could not be brought.

        On this machine own folders stay: they are the results.
        """
        if not self.remote:
            for job in jobs:
                forget_reports(job)
            return []
        stuck = []
        for job in self._marks_at_host(unfetched):
            try:
                self.bring(job)
            except TransferFailed as error:
                logger.warning("What job %s left at its submit host cannot be fetched now: %s", job.pk, error)
                stuck.append(job)
        self.transport.remove([self.path(job) for job in jobs if job not in stuck])
        return stuck

    def _take_home(self, job: HTCondorJob) -> None:
        """Bring home and remove what an earlier attempt has left at the submit host."""
        for mark in self._marks_at_host([job] if job.resubmitted else []).values():
            if mark != job.folder_mark:
                self._end_attempt(mark.split()[-1])
                self.bring(job)
                self.transport.remove([self.path(job)])

    def _marks_at_host(self, jobs: Iterable[HTCondorJob]) -> dict[HTCondorJob, str]:
        """What stands in the marks of jobs whose folders are at a submit host, in one exchange."""
        paths = {job: f"{self.path(job)}/{job.MARK}" for job in jobs if self.remote}
        found = self.transport.read(list(paths.values()), limit=1_000) if paths else {}
        return {job: found[path].decode("ascii", "replace") for job, path in paths.items() if path in found}

    def _make_room(self, job: HTCondorJob, layout: Layout) -> Mapping[str, Any]:
        """Remove what an earlier attempt has left here, unless this one goes on with it: then that goes to the host."""
        earlier = job.attempt_in_folder()
        if earlier in (None, layout.mark):
            return {}
        if not self.remote:
            self._end_attempt(earlier)
        if layout.resumes:
            written = {job.MARK, *layout.texts, *layout.inputs}
            return {name: path for name, path in files_in(job.folder) if name not in written} if self.remote else {}
        job.remove_files()
        return {}

    def _end_attempt(self, mark: str) -> None:
        """Have HTCondor forget an attempt that the portal has ended."""
        self.schedd.remove_marked([mark], "It was submitted again in the portal.")


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
