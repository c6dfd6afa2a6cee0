"""Messages that come twice, in another order, or when the attempt that they were sent for is over."""

from __future__ import annotations

from random import Random

from tests.chaos import points
from tests.chaos.dispatching import LATE, STALE, TWICE
from tests.chaos.faults import Fault
from tests.chaos.stage import Stage

TIMES = 5


class Message:
    """The next few messages, whatever they are of."""

    def __init__(self, name: str, charge: str) -> None:
        self.name = name
        self.charge = charge

    def inject(self, stage: Stage, rng: Random) -> None:
        first = points.taken()[self.charge]
        for number in range(1, TIMES + 1):
            points.charge(self.charge)
            stage.until(lambda number=number: points.taken()[self.charge] >= first + number, 0.7)  # type: ignore[misc]
        points.discharge(self.charge)
        stage.say(f"{points.taken()[self.charge] - first} messages")


FAULTS: list[Fault] = [
    Message("a duplicated message", TWICE),
    Message("a reordered message", LATE),
    Message("a message of an older attempt", STALE),
]
