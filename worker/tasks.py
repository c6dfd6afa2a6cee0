"""One thin task per verb of ``jobsapi.lifecycle``. Time and retries live here; what a verb means does not."""

import logging
import time
from collections import ChainMap
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.apps import apps
from django.core.checks import CheckMessage
from django.utils import timezone
from kombu.exceptions import OperationalError

from jobsapi import clock, conf, lifecycle, retention
from jobsapi.dispatch import message_id
from jobsapi.exceptions import BackendUnavailable
from jobsapi.models import Heartbeat
from worker import checks
from worker.celery import QUEUES, app, patience

logger = logging.getLogger(__name__)

RETRY: dict[str, Any] = {
    "autoretry_for": (BackendUnavailable,),
    "retry_backoff": True,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": 5,
    "throws": (BackendUnavailable,),
}
"""A scheduler that cannot be reached is asked again a few times; after that beat does it."""

PERIODIC: dict[str, Any] = {"ignore_result": True, "throws": (BackendUnavailable,)}
"""What comes again by itself needs neither a retry nor a result."""


@shared_task(name="jobsapi.submit", **RETRY)
def submit(job_id: int) -> None:
    lifecycle.submit(job_id)


@shared_task(name="jobsapi.fetch_results", **RETRY)
def fetch_results(job_id: int) -> None:
    lifecycle.fetch_results(job_id)


@shared_task(name="jobsapi.cancel", **RETRY)
def cancel(job_id: int) -> None:
    lifecycle.cancel(job_id)


@shared_task(name="jobsapi.hold", **RETRY)
def hold(job_id: int) -> None:
    lifecycle.hold(job_id)


@shared_task(name="jobsapi.release", **RETRY)
def release(job_id: int) -> None:
    lifecycle.release(job_id)


@shared_task(name="jobsapi.control_parts", **RETRY)
def control_parts(job_id: int) -> None:
    lifecycle.control_parts(job_id)


@shared_task(name="jobsapi.cleanup", **RETRY)
def cleanup(job_id: int) -> None:
    lifecycle.cleanup(job_id)


@shared_task(name="jobsapi.remove", **RETRY)
def remove(job_id: int) -> None:
    lifecycle.remove(job_id)


@shared_task(name="jobsapi.give_up", **PERIODIC)
def give_up(scheduler_id: int) -> None:
    lifecycle.give_up(scheduler_id)


@shared_task(name="jobsapi.fetch_logs", **PERIODIC)
def fetch_logs(job_id: int) -> None:
    lifecycle.fetch_logs(job_id)


@shared_task(name="jobsapi.refresh", **PERIODIC)
def refresh(scheduler_id: int) -> None:
    lifecycle.refresh(scheduler_id)


@shared_task(name="jobsapi.check", **PERIODIC)
def check(scheduler_id: int) -> None:
    lifecycle.check(scheduler_id)


@shared_task(name="jobsapi.reconcile", **PERIODIC)
def reconcile(scheduler_id: int) -> None:
    lifecycle.reconcile(scheduler_id)


@shared_task(name="jobsapi.reconcile_due", **PERIODIC)
def reconcile_due() -> None:
    lifecycle.reconcile_due()


@shared_task(name="jobsapi.refresh_due", **PERIODIC)
def refresh_due() -> None:
    lifecycle.refresh_due()


@shared_task(name="jobsapi.rescue", **PERIODIC)
def rescue() -> None:
    lifecycle.rescue()


@shared_task(name="jobsapi.clean_up", **PERIODIC)
def clean_up(batch: int = 1_000) -> None:
    now = clock.now()
    retention.apply(now)
    retention.sweep(now)
    Heartbeat.forget(now)
    if apps.is_installed("django_celery_results"):
        _forget_old_tasks(batch)


def _forget_old_tasks(batch: int) -> None:
    """Delete the results of old Celery tasks, a batch at a time so that no other writer waits long."""
    from django_celery_results.models import TaskResult

    old = TaskResult.objects.filter(date_done__lt=timezone.now() - timedelta(days=conf.get("TASK_RESULT_DAYS")))
    while pks := list(old.values_list("pk", flat=True)[:batch]):
        TaskResult.objects.filter(pk__in=pks).delete()


@shared_task(name="jobsapi.answer", send_events=False, **PERIODIC)
def answer() -> None:
    """Nothing: that a worker has taken the message is the answer, see ``worker.heartbeats``. Flower hears of none."""


class CeleryDispatcher:
    """Publishes through Celery. A broker that is down costs a request half a second, then nothing for a while."""

    REST = 5.0
    """Seconds in which nothing is published after a failure. Nothing is lost: rescue finds what is due."""

    queues = tuple(QUEUES)
    """What workers have to take messages from."""

    _resting_until = 0.0

    @classmethod
    def check(cls) -> Iterator[CheckMessage]:
        """What is wrong with the settings of Celery. Connects to nothing."""
        return checks.check(ChainMap({"broker_url": app.conf.broker_url}, app.conf))

    def send(self, verb: str, pk: int, label: str) -> None:
        """Publish ``verb``. In Flower and in the log of a worker it reads as the verb, the number and the name."""
        if time.monotonic() < CeleryDispatcher._resting_until:
            return
        options: dict[str, Any] = {"expires": patience(conf.get("REFRESH_INTERVAL"))} if verb == "refresh" else {}
        subject = "scheduler" if verb in ("refresh", "give_up", "check", "reconcile") else "job"
        options["task_id"] = message_id(subject, pk)
        try:
            globals()[verb].apply_async((pk,), argsrepr=f"({subject} {pk}: {label[:80]})", retry=False, **options)
        except OperationalError as error:
            CeleryDispatcher._resting_until = time.monotonic() + self.REST
            logger.warning("The broker did not take %s of %s %s (%s); rescue will find it.", verb, subject, pk, error)
