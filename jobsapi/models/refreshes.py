"""Refreshes that somebody has asked for at a later time: rows, so that no restart of anything loses them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.db import connections, models, router
from django.db.models import Exists, F, OuterRef, Q

from jobsapi import conf


class RefreshWish(models.Model):
    """A scheduler shall be asked for the states of its jobs at this time or after it.

    Anybody may ask, so times are rounded up to steps: a scheduler has a bounded number of rows, however many ask.
    """

    scheduler = models.ForeignKey("jobsapi.Scheduler", models.CASCADE, related_name="refresh_wishes")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["scheduler", "at"], name="jobsapi_one_refresh_at_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.scheduler_id} at {self.at:%Y-%m-%d %H:%M:%S}"

    @staticmethod
    def step_after(moment: datetime) -> datetime:
        """The first step at ``moment`` or after it. Steps are as long as ``REFRESH_INTERVAL``, a second at least."""
        step = max(float(conf.get("REFRESH_INTERVAL")), 1.0)
        return datetime.fromtimestamp(math.ceil(moment.timestamp() / step) * step, UTC)

    @staticmethod
    def record(scheduler_id: int, at: datetime) -> None:
        """Write the wish, unless there is the same already. One statement: its time says that there is a job."""
        connection = connections[router.db_for_write(RefreshWish)]
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO jobsapi_refreshwish (scheduler_id, at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [scheduler_id, connection.ops.adapt_datetimefield_value(at)],
            )

    @classmethod
    def at_that_time(cls, at: datetime) -> Exists:
        """For a query of schedulers: those for which this very wish is there."""
        return Exists(cls.objects.filter(scheduler=OuterRef("pk"), at=at))

    @classmethod
    def due(cls, now: datetime) -> Exists:
        """For a query of schedulers: those of which a wish has come due that nobody has fulfilled."""
        return Exists(cls.objects.filter(scheduler=OuterRef("pk"), at__lte=now))

    @classmethod
    def forget_fulfilled(cls, now: datetime) -> None:
        """Delete the wishes of schedulers that were asked at that time or later, and those of which nothing came."""
        fulfilled = Q(scheduler__polled_at__gte=F("at")) | Q(scheduler__given_up_at__isnull=False)
        cls.objects.filter(fulfilled | Q(at__lt=now - timedelta(days=1))).delete()
