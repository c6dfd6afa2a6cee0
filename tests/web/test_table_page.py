"""JobsTable on the pages of an app: what it brings, what its buttons do, and to whom."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from jobsapi.gizmos import JobsTable
from jobsapi.models import Heartbeat, Job, SchedulerAssignment
from jobsapi.status import Status
from tests.web import host

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.web.host")]

HTMX = {"HX-Request": "true"}
ACCOUNT = 2
"""Queries of Django's own for who is asking: the session and the user."""


@pytest.fixture
def browser(client, ada):
    host.Calls.made.clear()
    cache.clear()
    client.force_login(ada)
    return client


def text(answer):
    return answer.content.decode()


def tokens(page):
    return re.findall(r'name="token" value="([^"]+)"', text(page))


def button(page, label, job):
    """The address to which a button posts; None if it cannot be pressed."""
    pattern = rf'<button id="job-{job.pk}-menu-\d+"([^>]*)>{label}<'
    found = re.search(pattern, text(page))
    assert found, f"{label} is not offered"
    address = re.search(r'formaction="([^"]+)"', found[1])
    return address and address[1]


def press(browser, page, label, job, **data):
    """Press a button of the first table, as htmx does."""
    return browser.post(button(page, label, job), {"token": tokens(page)[0], **data}, headers=HTMX)


def poll(browser, page, number=0):
    prefix = "job" if number == 0 else f"job{number + 1}"
    table = re.search(rf'id="{prefix}-table".*?</section>', text(page), re.S)[0]
    seen = re.findall(r'name="seen" value="([^"]+)"', table)
    query = {"token": tokens(page)[number], "seen": seen}
    return browser.post(reverse("jobsapi:table-changes"), query, headers=HTMX)


def test_tables_bring_what_they_need_once_and_are_told_apart(browser, row):
    job = row("a", extended_properties={"depth": 3.5})
    page = text(browser.get("/app/?two"))
    assert page.count("jobsapi/table.css") == page.count("jobsapi/jobs.js") == page.count("htmx-2.min.js") == 1
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {f"job-{job.pk}", f"job2-{job.pk}", "jobs", "job2s"} <= set(ids)
    assert re.search(r'data-label="Depth">3.5<', page)
    assert not re.findall(r"<script(?![^>]* src=)| style=| on\w+=", page)


def test_each_table_of_a_page_has_its_own_choices_and_keeps_those_of_the_other(browser, row):
    row("river")
    row("lake")
    page = text(browser.get("/app/?two&search=river&job2-search=lake"))
    assert len(re.findall(r'class="title"[^>]*>river', page)) == len(re.findall(r'class="title"[^>]*>lake', page)) == 1
    assert '<input type="hidden" name="job2-search" value="lake">' in page
    assert 'name="job2-status"' in page


def test_an_unchanged_table_of_an_app_costs_one_query_and_no_body(browser, row, django_assert_num_queries):
    for number in range(5):
        row(f"a {number}")
    page = browser.get("/app/?two")
    for number in (0, 1):
        with django_assert_num_queries(ACCOUNT + 1):
            answer = poll(browser, page, number)
        assert (answer.status_code, answer.content) == (204, b"")


def test_a_table_of_list_jobs_shows_new_jobs_and_one_of_other_jobs_follows_its_own(browser, row, ada):
    first = row("first")
    page = browser.get("/app/?two")
    row("new")
    assert "new" in text(poll(browser, page))
    request = RequestFactory().get("/app/")
    request.user = ada
    template = Template("{% load jobsapi %}{% jobs_table table %}")
    followed = template.render(Context({"table": host.table_of(request, jobs=[first]), "request": request}))
    row("newer")
    token = re.search(r'name="token" value="([^"]+)"', followed)[1]
    seen = re.findall(r'name="seen" value="([^"]+)"', followed)
    address = reverse("jobsapi:table-changes")
    assert browser.post(address, {"token": token, "seen": seen}, headers=HTMX).status_code == 204
    first.delete()
    assert "No jobs yet" in text(browser.post(address, {"token": token, "seen": seen}, headers=HTMX))


