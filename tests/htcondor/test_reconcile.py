"""What this portal has at a real schedd and its submit host, beside another portal and a user's own jobs."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from jobsapi import lifecycle
from jobsapi.models import CondorWorkflowJobNode, Job, Stray
from jobsapi.status import Status
from tests.rig.eventually import eventually


@pytest.fixture(autouse=True)
def portal(settings, ready, condor_pool):
    """A portal of its own, since the submit host's account has folders of earlier tests; two looks are enough."""
    name = f"{condor_pool.portal}-{uuid4().hex[:8]}"
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 0.0, "PORTAL": name}
    return name


def looked(scheduler):
    """The strays that two looks have found, by what they are."""
    for _ in range(2):
        lifecycle.reconcile(scheduler.pk)
    return {stray.what: stray for stray in Stray.objects.seen_twice().filter(scheduler=scheduler.pk)}


def in_queue(pool, job):
    return pool.queue("-constraint", f'JobsApiJob == "{job.uid.hex}" && JobStatus != 3')


def forget(job):
    """Its row goes, as if it had never been, and nobody clears up."""
    Job._base_manager.filter(pk=job.pk).delete()


def test_only_what_is_ours_and_no_row_s_is_found_and_removed(
    local, worker, script, execute, settings, condor_pool, scripts, portal
):
    long = script("long.sh", "sleep 600")
    settings.JOBSAPI = {**settings.JOBSAPI, "PORTAL": f"{portal}-another"}
    theirs = execute(local, long)
    worker.until(theirs, lambda found: found.native_id)
    forget(theirs)
    settings.JOBSAPI = {**settings.JOBSAPI, "PORTAL": portal}
    own = scripts / "own.sub"
    own.write_text('executable = /bin/sleep\narguments = 600\nMy.JobsApiId = "mine"\nqueue\n')
    condor_pool.condor("condor_submit", own, cwd=scripts)
    kept, gone = execute(local, long), execute(local, long, num_jobs=2)
    worker.until(kept, lambda found: found.native_id)
    gone = worker.until(gone, lambda found: found.native_id)
    forget(gone)

    found = looked(local)

    assert [*found] == ["job"]
    stray = found["job"]
    assert (stray.native_id, stray.uid, stray.name, stray.label) == (gone.native_id, gone.uid, "job", "tests")
    assert "waiting" in stray.words or "running" in stray.words
    stray.request(Stray.REMOVE, "root")
    lifecycle.reconcile(local.pk)
    eventually(lambda: not in_queue(condor_pool, gone))
    assert len(in_queue(condor_pool, kept)) == len(in_queue(condor_pool, theirs)) == 1
    assert condor_pool.queue("-constraint", 'JobsApiId == "mine" && JobStatus != 3')
    eventually(lambda: looked(local) == {})
    assert gone.folder.exists()  # it lies in its user's workspace


def test_a_row_from_a_back_up_gets_its_running_job_again_and_ends_well(local, worker, script, execute, scripts):
    job = execute(local, script("short.sh", f"until test -e {scripts}/go; do sleep 0.1; done; echo said"))
    running = worker.until(job, "Running")
    before = {"_status": Status.PENDING, "submission_id": None, "native_id": "", "attempts": 0, "backend_state": {}}
    Job._base_manager.filter(pk=job.pk).update(**before, submit_started_at=None, cleanup_pending=False)

    stray = looked(local)["job"]
    assert (stray.job_number, stray.can_adopt) == (job.pk, True)
    stray.request(Stray.ADOPT, "root")
    lifecycle.reconcile(local.pk)
    (scripts / "go").touch()

    ended = worker.ended(job)
    assert (ended.cached_status, ended.native_id) == ("Complete", running.native_id)
    assert any("said" in path.read_text() for path in ended.folder.rglob("*.out"))
    assert looked(local) == {}


