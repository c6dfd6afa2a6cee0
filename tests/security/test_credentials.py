"""Passwords of schedulers: whoever changes rows, in the database or in the admin, does not get them sent elsewhere."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobsapi import sealing
from jobsapi.compute import create_condor_scheduler
from jobsapi.exceptions import SealBroken
from jobsapi.models import CondorScheduler, Scheduler

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool():
    row = create_condor_scheduler(
        "pool", "submit.example.org", "grid", "open sesame", private_key_path="/keys/id", private_key_pass="a phrase"
    )
    row.save()
    return row


def stored() -> CondorScheduler:
    return CondorScheduler.objects.get(name="pool")


@pytest.mark.parametrize("change", [{"host": "evil.example.org"}, {"port": 2222}])
def test_a_password_is_not_sent_to_a_host_that_the_row_was_changed_to(pool, change):
    Scheduler.objects.update(**change)

    with pytest.raises(SealBroken, match="entered for another host"):
        _ = stored().password
    assert stored().private_key_pass == "a phrase"


def test_a_passphrase_opens_no_other_key_file(pool):
    Scheduler.objects.update(private_key_path="/keys/other")

    with pytest.raises(SealBroken):
        _ = stored().private_key_pass
    assert stored().password == "open sesame"


def test_a_password_that_was_copied_to_another_row_is_not_sent_to_its_host(pool):
    create_condor_scheduler("evil", "evil.example.org", "grid").save()
    Scheduler.objects.filter(name="evil").update(_password=pool._password, _private_key_pass=pool._private_key_pass)

    evil = Scheduler.objects.get(name="evil")
    for secret in ("password", "private_key_pass"):
        with pytest.raises(SealBroken):
            getattr(evil, secret)


def test_a_passphrase_that_was_copied_to_the_password_is_not_sent(pool):
    Scheduler.objects.update(_password=pool._private_key_pass)

    with pytest.raises(SealBroken):
        _ = stored().password


def test_what_a_page_was_given_encrypted_is_no_password(pool):
    Scheduler.objects.update(_password=sealing.encrypt("of a table", "jobs table 1"))

    with pytest.raises(SealBroken):
        _ = stored().password


def test_a_password_that_is_set_before_the_host_is_for_the_host_that_is_saved():
    row = CondorScheduler(name="pool", password="open sesame")
    row.host, row.port = "submit.example.org", 2222
    row.save()

    assert stored().password == row.password == "open sesame"


def test_an_administrator_who_enters_another_host_has_to_know_the_password(admin_client, pool):
    form = {"name": "pool", "host": "evil.example.org", "port": 22, "username": "grid", "private_key_path": "/keys/id"}

    said = admin_client.post(
        reverse("admin:jobsapi_condorscheduler_change", args=[pool.pk]), form, follow=True
    ).content.decode()

    assert "The password that was stored is forgotten" in said
    assert (stored().host, stored().password, stored().private_key_pass) == ("evil.example.org", "", "a phrase")


def test_parts_of_a_context_cannot_be_shifted_into_each_other():
    token = sealing.encrypt("secret", "a", "bc")

    assert sealing.decrypt(token, "a", "bc") == "secret"
    for other in (("ab", "c"), ("abc",), ("a", "b", "c"), ("a 2:bc",), ()):
        with pytest.raises(SealBroken):
            sealing.decrypt(token, *other)
