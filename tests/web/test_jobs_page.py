"""The Jobs table: what it shows, to whom, and what a refresh of it costs."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from jobsapi.models import Job, Scheduler
from jobsapi.status import Status
from jobsapi.web.rows import duration

pytestmark = pytest.mark.django_db

PAGE = "/jobs/"
ACCOUNT = 2
"""Queries of Django's own for who is asking: the session and the user."""


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


def text(response) -> str:
    return response.content.decode()


def token_of(shown):
    """What a page knows of its table."""
    (token,) = re.findall(r'name="token" value="([^"]+)"', text(shown))
    return token


def poll(client, shown, **query):
    """What htmx asks for while it shows the page ``shown``."""
    seen = re.findall(r'name="seen" value="([^"]+)"', text(shown))
    query = {"token": token_of(shown), "seen": seen, **query}
    return client.post(reverse("jobsapi:table-changes"), query, headers={"HX-Request": "true"})


def titles(page):
    """The names of the jobs that a page shows, from top to bottom."""
    return re.findall(r'class="title"[^>]*>([^<]*)<', text(page))


def offered(page):
    """What the menus of a page offer to do, and whether it is possible now."""
    found = re.findall(r'<(?:button|a) id="job-\d+-menu-\d+"([^>]*)>([^<]+)<', text(page))
    return {label: "disabled" not in attributes for attributes, label in found}


def test_nobody_sees_jobs_without_a_login(client):
    answer = client.get(PAGE)
    assert answer.status_code == 302
    assert answer.url == f"{reverse('login')}?next=/jobs/"


def test_a_page_whose_session_has_ended_is_loaded_anew_to_lead_to_the_login(client):
    answer = client.post(reverse("jobsapi:table-changes"), headers={"HX-Request": "true"})
    assert answer["HX-Refresh"] == "true"
    assert answer.content == b""


def test_a_user_without_jobs_is_told_what_to_do(browser):
    assert "No jobs yet" in text(browser.get(PAGE))


def test_a_job_is_shown_with_status_progress_and_times(browser, row):
    row("Flood model", Status.RUNNING, description="Upper Rhône", progress_done=412, progress_total=1000)
    page = text(browser.get(PAGE))
    for words in ("Flood model", "Upper Rhône", "DaskJob", "Running", "412 of 1,000", "1 min 30 s"):
        assert words in page
    assert 'value="412" max="1000"' in page
    assert re.search(r"seen <time [^>]+>\d s</time> ago", page)


def test_a_running_job_of_unknown_extent_has_a_bar_without_a_value(browser, row):
    row(status=Status.RUNNING)
    (bar,) = re.findall(r"<progress([^>]*)>", text(browser.get(PAGE)))
    assert "value" not in bar


def test_a_custom_status_is_shown_by_its_own_name(browser, row):
    row(status=Status.OTHER, custom_status="Meshing")
    assert "Meshing" in text(browser.get(PAGE))


def test_an_ended_job_shows_its_result_and_a_failed_one_offers_its_traceback(browser, row):
    row("good", Status.COMPLETE, backend_state={"preview": "3.1415"})
    failed = row("bad", Status.ERROR, status_message="ValueError: bad depth")
    failed.event("scheduler", "ValueError: bad depth", "Traceback: <line 7>").save()
    page = text(browser.get(PAGE))
    assert "3.1415" in page
    assert "ValueError: bad depth" in page
    assert "line 7" not in page
    assert "Traceback: &lt;line 7&gt;" in text(browser.get(reverse("jobsapi:job-traceback", args=[failed.pk])))


def test_the_traceback_of_a_failed_processing_is_shown_as_the_worker_kept_it(browser, row):
    failed = row(status=Status.ERROR, backend_state={"traceback": "in my_function"})
    assert "in my_function" in text(browser.get(reverse("jobsapi:job-traceback", args=[failed.pk])))


def test_an_outage_is_told_beside_the_jobs_under_way_and_no_others(browser, row, cluster_row):
    Scheduler.objects.filter(pk=cluster_row.pk).update(unreachable_since=timezone.now(), last_error="refused")
    row("under way", Status.RUNNING)
    row("ended", Status.COMPLETE)
    assert text(browser.get(PAGE)).count("unreachable since") == 1