def test_an_action_of_the_apps_is_done_once_it_is_possible(browser, row, change):
    job = row("<b>flood</b>", Status.RUNNING)
    page = browser.get("/app/")
    assert button(page, "Archive", job) is None
    change(job, _status=Status.COMPLETE, completion_time=timezone.now())
    page = browser.get("/app/")
    answer = press(browser, page, "Archive", job)
    assert "Archived &lt;&lt;b&gt;flood&lt;/b&gt;&gt;." in text(answer)
    assert answer["HX-Trigger"] == "jobs-changed"
    assert host.Calls.made == [("archive", job.pk)]


def test_an_action_that_is_not_possible_any_more_is_not_done(browser, row, change):
    job = row(status=Status.COMPLETE)
    page = browser.get("/app/")
    change(job, _status=Status.RUNNING, completion_time=None)
    assert "not possible now" in text(press(browser, page, "Archive", job))
    assert host.Calls.made == []


def test_an_action_may_take_the_request_and_lead_somewhere(browser, row):
    job = row()
    page = browser.get("/app/")
    assert press(browser, page, "Publish", job)["HX-Redirect"] == "/published/"
    answer = browser.post(button(page, "Publish", job), {"token": tokens(page)[0]})
    assert (answer.status_code, answer.url) == (302, "/published/")
    assert host.Calls.made == [("publish", "ada", job.pk)] * 2


def test_our_errors_are_told_in_words_and_others_without_their_internals(browser, row, caplog):
    job = row("flood")
    page = browser.get("/app/")
    assert "It has no outlet." in text(press(browser, page, "Refuse", job))
    answer = text(press(browser, page, "Crash", job))
    assert "Crash failed for “flood”" in answer
    assert "secret" not in answer
    assert "secret internals" in caplog.text


def test_an_enabled_callback_that_fails_disables_its_action_and_is_logged_once(browser, row, caplog):
    job = row()
    row("another")
    assert button(browser.get("/app/"), "Odd", job) is None
    assert button(browser.get("/app/"), "Odd", job) is None
    assert caplog.text.count("KeyError: 'depth'") == 1


def test_an_action_for_one_type_of_job_is_offered_to_that_type_alone(browser, row, condor_row):
    other, job = row("dask"), condor_row("pool")
    page = text(browser.get("/app/"))
    assert re.search(rf'href="/app/{job.pk}/"[^>]*>Go there<', page)
    assert not re.search(rf'href="/app/{other.pk}/"[^>]*>Go there<', page)
    assert re.search(
        rf'href="/app/{other.pk}/" hx-get="/app/{other.pk}/" hx-target="#job-shown"[^>]*>Look closer<', page
    )


def test_nothing_is_done_that_the_table_does_not_offer(browser, row, condor_row):
    dask, token = row("dask", Status.PENDING), tokens(browser.get("/app/"))[0]
    index = {action: place for place, action in enumerate(host.ACTIONS) if isinstance(action, str)}
    divider, run, logs, unknown = index["|"], index["run"], index["logs"], len(host.ACTIONS)
    for place in (divider, run, logs, unknown, 10_000):
        address = reverse("jobsapi:table-act", args=[place, dask.pk])
        assert browser.post(address, {"token": token}, headers=HTMX).status_code == 404, place
    dask.refresh_from_db()
    assert dask._status == Status.PENDING


def test_a_table_without_actions_does_nothing(browser, row, ada):
    job = row()
    request = RequestFactory().get("/app/")
    request.user = ada
    template = Template("{% load jobsapi %}{% jobs_table table %}")
    page = template.render(Context({"table": host.table_of(request, show_actions=False), "request": request}))
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    stop = {"token": token, "command": "stop", "job": [job.pk]}
    assert browser.post(reverse("jobsapi:table-selected"), stop, headers=HTMX).status_code == 404
    place = host.ACTIONS.index("terminate")
    address = reverse("jobsapi:table-act", args=[place, job.pk])
    assert browser.post(address, {"token": token}, headers=HTMX).status_code == 404
    job.refresh_from_db()
    assert job.requested == ""


