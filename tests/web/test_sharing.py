"""An owner shares a job on its page. What that allows is tested with the policy."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from jobsapi import policy
from jobsapi.models import JobShare, Right
from jobsapi.status import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(ada, bob):
    made = Group.objects.create(name="Team Rhône")
    ada.groups.add(made)
    bob.groups.add(made)
    return made


@pytest.fixture
def job(row):
    return row("flood", Status.RUNNING)


def share(client, job, group, right, **headers):
    return client.post(
        reverse("jobsapi:job-share", args=[job.pk]), {"group": getattr(group, "pk", group), "right": right}
    )


def test_an_owner_lets_a_group_see_a_job_then_act_on_it_then_neither(client, ada, bob, team, job):
    client.force_login(ada)
    assert share(client, job, team, "view").url == reverse("jobsapi:job", args=[job.pk])
    assert (policy.find(bob, job.pk), policy.may_manage(bob, job)) == (job, False)
    share(client, job, team, "manage")
    assert policy.may_manage(bob, job)
    share(client, job, team, "")
    assert not policy.visible(bob).exists()


def test_one_with_whom_a_job_is_shared_shares_it_with_nobody_else(client, bob, team, job):
    job.share(team, Right.MANAGE)
    client.force_login(bob)
    assert share(client, job, team, "").status_code == 403
    assert JobShare.objects.get().right == Right.MANAGE


def test_to_a_stranger_the_job_is_not_there(client, bob, team, job):
    client.force_login(bob)
    assert share(client, job, team, "manage").status_code == 404
    assert not JobShare.objects.exists()


def test_a_job_is_shared_with_groups_of_ones_own_alone(client, ada, job, django_user_model):
    others = Group.objects.create(name="others")
    client.force_login(ada)
    for number, right in ((others.pk, "view"), ("x", "view"), ("9" * 30, "view"), (others.pk, "own")):
        assert share(client, job, number, right).status_code == 404
    assert not JobShare.objects.exists()
    client.force_login(django_user_model.objects.create_user("eve", is_staff=True))
    share(client, job, others, "view")
    assert JobShare.objects.get().group == others


def test_it_needs_a_login_and_a_post(client, job, team):
    assert share(client, job, team, "view").url.startswith(reverse("login"))
    assert client.get(reverse("jobsapi:job-share", args=[job.pk])).status_code == 302
