"""What a worker does to jobs: safe to run twice, at the same time, and after any failure."""

import pickle
import re
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.backends.base import Observation
from jobsapi.compute import create_dask_scheduler, get_scheduler
from jobsapi.exceptions import (
    BackendUnavailable,
    InvalidJob,
    JobsApiError,
    NotSupported,
    TransitionNotAllowed,
    WaitTimeout,
)
from jobsapi.models import Job, JobBlob, JobEvent, Purpose, Scheduler
from jobsapi.status import Status
from jobsapi.testing import FakeBackend
from tests.lifecycle import functions
from tests.lifecycle.conftest import at_once, background, time_passes
from tests.rig.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

FUNCTIONS = "tests.lifecycle.functions"


def row(job):
    """The job as its row is now."""
    return Job._base_manager.select_related("scheduler").get(pk=job.pk)


def history(job):
    return [(event.by, event.get_status_display()) for event in JobEvent.objects.filter(job_id=job.pk)]


def use_backend(settings, name):
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": f"tests.lifecycle.conftest.{name}"}}


@pytest.fixture
def execute(make_job):
    """Create and execute a job."""

    def make(*args, name="job {id}", **attributes):
        job = make_job(name, **attributes)
        job.execute(*args)
        return job

    return make


@pytest.fixture
def other_scheduler(db):
    scheduler = create_dask_scheduler("free", "127.0.0.1:2")
    scheduler.save()
    return scheduler


class TestTheMainPath:
    def test_a_job_goes_from_execute_to_its_stored_result(self, fake, execute):
        job = execute("work")
        assert row(job).cached_status == "Submitted"
        assert row(job).native_id == f"fake-{job.submission_id}"

        FakeBackend.say(job, Observation(Status.RUNNING, "on node 3", progress_done=1, progress_total=3))
        lifecycle.refresh(job.scheduler_id)
        running = row(job)
        assert (running.cached_status, running.status_message, running.progress_done) == ("Running", "on node 3", 1)

        FakeBackend.finish(job, {"answer": 42})
        lifecycle.refresh(job.scheduler_id)

        done = row(job)
        assert (done.cached_status, done.result, done.progress_done) == ("Complete", {"answer": 42}, 3)
        assert done.execute_time <= done.start_time <= done.completion_time
        assert done.run_time == done.completion_time - done.start_time
        assert not done.cleanup_pending
        assert fake.attempts == {}
        assert done.backend_state["preview"] == "{'answer': 42}"
        assert history(job) == [
            ("execute", "Submitted"),
            ("worker", "Submitted"),
            ("scheduler", "Running"),
            ("scheduler", "Results-Ready"),
            ("worker", "Complete"),
        ]
        assert job.wait(0) == "Complete"
        assert done.done()

    def test_executing_costs_one_short_transaction(self, silent, make_job):
        job = make_job("job {id}")

        with CaptureQueriesContext(connection) as queries:
            job.execute("work")

        words = [query["sql"].split()[0] for query in queries]
        assert words.count("BEGIN") == words.count("COMMIT") == 1
        assert len(queries) <= 16
        assert silent.exchanges == []

    @pytest.mark.parametrize("status", [Status.COMPLETE, Status.VARIOUS_COMPLETE])
    def test_the_results_say_how_it_ended(self, fake, execute, status):
        job = execute()
        FakeBackend.finish(job, [1, None], status)

        lifecycle.refresh(job.scheduler_id)

        assert row(job)._status == status
        assert row(job).result == [1, None]

    def test_an_error_keeps_the_schedulers_words_and_its_traceback(self, fake, execute):
        job = execute()
        FakeBackend.say(job, Observation(Status.ERROR, "ZeroDivisionError: by zero", detail="Traceback: line 3"))

        lifecycle.refresh(job.scheduler_id)

        assert (row(job).cached_status, row(job).status_message) == ("Error", "ZeroDivisionError: by zero")
        assert JobEvent.objects.latest("id").detail == "Traceback: line 3"
        assert "Traceback: line 3" in row(job).get_logs()["history"]
        assert "cleanup" in fake.exchanges

    def test_a_job_that_the_scheduler_refuses_is_an_error_with_its_words(self, fake, execute):
        fake.refuses = "There is no queue called “gpu”."

        job = execute()

        assert (row(job).cached_status, row(job).status_message) == ("Error", "There is no queue called “gpu”.")
        assert row(job).result is None

    def test_one_job_that_is_refused_spoils_no_other(self, silent, execute):
        jobs = [execute(name=f"job {n}") for n in range(3)]
        JobBlob.objects.filter(job=jobs[1]).update(sealed=b"tampered")

        lifecycle.submit(jobs[0].pk)

        assert [row(job).cached_status for job in jobs] == ["Submitted", "Error", "Submitted"]
        assert "The stored input is not what this portal sealed" in row(jobs[1]).status_message
        assert silent.submitted == [jobs[0].pk, jobs[2].pk]

    def test_a_job_goes_on_whatever_label_its_app_gave_it_meanwhile(self, silent, execute):
        job = execute()
        job.update_status("Preparing data")

        lifecycle.submit(job.pk)
        assert (row(job).cached_status, row(job).native_id != "") == ("Preparing data", True)
        FakeBackend.finish(job, 1)
        lifecycle.refresh(job.scheduler_id)
        lifecycle.fetch_results(job.pk)

        assert (row(job).cached_status, row(job).result) == ("Complete", 1)

    def test_a_status_that_an_app_has_set_submits_nothing(self, silent, make_job):
        job = make_job()
        job.update_status("Preparing data")

        lifecycle.submit(job.pk)
        lifecycle.rescue()

        assert silent.submitted == []
        assert row(job).cached_status == "Preparing data"

    def test_waiting_jobs_are_handed_over_by_priority_then_age(self, silent, execute):
        jobs = [execute(name=f"job {priority}", priority=priority) for priority in (0, 5, -1, 5)]

        lifecycle.submit(jobs[0].pk)

        assert silent.submitted == [jobs[1].pk, jobs[3].pk, jobs[0].pk, jobs[2].pk]


