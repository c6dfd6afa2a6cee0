"""A job as the table shows it. A row holds all that its template may show, so its version changes when the row does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Self

from django.db.models.fields.json import KT
from django.utils import timezone

from jobsapi.models import CondorJob, CondorWorkflow, Job
from jobsapi.status import ACTIVE, RUNNING, Status

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
"""The class of the mark beside a status's name; ``jobs.css`` has its colours."""

WISHES: Mapping[str, str] = {"cancel": "stopping …", "hold": "pausing …", "release": "resuming …"}
"""What is said of a job whose scheduler has not confirmed yet what its user wants."""

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
    seen_at: datetime | None
    can_stop: bool
    can_pause: bool
    can_resume: bool
    can_delete: bool
    parts: str
    """What the page of its parts is called; empty if it has none."""

    @classmethod
    def of(cls, job: Job, *, owner: str = "") -> Self:
        """What is shown of a job that was read with ``readable``."""
        status = Status(job._status)
        under_way = not job.ended and status in ACTIVE | {Status.OTHER}
        scheduler = job.scheduler if under_way else None
        outage = scheduler.outage if scheduler else ""
        # Then no Python has run: there is neither a value to show nor a traceback.
        has_files_alone = isinstance(job, CondorJob | CondorWorkflow) and job.keeps_no_result
        unaccepted = NOT_ACCEPTED if scheduler and status == Status.SUBMITTED and not (job.native_id or outage) else ""
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
            # A job that waits for its scheduler says itself that it is unreachable: once is enough.
            message=(job.status_message if job.status_message != outage else "") or unaccepted,
            outage=outage,
            preview="" if has_files_alone else getattr(job, "preview", None) or "",
            progress_done=job.progress_done,
            progress_total=job.progress_total,
            is_running=under_way and status in RUNNING,
            has_failed=status in (Status.ERROR, Status.VARIOUS_COMPLETE) and not has_files_alone,
            has_result=status in (Status.COMPLETE, Status.VARIOUS_COMPLETE),
            created_at=job.creation_time,
            executed_at=job.execute_time,
            started_at=job.start_time,
            ended_at=job.completion_time,
            seen_at=scheduler.polled_at if scheduler and job.native_id else None,
            can_stop=under_way and job.requested != "cancel",
            can_pause=job.can_hold and under_way and status in RUNNING and job.requested not in ("cancel", "hold"),
            can_resume=job.can_hold and status is Status.PAUSED and job.requested not in ("cancel", "release"),
            can_delete=job.ended or status is Status.PENDING,
            parts=_parts(job),
        )

    @property
    def version(self) -> str:
        """Differs when anything that is shown differs."""
        return blake2b(repr(astuple(self)).encode("utf-8", "replace"), digest_size=6).hexdigest()

    @property
    def shows_progress(self) -> bool:
        """Whether there is a bar: one of unknown length while it runs and nobody knows how much there is to do."""
        return bool(self.progress_total and (self.progress_done or self.is_running)) or self.is_running

    @property
    def progress_text(self) -> str:
        """How far it is, in words."""
        return f"{self.progress_done:,} of {self.progress_total:,}" if self.progress_total else "extent unknown"

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


def _parts(job: Job) -> str:
    if isinstance(job, CondorWorkflow):
        return "Nodes"
    if isinstance(job, CondorJob):
        return "Parts" if job.progress_total > 1 else "Details"
    return ""


def duration(length: timedelta) -> str:
    """A length of time in its two largest units: ``"2 min 5 s"``. ``jobs.js`` says it in the same words."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, name, smaller, its_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit:,} {name} {seconds % unit // smaller} {its_name}"
    return f"{seconds} s"


def readable(jobs: JobQuerySet) -> JobQuerySet:
    """With what a row needs, and without the columns that may be large: one query."""
    light: JobQuerySet = jobs.defer("spec", "extended_properties", "backend_state", "workspace")
    shown: JobQuerySet = light.select_related("scheduler").annotate(preview=KT("backend_state__preview"))
    return shown


class Changes(NamedTuple):
    """What a page that shows other rows has to do to show these."""

    above: list[Row]
    changed: list[Row]
    below: list[Row]
    gone: list[int]

    @classmethod
    def between(cls, seen: Mapping[int, str], rows: Sequence[Row]) -> Self | None:
        """From what is seen (versions by number) to ``rows``, newest first; None if the page is better loaded anew."""
        now = {row.number for row in rows}
        common = now & seen.keys()
        if not common:
            return None if now or seen else cls([], [], [], [])
        above = [row for row in rows if row.number > max(common)]
        below = [row for row in rows if row.number < min(common)]
        if len(above) + len(below) + len(common) != len(rows):
            return None
        changed = [row for row in rows if row.number in common and row.version != seen[row.number]]
        return cls(above, changed, below, sorted(seen.keys() - now))
