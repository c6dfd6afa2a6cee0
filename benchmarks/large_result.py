"""What a large result costs the Celery worker that fetches it: memory as a multiple of its size, and seconds.

``python -m benchmarks.large_result [--megabytes 1000]``. A NumPy array, a pandas table and a Python bytes object of
that size, each through a real Dask cluster and a worker process of its own; then ``job.result`` in a reader of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import dask

from benchmarks import ground
from tests.rig.dask import DaskCluster


def array(size: int) -> Any:
    import numpy

    return numpy.random.default_rng(1).random(size // 8)


def table(size: int) -> Any:
    import pandas

    return pandas.DataFrame({name: array(size // 4) for name in "abcd"})


def text(size: int) -> bytes:
    return b"x" * size


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    size = parser.parse_args().megabytes * 1_000_000
    ground.row("result", "bytes", "fetch s", "memory ×", "of it base", "read s", "memory ×", "on disk ×")
    with ground.django(), DaskCluster(workers=1) as cluster:
        from django.conf import settings

        from jobsapi import lifecycle
        from jobsapi.compute import create_dask_scheduler

        dispatcher = "jobsapi.dispatch.DummyDispatcher"
        settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": dispatcher, "RESULT_MAX_BYTES": 2 * size}
        owner, jobs = ground.user(), ground.manager()
        scheduler = create_dask_scheduler("cluster", cluster.address)
        scheduler.save()
        for make in (array, table, text):
            job = jobs.create_job("job {id}", owner, job_type="DASK", scheduler=scheduler)
            job.execute(dask.delayed(make)(size))
            lifecycle.submit(job.pk)
            while job.cached_status != "Results-Ready":
                time.sleep(0.2)
                lifecycle.refresh(scheduler.pk)
                job.refresh_from_db()
            base, fetching, fetched = alone(fetch, job.pk, settings.JOBSAPI)
            job.refresh_from_db()
            assert job.cached_status == "Complete", job.status_message
            _, reading, read = alone(open_result, job.pk, settings.JOBSAPI)
            stored = sum(file.stat().st_size for file in Path(settings.JOBSAPI["RESULT_ROOT"]).rglob("*-*"))
            ground.row(make.__name__, size, fetching, fetched / size, base / size, reading, read / size, stored / size)
            lifecycle.cleanup(job.pk)
            job.delete()
            lifecycle.remove(job.pk)


def fetch(job: int) -> None:
    """What the worker does."""
    from jobsapi import lifecycle

    lifecycle.fetch_results(job)


def open_result(job: int) -> None:
    """What an app does."""
    from jobsapi.models import Job

    assert Job.objects.get(pk=job).result is not None


def alone(call: Callable[[int], None], *args: Any) -> tuple[int, float, int]:
    """The memory of a process of its own before the call, how long that takes, and the most memory in it: in bytes."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, call, *args).result()


def measured(call: Callable[[int], None], job: int, chosen: dict[str, Any]) -> tuple[int, float, int]:
    """What ``alone`` gives, in that process."""
    import django

    django.setup()
    import pandas  # noqa: F401
    from django.conf import settings

    import jobsapi.backends.dask  # noqa: F401  (a worker has it loaded)

    settings.JOBSAPI = chosen
    before, start = peak(), time.perf_counter()
    call(job)
    return before, time.perf_counter() - start, peak()


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
