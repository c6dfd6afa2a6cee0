"""The history of a job as pages show it: the newest part of it, however long it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from django.db.models.functions import Substr
from django.utils import timezone

from jobsapi.models import Job, JobEvent
from jobsapi.web.job.frame import Section
from jobsapi.web.job.timeline import BEGINS, Moment

LISTED = 200
"""Events that are read for a timeline."""
WRITTEN = 100
"""Events of which a page shows all the words."""
DETAIL = 20_000
"""Characters of a traceback that it shows."""


@dataclass(frozen=True)
class History:
    """The newest events of a job, in order, and what has to be known of those before them."""

    moments: tuple[Moment, ...]
    drawable: tuple[Moment, ...]
    """What a chart can be drawn from: it begins with the beginning of a run."""
    first: int
    """The number of the first run that begins in ``moments``."""
    has_earlier: bool
    is_cut: bool
    """Whether events are missing behind the first of ``drawable``."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """Read it: one query; up to three for a job with more events than are listed."""
        columns = ("time", "by", "status", "attempt", "message")
        newest = job.events.order_by("-pk").values_list(*columns)
        moments = tuple(Moment(*values) for values in reversed(newest[: LISTED + 1]))
        if len(moments) <= LISTED:
            return cls(moments, moments, 1, has_earlier=False, is_cut=False)
        moments = moments[1:]
        begins = [place for place, moment in enumerate(moments) if moment.by in BEGINS]
        first = job.events.filter(by__in=[*BEGINS]).count() - len(begins) + 1
        if begins:
            return cls(moments, moments[begins[0] :], first, has_earlier=True, is_cut=False)
        last = newest.filter(by__in=[*BEGINS]).first()
        drawable = (Moment(*last), *moments) if last else moments
        return cls(moments, drawable, max(first - 1, 1), has_earlier=True, is_cut=last is not None)


@dataclass(frozen=True)
class Written:
    """A page of the history with its words. They are read when they are shown: to tell a newer page needs no words."""

    newest: int
    """The event that it ends with; 0 if there is none."""
    is_newest: bool
    events: Any = field(repr=False)

    @cached_property
    def rows(self) -> list[JobEvent]:
        """One event more than is shown tells whether there are earlier ones."""
        return list(self.events.annotate(more=Substr("detail", 1, DETAIL)).defer("detail")[: WRITTEN + 1])

    @property
    def text(self) -> str:
        """Line by line, tracebacks included."""
        return "\n".join(f"{_line(event)}\n{event.more}".strip() for event in reversed(self.rows[:WRITTEN]))  # type: ignore[attr-defined]

    @property
    def earlier(self) -> int:
        """Before which event the next page begins; 0 if there is none."""
        return self.rows[WRITTEN - 1].pk if len(self.rows) > WRITTEN else 0


def written(job: Job, before: int = 0) -> Written:
    """The newest events with their tracebacks, or those before the event ``before``."""
    found = job.events.order_by("-pk")
    found = found.filter(pk__lt=before) if before else found
    return Written(found.values_list("pk", flat=True).first() or 0, not before, found)


def traceback_of(job: Job) -> str:
    """Why the job's attempt failed, at length; empty if nothing of the kind was kept."""
    events = job.events.filter(attempt=job.attempts).exclude(detail="")
    found = job.backend_state.get("traceback") or events.order_by("-pk").values_list("detail", flat=True).first()
    return str(found or "").rstrip()


def history_section(job: Job) -> Section:
    """The newest part of it, on a page that follows the job."""
    return Section("history", "jobsapi/job/history.html", written(job))


def _line(event: JobEvent) -> str:
    local = timezone.localtime(event.time)
    return f"{local:%Y-%m-%d %H:%M:%S} {event.get_status_display()}: {event.message}"
