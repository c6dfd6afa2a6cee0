"""The one writer of status: ``transition`` for one job, ``observe_many`` for what a scheduler says of all of them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from django.db import DatabaseError, transaction
from django.db.models import Q

from jobsapi import clock, conf
from jobsapi.exceptions import TransitionNotAllowed
from jobsapi.models.columns import JobColumns
from jobsapi.models.events import JobEvent
from jobsapi.models.storing import StoredJob
from jobsapi.models.text import DETAIL_LIMIT, clean, clean_json
from jobsapi.signals import job_status_changed
from jobsapi.status import REVIVES, RUNNING, SENTENCES, SOURCES, TERMINAL, Status

if TYPE_CHECKING:
    from jobsapi.backends.base import Observation

BATCH = 500

UNSTORABLE = (DatabaseError, TypeError, ValueError, OverflowError)
"""What a value that a column cannot take raises: from the database, or before it is asked."""

ATTEMPT_BOUND = frozenset({"scheduler", "lost", "worker"})
"""Causes that speak of one attempt. What they say of an attempt that is over changes nothing."""

HINTS = {
    "execute": "Only a job that is Pending can be executed; one that has ended can be run again with resubmit().",
    "resubmit": "Only a job that has ended can be run again, and only while its input is kept; stop() it first.",
    "process_results": "Results are processed when the scheduler is done; again only if the function failed.",
    "stop": "It has ended already.",
    "pause": "Only a job that was executed, and that neither has ended nor is being stopped, can be paused.",
    "resume": "Only a job that was executed, and that neither has ended nor is being stopped, can be resumed.",
    "app": "A job that has ended keeps its status; run it again with resubmit().",
}

FULFILLED = frozenset(
    {
        ("hold", Status.PAUSED),
        ("release", Status.SUBMITTED),
        ("release", Status.RUNNING),
        ("release", Status.VARIOUS),
    }
)
"""Wishes of a user's, each with a status by which the scheduler says that it is done; released, no part is held."""

NEW_ATTEMPT: Mapping[str, Any] = {
    "native_id": "",
    "requested": "",
    "submit_started_at": None,
    "missing_since": None,
    "progress_done": 0,
    "start_time": None,
    "completion_time": None,
    "backend_state": {},
    "reported": {},
    "reported_at": None,
}
"""What a new attempt starts with, beside a ``submission_id`` of its own."""


class StatusChanges(StoredJob):
    """``transition`` and ``observe_many``. Nothing else writes the status of a job."""

    class Meta:
        abstract = True

    def transition(
        self,
        to: Status,
        *,
        by: str,
        message: str = "",
        detail: str = "",
        only: Q | None = None,
        **changes: Any,
    ) -> None:
        """Change the status, if ``by`` may change it so now: one guarded UPDATE and one JobEvent, in one transaction.

        ``only`` narrows the guard: with columns of the row itself and with ``Exists``, never through a join, which the
        database would not look at again after waiting for another writer. ``changes`` are columns written along. On
        return this instance shows what was written. Raises ``TransitionNotAllowed``, and then nothing was written.
        """
        now = clock.now()
        written = {
            "_status": to,
            "status_message": clean(message),
            "custom_status": "",
            **outcome(self, to, now),
            **(NEW_ATTEMPT if by in ("resubmit", "lost") else {}),
            **changes,
        }
        guard: dict[str, Any] = {
            "pk": self.pk,
            "_status__in": SOURCES.get((by, to), ()),
            "completion_time__isnull": by not in REVIVES,
        }
        if by in ATTEMPT_BOUND:
            guard["submission_id"] = self.submission_id
        with transaction.atomic():
            if not self.__class__._base_manager.filter(only or Q(), **guard).update(**written):
                raise TransitionNotAllowed(self._refusal(to, by))
            self.absorb(written)
            label = f"{self.custom_status}: " if self.custom_status else ""
            record([self.event(by, message or label + SENTENCES[by, to], detail, now)], [self])

    def event(self, by: str, message: str, detail: str = "", now: datetime | None = None) -> JobEvent:
        """A line for the history, not saved yet."""
        return JobEvent(
            job_id=self.pk,
            time=now or clock.now(),
            by=by,
            status=self._status,
            attempt=self.attempts,
            message=clean(message),
            detail=clean(detail, DETAIL_LIMIT),
        )

    @classmethod
    def observe_many(cls, observations: Mapping[Self, Observation]) -> list[Self]:
        """Write what a scheduler said of its jobs; the jobs whose status changed, as they are now.

        What did not change costs nothing. The rows that would change are locked and looked at again: an observation of
        an attempt that is over, or one that the table of edges does not allow, is dropped in silence. A row that the
        database refuses spoils no other.
        """
        now = clock.now()
        suspects = sorted(job.pk for job, seen in observations.items() if decide(job, seen, now))
        by_pk = {job.pk: (job, seen) for job, seen in observations.items()}
        changed: list[Self] = []
        for start in range(0, len(suspects), BATCH):
            batch = suspects[start : start + BATCH]
            try:
                changed += cls._observe(batch, by_pk, now)
            except UNSTORABLE:
                for pk in batch:
                    changed += cls._observe_alone(pk, by_pk, now)
        return changed

    @classmethod
    def _observe(cls, batch: Sequence[int], by_pk: Mapping[int, tuple[Self, Observation]], now: datetime) -> list[Self]:
        groups: dict[tuple[str, ...], list[Self]] = defaultdict(list)
        events, changed = [], []
        with transaction.atomic():
            for row in cls._base_manager.select_for_update().filter(pk__in=batch).order_by("pk").defer("reported"):
                job, seen = by_pk[row.pk]
                if row.submission_id != job.submission_id:
                    continue
                changes = decide(row, seen, now)
                if not changes:
                    continue
                by, before = cause(row, seen), row._status
                row.absorb(changes)
                groups[tuple(sorted(changes))].append(row)
                if row._status != before or by == "lost":
                    changed.append(row)
                    to = Status(row._status)
                    events.append(row.event(by, row.status_message or SENTENCES[by, to], seen.detail, now))
            for columns, rows in groups.items():
                cls._base_manager.bulk_update(rows, columns, batch_size=BATCH)
            record(events, changed)
        return changed

    @classmethod
    def _observe_alone(cls, pk: int, by_pk: Mapping[int, tuple[Self, Observation]], now: datetime) -> list[Self]:
        job, seen = by_pk[pk]
        try:
            return cls._observe([pk], by_pk, now)
        except UNSTORABLE:
            bare = dataclasses.replace(seen, state={}, detail="")
        try:
            return cls._observe([pk], {pk: (job, bare)}, now)
        except UNSTORABLE as error:
            message = clean(f"What the scheduler said of this job cannot be stored: {error}")
            cls._base_manager.filter(pk=pk).update(status_message=message)
            return []

    def _refusal(self, to: Status, by: str) -> str:
        current = self.__class__._base_manager.filter(pk=self.pk).first()
        if current is None or current.deleted_at is not None:
            return f"Job {self.pk} is not there any more."
        return f"Job {self.pk} is {current.cached_status} and cannot become {to.label} now. {HINTS.get(by, '')}".strip()


