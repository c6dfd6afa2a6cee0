"""The newest part of a job's history, as its page in the admin shows it: no longer, however often the job was run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from django.db.models.functions import Right

from jobsapi.models import Job, JobEvent

SHOWN = 100
"""Events that a page shows, the newest first."""
TRACEBACK = 4_000
"""Characters of a traceback that it shows: the last ones, which say what was raised."""


@dataclass(frozen=True)
class History:
    """What happened to a job last."""

    events: Sequence[JobEvent]
    """Each with ``ending``, the end of its detail."""
    before: int
    """The event before which others are left out; 0 if none are."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """Read it: one query, which reads no more of a traceback than is shown."""
        newest = job.events.order_by("-pk").annotate(end=ending("detail")).defer("detail")
        events = list(newest[: SHOWN + 1])  # one more than is shown tells whether there are others
        for event in events:
            event.ending = shortened(event.end)  # type: ignore[attr-defined]
        return cls(events[:SHOWN], events[SHOWN - 1].pk if len(events) > SHOWN else 0)


def ending(column: str) -> Right:
    """The last characters of a column, for ``shortened``."""
    return Right(column, TRACEBACK + 1)


def shortened(text: str) -> str:
    """An ``ending``, with a sign that something is missing before it if it is."""
    return text if len(text) <= TRACEBACK else f"…{text[-TRACEBACK:]}"
