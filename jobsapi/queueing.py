"""Whose turn it is: in what order jobs are handed to a scheduler, and how many of them may be there at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Case, Count, Exists, F, Q, QuerySet, Sum, Value, When, Window
from django.db.models.functions import Coalesce, RowNumber

from jobsapi import clock
from jobsapi.due import unleased, waiting
from jobsapi.models import Job, Scheduler
from jobsapi.status import Status

ORDER = ("-priority", Coalesce("submit_started_at", "execute_time").asc(), "pk")
"""Who comes first.

What was tried in vain queues again from then on, so that one job which makes its scheduler fail jams no other. A lost
job keeps its time, one that is run again gets a new one. ``jobsapi_job_queue`` is the index.
"""

LIMITS = ("max_active", "max_active_per_user")


def there(now: datetime) -> Q:
    """The jobs that take one of the places at their scheduler.

    Those that it has accepted, may have accepted, or is being given now; until they end, or it is done with them and
    their results are fetched.
    """
    in_hand = ~unleased(now) & (Q(rests_until=None) | Q(rests_until__lt=now))
    placed = ~Q(native_id="") | Q(submit_started_at__isnull=False) | in_hand
    return Q(submission_id__isnull=False, completion_time=None) & ~Q(_status=Status.RESULTS_READY) & placed


@contextmanager
def gate(scheduler: Scheduler | None, verb: str) -> Iterator[None]:
    """Nobody else takes a place at a limited scheduler before the block has ended; its limits are read again.

    The block has to be short: one transaction, and the row of the scheduler locked. Without a limit it costs nothing.
    """
    if scheduler is None or verb != "submit" or not scheduler.is_limited:
        yield
        return
    with transaction.atomic():
        locked = Scheduler.objects.select_for_update(no_key=True).filter(pk=scheduler.pk)
        scheduler.absorb(locked.values(*LIMITS).get())
        yield


def admitted(rows: QuerySet[Job], scheduler: Scheduler | None) -> QuerySet[Job]:
    """Of jobs that wait for ``scheduler``, those that may be handed over now. To be relied on within ``gate`` alone."""
    if scheduler is None:
        return rows
    if not scheduler.is_limited:  # and none was set since it was read
        free = Scheduler.objects.filter(pk=scheduler.pk, **dict.fromkeys(LIMITS))
        return rows.filter(Exists(free))
    counted = Job._base_manager.filter(there(clock.now()), scheduler=scheduler.pk).order_by()
    by_user = dict(counted.values_list("user").annotate(Count("pk")))
    has_its_place = Q(submit_started_at__isnull=False)
    if scheduler.max_active is not None and sum(by_user.values()) >= scheduler.max_active:
        return rows.filter(has_its_place)
    most = scheduler.max_active_per_user
    full = [user for user, jobs in by_user.items() if most is not None and jobs >= most]
    return rows.filter(has_its_place | ~Q(user__in=full)) if full else rows


class Waiter(NamedTuple):
    """A job that waits, and where."""

    job: int
    scheduler: int
    name: str
    max_active: int | None
    max_active_per_user: int | None


def places(waiters: Iterable[Waiter]) -> dict[int, str]:
    """What to tell of the place of each in the queue of its scheduler, by its number. One query; none without waiters.

    A job that does not wait any more is left out.
    """
    asked = {each.job: each for each in waiters}
    if not asked:
        return {}
    rows = _numbered({each.scheduler for each in asked.values()}, asked).values_list("pk", "place", "queue", "theirs")
    return {pk: _told(asked[pk], place, queue, theirs) for pk, place, queue, theirs in rows}


def _numbered(schedulers: Collection[int], shown: Collection[int]) -> QuerySet[Any]:
    """The ``shown`` jobs that wait, with their ``place`` among ``queue`` ones, and how many ``theirs`` are there.

    ``shown`` has to be chosen after all are numbered; so the choice is made by a column that depends on the number.
    """
    rows = Job._base_manager.filter(scheduler__in=schedulers, submission_id__isnull=False, completion_time=None)
    rows = rows.exclude(_status=Status.RESULTS_READY)  # they neither wait nor have a place
    numbered = rows.annotate(
        is_there=Case(When(there(clock.now()), then=1), default=0),
        place=Window(RowNumber(), [F("scheduler"), F("is_there")], [*_ordered()]),
        queue=Window(Count("pk"), [F("scheduler"), F("is_there")]),
        theirs=Window(Sum("is_there"), [F("scheduler"), F("user")]),
        shown=Case(When(waiting() & Q(pk__in=shown, is_there=0), then=F("place")), default=Value(0)),
    )
    return numbered.filter(shown__gt=0).order_by()


def _ordered() -> Iterator[Any]:
    for each in ORDER:
        yield F(each.lstrip("-")).desc() if isinstance(each, str) and each.startswith("-") else each


def _told(waiter: Waiter, place: int, queue: int, theirs: int) -> str:
    where, most, each = f"“{waiter.name}”", waiter.max_active, waiter.max_active_per_user
    if each is not None and theirs >= each:
        why = f"its owner has {theirs:,} of the {each:,} jobs that each user may have at {where} at a time"
    elif most is not None:
        why = f"{where} takes {most:,} at a time"
    else:
        why = f"{where} takes {each:,} of each user at a time"
    return f"Waits: {ordinal(place)} of {queue:,}; {why}."


def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``11th``, ``1,003rd``."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"
