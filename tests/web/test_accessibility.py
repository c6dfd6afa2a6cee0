"""Every page of the portal passes an accessibility check (axe), in light and in dark."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.urls import reverse
from playwright.sync_api import expect

from jobsapi.models import Job
from jobsapi.status import Status
from tests.rig.chromium import assert_accessible

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

EXPIRED = """form => {
  form.elements.token.value = "of other keys";
  form.submit();
}"""
STOP_SELECTED = """form => {
  form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "command", value: "stop" }));
  form.submit();
}"""


@pytest.fixture
def of_every_kind(row, condor_row, workflow_row, pool_row):
    """Jobs in all statuses, with all that a row can show."""
    state = {"preview": "{'pi': 3.14}", "tasks": [["count_hits", 3, 1, 2, 0, 1]]}
    for number, status in enumerate(Status):
        row(f"job {number}", status, progress_done=3, progress_total=7, description="What it does.", status_message="x")
    row("done", Status.COMPLETE, backend_state=state, status_message="A message of many words. " * 20)
    failed = row("failed", Status.ERROR, status_message="ValueError: bad depth", backend_state=state)
    failed.event("scheduler", "ValueError: bad depth", "Traceback: in line 7").save()
    held = {"reason": "No space left", "code": 12, "subcode": 2, "parts": 1}
    condor_row(
        "parts", Status.VARIOUS, progress_total=8, backend_state={"ended": {"ok": "0-2", "1": "4"}, "hold": held}
    )
    workflow_row("flow", **{name: {"status": status.value} for name, status in zip("ABCDEFGHIJ", Status, strict=False)})
    type(pool_row).objects.update(unreachable_since=held and pool_row.polled_at, last_error="Connection refused.")


def test_the_pages_around_the_jobs(readers, page):
    stranger = readers.page()
    stranger.goto("/accounts/login/")
    assert_accessible(stranger)
    stranger.get_by_label("Username").fill("ada")
    stranger.get_by_label("Password").fill("wrong")
    stranger.get_by_role("button", name="Log in").click()
    assert_accessible(stranger, "a wrong password")
    for address in ("/demo/", "/jobs/"):  # the latter without jobs
        page.goto(address)
        assert_accessible(page)


def test_the_table_of_jobs_and_what_opens_in_it(readers, of_every_kind, django_user_model, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "worker.tasks.CeleryDispatcher"}  # whose workers do not run
    cache.clear()
    page = readers.page(django_user_model.objects.create_superuser("root"))  # whom most is shown
    page.goto("/jobs/?sort=name")
    expect(page.locator(".alive")).to_contain_text("worker")
    newest = Job.objects.filter(name="done").get().pk
    page.locator(f"#job-{newest}-message-summary, [id^='job-{newest}-message-'] summary").first.click()
    for summary in page.locator("tr.more summary", has_text="Traceback").all():
        summary.click()
    for word in ("Graph", "Tasks", "Parts"):
        page.locator("tr.more summary", has_text=word).first.click()
    expect(page.locator("svg.graph")).to_be_visible()
    expect(page.locator("dl.tasks").first).to_be_visible()
    page.get_by_label("Select all on this page").check()
    page.locator(f"#job-{newest}-menu-summary").click()
    assert_accessible(page, "all opened")
    page.get_by_role("group", name="Selected jobs").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page, "a question")
    page.goto("/jobs/?search=nothing+like+it")
    assert_accessible(page, "nothing found")


def test_questions_and_refusals_without_a_script(readers, page, row):
    job = row("flood", Status.RUNNING)
    page.goto("/jobs/")
    page.get_by_label(f"Select job {job.pk}").check()
    page.locator("#job-form").evaluate(STOP_SELECTED)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Stop the selected jobs (1)?")
    assert_accessible(page, "a question")
    page.goto("/jobs/")
    page.locator("#job-form").evaluate(EXPIRED)
    expect(page.get_by_role("heading", level=1)).to_have_text("This page has expired")
    assert_accessible(page, "an expired page")
    assert "410" in readers.complaints.pop()  # Chromium says so itself


@pytest.mark.urls("tests.web.host")
def test_tables_and_a_dialog_in_a_page_of_an_apps_own(page, row):
    job = row("flood", Status.COMPLETE)
    page.goto("/app/?two")
    assert_accessible(page)
    page.locator(f"#job-{job.pk}-menu-summary").click()
    page.locator(f"#job-{job.pk}").get_by_role("link", name="Look closer").click()
    expect(page.get_by_role("dialog")).to_contain_text("Closer")
    assert_accessible(page, "a dialog")


def test_the_pages_of_dask_jobs(readers, ada, row, cluster_row):
    type(cluster_row).objects.filter(pk=cluster_row.pk).update(dashboard="http://board.example:8787/status")
    state = {"tasks": [["count_hits", 3, 1, 2, 0, 1], ["estimate_pi", 0, 0, 1, 0, 0]]}
    running = row("hits", Status.RUNNING, progress_done=3, progress_total=7, backend_state=state)
    running.event("scheduler", "Started on node 7.").save()
    lines = "".join(f"  line {number}\n" for number in range(20))
    failure = {"status_message": "ValueError: bad depth", "backend_state": {**state, "traceback": lines}}
    failed = row("depths", Status.ERROR, attempts=2, **failure)
    grid = {"type": "ndarray", "shape": [2, 2], "dtype": "float64", "text": "[[1, 2], [3, 4]]", "preview": "[[1, 2]]"}
    done = row("heat", Status.COMPLETE, backend_state={**state, **grid})
    ada.is_staff = True
    ada.save()
    page = readers.page(ada)
    page.route(
        "http://board.example:8787/**", lambda route: route.fulfill(body="A dashboard", content_type="text/html")
    )
    for job in (running, failed, done):
        page.goto(f"/jobs/{job.pk}/")
        expect(page.locator("dl.tasks")).to_be_visible()
        assert_accessible(page)
    for address in (f"{running.pk}/inside/", f"{running.pk}/dashboard/", f"{failed.pk}/logs/", f"{done.pk}/result/"):
        page.goto(f"/jobs/{address}")
        assert_accessible(page)


def test_the_pages_of_jobs_of_htcondor(page, condor_row, workflow_row):
    hold = {"reason": "No space left on device.", "code": 12, "subcode": 2, "parts": 1}
    state = {"ended": {"ok": "0-3", "1": "4"}, "hold": hold, "logs": ["*.out"]}
    many = condor_row("flood", Status.VARIOUS, progress_total=8, backend_state=state)
    many.event("hold", "Asked to pause.").save()
    (many.folder / "sub").mkdir(parents=True)
    (many.folder / many.MARK).write_text(many.folder_mark)
    for name in ("flood.0.out", "flood.1.out"):
        (many.folder / name).write_text("".join(f"line {number}\n" for number in range(400)))
    log = "logs/?log=flood.0.out"
    for address in (
        "",
        "inside/",
        "parts/",
        "logs/",
        log,
        f"{log}&search=line+1",
        f"{log}&search=none",
        "result/",
        "files/",
    ):
        page.goto(f"/jobs/{many.pk}/{address}")
        assert_accessible(page)
    failed = {"status": "ERR", "native_id": "15", "retries": 2, "message": "It ended with exit code 1."}
    flow = workflow_row("flow", A={"status": "COM"}, B={"status": "RUN", "native_id": "14"}, C=failed)
    for address in ("", "parts/", "parts/?status=ERR"):
        page.goto(f"/jobs/{flow.pk}/{address}")
        expect(page.locator("svg.graph")).to_be_visible()
        assert_accessible(page)


def test_a_test_of_a_scheduler_in_the_admin(readers, cluster_row, django_user_model):
    page = readers.page(django_user_model.objects.create_superuser("root"))
    page.goto(reverse("admin:jobsapi_daskscheduler_test", args=[cluster_row.pk]))
    assert_accessible(page)
