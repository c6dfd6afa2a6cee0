"""How many jobs are at a scheduler at a time, and whose turn it is."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobsapi import lifecycle, queueing, reconcile
from jobsapi.backends.base import Observation
from jobsapi.exceptions import BackendUnavailable
from jobsapi.models import Job, Scheduler
from jobsapi.status import AT_SCHEDULER, Status
from jobsapi.testing import FakeBackend
from tests.lifecycle.conftest import Mailbox, at_once, background, time_passes
from tests.rig.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def limit(scheduler):
    """Set the limits of the scheduler."""

    def set_to(**limits):
        Scheduler.objects.filter(pk=scheduler.pk).update(**limits)

    return set_to


@pytest.fixture
def grace(django_user_model):
    return django_user_model.objects.create_user("grace", password="pw")


@pytest.fixture
def executed(manager, scheduler, user):
    def make(name="job", of=None, **kwargs):
        job = manager.create_job(name, of or user, job_type="DASK", scheduler=scheduler, **kwargs)
        job.execute(1)
        return job

    return make


class Failing(FakeBackend):
    """The job called "poison" fails while it is brought to the scheduler, as its contract does not know."""

    def stage(self, job):
        if job.name == "poison":
            raise RecursionError("too deep")


class Breaking(FakeBackend):
    """The job called "poison" breaks the connection whenever it is handed over."""

    def submit(self, jobs):
        if any(job.name == "poison" for job in jobs):
            raise BackendUnavailable("It hung up.")
        return super().submit(jobs)


class Watched(FakeBackend):
    """Notes the most jobs that ever were there at once, and of one user."""

    most = 0
    most_of_one = 0

    def submit(self, jobs):
        for job, outcome in super().submit(jobs):
            active = [each for each, seen in [*self.world.attempts.items()] if seen.status in AT_SCHEDULER]
            owners = [Job.objects.get(pk=self.world.jobs[each]).user_id for each in active]
            Watched.most = max(Watched.most, len(owners))
            Watched.most_of_one = max(Watched.most_of_one, *(owners.count(owner) for owner in owners))
            yield job, outcome


@pytest.fixture
def watched(settings, silent):
    settings.JOBSAPI = {
        **settings.JOBSAPI,
        "BACKENDS": {"dask": f"{__name__}.Watched"},
        "SCHEDULER_THREADS": 5,  # of which submit has four
    }
    Watched.most = Watched.most_of_one = 0
    return FakeBackend.world


def accepted():
    """The names of the jobs that the scheduler has been given, in that order."""
    names = dict(Job._base_manager.values_list("pk", "name"))
    return [names[pk] for pk in FakeBackend.world.submitted]


def row(job):
    return Job.objects.get(pk=job.pk)


class TestOrder:
    def test_the_more_urgent_come_first_then_those_that_were_executed_earlier(self, silent, executed):
        executed("first"), executed("second"), executed("urgent", priority=5), executed("last", priority=-1)

        lifecycle.submit(Job.objects.first().pk)

        assert accepted() == ["urgent", "first", "second", "last"]

    def test_a_job_that_is_run_again_queues_up_anew(self, silent, executed):
        again = executed("again")
        again.stop()
        executed("waits")
        again.resubmit()

        lifecycle.submit(again.pk)

        assert accepted() == ["waits", "again"]

    def test_a_job_that_its_scheduler_has_lost_keeps_its_time(self, silent, limit, executed):
        lost, other = executed("lost"), executed("other")
        limit(max_active=1)
        lifecycle.submit(lost.pk)
        FakeBackend.forget(lost)
        for _ in range(3):
            lifecycle.refresh(lost.scheduler_id)
            time_passes(3600)

        lifecycle.submit(other.pk)

        assert row(lost).attempts == 2
        assert accepted() == ["lost", "lost"]

    def test_who_is_next_among_many_is_read_off_an_index(self, silent, executed):
        executed()
        found = Job._base_manager.filter(queueing.waiting(), scheduler=1, kind__in=["DaskJob"])

        plan = found.order_by(*queueing.ORDER)[:1].explain()

        if connection.vendor == "sqlite":
            assert "jobsapi_job_queue" in plan
            assert "TEMP B-TREE" not in plan


class TestPlaces:
    def test_a_job_that_breaks_every_try_gives_its_place_back(self, settings, silent, limit, executed):
        settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": f"{__name__}.Breaking"}}
        limit(max_active=1)
        poison = executed("poison")
        executed("other")
        with pytest.raises(BackendUnavailable):
            lifecycle.submit(poison.pk)
        time_passes(3600)

        lifecycle.submit(poison.pk)

        assert accepted() == ["other"]

    def test_what_is_looked_for_before_it_is_submitted_waits_for_a_place_again(self, silent, limit, executed):
        limit(max_active=2)
        jobs = [executed(str(number)) for number in range(5)]
        reconcile.look_before_submitting()

        for _ in range(3):
            lifecycle.submit(jobs[0].pk)

        assert accepted() == ["0", "1"]

    def test_a_job_that_rests_after_a_failure_takes_none(self, settings, silent, limit, executed):
        settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": f"{__name__}.Failing"}, "BREAKER_MAX": 60.0}
        limit(max_active=1)
        poison = executed("poison")
        lifecycle.submit(poison.pk)
        time_passes(45)

        other = executed("other")
        lifecycle.submit(other.pk)

        assert accepted() == ["other"]

    def test_no_more_than_the_limit_are_there_and_the_others_wait_in_order(self, silent, limit, executed):
        limit(max_active=2)
        jobs = [executed(str(number)) for number in range(5)]

        lifecycle.submit(jobs[4].pk)

        assert accepted() == ["0", "1"]
        waiting = Job.objects.filter(native_id="").values_list("name", "_status", "submit_started_at", "leased_until")
        assert list(waiting) == [(str(number), Status.SUBMITTED, None, None) for number in (2, 3, 4)]

    def test_a_full_scheduler_is_not_even_connected_to(self, silent, limit, executed):
        limit(max_active=1)
        jobs = [executed(str(number)) for number in range(3)]
        lifecycle.submit(jobs[0].pk)
        silent.exchanges.clear()

        lifecycle.submit(jobs[1].pk)

        assert silent.exchanges == []

    @pytest.mark.parametrize("end", [Status.RESULTS_READY, Status.ERROR, Status.ABORTED])
    def test_when_one_ends_the_next_is_woken_at_once(self, mailbox, limit, executed, end):
        limit(max_active=1)
        first, second = executed("first"), executed("second")
        mailbox.deliver()
        FakeBackend.say(first, Observation(end))

        lifecycle.refresh(first.scheduler_id)

        assert ("submit", second.pk) in Mailbox.sent
        Mailbox.deliver()
        assert accepted() == ["first", "second"]

    def test_one_that_is_stopped_at_once_makes_way(self, mailbox, limit, executed):
        limit(max_active=1)
        first, second = executed("first"), executed("second")
        mailbox.deliver()
        first.stop()

        lifecycle.cancel(first.pk)

        assert ("submit", second.pk) in Mailbox.sent

    def test_one_that_its_app_has_ended_makes_way_when_it_is_cleared_up(self, mailbox, limit, executed):
        limit(max_active=1)
        first, second = executed("first"), executed("second")
        mailbox.deliver()
        row(first).update_status("Complete")

        lifecycle.cleanup(first.pk)

        assert ("submit", second.pk) in Mailbox.sent

    def test_one_that_is_refused_takes_no_place(self, silent, limit, executed):
        limit(max_active=1)
        jobs = [executed(str(number)) for number in range(3)]
        silent.refuses = "Unknown attribute."

        lifecycle.submit(jobs[0].pk)

        assert [row(job).cached_status for job in jobs] == ["Error"] * 3

    def test_a_user_at_the_limit_holds_up_nobody_else(self, silent, limit, executed, grace):
        limit(max_active=4, max_active_per_user=1)
        executed("ada 1", priority=9), executed("ada 2", priority=9), executed("grace 1", of=grace)
        executed("grace 2", of=grace)

        lifecycle.submit(Job.objects.first().pk)

        assert accepted() == ["ada 1", "grace 1"]

    def test_a_limit_holds_from_when_it_is_set_also_for_a_worker_that_is_at_it(self, blocking, executed, limit):
        jobs = [executed(str(number)) for number in range(4)]
        blocking.blocked = "submit"
        worker = background(lifecycle.submit, jobs[0].pk)
        eventually(lambda: blocking.inside == ["submit"])
        limit(max_active=1)

        blocking.go_on.set()
        worker.join(20)

        assert accepted() == ["0"]

    def test_a_limit_that_is_lifted_lets_all_in(self, silent, limit, executed):
        limit(max_active=1)
        jobs = [executed(str(number)) for number in range(3)]
        lifecycle.submit(jobs[0].pk)
        limit(max_active=None)

        lifecycle.submit(jobs[1].pk)

        assert accepted() == ["0", "1", "2"]

    def test_a_try_that_may_have_arrived_keeps_its_place(self, settings, silent, limit, executed):
        settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": "tests.lifecycle.conftest.LosesTheLine"}}
        limit(max_active=1)
        first, second = executed("first"), executed("second")
        with pytest.raises(Exception, match="The connection broke"):
            lifecycle.submit(first.pk)
        settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": "jobsapi.testing.FakeBackend"}}
        Scheduler.objects.update(retry_at=None)

        lifecycle.submit(second.pk)
        assert row(second).native_id == ""
        time_passes(3600)
        lifecycle.submit(second.pk)

        assert row(first).native_id
        assert accepted() == ["first"], "it is adopted, and the other one waits for its end"

    def test_one_that_makes_its_backend_fail_jams_no_other(self, settings, silent, limit, executed):
        settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": f"{__name__}.Failing"}}
        limit(max_active=1)
        poison = executed("poison")
        executed("good")

        lifecycle.submit(poison.pk)

        assert accepted() == ["good"]

    def test_results_that_are_being_fetched_take_no_place(self, silent, limit, executed):
        limit(max_active=1)
        first, second = executed("first"), executed("second")
        lifecycle.submit(first.pk)
        FakeBackend.finish(first, 1)
        lifecycle.refresh(first.scheduler_id)

        lifecycle.submit(second.pk)

        assert row(first).cached_status == "Results-Ready"
        assert row(second).native_id

    def test_several_workers_at_once_never_exceed_a_limit(self, watched, limit, executed, grace):
        limit(max_active=3, max_active_per_user=2)
        jobs = [executed(str(number), of=grace if number % 3 else None) for number in range(10)]

        while len(watched.submitted) < len(jobs):
            assert at_once(*[lambda: lifecycle.submit(jobs[0].pk)] * 4) == [None] * 4
            for job in Job.objects.exclude(native_id="").filter(_status=Status.SUBMITTED):
                FakeBackend.finish(job)
            lifecycle.refresh(jobs[0].scheduler_id)

        assert (Watched.most, Watched.most_of_one) == (3, 2)
        assert len(set(watched.submitted)) == len(watched.submitted) == 10


class TestCost:
    def test_without_a_limit_nothing_is_counted_and_with_one_little(self, silent, executed, limit):
        counts = {}
        for limits in ({"max_active": None}, {"max_active": 100}):
            limit(**limits)
            job = executed()
            with CaptureQueriesContext(connection) as queries:
                lifecycle.submit(job.pk)
            counts[limits["max_active"]] = len(queries)
            asked = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
            assert bool(asked) is (limits["max_active"] is not None)

        # Before the line is open, in the turn of the job and in the one that finds no other: a count each; in each
        # turn a transaction and the row of the scheduler, too.
        assert counts[100] - counts[None] <= 12
        assert counts[None] <= 18

    def test_places_of_fifty_are_one_query_and_of_none_no_query(
        self, silent, limit, executed, django_assert_num_queries
    ):
        limit(max_active=1)
        jobs = [executed(str(number)) for number in range(5)]
        lifecycle.submit(jobs[0].pk)
        waiters = [queueing.Waiter(job.pk, job.scheduler_id, "cluster", 1, None) for job in jobs]

        with django_assert_num_queries(1):
            told = queueing.places(waiters)
        with django_assert_num_queries(0):
            queueing.places([])

        assert told == {
            job.pk: f"Waits: {ordinal} of 4; “cluster” takes 1 at a time."
            for job, ordinal in zip(jobs[1:], ("1st", "2nd", "3rd", "4th"), strict=True)
        }


class TestWords:
    def test_who_is_at_their_own_limit_is_told_so(self, silent, limit, executed, grace):
        limit(max_active=10, max_active_per_user=1)
        jobs = [executed("1"), executed("2"), executed("3", of=grace)]
        lifecycle.submit(jobs[0].pk)
        late = executed("late", of=grace)

        told = queueing.places(queueing.Waiter(job.pk, job.scheduler_id, "cluster", 10, 1) for job in [*jobs, late])

        assert told == {
            jobs[
                1
            ].pk: "Waits: 1st of 2; its owner has 1 of the 1 jobs that each user may have at “cluster” at a time.",
            late.pk: "Waits: 2nd of 2; its owner has 1 of the 1 jobs that each user may have at “cluster” at a time.",
        }

    def test_numbers_are_written_as_people_say_them(self):
        numbers = (1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 1003)

        words = [queueing.ordinal(number) for number in numbers]

        assert words == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th", "1,003rd"]


def test_of_many_that_wait_for_a_silent_scheduler_a_message_touches_but_its_own_job(silent, executed):
    jobs = [executed(str(number)) for number in range(3)]
    silent.unavailable = "Connection refused."
    with pytest.raises(BackendUnavailable):
        lifecycle.submit(jobs[0].pk)
    Job.objects.update(status_message="")

    lifecycle.submit(jobs[1].pk)

    told = ["unreachable since" in row(job).status_message for job in jobs]
    assert told == [False, True, False]


class TestASchedulerThatIsFull:
    def test_its_refusal_is_no_error_and_the_job_is_tried_again(self, silent, executed):
        silent.takes = 1
        first, second = executed("first"), executed("second")
        lifecycle.submit(first.pk)

        assert row(second).cached_status == "Submitted"
        assert "Number of submitted jobs would exceed" in row(second).status_message
        assert (row(second).submit_started_at, row(second).leased_until) == (None, None)

        FakeBackend.finish(first)
        lifecycle.submit(second.pk)

        assert row(second).native_id
        assert row(second).status_message == ""

    def test_it_is_not_asked_for_each_of_many(self, silent, executed):
        silent.takes = 0
        jobs = [executed(str(number)) for number in range(10)]

        lifecycle.submit(jobs[0].pk)

        assert silent.exchanges.count("submit") == 3
        assert accepted() == []
