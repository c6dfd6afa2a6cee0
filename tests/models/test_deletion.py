"""What jobs need is not deleted under them, and whoever tries reads what to do instead."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.db.models.deletion import Collector
from django.utils import timezone

from jobsapi.compute import create_dask_scheduler
from jobsapi.exceptions import SchedulerMissing
from jobsapi.models import DaskScheduler, Job, Scheduler, SchedulerAssignment
from jobsapi.models.deletion import CARRIED
from jobsapi.status import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def refusal():
    """What a deletion is refused with."""

    def attempt(delete):
        with pytest.raises(ProtectedError) as caught, transaction.atomic():
            delete()
        return caught.value

    return attempt


@pytest.fixture
def three_jobs(silent, make_job):
    """One that is Pending, one under way, one deleted and not cleared up."""
    pending, executed, deleted = make_job("pending"), make_job("executed"), make_job("deleted")
    pending.save()
    executed.execute()
    deleted.execute()
    deleted.delete()
    return pending, executed, deleted


@pytest.fixture
def many_jobs(make_job):
    """As many rows as would take long to load."""
    Job.objects.bulk_create([make_job(f"job {n}") for n in range(1000)])


SCHEDULER = (
    "“cluster” has 3 jobs, 2 of them under way, 1 deleted and not yet cleared up. "
    "Delete or move them first, or give it up: manage.py give_up_scheduler cluster"
)
USER = (
    "“ada” has 3 jobs, 2 of them under way, 1 deleted and not yet cleared up. "
    "Delete them first, or keep the account and make it inactive (is_active)."
)


@pytest.mark.parametrize(
    "delete",
    [
        pytest.param(lambda row: row.delete(), id="the row"),
        pytest.param(lambda row: type(row)._base_manager.filter(pk=row.pk).delete(), id="a queryset"),
        pytest.param(lambda row: Scheduler.objects.get(pk=row.pk).delete(), id="the row as any scheduler"),
        pytest.param(lambda row: Scheduler.objects.all().delete(), id="all schedulers"),
    ],
)
def test_a_scheduler_with_jobs_is_kept_and_the_error_says_what_to_do(three_jobs, scheduler, refusal, delete):
    error = refusal(lambda: delete(scheduler))

    assert error.args[0] == SCHEDULER
    assert error.protected_objects == set(three_jobs[:2])
    assert Scheduler.objects.count() == 1


@pytest.mark.parametrize(
    "delete",
    [
        pytest.param(lambda user: user.delete(), id="the account"),
        pytest.param(lambda user: type(user).objects.filter(pk=user.pk).delete(), id="a queryset"),
    ],
)
def test_a_user_with_jobs_is_kept_and_the_error_says_what_to_do(three_jobs, user, refusal, delete):
    error = refusal(lambda: delete(user))

    assert error.args[0] == USER
    assert error.protected_objects == set(three_jobs[:2])


def test_of_jobs_that_are_all_deleted_already_one_waits_for_the_worker(silent, make_job, user, scheduler, refusal):
    job = make_job()
    job.execute()
    job.delete()

    assert "1 deleted and not yet cleared up. Wait until workers have done so, or" in refusal(user.delete).args[0]
    assert "1 deleted and not yet cleared up. Wait until workers have done so, or" in refusal(scheduler.delete).args[0]


def test_a_name_with_blanks_can_be_pasted_into_a_shell(silent, make_job, refusal):
    odd = create_dask_scheduler("my own cluster; rm", "h:1")
    odd.save()
    make_job(scheduler=odd).save()

    assert refusal(odd.delete).args[0].endswith("manage.py give_up_scheduler 'my own cluster; rm'")


def test_several_are_refused_with_a_sentence_for_each(silent, make_job, scheduler, user, manager, refusal):
    other = create_dask_scheduler("other", "h:1")
    other.save()
    make_job().save()
    make_job(scheduler=other).save()
    SchedulerAssignment.objects.create(package="tests", setting="dask", scheduler=other)

    sentence = refusal(Scheduler.objects.all().delete).args[0]

    assert "“cluster” has 1 job, none of them under way." in sentence
    assert "“other” has 1 job, none of them under way." in sentence
    assert "“other” is assigned to the setting “dask” of tests. Assign another one" in sentence


def test_many_jobs_are_counted_and_not_loaded(many_jobs, scheduler, user, refusal, django_assert_max_num_queries):
    for row in (scheduler, user):
        with django_assert_max_num_queries(7):  # savepoint and rollback, numbers, name, ten jobs, assignments
            error = refusal(row.delete)
        assert "has 1,000 jobs, none of them under way" in error.args[0]
        assert len(error.protected_objects) == CARRIED


def test_of_many_that_cannot_be_deleted_a_few_are_told(silent, make_job, refusal):
    for number in range(CARRIED + 5):
        row = create_dask_scheduler(f"scheduler {number}", "h:1")
        row.given_up_at = None if number > CARRIED else timezone.now()
        row.save()
        make_job(scheduler=row).save()

    sentence = refusal(Scheduler.objects.all().delete).args[0]

    assert sentence.count("has 1 job,") == 4
    Scheduler.objects.update(given_up_at=None)
    assert refusal(Scheduler.objects.all().delete).args[0].count("has 1 job,") == CARRIED


def test_what_has_no_jobs_is_deleted(db, scheduler, user):
    scheduler.delete()
    user.delete()

    assert not Scheduler.objects.exists()


class TestGivenUp:
    @pytest.fixture
    def given_up(self, silent, scheduler):
        Scheduler.objects.update(given_up_at=timezone.now())
        scheduler.refresh_from_db()
        return scheduler

    def test_its_jobs_outlive_it(self, make_job, given_up, django_assert_max_num_queries):
        ended, pending = make_job("ended"), make_job("pending")
        for job in (ended, pending):
            job.save()
        Job.objects.filter(pk=ended.pk).update(_status="COM", completion_time=timezone.now())

        with django_assert_max_num_queries(9):
            given_up.delete()

        assert [(job.name, job.scheduler) for job in Job.objects.all()] == [("ended", None), ("pending", None)]

    def test_a_queryset_of_it_is_deleted_as_well(self, make_job, given_up):
        make_job().save()

        DaskScheduler.objects.all().delete()

        assert Job.objects.get().scheduler is None

    @pytest.mark.parametrize(
        "columns",
        [
            pytest.param({"cleanup_pending": True}, id="left behind"),
            pytest.param({"deleted_at": timezone.now()}, id="deleted"),
        ],
    )
    def test_while_workers_clear_up_it_waits(self, make_job, given_up, refusal, columns):
        make_job().save()
        Job.objects.update(_status="COM", completion_time=timezone.now(), **columns)

        assert "workers are still clearing up: try again in a minute" in refusal(given_up.delete).args[0]

    def test_a_job_that_is_run_again_at_that_moment_makes_the_database_refuse(self, make_job, given_up):
        job, key = make_job(), given_up.pk
        job.save()
        collector = Collector(using="default")
        collector.collect([given_up])
        Job.objects.update(submission_id=job.uid, _status=Status.SUBMITTED)

        def delete_and_commit():
            with transaction.atomic():
                collector.delete()
                connection.check_constraints()

        with pytest.raises(IntegrityError):
            delete_and_commit()
        assert Job.objects.get().scheduler_id == key

    def test_it_takes_no_job_any_more(self, make_job, given_up):
        job = make_job()
        job.save()
        with pytest.raises(SchedulerMissing, match="“cluster” was given up"):
            job.execute()
        Job.objects.update(_status="ERR", completion_time=timezone.now(), submission_id=job.uid)
        ended = Job.objects.get()

        with pytest.raises(SchedulerMissing, match="Create the job anew"):
            ended.resubmit()
        with pytest.raises(SchedulerMissing, match="Create the job anew"):
            ended.process_results()
        ended.name = "its own words can still be changed"
        ended.save()

    def test_a_job_whose_scheduler_was_deleted_says_so_when_it_is_to_be_run_again(self, make_job, given_up):
        job = make_job()
        job.save()
        Job.objects.update(_status="ERR", completion_time=timezone.now(), submission_id=job.uid, scheduler=None)

        with pytest.raises(SchedulerMissing, match="A DaskJob needs a DaskScheduler"):
            Job.objects.get().resubmit()
