"""What a job and a workflow of HTCondor have in common: a folder of their own, a cluster, and files that stay."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from django.db import transaction

from jobsapi.dispatch import enqueue
from jobsapi.exceptions import InvalidJob, OutputNotAllowed, TransitionNotAllowed
from jobsapi.models.condor import rules
from jobsapi.models.outputs import is_plain_folder, open_output, remove_folder
from jobsapi.models.parts import PartWish
from jobsapi.models.schedulers import CondorScheduler, SchedulerAssignment
from jobsapi.models.spec import spec_property
from jobsapi.shown import shown

ASKED = {"cancel": "stop", "hold": "pause", "release": "resume"}
"""The command for each thing that may be wanted of a part."""
MOST_LOGS = 10_000
"""Files of one sort that are listed: of a job with more parts, not all."""
DEEPEST = 50
"""Folders in each other in which a log may lie."""

if TYPE_CHECKING:
    from jobsapi.models.job import Job
else:
    Job = object


def usual_scheduler(label: str) -> CondorScheduler | None:
    """Where a job of the app goes that names no scheduler. None if that is not clear.

    To this machine's own schedd; if there is none, to the one that is assigned to the app.
    """
    known = list(CondorScheduler.objects.filter(given_up_at=None))
    assigned = {each.scheduler_id for each in SchedulerAssignment.objects.filter(package=label)}
    for likely in ([each for each in known if each.is_local], [each for each in known if each.pk in assigned]):
        if len(likely) == 1:
            return likely[0]  # type: ignore[no-any-return]
    return None


def option_list(given: Iterable[Any] | str | None) -> list[str]:
    """Options of a command as a list of texts. Raises ``InvalidJob`` for what is none."""
    if given is None:
        return []
    try:
        return [given] if isinstance(given, str) else [os.fspath(each) for each in given]
    except TypeError as error:
        raise InvalidJob(f"The options are {shown(given)}. Give a list of texts.") from error


class AtHTCondor(Job):
    """Its files lie in ``folder``, below its workspace; at a submit host over SSH in a folder named ``remote_id``."""

    backend: ClassVar[str] = "condor"
    scheduler_type = CondorScheduler
    can_hold = True
    is_workflow: ClassVar[bool] = False
    MARK: ClassVar[str] = ".jobsapi"
    """The file that says whose a job's folder is, and which attempt's files lie in it."""
    resubmitted_when_lost = False

    resubmitted = spec_property(False, doc="Whether this is not its first attempt.")
    reports = spec_property(
        False,
        doc="""Whether its programs can report how far they are: a file ``jobsapi-report.json`` is put beside each.

    It has an address and a token, which only the job can read; ``jobsapi.reporting`` reads it.
    """,
    )
    submit_options = spec_property(list, doc="Further options of the command that submits it.", convert=option_list)

    def execute(self, *args: Any, **kwargs: Any) -> None:
        """Save the job and have it run; see ``Job.execute``. Its number names its folder, so that is first.

        Without a scheduler it goes to this machine's own, or to the one that is assigned to the app.
        """
        if self.scheduler is None and self.submission_id is None:
            self.scheduler = usual_scheduler(self.label)
        with self._unchanged_on_failure(), transaction.atomic():
            if self._state.adding:
                self.save()
            super().execute(*args, **kwargs)

    def resubmit(self, *args: Any, **kwargs: Any) -> None:
        """Run a job that has ended again; see ``Job.resubmit``. What was wanted of its parts is forgotten."""
        with self._unchanged_on_failure(), transaction.atomic():
            self._specify(resubmitted=True)
            PartWish.objects.filter(job_id=self.pk).delete()
            super().resubmit(*args, **kwargs)

    def _specify(self, **entries: Any) -> None:
        """Write some entries of ``spec``, whatever else of it somebody has changed meanwhile."""
        rows = self.__class__._base_manager.filter(pk=self.pk)
        for spec in rows.select_for_update().values_list("spec", flat=True):
            rows.update(spec={**spec, **entries})
        self.absorb({"spec": {**self.spec, **entries}})

    def validate(self) -> None:
        """Raises a subclass of ``InvalidJob`` when the job could not be stored or run as it is described."""
        super().validate()
        rules.check_name(self.name)
        if self.reports:
            self.require_reporting()
        if not self.workspace:
            raise InvalidJob(f"A {self.type} needs a workspace, below which its own folder is made.")
        if not self._state.adding and self.attempts:
            for column in ("name", "workspace"):
                if self._seen.get(column, getattr(self, column)) != getattr(self, column):
                    raise InvalidJob(
                        f"The {column} of a job of HTCondor stays once it was executed: its folder is found by it. "
                        "Change the description instead, or make a new job."
                    )

    def request_part(self, verb: str, part: str) -> None:
        """Record what the user wants of one part, and wake a worker. ``verb``: cancel, hold or release.

        Raises ``TransitionNotAllowed`` unless HTCondor has the job.
        """
        with transaction.atomic():
            row = self.__class__._base_manager.select_for_update()
            current = row.filter(pk=self.pk, completion_time=None).exclude(native_id="").first()
            if current is None:
                raise TransitionNotAllowed(
                    f"HTCondor does not have job {self.pk} now, so nothing can be asked of a part."
                )
            if PartWish.objects.get_or_create(job_id=self.pk, verb=verb, part=part)[1]:
                current.event(verb, f"Asked to {ASKED[verb]} part {part}.").save()
            enqueue("control_parts", self.pk, self.name)

    @property
    def folder(self) -> Path:
        """The job's own folder, where all its files are: ``<workspace>/<name>-<number>``. Made when it is submitted.

        That of a job which was adopted keeps the name that it had.
        """
        return Path(self.workspace, self.backend_state.get("own_folder") or rules.own_folder(self.name, self.pk))

    @property
    def initial_dir(self) -> str:
        """Where its output files are, on this machine, once it has ended."""
        return str(self.folder)

    @property
    def remote_id(self) -> str:
        """The name of its folder at a submit host that is reached over SSH."""
        return self.uid.hex

    @property
    def cluster_id(self) -> int:
        """HTCondor's number of it, of a workflow that of its DAGMan; 0 until it is accepted."""
        return int(self.native_id) if self.native_id.isdecimal() else 0

    @property
    def keeps_no_result(self) -> bool:
        """Its results are its files. What a processing function returns is kept as well."""
        return not self._process_results_function

    @property
    def files_are_here(self) -> bool:
        """Whether its files are below the workspace: always with a scheduler on this machine, else when fetched."""
        return self.ended or not self.backend_state.get("remote")

    def log_files(self) -> Mapping[str, str]:
        """Its logs, and those of its nodes and of DAGMan, once they are on this machine: see ``Job.list_logs``."""
        if not self.files_are_here or not is_plain_folder(self.workspace, [self.folder.name]):
            return {}
        patterns: Sequence[str] = self.backend_state.get("logs", ())
        found = {path for pattern in patterns for path in islice(self.folder.glob(pattern), MOST_LOGS)}
        paths = [path.relative_to(self.folder) for path in found]
        # glob() walks through links, and what they lead to is not to be known even by name.
        parents = {path.parent for path in paths}
        plain = {each for each in parents if is_plain_folder(self.workspace, [self.folder.name, *each.parts])}
        names = sorted(str(path) for path in paths if path.parent in plain)
        return {name: f"{self.folder.name}/{name}" for name in names}

    def log_path(self, name: str) -> str | None:
        """What ``log_files`` has under this name, without a look at the folder: a job of 10,000 parts has many."""
        if self.files_are_here and any(matches(name, pattern) for pattern in self.backend_state.get("logs", ())):
            return f"{self.folder.name}/{name}"
        return None

    @property
    def folder_mark(self) -> str:
        """What stands in the file ``MARK`` of its folder: whose folder it is, and which attempt's files lie there."""
        return f"{self.uid.hex} {self.submission_id.hex if self.submission_id else '-'}\n"

    def attempt_in_folder(self) -> str | None:
        """Which attempt's files lie in its folder, as ``submission_id.hex``; None if there is no folder yet.

        Raises ``InvalidJob`` if something lies there that is not this job's: it is neither removed nor written over.
        """
        if not os.path.lexists(self.folder):
            return None
        with (
            suppress(OSError, OutputNotAllowed),
            open_output(self.workspace, f"{self.folder.name}/{self.MARK}") as file,
        ):
            uid, _, attempt = file.read(100).decode("ascii", "replace").strip().partition(" ")
            if uid == self.uid.hex:
                return attempt
        raise InvalidJob(
            f"{self.folder} was there before this job, and is not of its making. Move it away, then resubmit the job."
        )

    def claim_folder(self) -> None:
        """Make the job's own folder, with the mark in it from the first moment, unless there is one of that name.

        Raises ``OSError``.
        """
        if os.path.lexists(self.folder):
            return
        made = self.ensure_workspace() / f".{self.folder.name}-{uuid4().hex}"
        try:
            made.mkdir()
            (made / self.MARK).write_text(self.folder_mark)
            made.rename(self.folder)
        except OSError:
            remove_folder(self.workspace, made.name)
            raise

    def remove_files(self) -> None:
        """Remove the job's own folder. Nothing else of the workspace goes, nor a folder that only has its name."""
        if not self.workspace or self.pk is None:
            return
        with suppress(InvalidJob):
            self.attempt_in_folder()  # raises if it is not of this job's making
            remove_folder(self.workspace, self.folder.name)


def matches(name: str, pattern: str) -> bool:
    """Whether ``Path.glob(pattern)`` could give a file of this name."""
    parts = name.split("/")
    return len(parts) <= DEEPEST and not {"", ".", ".."} & {*parts} and _match(parts, pattern.split("/"))


def _match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _match(parts, pattern[1:]) or (bool(parts) and _match(parts[1:], pattern))
    return bool(parts) and _fits(parts[0], pattern[0]) and _match(parts[1:], pattern[1:])


def _fits(part: str, pattern: str) -> bool:
    # fnmatch compiles every pattern, and a workflow of many nodes has many that are plain names.
    return fnmatchcase(part, pattern) if any(letter in pattern for letter in "*?[") else part == pattern
