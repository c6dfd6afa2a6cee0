"""What one job, one answer or one administrator gets wrong holds up nobody else, and ends nothing wrongly."""

from __future__ import annotations

import pytest

from jobsapi import lifecycle
from jobsapi.backends.base import Observation
from jobsapi.exceptions import BackendUnavailable, NotReady
from jobsapi.models import DaskJob, Job, Purpose, Scheduler
from jobsapi.reach import BULKHEAD
from jobsapi.status import Status
from jobsapi.testing import FakeBackend
from tests.lifecycle.conftest import time_passes

pytestmark = pytest.mark.django_db(transaction=True)


def fail_to_process(result):
    """A processing function."""
    raise ValueError("not today")


class Poisoned(FakeBackend):
    """One job, by name, makes the backend fail in a way that its contract does not know."""

    def submit(self, jobs):
        if any(job.name == "poison" for job in jobs):
            raise RecursionError("too deep")
        yield from super().submit(jobs)

    def cleanup(self, jobs):
        if any(job.name == "poison" for job in jobs):
            raise RecursionError("too deep")
        return super().cleanup(jobs)


@pytest.fixture
def poisoned(settings, silent):
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": f"{__name__}.Poisoned"}}
    return FakeBackend.world


@pytest.fixture
def executed(make_job):
    def make(name="job", **kwargs):
        job = make_job(name, **kwargs)
        job.execute(1)
        return job

    return make


@pytest.fixture
def finished(executed, silent):
    """A job whose work is done, and that a worker knows to be."""

    def make(value, **kwargs):
        job = executed(**kwargs)
        lifecycle.submit(job.pk)
        FakeBackend.finish(job, value)
        lifecycle.refresh(job.scheduler_id)
        return job

    return make


def row(job):
    return Job.objects.get(pk=job.pk)


def test_a_job_that_no_backend_was_made_for_holds_up_no_other_and_says_so(poisoned, executed):
    bad, good = executed("poison"), executed("good")

    lifecycle.submit(bad.pk)

    assert row(good).native_id
    assert "RecursionError: too deep" in row(bad).status_message
    assert row(bad).leased_until is not None, "what may have landed is not tried again at once"


def test_of_a_batch_only_the_job_that_spoils_it_is_left(poisoned, executed):
    jobs = [executed(name) for name in ("one", "poison", "two")]
    Job.objects.update(_status=Status.ERROR, completion_time="2026-01-01T00:00Z", cleanup_pending=True)

    lifecycle.cleanup(jobs[0].pk)

    assert [row(job).cleanup_pending for job in jobs] == [False, True, False]


def test_a_scheduler_without_a_host_takes_up_no_thread_and_says_what_to_do(settings, silent, executed):
    job = executed()
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {}}  # the real Dask backend
    Scheduler.objects.update(host="")
    for _ in range(3):
        with pytest.raises(BackendUnavailable, match="host"):
            lifecycle.submit(job.pk)
        time_passes(3600)

    assert BULKHEAD._inside[job.scheduler_id].total() == 0
    assert "has no host" in Scheduler.objects.get().last_error
    assert "unreachable since" in row(job).status_message


def test_a_kept_raw_result_is_processed_again_although_the_scheduler_has_forgotten_the_job(silent, finished):
    job = finished(5, process_results_function=fail_to_process)
    lifecycle.fetch_results(job.pk)
    lifecycle.cleanup(job.pk)
    assert row(job).cached_status == "Error"
    Job.objects.update(_process_results_function="")

    row(job).process_results()
    time_passes(3600)
    lifecycle.refresh(job.scheduler_id)
    time_passes(3600)
    lifecycle.refresh(job.scheduler_id)
    lifecycle.fetch_results(job.pk)

    assert (row(job).cached_status, row(job).attempts, DaskJob.objects.get().result) == ("Complete", 1, 5)


@pytest.mark.parametrize("said", ["Running", "Paused", "Calibrating"])
def test_a_status_that_the_app_sets_before_the_scheduler_has_the_job_does_not_keep_it_from_it(silent, executed, said):
    job = executed()
    job.update_status(said)

    lifecycle.submit(job.pk)

    assert silent.submitted == [job.pk]
    assert row(job).native_id
    assert row(job).cached_status == said


