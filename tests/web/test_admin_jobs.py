"""The list and the page of jobs in the admin: what is found, what it costs, and what becomes of a thousand at once."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult

from jobsapi.admin import filters
from jobsapi.admin.jobs import JobAdmin
from jobsapi.admin.tasks import tasks_of
from jobsapi.dispatch import message_id
from jobsapi.models import BasicJob, DaskJob, Job, JobEvent, JobShare, Scheduler
from jobsapi.status import Status
from tests.lifecycle.conftest import Mailbox
from tests.web.test_admin import NO_INLINES, address

pytestmark = pytest.mark.django_db

LIST = reverse("admin:jobsapi_job_changelist")


def text(response) -> str:
    return html.unescape(response.content.decode())


def listed(client, **query) -> list[int]:
    """The numbers of the jobs that the list shows."""
    page = client.get(LIST, query).content.decode()
    return [
        int(pk)
        for pk in re.findall(r'class="action-select"[^>]* value="(\d+)"|value="(\d+)" class="action-select"', page)
        for pk in pk
        if pk
    ]


def act(client, action: str, jobs, **options) -> str:
    chosen = {"action": action, "_selected_action": [job.pk for job in jobs]}
    return text(client.post(LIST, {**chosen, **options}, follow=True))


def act_on_all(client, action: str, jobs) -> str:
    """As after a click on "select all", which a browser sends as one number and a word."""
    return act(client, action, jobs[:1], select_across="1")


def test_jobs_are_found_by_type_status_app_scheduler_and_owner(admin_client, row, bob, pool_row):
    one = row("one")
    two = row("two", Status.COMPLETE, user=bob)
    Job.objects.filter(pk=two.pk).update(label="flood", scheduler=pool_row, kind="CondorJob")

    assert listed(admin_client) == [two.pk, one.pk]
    assert listed(admin_client, kind="CondorJob") == [two.pk]
    assert listed(admin_client, _status="COM") == [two.pk]
    assert listed(admin_client, label="flood") == [two.pk]
    assert listed(admin_client, scheduler=pool_row.pk) == [two.pk]
    assert listed(admin_client, user=bob.pk) == [two.pk]
    assert listed(admin_client, user="x'y") == []


@pytest.mark.parametrize("column", ["user", "scheduler", "q"])
def test_a_number_that_no_database_has_finds_nothing(admin_client, row, column):
    row("one")

    assert listed(admin_client, **{column: "9" * 30}) == []


def test_jobs_are_found_by_name_number_native_id_and_user(admin_client, row, bob):
    one, two = row("one"), row("two", user=bob, native_id="key-of-two")

    assert listed(admin_client, q="one") == [one.pk]
    assert two.pk in listed(admin_client, q=str(two.pk))
    assert listed(admin_client, q="key-of-two") == [two.pk]
    assert listed(admin_client, q="bob") == [two.pk]


def test_a_filter_by_an_app_that_is_gone_stays_in_the_list(admin_client, row):
    Job.objects.filter(pk=row("one").pk).update(label="gone")

    assert re.search(r"<a[^>]*>gone</a>", admin_client.get(LIST, {"label": "gone"}).content.decode())


def test_more_jobs_than_are_counted_are_said_to_be_more(admin_client, row, monkeypatch):
    monkeypatch.setattr(filters, "COUNTED", 3)
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    for number in range(5):
        row(f"job {number}")

    page = text(admin_client.get(LIST))
    assert "3 jobs or more. Search, or choose a filter" in page
    assert "Select all jobs that match, on all pages" in page


def test_a_row_of_the_list_reads_no_large_column(admin_client, row, django_assert_num_queries):
    row("one")
    admin_client.get(LIST)
    with django_assert_num_queries(6) as counted:
        admin_client.get(LIST)
    (rows,) = [query["sql"] for query in counted if "ORDER BY" in query["sql"] and '"native_id"' in query["sql"]]
    assert "backend_state" not in rows


def ended_jobs(count, user, scheduler):
    """So many jobs of a user's that have failed."""
    columns = {"user": user, "label": "tests", "scheduler": scheduler, "_status": Status.ERROR}
    ended = {"completion_time": timezone.now(), "execute_time": timezone.now()}
    return Job.objects.bulk_create([DaskJob(name=f"job {number}", **columns, **ended) for number in range(count)])


@pytest.fixture
def thousand(ada, cluster_row):
    return ended_jobs(1000, ada, cluster_row)


