"""Whatever stands in an address or is sent to one: an answer, and never an error of the server's."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from jobsapi.models import DaskJob, Job, JobBlob, Purpose
from jobsapi.status import Status
from jobsapi.web import urls
from jobsapi.web.job import following, search
from jobsapi.web.requests import positive
from tests.properties import a_part_of
from tests.properties.texts import HUGE, texts

NAMES = (
    *("sort", "down", "search", "status", "type", "owner", "after", "before", "page", "live", "seen", "names", "at"),
    *(
        "folder",
        "path",
        "log",
        "find",
        "logs",
        "case",
        "hit",
        "offset",
        "whose",
        "token",
        "job",
        "command",
        "part",
        "all",
        "next",
    ),
    *("group", "right", "confirmed", "delay", "progress", "message", "part", "job2-sort", "key"),
)
"""All that any page reads from its address or from a form."""
numbers = st.sampled_from(["0", "-1", "1", "999", str(2**31), str(2**63), str(2**64), HUGE, "٣", "²", "1e9", "0x1"])
words = st.sampled_from(
    ["stop", "delete", "failed", "ERR", "DaskJob", "name", "id", "status", "view", "manage", "yes", "on"]
)
cursors = st.builds("{}.{}".format, numbers, texts | numbers | words)
values = texts | numbers | words | cursors
queries = st.dictionaries(st.sampled_from(NAMES), st.lists(values, min_size=1, max_size=3), max_size=4)

NAMED = sorted(pattern.name for pattern in urls.urlpatterns)
FORMS = {"table-changes", "table-selected", "table-act", "part-stop", "part-pause", "part-resume", "job-share",
         *(f"job-{verb}" for verb in ("run", "stop", "pause", "resume", "resubmit", "delete"))}  # fmt: skip


@pytest.fixture
def browser(silent, user, make_job):
    """Somebody who is logged in and has a job that failed, with a log; and the address of each page for that job."""
    job = make_job("flood")
    job.execute(1)
    job.transition(Status.ERROR, by="worker", message="boom", detail="a traceback")
    JobBlob.store(job, Purpose.LOGS, b'{"out": {"text": "hello", "offset": 0, "size": 5}}')
    client = Client(raise_request_exception=True)
    client.force_login(user)
    return client, job


def address(name: str, job: Job, number: object, text: str) -> str:
    """Of a page, for this job or for another number."""
    [(pattern, parameters)] = get_resolver("jobsapi.web.urls").reverse_dict.getlist(name)[0][0]
    given = {"job_id": number, "index": number, "name": text, "key": text}
    return "/" + pattern % {parameter: given[parameter] for parameter in parameters}


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.mark.django_db
@given(
    name=st.sampled_from(NAMED),
    own=st.booleans(),
    number=numbers,
    text=texts,
    query=queries,
    htmx=st.booleans(),
)
def test_no_address_makes_the_server_fail(browser, name, own, number, text, query, htmx):
    client, job = browser
    path = address(name, job, job.pk if own else number, quoted(text) or "x")
    asked = "&".join(f"{quoted(key)}={quoted(value)}" for key, each in query.items() for value in each)

    answer = client.get(f"{path}?{asked}", headers={"HX-Request": "true"} if htmx else {})

    assert answer.status_code < 500
    if own:
        Job._base_manager.get(pk=job.pk)


@pytest.mark.django_db
@given(name=st.sampled_from(NAMED), own=st.booleans(), number=numbers, text=texts, body=queries, htmx=st.booleans())
def test_no_form_makes_the_server_fail(browser, name, own, number, text, body, htmx):
    client, job = browser
    sent = "&".join(f"{quoted(key)}={quoted(value)}" for key, each in body.items() for value in each)
    path = address(name, job, job.pk if own else number, quoted(text) or "x")
    if name == "job-delete":
        own = False

    answer = client.post(
        path,
        sent,
        content_type="application/x-www-form-urlencoded",
        headers={"HX-Request": "true"} if htmx else {},
    )

    assert answer.status_code < 500


@pytest.mark.django_db
@a_part_of(0.6)
@given(st.binary(max_size=60) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.booleans())
@example(b"[" * 5_000, True)
@example(b'{"progress": 1' + b"0" * 5_000 + b"}", True)
@example(b'{"progress": NaN, "message": "\\ud800\\u0000"}', True)
@example(b'{"message": "\\ud800"}', True)
@example(b'{"part": "\\u0000", "progress": 1e400}', True)
def test_no_report_of_a_job_makes_the_server_fail(browser, body, as_json):
    client, job = browser
    Job._base_manager.filter(pk=job.pk).update(
        _status=Status.RUNNING, completion_time=None, submission_id=uuid.uuid4(), reported={}, reported_at=None
    )
    row = DaskJob.objects.get(pk=job.pk)

    answer = client.post(
        f"/report-job-status/{job.pk}/",
        body,
        content_type="application/json" if as_json else "application/x-www-form-urlencoded",
        headers={"Authorization": f"Bearer {row.report_token}"},
    )

    assert answer.status_code < 500
    assert answer.json()["success"] is (answer.status_code == 200)
    assert DaskJob.objects.get(pk=job.pk).reported_at is None or DaskJob.objects.get(pk=job.pk).reported_at <= (
        timezone.now()
    )


@given(texts | numbers)
def test_the_number_of_a_page_is_one(text):
    assert 1 <= positive(text) <= 1_000_000


@given(texts | st.builds("{}.{}.{}.{}.{}".format, numbers, numbers, numbers, texts, texts))
def test_a_place_in_a_log_is_read_as_it_was_written_or_not_at_all(text):
    place = following.Place.parse(text)

    if place is not None:
        assert following.Place.parse(str(place)) == place
        assert place.is_sound in (True, False)


@given(
    data=st.binary(max_size=300) | texts.map(lambda text: text.encode("utf-8", "surrogatepass") * 3),
    text=st.text(min_size=1, max_size=5),
    ignores_case=st.booleans(),
    start=st.integers(0, 300),
    end=st.integers(0, 400),
)
@example(data="İıſKΣς".encode(), text="ſ", ignores_case=True, start=0, end=300)
def test_what_is_found_in_a_log_is_there(data, text, ignores_case, start, end):
    needle = search.Needle.of(text, ignores_case=ignores_case)
    looks = []

    def read(offset: int, limit: int) -> bytes:
        looks.append(limit)
        return data[offset : offset + limit]

    for look in (search.forwards, search.backwards):
        found = look(read, needle, min(start, len(data)), min(end, len(data)))
        for hit in found.hits:
            assert 0 <= hit.start < hit.end <= len(data)
            if not ignores_case:
                assert data[hit.start : hit.end] == text.encode()
    assert len(looks) <= 8, "each look brings the search on"
