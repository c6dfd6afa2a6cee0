"""A scientist at the Jobs table in Chromium, with jobs that really run, by the steps that a worker takes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.rig.chromium import Readers, assert_not_reloaded, browser, untouched

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as chromium:
        yield chromium


@pytest.fixture
def page(chromium, live_server, user):
    readers = Readers(chromium, live_server.url)
    yield readers.page(user)
    readers.close()


def test_a_job_is_run_from_the_table_watched_read_and_another_one_is_stopped(page, local, worker, make, script, ready):
    # Given two jobs that an app has made: each part of the first waits for a file, the second for ever.
    gates = ready / "gates"
    gates.mkdir()
    text = f"echo part $1 begins; until [ -e {gates}/$1 ]; do sleep 0.1; done; echo 42 > level; echo part $1 ends"
    wait = script("wait.sh", text)
    kinds = {"flood": 2, "endless": 1}
    jobs = {
        name: make(
            local,
            name,
            attributes={"executable": "wait.sh", "arguments": "$(Process)" if parts > 1 else "never"},
            remote_input_files=[wait],
            num_jobs=parts,
            process_results_function="tests.htcondor.functions.level",
        )
        for name, parts in kinds.items()
    }
    for job in jobs.values():
        job.save()
    flood, endless = (page.locator(f"#job-{job.pk}") for job in jobs.values())

    # When their owner runs both from the table, each is seen to run, and to get on, without a reload.
    page.goto("/jobs/")
    untouched(page)
    for row, job in ((flood, jobs["flood"]), (endless, jobs["endless"])):
        expect(row).to_contain_text("Pending")
        page.locator(f"#job-{job.pk}-menu-summary").click()
        row.get_by_role("button", name="Run", exact=True).click()
        expect(row).to_contain_text("Submitted")
    worker.until(jobs["flood"], "Running")
    expect(flood).to_contain_text("Running")
    expect(flood).to_contain_text("0 of 2 parts")
    (gates / "0").touch()
    worker.until(jobs["flood"], lambda job: job.progress_done == 1)
    expect(flood).to_contain_text("1 of 2 parts")

    # Its log is read while it is written ...
    reader = page.context.new_page()
    reader.goto(f"/jobs/{jobs['flood'].pk}/logs/")
    reader.get_by_role("link", name=re.compile(r"1\.out$")).first.click()
    untouched(reader)
    log = reader.get_by_role("region", name=re.compile("out$"))
    (gates / "1").touch()
    worker.ended(jobs["flood"])
    expect(log).to_contain_text("part 1 ends")
    assert_not_reloaded(reader)

    # ... the other one is stopped after a question ...
    worker.until(jobs["endless"], "Running")
    endless.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(endless).to_contain_text("stopping …")
    worker.ended(jobs["endless"])
    expect(endless).to_contain_text("Aborted")

    # ... and the result is on the first one's page.
    expect(flood).to_contain_text("Complete")
    assert_not_reloaded(page)
    flood.get_by_role("link", name="flood").click()
    expect(page.locator("#job-head")).to_contain_text("Complete")
    page.get_by_role("link", name="Result", exact=True).click()
    expect(page.locator("#job-result")).to_contain_text("42")