def record(events: Iterable[JobEvent], jobs: Iterable[JobColumns]) -> None:
    """Add events to the history, and tell who listens after the commit."""
    for job, event in zip(jobs, JobEvent.objects.bulk_create(events), strict=True):
        _announce(job, event)


def _announce(job: JobColumns, event: JobEvent) -> None:
    def send() -> None:
        job_status_changed.send_robust(sender=job.__class__, job=job, event=event)

    transaction.on_commit(send, robust=True)


def outcome(job: JobColumns, to: Status, now: datetime) -> dict[str, Any]:
    """What a change of status writes along: its times, and that what has ended is not to be stopped any more."""
    if to in TERMINAL:
        return {"completion_time": now, "requested": ""}
    if to in RUNNING and job.start_time is None:
        return {"start_time": now}
    return {}


def cause(job: JobColumns, seen: Observation) -> str:
    """Whose edge an observation takes: a lost job that can run again is another attempt, all else the scheduler's."""
    may = job.resubmitted_when_lost and job.can_run_again and job.requested != "cancel"
    return "lost" if seen.lost and may and job.attempts < conf.get("MAX_ATTEMPTS") else "scheduler"


def decide(job: JobColumns, seen: Observation, now: datetime) -> dict[str, Any]:
    """The columns that an observation changes; empty if it says nothing new or comes too late."""
    leased = job.leased_until is not None and (job.leased_until > now or not clock.CLOCK.settled)
    if job.completion_time is not None or (leased and job._status == Status.RESULTS_READY and seen.lost):
        return {}
    if cause(job, seen) == "lost":
        return _another_attempt(job, seen)
    to, message = seen.status, seen.message
    if seen.lost:
        to, message = _given_up(job, seen)
    if job._status == Status.OTHER and to not in (Status.RESULTS_READY, Status.ERROR, Status.ABORTED):
        to, message = Status.OTHER, ""  # the app's own label says more than "Running"
    changes: dict[str, Any] = {}
    if to != job._status:
        if job._status not in SOURCES.get(("scheduler", to), ()):
            return {}
        changes = {"_status": to, "custom_status": "", "status_message": clean(message), **outcome(job, to, now)}
        if seen.start_time and not job.start_time:
            changes["start_time"] = seen.start_time
    elif message and clean(message) != job.status_message:
        changes["status_message"] = clean(message)
    for column in ("progress_done", "progress_total"):
        value = getattr(seen, column)
        if value is not None and value != getattr(job, column):
            changes[column] = value
    state = {**job.backend_state, **clean_json(seen.state)}
    if to == Status.ERROR and seen.detail:
        state["traceback"] = clean(seen.detail, DETAIL_LIMIT)
    if state != job.backend_state:
        changes["backend_state"] = state
    if job.missing_since is not None and not seen.lost:
        changes["missing_since"] = None
    if (job.requested, seen.status) in FULFILLED and not (job.requested == "release" and seen.held):
        changes["requested"] = ""
    return changes


def _another_attempt(job: JobColumns, seen: Observation) -> dict[str, Any]:
    if job._status not in SOURCES["lost", Status.SUBMITTED]:
        return {}
    attempt = job.attempts + 1
    message = f"{seen.message} Submitted again, as attempt {attempt} of at most {conf.get('MAX_ATTEMPTS')}."
    return {
        **NEW_ATTEMPT,
        "_status": Status.SUBMITTED,
        "custom_status": "",
        "status_message": clean(message),
        "attempts": attempt,
        "submission_id": uuid4(),
        "requested": job.requested,
    }


def _given_up(job: JobColumns, seen: Observation) -> tuple[Status, str]:
    if job.requested == "cancel":
        return Status.ABORTED, "Stopped."
    if not job.resubmitted_when_lost:
        return Status.ERROR, f"Lost: {seen.message} It may have run, so it is not submitted again by itself."
    if not job.can_run_again:
        return Status.ERROR, f"Lost: {seen.message} It cannot be submitted again: {job.why_not_again}"
    return (
        Status.ERROR,
        f"Lost: {seen.message} It was submitted {job.attempts} times, which is the limit (MAX_ATTEMPTS).",
    )
