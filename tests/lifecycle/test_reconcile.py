"""What lies at a scheduler and is no job's: found by two looks, and adopted or removed as an administrator wishes."""

from __future__ import annotations

import io
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobsapi import clock, lifecycle
from jobsapi.backends.base import Observation
from jobsapi.compute import create_dask_scheduler
from jobsapi.exceptions import BackendUnavailable, JobsApiError
from jobsapi.management.commands import reconcile as command
from jobsapi.models import Job, JobEvent, Scheduler, Stray
from jobsapi.reconcile import look_before_submitting
from jobsapi.status import Status
from jobsapi.testing import FakeBackend
from tests.lifecycle.conftest import Mailbox

pytestmark = pytest.mark.django_db(transaction=True)


def row(job):
    return Job._base_manager.select_related("scheduler").get(pk=job.pk)


def looks(scheduler, times=2):
    for _ in range(times):
        lifecycle.reconcile(scheduler.pk)


def strays():
    return list(Stray.objects.all())


def said(*args, **options):
    out = io.StringIO()
    call_command("reconcile", *args, stdout=out, stderr=out, **options)
    return out.getvalue()


@pytest.fixture
def at_scheduler(silent, make_job):
    """Make a job that its scheduler runs."""

    def make(name="job"):
        job = make_job(name)
        job.execute("work")
        lifecycle.submit(job.pk)
        FakeBackend.say(job, Observation(Status.RUNNING))
        return row(job)

    return make


@pytest.fixture
def rowless(at_scheduler):
    """A job that runs at its scheduler, and whose row is gone."""
    job = at_scheduler("lost row")
    Job._base_manager.filter(pk=job.pk).delete()
    return job


@pytest.fixture
def restored(at_scheduler):
    """Make a job whose row is as a back-up had it, with these columns, while its scheduler runs it."""

    def make(**columns):
        job = at_scheduler("restored")
        Job._base_manager.filter(pk=job.pk).update(
            **{
                "native_id": "",
                "submit_started_at": None,
                "_status": Status.PENDING,
                "cleanup_pending": False,
                **columns,
            }
        )
        return row(job)

    return make


def test_jobs_in_every_state_are_no_strays(silent, at_scheduler, make_job, scheduler):
    at_scheduler("running")
    make_job("pending").save()
    done, deleted, waiting = at_scheduler("done"), at_scheduler("deleted"), make_job("waiting")
    waiting.execute("work")
    silent.attempts[row(waiting).submission_id] = Observation(Status.SUBMITTED)  # it arrived, and its row waits
    silent.uids[row(waiting).submission_id] = waiting.uid
    FakeBackend.finish(done, 1)
    lifecycle.refresh(scheduler.pk)
    lifecycle.fetch_results(done.pk)
    deleted.delete()
    assert len(silent.attempts) == 4

    looks(scheduler)

    assert strays() == []
    assert row(done).cleanup_pending
    assert Scheduler.objects.get().reconciled_at is not None


def test_a_stray_needs_two_looks_before_anything_can_be_wished(rowless, scheduler, user):
    looks(scheduler, 1)
    (stray,) = strays()
    assert not stray.is_settled
    with pytest.raises(JobsApiError, match="seen once only"):
        stray.request(Stray.REMOVE, "ada")

    looks(scheduler, 1)

    (stray,) = strays()
    assert (stray.is_settled, stray.can_adopt, stray.words) == (True, True, "Running")
    assert stray in Stray.objects.seen_twice()
    stray.request(Stray.REMOVE, "ada")


def test_within_the_grace_two_looks_are_one(settings, rowless, scheduler):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}

    looks(scheduler, 3)

    (stray,) = strays()
    assert not stray.is_settled
    assert not Stray.objects.seen_twice().exists()


def test_an_hour_that_nobody_has_waited_makes_nothing_a_stray(settings, rowless, scheduler, monkeypatch):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    looks(scheduler, 1)
    monkeypatch.setattr(clock, "CLOCK", clock.Clock(lambda: timezone.now() + timedelta(hours=1)))
    clock.CLOCK.ask()
    assert not clock.CLOCK.settled

    looks(scheduler)
    assert not strays()[0].is_settled

    clock.CLOCK._settled_at = 0.0
    looks(scheduler)
    assert not strays()[0].is_settled


def test_what_was_seen_once_before_the_clock_was_set_is_seen_anew(settings, rowless, scheduler, monkeypatch):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    looks(scheduler, 1)
    monkeypatch.setattr(clock, "CLOCK", clock.Clock(lambda: timezone.now() + timedelta(hours=1)))
    clock.CLOCK.ask()
    clock.CLOCK._settled_at = 0.0

    lifecycle.rescue()
    looks(scheduler, 1)

    assert not strays()[0].is_settled


