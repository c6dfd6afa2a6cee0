"""The columns of a job, whose they are, and what can be read off them without asking anybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobsapi import conf, functions
from jobsapi.exceptions import FunctionNotAllowed, InvalidJob
from jobsapi.models.blobs import JobBlob, Purpose
from jobsapi.models.deletion import keep_scheduler_of_jobs, keep_user_of_jobs
from jobsapi.models.kinds import Kinded
from jobsapi.models.ownership import TwoWriters
from jobsapi.models.reporting import ReportsItself
from jobsapi.models.schedulers import Scheduler
from jobsapi.models.sharing import Shared
from jobsapi.models.vocabulary import Vocabulary
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.backends.base import Backend

    BackendClass = type[Backend]


class PropertiesField(models.JSONField):
    """JSON of the app's; the custom status that it shows to readers is kept in a column of its own."""

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Without the custom status."""
        if isinstance(value, dict):
            value = {key: entry for key, entry in value.items() if key != Vocabulary.OTHER_STATUS_KEY}
        return super().get_db_prep_save(value, connection)


class JobColumns(Vocabulary, Shared, ReportsItself, TwoWriters, Kinded):
    """What is filtered, sorted or guarded is a column. The first block is the app's, the second the worker's."""

    label = models.CharField(max_length=255, editable=False)
    """The package of the app that made the job."""
    name = models.CharField(max_length=1024)
    """``{id}`` in it becomes the job's number at the first save."""
    description = models.CharField(max_length=2048, blank=True, default="")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, keep_user_of_jobs, related_name="jobs")
    scheduler = models.ForeignKey(Scheduler, keep_scheduler_of_jobs, null=True, blank=True, related_name="jobs")
    workspace = models.CharField(max_length=1024, blank=True, default="")
    extended_properties = PropertiesField(default=dict, blank=True)
    _process_results_function = models.CharField(max_length=1024, blank=True, default="")
    priority = models.IntegerField(default=0)
    """Waiting jobs of a scheduler are handed over highest first, then oldest first."""
    spec = models.JSONField(default=dict, blank=True)
    """What only the backend reads; see ``spec_property``."""

    uid = models.UUIDField(default=uuid4, unique=True, editable=False)
    """The job's name at schedulers and in seals; known before the row is."""
    _status = models.CharField(max_length=3, choices=Status.choices, default=Status.PENDING)
    custom_status = models.CharField(max_length=255, blank=True, default="", editable=False)
    status_message = models.TextField(blank=True, default="", editable=False)
    creation_time = models.DateTimeField(auto_now_add=True)
    execute_time = models.DateTimeField(null=True, editable=False)
    start_time = models.DateTimeField(null=True, editable=False)
    completion_time = models.DateTimeField(null=True, editable=False)
    """When the job ended, well or not."""
    progress_done = models.PositiveIntegerField(default=0, editable=False)
    progress_total = models.PositiveIntegerField(default=0, editable=False)
    """Parts, tasks or nodes; 0 while it is not known."""
    native_id = models.CharField(max_length=1024, blank=True, default="", editable=False)
    """The scheduler's name for it: a cluster id, a Dask key. Empty until the scheduler has accepted the attempt."""
    submission_id = models.UUIDField(null=True, editable=False)
    """One for each attempt; the scheduler is given it, so that the attempt can be found there."""
    submit_started_at = models.DateTimeField(null=True, editable=False)
    """A try to hand this attempt over has begun: before another one the scheduler is asked for what it left."""
    attempts = models.PositiveIntegerField(default=0, editable=False)
    requested = models.CharField(max_length=10, blank=True, default="", editable=False)
    """What the user wants of a job that a scheduler has: cancel, hold or release, until the scheduler confirms it."""
    leased_until = models.DateTimeField(null=True, editable=False)
    rests_until = models.DateTimeField(null=True, editable=False)
    """A step for it failed as nobody has thought of: until then it is left alone, by a lease that nobody holds."""
    missing_since = models.DateTimeField(null=True, editable=False)
    cleanup_pending = models.BooleanField(default=False, editable=False)
    """Something of the job may lie at the scheduler, to be removed when it has ended."""
    deleted_at = models.DateTimeField(null=True, editable=False)
    backend_state = models.JSONField(default=dict, blank=True, editable=False)
    """What the backend found out: keys, where it ran, exit code, traceback, preview of the result."""

    # fmt: off
    user_columns = frozenset({
        "label", "name", "description", "user_id", "scheduler_id", "workspace", "extended_properties",
        "_process_results_function", "priority", "spec",
    })
    # fmt: on
    worker_hint = "Use execute(), stop(), update_status(...) and the like."

    job_type: ClassVar[str] = ""
    """The name that ``create_job(job_type=...)`` takes, beside the name of the class."""
    aliases: ClassVar[tuple[str, ...]] = ()
    backend: ClassVar[str] = "basic"
    """Its key in ``JOBSAPI["BACKENDS"]``."""
    scheduler_type: ClassVar[type[Scheduler] | None] = None
    """The kind of scheduler that it needs; None if it needs none."""
    can_hold: ClassVar[bool] = False
    """Whether such jobs can be paused and resumed."""
    executes_alone: ClassVar[bool] = True
    """Whether ``execute()`` needs nothing to be given, so that a table can offer to run a job that is Pending."""
    resubmitted_when_lost: ClassVar[bool] = True
    """Whether a job that its scheduler has lost is submitted again by itself, as another attempt."""
    why_not_again: ClassVar[str] = ""
    """Why ``can_run_again`` is False, in a sentence."""

    class Meta:
        abstract = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._show_custom_status()

    def __str__(self) -> str:
        return f"{self.name} (job {self.pk})"

    def __lt__(self, other: JobColumns) -> bool:
        return bool(self.pk < other.pk)

    @property
    def type(self) -> str:
        """The name of the job's class."""
        return self.__class__.__name__

    @property
    def cached_status(self) -> str:
        """The status's display name (a custom status's label) as this instance holds it. Touches nothing."""
        return self.custom_status or str(Status(self._status).label)

    @property
    def ended(self) -> bool:
        """Whether it has ended, well or not, as this instance holds it."""
        return self.completion_time is not None

    @property
    def run_time(self) -> timedelta | None:
        """How long it ran, or has been running; None before it was executed."""
        start = self.start_time or self.execute_time
        return (self.completion_time or timezone.now()) - start if start else None

    @property
    def last_status_update(self) -> datetime | None:
        """When its scheduler last told the state of its jobs; of a job without one, when it was executed or made."""
        polled = self.scheduler.polled_at if self.scheduler else None
        return polled or self.execute_time or self.creation_time

    @property
    def update_status_interval(self) -> timedelta:
        """The least time between two refreshes that reading ``status`` asks for: ``REFRESH_INTERVAL``."""
        return getattr(self, "_update_status_interval", None) or timedelta(seconds=conf.get("REFRESH_INTERVAL"))

    def is_time_to_update(self) -> bool:
        """Whether ``update_status_interval`` or more has passed since the last refresh.

        False when the job has ended.
        """
        last = self.last_status_update
        return not self.ended and (last is None or timezone.now() - last >= self.update_status_interval)

    @property
    def process_results_function(self) -> Callable[..., Any] | None:
        """The function that a worker calls with the result, whose return value becomes the result.

        Set it to a function or its dotted name. It must lie in the app's own package or be marked with
        ``@job_function``. None when there is none or when it cannot be resolved.
        """
        try:
            return self.resolve_function(self._process_results_function) if self._process_results_function else None
        except FunctionNotAllowed:
            return None

    @process_results_function.setter
    def process_results_function(self, function: Callable[..., Any] | str | None) -> None:
        if function is None or isinstance(function, str):
            self._process_results_function = function or ""
        else:
            self._process_results_function = functions.path_of(function)

    def resolve_function(self, path: str) -> Callable[..., Any]:
        """The function named ``path``, if this job's app may call it. Raises ``FunctionNotAllowed``."""
        return functions.resolve(path, functions.packages_of(self.label))

    @property
    def keeps_no_result(self) -> bool:
        """Whether ``result`` is to stay None."""
        return False

    def process(self, function: Callable[..., Any], value: Any) -> Any:
        """Call the processing function of the app's; what it returns becomes the result. Runs in a worker."""
        return function(self)

    @classmethod
    def kept_for_another_run(cls) -> Q:
        """What a row must be like to be run again: what it needs is still there."""
        return Q()

    @property
    def can_run_again(self) -> bool:
        """Whether another attempt can be made from what is stored."""
        return True

    def remove_files(self) -> None:
        """Remove the files that are the job's own, when its row is about to go. May be repeated. Raises ``OSError``."""

    def open_input(self) -> bytes:
        """What ``execute()`` was given, as it was packed.

        Raises ``SealBroken``, and ``InvalidJob`` when nothing is kept.
        """
        packed = JobBlob.find(self, Purpose.INPUT)
        if packed is None:
            raise InvalidJob("What was given to execute() is not kept any more; create the job anew.")
        return packed

    @classmethod
    def backend_class(cls) -> BackendClass:
        """What speaks to the scheduler of such jobs."""
        return conf.backend_class(cls.backend)

    def absorb(self, changes: Any) -> None:
        """Make this instance show what has just been written to its row."""
        super().absorb(changes)
        self._show_custom_status()

    def _show_custom_status(self) -> None:
        properties = self.__dict__.get("extended_properties")
        if isinstance(properties, dict) and "custom_status" in self.__dict__:
            if self.custom_status:
                properties[self.OTHER_STATUS_KEY] = self.custom_status
            else:
                properties.pop(self.OTHER_STATUS_KEY, None)
