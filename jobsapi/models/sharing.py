"""With whom a job is shared. What that allows is said in ``jobsapi.policy``."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from jobsapi.exceptions import InvalidJob
from jobsapi.shown import shown


class Right(models.TextChoices):
    """What a group may do with a job that is shared with it."""

    VIEW = "view", "View"
    """See it: its page, its logs and its results."""
    MANAGE = "manage", "Manage"
    """See it, and stop, pause, resume, rerun and delete it as its owner can."""


class Shared(models.Model):
    """A job that groups may see, or manage."""

    groups = models.ManyToManyField(Group, related_name="jobs", blank=True, through="jobsapi.JobShare")
    """The groups that it is shared with. One that is added here may view it; ``share`` can give more."""

    class Meta:
        abstract = True

    def share(self, group: Group, right: Right | str = Right.VIEW) -> None:
        """Let a group ``"view"`` the job, or ``"manage"`` it; the last word counts.

        Raises ``InvalidJob`` for another right, and before the job or the group is saved.
        """
        if right not in Right.values:
            raise InvalidJob(f"A job is shared to {' or '.join(Right.values)}, not to {shown(right)}.")
        if self.pk is None or group.pk is None:
            raise InvalidJob("Save the job and the group first: what is shared needs a number.")
        JobShare.objects.update_or_create(job_id=self.pk, group=group, defaults={"right": Right(right)})

    def unshare(self, group: Group) -> None:
        """Take all rights from a group. It need not have any."""
        JobShare.objects.filter(job=self.pk, group=group).delete()


class JobShare(models.Model):
    """A group that a job is shared with, and what it may do."""

    job = models.ForeignKey("jobsapi.Job", models.CASCADE, related_name="shares")
    group = models.ForeignKey(Group, models.CASCADE, related_name="+", db_index=False)
    right = models.CharField(max_length=10, choices=Right.choices, default=Right.VIEW)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["group", "job"], name="jobsapi_shared_with_group")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "group"], name="jobsapi_one_share_per_group"),
            models.CheckConstraint(name="jobsapi_known_right", condition=Q(right__in=Right.values)),
        ]

    def __str__(self) -> str:
        return f"{self.group} may {self.right} job {self.job_id}"

    @classmethod
    def with_user(cls, user: Any, *rights: Right) -> models.QuerySet[JobShare]:
        """What is shared with any group of ``user``; only with these ``rights``, if some are named."""
        shares = cls.objects.filter(group__user=user.pk).order_by()
        return shares.filter(right__in=rights) if rights else shares
