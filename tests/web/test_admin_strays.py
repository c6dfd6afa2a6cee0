"""Strays in the admin: listed as workers have found them; adopted or removed when somebody has said yes."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from jobsapi.models import DaskScheduler, Stray
from jobsapi.testing import FakeBackend
from tests.web.test_admin import address

pytestmark = pytest.mark.django_db

LIST = reverse("admin:jobsapi_stray_changelist")


@pytest.fixture
def fake(settings):
    """A scheduler in this process; messages are lost."""
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"dask": "jobsapi.testing.FakeBackend"}}
    return FakeBackend.reset()


@pytest.fixture
def stray(cluster_row):
    now = timezone.now()
    cluster_row.__class__.objects.update(reconciled_at=now)
    return Stray.objects.create(
        scheduler=cluster_row,
        native_id="jobsapi/a/b",
        what="dataset",
        submission_id=uuid4(),
        uid=uuid4(),
        name="simulate",
        words="1 done",
        why="No job of the portal knows of it.",
        can_adopt=True,
        first_seen=now - timedelta(hours=1),
        last_seen=now,
    )


def text(response) -> str:
    return html.unescape(response.content.decode())


def act(client, stray, action, **more):
    chosen = {"action": action, "_selected_action": stray.pk, **more}
    return text(client.post(LIST, chosen, follow=True))


def test_strays_are_listed_and_the_page_of_a_scheduler_links_to_its_own(admin_client, fake, stray, cluster_row):
    page = text(admin_client.get(address("daskscheduler", "change", cluster_row.pk)))
    assert f'<a href="{LIST}?scheduler__id__exact={cluster_row.pk}">1</a>' in page

    page = text(admin_client.get(f"{LIST}?scheduler__id__exact={cluster_row.pk}"))

    for words in ("jobsapi/a/b", "simulate", "1 done", "No job of the portal", "to be decided"):
        assert words in page
    assert "delete_selected" not in page
    assert "deletelink" not in text(admin_client.get(address("stray", "change", stray.pk)))
    assert fake.exchanges == []


def test_a_long_id_is_shortened_and_what_it_has_to_do_with_is_a_link(admin_client, stray, row):
    job = row("hits")
    folder, why = f"jobsapi/portal/{uuid4().hex}", f"Job {job.pk} is Error, and was to have left nothing."
    Stray.objects.update(native_id=folder, what="folder", why=why, job_number=job.pk, size=3000)

    page = text(admin_client.get(LIST))

    assert f'<span title="{folder}">folder {folder[15:25]}… (simulate)</span>' in page
    assert f'Job <a href="{address("job", "change", job.pk)}">{job.pk}</a> is Error, and was to' in page
    assert "1 done, 2.9\xa0KB" in page
    assert folder in text(admin_client.get(address("stray", "change", stray.pk)))


def test_an_empty_list_says_what_a_stray_is_and_when_each_scheduler_was_looked_at(admin_client, stray, cluster_row):
    explained = "A stray is what this portal has at a scheduler"
    assert explained not in text(admin_client.get(LIST))

    stray.delete()
    cluster_row.__class__.objects.update(reconciled_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    DaskScheduler(name="new one", host="h:1").save()
    gone = DaskScheduler(name="old one", host="h:1")
    gone.save()
    gone.give_up()
    page = text(admin_client.get(LIST))

    assert explained in page
    assert "nothing has to be done" in page
    assert f"{cluster_row.name}: 2026-03-01 12:30:00" in page
    assert "new one: not yet" in page
    assert "old one: " not in page


def test_removal_is_asked_for_first_and_then_wished(admin_client, fake, stray):
    page = act(admin_client, stray, "remove")
    assert "What it has computed is lost." in page
    assert "jobsapi/a/b" in page
    stray.refresh_from_db()
    assert stray.wish == ""

    page = act(admin_client, stray, "remove", confirmed="yes")

    stray.refresh_from_db()
    assert (stray.wish, stray.wished_by) == ("remove", "admin")
    assert "admin wants it to be removed. A worker does it." in page
    assert fake.exchanges == []


def test_what_has_no_row_is_adopted_for_the_user_that_is_named(admin_client, fake, stray, ada):
    page = act(admin_client, stray, "adopt")
    assert 'name="user" value="admin"' in page
    again = act(admin_client, stray, "adopt", confirmed="yes", user="nobody", app="flood")
    assert "There is no user “nobody”." in again
    for kept in ('name="user" value="nobody"', 'name="app" value="flood"', "Yes, adopt"):
        assert kept in again
    stray.refresh_from_db()
    assert stray.wish == ""

    act(admin_client, stray, "adopt", confirmed="yes", user=ada.username, app="flood")

    stray.refresh_from_db()
    assert (stray.wish, stray.user, stray.label) == ("adopt", ada, "flood")


def test_the_app_that_is_known_is_not_asked_for(admin_client, fake, stray, ada):
    Stray.objects.update(label="river")

    page = act(admin_client, stray, "adopt")
    assert re.search(r'name="app" value="river"[^>]* disabled', page)
    act(admin_client, stray, "adopt", confirmed="yes", user=ada.username, app="flood")

    stray.refresh_from_db()
    assert (stray.wish, stray.user, stray.label) == ("adopt", ada, "river")


def test_what_cannot_be_adopted_says_why(admin_client, fake, stray):
    Stray.objects.update(can_adopt=False, why="Job 7 is Error.")

    page = act(admin_client, stray, "adopt", confirmed="yes")

    assert "cannot be adopted: Job 7 is Error." in page
    stray.refresh_from_db()
    assert stray.wish == ""


def test_who_may_only_look_decides_nothing(client, fake, stray, django_user_model):
    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_stray"))
    client.force_login(viewer)

    assert "jobsapi/a/b" in text(client.get(LIST))
    act(client, stray, "remove", confirmed="yes")

    stray.refresh_from_db()
    assert stray.wish == ""


def test_a_scheduler_with_strays_and_no_jobs_can_be_deleted(admin_client, fake, stray, cluster_row):
    admin_client.post(address("daskscheduler", "delete", cluster_row.pk), {"post": "yes"})

    assert not Stray.objects.exists()
    assert not cluster_row.__class__.objects.exists()