class TestAcceptedOnce:
    def test_a_message_that_comes_many_times_submits_once(self, silent, execute):
        job = execute()

        for _ in range(3):
            lifecycle.submit(job.pk)

        assert silent.submitted == [job.pk]

    def test_many_workers_at_once_submit_each_job_once(self, silent, execute):
        jobs = [execute(name=f"job {n}") for n in range(6)]

        outcomes = at_once(*(lambda pk=job.pk: lifecycle.submit(pk) for job in jobs[:4]))
        lifecycle.submit(jobs[0].pk)

        assert outcomes == [None] * 4
        assert sorted(silent.submitted) == [job.pk for job in jobs]
        assert all(row(job).native_id for job in jobs)
        assert [row(job).leased_until for job in jobs] == [None] * 6

    def test_a_worker_leaves_alone_what_another_is_submitting(self, blocking, silent, execute):
        job = execute()
        blocking.blocked = "submit"
        worker = background(lifecycle.submit, job.pk)
        eventually(lambda: blocking.inside)

        lifecycle.submit(job.pk)
        lifecycle.rescue()
        assert silent.submitted == []
        blocking.go_on.set()
        worker.join(20)

        assert silent.submitted == [job.pk]
        assert history(job) == [("execute", "Submitted"), ("worker", "Submitted")]

    def test_a_double_click_executes_once(self, silent, make_job):
        job = make_job()
        job.save()
        clicks = [Job.objects.get(), Job.objects.get()]

        outcomes = at_once(*(lambda click=click: click.execute("work") for click in clicks))
        lifecycle.submit(job.pk)

        assert sorted(type(outcome) for outcome in outcomes if outcome) == [TransitionNotAllowed]
        assert silent.submitted == [job.pk]
        assert row(job).attempts == 1
        assert history(job)[0] == ("execute", "Submitted")

    def died_while_submitting(self, job, seconds_ago=0.0):
        """The row as a worker left it that was killed within the submit command."""
        until = timezone.now() - timedelta(seconds=seconds_ago)
        Job._base_manager.filter(pk=job.pk).update(submit_started_at=until, leased_until=until, cleanup_pending=True)

    def test_what_a_killed_worker_had_handed_over_is_adopted(self, silent, execute):
        job = execute()
        self.died_while_submitting(job, seconds_ago=21)
        silent.attempts[job.submission_id] = Observation(Status.RUNNING)

        lifecycle.submit(job.pk)

        assert silent.submitted == []
        assert silent.exchanges == ["open", "find"]
        assert row(job).native_id == f"fake-{job.submission_id}"
        assert "An earlier try had arrived" in JobEvent.objects.latest("id").message

    def test_what_a_killed_worker_had_not_handed_over_is_submitted(self, silent, execute):
        job = execute()
        self.died_while_submitting(job, seconds_ago=21)

        lifecycle.submit(job.pk)

        assert silent.submitted == [job.pk]
        assert silent.exchanges == ["open", "find", "stage", "submit"]

    @pytest.mark.parametrize("seconds_ago", [-5, 1, 19])
    def test_a_second_try_waits_while_the_first_may_still_land(self, silent, mailbox, execute, seconds_ago):
        job = execute()
        self.died_while_submitting(job, seconds_ago)
        mailbox.sent.clear()

        lifecycle.submit(job.pk)
        lifecycle.rescue()

        assert silent.exchanges == []
        assert mailbox.sent == []
        assert row(job).native_id == ""

    def test_a_try_that_was_cut_short_is_looked_for_before_another(self, settings, silent, execute):
        job = execute()
        use_backend(settings, "LosesTheLine")

        with pytest.raises(BackendUnavailable):
            lifecycle.submit(job.pk)
        time_passes(10)
        lifecycle.submit(job.pk)
        assert silent.submitted == [job.pk]
        assert row(job).native_id == ""
        assert row(job).leased_until is not None

        time_passes(30 + 1 + 20)
        lifecycle.submit(job.pk)

        assert silent.submitted == [job.pk]
        assert row(job).native_id == f"fake-{job.submission_id}"
        assert row(job).leased_until is None

    def test_one_try_that_was_cut_short_holds_up_no_other_job(self, settings, silent, execute):
        job = execute()
        use_backend(settings, "LosesTheLine")
        with pytest.raises(BackendUnavailable):
            lifecycle.submit(job.pk)
        settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": "jobsapi.testing.FakeBackend"}}
        time_passes(5)

        other = execute(name="other")
        lifecycle.submit(other.pk)

        assert silent.submitted == [job.pk, other.pk]
        assert row(other).native_id != ""
        assert row(job).native_id == ""


