"""The admin: secrets go in and do not come out, and what a worker writes cannot be written."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from jobsapi import lifecycle
from jobsapi.admin.assignments import key_of
from jobsapi.models import CondorScheduler, DaskJob, DaskScheduler, Job, SchedulerAssignment
from jobsapi.portal.samples.app import SampleApp
from jobsapi.status import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(admin_client):
    return admin_client


def address(model: str, page: str, *args) -> str:
    return reverse(f"admin:jobsapi_{model}_{page}", args=args)


def host(**values) -> dict[str, object]:
    return {"name": "pool", "host": "submit", "port": 22, "username": "grid", **values}


def test_a_password_goes_in_is_kept_and_never_comes_out(root):
    root.post(address("condorscheduler", "add"), host(password=" pa ss ", private_key_pass="phrase"))
    pool = CondorScheduler.objects.get()
    assert (pool.password, pool.private_key_pass) == (" pa ss ", "phrase")
    page = root.get(address("condorscheduler", "change", pool.pk)).content.decode()
    for shown in (pool.password, pool._password, "phrase", pool._private_key_pass):
        assert shown not in page
    root.post(address("condorscheduler", "change", pool.pk), host(username="other"))
    pool = CondorScheduler.objects.get()
    assert (pool.username, pool.password) == ("other", " pa ss ")
    root.post(address("condorscheduler", "change", pool.pk), host(password="new"))
    assert CondorScheduler.objects.get().password == "new"


def test_how_a_scheduler_fares_can_be_read_and_not_written(root, cluster_row):
    DaskScheduler.objects.filter(pk=cluster_row.pk).update(last_error="it was refused")
    change = address("daskscheduler", "change", cluster_row.pk)
    page = root.get(change).content.decode()
    assert "it was refused" in page
    assert 'name="last_error"' not in page
    root.post(change, {"name": "renamed", "host": "h:1", "last_error": "", "failures": 7})
    cluster_row.refresh_from_db()
    assert (cluster_row.name, cluster_row.last_error, cluster_row.failures) == ("renamed", "it was refused", 0)


def test_each_kind_of_scheduler_has_a_list_of_its_own(root, cluster_row):
    CondorScheduler(name="pool").save()
    assert "cluster" in root.get(address("daskscheduler", "changelist")).content.decode()
    assert "cluster" not in root.get(address("condorscheduler", "changelist")).content.decode()


def place(setting: str) -> str:
    """A setting of the sample app's, as the form names it."""
    return key_of("samples", setting)


def test_a_scheduler_is_assigned_to_a_setting_if_it_is_of_the_right_kind(root, cluster_row):
    add = address("schedulerassignment", "add")
    assert "dask of samples (Dask, required)" in root.get(add).content.decode()
    pool = CondorScheduler(name="pool")
    pool.save()
    wrong = root.post(add, {"place": place("dask"), "scheduler": pool.pk})
    assert "needs a dask scheduler" in wrong.content.decode()
    assert not SchedulerAssignment.objects.exists()
    root.post(add, {"place": place("dask"), "scheduler": cluster_row.pk})
    assert SampleApp.get_scheduler("dask") == cluster_row


def test_a_setting_that_no_app_defines_cannot_be_assigned(root, cluster_row):
    answer = root.post(address("schedulerassignment", "add"), {"place": place("gpu"), "scheduler": cluster_row.pk})
    assert "Select a valid choice" in answer.content.decode()


def test_a_setting_has_one_scheduler_and_the_form_says_which(root, cluster_row):
    SchedulerAssignment.objects.create(package="samples", setting="dask", scheduler=cluster_row)
    answer = root.post(address("schedulerassignment", "add"), {"place": place("dask"), "scheduler": cluster_row.pk})
    assert "“cluster” is assigned to it already" in html.unescape(answer.content.decode())


def test_an_assignment_of_an_app_that_is_gone_can_still_be_opened_and_kept(root, cluster_row):
    old = SchedulerAssignment.objects.create(package="gone", setting="dask", scheduler=cluster_row)
    change = address("schedulerassignment", "change", old.pk)
    assert "dask of gone (no app of this site defines it)" in root.get(change).content.decode()
    other = DaskScheduler(name="other", host="h:1")
    other.save()
    root.post(change, {"place": key_of("gone", "dask"), "scheduler": other.pk})
    old.refresh_from_db()
    assert (old.package, old.scheduler) == ("gone", other)