def test_a_poll_of_the_largest_table_is_no_longer_than_proxies_take(browser, row, ada):
    for number in range(200):
        row(f"a {number}")
    request = RequestFactory().get("/app/")
    request.user = ada
    table = host.table_of(request, jobs=list(Job.objects.all()), page_size=200)
    page = Template("{% load jobsapi %}{% jobs_table table %}").render(Context({"table": table, "request": request}))
    (poll,) = re.findall(r'<div class="poll"[^>]*>', page)
    method, address = re.search(r'hx-(get|post)="([^"]+)"', poll).groups()
    included = re.findall(r'name="(?:seen|token)" value="([^"]+)"', page)
    sent = [] if method == "post" else included
    assert len(included) == 201
    assert len(address) + sum(len(f"&seen={each}") for each in sent) < 4000


def test_a_pending_job_of_htcondor_is_run_from_the_table(browser, condor_row):
    job = condor_row(status=Status.PENDING)
    press(browser, browser.get("/app/"), "Run", job)
    job.refresh_from_db()
    assert job._status == Status.SUBMITTED


def test_the_jobs_of_others_and_of_other_tables_are_not_there(browser, row, bob, change):
    mine, others, elsewhere = row("mine"), row("others", user=bob), row("elsewhere")
    change(elsewhere, label="another")
    page = browser.get("/app/")
    stop = button(page, "Stop", mine).replace(f"/{mine.pk}/", "/{}/")
    for job in (others, elsewhere):
        answer = browser.post(stop.format(job.pk), {"token": tokens(page)[0]}, headers=HTMX)
        assert answer.status_code == 404
    assert not Job.objects.exclude(requested="").exists()


def test_who_only_sees_a_job_can_do_nothing_with_it(client, row, bob, ada):
    group = Group.objects.create(name="rivers")
    bob.groups.add(group)
    job = row("shared")
    job.share(group)
    client.force_login(bob)
    page = client.get("/jobs/")
    assert "shared" in text(page)
    assert "of ada" in text(page)
    assert not re.search(r'<button id="job-\d+-[^>]*formaction', text(page))
    places = range(12)
    answers = [
        client.post(reverse("jobsapi:table-act", args=[place, job.pk]), {"token": tokens(page)[0]}, headers=HTMX)
        for place in places
    ]
    assert {answer.status_code for answer in answers} == {403}
    selected = {"token": tokens(page)[0], "job": [job.pk], "command": "delete"}
    assert "Select jobs first" in text(client.post(reverse("jobsapi:table-selected"), selected, headers=HTMX))
    job.share(group, right="manage")
    press(client, client.get("/jobs/"), "Stop", job)
    job.refresh_from_db()
    assert job.requested == "cancel"


def test_a_permission_that_was_taken_away_counts_at_once_for_what_is_done(client, row, bob):
    bob.user_permissions.add(Permission.objects.get(codename="jobs_table_actions"))
    job = row("adas")
    client.force_login(bob)
    page = client.get("/jobs/")
    bob.user_permissions.clear()
    assert press(client, page, "Stop", job).status_code == 404
    assert poll(client, page).status_code == 204  # half a minute is allowed to looking


def test_a_token_is_good_for_its_user_alone(browser, row, bob):
    job = row("adas")
    page = browser.get("/app/")
    other = Client()
    other.force_login(bob)
    address = button(page, "Stop", job)
    answer = other.post(address, {"token": tokens(page)[0]}, headers=HTMX)
    assert (answer.status_code, answer["HX-Trigger"]) == (286, "jobs-expired")
    assert poll(other, page).status_code == 286
    plain = other.post(address, {"token": tokens(page)[0]})
    assert plain.status_code == 410
    assert "This page has expired" in text(plain)
    job.refresh_from_db()
    assert job.requested == ""


def test_buttons_need_the_token_of_a_form(row, ada):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    job = row()
    page = strict.get("/app/")
    assert strict.post(button(page, "Stop", job), {"token": tokens(page)[0]}).status_code == 403


def test_a_session_that_is_over_leads_to_the_login(browser, row):
    job = row()
    page = browser.get("/app/")
    browser.logout()
    assert poll(browser, page)["HX-Refresh"] == "true"
    assert press(browser, page, "Stop", job)["HX-Refresh"] == "true"
    assert browser.get(reverse("jobsapi:table-alive"), headers=HTMX)["HX-Refresh"] == "true"
    assert "Log in to see your jobs" in text(browser.get("/app/"))


