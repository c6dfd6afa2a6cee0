"""Each worker writes into the database every ten seconds that it lives, for checks and pages to read."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery.signals import heartbeat_sent
from django.db import Error, connections

from jobsapi.models import Heartbeat

logger = logging.getLogger(__name__)


class Pulse:
    """Takes Celery's own heartbeats, one every two seconds, and never holds up what sends them."""

    INTERVAL = 10.0

    def __init__(self) -> None:
        self._due = 0.0
        self._writer: threading.Thread | None = None

    def __call__(self, sender: Any, **kwargs: Any) -> None:
        """Write, in a thread of its own, if that is due and the last one has got through."""
        if time.monotonic() < self._due or (self._writer is not None and self._writer.is_alive()):
            return
        self._due = time.monotonic() + self.INTERVAL
        events = sender.eventer
        self._writer = threading.Thread(
            target=self._write, args=[events.hostname, list(events.app.amqp.queues.consume_from)], daemon=True
        )
        self._writer.start()

    @staticmethod
    def _write(name: str, queues: list[str]) -> None:
        try:
            Heartbeat.record(name, queues)
        except Error as error:
            logger.warning("The heartbeat of %s was not written: %s", name, error)
        finally:
            connections.close_all()


heartbeat_sent.connect(Pulse(), weak=False)
