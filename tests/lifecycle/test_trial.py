"""A test of a scheduler: asked for by an administrator, done by one worker, written step by step."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.backends.base import Finding, Outcome, Step
from jobsapi.compute import create_condor_scheduler
from jobsapi.exceptions import BackendUnavailable, InvalidJob, JobsApiError
from jobsapi.models import Scheduler
from jobsapi.models.reports import Stage
from jobsapi.testing import FakeBackend
from tests.lifecycle.conftest import background, time_passes
from tests.rig.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def stored() -> Scheduler:
    return Scheduler.objects.get()


def test_the_report_has_what_every_step_has_found(fake, scheduler):
    assert scheduler.request_check()

    report = stored().report
    assert (report.stage, report.outcome, report.words, report.capacity) == (Stage.OVER, "good", "well", 1)
    assert [(step.title, step.message) for step in report.steps] == [
        ("Connection", "The fake is here."),
        ("Workers", "There is one worker."),
        ("A tiny job", "It ran through."),
    ]
    assert stored().checked_at is not None


def test_a_request_waits_for_a_worker_and_a_second_one_changes_nothing(mailbox, scheduler):
    assert scheduler.request_check()
    assert not scheduler.request_check()

    assert mailbox.sent == [("check", scheduler.pk)]
    assert stored().report.stage == Stage.WAITING


def test_a_second_request_while_a_test_is_under_way_starts_none(blocking, scheduler):
    blocking.blocked = "workers"
    scheduler.request_check()
    worker = background(lifecycle.check, scheduler.pk)
    eventually(lambda: blocking.inside)

    report = stored().report
    assert report.stage == Stage.UNDER_WAY
    assert [(step.title, step.outcome) for step in report.steps] == [("Connection", "good"), ("Workers", "")]
    assert not stored().request_check()
    lifecycle.check(scheduler.pk)

    blocking.go_on.set()
    worker.join(20)
    assert stored().report.stage == Stage.OVER
    assert blocking.world.exchanges == ["check", "workers", "tiny job"]


def test_a_message_that_comes_twice_tests_once(silent, scheduler):
    scheduler.request_check()
    lifecycle.check(scheduler.pk)
    lifecycle.check(scheduler.pk)

    assert silent.exchanges == ["check", "workers", "tiny job"]


def test_a_lost_message_is_made_good(mailbox, scheduler):
    scheduler.request_check()
    mailbox.sent.clear()

    lifecycle.rescue()

    assert mailbox.sent == [("check", scheduler.pk)]


def test_a_test_whose_worker_died_is_called_interrupted_and_can_be_asked_for_again(blocking, scheduler):
    blocking.blocked = "workers"
    scheduler.request_check()
    worker = background(lifecycle.check, scheduler.pk)
    eventually(lambda: blocking.inside)
    Scheduler.objects.update(check_leased_until=timezone.now() - timedelta(minutes=1))

    assert stored().report.stage == Stage.INTERRUPTED
    assert stored().request_check()
    blocking.go_on.set()
    worker.join(20)
    assert stored().report.stage == Stage.WAITING


def test_a_scheduler_that_does_not_answer_opens_the_breaker_and_is_tested_all_the_same(silent, scheduler):
    silent.unavailable = "Connection refused."
    scheduler.request_check()
    lifecycle.check(scheduler.pk)
    away = stored()
    assert away.report.words == "failed at “Connection”"
    assert away.report.steps[0].message == "Connection refused."
    assert (away.last_error, away.failures) == ("Connection refused.", 1)
    assert away.retry_at > timezone.now()

    silent.unavailable = ""
    away.request_check()
    lifecycle.check(scheduler.pk)

    back = stored()
    assert back.report.outcome == "good"
    assert (back.last_error, back.failures, back.retry_at, back.unreachable_since) == ("", 0, None, None)


def test_what_waited_for_a_scheduler_goes_on_when_a_test_finds_it_back(mailbox, make_job, scheduler):
    job = make_job()
    job.execute()
    Scheduler.objects.update(failures=2, retry_at=timezone.now() + timedelta(hours=1))
    scheduler.request_check()
    mailbox.sent.clear()

    lifecycle.check(scheduler.pk)

    assert ("submit", job.pk) in mailbox.sent


def test_a_tiny_job_that_is_refused_says_so_and_the_scheduler_counts_as_there(silent, scheduler, monkeypatch):
    def steps(self):
        yield Step("Connection", lambda: Finding("The fake is here."))
        yield Step("A tiny job", refuse)
        yield Step("Never", lambda: Finding("This is not tried any more."))

    def refuse():
        raise InvalidJob("No accounting group.", "the traceback")

    monkeypatch.setattr(FakeBackend, "check", steps)
    scheduler.request_check()
    lifecycle.check(scheduler.pk)

    report = stored().report
    assert [step.title for step in report.steps] == ["Connection", "A tiny job"]
    assert (report.outcome, report.steps[-1].detail) == ("bad", "the traceback")
    assert stored().last_error == ""


def test_an_error_of_our_own_is_told_and_says_nothing_of_the_scheduler(silent, scheduler, monkeypatch):
    def steps(self):
        yield Step("Connection", lambda: 1 // 0)

    monkeypatch.setattr(FakeBackend, "check", steps)
    Scheduler.objects.update(last_error="It was away.")
    scheduler.request_check()
    lifecycle.check(scheduler.pk)

    assert "ZeroDivisionError" in stored().report.steps[0].message
    assert stored().last_error == "It was away."


def test_a_doubtful_step_ends_nothing_and_is_what_the_list_shows(silent, scheduler):
    silent.findings["workers"] = Finding("No worker is connected.", Outcome.DOUBTFUL, capacity=0)
    scheduler.request_check()
    lifecycle.check(scheduler.pk)

    report = stored().report
    assert (report.outcome, report.words, report.capacity) == ("doubtful", "look at “Workers”", 0)
    assert len(report.steps) == 3


def test_a_busy_scheduler_is_tested_when_a_thread_is_free(blocking, make_job, scheduler, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "SCHEDULER_THREADS": 1}
    blocking.blocked = "poll"
    worker = background(lifecycle.refresh, scheduler.pk)
    eventually(lambda: blocking.inside)
    scheduler.request_check()

    lifecycle.check(scheduler.pk)
    assert stored().report.stage == Stage.WAITING

    blocking.go_on.set()
    worker.join(20)
    lifecycle.check(scheduler.pk)
    assert stored().report.stage == Stage.OVER


def test_one_that_was_given_up_is_not_tested(silent, scheduler):
    scheduler.give_up()

    with pytest.raises(JobsApiError, match="was given up"):
        scheduler.request_check()


def test_a_report_outlives_its_lease(fake, scheduler):
    scheduler.request_check()

    time_passes(3600)

    assert stored().report.stage == Stage.OVER
    assert stored().request_check()


def test_a_row_that_makes_no_sense_fails_at_its_first_step(silent, scheduler, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {}}
    Scheduler.objects.update(host="")
    scheduler.request_check()

    lifecycle.check(scheduler.pk)

    (step,) = stored().report.steps
    assert (step.title, step.outcome) == ("Connection", "bad")
    assert "has no host" in step.message


def test_a_password_whose_key_is_gone_is_told_and_says_nothing_of_the_scheduler(fake, settings):
    pool = create_condor_scheduler("pool", "submit.example.org")
    pool.save()
    pool.request_check()
    assert stored().report.outcome == "good"
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {}}
    Scheduler.objects.update(_password="sealed with a key that is gone", last_error="It was away.")

    stored().request_check()

    (step,) = stored().report.steps
    assert (stored().report.stage, step.outcome) == (Stage.OVER, "bad")
    assert "its key is gone from SEALING_KEYS. Enter it again." in step.message
    assert stored().last_error == "It was away."


def test_a_test_begins_with_an_empty_report(silent, scheduler, monkeypatch):
    scheduler.request_check()
    lifecycle.check(scheduler.pk)
    begun = []

    def steps(self):
        begun.append(stored().report)
        yield Step("Connection", lambda: Finding("The fake is here."))

    monkeypatch.setattr(FakeBackend, "check", steps)
    scheduler.request_check()
    lifecycle.check(scheduler.pk)

    assert [(report.stage, report.steps, report.outcome) for report in begun] == [(Stage.UNDER_WAY, [], "")]


def test_an_error_of_our_own_before_the_first_step_is_told(silent, scheduler, monkeypatch):
    def steps(self):
        yield from [1 // 0]

    monkeypatch.setattr(FakeBackend, "check", steps)
    scheduler.request_check()
    lifecycle.check(scheduler.pk)

    (step,) = stored().report.steps
    assert stored().report.words == "failed at “Connection”"
    assert step.message.startswith("ZeroDivisionError")
    assert "Traceback" in step.detail


def test_what_fails_while_a_test_clears_up_does_not_hide_what_it_has_found(silent, scheduler, monkeypatch):
    def steps(self):
        try:
            yield Step("Connection", refuse)
        finally:
            clear_up()

    def refuse():
        raise BackendUnavailable("Connection refused.")

    def clear_up():
        raise InvalidJob("Its folder is still there.")

    monkeypatch.setattr(FakeBackend, "check", steps)
    scheduler.request_check()
    lifecycle.check(scheduler.pk)

    found = [(step.title, step.message) for step in stored().report.steps]
    assert found == [("Connection", "Connection refused."), ("The test itself", "Its folder is still there.")]
    assert stored().last_error == "Connection refused."
