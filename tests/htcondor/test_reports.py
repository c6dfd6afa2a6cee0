"""Jobs that say themselves how far they are: what they need for it reaches them, and nobody else."""

from __future__ import annotations

import json
import os
import pwd
import shutil

import pytest

from jobsapi import conf, reporting
from jobsapi.backends.condor.transport import LocalTransport, transport_of
from jobsapi.htcondor.names import REPORT_FILE
from jobsapi.models import CondorWorkflowJobNode, Job
from tests.rig.eventually import eventually


@pytest.fixture
def portal(settings, live_server):
    """A web server that jobs can reach."""
    settings.JOBSAPI = {**settings.JOBSAPI, "PUBLIC_URL": live_server.url}


@pytest.fixture
def owned(condor_pool, local, monkeypatch):
    """Files for jobs on this machine belong to the account of the pool, as to that of a worker where HTCondor is.

    What only their owner may read, HTCondor can transfer then. Tests that run as root have another one.
    """
    transport, owner = transport_of(local), pwd.getpwnam(condor_pool.user).pw_uid

    def stage_as_owner(*args, **kwargs):
        before = os.geteuid()
        os.seteuid(owner if before == 0 else before)
        try:
            LocalTransport.stage(transport, *args, **kwargs)
        finally:
            os.seteuid(before)

    monkeypatch.setattr(transport, "stage", stage_as_owner)


@pytest.fixture
def reporter(scripts):
    """The program that jobs take along, where the account of the pool can read it."""
    return shutil.copy(reporting.__file__, scripts)


def in_the_pool(pool):
    """All that every user of the pool can read of its jobs."""
    return json.dumps([pool.queue(), pool.history()])


def signature_of(job):
    """The secret part of what lies beside the job at its submit host."""
    transport = transport_of(job.scheduler)
    folder = transport.folder_of(job.workspace, job.folder.name, job.uid.hex, conf.get("PORTAL"))
    path = (
        f"{folder}/{job.condorpy_job.initial_dir}/{REPORT_FILE}" if not job.is_workflow else f"{folder}/{REPORT_FILE}"
    )
    return json.loads(transport.read([path], limit=10_000)[path])["token"].rpartition(".")[2]


def test_a_job_reports_how_far_it_is_and_the_pool_learns_no_secret(
    place, owned, portal, worker, script, reporter, execute, ready, client, user, condor_pool
):
    gate = ready / "gate"
    program = script(
        "route.sh",
        f"stat -c %a {REPORT_FILE} > mode\n"
        'python3 reporting.py progress=40 message="Half of the rivers are routed"\n'
        f"until [ -e {gate} ]; do sleep 0.1; done\n",
    )
    job = execute(
        place,
        program,
        reports=True,
        remote_input_files=[reporter],
        attributes={"transfer_input_files": "../reporting.py"},
    )
    told = worker.until(job, lambda found: found.reported)
    assert told.reported["job"]["done"] == 40

    # A poll of the scheduler leaves that as it is, and the page shows it.
    worker.until(job, "Running")
    client.force_login(user)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert "40 %" in page
    assert "Half of the rivers are routed" in page

    secret = signature_of(told)
    assert len(secret) > 30
    assert told.native_id in in_the_pool(condor_pool)
    assert secret not in in_the_pool(condor_pool)

    gate.touch()
    ended = worker.ended(job)
    assert ended.cached_status == "Complete"
    assert (ended.folder / ended.condorpy_job.initial_dir / "mode").read_text() == "600\n"
    assert not list(ended.folder.rglob(REPORT_FILE))
    assert secret not in in_the_pool(condor_pool)


def test_nodes_of_a_workflow_report_under_their_own_names(
    local, owned, portal, worker, script, reporter, make, ready, condor_pool
):
    gate = ready / "gate"
    program = script(
        "node.sh", f"python3 reporting.py part=$1 progress=$2 message=here; until [ -e {gate} ]; do sleep 0.1; done"
    )
    flow = make(local, "flow", "CONDORWORKFLOW", reports=True, remote_input_files=[program, reporter])
    flow.save()
    for name, progress in (("east", 10), ("west", 20)):
        CondorWorkflowJobNode.objects.create(
            name=name,
            workflow=flow,
            attributes={
                "executable": "node.sh",
                "arguments": f"{name} {progress}",
                "transfer_input_files": "reporting.py",
                "should_transfer_files": "YES",
            },
        )
    flow.execute()

    told = worker.until(flow, lambda found: len(found.reported.get("parts", {})) == 2, timeout=90)
    assert {name: part["done"] for name, part in told.reported["parts"].items()} == {"east": 10, "west": 20}
    secret, ads = signature_of(told), in_the_pool(condor_pool)
    assert ads.count(told.submission_id.hex) >= 3
    assert secret not in ads

    gate.touch()
    assert worker.ended(flow).cached_status == "Complete"
    assert eventually(lambda: not list(Job.objects.get(pk=flow.pk).folder.rglob(REPORT_FILE)))


def test_without_an_address_of_the_portal_a_job_that_reports_is_refused_with_what_to_set(local, execute):
    with pytest.raises(ValueError, match="PUBLIC_URL"):
        execute(local, "/bin/true", reports=True)
    assert not Job.objects.exists()
