"""What an app tells about itself: its package, and the schedulers it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jobsapi import functions
from jobsapi.exceptions import SchedulerNotAssigned
from jobsapi.manager import JobManager

if TYPE_CHECKING:
    from jobsapi.models import Scheduler


@dataclass(frozen=True)
class SchedulerSetting:
    """A scheduler that an app needs, to be assigned by an administrator."""

    HTCONDOR: ClassVar[str] = "condor"
    DASK: ClassVar[str] = "dask"

    name: str
    description: str = ""
    engine: str = HTCONDOR
    required: bool = False


def installed() -> Iterator[type[JobsApp]]:
    """The apps of this site that have described themselves."""
    todo = JobsApp.__subclasses__()
    while todo:
        cls = todo.pop(0)
        todo += cls.__subclasses__()
        if "package" in vars(cls):
            yield cls


class JobsApp:
    """Base class of an app's description. Ported apps use it in place of their own base class."""

    package: ClassVar[str]
    """The app's package; the label of its jobs."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "package" in vars(cls):
            functions.declare(cls.package, cls.__module__.rpartition(".")[0] or cls.__module__)

    def scheduler_settings(self) -> Sequence[SchedulerSetting] | None:
        """The schedulers that the app needs. Override it."""
        return ()

    @classmethod
    def get_job_manager(cls) -> JobManager:
        """The app's job manager. May be called when the module is imported: it touches no database."""
        return JobManager(cls)

    @classmethod
    def get_scheduler(cls, name: str) -> Scheduler:
        """The scheduler assigned to the setting ``name``.

        Raises ``SchedulerNotAssigned``, saying who has to do what.
        """
        from jobsapi.models import SchedulerAssignment

        assignment = (
            SchedulerAssignment.objects.select_related("scheduler").filter(package=cls.package, setting=name).first()
        )
        if assignment is None:
            settings = {setting.name for setting in cls().scheduler_settings() or ()}
            unknown = (
                ""
                if name in settings
                else f" (the app defines {', '.join(sorted(settings)) or 'no scheduler settings'})"
            )
            raise SchedulerNotAssigned(
                f"No scheduler is assigned to the setting “{name}” of {cls.package}{unknown}. "
                "An administrator can assign one in the admin, under Scheduler assignments."
            )
        return assignment.scheduler