def test_what_users_and_schedulers_wrote_is_escaped(browser, row):
    evil = "<script>alert(1)</script>"
    row(evil, Status.ERROR, description=evil, status_message=evil, backend_state={"preview": evil})
    page = text(browser.get(PAGE))
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)") > 4


def test_pages_have_no_inline_script_and_no_inline_style(browser, row):
    job = row(status=Status.ERROR)
    for address in (PAGE, reverse("jobsapi:job-logs", args=[job.pk]), reverse("samples"), reverse("login")):
        page = text(browser.get(address))
        assert not re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=|javascript:|https?://", page), address


def test_the_jobs_of_others_are_not_there(browser, row, bob):
    hidden = row("secret", user=bob)
    assert "secret" not in text(browser.get(PAGE))
    assert "secret" not in text(browser.get(PAGE, {"whose": "everybody"}))
    for name in ("job-logs", "job-traceback", "job-parts"):
        assert browser.get(reverse(f"jobsapi:{name}", args=[hidden.pk])).status_code == 404
    for name in ("job-stop", "job-pause", "job-resume", "job-resubmit", "job-delete"):
        assert browser.post(reverse(f"jobsapi:{name}", args=[hidden.pk])).status_code == 404
    hidden.refresh_from_db()
    assert (hidden.requested, hidden.deleted_at) == ("", None)


def test_deleted_jobs_are_not_there(browser, row):
    job = row()
    job.delete()
    assert "No jobs yet" in text(browser.get(PAGE))
    assert browser.get(reverse("jobsapi:job-logs", args=[job.pk])).status_code == 404


@pytest.mark.parametrize("by", ["staff", "permission"])
def test_staff_and_those_with_the_permission_see_everybodys_jobs_or_their_own(by, client, row, bob):
    row("adas")
    row("bobs", user=bob)
    if by == "staff":
        bob.is_staff = True
        bob.save()
    else:
        bob.user_permissions.add(Permission.objects.get(codename="jobs_table_actions"))
    client.force_login(bob)
    everybody, mine = text(client.get(PAGE)), text(client.get(PAGE, {"whose": "mine"}))
    assert "adas" in everybody
    assert "of ada" in everybody
    assert "bobs" in everybody
    assert "adas" not in mine
    assert "bobs" in mine


def test_a_page_holds_fifty_jobs_newest_first_and_leads_to_the_others(browser, row):
    for number in range(53):
        row(f"job-{number}")
    first = browser.get(PAGE)
    assert titles(first) == [f"job-{number}" for number in range(52, 2, -1)]
    assert "Previous" not in text(first)
    second = browser.get(link(first, "Next →"))
    assert titles(second) == ["job-2", "job-1", "job-0"]
    assert "Next →" not in text(second)
    assert titles(browser.get(link(second, "← Previous"))) == titles(first)


def link(page, words):
    """Where the link with these words leads."""
    return re.search(rf'href="([^"]*)"[^>]*>{words}<', text(page))[1].replace("&amp;", "&")


def test_an_unchanged_table_is_refreshed_with_one_query_and_no_body(browser, row, django_assert_num_queries):
    for number in range(10):
        row(f"job {number}", Status.RUNNING)
    shown = browser.get(PAGE)
    with django_assert_num_queries(ACCOUNT + 1):
        answer = poll(browser, shown)
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_page_costs_the_same_number_of_queries_for_one_job_and_for_fifty(browser, row, django_assert_max_num_queries):
    for number in range(51):
        row(f"job {number}", Status.ERROR)
    with django_assert_max_num_queries(ACCOUNT + 3):  # the jobs, and two of Django's for the permission
        browser.get(PAGE)


def test_time_alone_changes_no_row(browser, row, monkeypatch):
    row()
    shown = browser.get(PAGE)
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert poll(browser, shown).status_code == 204


def test_only_the_row_that_changed_is_sent(browser, row, change):
    first, second = row("first"), row("second")
    shown = browser.get(PAGE)
    change(second, progress_done=7, progress_total=9)
    answer = text(poll(browser, shown))
    assert "7 of 9" in answer
    assert f'id="job-{second.pk}" hx-swap-oob="true"' in answer
    assert f'id="job-{first.pk}"' not in answer
    assert len(answer) < 12_000


