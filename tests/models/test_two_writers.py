"""Two writers, disjoint columns: what a view saves never undoes what a worker wrote."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobsapi.backends.base import Observation
from jobsapi.compute import create_dask_scheduler, get_scheduler
from jobsapi.exceptions import InvalidJob, TransitionNotAllowed, WorkerOwned
from jobsapi.models import DaskJob, Job, Scheduler
from jobsapi.status import Status

pytestmark = pytest.mark.django_db

ENDED = {
    "_status": "COM",
    "completion_time": timezone.now(),
    "native_id": "key",
    "status_message": "well done",
    "progress_done": 7,
    "backend_state": {"where": "there"},
    "attempts": 2,
}


def written(pk):
    """All columns of the worker's as the row has them."""
    row = Job._base_manager.filter(pk=pk).values().get()
    return {name: value for name, value in row.items() if name not in Job.user_columns}


@pytest.fixture
def stale(make_job):
    """A job as a view read it before a worker ended it."""
    job = make_job("stale")
    job.save()
    view = Job.objects.get(pk=job.pk)
    Job._base_manager.filter(pk=job.pk).update(**ENDED)
    return view


def test_a_stale_save_writes_the_users_columns_and_undoes_nothing(stale):
    before = written(stale.pk)
    stale.description, stale.extended_properties, stale.forget, stale.priority = "new", {"a": 1}, True, 5

    stale.save()

    assert written(stale.pk) == before
    fresh = Job.objects.get(pk=stale.pk)
    assert (fresh.description, fresh.extended_properties, fresh.forget, fresh.priority) == ("new", {"a": 1}, True, 5)
    assert fresh.cached_status == "Complete"


def test_a_save_is_one_statement(stale, django_assert_num_queries):
    assert stale.scheduler.name == "cluster"

    with django_assert_num_queries(1) as queries:
        stale.save()

    for column in ENDED:
        assert f'"{column}"' not in queries[0]["sql"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("_status", "COM"),
        ("status_message", "mine"),
        ("native_id", "mine"),
        ("completion_time", timezone.now()),
        ("backend_state", {"mine": 1}),
        ("custom_status", "mine"),
        ("progress_done", 3),
        ("attempts", 9),
        ("requested", "cancel"),
        ("deleted_at", timezone.now()),
        ("kind", "BasicJob"),
    ],
)
def test_a_column_of_the_workers_cannot_be_saved_and_the_error_names_it(make_job, column, value):
    job = make_job()
    job.save()
    before = written(job.pk)
    setattr(job, column, value)
    job.description = "new"

    for options in ({}, {"update_fields": ["description"]}, {"update_fields": [column]}):
        with pytest.raises(WorkerOwned, match=rf"^{column}: written by the worker alone.*update_status"):
            job.save(**options)

    assert written(job.pk) == before
    assert Job.objects.get().description == ""


def test_reading_a_part_of_the_row_again_hides_no_assignment(make_job):
    make_job().save()
    job = Job.objects.defer("description").get()
    job.native_id = "mine"

    assert job.description == ""  # read now
    job.refresh_from_db(fields=["name"])

    with pytest.raises(WorkerOwned, match="native_id"):
        job.save()


def test_only_the_fields_that_are_named_are_saved(make_job, scheduler, django_user_model):
    job = make_job("before", description="before")
    job.save()
    other = create_dask_scheduler("other", "host:2")
    other.save()
    job.name = job.description = "after"
    job.scheduler, job.user = other, django_user_model.objects.create_user("bob")

    job.save(update_fields=["name", "scheduler"])

    fresh = Job.objects.get()
    assert (fresh.name, fresh.description) == ("after", "before")
    assert (fresh.scheduler, fresh.user.username) == (other, "ada")
    job.save(update_fields=["user_id"])
    assert Job.objects.get().user.username == "bob"


def test_a_field_that_does_not_exist_cannot_be_named(make_job):
    job = make_job()
    job.save()

    with pytest.raises(ValueError, match="descripton"):
        job.save(update_fields=["descripton"])


def test_naming_only_columns_of_the_workers_writes_nothing(make_job, django_assert_num_queries):
    job = make_job()
    job.save()

    with django_assert_num_queries(0):
        job.save(update_fields=["status_message", "native_id"])
        job.save(update_fields=[])


def test_columns_that_were_not_read_are_not_written(stale):
    job = Job.objects.only("kind", "name", "user").get(pk=stale.pk)
    before = written(stale.pk)

    job.name = "new"
    job.save(update_fields=["name"])

    assert Job.objects.get().name == "new"
    assert written(stale.pk) == before


def test_a_new_instance_under_an_existing_number_overwrites_nothing(stale):
    before = written(stale.pk)
    imposter = DaskJob(pk=stale.pk, name="imposter", user=stale.user, label="tests", scheduler=stale.scheduler)

    with pytest.raises(IntegrityError), transaction.atomic():
        imposter.save()

    assert written(stale.pk) == before
    assert Job.objects.get().name == "stale"


def test_a_job_moves_to_another_scheduler_only_before_it_is_executed(silent, make_job):
    other = create_dask_scheduler("other", "host:2")
    other.save()
    job = make_job()
    job.save()
    job.scheduler = other
    job.save()
    assert Job.objects.get().scheduler == other
    view = Job.objects.get()
    job.execute(1)

    for instance in (job, view):  # the second one still shows Pending
        instance.scheduler = get_scheduler("cluster")
        instance.description = "new"
        with pytest.raises(InvalidJob, match="stays with its scheduler"):
            instance.save()

    fresh = Job.objects.get()
    assert (fresh.scheduler, fresh.description) == (other, "")


