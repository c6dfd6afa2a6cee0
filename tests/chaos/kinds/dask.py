"""Jobs on Dask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dask.delayed import delayed

from tests.chaos import work
from tests.chaos.ground import Ground
from tests.chaos.kinds import Kind, number_of, uid_of

PARTS = 25


class DaskKind(Kind):
    """Gives ``execute()`` what ``task`` returns."""

    def execute(self, manager: Any, user: Any, scheduler: Any, name: str, ground: Ground) -> Any:
        job = manager.create_job(name, user, job_type="DASK", scheduler=scheduler, uid=uid_of(name))
        self.prepare(job)
        job.execute(*self.task(str(ground.home), str(job.uid), number_of(name)))
        return job

    def prepare(self, job: Any) -> None:
        """Set what the job needs beside its task."""

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        """The arguments of ``execute()``."""
        raise NotImplementedError


class Quick(DaskKind):
    """Succeeds at once."""

    name, weight = "quick", 8

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.quick)(folder, uid, number),)

    def result(self, job: Any) -> int:
        return number_of(job.name) ** 2


class Slow(DaskKind):
    """Takes seconds, and its result is processed in a Celery worker."""

    name, weight = "slow", 6

    def prepare(self, job: Any) -> None:
        job.process_results_function = work.squared

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.slow)(folder, uid, number, 0.3 + number % 5 * 0.4),)

    def result(self, job: Any) -> int:
        return number_of(job.name) ** 4


class Failing(DaskKind):
    """Raises."""

    name, weight = "failing", 2

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.failing)(folder, uid, number),)

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        return ("Error",) if f"no depth {number_of(job.name)}" in job.status_message else ()


class Large(DaskKind):
    """Its result becomes a file."""

    name, weight = "large", 2

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.large)(folder, uid, number),)

    def result(self, job: Any) -> bytes:
        return work.bytes_of(number_of(job.name))


class Many(DaskKind):
    """Of many tasks."""

    name, weight = "many", 2

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(sum)([delayed(work.part)(folder, uid, number, index) for index in range(PARTS)]),)

    def result(self, job: Any) -> int:
        return sum(number_of(job.name) + index for index in range(PARTS))


class Called(DaskKind):
    """A function, given by name, that a Celery worker calls and that submits tasks itself. It leaves no notes."""

    name, weight, runs = "called", 2, False

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return "tests.chaos.work.made", folder, uid, number

    def result(self, job: Any) -> int:
        return sum(i * number_of(job.name) for i in range(8))


class Stopped(DaskKind):
    """Is stopped by its user while it runs."""

    name = "stopped"

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.held)(folder, uid, number),)

    def act(self, job: Any, ground: Ground) -> bool:
        if job.ended:
            (ground.go / str(job.uid)).touch()
            return True
        if not ground.noted(job) and ground.runs(job):
            job.stop()
            ground.note(job, "stop")
        return False

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        return ("Aborted",)


class StoppedAtOnce(DaskKind):
    """Is stopped by its user before anybody can tell where it is. It may be too late for that."""

    name, runs = "stopped-at-once", False

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.slow)(folder, uid, number, 1.0),)

    def act(self, job: Any, ground: Ground) -> bool:
        if not job.ended and not ground.noted(job):
            job.stop()
            ground.note(job, "stop")
        return bool(job.ended)

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        return ("Aborted", "Complete") if ground.runs(job) else ("Aborted",)

    def result(self, job: Any) -> int:
        return number_of(job.name) ** 2


class Deleted(DaskKind):
    """Is deleted by its user while it runs, or soon after."""

    name = "deleted"

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.held)(folder, uid, number, 15.0),)

    def act(self, job: Any, ground: Ground) -> bool:
        if not ground.runs(job):
            return False
        job.delete()
        ground.note(job, "delete")
        (ground.go / str(job.uid)).touch()
        return True

    def deserves(self, job: Any, ground: Ground) -> Collection[str]:
        return ()


class Healed(DaskKind):
    """Fails, and is run again by its user, who has put right what was wrong."""

    name, weight = "healed", 2

    def task(self, folder: str, uid: str, number: int) -> tuple[Any, ...]:
        return (delayed(work.healed)(folder, uid, number),)

    def act(self, job: Any, ground: Ground) -> bool:
        if job.cached_status == "Error" and not ground.noted(job):
            (ground.go / str(job.uid)).touch()
            job.resubmit()
            ground.note(job, "resubmit")
        return bool(job.cached_status == "Complete")

    def result(self, job: Any) -> int:
        return number_of(job.name) + 1


KINDS: list[Kind] = [
    Quick(),
    Slow(),
    Failing(),
    Large(),
    Many(),
    Called(),
    Stopped(),
    StoppedAtOnce(),
    Deleted(),
    Healed(),
]
