"""What is judged by time goes by one clock, and by none while it has just been set."""

from datetime import UTC, datetime, timedelta

import pytest
from celery.signals import beat_init, worker_init, worker_process_init
from django.db import OperationalError, connection
from django.utils import timezone

from jobsapi import clock, lifecycle
from jobsapi.clock import CLOCK, Clock, database_time
from jobsapi.lease import lease
from jobsapi.models import Job, Scheduler
from tests.lifecycle.conftest import time_passes
from tests.rig.eventually import eventually
from worker.clocks import keep_time

LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Wall:
    """A clock on a wall, which anybody may set."""

    def __init__(self, shows=LONG_AGO):
        self.shows = shows

    def __call__(self):
        if self.shows is None:
            raise OperationalError("The server is away.")
        return self.shows


@pytest.fixture
def short(settings):
    """Leases that last a moment."""
    settings.JOBSAPI = {**settings.JOBSAPI, "LEASE": 0.05}


@pytest.fixture
def unsettled(monkeypatch):
    """This process's clock was set a moment ago."""
    wall = Wall(timezone.now())
    monkeypatch.setattr(clock, "CLOCK", Clock(wall))
    clock.CLOCK.ask()
    assert not clock.CLOCK.settled
    return wall


def test_it_shows_the_time_that_it_was_told_and_counts_on():
    ours = Clock(Wall())
    ours.ask()

    first = ours.now()
    assert timedelta(0) <= first - LONG_AGO < HOUR
    assert eventually(lambda: ours.now() > first)


def test_without_being_kept_it_is_the_machines_and_settled():
    ours = Clock(Wall())

    assert abs(ours.now() - timezone.now()) < HOUR
    assert ours.settled
    assert not ours.settles_doubt()


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_after_a_jump_nothing_is_settled_for_as_long_as_a_lease_lasts(short, step, monkeypatch):
    monkeypatch.setattr(clock, "INTERVAL", 0.05)
    wall = Wall()
    ours = Clock(wall)
    ours.ask()
    eventually(ours.settles_doubt)
    wall.shows += step

    ours.ask()

    assert not ours.settled
    assert not ours.settles_doubt()
    assert abs(ours.now() - wall.shows) < timedelta(minutes=1)
    assert eventually(ours.settles_doubt)
    assert ours.settled
    assert not ours.settles_doubt()


def test_what_a_slow_answer_explains_is_no_jump(short, monkeypatch):
    monkeypatch.setattr(clock, "INTERVAL", 0.05)
    wall = Wall()
    ours = Clock(wall)
    ours.ask()
    eventually(lambda: ours.settled)
    wall.shows = ours.now() + timedelta(seconds=clock.JUMP / 2)

    ours.ask()

    assert ours.settled


def test_a_command_takes_its_answer_without_doubt_and_for_itself_only():
    ours = Clock(Wall())

    with ours.asked_once():
        assert ours.now() - LONG_AGO < HOUR
        assert ours.settled
        assert not ours.settles_doubt()

    assert abs(ours.now() - timezone.now()) < HOUR


def test_where_the_clock_is_kept_a_command_changes_nothing():
    wall = Wall()
    ours = Clock(wall)
    ours.ask()
    wall.shows += HOUR

    with ours.asked_once():
        assert not ours.settled
        assert ours.now() - LONG_AGO < HOUR

    assert ours.now() - LONG_AGO < HOUR


@pytest.mark.django_db
def test_a_command_whose_database_is_away_goes_by_its_machine():
    ours = Clock(Wall(None))

    with ours.asked_once():
        assert abs(ours.now() - timezone.now()) < HOUR
        assert ours.settled


def test_workers_and_beat_keep_it():
    for signal in (worker_init, worker_process_init, beat_init):
        assert keep_time in [receiver() for _, receiver in signal.receivers]


@pytest.mark.django_db
def test_a_database_that_is_away_leaves_the_time_as_it_was():
    wall = Wall()
    ours = Clock(wall)
    ours.ask()
    wall.shows = None

    ours.ask()

    assert ours.now() - LONG_AGO < HOUR


@pytest.mark.django_db
def test_the_database_is_asked_for_its_own_time_where_it_has_one(django_assert_num_queries):
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 0):
        told = database_time()

    assert told.tzinfo is not None
    assert abs(told - timezone.now()) < timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_a_lease_that_looks_over_is_left_alone_until_all_is_settled(make_job, unsettled, monkeypatch):
    job = make_job("job")
    job.save()
    Job.objects.update(leased_until=timezone.now() - HOUR)

    with lease(Job.objects.all(), "leased_until") as held:
        assert held.rows == []

    monkeypatch.setattr(clock, "CLOCK", CLOCK)
    with lease(Job.objects.all(), "leased_until") as held:
        assert held.rows == [job]


@pytest.mark.django_db(transaction=True)
def test_a_step_for_such_a_job_is_left_for_later_and_ends(make_job, silent, unsettled, monkeypatch):
    job = make_job("job")
    job.execute("work")
    Job.objects.update(leased_until=timezone.now() - HOUR)

    lifecycle.submit(job.pk)
    assert silent.submitted == []

    monkeypatch.setattr(clock, "CLOCK", CLOCK)
    lifecycle.submit(job.pk)
    assert silent.submitted == [job.pk]


@pytest.mark.django_db(transaction=True)
def test_an_hour_that_nobody_has_waited_loses_no_job(make_job, silent, settings, unsettled, monkeypatch):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    job = make_job("job")
    job.execute("work")
    lifecycle.submit(job.pk)
    silent.attempts.clear()
    lifecycle.refresh(job.scheduler_id)
    time_passes(3600)

    lifecycle.refresh(job.scheduler_id)
    assert Job.objects.get().attempts == 1

    monkeypatch.setattr(clock, "CLOCK", CLOCK)
    lifecycle.refresh(job.scheduler_id)
    assert Job.objects.get().attempts == 2


@pytest.mark.django_db(transaction=True)
def test_what_a_clock_that_was_set_back_has_left_in_the_future_is_taken_back(make_job, silent, unsettled):
    job = make_job("job")
    job.execute("work")
    later = timezone.now() + HOUR
    Job.objects.update(leased_until=later)
    Scheduler.objects.update(polled_at=later, retry_at=later, refresh_requested_at=later, poll_leased_until=later)
    columns = ("polled_at", "retry_at", "refresh_requested_at", "poll_leased_until")

    lifecycle.rescue()
    assert Job.objects.get().leased_until == later

    clock.CLOCK._settled_at = 0.0
    lifecycle.rescue()
    now = timezone.now()
    assert Job.objects.get().leased_until <= now
    assert all(value <= now for value in Scheduler.objects.values_list(*columns).get())
