"""What is wrong with the settings of Celery, read from them alone; a worker whose settings are wrong does not start."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from celery.signals import worker_init
from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning

from jobsapi import conf
from jobsapi.checks import check_settings
from worker.celery import QUEUES

logger = logging.getLogger(__name__)

TESTED = {"redis", "rediss", "redis+socket", "sentinel", "valkey", "valkeys", "amqp", "amqps", "pyamqp"}
"""Transports that do all that is needed: a message of a worker that died comes back, and a worker can be asked."""
REDIS = {"redis", "rediss", "redis+socket", "sentinel", "valkey", "valkeys"}
UNFIT = {
    "memory": "its messages never leave the process that sends them",
    "filesystem": "the message of a worker that dies is lost, and each takes seconds",
    "sqla": "it cannot ask workers anything, and is far too slow",
    "sqlalchemy": "it cannot ask workers anything, and is far too slow",
    "sqs": "it has neither the events that Flower shows nor a way to ask workers anything",
    "zookeeper": "it has neither the events that Flower shows nor a way to ask workers anything",
}
"""What cannot do the work, and why. https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/"""
LONGEST_CALLS = ("RESULT_TIMEOUT", "SUBMIT_TIMEOUT", "POLL_TIMEOUT")
NEVER_WAIT = ("socket_timeout", "socket_connect_timeout")
USE_REDIS = "Set CELERY_BROKER_URL to a Redis or Valkey server: redis://host:6379/0."


def check(celery: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """``celery``: its settings, by their lower-case names."""
    yield from _broker(celery)
    yield from _tasks(celery)
    yield from _results(celery)


@worker_init.connect
def refuse_to_start(**kwargs: Any) -> None:
    """Celery runs the checks of Django when a worker starts, and tells nobody what they say: this does, of ours.

    Errors end the worker: it would fail every job, or lose it.
    """
    found = check_settings()
    for message in found:
        logger.log(message.level, "%s", message)
    if any(message.is_serious() for message in found):
        raise SystemExit("The settings are wrong: see above, or manage.py check.")


def _broker(celery: Mapping[str, Any]) -> Iterator[CheckMessage]:
    urls = celery["broker_url"] or ()
    transports = {str(url).partition(":")[0] for url in ([urls] if isinstance(urls, str) else urls)}
    if not transports:
        yield Warning("There is no CELERY_BROKER_URL.", hint=USE_REDIS, id="jobsapi.W020")
    for transport in sorted(transports - TESTED):
        if reason := UNFIT.get(transport.partition("+")[0]):
            message = f"The message broker {transport}:// cannot be used: {reason}."
            yield Error(message, hint=USE_REDIS, id="jobsapi.E020")
        else:
            yield Warning(f"{transport}:// was never tested as a message broker.", hint=USE_REDIS, id="jobsapi.W020")
    if not transports & REDIS:
        return
    options = celery["broker_transport_options"] or {}
    needed = max(conf.get(name) for name in LONGEST_CALLS)
    if (visible := options.get("visibility_timeout", 3600)) <= needed:
        hint = 'Raise CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]: a message that comes twice costs a worker.'
        message = f"Redis sends a message again after {visible:g} s, and a call may take {needed:g} s."
        yield Warning(message, hint=hint, id="jobsapi.W021")
    if missing := [name for name in NEVER_WAIT if options.get(name) is None]:
        hint = (
            "CELERY_BROKER_TRANSPORT_OPTIONS takes the place of all those of worker/celery.py. Repeat what is needed."
        )
        message = f"A request would wait for a silent broker: {', '.join(missing)} not set."
        yield Warning(message, hint=hint, id="jobsapi.W022")


def _tasks(celery: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if celery["task_always_eager"]:
        hint = 'Remove CELERY_TASK_ALWAYS_EAGER. Tests use the DISPATCHER "jobsapi.dispatch.ImmediateDispatcher".'
        yield Error("Celery runs tasks in the request that sends them.", hint=hint, id="jobsapi.E021")
    if celery["task_serializer"] != "json" or set(celery["accept_content"]) != {"json"}:
        hint = (
            "Remove CELERY_TASK_SERIALIZER and CELERY_ACCEPT_CONTENT: others could have their own code run by workers."
        )
        yield Error("Messages may be something else than JSON.", hint=hint, id="jobsapi.E022")
    if not celery["task_acks_late"]:
        hint = "Remove CELERY_TASK_ACKS_LATE. What a worker had taken when it died waits for beat otherwise."
        yield Warning("Messages are acknowledged before they are acted on.", hint=hint, id="jobsapi.W023")
    routes, default = celery["task_routes"], celery["task_default_queue"]
    if isinstance(routes, Mapping):
        lost = {
            queue: [verb for verb in verbs if _queue(routes.get(f"jobsapi.{verb}"), default) not in QUEUES]
            for queue, verbs in QUEUES.items()
        }
        for queue, verbs in lost.items():
            if verbs:
                hint = (
                    f"Route them to the queue “{queue}” in CELERY_TASK_ROUTES, or see that a worker takes that queue."
                )
                yield Warning(f"No worker of ours takes: {', '.join(verbs)}.", hint=hint, id="jobsapi.W024")
    scheduled = {entry.get("task") for entry in (celery["beat_schedule"] or {}).values()}
    if missing := {"jobsapi.refresh_due", "jobsapi.rescue", "jobsapi.clean_up", "jobsapi.answer"} - scheduled:
        hint = "CELERY_BEAT_SCHEDULE takes the place of ours. Repeat the entries of worker/celery.py in it."
        yield Warning(f"Beat does not send {', '.join(sorted(missing))}.", hint=hint, id="jobsapi.W025")


def _queue(route: Any, default: str) -> Any:
    queue = route.get("queue", default) if isinstance(route, Mapping) else route or default
    return getattr(queue, "name", queue)


def _results(celery: Mapping[str, Any]) -> Iterator[CheckMessage]:
    backend = str(celery["result_backend"] or "disabled")
    if backend.startswith("disabled"):
        hint = 'Remove CELERY_RESULT_BACKEND, which is "django-db" by default.'
        yield Warning("Nobody keeps what became of a Celery task.", hint=hint, id="jobsapi.W026")
    if backend.startswith("django-") and not apps.is_installed("django_celery_results"):
        hint = 'Add "django_celery_results" to INSTALLED_APPS, and migrate.'
        yield Error(f"The result backend {backend} is not installed.", hint=hint, id="jobsapi.E023")
