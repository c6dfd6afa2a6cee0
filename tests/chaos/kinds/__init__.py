"""The kinds of jobs of the campaign: what each does, what its user does to it meanwhile, and which end it deserves."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from tests.chaos.ground import Ground

MODULES = ("dask", "condor")
"""Each has a list ``KINDS``."""


class Kind:
    """One kind of job. ``ground`` says where the files are through which the job speaks to the campaign."""

    name: ClassVar[str]
    """One word; it becomes a part of the job's name."""
    scheduler: ClassVar[str] = "dask"
    """The name of the scheduler's row. A stage that has none of that name runs no such jobs."""
    weight: ClassVar[int] = 1
    """How many of them there are among the others."""
    runs: ClassVar[bool] = True
    """Whether its work leaves notes, so that at the end at least one has to be there."""

    def execute(self, manager: Any, user: Any, scheduler: Any, name: str, ground: Ground) -> Any:
        """Create a job called ``name`` through the public API, execute it, and return it."""
        raise NotImplementedError

    def act(self, job: Any, ground: Ground) -> bool:
        """What its user does midway. Called again and again, also after it raised; True when there is no more to do.

        What was done is noted with ``ground.note(job, word)`` once the call has returned.
        """
        return True

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        """Display names of the statuses in which it may end. Empty: it has to be gone."""
        return ("Complete",)

    def result(self, job: Any) -> Any:
        """What ``job.result`` has to be when it is Complete; computed anew, from its name alone."""
        return None


def all_kinds() -> dict[str, Kind]:
    """By name."""
    found: dict[str, Kind] = {}
    for name in MODULES:
        if find_spec(f"{__name__}.{name}"):
            found |= {kind.name: kind for kind in import_module(f"{__name__}.{name}").KINDS}
    return found


def assigned(count: int, schedulers: Collection[str], rng: Random) -> list[str]:
    """The kind of each of ``count`` jobs, by its number."""
    here = [kind for kind in all_kinds().values() if kind.scheduler in schedulers]
    first = [kind.name for kind in here][:count]  # of each one, however few there are
    rest = rng.choices(here, [kind.weight for kind in here], k=count - len(first)) if count > len(first) else []
    mixed = [*first, *(kind.name for kind in rest)]
    rng.shuffle(mixed)
    return mixed


def name_of(number: int, kind: str) -> str:
    """What a job is called."""
    return f"chaos {number:05d} {kind}"


def uid_of(name: str) -> UUID:
    """The job's ``uid``: who submits it again while a first request is still under way makes no second job."""
    return uuid5(NAMESPACE_OID, name)


def kind_of(name: str) -> Kind:
    """The kind of a job of that name."""
    return all_kinds()[name.split()[2]]


def number_of(name: str) -> int:
    """Its number."""
    return int(name.split()[1])


def notes_of(ground: Ground, job: Any) -> Path:
    """The file to which the work of a job appends a line whenever it begins."""
    return ground.ran / str(job.uid)