def test_a_stale_instance_cannot_execute_a_job_twice(silent, make_job):
    job = make_job()
    job.save()
    view = Job.objects.get()
    job.execute(1)
    before = written(job.pk)

    with pytest.raises(TransitionNotAllowed, match=r"is Submitted and cannot become Submitted now.*resubmit"):
        view.execute(2)

    assert written(job.pk) == before
    assert job.events.count() == 1
    assert view.cached_status == "Pending"
    assert Job.objects.get().open_input() == job.open_input()


def test_an_execution_that_cannot_be_recorded_leaves_the_job_as_it_was(settings, fake, make_job):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "no_such.Dispatcher"}
    job = make_job("job {id}")

    with pytest.raises(ImportError):
        job.execute(1)

    assert (job.pk, job.name, job.cached_status, job.submission_id) == (None, "job {id}", "Pending", None)
    assert Job.objects.count() == 0


def test_the_cached_status_touches_nothing(stale, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert stale.cached_status == "Pending"
        assert stale.cached_status == "Pending"


def test_the_status_is_read_again_and_an_ended_jobs_writes_nothing(stale):
    with CaptureQueriesContext(connection) as queries:
        assert stale.status == "Complete"
        assert stale.status == "Complete"

    assert len(queries) == 2
    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}
    assert (stale.status_message, stale.native_id, stale.progress_done) == ("well done", "key", 7)


def test_reading_the_status_keeps_what_the_app_has_not_saved_yet(stale):
    stale.description = "not saved"

    assert stale.status == "Complete"

    assert stale.description == "not saved"
    stale.save()
    assert Job.objects.get().description == "not saved"


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_a_refresh_is_asked_for_at_its_end(silent, make_job, scheduler):
    """Workers lock a limited scheduler before its jobs; a transaction that has locked jobs must not wait for it."""
    make_job().execute(1)
    Job._base_manager.update(native_id="key", _status="RUN", execute_time=timezone.now() - timedelta(minutes=5))
    job = Job.objects.get()

    with transaction.atomic():
        assert job.status == "Running"
        assert get_scheduler("cluster").refresh_requested_at is None

    assert get_scheduler("cluster").refresh_requested_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_request_from_a_machine_that_is_ahead_silences_nobody(silent, make_job, scheduler):
    later = timezone.now() + timedelta(hours=1)
    Scheduler.objects.update(refresh_requested_at=later)

    scheduler.request_refresh(timedelta(seconds=10))

    assert get_scheduler("cluster").refresh_requested_at < later


@pytest.mark.django_db(transaction=True)
def test_the_status_of_a_running_job_asks_for_a_refresh_once_an_interval(silent, make_job, scheduler):
    make_job().execute(1)
    job, now = Job.objects.get(), timezone.now()
    Job._base_manager.update(native_id="key", _status="RUN", execute_time=now - timedelta(minutes=5))

    with CaptureQueriesContext(connection) as first:
        assert job.status == "Running"
    asked_at = get_scheduler("cluster").refresh_requested_at
    with CaptureQueriesContext(connection) as second:
        assert job.status == "Running"

    assert [query["sql"].split()[0] for query in first] == ["SELECT", "UPDATE"]
    assert asked_at >= now
    assert get_scheduler("cluster").refresh_requested_at == asked_at
    assert len(second) <= 2

    Scheduler.objects.update(polled_at=timezone.now())
    with CaptureQueriesContext(connection) as fresh:
        assert job.status == "Running"
    assert len(fresh) == 1


def test_assigning_a_status_is_update_status(make_job):
    job = make_job()
    job.save()

    job.status = "Running"
    job.status = "Calibrating"

    fresh = Job.objects.get()
    assert (fresh.cached_status, fresh._status) == ("Calibrating", "OTH")
    assert [event.get_status_display() for event in fresh.events.all()] == ["Running", "Other"]


def test_the_same_status_again_writes_nothing(make_job, django_assert_num_queries):
    job = make_job()
    job.update_status("Running")

    with django_assert_num_queries(2) as captured:  # a look at the row each time
        job.update_status("RUN")
        job.update_status("Running")
    assert all(query["sql"].startswith("SELECT") for query in captured)


def test_an_ended_job_keeps_its_status_whatever_the_app_says(stale):
    before = written(stale.pk)

    with pytest.raises(TransitionNotAllowed, match=r"is Complete and cannot become Running now.*resubmit"):
        stale.update_status("Running")

    assert written(stale.pk) == before
    assert stale.events.count() == 0


def test_a_row_that_is_gone_says_so(make_job):
    job = make_job()
    job.save()
    Job._base_manager.filter(pk=job.pk)._raw_delete("default")

    with pytest.raises(TransitionNotAllowed, match="is not there any more"):
        job.update_status("Running")
    with pytest.raises(Job.DoesNotExist):
        _ = job.status


def test_a_scheduler_that_an_administrator_saves_keeps_what_the_worker_found(scheduler):
    form = get_scheduler("cluster")
    Scheduler.objects.update(failures=3, last_error="refused", unreachable_since=timezone.now())

    form.host = "127.0.0.1:2"
    form.save()

    row = get_scheduler("cluster")
    assert (row.host, row.failures, row.last_error) == ("127.0.0.1:2", 3, "refused")
    row.failures = 0
    with pytest.raises(WorkerOwned, match="failures"):
        row.save()


def test_what_is_observed_after_the_view_read_the_job_survives_its_save(make_job):
    job = make_job()
    job.update_status("Submitted")
    view = Job.objects.get()
    Job.observe_many({Job.objects.get(): Observation(Status.RUNNING, "on node 3", progress_done=1, progress_total=2)})

    view.description = "new"
    view.save()

    fresh = Job.objects.get()
    assert (fresh.cached_status, fresh.status_message, fresh.progress_done) == ("Running", "on node 3", 1)
