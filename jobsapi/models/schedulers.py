"""Where jobs can be run: the scheduler table, and which scheduler each app's setting means."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from jobsapi import clock, conf
from jobsapi.dispatch import enqueue
from jobsapi.exceptions import JobsApiError
from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.models.credentials import Credentials
from jobsapi.models.deletion import Standing, keep_assigned_scheduler
from jobsapi.models.kinds import Kinded
from jobsapi.models.ownership import TwoWriters
from jobsapi.models.reports import Report


class Scheduler(Credentials, TwoWriters, Kinded):
    """One scheduler that jobs can be handed to. An administrator's row; the worker adds how it fares."""

    name = models.CharField(max_length=255, unique=True)
    host = models.CharField(
        max_length=1024, blank=True, help_text="Name or address; for Dask with its port, host:8786."
    )
    port = models.PositiveIntegerField(
        default=22,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text="The SSH port of an HTCondor submit host.",
    )
    username = models.CharField(max_length=255, blank=True, default="")
    _password = models.TextField(blank=True, default="", editable=False)
    private_key_path = models.CharField(max_length=1024, blank=True, default="")
    _private_key_pass = models.TextField(blank=True, default="", editable=False)
    host_key = models.TextField(
        blank=True,
        default="",
        validators=[
            RegexValidator(r"^\s*[a-z0-9@.-]+ [A-Za-z0-9+/=]+\s*$", "Two words: its type, and the key itself.")
        ],
        help_text="The SSH host key: type and key, as ssh-keyscan prints them. Nothing is sent to a host with another.",
    )
    timeout = models.CharField(max_length=20, blank=True, default="", help_text="Seconds to wait for a connection.")
    heartbeat_interval = models.CharField(max_length=20, blank=True, default="")
    dashboard = models.CharField(
        max_length=2048, blank=True, default="", help_text="The address of the Dask dashboard."
    )
    max_active = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=None,
        validators=[MinValueValidator(1)],
        help_text="At most so many jobs of this site are there at a time; the others wait in order. Empty: no limit.",
    )
    """A job is there from the moment in which it is handed over until it has ended or its results are fetched."""
    max_active_per_user = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=None,
        validators=[MinValueValidator(1)],
        help_text="At most so many jobs of one user are there at a time. Whoever has as many holds up nobody else. "
        "Empty: no limit.",
    )

    polled_at = models.DateTimeField(null=True, editable=False)
    """When the scheduler last told the states of all its jobs: how fresh every one of them is."""
    poll_leased_until = models.DateTimeField(null=True, editable=False)
    refresh_requested_at = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    unreachable_since = models.DateTimeField(null=True, editable=False)
    retry_at = models.DateTimeField(null=True, editable=False)
    """While this lies ahead nobody calls the scheduler: the breaker is open."""
    last_error = models.TextField(blank=True, default="", editable=False)
    offered_host_key = models.TextField(blank=True, default="", editable=False)
    """The key that the host showed when it was last refused; empty when there is nothing to accept."""
    check_requested_at = models.DateTimeField(null=True, editable=False)
    """When an administrator asked for a test that no worker has begun yet."""
    check_leased_until = models.DateTimeField(null=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    """When the last test was begun."""
    check_report = models.JSONField(default=dict, blank=True, editable=False)
    """What it has found so far; see ``jobsapi.models.reports``."""
    reconciled_at = models.DateTimeField(null=True, editable=False)
    """When what lies there was last compared with the rows; see ``jobsapi.models.strays``."""
    reconcile_leased_until = models.DateTimeField(null=True, editable=False)
    given_up_at = models.DateTimeField(null=True, editable=False)
    """An administrator has said that it is gone for good. Nobody calls it any more."""

    registry: ClassVar[dict[str, type[Scheduler]]] = {}
    user_columns = frozenset(
        {
            "name",
            "host",
            "port",
            "username",
            "_password",
            "private_key_path",
            "_private_key_pass",
            "host_key",
            "timeout",
            "heartbeat_interval",
            "dashboard",
            "max_active",
            "max_active_per_user",
        }
    )
    worker_hint = "It says how the scheduler fares. One that is gone for good is given up with give_up()."
    backend: ClassVar[str] = ""

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def request_refresh(self, interval: timedelta) -> None:
        """Ask a worker for the states of this scheduler's jobs, at most once an ``interval``, whoever asks.

        After the transaction, if there is one: it may have locked jobs, and workers lock schedulers before jobs.
        """
        transaction.on_commit(partial(self._request_refresh, interval), robust=True)

    def _request_refresh(self, interval: timedelta) -> None:
        now = clock.now()
        ahead = Q(refresh_requested_at__gt=now + interval)  # by a machine whose clock is wrong
        due = Q(refresh_requested_at=None) | Q(refresh_requested_at__lte=now - interval) | ahead
        if Scheduler.objects.filter(due, pk=self.pk).update(refresh_requested_at=now):
            enqueue("refresh", self.pk, self.name)

    def request_check(self) -> bool:
        """Ask a worker to test the scheduler, whatever its breaker says. False when a test waits or is under way.

        Raises ``JobsApiError`` when it was given up.
        """
        now = timezone.now()
        if self.given_up_at is not None:
            raise JobsApiError(f"“{self.name}” was given up: nobody calls it any more.")
        idle = Q(check_leased_until=None) | Q(check_leased_until__lt=now)
        rows = Scheduler.objects.filter(idle, pk=self.pk, check_requested_at=None, given_up_at=None)
        with transaction.atomic():
            asked = rows.update(check_requested_at=now) == 1
            if asked:
                enqueue("check", self.pk, self.name)
        self.refresh_from_db(fields=["check_requested_at"])
        return asked

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit to how many jobs may be there at a time."""
        return self.max_active is not None or self.max_active_per_user is not None

    @property
    def report(self) -> Report:
        """What the last test has found, or has found so far."""
        return Report.of(self.check_report, self.check_requested_at, self.check_leased_until)

    def give_up(self) -> None:
        """Record that the scheduler is gone for good. A worker ends its jobs and forgets what lies there.

        Then its row can be deleted: its jobs stay, and lose it. It cannot be taken back; nothing is sent to it.
        """
        with transaction.atomic():
            Scheduler.objects.filter(pk=self.pk, given_up_at=None).update(given_up_at=timezone.now())
            enqueue("give_up", self.pk, self.name)
        self.refresh_from_db(fields=["given_up_at"])

    def standing(self) -> Standing:
        """How its jobs stand, deleted ones included. One query."""
        return Standing.of(self.jobs.model._base_manager.filter(scheduler=self.pk))

    @property
    def outage(self) -> str:
        """A sentence when the scheduler cannot be reached, else nothing."""
        if self.unreachable_since is None:
            return ""
        since = timezone.localtime(self.unreachable_since)
        return f"Scheduler “{self.name}” unreachable since {since:%Y-%m-%d %H:%M:%S}: {self.last_error}"


class SchedulerRows(models.Manager[Any]):
    """Rows of one kind of scheduler, and no others."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(kind__in=list(self.model.kinds()))


class CondorScheduler(Scheduler):
    """An HTCondor schedd: this machine's own when ``host`` is empty, else a submit host reached over SSH."""

    backend: ClassVar[str] = "condor"
    objects: ClassVar[models.Manager[Any]] = SchedulerRows()

    class Meta:
        proxy = True

    @property
    def is_local(self) -> bool:
        """Whether it is this machine's own schedd: without a host, or ``localhost`` without a user name."""
        return not self.host.strip() or (self.host.strip() == "localhost" and not self.username)

    def accept_host_key(self, shown: str) -> None:
        """Trust the key that the host showed when it was last refused, from now on. An administrator's decision.

        ``shown``: its fingerprint, as it was compared with the host's own, which is printed there by ``ssh-keygen -lf
        /etc/ssh/ssh_host_ed25519_key.pub``. Raises ``JobsApiError``, and changes nothing, when no key or another one
        waits to be accepted.
        """
        with transaction.atomic():
            row = CondorScheduler.objects.select_for_update().get(pk=self.pk)
            if not row.offered_fingerprint:
                raise JobsApiError(f"“{self.name}” has shown no key that would have to be accepted.")
            if row.offered_fingerprint != shown:
                raise JobsApiError(f"“{self.name}” does not show {shown}, but another key. Nothing was changed.")
            Scheduler.objects.filter(pk=self.pk).update(
                host_key=row.offered_host_key, offered_host_key="", retry_at=None, refresh_requested_at=None
            )
            enqueue("refresh", self.pk, self.name)
        self.refresh_from_db()

    @property
    def offered_fingerprint(self) -> str:
        """The SHA-256 of the key that waits to be accepted, as ``ssh-keygen -l`` prints it; empty if there is none."""
        return fingerprint(self.offered_host_key)

    @property
    def host_fingerprint(self) -> str:
        """The SHA-256 of the accepted host key, as ``ssh-keygen -l`` prints it; empty if there is none."""
        return fingerprint(self.host_key)


class DaskScheduler(Scheduler):
    """A Dask scheduler, as ``host:port``."""

    backend: ClassVar[str] = "dask"
    objects: ClassVar[models.Manager[Any]] = SchedulerRows()

    class Meta:
        proxy = True

    @property
    def client(self) -> Any:
        """This process's client of the scheduler. Raises ``DaskJobException`` when it cannot connect in time."""
        return conf.backend_class(self.backend)(self).client  # type: ignore[attr-defined]


class SchedulerAssignment(models.Model):
    """An administrator's choice: the scheduler that an app's setting of this name means."""

    package = models.CharField(max_length=255)
    setting = models.CharField(max_length=255)
    scheduler = models.ForeignKey(Scheduler, keep_assigned_scheduler, related_name="assignments")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["package", "setting"], name="jobsapi_one_scheduler_per_setting")
        ]

    def __str__(self) -> str:
        return f"{self.package}.{self.setting} → {self.scheduler}"