def test_new_jobs_come_on_top_and_those_that_are_gone_go(browser, row):
    old, kept = row("old"), row("kept")
    shown = browser.get(PAGE)
    old.delete()
    row("new")
    answer = text(poll(browser, shown))
    assert 'hx-swap-oob="afterend:#jobs-head"' in answer
    assert "new" in answer
    assert f'id="job-{old.pk}" hx-swap-oob="delete"' in answer
    assert f'id="job-{kept.pk}"' not in answer


def test_a_job_that_moves_up_from_the_next_page_comes_at_the_bottom(browser, row):
    row("from the next page")
    last = row("the last one")
    for number in range(48):
        row(f"stays {number}")
    leaves = row("leaves")
    shown = browser.get(PAGE)
    leaves.delete()
    answer = text(poll(browser, shown))
    assert f'hx-swap-oob="afterend:#job-{last.pk}"' in answer
    assert "from the next page" in answer
    assert "Next →" not in answer


def test_the_first_job_and_the_last_one_have_the_whole_list_shown_anew_without_a_reload(browser, row):
    empty = browser.get(PAGE)
    assert poll(browser, empty).status_code == 204
    job = row("the first")
    answer = poll(browser, empty)
    assert 'id="job-list" hx-swap-oob="true"' in text(answer)
    assert "the first" in text(answer)
    shown = browser.get(PAGE)
    job.delete()
    assert "No jobs yet" in text(poll(browser, shown))


def test_what_a_page_claims_to_show_may_be_anything(browser, row):
    row()
    shown = browser.get(PAGE)
    nonsense = ["", ".", "x.y", "-1.a", "1", f"{'9' * 5_000}.a", "²²", "²."]
    assert poll(browser, shown, seen=nonsense).status_code in (200, 204)


def test_a_job_is_stopped_from_the_table_and_says_so(browser, row):
    job = row(status=Status.RUNNING)
    shown = browser.get(PAGE)
    address = reverse("jobsapi:job-stop", args=[job.pk])
    assert browser.get(address).status_code == 405
    answer = browser.post(address, headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Trigger"]) == (204, "jobs-changed")
    assert "stopping" in text(poll(browser, shown))
    job.refresh_from_db()
    assert (job._status, job.requested) == (Status.RUNNING, "cancel")


def test_a_job_is_run_again_and_deleted_from_the_table_without_script_too(browser, row):
    job = row(status=Status.COMPLETE)
    for way_back, lands in (("/jobs/?whose=mine", "/jobs/?whose=mine"), ("https://evil.example/", PAGE)):
        answer = browser.post(reverse("jobsapi:job-resubmit", args=[job.pk]), {"next": way_back})
        assert (answer.status_code, answer.url) == (302, lands)
    job.refresh_from_db()
    assert (job._status, job.attempts) == (Status.SUBMITTED, 1)
    browser.post(reverse("jobsapi:job-delete", args=[job.pk]))
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("status", "requested", "possible"),
    [
        (Status.PENDING, "", {"Run", "Delete"}),
        (Status.SUBMITTED, "", {"Stop"}),
        (Status.RUNNING, "", {"Pause", "Stop"}),
        (Status.VARIOUS, "", {"Pause", "Stop"}),
        (Status.RUNNING, "hold", {"Stop"}),
        (Status.PAUSED, "", {"Resume", "Stop"}),
        (Status.PAUSED, "release", {"Stop"}),
        (Status.PAUSED, "cancel", set()),
        (Status.COMPLETE, "", {"Run again", "Delete"}),
    ],
)
def test_what_makes_no_sense_now_is_shown_but_cannot_be_pressed(browser, condor_row, status, requested, possible):
    condor_row("flood", status, requested=requested)
    commands = {"Run", "Pause", "Resume", "Run again", "Stop", "Delete"}
    found = offered(browser.get(PAGE))
    assert commands <= found.keys()
    assert {label for label in commands if found[label]} == possible


def test_pausing_and_resuming_are_asked_for_from_the_table(browser, condor_row):
    job = condor_row()
    shown = browser.get(PAGE)
    browser.post(reverse("jobsapi:job-pause", args=[job.pk]), headers={"HX-Request": "true"})
    assert "pausing …" in text(poll(browser, shown))
    Job.objects.filter(pk=job.pk).update(_status=Status.PAUSED, requested="")
    browser.post(reverse("jobsapi:job-resume", args=[job.pk]))
    job.refresh_from_db()
    assert (job._status, job.requested) == (Status.PAUSED, "release")


