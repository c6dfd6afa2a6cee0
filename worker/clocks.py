"""Has a worker go by the database's clock, from before its first task."""

from typing import Any

from celery.signals import worker_init, worker_process_init

from jobsapi.clock import CLOCK


@worker_init.connect
@worker_process_init.connect
def keep_time(**kwargs: Any) -> None:
    CLOCK.keep()