class TestStopping:
    def test_a_job_stopped_before_its_turn_is_never_submitted(self, silent, execute):
        job = execute()

        job.stop()
        lifecycle.submit(job.pk)
        lifecycle.cancel(job.pk)

        assert silent.exchanges == []
        assert (row(job).cached_status, row(job).status_message) == ("Aborted", "Stopped before it was submitted.")
        assert job.cached_status == "Aborted"

    def test_a_pending_job_is_stopped_on_the_spot(self, silent, make_job):
        job = make_job()
        job.save()

        job.stop()

        assert row(job).cached_status == "Aborted"
        with pytest.raises(TransitionNotAllowed):
            job.execute()

    def test_a_running_job_is_aborted_when_the_scheduler_confirms(self, silent, execute):
        job = execute()
        lifecycle.submit(job.pk)
        FakeBackend.say(job, Observation(Status.RUNNING))
        lifecycle.refresh(job.scheduler_id)

        job.stop()
        assert (row(job).cached_status, row(job).requested) == ("Running", "cancel")
        lifecycle.cancel(job.pk)

        assert (row(job).cached_status, row(job).status_message) == ("Aborted", "Stopped.")
        assert ("cancel", "Running") in history(job)

    def test_a_scheduler_that_takes_its_time_confirms_at_a_refresh(self, silent, execute):
        silent.cancel_takes_a_while = True
        job = execute()
        lifecycle.submit(job.pk)

        job.stop()
        lifecycle.cancel(job.pk)
        assert row(job).cached_status == "Submitted"
        lifecycle.refresh(job.scheduler_id)

        assert (row(job).cached_status, row(job).status_message) == ("Aborted", "Removed by the user.")

    def test_a_stopped_job_that_the_scheduler_has_forgotten_is_aborted(self, settings, silent, execute):
        settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
        job = execute()
        lifecycle.submit(job.pk)
        job.stop()
        FakeBackend.forget(job)

        lifecycle.refresh(job.scheduler_id)

        assert row(job).cached_status == "Aborted"

    def test_stopping_twice_is_the_same_as_once(self, silent, execute):
        job = execute()
        lifecycle.submit(job.pk)

        job.stop()
        job.stop()
        row(job).stop()

        assert history(job).count(("cancel", "Submitted")) == 1

    def test_a_job_that_has_ended_cannot_be_stopped(self, fake, execute):
        job = execute()
        FakeBackend.finish(job)
        lifecycle.refresh(job.scheduler_id)

        with pytest.raises(
            TransitionNotAllowed, match=r"is Complete and cannot become Aborted now\. It has ended already"
        ):
            job.stop()

        assert row(job).requested == ""

    def test_a_job_stopped_while_it_is_being_submitted_is_stopped_after_that(self, blocking, fake, settings, execute):
        job = execute()
        settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher"}
        blocking.blocked = "submit"
        worker = background(lifecycle.submit, job.pk)
        eventually(lambda: blocking.inside)

        job.stop()
        assert (row(job).cached_status, row(job).requested) == ("Submitted", "cancel")
        blocking.go_on.set()
        worker.join(20)

        assert row(job).cached_status == "Aborted"
        assert fake.attempts == {}

    def test_a_job_to_be_stopped_whose_worker_was_killed_is_looked_for_first(self, silent, execute):
        job = execute()
        TestAcceptedOnce().died_while_submitting(job, seconds_ago=0)
        silent.attempts[job.submission_id] = Observation(Status.RUNNING)
        job.stop()

        lifecycle.cancel(job.pk)
        assert row(job).cached_status == "Submitted"
        time_passes(21)
        lifecycle.cancel(job.pk)

        assert row(job).cached_status == "Aborted"
        assert silent.attempts[job.submission_id].status == Status.ABORTED
        assert silent.submitted == []

    def test_a_job_stopped_while_its_scheduler_is_away_is_stopped_when_it_is_back(self, fake, execute):
        job = execute()
        fake.unavailable = "Connection refused."

        job.stop()
        assert (row(job).cached_status, row(job).requested) == ("Submitted", "cancel")
        fake.unavailable = ""
        time_passes(60)
        lifecycle.rescue()

        assert row(job).cached_status == "Aborted"

    def test_results_of_a_job_to_be_stopped_are_not_fetched(self, silent, execute):
        job = execute()
        lifecycle.submit(job.pk)
        FakeBackend.finish(job, 1)
        lifecycle.refresh(job.scheduler_id)
        job.stop()

        lifecycle.fetch_results(job.pk)
        lifecycle.cancel(job.pk)

        assert (row(job).cached_status, row(job).result) == ("Aborted", None)


class TestPausing:
    def test_a_job_is_paused_and_resumed_when_the_scheduler_says_so(self, silent, pausable, execute):
        job = execute()
        lifecycle.submit(job.pk)

        job.pause()
        assert (row(job).cached_status, row(job).requested) == ("Submitted", "hold")
        lifecycle.hold(job.pk)
        assert row(job).cached_status == "Submitted"
        lifecycle.refresh(job.scheduler_id)
        held = row(job)
        assert (held.cached_status, held.status_message, held.requested) == ("Paused", "Held by the user.", "")

        held.resume()
        lifecycle.release(job.pk)
        lifecycle.refresh(job.scheduler_id)
        assert (row(job).cached_status, row(job).requested) == ("Running", "")

    def test_a_job_that_is_not_accepted_yet_is_paused_once_it_is(self, fake, pausable, mailbox, execute):
        job = execute()
        job.pause()

        lifecycle.rescue()
        mailbox.deliver()
        lifecycle.rescue()
        mailbox.deliver()
        lifecycle.refresh(job.scheduler_id)

        assert row(job).cached_status == "Paused"

    @pytest.mark.parametrize(("command", "word"), [("pause", "paused"), ("resume", "resumed")])
    def test_a_backend_that_cannot_says_so_in_a_sentence(self, blocking, execute, command, word):
        job = execute()

        with pytest.raises(NotSupported, match=f"A DaskJob cannot be {word}.*can be stopped and resubmitted"):
            getattr(job, command)()

        assert row(job).requested == ""

    @pytest.mark.parametrize(
        ("command", "words"),
        [("pause", "cannot become Paused now.*can be paused"), ("resume", "cannot become Running now.*can be resumed")],
    )
    def test_a_job_that_was_not_executed_or_is_being_stopped_is_refused(
        self, silent, pausable, make_job, execute, command, words
    ):
        pending, stopping = make_job(), execute()
        pending.save()
        lifecycle.submit(stopping.pk)
        stopping.stop()

        for job in (pending, stopping):
            with pytest.raises(TransitionNotAllowed, match=words):
                getattr(job, command)()
        assert row(stopping).requested == "cancel"