def test_a_job_without_a_row_becomes_one_and_its_files_come(remote, worker, script, execute, scripts, user):
    text = f"until test -e {scripts}/go; do sleep 0.1; done; echo said"
    job = execute(remote, script("short.sh", text), name="my job", num_jobs=2)
    running = worker.until(job, "Running")
    forget(job)

    looked(remote)["job"].request(Stray.ADOPT, "root", user)
    lifecycle.reconcile(remote.pk)

    adopted = Job.objects.get()
    assert (adopted.type, adopted.name, adopted.label, adopted.uid) == ("CondorJob", "my-job", "tests", job.uid)
    assert adopted.native_id == running.native_id
    (scripts / "go").touch()
    ended = worker.ended(adopted)
    assert (ended.cached_status, ended.progress_total) == ("Complete", 2)
    said = [name for name in ended.log_files() if name.endswith(".out")]
    assert len(said) == 2
    assert all((ended.folder / name).read_text() == "said\n" for name in said)
    assert looked(remote) == {}
    folder = ended.folder
    ended.delete()
    eventually(lambda: worker.step(remote.pk) or not Job._base_manager.filter(pk=ended.pk).exists())
    assert not folder.exists()


def test_a_workflow_without_a_row_becomes_one(local, worker, scripts, manager, user, condor_pool):
    workflow = manager.create_job("flow", user, job_type="CONDORWORKFLOW", scheduler=local)
    workflow.save()
    path = scripts / "node.sh"
    path.write_text(f"#!/bin/sh\nuntil test -e {scripts}/go; do sleep 0.1; done\n")
    path.chmod(0o755)
    node = CondorWorkflowJobNode(
        name="only",
        workflow=workflow,
        condorpy_template_name="vanilla_transfer_files",
        attributes={"executable": "node.sh"},
        remote_input_files=[str(path)],
    )
    node.save()
    workflow.execute()
    worker.until(workflow, lambda found: found.native_id)
    eventually(lambda: condor_pool.queue("-constraint", 'DAGNodeName == "only"'), timeout=60)
    node.delete()
    forget(workflow)

    stray = looked(local)["workflow"]
    stray.request(Stray.ADOPT, "root", user)
    lifecycle.reconcile(local.pk)
    (scripts / "go").touch()

    adopted = Job.objects.get()
    assert adopted.type == "CondorWorkflow"
    ended = worker.ended(adopted)
    assert (ended.cached_status, ended.progress_done) == ("Complete", 1)
    assert any(name.endswith(".dagman.out") for name in ended.log_files())


def test_a_folder_at_a_submit_host_is_adopted_while_the_history_knows_its_job_and_can_be_removed_for_ever(
    remote, worker, script, execute, user, condor_pool, portal, scripts
):
    text = f"until test -e {scripts}/go; do sleep 0.1; done; echo said"
    jobs = [execute(remote, script("short.sh", text)) for _ in range(2)]
    for job in jobs:
        worker.until(job, lambda found: found.native_id)
    forget(jobs[0]), forget(jobs[1])
    (scripts / "go").touch()
    for job in jobs:
        eventually(lambda job=job: condor_pool.history("-constraint", f'JobsApiJob == "{job.uid.hex}"'), timeout=60)
    home = Path(f"~{condor_pool.user}").expanduser() / "jobsapi" / portal
    beside = home / "0123456789abcdef0123456789abcdef"  # without a mark of ours it is none of ours
    beside.mkdir()
    assert [*looked(remote)] == ["folder"]
    adopted, removed = (Stray.objects.get(native_id=f"jobsapi/{portal}/{job.uid.hex}") for job in jobs)

    adopted.request(Stray.ADOPT, "root", user)
    lifecycle.reconcile(remote.pk)
    ended = worker.ended(Job.objects.get())
    assert (ended.cached_status, ended.uid) == ("Complete", jobs[0].uid)
    assert any("said" in path.read_text() for path in ended.folder.rglob("*.out"))

    condor_pool.forget_history()
    removed.request(Stray.ADOPT, "root", user)
    lifecycle.reconcile(remote.pk)
    removed.refresh_from_db()
    assert "knows nothing of the job any more" in removed.outcome
    removed.request(Stray.REMOVE, "root")
    lifecycle.reconcile(remote.pk)

    assert not Stray.objects.exists()
    assert [path.name for path in home.iterdir()] == [beside.name]
