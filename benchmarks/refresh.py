"""What a refresh of 1, 100 and 1,000 active Dask jobs costs: exchanges with the scheduler, statements, time.

``python -m benchmarks.refresh``. Beside it, in the same run: one future's status at a time, as a portal that polls jobs
one by one has to.
"""

from __future__ import annotations

import time

import dask
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks import ground
from tests.rig.dask import DaskCluster

SIZES = (1, 100, 1_000)


def main() -> None:
    """Print one table."""
    with ground.django(), DaskCluster(workers=1) as cluster:
        from django.conf import settings

        from jobsapi import conf, lifecycle
        from jobsapi.compute import create_dask_scheduler
        from jobsapi.models import DaskJob, Scheduler

        settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.DummyDispatcher"}
        owner, jobs = ground.user(), ground.manager()
        scheduler = create_dask_scheduler("cluster", cluster.address)
        scheduler.save()
        exchanges = conf.backend_class("dask")(scheduler).exchanges
        ground.row("jobs", "exchanges", "statements", "ms", "one by one", "ratio")
        for size in SIZES:
            while DaskJob.objects.count() < size:
                job = jobs.create_job("job {id}", owner, job_type="DASK", scheduler=scheduler)
                job.execute(dask.delayed(time.sleep)(3600))
            lifecycle.submit(job.pk)
            lifecycle.refresh(scheduler.pk)
            before = exchanges.connection.exchanges
            with CaptureQueriesContext(
                connection,
            ) as queries:
                taken = ground.percentiles(ground.times(lambda: lifecycle.refresh(scheduler.pk), 5))[0]
            one_by_one = ground.times(lambda: [poll(exchanges.client, job) for job in DaskJob.objects.all()], 1)[0]
            Scheduler.objects.update(polled_at=None)
            ground.row(
                size,
                (exchanges.connection.exchanges - before) / 5,
                len(queries) / 5,
                taken,
                one_by_one,
                one_by_one / taken,
            )


def poll(client, job):
    """The state of one job's key."""
    return client.sync(client.scheduler.get_task_status, keys=[job.key])


if __name__ == "__main__":
    main()