def test_without_script_it_is_asked_on_a_page_and_the_way_leads_back(browser, row):
    job = row("flood <1>")
    page = browser.get("/app/?two&search=flood")
    address, data = button(page, "Stop", job), {"token": tokens(page)[0]}
    asked = browser.post(address, data)
    assert html.escape("Stop “flood <1>”?") in text(asked)
    job.refresh_from_db()
    assert job.requested == ""
    repeated = dict(re.findall(r'name="(token|confirmed)" value="([^"]+)"', text(asked)))
    answer = browser.post(address, repeated)
    assert (answer.status_code, answer.url) == (302, "/app/?two&search=flood")
    job.refresh_from_db()
    assert job.requested == "cancel"


def test_several_jobs_are_stopped_run_again_or_deleted_at_once(browser, row, bob):
    running = [row(f"running {number}") for number in range(3)]
    ended, others = row("ended", Status.COMPLETE), row("others", user=bob)
    page = browser.get("/app/")
    jobs = [job.pk for job in (*running, ended, others)]

    def do(command, **headers):
        data = {"token": tokens(page)[0], "command": command, "job": [*jobs, "x", "9" * 30]}
        return browser.post(reverse("jobsapi:table-selected"), data, headers=headers)

    asked = do("delete")
    assert "(4)" in text(asked)
    answer = do("stop", **HTMX)
    assert "3 jobs asked to stop, 1 had ended already." in text(answer)
    assert answer["HX-Trigger"] == "jobs-changed, jobs-over"
    assert "1 job deleted, 3 still under way, so stop first." in text(do("delete", **HTMX))
    assert "3 jobs cannot be run again" in text(do("resubmit", **HTMX))
    assert do("explode", **HTMX).status_code == 404
    assert set(Job.objects.values_list("name", "requested")) == {
        *((job.name, "cancel") for job in running),
        ("others", ""),
    }


def test_an_empty_table_says_what_is_missing(browser, cluster_row, ada):
    assert "A job that is started here shows up" in text(browser.get("/app/"))
    assert "No job is like what you look for" in text(browser.get("/app/?search=x"))
    cluster_row.delete()
    assert "No scheduler has been set up on this site yet" in text(browser.get("/jobs/"))


def test_an_app_whose_scheduler_is_not_assigned_says_so_and_where_that_is_done(client, ada, cluster_row):
    from jobsapi.portal.samples.app import SampleApp

    ada.is_staff = ada.is_superuser = True
    ada.save()
    request = RequestFactory().get("/app/")
    request.user = ada
    context = Context({"table": JobsTable(SampleApp.get_job_manager().list_jobs(ada)), "request": request})
    template = Template("{% load jobsapi %}{% jobs_table table %}")
    page = template.render(context)
    assert "No scheduler is assigned to the setting “dask” of samples" in page
    assert reverse("admin:jobsapi_schedulerassignment_changelist") in page
    SchedulerAssignment.objects.create(package="samples", setting="dask", scheduler=cluster_row)
    assert "No scheduler" not in template.render(context)


def test_the_page_says_when_no_worker_is_running(browser, settings, ada):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "worker.tasks.CeleryDispatcher"}
    address = reverse("jobsapi:table-alive")
    cache.clear()
    answer = text(browser.get(address, headers=HTMX))
    assert "An administrator has to start it" in answer
    assert "celery" not in answer
    ada.is_staff = True
    ada.save()
    assert "celery -A worker" in text(browser.get(address, headers=HTMX))
    cache.clear()
    for queue in ("control", "refresh", "submit", "results"):
        Heartbeat.answered(queue)
    Heartbeat.record(Heartbeat.BEAT)
    assert "notice" not in text(browser.get(address, headers=HTMX))
    cache.clear()


def test_a_template_without_the_request_says_what_to_do(ada):
    template = Template("{% load jobsapi %}{% jobs_table table %}")
    with pytest.raises(ImproperlyConfigured, match=r"context_processors\.request"):
        template.render(Context({"table": JobsTable(Job.objects.none())}))
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    with pytest.raises(TypeError, match="takes a JobsTable"):
        template.render(Context({"request": request}))