def test_many_refusals_are_told_in_a_few_words(admin_client, ada, cluster_row):
    page = act_on_all(admin_client, "stop", ended_jobs(20, ada, cluster_row))

    assert page.count("has ended already") == 5
    assert "15 others were refused, too." in page


@pytest.mark.parametrize("action", ["stop", "resubmit"])
def test_more_jobs_than_one_request_can_serve_are_refused_with_a_way_out(
    admin_client, thousand, action, django_assert_max_num_queries
):
    with django_assert_max_num_queries(20):
        page = act_on_all(admin_client, action, thousand)

    assert "Nothing was done: these are more than 500 jobs, too many for one request." in page
    assert "Search, or choose a filter, until fewer match." in page
    assert "has ended already" not in page


def test_a_thousand_jobs_of_one_scheduler_cost_one_message(
    admin_client, thousand, settings, django_capture_on_commit_callbacks
):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "tests.lifecycle.conftest.Mailbox"}
    Mailbox.sent.clear()

    with django_capture_on_commit_callbacks(execute=True):
        page = act_on_all(admin_client, "refresh", thousand)
        act_on_all(admin_client, "refresh", thousand)

    assert "Asked “cluster”." in page
    assert Mailbox.sent == [("refresh", Scheduler.objects.get().pk)]


def test_a_thousand_jobs_are_deleted_after_a_question_that_names_a_few(admin_client, thousand):
    page = act_on_all(admin_client, "delete_selected", thousand)
    assert page.count("(job ") == 10
    assert "and 990 others" in page

    act(admin_client, "delete_selected", thousand[:1], select_across="1", post="yes")

    assert not Job.objects.exists()
    assert Job._base_manager.filter(deleted_at__isnull=False).count() == 1000


def test_who_cannot_be_asked_is_said_to_be(admin_client, row, ada, pool_row):
    away, gone = row("away"), row("gone")
    Scheduler.objects.filter(pk=away.scheduler_id).update(
        retry_at=timezone.now() + timedelta(hours=1), unreachable_since=timezone.now(), last_error="Refused."
    )
    Job.objects.filter(pk=gone.pk).update(scheduler=pool_row)
    pool_row.give_up()
    alone = BasicJob(name="alone", user=ada, label="tests")
    alone.save()

    page = act(admin_client, "refresh", [away, gone, alone])

    assert "“cluster” unreachable since" in page
    assert "“Test connection” asks it now" in page
    assert "“pool” was given up" in page
    assert "1 job has no scheduler to ask." in page
    assert Scheduler.objects.filter(refresh_requested_at__isnull=False).count() == 0


def test_a_job_is_shared_with_groups_and_what_they_may_do_is_chosen(admin_client, row):
    job, group = row("shared"), Group.objects.create(name="hydrology")
    share = {"shares-TOTAL_FORMS": 1, "shares-0-job": job.pk, "shares-0-group": group.pk, "shares-0-right": "manage"}

    admin_client.post(address("job", "change", job.pk), {"name": "shared", "priority": 0, **NO_INLINES, **share})

    assert [(each.group, each.right) for each in JobShare.objects.filter(job=job.pk)] == [(group, "manage")]
    assert "hydrology" in text(admin_client.get(address("job", "change", job.pk)))


def happens(job, count, **columns):
    """Write so many events of a job."""
    known = {"job_id": job.pk, "time": timezone.now(), "by": "worker", "status": Status.RUNNING, "attempt": 1}
    events = [JobEvent(**{**known, "message": f"event {number};", **columns}) for number in range(count)]
    return JobEvent.objects.bulk_create(events)


def test_a_job_with_a_long_history_shows_the_newest_of_it_and_can_be_saved(admin_client, row):
    job = row("before")
    JobEvent.objects.filter(job=job.pk).delete()
    events = happens(job, 520, detail="Traceback\n" + 20_000 * "<" + "\nValueError: the last words")
    change = address("job", "change", job.pk)

    page = admin_client.get(change).content.decode()

    assert page.index("event 519;") < page.index("event 420;")
    assert "event 419;" not in page
    assert page.count("ValueError: the last words") == 100
    assert len(page) < 2_500_000
    assert f'href="{reverse("jobsapi:job-logs", args=[job.pk])}?before={events[420].pk}"' in page
    assert "event 419;" in text(
        admin_client.get(reverse("jobsapi:job-logs", args=[job.pk]), {"before": events[420].pk})
    )
    fields = dict(re.findall(r'<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"', page))
    admin_client.post(change, {**NO_INLINES, "priority": 0, **fields, "name": "after"})
    job.refresh_from_db()
    assert job.name == "after"


