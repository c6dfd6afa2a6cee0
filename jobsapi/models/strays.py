"""What lies at schedulers and is no job's: a worker that has looked there writes it, and an administrator decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F

from jobsapi import conf
from jobsapi.dispatch import enqueue
from jobsapi.exceptions import JobsApiError
from jobsapi.models.schedulers import Scheduler


class StrayRows(models.Manager["Stray"]):
    """Strays, and which of them have been there long enough."""

    def seen_twice(self) -> models.QuerySet[Stray]:
        """Those that two looks have found, ``LOST_GRACE`` apart: no submission that is in flight takes so long."""
        grace = timedelta(seconds=conf.get("LOST_GRACE"))
        return self.filter(last_seen__gt=F("first_seen"), last_seen__gte=F("first_seen") + grace)

    def seen_once(self) -> models.QuerySet[Stray]:
        """The others: nobody can say yet that they are strays."""
        grace = timedelta(seconds=conf.get("LOST_GRACE"))
        return self.exclude(last_seen__gt=F("first_seen"), last_seen__gte=F("first_seen") + grace)


class Stray(models.Model):
    """A job, dataset or folder of this portal's at a scheduler, and no row's present attempt.

    The row goes when the thing is gone, or is some job's again.
    """

    ADOPT, REMOVE = "adopt", "remove"

    scheduler = models.ForeignKey(Scheduler, models.CASCADE, related_name="strays")
    native_id = models.CharField("id at the scheduler", max_length=1024)
    """The scheduler's own name for it: a cluster, a dataset, a folder."""
    what = models.CharField(max_length=20)
    """A noun: job, workflow, dataset, folder."""
    submission_id = models.UUIDField()
    uid = models.UUIDField(null=True)
    job_number = models.BigIntegerField("job", null=True)
    """The number of the row that it has to do with; None when there is no such row."""
    name = models.CharField(max_length=1024, blank=True)
    label = models.CharField("app", max_length=255, blank=True)
    words = models.TextField("how it is there", blank=True)
    why = models.TextField("why it is a stray")
    can_adopt = models.BooleanField("can be adopted", default=False)
    since = models.DateTimeField("there since", null=True)
    size = models.BigIntegerField(null=True)
    """Bytes that it takes there."""
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    wish = models.CharField(max_length=10, blank=True, default="")
    """What an administrator wants, until a worker has done it: adopt or remove."""
    wished_by = models.CharField(max_length=150, blank=True, default="")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    """Whose job it becomes when it is adopted and there is no row."""
    outcome = models.TextField(blank=True, default="")
    """What came of the last wish."""

    objects = StrayRows()

    class Meta:
        ordering: ClassVar = ["scheduler", "native_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["scheduler", "native_id"], name="jobsapi_one_stray_per_native_id")
        ]

    def __str__(self) -> str:
        return f"{self.what} {self.native_id}"

    @property
    def is_settled(self) -> bool:
        """Whether it was there long enough to be no submission that is in flight; see ``seen_twice``."""
        apart = self.last_seen - self.first_seen
        return bool(apart) and apart >= timedelta(seconds=conf.get("LOST_GRACE"))

    def request(self, wish: str, by: str, user: Any = None, label: str = "") -> None:
        """Record what an administrator wants, and wake a worker. A later wish takes the place of an earlier one.

        ``wish``: adopt or remove. ``by``: his name, for the record. ``user``, ``label``: whose job, and of which app
        if it does not say so itself, it becomes where there is no row. Raises ``JobsApiError`` for what cannot be done.
        """
        if not self.is_settled:
            raise JobsApiError(
                f"The {self} was seen once only: a job that is being submitted looks like it. Look again in "
                f'{conf.get("LOST_GRACE"):g} s (JOBSAPI["LOST_GRACE"]).'
            )
        if wish == self.ADOPT and not self.can_adopt:
            raise JobsApiError(f"The {self} cannot be adopted: {self.why}")
        if wish == self.ADOPT and self.job_number is None and user is None:
            raise JobsApiError(f"The {self} has no row: say whose job it shall become.")
        wanted = {"wish": wish, "wished_by": by[:150], "user": user, "label": self.label or label, "outcome": ""}
        with transaction.atomic():
            if not Stray.objects.filter(pk=self.pk).update(**wanted):
                raise JobsApiError(f"The {self} is not there any more.")
            enqueue("reconcile", self.scheduler_id, self.scheduler.name)
        for name, value in wanted.items():
            setattr(self, name, value)
