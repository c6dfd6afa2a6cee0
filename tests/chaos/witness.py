"""Has the Dask scheduler write down by itself what it lost and what it knew: ``--preload tests.chaos.witness``.

A line of ``dask-PID.log`` is ``started KEY``, when a task is given to a worker for the first time, or ``lost KEY``,
when a worker that had it, or its result, is gone, or that of a task which needs its own result again: so often it may
have to run once more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from tests.chaos.ground import Ground

GONE = ("handle-worker-cleanup", "remove-worker", "check-worker-ttl", "worker-close", "retire-workers", "close-worker")
"""How the ids of those stimuli begin that tell of a worker's end."""


class Witness(SchedulerPlugin):
    """Writes each line before the scheduler goes on."""

    def __init__(self, scheduler: Any, path: Path) -> None:
        self.scheduler = scheduler
        self.out = path.open("a", buffering=1)
        self.started: set[str] = set()

    def transition(self, key: Any, start: str, finish: str, *args: Any, stimulus_id: str, **kwargs: Any) -> None:
        name = str(key)
        if finish == "processing" and name not in self.started:
            self.started.add(name)
            self.out.write(f"started {name}\n")
        elif start in ("processing", "memory") and stimulus_id.startswith(GONE):
            self.out.writelines(f"lost {each}\n" for each in [name, *self.needed_again(key)])

    def needed_again(self, key: Any) -> Iterator[str]:
        """The tasks below one that is lost whose results were let go of when it was done."""
        task = self.scheduler.tasks.get(key)
        todo = list(task.dependencies) if task else []
        while todo:
            below = todo.pop()
            if below.state != "memory":
                yield str(below.key)
                todo += below.dependencies


def dask_setup(scheduler: Any) -> None:
    scheduler.add_plugin(Witness(scheduler, Ground.here().home / f"dask-{os.getpid()}.log"))