def test_a_host_that_loads_htmx_itself_is_not_given_another(ada):
    request = RequestFactory().get("/")
    request.user = ada
    template = Template("{% load jobsapi %}{% jobs_table_assets htmx=False %}{% gizmo table %}")
    page = template.render(Context({"request": request, "table": JobsTable(Job.objects.none())}))
    assert "htmx-2" not in page
    assert "htmx-config" not in page
    assert page.count("jobsapi/jobs.js") == 1


def test_a_table_of_an_app_shows_a_long_message_folded_and_a_detailed_one_at_once(browser, row, ada):
    row(status=Status.ERROR, status_message="begins\n" + "word " * 100)
    page = text(browser.get("/app/"))
    summary = r"<summary[^>]*>begins …</summary>"
    assert re.search(rf"<details class=\"message\" id=\"job-\d+-message-\w+\" hx-preserve>\s*{summary}", page)
    request = RequestFactory().get("/")
    request.user = ada
    table = host.table_of(request, show_detailed_status=True)
    page = Template("{% load jobsapi %}{% gizmo table %}").render(Context({"request": request, "table": table}))
    assert "-message-" not in page
    assert '<p class="message">begins' in page


def test_parts_in_different_states_are_a_bar_of_segments(browser, condor_row):
    state = {"ended": {"ok": "0-1", "bad": "2"}, "hold": {"parts": 1}}
    condor_row("many", Status.VARIOUS, progress_total=8, progress_done=3, backend_state=state)
    page = text(browser.get("/app/"))
    assert 'aria-label="2 complete, 1 failed, 1 held, 4 running or waiting"' in page
    assert '<rect x="25.0" y="0" width="12.5" height="1" class="bad"/>' in page
    assert "3 of 8 parts · seen" in page


def test_what_was_searched_for_is_followed_and_not_searched_for_again_at_every_poll(
    browser, row, change, django_assert_num_queries
):
    for number in range(3):
        row(f"flood {number}")
    job = row("flood and more")
    page = browser.get("/app/?search=flood&sort=name&down=1")
    row("a new flood")
    with django_assert_num_queries(ACCOUNT + 1):
        assert poll(browser, page).status_code == 204
    change(job, name="drought", progress_done=3, progress_total=9)
    answer = text(poll(browser, page))
    assert "3 of 9" in answer
    assert "job-pages" not in answer


def test_a_host_that_writes_numbers_with_commas_has_none_in_ids_and_values(browser, row, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    job = row("flood", pk=1234567, progress_done=1234, progress_total=5678)
    page = browser.get("/app/")
    assert 'id="job-1234567"' in text(page)
    assert 'value="1234" max="5678"' in text(page)
    assert "1,234 of 5,678" in text(page)
    assert poll(browser, page).status_code == 204
    press(browser, page, "Stop", job)
    job.refresh_from_db()
    assert job.requested == "cancel"


def test_a_failed_workflow_offers_in_its_menu_to_run_all_nodes(browser, workflow_row, condor_row, change):
    job = workflow_row(status=Status.VARIOUS_COMPLETE, A={"status": "COM"}, B={"status": "ERR"})
    change(job, progress_done=2, progress_total=2)
    others = [workflow_row(status=Status.COMPLETE, A={"status": "COM"}), condor_row("sweep", Status.ERROR)]
    page = browser.get("/jobs/")
    address, data = button(page, "Run all nodes again", job), {"token": tokens(page)[0]}

    assert [text(page).count(f">{label}</button>") for label in ("Run all nodes again",)] == [1]
    assert "nodes that have ended well are kept" in html.unescape(text(page))
    assert len(others) == html.unescape(text(page)).count("Its present result is dropped, and its files are removed.")
    asked = browser.post(address, data)
    assert html.escape("Run all nodes of “flow” again, those that have ended well, too?") in text(asked)
    browser.post(address, {**data, "confirmed": "yes"})

    job = type(job).objects.get(pk=job.pk)
    assert (job.cached_status, job.from_start) == ("Submitted", True)
