"""A browser takes nothing into our pages that is not the site's own, and runs nothing that stands in a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.urls import reverse

from jobsapi.status import Status

pytestmark = pytest.mark.django_db

UNSAFE = re.compile(r"unsafe-|\*|https?:|data:|blob:")


class Inline(HTMLParser):
    """Finds what a strict policy would refuse to run or to apply."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") != "application/json"):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        self.found += [value for value in given.values() if value and value.strip().lower().startswith("javascript:")]


@pytest.fixture
def staff(client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser("root"))
    return client


def addresses(job, scheduler):
    """The pages of the portal, with a job in them."""
    yield reverse("login")
    yield reverse("samples")
    yield reverse("jobsapi:jobs")
    yield from (reverse(f"jobsapi:{name}", args=[job.pk]) for name in PAGES_OF_A_JOB)
    yield reverse("admin:index")
    yield reverse("admin:jobsapi_job_changelist")
    yield reverse("admin:jobsapi_job_change", args=[job.pk])
    yield reverse("admin:jobsapi_daskscheduler_change", args=[scheduler.pk])


PAGES_OF_A_JOB = ("job-logs", "job-result")


def test_every_page_says_that_it_takes_and_runs_nothing_but_the_sites_own(staff, row, cluster_row):
    job = row("<script>alert(1)</script>", Status.ERROR, description='" onclick="alert(1)', status_message="<b>bad</b>")
    for address in addresses(job, cluster_row):
        answer = staff.get(address)
        assert answer.status_code == 200, address
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert not UNSAFE.search(policy), address
        assert Inline(answer.content.decode()).found == [], address


def test_apps_of_a_team_may_need_more(monkeypatch):
    from jobsapi.portal import environment

    monkeypatch.setenv("JOBSAPI_CSP", """{"img-src": ["'self'", "https://tiles.example.org"]}""")
    assert environment.json_dict("JOBSAPI_CSP") == {"img-src": ["'self'", "https://tiles.example.org"]}
