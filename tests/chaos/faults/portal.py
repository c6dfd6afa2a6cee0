"""Processes of the portal that die, or stand still for a while."""

from __future__ import annotations

from random import Random

from tests.chaos.faults import Fault
from tests.chaos.stage import SETTINGS, Stage

WORKERS = ("celery-control", "celery-work")


class Killed:
    """One process of some, with SIGKILL."""

    def __init__(self, name: str, processes: tuple[str, ...]) -> None:
        self.name = name
        self.processes = processes

    def inject(self, stage: Stage, rng: Random) -> None:
        stage.wait(rng.uniform(0, 1))
        stage.kill(rng.choice(self.processes))
        stage.wait(1)


class BothWorkersKilled:
    """Both at once: for a while nobody does anything."""

    name = "kill -9 of both workers"

    def inject(self, stage: Stage, rng: Random) -> None:
        for worker in WORKERS:
            stage.kill(worker)
        stage.wait(rng.uniform(1, 3))


class WorkerFrozen:
    """A worker that stands still until its leases have run out, and then goes on as if nothing had been."""

    name = "a worker stands still for longer than its leases"

    def inject(self, stage: Stage, rng: Random) -> None:
        worker = rng.choice(WORKERS)
        with stage.frozen(worker):
            stage.wait(SETTINGS["LEASE"] + rng.uniform(1, 3))


FAULTS: list[Fault] = [
    *(Killed(f"kill -9 of {name}", (name,)) for name in WORKERS),
    BothWorkersKilled(),
    WorkerFrozen(),
    Killed("kill -9 of beat", ("celery-beat", "celery-beat-2")),
    Killed("kill -9 of a web process", ("web-0", "web-1")),
]
