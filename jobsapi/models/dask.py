"""A job that Dask runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Q

from jobsapi.models.blobs import JobBlob, Purpose
from jobsapi.models.job import Job
from jobsapi.models.schedulers import DaskScheduler
from jobsapi.models.spec import spec_property


class DaskJob(Job):
    """Work for a Dask scheduler: a Delayed, an array, bag or DataFrame, a Future, a list of these, or a function.

    ``execute(work)`` packs a graph, or pins a Future; ``execute(function, *args, **kwargs)``, or with its dotted name,
    has a worker call the function, with ``client=`` if it has such a parameter; what it returns is computed in turn.
    """

    job_type, backend, scheduler_type = "DASK", "dask", DaskScheduler
    executes_alone = False
    why_not_again = (
        "it was made from a Future or adopted, so its graph is not stored. Create a new job, from a Delayed or a "
        "function."
    )

    forget = spec_property(False, doc="Keep no result.")

    class Meta:
        proxy = True

    @property
    def key(self) -> str:
        """The Dask key of its result; empty until a scheduler has accepted it."""
        return self.native_id

    @property
    def keeps_no_result(self) -> bool:
        return bool(self.forget)

    def process(self, function: Callable[..., Any], value: Any) -> Any:
        """Call the processing function with what was computed."""
        return function(value)

    @classmethod
    def kept_for_another_run(cls) -> Q:
        """Its input."""
        return JobBlob.kept(Purpose.INPUT)

    @property
    def can_run_again(self) -> bool:
        return not (self.backend_state.get("from_future") or self.backend_state.get("adopted"))

    @property
    def client(self) -> Any:
        """This process's Dask client of the job's scheduler. Connects; raises ``DaskJobException``."""
        self.check_scheduler()
        return self.scheduler.client  # type: ignore[union-attr]

    @property
    def future(self) -> Any:
        """The job's Future (a list for several parts) while its scheduler holds it, else None. Asks the scheduler."""
        if not self.native_id or self.ended:
            return None
        return self.backend_class()(self.scheduler).future(self)  # type: ignore[attr-defined]

    def done(self) -> bool:
        """Whether the work is done, well or not, as the row says now."""
        return self.status in (*self.TERMINAL_STATUSES, "Results-Ready")

    def retry(self) -> None:
        """Run it again after an error. The same as ``resubmit()``."""
        self.resubmit()
