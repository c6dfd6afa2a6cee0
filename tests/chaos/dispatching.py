"""Messages on their way to the broker, which a fault may double, hold back or bring again much later."""

from __future__ import annotations

import threading

from tests.chaos.points import around, take
from worker.tasks import CeleryDispatcher

TWICE, LATE, STALE = "message: twice", "message: late", "message: stale"
DELAYS = {TWICE: (0.0, 0.0), LATE: (1.5,), STALE: (0.0, 12.0)}
"""By charge, after how many seconds the message is sent; without one, once and at once."""


class Dispatcher(CeleryDispatcher):
    """As Celery's, between two points."""

    def send(self, verb: str, pk: int, label: str) -> None:
        """See ``CeleryDispatcher``."""
        charge = next(filter(take, DELAYS), None)
        for delay in DELAYS[charge] if charge else (0.0,):
            if delay:
                later = threading.Timer(delay, super().send, (verb, pk, label))
                later.daemon = True
                later.start()
            else:
                with around("send"):
                    super().send(verb, pk, label)
