"""What the pages tell of a job that waits for its turn at a limited scheduler, and what that costs."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from jobsapi.models import Scheduler
from jobsapi.status import Status
from tests.web.test_admin import address
from tests.web.test_jobs_page import ACCOUNT, PAGE, poll

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def waiting(row):
    """Write a job that was executed so many seconds ago, and that its scheduler has not accepted."""

    def write(name, ago=60, **columns):
        at = timezone.now() - timedelta(seconds=ago)
        return row(name, Status.SUBMITTED, native_id="", start_time=None, execute_time=at, **columns)

    return write


@pytest.fixture
def limited(cluster_row):
    Scheduler.objects.update(max_active=10)
    return cluster_row


def text(response) -> str:
    return html.unescape(response.content.decode())


def test_the_table_and_the_jobs_page_tell_the_place_in_the_queue(browser, limited, row, waiting):
    row("there")
    late, early = waiting("late", 10), waiting("early", 20)
    waiting("urgent", 5, priority=1)

    table, page = text(browser.get(PAGE)), text(browser.get(reverse("jobsapi:job", args=[late.pk])))

    for place in ("1st", "2nd", "3rd"):
        assert table.count(f"Waits: {place} of 3; “cluster” takes 10 at a time.") == 1
    assert "Waits: 3rd of 3; “cluster” takes 10 at a time." in page
    assert "Waits: 2nd of 3" in text(browser.get(reverse("jobsapi:job", args=[early.pk])))


def test_jobs_whose_results_are_fetched_are_not_in_the_queue(browser, limited, row, waiting):
    for name in ("one", "two"):
        row(name, Status.RESULTS_READY)
    waiting("alone")

    assert "Waits: 1st of 1;" in text(browser.get(PAGE))


def test_what_a_job_has_to_say_besides_is_said_too(browser, limited, waiting, change):
    change(waiting("again"), status_message="Asked to run again.")

    assert "Asked to run again. Waits: 1st of 1; “cluster” takes 10 at a time." in text(browser.get(PAGE))


def test_a_job_that_moves_up_is_sent_anew(browser, limited, waiting, change):
    first = waiting("first", 20)
    waiting("second", 10)
    shown = browser.get(PAGE)
    assert poll(browser, shown).status_code == 204

    change(first, native_id="key")

    answer = text(poll(browser, shown))
    assert "Waits: 1st of 1" in answer


def test_a_poll_costs_a_query_more_while_somebody_waits_at_a_limit_and_none_otherwise(
    browser, cluster_row, row, waiting, django_assert_num_queries
):
    for number in range(5):
        waiting(f"job {number}", number)
    shown = browser.get(PAGE)
    with django_assert_num_queries(ACCOUNT + 1):
        assert poll(browser, shown).status_code == 204

    Scheduler.objects.update(max_active=1)
    shown = browser.get(PAGE)
    with django_assert_num_queries(ACCOUNT + 2):
        assert poll(browser, shown).status_code == 204


def test_a_limit_without_anybody_who_waits_costs_a_poll_nothing(browser, limited, row, django_assert_num_queries):
    row("runs")
    shown = browser.get(PAGE)
    with django_assert_num_queries(ACCOUNT + 1):
        assert poll(browser, shown).status_code == 204


def test_of_a_scheduler_that_cannot_be_reached_that_is_said_and_no_place(browser, limited, waiting):
    Scheduler.objects.update(unreachable_since=timezone.now(), last_error="Connection refused.")
    waiting("job")

    page = text(browser.get(PAGE))

    assert "Connection refused." in page
    assert "Waits:" not in page


@pytest.mark.parametrize(("given", "kept"), [("7", 7), ("", None)])
def test_an_administrator_sets_and_lifts_the_limits(admin_client, cluster_row, given, kept):
    form = {"name": "cluster", "host": cluster_row.host, "max_active": given, "max_active_per_user": given}

    answer = admin_client.post(address("daskscheduler", "change", cluster_row.pk), form)

    assert answer.status_code == 302
    cluster_row.refresh_from_db()
    assert (cluster_row.max_active, cluster_row.max_active_per_user) == (kept, kept)


def test_a_limit_of_none_at_all_is_refused(admin_client, cluster_row):
    form = {"name": "cluster", "host": cluster_row.host, "max_active": "0"}

    answer = admin_client.post(address("daskscheduler", "change", cluster_row.pk), form)

    assert "greater than or equal to 1" in text(answer)