def test_a_job_of_dask_cannot_be_paused_and_says_so_when_it_is_asked_for(browser, row):
    job = row(status=Status.RUNNING)
    assert not {"Pause", "Resume", "Run"} & offered(browser.get(PAGE)).keys()
    answer = browser.post(reverse("jobsapi:job-pause", args=[job.pk]), follow=True)
    assert "cannot be paused" in text(answer)


def test_a_job_of_htcondor_leads_to_its_parts(browser, row, condor_row, workflow_row):
    row("dask")
    jobs = {"Details": condor_row(), "Parts": condor_row(progress_total=8), "Nodes": workflow_row(A={"status": "RUN"})}
    page = text(browser.get(PAGE))
    links = dict(re.findall(r'href="([^"]+/parts/)"[^>]*>(\w+)<', page))
    assert links == {reverse("jobsapi:job-parts", args=[job.pk]): words for words, job in jobs.items()}


def test_a_job_whose_result_is_its_files_shows_no_value_and_offers_no_traceback(browser, condor_row):
    failed = condor_row("failed", Status.VARIOUS_COMPLETE, backend_state={"preview": "None"})
    assert "None" not in text(browser.get(PAGE))
    assert "Traceback" not in text(browser.get(PAGE))
    Job.objects.filter(pk=failed.pk).update(
        _process_results_function="tests.process", backend_state={"preview": "highest: 3.2 m"}
    )
    assert "highest: 3.2 m" in text(browser.get(PAGE))
    assert "Traceback" in text(browser.get(PAGE))


def test_jobs_of_htcondor_cost_no_further_query(browser, condor_row, workflow_row, django_assert_num_queries):
    for number in range(5):
        condor_row(f"job {number}", progress_total=number)
        workflow_row(f"flow {number}", A={"status": "RUN"})
    shown = browser.get(PAGE)
    with django_assert_num_queries(ACCOUNT + 1):
        assert poll(browser, shown).status_code == 204


def test_a_job_that_waits_for_its_scheduler_says_once_that_it_is_unreachable(browser, condor_row):
    Scheduler.objects.update(unreachable_since=timezone.now(), last_error="refused")
    waiting = condor_row("waiting", Status.SUBMITTED, native_id="")
    Job.objects.filter(pk=waiting.pk).update(status_message=Scheduler.objects.get().outage)
    assert text(browser.get(PAGE)).count("unreachable since") == 1


def test_a_refused_command_says_why(browser, row):
    job = row(status=Status.COMPLETE)
    address = reverse("jobsapi:job-stop", args=[job.pk])
    answer = browser.post(address, headers={"HX-Request": "true"})
    assert "has ended" in text(answer)
    assert 'hx-swap-oob="true"' in text(answer)
    assert "has ended" in text(browser.post(address, follow=True))


def test_commands_need_the_token_of_a_page(row, ada):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert strict.post(reverse("jobsapi:job-stop", args=[row().pk])).status_code == 403


@pytest.mark.parametrize("method", ["get", "post"])
def test_asking_for_a_refresh_tells_nothing(client, row, method):
    jobs = [row(status=status).pk for status in (Status.RUNNING, Status.COMPLETE, Status.PENDING)]
    for number in (*jobs, 999_999, 10**30):
        answer = getattr(client, method)(reverse("jobsapi:update-job-status", args=[number]), {"status": "Complete"})
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert Job.objects.get(pk=jobs[0])._status == Status.RUNNING


def test_many_who_ask_make_one_request_for_a_refresh(
    client, row, cluster_row, settings, django_capture_on_commit_callbacks
):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": f"{__name__}.Recorder"}
    Recorder.sent.clear()
    Scheduler.objects.filter(pk=cluster_row.pk).update(polled_at=timezone.now() - timedelta(minutes=1))
    addresses = [reverse("jobsapi:update-job-status", args=[row().pk]) for _ in range(5)]
    with django_capture_on_commit_callbacks(execute=True):
        for address in addresses:
            client.post(address)
    assert Recorder.sent == [("refresh", cluster_row.pk)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0.9, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, words):
    assert duration(timedelta(seconds=seconds)) == words


class Recorder:
    """A dispatcher that remembers what was sent."""

    sent: list[tuple[str, int]] = []

    def send(self, verb: str, pk: int, label: str) -> None:
        self.sent.append((verb, pk))
