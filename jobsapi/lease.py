"""Once-only work holds a lease: rows that one thread works on alone, until it ends or dies."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connections
from django.db.models import Model, QuerySet

from jobsapi import clock, conf
from jobsapi.due import unleased

logger = logging.getLogger(__name__)


class Lease:
    """Rows that are leased to this thread.

    ``rows`` may be empty: somebody else has them, or they are not due any more.
    """

    def __init__(self, model: type[Model], rows: list[Any], column: str, token: datetime) -> None:
        self.rows = rows
        self._model = model
        self._column = column
        self._token = token
        self._writing = threading.Lock()
        self._stop = threading.Event()

    def keep(self, rows: list[Any]) -> None:
        """Do not give these back: their leases run out by themselves. For work that may still land somewhere."""
        self.rows = [row for row in self.rows if row not in rows]

    def confirm(self, **changes: Any) -> bool:
        """Write columns of these rows, by one guarded UPDATE. False when they are not all ours any more."""
        with self._writing:
            if self._held().update(**changes) < len(self.rows):
                return False
        for row in self.rows:
            row.absorb(changes)
        return True

    def _held(self) -> QuerySet[Any]:
        return self._model._base_manager.filter(pk__in=[row.pk for row in self.rows], **{self._column: self._token})

    def _renew(self, seconds: float) -> None:
        """Prolong the lease until told to stop; in a thread of its own, with a database connection of its own."""
        try:
            while not self._stop.wait(seconds / 3):
                until = _until(seconds)
                try:
                    with self._writing:
                        self._held().update(**{self._column: until})
                        self._token = until
                except DatabaseError as error:  # two more tries before it runs out
                    logger.warning("A lease on %s was not prolonged: %s", self.rows, error)
                    connections.close_all()
        finally:
            connections.close_all()


@contextmanager
def lease(due: QuerySet[Any], column: str, limit: int = 1, unread: Sequence[str] = ()) -> Iterator[Lease]:
    """Lease up to ``limit`` rows of ``due`` that nobody has, and prolong the lease while the block runs.

    One guarded UPDATE decides who gets a row. What is still ours at the end is given back; the lease of a process that
    died runs out after ``JOBSAPI["LEASE"]`` seconds. ``unread``: columns that may be heavy, and that the work does not
    need; they are read when asked for.
    """
    seconds = conf.get("LEASE")
    free = due.filter(unleased(clock.now(), column))
    wanted = list(free.values_list("pk", flat=True)[:limit])
    token = _until(seconds)
    rows: list[Model] = []
    if wanted and free.order_by().filter(pk__in=wanted).update(**{column: token}):
        ours = due.model._base_manager.filter(pk__in=wanted, **{column: token}).defer(*unread)
        rows = list(ours.order_by(*due.query.order_by))
    held = Lease(due.model, rows, column, token)
    keeper = threading.Thread(target=held._renew, args=[seconds], daemon=True, name="jobsapi-lease")
    if rows:
        keeper.start()
    try:
        yield held
    finally:
        held._stop.set()
        if rows:
            keeper.join()
            held._held().update(**{column: None})


def _until(seconds: float) -> datetime:
    """When a lease taken now runs out. The odd microseconds make it the holder's token."""
    return clock.now() + timedelta(seconds=seconds + random.random())  # noqa: S311  (not a secret)
