"""The pages of a job in a real Chromium: they follow it, and leave their readers alone."""

from __future__ import annotations

import zipfile

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from jobsapi.models import Job
from jobsapi.status import Status
from tests.rig.chromium import WIDEST, assert_not_reloaded, untouched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ABOVE_THE_END = "well => Math.round(-well.scrollTop)"
"""How far above its end a log is read, in pixels."""
LINES = """cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getClientRects().length;
}"""
"""On how many lines the text of a cell stands."""
LETTER_ON_TOP = """well => {
  const { x, y } = well.getBoundingClientRect();
  return document.caretRangeFromPoint(x + 40, y + 40).startOffset;
}"""


@pytest.fixture
def flood(condor_row):
    """A running job with a log of 400 lines."""
    job = condor_row("flood", Status.RUNNING, backend_state={"logs": ["*.out"]})
    job.folder.mkdir(parents=True)
    (job.folder / "flood.out").write_text("".join(f"line {number}\n" for number in range(400)))
    return job


def write(job, text):
    with (job.folder / "flood.out").open("a") as log:
        log.write(text)


def test_the_page_follows_its_job_without_a_reload(page, row, change):
    job = row("Flood model", Status.RUNNING, progress_done=1, progress_total=10)
    job.event("scheduler", "Started on node 7.").save()
    page.goto(f"/jobs/{job.pk}/")
    untouched(page)
    head = page.locator("#job-head")
    expect(head).to_contain_text("1 of 10")

    stop = page.get_by_role("button", name="Stop")
    stop.focus()
    change(job, progress_done=7)
    expect(head).to_contain_text("7 of 10")
    expect(stop).to_be_focused()

    job.event("hold", "Asked to pause.").save()
    expect(page.locator("#job-events")).to_contain_text("Asked to pause")

    trace = "\n".join(f"line {number} of it" for number in range(20))
    message = "ValueError: too deep"
    ended = {"completion_time": timezone.now(), "status_message": message, "backend_state": {"traceback": trace}}
    change(job, _status=Status.ERROR, **ended)
    expect(page.get_by_role("heading", name="Why it failed")).to_be_visible()
    expect(head).to_contain_text(message)
    page.get_by_text("The whole traceback").click()
    expect(page.get_by_text("line 0 of it")).to_be_visible()
    assert_not_reloaded(page)


def test_its_buttons_stop_run_again_and_delete_it(page, row, change):
    job = row("to be stopped", Status.RUNNING)
    page.goto(f"/jobs/{job.pk}/")
    untouched(page)
    head, question = page.locator("#job-head"), page.get_by_role("dialog")
    head.get_by_role("button", name="Stop").click()
    expect(question).to_contain_text("What it has done so far may be lost.")
    question.get_by_role("button", name="Stop").click()
    expect(head).to_contain_text("stopping …")

    change(job, _status=Status.ABORTED, completion_time=timezone.now(), requested="")
    head.get_by_role("button", name="Run again").click()
    question.get_by_role("button", name="Run again").click()
    expect(head).to_contain_text("Submitted")
    assert_not_reloaded(page)

    change(job, _status=Status.ABORTED, completion_time=timezone.now(), requested="")
    head.get_by_role("button", name="Delete").click()
    question.get_by_role("button", name="Delete").click()
    expect(page).to_have_url("/jobs/")
    assert not Job.objects.filter(pk=job.pk).exists()


def test_all_nodes_of_a_failed_workflow_run_again_when_that_is_said(page, workflow_row):
    job = workflow_row(status=Status.VARIOUS_COMPLETE, A={"status": "COM"}, B={"status": "ERR"})
    page.goto(f"/jobs/{job.pk}/")
    head, question = page.locator("#job-head"), page.get_by_role("dialog")
    head.get_by_role("button", name="Run again", exact=True).click()
    expect(question).to_contain_text("It goes on where it failed: A is kept, B runs again.")
    question.get_by_role("button", name="Cancel").click()
    head.get_by_role("button", name="Run all nodes again").click()
    question.get_by_role("button", name="Run all nodes again").click()
    expect(head).to_contain_text("Submitted")
    assert type(job).objects.get(pk=job.pk).from_start


