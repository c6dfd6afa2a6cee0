"""The key of a submit host is trusted when an administrator says so, in the admin or from a shell, and not before."""

from __future__ import annotations

import html
import io
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from jobsapi import reach
from jobsapi.exceptions import BackendUnavailable, HostKeyNotAccepted
from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.models import CondorScheduler
from jobsapi.testing import FakeBackend

pytestmark = pytest.mark.django_db

OLD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fWVRPjuy6Uh+PZYQ4nRgLPv5ZzdBvPcFxIXHiGRFM"
NEW = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl9"
THIRD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
LIST = reverse("admin:jobsapi_condorscheduler_changelist")


class ShowsAKey(FakeBackend):
    """A submit host that shows a key, which nobody has accepted."""

    key = NEW

    def open(self):
        raise HostKeyNotAccepted("shows another key", self.key, fingerprint(self.key))


@pytest.fixture
def pool(db):
    """A submit host whose key was changed: a worker has called it."""
    CondorScheduler(name="pool", host="submit.example.org", username="grid", host_key=OLD).save()
    call()
    return CondorScheduler.objects.get()


def call():
    """What a worker does to the scheduler."""
    with pytest.raises(BackendUnavailable), reach.reach(CondorScheduler.objects.get(), ShowsAKey, "refresh"):
        pass


def stored() -> CondorScheduler:
    return CondorScheduler.objects.get()


def change(pool) -> str:
    return reverse("admin:jobsapi_condorscheduler_change", args=[pool.pk])


def text(response) -> str:
    return html.unescape(response.content.decode())


def accept(client, pool, **confirmation):
    chosen = {"action": "accept_host_key", "_selected_action": [pool.pk]}
    return client.post(LIST, {**chosen, **confirmation}, follow=True)


def confirmed(pool, key) -> dict[str, str]:
    return {"confirmed": "yes", f"fingerprint-{pool.pk}": fingerprint(key)}


