"""Schedulers in the admin: how they fare, and the test of one as its page shows it."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.backends.base import Finding, Outcome, Step
from jobsapi.exceptions import BackendUnavailable, HostKeyNotAccepted
from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.models import CondorScheduler, DaskScheduler, Heartbeat, Scheduler
from jobsapi.models.reports import StepReport, kept
from jobsapi.status import Status
from jobsapi.testing import FakeBackend
from tests.web.test_admin import address

pytestmark = pytest.mark.django_db

LIST = reverse("admin:jobsapi_daskscheduler_changelist")
NEW = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl9"


@pytest.fixture
def fake(settings):
    """A scheduler in this process; messages are lost, and the test does what a worker would."""
    settings.JOBSAPI = {
        **settings.JOBSAPI,
        "BACKENDS": {"dask": "jobsapi.testing.FakeBackend", "condor": "jobsapi.testing.FakeBackend"},
    }
    return FakeBackend.reset()


def text(response) -> str:
    return html.unescape(response.content.decode())


def test_page(scheduler) -> str:
    kind = scheduler._meta.model_name
    return reverse(f"admin:jobsapi_{kind}_test", args=[scheduler.pk])


test_page.__test__ = False


def ask(client, scheduler) -> str:
    return text(client.post(test_page(scheduler), follow=True))


def test_a_test_is_asked_for_waits_for_a_worker_and_shows_what_it_found(admin_client, fake, cluster_row):
    assert f'action="{test_page(cluster_row)}"' in text(
        admin_client.get(address("daskscheduler", "change", cluster_row.pk))
    )

    page = ask(admin_client, cluster_row)
    assert "Waiting for a worker." in page
    assert '<meta http-equiv="refresh" content="2">' in page
    lifecycle.check(cluster_row.pk)
    page = text(admin_client.get(test_page(cluster_row)))

    for words in ("All is well: a job can run there.", "The fake is here.", "It ran through.", "Test again"):
        assert words in page
    assert "http-equiv" not in page
    assert LogEntry.objects.filter(change_message__contains="Asked for a test").count() == 1


def test_a_test_shows_itself_as_it_goes_on(admin_client, cluster_row):
    steps = [StepReport("Connection", "good", "It answers.", seconds=0.03), StepReport("Versions")]
    report = kept(steps, over=False, seconds=0.1, capacity=None)
    later = timezone.now() + timedelta(seconds=30)
    Scheduler.objects.update(check_report=report, checked_at=timezone.now(), check_leased_until=later)

    page = text(admin_client.get(test_page(cluster_row)))

    for words in ("Under way since", "It answers.", "<td>under way", "http-equiv", "0.03\N{NO-BREAK SPACE}s"):
        assert words in page
    assert "Test again" not in page


def test_one_whose_worker_died_is_called_interrupted(admin_client, cluster_row):
    report = kept([StepReport("Connection")], over=False, seconds=0.1, capacity=None)
    Scheduler.objects.update(check_report=report, checked_at=timezone.now())

    page = text(admin_client.get(test_page(cluster_row)))

    assert "The worker was stopped before the test had ended." in page
    assert "http-equiv" not in page


def test_a_second_click_starts_none(admin_client, cluster_row):
    ask(admin_client, cluster_row)

    assert "is asked for, or under way, already" in ask(admin_client, cluster_row)


def test_without_a_worker_the_page_says_so(admin_client, cluster_row, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "tests.web.test_admin_schedulers.WithQueues"}
    Heartbeat.objects.all().delete()

    page = ask(admin_client, cluster_row)

    assert "No worker takes the queue" in page
    assert "celery -A worker worker" in page


class WithQueues:
    """A dispatcher that needs workers, and loses every message."""

    queues = ("results",)

    def send(self, verb, pk, label):
        pass


def test_a_failure_shows_where_it_stopped_and_the_list_says_it_in_a_line(admin_client, fake, cluster_row):
    fake.unavailable = "Connection <refused>."
    ask(admin_client, cluster_row)
    lifecycle.check(cluster_row.pk)

    page = admin_client.get(test_page(cluster_row)).content.decode()
    assert "Jobs cannot run there now." in page
    assert "Connection &lt;refused&gt;." in page
    assert "failed at “Connection”" in text(admin_client.get(LIST))


def test_a_key_that_waits_is_one_click_away(admin_client, fake, pool_row, monkeypatch):
    CondorScheduler.objects.update(host="submit", username="grid")

    def steps(self):
        def refuse():
            raise HostKeyNotAccepted("It shows another key.", NEW, fingerprint(NEW))

        yield Step("Host key", refuse)

    monkeypatch.setattr(FakeBackend, "check", steps)
    ask(admin_client, pool_row)
    lifecycle.check(pool_row.pk)

    change = address("condorscheduler", "change", pool_row.pk)
    assert f'href="{change}#offered-host-key"' in text(admin_client.get(test_page(pool_row)))
    assert 'id="offered-host-key"' in text(admin_client.get(change))


def test_versions_that_do_not_fit_are_listed_by_place(admin_client, fake, cluster_row):
    fake.findings["workers"] = Finding("They differ.", Outcome.DOUBTFUL, {"dask": "1 here; 2 at the scheduler"})
    ask(admin_client, cluster_row)
    lifecycle.check(cluster_row.pk)

    page = text(admin_client.get(test_page(cluster_row)))
    assert "It can be used, and something needs a look." in page
    assert "<li>dask: 1 here; 2 at the scheduler</li>" in page


def test_another_host_makes_an_earlier_test_void(admin_client, fake, cluster_row):
    ask(admin_client, cluster_row)
    lifecycle.check(cluster_row.pk)
    change = address("daskscheduler", "change", cluster_row.pk)

    admin_client.post(change, {"name": "renamed", "host": cluster_row.host})
    assert "All is well" in text(admin_client.get(test_page(cluster_row)))

    admin_client.post(change, {"name": "renamed", "host": "other:8786"})
    assert "its settings were changed since" in text(admin_client.get(test_page(cluster_row)))


@pytest.mark.parametrize("ending", [lambda: Finding("Done."), lambda: 1 // 0, "refuse"])
def test_a_test_under_way_says_nothing_of_settings_that_are_changed_meanwhile(
    admin_client, fake, cluster_row, monkeypatch, ending
):
    def refuse():
        raise BackendUnavailable("Connection refused.")

    def changed():
        change = address("daskscheduler", "change", cluster_row.pk)
        admin_client.post(change, {"name": "cluster", "host": "other:8786"})
        return refuse() if ending == "refuse" else ending()

    tried = []

    def steps(self):
        yield Step("Connection", changed)
        yield Step("Next", lambda: tried.append(self.scheduler.host))

    monkeypatch.setattr(FakeBackend, "check", steps)
    ask(admin_client, cluster_row)
    lifecycle.check(cluster_row.pk)

    changed_row = Scheduler.objects.get()
    assert (changed_row.host, changed_row.unreachable_since, changed_row.failures) == ("other:8786", None, 0)
    assert "its settings were changed since" in text(admin_client.get(test_page(cluster_row)))
    assert tried == []
    assert changed_row.request_check()


def test_a_test_that_failed_is_not_taken_for_an_answer(admin_client, fake, cluster_row, monkeypatch):
    def steps(self):
        yield from [1 // 0]

    monkeypatch.setattr(FakeBackend, "check", steps)
    Scheduler.objects.update(polled_at=None)
    assert "not asked yet" in text(admin_client.get(LIST))
    ask(admin_client, cluster_row)
    lifecycle.check(cluster_row.pk)

    page = text(admin_client.get(LIST))

    assert "not known, see the last test" in page
    assert "yes, " not in page


def test_the_action_of_the_list_tests_many_and_leads_to_each(admin_client, fake, cluster_row):
    other = DaskScheduler(name="other", host="h:1")
    other.save()
    both = {"action": "test_connection", "_selected_action": [cluster_row.pk, other.pk]}

    page = text(admin_client.post(LIST, both, follow=True))

    assert f'<a href="{test_page(other)}">“other”</a>' in page
    assert Scheduler.objects.filter(check_requested_at__isnull=False).count() == 2


def test_the_action_on_one_shows_its_test(admin_client, cluster_row):
    answer = admin_client.post(LIST, {"action": "test_connection", "_selected_action": [cluster_row.pk]})

    assert answer.url == test_page(cluster_row)


def test_one_that_was_given_up_is_not_tested(admin_client, cluster_row):
    cluster_row.give_up()

    assert "“cluster” was given up: nobody calls it any more." in ask(admin_client, cluster_row)


def test_who_may_only_look_cannot_test(client, django_user_model, cluster_row):
    viewer = django_user_model.objects.create_user("viewer", password="pw", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_daskscheduler"))
    client.force_login(viewer)

    assert client.post(test_page(cluster_row)).status_code == 403
    assert client.get(test_page(cluster_row)).status_code == 403
    assert "Test connection" not in text(client.get(address("daskscheduler", "change", cluster_row.pk)))
    assert Scheduler.objects.get().check_requested_at is None


def test_a_test_needs_the_token_of_the_page(cluster_row, admin_user):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)

    assert strict.post(test_page(cluster_row)).status_code == 403


def test_a_scheduler_of_another_kind_or_none_is_not_there(admin_client, pool_row):
    wrong = reverse("admin:jobsapi_daskscheduler_test", args=[pool_row.pk])

    assert admin_client.get(wrong).status_code == 404


def test_the_list_says_who_is_reachable_and_how_many_jobs_each_has(admin_client, row, cluster_row):
    row("running")
    row("waiting", Status.SUBMITTED)
    row("ended", Status.COMPLETE)
    row("pending", Status.PENDING)
    away = DaskScheduler(name="away", host="h:1")
    away.save()
    Scheduler.objects.filter(pk=away.pk).update(unreachable_since=timezone.now(), last_error="Refused.")

    page = text(admin_client.get(LIST))

    assert "no, since" in page
    assert "Refused." in page
    assert "yes, " in page
    assert '">2</a>' in page
    assert '">0</a>' in page


@pytest.mark.parametrize(
    ("most", "each", "words"),
    [(1000, 2, "1,000, 2 per user"), (10, None, "10"), (None, 2, "2 per user"), (None, None, "-")],
)
def test_the_list_says_how_many_jobs_a_scheduler_takes_where_that_is_limited(
    admin_client, cluster_row, most, each, words
):
    Scheduler.objects.filter(pk=cluster_row.pk).update(max_active=most, max_active_per_user=each)
    page = text(admin_client.get(LIST))
    assert re.search(r'class="field-limits">([^<]*)<', page)[1].strip() == words


def test_the_list_costs_the_same_for_one_and_for_twenty(admin_client, cluster_row, django_assert_max_num_queries):
    for number in range(20):
        DaskScheduler(name=f"cluster {number}", host="h:1").save()
    admin_client.get(LIST)
    with django_assert_max_num_queries(6):
        admin_client.get(LIST)


def test_the_number_of_active_jobs_leads_to_them(admin_client, row, cluster_row):
    running = row("running")
    row("ended", Status.COMPLETE)
    page = text(admin_client.get(LIST))
    link = page.partition(reverse("admin:jobsapi_job_changelist") + "?scheduler=")[2].partition('"')[0]

    jobs = text(admin_client.get(reverse("admin:jobsapi_job_changelist") + "?scheduler=" + link))

    assert running.name in jobs
    assert "ended" not in jobs.partition('id="result_list"')[2].partition("</table>")[0]


def test_what_a_test_finds_cannot_be_written(admin_client, cluster_row):
    change = address("daskscheduler", "change", cluster_row.pk)
    admin_client.post(change, {"name": "cluster", "host": cluster_row.host, "check_report": '{"over": true}'})

    assert Scheduler.objects.get().check_report == {}
