"""The Celery app: queues, routes, the beat schedule, and how it behaves when the broker does not.

Everything can be overridden in the Django settings with the prefix ``CELERY_``.
"""

import os
from datetime import timedelta
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobsapi.portal.settings")

QUEUES = {
    "control": ("cancel", "hold", "release", "control_parts", "rescue", "refresh_due"),
    "refresh": ("refresh",),
    "submit": ("submit",),
    "results": (
        "fetch_results",
        "fetch_logs",
        "cleanup",
        "remove",
        "give_up",
        "check",
        "reconcile",
        "reconcile_due",
        "clean_up",
    ),
}
"""Two worker processes share them: ``control,refresh`` must never wait behind ``submit,results``."""


def patience(interval: float) -> float:
    """Seconds after which a message that comes again every ``interval`` seconds is out of date.

    Several intervals: workers that are a little behind would otherwise throw away all of them, and ask nobody.
    """
    return max(3 * interval, 30.0)


def defaults() -> dict[str, Any]:
    """Read when the app is first used, once Django's settings are there."""
    from jobsapi import conf

    longest_call = max(conf.get(name) for name in ("RESULT_TIMEOUT", "SUBMIT_TIMEOUT", "POLL_TIMEOUT"))
    refresh = timedelta(seconds=conf.get("REFRESH_INTERVAL"))
    rescue = timedelta(seconds=conf.get("RESCUE_INTERVAL"))
    reconcile = timedelta(seconds=conf.get("RECONCILE_INTERVAL"))
    asked = timedelta(seconds=conf.quiet_after() / 3)
    return {
        "task_routes": {f"jobsapi.{verb}": {"queue": queue} for queue, verbs in QUEUES.items() for verb in verbs},
        "task_default_queue": "control",
        "task_serializer": "json",
        "accept_content": ["json"],
        "timezone": "UTC",
        # A message may come twice and may be lost: every step is safe to run again, and rescue asks for what is due.
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "broker_connection_retry_on_startup": True,
        # A request publishes and must never wait: one try, and half a second for it.
        "task_publish_retry": False,
        "broker_connection_timeout": 0.5,
        "broker_pool_acquire_timeout": 0.5,
        "broker_transport_options": {
            "max_retries": 0,
            "socket_connect_timeout": 0.5,
            "socket_timeout": 0.5,
            "retry_on_timeout": False,
            # The message of a worker that died comes back after this. While a call lasts it must not: it would find the
            # job leased, and be gone. Nobody waits for it either: rescue asks for what is due long before.
            "visibility_timeout": longest_call + 60,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
        },
        "result_backend": "django-db",
        "result_extended": True,
        "task_track_started": True,  # one write more for each: only so is it known how long a task took
        "result_expires": None,  # clean_up removes old rows, in batches
        "beat_schedule": {
            "refresh_due": {
                "task": "jobsapi.refresh_due",
                "schedule": refresh,
                "options": {"expires": patience(refresh.total_seconds())},
            },
            "rescue": {
                "task": "jobsapi.rescue",
                "schedule": rescue,
                "options": {"expires": patience(rescue.total_seconds())},
            },
            # 0 is never
            **(
                {
                    "reconcile_due": {
                        "task": "jobsapi.reconcile_due",
                        "schedule": reconcile,
                        "options": {"expires": reconcile.total_seconds()},
                    }
                }
                if reconcile
                else {}
            ),
            "clean_up": {"task": "jobsapi.clean_up", "schedule": timedelta(hours=1), "options": {"expires": 3600}},
            # Whether a worker takes messages is seen by what it does with one. No queue is idle for so long.
            **{
                f"answer {queue}": {
                    "task": "jobsapi.answer",
                    "schedule": asked,
                    "options": {"queue": queue, "expires": conf.quiet_after()},
                }
                for queue in QUEUES
            },
        },
        "beat_scheduler": "worker.beat:SteadyScheduler",
        "beat_max_loop_interval": 5,
        "worker_send_task_events": True,
        "task_send_sent_event": False,
    }


MODULES = ("tasks", "clocks", "heartbeats", "alive", "remote", "log_lines", "places")
"""What a worker imports when it starts."""

app = Celery("jobsapi", include=[f"worker.{module}" for module in MODULES])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.add_defaults(defaults)