class TestResults:
    @pytest.fixture
    def finished(self, execute):
        """A job whose scheduler is done with it, before a worker has noticed."""

        def make(value=None, **attributes):
            job = execute(**attributes)
            if not row(job).native_id:
                lifecycle.submit(job.pk)
            FakeBackend.finish(job, value)
            return job

        return make

    @pytest.mark.parametrize("value", [None, 0, "text", [1, 2], {"a": (1, 2)}, b"\x00", float("nan")])
    def test_plain_values_come_back(self, fake, finished, value):
        job = finished(value)

        lifecycle.refresh(job.scheduler_id)

        assert repr(row(job).result) == repr(value)
        assert row(job).cached_status == "Complete"

    def test_a_job_asked_to_forget_keeps_no_result(self, fake, finished):
        job = finished("secret", forget=True)

        lifecycle.refresh(job.scheduler_id)

        assert (row(job).cached_status, row(job).result) == ("Complete", None)
        assert not JobBlob.objects.filter(purpose=Purpose.RESULT).exists()

    def test_two_workers_store_one_result(self, blocking, silent, finished):
        job = finished(42)
        lifecycle.refresh(job.scheduler_id)

        at_once(*[lambda: lifecycle.fetch_results(job.pk)] * 4)

        assert row(job).result == 42
        assert silent.exchanges.count("fetch_results") == 1
        assert history(job).count(("worker", "Complete")) == 1
        assert JobBlob.objects.filter(purpose=Purpose.RESULT).count() == 1

    def test_the_processing_function_makes_the_result(self, fake, finished):
        job = finished(21, process_results_function=functions.doubled)

        lifecycle.refresh(job.scheduler_id)

        assert row(job).result == 42

    def test_a_processing_function_that_raises_leaves_words_a_traceback_and_the_raw_result(self, fake, finished):
        functions.broken.set()
        job = finished("raw", process_results_function=functions.fragile)

        lifecycle.refresh(job.scheduler_id)

        failed = row(job)
        assert failed.cached_status == "Error"
        assert f"{FUNCTIONS}.fragile raised RuntimeError: the disk is full" in failed.status_message
        assert "The raw result is kept" in failed.status_message
        assert 'raise RuntimeError("the disk is full")' in JobEvent.objects.latest("id").detail
        assert failed.result == "raw"

    @pytest.mark.parametrize("forget", [False, True])
    def test_a_raw_result_is_processed_again_after_mending_without_the_scheduler(self, fake, finished, forget):
        functions.broken.set()
        job = finished("raw", process_results_function=functions.fragile, forget=forget)
        lifecycle.refresh(job.scheduler_id)
        fake.exchanges.clear()

        functions.broken.clear()
        row(job).process_results()

        mended = row(job)
        assert mended.cached_status == "Complete"
        assert mended.result == (None if forget else "processed raw")
        assert "fetch_results" not in fake.exchanges
        assert JobBlob.objects.filter(purpose=Purpose.RESULT).count() == (not forget)

    def test_there_is_nothing_to_process_without_a_raw_result(self, fake, execute, finished):
        running = execute()
        done = finished(1)
        lifecycle.refresh(done.scheduler_id)
        fake.refuses = "no"
        refused = execute()

        for job in (running, done, refused):
            with pytest.raises(TransitionNotAllowed, match="again only if the function failed"):
                row(job).process_results()

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("tests.gone.function", "tests.gone.function raised FunctionNotAllowed: .*does not import"),
            ("os.system", "os.system raised FunctionNotAllowed: .*neither in the app's own package"),
        ],
    )
    def test_a_function_that_is_gone_or_was_forged_is_not_called_and_loses_no_result(self, fake, finished, name, words):
        job = finished("raw", process_results_function=functions.doubled)
        Job._base_manager.update(_process_results_function=name)

        lifecycle.refresh(job.scheduler_id)

        assert row(job).cached_status == "Error"
        assert re.search(words, row(job).status_message)
        assert row(job).result == "raw"

    def test_a_function_that_is_not_allowed_is_refused_at_the_door(self, fake, make_job):
        job = make_job()
        job.process_results_function = "os.system"

        with pytest.raises(InvalidJob, match="neither in the app's own package"):
            job.execute()

        assert Job.objects.count() == 0

    @pytest.mark.parametrize(
        ("function", "words"),
        [
            (functions.returns_a_lambda, "The result cannot be stored"),
            (functions.returns_something_stubborn, "The result cannot be stored: not me"),
            (functions.leaves_the_process, "raised SystemExit: 3"),
        ],
    )
    def test_what_cannot_be_stored_is_an_error_with_words(self, fake, finished, function, words):
        job = finished(1, process_results_function=function)

        lifecycle.refresh(job.scheduler_id)

        assert row(job).cached_status == "Error"
        assert words in row(job).status_message

    def test_a_raw_result_that_was_tampered_with_is_not_opened(self, fake, finished):
        functions.broken.set()
        job = finished("raw", process_results_function=functions.fragile)
        lifecycle.refresh(job.scheduler_id)
        JobBlob.objects.filter(purpose=Purpose.RESULT).update(sealed=b"tampered")

        row(job).process_results()

        assert row(job).cached_status == "Error"
        assert "The stored result is not what this portal sealed" in row(job).status_message

    def test_a_raw_result_whose_class_is_gone_is_an_error_with_words(self, fake, finished):
        functions.broken.set()
        job = finished("raw", process_results_function=functions.fragile)
        lifecycle.refresh(job.scheduler_id)
        JobBlob.store(row(job), Purpose.RESULT, b"cno_such_module\nThing\n.")

        row(job).process_results()

        assert row(job).cached_status == "Error"
        assert "No module named 'no_such_module'" in row(job).status_message

    def test_a_scheduler_that_loses_a_job_while_its_result_is_fetched_does_not_matter(self, blocking, silent, finished):
        job = finished("mine")
        lifecycle.refresh(job.scheduler_id)
        blocking.blocked = "fetch_results"
        worker = background(lifecycle.fetch_results, job.pk)
        eventually(lambda: blocking.inside)

        Job.observe_many({row(job): Observation(Status.ERROR, "Gone.", lost=True)})
        blocking.go_on.set()
        worker.join(20)

        assert (row(job).cached_status, row(job).attempts, row(job).result) == ("Complete", 1, "mine")

    def test_the_result_of_an_attempt_that_is_over_is_nobodys(self, blocking, silent, finished):
        job = finished("old")
        lifecycle.refresh(job.scheduler_id)
        blocking.blocked = "fetch_results"
        worker = background(lifecycle.fetch_results, job.pk)
        eventually(lambda: blocking.inside)

        time_passes(60)  # its lease has run out: the worker counts as dead
        Job.observe_many({row(job): Observation(Status.ERROR, "Gone.", lost=True)})
        blocking.go_on.set()
        worker.join(20)

        assert (row(job).cached_status, row(job).attempts, row(job).result) == ("Submitted", 2, None)
        assert not JobBlob.objects.filter(purpose=Purpose.RESULT).exists()

    def test_fetching_again_what_has_ended_changes_nothing(self, fake, finished):
        job = finished(1)
        lifecycle.refresh(job.scheduler_id)
        before = Job.objects.values().get()

        lifecycle.fetch_results(job.pk)
        lifecycle.cleanup(job.pk)

        assert Job.objects.values().get() == before

    def test_a_job_is_not_cleaned_up_before_its_result_is_stored(self, blocking, silent, finished):
        job = finished(1)
        lifecycle.refresh(job.scheduler_id)

        lifecycle.cleanup(job.pk)
        lifecycle.rescue()

        assert "cleanup" not in silent.exchanges


