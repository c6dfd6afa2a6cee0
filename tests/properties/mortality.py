"""Time that a test moves, and processes that die between two statements of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """What ``timezone.now`` says. Each look takes a microsecond, so that no two are the same."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time

    def passes(self, seconds: float) -> None:
        """Let time go by."""
        self.time += timedelta(seconds=seconds)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return (self.time - START).total_seconds()


class Killed(BaseException):
    """A process was killed: nothing of it runs any more, least of all what clears up."""


@dataclass
class Life:
    """Of one process: how many statements it may still send to the database; None for as many as it likes."""

    left: int | None
    dead: bool = False


class Mortality:
    """To be installed with ``connection.execute_wrapper``. The process that came last is the one that acts."""

    def __init__(self) -> None:
        self.alive: list[Life] = []

    def __call__(self, execute: Callable[..., Any], *args: Any) -> Any:
        if self.alive:
            life = self.alive[-1]
            life.dead = life.dead or life.left == 0
            if life.dead:
                raise Killed
            if life.left is not None:
                life.left -= 1
        return execute(*args)

    @contextmanager
    def process(self, statements: int | None = None) -> Iterator[None]:
        """A process that is killed before the statement after so many. The database then knows nothing of it."""
        self.alive.append(Life(statements))
        try:
            yield
        except Killed:
            pass
        finally:
            self.alive.pop()