def test_required_settings_that_nothing_is_assigned_to_are_named_with_a_way_to_mend_it(root, cluster_row):
    page = html.unescape(root.get(address("schedulerassignment", "changelist")).content.decode())
    assert "No scheduler is assigned to dask of samples (Dask, required)" in page
    assert "htcondor of samples" not in page
    # Other tests define apps, too.
    (link,) = (each for each in re.findall(r'href="([^"]*\?place=[^"]*)"', page) if "samples" in each)
    assert f'value="{place("dask")}" selected' in html.unescape(root.get(link).content.decode())
    SchedulerAssignment.objects.create(package="samples", setting="dask", scheduler=cluster_row)
    page = root.get(address("schedulerassignment", "changelist")).content.decode()
    assert "No scheduler is assigned to dask of samples" not in page


NO_INLINES = {"shares-TOTAL_FORMS": 0, "shares-INITIAL_FORMS": 0}


def test_the_list_of_jobs_costs_the_same_for_one_and_for_twenty(root, row, django_assert_max_num_queries):
    root.get(address("job", "changelist"))
    for number in range(20):
        row(f"job {number}", Status.COMPLETE if number % 2 else Status.RUNNING)
    with django_assert_max_num_queries(9):
        page = root.get(address("job", "changelist"), {"_status__exact": "COM", "kind": "DaskJob", "label": "tests"})
    assert page.content.decode().count('class="action-select"') == 10


def test_a_jobs_own_words_can_be_changed_and_its_status_cannot(root, row):
    job = row("before", Status.RUNNING)
    job.event("worker", "Accepted as <7>.").save()
    change = address("job", "change", job.pk)
    page = root.get(change).content.decode()
    assert "Accepted as &lt;7&gt;." in page
    root.post(change, {"name": "after", "priority": 5, "_status": "COM", "native_id": "x", **NO_INLINES})
    job.refresh_from_db()
    assert (job.name, job.priority, job._status) == ("after", 5, Status.RUNNING)
    assert job.native_id != "x"


def test_what_a_job_cannot_be_is_said_in_the_form(root, row, settings):
    job = row()
    Job.objects.filter(pk=job.pk).update(_process_results_function="os.system")
    answer = root.post(address("job", "change", job.pk), {"name": "after", "priority": 0})
    assert answer.status_code == 200
    assert "os.system lies neither in" in answer.content.decode()


def test_jobs_are_stopped_and_run_again_and_what_is_refused_says_why(root, row):
    running, ended = row("running"), row("ended", Status.ERROR)
    both = {"_selected_action": [running.pk, ended.pk]}
    page = root.post(address("job", "changelist"), {"action": "stop", **both}, follow=True).content.decode()
    assert "1 asked to stop." in page
    assert "has ended already" in page
    page = root.post(address("job", "changelist"), {"action": "resubmit", **both}, follow=True).content.decode()
    assert "1 submitted again." in page
    running.refresh_from_db()
    ended.refresh_from_db()
    assert (running.requested, ended._status) == ("cancel", Status.SUBMITTED)


def test_jobs_cannot_be_added_and_their_deletion_is_left_to_the_worker(root, row):
    assert root.get(address("job", "add")).status_code == 403
    one, two = row("one"), row("two")
    one.event("execute", "Asked to run.").save()
    assert "Asked to run" not in root.get(address("job", "delete", one.pk)).content.decode()
    root.post(address("job", "delete", one.pk), {"post": "yes"})
    root.post(address("job", "changelist"), {"action": "delete_selected", "_selected_action": [two.pk], "post": "yes"})
    assert not Job.objects.exists()
    hidden = Job._base_manager.order_by("pk")
    assert [(job.requested, job.deleted_at is not None) for job in hidden] == 2 * [("cancel", True)]


@pytest.fixture
def crowd(ada, cluster_row):
    """A thousand jobs of a user's at a scheduler."""
    columns = {"user": ada, "label": "tests", "scheduler": cluster_row}
    Job.objects.bulk_create([DaskJob(name=f"job {number}", **columns) for number in range(1000)])


