"""Which jobs a step has to be taken for. The row is the truth: this is what messages only hint at."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from jobsapi import clock, conf
from jobsapi.models import Job, PartWish
from jobsapi.status import Status

VERBS = ("submit", "fetch_results", "cancel", "hold", "release", "control_parts", "cleanup", "remove")

UNREAD = ("reported",)
"""Of a job no step reads what it has said of itself, which may be long."""


def due(verb: str, now: datetime | None = None) -> Q:
    """The jobs that ``verb`` is to be done for, whoever may be at it already.

    A try to submit that was cut short may still land: it is over when its lease and the submit call's own time-out are.
    """
    landed = (now or clock.now()) - timedelta(seconds=conf.get("SUBMIT_TIMEOUT"))
    settled = Q(submit_started_at=None) | Q(leased_until=None) | Q(leased_until__lt=landed) | ~Q(native_id="")
    executed = Q(submission_id__isnull=False, completion_time=None)
    never_there = Q(submission_id=None) | Q(native_id="", submit_started_at=None, leased_until=None)
    return {
        "submit": waiting() & settled,
        "fetch_results": executed & Q(_status=Status.RESULTS_READY) & ~Q(requested="cancel"),
        "cancel": executed & settled & Q(requested="cancel"),
        "hold": executed & ~Q(native_id="") & Q(requested="hold"),
        "release": executed & ~Q(native_id="") & Q(requested="release"),
        "control_parts": executed & ~Q(native_id="") & Q(PartWish.waiting()),
        "cleanup": Q(completion_time__isnull=False, cleanup_pending=True),
        "remove": Q(deleted_at__isnull=False, cleanup_pending=False) & (Q(completion_time__isnull=False) | never_there),
    }[verb]


def waiting() -> Q:
    """Executed, and not accepted by a scheduler yet, whatever status the app has given it meanwhile."""
    return Q(submission_id__isnull=False, completion_time=None, native_id="")


def unleased(now: datetime, column: str = "leased_until") -> Q:
    """Nobody works on them. Leases that look over are believed to be when the clock is settled."""
    over = Q(**{f"{column}__lt": now}) if clock.CLOCK.settled else Q()
    return Q(**{column: None}) | over


def kinds_of(backend: str) -> list[str]:
    """The job types that a backend runs. Rows of a type that is not installed any more are left alone."""
    return [kind for kind, cls in Job.registry.items() if cls.backend == backend]
