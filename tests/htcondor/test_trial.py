"""An HTCondor scheduler is put to the test: what an administrator reads, and that nothing of it is left."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.backends.condor.description import describe
from jobsapi.backends.condor.schedd import Schedd
from jobsapi.backends.condor.transport import LocalTransport, transport_of
from jobsapi.backends.condor.trial import Trial, description, fit, overdue, room
from jobsapi.compute import create_condor_scheduler
from jobsapi.exceptions import BackendUnavailable
from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.models import CondorScheduler
from jobsapi.models.reports import Stage

LOCAL = ["Connection", "Account", "Versions", "Slots", "A tiny job"]
REMOTE = ["Connection", "Host key", "Login", *LOCAL[1:]]
ANOTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl9"


def examined(scheduler):
    """The scheduler after a test that an administrator has asked for."""
    assert scheduler.request_check()
    lifecycle.check(scheduler.pk)
    return CondorScheduler.objects.get(pk=scheduler.pk)


def outcomes(scheduler):
    return {step.title: step.outcome for step in scheduler.report.steps}


def messages(scheduler):
    return {step.title: step.message for step in scheduler.report.steps}


def test_a_scheduler_that_works_is_said_to_by_every_step(place, condor_pool):
    found = examined(place)

    steps = LOCAL if found.is_local else REMOTE
    assert outcomes(found) == dict.fromkeys(steps, "good"), messages(found)
    assert (found.report.stage, found.report.outcome, found.report.capacity) == (Stage.OVER, "good", 8)
    said = messages(found)
    assert f"{condor_pool.user}@" in said["Account"]
    assert "8 slots with 8 processors" in said["Slots"]
    assert "its output came back" in said["A tiny job"]
    assert "They fit." in said["Versions"]


def test_nothing_of_the_test_is_left(place, condor_pool):
    examined(place)

    transport = transport_of(place)
    folder = Trial(Schedd(transport), place.pk).folder
    assert condor_pool.queue() == []
    assert transport.run(["test", "-e", folder], folder=None, timeout=10).status == 1


def test_an_accepted_host_key_is_named(remote, condor_pool):
    said = messages(examined(remote))

    assert said["Host key"] == f"ssh-ed25519 {fingerprint(condor_pool.ssh.host_key)} is the accepted one."
    assert said["Login"] == f"The host takes us for {condor_pool.ssh.user}."


def test_a_host_with_another_key_is_sent_nothing_and_its_key_waits_to_be_accepted(remote, condor_pool):
    CondorScheduler.objects.update(host_key=ANOTHER_KEY)

    found = examined(CondorScheduler.objects.get())

    assert outcomes(found) == {"Connection": "good", "Host key": "bad"}
    assert "shows another key than the one recorded" in messages(found)["Host key"]
    assert found.offered_fingerprint == fingerprint(condor_pool.ssh.host_key)
    assert found.last_error == messages(found)["Host key"]


def test_a_password_that_is_wrong_is_said_to_be(remote):
    remote.private_key_path, remote.password = "", "s3cret"
    remote.save()

    found = examined(remote)

    assert outcomes(found) == {"Connection": "good", "Host key": "good", "Login": "bad"}
    assert "refuses the login" in messages(found)["Login"]
    assert "the password" in messages(found)["Login"]
    assert "s3cret" not in str(found.check_report)


def test_a_key_that_cannot_be_read_is_said_to_be(remote, tmp_path):
    remote.private_key_path = str(tmp_path / "none")
    remote.save()

    found = examined(remote)

    assert outcomes(found)["Login"] == "bad"
    assert "cannot be read" in messages(found)["Login"]


@contextmanager
def mute_listener():
    """The port of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_silent_host_costs_its_time_out_and_opens_the_breaker(ready):
    with mute_listener() as port:
        row = create_condor_scheduler("mute", "127.0.0.1", "grid", port=port, host_key=ANOTHER_KEY)
        row.timeout = "0.5"
        row.save()

        found = examined(row)

    assert outcomes(found) == {"Connection": "bad"}
    assert "did not answer within 0.5 s" in messages(found)["Connection"]
    assert found.unreachable_since is not None
    assert found.retry_at is not None


