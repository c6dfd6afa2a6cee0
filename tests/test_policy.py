"""Who may do what with which job: the rules themselves. That each page asks them is tested with the pages."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission

from jobsapi import policy
from jobsapi.exceptions import InvalidJob
from jobsapi.models import BasicJob, Job, JobShare, Right

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(user):
    made = BasicJob(name="flood", user=user, label="tests")
    made.save()
    return made


@pytest.fixture
def hydrologists(db):
    return Group.objects.create(name="hydrologists")


@pytest.fixture
def member(django_user_model, hydrologists):
    other = django_user_model.objects.create_user("bob")
    other.groups.add(hydrologists)
    return other


def rights(user, job):
    """What the policy says of a user and a job, in a list, in the job, and of a guessed number: they must agree."""
    listed = set(policy.visible(user).values_list("pk", flat=True))
    managed = set(policy.manageable(user).values_list("pk", flat=True))
    try:
        found = {policy.find(user, job.pk).pk}
    except Job.DoesNotExist:
        found = set()
    assert found == listed & {job.pk}
    assert policy.may_manage(user, job) == (job.pk in managed)
    if not policy.manages_all(user):
        assert {row.pk for branch in policy.branches(user, Job.objects.all()) for row in branch} == listed
    return (job.pk in listed) + (job.pk in managed)


NOTHING, SEES, MANAGES = range(3)


def test_an_owner_manages_and_a_stranger_sees_nothing(job, user, member):
    assert rights(user, job) == MANAGES
    assert rights(member, job) == NOTHING
    assert policy.visible(member).count() == 0


@pytest.mark.parametrize(("right", "expected"), [("view", SEES), ("manage", MANAGES), (Right.MANAGE, MANAGES)])
def test_a_group_may_what_its_right_says(job, member, hydrologists, right, expected):
    job.share(hydrologists, right=right)
    assert rights(member, job) == expected
    assert not policy.may_share(member, job)


def test_the_last_word_counts_and_a_share_can_be_taken_back(job, member, hydrologists):
    job.share(hydrologists, "manage")
    job.share(hydrologists)
    assert rights(member, job) == SEES
    job.unshare(hydrologists)
    job.unshare(hydrologists)
    assert rights(member, job) == NOTHING


def test_a_group_that_a_job_was_created_with_may_view_it(manager, user, member, hydrologists):
    job = manager.create_job("shared", user, groups=hydrologists, job_type="BASIC")
    assert rights(member, job) == SEES


def test_a_job_that_is_shared_with_two_groups_of_a_user_is_listed_once_and_the_greater_right_counts(
    job, member, hydrologists
):
    second = Group.objects.create(name="modellers")
    member.groups.add(second)
    job.share(hydrologists)
    job.share(second, "manage")
    assert rights(member, job) == MANAGES
    assert list(policy.visible(member)) == [job]


def test_staff_and_who_has_the_permission_manage_the_jobs_of_everybody(job, django_user_model):
    staff = django_user_model.objects.create_user("eve", is_staff=True)
    operator = django_user_model.objects.create_user("otto")
    operator.user_permissions.add(Permission.objects.get(codename="jobs_table_actions"))
    assert rights(staff, job) == rights(operator, job) == MANAGES
    assert policy.may_share(operator, job)


def test_who_is_not_logged_in_or_not_active_sees_nothing(job, user):
    assert rights(AnonymousUser(), job) == NOTHING
    user.is_active = False
    user.is_staff = user.is_superuser = True
    assert rights(user, job) == NOTHING


def test_a_deleted_job_exists_for_nobody(job, user):
    job.delete()
    assert not policy.visible(user).exists()
    assert not policy.manageable(user).exists()
    with pytest.raises(Job.DoesNotExist):
        policy.find(user, job.pk)


def test_the_jobs_of_a_list_alone_are_found_in_it(job, user):
    assert not policy.visible(user, Job.objects.filter(label="another")).exists()
    with pytest.raises(Job.DoesNotExist):
        policy.find(user, job.pk, Job.objects.filter(label="another"))


def test_an_owner_is_found_with_one_query(job, user, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert policy.may_manage(user, policy.find(user, job.pk))


def test_what_is_no_right_is_refused(job, hydrologists):
    with pytest.raises(InvalidJob, match="view or manage, not to 'own'"):
        job.share(hydrologists, "own")
    with pytest.raises(InvalidJob, match="Save the job and the group first"):
        job.share(Group(name="unsaved"))
    assert not JobShare.objects.exists()


def test_a_group_that_is_deleted_loses_its_shares_and_no_job(job, hydrologists):
    job.share(hydrologists)
    hydrologists.delete()
    assert Job.objects.get() == job
    assert not job.shares.exists()
