"""What is inside a job, in a real Chromium: it follows the job and leaves its reader alone."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from jobsapi.status import Status
from tests.rig.chromium import WIDEST, assert_not_reloaded, untouched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

POLL = re.compile(r"/inside/\?seen=")


def test_a_graph_follows_its_workflow_and_keeps_focus_and_place(page, condor_row, change):
    names = [f"station_{number}" for number in range(12)]
    states = {name: {"status": "PEN"} for name in names}
    flow = condor_row("flow", Status.RUNNING, nodes=names, backend_state={"nodes": states})
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"/jobs/{flow.pk}/inside/")
    untouched(page)
    figure, box = page.locator(".figure"), page.get_by_role("link", name="station_9")
    expect(box).to_have_accessible_name("station_9: Pending")
    box.focus()
    page.wait_for_function("document.querySelector('.figure').scrollLeft > 0")
    scrolled = figure.evaluate("figure => figure.scrollLeft")

    change(flow, backend_state={"nodes": {**states, "station_9": {"status": "RUN", "native_id": "14"}}})

    expect(box).to_have_accessible_name("station_9: Running")
    expect(box).to_be_focused()
    assert figure.evaluate("figure => figure.scrollLeft") == scrolled
    expect(page.locator(".counts")).to_contain_text("1 Running")
    assert page.evaluate(WIDEST) <= 390
    assert_not_reloaded(page)


def test_a_click_on_a_node_leads_to_its_log(page, workflow_row):
    flow = workflow_row(A={"status": "RUN", "native_id": "14"}, B={"status": "PEN"})
    page.goto(f"/jobs/{flow.pk}/parts/")
    page.get_by_role("link", name="A: Running").click()
    expect(page).to_have_url(re.compile(rf"/jobs/{flow.pk}/logs/\?find=%2FA%2F$"))


def test_bars_follow_their_tasks_until_the_job_has_ended(page, row, change):
    job = row("hits", Status.RUNNING, backend_state={"tasks": [["count_hits", 1, 1, 2, 0, 0]]})
    page.goto(f"/jobs/{job.pk}/inside/")
    untouched(page)
    tasks = page.locator(".tasks")
    expect(tasks).to_contain_text("1 of 4 done, 1 at workers, 2 waiting")
    change(job, backend_state={"tasks": [["count_hits", 3, 1, 0, 0, 0]]})
    expect(tasks).to_contain_text("3 of 4 done, 1 at workers")
    with page.expect_response(POLL) as answer:
        pass
    assert answer.value.status == 204
    change(job, _status=Status.COMPLETE, completion_time=timezone.now())
    expect(tasks).to_contain_text("4 of 4 done")
    expect(page.locator("[id$=-poll]")).to_have_attribute("hx-trigger", "jobs-changed from:body")
    assert_not_reloaded(page)
