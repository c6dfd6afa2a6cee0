"""How a row's next step reaches a worker. A message is a verb and a number; losing every message loses no job."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from django.db import transaction
from django.utils.module_loading import import_string

from jobsapi import conf


class Dispatcher(Protocol):
    """Publishes a verb of ``jobsapi.lifecycle``. Returns within a second, raises nothing for a broker that is down.

    It may have ``queues``, the names of those that workers have to take messages from, and a class method ``check``
    that returns what a system check has to say of its settings.
    """

    def send(self, verb: str, pk: int, label: str) -> None:
        """Have ``lifecycle.<verb>(pk)`` called soon, by somebody. ``label`` is for people who watch the queue."""


def enqueue(verb: str, pk: int, label: str = "") -> None:
    """Publish after the current transaction has committed, or at once when there is none."""
    dispatcher: Dispatcher = import_string(conf.get("DISPATCHER"))()

    def send() -> None:
        dispatcher.send(verb, pk, label)

    transaction.on_commit(send, robust=True)


def message_id(subject: str, pk: int) -> str:
    """A new id for a message about a row, such as a job: all those about one row lie within ``message_ids``.

    All are of one length, and differ from place to place in digits alone or in lower-case hex digits: so every
    collation of a database has them in the same order, and its index finds them.
    """
    return f"{_first_part(subject, pk)}{secrets.token_hex(RANDOM // 2)}"


def message_ids(subject: str, pk: int) -> tuple[str, str]:
    """The least and the greatest id that a message about this row can have."""
    return f"{_first_part(subject, pk)}{'0' * RANDOM}", f"{_first_part(subject, pk)}{'f' * RANDOM}"


RANDOM = 16
"""Hex digits that tell the messages about one row apart."""


def _first_part(subject: str, pk: int) -> str:
    return f"{subject}-{pk:019d}-"


def queues() -> Sequence[str]:
    """The queues that workers have to take messages from for every verb to be done; none if no worker is needed."""
    found: Sequence[str] = getattr(import_string(conf.get("DISPATCHER")), "queues", ())
    return found


class ImmediateDispatcher:
    """Runs each verb in this thread, one after the other, before ``enqueue`` returns. For tests and scripts."""

    _local = threading.local()

    def send(self, verb: str, pk: int, label: str) -> None:
        queue: deque[tuple[str, int]] | None = getattr(self._local, "queue", None)
        if queue is not None:  # a step of the lifecycle asks for the next one
            queue.append((verb, pk))
            return
        self._local.queue = queue = deque([(verb, pk)])
        try:
            while queue:
                verb, pk = queue.popleft()
                import_string(f"jobsapi.lifecycle.{verb}")(pk)
        finally:
            del self._local.queue


class DummyDispatcher:
    """Sends nothing: only ``rescue`` finds the work. For tests of what happens when every message is lost."""

    def send(self, verb: str, pk: int, label: str) -> None:
        pass
