"""What goes wrong between the portal and HTCondor: no job changes its status for it, none is lost, none runs twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jobsapi import lifecycle
from jobsapi.backends.condor import ads
from jobsapi.backends.condor.transport import transport_of
from jobsapi.compute import create_condor_scheduler
from jobsapi.exceptions import BackendUnavailable
from jobsapi.models import CondorWorkflowJobNode, Job, JobEvent, Scheduler
from tests.lifecycle.conftest import time_passes
from tests.rig.eventually import eventually
from tests.rig.services import database_url, missing


def accepted(jobs):
    """How often each job was accepted, as its history tells."""
    events = JobEvent.objects.filter(job__in=[job.pk for job in jobs], message__contains="by local as")
    return Counter(events.values_list("job", flat=True))


def in_queue_and_history(pool, portal_ids):
    """How many clusters the pool has or had for each attempt."""
    ads = [*pool.queue(), *pool.history()]  # one that leaves meanwhile, or while its schedd dies, is in both, or twice
    clusters = {(ad["JobsApiId"], ad["ClusterId"]) for ad in ads if ad.get("JobsApiId") in portal_ids}
    return Counter(portal_id for portal_id, _ in clusters)


@pytest.mark.timeout(300)
def test_a_schedd_killed_while_fifty_jobs_are_submitted_has_each_of_them_once(
    local, worker, script, execute, condor_pool, tmp_path, monkeypatch
):
    path = script("quick.sh", "exit 0")
    jobs = [execute(local, path, name=f"job {number}") for number in range(50)]
    monkeypatch.setenv("PATH", deadly_submit(tmp_path, condor_pool, 16), prepend=os.pathsep)

    with condor_pool.frozen_master(), pytest.raises(BackendUnavailable):  # it starts no other schedd meanwhile
        lifecycle.submit(jobs[0].pk)
    assert 15 <= Job.objects.exclude(native_id="").count() < 50
    scheduler = Scheduler.objects.get()
    assert scheduler.last_error
    assert Job.objects.filter(_status="SUB").count() == 50
    waiting = Job.objects.filter(native_id="").first()
    assert "unreachable since" in waiting.status_message

    ended = [worker.ended(job, timeout=200) for job in jobs]

    assert Counter(job.cached_status for job in ended) == {"Complete": 50}
    assert set(accepted(jobs).values()) == {1}
    assert in_queue_and_history(condor_pool, {job.submission_id.hex for job in jobs}) == {
        job.submission_id.hex: 1 for job in jobs
    }


def deadly_submit(folder, pool, number):
    """A folder with a ``condor_submit`` that kills the schedd in the middle of its ``number``-th submission."""
    command = folder / "condor_submit"
    command.write_text(
        "#!/bin/sh\n"
        f"echo >> {folder}/submissions\n"
        f"[ $(wc -l < {folder}/submissions) -ne {number} ] || (sleep 0.02; kill -KILL {pool.schedd}) &\n"
        f'exec {shutil.which("condor_submit")} "$@"\n'
    )
    command.chmod(0o755)
    return str(folder)


KILLED = """
import os, signal, sys
import django
django.setup()
from jobsapi import lifecycle
from jobsapi.steps import submission
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
submission.accept = die
lifecycle.submit(int(sys.argv[1]))
"""


def test_a_worker_killed_after_condor_submit_leaves_a_job_that_is_adopted(
    place, worker, script, execute, condor_pool, settings
):
    settings.JOBSAPI = {**settings.JOBSAPI, "LEASE": 1.0, "SUBMIT_TIMEOUT": 1.0}
    job = execute(place, script("ran.sh", "echo ran >> ran; sleep 1"))
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "JOBSAPI_TEST_SETTINGS": json.dumps({name: settings.JOBSAPI[name] for name in ("PORTAL", "WORKSPACE_ROOT")}),
    }
    command = [sys.executable, "-c", KILLED, str(job.pk)]
    killed = subprocess.run(command, env=environment, timeout=60, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    assert Job.objects.get().native_id == ""
    time_passes(3600)

    ended = worker.ended(job)

    assert ended.cached_status == "Complete"
    assert any("An earlier try had arrived" in event.message for event in job.events.all())
    assert in_queue_and_history(condor_pool, {job.submission_id.hex}) == {job.submission_id.hex: 1}
    (output,) = ended.folder.rglob("ran")
    assert output.read_text() == "ran\n"


def test_a_schedd_that_is_away_changes_no_status_and_is_told_of(local, worker, script, execute, condor_pool):
    running = execute(local, script("wait.sh", "while ! test -e /proc/1/x; do sleep 1; done"), name="running")
    worker.until(running, "Running")
    with condor_pool.without_schedd():
        with pytest.raises(BackendUnavailable):
            lifecycle.refresh(local.pk)
        waiting = execute(local, "/bin/true", name="waiting")
        Scheduler.objects.update(retry_at=None)
        with pytest.raises(BackendUnavailable):
            lifecycle.submit(waiting.pk)

        scheduler = Scheduler.objects.get()
        assert scheduler.unreachable_since
        assert scheduler.last_error
        assert Job.objects.get(pk=running.pk).cached_status == "Running"
        assert Job.objects.get(pk=waiting.pk).cached_status == "Submitted"
        assert scheduler.last_error in Job.objects.get(pk=waiting.pk).status_message

    running.stop()
    assert worker.ended(running).cached_status == "Aborted"
    assert worker.ended(waiting).cached_status == "Complete"
    assert Scheduler.objects.get().last_error == ""


def test_a_silent_schedd_costs_the_time_out_and_changes_no_job(local, worker, script, execute, condor_pool, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "POLL_TIMEOUT": 2.0}
    job = execute(local, script("wait.sh", "sleep 300"))
    worker.until(job, "Running")
    with condor_pool.frozen_schedd():
        with pytest.raises(BackendUnavailable, match="did not answer in time"):
            lifecycle.refresh(local.pk)
        assert Job.objects.get(pk=job.pk).cached_status == "Running"

    assert worker.until(job, "Running", timeout=30)
    job.stop()
    worker.ended(job)


def test_a_cut_connection_is_made_again_and_no_job_changes(remote, worker, script, execute, condor_pool):
    job = execute(remote, script("wait.sh", "sleep 300"))
    worker.until(job, "Running")
    transport = transport_of(remote)
    before = transport.exchanges["connect"]

    assert condor_pool.cut_ssh()
    lifecycle.refresh(remote.pk)

    assert transport.exchanges["connect"] == before + 1
    assert Job.objects.get(pk=job.pk).cached_status == "Running"
    assert Scheduler.objects.get(pk=remote.pk).last_error == ""
    job.stop()
    worker.ended(job)


def test_a_silent_sshd_costs_the_time_out_and_is_told_of(remote, worker, script, execute, condor_pool, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "POLL_TIMEOUT": 2.0, "SSH_TIMEOUT": 2.0}
    job = execute(remote, script("wait.sh", "sleep 300"))
    worker.until(job, "Running")
    with condor_pool.frozen_ssh():
        for _ in range(2):  # over the old connection, and then over none
            Scheduler.objects.update(retry_at=None)
            with pytest.raises(BackendUnavailable):
                lifecycle.refresh(remote.pk)
        assert Job.objects.get(pk=job.pk).cached_status == "Running"
        assert Scheduler.objects.get(pk=remote.pk).unreachable_since

    job.stop()
    assert worker.ended(job).cached_status == "Aborted"


@pytest.mark.parametrize("change", ["unknown", "other"])
def test_nothing_is_sent_to_a_host_whose_key_nobody_accepted(remote, make, condor_pool, change):
    Scheduler.objects.filter(pk=remote.pk).update(host_key="" if change == "unknown" else OTHER_KEY)
    scheduler = Scheduler.objects.get(pk=remote.pk)
    job = make(scheduler, attributes={"executable": "/bin/true"})
    job.execute()

    with pytest.raises(BackendUnavailable, match="SHA256"):
        lifecycle.submit(job.pk)

    told = Scheduler.objects.get(pk=remote.pk)
    assert told.offered_host_key.startswith("ssh-")
    told.accept_host_key(told.offered_fingerprint)
    lifecycle.submit(job.pk)
    assert Job.objects.get(pk=job.pk).native_id


OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fWVRPjuy6Uh+PZYQ4nRgLPv5ZzdBvPcFxIXHiGRFM"


def test_a_job_that_vanished_from_queue_and_history_is_lost_after_the_grace_period(
    local, worker, script, execute, condor_pool, settings
):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 60.0}
    job = execute(local, script("wait.sh", "sleep 300"))
    running = worker.until(job, "Running")
    condor_pool.condor("condor_rm", str(running.cluster_id))
    eventually(lambda: condor_pool.queue(str(running.cluster_id)) == [], timeout=30)
    condor_pool.forget_history()

    lifecycle.refresh(local.pk)
    assert Job.objects.get().cached_status == "Running"
    time_passes(61)
    ended = worker.ended(job)

    assert (ended.cached_status, ended.attempts) == ("Error", 1)
    assert ended.status_message.startswith("Lost: local does not know the job any more.")


def test_a_full_disk_at_the_other_end_is_told_of_and_the_job_goes_on_when_there_is_room(
    remote, worker, script, execute, condor_pool
):
    place = Path(f"~{condor_pool.user}").expanduser() / "jobsapi" / condor_pool.portal  # no other pool's
    execute(remote, script("first.sh", "exit 0"))
    worker.ended(Job.objects.get())
    job = execute(remote, script("ok.sh", "exit 0"))
    with full_disk(place):
        with pytest.raises(BackendUnavailable, match=r"no room is left .*No space left on device"):
            lifecycle.submit(job.pk)
        assert Job.objects.get(pk=job.pk).cached_status == "Submitted"
        assert Scheduler.objects.get().last_error

    assert worker.ended(job).cached_status == "Complete"


@contextmanager
def full_disk(folder):
    """A tiny file system, full, in place of a folder."""
    options = "size=8k,mode=777"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        missing(f"No file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with suppress(OSError):
            (folder / "full").write_bytes(b"x" * 65_536)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_host_that_is_not_there_is_told_of_in_words(db, condor_tools, ready, make):
    scheduler = create_condor_scheduler("gone", "127.0.0.1", "nobody", "pw", port=1)
    scheduler.save()
    job = make(scheduler, attributes={"executable": "/bin/true"})
    job.execute()

    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1"):
        lifecycle.submit(job.pk)

    assert "unreachable since" in Job.objects.get().status_message
    assert Job.objects.get().cached_status == "Submitted"


def test_a_refusal_by_a_rule_of_the_site_is_the_jobs_own_and_holds_up_no_other(
    local, worker, script, execute, condor_pool
):
    rule = condor_pool.folder / "pool" / "local.d" / "rule"
    rule.write_text(
        "SUBMIT_REQUIREMENT_NAMES = Tests\nSUBMIT_REQUIREMENT_Tests = JobPrio < 1000\n"
        'SUBMIT_REQUIREMENT_Tests_REASON = "Ask for less, please."\n'
    )
    condor_pool.condor("condor_reconfig")
    try:
        refused = execute(local, script("ok.sh", "exit 0"), attributes={"priority": 2000})
        good = execute(local, script("ok.sh", "exit 0"), name="good")

        ended = worker.ended(refused)

        assert ended.cached_status == "Error"
        assert "Ask for less, please." in ended.status_message
        assert worker.ended(good).cached_status == "Complete"
        assert Scheduler.objects.get().last_error == ""
    finally:
        rule.unlink()
        condor_pool.condor("condor_reconfig")


def test_a_schedd_that_is_full_is_no_error_and_the_job_waits_for_a_place(local, worker, script, execute, condor_pool):
    rule = condor_pool.folder / "pool" / "local.d" / "rule"
    first = execute(local, script("wait.sh", "sleep 300"), name="first")
    worker.until(first, "Running")
    rule.write_text("MAX_JOBS_PER_OWNER = 1\n")
    condor_pool.condor("condor_reconfig")
    try:
        second = execute(local, script("ok.sh", "exit 0"), name="second")
        lifecycle.submit(second.pk)
    finally:
        rule.unlink()
        condor_pool.condor("condor_reconfig")

    waits = Job.objects.get(pk=second.pk)
    assert waits.cached_status == "Submitted"
    assert "would exceed MAX_JOBS_PER_OWNER" in waits.status_message
    assert worker.ended(second).cached_status == "Complete"
    first.stop()
    worker.ended(first)


def test_no_command_reaches_what_only_has_the_number_of_a_job(local, worker, script, execute, condor_pool):
    job = execute(local, script("wait.sh", "sleep 300"))
    worker.until(job, "Running")
    cluster = submit_by_hand(condor_pool, "/bin/sleep", "300")
    Job._base_manager.filter(pk=job.pk).update(native_id=cluster)
    stale = Job.objects.get(pk=job.pk)

    for verb in ("hold", "release", "cancel"):
        getattr(stale.backend_class()(stale.scheduler), verb)([stale])

    assert [ad["JobStatus"] for ad in condor_pool.queue(cluster)] in ([1], [2])


def test_a_job_far_back_in_the_history_is_found_before_it_is_called_lost(
    local, worker, script, execute, condor_pool, monkeypatch
):
    monkeypatch.setattr(ads, "SCAN", 1)
    job = execute(local, script("ok.sh", "exit 0"))
    lifecycle.submit(job.pk)
    cluster = Job.objects.get().native_id
    eventually(lambda: condor_pool.history(cluster), timeout=60)
    later = submit_by_hand(condor_pool, "/bin/true")
    eventually(lambda: condor_pool.history(later), timeout=60)

    lifecycle.refresh(local.pk)
    assert Job.objects.get().missing_since
    time_passes(61)

    assert worker.ended(job).cached_status == "Complete"


def submit_by_hand(pool, executable, arguments=""):
    """The cluster of a job that somebody submits with the account of ours, but not through the portal."""
    text = f"executable = {executable}\narguments = {arguments}\nqueue\n"
    return pool.condor("condor_submit", "-terse", "-", cwd=Path("/tmp"), input=text).split(".")[0]


def test_a_workflow_whose_end_was_seen_needs_no_history_any_more(
    manager, user, local, worker, script, condor_pool, settings
):
    workflow = manager.create_job("flow", user, job_type="CONDORWORKFLOW", scheduler=local)
    workflow.save()
    path = script("ok.sh", "exit 0")
    CondorWorkflowJobNode(
        name="A", workflow=workflow, remote_input_files=[path], attributes={"executable": "ok.sh"}
    ).save()
    workflow.execute()
    lifecycle.submit(workflow.pk)

    def ready():
        lifecycle.refresh(local.pk)
        return Job.objects.get(pk=workflow.pk).cached_status == "Results-Ready"

    eventually(ready, timeout=60)
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 0.0}
    condor_pool.forget_history()

    assert ready()
    assert ready()
    assert worker.ended(workflow).cached_status == "Complete"
