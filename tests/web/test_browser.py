"""The pages in a real Chromium: they keep themselves up to date, and leave their readers alone."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from jobsapi.models import Job, PartWish, Scheduler
from jobsapi.status import Status
from tests.rig.chromium import WIDEST, assert_not_reloaded, untouched
from tests.rig.eventually import eventually

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ROWS = "**/jobs/table/changes/*"


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

    stop = page.locator(f"#job-{other.pk}").get_by_role("button", name="Stop", exact=True)
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


def test_an_answer_counts_also_when_the_job_went_on_while_the_question_was_read(page, row, change):
    job = row("to be stopped", Status.RUNNING, progress_done=1, progress_total=10)
    for address in ("/jobs/", f"/jobs/{job.pk}/"):
        change(job, requested="")
        page.goto(address)
        page.get_by_role("button", name="Stop", exact=True).first.click()
        question = page.get_by_role("dialog")
        expect(question).to_contain_text("What it has done so far may be lost.")
        with page.expect_response(lambda answer: answer.ok and ("changes" in answer.url or "live" in answer.url)):
            change(job, progress_done=2 if address == "/jobs/" else 3)
        question.get_by_role("button", name="Stop").click()
        eventually(lambda: Job.objects.get(pk=job.pk).requested == "cancel")


def test_a_job_is_stopped_and_deleted_with_buttons_that_ask_first(page, row, change):
    job = row("to be stopped", Status.RUNNING)
    page.goto("/jobs/")
    untouched(page)
    body, question = page.locator(f"#job-{job.pk}"), page.get_by_role("dialog")
    body.get_by_role("button", name="Stop", exact=True).click()
    expect(question).to_contain_text("Stop “to be stopped”?")
    question.get_by_role("button", name="Stop").click()
    expect(body).to_contain_text("stopping …")
    change(job, _status=Status.ABORTED, completion_time=timezone.now(), requested="")
    expect(body).to_contain_text("Aborted")

    body.get_by_text("Actions").click()
    body.get_by_role("button", name="Delete").click()
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(page.locator(f"#job-{job.pk}-menu-summary")).to_be_focused()
    assert Job.objects.filter(pk=job.pk).exists()
    assert_not_reloaded(page)
    body.get_by_text("Actions").click()
    body.get_by_role("button", name="Delete").click()
    question.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    assert_not_reloaded(page)


def test_the_keyboard_alone_opens_a_menu_and_stops_a_job(page, row):
    job = row("to be stopped", Status.RUNNING)
    page.goto("/jobs/")
    menu = page.locator(f"#job-{job.pk}-menu")
    page.locator(f"#job-{job.pk}-menu-summary").focus()
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    page.keyboard.press("ArrowDown")
    expect(menu.get_by_role("link", name="Logs")).to_be_focused()
    page.keyboard.press("ArrowUp")  # over the top, to the last one that is possible
    expect(menu.get_by_role("button", name="Stop", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("stopping …")


def test_an_open_menu_a_selection_and_a_half_typed_search_outlive_a_refresh(page, row, change):
    job, other = row("watched", Status.RUNNING, progress_total=10), row("other", Status.RUNNING, progress_total=10)
    page.goto("/jobs/")
    page.get_by_label("Name or number").fill("half")
    page.get_by_label(f"Select job {other.pk}").check()
    page.locator(f"#job-{job.pk}-menu-summary").click()
    change(job, progress_done=3)
    change(other, progress_done=4)
    expect(page.locator(f"#job-{other.pk}")).to_contain_text("4 of 10")
    expect(page.get_by_label(f"Select job {other.pk}")).to_be_checked()
    expect(page.locator(f"#job-{job.pk}-menu")).to_have_attribute("open", "")
    expect(page.get_by_label("Name or number")).to_have_value("half")
    page.keyboard.press("Escape")
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("3 of 10")  # it has not been forgotten


def test_several_jobs_are_stopped_at_once_after_one_question(page, row):
    jobs = [row(f"job {number}", Status.RUNNING) for number in range(3)]
    row("ended", Status.COMPLETE)
    page.goto("/jobs/")
    page.get_by_label("Select all on this page").check()
    bar = page.get_by_role("group", name="Selected jobs")
    expect(bar).to_contain_text("4 jobs selected")
    bar.get_by_role("button", name="Stop").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("Stop the selected jobs (4)?")
    question.get_by_role("button", name="Stop").click()
    expect(page.locator("#job-said")).to_contain_text("3 jobs asked to stop, 1 had ended already.")
    expect(bar).to_be_hidden()
    for job in jobs:
        expect(page.locator(f"#job-{job.pk}")).to_contain_text("stopping …")


def test_jobs_are_found_sorted_and_paged_in_the_address(page, row):
    for number in range(60):
        row(f"flood {number:02}", Status.COMPLETE if number % 2 else Status.RUNNING)
    page.goto("/jobs/")
    page.get_by_role("link", name="Job", exact=True).click()
    expect(page.locator(".title").first).to_have_text("flood 00")
    expect(page.get_by_role("columnheader", name="Job")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".title").first).to_have_text("flood 50")
    page.reload()
    expect(page.locator(".title").first).to_have_text("flood 50")
    page.get_by_label("Status").select_option("Ended")
    page.get_by_label("Name or number").fill("flood 0")
    page.keyboard.press("Enter")
    expect(page.locator(".title")).to_have_text([f"flood 0{number}" for number in (1, 3, 5, 7, 9)])
    page.get_by_role("link", name="Show all").click()
    expect(page.locator(".title")).to_have_count(50)


def test_a_page_that_has_expired_says_so(page, row, settings, change):
    job = row(status=Status.RUNNING)
    page.goto("/jobs/")
    settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ("another key " * 5,)}
    expect(page.get_by_text("This page has expired")).to_be_visible()
    page.get_by_role("link", name="Reload").click()
    expect(page.get_by_text("This page has expired")).to_be_hidden()
    expect(page.locator(f"#job-{job.pk}")).to_be_visible()


@pytest.mark.urls("tests.web.host")
def test_an_action_of_an_apps_own_asks_covers_the_page_and_says_what_it_did(page, row):
    job = row("flood", Status.COMPLETE)
    page.goto("/app/?two")
    body = page.locator(f"#job-{job.pk}")
    page.locator(f"#job-{job.pk}-menu-summary").click()
    body.get_by_role("button", name="Archive").click()
    page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    expect(page.locator("#job-said")).to_have_text("Archived <flood>.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.locator(f"#job-{job.pk}-menu-summary").click()
    body.get_by_role("link", name="Look closer").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Closer to job {job.pk}.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.urls("tests.web.host")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_table_leaves_the_page_of_an_app_as_it_is_and_fits_into_it(page, row, condor_row, width):
    row("a_name_without_spaces_" * 10, Status.COMPLETE, extended_properties={"depth": "x" * 200})
    condor_row("many", progress_total=8)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/app/?two")
    assert page.evaluate(WIDEST) <= width
    css = "(each, name) => getComputedStyle(each)[name]"
    assert page.locator("body").evaluate(css, "fontFamily") == "serif"
    assert page.locator("h2").filter(has_text="Others").evaluate(css, "color") == "rgb(128, 0, 128)"
    assert page.locator("#own").evaluate(css, "backgroundColor") == "rgb(255, 165, 0)"


def test_a_refused_command_is_told_on_the_page(page, row, change):
    job = row(status=Status.RUNNING)
    page.goto("/jobs/")
    page.route(ROWS, lambda route: route.fulfill(status=204))  # the page does not hear of it in time
    change(job, _status=Status.COMPLETE, completion_time=timezone.now())
    page.locator(f"#job-{job.pk}").get_by_role("button", name="Stop").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#job-said")).to_contain_text("has ended already")


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


def test_without_script_the_buttons_work_as_forms(readers, ada, row):
    job = row("to be stopped", Status.RUNNING)
    page = readers.page(ada, java_script_enabled=False)
    page.goto("/jobs/")
    page.get_by_role("button", name="Stop", exact=True).first.click()
    expect(page.get_by_role("heading")).to_contain_text("Stop “to be stopped”?")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(f"#job-{job.pk}")).to_contain_text("stopping …")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_table_fits_its_screen(page, row, width, cluster_row):
    Scheduler.objects.filter(pk=cluster_row.pk).update(unreachable_since=timezone.now(), last_error="x" * 300)
    row("a_name_without_spaces_" * 10, Status.RUNNING, progress_done=3, progress_total=7, description="word " * 60)
    row("done", Status.VARIOUS_COMPLETE, status_message="y" * 300, backend_state={"preview": "1.23 " * 100}, pk=1234567)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/jobs/")
    assert page.evaluate(WIDEST) <= width


def test_a_job_is_paused_and_resumed_with_a_button(page, condor_row, change):
    job = condor_row()
    page.goto("/jobs/")
    untouched(page)
    body = page.locator(f"#job-{job.pk}")
    body.get_by_text("Actions").click()
    body.get_by_role("button", name="Pause").click()
    expect(body).to_contain_text("pausing …")
    change(job, _status=Status.PAUSED, requested="", status_message="Held by its user.")
    body.get_by_role("button", name="Resume").first.click()
    expect(body).to_contain_text("resuming …")
    assert_not_reloaded(page)


def test_the_nodes_of_a_workflow_follow_it_without_a_reload(page, workflow_row, change):
    flow = workflow_row(A={"status": "RUN", "native_id": "14"}, B={"status": "PEN"})
    page.goto("/jobs/")
    page.locator(f"#job-{flow.pk}").get_by_text("Actions").click()
    page.get_by_role("link", name="Nodes").click()
    untouched(page)
    stop = page.get_by_role("button", name="Stop A")
    stop.focus()
    change(flow, backend_state={"nodes": {"A": {"status": "RUN", "native_id": "15", "retries": 1}}})
    expect(page.locator("#parts")).to_contain_text("1 retry")
    expect(stop).to_be_focused()
    change(flow, _status=Status.COMPLETE, completion_time=timezone.now(), backend_state={"nodes": {}})
    expect(page.locator("main")).to_contain_text("Complete")
    assert_not_reloaded(page)


def test_a_node_is_stopped_with_a_button(page, workflow_row):
    flow = workflow_row(A={"status": "RUN", "native_id": "14"}, B={"status": "RUN", "native_id": "15"})
    page.goto(f"/jobs/{flow.pk}/parts/?status=RUN")
    page.get_by_role("button", name="Stop B").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Stop node B of job {flow.pk}?")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Stop B")).to_be_focused()
    assert not PartWish.objects.exists()
    page.get_by_role("button", name="Stop B").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#messages")).to_contain_text("Asked to stop B.")
    expect(page.locator("#parts")).to_contain_text("stopping …")
    expect(page).to_have_url(re.compile(r"/parts/\?status=RUN"))
    assert [(wish.verb, wish.part) for wish in PartWish.objects.all()] == [("cancel", "B")]


def test_a_part_is_stopped_by_its_number_when_that_was_asked_whatever_is_refreshed_meanwhile(page, condor_row, change):
    job = condor_row("many", Status.RUNNING, progress_total=8, native_id="13")
    page.goto(f"/jobs/{job.pk}/parts/")
    page.get_by_label("Part", exact=True).fill("7")
    page.get_by_role("button", name="Stop part").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Stop part 7 of job {job.pk}?")
    change(job, backend_state={"hold": {"parts": 3}})
    expect(page.locator("#parts")).to_contain_text("Paused")
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#messages")).to_contain_text("Asked to stop 7.")
    assert [(wish.verb, wish.part) for wish in PartWish.objects.all()] == [("cancel", "7")]


def test_from_a_parts_number_there_is_a_way_to_its_logs(page, condor_row):
    held = {"parts": 1, "numbers": "3", "words": "disk quota exceeded (12/122)"}
    state = {"now": {"held": held}, "holds": [held], "hold": {"parts": 1}, "logs": ["logs/*"]}
    job = condor_row("many", Status.VARIOUS, progress_total=8, native_id="13", backend_state=state)
    (job.folder / "logs").mkdir(parents=True)
    for number in range(8):
        (job.folder / f"logs/many.13.{number}.err").write_text(f"part {number} has lost its way")
    page.goto(f"/jobs/{job.pk}/parts/")
    page.get_by_role("link", name="Logs of part 3").click()
    expect(page.locator("main")).to_contain_text("part 3 has lost its way")
    page.go_back()
    page.get_by_label("Logs of part").and_(page.locator("input")).fill("5")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("main")).to_contain_text("part 5 has lost its way")
    expect(page.locator("main")).not_to_contain_text("part 3 has lost its way")


def test_a_number_that_is_being_typed_outlives_a_refresh(page, condor_row, change):
    job = condor_row("many", Status.RUNNING, progress_total=8, native_id="13")
    page.goto(f"/jobs/{job.pk}/parts/")
    page.get_by_label("Part", exact=True).fill("7")
    change(job, status_message="3 of 8 parts done.")
    expect(page.locator("main")).to_contain_text("3 of 8 parts done.")
    expect(page.get_by_label("Part", exact=True)).to_have_value("7")
    page.get_by_role("button", name="Pause part").click()
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
        assert page.evaluate(WIDEST) <= width, address