def test_when_the_clock_was_set_back_it_is_not_waited_for(settings, rowless, scheduler):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    looks(scheduler, 1)
    Stray.objects.update(first_seen=timezone.now() + timedelta(hours=9))

    looks(scheduler, 1)

    (stray,) = strays()
    assert stray.first_seen == stray.last_seen <= timezone.now()


def test_what_was_seen_twice_stays_so_while_the_clock_is_not_settled(silent, rowless, scheduler, monkeypatch):
    looks(scheduler)
    monkeypatch.setattr(clock, "CLOCK", clock.Clock(timezone.now))
    clock.CLOCK.ask()
    assert strays()[0].is_settled

    strays()[0].request(Stray.REMOVE, "ada")
    looks(scheduler, 1)

    assert silent.attempts == {}


def test_a_stray_goes_when_its_thing_has_gone_or_its_row_is_back(silent, restored, rowless, scheduler):
    job = restored(submission_id=None)
    attempt = next(attempt for attempt, uid in silent.uids.items() if uid == job.uid)
    looks(scheduler)
    assert len(strays()) == 2

    Job._base_manager.filter(pk=job.pk).update(submission_id=attempt, _status=Status.SUBMITTED)
    FakeBackend.world.attempts.pop(rowless.submission_id)
    looks(scheduler, 1)

    assert strays() == []


def test_nothing_is_touched_unless_it_was_wished(silent, rowless, restored, scheduler):
    restored(submission_id=None, attempts=0)
    before = dict(silent.attempts)
    silent.exchanges.clear()

    looks(scheduler, 3)

    assert silent.attempts == before
    assert set(silent.exchanges) == {"open", "inventory"}


def test_what_is_wished_to_be_removed_is_removed_and_nothing_else(silent, rowless, at_scheduler, scheduler):
    other = at_scheduler("other")
    looks(scheduler)
    (stray,) = strays()
    stray.request(Stray.REMOVE, "ada")

    lifecycle.reconcile(scheduler.pk)

    assert [*silent.attempts] == [other.submission_id]
    assert strays() == []
    assert row(other).cached_status == "Submitted"


@pytest.mark.parametrize("status", [Status.PENDING, Status.OTHER])
def test_a_row_that_forgot_that_it_was_executed_adopts_its_attempt_and_ends_well(silent, restored, scheduler, status):
    job = restored(submission_id=None, attempts=0, execute_time=None, _status=status)
    ((attempt, _),) = silent.attempts.items()
    looks(scheduler)
    (stray,) = strays()
    assert (stray.job_number, stray.can_adopt) == (job.pk, True)

    stray.request(Stray.ADOPT, "ada")
    lifecycle.reconcile(scheduler.pk)

    adopted = row(job)
    assert (adopted.submission_id, adopted.native_id, adopted.attempts) == (attempt, f"fake-{attempt}", 1)
    assert JobEvent.objects.filter(job_id=job.pk, by="admin", message__contains="ada").count() == 1
    assert strays() == []
    FakeBackend.finish(job, "kept")
    lifecycle.refresh(scheduler.pk)
    lifecycle.fetch_results(job.pk)
    assert (row(job).cached_status, row(job).result) == ("Complete", "kept")
    assert silent.submitted == [job.pk]


def test_a_row_that_waits_as_another_attempt_adopts_what_is_there_and_is_submitted_no_more(silent, restored, scheduler):
    job = restored(submission_id=uuid4(), _status=Status.SUBMITTED)
    looks(scheduler)
    strays()[0].request(Stray.ADOPT, "ada")

    lifecycle.reconcile(scheduler.pk)
    lifecycle.submit(job.pk)

    assert row(job).native_id
    assert silent.submitted == [job.pk]


def test_a_row_that_is_being_submitted_is_left_to_its_worker(silent, restored, scheduler, settings):
    from django.utils import timezone

    job = restored(submission_id=uuid4(), _status=Status.SUBMITTED, submit_started_at=timezone.now())
    looks(scheduler)
    strays()[0].request(Stray.ADOPT, "ada")
    Job._base_manager.filter(pk=job.pk).update(leased_until=timezone.now())

    lifecycle.reconcile(scheduler.pk)

    assert row(job).native_id == ""
    (stray,) = strays()
    assert "in its hands" in stray.outcome
    assert stray.wish == Stray.ADOPT