def test_a_short_history_is_shown_whole_and_leads_nowhere(admin_client, row):
    job = row("new")
    happens(job, 3)

    page = text(admin_client.get(address("job", "change", job.pk)))

    assert "event 0;" in page
    assert "Earlier ones" not in page


def test_the_page_of_a_job_costs_the_same_however_much_has_become_of_it(
    admin_client, row, django_assert_max_num_queries
):
    job = row("busy")
    change = address("job", "change", job.pk)
    with django_assert_max_num_queries(30) as before:
        admin_client.get(change)
    happens(job, 150)
    for number in range(20):
        job.share(Group.objects.create(name=f"group {number}"))
        task(job.pk)

    with django_assert_max_num_queries(len(before)):
        page = text(admin_client.get(change))

    assert page.count(f"may view job {job.pk}") == 20


def test_celery_tasks_are_shown_with_the_end_of_their_tracebacks(admin_client, row):
    job = row("mine")
    for _ in range(60):
        task(job.pk, status="FAILURE", traceback="Traceback\n" + 50_000 * "x" + "\nValueError: the last words")

    page = text(admin_client.get(address("job", "change", job.pk)))

    assert page.count("<summary>ValueError: the last words</summary>") == 50
    assert len(page) < 400_000


def task(job, verb="submit", **columns):
    """What django-celery-results keeps of a message about a job."""
    known = {"task_name": f"jobsapi.{verb}", "status": "SUCCESS", "content_type": "x", "content_encoding": "utf-8"}
    return TaskResult.objects.create(task_id=message_id("job", job), **{**known, **columns})


def test_the_page_of_a_job_has_its_celery_tasks_and_nobody_elses(admin_client, row):
    job = row("mine")
    task(job.pk, worker="work@host")
    failed = "Traceback (most recent call last):\n  File x\njobsapi.exceptions.BackendUnavailable: <refused>"
    task(job.pk, "cancel", status="FAILURE", traceback=failed)
    for other in (int(f"{job.pk}2"), int(f"1{job.pk}"), job.pk + 1):
        task(other, "fetch_results", worker="other@host")
    TaskResult.objects.create(task_id=f"scheduler-{job.pk}", task_args=f'"(job {job.pk}: mine)"', worker="other@host")

    page = admin_client.get(address("job", "change", job.pk)).content.decode()

    assert "work@host" in page
    assert "<summary>jobsapi.exceptions.BackendUnavailable: &lt;refused&gt;</summary>" in page
    assert page.index("cancel") < page.index("work@host")
    assert "other@host" not in page


def test_a_task_links_into_flower_if_its_address_is_known(admin_client, row, settings):
    job = row("mine")
    kept = task(job.pk)
    change = address("job", "change", job.pk)
    assert "in Flower" not in text(admin_client.get(change))

    settings.JOBSAPI = {**settings.JOBSAPI, "FLOWER_URL": "https://jobs.example.org/flower/"}

    assert f'href="https://jobs.example.org/flower/task/{kept.task_id}"' in text(admin_client.get(change))


def test_how_long_a_task_took_is_told(admin_client, row):
    job = row("mine")
    kept = task(job.pk)
    began = timezone.now() - timedelta(minutes=5)
    TaskResult.objects.filter(pk=kept.pk).update(date_started=began, date_done=began + timedelta(seconds=1.5))

    assert "<td>1.50\N{NO-BREAK SPACE}s</td>" in text(admin_client.get(address("job", "change", job.pk)))


def test_a_site_without_celery_results_has_no_tasks_to_show(row, settings):
    job = row("mine")
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_celery_results"]

    assert tasks_of(job) is None


def test_celery_tasks_are_looked_up_by_an_index(row, django_assert_num_queries):
    job = row("mine")
    with django_assert_num_queries(1) as asked:
        tasks_of(job)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]['sql']}")
            assert "USING INDEX" in str(cursor.fetchall())


def test_the_page_of_a_job_leads_to_the_one_that_users_see(admin_client, row):
    job = row("mine")

    assert f'href="{reverse("jobsapi:job", args=[job.pk])}"' in text(admin_client.get(address("job", "change", job.pk)))