class TestUnreachable:
    def test_no_status_changes_and_everyone_can_read_why(self, fake, execute):
        running = execute()
        FakeBackend.say(running, Observation(Status.RUNNING, "on node 3"))
        lifecycle.refresh(running.scheduler_id)
        fake.unavailable = "Connection refused."
        waiting = execute()

        scheduler = get_scheduler("cluster")
        assert (scheduler.failures, scheduler.last_error) == (1, "Connection refused.")
        assert scheduler.unreachable_since is not None
        assert (row(running).cached_status, row(running).status_message) == ("Running", "on node 3")
        assert row(waiting).cached_status == "Submitted"
        assert re.fullmatch(
            r"Scheduler “cluster” unreachable since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: Connection refused\.",
            row(waiting).status_message,
        )
        assert [event.by for event in waiting.events.all()] == ["execute"]

    def test_while_it_rests_nobody_calls_it(self, fake, execute):
        job = execute()
        fake.unavailable = "Connection refused."
        with pytest.raises(BackendUnavailable):
            lifecycle.refresh(job.scheduler_id)
        fake.exchanges.clear()

        late = execute()
        for verb in ("submit", "cancel", "fetch_results", "hold"):
            getattr(lifecycle, verb)(late.pk)
        lifecycle.refresh(job.scheduler_id)
        lifecycle.refresh_due()
        lifecycle.rescue()
        late.get_logs()

        assert fake.exchanges == []
        assert "unreachable since" in row(late).status_message

    def test_it_rests_longer_after_each_failure_up_to_a_limit(self, settings, fake, execute):
        settings.JOBSAPI = {**settings.JOBSAPI, "BREAKER_MAX": 30.0}
        job = execute()
        fake.unavailable = "Connection refused."
        rests = []
        for _ in range(8):
            with pytest.raises(BackendUnavailable):
                lifecycle.refresh(job.scheduler_id)
            scheduler = get_scheduler("cluster")
            rests.append((scheduler.retry_at - timezone.now()).total_seconds())
            time_passes(60)

        assert rests[0] < 1.25
        assert rests[3] > 4
        assert 20 < max(rests) <= 37.5
        assert timezone.now() - get_scheduler("cluster").unreachable_since > timedelta(seconds=7 * 60)

    def test_what_waited_goes_on_when_it_is_back(self, fake, execute):
        running, done = execute(), execute()
        FakeBackend.finish(done, 42)
        fake.unavailable = "Connection refused."
        waiting = [execute() for _ in range(3)]
        fake.unavailable = ""
        time_passes(60)

        lifecycle.refresh_due()

        scheduler = get_scheduler("cluster")
        assert (scheduler.failures, scheduler.last_error) == (0, "")
        assert scheduler.unreachable_since is scheduler.retry_at is None
        assert all(row(job).native_id for job in waiting)
        assert {row(job).status_message for job in waiting} == {""}
        assert row(done).result == 42
        assert row(running).cached_status == "Submitted"

    def test_other_schedulers_jobs_go_on(self, settings, fake, execute, other_scheduler):
        down = create_dask_scheduler("down", "127.0.0.1:3")
        down.save()
        use_backend(settings, "OneDown")

        waiting, going = execute(scheduler=down), execute(scheduler=other_scheduler)
        FakeBackend.finish(going, 1)
        time_passes(10)
        lifecycle.refresh_due()

        assert (row(waiting).native_id, row(waiting).cached_status) == ("", "Submitted")
        assert (row(going).cached_status, row(going).result) == ("Complete", 1)
        assert get_scheduler("free").failures == 0

    def test_a_result_that_cannot_be_fetched_now_is_fetched_later(self, fake, execute):
        job = execute()
        FakeBackend.finish(job, 42)
        Job._base_manager.update(_status="RES")
        fake.unavailable = "Connection refused."
        with pytest.raises(BackendUnavailable):
            lifecycle.fetch_results(job.pk)
        assert row(job).cached_status == "Results-Ready"
        fake.unavailable = ""
        time_passes(60)

        lifecycle.rescue()

        assert (row(job).cached_status, row(job).result) == ("Complete", 42)


class TestBulkhead:
    def test_a_scheduler_gets_its_share_of_threads_and_no_more(
        self, settings, blocking, silent, execute, other_scheduler
    ):
        settings.JOBSAPI = {**settings.JOBSAPI, "SCHEDULER_THREADS": 3}
        jobs = [execute(name=f"job {n}") for n in range(5)]
        lifecycle.submit(jobs[0].pk)
        for job in jobs:
            FakeBackend.finish(job, job.pk)
        lifecycle.refresh(jobs[0].scheduler_id)
        blocking.blocked = "fetch_results"

        busy = [background(lifecycle.fetch_results, job.pk) for job in jobs[:2]]
        eventually(lambda: len(blocking.inside) == 2)
        for job in jobs:
            lifecycle.fetch_results(job.pk)  # returns at once
        assert len(blocking.inside) == 2

        free = execute(scheduler=other_scheduler)
        lifecycle.submit(free.pk)
        assert row(free).native_id

        blocking.go_on.set()
        for thread in busy:
            thread.join(20)
        assert [row(job).result for job in jobs] == [job.pk for job in jobs]
        assert silent.exchanges.count("fetch_results") == 5

    def test_results_are_fetched_while_a_backlog_is_being_submitted(self, blocking, silent, execute):
        done = execute(name="done")
        lifecycle.submit(done.pk)
        FakeBackend.finish(done, 42)
        lifecycle.refresh(done.scheduler_id)
        blocking.blocked = "submit"
        waiting = [execute(name=f"job {n}") for n in range(3)]
        busy = background(lifecycle.submit, waiting[0].pk)
        eventually(lambda: len(blocking.inside) == 1)
        lifecycle.submit(waiting[1].pk)  # returns at once, and leaves the last place to others

        lifecycle.fetch_results(done.pk)

        assert row(done).result == 42
        blocking.go_on.set()
        busy.join(20)
        assert all(row(job).native_id for job in waiting)

    def test_processing_a_result_keeps_the_scheduler_for_nobody(self, settings, silent, execute):
        settings.JOBSAPI = {**settings.JOBSAPI, "SCHEDULER_THREADS": 1}
        functions.entered.clear()
        functions.may_leave.clear()
        job = execute(process_results_function=functions.slow)
        lifecycle.submit(job.pk)
        FakeBackend.finish(job, 42)
        lifecycle.refresh(job.scheduler_id)
        worker = background(lifecycle.fetch_results, job.pk)
        assert functions.entered.wait(20)
        silent.exchanges.clear()

        lifecycle.refresh(job.scheduler_id)
        assert "poll" in silent.exchanges
        functions.may_leave.set()
        worker.join(20)

        assert row(job).result == 42

    def test_those_that_did_not_answer_have_together_what_one_has(self, settings, blocking, silent, execute):
        silent_ones = []
        for number in range(4):
            scheduler = create_dask_scheduler(f"silent {number}", f"127.0.0.1:{number + 10}")
            scheduler.save()
            silent_ones.append(execute(name=f"silent {number}", scheduler=scheduler))
        Scheduler.objects.update(failures=1)
        healthy = execute(name="healthy")
        Scheduler.objects.filter(pk=healthy.scheduler_id).update(failures=0)
        blocking.blocked = "open"

        busy = [background(lifecycle.submit, job.pk) for job in silent_ones]
        eventually(lambda: sum(not thread.is_alive() for thread in busy) == 3)
        assert len(blocking.inside) == 1
        blocking.blocked = ""
        lifecycle.submit(healthy.pk)
        assert row(healthy).native_id

        blocking.go_on.set()
        for thread in busy:
            thread.join(20)
        for job in silent_ones:
            lifecycle.submit(job.pk)  # one after the other
        assert all(row(job).native_id for job in silent_ones)


