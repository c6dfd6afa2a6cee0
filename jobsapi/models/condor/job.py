"""A job that HTCondor runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jobsapi.exceptions import InvalidJob
from jobsapi.models.condor import rules
from jobsapi.models.condor.at_htcondor import AtHTCondor, option_list
from jobsapi.models.condor.described import Described
from jobsapi.models.job import Job


class CondorJob(Described, AtHTCondor, Job):
    """One executable, run ``num_jobs`` times by HTCondor.

    Its parts (procs) have their own statuses: Various while some have ended and others not, Various-Complete when some
    have failed, Error when all have.
    """

    job_type, aliases = "CONDORJOB", ("CONDOR",)

    class Meta:
        proxy = True

    def execute(self, queue: int | None = None, options: Iterable[str] | str | None = None) -> None:
        """Save the job and have it run. ``queue``: how many times, if not ``num_jobs``.

        ``options``: further options of condor_submit. Raises ``TransitionNotAllowed`` for a job that is not Pending,
        and a subclass of ``InvalidJob`` for what cannot be run; then nothing is written.
        """
        if queue is not None:
            self.num_jobs = queue
        if options is not None:
            self.submit_options = option_list(options)
        super().execute()

    def stop(self, proc: int | None = None) -> None:
        """Have the job stopped, or one of its procs; see ``Job.stop``. A stopped proc counts as one that failed."""
        self._ask("cancel", proc) if proc is not None else super().stop()

    def pause(self, proc: int | None = None) -> None:
        """Have the job held, or one of its procs; see ``Job.pause``."""
        self._ask("hold", proc) if proc is not None else super().pause()

    def resume(self, proc: int | None = None) -> None:
        """Have the job released, or one of its procs; see ``Job.resume``."""
        self._ask("release", proc) if proc is not None else super().resume()

    def _ask(self, verb: str, proc: int) -> None:
        if not 0 <= int(proc) < self.num_jobs:
            raise InvalidJob(f"There is no proc {proc}: the job has {self.num_jobs}, counted from 0.")
        self.request_part(verb, str(int(proc)))

    def validate(self) -> None:
        """Raises a subclass of ``InvalidJob`` when the job could not be stored or run as it is described."""
        super().validate()
        self.check_description()
        rules.check_options(self.submit_options, for_dag=False)

    @property
    def condorpy_job(self) -> Any:
        """See ``Described``."""
        return self.backend_class().condorpy_job(self)  # type: ignore[attr-defined]

    @property
    def initial_dir(self) -> str:
        """Where its output files are, on this machine, once it has ended."""
        return str(self.folder / self.condorpy_job.initial_dir)
