"""Pages of a site that writes 5,001 for 5001: in addresses, ids and values a number stays as a browser takes it."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group
from django.core.management.color import no_style
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from jobsapi.models import Job, JobEvent
from jobsapi.status import Status
from jobsapi.web.job.history import WRITTEN

pytestmark = pytest.mark.django_db

PAGES = ["job", "job-inside", "job-parts", "job-logs", "job-result", "job-files"]
READ_BY_HUMANS = ("aria-label=", "title=")


@pytest.fixture
def browser(client, ada, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    client.force_login(ada)
    return client


@pytest.fixture
def numbers_above_5000(row):
    """Jobs get such numbers from now on."""
    row(id=5000)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [Job]):
            cursor.execute(statement)


@pytest.fixture
def jobs(numbers_above_5000, row, condor_row, workflow_row, ada):
    """A job of each sort that has an inside, with large numbers wherever there may be one."""
    tasks = {"tasks": [["load", 1_200, 3, 4_000, 0, 0]]}
    parts = {"ended": {"ok": "0-1499", "bad": "1500"}, "hold": {"parts": 1_001}, "failed": [{"part": 1_500}]}
    made = [
        row("load", progress_done=1_234, progress_total=20_000, backend_state=tasks),
        condor_row("flood", progress_done=1_500, progress_total=5_000, backend_state=parts),
        workflow_row("flow", **{f"node{n}": {"status": "RUN", "native_id": str(2_000 + n)} for n in range(3)}),
        row("mean", Status.COMPLETE),
    ]
    lab, offered = (Group.objects.create(id=number, name=f"lab {number}") for number in (6001, 6002))
    ada.groups.add(lab, offered)
    for job in made:
        job.share(lab)
        JobEvent.objects.bulk_create(
            JobEvent(job_id=job.pk, time=timezone.now(), status=Status.RUNNING, attempt=1, by="poll")
            for _ in range(WRITTEN + 1)
        )
    return made


def attributes(page: str) -> list[str]:
    """What a browser acts upon."""
    return [each for each in re.findall(r'[\w:-]+="[^"]*"', page) if not each.startswith(READ_BY_HUMANS)]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "fragment"])
def test_no_address_id_or_value_has_a_number_as_it_is_written_for_humans(browser, jobs, headers):
    for job in jobs:
        for name in PAGES:
            answer = browser.get(reverse(f"jobsapi:{name}", args=[job.pk]), headers=headers)
            page = answer.content.decode()
            assert not [each for each in attributes(page) if re.search(r"\d,\d{3}", each)], (job, name)
            assert answer.status_code in (204, 404) or str(job.pk) in page


def test_what_they_lead_to_is_there(browser, jobs):
    job = jobs[0]
    page = browser.get(reverse("jobsapi:job", args=[job.pk])).content.decode()
    assert 'name="group" value="6001"' in page
    assert '<option value="6002">' in page
    assert 'value="1234" max="20000"' in page
    logs = browser.get(reverse("jobsapi:job-logs", args=[job.pk])).content.decode()
    before = re.search(r'href="([^"]*\?before=[^"]*)"', logs)[1]
    assert "Newest" in browser.get(before).content.decode()
    changed = browser.get(reverse("jobsapi:job-inside", args=[job.pk]), {"seen": "x"}, headers={"HX-Request": "true"})
    assert f'id="inside-{job.pk}-poll"' in changed.content.decode()
