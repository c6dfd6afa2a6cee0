"""Clocks that jump by an hour, forward and back, of one process of the portal or of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.chaos.clocks import OFFSETS, set_clock
from tests.chaos.faults import NotHere

if TYPE_CHECKING:
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
    """An hour forward or back, and some seconds later right again."""

    def __init__(self, name: str, *, of_all: bool) -> None:
        self.name = name
        self._of_all = of_all

    def inject(self, stage: Stage, rng: Random) -> None:
        clocks = sorted(stage.ground.home.joinpath(OFFSETS).glob("[!.]*"))
        if not clocks:
            raise NotHere("libfaketime is not installed: run scripts/install-test-services")
        chosen = clocks if self._of_all else [rng.choice(clocks)]
        with wrong(chosen, rng.choice([HOUR, -HOUR])):
            stage.wait(rng.uniform(3.0, 6.0))


FAULTS = (ClockJumps("clock of a process jumps", of_all=False), ClockJumps("all clocks jump", of_all=True))