def test_a_row_that_was_executed_anew_meanwhile_keeps_its_new_attempt(silent, restored, scheduler):
    job = restored(submission_id=None, attempts=0)
    looks(scheduler)
    strays()[0].request(Stray.ADOPT, "ada")
    row(job).execute("again")
    lifecycle.submit(job.pk)
    attempt = row(job).submission_id

    lifecycle.reconcile(scheduler.pk)

    assert row(job).submission_id == attempt
    (stray,) = strays()
    assert stray.outcome.startswith("Not done: ")
    assert not stray.can_adopt
    assert stray.wish == ""


def test_what_has_no_row_becomes_a_job_of_the_user_that_was_named(silent, rowless, scheduler, user):
    FakeBackend.world.results.clear()
    looks(scheduler)
    (stray,) = strays()
    with pytest.raises(JobsApiError, match="whose job"):
        stray.request(Stray.ADOPT, "ada")
    stray.request(Stray.ADOPT, "root", user, "flood")

    lifecycle.reconcile(scheduler.pk)

    job = Job.objects.get()
    assert (job.type, job.user, job.label, job.uid) == ("DaskJob", user, "flood", rowless.uid)
    assert strays() == []
    FakeBackend.finish(job, "kept")
    lifecycle.refresh(scheduler.pk)
    lifecycle.fetch_results(job.pk)
    assert (row(job).cached_status, row(job).result) == ("Complete", "kept")
    lifecycle.cleanup(job.pk)
    assert silent.attempts == {}


def test_an_adopted_job_that_is_lost_is_an_error_and_says_that_it_cannot_run_again(silent, rowless, scheduler, user):
    looks(scheduler)
    strays()[0].request(Stray.ADOPT, "root", user)
    lifecycle.reconcile(scheduler.pk)

    silent.attempts.clear()
    lifecycle.refresh(scheduler.pk)
    lifecycle.refresh(scheduler.pk)

    job = Job.objects.get()
    assert job.cached_status == "Error"
    assert "adopted" in job.status_message


def test_a_job_that_has_ended_adopts_nothing_and_what_is_left_can_be_removed(silent, at_scheduler, scheduler):
    job = at_scheduler()
    job.transition(Status.ERROR, by="worker", message="refused", cleanup_pending=False)
    looks(scheduler)
    (stray,) = strays()
    with pytest.raises(JobsApiError, match="is Error"):
        stray.request(Stray.ADOPT, "ada")

    stray.request(Stray.REMOVE, "ada")
    lifecycle.reconcile(scheduler.pk)

    assert silent.attempts == {}


def test_what_another_row_of_the_same_scheduler_has_is_no_stray_of_this_one(silent, at_scheduler, scheduler):
    at_scheduler()
    twin = create_dask_scheduler("twin", "127.0.0.1:1")
    twin.save()

    looks(twin)

    assert strays() == []


def test_a_wish_waits_while_the_scheduler_is_away_and_rescue_comes_back_to_it(at_scheduler, mailbox, scheduler):
    job = at_scheduler()
    Job._base_manager.filter(pk=job.pk).delete()
    looks(scheduler)
    strays()[0].request(Stray.REMOVE, "ada")
    Mailbox.sent.clear()  # the message is lost
    FakeBackend.world.unavailable = "No route to host."
    with pytest.raises(BackendUnavailable):
        lifecycle.reconcile(scheduler.pk)
    lifecycle.rescue()
    assert ("reconcile", scheduler.pk) not in Mailbox.sent

    FakeBackend.world.unavailable = ""
    Scheduler.objects.update(retry_at=None)
    lifecycle.rescue()
    assert ("reconcile", scheduler.pk) in Mailbox.sent
    lifecycle.reconcile(scheduler.pk)

    assert FakeBackend.world.attempts == {}
    assert Scheduler.objects.get().unreachable_since is None


def test_no_worker_is_asked_to_do_what_was_wished_at_a_scheduler_that_was_given_up(at_scheduler, mailbox, scheduler):
    job = at_scheduler()
    Job._base_manager.filter(pk=job.pk).delete()
    looks(scheduler)
    strays()[0].request(Stray.REMOVE, "ada")
    Scheduler.objects.update(given_up_at=timezone.now())
    Mailbox.sent.clear()

    lifecycle.rescue()

    assert ("reconcile", scheduler.pk) not in Mailbox.sent


def test_beat_asks_each_scheduler_once_an_interval(mailbox, scheduler):
    lifecycle.reconcile_due()
    Mailbox.deliver()
    lifecycle.reconcile_due()

    assert mailbox.sent == []
    Scheduler.objects.update(reconciled_at=None)
    lifecycle.reconcile_due()
    assert mailbox.sent == [("reconcile", scheduler.pk)]
    Scheduler.objects.filter(pk=scheduler.pk).get().give_up()
    mailbox.sent.clear()
    lifecycle.reconcile_due()
    assert mailbox.sent == []