def test_a_scheduler_with_jobs_is_not_deleted_and_the_page_says_what_to_do(
    root, crowd, cluster_row, django_assert_max_num_queries
):
    sentence = (
        "“cluster” has 1,000 jobs, none of them under way. "
        "Delete or move them first, or give it up: manage.py give_up_scheduler cluster"
    )
    delete = address("daskscheduler", "delete", cluster_row.pk)
    with django_assert_max_num_queries(12):
        page = root.get(delete).content.decode()
    assert sentence in html.unescape(page)
    assert "job 999" not in page
    assert len(page) < 20_000
    assert sentence in html.unescape(root.post(delete, {"post": "yes"}).content.decode())
    chosen = {"action": "delete_selected", "_selected_action": [cluster_row.pk]}
    selected = html.unescape(root.post(address("daskscheduler", "changelist"), chosen).content.decode())
    assert sentence in selected
    for each in (page, selected):
        assert "Give up “cluster” …" in html.unescape(each)
        assert f'<input type="hidden" name="_selected_action" value="{cluster_row.pk}">' in each
    assert DaskScheduler.objects.exists()


def test_a_user_with_jobs_is_not_deleted_and_djangos_own_page_says_why(root, crowd, ada, django_assert_max_num_queries):
    delete = reverse("admin:auth_user_delete", args=[ada.pk])
    with django_assert_max_num_queries(16):
        page = html.unescape(root.get(delete).content.decode())
    assert "“ada” has 1,000 jobs, none of them under way. Delete them first, or keep the account" in page
    assert "job 999" not in page
    root.post(delete, {"post": "yes"})
    ada.refresh_from_db()


def test_an_assigned_scheduler_is_not_deleted_and_the_page_says_where_it_is(root, cluster_row):
    SchedulerAssignment.objects.create(package="samples", setting="dask", scheduler=cluster_row)
    page = root.get(address("daskscheduler", "delete", cluster_row.pk)).content.decode()
    assert "“cluster” is assigned to the setting “dask” of samples. Assign another one" in html.unescape(page)
    assert "Give up" not in page


def test_a_scheduler_is_given_up_after_a_question(root, row, cluster_row, silent_worker):
    job = row("under way")
    changelist = address("daskscheduler", "changelist")
    chosen = {"action": "give_up", "_selected_action": [cluster_row.pk]}
    page = html.unescape(root.post(changelist, chosen).content.decode())
    assert "“cluster” has 1 job, 1 of them under way." in page
    assert "It is sent nothing" in page
    cluster_row.refresh_from_db()
    assert cluster_row.given_up_at is None
    page = root.post(changelist, {**chosen, "confirmed": "yes"}, follow=True).content.decode()
    assert "“cluster” is given up. A worker ends its jobs; then it can be deleted." in html.unescape(page)
    cluster_row.refresh_from_db()
    assert cluster_row.given_up_at is not None
    silent_worker()
    job.refresh_from_db()
    assert job.cached_status == "Error"
    root.post(address("daskscheduler", "delete", cluster_row.pk), {"post": "yes"})
    job.refresh_from_db()
    assert (DaskScheduler.objects.exists(), job.scheduler) == (False, None)
    for page in (address("job", "change", job.pk), address("job", "changelist"), reverse("jobsapi:jobs")):
        assert "under way" in root.get(page).content.decode()
    assert LogEntry.objects.filter(change_message__contains="Given up").exists()


@pytest.fixture
def silent_worker(cluster_row):
    """What a worker does with the message that was lost."""
    return lambda: lifecycle.give_up(cluster_row.pk)


def test_who_may_not_delete_a_scheduler_may_not_give_it_up(client, django_user_model, cluster_row):
    viewer = django_user_model.objects.create_user("viewer", password="pw", is_staff=True)
    viewer.user_permissions.add(*Permission.objects.filter(codename__in=["view_daskscheduler", "change_daskscheduler"]))
    client.force_login(viewer)
    chosen = {"action": "give_up", "_selected_action": [cluster_row.pk], "confirmed": "yes"}
    client.post(address("daskscheduler", "changelist"), chosen)
    cluster_row.refresh_from_db()
    assert cluster_row.given_up_at is None
