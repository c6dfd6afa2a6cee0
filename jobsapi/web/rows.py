"""A job as the table shows it. A row holds all that its template may show, so its version changes when the row does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

from django.db.models.fields.json import KT
from django.utils import timezone

from jobsapi.models import CondorJob, CondorWorkflow, DaskJob, Job
from jobsapi.models.progress import extent
from jobsapi.queueing import Waiter, places
from jobsapi.status import ACTIVE, RUNNING, Status
from jobsapi.web.bars import Segment, loaded, segments

if TYPE_CHECKING:
    from jobsapi.models.rows import JobQuerySet

TONES: Mapping[Status, str] = {
    Status.PENDING: "waiting",
    Status.SUBMITTED: "waiting",
    Status.RUNNING: "running",
    Status.VARIOUS: "running",
    Status.RESULTS_READY: "running",
    Status.OTHER: "running",
    Status.PAUSED: "held",
    Status.COMPLETE: "good",
    Status.VARIOUS_COMPLETE: "mixed",
    Status.ERROR: "bad",
    Status.ABORTED: "stopped",
}
"""The class of the mark beside a status's name; ``table.css`` has its colours."""

WISHES: Mapping[str, str] = {"cancel": "stopping …", "hold": "pausing …", "release": "resuming …"}
"""What is said of a job whose scheduler has not confirmed yet what its user wants."""

UNITS: Mapping[type[Job], str] = {CondorWorkflow: "nodes", CondorJob: "parts", DaskJob: "tasks"}
"""What the progress of each type counts."""

INSIDES: Mapping[type[Job], str] = {CondorWorkflow: "Graph", CondorJob: "Parts", DaskJob: "Tasks"}
"""What is found inside a job of each type, if there is something to see."""

NOT_ACCEPTED = "Not yet accepted by the scheduler."


@dataclass(frozen=True)
class Row:
    """Everything that is shown of one job. No texts that change with the clock: those are made when it is rendered."""

    number: int
    name: str
    description: str
    type: str
    owner: str
    attempt: int
    status: str
    tone: str
    wish: str
    message: str
    outage: str
    preview: str
    progress_done: int
    progress_total: int
    is_running: bool
    has_failed: bool
    has_result: bool
    created_at: datetime
    executed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    seen_at: datetime | None = field(repr=False)
    """Not what a version is of: it changes at every refresh, and pages are told of it apart (``told_when_seen``)."""
    scheduler: int | None
    can_stop: bool
    can_pause: bool
    can_resume: bool
    can_delete: bool
    parts: str
    """What the page of its parts is called; empty if it has none."""
    inside: str = ""
    """What there is to see inside: a graph, tasks by name, parts; empty if there is nothing."""
    unit: str = ""
    """What its progress counts."""
    segments: tuple[Segment, ...] = ()
    """A bar of its parts, when they are in different states."""
    can_run: bool = False
    can_run_again: bool = False
    said: str = ""
    """The job's own words."""
    tells_itself: bool = False
    """Whether the progress is what the job says itself: its scheduler knows of no parts to count."""

    @classmethod
    def of(cls, job: Job, *, owner: str = "", place: str = "") -> Self:
        """What is shown of a job that was read with ``readable``; ``place``: what ``places_of`` says of it."""
        status = Status(job._status)
        under_way = not job.ended and status in ACTIVE | {Status.OTHER}
        scheduler = job.scheduler if under_way else None
        outage = scheduler.outage if scheduler else ""
        # Then no Python has run: there is neither a value to show nor a traceback.
        has_files_alone = isinstance(job, CondorJob | CondorWorkflow) and job.keeps_no_result
        unaccepted = NOT_ACCEPTED if scheduler and status == Status.SUBMITTED and not (job.native_id or outage) else ""
        # A job that waits for its scheduler says itself that it is unreachable: once is enough.
        message = job.status_message if job.status_message != outage else ""
        own = {} if status is Status.COMPLETE else _own(job)
        tells_itself = bool(own.get("total")) and job.progress_total <= 1
        return cls(
            number=job.pk,
            name=job.name,
            description=job.description,
            type=job.type,
            owner=owner,
            attempt=job.attempts,
            status=job.cached_status,
            tone=TONES[status] if under_way or status is not Status.OTHER else "stopped",
            wish=WISHES.get(job.requested, "") if under_way else "",
            message=f"{message} {place}".strip() or unaccepted,
            outage=outage,
            preview="" if has_files_alone else getattr(job, "preview", None) or "",
            progress_done=own.get("done", 0) if tells_itself else job.progress_done,
            progress_total=own["total"] if tells_itself else job.progress_total,
            is_running=under_way and status in RUNNING,
            has_failed=status in (Status.ERROR, Status.VARIOUS_COMPLETE) and not has_files_alone,
            has_result=status in (Status.COMPLETE, Status.VARIOUS_COMPLETE),
            created_at=job.creation_time,
            executed_at=job.execute_time,
            started_at=job.start_time,
            ended_at=job.completion_time,
            seen_at=scheduler.polled_at if scheduler and job.native_id else None,
            scheduler=job.scheduler_id,
            can_stop=under_way and job.requested != "cancel",
            can_pause=job.can_hold and under_way and status in RUNNING and job.requested not in ("cancel", "hold"),
            can_resume=job.can_hold and status is Status.PAUSED and job.requested not in ("cancel", "release"),
            can_delete=job.ended or status is Status.PENDING,
            parts=_parts(job),
            inside=_of_its_type(INSIDES, job) if _opens(job) else "",
            unit="" if tells_itself else _of_its_type(UNITS, job),
            segments=_segments(job, under_way),
            can_run=status is Status.PENDING and job.executes_alone,
            can_run_again=job.ended and can_run_again(job),
            said=str(own.get("message") or ""),
            tells_itself=tells_itself,
        )

    @property
    def version(self) -> str:
        """Differs when anything that is shown differs."""
        return blake2b(repr(self).encode("utf-8", "replace"), digest_size=6).hexdigest()

    @property
    def shows_progress(self) -> bool:
        """Whether there is a bar: one of unknown length while it runs and nobody knows how much there is to do."""
        return bool(self.progress_total and (self.progress_done or self.is_running)) or self.is_running

    @property
    def progress_text(self) -> str:
        """How far it is, in words."""
        return f"{self.progress_done:,} of {self.progress_total:,}" if self.progress_total else "extent unknown"

    @property
    def extent(self) -> str:
        """``3 of 8 parts``; empty while nobody knows how much there is to do. Nodes that failed have ended, too."""
        if not self.progress_total or self.progress_total == 1 or not (self.progress_done or self.is_running):
            return ""
        if self.tells_itself:
            return extent(self.progress_done, self.progress_total)
        return f"{self.progress_text} {self.unit}{' ended' if self.unit == 'nodes' else ''}".rstrip()

    @property
    def run_time(self) -> str:
        """How long it ran, has run, or has been waiting."""
        start = self.started_at or self.executed_at
        return duration((self.ended_at or timezone.now()) - start) if start else ""

    @property
    def since(self) -> datetime | None:
        """When it started to run or to wait."""
        return self.started_at or self.executed_at

    @property
    def created(self) -> str:
        """How long ago it was made."""
        return duration(timezone.now() - self.created_at)

    @property
    def seen(self) -> str:
        """How long ago its scheduler told how it is."""
        return duration(timezone.now() - self.seen_at) if self.seen_at else ""


