"""A scheduler that is gone for good: an administrator gives it up, its jobs end, and its row can be deleted."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobsapi import clock, lifecycle
from jobsapi.models import Job, JobBlob, JobEvent, Scheduler
from jobsapi.status import Status
from jobsapi.testing import FakeBackend
from tests.lifecycle.conftest import background, time_passes
from tests.rig.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def row(job):
    return Job._base_manager.select_related("scheduler").get(pk=job.pk)


def give_up(name="cluster", **options):
    """Run the command; what it says."""
    said = io.StringIO()
    call_command("give_up_scheduler", name, no_input=True, stdout=said, **options)
    return said.getvalue()


@pytest.fixture
def execute(make_job):
    def make(name="job", **attributes):
        job = make_job(name, **attributes)
        job.execute("work")
        return job

    return make


@pytest.fixture
def cast(silent, execute, make_job):
    """Jobs of a scheduler that stopped answering: in every state that there is."""
    jobs = {name: execute(name) for name in ("waiting", "running", "stopping", "ready", "complete", "deleted")}
    for name in ("running", "stopping", "ready", "complete", "deleted"):
        lifecycle.submit(jobs[name].pk)
    FakeBackend.finish(jobs["complete"], "kept")
    lifecycle.refresh(jobs["complete"].scheduler_id)
    lifecycle.fetch_results(jobs["complete"].pk)
    FakeBackend.finish(jobs["ready"], "never fetched")
    lifecycle.refresh(jobs["ready"].scheduler_id)
    jobs["pending"] = make_job("pending")
    jobs["pending"].save()
    jobs["stopping"].stop()
    jobs["deleted"].delete()
    assert row(jobs["complete"]).cleanup_pending
    silent.unavailable = "No route to host."
    silent.exchanges.clear()
    return jobs


def test_what_had_not_ended_becomes_an_error_and_nothing_is_sent(silent, cast, scheduler):
    said = give_up()

    states = {name: row(job).cached_status for name, job in cast.items() if name != "deleted"}
    assert states == {
        "pending": "Pending",
        "waiting": "Error",
        "running": "Error",
        "stopping": "Error",
        "ready": "Error",
        "complete": "Complete",
    }
    assert silent.exchanges == []
    assert not Job._base_manager.filter(cleanup_pending=True).exists()
    assert not Job._base_manager.filter(pk=cast["deleted"].pk).exists()
    assert "“cluster” has 7 jobs, 5 of them under way, 1 deleted" in said
    assert "5 jobs became Error. What 1 other job may have left there is forgotten. 1 deleted job went" in said
    assert "“cluster” can be deleted now." in said
    event = JobEvent.objects.filter(job=cast["running"]).latest("id")
    assert (event.by, event.status) == ("admin", Status.ERROR)
    assert event.message == row(cast["running"]).status_message
    assert event.message.startswith("An administrator gave the scheduler “cluster” up: it is gone for good.")


def test_then_it_is_deleted_and_results_stay(cast):
    give_up()

    Scheduler.objects.get().delete()

    kept = row(cast["complete"])
    assert (kept.scheduler, kept.result, kept.cached_status) == (None, "kept", "Complete")
    assert kept.get_logs()["history"]
    assert row(cast["running"]).status_message.startswith("An administrator gave the scheduler “cluster” up")


def test_twice_is_the_same_as_once(cast):
    give_up()
    events = JobEvent.objects.count()

    said = give_up()

    assert JobEvent.objects.count() == events
    assert "0 jobs became Error." in said


def test_more_jobs_than_a_transaction_takes_end_too(silent, execute, monkeypatch):
    monkeypatch.setattr(lifecycle, "BATCH", 2)
    for number in range(5):
        execute(f"job {number}")

    give_up()

    assert set(Job.objects.values_list("_status", flat=True)) == {"ERR"}


def test_what_a_worker_has_in_hand_is_left_to_it_and_beat_comes_back_for_it(silent, execute, mailbox, scheduler):
    job, other = execute("in hand"), execute("other")
    Job.objects.filter(pk=job.pk).update(leased_until=timezone.now() + timedelta(seconds=30))

    with pytest.raises(CommandError, match=r"still has 2 jobs, 1 of them under way: workers have some in hand"):
        give_up(wait=0)
    assert (row(job).cached_status, row(other).cached_status) == ("Submitted", "Error")
    time_passes(60)
    mailbox.sent.clear()
    lifecycle.rescue()
    assert mailbox.sent == [("give_up", scheduler.pk)]
    mailbox.deliver()

    assert row(job).cached_status == "Error"
    mailbox.sent.clear()
    lifecycle.rescue()
    assert mailbox.sent == []


def test_the_command_judges_by_the_databases_clock_what_a_worker_has_in_hand(silent, execute, monkeypatch):
    job = execute()
    Job.objects.update(leased_until=timezone.now() + timedelta(seconds=30))
    monkeypatch.setattr(clock, "CLOCK", clock.Clock(timezone.now))
    monkeypatch.setattr(timezone, "now", lambda now=timezone.now: now() + timedelta(hours=1))

    with pytest.raises(CommandError, match="workers have some in hand"):
        give_up(wait=0.0)

    assert row(job).cached_status == "Submitted"


def test_a_worker_that_is_submitting_meanwhile_changes_nothing_any_more(blocking, execute, scheduler):
    blocking.blocked = "submit"
    job = execute()
    worker = background(lifecycle.submit, job.pk)
    eventually(lambda: blocking.inside == ["submit"])
    with pytest.raises(CommandError, match="workers have some in hand"):
        give_up(wait=0)
    assert row(job).cached_status == "Submitted"

    blocking.go_on.set()
    worker.join(20)
    lifecycle.rescue()
    give_up()

    assert (row(job).cached_status, row(job).cleanup_pending) == ("Error", False)
    Scheduler.objects.get().delete()


def test_a_worker_that_comes_back_from_the_dead_changes_nothing(blocking, execute, scheduler):
    blocking.blocked = "submit"
    job = execute()
    worker = background(lifecycle.submit, job.pk)
    eventually(lambda: blocking.inside == ["submit"])
    Job.objects.update(leased_until=None)  # as if it had slept for long
    give_up(wait=0)
    assert row(job).cached_status == "Error"

    blocking.go_on.set()
    worker.join(20)
    lifecycle.rescue()
    lifecycle.give_up(scheduler.pk)

    assert (row(job).cached_status, row(job).cleanup_pending) == ("Error", False)


def test_nobody_calls_a_scheduler_that_was_given_up(silent, execute, mailbox, scheduler):
    job = execute()
    scheduler.give_up()
    mailbox.sent.clear()

    lifecycle.refresh_due()
    lifecycle.refresh(scheduler.pk)
    lifecycle.submit(job.pk)
    lifecycle.rescue()

    assert silent.exchanges == []
    assert mailbox.sent == [("give_up", scheduler.pk)]


def test_one_that_was_not_given_up_is_left_alone(silent, execute, scheduler):
    job = execute()

    lifecycle.give_up(scheduler.pk)
    lifecycle.give_up(10**6)

    assert row(job).cached_status == "Submitted"


def test_its_input_and_history_are_kept(silent, execute):
    job = execute()

    give_up()

    assert JobBlob.objects.get(job=job).purpose == "input"
    assert row(job).open_input()


def test_an_unknown_name_is_answered_with_the_known_ones(scheduler):
    with pytest.raises(CommandError, match=r"no scheduler “clutser”\. There are: cluster"):
        give_up("clutser")


@pytest.mark.parametrize("answer", ["", "n", "Y?"])
def test_it_asks_first_and_takes_no_other_answer_for_yes(silent, scheduler, monkeypatch, answer):
    monkeypatch.setattr("builtins.input", lambda question: answer)

    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("give_up_scheduler", "cluster", stdout=io.StringIO())

    assert Scheduler.objects.get().given_up_at is None


def test_yes_is_taken_for_yes(silent, scheduler, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: "y")

    call_command("give_up_scheduler", "cluster", stdout=io.StringIO())

    assert Scheduler.objects.get().given_up_at is not None
