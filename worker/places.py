"""Makes the place of large results when a worker starts: backups read it before there is a first result."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import worker_init

from jobsapi import storage

logger = logging.getLogger(__name__)


@worker_init.connect
def make_place_of_results(**kwargs: Any) -> None:
    """A worker that may not write there goes on: it says so, and again at every large result."""
    try:
        storage.make_place()
    except OSError as error:
        logger.warning("The place of large results cannot be made: %s", error)
