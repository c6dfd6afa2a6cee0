"""What is done to the parts of a portal while jobs go through it. Each fault undoes what does not mend itself."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import Protocol

from tests.chaos.stage import Stage

MODULES = ("portal", "points", "messages", "broker", "database", "dask", "htcondor", "ssh", "disk", "clock")
"""Each has a list ``FAULTS``."""


class NotHere(Exception):
    """Raised when the stage has not the part that a fault is done to."""


class Fault(Protocol):
    """One way in which something breaks."""

    name: str
    """As the table has it: ``kill -9 of a worker``."""

    def inject(self, stage: Stage, rng: Random) -> None:
        """Do it, and undo what does not mend itself, before this returns: some seconds at most.

        What a choice was made of is told with ``stage.say``. Raises ``NotHere``.
        """


def catalogue() -> dict[str, Fault]:
    """All faults there are, by name."""
    found: dict[str, Fault] = {}
    for name in MODULES:
        if find_spec(f"{__name__}.{name}"):
            found |= {fault.name: fault for fault in import_module(f"{__name__}.{name}").FAULTS}
    return found


def chosen(names: Iterable[str]) -> list[Fault]:
    """The faults whose names have one of these words in them; all when there is none. Raises ``SystemExit``."""
    everything, words = catalogue(), [*names]
    unknown = [word for word in words if not any(word in name for name in everything)]
    if unknown:
        raise SystemExit(f"No fault is called {', '.join(unknown)}. There are: {'; '.join(everything)}.")
    return [fault for name, fault in everything.items() if not words or any(word in name for word in words)]