def test_all_files_are_downloaded_with_a_click_and_outputs_are_read_on_a_telephone(readers, client, ada, condor_row):
    job = condor_row("flood", Status.COMPLETE)
    job.outputs = {name: f"{job.folder.name}/out/{name}" for name in ("rain.csv", "runoff.csv")}
    job.save()
    (job.folder / "out").mkdir(parents=True)
    (job.folder / job.MARK).write_text(job.folder_mark)
    for name in ("rain.csv", "runoff.csv"):
        (job.folder / "out" / name).write_text("x" * 80)
    page = readers.page(ada, client, viewport={"width": 390, "height": 844})

    page.goto(f"/jobs/{job.pk}/files/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    page.goto(f"/jobs/{job.pk}/")
    size = page.get_by_role("row", name="rain.csv").get_by_role("cell", name="80 bytes").first

    assert download.value.suggested_filename == f"flood-{job.pk}.zip"
    with zipfile.ZipFile(download.value.path()) as found:
        assert sorted(found.namelist()) == [f"flood-{job.pk}/out/{name}" for name in ("rain.csv", "runoff.csv")]
    assert size.evaluate(LINES) == 1
    assert page.evaluate(WIDEST) <= 390


def test_a_log_is_followed_at_its_end(page, flood, change):
    page.goto(f"/jobs/{flood.pk}/logs/?log=flood.out")
    untouched(page)
    log = page.get_by_role("region", name="flood.out")
    assert log.evaluate(ABOVE_THE_END) == 0

    write(flood, "".join(f"more {number}\n" for number in range(50)))
    expect(log).to_contain_text("more 49")
    assert log.evaluate(ABOVE_THE_END) == 0

    change(flood, _status=Status.COMPLETE, completion_time=timezone.now())
    write(flood, "the very end\n")
    expect(log).to_contain_text("the very end")
    expect(page.get_by_text("The job has ended: nothing more is written.")).to_be_visible()
    assert_not_reloaded(page)


def test_who_reads_further_up_is_left_there(page, flood):
    page.goto(f"/jobs/{flood.pk}/logs/?log=flood.out")
    log = page.get_by_role("region", name="flood.out")
    log.evaluate("well => { well.scrollTop = -1000 }")
    before = log.evaluate(LETTER_ON_TOP)

    write(flood, "".join(f"more {number}\n" for number in range(50)))
    expect(log).to_contain_text("more 49")

    assert log.evaluate(LETTER_ON_TOP) == before
    assert log.evaluate(ABOVE_THE_END) > 1000


def test_a_hit_is_scrolled_to(page, flood):
    page.goto(f"/jobs/{flood.pk}/logs/?log=flood.out")
    page.get_by_role("searchbox").fill("LINE 123")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("1 place in the whole log.")).to_be_visible()
    page.get_by_role("link", name="Byte").click()
    expect(page.locator("mark#hit")).to_have_text("line 123")
    expect(page.locator("mark#hit")).to_be_in_viewport()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_pages_of_a_job_fit_their_screen(page, condor_row, width, change):
    long = "a_word_without_spaces_" * 12
    work = {"attributes": {"arguments": long, long: "1"}, "num_jobs": 800}
    job = condor_row(long, Status.ERROR, spec=work, progress_total=800, status_message=long * 3)
    change(job, description=long, backend_state={"traceback": f"Traceback\n{long}\n" * 20, "logs": ["*"]})
    job.event("scheduler", long).save()
    (job.folder / long[:200]).mkdir(parents=True)
    (job.folder / job.MARK).write_text(job.folder_mark)
    (job.folder / "flood.out").write_text(f"{long * 20}\n" * 9)
    page.set_viewport_size({"width": width, "height": 800})
    for address in ("", "logs/?log=flood.out", "logs/?log=flood.out&search=word", "result/", "files/"):
        page.goto(f"/jobs/{job.pk}/{address}")
        assert page.evaluate(WIDEST) <= width, address
