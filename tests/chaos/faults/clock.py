"""Clocks that jump by an hour, ahead or back, of one process of the portal, of all, or of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.chaos.clocks import OFFSETS, set_clock
from tests.chaos.faults import Fault, NotHere
from tests.chaos.stage import Stage

HOUR = 3600


@contextmanager
def wrong(clocks: list[Path], seconds: int) -> Iterator[None]:
    """These clocks are wrong by ``seconds``, for as long as the block runs."""
    for clock in clocks:
        set_clock(clock, seconds)
    try:
        yield
    finally:
        for clock in clocks:
            set_clock(clock, 0)


class ClockJumps:
    """An hour ahead or back, and some seconds later right again: two jumps, one of each."""

    def __init__(self, whose: str, pattern: str, seconds: int, *, of_all: bool = False) -> None:
        """One of the processes whose names match ``pattern``, or all of them."""
        self.name = f"{whose} an hour {'ahead' if seconds > 0 else 'back'}"
        self._pattern = pattern
        self._seconds = seconds
        self._of_all = of_all

    def inject(self, stage: Stage, rng: Random) -> None:
        clocks = sorted(stage.ground.home.joinpath(OFFSETS).glob(self._pattern))
        if not clocks:
            raise NotHere("No such process has a clock of its own. That takes gcc, and PostgreSQL for its own.")
        chosen = clocks if self._of_all else [rng.choice(clocks)]
        stage.say(", ".join(clock.name for clock in chosen))
        with wrong(chosen, self._seconds):
            stage.wait(rng.uniform(3.0, 6.0))


FAULTS: list[Fault] = [
    each
    for seconds in (HOUR, -HOUR)
    for each in (
        ClockJumps("clock of a worker", "celery-[cw]*", seconds),
        ClockJumps("clock of beat", "celery-beat*", seconds),
        ClockJumps("clock of a web process", "web-*", seconds),
        ClockJumps("clocks of all processes", "[cw]*", seconds, of_all=True),
        ClockJumps("clock of the database", "postgresql", seconds),
    )
]