def places_of(jobs: Iterable[Job]) -> dict[int, str]:
    """What to say of the place of those that wait for a limited scheduler. One query, and none if there are none."""
    return places(
        Waiter(job.pk, scheduler.pk, scheduler.name, scheduler.max_active, scheduler.max_active_per_user)
        for job in jobs
        if (scheduler := job.scheduler) and scheduler.is_limited and not scheduler.outage and waits(job)
    )


def waits(job: Job) -> bool:
    """Whether the job was executed and no scheduler has accepted it yet, as this instance holds it."""
    return job._status == Status.SUBMITTED and not (job.native_id or job.ended)


def _parts(job: Job) -> str:
    if isinstance(job, CondorWorkflow):
        return "Nodes"
    if isinstance(job, CondorJob):
        return "Parts" if job.progress_total > 1 else "Details"
    return ""


def _opens(job: Job) -> bool:
    return isinstance(job, CondorWorkflow | DaskJob) or (isinstance(job, CondorJob) and job.progress_total > 1)


def _of_its_type(words: Mapping[type[Job], str], job: Job) -> str:
    return next((word for cls, word in words.items() if isinstance(job, cls)), "")


def _own(job: Job) -> Mapping[str, Any]:
    """What the job says of itself, without a query for one that was read with ``readable``."""
    if "own_report" in vars(job):
        kept = job.own_report  # type: ignore[attr-defined]
        found = loaded(kept) if isinstance(kept, str) else kept
        return found if isinstance(found, Mapping) else {}
    own: Mapping[str, Any] = job.reported.get("job", {})
    return own


def _segments(job: Job, under_way: bool) -> tuple[Segment, ...]:
    if not isinstance(job, CondorJob) or job.progress_total < 2:
        return ()
    if "parts_ended" in vars(job):
        return segments(job.progress_total, job.parts_ended, job.parts_held, under_way=under_way)  # type: ignore[attr-defined]
    state: Mapping[str, Any] = job.backend_state
    held = (state.get("hold") or {}).get("parts")
    return segments(job.progress_total, state.get("ended"), held, under_way=under_way)


def can_run_again(job: Job) -> bool:
    """``job.can_run_again``, without a query for a job that was read with ``readable``."""
    if "from_future" in vars(job) and isinstance(job, DaskJob):
        return job.from_future not in ("true", "1", True)  # type: ignore[attr-defined]
    return job.can_run_again


def duration(length: timedelta) -> str:
    """A length of time in its two largest units: ``"2 min 5 s"``. ``jobs.js`` says it in the same words."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, name, smaller, its_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit:,} {name} {seconds % unit // smaller} {its_name}"
    return f"{seconds} s"


HEAVY = ("spec", "extended_properties", "backend_state", "reported", "workspace")
"""Columns that may be large, and that no row needs as a whole."""

READ = {
    "preview": KT("backend_state__preview"),
    "from_future": KT("backend_state__from_future"),
    "parts_ended": KT("backend_state__ended"),
    "parts_held": KT("backend_state__hold__parts"),
    "own_report": KT("reported__job"),
}
"""What a row needs of a large column."""


def readable(jobs: JobQuerySet, *, with_heavy: bool = False) -> JobQuerySet:
    """With what a row needs, and without the columns that may be large: one query."""
    light: JobQuerySet = jobs if with_heavy else jobs.defer(*HEAVY)
    shown: JobQuerySet = light.select_related("scheduler").annotate(**READ)
    return shown
