"""What the lifecycle does for schedulers whose results are files: transfers, tries that are surely over, lost jobs."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.backends.base import Observation
from jobsapi.compute import create_condor_scheduler
from jobsapi.exceptions import BackendUnavailable, HostKeyNotAccepted, SubmissionOver, TransferFailed
from jobsapi.models import Job, Scheduler
from jobsapi.status import Status
from jobsapi.testing import FakeBackend
from tests.lifecycle.conftest import time_passes

pytestmark = pytest.mark.django_db(transaction=True)


OFFERED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fWVRPjuy6Uh+PZYQ4nRgLPv5ZzdBvPcFxIXHiGRFM"


class Troubled(FakeBackend):
    """A fake whose transfers, submissions or door fail as long as ``trouble`` says so."""

    trouble = ""

    def open(self):
        super().open()
        if self.trouble == "host key":
            raise HostKeyNotAccepted("The host shows another key.", OFFERED, "SHA256:abc")

    def submit(self, jobs):
        for outcome in super().submit(jobs):
            if self.trouble == "over":
                raise SubmissionOver("The schedd went away.")
            if self.trouble == "cut":
                raise BackendUnavailable("The connection broke.")
            yield outcome

    def stage(self, job):
        super().stage(job)
        if self.trouble == "stage":
            raise TransferFailed("input: Permission denied")
        if self.trouble == "suspended":
            Job._base_manager.filter(pk=job.pk).update(leased_until=timezone.now() + timedelta(seconds=99))

    def cleanup(self, jobs):
        done = super().cleanup(jobs)
        return jobs if self.trouble == "cleanup" else done

    def fetch_results(self, job):
        if self.trouble == "transfer":
            raise TransferFailed("output: No space left on device")
        return super().fetch_results(job)


@pytest.fixture
def world(settings, silent):
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"condor": "tests.lifecycle.test_kept_files.Troubled"}}
    Troubled.trouble = ""
    yield silent
    Troubled.trouble = ""


@pytest.fixture
def job(world, manager, user):
    pool = create_condor_scheduler("pool", "")
    pool.save()
    job = manager.create_job("flood", user, job_type="CONDOR", scheduler=pool)
    job.execute()
    return job


def row(job):
    return Job._base_manager.get(pk=job.pk)


def test_a_job_stays_results_ready_until_its_files_are_here_however_often_that_fails(world, job):
    lifecycle.submit(job.pk)
    FakeBackend.finish(job)
    lifecycle.refresh(job.scheduler_id)
    Troubled.trouble = "transfer"

    for _ in range(15):
        lifecycle.fetch_results(job.pk)
        assert (row(job).cached_status, row(job).status_message) == ("Results-Ready", "output: No space left on device")
    Troubled.trouble = ""
    lifecycle.fetch_results(job.pk)

    assert row(job).cached_status == "Complete"


def test_a_failed_transfer_holds_up_no_other_job(world, job, manager, user):
    other = manager.create_job("other", user, job_type="CONDOR", scheduler=job.scheduler)
    other.execute()
    lifecycle.submit(job.pk)
    FakeBackend.finish(job)
    FakeBackend.finish(other)
    lifecycle.refresh(job.scheduler_id)
    Troubled.trouble = "transfer"

    lifecycle.fetch_results(job.pk)

    assert row(other).status_message == row(job).status_message != ""
    assert row(job).scheduler.unreachable_since is None


def test_a_try_that_is_surely_over_is_looked_for_as_soon_as_the_scheduler_answers(world, job):
    Troubled.trouble = "over"
    with pytest.raises(SubmissionOver):
        lifecycle.submit(job.pk)
    assert row(job).leased_until is None
    Troubled.trouble = ""
    Scheduler.objects.update(retry_at=None)

    lifecycle.submit(job.pk)

    assert row(job).native_id
    assert world.submitted == [job.pk]


def test_a_try_that_may_still_land_is_left_alone_until_it_cannot(world, job):
    Troubled.trouble = "cut"
    with pytest.raises(BackendUnavailable):
        lifecycle.submit(job.pk)
    Troubled.trouble = ""
    Scheduler.objects.update(retry_at=None)

    lifecycle.submit(job.pk)
    assert row(job).native_id == ""
    time_passes(3600)
    lifecycle.submit(job.pk)

    assert row(job).native_id
    assert world.submitted == [job.pk]


def test_a_job_that_vanished_is_lost_after_the_grace_period_and_not_run_twice(settings, world, job):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    lifecycle.submit(job.pk)
    FakeBackend.say(job, Observation(Status.RUNNING))
    lifecycle.refresh(job.scheduler_id)
    FakeBackend.forget(job)
    lifecycle.refresh(job.scheduler_id)
    assert (row(job).cached_status, row(job).missing_since is not None) == ("Running", True)

    time_passes(61)
    lifecycle.refresh(job.scheduler_id)

    lost = row(job)
    assert (lost.cached_status, lost.attempts) == ("Error", 1)
    assert lost.status_message == (
        "Lost: pool does not know the job any more. It may have run, so it is not submitted again by itself."
    )


def test_a_host_key_that_nobody_accepted_is_kept_for_an_administrator_to_see(world, job):
    Troubled.trouble = "host key"

    with pytest.raises(HostKeyNotAccepted):
        lifecycle.submit(job.pk)

    scheduler = Scheduler.objects.get()
    assert (scheduler.offered_host_key, scheduler.last_error) == (OFFERED, "The host shows another key.")
    assert "unreachable since" in row(job).status_message
    scheduler.accept_host_key(scheduler.offered_fingerprint)
    Troubled.trouble = ""
    lifecycle.submit(job.pk)
    assert row(job).native_id


@pytest.mark.parametrize(
    ("seen", "requested"),
    [
        (Observation(Status.VARIOUS, held=2), "release"),
        (Observation(Status.VARIOUS), ""),
        (Observation(Status.RUNNING), ""),
    ],
)
def test_a_job_is_resumed_when_no_part_of_it_is_held_any_more(world, job, seen, requested):
    lifecycle.submit(job.pk)
    FakeBackend.say(job, Observation(Status.PAUSED, held=4))
    lifecycle.refresh(job.scheduler_id)
    job.resume()

    FakeBackend.say(job, seen)
    lifecycle.refresh(job.scheduler_id)

    assert row(job).requested == requested


def test_a_job_whose_files_cannot_be_brought_waits_and_the_scheduler_is_not_blamed(world, job):
    Troubled.trouble = "stage"

    lifecycle.submit(job.pk)

    waiting = row(job)
    assert (waiting.cached_status, waiting.status_message) == ("Submitted", "input: Permission denied")
    assert (waiting.submit_started_at, waiting.leased_until) == (None, None)
    assert waiting.scheduler.unreachable_since is None
    Troubled.trouble = ""
    lifecycle.submit(job.pk)
    assert row(job).native_id


def test_a_worker_that_lost_its_lease_while_it_staged_submits_nothing(world, job):
    Troubled.trouble = "suspended"

    lifecycle.submit(job.pk)

    assert world.submitted == []
    assert row(job).submit_started_at is None


def test_one_job_that_makes_its_scheduler_fail_jams_no_other(world, job, manager, user):
    other = manager.create_job("other", user, job_type="CONDOR", scheduler=job.scheduler)
    other.execute()
    Troubled.trouble = "over"
    with pytest.raises(SubmissionOver):
        lifecycle.submit(job.pk)
    world.attempts.clear()
    Troubled.trouble = ""
    Scheduler.objects.update(retry_at=None)

    lifecycle.submit(job.pk)

    assert world.submitted == [job.pk, other.pk, job.pk]


def test_what_cannot_be_cleared_up_now_is_cleared_up_later(world, job):
    lifecycle.submit(job.pk)
    FakeBackend.finish(job)
    lifecycle.refresh(job.scheduler_id)
    lifecycle.fetch_results(job.pk)
    Troubled.trouble = "cleanup"
    lifecycle.cleanup(job.pk)
    assert (row(job).cached_status, row(job).cleanup_pending) == ("Complete", True)

    Troubled.trouble = ""
    lifecycle.cleanup(job.pk)

    assert not row(job).cleanup_pending
