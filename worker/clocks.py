"""Has workers and beat go by the database's clock, from before they do anything."""

from typing import Any

from celery.signals import beat_init, worker_init, worker_process_init

from jobsapi.clock import CLOCK


@beat_init.connect
@worker_init.connect
@worker_process_init.connect
def keep_time(**kwargs: Any) -> None:
    CLOCK.keep()