def test_a_pool_that_starts_nothing_is_no_failure_and_the_job_is_taken_back(local, condor_pool, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "TRIAL_TIMEOUT": 1.0}
    with condor_pool.starting_nothing():
        found = examined(local)

        assert outcomes(found)["A tiny job"] == "doubtful"
        assert "did not start within 1 s" in messages(found)["A tiny job"]
        assert found.report.outcome == "doubtful"
        assert ours(condor_pool) == []
    assert found.unreachable_since is None


def test_the_tiny_job_streams_as_other_jobs_do_and_so_needs_the_rights_that_they_need(make, local):
    others = str(describe(make(local, attributes={"executable": "a.sh"}))).lower().splitlines()

    assert {"stream_output = true", "stream_error = true"} <= {*others} & {*description("0" * 32).splitlines()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's pool has another account than the workers")
def test_a_workspace_that_the_pools_account_cannot_write_to_is_found_out(local, condor_pool):
    before = os.umask(0o022)
    try:
        found = examined(local)
    finally:
        os.umask(before)

    assert outcomes(found)["A tiny job"] == "bad", messages(found)
    assert "See that the pool's account may write to the job's folder in its workspace" in messages(found)["A tiny job"]
    assert condor_pool.queue() == []


def test_a_frozen_schedd_costs_its_time_outs(local, condor_pool, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "POLL_TIMEOUT": 1.0}
    with condor_pool.frozen_schedd():
        found = examined(local)

    assert outcomes(found) == {"Connection": "good", "Account": "bad"}
    assert "did not answer in time" in messages(found)["Account"]


def test_a_schedd_that_is_back_is_found_to_be_though_the_breaker_is_open(local):
    row = CondorScheduler.objects
    ahead = timezone.now() + timedelta(hours=1)
    row.update(retry_at=ahead, unreachable_since=timezone.now(), failures=3, last_error="It was away.")

    found = examined(row.get())

    assert found.report.outcome == "good"
    assert (found.retry_at, found.unreachable_since, found.failures, found.last_error) == (None, None, 0, "")


class Cut(LocalTransport):
    """A way to the schedd that is cut as soon as the tiny job was submitted."""

    def run(self, argv, **options):
        if argv[0] == "condor_q":
            raise BackendUnavailable("The connection was cut.")
        return super().run(argv, **options)


def test_what_a_test_that_was_cut_short_has_left_is_removed_by_the_next(local, condor_pool, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "TRIAL_TIMEOUT": 1.0}
    with condor_pool.starting_nothing():
        tried = Trial(Schedd(Cut()), local.pk)
        tried.account()
        with pytest.raises(BackendUnavailable):
            tried.tiny_job(1.0)
        (left,) = ours(condor_pool)

        found = examined(local)

        assert outcomes(found)["A tiny job"] == "doubtful"
        assert ours(condor_pool) == []
        assert f"cluster {left}," not in messages(found)["A tiny job"]


def ours(pool):
    """The clusters of tiny jobs in the queue."""
    return [ad["ClusterId"] for ad in pool.queue() if "JobsApiId" in ad]


@pytest.mark.parametrize(
    ("tools", "schedd", "outcome", "said"),
    [
        ("23.9.6", "23.9.6", "good", "They fit."),
        ("25.14.1", "25.0.3", "good", "They fit."),
        ("25.14.1", "23.9.6", "doubtful", "Install the same series"),
        ("10.9.0", "10.0.1", "doubtful", "tested with 23.9 and later"),
        ("23.9.6", "", "doubtful", "cannot be said"),
    ],
)
def test_versions_that_do_not_fit_are_told_apart(tools, schedd, outcome, said):
    found = fit(tools, schedd)
    assert found.outcome == outcome
    assert said in found.message


def test_slots_are_counted_by_what_they_have():
    found = room("Unclaimed 14\nClaimed 1\nClaimed 1\n")
    assert (found.message, found.capacity) == ("3 slots with 16 processors, 14 of them free.", 16)
    assert room("").outcome == "doubtful"


def test_what_the_pool_says_of_a_job_that_waits_is_told():
    found = overdue(12, {"JobStatus": 1, "LastRejMatchReason": "no match found"}, 60)
    words = "It was accepted as cluster 12, but did not start within 60 s. No match found. It was removed."
    assert (found.message, found.outcome) == (words, "doubtful")
