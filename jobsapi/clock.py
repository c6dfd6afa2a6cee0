"""What time it is for all who share the database: its time, carried on by a clock that never jumps.

The leases and grace times of one process are judged by others, on other machines. So a worker goes by the database's
clock, which it asks every two seconds, and not by that of its machine, which may be an hour off or be set while it
works. Between two answers it counts on by itself. A command of ``manage.py`` that judges times asks once, and so does
whatever says whether workers live. All else that web processes write or show goes by their machine's clock.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import Error, connection
from django.utils import timezone

from jobsapi import conf

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between two questions."""
JUMP = 1.0
"""Seconds by which an answer may differ from what was counted before the clock counts as set."""


class Clock:
    """A process's own count of the database's time."""

    def __init__(self, tell: Callable[[], datetime]) -> None:
        self._tell = tell
        self._told: tuple[datetime, float] | None = None
        self._settled_at = -math.inf
        self._in_doubt = False

    def now(self) -> datetime:
        """The time. Asks nobody."""
        if self._told is None:
            return timezone.now()
        then, at = self._told
        return then + timedelta(seconds=time.monotonic() - at)

    @property
    def settled(self) -> bool:
        """Whether times that others wrote can be judged.

        Not for as long as a lease lasts after the clock was set, or this process began: whoever lives prolongs his
        leases by the new time until then.
        """
        return time.monotonic() >= self._settled_at

    def settles_doubt(self) -> bool:
        """Whether it was set, or this process began, and all is settled by now. Says so once each time."""
        settles, self._in_doubt = self._in_doubt and self.settled, self._in_doubt and not self.settled
        return settles

    def keep(self) -> None:
        """Go by the database's clock from now on, for as long as the process lives."""
        logger.info("This process goes by the database's clock.")
        self._settled_at = math.inf  # until it has answered
        self.ask()
        connection.close()  # this thread asks no more
        threading.Thread(target=self._ask_again, daemon=True, name="jobsapi-clock").start()

    @contextmanager
    def asked_once(self) -> Iterator[None]:
        """Go by the database's clock, as it is now, for as long as the block runs: for a command that judges times.

        It is believed at once: the process has judged nothing by another. Changes nothing where the clock is kept.
        """
        if self._told is not None:
            yield
            return
        self.ask()
        self._settled_at, self._in_doubt = -math.inf, False
        try:
            yield
        finally:
            self._told = None

    def ask(self) -> None:
        """Take over the database's time. One that cannot be asked changes nothing."""
        began = time.monotonic()
        try:
            told = self._tell()
        except Error as error:
            logger.warning("The database was not asked for the time: %s", error)
            connection.close()
            return
        ended = time.monotonic()
        off = (told - self.now()).total_seconds() if self._told else math.inf
        self._told = told, (began + ended) / 2
        if abs(off) > JUMP + ended - began:
            self._settled_at, self._in_doubt = ended + INTERVAL + conf.get("LEASE"), True
            if math.isfinite(off):
                logger.warning("The clock was set by %+.1f s. Leases that look over are left alone for a while.", off)

    def _ask_again(self) -> None:
        while True:
            time.sleep(INTERVAL)
            self.ask()


def database_time() -> datetime:
    """The time at the database: of a PostgreSQL server its own; an SQLite file has this machine's."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        told: datetime = cursor.fetchone()[0]
        return told


CLOCK = Clock(database_time)
"""This process's."""


def now() -> datetime:
    """The time by this process's clock."""
    return CLOCK.now()