def test_results_ready_said_of_a_job_that_was_never_executed_holds_up_no_other(silent, finished, make_job):
    stray = make_job()
    stray.update_status("Results-Ready")
    job = finished("good")

    lifecycle.fetch_results(stray.pk)
    lifecycle.fetch_results(job.pk)

    assert row(job).cached_status == "Complete"


def test_the_breaker_is_closed_only_by_an_answer(silent, executed):
    job = executed()
    silent.unavailable = "frozen"
    with pytest.raises(BackendUnavailable):
        lifecycle.submit(job.pk)
    time_passes(100)

    with pytest.raises(BackendUnavailable):
        lifecycle.refresh(job.scheduler_id)
    assert Scheduler.objects.get().failures == 2
    time_passes(100)
    silent.unavailable = ""
    lifecycle.refresh(job.scheduler_id)

    assert silent.exchanges[-1] == "poll"
    assert (Scheduler.objects.get().failures, Scheduler.objects.get().outage) == (0, "")


def test_a_wish_that_came_too_late_does_not_stop_what_is_asked_for_later(silent, finished):
    job = finished(5, process_results_function=fail_to_process)
    lifecycle.fetch_results(job.pk)
    Job.objects.update(_status=Status.RESULTS_READY, completion_time=None)
    row(job).stop()
    row(job).transition(Status.ERROR, by="worker")
    Job.objects.update(_process_results_function="")

    row(job).process_results()
    lifecycle.cancel(job.pk)
    lifecycle.fetch_results(job.pk)

    assert row(job).cached_status == "Complete"


def test_a_job_that_was_never_executed_is_stopped_without_a_scheduler(manager, user, silent):
    job = manager.create_job("idle", user, job_type="DASK")
    job.update_status("Preparing")

    job.stop()

    assert row(job).cached_status == "Aborted"


def test_a_job_that_was_never_executed_is_deleted_without_a_scheduler(manager, user, fake):
    job = manager.create_job("idle", user, job_type="DASK")
    job.update_status("Preparing")

    job.delete()

    assert not Job._base_manager.exists()


def test_a_stale_instance_cannot_resubmit_what_has_no_input(silent, finished):
    job = finished(5)
    lifecycle.fetch_results(job.pk)
    row(job).blobs.filter(purpose=Purpose.INPUT).delete()

    with pytest.raises(Exception, match="cannot become Submitted"):
        row(job).resubmit()

    assert DaskJob.objects.get().result == 5


class NeverThere(FakeBackend):
    """Its results cannot be had."""

    def fetch_results(self, job):
        super().fetch_results(job)
        raise NotReady("The worker that has it is busy.")


def test_a_result_that_never_comes_ends_as_an_error_with_the_words(settings, silent, finished):
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": f"{__name__}.NeverThere"}}
    job = finished(1)

    for _ in range(10):
        assert row(job).cached_status == "Results-Ready"
        lifecycle.fetch_results(job.pk)

    assert row(job).cached_status == "Error"
    assert "10 tries: The worker that has it is busy." in row(job).status_message


def test_a_nul_in_what_a_scheduler_says_is_stored_as_something_else(silent, executed):
    job = executed()
    lifecycle.submit(job.pk)
    FakeBackend.say(job, Observation(Status.RUNNING, "a\x00b", state={"errors": ["c\x00d", {"e\x00": ["\ud800"]}]}))

    lifecycle.refresh(job.scheduler_id)

    assert row(job).cached_status == "Running"
    assert "\x00" not in str(row(job).backend_state) + row(job).status_message


def test_the_logs_of_a_job_that_failed_are_kept_before_it_is_cleaned_up(silent, executed):
    job = executed()
    lifecycle.submit(job.pk)
    FakeBackend.say(job, Observation(Status.ERROR, "boom"))
    lifecycle.refresh(job.scheduler_id)

    lifecycle.cleanup(job.pk)

    assert silent.exchanges[-2:] == ["logs", "cleanup"]
    assert row(job).get_logs()["scheduler"] == f"job {job.pk} was here"