class TestRefreshing:
    @pytest.fixture
    def many(self, silent, execute):
        """That many jobs at the scheduler."""

        def make(count):
            for n in range(count):
                job = execute(name=f"job {n}")
            lifecycle.submit(job.pk)
            lifecycle.refresh(job.scheduler_id)
            silent.exchanges.clear()
            return job.scheduler_id

        return make

    def test_one_exchange_tells_of_all_jobs(self, silent, many):
        scheduler_id = many(30)

        lifecycle.refresh(scheduler_id)

        assert silent.exchanges == ["open", "poll"]

    def test_it_costs_as_many_statements_for_many_jobs_as_for_few(self, silent, many):
        counts = []
        for scheduler_id in (many(2), many(30)):
            with CaptureQueriesContext(connection) as queries:
                lifecycle.refresh(scheduler_id)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 8

    def test_no_step_and_no_poll_reads_what_jobs_have_said_of_themselves(self, silent, execute):
        # Given jobs with a lot to say: one that is done, and one that is lost.
        job, lost = execute(name="job"), execute(name="lost")
        lifecycle.submit(job.pk)
        Job.objects.update(reported={"job": {"message": "x" * 500}})
        FakeBackend.finish(job, 42)
        FakeBackend.forget(lost)

        with CaptureQueriesContext(connection) as queries:
            for _ in range(2):
                lifecycle.refresh(job.scheduler_id)
            lifecycle.submit(lost.pk)
            lifecycle.fetch_results(job.pk)
            lifecycle.cleanup(job.pk)

        assert (row(job)._status, row(lost).attempts, row(lost).reported) == (Status.COMPLETE, 2, {})
        read = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
        assert len(read) > 10
        assert not [sql for sql in read if '"reported"' in sql]

    def test_a_scheduler_without_jobs_is_not_asked(self, silent, mailbox, scheduler):
        lifecycle.refresh_due()
        lifecycle.refresh(10**6)

        assert mailbox.sent == []
        assert silent.exchanges == []

    def test_two_refreshes_at_once_are_one_exchange(self, blocking, silent, many):
        scheduler_id = many(2)
        blocking.blocked = "poll"
        worker = background(lifecycle.refresh, scheduler_id)
        eventually(lambda: blocking.inside)

        lifecycle.refresh(scheduler_id)
        assert silent.exchanges == ["open"]
        blocking.go_on.set()
        worker.join(20)

        assert silent.exchanges == ["open", "poll"]
        assert get_scheduler("cluster").poll_leased_until is None

    def test_how_fresh_all_jobs_are_is_one_write_on_the_scheduler(self, silent, many):
        before = timezone.now()

        lifecycle.refresh(many(2))

        assert get_scheduler("cluster").polled_at >= before
        assert {job.last_status_update for job in Job.objects.all()} == {get_scheduler("cluster").polled_at}

    def test_only_schedulers_with_work_that_were_not_asked_lately_are_due(self, mailbox, execute, other_scheduler):
        job = execute()
        mailbox.sent.clear()

        lifecycle.refresh_due()
        assert mailbox.sent == [("refresh", job.scheduler_id)]
        mailbox.sent.clear()
        lifecycle.refresh(job.scheduler_id)
        lifecycle.refresh_due()
        assert mailbox.sent == []
        time_passes(10)
        lifecycle.refresh_due()
        assert mailbox.sent == [("refresh", job.scheduler_id)]

        job.stop()
        mailbox.sent.clear()
        lifecycle.refresh_due()
        assert mailbox.sent == []

    def test_jobs_of_another_backend_at_the_same_scheduler_are_not_lost(self, silent, manager, user, scheduler):
        job = manager.create_job("by hand", user, job_type="BASIC", scheduler=scheduler)
        job.execute()

        lifecycle.refresh(scheduler.pk)

        assert row(job).cached_status == "Submitted"


class TestLosing:
    def test_a_missing_job_is_lost_only_after_the_grace(self, settings, silent, execute):
        settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
        job = execute()
        lifecycle.submit(job.pk)
        kept = silent.attempts.pop(job.submission_id)

        lifecycle.refresh(job.scheduler_id)
        time_passes(30)
        lifecycle.refresh(job.scheduler_id)
        assert (row(job).cached_status, row(job).attempts) == ("Submitted", 1)
        assert row(job).missing_since is not None

        silent.attempts[job.submission_id] = kept
        lifecycle.refresh(job.scheduler_id)
        assert row(job).missing_since is None

        FakeBackend.forget(job)
        time_passes(60)
        lifecycle.refresh(job.scheduler_id)
        assert row(job).attempts == 1
        time_passes(60)
        lifecycle.refresh(job.scheduler_id)
        assert row(job).attempts == 2
        assert row(job).native_id == ""

    def test_a_lost_job_is_submitted_again_up_to_the_limit_and_then_an_error(self, fake, execute):
        job = execute()

        for _ in range(3):
            FakeBackend.forget(job)
            lifecycle.refresh(job.scheduler_id)

        lost = row(job)
        assert lost.cached_status == "Error"
        assert "submitted 3 times, which is the limit" in lost.status_message
        assert fake.submitted == [job.pk] * 3
        assert len({event.attempt for event in lost.events.all()}) == 3
        assert [by for by, _ in history(job)].count("lost") == 2

    def test_the_second_attempt_can_complete(self, fake, execute):
        job = execute()
        first = job.submission_id
        FakeBackend.forget(job)
        lifecycle.refresh(job.scheduler_id)

        FakeBackend.finish(job, 42)
        lifecycle.refresh(job.scheduler_id)

        assert (row(job).cached_status, row(job).result, row(job).attempts) == ("Complete", 42, 2)
        assert row(job).submission_id != first


