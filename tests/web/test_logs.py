"""The page of a job's logs: by name, its end first, whatever there are and however long they are."""

from __future__ import annotations

import html
import json
import os
import re
import time

import pytest
from django.urls import reverse

from jobsapi.models import JobBlob, Purpose
from jobsapi.models.logs import PIECE
from jobsapi.status import Status
from jobsapi.web import logs

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def flood(condor_row):
    """A job of HTCondor that runs on this machine: its logs are files."""
    return condor_row("flood", backend_state={"logs": ["**/logs/*"]})


@pytest.fixture
def write(flood):
    """Write a log of it."""

    def log(name, content):
        path = flood.folder / "flood" / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"flood/logs/{name}"

    return log


def page_of(job) -> str:
    return reverse("jobsapi:job-logs", args=[job.pk])


def text(response) -> str:
    return html.unescape(response.content.decode())


def link(page: str, words: str) -> str | None:
    """Where a link leads."""
    found = re.search(rf'<a href="([^"]*)"[^>]*>{words}<', page)
    return found and found[1]


def listed(page: str) -> list[str]:
    found = re.search(r'<nav aria-label="Logs">.*?</nav>', page, re.S)
    return re.findall(r"<li><a [^>]*>([^<]*)</a>", found[0]) if found else []


def shown(page: str) -> list[str]:
    """The texts of the logs, without the history."""
    return re.findall(r'aria-label="[^\n]*"><pre>(.*?)</pre>', page, re.S)


def test_the_history_comes_first_and_is_escaped(browser, row):
    job = row(status=Status.RUNNING)
    job.event("worker", "Accepted by <cluster>.", "Traceback: <line 7>").save()
    page = browser.get(page_of(job)).content.decode()
    assert "Accepted by &lt;cluster&gt;." in page
    assert "Traceback: &lt;line 7&gt;" in page


def test_few_logs_are_shown_together_with_it(browser, row):
    job = row(status=Status.COMPLETE)
    stored = {name: {"text": f"{name} says <hi>", "offset": 0, "size": 20} for name in ("scheduler", "worker")}
    JobBlob.store(job, Purpose.LOGS, json.dumps(stored).encode())

    page = text(browser.get(page_of(job)))

    assert shown(page) == ["scheduler says <hi>", "worker says <hi>"]
    assert listed(page) == []
    assert "<hi>" not in browser.get(page_of(job)).content.decode()


def test_a_long_log_opens_at_its_end_and_is_read_backwards_and_forwards(browser, flood, write):
    lines = b"".join(b"line %07d\n" % number for number in range(20_000))
    name = write("flood.13.0.out", lines)

    end = text(browser.get(page_of(flood), {"log": name}))
    earlier = text(browser.get(page_of(flood) + link(end, "← Earlier")))
    later = text(browser.get(page_of(flood) + link(earlier, "Later →")))
    first = text(browser.get(page_of(flood) + link(end, "Beginning")))

    assert shown(end) == [lines[-PIECE:].decode()]
    assert shown(earlier) == [lines[-2 * PIECE : -PIECE].decode()]
    assert shown(later) == shown(end)
    assert shown(first) == [lines[:PIECE].decode()]
    assert link(end, "Later →") is None
    assert link(first, "← Earlier") is None
    assert link(first, "End") == link(end, "flood.13.0.out")
    assert "Bytes 0 to 65,536 of 260,000." in first


def test_a_log_of_a_gigabyte_opens_at_once(browser, flood, write):
    name = write("huge.out", b"")
    path = flood.folder / name
    os.truncate(path, 2**30)
    with path.open("ab") as log:
        log.write(b"the end")

    start = time.monotonic()
    page = browser.get(page_of(flood), {"log": name})
    took = time.monotonic() - start

    assert "the end" in text(page)
    assert len(page.content) < 200_000
    assert took < 2


