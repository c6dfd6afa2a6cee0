"""Workers and beat write into the database that they live, and workers that they work, for checks and pages to read.

That a worker lives is told by a thread of its own, and shows little: it may take no message. So beat sends a message
that asks for nothing to each queue, and whatever a worker has done with a message from there is the answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

from celery.signals import after_task_publish, beat_init, heartbeat_sent, task_postrun, worker_ready
from django.db import Error, close_old_connections, connections
from kombu.exceptions import OperationalError

from jobsapi import conf
from jobsapi.models import Heartbeat

logger = logging.getLogger(__name__)


class Pulse:
    """Takes Celery's own heartbeats, one every two seconds, and never holds up what sends them."""

    INTERVAL = 10.0

    def __init__(self) -> None:
        self._due = 0.0
        self._writer: threading.Thread | None = None

    def __call__(self, sender: Any, **kwargs: Any) -> None:
        """A worker is connected to the broker."""
        events = sender.eventer
        self.show(events.hostname, list(events.app.amqp.queues.consume_from))

    def show(self, name: str, queues: Collection[str] = ()) -> None:
        """Write, in a thread of its own, if that is due and the last one has got through."""
        if time.monotonic() < self._due or (self._writer is not None and self._writer.is_alive()):
            return
        self._due = time.monotonic() + min(self.INTERVAL, conf.quiet_after() / 6)
        self._writer = threading.Thread(target=self._write, args=[name, queues], daemon=True)
        self._writer.start()

    @staticmethod
    def _write(name: str, queues: Collection[str]) -> None:
        try:
            Heartbeat.record(name, queues)
        except Error as error:
            logger.warning("The heartbeat of %s was not written: %s", name, error)
        finally:
            connections.close_all()


class Answers:
    """Takes the ends of a worker's tasks, and writes of each queue that a message from there was worked off."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def __call__(self, task: Any, **kwargs: Any) -> None:
        """Write, if that is due for the queue of this task."""
        if task.request.is_eager:
            return
        queue = queue_of(task.app, task.request.delivery_info or {})
        if queue is None or time.monotonic() < self._due.get(queue, 0.0):
            return
        self._due[queue] = time.monotonic() + conf.quiet_after() / 6
        try:
            Heartbeat.answered(queue)
        except Error as error:
            logger.warning("That the queue %s was answered was not written: %s", queue, error)
        finally:
            close_old_connections()


def queue_of(app: Any, delivery: Mapping[str, Any]) -> str | None:
    """Which of the worker's queues a message came from: a site may give them other routing keys than their names.

    None for what no queue has: what stands in a message may be anybody's.
    """
    key = delivery.get("routing_key")
    return next((name for name, queue in app.amqp.queues.consume_from.items() if queue.routing_key == key), None)


heartbeat_sent.connect(Pulse(), weak=False)
task_postrun.connect(Answers(), weak=False)


@beat_init.connect
def beat_starts(**kwargs: Any) -> None:
    """Beat shows that it lives by each message that the broker has taken of it."""
    pulse = Pulse()

    def beat_lives(**kwargs: Any) -> None:
        pulse.show(Heartbeat.BEAT)

    after_task_publish.connect(beat_lives, weak=False)


@worker_ready.connect
def ask(sender: Any, **kwargs: Any) -> None:
    """A worker that has just started is asked at once, so that nobody has to wait for beat."""
    from worker.tasks import answer

    try:
        for queue in sender.app.amqp.queues.consume_from:
            answer.apply_async(queue=queue, expires=conf.quiet_after())
    except OperationalError as error:
        logger.warning("The broker did not take a message to ourselves (%s); beat sends another.", error)