def test_five_hundred_things_take_few_statements(silent, scheduler, django_assert_max_num_queries):
    for _ in range(500):
        attempt = uuid4()
        silent.attempts[attempt], silent.uids[attempt] = Observation(Status.RUNNING), uuid4()

    with django_assert_max_num_queries(25):  # SQLite takes 55 of such rows in one
        lifecycle.reconcile(scheduler.pk)
    with django_assert_max_num_queries(12):
        lifecycle.reconcile(scheduler.pk)

    assert Stray.objects.seen_twice().count() == 500


def test_after_a_restore_what_arrived_is_found_and_not_submitted_again(silent, restored, scheduler):
    job = restored(_status=Status.SUBMITTED)

    assert "1 waiting job" in said(restored=True)
    lifecycle.submit(job.pk)

    assert row(job).native_id
    assert silent.submitted == [job.pk]
    assert look_before_submitting() == 0


def test_the_command_reports_and_changes_nothing_until_told(silent, rowless, restored, scheduler, user):
    restored(submission_id=None, attempts=0)
    before = dict(silent.attempts)

    report = said()

    assert "2 strays, 0 seen once only, 0 rows that it does not know" in report
    assert "No job of the portal knows of it." in report
    assert "manage.py reconcile cluster --adopt ID" in report
    assert silent.attempts == before

    assert "removed" in said("cluster", remove=f"fake-{rowless.submission_id}")
    assert rowless.submission_id not in silent.attempts
    with pytest.raises(CommandError, match="no stray"):
        said("cluster", remove="another")
    assert "adopted" in said("cluster", adopt=strays()[0].native_id)
    assert strays() == []


def test_the_command_looks_again_when_the_grace_is_over(settings, silent, rowless, scheduler):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    assert "0 strays, 1 seen once only" in said(no_wait=True)
    Stray.objects.all().delete()
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 0.2}
    silent.exchanges.clear()

    report = said()

    assert "“cluster”: 1 seen the first time, maybe being submitted.\nLooking again in 0.2 s" in report
    assert "1 stray, 0 seen once only" in report
    assert silent.exchanges.count("inventory") == 2


def test_the_command_looks_at_all_schedulers_before_it_waits_once(settings, silent, rowless, scheduler):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 0.2}
    create_dask_scheduler("second", "127.0.0.1:2").save()
    report = said()

    assert "“second”: 1 seen the first time" in report
    assert report.count("Looking again") == 1
    assert report.count("1 stray, 0 seen once only") == 2
    assert silent.exchanges.count("inventory") == 4


def test_the_command_lists_some_and_says_how_many_more_there_are(silent, at_scheduler, scheduler, monkeypatch):
    monkeypatch.setattr(command, "SHOWN", 2)
    for number in range(3):
        Job._base_manager.filter(pk=at_scheduler(f"job {number}").pk).delete()

    report = said()

    assert report.count("No job of the portal knows of it.") == 2
    assert "… and 1 more; see the admin, under Strays." in report


def test_the_command_goes_by_the_databases_clock(settings, rowless, scheduler, monkeypatch):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    looks(scheduler, 1)
    monkeypatch.setattr(clock, "CLOCK", clock.Clock(timezone.now))
    monkeypatch.setattr(timezone, "now", lambda now=timezone.now: now() + timedelta(hours=1))

    assert "0 strays, 1 seen once only" in said(no_wait=True)


def test_the_command_adopts_for_the_user_that_is_named_and_for_nobody_else(silent, rowless, scheduler, user):
    native_id = f"fake-{rowless.submission_id}"
    with pytest.raises(CommandError, match="whose job"):
        said("cluster", adopt=native_id)
    with pytest.raises(CommandError, match="There is no user"):
        said("cluster", adopt=native_id, user="nobody")

    said("cluster", adopt=native_id, user=user.username)

    assert Job.objects.get().user == user


def test_the_command_shows_rows_that_the_scheduler_does_not_know(settings, silent, at_scheduler, scheduler):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    job = at_scheduler("vanished")
    FakeBackend.forget(job)
    lifecycle.refresh(scheduler.pk)

    report = said()

    assert "1 row that it does not know" in report
    assert "vanished" in report


def test_the_command_says_which_scheduler_it_could_not_reach(silent, scheduler):
    silent.unavailable = "No route to host."
    out = io.StringIO()
    with pytest.raises(CommandError, match="Not reached"):
        call_command("reconcile", stdout=out, stderr=out)
    assert out.getvalue() == "“cluster”: No route to host.\n"
    with pytest.raises(CommandError, match="There are: cluster"):
        said("another")