def test_three_thousand_logs_are_listed_by_folder_and_found_by_name(
    browser, flood, write, django_assert_max_num_queries
):
    for number in range(3_000):
        write(f"flood.13.{number}.out", b"x" * number)

    with django_assert_max_num_queries(6):
        page = text(browser.get(page_of(flood)))
    found = text(browser.get(page_of(flood), {"find": ".13.2999."}))
    chosen = text(browser.get(page_of(flood) + link(found, "flood.13.2999.out")))

    assert listed(page)[:4] == ["History", "flood.13.0.out", "flood.13.1.out", "flood.13.2.out"]
    assert len(listed(page)) == 1 + logs.LISTED
    assert page.count('class="folder"') == 1
    assert "The first 200 of 3000 logs." in page
    assert shown(page) == []
    assert listed(found) == listed(chosen) == ["History", "flood.13.2999.out"]
    assert shown(chosen) == ["x" * 2999]


def test_those_of_a_node_are_found_by_its_folder(browser, condor_row):
    flow = condor_row("flow", nodes=("A", "BA"), backend_state={"logs": ["*/logs/*"]})
    for node in ("A", "BA"):
        (flow.folder / node / "logs").mkdir(parents=True)
        for number in range(4):
            (flow.folder / node / "logs" / f"{node}.14.{number}.out").write_text("x")
    assert [name[0] for name in listed(text(browser.get(page_of(flow), {"find": "/A/"})))[1:]] == ["A"] * 4


@pytest.mark.parametrize("name", ["ü b&c=1#?.out", "100%.out", "a+b;c.out", '"><script>.out'])
def test_names_may_be_odd(browser, flood, write, name):
    full = write(name, b"it is here")
    for number in range(logs.FEW):
        write(f"other.{number}", b"")

    overview = browser.get(page_of(flood)).content.decode()
    address = next(
        html.unescape(href)
        for href in re.findall(r'<li><a href="([^"]*)"', overview)
        if shown(text(browser.get(page_of(flood) + html.unescape(href)))) == ["it is here"]
    )

    assert "<script>.out" not in overview
    assert full in text(browser.get(page_of(flood) + address))


def test_a_name_that_is_no_text_is_left_out(browser, flood, write):
    write("good.out", b"good")
    for name in (b"\xff.out", b"two\nlines.out"):
        (flood.folder / "flood" / "logs" / os.fsdecode(name)).write_text("odd")

    assert shown(text(browser.get(page_of(flood)))) == ["good"]


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "flood/logs", "flood/secret", "flood/logs/link", "\x00", "history"]
)
def test_no_path_of_a_browsers_is_believed(browser, flood, write, name):
    write("good.out", b"good")
    (flood.folder / "flood" / "secret").write_text("secret")
    (flood.folder / "flood" / "logs" / "link").symlink_to("/etc/passwd")

    assert browser.get(page_of(flood), {"log": name}).status_code == 404


@pytest.mark.parametrize("offset", ["-1", "x", "", "²", "9" * 5_000, "9" * 19])
def test_an_offset_may_be_anything(browser, flood, write, offset):
    name = write("good.out", b"good")
    assert browser.get(page_of(flood), {"log": name, "offset": offset}).status_code == 200


def test_what_is_no_text_is_shown_as_far_as_it_is(browser, flood, write):
    name = write("odd.out", b"\xff\x00\x1b[31mred " + "Rhône".encode())
    assert "red Rhône" in text(browser.get(page_of(flood), {"log": name}))


def test_of_a_log_whose_beginning_was_not_fetched_nothing_earlier_is_offered(browser, row):
    job = row(status=Status.RUNNING)
    JobBlob.store(job, Purpose.LOGS, json.dumps({"far.out": {"text": "end", "offset": 997, "size": 1000}}).encode())

    page = text(browser.get(page_of(job), {"log": "far.out"}))

    assert "Bytes 997 to 1,000 of 1,000, the end." in page
    assert link(page, "← Earlier") is None
    assert "Look again" in page


def test_logs_that_cannot_be_opened_are_told_of(browser, row):
    job = row(status=Status.COMPLETE)
    JobBlob.store(job, Purpose.LOGS, b"{}")
    JobBlob.objects.filter(job=job, purpose=Purpose.LOGS).update(sealed=b"forged")

    page = browser.get(page_of(job))

    assert page.status_code == 200
    assert "notice error" in text(page)


def test_the_logs_of_others_are_not_there(client, flood, write, bob):
    name = write("good.out", b"good")
    client.force_login(bob)
    assert client.get(page_of(flood), {"log": name}).status_code == 404
    client.logout()
    assert client.get(page_of(flood)).status_code == 302
