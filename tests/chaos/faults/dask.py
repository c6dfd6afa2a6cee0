"""The Dask scheduler and its workers die, or stand still."""

from __future__ import annotations

from random import Random

from tests.chaos.faults import Fault
from tests.chaos.stage import SETTINGS, Stage
from tests.rig.dask import accepts


class SchedulerKilled:
    """It forgets all that it had; its workers end, and come back with the next one."""

    name = "kill -9 of the Dask scheduler"

    def inject(self, stage: Stage, rng: Random) -> None:
        stage.wait(rng.uniform(0, 1))
        stage.kill("dask-scheduler")
        stage.wait(1)
        stage.until(lambda: accepts(stage.ports["dask"]), 30)


class SchedulerFrozen:
    """It takes connections and answers nobody, for longer than anybody waits."""

    name = "the Dask scheduler stands still"

    def inject(self, stage: Stage, rng: Random) -> None:
        with stage.frozen("dask-scheduler"):
            stage.wait(rng.choice([1.0, SETTINGS["POLL_TIMEOUT"] + 2]))


class WorkerKilled:
    """What it was doing, and what it had done and nobody has fetched, is done again."""

    name = "kill -9 of a Dask worker"

    def inject(self, stage: Stage, rng: Random) -> None:
        stage.wait(rng.uniform(0, 1))
        stage.kill(rng.choice(stage.named("dask-worker")).command.name)
        stage.wait(1)


class WorkerFrozen:
    """It keeps its tasks, and does not do them."""

    name = "a Dask worker stands still"

    def inject(self, stage: Stage, rng: Random) -> None:
        with stage.frozen(rng.choice(stage.named("dask-worker")).command.name):
            stage.wait(rng.uniform(2, 6))


FAULTS: list[Fault] = [SchedulerKilled(), SchedulerFrozen(), WorkerKilled(), WorkerFrozen()]
