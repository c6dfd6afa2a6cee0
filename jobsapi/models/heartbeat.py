"""Whether beat and the workers are at work: without them jobs wait, and nothing else says so."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from jobsapi import conf
from jobsapi.dispatch import queues

QUIET = 60.0
"""Seconds without a sign of life before anything is said."""
FORGOTTEN_AFTER = timedelta(days=7)
"""A worker that was not seen for so long does not count among those that there were."""


class Heartbeat(models.Model):
    """When a process of the portal was last seen at work."""

    BEAT = "beat"

    name = models.CharField(max_length=255, unique=True)
    """``beat``, or a worker's own name: ``control@host``."""
    seen_at = models.DateTimeField()
    queues = models.JSONField(default=list, blank=True)
    """What the worker takes messages from."""

    def __str__(self) -> str:
        return f"{self.name}, seen {self.seen_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def record(cls, name: str, queues: Collection[str] = ()) -> None:
        """Write that this process is at work now: one statement, but for the first time."""
        columns = {"seen_at": timezone.now(), "queues": sorted(queues)}
        if not Heartbeat.objects.filter(name=name).update(**columns):
            Heartbeat.objects.bulk_create([Heartbeat(name=name, **columns)], ignore_conflicts=True)

    @classmethod
    def silent(cls, now: datetime) -> list[str]:
        """A sentence for each thing that is missing, with the command that starts it. One query.

        Nothing is missing when the dispatcher needs no workers.
        """
        needed = queues()
        if not needed:
            return []
        seen: dict[str, datetime] = {}
        beat: datetime | None = None
        for row in cls.objects.filter(seen_at__gt=now - FORGOTTEN_AFTER).order_by("seen_at"):
            if row.name == cls.BEAT:
                beat = row.seen_at
            seen |= dict.fromkeys(row.queues, row.seen_at)
        quiet = now - timedelta(seconds=max(QUIET, 3 * conf.get("RESCUE_INTERVAL")))
        unserved = [queue for queue in needed if queue not in seen or seen[queue] < quiet]
        if unserved:
            last = max((seen[queue] for queue in unserved if queue in seen), default=None)
            return [
                f"No worker takes the {_named(unserved)}{_since(last, now)}: jobs wait. "
                f"Start one: celery -A worker worker --pool threads -Q {','.join(unserved)}"
            ]
        if beat is None or beat < quiet:
            return [
                f"No beat{_since(beat, now)}: nobody asks schedulers how their jobs are, and lost messages stay lost. "
                "Start it: celery -A worker beat"
            ]
        return []

    @classmethod
    def forget(cls, now: datetime) -> None:
        """Delete the rows of workers that were not seen for a week."""
        cls.objects.filter(seen_at__lte=now - FORGOTTEN_AFTER).delete()


def _named(queues: list[str]) -> str:
    return f"queue{'s' if len(queues) > 1 else ''} {', '.join(queues)}"


def _since(last: datetime | None, now: datetime) -> str:
    if last is None:
        return " (none was seen yet)"
    minutes = (now - last).total_seconds() / 60
    return f" for {minutes:.0f} min" if minutes < 120 else f" since {timezone.localtime(last):%Y-%m-%d %H:%M}"