class TestRescue:
    def tick(self, mailbox):
        """Beat asks for what is due, and a worker does it; all other messages are lost."""
        mailbox.sent.clear()
        lifecycle.rescue()
        lifecycle.refresh_due()
        mailbox.deliver()

    def test_a_job_gets_to_its_end_though_every_message_is_lost(self, settings, mailbox, fake, execute):
        settings.JOBSAPI = {**settings.JOBSAPI, "REFRESH_INTERVAL": 0.0}
        job = execute("work")
        mailbox.sent.clear()

        self.tick(mailbox)
        assert row(job).native_id
        FakeBackend.finish(job, 42)
        self.tick(mailbox)
        assert row(job).cached_status == "Results-Ready"
        self.tick(mailbox)
        assert (row(job).cached_status, row(job).result) == ("Complete", 42)
        self.tick(mailbox)
        assert not row(job).cleanup_pending
        self.tick(mailbox)
        assert mailbox.sent == []

    def test_every_wish_is_fulfilled_though_every_message_is_lost(self, settings, mailbox, fake, pausable, execute):
        settings.JOBSAPI = {**settings.JOBSAPI, "REFRESH_INTERVAL": 0.0}
        job = execute("work")
        self.tick(mailbox)

        job.pause()
        self.tick(mailbox)
        assert row(job).cached_status == "Paused"
        job.resume()
        self.tick(mailbox)
        assert row(job).cached_status == "Running"
        job.stop()
        self.tick(mailbox)
        assert row(job).cached_status == "Aborted"
        job.resubmit()
        self.tick(mailbox)
        assert row(job).native_id
        job.delete()
        for _ in range(3):
            self.tick(mailbox)

        assert not Job._base_manager.exists()
        assert fake.attempts == {}

    def test_a_hundred_waiting_jobs_are_one_message(self, silent, mailbox, execute):
        jobs = [execute(name=f"job {n}") for n in range(100)]
        mailbox.sent.clear()

        lifecycle.rescue()
        assert mailbox.sent == [("submit", jobs[0].pk)]
        mailbox.deliver()

        assert silent.submitted == [job.pk for job in jobs]
        assert silent.exchanges.count("open") <= 2

    def test_each_scheduler_and_each_step_gets_its_own(self, mailbox, execute, other_scheduler):
        here, there, gone = execute(), execute(scheduler=other_scheduler), execute()
        lifecycle.submit(gone.pk)
        gone.stop()
        mailbox.sent.clear()
        late = execute()
        mailbox.sent.clear()

        lifecycle.rescue()

        assert sorted(mailbox.sent) == [("cancel", gone.pk), ("submit", there.pk), ("submit", late.pk)]
        assert row(here).native_id

    def test_a_hundred_jobs_without_a_scheduler_are_worked_off_too(self, mailbox, manager, user):
        for n in range(20):
            job = manager.create_job(f"job {n}", user, job_type="BASIC")
            job.execute()
            job.update_status("Running")
        Job.objects.all().delete()

        self.tick(mailbox)
        self.tick(mailbox)

        assert not Job._base_manager.exists()

    def test_a_row_whose_type_is_not_installed_holds_up_no_other(self, mailbox, fake, execute):
        orphan, job = execute(), execute()
        Job._base_manager.filter(pk=orphan.pk).update(kind="GoneJob")
        mailbox.sent.clear()

        self.tick(mailbox)

        assert fake.submitted == [job.pk]
        assert (row(orphan).cached_status, row(orphan).native_id) == ("Submitted", "")
        lifecycle.submit(orphan.pk)
        assert fake.submitted == [job.pk]


class TestDeleting:
    def test_a_running_job_is_stopped_cleaned_up_and_removed(self, fake, execute):
        job = execute("work")
        FakeBackend.say(job, Observation(Status.RUNNING))
        lifecycle.refresh(job.scheduler_id)

        job.delete()

        assert not Job._base_manager.exists()
        assert not JobBlob.objects.exists()
        assert not JobEvent.objects.exists()
        assert fake.attempts == {}
        assert [name for name in fake.exchanges if name in ("cancel", "cleanup")] == ["cancel", "cleanup"]

    def test_a_row_stays_hidden_until_the_scheduler_has_let_go(self, fake, mailbox, manager, execute):
        fake.cancel_takes_a_while = True
        job = execute("work")
        mailbox.deliver()

        job.delete()
        mailbox.deliver()
        assert manager.get_job(job.pk) is None
        assert row(job).cached_status == "Submitted"
        lifecycle.refresh(job.scheduler_id)
        mailbox.deliver()
        assert fake.attempts == {}
        lifecycle.rescue()
        mailbox.deliver()

        assert not Job._base_manager.exists()

    def test_while_the_scheduler_is_away_the_row_is_hidden_and_nothing_is_left_in_the_end(self, fake, manager, execute):
        job = execute("work")
        fake.unavailable = "Connection refused."

        job.delete()
        assert manager.get_job(job.pk) is None
        assert Job._base_manager.count() == 1
        fake.unavailable = ""
        time_passes(60)
        for _ in range(3):
            lifecycle.rescue()

        assert not Job._base_manager.exists()
        assert fake.attempts == {}

    @pytest.mark.parametrize("end", ["pending", "waiting", "ended"])
    def test_a_job_that_its_scheduler_does_not_have_is_removed_at_once(self, silent, settings, make_job, end):
        job = make_job()
        job.save()
        if end == "waiting":
            job.execute()
        if end == "ended":
            job.stop()
        settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher"}

        job.delete()

        assert not Job._base_manager.exists()
        assert silent.submitted == []

    def test_all_jobs_of_a_list_are_removed(self, fake, manager, execute):
        for _ in range(3):
            execute("work")

        manager.list_jobs().delete()

        assert not Job._base_manager.exists()
        assert fake.attempts == {}

    def test_a_deleted_job_cannot_be_run_again(self, silent, execute):
        job = execute()
        lifecycle.submit(job.pk)
        Job._base_manager.update(_status="COM", completion_time=timezone.now())
        stale = Job.objects.get()
        job.delete()

        with pytest.raises(TransitionNotAllowed, match="not there any more"):
            stale.resubmit()


