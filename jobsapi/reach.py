"""The way to a scheduler: its share of this process's threads, and a breaker that spares one that does not answer."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce

from jobsapi import clock, conf
from jobsapi.backends.base import Backend
from jobsapi.due import waiting
from jobsapi.exceptions import BackendUnavailable, HostKeyNotAccepted
from jobsapi.lease import Lease
from jobsapi.models import Job, Scheduler
from jobsapi.models.text import clean


class NotNow(Exception):
    """Raised when a scheduler has its share of threads already, rests after a failure, or was given up.

    Nothing is wrong; somebody comes back.
    """


class Bulkhead:
    """At most ``SCHEDULER_THREADS`` threads of this process at a time per scheduler, so that no other waits for it.

    No verb takes the last place: while thousands of jobs are being submitted, results are fetched. All schedulers that
    did not answer last time have together what one has: however many they are, threads are left for the others.
    """

    DOUBTFUL = 0
    """The key of what these have together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def enter(self, key: int, verb: str) -> bool:
        """Whether there was room. Never waits."""
        places = conf.get("SCHEDULER_THREADS")
        with self._lock:
            inside = self._inside[key]
            if inside.total() >= places or inside[verb] >= max(places - 1, 1):
                return False
            inside[verb] += 1
            return True

    def leave(self, key: int, verb: str) -> None:
        """Make room for the next."""
        with self._lock:
            self._inside[key][verb] -= 1


BULKHEAD = Bulkhead()


class Line:
    """An open line to a scheduler."""

    backend: Backend

    def __init__(self, scheduler: Scheduler | None, verb: str) -> None:
        self.next_steps: list[tuple[str, QuerySet[Job]]] = []
        """Verbs to send for these rows, where due, when the line is hung up and the leases are given back."""
        self.inside = True
        """Whether the scheduler may be called: until the line is hung up."""
        self.is_doubtful = False
        """Whether it has one of the places of those that did not answer last time."""
        self.scheduler = scheduler
        self.verb = verb
        self.refused = 0
        """How many jobs the scheduler has refused because it is full."""
        self.lease: Lease | None = None
        """What this thread has in its hands now."""

    def confirm(self, **changes: Any) -> bool:
        """Write columns of the jobs in hand, if they are still in nobody else's; see ``Lease.confirm``."""
        return self.lease is None or self.lease.confirm(**changes)

    def hang_up(self) -> None:
        """Leave the scheduler to others before the block ends: the rest of the work does not need it."""
        self.proven()
        if self.inside and self.scheduler is not None:
            BULKHEAD.leave(self.scheduler.pk, self.verb)
        self.inside = False

    def proven(self) -> None:
        """The scheduler answers: it is none of the doubtful, for as long as the line is open."""
        if self.is_doubtful:
            BULKHEAD.leave(Bulkhead.DOUBTFUL, self.verb)
        self.is_doubtful = False


@contextmanager
def reach(scheduler: Scheduler | None, backend: type[Backend], verb: str, job: int = 0) -> Iterator[Line]:
    """A connected line to ``scheduler``, for ``verb``; ``job``: the one for which somebody was sent, if it was one.

    Raises ``NotNow`` when it is busy or resting. A ``BackendUnavailable`` from within opens the breaker, for twice as
    long each time up to ``BREAKER_MAX``, and is what users read of it; the next answer to a refresh closes it.
    """
    if scheduler is None:
        line = Line(None, verb)
        line.backend = backend(None)
        yield line
        return
    if scheduler.given_up_at is not None:
        raise NotNow(f"{scheduler} was given up.")
    now = clock.now()
    if scheduler.retry_at is not None and scheduler.retry_at > now:
        tell_waiting(scheduler, pk=job)  # it alone: of 10,000 that wait each has a message of its own
        raise NotNow(scheduler.outage)
    if not BULKHEAD.enter(scheduler.pk, verb):
        raise NotNow(f"{scheduler} has its share of threads.")
    line = Line(scheduler, verb)
    if scheduler.failures:
        line.is_doubtful = BULKHEAD.enter(Bulkhead.DOUBTFUL, verb)
        if not line.is_doubtful:
            line.hang_up()
            raise NotNow(f"Others that did not answer are asked before {scheduler}.")
    try:
        line.backend = backend(scheduler)
        line.backend.open()
        yield line
    except BackendUnavailable as error:
        record_failure(scheduler, error, now)
        raise
    finally:
        line.hang_up()


REACHABLE = {"failures": 0, "unreachable_since": None, "retry_at": None, "last_error": "", "offered_host_key": ""}
"""The columns of a scheduler that has just answered."""


def record_failure(scheduler: Scheduler, error: BackendUnavailable, now: datetime) -> None:
    """Open the breaker of a scheduler that could not be reached at ``now``, and say so on the jobs that wait for it."""
    rest = min(conf.get("BREAKER_MAX"), 2.0 ** min(scheduler.failures, 10)) * random.uniform(0.75, 1.25)  # noqa: S311
    Scheduler.objects.filter(pk=scheduler.pk).update(
        failures=F("failures") + 1,
        unreachable_since=Coalesce("unreachable_since", Value(now)),
        last_error=clean(str(error)),
        offered_host_key=error.offered if isinstance(error, HostKeyNotAccepted) else F("offered_host_key"),
        retry_at=clock.now() + timedelta(seconds=rest),
    )
    scheduler.refresh_from_db()
    tell_waiting(scheduler)


def tell_waiting(scheduler: Scheduler, **only: Any) -> None:
    """Say on the jobs that wait for a scheduler, or ``only`` on some of them, why they do: one statement for all."""
    jobs = Job._base_manager.filter(waiting(), scheduler_id=scheduler.pk, **only)
    jobs.exclude(status_message=scheduler.outage).update(status_message=scheduler.outage)
