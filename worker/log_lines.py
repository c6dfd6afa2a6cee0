"""What workers and beat log has lines of its own only, whatever the names of jobs are."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import after_setup_logger, after_setup_task_logger

from jobsapi.log_lines import OwnLines


@after_setup_logger.connect
@after_setup_task_logger.connect
def own_lines(logger: logging.Logger, **kwargs: Any) -> None:
    """Have each handler of Celery's write them."""
    for handler in logger.handlers:
        handler.addFilter(OwnLines())