class TestAdmin:
    def test_a_key_that_was_refused_is_shown_beside_the_accepted_one(self, admin_client, pool):
        page = text(admin_client.get(change(pool)))

        assert "submit.example.org has shown another key than the accepted one" in page
        for words in (NEW, fingerprint(NEW), fingerprint(OLD), "ssh-keygen -lf", "Accept this key"):
            assert words in page
        assert "waits to be accepted" in text(admin_client.get(LIST))

    def test_the_first_key_of_a_host_is_not_called_another_one(self, admin_client, pool):
        CondorScheduler.objects.update(host_key="")

        page = text(admin_client.get(change(pool)))

        assert "has shown a key, and none was accepted for it yet" in page
        assert "another" not in page.partition("It shows")[0]

    def test_a_host_without_a_refused_key_asks_for_nothing(self, admin_client, pool):
        CondorScheduler.objects.update(offered_host_key="")

        assert "Accept this key" not in text(admin_client.get(change(pool)))
        assert "None of them has shown a key" in text(accept(admin_client, pool))

    def test_it_is_accepted_after_a_question_and_the_log_says_which(self, admin_client, pool):
        CondorScheduler.objects.update(retry_at=timezone.now() + timedelta(hours=1))
        question = text(accept(admin_client, pool))
        assert fingerprint(NEW) in question
        assert stored().host_key == OLD

        answer = text(accept(admin_client, pool, **confirmed(pool, NEW)))

        assert f"The host key of “pool” is accepted: {fingerprint(NEW)}" in answer
        assert (stored().host_key, stored().offered_host_key, stored().retry_at) == (NEW, "", None)
        assert LogEntry.objects.filter(change_message__contains=fingerprint(NEW)).count() == 1

    def test_a_key_that_was_not_looked_at_is_not_accepted(self, admin_client, pool, monkeypatch):
        monkeypatch.setattr(ShowsAKey, "key", THIRD)
        CondorScheduler.objects.update(retry_at=None)
        call()

        answer = text(accept(admin_client, pool, **confirmed(pool, NEW)))

        assert "shows another key" in answer
        assert stored().host_key == OLD
        assert not LogEntry.objects.exists()

    def test_who_may_not_change_a_scheduler_may_not_accept_its_key(self, client, django_user_model, pool):
        viewer = django_user_model.objects.create_user("viewer", password="pw", is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_condorscheduler"))
        client.force_login(viewer)

        accept(client, pool, **confirmed(pool, NEW))

        assert stored().host_key == OLD
        assert "Accept this key" not in text(client.get(change(pool)))

    @pytest.mark.parametrize(
        "given", [NEW, f"  {NEW}\n", f"{NEW} root@submit", f"submit.example.org,10.0.0.7 {NEW}", f"[submit]:2222 {NEW}"]
    )
    def test_a_key_may_be_typed_in_as_ssh_keyscan_or_the_host_has_it(self, admin_client, pool, given):
        admin_client.post(change(pool), {"name": "pool", "host": "submit.example.org", "port": 22, "host_key": given})

        assert (stored().host_key, stored().offered_host_key) == (NEW, "")
        assert fingerprint(NEW) in text(admin_client.get(change(pool)))

    @pytest.mark.parametrize("given", ["nonsense", "ssh-ed25519 AAA", f"{NEW}\n{OLD}", fingerprint(NEW)])
    def test_what_is_no_key_is_refused_in_words(self, admin_client, pool, given):
        values = {"name": "pool", "host": "submit.example.org", "port": 22, "host_key": given}

        assert "Give one public key" in text(admin_client.post(change(pool), values))
        assert stored().host_key == OLD

    @pytest.mark.parametrize(
        ("given", "taken"), [("", True), ("7.5", True), ("soon", False), ("-1", False), ("nan", False)]
    )
    def test_a_time_out_is_a_number_of_seconds(self, admin_client, pool, given, taken):
        values = {"name": "pool", "host": "h", "port": 22, "timeout": given}

        assert ("Give seconds" not in text(admin_client.post(change(pool), values))) is taken

    def test_another_name_for_the_scheduler_leaves_its_question_open(self, admin_client, pool):
        same = {"host": "submit.example.org", "port": 22, "host_key": OLD}
        admin_client.post(change(pool), {"name": "renamed", **same})
        assert stored().offered_host_key == NEW

        admin_client.post(change(pool), {"name": "renamed", **same, "host": "other.example.org"})
        assert stored().offered_host_key == ""

    def test_the_schedd_of_this_machine_needs_none(self, admin_client, pool):
        CondorScheduler.objects.update(host="", offered_host_key="")

        assert "not needed" in text(admin_client.get(LIST))


class TestCommand:
    def run(self, **options):
        said = io.StringIO()
        call_command("accept_host_key", "pool", stdout=said, **options)
        return said.getvalue()

    @pytest.fixture(autouse=True)
    def nobody_answers(self, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda question: pytest.fail("It asked."))

    def test_the_right_fingerprint_is_the_answer(self, pool):
        said = self.run(fingerprint=fingerprint(NEW), no_input=True)

        assert f"It shows: {fingerprint(NEW)} (ssh-ed25519)" in said
        assert f"Accepted: {fingerprint(OLD)}" in said
        assert (stored().host_key, stored().offered_host_key) == (NEW, "")

    def test_another_fingerprint_is_refused(self, pool):
        with pytest.raises(CommandError, match=r"does not show SHA256:.* Nothing was changed"):
            self.run(fingerprint=fingerprint(OLD))
        assert stored().host_key == OLD

    @pytest.mark.parametrize("answer", ["", "n", "Y?"])
    def test_without_one_it_asks_and_takes_no_other_answer_for_yes(self, pool, monkeypatch, answer):
        monkeypatch.setattr("builtins.input", lambda question: answer)

        with pytest.raises(CommandError, match="Nothing was changed"):
            self.run()
        assert stored().host_key == OLD

    def test_yes_is_taken_for_yes(self, pool, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda question: "y")

        assert "It is accepted." in self.run()
        assert stored().host_key == NEW

    def test_without_a_question_it_has_to_be_told_which(self, pool):
        with pytest.raises(CommandError, match="--fingerprint"):
            self.run(no_input=True)
        assert stored().host_key == OLD

    def test_a_key_that_changes_while_it_asks_is_not_accepted(self, pool, monkeypatch):
        def answer(question):
            CondorScheduler.objects.update(offered_host_key=THIRD)
            return "y"

        monkeypatch.setattr("builtins.input", answer)

        with pytest.raises(CommandError, match="another key"):
            self.run()
        assert stored().host_key == OLD

    def test_without_a_refused_key_it_says_what_is_accepted(self, pool):
        CondorScheduler.objects.update(offered_host_key="")

        with pytest.raises(CommandError, match=r"has shown no key .* Accepted: SHA256:"):
            self.run()

    def test_an_unknown_name_is_answered_with_the_known_ones(self, pool, cluster_row):
        with pytest.raises(CommandError, match=r"no HTCondor scheduler “cluster”\. There are: pool\."):
            call_command("accept_host_key", "cluster")
