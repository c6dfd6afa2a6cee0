"""Once-only work holds a lease."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from jobsapi.lease import lease
from jobsapi.models import Job
from tests.lifecycle.conftest import at_once, background, time_passes
from tests.rig.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def jobs(make_job):
    made = [make_job(f"job {n}") for n in range(6)]
    for job in made:
        job.save()
    return made


def leased_until(job):
    return Job.objects.values_list("leased_until", flat=True).get(pk=job.pk)


def everything():
    return Job.objects.order_by("pk")


def test_what_is_leased_is_nobody_elses_until_it_is_given_back(jobs):
    with lease(everything(), "leased_until", 4) as first, lease(everything(), "leased_until", 4) as second:
        assert first.rows == jobs[:4]
        assert second.rows == jobs[4:]
        with lease(everything(), "leased_until", 4) as third:
            assert third.rows == []

    with lease(everything(), "leased_until", 10) as later:
        assert later.rows == jobs


def test_the_rows_come_in_the_order_that_was_asked_for(jobs):
    with lease(Job.objects.order_by("-pk"), "leased_until", 2) as held:
        assert held.rows == [jobs[5], jobs[4]]


def test_many_at_once_never_share_a_row(jobs):
    everyone_has_asked = threading.Barrier(5)

    def take():
        with lease(everything(), "leased_until", 3) as held:
            everyone_has_asked.wait(10)
            return [job.pk for job in held.rows]

    taken = at_once(*[take] * 5)

    every = [pk for pks in taken for pk in pks]
    assert len(every) == len(set(every)) >= 3


def test_it_is_given_back_when_the_block_fails(jobs):
    with pytest.raises(RuntimeError), lease(everything(), "leased_until", 6):
        raise RuntimeError("no")

    assert {leased_until(job) for job in jobs} == {None}


def test_it_is_prolonged_while_the_block_runs(settings, jobs):
    settings.JOBSAPI = {**settings.JOBSAPI, "LEASE": 0.3}

    with lease(everything(), "leased_until", 6) as held:
        first = leased_until(jobs[0])
        eventually(lambda: leased_until(jobs[0]) > first + timedelta(seconds=0.6))
        with lease(everything(), "leased_until", 6) as other:
            assert other.rows == []
        assert len(held.rows) == 6

    assert {leased_until(job) for job in jobs} == {None}


def test_nothing_leased_starts_no_thread(db):
    before = threading.active_count()

    with lease(everything(), "leased_until", 6) as held:
        assert held.rows == []
        assert threading.active_count() == before


def test_the_lease_of_a_holder_that_died_runs_out(jobs):
    Job.objects.update(leased_until=timezone.now() + timedelta(seconds=30))

    with lease(everything(), "leased_until", 6) as held:
        assert held.rows == []
    time_passes(31)
    with lease(everything(), "leased_until", 6) as held:
        assert held.rows == jobs


def test_what_is_not_ours_any_more_is_not_given_back(jobs):
    theirs = timezone.now() + timedelta(seconds=99)

    with lease(everything(), "leased_until", 2):
        Job.objects.filter(pk=jobs[0].pk).update(leased_until=theirs)

    assert leased_until(jobs[0]) == theirs
    assert leased_until(jobs[1]) is None


def test_what_is_kept_is_left_to_run_out(jobs):
    with lease(everything(), "leased_until", 2) as held:
        held.keep([jobs[0]])
        assert held.rows == [jobs[1]]

    assert leased_until(jobs[0]) > timezone.now()
    assert leased_until(jobs[1]) is None


def test_keeping_all_of_them_while_the_block_goes_on_is_no_error(settings, jobs):
    settings.JOBSAPI = {**settings.JOBSAPI, "LEASE": 0.2}

    with lease(everything(), "leased_until", 2) as held:
        held.keep(held.rows)
        until = leased_until(jobs[0])
        eventually(lambda: timezone.now() > until)

    assert leased_until(jobs[0]) == until


def test_a_row_that_is_not_due_any_more_is_not_leased(jobs):
    due = Job.objects.filter(name="job 0").order_by("pk")
    Job.objects.filter(pk=jobs[0].pk).update(name="done")

    with lease(due, "leased_until") as held:
        assert held.rows == []


def test_a_lease_that_could_not_be_prolonged_once_is_tried_again(settings, jobs, caplog):
    settings.JOBSAPI = {**settings.JOBSAPI, "LEASE": 0.6}

    with lease(everything(), "leased_until", 1):
        first = leased_until(jobs[0])
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobsapi_job RENAME TO jobsapi_away")
            try:
                eventually(lambda: "was not prolonged" in caplog.text)
            finally:
                cursor.execute("ALTER TABLE jobsapi_away RENAME TO jobsapi_job")
        eventually(lambda: leased_until(jobs[0]) > first)

    assert leased_until(jobs[0]) is None


def test_the_thread_that_prolongs_ends_with_the_block(jobs):
    def hold():
        with lease(everything(), "leased_until", 1):
            pass

    background(hold).join(10)

    assert not [thread for thread in threading.enumerate() if thread.name == "jobsapi-lease"]
