"""What an administrator sees of real workers: the test of a scheduler, and the Celery tasks of a job."""

from __future__ import annotations

import dask as dask_library
import pytest

from jobsapi.admin.tasks import tasks_of
from jobsapi.models import Scheduler
from jobsapi.models.reports import Stage
from tests.rig.eventually import eventually
from tests.stack import work

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("workers")]


def test_a_scheduler_is_tested_by_a_worker(dask):
    assert dask.request_check()

    report = eventually(lambda: over(dask), timeout=30)

    assert {step.title: step.outcome for step in report.steps} == dict.fromkeys(
        ["Connection", "Credentials", "Versions", "Workers", "A tiny job"], "good"
    )


def over(scheduler):
    """The report of its test, once that is over."""
    report = Scheduler.objects.get(pk=scheduler.pk).report
    return report if report.stage == Stage.OVER else None


def test_the_celery_tasks_of_a_job_are_found_with_how_long_they_took(manager, user, dask):
    jobs = [manager.create_job(f"job {number}", user, job_type="DASK", scheduler=dask) for number in range(3)]
    for job in jobs:
        job.execute(dask_library.delayed(work.add)(1, 2))
    for job in jobs:
        job.wait(60)

    for job in jobs:
        task = eventually(lambda job=job: next(iter(submissions(job)), None), timeout=30)
        assert (task.state, task.worker.partition("@")[0]) == ("SUCCESS", "work")
        assert task.took is not None
        assert task.took.total_seconds() > 0


def submissions(job):
    """The finished tasks that were to hand the job over."""
    return [task for task in tasks_of(job) if task.verb == "submit" and task.state == "SUCCESS"]
