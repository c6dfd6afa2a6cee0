"""Whether beat and the workers are at work: without them jobs wait, and nothing else says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from jobsapi import clock, conf
from jobsapi.dispatch import queues

FORGOTTEN_AFTER = timedelta(days=7)
"""A worker that was not seen for so long does not count among those that there were."""
QUEUE = "queue "
"""Begins the name of what stands for a queue. The name of no worker does: it has an @ and no blank."""


class Heartbeat(models.Model):
    """When a process of the portal was last seen at work, and when a message of a queue was last worked off."""

    BEAT = "beat"

    name = models.CharField(max_length=255, unique=True)
    """``beat``, a worker's own name: ``control@host``, or ``queue submit``: a worker has answered one of its messages.

    A worker may live and take no message, since other threads than those that do the work say that it lives.
    """
    seen_at = models.DateTimeField()
    queues = models.JSONField(default=list, blank=True)
    """What the worker takes messages from."""

    def __str__(self) -> str:
        return f"{self.name}, seen {self.seen_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def record(cls, name: str, queues: Collection[str] = ()) -> None:
        """Write that this process is at work now: one statement, but for the first time."""
        columns = {"seen_at": clock.now(), "queues": sorted(queues)}
        if not Heartbeat.objects.filter(name=name).update(**columns):
            Heartbeat.objects.bulk_create([Heartbeat(name=name, **columns)], ignore_conflicts=True)

    @classmethod
    def answered(cls, queue: str) -> None:
        """Write that a worker has worked off a message of this queue now."""
        cls.record(f"{QUEUE}{queue}")

    @classmethod
    def silent(cls, now: datetime) -> list[str]:
        """A sentence for what is missing at ``now`` by the database's clock, with what to do about it. One query.

        Nothing is missing when the dispatcher needs no workers.
        """
        needed = queues()
        return cls.signs(now).missing(needed, now) if needed else []

    @classmethod
    def signs(cls, now: datetime) -> Signs:
        """What has shown itself in the last days, by the database's clock. One query.

        What was written far ahead of ``now`` shows nothing: its writer's clock was wrong, or was set back since.
        """
        beat: datetime | None = None
        workers: dict[str, datetime] = {}
        answers: dict[str, datetime] = {}
        ahead = now + timedelta(seconds=conf.quiet_after())
        for row in cls.objects.filter(seen_at__gt=now - FORGOTTEN_AFTER, seen_at__lte=ahead).order_by("seen_at"):
            if row.name == cls.BEAT:
                beat = row.seen_at
            elif row.name.startswith(QUEUE):
                answers[row.name.removeprefix(QUEUE)] = row.seen_at
            workers |= dict.fromkeys(row.queues, row.seen_at)
        return Signs(beat, workers, answers)

    @classmethod
    def forget(cls, now: datetime) -> None:
        """Delete the rows of workers that were not seen for a week."""
        cls.objects.filter(seen_at__lte=now - FORGOTTEN_AFTER).delete()


@dataclass(frozen=True, slots=True)
class Signs:
    """When each was last heard of."""

    beat: datetime | None
    workers: Mapping[str, datetime]
    """By queue: when a worker that is to take its messages last said that it lives."""
    answers: Mapping[str, datetime]
    """By queue: when a worker last worked off one of its messages. This alone shows that jobs go on."""

    def missing(self, needed: Collection[str], now: datetime) -> list[str]:
        """A sentence for what is missing, and what to do. Whoever is missed first is the cause of the rest."""
        unanswered = [queue for queue in needed if quiet(self.answers.get(queue), now)]
        deserted = [queue for queue in unanswered if quiet(self.workers.get(queue), now)]
        if deserted:
            last = max((self.workers[queue] for queue in deserted if queue in self.workers), default=None)
            away = " If they run, the message broker is away." if self._all_were_there(needed, now) else ""
            return [
                f"No worker takes the {_named(deserted)}{_since(last, now)}: jobs wait. "
                f"Start one: celery -A worker worker --pool threads -Q {','.join(deserted)}{away}"
            ]
        if quiet(self.beat, now):
            return [
                f"No beat{_since(self.beat, now)}: nobody asks schedulers how their jobs are, and lost messages stay "
                "lost. Start it: celery -A worker beat"
            ]
        if unanswered:
            last = max((self.answers[queue] for queue in unanswered if queue in self.answers), default=None)
            return [
                f"The worker of the {_named(unanswered)} is there, and has answered no message{_since(last, now)}: "
                "jobs wait. All of its threads are busy, or it hangs. If that lasts, restart it."
            ]
        return []

    def _all_were_there(self, needed: Collection[str], now: datetime) -> bool:
        """Whether everything that is connected to the broker has fallen silent."""
        return self.beat is not None and all(
            last is not None and quiet(last, now) for last in (self.beat, *map(self.workers.get, needed))
        )


def quiet(last: datetime | None, now: datetime) -> bool:
    """Whether it was not heard of for too long."""
    return last is None or last < now - timedelta(seconds=conf.quiet_after())


def _named(queues: list[str]) -> str:
    return f"queue{'s' if len(queues) > 1 else ''} {', '.join(queues)}"


def _since(last: datetime | None, now: datetime) -> str:
    if last is None:
        return " (none was seen yet)"
    minutes = (now - last).total_seconds() / 60
    return f" for {minutes:.0f} min" if minutes < 120 else f" since {timezone.localtime(last):%Y-%m-%d %H:%M}"
