"""The pages in a real Chromium: they keep themselves up to date, and leave their readers alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect, sync_playwright

from jobsapi.models import Job, PartWish, Scheduler
from jobsapi.status import Status
from tests.rig.services import missing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
OWN = ("script-src", "style-src", "img-src", "connect-src", "form-action")
STRICT = "default-src 'none'; " + "; ".join(f"{kind} 'self'" for kind in OWN)
ROWS = "**/jobs/?rows*"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        missing("Chromium is not installed: run scripts/install-test-services")
    # Playwright keeps an event loop in this thread, which Django takes for an async caller of the database.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, live_server, client, ada) -> Iterator[Any]:
    """A page for ada, who is logged in, under a strict content security policy. What it complains of is an error."""
    client.force_login(ada)
    context = chromium.new_context(base_url=live_server.url)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def strictly(route: Any) -> None:
        answer = route.fetch(max_redirects=0)
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": STRICT})

    page.route(re.compile(r"/jobs/(\d+/(parts|logs)/(\?.*)?)?$"), strictly)
    yield page
    page.unroute_all(behavior="ignoreErrors")
    context.close()
    assert complaints == []


def untouched(page: Any) -> None:
    """Mark the document, so that ``assert_not_reloaded`` can tell it from another."""
    page.evaluate("document.documentElement.dataset.mark = 'same'")


def assert_not_reloaded(page: Any) -> None:
    assert page.evaluate("document.documentElement.dataset.mark") == "same"


def test_the_table_follows_its_jobs_without_a_reload(page, row, change):
    job = row("Flood model", Status.RUNNING, progress_done=1, progress_total=10)
    page.goto("/jobs/")
    untouched(page)
    body = page.locator(f"#job-{job.pk}")
    expect(body).to_contain_text("1 of 10")

    change(job, progress_done=7)
    expect(body).to_contain_text("7 of 10")
    change(job, _status=Status.COMPLETE, completion_time=timezone.now(), backend_state={"preview": "42"})
    expect(body).to_contain_text("Complete")
    expect(body).to_contain_text("42")

    newer = row("Newer")
    expect(page.locator("#jobs tbody").first).to_contain_text("Newer")
    job.delete()
    expect(body).to_have_count(0)
    expect(page.locator("#jobs tbody")).to_have_count(1)
    newer.delete()
    expect(page.get_by_text("No jobs yet")).to_be_visible()


def test_an_open_traceback_and_the_focus_outlive_a_refresh(page, row, change):
    failed = row("bad", Status.ERROR, status_message="ValueError: bad depth")
    failed.event("scheduler", "ValueError: bad depth", "Traceback: in line 7").save()
    other = row("other", Status.RUNNING, progress_total=10)
    page.goto("/jobs/")
    untouched(page)
    page.get_by_text("Traceback", exact=True).click()
    expect(page.get_by_text("in line 7")).to_be_visible()

    stop = page.locator(f"#job-{other.pk}-stop")
    stop.focus()
    change(other, progress_done=3)
    expect(page.locator(f"#job-{other.pk}")).to_contain_text("3 of 10")
    expect(stop).to_be_focused()
    expect(page.get_by_text("in line 7")).to_be_visible()

    change(failed, status_message="ValueError: said differently")  # its own row is replaced, too
    expect(page.locator(f"#job-{failed.pk}")).to_contain_text("said differently")
    expect(page.get_by_text("in line 7")).to_be_visible()
    with page.expect_response(ROWS):  # htmx settles attributes a moment after a swap, long before the next poll
        pass
    expect(page.get_by_text("in line 7")).to_be_visible()
    assert_not_reloaded(page)


def test_a_job_is_stopped_and_deleted_with_a_button(page, row, change):
    job = row("to be stopped", Status.RUNNING)
    page.goto("/jobs/")
    untouched(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("stopping …")
    change(job, _status=Status.ABORTED, completion_time=timezone.now(), requested="")
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("Aborted")

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    assert Job.objects.filter(pk=job.pk).exists()
    assert_not_reloaded(page)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No jobs yet")).to_be_visible()


def test_a_refused_command_is_told_on_the_page(page, row, change):
    job = row(status=Status.RUNNING)
    page.goto("/jobs/")
    page.route(ROWS, lambda route: route.fulfill(status=204))  # the page does not hear of it in time
    change(job, _status=Status.COMPLETE, completion_time=timezone.now())
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#messages")).to_contain_text("has ended already")


def test_the_times_go_on_between_two_refreshes(page, row):
    row(status=Status.RUNNING)
    page.goto("/jobs/")
    time = page.locator(".times time").first
    shown = time.inner_text()
    expect(time).not_to_have_text(shown)


def test_a_page_without_a_session_leads_to_the_login(page, row, client):
    row()
    page.goto("/jobs/")
    client.logout()
    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_without_script_the_buttons_work_as_forms(chromium, live_server, client, ada, row):
    client.force_login(ada)
    job = row("to be stopped", Status.RUNNING)
    context = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    page.goto("/jobs/")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("stopping …")
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_table_fits_its_screen(page, row, width, cluster_row):
    Scheduler.objects.filter(pk=cluster_row.pk).update(unreachable_since=timezone.now(), last_error="x" * 300)
    row("a_name_without_spaces_" * 10, Status.RUNNING, progress_done=3, progress_total=7, description="word " * 60)
    row("done", Status.VARIOUS_COMPLETE, status_message="y" * 300, backend_state={"preview": "1.23 " * 100}, pk=1234567)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/jobs/")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_job_is_paused_and_resumed_with_a_button(page, condor_row, change):
    job = condor_row()
    page.goto("/jobs/")
    untouched(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("pausing …")
    change(job, _status=Status.PAUSED, requested="", status_message="Held by its user.")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("resuming …")
    assert_not_reloaded(page)


def test_the_nodes_of_a_workflow_follow_it_without_a_reload(page, workflow_row, change):
    flow = workflow_row(A={"status": "RUN", "native_id": "14"}, B={"status": "PEN"})
    page.goto("/jobs/")
    page.get_by_role("link", name="Nodes").click()
    untouched(page)
    stop = page.get_by_role("button", name="Stop A")
    stop.focus()
    change(flow, backend_state={"nodes": {"A": {"status": "RUN", "native_id": "15", "retries": 1}}})
    expect(page.locator("#parts")).to_contain_text("1 retry")
    expect(stop).to_be_focused()
    change(flow, _status=Status.COMPLETE, completion_time=timezone.now(), backend_state={"nodes": {}})
    expect(page.locator("#parts .heading").first).to_contain_text("Complete")
    assert_not_reloaded(page)


def test_a_node_is_stopped_with_a_button(page, workflow_row):
    flow = workflow_row(A={"status": "RUN", "native_id": "14"}, B={"status": "RUN", "native_id": "15"})
    page.goto(f"/jobs/{flow.pk}/parts/?status=RUN")
    page.get_by_role("button", name="Stop B").click()
    expect(page.locator("#messages")).to_contain_text("Asked to stop B.")
    expect(page.locator("#parts")).to_contain_text("stopping …")
    expect(page).to_have_url(re.compile(r"/parts/\?status=RUN"))
    assert [(wish.verb, wish.part) for wish in PartWish.objects.all()] == [("cancel", "B")]


def test_a_number_that_is_being_typed_outlives_a_refresh(page, condor_row, change):
    job = condor_row("many", Status.RUNNING, progress_total=8, native_id="13")
    page.goto(f"/jobs/{job.pk}/parts/")
    page.get_by_label("Part").fill("7")
    change(job, status_message="3 of 8 parts done.")
    expect(page.locator("#parts")).to_contain_text("3 of 8 parts done.")
    expect(page.get_by_label("Part")).to_have_value("7")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#messages")).to_contain_text("Asked to pause 7.")


def test_a_log_is_open_at_its_end(page, condor_row):
    job = condor_row("flood", backend_state={"logs": ["*.out"]})
    job.folder.mkdir(parents=True)
    (job.folder / "flood.out").write_text("".join(f"line {number}\n" for number in range(20_000)))
    page.goto(f"/jobs/{job.pk}/logs/?log=flood.out")
    end = page.get_by_role("region", name="flood.out")
    below = "each => each.getBoundingClientRect().bottom - each.querySelector('pre').getBoundingClientRect().bottom"
    assert abs(end.evaluate(below)) < 20
    page.get_by_role("link", name="Beginning").click()
    expect(end).to_contain_text("line 0")
    assert end.evaluate("each => each.scrollTop") == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_the_other_pages_fit_their_screen_too(page, condor_row, workflow_row, width, pool_row):
    Scheduler.objects.filter(pk=pool_row.pk).update(unreachable_since=timezone.now(), last_error="x" * 300)
    node = {"status": "ERR", "native_id": "14", "retries": 2, "message": "y" * 300}
    flow = workflow_row("a_name_without_spaces_" * 10, **{"a_node_without_spaces_" * 4: node})
    hold = {"reason": "z" * 300, "code": 12, "subcode": 2, "parts": 1}
    state = {"ended": {"ok": ",".join(map(str, range(0, 400, 2)))}, "hold": hold, "logs": ["*.out"]}
    many = condor_row("many", Status.VARIOUS, progress_total=800, backend_state=state)
    many.folder.mkdir(parents=True)
    for number in range(10):
        (many.folder / f"a_log_without_spaces_{number}{'_' * 100}.out").write_text("long " * 1000)
    page.set_viewport_size({"width": width, "height": 800})
    log = f"{many.pk}/logs/?log=a_log_without_spaces_1{'_' * 100}.out"
    for address in (f"{flow.pk}/parts/", f"{many.pk}/parts/", f"{many.pk}/logs/", log):
        page.goto(f"/jobs/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