class TestAgain:
    def test_a_new_attempt_drops_the_earlier_result_and_makes_its_own(self, silent, execute):
        job = execute("work")
        lifecycle.submit(job.pk)
        FakeBackend.finish(job, "first")
        lifecycle.refresh(job.scheduler_id)
        lifecycle.fetch_results(job.pk)
        job, first = row(job), row(job).submission_id
        assert job.result == "first"

        job.resubmit()

        assert (job.cached_status, job.result, row(job).result) == ("Submitted", None, None)
        assert row(job).submission_id != first
        assert row(job).completion_time is row(job).start_time is None
        assert row(job).backend_state == {}
        assert [blob.purpose for blob in JobBlob.objects.all()] == ["input"]
        lifecycle.submit(job.pk)
        FakeBackend.finish(job, "second")
        lifecycle.refresh(job.scheduler_id)
        lifecycle.fetch_results(job.pk)
        assert (row(job).cached_status, row(job).result) == ("Complete", "second")

    def test_retry_runs_a_failed_job_again(self, fake, execute):
        fake.refuses = "not now"
        job = execute("work")
        fake.refuses = ""

        row(job).retry()

        assert row(job).cached_status == "Submitted"
        assert fake.submitted == [job.pk]

    def test_a_job_that_has_not_ended_cannot_be_run_again(self, fake, execute):
        job = execute()

        with pytest.raises(TransitionNotAllowed, match=r"is Submitted and cannot.*stop\(\) it first"):
            job.resubmit()
        assert fake.submitted == [job.pk]

    def test_a_job_whose_input_is_not_kept_says_why_not(self, fake, execute):
        job = execute()
        Job._base_manager.update(backend_state={"from_future": True}, _status="ERR", completion_time=timezone.now())

        with pytest.raises(NotSupported, match="made from a Future"):
            row(job).resubmit()

    def test_two_clicks_on_resubmit_are_one_attempt(self, silent, execute):
        job = execute("work")
        job.stop()
        clicks = [row(job), row(job)]

        outcomes = at_once(*(click.resubmit for click in clicks))
        lifecycle.submit(job.pk)

        assert sorted(type(outcome) for outcome in outcomes if outcome) == [TransitionNotAllowed]
        assert silent.submitted == [job.pk]


class TestBasicJobs:
    @pytest.fixture
    def job(self, silent, manager, user):
        return manager.create_job("by hand {id}", user, job_type="BASIC")

    def test_the_app_says_how_it_goes_and_no_worker_is_needed(self, silent, job):
        job.execute()
        assert (job.status, row(job).native_id) == ("Submitted", str(job.uid))
        job.update_status("Running")
        job.pause()
        assert job.status == "Paused"
        job.resume()
        job.process_results()

        assert row(job).cached_status == "Complete"
        assert silent.exchanges == []

    def test_it_is_stopped_and_run_again_without_a_worker(self, job):
        job.execute()
        job.stop()
        assert row(job).cached_status == "Aborted"
        before = row(job).submission_id

        job.resubmit()

        assert (row(job).cached_status, row(job).native_id, job.native_id) == ("Submitted", str(job.uid), str(job.uid))
        assert row(job).submission_id != before

    def test_it_needs_no_execute(self, job):
        job.update_status("Complete")

        assert row(job).completion_time is not None


class TestWaiting:
    def test_it_returns_when_the_job_has_ended(self, silent, execute):
        job = execute()
        worker = background(job.__class__.objects.get(pk=job.pk).stop)

        assert job.wait(10) == "Aborted"
        worker.join(10)

    def test_it_gives_up_in_time_and_the_job_goes_on(self, silent, execute):
        job = execute()

        with pytest.raises(WaitTimeout, match=r"is Submitted after 0\.1 s; it goes on"):
            job.wait(0.1)

    @pytest.mark.parametrize(
        ("message", "told"),
        [
            ("Held: no such file (13/2)", ": Held: no such file (13/2). It waits until it is resumed."),
            ("", ". It waits until it is resumed."),
        ],
    )
    def test_of_one_that_is_held_it_says_why_and_not_that_it_goes_on(self, silent, execute, message, told):
        job = execute()
        type(job)._base_manager.filter(pk=job.pk).update(_status=Status.PAUSED, status_message=message)

        with pytest.raises(WaitTimeout) as raised:
            job.wait(0.1)

        assert str(raised.value) == f"Job {job.pk} is Paused after 0.1 s{told}"

    def test_within_the_transaction_that_executed_the_job_it_says_that_it_cannot_end(self, silent, make_job):
        with transaction.atomic():
            job = make_job()
            job.execute()
            with pytest.raises(JobsApiError, match="Wait outside of it"):
                job.wait(1)
            with pytest.warns(RuntimeWarning, match="has not been committed"):
                assert job.status == "Submitted"

        assert job.status == "Submitted"


class TestLogs:
    def test_they_are_the_history_and_what_the_scheduler_has(self, fake, execute):
        job = row(execute())

        first = job.get_logs()
        second = job.get_logs()

        assert "Accepted by cluster as fake-" in first["history"]
        assert second["scheduler"] == f"job {job.pk} was here"
        assert fake.exchanges.count("logs") == 1

    def test_of_a_job_that_no_scheduler_has_they_are_its_history(self, silent, make_job):
        job = make_job()
        job.save()

        assert job.get_logs() == {"history": ""}


class TestStatements:
    def test_what_is_not_there_is_no_error(self, silent, db):
        for verb in (
            "submit",
            "fetch_results",
            "cancel",
            "hold",
            "release",
            "cleanup",
            "remove",
            "fetch_logs",
            "refresh",
        ):
            getattr(lifecycle, verb)(10**6)

        assert silent.exchanges == []

    def test_beat_asks_with_a_fixed_number_of_statements(self, mailbox, execute):
        for n in range(20):
            execute(name=f"job {n}")
        lifecycle.rescue()

        with CaptureQueriesContext(connection) as queries:
            lifecycle.rescue()
            lifecycle.refresh_due()

        assert len(queries) == 15, "\n".join(query["sql"][:120] for query in queries)


def test_the_input_of_a_job_is_what_execute_was_given(silent, execute):
    job = execute("work", {"a": 1})

    assert pickle.loads(row(job).open_input()) == (("work", {"a": 1}), {})


def test_attempts_are_named_before_they_are_submitted(silent, execute):
    job = execute()

    assert isinstance(row(job).submission_id, uuid.UUID)
    assert Scheduler.objects.count() == 1
